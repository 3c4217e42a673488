//! Sub-agents: runs that another run created for a part of its work.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Run;
use kernel::{InputId, RunId, SessionId, Thinking, Timestamp, TypedId};
use store::{Class, DecodeError, Index, Keys, OnDelete, Record, Refs, Root, Table, codec};

pub const CHILDREN: Table = Table::new(175, "subagents");
/// Parent run, then creation order.
pub const CHILDREN_BY_PARENT: Index = Index::multi(176, "subagents_by_parent");
/// Conversation of the parent run.
pub const CHILDREN_BY_SESSION: Index = Index::multi(177, "subagents_by_session");
/// Root run.
pub const CHILDREN_BY_ROOT: Index = Index::multi(178, "subagents_by_root");

/// The call that waits for a sub-agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The waiting run.
    pub run: RunId,
    /// Number of the call in that run.
    pub step: u32,
    /// Whether the wait ends with the first sub-agent that ends.
    pub any: bool,
}

/// Sub-agent record of a run. Its rights are fixed at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    pub run: RunId,
    /// The run that created it.
    pub parent: RunId,
    /// Conversation of the parent run, which receives the result.
    pub session: SessionId,
    /// The topmost ancestor run.
    pub root: RunId,
    /// Number of ancestor runs.
    pub depth: u8,
    /// Whether it may create sub-agents itself.
    pub may_spawn: bool,
    /// Name given by its parent; may be empty.
    pub name: String,
    /// `None`: the default level.
    pub thinking: Option<Thinking>,
    /// Spending limit in micro-dollars; `None` without a limit of its own.
    pub limit_micros: Option<i64>,
    /// Token limit; `None` without a limit of its own.
    pub limit_tokens: Option<i64>,
    /// The waiting call, if any.
    pub awaited: Option<Awaited>,
    /// Its answer, or the reason for its failure.
    pub result: String,
    /// The message that reports its end to the parent's conversation.
    pub input: Option<InputId>,
    /// Whether its end was reported to the parent or needs no report.
    pub told: bool,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub ended_at: Option<Timestamp>,
    /// Limit of work time in minutes; `None` if only the general run limit applies.
    pub minutes: Option<u32>,
    /// Whether it may run programs if its agent may: no more rights than its parent has.
    pub may_exec: bool,
    /// Whether its programs may use the network if its agent's may.
    pub may_network: bool,
    /// Whether it began with a copy of its parent's conversation.
    pub forked: bool,
}

#[derive(Deserialize)]
struct ChildV1 {
    run: RunId,
    parent: RunId,
    session: SessionId,
    root: RunId,
    depth: u8,
    may_spawn: bool,
    name: String,
    thinking: Option<Thinking>,
    limit_micros: Option<i64>,
    limit_tokens: Option<i64>,
    awaited: Option<Awaited>,
    result: String,
    input: Option<InputId>,
    told: bool,
    #[serde(with = "millisecond::required")]
    at: Timestamp,
    #[serde(with = "millisecond::optional")]
    ended_at: Option<Timestamp>,
}

impl Child {
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Whether this call waits for it.
    #[must_use]
    pub fn is_awaited_by(&self, run: RunId, step: u32) -> bool {
        self.awaited.as_ref().is_some_and(|by| (by.run, by.step) == (run, step))
    }
}

impl Record for Child {
    type Id = RunId;
    const TABLE: Table = CHILDREN;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[CHILDREN_BY_PARENT, CHILDREN_BY_SESSION, CHILDREN_BY_ROOT];
    fn id(&self) -> RunId {
        self.run
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(CHILDREN_BY_PARENT).part(self.parent);
        keys.entry(CHILDREN_BY_SESSION).part(self.session);
        keys.entry(CHILDREN_BY_ROOT).part(self.root);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let parent = RunId::from_bytes([8; 16]);
        Self {
            run: RunId::from_bytes([9; 16]),
            parent,
            session: SessionId::from_bytes([12; 16]),
            root: parent,
            depth: 1,
            may_spawn: false,
            name: "offers".into(),
            thinking: Some(Thinking::Low),
            limit_micros: Some(500_000),
            limit_tokens: None,
            awaited: Some(Awaited { run: parent, step: 4, any: false }),
            result: "Offer A is cheaper.".into(),
            input: Some(InputId::from_bytes([13; 16])),
            told: false,
            at,
            ended_at: Some(at),
            minutes: Some(30),
            may_exec: true,
            may_network: false,
            forked: true,
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        if version != 1 {
            return Err(DecodeError::UnknownVersion { table: CHILDREN.name, version });
        }
        let old: ChildV1 = codec::decode(body)?;
        Ok(Self {
            run: old.run,
            parent: old.parent,
            session: old.session,
            root: old.root,
            depth: old.depth,
            may_spawn: old.may_spawn,
            name: old.name,
            thinking: old.thinking,
            limit_micros: old.limit_micros,
            limit_tokens: old.limit_tokens,
            awaited: old.awaited,
            result: old.result,
            input: old.input,
            told: old.told,
            at: old.at,
            ended_at: old.ended_at,
            // In the old layout, every sub-agent used its parent's agent.
            minutes: None,
            may_exec: true,
            may_network: true,
            forked: false,
        })
    }
}
