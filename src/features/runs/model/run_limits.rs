//! Limits of a run: model calls, tool calls and work time. Cost and tokens are limited by budgets.

use serde::{Deserialize, Serialize};

use super::limits::Bound;
use crate::agents::model::{Agent, ReachOf};
use kernel::{AgentId, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

pub const RUN_LIMITS: Table = Table::new(188, "run_limits");

/// Limits chosen at one level; `None` falls back to the next level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    pub of: ReachOf,
    pub calls: Option<u32>,
    pub tool_calls: Option<u32>,
    /// Without waits.
    pub working_minutes: Option<u32>,
}

impl RunLimits {
    /// Ranges in the order of [`Self::values`].
    pub const BOUNDS: [Bound; 3] =
        [("calls", 1, 10_000), ("tool_calls", 1, 20_000), ("working_minutes", 1, 7 * 24 * 60)];

    /// No limits chosen.
    #[must_use]
    pub fn none(of: ReachOf) -> Self {
        Self::of_values(of, [None; 3])
    }

    /// From numbers in the order of [`Self::BOUNDS`].
    #[must_use]
    pub fn of_values(of: ReachOf, [calls, tool_calls, working_minutes]: [Option<u32>; 3]) -> Self {
        Self { of, calls, tool_calls, working_minutes }
    }

    /// The numbers in the order of [`Self::BOUNDS`].
    #[must_use]
    pub fn values(&self) -> [Option<u32>; 3] {
        [self.calls, self.tool_calls, self.working_minutes]
    }

    /// Fills unset limits from `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            of: self.of,
            calls: self.calls.or(other.calls),
            tool_calls: self.tool_calls.or(other.tool_calls),
            working_minutes: self.working_minutes.or(other.working_minutes),
        }
    }
}

impl Record for RunLimits {
    type Id = ReachOf;
    const TABLE: Table = RUN_LIMITS;
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> ReachOf {
        self.of
    }
    fn refs(&self, refs: &mut Refs) {
        if let ReachOf::Agent(id) = self.of {
            refs.to::<Agent>(1, Some(id), OnDelete::Cascade);
        }
    }
    fn sample() -> Self {
        let of = ReachOf::Agent(AgentId::from_bytes([5; 16]));
        Self { of, calls: Some(50), tool_calls: None, working_minutes: Some(90) }
    }
}

/// Effective limits of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunBounds {
    pub calls: u32,
    pub tool_calls: u32,
    /// Without waits.
    pub working_minutes: u32,
}

impl Default for RunBounds {
    fn default() -> Self {
        Self { calls: 200, tool_calls: 400, working_minutes: 120 }
    }
}

impl RunBounds {
    /// The chosen limits, with defaults for unset ones.
    #[must_use]
    pub fn of(chosen: &RunLimits) -> Self {
        let usual = Self::default();
        Self {
            calls: chosen.calls.unwrap_or(usual.calls),
            tool_calls: chosen.tool_calls.unwrap_or(usual.tool_calls),
            working_minutes: chosen.working_minutes.unwrap_or(usual.working_minutes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RunBounds, RunLimits};
    use crate::agents::model::ReachOf;

    #[test]
    fn the_nearer_choice_counts_and_what_nobody_chose_is_as_usual() {
        let all = RunLimits { calls: Some(10), ..RunLimits::none(ReachOf::Workspace) };
        let own = RunLimits { working_minutes: Some(30), ..RunLimits::none(ReachOf::Workspace) };
        let both = RunBounds::of(&own.or(&all));
        let expected = RunBounds { calls: 10, tool_calls: 400, working_minutes: 30 };
        assert_eq!(both, expected);
        let nearer = RunLimits { calls: Some(20), ..all.clone() };
        assert_eq!(nearer.or(&all).calls, Some(20));
    }
}
