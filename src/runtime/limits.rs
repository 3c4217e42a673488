//! Limits of runs: those chosen by people, and the defaults. Tests use smaller ones.

use std::time::Duration;

use jiff::SignedDuration;

use features::runs::model::RunBounds;
use features::runs::queries::run_limits;
use kernel::AgentId;
use store::{Read, StoreError};

use super::EngineError;
use super::ending::LimitReached;
use super::turn::Turn;

/// Minimum time for a response, even if the run's time is used up, because it may be the final text.
const LEAST_ANSWER: Duration = Duration::from_mins(10);

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most working runs per host.
    pub active: usize,
    /// Default limit of model calls per run.
    pub calls: u32,
    /// Default limit of tool calls per run.
    pub steps: u32,
    /// Default limit of working time per run, without waits.
    pub time: SignedDuration,
    /// Longest time for one response; the run's remaining time limits it, too. Silent connections are ended by a
    /// shorter timeout.
    pub answer: Duration,
    /// Time limit of a tool without a limit of its own.
    pub tool: Duration,
    /// Most running programs of agents per host.
    pub programs: usize,
    /// Most working sub-agents per host.
    pub children: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let usual = RunBounds::default();
        Self {
            active: 32,
            calls: usual.calls,
            steps: usual.tool_calls,
            time: minutes(usual.working_minutes),
            answer: Duration::from_hours(2),
            tool: Duration::from_secs(660),
            programs: 2 * cores,
            children: 8,
        }
    }
}

fn minutes(n: u32) -> SignedDuration {
    SignedDuration::from_mins(i64::from(n))
}

impl Limits {
    /// The limits for runs of an agent: chosen limits replace the defaults.
    pub(super) fn for_agent(self, tx: &dyn Read, agent: AgentId) -> Result<Self, StoreError> {
        let chosen = run_limits::chosen(tx, agent)?;
        Ok(Self {
            calls: chosen.calls.unwrap_or(self.calls),
            steps: chosen.tool_calls.unwrap_or(self.steps),
            time: chosen.working_minutes.map_or(self.time, minutes),
            ..self
        })
    }

    /// The time limit of a response with this remaining working time.
    pub(super) fn answer_within(&self, left: SignedDuration) -> Duration {
        Duration::try_from(left).unwrap_or_default().max(LEAST_ANSWER).min(self.answer)
    }
}

impl Turn {
    /// The remaining working time. A sub-agent has a limit of its own in addition.
    pub(super) fn time_left(&self) -> SignedDuration {
        let own = self.setting.child.as_ref().and_then(|child| child.minutes);
        let all =
            own.map_or(self.setting.limits.time, |own| minutes(own).min(self.setting.limits.time));
        all - SignedDuration::from_millis(self.talk.journal.worked_ms())
    }

    /// Ends the run after one more call if a limit is reached. Re-reads the chosen limits.
    pub(super) fn check_limits(&mut self) -> Result<(), EngineError> {
        if self.ends.wrap_up.is_some() {
            return Ok(());
        }
        let (usual, agent) = (self.setting.engine.limits, self.setting.agent.id);
        let limits = self.talk.journal.ws.read(|snap| usual.for_agent(snap, agent))?;
        self.setting.limits = limits;
        let which = if self.talk.calls >= limits.calls {
            "calls"
        } else if self.talk.journal.steps >= limits.steps {
            "tools"
        } else if self.time_left().is_negative() {
            "time"
        } else {
            return Ok(());
        };
        self.ends.wrap_up =
            Some(LimitReached::new(which).notified_before(self.ends.notified_limit));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_has_the_time_of_its_run() {
        let limits = Limits::default();
        assert_eq!(limits.answer_within(limits.time), Duration::from_hours(2));
        assert_eq!(limits.answer_within(SignedDuration::from_mins(15)), Duration::from_mins(15));
        assert_eq!(limits.answer_within(SignedDuration::from_secs(-5)), Duration::from_mins(10));
        let short = Limits { answer: Duration::from_millis(60), ..limits };
        assert_eq!(short.answer_within(limits.time), Duration::from_millis(60));
    }
}
