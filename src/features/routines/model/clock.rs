//! Runtime state of a routine: next instant, digest, awaited edits and failures. Stored separately, so that the history
//! of a routine shows only changes by people and agents. A released layout is frozen: add `ClockV3`, raise `VERSION`,
//! extend `upgrade`.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::cadence::Schedule;
use kernel::{Actor, FiringId, Part, RoutineId, TaskId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

use super::Routine;

pub const CLOCKS: Table = Table::new(233, "routine_clocks");
/// Routines by their next due time.
pub const DUE: Index = Index::multi(234, "routine_clocks_due");

/// An entry of a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// One line.
    pub subject: String,
    /// Length of the chain of routines that caused each other, including this one.
    pub depth: u8,
}

/// A task edit that may still be in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    pub task: TaskId,
    /// The editor.
    pub by: Actor,
    /// First change: feed entry and row index.
    pub first: (u64, u16),
    /// Last change: feed entry and position as in `Slot::Event`.
    pub last: (u64, u32),
    /// Edited fields.
    pub fields: Vec<String>,
    /// Length of the chain of routines that caused each other, including this one.
    pub depth: u8,
    /// Time of firing unless the text is edited again.
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub routine: RoutineId,
    /// Schedule of `next_at`. `None` while paused.
    pub schedule: Option<Schedule>,
    /// Next scheduled instant, without jitter.
    #[serde(with = "millisecond::optional")]
    pub next_at: Option<Timestamp>,
    /// Time of the last firing that started work.
    #[serde(with = "millisecond::optional")]
    pub last_at: Option<Timestamp>,
    /// The last firing that started work.
    pub last: Option<FiringId>,
    /// Number of firings that started work.
    pub count: u32,
    /// Consecutive failures.
    pub failures: u8,
    /// Start of the current rate-limit hour.
    #[serde(with = "millisecond::optional")]
    pub hour: Option<Timestamp>,
    /// Firings by events in that hour.
    pub in_hour: u32,
    /// Events beyond the hourly limit, as far as the digest lists them.
    pub gathered: Vec<Gathered>,
    /// Number of events beyond the hourly limit.
    pub gathered_count: u32,
    /// Edits that must settle before the routine fires.
    pub writing: Vec<Writing>,
    /// Maximum delay after an instant, in seconds.
    pub jitter_secs: u32,
    /// Time of the last failure notification.
    #[serde(with = "millisecond::optional")]
    pub alerted_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ClockV1 {
    routine: RoutineId,
    schedule: Option<Schedule>,
    #[serde(with = "millisecond::optional")]
    next_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    last_at: Option<Timestamp>,
    last: Option<FiringId>,
    count: u32,
    failures: u8,
    #[serde(with = "millisecond::optional")]
    hour: Option<Timestamp>,
    in_hour: u32,
    gathered: Vec<Gathered>,
    gathered_count: u32,
}

#[derive(Deserialize)]
struct ClockV2 {
    first: ClockV1,
    writing: Vec<Writing>,
}

/// Decodes the layout without `writing`.
fn before_writing(body: &[u8]) -> Result<Clock, DecodeError> {
    codec::decode(body).map(|first| of_former(ClockV2 { first, writing: Vec::new() }))
}

/// Decodes the layout without jitter.
fn before_delays(body: &[u8]) -> Result<Clock, DecodeError> {
    codec::decode(body).map(of_former)
}

fn of_former(ClockV2 { first: old, writing }: ClockV2) -> Clock {
    Clock {
        routine: old.routine,
        schedule: old.schedule,
        next_at: old.next_at,
        last_at: old.last_at,
        last: old.last,
        count: old.count,
        failures: old.failures,
        hour: old.hour,
        in_hour: old.in_hour,
        gathered: old.gathered,
        gathered_count: old.gathered_count,
        writing,
        jitter_secs: 0,
        alerted_at: None,
    }
}

impl Clock {
    /// Initial state.
    #[must_use]
    pub fn new(routine: RoutineId) -> Self {
        Self {
            routine,
            schedule: None,
            next_at: None,
            last_at: None,
            last: None,
            count: 0,
            failures: 0,
            hour: None,
            in_hour: 0,
            gathered: Vec::new(),
            gathered_count: 0,
            writing: Vec::new(),
            jitter_secs: 0,
            alerted_at: None,
        }
    }

    /// Firing time of an instant. Deterministic, so that a restart changes nothing, and different per routine, so that
    /// routines with the same instant do not start at once.
    #[must_use]
    pub fn fires_at(&self, instant: Timestamp) -> Timestamp {
        instant + delay(self.routine, instant, self.jitter_secs)
    }

    /// Time of the next digest.
    #[must_use]
    pub fn digest_at(&self) -> Option<Timestamp> {
        let hour = self.hour.filter(|_| 0 < self.gathered_count)?;
        Some(hour + SignedDuration::from_hours(1))
    }

    /// Next time at which the routine is due on its own.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let written = self.writing.iter().map(|one| one.due_at);
        let next = self.next_at.map(|at| self.fires_at(at));
        next.into_iter().chain(self.digest_at()).chain(written).min()
    }
}

/// Jitter of an instant, from 0 up to `most_secs`.
fn delay(routine: RoutineId, instant: Timestamp, most_secs: u32) -> SignedDuration {
    let (high, low) = routine.uuid().as_u64_pair();
    let mut mixed = 0_u64;
    // Ids from the same minute and instants from the same hour differ in few bits, so every bit must count.
    for part in [high, low, instant.as_millisecond().unsigned_abs()] {
        mixed = (mixed ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 29;
    }
    let parts = u64::from(most_secs) * 1_000 + 1;
    SignedDuration::from_millis(i64::try_from((mixed >> 16) % parts).unwrap_or_default())
}

impl Record for Clock {
    type Id = RoutineId;
    const TABLE: Table = CLOCKS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[DUE];

    fn id(&self) -> RoutineId {
        self.routine
    }

    fn index(&self, keys: &mut Keys) {
        if let Some(at) = self.due() {
            keys.entry(DUE).part(at);
        }
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Routine>(1, Some(self.routine), OnDelete::Cascade);
    }

    fn root(&self) -> Root {
        Root::of::<Routine>(self.routine)
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => before_writing(body),
            2 => before_delays(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            routine: RoutineId::from_bytes([21; 16]),
            schedule: None,
            next_at: Some(at),
            last_at: Some(at),
            last: Some(FiringId::from_bytes([22; 16])),
            count: 7,
            failures: 1,
            hour: Some(at),
            in_hour: 20,
            gathered: vec![Gathered { subject: "MC-142 Compare leasing prices".into(), depth: 1 }],
            gathered_count: 1,
            writing: vec![Writing {
                task: TaskId::from_bytes([2; 16]),
                by: Actor::System(Part::Setup),
                first: (812, 0),
                last: (815, 1),
                fields: vec!["title".into()],
                depth: 1,
                due_at: at,
            }],
            jitter_secs: 600,
            alerted_at: Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;

    const HOUR: i64 = 3_600_000;

    fn clock(n: u8, jitter_secs: u32) -> Clock {
        Clock { jitter_secs, ..Clock::new(RoutineId::from_bytes([n; 16])) }
    }

    fn delay_ms(clock: &Clock, instant: i64) -> i64 {
        clock.fires_at(from_ms(instant)).as_millisecond() - instant
    }

    #[test]
    fn routines_of_the_same_time_fire_spread_over_all_of_their_delay() {
        let start = 500_000 * HOUR;
        let mut tenths = [0; 10];
        for n in 0..200 {
            let late = delay_ms(&clock(n, 600), start);
            assert!((0..=600_000).contains(&late), "{late}");
            assert_eq!(late, delay_ms(&clock(n, 600), start), "it is always the same");
            tenths[usize::try_from(late * 10 / 600_001).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|tenth| (5..=40).contains(tenth)), "{tenths:?}");
        let days: std::collections::BTreeSet<i64> =
            (0..30).map(|day| delay_ms(&clock(7, 600), start + day * 24 * HOUR)).collect();
        assert!(25 < days.len(), "each day has its own: {days:?}");
    }

    #[test]
    fn without_a_delay_it_fires_on_time() {
        let clock = Clock { next_at: Some(from_ms(9 * HOUR)), ..clock(3, 0) };
        assert_eq!(clock.due(), Some(from_ms(9 * HOUR)));
    }
}
