//! Forms generated from a field table: controls, and parsing of submitted values.

use askama::Template;
use askama::filters::HtmlSafe;
use entity::{Field, Fields, InputKind, Names, Values};
use jiff::civil::DateTime;
use kernel::day::{self, Toward};
use kernel::{Colour, FieldError, Hue, Timestamp};
use serde_json::{Map, Value, json};
use web::cx::Cx;
use web::emoji;
use web::parts::Choice;

use crate::Op;

/// Value of the "other colour" choice, and name of the field that holds it. A form has at most one colour field.
const OTHER: &str = "own";

/// Form values by control name.
pub(crate) type FormValues = Vec<(String, String)>;

pub(crate) fn text_in<'t>(form: &'t FormValues, name: &str) -> &'t str {
    form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// The control of a field.
#[derive(Template)]
#[template(path = "kit/control.html")]
pub(crate) struct Control {
    kind: &'static str,
    name: &'static str,
    label: String,
    value: String,
    /// Value typed next to the choices.
    other: String,
    error: String,
    other_error: String,
    hint: String,
    required: bool,
    choices: Vec<Choice>,
    /// Endings of files.
    accept: &'static str,
}

impl HtmlSafe for Control {}

impl Control {
    /// Returns `true` if a choice is required but none exists.
    pub fn is_hopeless(&self) -> bool {
        self.kind == "select" && self.required && self.choices.is_empty()
    }

    pub fn is_file(&self) -> bool {
        self.kind == "file"
    }
}

/// Sources of choices.
pub(crate) struct Offers<'o> {
    /// Members and agents, with the current one selected.
    pub people: &'o dyn Fn(&str) -> Vec<Choice>,
    /// Records of a noun, by its word.
    pub records: &'o dyn Fn(&str, &str) -> Vec<Choice>,
}

/// The fields of a form: those that accept input now.
pub(crate) fn entered(
    fields: &'static [Field],
    is_new: bool,
) -> impl Iterator<Item = &'static Field> {
    let is_asked = move |field: &&Field| field.input.is_entered_when(is_new);
    // A value with its own schema has no control. Only programs send it.
    let has_control = |field: &&Field| !matches!(field.input.kind, InputKind::Json(_));
    fields.iter().filter(is_asked).filter(has_control)
}

/// The form values of a record.
pub(crate) fn filled(
    fields: &'static [Field],
    record: &Values,
    names: &dyn Names,
    cx: &Cx,
) -> FormValues {
    let mut values = FormValues::new();
    for field in entered(fields, false) {
        let value = record.get(field.key).unwrap_or(&Value::Null);
        let mut text = field.form_text(value, names);
        match field.input.kind {
            InputKind::Colour
                if text.parse::<Colour>().is_ok_and(|one| matches!(one, Colour::Own(_))) =>
            {
                values.push((OTHER.to_owned(), text));
                text = OTHER.to_owned();
            }
            InputKind::Moment => {
                if let Ok(at) = text.parse::<Timestamp>() {
                    let local = at.to_zoned(cx.who.time_zone());
                    let form =
                        if local.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
                    text = local.strftime(form).to_string();
                }
            }
            _ => {}
        }
        values.push((field.key.to_owned(), text));
    }
    values
}

/// Default values of a new form.
pub(crate) fn usual(fields: &'static [Field]) -> FormValues {
    let usual = |field: &Field| match field.input.usual {
        "" => None,
        usual => Some((field.key.to_owned(), usual.to_owned())),
    };
    fields.iter().filter_map(usual).collect()
}

/// Values of a linked form: those of the query for [`Op::links`], and default values.
pub(crate) fn linked(op: &Op, cx: &Cx) -> FormValues {
    let mut values = usual(op.input);
    for key in op.links {
        if let Some(value) = cx.query(key) {
            values.retain(|(known, _)| known != key);
            values.push(((*key).to_owned(), value));
        }
    }
    values
}

/// Values of the form of an operation on a record: its own ones for [`Op::links`], and default values.
pub(crate) fn of_record(op: &Op, record: Option<&Fields>) -> FormValues {
    let mut values = usual(op.input);
    for key in op.links {
        let own = record.map(|record| entity::text_of(record, key)).unwrap_or_default();
        if !own.is_empty() && values.iter().all(|(known, _)| known != key) {
            values.push(((*key).to_owned(), own.to_owned()));
        }
    }
    values
}

/// The controls of fields, with submitted values and errors.
pub(crate) fn controls(
    fields: &'static [Field],
    is_new: bool,
    form: &FormValues,
    wrong: &[FieldError],
    offers: &Offers<'_>,
) -> Vec<Control> {
    let error = |name: &str| {
        let found = wrong.iter().find(|one| one.field == name);
        found.map(|one| one.message.clone()).unwrap_or_default()
    };
    let control = |field: &'static Field| {
        let input = &field.input;
        let value = match input.kind {
            // Never sent back to the browser.
            InputKind::Secret => String::new(),
            _ => text_in(form, field.key).to_owned(),
        };
        let (kind, choices) = match input.kind {
            InputKind::Long | InputKind::Lines => ("long", Vec::new()),
            InputKind::Flag => ("flag", Vec::new()),
            InputKind::Choice(words, labels) => {
                let mut all = Choice::of_words(words, labels, &value);
                // Without an empty choice, a browser would submit the first one.
                if value.is_empty() || input.optional {
                    let none = if input.required { "Choose one" } else { "None" };
                    all.insert(0, Choice::new("", none, value.is_empty()));
                }
                ("select", all)
            }
            InputKind::Hue => ("hue", hues(&value)),
            InputKind::Colour => {
                let mut all = hues(&value);
                all.push(Choice::new(OTHER, "Custom", value == OTHER));
                ("colour", all)
            }
            InputKind::Emoji => ("emoji", emoji::or_none(&value)),
            InputKind::Person => ("select", (offers.people)(&value)),
            InputKind::Record(word) => {
                let mut all = (offers.records)(word, &value);
                // A required field without records stays empty, so that its form is not offered.
                if !input.required {
                    all.insert(0, Choice::new("", "None", value.is_empty()));
                }
                ("select", all)
            }
            InputKind::Day => ("day", Vec::new()),
            InputKind::Count(..) => ("number", Vec::new()),
            InputKind::Url => ("url", Vec::new()),
            InputKind::Email => ("email", Vec::new()),
            InputKind::Secret => ("password", Vec::new()),
            InputKind::File(_) => ("file", Vec::new()),
            _ => ("text", Vec::new()),
        };
        let is_other = value == OTHER && kind == "colour";
        let kept = value.split_once(' ').filter(|_| kind == "file");
        Control {
            kind,
            name: field.key,
            label: kernel::text::capitalized(field.label),
            other: match kind {
                "colour" => text_in(form, OTHER).to_owned(),
                _ => text_in(form, &format!("{}_other", field.key)).to_owned(),
            },
            error: if is_other { String::new() } else { error(field.key) },
            other_error: if is_other { error(field.key) } else { String::new() },
            hint: match kept {
                Some((_, name)) => {
                    format!("“{name}” is uploaded. Choose another file to replace it.")
                }
                None => web::form::sentence(input.about),
            },
            required: input.required,
            choices,
            accept: field.file_kind().map_or("", |kind| kind.accept),
            value,
        }
    };
    entered(fields, is_new).map(control).collect()
}

/// The twelve colours. Without a choice, the colour is derived from the name.
fn hues(now: &str) -> Vec<Choice> {
    let by_name = now.is_empty().then(|| Choice::new("", "Automatic", true));
    let named = Hue::ALL.iter();
    let named = named.map(|hue| Choice::new(hue.word(), hue.label(), now == hue.word()));
    by_name.into_iter().chain(named).collect()
}

/// Converts submitted values to the JSON a program would send. The error names the unreadable field.
pub(crate) fn sent(
    fields: &'static [Field],
    is_new: bool,
    form: &FormValues,
    cx: &Cx,
) -> Result<Map<String, Value>, FieldError> {
    let mut values = Map::new();
    for field in entered(fields, is_new).filter(|field| field.file_kind().is_none()) {
        let text = text_in(form, field.key);
        let value = match field.input.kind {
            InputKind::Emoji => {
                json!(emoji::meant(text, text_in(form, &format!("{}_other", field.key))))
            }
            InputKind::Colour if text == OTHER => match text_in(form, OTHER).parse::<Colour>() {
                Ok(colour) => json!(colour),
                Err(_) => {
                    let message = "Enter a colour such as #1f7a5c.";
                    return Err(FieldError::new(field.key, message));
                }
            },
            InputKind::Day => {
                let now = cx.app.clock.now().to_zoned(cx.who.time_zone()).date();
                json!(day::in_field(field.key, text, now, Toward::Ahead)?)
            }
            InputKind::Moment => match text.trim().replace(' ', "T").parse::<DateTime>() {
                // A time without a zone is in the person's time zone.
                Ok(local) if !text.trim().is_empty() => {
                    let zoned = local.to_zoned(cx.who.time_zone());
                    zoned.map_or(json!(text), |zoned| json!(zoned.timestamp().to_string()))
                }
                _ => field.parse_input(text),
            },
            _ => field.parse_input(text),
        };
        let keeps = matches!(
            field.input.kind,
            InputKind::Choice(..)
                | InputKind::Colour
                | InputKind::Hue
                | InputKind::Count(..)
                | InputKind::Record(_)
        );
        let is_left_out = keeps && !field.input.optional && !field.input.required;
        // Without a choice, the default or the previous value applies.
        if !(value.is_null() && is_left_out) {
            values.insert(field.key.to_owned(), value);
        }
    }
    Ok(values)
}
