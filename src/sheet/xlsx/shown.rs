//! Numbers of cells as text: plain, date or duration.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, date};

use super::format;
use super::styles::Look;
pub(crate) use super::styles::Style;

const DAY: i64 = 86_400;

/// A number as displayed.
pub(crate) fn as_shown(raw: &str, look: &Look, from_1904: bool) -> String {
    let value = raw.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let shown =
        value.zip(look.code()).and_then(|(value, code)| format::show(code, value, from_1904));
    shown.unwrap_or_else(|| number(raw, look.style, from_1904))
}

/// A number in the plain form of its style.
pub(crate) fn number(raw: &str, style: Style, from_1904: bool) -> String {
    let Some(value) = raw.trim().parse::<f64>().ok().filter(|value| value.is_finite()) else {
        return raw.to_owned();
    };
    let shown = match style {
        Style::Number => None,
        Style::Padded(digits) => padded(value, digits),
        Style::Date => day_and_time(value, from_1904),
        Style::Duration => hours(value),
    };
    shown.unwrap_or_else(|| plain(value))
}

/// A number with 15 significant digits, which hides binary rounding errors. Integers keep all digits: they may be
/// identifiers.
pub(super) fn plain(value: f64) -> String {
    let rounded =
        if value.fract() == 0.0 { value } else { format!("{value:.14e}").parse().unwrap_or(value) };
    // Normalizes -0.
    (rounded + 0.0).to_string()
}

fn padded(value: f64, digits: usize) -> Option<String> {
    (value >= 0.0 && value.fract() == 0.0)
        .then(|| format!("{:0>digits$}", plain(value), digits = digits.min(64)))
}

/// Date and second of the day of a serial number; no date if it is a time only.
pub(super) fn moment(value: f64, from_1904: bool) -> Option<(Option<Date>, i64)> {
    if !(0.0..2_958_466.0).contains(&value) {
        return None;
    }
    let seconds = (value * DAY as f64).round() as i64;
    let (days, seconds) = (seconds / DAY, seconds % DAY);
    // Day 0 is a time without date.
    if days == 0 {
        return Some((None, seconds));
    }
    let first = match (from_1904, days) {
        (true, _) => date(1904, 1, 1),
        // The 1900 date system has a 29 February 1900, which did not exist: earlier dates are shifted by one.
        (false, ..60) => date(1899, 12, 31),
        (false, _) => date(1899, 12, 30),
    };
    let day: Date = first.checked_add(days.days()).ok()?;
    Some((Some(day), seconds))
}

fn day_and_time(value: f64, from_1904: bool) -> Option<String> {
    let (day, seconds) = moment(value, from_1904)?;
    Some(match day {
        None => time(seconds),
        Some(day) if seconds == 0 => day.to_string(),
        Some(day) => format!("{day} {}", time(seconds)),
    })
}

fn time(seconds: i64) -> String {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        second => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

fn hours(value: f64) -> Option<String> {
    let seconds = (value.abs() * DAY as f64).round();
    let sign = if value < 0.0 { "-" } else { "" };
    (seconds < 1e15).then(|| format!("{sign}{}", time(seconds as i64)))
}

/// A date in ISO form, as some programs store it.
pub(crate) fn iso(raw: &str) -> String {
    let written = raw.trim().trim_end_matches('Z');
    let Ok(moment) = written.parse::<DateTime>() else { return raw.to_owned() };
    let time = moment.time();
    let seconds =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let day = moment.date();
    if seconds == 0 { day.to_string() } else { format!("{day} {}", self::time(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::{Style, iso, number};

    #[test]
    fn numbers_are_plain() {
        let plain = |raw| number(raw, Style::Number, false);
        for (raw, wanted) in [
            ("5", "5"),
            ("5.0", "5"),
            ("-0", "0"),
            ("8.1999999999999993", "8.2"),
            ("0.30000000000000004", "0.3"),
            ("1E3", "1000"),
            ("1.5E-7", "0.00000015"),
            ("9007199254740991", "9007199254740991"),
            ("4915112345678", "4915112345678"),
            ("n/a", "n/a"),
            ("NaN", "NaN"),
        ] {
            assert_eq!(plain(raw), wanted);
        }
        assert_eq!(number("1067", Style::Padded(5), false), "01067");
        assert_eq!(number("10.5", Style::Padded(5), false), "10.5");
    }

    #[test]
    fn days_are_counted_from_1900_or_1904() {
        let of = |raw| (number(raw, Style::Date, false), number(raw, Style::Date, true));
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(of("46352"), pair("2026-11-26", "2030-11-27"));
        assert_eq!(of("46352.604166666664"), pair("2026-11-26 14:30", "2030-11-27 14:30"));
        assert_eq!(of("1"), pair("1900-01-01", "1904-01-02"));
        assert_eq!(of("59"), pair("1900-02-28", "1904-02-29"));
        assert_eq!(of("61"), pair("1900-03-01", "1904-03-02"));
        assert_eq!(of("0.75"), pair("18:00", "18:00"));
        assert_eq!(of("46352.99999999"), pair("2026-11-27", "2030-11-28"));
        assert_eq!(of("0.5000116"), pair("12:00:01", "12:00:01"));
        assert_eq!(of("-1"), pair("-1", "-1"));
        assert_eq!(of("1e12"), pair("1000000000000", "1000000000000"));
        assert_eq!(of("2958465").0, "9999-12-31");
        assert_eq!(of("2958465").1, "2958465");
    }

    #[test]
    fn hours_may_be_more_than_a_day() {
        assert_eq!(number("1.1041666666666667", Style::Duration, false), "26:30");
        assert_eq!(number("-0.5", Style::Duration, false), "-12:00");
    }

    #[test]
    fn days_that_are_written_out_look_the_same() {
        assert_eq!(iso("2026-11-26T14:30:00Z"), "2026-11-26 14:30");
        assert_eq!(iso("2026-11-26"), "2026-11-26");
        assert_eq!(iso("14:30"), "14:30");
    }
}
