//! When an agent's items are begun, and how many.

use serde::{Deserialize, Serialize};

use crate::agents::model::Agent;
use kernel::cadence::{Days, Hours};
use kernel::{AgentId, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

/// The paces that people have chosen.
pub const PACES: Table = Table::new(252, "inbox_paces");

/// Hours in which nothing is begun that can wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Which hours, on which days.
    pub hours: Hours,
    /// A name of the time zone database, in place of the workspace's zone.
    pub zone: Option<String>,
}

/// How an agent's items are begun, where that is not as usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub agent: AgentId,
    /// When nothing is begun.
    pub quiet: Option<Quiet>,
    /// How many are begun within an hour; as usual when there is none.
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
