//! Comment records. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::places::Place;
use kernel::{
    AccountId, Actor, AgentId, Assignee, CommentId, Part, ReactionId, ReactionKind, TaskId,
    Timestamp, TypedId,
};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

pub const COMMENTS: Table = Table::new(30, "comments");
/// Subject, then creation order.
pub const BY_TASK: Index = Index::multi(31, "comments_by_task");
/// Parent comment, then creation order.
pub const BY_PARENT: Index = Index::multi(270, "comments_by_parent");
pub const REACTIONS: Table = Table::new(271, "reactions");
/// Comment, kind, author.
pub const BY_COMMENT: Index = Index::unique(272, "reactions_by_comment");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub id: CommentId,
    pub on: Place,
    /// Markdown.
    pub body: String,
    pub author: Actor,
    pub mentions: Vec<AgentId>,
    /// Mentioned members.
    pub people: Vec<AccountId>,
    /// `true` if only mentioned agents are informed.
    pub note_only: bool,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub edited_at: Option<Timestamp>,
    /// Parent comment. A parent is never a reply itself.
    pub parent: Option<CommentId>,
    /// Everybody this comment has informed. Nobody is informed twice.
    pub called: Vec<Assignee>,
    /// Who resolved the thread that starts with this comment.
    pub settled_by: Option<Assignee>,
    #[serde(with = "millisecond::optional")]
    pub settled_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct CommentV1 {
    id: CommentId,
    task: TaskId,
    body: String,
    author: Actor,
    mentions: Vec<AgentId>,
    people: Vec<AccountId>,
    note_only: bool,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    edited_at: Option<Timestamp>,
}

impl From<CommentV1> for Comment {
    fn from(old: CommentV1) -> Self {
        let agents = old.mentions.iter().copied().map(Assignee::Agent);
        let people = old.people.iter().copied().map(Assignee::Person);
        Self {
            called: agents.chain(people).collect(),
            id: old.id,
            on: Place::Task(old.task),
            body: old.body,
            author: old.author,
            mentions: old.mentions,
            people: old.people,
            note_only: old.note_only,
            created_at: old.created_at,
            edited_at: old.edited_at,
            parent: None,
            settled_by: None,
            settled_at: None,
        }
    }
}

/// The layout before comments on records.
#[derive(Deserialize)]
struct CommentV2 {
    id: CommentId,
    task: TaskId,
    body: String,
    author: Actor,
    mentions: Vec<AgentId>,
    people: Vec<AccountId>,
    note_only: bool,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    edited_at: Option<Timestamp>,
    parent: Option<CommentId>,
    called: Vec<Assignee>,
    settled_by: Option<Assignee>,
    #[serde(with = "millisecond::optional")]
    settled_at: Option<Timestamp>,
}

impl From<CommentV2> for Comment {
    fn from(old: CommentV2) -> Self {
        Self {
            id: old.id,
            on: Place::Task(old.task),
            body: old.body,
            author: old.author,
            mentions: old.mentions,
            people: old.people,
            note_only: old.note_only,
            created_at: old.created_at,
            edited_at: old.edited_at,
            parent: old.parent,
            called: old.called,
            settled_by: old.settled_by,
            settled_at: old.settled_at,
        }
    }
}

impl Record for Comment {
    type Id = CommentId;
    const TABLE: Table = COMMENTS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 3;
    const INDEXES: &'static [Index] = &[BY_TASK, BY_PARENT];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["body", "mentions", "people", "edited_at", "called"], &["settled_by", "settled_at"]];
    fn id(&self) -> CommentId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_TASK).raw(self.on.key().bytes());
        if let Some(parent) = self.parent {
            keys.entry(BY_PARENT).part(parent);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to_root(1, self.on.root(), OnDelete::Cascade);
        // Replies to a deleted comment become independent, unless a rule has moved them.
        refs.to::<Self>(2, self.parent, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.parent = None;
    }
    fn root(&self) -> Root {
        self.on.root()
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<CommentV1>(body).map(Self::from),
            2 => codec::decode::<CommentV2>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: COMMENTS.name, version }),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: CommentId::from_bytes([4; 16]),
            on: Place::Task(TaskId::from_bytes([2; 16])),
            body: "@ada please look".into(),
            author: Actor::System(Part::Setup),
            mentions: vec![AgentId::from_bytes([5; 16])],
            people: vec![AccountId::from_bytes([1; 16])],
            note_only: false,
            created_at: at,
            edited_at: None,
            parent: Some(CommentId::from_bytes([9; 16])),
            called: vec![Assignee::Agent(AgentId::from_bytes([5; 16]))],
            settled_by: Some(Assignee::Person(AccountId::from_bytes([1; 16]))),
            settled_at: Some(at),
        }
    }
}

/// A reaction to a comment. Each author can add each kind once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    pub id: ReactionId,
    pub comment: CommentId,
    /// Subject of the comment.
    pub on: Place,
    pub kind: ReactionKind,
    pub by: Assignee,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

#[derive(Deserialize)]
struct ReactionV1 {
    id: ReactionId,
    comment: CommentId,
    task: TaskId,
    kind: ReactionKind,
    by: Assignee,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl From<ReactionV1> for Reaction {
    fn from(old: ReactionV1) -> Self {
        Self {
            id: old.id,
            comment: old.comment,
            on: Place::Task(old.task),
            kind: old.kind,
            by: old.by,
            created_at: old.created_at,
        }
    }
}

impl Record for Reaction {
    type Id = ReactionId;
    const TABLE: Table = REACTIONS;
    const CLASS: Class = Class::Tracked;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[BY_COMMENT];
    fn id(&self) -> ReactionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_COMMENT).part(self.comment).u8(self.kind as u8).part(self.by);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Comment>(1, Some(self.comment), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        self.on.root()
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            1 => codec::decode::<ReactionV1>(body).map(Self::from),
            _ => Err(DecodeError::UnknownVersion { table: REACTIONS.name, version }),
        }
    }
    fn sample() -> Self {
        Self {
            id: ReactionId::from_bytes([25; 16]),
            comment: CommentId::from_bytes([4; 16]),
            on: Place::Task(TaskId::from_bytes([2; 16])),
            kind: ReactionKind::Heart,
            by: Assignee::Person(AccountId::from_bytes([1; 16])),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
