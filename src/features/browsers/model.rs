//! The record that stands for a switch.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::{AgentId, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

/// Agents whose browser is switched on.
pub const AGENT_BROWSERS: Table = Table::new(350, "agent_browsers");

/// An agent may use a browser; without this record it may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBrowser {
    /// Which agent.
    pub agent: AgentId,
}

impl Record for AgentBrowser {
    type Id = AgentId;
    const TABLE: Table = AGENT_BROWSERS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { agent: AgentId::from_bytes([5; 16]) }
    }
}
