//! Records of recurring tasks: series and used slots. A released layout is frozen: add `SeriesV2`, raise `VERSION`,
//! extend `upgrade`.

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
/// Next slot of active series.
pub const BY_NEXT: Index = Index::multi(213, "series_by_next");
/// Number of created tasks per series.
pub const SPAWNED: Count = Count::new(214, "series_spawned");
/// Used slots. One row per slot, so that none is used twice.
pub const OCCURRENCES: Table = Table::new(215, "occurrences");

/// A slot: series and time.
pub type Slot = (SeriesId, Timestamp);

/// Due rule of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueAfter {
    /// Days after the day of the slot.
    pub days: u16,
    /// Minute of that day. `None` means the end of the day.
    pub minute: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub id: SeriesId,
    pub title: String,
    /// Markdown.
    pub description: String,
    pub priority: Priority,
    pub assignee: Option<Assignee>,
    pub stream: Option<StreamId>,
    /// Overrides the agent's model.
    pub model: Option<String>,
    /// Overrides the agent's thinking level.
    pub thinking: Option<Thinking>,
    /// Label names.
    pub labels: Vec<String>,
    pub schedule: Schedule,
    /// Policy for the previous occurrence if it is still open.
    pub missed: MissedPolicy,
    /// Last day, inclusive, in days since 1970.
    pub ends_on: Option<i32>,
    /// Number of tasks after which the series ends.
    pub ends_after: Option<u32>,
    #[serde(with = "millisecond::optional")]
    pub paused_at: Option<Timestamp>,
    /// Next slot. `None` while paused and after the end.
    #[serde(with = "millisecond::optional")]
    pub next_at: Option<Timestamp>,
    pub created_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Due rule. `None` creates tasks without a due date.
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

/// Decodes the layout in which every task was due on the day of its slot.
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

/// State of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    Active,
    Paused,
    /// The last day or the last task is reached.
    Ended,
}

impl Going {
    /// The API word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

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
    #[must_use]
    pub fn going(&self) -> Going {
        match (self.paused_at, self.next_at) {
            (Some(_), _) => Going::Paused,
            (None, Some(_)) => Going::Active,
            (None, None) => Going::Ended,
        }
    }

    /// Last day, inclusive.
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

/// A used slot. The row outlives its task, so that no slot is used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    pub series: SeriesId,
    /// Time of the slot.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// The created task, while it exists.
    pub task: Option<TaskId>,
    /// Number of slots before this one that were missed and skipped.
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
