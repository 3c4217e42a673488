//! Where agents work. An agent without a row works on the machine that HQ runs on.

use std::collections::BTreeSet;

use features::agents::model::Agent;
use kernel::{AgentId, GatewayId, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Gateway;

pub const AGENT_PLACES: Table = Table::new(397, "agent_places");

/// An agent's remote gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPlace {
    pub agent: AgentId,
    pub gateway: GatewayId,
}

pub const FORMER_PLACES: Table = Table::new(403, "former_places");

/// Remote gateways that an agent has worked on and left. Only from these is late data of the agent accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerPlaces {
    pub agent: AgentId,
    pub gateways: BTreeSet<GatewayId>,
}

impl Record for FormerPlaces {
    type Id = AgentId;
    const TABLE: Table = FORMER_PLACES;
    const CLASS: Class = Class::Local;
    fn id(&self) -> AgentId {
        self.agent
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let gateways = [GatewayId::from_bytes([95; 16])].into();
        Self { agent: AgentId::from_bytes([5; 16]), gateways }
    }
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
