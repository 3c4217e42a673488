//! How runs may branch: how deep, how wide, how many, for how long.

use serde::{Deserialize, Serialize};

use store::{Class, Record, Table};

/// What bounds sub-agents.
pub const SUBAGENT_LIMITS: Table = Table::new(185, "subagent_limits");

/// What bounds sub-agents of the workspace (one row; without it [`SubagentLimits::default`] holds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubagentLimits {
    /// How many runs there may be above a sub-agent.
    pub depth: u8,
    /// How many one run may make.
    pub fan_out: u32,
    /// How many of one conversation may be at work at once.
    pub live: u32,
    /// How many may ever be made below one run.
    pub total: u32,
    /// For how many minutes one may work.
    pub minutes: u32,
}

/// A limit: what it is called in records and forms, its least and its most.
pub type Bound = (&'static str, u32, u32);

impl SubagentLimits {
    /// What people may choose, in the order of the fields.
    pub const BOUNDS: [Bound; 5] = [
        ("depth", 1, 5),
        ("fan_out", 1, 100),
        ("live", 1, 20),
        ("total", 1, 100),
        ("minutes", 1, 24 * 60),
    ];

    /// The values, in the order of [`Self::BOUNDS`].
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
