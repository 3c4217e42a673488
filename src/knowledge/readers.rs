//! Who reads what stands in front of agents: how often they begin to work, how often they send it, and what that costs.

use app::Ws;
use features::usage::model::day::{UsageDay, day_in};
use features::usage::queries::daily;
use features::usage::queries::repeated::{self, Repeated};
use jiff::ToSpan as _;
use kernel::{AgentId, Timestamp};
use store::Snap;

use crate::context;
use crate::error::KnowledgeError;

/// The days that are looked at, today among them.
pub const DAYS: u32 = 7;
/// The most agents that are looked at.
const MOST: usize = 50;

/// An agent that begins with what stands in front of it.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The agent.
    pub agent: AgentId,
    /// About how many tokens stand in front of it now.
    pub tokens: usize,
    /// How often it began to work.
    pub starts: usize,
    /// What these tokens came to in its calls.
    pub repeated: Repeated,
}

impl Reader {
    /// What that costs a day, in micro-dollars; none where no price is known.
    #[must_use]
    pub fn a_day(&self) -> Option<i64> {
        let known = self.repeated.calls == 0 || self.repeated.unpriced < self.repeated.calls;
        known.then(|| self.repeated.micros / i64::from(DAYS))
    }
}

/// Of these agents those that worked in the last days, the one with the most calls first.
///
/// # Errors
/// When the disk fails.
pub fn of(
    ws: &Ws,
    snap: &Snap<'_>,
    agents: &[AgentId],
    now: Timestamp,
) -> Result<Vec<Reader>, KnowledgeError> {
    let zone = daily::zone(snap)?;
    let today = day_in(now, &zone);
    let rolled = daily::rolled(ws, snap, today.saturating_sub(DAYS - 1)..=today)?;
    let since = now.checked_sub((24 * i64::from(DAYS)).hours()).unwrap_or(now);
    let calls = |agent: AgentId| {
        let own = rolled.days.iter().filter(|day: &&UsageDay| day.agent == agent);
        own.map(|day| day.sums.calls).sum::<u64>()
    };
    let mut ranked: Vec<(u64, AgentId)> = agents.iter().map(|id| (calls(*id), *id)).collect();
    ranked.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
    let mut all = Vec::new();
    for (calls, agent) in ranked {
        if all.len() == MOST {
            break;
        }
        let starts = repeated::starts(snap, agent, since)?;
        if calls == 0 && starts == 0 {
            continue;
        }
        let shares = context::of(snap, &ws.blobs, Some(agent))?;
        let tokens = shares.iter().map(|share| share.tokens).sum::<usize>();
        let repeated = Repeated::of(&rolled.days, agent, tokens as u64);
        all.push(Reader { agent, tokens, starts, repeated });
    }
    Ok(all)
}
