//! Where a routine stands: its next instant, what it gathers, how often it failed. Kept beside it, so
//! that its own history is that of what people and agents did with it.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::kernel::cadence::Schedule;
use crate::kernel::{FiringId, RoutineId, Timestamp, TypedId};
use crate::store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

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
        self.next_at.into_iter().chain(self.digest_at()).min()
    }
}

impl Record for Clock {
    type Id = RoutineId;
    const TABLE: Table = CLOCKS;
    const CLASS: Class = Class::Work;
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
        }
    }
}
