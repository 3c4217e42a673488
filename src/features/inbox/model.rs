//! Inbox records.

mod old;
pub mod pace;

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use crate::tasks::model::Task;
use kernel::{
    AccountId, AgentId, CommentId, DeliverableId, ItemId, ItemKind, ItemState, Priority, RunId,
    TaskId, Timestamp, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Table};

pub const INBOX: Table = Table::new(50, "inbox");
/// Open items by their start time. The dispatcher reads this index.
pub const DUE: Index = Index::multi(51, "inbox_due");
/// Item key. Unique for ever.
pub const BY_KEY: Index = Index::unique(52, "inbox_by_key");
/// Agent, then open or closed, then creation order.
pub const BY_AGENT: Index = Index::multi(53, "inbox_by_agent");
/// Task. Only open items.
pub const OPEN_BY_TASK: Index = Index::multi(54, "inbox_open_by_task");

/// Prefix of the last error of an item that was dropped after a failure. The original error follows.
pub const DROPPED_AFTER: &str = "dropped after: ";

/// A reason of an item. Reasons join an item while it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One line.
    pub summary: String,
    pub comment: Option<CommentId>,
    pub deliverable: Option<DeliverableId>,
    /// Causing person.
    pub person: Option<AccountId>,
    /// Causing agent.
    pub agent: Option<AgentId>,
    /// Attached text, such as a message or review note. At most 1 KiB.
    pub text: String,
}

/// Work for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    pub agent: AgentId,
    pub kind: ItemKind,
    pub task: Option<TaskId>,
    /// Kind, subject and sequence number of the causing entry.
    pub key: String,
    pub state: ItemState,
    pub priority: Priority,
    /// Oldest first.
    pub reasons: Vec<Reason>,
    /// Current or last run.
    pub run: Option<RunId>,
    /// Number of runs started for it.
    pub attempts: u32,
    /// Earliest start, for retries and snoozes.
    #[serde(with = "millisecond::optional")]
    pub not_before: Option<Timestamp>,
    /// Why it is held although due: `agent_paused`, `budget`, …
    pub held_reason: Option<String>,
    /// Last error, or reason of cancellation.
    pub last_error: Option<String>,
    /// Length of the chain of agents that caused it.
    pub depth: u8,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// Set when a person moved it to the front.
    #[serde(with = "millisecond::optional")]
    pub front_at: Option<Timestamp>,
    /// Since when `held_reason` applies.
    #[serde(with = "millisecond::optional")]
    pub held_since: Option<Timestamp>,
    /// Start of its waiting time. Moved forward by the time it was held.
    #[serde(with = "millisecond::required")]
    pub waits_from: Timestamp,
    /// Time of a person's latest reason.
    #[serde(with = "millisecond::optional")]
    pub asked_at: Option<Timestamp>,
    /// `true` if a person wants it started now, ignoring quiet hours and limits.
    pub pressed: bool,
}

impl Item {
    /// Returns `true` if the work failed permanently or ended without an outcome. Stopping by a person is no failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.state, ItemState::Failed | ItemState::DeadLetter)
            && !self.is_open()
            && self.last_error.as_deref() != Some("stopped")
    }

    /// Returns `true` if a run may still lease it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ItemState::Pending | ItemState::Leased)
            || (self.state == ItemState::Failed && self.not_before.is_some())
    }
}

impl Item {
    /// Returns `true` for assignments, which wait until their task is unblocked. Comments and other kinds do not wait.
    #[must_use]
    pub fn waits_for_blockers(&self) -> bool {
        let given = matches!(self.kind, ItemKind::TaskAssignment | ItemKind::TaskReassignment);
        given && self.is_open() && self.state != ItemState::Leased
    }
}

impl Record for Item {
    type Id = ItemId;
    const TABLE: Table = INBOX;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[DUE, BY_KEY, BY_AGENT, OPEN_BY_TASK];
    fn id(&self) -> ItemId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_KEY).text(&self.key);
        keys.entry(BY_AGENT).part(self.agent).u8(u8::from(!self.is_open()));
        if self.is_open() && self.state != ItemState::Leased {
            keys.entry(DUE).part(self.not_before.unwrap_or(self.created_at));
        }
        if let Some(task) = self.task.filter(|_| self.is_open()) {
            keys.entry(OPEN_BY_TASK).part(task);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
        refs.to::<Task>(2, self.task, OnDelete::Cascade);
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => old::item(body),
            _ => Err(DecodeError::UnknownVersion { table: INBOX.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ItemId::from_bytes([9; 16]),
            agent: AgentId::from_bytes([5; 16]),
            kind: ItemKind::TaskAssignment,
            task: Some(TaskId::from_bytes([2; 16])),
            key: "task_assignment:x:1".into(),
            state: ItemState::Pending,
            priority: Priority::High,
            reasons: vec![Reason {
                summary: "Task assigned".into(),
                comment: None,
                deliverable: None,
                person: Some(AccountId::from_bytes([1; 16])),
                agent: None,
                text: String::new(),
            }],
            run: Some(RunId::from_bytes([8; 16])),
            attempts: 1,
            not_before: Some(at),
            held_reason: None,
            last_error: None,
            depth: 0,
            created_at: at,
            updated_at: at,
            ended_at: None,
            front_at: Some(at),
            held_since: None,
            waits_from: at,
            asked_at: Some(at),
            pressed: true,
        }
    }
}
