//! Describes schedules in words.

use jiff::civil::{Time, Weekday};

use super::{Cadence, Days, MonthDay, Schedule, cron, spoken};
use crate::display;

impl Schedule {
    /// A description such as "Weekdays at 9:00, Europe/Berlin" or "Every 15 minutes".
    #[must_use]
    pub fn words(&self) -> String {
        let (time, zone) = (clock_words(self.time()), self.zone_name());
        let by_days = |days: String| format!("{days} at {time}, {zone}");
        match &self.cadence {
            Cadence::Minutes(every) => every_few(*every, "minute"),
            Cadence::Hours(every) => every_few(*every, "hour"),
            Cadence::Daily(1) | Cadence::Days(1) => by_days("Daily".to_owned()),
            Cadence::Daily(every) | Cadence::Days(every) => {
                by_days(every_few(u32::from(*every), "day"))
            }
            Cadence::Weekdays => by_days("Weekdays".to_owned()),
            Cadence::Weekly { every, days } => {
                let often = match every {
                    1 => "Weekly".to_owned(),
                    _ => every_few(u32::from(*every), "week"),
                };
                by_days(format!("{often} on {}", day_words(*days)))
            }
            Cadence::Monthly { every, day } => {
                let often = match every {
                    1 => "Monthly".to_owned(),
                    _ => every_few(u32::from(*every), "month"),
                };
                let day = match day {
                    MonthDay::On(day) => format!("the {}", ordinal(*day)),
                    MonthDay::Last => "the last day".to_owned(),
                };
                by_days(format!("{often} on {day}"))
            }
            Cadence::Cron(line) => match spoken::words(line) {
                Some(words) => format!("{words}, {zone}"),
                None => match cron::Line::parse(line) {
                    Ok(read) => format!("{}, {zone}", read.described()),
                    Err(_) => format!("Cron {line}, {zone}"),
                },
            },
            Cadence::Once(at) => {
                let wall = self.zone().to_datetime(*at);
                let time = clock_words(wall.time());
                format!("Once on {} at {time}, {zone}", display::day(wall.date()))
            }
        }
    }

    /// The start of a sentence: "Every weekday at 9:00". Names the zone only if it differs from the reader's `zone`.
    #[must_use]
    pub fn describe(&self, zone: &str) -> String {
        let words = self.words();
        let words = words.strip_suffix(&format!(", {zone}")).unwrap_or(&words);
        match words.split_once(" at ") {
            Some(("Weekdays", at)) => format!("Every weekday at {at}"),
            Some(("Daily", at)) => format!("Every day at {at}"),
            _ => words.to_owned(),
        }
    }

    /// Short label: "Daily", "Weekly · MWF", "Monthly · Last", "Every 3d".
    #[must_use]
    pub fn pill(&self) -> String {
        match &self.cadence {
            Cadence::Minutes(every) => format!("Every {every}min"),
            Cadence::Hours(1) => "Hourly".to_owned(),
            Cadence::Hours(every) => format!("Every {every}h"),
            Cadence::Daily(1) | Cadence::Days(1) => "Daily".to_owned(),
            Cadence::Daily(every) | Cadence::Days(every) => format!("Every {every}d"),
            Cadence::Weekdays => "Weekdays".to_owned(),
            Cadence::Weekly { every, days } => {
                let often = match every {
                    1 => "Weekly".to_owned(),
                    _ => format!("Every {every}w"),
                };
                let letters: String = week(*days).map(initial).collect();
                format!("{often} · {letters}")
            }
            Cadence::Monthly { every, day } => {
                let often = match every {
                    1 => "Monthly".to_owned(),
                    _ => format!("Every {every}mo"),
                };
                match day {
                    MonthDay::On(day) => format!("{often} · {day}"),
                    MonthDay::Last => format!("{often} · Last"),
                }
            }
            Cadence::Cron(_) => "Cron".to_owned(),
            Cadence::Once(_) => "Once".to_owned(),
        }
    }
}

/// "9:00".
#[must_use]
pub fn clock_words(time: Time) -> String {
    display::short_time(time)
}

/// "Monday, Wednesday and Friday".
#[must_use]
pub fn day_words(days: Days) -> String {
    let mut names: Vec<&str> = week(days).map(name).collect();
    let Some(last) = names.pop() else { return String::new() };
    if names.is_empty() { last.to_owned() } else { format!("{} and {last}", names.join(", ")) }
}

fn every_few(every: u32, unit: &str) -> String {
    format!("Every {}", few(every, unit))
}

/// "hour", "15 minutes".
pub(super) fn few(every: u32, unit: &str) -> String {
    if every == 1 { unit.to_owned() } else { format!("{every} {unit}s") }
}

/// "22nd".
pub(super) fn ordinal(day: u8) -> String {
    let end = match (day % 10, day) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{end}")
}

fn week(days: Days) -> impl Iterator<Item = Weekday> {
    let all = Weekday::Monday.cycle_forward().take(7);
    all.filter(move |day| days.has(*day))
}

fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn initial(day: Weekday) -> char {
    name(day).chars().next().unwrap_or(' ')
}
