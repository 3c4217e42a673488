//! Months and days for usage. Budgets use UTC, so that a period ends at one time for all; pages use the workspace's
//! zone.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use kernel::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// The UTC month of a time.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// The month of a day counted from 1970.
    #[must_use]
    pub fn of_day(day: u32) -> Self {
        Self(Self::date_of(day).first_of_month())
    }

    /// First day, counted from 1970.
    #[must_use]
    pub fn first_day(self) -> u32 {
        super::model::day_of(self.start())
    }

    /// Parses `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let year: i16 = year.parse().ok().filter(|year| (2000..=9000).contains(year))?;
        let month: i8 = month.parse().ok().filter(|month| (1..=12).contains(month))?;
        Some(Self(date(year, month, 1)))
    }

    /// UTC start of the month.
    #[must_use]
    pub fn start(self) -> Timestamp {
        moment(self.0)
    }

    /// UTC start of the last day.
    #[must_use]
    pub fn last(self) -> Timestamp {
        moment(self.0.last_of_month())
    }

    /// Number of days.
    #[must_use]
    pub fn days(self) -> u32 {
        u32::from(self.0.days_in_month().unsigned_abs())
    }

    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.checked_sub(1.month()).unwrap_or(self.0))
    }

    #[must_use]
    pub fn after(self) -> Self {
        Self(self.0.checked_add(1.month()).unwrap_or(self.0))
    }

    /// "November 2026".
    #[must_use]
    pub fn label(self) -> String {
        self.0.strftime("%B %Y").to_string()
    }

    /// The date of a day counted from 1970.
    #[must_use]
    pub fn date_of(day: u32) -> Date {
        let at = Timestamp::from_second(i64::from(day) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(TimeZone::UTC).date()
    }
}

fn moment(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::Month;

    #[test]
    fn a_month_reads_what_it_prints_and_knows_its_neighbours() {
        let month = Month::parse("2026-11").unwrap();
        assert_eq!(month.to_string(), "2026-11");
        assert_eq!((month.days(), month.label().as_str()), (30, "November 2026"));
        assert_eq!(month.start().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(month.last().to_string(), "2026-11-30T00:00:00Z");
        assert_eq!(Month::parse("2026-12").unwrap(), month.after());
        assert_eq!(Month::parse("2026-01").unwrap().before().to_string(), "2025-12");
        assert_eq!(
            (Month::of_day(month.first_day()), Month::of_day(month.first_day() + 29)),
            (month, month)
        );
        assert_eq!(Month::of("2026-11-30T23:59:59Z".parse().unwrap()), month);
        for wrong in ["", "2026", "2026-13", "26-01", "x-1"] {
            assert_eq!(Month::parse(wrong), None, "{wrong}");
        }
    }
}
