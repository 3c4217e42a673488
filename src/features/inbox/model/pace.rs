//! Start limits of an agent's items.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::cadence::{Days, Hours};
use kernel::{AgentId, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

/// Non-default start limits.
pub const PACES: Table = Table::new(252, "inbox_paces");

/// Hours during which no deferrable item starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    pub hours: Hours,
    /// IANA time zone. `None` means that of the workspace.
    pub zone: Option<String>,
}

/// Non-default start limits of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub agent: AgentId,
    pub quiet: Option<Quiet>,
    /// Items per hour. `None` means the default.
    pub per_hour: Option<u16>,
}

impl Record for Pace {
    type Id = AgentId;
    const TABLE: Table = PACES;
    const CLASS: Class = Class::Tracked;

    fn id(&self) -> AgentId {
        self.agent
    }

    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(1, Some(self.agent), OnDelete::Cascade);
    }

    fn sample() -> Self {
        let hours = Hours { days: Days::of([1, 5]), from: 22 * 60, until: 7 * 60 };
        let zone = Some("Europe/Berlin".into());
        Self {
            agent: AgentId::from_bytes([5; 16]),
            quiet: Some(Quiet { hours, zone }),
            per_hour: Some(12),
        }
    }
}
