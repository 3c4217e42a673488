//! Columns: name, allowed values and display of one field of a cell record. Built-in and user-defined columns have the
//! same type, so pages, API, tools and import share one check, one form control and one schema.

use jiff::civil::Date;
use kernel::text::{capitalized, cut, nearest, one_line, slug};
use kernel::{Assignee, Hue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::address::{mail_address, phone};
use crate::value::{Decimal, FieldValue, Target};

/// The longest text of one line, in characters.
pub const MAX_LINE: usize = 300;
/// The longest text of several lines, in bytes.
pub const MAX_LONG: usize = 64 * 1024;
/// The most choices that one cell holds.
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
        Boolean = "boolean", "Yes or no";
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
    /// The kinds that the values of a field can be converted between.
    pub const CONVERTIBLE: [Self; 4] = [Self::Text, Self::Number, Self::Date, Self::Select];

    /// Reads a word, also those of other products.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let word = match word {
            "textarea" | "rich_text" => "long_text",
            "multiselect" => "multi_select",
            word => word,
        };
        word.parse().ok()
    }

    /// Whether it has choices.
    #[must_use]
    pub fn has_choices(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect)
    }

    /// Whether its values are shown at the end of a cell, as numbers are.
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

/// A choice of a column. Its key stays when people call it something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What cells keep.
    pub key: String,
    /// What people read.
    pub label: String,
    /// Its colour.
    pub colour: Hue,
    /// What it means for a deal; of a stage alone.
    pub stands: Stands,
    /// How likely the deal is won from here, in percent; of a stage alone.
    pub chance: u8,
}

impl Choice {
    /// A choice with the key and the colour that follow from its label.
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

/// The look of numbers. Stored by position: only ever appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// As it is.
    #[default]
    Plain,
    /// With a percent sign.
    Percent,
    /// As a bar of a hundred.
    Bar,
    /// Money: the letters of the currency.
    Currency([u8; 3]),
}

impl Look {
    /// The word on the wire: `plain`, `percent`, `bar`, or the letters of a currency.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Percent => "percent".to_owned(),
            Self::Bar => "bar".to_owned(),
            Self::Currency(code) => String::from_utf8_lossy(&code).into_owned(),
        }
    }

    /// Reads a word.
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

    /// A number as people read it.
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
        Write = "write", "Agents write";
        /// Suggest.
        Suggest = "suggest", "Agents suggest";
        /// Read.
        Read = "read", "Agents only read";
    }
}

/// A field of a record of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in JSON, filters and files.
    pub key: String,
    /// What people read above it.
    pub label: String,
    /// The kind of its values.
    pub kind: Kind,
    /// The look of its numbers.
    pub look: Look,
    /// The heading that it stands under on a record's page.
    pub group: String,
    /// Its choices.
    pub choices: Vec<Choice>,
    /// Whether a record without it is refused.
    pub required: bool,
    /// The table of the records that it leads to; of a relation alone.
    pub to: u16,
    /// What it is for, in a sentence.
    pub about: String,
    /// What agents may do with it.
    pub agents: AgentsMay,
    /// Whether its noun brings it along.
    pub own: bool,
}

/// Names that mean somebody or another record.
pub trait Names {
    /// Who is meant by a name, a handle or an id.
    ///
    /// # Errors
    /// A sentence that says why nobody is.
    fn who(&self, name: &str) -> Result<Assignee, String>;
    /// The record of a table that a title or an id means.
    ///
    /// # Errors
    /// A sentence that says why none is.
    fn record(&self, table: u16, name: &str) -> Result<Uuid, String>;
    /// What somebody is called.
    fn name_of(&self, who: Assignee) -> String;
    /// What somebody is called in tools and addresses.
    fn handle_of(&self, who: Assignee) -> String;
    /// The title of a record; empty when it is gone.
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

    /// The same under a heading.
    #[must_use]
    pub fn under(mut self, group: &str) -> Self {
        group.clone_into(&mut self.group);
        self
    }

    /// The choice with this key or label. A choice that was called otherwise once keeps its key, which may be the label
    /// of another one by now: of several choices, which are written by their labels, the one with the label is meant.
    #[must_use]
    pub fn choice(&self, said: &str) -> Option<&Choice> {
        let said = said.trim();
        let lower = said.to_lowercase();
        let same = |one: &str| {
            one.eq_ignore_ascii_case(said) || (!said.is_ascii() && one.to_lowercase() == lower)
        };
        let called = || self.choices.iter().find(|choice| same(&choice.label));
        let keyed = || self.choices.iter().find(|choice| choice.key == said);
        let found = match self.kind {
            Kind::MultiSelect => called().or_else(keyed),
            _ => keyed().or_else(called),
        };
        found.or_else(|| self.choices.iter().find(|choice| same(&choice.key)))
    }

    /// A value as it was typed; none when nothing was.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
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
                return Err(format!("At most {} KiB of text.", MAX_LONG / 1024));
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
                    return Err(format!("At most {MAX_CHOSEN} choices."));
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

    /// A value as a program or an agent sent it; none for `null` and the empty text.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
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
                // Small ones are written as 1e-6.
                (text, Some(number)) if text.contains(['e', 'E']) => number.to_string(),
                (text, _) => text,
            },
            Value::Array(all) => {
                let one =
                    |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                all.iter().map(one).collect::<Vec<_>>().join(",")
            }
            Value::Object(_) => return Err("An object cannot stand in this field.".to_owned()),
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
                format!("\"{text}\" is no choice of {}; do you mean \"{near}\"?", self.label)
            }
            None if self.choices.is_empty() => format!("{} has no choices yet.", self.label),
            None => {
                let some: Vec<&str> = labels.take(12).collect();
                format!("\"{text}\" is no choice of {}; there are {}.", self.label, some.join(", "))
            }
        })
    }

    /// A value as people read it.
    #[must_use]
    pub fn shown(&self, value: &FieldValue, names: &dyn Names) -> String {
        match value {
            FieldValue::Number(number) => self.look.shown(*number),
            FieldValue::Day(day) => day.strftime("%-d %b %Y").to_string(),
            FieldValue::YesNo(yes) => (if *yes { "Yes" } else { "No" }).to_owned(),
            FieldValue::Choice(key) => self.label_of(key),
            FieldValue::Choices(keys) => {
                keys.iter().map(|key| self.label_of(key)).collect::<Vec<_>>().join(", ")
            }
            FieldValue::Who(who) => names.name_of(*who),
            other => self.written(other, names),
        }
    }

    /// A value as it would be typed, so that [`Self::read`] gives the same again.
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

    /// What people call a choice; its key when it is gone.
    #[must_use]
    pub fn label_of(&self, key: &str) -> String {
        let found = self.choices.iter().find(|choice| choice.key == key);
        found.map_or_else(|| capitalized(&key.replace('_', " ")), |choice| choice.label.clone())
    }

    /// A value for programs.
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

    /// The JSON schema of what may be sent.
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

/// The key of a label: small letters of any script, digits and low lines, at most 40 bytes. Latin letters lose their
/// marks. A label of symbols alone has a key that is always the same; one of marks alone has none.
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
    // Below the arrows stand the marks by which people say that there is nothing.
    match key.is_empty() && label.contains(|c: char| '\u{2190}' <= c) {
        true => format!("f_{:08x}", sum_of(&one_line(label))),
        false => key.to_owned(),
    }
}

/// A number of 32 bits that follows from a text (FNV-1a, its upper half).
fn sum_of(text: &str) -> u64 {
    let add = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, add) >> 32
}

/// A key for a label that nothing else has: with a number behind it where it is taken.
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
        false => Err(format!("At most {MAX_LINE} characters.")),
    }
}

/// Reads `2026-11-26`, also at the head of a moment.
fn day(text: &str) -> Result<Date, String> {
    let head = text.split_once(['T', ' ']).map_or(text, |(day, _)| day);
    head.parse().map_err(|_| match is_no_day(head) {
        true => no_day(head),
        false => "Write the day as 2026-12-24.".to_owned(),
    })
}

fn no_day(text: &str) -> String {
    format!("There is no day {text}.")
}

/// Whether a text is written as a day that no calendar has, in whatever order: `31.02.2026`, `2026-02-31`.
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

/// Reads a moment; a day alone is its beginning in UTC.
fn moment(text: &str) -> Result<kernel::Timestamp, String> {
    let head = text.split_once(['T', ' ']).map_or(text, |(day, _)| day);
    let wrong = || match is_no_day(head) {
        true => no_day(head),
        false => "Write the moment as 2026-12-24T14:30Z.".to_owned(),
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
        _ => Err("Write yes or no.".to_owned()),
    }
}

fn web_address(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{}\" is no web address.", kernel::text::ellipsis(text, 80));
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
