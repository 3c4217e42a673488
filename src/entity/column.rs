//! Columns: name, allowed values and display of one field of a cell record. Built-in and user-defined columns have the
//! same type, so pages, API, tools and import share one check, one form control and one schema.

use jiff::civil::Date;
use kernel::display;
use kernel::text::{capitalized, cut, nearest, one_line, slug};
use kernel::{Assignee, Hue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::address::{mail_address, phone};
use crate::value::{Decimal, FieldValue, Target};

/// Maximum length of a single-line text, in characters.
pub const MAX_LINE: usize = 300;
/// Maximum length of a multi-line text, in bytes.
pub const MAX_LONG: usize = 64 * 1024;
/// Maximum number of choices in one cell.
pub const MAX_CHOSEN: usize = 50;

kernel::words! {
    /// The kind of values of a column.
    Kind {
        /// One line.
        Text = "text", "Text";
        /// Several lines of Markdown.
        LongText = "long_text", "Long text";
        /// A number.
        Number = "number", "Number";
        /// A day.
        Date = "date", "Date";
        /// A moment.
        Datetime = "datetime", "Date and time";
        /// Yes or no.
        Boolean = "boolean", "Yes/no";
        /// One of some choices.
        Select = "select", "One choice";
        /// Some of some choices.
        MultiSelect = "multi_select", "Several choices";
        /// An address of the web.
        Url = "url", "Web address";
        /// An address of mail.
        Email = "email", "Email address";
        /// A number of a telephone.
        Phone = "phone", "Phone number";
        /// A member or an agent.
        Person = "person", "Person";
        /// Another record.
        Relation = "relation", "Link to a record";
    }
}

impl Kind {
    /// Kinds whose values can be converted into each other.
    pub const CONVERTIBLE: [Self; 4] = [Self::Text, Self::Number, Self::Date, Self::Select];

    /// Parses a word, including the names used by other products.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let word = match word {
            "textarea" | "rich_text" => "long_text",
            "multiselect" => "multi_select",
            word => word,
        };
        word.parse().ok()
    }

    /// Returns `true` for kinds with a list of choices.
    #[must_use]
    pub fn has_choices(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect)
    }

    /// Returns `true` for kinds that are right-aligned in tables.
    #[must_use]
    pub fn is_number(self) -> bool {
        self == Self::Number
    }
}

kernel::words! {
    /// What a stage of a pipeline means for a deal.
    #[derive(Default)]
    Stands {
        /// It goes on.
        #[default]
        Open = "open", "Open";
        /// It was won.
        Won = "won", "Won";
        /// It was lost.
        Lost = "lost", "Lost";
    }
}

/// A choice of a column. Its key is stable when the label changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Stored in cells.
    pub key: String,
    /// Display label.
    pub label: String,
    /// Display colour.
    pub colour: Hue,
    /// Meaning for a deal. Used only by pipeline stages.
    pub stands: Stands,
    /// Probability of winning the deal from here, in percent. Used only by pipeline stages.
    pub chance: u8,
}

impl Choice {
    /// A choice whose key and colour are derived from its label.
    #[must_use]
    pub fn called(label: &str) -> Self {
        Self {
            key: key_of(label),
            label: label.to_owned(),
            colour: Hue::of(label),
            stands: Stands::Open,
            chance: 0,
        }
    }
}

/// Number format. Stored by position: append only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// Without decoration.
    #[default]
    Plain,
    /// With a percent sign.
    Percent,
    /// As a bar from 0 to 100.
    Bar,
    /// As money, with the ISO currency code.
    Currency([u8; 3]),
}

impl Look {
    /// Wire word: `plain`, `percent`, `bar` or a currency code.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Percent => "percent".to_owned(),
            Self::Bar => "bar".to_owned(),
            Self::Currency(code) => String::from_utf8_lossy(&code).into_owned(),
        }
    }

    /// Parses a wire word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "" | "plain" => Some(Self::Plain),
            "percent" => Some(Self::Percent),
            "bar" => Some(Self::Bar),
            code if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                let upper = code.to_ascii_uppercase();
                upper.as_bytes().try_into().ok().map(Self::Currency)
            }
            _ => None,
        }
    }

    /// Formats a number for people.
    #[must_use]
    pub fn shown(self, number: Decimal) -> String {
        match self {
            Self::Plain => number.grouped(),
            Self::Percent | Self::Bar => format!("{} %", number.grouped()),
            Self::Currency(code) => match &code {
                b"EUR" => format!("€{}", number.grouped()),
                b"USD" => format!("${}", number.grouped()),
                b"GBP" => format!("£{}", number.grouped()),
                code => format!("{} {}", String::from_utf8_lossy(code), number.grouped()),
            },
        }
    }
}

kernel::words! {
    /// What agents may do with the cells of a column.
    #[derive(Default)]
    AgentsMay {
        /// Write into cells where no person has; suggest in others.
        #[default]
        Write = "write", "Agents can write";
        /// Suggest.
        Suggest = "suggest", "Agents can suggest";
        /// Read.
        Read = "read", "Agents can only read";
    }
}

/// A field of a cell record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in JSON, filters and files.
    pub key: String,
    /// Display label.
    pub label: String,
    /// Kind of values.
    pub kind: Kind,
    /// Number format.
    pub look: Look,
    /// Heading of the field's group on a record's page.
    pub group: String,
    /// Choices of a select column.
    pub choices: Vec<Choice>,
    /// Whether records without a value are rejected.
    pub required: bool,
    /// Table of the linked records. Used only by relations.
    pub to: u16,
    /// Description in one sentence.
    pub about: String,
    /// What agents may do with the column.
    pub agents: AgentsMay,
    /// Whether the column is built in.
    pub own: bool,
}

/// Resolves names of people, agents and records.
pub trait Names {
    /// Resolves a name, a handle or an id.
    ///
    /// # Errors
    /// A sentence that says why nothing matches.
    fn who(&self, name: &str) -> Result<Assignee, String>;
    /// Resolves a title or an id to a record of a table.
    ///
    /// # Errors
    /// A sentence that says why nothing matches.
    fn record(&self, table: u16, name: &str) -> Result<Uuid, String>;
    /// Display name.
    fn name_of(&self, who: Assignee) -> String;
    /// Handle in tools and URLs.
    fn handle_of(&self, who: Assignee) -> String;
    /// The title of a record; empty if it was deleted.
    fn title_of(&self, target: Target) -> String;
}

impl Column {
    /// A column with a key, a label and a kind.
    #[must_use]
    pub fn new(key: &str, label: &str, kind: Kind) -> Self {
        Self {
            key: key.to_owned(),
            label: label.to_owned(),
            kind,
            look: Look::Plain,
            group: String::new(),
            choices: Vec::new(),
            required: false,
            to: 0,
            about: String::new(),
            agents: AgentsMay::Write,
            own: true,
        }
    }

    /// Sets the group heading.
    #[must_use]
    pub fn under(mut self, group: &str) -> Self {
        group.clone_into(&mut self.group);
        self
    }

    /// The choice with this key or label. A renamed choice keeps its key, which may now be the label of another choice.
    /// In multi-select columns, which are written by label, the label wins.
    #[must_use]
    pub fn choice(&self, text: &str) -> Option<&Choice> {
        let text = text.trim();
        let lower = text.to_lowercase();
        let same = |one: &str| {
            one.eq_ignore_ascii_case(text) || (!text.is_ascii() && one.to_lowercase() == lower)
        };
        let called = || self.choices.iter().find(|choice| same(&choice.label));
        let keyed = || self.choices.iter().find(|choice| choice.key == text);
        let found = match self.kind {
            Kind::MultiSelect => called().or_else(keyed),
            _ => keyed().or_else(called),
        };
        found.or_else(|| self.choices.iter().find(|choice| same(&choice.key)))
    }

    /// Parses typed text. Empty text is `None`.
    ///
    /// # Errors
    /// A sentence for the person who typed the text.
    pub fn read(&self, text: &str, names: &dyn Names) -> Result<Option<FieldValue>, String> {
        let text = match self.kind {
            Kind::LongText => text.replace("\r\n", "\n").trim().to_owned(),
            _ => one_line(text),
        };
        let chooses = matches!(self.kind, Kind::Select | Kind::Person | Kind::Relation);
        if text.is_empty() || (chooses && text.eq_ignore_ascii_case("none")) {
            return Ok(None);
        }
        let value = match self.kind {
            Kind::Text => FieldValue::Text(short(text)?),
            Kind::LongText if MAX_LONG < text.len() => {
                return Err(format!("Use at most {} KiB of text.", MAX_LONG / 1024));
            }
            Kind::LongText => FieldValue::Text(text),
            Kind::Number => FieldValue::Number(text.parse()?),
            Kind::Date => FieldValue::Day(day(&text)?),
            Kind::Datetime => FieldValue::At(moment(&text)?),
            Kind::Boolean => FieldValue::YesNo(yes_no(&text)?),
            Kind::Select => FieldValue::Choice(self.chosen(&text)?),
            Kind::MultiSelect => {
                let mut keys = Vec::new();
                for one in text.split([',', ';']).map(str::trim).filter(|one| !one.is_empty()) {
                    let key = self.chosen(one)?;
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
                if MAX_CHOSEN < keys.len() {
                    return Err(format!("Choose at most {MAX_CHOSEN}."));
                }
                FieldValue::Choices(keys)
            }
            Kind::Url => FieldValue::Url(web_address(&text)?),
            Kind::Email => FieldValue::Email(mail_address(&text)?),
            Kind::Phone => FieldValue::Phone(phone(&text)?),
            Kind::Person => FieldValue::Who(names.who(&text)?),
            Kind::Relation => {
                FieldValue::Refers(Target { table: self.to, id: names.record(self.to, &text)? })
            }
        };
        Ok(Some(value))
    }

    /// Parses a JSON value. `null` and empty text are `None`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read_json(
        &self,
        value: &Value,
        names: &dyn Names,
    ) -> Result<Option<FieldValue>, String> {
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => text.clone(),
            Value::Bool(_) => value.to_string(),
            Value::Number(number) => match (number.to_string(), number.as_f64()) {
                // serde_json writes small numbers as 1e-6.
                (text, Some(number)) if text.contains(['e', 'E']) => number.to_string(),
                (text, _) => text,
            },
            Value::Array(all) => {
                let one =
                    |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                all.iter().map(one).collect::<Vec<_>>().join(",")
            }
            Value::Object(_) => return Err("This field can't contain an object.".to_owned()),
        };
        self.read(&text, names)
    }

    fn chosen(&self, text: &str) -> Result<String, String> {
        if let Some(choice) = self.choice(text) {
            return Ok(choice.key.clone());
        }
        let labels = self.choices.iter().map(|choice| choice.label.as_str());
        Err(match nearest(text, labels.clone()) {
            Some(near) => {
                format!("\"{text}\" isn't a choice of {}. Did you mean \"{near}\"?", self.label)
            }
            None if self.choices.is_empty() => format!("{} has no choices yet.", self.label),
            None => {
                let some: Vec<&str> = labels.take(12).collect();
                format!(
                    "\"{text}\" isn't a choice of {}. Choose from \
                    {}.",
                    self.label,
                    some.join(", ")
                )
            }
        })
    }

    /// Formats a value for people.
    #[must_use]
    pub fn shown(&self, value: &FieldValue, names: &dyn Names) -> String {
        match value {
            FieldValue::Number(number) => self.look.shown(*number),
            FieldValue::Day(day) => display::day(*day),
            FieldValue::YesNo(yes) => (if *yes { "Yes" } else { "No" }).to_owned(),
            FieldValue::Choice(key) => self.label_of(key),
            FieldValue::Choices(keys) => {
                keys.iter().map(|key| self.label_of(key)).collect::<Vec<_>>().join(", ")
            }
            FieldValue::Who(who) => names.name_of(*who),
            other => self.written(other, names),
        }
    }

    /// Formats a value so that [`Self::read`] parses it back.
    #[must_use]
    pub fn written(&self, value: &FieldValue, names: &dyn Names) -> String {
        match value {
            FieldValue::Text(text)
            | FieldValue::Email(text)
            | FieldValue::Phone(text)
            | FieldValue::Url(text) => text.clone(),
            FieldValue::Number(number) => number.to_string(),
            FieldValue::Day(day) => day.to_string(),
            FieldValue::At(at) => at.to_string(),
            FieldValue::YesNo(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
            FieldValue::Choice(key) => self.label_of(key),
            FieldValue::Choices(keys) => {
                keys.iter().map(|key| self.label_of(key)).collect::<Vec<_>>().join(", ")
            }
            FieldValue::Who(who) => names.handle_of(*who),
            FieldValue::Refers(target) => names.title_of(*target),
        }
    }

    /// The label of a choice. Derived from the key if the choice was deleted.
    #[must_use]
    pub fn label_of(&self, key: &str) -> String {
        let found = self.choices.iter().find(|choice| choice.key == key);
        found.map_or_else(|| capitalized(&key.replace('_', " ")), |choice| choice.label.clone())
    }

    /// A value as JSON.
    #[must_use]
    pub fn json(&self, value: &FieldValue, names: &dyn Names) -> Value {
        match value {
            FieldValue::Number(number) => number.json(),
            FieldValue::YesNo(yes) => json!(yes),
            FieldValue::Choice(key) => json!(key),
            FieldValue::Choices(keys) => json!(keys),
            FieldValue::Refers(target) => {
                json!({ "id": target.id, "name": names.title_of(*target) })
            }
            other => json!(self.written(other, names)),
        }
    }

    /// JSON schema of accepted values.
    #[must_use]
    pub fn schema(&self) -> Value {
        let keys: Vec<&str> = self.choices.iter().map(|choice| choice.key.as_str()).collect();
        let mut schema = match self.kind {
            Kind::Number => json!({ "type": ["number", "string", "null"] }),
            Kind::Boolean => json!({ "type": ["boolean", "null"] }),
            Kind::Select => json!({ "type": ["string", "null"], "enum": keys }),
            Kind::MultiSelect => {
                json!({ "type": "array", "items": { "type": "string", "enum": keys } })
            }
            Kind::Date => json!({ "type": ["string", "null"], "format": "date" }),
            Kind::Datetime => json!({ "type": ["string", "null"], "format": "date-time" }),
            Kind::Email => json!({ "type": ["string", "null"], "format": "email" }),
            Kind::Url => json!({ "type": ["string", "null"], "format": "uri" }),
            _ => json!({ "type": ["string", "null"] }),
        };
        schema["title"] = json!(self.label);
        if !self.about.is_empty() {
            schema["description"] = json!(self.about);
        }
        schema
    }
}

/// Derives a key from a label: lower-case letters of any script, digits and underscores, at most 40 bytes. Latin
/// letters lose their diacritics. A label of symbols only gets a hash as its key. A label of punctuation only gets an
/// empty key.
#[must_use]
pub fn key_of(label: &str) -> String {
    let mut key = String::new();
    for c in label.chars().flat_map(char::to_lowercase) {
        match c {
            '\'' | '’' => {}
            c if c.is_alphanumeric() => match slug(c.encode_utf8(&mut [0; 4]), 4) {
                plain if plain.is_empty() => key.push(c),
                plain => key.push_str(&plain),
            },
            _ if key.is_empty() || key.ends_with('_') => {}
            _ => key.push('_'),
        }
    }
    let key = cut(&key, 40).trim_end_matches('_');
    // Punctuation, which people use for "nothing", is below U+2190 (arrows).
    match key.is_empty() && label.contains(|c: char| '\u{2190}' <= c) {
        true => format!("f_{:08x}", sum_of(&one_line(label))),
        false => key.to_owned(),
    }
}

/// Upper 32 bits of the FNV-1a hash.
fn sum_of(text: &str) -> u64 {
    let add = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, add) >> 32
}

/// A unique key for a label. A number is appended if the key is taken.
#[must_use]
pub fn free_key(label: &str, taken: impl Fn(&str) -> bool) -> String {
    let key = key_of(label);
    if key.is_empty() || !taken(&key) {
        return key;
    }
    let numbered = (2_u32..).map(|n| format!("{key}_{n}")).find(|key| !taken(key));
    numbered.unwrap_or(key)
}

fn short(text: String) -> Result<String, String> {
    match text.chars().count() <= MAX_LINE {
        true => Ok(text),
        false => Err(format!("Use at most {MAX_LINE} characters.")),
    }
}

/// Parses `2026-11-26`, also as the start of a timestamp.
fn day(text: &str) -> Result<Date, String> {
    let head = text.split_once(['T', ' ']).map_or(text, |(day, _)| day);
    head.parse().map_err(|_| match is_no_day(head) {
        true => no_day(head),
        false => "Enter the date as 2026-12-24.".to_owned(),
    })
}

fn no_day(text: &str) -> String {
    format!("The date {text} doesn't exist.")
}

/// Returns `true` for a well-formed date that does not exist, in any field order: `31.02.2026`, `2026-02-31`.
fn is_no_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['.', '/', '-']).collect();
    let [a, b, c] = parts[..] else { return false };
    let number = |part: &str| {
        let is_one = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| part.parse::<i16>().ok()).flatten()
    };
    let (Some(first), Some(second), Some(third)) = (number(a), number(b), number(c)) else {
        return false;
    };
    let exists = |year: i16, month: i16, day: i16| {
        let (month, day) = (i8::try_from(month).ok(), i8::try_from(day).ok());
        month.zip(day).is_some_and(|(month, day)| Date::new(year, month, day).is_ok())
    };
    match (a.len(), c.len()) {
        (4, 1 | 2) => !exists(first, second, third),
        (1 | 2, 4) => !exists(third, second, first) && !exists(third, first, second),
        _ => false,
    }
}

/// Parses a moment. A day alone means its midnight in UTC.
fn moment(text: &str) -> Result<kernel::Timestamp, String> {
    let head = text.split_once(['T', ' ']).map_or(text, |(day, _)| day);
    let wrong = || match is_no_day(head) {
        true => no_day(head),
        false => "Enter the time as 2026-12-24T14:30Z.".to_owned(),
    };
    if let Ok(at) = text.parse::<kernel::Timestamp>() {
        return Ok(kernel::time::from_ms(at.as_millisecond()));
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    let at = local.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?.timestamp();
    Ok(kernel::time::from_ms(at.as_millisecond()))
}

fn yes_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "on" | "x" => Ok(true),
        "no" | "n" | "false" | "0" | "off" => Ok(false),
        _ => Err("Enter yes or no.".to_owned()),
    }
}

fn web_address(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{}\" isn't a web address.", kernel::text::ellipsis(text, 80));
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = url::Url::parse(&whole).map_err(|_| wrong())?;
    let is_web = matches!(url.scheme(), "http" | "https");
    let host = url.host_str().unwrap_or_default();
    if !is_web || !host.contains('.') || host.contains(' ') || 2_000 < whole.len() {
        return Err(wrong());
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
