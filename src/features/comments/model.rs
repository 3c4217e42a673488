//! Comment records.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::features::tasks::model::Task;
use crate::kernel::{AccountId, Actor, AgentId, CommentId, Part, TaskId, Timestamp, TypedId};
use crate::store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

/// Comments.
pub const COMMENTS: Table = Table::new(30, "comments");
/// Task, then the order of writing.
pub const BY_TASK: Index = Index::multi(31, "comments_by_task");

/// A comment on a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The task.
    pub task: TaskId,
    /// Markdown.
    pub body: String,
    /// Who wrote it.
    pub author: Actor,
    /// The agents mentioned.
    pub mentions: Vec<AgentId>,
    /// The members mentioned.
    pub people: Vec<AccountId>,
    /// Whether the task's agent was to be left alone.
    pub note_only: bool,
    /// When.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[serde(with = "millisecond::optional")]
    pub edited_at: Option<Timestamp>,
}

impl Record for Comment {
    type Id = CommentId;
    const TABLE: Table = COMMENTS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_TASK];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["body", "mentions", "people", "edited_at"]];
    fn id(&self) -> CommentId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_TASK).part(self.task);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Task>(1, Some(self.task), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Task>(self.task)
    }
    fn sample() -> Self {
        Self {
            id: CommentId::from_bytes([4; 16]),
            task: TaskId::from_bytes([2; 16]),
            body: "@ada please look".into(),
            author: Actor::System(Part::Setup),
            mentions: vec![AgentId::from_bytes([5; 16])],
            people: vec![AccountId::from_bytes([1; 16])],
            note_only: false,
            created_at: crate::kernel::time::from_ms(1_700_000_000_000),
            edited_at: None,
        }
    }
}
