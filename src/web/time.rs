//! Human-readable points in time.
//!
//! A page shows a relative text with the exact time in the tooltip. A script updates the text once a minute with the
//! same thresholds, so both implementations must agree.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned};
use kernel::{clock, display};

use crate::parts::{Choice, Tone};

/// A relative time for `ui::time`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelTime {
    /// RFC 3339, for machines.
    pub iso: String,
    /// "3 minutes ago", for people.
    pub text: String,
    /// Date and time in the person's zone, for the tooltip.
    pub exact: String,
}

impl RelTime {
    /// `at` relative to `now`, in `zone`.
    pub fn new(at: Timestamp, now: Timestamp, zone: &TimeZone) -> Self {
        let local = at.to_zoned(zone.clone());
        Self {
            iso: at.to_string(),
            text: relative(&local, &now.to_zoned(zone.clone())),
            exact: format!(
                "{}, {}, {} {}",
                local.strftime("%A"),
                display::long_day(local.date()),
                display::exact_time(local.time()),
                local.strftime("%Z")
            ),
        }
    }
}

/// Seconds, minutes, hours, yesterday, then a date; the same for the future.
fn relative(at: &Zoned, now: &Zoned) -> String {
    let secs = now.timestamp().as_second() - at.timestamp().as_second();
    let (ahead, span) = (secs < 0, secs.unsigned_abs());
    let near = match span {
        0..45 if !ahead => return "just now".to_owned(),
        0..90 => "1 min".to_owned(),
        90..3_570 => format!("{} min", (span + 30) / 60),
        3_570..79_200 => format!("{} h", (span + 1_800) / 3_600),
        _ => return dated(at, now),
    };
    if ahead { format!("in {near}") } else { format!("{near} ago") }
}

/// "yesterday", "12 Nov", or "12 Nov 2024" in another year.
fn dated(at: &Zoned, now: &Zoned) -> String {
    match days_between(now.date(), at.date()) {
        -1 => "yesterday".to_owned(),
        0 => display::time(at.time()),
        1 => "tomorrow".to_owned(),
        _ => display::near_day(at.date(), now.date()),
    }
}

/// Whole days from `from` to `to`.
fn days_between(from: Date, to: Date) -> i64 {
    from.until((Unit::Day, to)).map_or(0, |span| i64::from(span.get_days()))
}

/// A due date for `ui::due`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// `2026-11-20`, for machines and date inputs.
    pub iso: String,
    /// "Today", "Tomorrow", "Friday", "28 Nov", for people; with a time of day "28 Nov, 14:30".
    pub text: String,
    /// `14:30`, for machines and time inputs; empty for a whole day.
    pub time: String,
    /// Overdue is danger, today is a warning, later is neutral.
    pub tone: Tone,
}

impl Due {
    /// `date` relative to `today`.
    pub fn new(date: Date, today: Date, work: Work) -> Self {
        let days = days_between(today, date);
        let text = match days {
            -1 => "Yesterday".to_owned(),
            0 => "Today".to_owned(),
            1 => "Tomorrow".to_owned(),
            2..=6 => date.strftime("%A").to_string(),
            _ => display::near_day(date, today),
        };
        let tone = match (work, days) {
            (Work::Late, _) => Tone::Danger,
            (Work::Open, 0) => Tone::Warn,
            _ => Tone::Neutral,
        };
        Self { iso: date.to_string(), text, time: String::new(), tone }
    }

    /// Sets the time of day, such as `14:30`; empty for the whole day.
    #[must_use]
    pub fn at(self, time: String) -> Self {
        if time.is_empty() {
            return self;
        }
        let shown = clock::read(&time).map_or_else(|| time.clone(), display::time);
        Self { text: format!("{}, {shown}", self.text), time, ..self }
    }
}

/// The zones of the time zone database for a select, with `chosen` selected. Aliases of UTC are shown as one entry.
pub fn zones(chosen: &str) -> Vec<Choice> {
    let chosen = match chosen {
        "Etc/UTC" | "Etc/UCT" | "Etc/Zulu" | "Etc/Universal" | "UCT" | "Zulu" | "Universal" => {
            "UTC"
        }
        other => other,
    };
    let all = jiff::tz::db().available().map(|name| name.to_string());
    let places = all.filter(|name| {
        let area = name.split_once('/').map_or("", |(area, _)| area);
        let odd = matches!(area, "" | "Etc" | "SystemV" | "posix" | "right");
        name == "UTC" || name == chosen || !odd
    });
    places.map(|name| Choice::new(name.clone(), name.clone(), name == chosen)).collect()
}

/// Whether a due date still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Not finished, and the due date has passed.
    Late,
    /// Not finished.
    Open,
    /// Done or cancelled.
    Closed,
}

#[cfg(test)]
mod tests {
    use super::{Due, RelTime, Work, zones};
    use crate::parts::Tone;
    use jiff::civil::date;
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan};
    use kernel::display::Forms;
    use kernel::{DateForm, TimeForm};

    #[test]
    fn a_moment_is_told_from_now() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let text = |at: &str| RelTime::new(at.parse().unwrap(), now, &TimeZone::UTC).text;
        assert_eq!(text("2026-11-20T11:59:40Z"), "just now");
        assert_eq!(text("2026-11-20T11:59:00Z"), "1 min ago");
        assert_eq!(text("2026-11-20T11:30:00Z"), "30 min ago");
        assert_eq!(text("2026-11-20T11:00:10Z"), "1 h ago");
        assert_eq!(text("2026-11-19T20:00:00Z"), "16 h ago");
        assert_eq!(text("2026-11-19T08:00:00Z"), "yesterday");
        assert_eq!(text("2026-11-12T08:00:00Z"), "12 Nov");
        assert_eq!(text("2025-11-12T08:00:00Z"), "12 Nov 2025");
        assert_eq!(text("2026-11-20T12:05:00Z"), "in 5 min");
        assert_eq!(text("2026-11-21T15:00:00Z"), "tomorrow");
    }

    #[test]
    fn the_time_of_the_world_has_one_name() {
        let all = zones("Etc/UTC");
        let chosen: Vec<_> = all.iter().filter(|one| one.chosen).map(|one| &one.value).collect();
        assert_eq!(chosen, ["UTC"]);
        assert!(all.iter().all(|one| one.value != "Etc/UTC"));
    }

    #[test]
    fn the_exact_time_is_in_the_zone_of_the_person() {
        let at: Timestamp = "2026-11-20T23:30:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let time = RelTime::new(at, at + 1.hour(), &zone);
        assert_eq!(time.exact, "Saturday, 21 November 2026, 00:30:00 CET");
        assert_eq!(time.iso, "2026-11-20T23:30:00Z");
    }

    #[test]
    fn a_time_is_written_in_the_form_of_the_person_on_both_sides_of_a_clock_change() {
        let forms = Forms { date: DateForm::MonthFirst, time: TimeForm::Halves, ..Forms::USUAL };
        let _entered = forms.enter();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let exact = |at: &str| {
            let at: Timestamp = at.parse().unwrap();
            RelTime::new(at, at, &zone).exact
        };
        assert_eq!(exact("2026-10-25T00:30:00Z"), "Sunday, 10/25/2026, 2:30:00 am CEST");
        assert_eq!(exact("2026-10-25T01:30:00Z"), "Sunday, 10/25/2026, 2:30:00 am CET");
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let text = |at: &str| RelTime::new(at.parse().unwrap(), now, &zone).text;
        assert_eq!(text("2026-11-12T08:00:00Z"), "11/12");
        assert_eq!(text("2025-11-12T08:00:00Z"), "11/12/2025");
        let due = Due::new(date(2027, 1, 4), date(2026, 11, 20), Work::Open).at("14:30".to_owned());
        assert_eq!((due.text.as_str(), due.time.as_str()), ("1/4/2027, 2:30 pm", "14:30"));
    }

    #[test]
    fn what_is_late_or_near_stands_out() {
        let today = date(2026, 11, 20);
        let due = |day, work| Due::new(day, today, work);
        assert_eq!(due(date(2026, 11, 18), Work::Late).tone, Tone::Danger);
        assert_eq!(due(date(2026, 11, 18), Work::Closed).tone, Tone::Neutral);
        assert_eq!(due(today, Work::Open).text, "Today");
        assert_eq!(due(today, Work::Open).tone, Tone::Warn);
        let timed = due(today, Work::Open).at("14:30".to_owned());
        assert_eq!((timed.text.as_str(), timed.time.as_str()), ("Today, 14:30", "14:30"));
        assert_eq!(due(today, Work::Open).at(String::new()), due(today, Work::Open));
        assert_eq!(due(date(2026, 11, 23), Work::Open).text, "Monday");
        assert_eq!(due(date(2027, 1, 4), Work::Open).text, "4 Jan 2027");
    }
}
