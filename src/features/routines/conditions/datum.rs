//! Values of event fields, and their comparison with user input.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

/// Value of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Datum {
    #[default]
    Nothing,
    /// All names of a value. The first is for display.
    Words(Vec<String>),
    Number(f64),
    /// A moment, and its local day.
    Moment(Timestamp, Date),
}

impl Datum {
    /// A text, or `Nothing` if empty.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.trim().is_empty() { Self::Nothing } else { Self::Words(vec![text]) }
    }

    /// Display text.
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

    /// Compares as number or ranked word where possible, else as text. `None` for a missing value.
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

/// Rank of an ordered word. Only priorities have one.
fn rank(word: &str) -> Option<u8> {
    word.to_lowercase().parse::<kernel::Priority>().ok().map(|priority| priority as u8)
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// Values by field name.
pub type Values = BTreeMap<Cow<'static, str>, Datum>;

static NOTHING: Datum = Datum::Nothing;

/// Value of a field, or `Nothing`.
#[must_use]
pub fn value_of<'v>(values: &'v Values, field: &str) -> &'v Datum {
    values.get(field).unwrap_or(&NOTHING)
}
