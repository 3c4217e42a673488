//! Reads of costs and tokens.

pub mod budgets;
pub mod cap;
pub mod counting;
pub mod daily;
mod held;
pub mod payers;
pub mod prices;
pub mod purse;
pub mod repeated;
pub mod report;
pub mod unmetered;
pub mod waiting;

use std::collections::BTreeMap;

use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::time::{from_ms, month_of};
use kernel::{AgentId, ConnectionId, RunId, Timestamp, TypedId as _, UsageId};
use providers::bound::Ratio;
use providers::catalog::{self, Model, Price};
use providers::model::Usage as Tokens;
use store::{Range, Read, ReadExt, StoreError};

use super::model::grant::RunGrant;
use super::model::{
    AGENT_DAY, AGENT_MONTH, BY_RUN, MONTH, RUN_COST, Reservation, SeenRatio, Usage, day_of,
};
use super::rules::budgets::MAX_BUDGET;

/// Upper bound per token kind of one call, whatever a provider counts.
const MOST_TOKENS: u64 = 1_000_000_000_000;
/// Maximum number of calls of a day that are read one by one.
const CALLS_OF_A_DAY: usize = 2_000;
const DAY_MS: i64 = 86_400_000;

/// Current reservations: for calls, and the grants of runs on hosts.
pub fn reservations(tx: &dyn Read, now: Timestamp) -> Result<Vec<Reservation>, StoreError> {
    let mut all: Vec<Reservation> = tx.list(&Range::all())?;
    all.retain(|held| !held.is_over(now));
    let grants: Vec<RunGrant> = tx.list(&Range::all())?;
    all.extend(grants.into_iter().filter_map(RunGrant::held));
    Ok(all)
}

/// Reservations of a run's calls that have not ended: what a crash leaves behind.
pub fn unsettled(tx: &dyn Read, run: RunId) -> Result<Vec<Reservation>, StoreError> {
    let all: Vec<Reservation> = tx.list(&Range::all())?;
    Ok(all.into_iter().filter(|r| r.run == Some(run) && r.release_at.is_none()).collect())
}

/// Time of the next automatic release of a reservation.
pub fn next_release(tx: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    Ok(reservations(tx, now)?.into_iter().filter_map(|held| held.release_at).min())
}

/// The highest known price of each token kind.
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

/// Cost of these tokens in micro-dollars; `None` if the price is unknown.
#[must_use]
pub fn bill(model: &Model, tokens: &Tokens) -> Option<i64> {
    model.cost(tokens).map(|micros| i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Clamps the cost of a call to between 0 and the maximum budget, so that totals cannot overflow.
#[must_use]
pub fn believed(micros: Option<i64>) -> Option<i64> {
    micros.map(|micros| micros.clamp(0, MAX_BUDGET))
}

/// Clamps the token counts of a provider, so that totals cannot overflow.
#[must_use]
pub fn believed_tokens(tokens: Tokens) -> Tokens {
    let most = |n: u64| n.min(MOST_TOKENS);
    Tokens {
        input: most(tokens.input),
        cache_read: most(tokens.cache_read),
        cache_write: most(tokens.cache_write),
        cache_write_1h: most(tokens.cache_write_1h),
        output: most(tokens.output),
        reasoning: most(tokens.reasoning),
    }
}

/// Ratio of tokens to request bytes for a connection's model.
pub fn ratio(
    tx: &dyn Read,
    connection: Option<ConnectionId>,
    model: &str,
) -> Result<Ratio, StoreError> {
    let seen = tx.get::<SeenRatio>(SeenRatio::key(connection, model))?;
    Ok(seen.map_or_else(Ratio::default, |seen| Ratio::from_permille(seen.permille)))
}

/// Cost of a run so far, in micro-dollars.
pub fn run_cost(tx: &dyn Read, run: RunId) -> Result<i64, StoreError> {
    tx.sum(RUN_COST, &KeyBuf::of(&run))
}

/// The calls of a run, in order.
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Vec<Usage>, StoreError> {
    tx.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))
}

/// Spending of the workspace in the month of `at`, in micro-dollars.
pub fn month_total(tx: &dyn Read, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(MONTH, &KeyBuf::of(&month_of(at)))
}

/// Spending of an agent in the month of `at`, in micro-dollars.
pub fn agent_month(tx: &dyn Read, agent: AgentId, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(AGENT_MONTH, &KeyBuf::of(&month_of(at)).with(&agent))
}

/// Spending by agent in the month of `at`, highest first.
pub fn by_agent(tx: &dyn Read, at: Timestamp) -> Result<Vec<(AgentId, i64)>, StoreError> {
    let sums = tx.sums(AGENT_MONTH, &Range::prefix(KeyBuf::of(&month_of(at))))?;
    let mut all: Vec<(AgentId, i64)> = sums
        .into_iter()
        .filter_map(|(key, sum)| decode::<(u32, AgentId)>(&key).map(|(_, agent)| (agent, sum)))
        .collect();
    all.sort_by_key(|(agent, sum)| (std::cmp::Reverse(*sum), *agent));
    Ok(all)
}

/// Spending by day from `from` to `to`; days without spending are omitted.
pub fn by_day(
    tx: &dyn Read,
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

/// Like [`by_day`], each day split by agent in creation order.
pub fn by_day_and_agent(
    tx: &dyn Read,
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

/// Spending since a time. The first day (UTC) is summed call by call, later days by their totals. A first day with
/// too many calls counts as a whole.
pub fn spent_since(tx: &dyn Read, since: Timestamp, now: Timestamp) -> Result<i64, StoreError> {
    let next = from_ms((i64::from(day_of(since)) + 1) * DAY_MS);
    let day =
        Range::between(KeyBuf::of(&UsageId::first_at(since)), KeyBuf::of(&UsageId::first_at(next)));
    let calls: Vec<Usage> = tx.list(&day.limit(CALLS_OF_A_DAY))?;
    if calls.len() == CALLS_OF_A_DAY {
        return Ok(by_day(tx, since, now)?.values().sum());
    }
    let first: i64 = calls.iter().filter_map(|call| call.billed_micros).sum();
    Ok(first + by_day(tx, next, now)?.values().sum::<i64>())
}

/// Spending of all agents on the UTC day of `at`, in micro-dollars: the sum of [`agent_day`].
pub fn day_total(tx: &dyn Read, at: Timestamp) -> Result<i64, StoreError> {
    Ok(by_day(tx, at, at)?.values().sum())
}

/// Spending of an agent on the UTC day of `at`, in micro-dollars.
pub fn agent_day(tx: &dyn Read, agent: AgentId, at: Timestamp) -> Result<i64, StoreError> {
    tx.sum(AGENT_DAY, &KeyBuf::of(&day_of(at)).with(&agent))
}
