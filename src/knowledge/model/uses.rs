//! What agents do with items: how often they start with one, read it, quote it. It is counted beside the items, which
//! stay as they are.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AgentId, TaskId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Table};

use super::{Item, KnowledgeId};

/// What agents do with items.
pub const USES: Table = Table::new(382, "knowledge_uses");
/// What stands in front of agents, as their last starts had it.
pub const OPENINGS: Table = Table::new(383, "knowledge_openings");

/// What an agent does with an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    pub item: KnowledgeId,
    pub agent: AgentId,
    /// How often it began to work with the item in front of it.
    pub starts: u32,
    /// How often it read it.
    pub reads: u32,
    /// How many comments and deliveries of it quote the item.
    pub quotes: u32,
    /// When it read it last.
    #[serde(with = "millisecond::optional")]
    pub read_at: Option<Timestamp>,
    /// The task in which it quoted it last.
    pub quoted_in: Option<TaskId>,
}

impl Uses {
    /// Nothing yet.
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

/// An item as it stands in front of an agent: itself, when it last changed in milliseconds, and the rev of its words.
pub type Had = (KnowledgeId, i64, u64);

/// What stands in front of an agent, as its last start had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    pub agent: AgentId,
    /// The first start that had just this.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// The items.
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
