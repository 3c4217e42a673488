//! Task records. A released layout is frozen in `old`: add it there, raise `VERSION`, extend `upgrade`.

pub mod label;
mod old;
pub mod overdue;
pub mod relation;
pub mod series;
pub mod template;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::streams::model::Stream;
use kernel::{
    Actor, Assignee, Part, Priority, SeriesId, StreamId, TaskId, TaskStatus, TemplateId, Thinking,
    Timestamp, TypedId, rank,
};
use store::{Class, Count, Counts, DecodeError, Index, Keys, OnDelete, Record, Refs, Table};

pub const TASKS: Table = Table::new(20, "tasks");
/// Assignee, status, due (or the end of time). Answers "what should this agent do next?"
pub const BY_ASSIGNEE: Index = Index::multi(21, "tasks_by_assignee");
pub const BY_NUMBER: Index = Index::unique(22, "tasks_by_number");
/// Status, then priority in descending order, then due. Excludes archived tasks.
pub const BY_STATUS: Index = Index::multi(23, "tasks_by_status");
/// Number of tasks per status. Excludes archived tasks.
pub const OPEN_COUNT: Count = Count::new(24, "tasks_by_status_count");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    /// Unique in the workspace.
    pub number: u32,
    /// One line.
    pub title: String,
    /// Markdown.
    pub description: String,
    pub status: TaskStatus,
    pub priority: Priority,
    pub assignee: Option<Assignee>,
    /// Counts assignments and reopenings. Part of the inbox key.
    pub assignment: u32,
    pub parent: Option<TaskId>,
    /// Overrides the agent's model.
    pub model: Option<String>,
    /// Overrides the agent's thinking level.
    pub thinking: Option<Thinking>,
    #[serde(with = "millisecond::optional")]
    pub due_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    pub completed_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
    pub created_by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    pub stream: Option<StreamId>,
    #[serde(with = "millisecond::optional")]
    pub start_at: Option<Timestamp>,
    /// `false` means that the task is due at the end of a day.
    pub due_has_time: bool,
    /// Manual order: a key of [`rank`].
    pub rank: String,
    pub series: Option<SeriesId>,
    /// Slot of the series.
    #[serde(with = "millisecond::optional")]
    pub occurrence_at: Option<Timestamp>,
    /// Status before the task became missed.
    pub before_missed: Option<TaskStatus>,
    /// Template that the task was created from.
    pub template: Option<TemplateId>,
}

impl Record for Task {
    type Id = TaskId;
    const TABLE: Table = TASKS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_ASSIGNEE, BY_NUMBER, BY_STATUS];
    const COUNTS: &'static [Count] = &[OPEN_COUNT];
    const TOGETHER: &'static [&'static [&'static str]] = &[
        &["status", "completed_at", "before_missed"],
        &["assignee", "assignment"],
        &["due_at", "due_has_time"],
        &["series", "occurrence_at"],
    ];

    fn id(&self) -> TaskId {
        self.id
    }

    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_NUMBER).part(self.number);
        if self.archived_at.is_some() {
            return;
        }
        if let Some(who) = self.assignee {
            let key = keys.entry(BY_ASSIGNEE).part(who);
            key.u8(self.status as u8).time_or_max(self.due_at);
        }
        let key = keys.entry(BY_STATUS).u8(self.status as u8);
        key.u8(u8::MAX - self.priority as u8).time_or_max(self.due_at);
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, self.assignee.and_then(Assignee::agent), OnDelete::Clear);
        refs.to::<Task>(2, self.parent, OnDelete::Cascade);
        refs.to::<Stream>(3, self.stream, OnDelete::Clear);
        refs.to::<series::Series>(4, self.series, OnDelete::Clear);
        refs.to::<template::Template>(5, self.template, OnDelete::Clear);
    }

    fn clear(&mut self, field: u8) {
        match field {
            1 => self.assignee = None,
            3 => self.stream = None,
            5 => self.template = None,
            _ => (self.series, self.occurrence_at) = (None, None),
        }
    }

    fn counts(&self, counts: &mut Counts) {
        if self.archived_at.is_none() {
            counts.one(OPEN_COUNT).u8(self.status as u8);
        }
    }

    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => old::first(body),
            2 => old::second(body),
            _ => Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version }),
        }
    }

    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: TaskId::from_bytes([2; 16]),
            number: 142,
            title: "Compare leasing prices".into(),
            description: "Five rivals, **cargo bikes**.".into(),
            status: TaskStatus::InProgress,
            priority: Priority::High,
            assignee: Some(Assignee::System),
            assignment: 3,
            parent: Some(TaskId::from_bytes([3; 16])),
            model: Some("claude".into()),
            thinking: Some(Thinking::High),
            due_at: Some(at),
            completed_at: None,
            archived_at: None,
            created_by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            stream: Some(StreamId::from_bytes([20; 16])),
            start_at: Some(at),
            due_has_time: true,
            rank: rank::nth(142),
            series: Some(SeriesId::from_bytes([24; 16])),
            occurrence_at: Some(at),
            before_missed: Some(TaskStatus::Todo),
            template: Some(TemplateId::from_bytes([26; 16])),
        }
    }
}
