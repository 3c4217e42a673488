//! Due dates: how they are written and which day they are.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::features::tasks::queries::error::TaskError;

/// The time zone of this name; UTC when it is not known.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// Reads a due date: a day (`2026-11-20`: until its end in this zone), a moment in RFC 3339,
/// `today`, `tomorrow`; empty or `none` is none.
///
/// # Errors
/// When it is none of these.
pub fn parse(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Option<Timestamp>, TaskError> {
    let text = text.trim();
    let today = day(now, zone);
    let date = match text {
        "" | "none" => return Ok(None),
        "today" => Some(today),
        "tomorrow" => today.checked_add(1.day()).ok(),
        _ => None,
    };
    let end = |date: Date| {
        let last = date.at(23, 59, 59, 0).to_zoned(zone.clone()).ok()?;
        Some(last.timestamp())
    };
    if let Some(date) = date.or_else(|| (text.len() == 10).then(|| text.parse().ok()).flatten()) {
        return Ok(end(date));
    }
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(Some(crate::kernel::time::from_ms(at.as_millisecond()))),
        Err(_) => Err(TaskError::field(
            "due",
            format!("\"{}\" is not a date. Write it as 2026-11-20.", short(text)),
        )),
    }
}

/// Whether a due date that can be read is a moment, and not the end of a day.
#[must_use]
pub fn has_time(text: &str) -> bool {
    text.trim().parse::<Timestamp>().is_ok()
}

/// Reads when something may begin: a day from its start on, or a moment; empty or `none` is whenever.
///
/// # Errors
/// When it is none of these.
pub fn parse_start(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Option<Timestamp>, TaskError> {
    let at =
        parse(text, zone, now).map_err(|error| TaskError::field("start", error.to_string()))?;
    let Some(at) = at.filter(|_| !has_time(text)) else { return Ok(at) };
    // ok: the start of a day that can be written lies within what time can say.
    let start = day(at, zone).to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    Ok(Some(start.unwrap_or(at)))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The day of a moment.
#[must_use]
pub fn day(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

#[cfg(test)]
mod tests {
    use super::{day, has_time, parse, parse_start, zone};
    use jiff::Timestamp;

    #[test]
    fn a_day_lasts_until_its_end_in_the_zone() {
        let (now, berlin): (Timestamp, _) =
            ("2026-11-20T22:30:00Z".parse().unwrap(), zone("Europe/Berlin"));
        let due = |text: &str| parse(text, &berlin, now).unwrap().map(|at| at.to_string());
        assert_eq!(due("2026-11-20").as_deref(), Some("2026-11-20T22:59:59Z"));
        assert_eq!(due("tomorrow").as_deref(), Some("2026-11-21T22:59:59Z"));
        assert_eq!(due("2026-11-20T10:00:00+01:00").as_deref(), Some("2026-11-20T09:00:00Z"));
        assert_eq!(due(" none "), None);
        assert_eq!(day("2026-11-20T23:30:00Z".parse().unwrap(), &berlin).to_string(), "2026-11-21");
    }

    #[test]
    fn a_start_is_the_beginning_of_its_day() {
        let (now, berlin): (Timestamp, _) =
            ("2026-11-20T22:30:00Z".parse().unwrap(), zone("Europe/Berlin"));
        let start = |text: &str| parse_start(text, &berlin, now).unwrap().map(|at| at.to_string());
        assert_eq!(start("2026-11-20").as_deref(), Some("2026-11-19T23:00:00Z"));
        assert_eq!(start("2026-11-20T10:00:00Z").as_deref(), Some("2026-11-20T10:00:00Z"));
        assert_eq!(start("none"), None);
        assert!(has_time("2026-11-20T10:00:00Z") && !has_time("2026-11-20"));
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        let now = "2026-11-20T22:30:00Z".parse().unwrap();
        let error = parse("next week", &zone("nowhere"), now).unwrap_err();
        assert_eq!(error.to_string(), "\"next week\" is not a date. Write it as 2026-11-20.");
        assert!(parse("2026-13-40", &zone("UTC"), now).is_err());
    }
}
