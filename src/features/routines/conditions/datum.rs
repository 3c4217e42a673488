//! What is known when something happens, and how it compares with what a person wrote.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

/// What is known of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Datum {
    #[default]
    Nothing,
    /// A value by all that it is called; the first is what people read.
    Words(Vec<String>),
    Number(f64),
    /// A moment, and the day that it is for people.
    Moment(Timestamp, Date),
}

impl Datum {
    /// A text; nothing when it is empty.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.trim().is_empty() { Self::Nothing } else { Self::Words(vec![text]) }
    }

    /// What people read.
    #[must_use]
    pub fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Nothing => Cow::Borrowed(""),
            Self::Words(words) => Cow::Borrowed(words.first().map_or("", String::as_str)),
            Self::Number(number) => Cow::Owned(format!("{number}")),
            Self::Moment(at, _) => Cow::Owned(at.to_string()),
        }
    }

    pub(super) fn is(&self, value: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Words(words) => words.iter().any(|word| same(word, value)),
            Self::Number(number) => {
                let value = value.trim().parse::<f64>();
                value.is_ok_and(|value| (value - number).abs() < 1e-9)
            }
            Self::Moment(..) => self.order(value) == Some(Ordering::Equal),
        }
    }

    pub(super) fn contains(&self, value: &str) -> bool {
        let value = value.trim().to_lowercase();
        match self {
            Self::Words(words) => words.iter().any(|word| word.to_lowercase().contains(&value)),
            Self::Nothing | Self::Number(_) | Self::Moment(..) => false,
        }
    }

    /// How it compares. Numbers and what has an order of words are compared as that, else texts; what
    /// is not there is neither less nor greater.
    pub(super) fn order(&self, value: &str) -> Option<Ordering> {
        let value = value.trim();
        match self {
            Self::Nothing => None,
            Self::Number(number) => number.partial_cmp(&value.parse::<f64>().ok()?),
            Self::Moment(at, day) => match value.parse::<Timestamp>() {
                Ok(other) => Some(at.cmp(&other)),
                Err(_) => Some(day.cmp(&value.parse::<Date>().ok()?)),
            },
            Self::Words(words) => {
                let word = words.first()?;
                match (rank(word), rank(value)) {
                    (Some(a), Some(b)) => Some(a.cmp(&b)),
                    _ => Some(word.to_lowercase().cmp(&value.to_lowercase())),
                }
            }
        }
    }
}

/// The place of a word that has one: priorities.
fn rank(word: &str) -> Option<u8> {
    word.to_lowercase().parse::<kernel::Priority>().ok().map(|priority| priority as u8)
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// What is known when something happens, by field.
pub type Values = BTreeMap<Cow<'static, str>, Datum>;

static NOTHING: Datum = Datum::Nothing;

/// What is known of a field.
#[must_use]
pub fn value_of<'v>(values: &'v Values, field: &str) -> &'v Datum {
    values.get(field).unwrap_or(&NOTHING)
}
