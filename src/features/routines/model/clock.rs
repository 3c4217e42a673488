//! Where a routine stands: its next instant, what it gathers, whose words it waits for, how often it failed.
//! Kept beside it, so that its own history is that of what people and agents did with it. A released layout
//! is frozen: add `ClockV3`, raise `VERSION`, extend `upgrade`.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::cadence::Schedule;
use kernel::{Actor, FiringId, Part, RoutineId, TaskId, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

use super::Routine;

/// Where routines stand.
pub const CLOCKS: Table = Table::new(233, "routine_clocks");
/// Those that become due by themselves, by the moment.
pub const DUE: Index = Index::multi(234, "routine_clocks_due");

/// Something that is told in a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// What it was about, in one line.
    pub subject: String,
    /// How many routines caused each other, with this one.
    pub depth: u8,
}

/// Words of a task that somebody may still be writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    pub task: TaskId,
    /// Who writes.
    pub by: Actor,
    /// The first change: its entry of the feed and its place among the rows there.
    pub first: (u64, u16),
    /// The last one: its entry and its place as a slot names it.
    pub last: (u64, u32),
    /// The fields that were written.
    pub fields: Vec<String>,
    /// How many routines caused each other, with this one.
    pub depth: u8,
    /// When the routine fires, unless more is written.
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
}

/// Where a routine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub routine: RoutineId,
    /// The schedule that the next instant is of; none while it stands still.
    pub schedule: Option<Schedule>,
    /// The next instant.
    #[serde(with = "millisecond::optional")]
    pub next_at: Option<Timestamp>,
    /// When it last began something.
    #[serde(with = "millisecond::optional")]
    pub last_at: Option<Timestamp>,
    /// The last firing that began something.
    pub last: Option<FiringId>,
    /// How often it began something.
    pub count: u32,
    /// Failures one after the other.
    pub failures: u8,
    /// When the hour began in which events are counted.
    #[serde(with = "millisecond::optional")]
    pub hour: Option<Timestamp>,
    /// How many of them made it fire in that hour.
    pub in_hour: u32,
    /// What was too much for that hour, as far as it is told.
    pub gathered: Vec<Gathered>,
    /// How much that was.
    pub gathered_count: u32,
    /// Words that it waits for until they rest.
    pub writing: Vec<Writing>,
    /// Within how many seconds after an instant it fires.
    pub jitter_secs: u32,
    /// When it was last told that what it begins fails.
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

/// A clock as it was kept before routines waited for words to rest.
fn before_writing(body: &[u8]) -> Result<Clock, DecodeError> {
    codec::decode(body).map(|first| of_former(ClockV2 { first, writing: Vec::new() }))
}

/// A clock as it was kept before routines fired later than their time.
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
    /// A routine that has done nothing yet.
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

    /// When it fires for an instant: always at the same moment, so that a restart changes nothing, and at
    /// another one than other routines, so that not all that have the same time begin at once.
    #[must_use]
    pub fn fires_at(&self, instant: Timestamp) -> Timestamp {
        instant + delay(self.routine, instant, self.jitter_secs)
    }

    /// When the digest is due of what was gathered.
    #[must_use]
    pub fn digest_at(&self) -> Option<Timestamp> {
        let hour = self.hour.filter(|_| 0 < self.gathered_count)?;
        Some(hour + SignedDuration::from_hours(1))
    }

    /// When it becomes due by itself.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let written = self.writing.iter().map(|one| one.due_at);
        let next = self.next_at.map(|at| self.fires_at(at));
        next.into_iter().chain(self.digest_at()).chain(written).min()
    }
}

/// How long after an instant a routine fires: from 0 up to so many seconds.
fn delay(routine: RoutineId, instant: Timestamp, most_secs: u32) -> SignedDuration {
    let (high, low) = routine.uuid().as_u64_pair();
    let mut mixed = 0_u64;
    // Ids of the same minute and instants of the same hour differ in few bits: each has to count.
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
