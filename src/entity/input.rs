//! Field input: what a person, a program or an agent may send for a field, its JSON schema, and its text form.
//!
//! A field is named by its key in the record's JSON. [`read`] converts input to such JSON values ([`Values`]), and
//! [`Stored`](crate::Stored) writes them into the record. No field needs code of its own.

use jiff::civil::Date;
use kernel::text::one_line;
use kernel::{Assignee, Colour, Error, FieldError, Timestamp};
use serde_json::{Map, Value, json};

use crate::{Field, Fields, FileKind, JsonKind, Names, mail_address};

/// Field values by key, as in the record's JSON. Absent fields stay unchanged; `null` clears a field.
pub type Values = Map<String, Value>;

/// Default maximum length of a single-line text, in characters.
const LINE: usize = 300;
/// Default maximum length of a multi-line text, in characters.
const LONG: usize = 20_000;
/// Maximum length of a secret value.
const SECRET: usize = 4_000;
/// Maximum number of unknown names listed in an error.
const MOST_UNKNOWN: usize = 20;
/// Maximum size of a JSON value, in bytes.
const JSON: usize = 16 * 1024;
/// Maximum number of texts in a list and default maximum length of each in characters.
const LINES: (usize, usize) = (100, 1_000);

/// The kind of values of a field.
#[derive(Clone, Copy, Debug)]
pub enum InputKind {
    /// Any JSON value, stored unchanged.
    Any,
    /// Single-line text.
    Line,
    /// Multi-line Markdown.
    Long,
    /// A token or password, which is never shown again. Used by operations.
    Secret,
    /// Boolean.
    Flag,
    /// An integer between these bounds, both inclusive.
    Count(i64, i64),
    /// A day.
    Day,
    /// A moment: milliseconds in the record, RFC 3339 in the API.
    Moment,
    /// One of these words, with their display labels.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// A colour: a name, a word or an RGB value.
    Colour,
    /// One of the twelve named colours.
    Hue,
    /// One emoji, or empty.
    Emoji,
    /// A member or an agent: `Option<Assignee>` in the record.
    Person,
    /// A record of the entity with this word, given by name or id. Used by operations.
    Record(&'static str),
    /// A web address.
    Url,
    /// An email address.
    Email,
    /// A JSON value with its own schema.
    Json(JsonKind),
    /// A list of texts of one line each: `Vec<String>` in the record, one per line in forms.
    Lines,
    /// An uploaded file. Used by operations, and never required.
    File(FileKind),
}

/// When a field accepts input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On creation and on change.
    Always,
    /// Only on creation.
    Create,
    /// Only on change.
    Change,
    /// Never: the field is read-only.
    Never,
}

/// Input rules of a field.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Kind of values.
    pub kind: InputKind,
    /// When the field accepts input.
    pub when: When,
    /// Whether records without a value are rejected.
    pub required: bool,
    /// Whether an empty field is stored as `null` instead of an empty text.
    pub optional: bool,
    /// Maximum number of characters; 0 for the default of the kind.
    pub max: usize,
    /// Default value shown in the form of a new record.
    pub usual: &'static str,
    /// Short description: used in schemas, command-line help and form hints.
    pub about: &'static str,
}

impl Input {
    /// A read-only field.
    pub(crate) const SHOWN: Self = Self {
        kind: InputKind::Any,
        when: When::Never,
        required: false,
        optional: false,
        max: 0,
        usual: "",
        about: "",
    };

    /// Returns `true` if the field may be sent on creation (`is_new`) or on change.
    #[must_use]
    pub fn is_entered_when(&self, is_new: bool) -> bool {
        match self.when {
            When::Always => true,
            When::Create => is_new,
            When::Change => !is_new,
            When::Never => false,
        }
    }

    /// Returns `true` if `null` clears the field.
    #[must_use]
    pub fn takes_null(&self) -> bool {
        let by_kind = matches!(
            self.kind,
            InputKind::Line
                | InputKind::Long
                | InputKind::Secret
                | InputKind::Emoji
                | InputKind::Url
                | InputKind::Email
                | InputKind::Day
                | InputKind::Moment
                | InputKind::Person
                | InputKind::Lines
        );
        !self.required && (self.optional || by_kind)
    }

    /// Maximum number of characters.
    fn limit(&self) -> usize {
        match (self.max, self.kind) {
            (0, InputKind::Long) => LONG,
            (0, InputKind::Emoji) => 12,
            (0, InputKind::Secret) => SECRET,
            (0, InputKind::Lines) => LINES.1,
            (0, _) => LINE,
            (max, _) => max,
        }
    }
}

/// The purpose of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Create a record or run an operation: required fields must be present.
    Whole,
    /// Update a record: absent fields stay unchanged.
    Change,
}

/// Validates input and reports all rejected fields at once.
///
/// # Errors
/// `bad_json` for unknown names, wrong types and missing required fields; `invalid` for values out of range.
pub fn read(
    fields: &'static [Field],
    sent: Map<String, Value>,
    mode: Mode,
    names: &dyn Names,
) -> Result<Values, Error> {
    let (mut values, mut unfit, mut wrong) = (Values::new(), Vec::new(), Vec::new());
    let is_entered = |field: &&Field| field.input.is_entered_when(mode == Mode::Whole);
    for (key, value) in sent {
        let Some(field) = fields.iter().filter(is_entered).find(|field| field.key == key) else {
            let shown = kernel::text::ellipsis(&key, 60);
            let known: Vec<String> =
                fields.iter().filter(is_entered).map(|field| format!("`{}`", field.key)).collect();
            let known = match known.as_slice() {
                [] => "there are none".to_owned(),
                known => format!("expected {}", known.join(", ")),
            };
            unfit.push(FieldError::new(&*shown, format!("unknown field `{shown}`, {known}")));
            if MOST_UNKNOWN <= unfit.len() {
                break;
            }
            continue;
        };
        let is_left_out = mode == Mode::Whole && !field.input.required && !field.input.takes_null();
        if value.is_null() && is_left_out {
            continue;
        }
        match field.read(&value, names) {
            Ok(value) => drop(values.insert(key, value)),
            Err(Unfit::Type(message)) => unfit.push(FieldError::new(key, message)),
            Err(Unfit::Value(message)) => wrong.push(FieldError::new(key, message)),
        }
    }
    let is_there =
        |values: &Values, key: &str| values.get(key).is_some_and(|value| !is_empty(value));
    for field in fields.iter().filter(is_entered).filter(|field| field.input.required) {
        let refused = unfit.iter().chain(&wrong).any(|one| one.field == field.key);
        if refused || is_there(&values, field.key) {
            continue;
        }
        match values.contains_key(field.key) {
            true => wrong.push(FieldError::new(field.key, field.missing())),
            false if mode == Mode::Whole => {
                unfit.push(FieldError::new(field.key, format!("missing field `{}`", field.key)));
            }
            false => {}
        }
    }
    match (unfit.is_empty(), wrong.is_empty()) {
        (true, true) => Ok(values),
        (true, false) => Err(Error::invalid(wrong)),
        (false, _) => {
            unfit.extend(wrong);
            Err(Error::invalid(unfit).with_code("bad_json"))
        }
    }
}

/// Returns `true` if the value clears its field.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

enum Unfit {
    Type(String),
    Value(String),
}

impl Field {
    fn missing(&self) -> String {
        let label = self.label;
        match self.input.kind {
            InputKind::Choice(..) | InputKind::Person | InputKind::Record(_) => {
                "Choose one.".to_owned()
            }
            InputKind::Count(least, most) => between(least, most),
            _ if label.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("Enter an {label}."),
            _ => format!("Enter a {label}."),
        }
    }

    /// Checks the range or length of a value in the record's JSON.
    pub(crate) fn misfit(&self, value: &Value) -> Option<String> {
        let limit = self.input.limit();
        match self.input.kind {
            InputKind::Count(least, most) => {
                let fits = value.as_i64().is_some_and(|number| (least..=most).contains(&number));
                (!fits && !value.is_null()).then(|| between(least, most))
            }
            InputKind::Line | InputKind::Long | InputKind::Emoji | InputKind::Secret => {
                let length = value.as_str().map_or(0, |text| text.chars().count());
                (limit < length).then(|| format!("Use at most {limit} characters."))
            }
            _ => None,
        }
    }

    /// Converts a sent value to the record's JSON.
    fn read(&self, sent: &Value, names: &dyn Names) -> Result<Value, Unfit> {
        let input = &self.input;
        let empty = || match input.kind {
            _ if input.required => Err(Unfit::Value(self.missing())),
            InputKind::Line
            | InputKind::Long
            | InputKind::Secret
            | InputKind::Emoji
            | InputKind::Url
            | InputKind::Email
                if !input.optional =>
            {
                Ok(json!(""))
            }
            InputKind::Day | InputKind::Moment | InputKind::Person => Ok(Value::Null),
            InputKind::Lines => Ok(json!([])),
            _ if input.optional => Ok(Value::Null),
            _ => {
                Err(Unfit::Type(format!("`{}` can't be empty; leave it out to keep it", self.key)))
            }
        };
        if sent.is_null() {
            return empty();
        }
        let text = || match sent.as_str() {
            Some(text) => Ok(text),
            None => {
                Err(Unfit::Type(format!("invalid type: {}, expected a string", describe(sent))))
            }
        };
        let refused = |message: String| Unfit::Value(message);
        Ok(match input.kind {
            InputKind::Any => sent.clone(),
            InputKind::File(_) => {
                let key = self.key;
                return Err(Unfit::Type(format!(
                    "`{key}` is a file; send it as the body, as application/octet-stream"
                )));
            }
            InputKind::Flag => match sent.as_bool() {
                Some(yes) => json!(yes),
                None => {
                    let message = format!("invalid type: {}, expected a boolean", describe(sent));
                    return Err(Unfit::Type(message));
                }
            },
            InputKind::Count(least, most) => {
                let number = sent.as_i64().ok_or_else(|| Unfit::Type(between(least, most)))?;
                let number = json!(number);
                if let Some(message) = self.misfit(&number) {
                    return Err(refused(message));
                }
                number
            }
            InputKind::Line | InputKind::Long | InputKind::Emoji | InputKind::Secret => {
                let text = match input.kind {
                    InputKind::Long | InputKind::Secret => {
                        text()?.replace("\r\n", "\n").trim().to_owned()
                    }
                    _ => one_line(text()?),
                };
                if text.is_empty() {
                    return empty();
                }
                let text = json!(text);
                if let Some(message) = self.misfit(&text) {
                    return Err(refused(message));
                }
                text
            }
            InputKind::Lines => match self.read_lines(sent)? {
                lines if lines.is_empty() => return empty(),
                lines => json!(lines),
            },
            InputKind::Json(kind) => {
                if JSON < sent.to_string().len() {
                    return Err(refused(format!("Use at most {} KiB.", JSON / 1024)));
                }
                (kind.check)(sent).map_err(Unfit::Type)?;
                sent.clone()
            }
            kind => match text()?.trim() {
                "" => return empty(),
                "none"
                    if matches!(kind, InputKind::Day | InputKind::Moment | InputKind::Person) =>
                {
                    Value::Null
                }
                "nobody" | "unassigned" if matches!(kind, InputKind::Person) => Value::Null,
                text => parsed(kind, text, names).map_err(refused)?,
            },
        })
    }

    /// The texts of a list, without empty ones.
    fn read_lines(&self, sent: &Value) -> Result<Vec<String>, Unfit> {
        let wrong = || Unfit::Type(format!("invalid type in `{}`, expected strings", self.key));
        let (all, limit) = (sent.as_array().ok_or_else(wrong)?, self.input.limit());
        if LINES.0 < all.len() {
            return Err(Unfit::Value(format!("Enter at most {} lines.", LINES.0)));
        }
        let mut lines = Vec::new();
        for one in all {
            let text = one.as_str().ok_or_else(wrong)?;
            if text.contains(['\n', '\r', '\0']) {
                return Err(Unfit::Value("Enter each text on a line of its own.".to_owned()));
            }
            if limit < text.chars().count() {
                return Err(Unfit::Value(format!("Use at most {limit} characters per line.")));
            }
            if !text.trim().is_empty() {
                lines.push(text.trim().to_owned());
            }
        }
        Ok(lines)
    }

    /// Converts a value of the record's JSON to its API form.
    #[must_use]
    pub fn api_value(&self, value: &Value, names: &dyn Names) -> Value {
        match self.input.kind {
            InputKind::Moment => value
                .as_i64()
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                .map_or(Value::Null, |at| json!(at.to_string())),
            InputKind::Person => match serde_json::from_value::<Option<Assignee>>(value.clone()) {
                Ok(Some(who)) => somebody(who, names),
                // ok: an unreadable assignee is shown as nobody.
                _ => Value::Null,
            },
            _ => value.clone(),
        }
    }

    /// Formats a value of the record's JSON for a form field. [`Self::parse_input`] parses it back.
    #[must_use]
    pub fn form_text(&self, value: &Value, names: &dyn Names) -> String {
        match (self.input.kind, self.api_value(value, names)) {
            (InputKind::Person, Value::Object(who)) => {
                who.get("handle").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            (_, Value::Null) => String::new(),
            (_, Value::String(text)) => text,
            (_, Value::Bool(yes)) => if yes { "on" } else { "" }.to_owned(),
            (InputKind::Lines, Value::Array(lines)) => {
                lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
            }
            (_, other) => other.to_string(),
        }
    }

    /// Converts text from a form or the command line to the JSON a program would send.
    #[must_use]
    pub fn parse_input(&self, text: &str) -> Value {
        match self.input.kind {
            InputKind::Flag => match text.trim() {
                "on" | "true" | "yes" | "1" => json!(true),
                "" | "off" | "false" | "no" | "0" => json!(false),
                other => json!(other),
            },
            InputKind::Count(..) if text.trim().is_empty() => Value::Null,
            // ok: text that is not a number is rejected later as text.
            InputKind::Count(..) => text.trim().parse::<i64>().map_or(json!(text), |n| json!(n)),
            InputKind::Lines => json!(text.lines().collect::<Vec<&str>>()),
            InputKind::Json(_) if text.trim().is_empty() => Value::Null,
            InputKind::Json(_) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            InputKind::Choice(..) | InputKind::Colour | InputKind::Hue | InputKind::Record(_)
                if text.trim().is_empty() =>
            {
                Value::Null
            }
            _ => json!(text),
        }
    }

    /// JSON schema of accepted values. With `nullable`, includes `null` if it clears the field.
    #[must_use]
    pub fn schema(&self, nullable: bool) -> Value {
        let mut schema = match self.input.kind {
            InputKind::Flag => json!({ "type": "boolean" }),
            InputKind::Count(least, most) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            InputKind::Choice(words, _) => json!({ "type": "string", "enum": words }),
            InputKind::Hue => json!({ "type": "string", "enum": kernel::Hue::WORDS }),
            InputKind::Colour => {
                json!({ "type": "string", "pattern": kernel::colour::PATTERN })
            }
            InputKind::Json(kind) => (kind.schema)(),
            InputKind::Lines => json!({ "type": "array", "items": { "type": "string" } }),
            _ => json!({ "type": "string" }),
        };
        if nullable && let Some(object) = schema.as_object_mut() {
            object.insert("nullable".to_owned(), json!(true));
        }
        if !self.input.about.is_empty() {
            schema["description"] = json!(self.input.about);
        }
        schema
    }

    /// JSON schema of values in responses.
    #[must_use]
    pub fn shown_schema(&self) -> Value {
        let mut schema = self.schema(self.input.optional);
        match self.input.kind {
            InputKind::Person => {
                let text = json!({ "type": "string" });
                schema = json!({
                    "type": "object",
                    "nullable": true,
                    "properties": {
                        "kind": text, "handle": text, "name": text,
                        "id": { "type": "string", "nullable": true },
                    },
                    "required": ["kind", "handle", "name"],
                });
            }
            InputKind::Day => schema["nullable"] = json!(true),
            _ => {}
        }
        schema
    }
}

/// Resolves no names, for fields without references.
pub struct NoNames;

impl Names for NoNames {
    fn who(&self, name: &str) -> Result<Assignee, String> {
        Err(format!("No one is called \"{}\".", kernel::text::ellipsis(name, 60)))
    }

    fn record(&self, _: u16, name: &str) -> Result<uuid::Uuid, String> {
        Err(format!("No record is called \"{}\".", kernel::text::ellipsis(name, 60)))
    }

    fn name_of(&self, _: Assignee) -> String {
        String::new()
    }

    fn handle_of(&self, _: Assignee) -> String {
        String::new()
    }

    fn title_of(&self, _: crate::Target) -> String {
        String::new()
    }
}

fn between(least: i64, most: i64) -> String {
    format!("Enter a whole number between {least} and {most}.")
}

/// Describes a JSON value within a sentence.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => format!("boolean `{yes}`"),
        Value::Number(number) => format!("number `{number}`"),
        Value::String(text) => format!("string \"{}\"", kernel::text::ellipsis(text, 40)),
        Value::Array(_) => "sequence".to_owned(),
        Value::Object(_) => "map".to_owned(),
    }
}

/// API form of an assignee.
fn somebody(who: Assignee, names: &dyn Names) -> Value {
    let (kind, id) = match who {
        Assignee::Person(id) => ("person", Some(id.to_string())),
        Assignee::Agent(id) => ("agent", Some(id.to_string())),
        Assignee::System => ("system", None),
    };
    json!({ "kind": kind, "id": id, "handle": names.handle_of(who), "name": names.name_of(who) })
}

/// Converts non-empty text to the record's JSON.
fn parsed(kind: InputKind, text: &str, names: &dyn Names) -> Result<Value, String> {
    Ok(match kind {
        InputKind::Day => match text.parse::<Date>() {
            Ok(day) => json!(day),
            Err(_) => return Err("This isn't a date. Enter it as 2026-11-20.".to_owned()),
        },
        InputKind::Moment => match text.parse::<Timestamp>() {
            Ok(at) => json!(at.as_millisecond()),
            Err(_) => return Err("Enter the time as 2026-11-20T14:30Z.".to_owned()),
        },
        InputKind::Choice(words, labels) => {
            let lower = text.to_lowercase();
            let by_label = || labels.iter().position(|label| label.to_lowercase() == lower);
            match words.iter().position(|word| *word == lower).or_else(by_label) {
                Some(at) => json!(words[at]),
                None => return Err(format!("Choose one of {}.", words.join(", "))),
            }
        }
        InputKind::Colour => match text.parse::<Colour>() {
            Ok(colour) => json!(colour),
            Err(error) => return Err(kernel::text::capitalized(&error.to_string())),
        },
        InputKind::Hue => match text.parse::<Colour>() {
            Ok(Colour::Named(hue)) => json!(hue),
            _ => return Err(format!("Choose one of {}.", kernel::Hue::WORDS.join(", "))),
        },
        InputKind::Person => json!(names.who(text)?),
        InputKind::Url => match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                json!(url.as_str())
            }
            _ => return Err("Enter a web address that starts with https:// or http://.".to_owned()),
        },
        InputKind::Email => json!(mail_address(text)?),
        _ => json!(text),
    })
}

/// The API form of a record: its id, then the public fields of the table.
#[must_use]
pub fn shown(fields: &'static [Field], record: &Fields, names: &dyn Names) -> Fields {
    let mut shown = Fields::new();
    if let Some(id) = record.get("id") {
        shown.insert("id".to_owned(), id.clone());
    }
    for field in fields.iter().filter(|field| !field.internal) {
        let value =
            record.get(field.key).map_or(Value::Null, |value| field.api_value(value, names));
        shown.insert(field.key.to_owned(), value);
    }
    shown
}
