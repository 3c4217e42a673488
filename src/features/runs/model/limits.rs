//! Limits of sub-agents: depth, number and work time.

use serde::{Deserialize, Serialize};

use store::{Class, Record, Table};

pub const SUBAGENT_LIMITS: Table = Table::new(185, "subagent_limits");

/// Limits of sub-agents in the workspace. One row; without it [`SubagentLimits::default`] applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubagentLimits {
    /// Maximum number of ancestors of a sub-agent.
    pub depth: u8,
    /// Maximum number per parent run.
    pub fan_out: u32,
    /// Maximum number of live sub-agents per conversation.
    pub live: u32,
    /// Maximum number ever created below a root run.
    pub total: u32,
    /// Maximum work time of one sub-agent in minutes.
    pub minutes: u32,
}

/// A limit: field name, minimum, maximum.
pub type Bound = (&'static str, u32, u32);

impl SubagentLimits {
    /// Ranges in the order of the fields.
    pub const BOUNDS: [Bound; 5] = [
        ("depth", 1, 5),
        ("fan_out", 1, 100),
        ("live", 1, 20),
        ("total", 1, 100),
        ("minutes", 1, 24 * 60),
    ];

    /// The values in the order of [`Self::BOUNDS`].
    #[must_use]
    pub fn values(&self) -> [u32; 5] {
        [u32::from(self.depth), self.fan_out, self.live, self.total, self.minutes]
    }
}

impl Default for SubagentLimits {
    fn default() -> Self {
        Self { depth: 1, fan_out: 16, live: 5, total: 16, minutes: 120 }
    }
}

impl Record for SubagentLimits {
    type Id = ();
    const TABLE: Table = SUBAGENT_LIMITS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) {}
    fn sample() -> Self {
        Self { depth: 2, fan_out: 8, live: 4, total: 24, minutes: 45 }
    }
}
