//! What bounds runs: what people have chosen, and what is usual elsewhere. The program's own are the defaults; tests
//! put in smaller ones.

use std::time::Duration;

use jiff::SignedDuration;

use features::runs::model::RunBounds;
use features::runs::queries::run_limits;
use kernel::AgentId;
use store::{Read, StoreError};

use super::EngineError;
use super::ending::LimitReached;
use super::turn::Turn;

/// How long an answer may take although nothing is left of its run's time: it may be the last word.
const LEAST_ANSWER: Duration = Duration::from_mins(10);

/// What bounds runs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many runs one host works on at once.
    pub active: usize,
    /// The most model calls of a run, where nobody chose.
    pub calls: u32,
    /// The most tool calls of a run, where nobody chose.
    pub steps: u32,
    /// The longest that a run works, where nobody chose; waiting does not count.
    pub time: SignedDuration,
    /// The longest that one answer may take. It has what is left of its run's time, too: one that is silent
    /// for too long is ended by its line.
    pub answer: Duration,
    /// The longest that a tool without a limit of its own may take.
    pub tool: Duration,
    /// How many programs of agents one host runs at once.
    pub programs: usize,
    /// How many sub-agents one host works on at once.
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
    /// The same for runs of an agent: what was chosen for these takes the place of what is usual.
    pub(super) fn for_agent(self, tx: &dyn Read, agent: AgentId) -> Result<Self, StoreError> {
        let chosen = run_limits::chosen(tx, agent)?;
        Ok(Self {
            calls: chosen.calls.unwrap_or(self.calls),
            steps: chosen.tool_calls.unwrap_or(self.steps),
            time: chosen.working_minutes.map_or(self.time, minutes),
            ..self
        })
    }

    /// How long an answer may take when so much of the run's time is left.
    pub(super) fn answer_within(&self, left: SignedDuration) -> Duration {
        Duration::try_from(left).unwrap_or_default().max(LEAST_ANSWER).min(self.answer)
    }
}

impl Turn {
    /// For how long the run may still work: a sub-agent has a limit of its own, besides that of all runs.
    pub(super) fn time_left(&self) -> SignedDuration {
        let own = self.setting.child.as_ref().and_then(|child| child.minutes);
        let all =
            own.map_or(self.setting.limits.time, |own| minutes(own).min(self.setting.limits.time));
        all - SignedDuration::from_millis(self.talk.journal.worked_ms())
    }

    /// Whether one of them is reached: one more call, then. What people have chosen meanwhile counts.
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
        self.ends.wrap_up = Some(LimitReached::new(which).told_before(self.ends.told));
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
