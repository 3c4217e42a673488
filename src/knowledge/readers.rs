//! Cost of an agent's knowledge context: number of starts, number of model calls that include it, and their cost,
//! counted from the first start with the current context.

use app::Ws;
use features::usage::model::day::{UsageDay, day_in};
use features::usage::queries::daily;
use features::usage::queries::repeated::{self, Repeated};
use jiff::ToSpan as _;
use kernel::{AgentId, Timestamp};
use store::{ReadExt as _, Snap};

use crate::error::KnowledgeError;
use crate::model::Opening;
use crate::{context, queries};

/// Number of days considered, including today.
pub const DAYS: u32 = 7;
/// Maximum number of agents considered.
const MOST: usize = 50;
/// Seconds per day.
const DAY: i64 = 86_400;

/// An agent with its context.
#[derive(Clone, Debug)]
pub struct Reader {
    pub agent: AgentId,
    /// Estimated tokens of the context.
    pub tokens: usize,
    /// Start of the counting period.
    pub since: Timestamp,
    /// Length of the period, in seconds.
    pub secs: i64,
    /// Number of starts.
    pub starts: usize,
    /// Use of these tokens in the agent's calls.
    pub repeated: Repeated,
}

impl Reader {
    /// The cost in micro-dollars; `None` without a price.
    #[must_use]
    pub fn cost(&self) -> Option<i64> {
        let known = self.repeated.calls == 0 || self.repeated.unpriced < self.repeated.calls;
        known.then_some(self.repeated.micros)
    }

    /// Cost per day in micro-dollars; `None` without a price or before a full day.
    #[must_use]
    pub fn a_day(&self) -> Option<i64> {
        let cost = self.cost().filter(|_| DAY <= self.secs)?;
        i64::try_from(i128::from(cost) * i128::from(DAY) / i128::from(self.secs)).ok()
    }
}

/// Those of the agents that have started with their current context, most calls first.
pub fn of(
    ws: &Ws,
    snap: &Snap<'_>,
    agents: &[AgentId],
    now: Timestamp,
) -> Result<Vec<Reader>, KnowledgeError> {
    let zone = daily::zone(snap)?;
    let today = day_in(now, &zone);
    let rolled = daily::rolled(ws, snap, today.saturating_sub(DAYS)..=today)?;
    let from = now.checked_sub((24 * i64::from(DAYS)).hours()).unwrap_or(now);
    let calls = |agent: AgentId| {
        let own = rolled.days.iter().filter(|day: &&UsageDay| day.agent == agent);
        own.map(|day| day.sums.calls).sum::<u64>()
    };
    let mut ranked: Vec<(u64, AgentId)> = agents.iter().map(|id| (calls(*id), *id)).collect();
    ranked.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
    let mut all = Vec::new();
    for (_, agent) in ranked {
        if all.len() == MOST {
            break;
        }
        let had = queries::had(snap, agent)?;
        let opening: Option<Opening> = snap.get(agent)?;
        // After a change, no agent has read the new context yet.
        let Some(opening) = opening.filter(|one| !had.is_empty() && one.had == had) else {
            continue;
        };
        let since = opening.since.max(from);
        let (starts, days) = repeated::since(snap, agent, (since, &zone), &rolled.days)?;
        if starts == 0 && days.is_empty() {
            continue;
        }
        let shares = context::of(snap, &ws.blobs, Some(agent))?;
        let tokens = shares.iter().map(|share| share.tokens).sum::<usize>();
        let repeated = Repeated::of(&days, agent, tokens as u64);
        let secs = now.as_second().saturating_sub(since.as_second());
        all.push(Reader { agent, tokens, since, secs, starts, repeated });
    }
    Ok(all)
}
