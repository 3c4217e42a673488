//! Payers of model calls and budget periods. Days, weeks and months are in UTC, so that a budget period ends at the
//! same moment for everybody.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::id::{AgentId, RoutineId, RunId, StreamId, TaskId};
use super::time::Timestamp;
use super::vocab::Period;

/// A payer of model calls. Each payer may have budgets. Stored by position: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Payer {
    /// The workspace, which pays for every call.
    Workspace,
    /// An agent.
    Agent(AgentId),
    /// A task. Its ancestor tasks pay too.
    Task(TaskId),
    /// A single run.
    Run(RunId),
    /// A stream, which pays for runs on its tasks.
    Stream(StreamId),
    /// A routine, which pays for the runs that it starts and for runs on tasks that it creates.
    Routine(RoutineId),
}

impl Payer {
    /// Stable word: `workspace`, `agent`, `task`, `run`, `stream` or `routine`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Agent(_) => "agent",
            Self::Task(_) => "task",
            Self::Run(_) => "run",
            Self::Stream(_) => "stream",
            Self::Routine(_) => "routine",
        }
    }

    /// The budget periods available for this payer.
    #[must_use]
    pub fn periods(self) -> &'static [Period] {
        match self {
            Self::Workspace | Self::Agent(_) | Self::Task(_) | Self::Stream(_) => Period::ALL,
            // The limit per run is a field of the routine.
            Self::Routine(_) => &[Period::Day, Period::Week, Period::Month, Period::Total],
            Self::Run(_) => &[Period::Total],
        }
    }
}

impl Period {
    /// The first day of the period that contains `now`, in days since 1970. Identifies the period.
    #[must_use]
    pub fn first_day(self, now: Timestamp) -> u32 {
        let date = now.to_zoned(TimeZone::UTC).date();
        match self {
            Self::Day => day_number(date),
            // 1 January 1970 was a Thursday; weeks begin on Monday.
            Self::Week => {
                let day = day_number(date);
                day - (day + 3) % 7
            }
            Self::Month => day_number(date.first_of_month()),
            Self::Total | Self::Run => 0,
        }
    }

    /// The end of the period that contains `now`; `None` if it never ends.
    #[must_use]
    pub fn ends(self, now: Timestamp) -> Option<Timestamp> {
        let first = now.to_zoned(TimeZone::UTC).date();
        let next = match self {
            Self::Day => first.tomorrow(),
            Self::Week => date_of(self.first_day(now)).checked_add(7.days()),
            Self::Month => first.last_of_month().tomorrow(),
            Self::Total | Self::Run => return None,
        };
        let next = next.and_then(|date| date.to_zoned(TimeZone::UTC));
        next.ok().map(|zoned| zoned.timestamp())
    }

    /// When a used up budget becomes available again, in words.
    #[must_use]
    pub fn renewal(self) -> Option<&'static str> {
        match self {
            Self::Day => Some("tomorrow"),
            Self::Week => Some("next week"),
            Self::Month => Some("next month"),
            Self::Total | Self::Run => None,
        }
    }

    /// Suffix for a payer's name: `Ada's budget of this month`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Day => "today",
            Self::Week => "this week",
            Self::Month => "this month",
            Self::Total => "in total",
            Self::Run => "per run",
        }
    }
}

/// A date as days since 1970.
fn day_number(date: Date) -> u32 {
    let since = Date::constant(1970, 1, 1).until(date);
    since.ok().and_then(|span| u32::try_from(span.get_days()).ok()).unwrap_or(0)
}

/// The date of a day number since 1970.
#[must_use]
pub fn date_of(day: u32) -> Date {
    let at = Timestamp::from_second(i64::from(day) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::{Period, Timestamp, date_of};

    #[test]
    fn periods_begin_and_end_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-20T23:59:59Z"); // a Friday
        let first = |period: Period| date_of(period.first_day(now)).to_string();
        assert_eq!(first(Period::Day), "2026-11-20");
        assert_eq!(first(Period::Week), "2026-11-16");
        assert_eq!(first(Period::Month), "2026-11-01");
        assert_eq!((Period::Total.first_day(now), Period::Run.first_day(now)), (0, 0));
        assert_eq!(Period::Day.ends(now), Some(at("2026-11-21T00:00:00Z")));
        assert_eq!(Period::Week.ends(now), Some(at("2026-11-23T00:00:00Z")));
        assert_eq!(Period::Month.ends(now), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!((Period::Total.ends(now), Period::Run.ends(now)), (None, None));
        let end = at("2026-12-31T23:59:59Z");
        assert_eq!(Period::Month.ends(end), Some(at("2027-01-01T00:00:00Z")));
        for day in 0..40 {
            let now = Timestamp::from_second(1_795_000_000 + day * 86_400).unwrap();
            for period in [Period::Day, Period::Week, Period::Month] {
                let end = period.ends(now).unwrap();
                assert!(now < end, "{period}");
                let last = Timestamp::from_second(end.as_second() - 1).unwrap();
                assert_eq!(period.first_day(last), period.first_day(now), "{period}");
                assert!(period.first_day(now) < period.first_day(end), "{period}");
            }
        }
    }
}
