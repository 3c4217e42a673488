//! Use of items by agents: starts, reads and citations. Stored apart from the items, so that counting does not change
//! them.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AgentId, TaskId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Table};

use super::{Item, KnowledgeId};

/// Use of items by agents.
pub const USES: Table = Table::new(382, "knowledge_uses");
/// The contexts of agents at their last starts.
pub const OPENINGS: Table = Table::new(383, "knowledge_openings");

/// Use of an item by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    pub item: KnowledgeId,
    pub agent: AgentId,
    /// Number of starts with the item in its context.
    pub starts: u32,
    /// Number of reads.
    pub reads: u32,
    /// Number of its comments and deliverables that cite the item.
    pub quotes: u32,
    /// Time of the last read.
    #[serde(with = "millisecond::optional")]
    pub read_at: Option<Timestamp>,
    /// The task of the last citation.
    pub quoted_in: Option<TaskId>,
}

impl Uses {
    #[must_use]
    pub fn none(item: KnowledgeId, agent: AgentId) -> Self {
        Self { item, agent, starts: 0, reads: 0, quotes: 0, read_at: None, quoted_in: None }
    }
}

impl Record for Uses {
    type Id = (KnowledgeId, AgentId);
    const TABLE: Table = USES;
    const CLASS: Class = Class::Local;
    fn id(&self) -> (KnowledgeId, AgentId) {
        (self.item, self.agent)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
        refs.to::<Agent>(2, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            item: KnowledgeId::from_bytes([72; 16]),
            agent: AgentId::from_bytes([5; 16]),
            starts: 14,
            reads: 3,
            quotes: 2,
            read_at: Some(kernel::time::from_ms(1_700_000_000_000)),
            quoted_in: Some(TaskId::from_bytes([2; 16])),
        }
    }
}

/// An item in an agent's context: id, time of its last change in Unix milliseconds, and revision of its text.
pub type Had = (KnowledgeId, i64, u64);

/// The context of an agent at its last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub agent: AgentId,
    /// The first start with exactly this context.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    pub had: Vec<Had>,
}

impl Record for Opening {
    type Id = AgentId;
    const TABLE: Table = OPENINGS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let since = kernel::time::from_ms(1_700_000_000_000);
        let had = vec![(KnowledgeId::from_bytes([72; 16]), 1_700_000_000_000, 7)];
        Self { agent: AgentId::from_bytes([5; 16]), since, had }
    }
}
