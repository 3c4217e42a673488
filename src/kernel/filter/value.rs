//! Day and number ranges in a query.

use std::ops::{Bound, RangeBounds as _};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

use crate::display;

/// A half-open range of days. A missing end is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub from: Option<Date>,
    /// The day after the last day.
    pub to: Option<Date>,
}

impl Days {
    /// The range in milliseconds since 1970, with days in `zone`. The end is exclusive.
    #[must_use]
    pub fn span(self, zone: &TimeZone) -> (i64, i64) {
        let at = |day: Option<Date>, open: i64| {
            let start = day.and_then(|day| day.to_zoned(zone.clone()).ok());
            start.map_or(open, |start| start.timestamp().as_millisecond())
        };
        (at(self.from, i64::MIN), at(self.to, i64::MAX))
    }
}

/// Parses `today`, `2026-11-20`, `7d`, `<7d`, `>-3d` and `a..b`. Returns `None` for other text.
#[must_use]
pub fn days(text: &str, today: Date) -> Option<Days> {
    let text = text.trim().to_ascii_lowercase();
    if let Some((from, to)) = text.split_once("..") {
        let end = |text: &str| match text {
            "" => Some(None),
            text => day(text, today).map(Some),
        };
        let (from, last) = (end(from)?, end(to)?);
        if from.is_none() && last.is_none() {
            return None;
        }
        return Some(Days { from, to: last.map(after) });
    }
    let bound = |sign: &str| text.strip_prefix(sign).map(|rest| day(rest, today));
    if let Some(last) = bound("<=") {
        return Some(Days { from: None, to: Some(after(last?)) });
    }
    if let Some(first) = bound(">=") {
        return Some(Days { from: Some(first?), to: None });
    }
    if let Some(to) = bound("<") {
        return Some(Days { from: None, to: Some(to?) });
    }
    if let Some(last) = bound(">") {
        return Some(Days { from: Some(after(last?)), to: None });
    }
    let day = day(&text, today)?;
    Some(Days { from: Some(day), to: Some(after(day)) })
}

fn after(day: Date) -> Date {
    day.checked_add(1.day()).unwrap_or(Date::MAX)
}

fn day(text: &str, today: Date) -> Option<Date> {
    match text {
        "today" => return Some(today),
        "tomorrow" => return today.checked_add(1.day()).ok(),
        "yesterday" => return today.checked_sub(1.day()).ok(),
        _ => {}
    }
    let count = |unit: char| {
        let digits = text.strip_suffix(unit)?;
        let (minus, digits) = match digits.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, digits),
        };
        let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = plain.then(|| digits.parse().ok()).flatten()?;
        Some(if minus { -number } else { number })
    };
    let span: Option<Span> = count('d').map(|n| n.days()).or_else(|| count('w').map(|n| n.weeks()));
    match span {
        Some(span) => today.checked_add(span).ok(),
        None => (text.len() == 10).then(|| text.parse().ok()).flatten(),
    }
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers(Bound<f64>, Bound<f64>);

impl Numbers {
    /// Returns `true` if `number` is in the range.
    #[must_use]
    pub fn contains(&self, number: f64) -> bool {
        (self.0, self.1).contains(&number)
    }
}

/// Parses `5`, `<5`, `>5`, `<=5`, `>=5` and `2..5`, with numbers in the person's form. Returns `None` for other text.
#[must_use]
pub fn numbers(text: &str) -> Option<Numbers> {
    use Bound::{Excluded, Included, Unbounded};
    let text = text.trim();
    let number = |text: &str| {
        display::plain_number(text).parse::<f64>().ok().filter(|number| number.is_finite())
    };
    if let Some((low, high)) = text.split_once("..") {
        let end = |text: &str| match text {
            "" => Some(Unbounded),
            text => number(text).map(Included),
        };
        let (low, high) = (end(low)?, end(high)?);
        return (low != Unbounded || high != Unbounded).then_some(Numbers(low, high));
    }
    let bound = |sign: &str| text.strip_prefix(sign).map(number);
    Some(if let Some(high) = bound("<=") {
        Numbers(Unbounded, Included(high?))
    } else if let Some(low) = bound(">=") {
        Numbers(Included(low?), Unbounded)
    } else if let Some(high) = bound("<") {
        Numbers(Unbounded, Excluded(high?))
    } else if let Some(low) = bound(">") {
        Numbers(Excluded(low?), Unbounded)
    } else {
        let number = number(text)?;
        Numbers(Included(number), Included(number))
    })
}
