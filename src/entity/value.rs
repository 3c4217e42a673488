//! Field values: the contents of a cell of a contact, an organization or a collection record.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Assignee, Timestamp, display};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Scale: millionths per unit.
const ONE: i64 = 1_000_000;

/// A decimal number with six places, stored as millionths in an `i64`, so that sums are exact.
///
/// In JSON it is a text such as `12.5`; in records, the integer number of millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i64);

impl Decimal {
    /// From millionths.
    #[must_use]
    pub const fn of_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// The value in millionths.
    #[must_use]
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// Parses a number with `sign` as the decimal separator. Ignores currency and percent signs. Thousands separators
    /// must stand before the decimal separator, between groups of three digits.
    #[must_use]
    pub fn parse(text: &str, sign: char) -> Option<Self> {
        let is_noise = |c: &char| matches!(c, '€' | '$' | '£' | '¥' | '%');
        let bare: String = text.chars().filter(|c| !is_noise(c)).collect();
        let bare = bare.trim();
        let (minus, digits) = match bare.strip_prefix(['-', '−']) {
            Some(rest) => (true, rest),
            None => (false, bare.strip_prefix('+').unwrap_or(bare)),
        };
        let (whole, part) = digits.trim().split_once(sign).unwrap_or((digits.trim(), ""));
        let whole = ungrouped(whole, if sign == ',' { '.' } else { ',' })?;
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && part.is_empty()) || !all_digits(&whole) || !all_digits(part) {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Digits after the sixth place are dropped, not rounded.
        let part: i64 = format!("{part:0<6}").get(..6)?.parse().ok()?;
        let sum = whole.checked_mul(ONE)?.checked_add(part)?;
        Some(Self(if minus { -sum } else { sum }))
    }

    /// Saturating sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// In the person's form, with thousands separators, and at least two decimal places if there are any: `1,234.50`.
    #[must_use]
    pub fn grouped(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (size, one) = (self.0.unsigned_abs(), ONE.unsigned_abs());
        let shown = display::grouped(size / one);
        if size.is_multiple_of(one) {
            return format!("{sign}{shown}");
        }
        let part = format!("{:06}", size % one);
        let part = part.trim_end_matches('0');
        format!("{sign}{shown}{}{part:0<2}", display::decimal_mark())
    }

    /// The number of decimal places in [`Self::grouped`].
    #[must_use]
    pub fn places(self) -> usize {
        let part = format!("{:06}", self.0.unsigned_abs() % ONE.unsigned_abs());
        match part.trim_end_matches('0').len() {
            0 => 0,
            places => places.max(2),
        }
    }

    /// As a JSON number.
    #[must_use]
    pub fn json(self) -> serde_json::Value {
        if self.0 % ONE == 0 {
            return (self.0 / ONE).into();
        }
        self.to_string().parse::<f64>().map_or(serde_json::Value::Null, Into::into)
    }
}

/// The integer part without thousands separators: one kind of separator, between groups of three digits.
fn ungrouped(whole: &str, thousands: char) -> Option<String> {
    let is_mark = |c: &char| *c == thousands || c.is_whitespace() || matches!(c, '\'' | '’');
    let Some(mark) = whole.chars().find(is_mark) else { return Some(whole.to_owned()) };
    let mut groups = whole.split(mark);
    let first = groups.next().unwrap_or_default();
    // 0,125 never means 125.
    let fits = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && groups.all(|group| group.len() == 3);
    fits.then(|| whole.replace(mark, ""))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let (whole, part) = (size / ONE.unsigned_abs(), size % ONE.unsigned_abs());
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{part:06}").trim_end_matches('0'))
    }
}

impl FromStr for Decimal {
    type Err = String;
    /// Parses typed text: with a decimal point, or with a decimal comma where it cannot be a thousands separator.
    fn from_str(text: &str) -> Result<Self, String> {
        let read = Self::parse(text, '.').or_else(|| Self::parse(text, ','));
        read.ok_or_else(|| "Enter a number, such as 12 or 12.5.".to_owned())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom),
            false => i64::deserialize(deserializer).map(Self),
        }
    }
}

/// The record that a cell refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Table number.
    pub table: u16,
    /// Record id.
    pub id: Uuid,
}

/// The value of a cell. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldValue {
    /// Plain text.
    Text(String),
    /// A number.
    Number(Decimal),
    /// A day.
    Day(Date),
    /// A moment.
    At(#[serde(with = "millisecond::required")] Timestamp),
    /// Boolean.
    YesNo(bool),
    /// The key of a choice.
    Choice(String),
    /// The keys of several choices.
    Choices(Vec<String>),
    /// Email address.
    Email(String),
    /// Phone number, as it was written.
    Phone(String),
    /// Web address.
    Url(String),
    /// A member or an agent.
    Who(Assignee),
    /// Another record.
    Refers(Target),
}

impl FieldValue {
    /// The text of textual values.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Email(text) | Self::Phone(text) | Self::Url(text) => {
                Some(text)
            }
            Self::Choice(key) => Some(key),
            _ => None,
        }
    }

    /// Compares two values of one field: numbers by size, days and moments by time, text case-insensitively.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Day(a), Self::Day(b)) => a.cmp(b),
            (Self::At(a), Self::At(b)) => a.cmp(b),
            (Self::YesNo(a), Self::YesNo(b)) => a.cmp(b),
            (Self::Refers(a), Self::Refers(b)) => a.cmp(b),
            (a, b) => match (a.text(), b.text()) {
                (Some(a), Some(b)) => {
                    let lower =
                        |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
                    lower(a).cmp(&lower(b))
                }
                _ => Ordering::Equal,
            },
        }
    }

    /// Normalized value for duplicate detection: kind and text without differences in notation. Returns `None` for
    /// values that do not identify a record.
    #[must_use]
    pub fn identity(&self) -> Option<(u8, String)> {
        let (kind, words) = match self {
            Self::Email(address) => (1, address.trim().to_lowercase()),
            Self::Phone(number) => (2, digits(number)),
            Self::Url(address) => (3, plain_url(address)),
            Self::Refers(target) => (4, target.id.to_string()),
            _ => return None,
        };
        (!words.is_empty()).then_some((kind, words))
    }
}

/// The digits of a phone number. A leading `00` is treated like a plus.
#[must_use]
pub fn digits(number: &str) -> String {
    let all: String = number.chars().filter(char::is_ascii_digit).collect();
    match number.trim_start().starts_with('+') {
        true => all,
        false => all.strip_prefix("00").map_or(all.clone(), str::to_owned),
    }
}

/// A web address without scheme, `www.`, query, fragment and trailing slash.
#[must_use]
pub fn plain_url(address: &str) -> String {
    let lower = address.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Decimal, FieldValue, digits, plain_url};

    #[test]
    fn numbers_are_read_as_people_write_them_and_written_as_they_are() {
        let shown = |text: &str, sign| Decimal::parse(text, sign).map(|number| number.to_string());
        assert_eq!(shown("1,234.50", '.').as_deref(), Some("1234.5"));
        assert_eq!(shown("1.234,5 €", ',').as_deref(), Some("1234.5"));
        assert_eq!(shown("-0.000001", '.').as_deref(), Some("-0.000001"));
        assert_eq!(shown("12 %", '.').as_deref(), Some("12"));
        assert_eq!(shown("twelve", '.'), None);
        assert_eq!(shown("", '.'), None);
        assert_eq!(shown("99999999999999999999", '.'), None);
        assert_eq!(Decimal::parse("1234567.5", '.').unwrap_or_default().grouped(), "1,234,567.50");
    }

    #[test]
    fn a_sign_of_thousands_stands_left_of_the_decimal_sign_between_groups_of_three() {
        let shown = |text: &str, sign| Decimal::parse(text, sign).map(|number| number.to_string());
        for wrong in ["1.234,50", "12.500,00", "89,90", "12,5", "3,25", "0,125", "1,23,456", ",5"] {
            assert_eq!(shown(wrong, '.'), None, "{wrong} with a point");
        }
        for wrong in ["1,234.50", "89.90", "12.5", "0.125", "24.12.2025"] {
            assert_eq!(shown(wrong, ','), None, "{wrong} with a comma");
        }
        assert_eq!(shown("1 234 567,5 €", ',').as_deref(), Some("1234567.5"));
        assert_eq!(shown("1'234.50", '.').as_deref(), Some("1234.5"));
        assert_eq!(shown("- 1’234’567", '.').as_deref(), Some("-1234567"));
    }

    #[test]
    fn a_number_that_is_typed_may_have_a_decimal_comma_where_it_can_be_nothing_else() {
        let parsed = |text: &str| text.parse::<Decimal>().map(|number| number.to_string());
        for (text, is) in [
            ("1.234,50", "1234.5"),
            ("12.500,00", "12500"),
            ("89,90", "89.9"),
            ("12,5", "12.5"),
            ("0,125", "0.125"),
            ("1.234.567", "1234567"),
            ("1,234", "1234"),
            ("1.234", "1.234"),
            ("1,234.50", "1234.5"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(is), "{text}");
        }
        assert!(
            parsed("1,23,45").is_err() && parsed("1.2.3").is_err() && parsed("twelve").is_err()
        );
    }

    #[test]
    fn a_number_is_the_same_after_json_and_after_bytes() {
        let value = FieldValue::Number(Decimal::of_millionths(-1_500_000));
        let json = serde_json::to_value(&value).unwrap_or_default();
        assert_eq!(json, serde_json::json!({ "Number": "-1.5" }));
        assert_eq!(serde_json::from_value::<FieldValue>(json).ok(), Some(value));
    }

    #[test]
    fn the_same_address_in_other_writing_is_the_same() {
        assert_eq!(digits("0049 40-555"), digits("+49 (40) 555"));
        assert_eq!(plain_url("https://www.Example.com/in/Rosa/?x=1"), "example.com/in/rosa");
    }
}
