//! Recurring tasks: what is made, when, and what was made. A released layout is frozen: add `SeriesV2`, raise
//! `VERSION`, extend `upgrade`.

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Task;
use crate::agents::model::Agent;
use crate::streams::model::Stream;
use kernel::cadence::date_at;
use kernel::{
    Actor, Assignee, MissedPolicy, Part, Priority, Schedule, SeriesId, StreamId, TaskId, Thinking,
    Timestamp, TypedId,
};
use store::{
    Class, Count, Counts, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec,
};

pub const SERIES: Table = Table::new(212, "series");
/// The next occurrence of those that are not paused.
pub const BY_NEXT: Index = Index::multi(213, "series_by_next");
/// How many tasks each series has made.
pub const SPAWNED: Count = Count::new(214, "series_spawned");
/// Occurrences for which a task was made: one row is one slot, so that none is used twice.
pub const OCCURRENCES: Table = Table::new(215, "occurrences");

/// Series and moment: what names a slot.
pub type Slot = (SeriesId, Timestamp);

/// When a task of a series is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueAfter {
    /// So many days after the day of its slot.
    pub days: u16,
    /// At this minute of that day; at its end when there is none.
    pub minute: Option<u16>,
}

/// A recurring task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub id: SeriesId,
    /// The title of each task.
    pub title: String,
    /// The description of each, in Markdown.
    pub description: String,
    /// How urgent each is.
    pub priority: Priority,
    /// Who each is for.
    pub assignee: Option<Assignee>,
    /// The stream of each.
    pub stream: Option<StreamId>,
    /// The model of each, in place of the agent's.
    pub model: Option<String>,
    /// The thinking level of each, in place of the agent's.
    pub thinking: Option<Thinking>,
    /// The names of the labels of each.
    pub labels: Vec<String>,
    pub schedule: Schedule,
    /// What becomes of the one before.
    pub missed: MissedPolicy,
    /// The last day on which one is made, in days since 1970.
    pub ends_on: Option<i32>,
    /// After how many it ends.
    pub ends_after: Option<u32>,
    /// Since when none is made.
    #[serde(with = "millisecond::optional")]
    pub paused_at: Option<Timestamp>,
    /// When the next one is made. Nothing while it is paused, and when it has ended.
    #[serde(with = "millisecond::optional")]
    pub next_at: Option<Timestamp>,
    pub created_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// When each is due; none is when there is nothing.
    pub due: Option<DueAfter>,
}

#[derive(Deserialize)]
struct SeriesV1 {
    id: SeriesId,
    title: String,
    description: String,
    priority: Priority,
    assignee: Option<Assignee>,
    stream: Option<StreamId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    labels: Vec<String>,
    schedule: Schedule,
    missed: MissedPolicy,
    ends_on: Option<i32>,
    ends_after: Option<u32>,
    #[serde(with = "millisecond::optional")]
    paused_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    next_at: Option<Timestamp>,
    created_by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

/// A series as it was kept when each task was due on the day of its slot.
fn without_due(body: &[u8]) -> Result<Series, DecodeError> {
    let old: SeriesV1 = codec::decode(body)?;
    Ok(Series {
        id: old.id,
        title: old.title,
        description: old.description,
        priority: old.priority,
        assignee: old.assignee,
        stream: old.stream,
        model: old.model,
        thinking: old.thinking,
        labels: old.labels,
        schedule: old.schedule,
        missed: old.missed,
        ends_on: old.ends_on,
        ends_after: old.ends_after,
        paused_at: old.paused_at,
        next_at: old.next_at,
        created_by: old.created_by,
        created_at: old.created_at,
        updated_at: old.updated_at,
        due: Some(DueAfter::default()),
    })
}

/// Whether a series makes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// It does.
    Active,
    /// Somebody paused it.
    Paused,
    /// Its last day or its last number has come.
    Ended,
}

impl Going {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Paused => "Paused",
            Self::Ended => "Ended",
        }
    }
}

impl Series {
    /// Whether it makes tasks.
    #[must_use]
    pub fn going(&self) -> Going {
        match (self.paused_at, self.next_at) {
            (Some(_), _) => Going::Paused,
            (None, Some(_)) => Going::Active,
            (None, None) => Going::Ended,
        }
    }

    /// The last day on which one is made.
    #[must_use]
    pub fn last_day(&self) -> Option<Date> {
        self.ends_on.map(date_at)
    }
}

impl Record for Series {
    type Id = SeriesId;
    const TABLE: Table = SERIES;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_NEXT];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["schedule", "ends_on", "ends_after", "paused_at", "next_at"]];

    fn id(&self) -> SeriesId {
        self.id
    }

    fn index(&self, keys: &mut Keys) {
        if let Some(next) = self.next_at.filter(|_| self.paused_at.is_none()) {
            keys.entry(BY_NEXT).part(next);
        }
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, self.assignee.and_then(Assignee::agent), OnDelete::Clear);
        refs.to::<Stream>(2, self.stream, OnDelete::Clear);
    }

    fn clear(&mut self, field: u8) {
        match field {
            1 => self.assignee = None,
            _ => self.stream = None,
        }
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => without_due(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: SeriesId::from_bytes([21; 16]),
            title: "Check the chargers".into(),
            description: "All **four**.".into(),
            priority: Priority::Medium,
            assignee: Some(Assignee::System),
            stream: Some(StreamId::from_bytes([20; 16])),
            model: None,
            thinking: Some(Thinking::Low),
            labels: vec!["yard".into()],
            schedule: Schedule::sample(),
            missed: MissedPolicy::Queue,
            ends_on: Some(20_800),
            ends_after: Some(12),
            paused_at: None,
            next_at: Some(at),
            created_by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            due: Some(DueAfter { days: 2, minute: Some(17 * 60) }),
        }
    }
}

/// A slot of a series for which a task was made. It stays when the task goes, so that no slot is ever
/// used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    pub series: SeriesId,
    /// The slot.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// What was made, while it is there.
    pub task: Option<TaskId>,
    /// How many slots before it were left out, since nobody was there.
    pub skipped: u32,
    #[serde(with = "millisecond::required")]
    pub made_at: Timestamp,
}

impl Record for Occurrence {
    type Id = Slot;
    const TABLE: Table = OCCURRENCES;
    const CLASS: Class = Class::Tracked;
    const COUNTS: &'static [Count] = &[SPAWNED];

    fn id(&self) -> Slot {
        (self.series, self.at)
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Series>(1, Some(self.series), OnDelete::Cascade);
        refs.to::<Task>(2, self.task, OnDelete::Clear);
    }

    fn clear(&mut self, field: u8) {
        if field == 2 {
            self.task = None;
        }
    }

    fn root(&self) -> Root {
        Root::of::<Series>(self.series)
    }

    fn counts(&self, counts: &mut Counts) {
        counts.one(SPAWNED).part(self.series);
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            series: SeriesId::from_bytes([21; 16]),
            at,
            task: Some(TaskId::from_bytes([2; 16])),
            skipped: 2,
            made_at: at,
        }
    }
}
