//! Who reads what stands in front of agents: how often they begin to work, how often they send it, and what that costs.
//! All of it counts from the first start that had just what stands there now.

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

/// The days that are looked at, today among them.
pub const DAYS: u32 = 7;
/// The most agents that are looked at.
const MOST: usize = 50;
/// The seconds of a day.
const DAY: i64 = 86_400;

/// An agent that begins with what stands in front of it.
#[derive(Clone, Debug)]
pub struct Reader {
    pub agent: AgentId,
    /// About how many tokens stand in front of it.
    pub tokens: usize,
    /// Since when it was counted.
    pub since: Timestamp,
    /// The seconds since then.
    pub secs: i64,
    /// How often it began to work.
    pub starts: usize,
    /// What these tokens came to in its calls.
    pub repeated: Repeated,
}

impl Reader {
    /// What that cost, in micro-dollars; none where no price is known.
    #[must_use]
    pub fn cost(&self) -> Option<i64> {
        let known = self.repeated.calls == 0 || self.repeated.unpriced < self.repeated.calls;
        known.then_some(self.repeated.micros)
    }

    /// What it costs a day, in micro-dollars; none where no price is known, and before a day is over.
    #[must_use]
    pub fn a_day(&self) -> Option<i64> {
        let cost = self.cost().filter(|_| DAY <= self.secs)?;
        i64::try_from(i128::from(cost) * i128::from(DAY) / i128::from(self.secs)).ok()
    }
}

/// Of these agents those that have started with just what stands in front of them now, the one with the most calls first.
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
        // Once something has changed, nobody has read it yet.
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
