//! Where a routine stands: its next instant, what it gathers, whose words it waits for, how often it failed.
//! Kept beside it, so that its own history is that of what people and agents did with it. A released layout
//! is frozen: add `ClockV2`, raise `VERSION`, extend `upgrade`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::kernel::cadence::Schedule;
use crate::kernel::{Actor, FiringId, Part, RoutineId, TaskId, Timestamp, TypedId};
use crate::store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

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
    /// The task.
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
    /// The routine.
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

/// A clock as it was kept before routines waited for words to rest.
fn before_writing(body: &[u8]) -> Result<Clock, DecodeError> {
    let old: ClockV1 = codec::decode(body)?;
    Ok(Clock {
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
        writing: Vec::new(),
    })
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
        }
    }

    /// When the digest is due of what was gathered.
    #[must_use]
    pub fn digest_at(&self) -> Option<Timestamp> {
        let hour = self.hour.filter(|_| 0 < self.gathered_count)?;
        Some(hour + jiff::SignedDuration::from_hours(1))
    }

    /// When it becomes due by itself.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let written = self.writing.iter().map(|one| one.due_at);
        self.next_at.into_iter().chain(self.digest_at()).chain(written).min()
    }
}

impl Record for Clock {
    type Id = RoutineId;
    const TABLE: Table = CLOCKS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
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
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = crate::kernel::time::from_ms(1_700_000_000_000);
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
        }
    }
}
