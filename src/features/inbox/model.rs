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

/// Inbox items.
pub const INBOX: Table = Table::new(50, "inbox");
/// Items that may still be worked on, by the moment from which they may: what the dispatcher reads.
pub const DUE: Index = Index::multi(51, "inbox_due");
/// The key, used once for ever.
pub const BY_KEY: Index = Index::unique(52, "inbox_by_key");
/// Agent, then whether it is over, then the order of making.
pub const BY_AGENT: Index = Index::multi(53, "inbox_by_agent");
/// Task, open items only.
pub const OPEN_BY_TASK: Index = Index::multi(54, "inbox_open_by_task");

/// Begins the last error of an item that was put away after it had failed; the error follows.
pub const DROPPED_AFTER: &str = "dropped after: ";

/// One reason in an item: items join while they wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One line for people and models.
    pub summary: String,
    pub comment: Option<CommentId>,
    pub deliverable: Option<DeliverableId>,
    /// The person who caused it.
    pub person: Option<AccountId>,
    /// The agent that caused it.
    pub agent: Option<AgentId>,
    /// Text that belongs to it: a message, a review note; at most 1 KiB.
    pub text: String,
}

/// Something for an agent to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    /// For whom.
    pub agent: AgentId,
    pub kind: ItemKind,
    pub task: Option<TaskId>,
    /// Kind, subject and the causing entry's seq.
    pub key: String,
    pub state: ItemState,
    /// How urgent it is.
    pub priority: Priority,
    /// The reasons, oldest first.
    pub reasons: Vec<Reason>,
    /// The run that has or had it.
    pub run: Option<RunId>,
    /// How often a run was started for it.
    pub attempts: u32,
    /// Not before this moment: retry, snooze.
    #[serde(with = "millisecond::optional")]
    pub not_before: Option<Timestamp>,
    /// Why it is held although it is due: `agent_paused`, `budget`, …
    pub held_reason: Option<String>,
    /// What went wrong last, or why it was cancelled.
    pub last_error: Option<String>,
    /// How deep the chain of agents that caused it is.
    pub depth: u8,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// When a person moved it to the front.
    #[serde(with = "millisecond::optional")]
    pub front_at: Option<Timestamp>,
    /// Since when it is held for this reason.
    #[serde(with = "millisecond::optional")]
    pub held_since: Option<Timestamp>,
    /// From when on its waiting counts: moved on by what held it meanwhile.
    #[serde(with = "millisecond::required")]
    pub waits_from: Timestamp,
    /// When a person last gave a reason for it.
    #[serde(with = "millisecond::optional")]
    pub asked_at: Option<Timestamp>,
    /// Whether a person wants it begun now: neither quiet hours nor a limit hold it.
    pub pressed: bool,
}

impl Item {
    /// Whether its work failed for good, or ended without an outcome. What a person stopped has not failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.state, ItemState::Failed | ItemState::DeadLetter)
            && !self.is_open()
            && self.last_error.as_deref() != Some("stopped")
    }

    /// Whether a run may still take it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ItemState::Pending | ItemState::Leased)
            || (self.state == ItemState::Failed && self.not_before.is_some())
    }
}

impl Item {
    /// Whether it is begun only when nothing holds its task up. What somebody says about a task is heard
    /// in any case.
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
