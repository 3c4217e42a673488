//! Where agents work. An agent without a row works on the machine that HQ runs on.

use features::agents::model::Agent;
use kernel::{AgentId, GatewayId, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Gateway;

/// Where agents work.
pub const AGENT_PLACES: Table = Table::new(397, "agent_places");

/// An agent works on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPlace {
    /// The agent.
    pub agent: AgentId,
    /// The gateway.
    pub gateway: GatewayId,
}

impl Record for AgentPlace {
    type Id = AgentId;
    const TABLE: Table = AGENT_PLACES;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
        refs.to::<Gateway>(2, Some(self.gateway), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self { agent: AgentId::from_bytes([5; 16]), gateway: GatewayId::from_bytes([95; 16]) }
    }
}
