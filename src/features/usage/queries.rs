//! Reads of money and tokens.

use std::collections::BTreeMap;

use crate::features::agents::model::Agent;
use crate::features::workspace::model::Settings;
use crate::kernel::time::month_of;
use crate::kernel::{AgentId, RunId, Timestamp};
use crate::providers::bound::{Left, Ratio};
use crate::providers::catalog::{self, Model, Price};
use crate::providers::model::Usage as Tokens;
use crate::store::key::decode;
use crate::store::{KeyBuf, Range, ReadExt, StoreError};

use super::model::{
    AGENT_DAY, AGENT_MONTH, BY_RUN, MONTH, RUN_COST, Reservation, SeenRatio, Usage, day_of,
};

/// Which budget is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// The agent's month.
    Agent,
    /// The workspace's month.
    Workspace,
    /// What one run may cost.
    Run,
}

impl Budget {
    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Workspace => "workspace",
            Self::Run => "run",
        }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Agent => "the agent's budget of this month",
            Self::Workspace => "the workspace's budget of this month",
            Self::Run => "what one run may cost",
        })
    }
}

/// How a budget stands, in micro-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub budget: Budget,
    /// Its limit.
    pub limit: i64,
    /// What was spent.
    pub booked: i64,
    /// What is held back for calls that run.
    pub reserved: i64,
}

impl Standing {
    /// What is left; below zero when more was spent than allowed.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.limit.saturating_sub(self.booked).saturating_sub(self.reserved)
    }
}

/// Reservations that hold money at this moment.
///
/// # Errors
/// When the disk fails.
pub fn reservations(tx: &impl ReadExt, now: Timestamp) -> Result<Vec<Reservation>, StoreError> {
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    Ok(all.into_iter().filter(|r| !r.is_over(now)).collect())
}

/// The reservations of a run whose calls have not ended: what a crash leaves behind.
///
/// # Errors
/// When the disk fails.
pub fn unsettled(tx: &impl ReadExt, run: RunId) -> Result<Vec<Reservation>, StoreError> {
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    Ok(all.into_iter().filter(|r| r.run == run && r.release_at.is_none()).collect())
}

/// The budgets that apply to a run of an agent, and how they stand.
///
/// # Errors
/// When the disk fails.
pub fn standings(
    tx: &impl ReadExt,
    agent: AgentId,
    run: Option<RunId>,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let held = reservations(tx, now)?;
    let reserved = |of: &dyn Fn(&Reservation) -> bool| {
        held.iter().filter(|r| of(r)).fold(0_i64, |sum, r| sum.saturating_add(r.micros))
    };
    let month = month_of(now);
    let settings = tx.get::<Settings>(())?;
    let mut all = Vec::with_capacity(3);
    if let Some(limit) = tx.get::<Agent>(agent)?.and_then(|agent| agent.budget_micros) {
        let booked = tx.sum(AGENT_MONTH, &KeyBuf::of(&month).with(&agent))?;
        let reserved = reserved(&|r| r.agent == agent);
        all.push(Standing { budget: Budget::Agent, limit, booked, reserved });
    }
    if let Some(limit) = settings.as_ref().and_then(|settings| settings.budget_micros) {
        let booked = tx.sum(MONTH, &KeyBuf::of(&month))?;
        all.push(Standing {
            budget: Budget::Workspace,
            limit,
            booked,
            reserved: reserved(&|_| true),
        });
    }
    let cap = settings.map(|settings| settings.run_cap_micros).filter(|cap| *cap > 0);
    if let (Some(run), Some(limit)) = (run, cap) {
        let booked = run_cost(tx, run)?;
        all.push(Standing {
            budget: Budget::Run,
            limit,
            booked,
            reserved: reserved(&|r| r.run == run),
        });
    }
    Ok(all)
}

/// The budget with the least left, if any applies.
///
/// # Errors
/// When the disk fails.
pub fn tightest(
    tx: &impl ReadExt,
    agent: AgentId,
    run: Option<RunId>,
    now: Timestamp,
) -> Result<Option<Standing>, StoreError> {
    Ok(standings(tx, agent, run, now)?.into_iter().min_by_key(Standing::left))
}

/// What the tightest budget can still pay, for the bound of a call.
///
/// # Errors
/// When the disk fails.
pub fn left(
    tx: &impl ReadExt,
    agent: AgentId,
    run: RunId,
    now: Timestamp,
) -> Result<Left, StoreError> {
    let micros = tightest(tx, agent, Some(run), now)?.map(|s| u64::try_from(s.left()).unwrap_or(0));
    Ok(Left { micros, tokens: None })
}

/// Whether every budget that applies can pay a call that may cost so much.
///
/// # Errors
/// When the disk fails.
pub fn can_pay(
    tx: &impl ReadExt,
    agent: AgentId,
    run: RunId,
    needed: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tightest(tx, agent, Some(run), now)?.is_none_or(|standing| needed <= standing.left()))
}

/// When the next reservation is released that only lingers.
///
/// # Errors
/// When the disk fails.
pub fn next_release(tx: &impl ReadExt, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    Ok(reservations(tx, now)?.into_iter().filter_map(|held| held.release_at).min())
}

/// Whether a month's budget of the agent or of the workspace is used up: nothing is begun for it.
///
/// # Errors
/// When the disk fails.
pub fn over_budget(
    tx: &impl ReadExt,
    agent: AgentId,
    now: Timestamp,
) -> Result<Option<Standing>, StoreError> {
    Ok(tightest(tx, agent, None, now)?.filter(|s| s.booked >= s.limit && s.booked > 0))
}

/// The model as a budget counts it: where a month's limit applies and no price is known, the
/// dearest known price counts, so that a limit always limits.
///
/// # Errors
/// When the disk fails.
pub fn as_counted(tx: &impl ReadExt, agent: AgentId, model: Model) -> Result<Model, StoreError> {
    if model.price.is_some() {
        return Ok(model);
    }
    let limited = tx.get::<Agent>(agent)?.is_some_and(|agent| agent.budget_micros.is_some())
        || tx.get::<Settings>(())?.is_some_and(|settings| settings.budget_micros.is_some());
    Ok(if limited { Model { price: Some(dearest()), long: None, ..model } } else { model })
}

/// The dearest of all known prices, kind by kind.
#[must_use]
pub fn dearest() -> Price {
    let prices =
        catalog::all().iter().flat_map(|m| m.price.into_iter().chain(m.long.map(|l| l.price)));
    prices.fold(Price::default(), |most, price| Price {
        input: most.input.max(price.input),
        cache_read: most.cache_read.max(price.cache_read),
        cache_write: most.cache_write.max(price.cache_write),
        output: most.output.max(price.output),
    })
}

/// What these tokens cost with this model, in micro-dollars; none when no price is known.
#[must_use]
pub fn bill(model: &Model, tokens: &Tokens) -> Option<i64> {
    model.cost(tokens).map(|micros| i64::try_from(micros).unwrap_or(i64::MAX))
}

/// How many tokens the bytes of this model's requests can be.
///
/// # Errors
/// When the disk fails.
pub fn ratio(tx: &impl ReadExt, model: &str) -> Result<Ratio, StoreError> {
    let seen = tx.get::<SeenRatio>(model.to_owned())?;
    Ok(seen.map_or_else(Ratio::default, |seen| Ratio::from_permille(seen.permille)))
}

/// What a run has cost so far.
///
/// # Errors
/// When the disk fails.
pub fn run_cost(tx: &impl ReadExt, run: RunId) -> Result<i64, StoreError> {
    tx.sum(RUN_COST, &KeyBuf::of(&run))
}

/// The calls of a run, in order.
///
/// # Errors
/// When the disk fails.
pub fn of_run(tx: &impl ReadExt, run: RunId) -> Result<Vec<Usage>, StoreError> {
    tx.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))
}

/// What the workspace spent in the month of this moment.
///
/// # Errors
/// When the disk fails.
pub fn month_total(tx: &impl ReadExt, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(MONTH, &KeyBuf::of(&month_of(at)))
}

/// What an agent spent in the month of this moment.
///
/// # Errors
/// When the disk fails.
pub fn agent_month(tx: &impl ReadExt, agent: AgentId, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(AGENT_MONTH, &KeyBuf::of(&month_of(at)).with(&agent))
}

/// What each agent spent in the month of this moment, the dearest first.
///
/// # Errors
/// When the disk fails.
pub fn by_agent(tx: &impl ReadExt, at: Timestamp) -> Result<Vec<(AgentId, i64)>, StoreError> {
    let sums = tx.sums(AGENT_MONTH, &Range::prefix(KeyBuf::of(&month_of(at))))?;
    let mut all: Vec<(AgentId, i64)> = sums
        .into_iter()
        .filter_map(|(key, sum)| decode::<(u32, AgentId)>(&key).map(|(_, agent)| (agent, sum)))
        .collect();
    all.sort_by_key(|(agent, sum)| (std::cmp::Reverse(*sum), *agent));
    Ok(all)
}

/// What was spent on each day from `from` to `to`, days without a cost left out.
///
/// # Errors
/// When the disk fails.
pub fn by_day(
    tx: &impl ReadExt,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeMap<u32, i64>, StoreError> {
    let range = Range::between(KeyBuf::of(&day_of(from)), KeyBuf::of(&(day_of(to) + 1)));
    let mut days = BTreeMap::new();
    for (key, sum) in tx.sums(AGENT_DAY, &range)? {
        if let Some((day, _)) = decode::<(u32, AgentId)>(&key) {
            *days.entry(day).or_default() += sum;
        }
    }
    Ok(days)
}

/// The same, each day split by agent in the order of their making.
///
/// # Errors
/// When the disk fails.
pub fn by_day_and_agent(
    tx: &impl ReadExt,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeMap<u32, Vec<(AgentId, i64)>>, StoreError> {
    let range = Range::between(KeyBuf::of(&day_of(from)), KeyBuf::of(&(day_of(to) + 1)));
    let mut days: BTreeMap<u32, Vec<(AgentId, i64)>> = BTreeMap::new();
    for (key, sum) in tx.sums(AGENT_DAY, &range)? {
        if let Some((day, agent)) = decode::<(u32, AgentId)>(&key) {
            days.entry(day).or_default().push((agent, sum));
        }
    }
    Ok(days)
}

/// What an agent spent on the day of this moment (UTC).
///
/// # Errors
/// When the disk fails.
pub fn agent_day(tx: &impl ReadExt, agent: AgentId, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(AGENT_DAY, &KeyBuf::of(&day_of(at)).with(&agent))
}
