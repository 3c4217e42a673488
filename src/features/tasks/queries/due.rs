//! Due dates: parsing, formatting, day and time of day, and moving.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::tasks::model::Task;
use crate::tasks::queries::error::TaskError;
use kernel::cadence::instant;
use kernel::clock;
use kernel::day::{self, Toward};
use kernel::display;

/// A due date: a moment, or the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment, or the end of the day.
    pub at: Timestamp,
    /// `true` for a moment.
    pub has_time: bool,
}

impl Deadline {
    #[must_use]
    pub fn of(task: &Task) -> Option<Self> {
        task.due_at.map(|at| Self { at, has_time: task.due_has_time })
    }

    /// Time of day in this zone, such as `14:30`. Empty for a whole day.
    #[must_use]
    pub fn time(self, zone: &TimeZone) -> String {
        match self.has_time {
            true => self.at.to_zoned(zone.clone()).strftime("%H:%M").to_string(),
            false => String::new(),
        }
    }

    /// Display text: the day as `form` writes it, and the time of day if there is one, such as "24 Nov, 14:30".
    #[must_use]
    pub fn words(self, zone: &TimeZone, form: fn(Date) -> String) -> String {
        let at = zone.to_datetime(self.at);
        match self.has_time {
            true => format!("{}, {}", form(at.date()), display::time(at.time())),
            false => form(at.date()),
        }
    }

    /// Text that [`parse`] accepts: a day, or a moment with the offset of this zone.
    #[must_use]
    pub fn written(self, zone: &TimeZone) -> String {
        let form = if self.has_time { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%d" };
        self.at.to_zoned(zone.clone()).strftime(form).to_string()
    }

    /// The same day at this time of day.
    fn timed(self, time: Time, zone: &TimeZone) -> Self {
        let at = instant(zone, day(self.at, zone).to_datetime(time));
        // ok: every parseable day and time is within the range of `Timestamp`.
        let at = at.unwrap_or(self.at).as_millisecond();
        Self { at: kernel::time::from_ms(at), has_time: true }
    }
}

/// Moves a due date. If only a day is chosen, the time of day in this zone is kept.
#[must_use]
pub fn moved(from: Option<Deadline>, to: Option<Deadline>, zone: &TimeZone) -> Option<Deadline> {
    let to = to?;
    Some(match from.filter(|from| from.has_time && !to.has_time) {
        Some(from) => to.timed(from.at.to_zoned(zone.clone()).time(), zone),
        None => to,
    })
}

/// Time zone by name. Unknown names yield UTC.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// Years in which a task can be due. Anything outside is a typing error.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// Parses a due date: a day (`2026-11-20`, `20 Nov`, `Fri`, `tomorrow`), meaning its end in this zone, or a moment in
/// RFC 3339 or in local time (`2026-11-20T14:30`). Empty and `none` mean no due date.
///
/// # Errors
/// If the text has none of these forms.
pub fn parse(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Option<Timestamp>, TaskError> {
    let text = text.trim();
    if matches!(text, "" | "none") {
        return Ok(None);
    }
    let date = day::read(text, day(now, zone), Toward::Ahead);
    let at = match (date, text.parse::<Timestamp>()) {
        (Some(date), _) => instant(zone, date.at(23, 59, 59, 0)),
        (None, Ok(at)) => Some(at),
        (None, Err(_)) => match on_the_clock(text) {
            Some(local) => instant(zone, local),
            None => {
                let message = format!(
                    "\"{}\" isn’t a date. Write it as 20 Nov, Friday, 2026-11-20 or \
                     2026-11-20T14:30.",
                    short(text)
                );
                return Err(TaskError::field("due", message));
            }
        },
    };
    match at.filter(|at| YEARS.contains(&day(*at, zone).year())) {
        Some(at) => Ok(Some(kernel::time::from_ms(at.as_millisecond()))),
        None => {
            let (first, last) = (YEARS.start(), YEARS.end());
            let message =
                format!("\"{}\" is out of range. Use a year from {first} to {last}.", short(text));
            Err(TaskError::field("due", message))
        }
    }
}

/// A day with a time of day, without a zone.
fn on_the_clock(text: &str) -> Option<DateTime> {
    text.contains(':').then(|| text.parse().ok()).flatten()
}

/// Parses a due date from a form: a date as in [`parse`] and a time of day such as `14:30`. An empty time means the
/// whole day.
///
/// # Errors
/// If one of them cannot be parsed, or there is a time without a day.
pub fn parse_timed(
    text: &str,
    time: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Option<Deadline>, TaskError> {
    let due = parse(text, zone, now)?.map(|at| Deadline { at, has_time: has_time(text) });
    let time = clock::in_field("due_time", time);
    let Some(time) = time.map_err(|wrong| TaskError::Invalid(vec![wrong]))? else {
        return Ok(due);
    };
    match due {
        Some(due) => Ok(Some(due.timed(time, zone))),
        None => Err(TaskError::field("due", "choose a day for this time")),
    }
}

/// Returns `true` if a valid due date is a moment and not the end of a day.
#[must_use]
pub fn has_time(text: &str) -> bool {
    let text = text.trim();
    text.parse::<Timestamp>().is_ok() || on_the_clock(text).is_some()
}

/// Parses a start date: a moment, or a day, meaning its start. Empty and `none` mean no start date.
///
/// # Errors
/// If the text has none of these forms.
pub fn parse_start(
    text: &str,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Option<Timestamp>, TaskError> {
    let at =
        parse(text, zone, now).map_err(|error| TaskError::field("start", error.to_string()))?;
    let Some(at) = at.filter(|_| !has_time(text)) else { return Ok(at) };
    // ok: the start of every parseable day is within the range of `Timestamp`.
    let start = day(at, zone).to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    Ok(Some(start.unwrap_or(at)))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Local day of a moment.
#[must_use]
pub fn day(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

#[cfg(test)]
mod tests {
    use super::{Deadline, day, display, has_time, moved, parse, parse_start, parse_timed, zone};
    use jiff::Timestamp;
    use kernel::Problem as _;

    #[test]
    fn a_day_lasts_until_its_end_in_the_zone() {
        let (now, berlin): (Timestamp, _) =
            ("2026-11-20T22:30:00Z".parse().unwrap(), zone("Europe/Berlin"));
        let due = |text: &str| parse(text, &berlin, now).unwrap().map(|at| at.to_string());
        assert_eq!(due("2026-11-20").as_deref(), Some("2026-11-20T22:59:59Z"));
        assert_eq!(due("tomorrow").as_deref(), Some("2026-11-21T22:59:59Z"));
        assert_eq!(due("24 nov").as_deref(), Some("2026-11-24T22:59:59Z"));
        assert_eq!(due("Fri").as_deref(), Some("2026-11-27T22:59:59Z"));
        assert_eq!(due("2026-11-20T10:00:00+01:00").as_deref(), Some("2026-11-20T09:00:00Z"));
        assert_eq!(due("2026-11-20T14:30").as_deref(), Some("2026-11-20T13:30:00Z"));
        assert!(has_time("2026-11-20T14:30") && has_time("2026-11-20 14:30"));
        assert_eq!(due("2199-12-31").as_deref(), Some("2199-12-31T22:59:59Z"));
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
    fn a_time_of_day_is_read_and_told_in_the_zone() {
        let (now, berlin): (Timestamp, _) =
            ("2026-11-20T22:30:00Z".parse().unwrap(), zone("Europe/Berlin"));
        let due = |day: &str, time: &str| parse_timed(day, time, &berlin, now);
        let timed = due("2026-11-24", "14:30").unwrap().unwrap();
        assert_eq!((timed.at.to_string().as_str(), timed.has_time), ("2026-11-24T13:30:00Z", true));
        assert_eq!(timed.time(&berlin), "14:30");
        assert_eq!(timed.words(&berlin, display::day_of_year), "24 Nov, 14:30");
        assert_eq!(timed.written(&berlin), "2026-11-24T14:30:00+01:00");
        assert_eq!(parse(&timed.written(&berlin), &berlin, now).unwrap(), Some(timed.at));
        let whole = due("today", " ").unwrap().unwrap();
        assert_eq!((whole.time(&berlin).as_str(), whole.has_time), ("", false));
        assert_eq!(whole.words(&berlin, display::day_of_year), "20 Nov");
        assert_eq!(whole.written(&berlin), "2026-11-20");
        assert_eq!(due("none", "").unwrap(), None);
        assert_eq!(due("2026-11-24", "25:00").unwrap_err().fields()[0].field, "due_time");
        assert_eq!(due("", "14:30").unwrap_err().fields()[0].field, "due");
        // A time in the gap of a clock change becomes the first time after the gap.
        let spring = due("2026-03-29", "02:30").unwrap().unwrap();
        assert_eq!(spring.time(&berlin), "03:00");
    }

    #[test]
    fn a_time_of_day_stays_when_only_the_day_changes() {
        let (now, berlin): (Timestamp, _) =
            ("2026-11-20T12:00:00Z".parse().unwrap(), zone("Europe/Berlin"));
        let due = |day: &str, time: &str| parse_timed(day, time, &berlin, now).unwrap();
        let winter = due("2026-11-24", "14:30");
        let summer = moved(winter, due("2026-07-01", ""), &berlin).unwrap();
        assert_eq!(summer.at.to_string(), "2026-07-01T12:30:00Z", "by the clock on the wall");
        assert!(summer.has_time);
        assert_eq!(moved(winter, due("2026-11-25", "09:00"), &berlin), due("2026-11-25", "09:00"));
        assert_eq!(moved(winter, None, &berlin), None);
        let whole = due("2026-11-26", "");
        assert_eq!(moved(due("2026-11-24", ""), whole, &berlin), whole);
        assert_eq!(moved(None, whole, &berlin), whole);
        // Keeps seconds, which API clients can set.
        let at = "2026-11-24T13:30:20Z".parse().unwrap();
        let exact = moved(Some(Deadline { at, has_time: true }), whole, &berlin).unwrap();
        assert_eq!(exact.at.to_string(), "2026-11-26T13:30:20Z");
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        let now = "2026-11-20T22:30:00Z".parse().unwrap();
        let error = parse("next week", &zone("nowhere"), now).unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"next week\" isn’t a date. Write it as 20 Nov, Friday, 2026-11-20 or \
             2026-11-20T14:30."
        );
        assert!(parse("2026-13-40", &zone("UTC"), now).is_err());
        for far in
            ["9999-12-31", "0001-01-01", "2200-01-01", "9999-12-30T22:00:00Z", "1969-12-30T10:00"]
        {
            let error = parse(far, &zone("UTC"), now).unwrap_err().to_string();
            assert!(error.contains("Use a year from 1970 to 2199"), "{far}: {error}");
            assert!(parse_start(far, &zone("UTC"), now).is_err(), "{far}");
        }
    }
}
