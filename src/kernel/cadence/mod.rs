//! Schedules: computes the next occurrences of a repetition. Pure: the caller passes the start moment.
//!
//! - The phase never drifts: every cadence counts from the schedule's start day, not from the last query.
//! - A day cadence has a wall-clock time in its zone. A missing wall time maps to the first moment after the gap, an
//!   ambiguous one to its first occurrence.
//! - Minutes and hours count elapsed time, and so does a cron line whose hours begin with `*`. A quarter-hourly
//!   schedule does not pause while the clocks are set back.
//! - Results are strictly later than the given moment, so each occurrence is returned once.

mod cron;
mod fields;
mod hours;
mod spoken;
#[cfg(test)]
mod tests;
mod words;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::fmt::serde::timestamp::millisecond;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

pub use fields::ScheduleFields;
pub use hours::Hours;
pub use words::{clock_words, day_words};

use super::vocab::CadenceKind;

/// A validated schedule, created by [`ScheduleFields::read`] and stored in records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    cadence: Cadence,
    /// Wall-clock minutes since midnight.
    minute: u16,
    /// IANA time zone name.
    zone: String,
    /// Phase origin in days since 1970. There are no occurrences before this day.
    starts_on: i32,
}

/// How a schedule repeats. Stored by position: variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cadence {
    /// Every n minutes of elapsed time.
    Minutes(u32),
    /// Every n hours of elapsed time.
    Hours(u32),
    /// Every n days; 1 is daily.
    Daily(u16),
    /// Monday to Friday.
    Weekdays,
    /// On some days of every n-th week.
    Weekly {
        /// 1 is every week.
        every: u16,
        /// Days of the week.
        days: Days,
    },
    /// On one day of every n-th month.
    Monthly {
        /// 1 is every month.
        every: u16,
        /// Day of the month.
        day: MonthDay,
    },
    /// Every n days.
    Days(u16),
    /// A cron line of five fields.
    Cron(String),
    /// A single moment.
    Once(#[serde(with = "millisecond::required")] Timestamp),
}

/// Days of the week as bits; bit 0 is Monday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days(u8);

/// A day of the month. Stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MonthDay {
    /// 1 to 31. In shorter months, the last day.
    On(u8),
    /// The last day of the month.
    Last,
}

/// Summary of the occurrences between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The latest occurrence.
    pub last: Timestamp,
    /// Number of occurrences, including the latest.
    pub count: u32,
}

impl Days {
    /// Monday to Friday.
    pub const WORKING: Self = Self(0b1_1111);

    /// From ISO numbers: 1 is Monday, 7 is Sunday. Other numbers are ignored.
    pub fn of(days: impl IntoIterator<Item = u8>) -> Self {
        let bits = days.into_iter().filter(|day| (1..=7).contains(day));
        Self(bits.fold(0, |all, day| all | (1 << (day - 1))))
    }

    /// Returns `true` if no day is set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns `true` if `day` is set.
    #[must_use]
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    /// ISO numbers, Monday first.
    #[must_use]
    pub fn numbers(self) -> Vec<u8> {
        (1..=7).filter(|day| self.0 & (1 << (day - 1)) != 0).collect()
    }
}

impl Schedule {
    /// The repetition rule.
    #[must_use]
    pub fn cadence(&self) -> &Cadence {
        &self.cadence
    }

    /// The cadence type.
    #[must_use]
    pub fn kind(&self) -> CadenceKind {
        match self.cadence {
            Cadence::Minutes(_) => CadenceKind::EveryNMinutes,
            Cadence::Hours(_) => CadenceKind::EveryNHours,
            Cadence::Daily(_) => CadenceKind::Daily,
            Cadence::Weekdays => CadenceKind::Weekdays,
            Cadence::Weekly { .. } => CadenceKind::Weekly,
            Cadence::Monthly { .. } => CadenceKind::Monthly,
            Cadence::Days(_) => CadenceKind::EveryNDays,
            Cadence::Cron(_) => CadenceKind::Cron,
            Cadence::Once(_) => CadenceKind::Once,
        }
    }

    /// Returns `true` for cadences that count elapsed time or happen once, as opposed to cadences by days.
    #[must_use]
    pub fn is_by_moments(&self) -> bool {
        matches!(self.cadence, Cadence::Minutes(_) | Cadence::Hours(_) | Cadence::Once(_))
    }

    /// Wall-clock time of day.
    #[must_use]
    pub fn time(&self) -> Time {
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        let part = |number: u16| i8::try_from(number).unwrap_or(0);
        Time::new(part(hour), part(minute), 0, 0).unwrap_or_default()
    }

    /// IANA name of the time zone.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        &self.zone
    }

    /// The time zone. Falls back to UTC if the database no longer has a zone that was valid when the schedule was
    /// created.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }

    /// Phase origin.
    #[must_use]
    pub fn starts_on(&self) -> Date {
        date_at(self.starts_on)
    }

    /// A fixed value for golden tests of records.
    #[must_use]
    pub fn sample() -> Self {
        let cadence = Cadence::Weekly { every: 2, days: Days::of([1, 5]) };
        Self { cadence, minute: 9 * 60 + 30, zone: "Europe/Berlin".to_owned(), starts_on: 20_000 }
    }

    /// The first occurrence after `after`.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.walk().next(after)
    }

    /// The occurrences after `after` up to and including `until`, at most `limit`.
    #[must_use]
    pub fn between(&self, after: Timestamp, until: Timestamp, limit: usize) -> Vec<Timestamp> {
        self.walk().all_after(after).take_while(|at| *at <= until).take(limit).collect()
    }

    /// The next `limit` occurrences after `after`.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, limit: usize) -> Vec<Timestamp> {
        self.between(after, Timestamp::MAX, limit)
    }

    /// Occurrences after `after` up to and including `until`. Counts at most one million.
    #[must_use]
    pub fn passed(&self, after: Timestamp, until: Timestamp) -> Option<Passed> {
        let walk = self.walk();
        let all = walk.all_after(after).take_while(|at| *at <= until).take(1_000_000);
        all.fold(None, |passed: Option<Passed>, last| {
            Some(Passed { last, count: passed.map_or(0, |passed| passed.count) + 1 })
        })
    }

    /// The date of an occurrence in the schedule's zone.
    #[must_use]
    pub fn date_of(&self, at: Timestamp) -> Date {
        self.zone().to_datetime(at).date()
    }

    fn walk(&self) -> Walk<'_> {
        let line = match &self.cadence {
            Cadence::Cron(line) => cron::Line::parse(line).ok(),
            _ => None,
        };
        Walk { schedule: self, zone: self.zone(), line }
    }
}

/// A schedule with its parsed zone and cron line.
struct Walk<'s> {
    schedule: &'s Schedule,
    zone: TimeZone,
    line: Option<cron::Line>,
}

impl Walk<'_> {
    /// All occurrences after `after`.
    fn all_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.schedule.cadence {
            Cadence::Once(at) => (*at > after).then_some(*at),
            Cadence::Minutes(every) => self.elapsed(i64::from(*every) * 60_000, after),
            Cadence::Hours(every) => self.elapsed(i64::from(*every) * 3_600_000, after),
            Cadence::Cron(_) => {
                // Start one second before the first midnight, so that midnight itself counts.
                let start = instant(&self.zone, self.schedule.starts_on().into())?;
                let before = start.as_second().checked_sub(1)?;
                let after = after.max(Timestamp::from_second(before).ok()?);
                self.line.as_ref()?.next(&self.zone, after)
            }
            _ => self.by_days(after),
        }
    }

    fn elapsed(&self, step: i64, after: Timestamp) -> Option<Timestamp> {
        let first = self.schedule.starts_on().to_datetime(self.schedule.time());
        let first = instant(&self.zone, first)?;
        if after < first {
            return Some(first);
        }
        let (step, first) = (step.max(1), first.as_millisecond());
        let steps = (after.as_millisecond() - first) / step + 1;
        Timestamp::from_millisecond(first.checked_add(steps.checked_mul(step)?)?).ok()
    }

    /// Starts at the day of `after`: earlier days cannot match, because later wall times are never earlier moments.
    fn by_days(&self, after: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(after).date();
        let time = self.schedule.time();
        let mut date = self.day_from(today.max(self.schedule.starts_on()))?;
        loop {
            let at = instant(&self.zone, date.to_datetime(time))?;
            if at > after {
                return Some(at);
            }
            date = self.day_from(date.tomorrow().ok()?)?;
        }
    }

    /// The first day of the cadence on or after `date`. `date` is not before the start.
    fn day_from(&self, date: Date) -> Option<Date> {
        let start = self.schedule.starts_on();
        match self.schedule.cadence {
            Cadence::Daily(every) | Cadence::Days(every) => {
                let every = i32::from(every.max(1));
                let over = days_between(start, date) % every;
                add_days(date, if over == 0 { 0 } else { every - over })
            }
            Cadence::Weekdays => match date.weekday() {
                Weekday::Saturday => add_days(date, 2),
                Weekday::Sunday => add_days(date, 1),
                _ => Some(date),
            },
            Cadence::Weekly { every, days } => week_day_from(date, start, (every, days)),
            Cadence::Monthly { every, day } => month_day_from(date, start, (every, day)),
            Cadence::Minutes(_) | Cadence::Hours(_) | Cadence::Cron(_) | Cadence::Once(_) => None,
        }
    }
}

fn week_day_from(date: Date, start: Date, (every, days): (u16, Days)) -> Option<Date> {
    if days.is_empty() {
        return None;
    }
    let (every, first) = (i32::from(every.max(1)), monday(start)?);
    let mut date = date;
    loop {
        let over = (days_between(first, monday(date)?) / 7) % every;
        let rest = 7 - i32::from(date.weekday().to_monday_zero_offset());
        if over == 0 {
            let mut week = (0..rest).filter_map(|ahead| add_days(date, ahead));
            if let Some(found) = week.find(|day| days.has(day.weekday())) {
                return Some(found);
            }
        }
        date = add_days(date, rest + (every - 1 - over) * 7)?;
    }
}

fn month_day_from(date: Date, start: Date, (every, day): (u16, MonthDay)) -> Option<Date> {
    let every = i32::from(every.max(1));
    let number = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
    let first = number(start);
    let over = (number(date) - first) % every;
    let mut month = number(date) + if over == 0 { 0 } else { every - over };
    loop {
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let of_year = i8::try_from(month.rem_euclid(12)).ok()? + 1;
        let first_day = Date::new(year, of_year, 1).ok()?;
        let last = first_day.days_in_month();
        let day = match day {
            MonthDay::On(day) => i8::try_from(day).map_or(last, |day| day.clamp(1, last)),
            MonthDay::Last => last,
        };
        let found = Date::new(year, of_year, day).ok()?;
        if found >= date {
            return Some(found);
        }
        month += every;
    }
}

/// The moment of a wall time. A missing wall time maps to the first moment after the gap, an ambiguous one to its first
/// occurrence.
#[must_use]
pub fn instant(zone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(wall);
    match found.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            // Interpreted with the later offset, the wall time is before the clock change.
            let before = after.to_timestamp(wall).ok()?;
            let mut changes = zone.following(before);
            changes.next().map(|change| change.timestamp())
        }
        _ => found.compatible().ok(),
    }
}

/// The first moment of a day in a zone.
#[must_use]
pub fn midnight(zone: &TimeZone, date: Date) -> Option<Timestamp> {
    instant(zone, date.into())
}

/// Returns `true` if the time zone database has a zone of this name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// A date as days since 1970.
#[must_use]
pub fn day_number(date: Date) -> i32 {
    days_between(Date::constant(1970, 1, 1), date)
}

/// The date of a day number since 1970, clamped to the supported calendar range.
#[must_use]
pub fn date_at(day: i32) -> Date {
    let outside = if day < 0 { Date::MIN } else { Date::MAX };
    add_days(Date::constant(1970, 1, 1), day).unwrap_or(outside)
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

fn add_days(date: Date, days: i32) -> Option<Date> {
    date.checked_add(Span::new().try_days(days).ok()?).ok()
}

fn monday(date: Date) -> Option<Date> {
    add_days(date, -i32::from(date.weekday().to_monday_zero_offset()))
}
