//! Quiet hours. Both ends are wall-clock times in a zone. All moments between them are quiet, even if a wall time in
//! between is skipped or repeated.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Days, clock_words, day_words, instant};
use crate::{FieldError, clock};

/// Hours of the day. They cross midnight if they end before they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Days on which the hours begin; empty for every day.
    pub days: Days,
    /// Begin, in minutes since midnight.
    pub from: u16,
    /// End, in minutes since midnight, possibly of the next day.
    pub until: u16,
}

impl Hours {
    /// Parses input: day numbers, times as `22:00`.
    ///
    /// # Errors
    /// Names the wrong field: `quiet_hours.from`, `quiet_hours.until` or `quiet_hours.days`.
    pub fn read(days: &[u8], from: &str, until: &str) -> Result<Self, FieldError> {
        let from = minute("quiet_hours.from", from)?;
        let until = minute("quiet_hours.until", until)?;
        if from == until {
            let message = "Quiet hours must start and end at different times.";
            return Err(FieldError::new("quiet_hours.until", message));
        }
        if days.iter().any(|day| !(1..=7).contains(day)) {
            let message = "Use 1 for Monday to 7 for Sunday.";
            return Err(FieldError::new("quiet_hours.days", message));
        }
        Ok(Self { days: Days::of(days.iter().copied()), from, until })
    }

    /// The end of the quiet hours that contain `now`.
    #[must_use]
    pub fn end(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let today = zone.to_datetime(now).date();
        // Hours that cross midnight belong to the day on which they begin.
        let begun = [today.yesterday().ok(), Some(today)];
        let ends = begun.into_iter().flatten().filter_map(|day| {
            let (from, until) = self.on(zone, day)?;
            (from <= now && now < until).then_some(until)
        });
        ends.max()
    }

    /// Start and end of the hours that begin on `day`.
    fn on(self, zone: &TimeZone, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !(self.days.is_empty() || self.days.has(day.weekday())) {
            return None;
        }
        let last = if self.until <= self.from { day.tomorrow().ok()? } else { day };
        Some((at(zone, day, self.from)?, at(zone, last, self.until)?))
    }

    /// "22:00 to 7:00", with the days unless all are set.
    #[must_use]
    pub fn words(self) -> String {
        let clock = |minute| clock_words(time(minute));
        let hours = format!("{} to {}", clock(self.from), clock(self.until));
        match self.days.is_empty() {
            true => hours,
            false => format!("{hours} on {}", day_words(self.days)),
        }
    }

    /// Start and end as form fields have them: `07:00`.
    #[must_use]
    pub fn form_values(self) -> (String, String) {
        let field = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        (field(self.from), field(self.until))
    }
}

fn minute(field: &str, text: &str) -> Result<u16, FieldError> {
    let time = clock::read(text);
    let time = time.ok_or_else(|| FieldError::new(field, "Use a time such as 22:00."))?;
    Ok(clock::minutes(time))
}

fn time(minute: u16) -> Time {
    let of_day = SignedDuration::from_mins(i64::from(minute % (24 * 60)));
    Time::midnight().wrapping_add(of_day)
}

fn at(zone: &TimeZone, day: Date, minute: u16) -> Option<Timestamp> {
    instant(zone, day.to_datetime(time(minute)))
}

#[cfg(test)]
mod tests {
    use super::{Days, Hours};
    use crate::Timestamp;
    use crate::time::from_ms;
    use jiff::tz::TimeZone;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const NIGHT: Hours = Hours { days: Days(0), from: 22 * 60, until: 7 * 60 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn end(hours: Hours, zone: &str, now: &str) -> Option<Timestamp> {
        hours.end(&TimeZone::get(zone).unwrap(), at(now))
    }

    #[test]
    fn a_night_ends_at_its_wall_time_also_when_the_clocks_change_in_it() {
        // Berlin goes from 2:00 to 3:00 on 29 March 2026 and from 3:00 to 2:00 on 25 October.
        let berlin = |now| end(NIGHT, "Europe/Berlin", now);
        assert_eq!(berlin("2026-03-28T21:00:00Z"), Some(at("2026-03-29T05:00:00Z")));
        assert_eq!(berlin("2026-03-29T04:59:00Z"), Some(at("2026-03-29T05:00:00Z")));
        assert_eq!(berlin("2026-03-29T05:00:00Z"), None);
        assert_eq!(berlin("2026-10-24T20:00:00Z"), Some(at("2026-10-25T06:00:00Z")));
        assert_eq!(berlin("2026-10-25T05:30:00Z"), Some(at("2026-10-25T06:00:00Z")));
        assert_eq!(berlin("2026-10-25T06:00:00Z"), None);
    }

    #[test]
    fn hours_that_begin_in_the_hour_that_comes_twice_do_not_stop_in_it() {
        let hours = Hours { from: 2 * 60 + 30, ..NIGHT };
        let berlin = |now| end(hours, "Europe/Berlin", now);
        let over = Some(at("2026-10-25T06:00:00Z"));
        assert_eq!(berlin("2026-10-25T00:29:00Z"), None);
        // First 2:30, second 2:00, second 2:59.
        for now in ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:00Z"] {
            assert_eq!(berlin(now), over, "{now}");
        }
    }

    #[test]
    fn hours_that_do_not_come_on_a_day_hold_nothing_on_it() {
        let hours = Hours { from: 2 * 60 + 15, until: 2 * 60 + 45, ..NIGHT };
        let berlin = |now| end(hours, "Europe/Berlin", now);
        assert_eq!(berlin("2026-03-29T01:00:00Z"), None);
        assert_eq!(berlin("2026-03-30T00:20:00Z"), Some(at("2026-03-30T00:45:00Z")));
    }

    #[test]
    fn a_night_of_friday_ends_on_saturday() {
        let hours = Hours { days: Days::of([5]), ..NIGHT };
        let morning = Some(at("2026-11-21T07:00:00Z"));
        assert_eq!(end(hours, "UTC", "2026-11-20T22:00:00Z"), morning);
        assert_eq!(end(hours, "UTC", "2026-11-21T06:59:00Z"), morning);
        assert_eq!(end(hours, "UTC", "2026-11-21T23:00:00Z"), None);
        assert_eq!(end(hours, "UTC", "2026-11-20T06:00:00Z"), None);
    }

    #[test]
    fn what_is_typed_is_checked_and_said_again() {
        let read = |from, until| Hours::read(&[1, 2], from, until).map_err(|error| error.field);
        let hours = read("22:00", " 07:00 ").unwrap();
        assert_eq!((hours.from, hours.until), (1_320, 420));
        assert_eq!(hours.form_values(), ("22:00".to_owned(), "07:00".to_owned()));
        assert_eq!(read("late", "07:00").unwrap_err(), "quiet_hours.from");
        assert_eq!(read("07:00", "07:00").unwrap_err(), "quiet_hours.until");
        assert!(Hours::read(&[8], "22:00", "07:00").is_err());
    }

    proptest! {
        #[test]
        fn rest_has_an_end_at_which_it_is_over(
            ms in 1_600_000_000_000_i64..1_900_000_000_000, from in 0_u16..1_440, long in 1_u16..1_320,
            zone in 0_usize..6,
        ) {
            let zones = ["UTC", "Europe/Berlin", "America/New_York", "America/Santiago",
                "Australia/Lord_Howe", "Asia/Kolkata"];
            let zone = TimeZone::get(zones[zone]).unwrap();
            let hours = Hours { days: Days::default(), from, until: (from + long) % 1_440 };
            let now = from_ms(ms);
            if let Some(end) = hours.end(&zone, now) {
                prop_assert!(now < end);
                prop_assert!(end.duration_since(now).as_hours() <= 25);
                // Quiet without interruption until the end, then not quiet.
                let before = from_ms(end.as_millisecond() - 1);
                prop_assert_eq!(hours.end(&zone, before), Some(end));
                prop_assert_eq!(hours.end(&zone, end), None);
            }
        }
    }
}
