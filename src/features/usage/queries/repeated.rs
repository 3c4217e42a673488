//! Cost of text at the beginning of every request of an agent, computed from its actual calls.

use jiff::tz::TimeZone;
use kernel::key::KeyBuf;
use kernel::{AgentId, Timestamp};
use providers::catalog;
use providers::model::Usage as Tokens;
use store::{Range, Read, ReadExt, StoreError};

use crate::runs::model::{RUN_BY_AGENT, Run};
use crate::usage::model::day::{Sums, UsageDay, day_in};
use crate::usage::model::{BY_RUN, Usage};

/// Maximum number of an agent's latest runs counted.
const MOST: usize = 5_000;

/// Usage of such text in an agent's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// Calls that the provider answered.
    pub calls: u64,
    /// Calls without a known price.
    pub unpriced: u64,
    /// Total tokens sent in these calls.
    pub sent: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Cost of the text in all calls, in micro-dollars.
    pub micros: i64,
}

impl Repeated {
    /// Usage of a text of `tokens` tokens in the agent's calls on these days. Its cached share is assumed to equal
    /// that of all input.
    #[must_use]
    pub fn of(days: &[UsageDay], agent: AgentId, tokens: u64) -> Self {
        let mut all = Self::default();
        for day in days.iter().filter(|day| day.agent == agent) {
            let sums = &day.sums;
            let calls = sums.calls.saturating_sub(sums.failed);
            all.calls += calls;
            all.sent += sums.input + sums.cache_read + sums.cache_write;
            all.cached += sums.cache_read;
            match cost(&day.model, sums, calls.saturating_mul(tokens)) {
                Some(micros) => all.micros = all.micros.saturating_add(micros),
                None => all.unpriced += calls,
            }
        }
        all
    }

    /// Cached share of the input in percent.
    #[must_use]
    pub fn cached_percent(&self) -> Option<u64> {
        (0 < self.sent).then(|| self.cached.saturating_mul(100) / self.sent)
    }
}

/// Cost of additional input tokens in these calls, in micro-dollars, at the effective price paid.
fn cost(model: &str, sums: &Sums, tokens: u64) -> Option<i64> {
    let sent = u128::from(sums.input + sums.cache_read + sums.cache_write);
    let share = |part: u64| {
        let share = u128::from(tokens) * u128::from(part) / sent.max(1);
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    let (cache_read, cache_write) = (share(sums.cache_read), share(sums.cache_write));
    let input = tokens.saturating_sub(cache_read).saturating_sub(cache_write);
    let tokens = Tokens { input, cache_read, cache_write, ..Tokens::default() };
    // The price of a short call: the tokens belong to many calls.
    let listed = catalog::describe(model).price?.cost(&tokens);
    let listed = i64::try_from(listed).unwrap_or(i64::MAX);
    if sums.list_micros <= 0 {
        return Some(listed);
    }
    // The billed amount reflects entered prices and subscriptions.
    let paid = i128::from(listed) * i128::from(sums.billed_micros) / i128::from(sums.list_micros);
    Some(i64::try_from(paid).unwrap_or(i64::MAX))
}

/// Number of an agent's runs since a time, and the totals of its calls. On the first day, only calls of runs that
/// began since then count; later days come from `days`.
pub fn since(
    tx: &dyn Read,
    agent: AgentId,
    (since, zone): (Timestamp, &TimeZone),
    days: &[UsageDay],
) -> Result<(usize, Vec<UsageDay>), StoreError> {
    let first = day_in(since, zone);
    let mut all: Vec<UsageDay> =
        days.iter().filter(|day| day.agent == agent && first < day.day).cloned().collect();
    let range = Range::prefix(KeyBuf::of(&agent)).reverse().limit(MOST);
    let mut starts = 0;
    for run in tx.scan::<Run>(RUN_BY_AGENT, &range)? {
        let Some(at) = run.started_at.filter(|at| since <= *at) else { continue };
        starts += 1;
        if day_in(at, zone) == first {
            let calls: Vec<Usage> = tx.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run.id)))?;
            let calls = calls.iter().map(|call| UsageDay::of(call, zone));
            all.extend(calls.filter(|call| call.day == first));
        }
    }
    Ok((starts, all))
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;
    use store::Record as _;

    use super::Repeated;
    use crate::usage::model::day::{Sums, UsageDay};

    #[test]
    fn words_cost_what_was_paid_with_the_share_of_the_cache() {
        let catalogue = providers::catalog::all();
        let model = catalogue.iter().find(|model| model.price.is_some()).expect("a price");
        let price = model.price.expect("its price");
        let sums = |list: i64, billed: i64| Sums {
            calls: 12,
            failed: 2,
            input: 1_000,
            cache_read: 3_000,
            list_micros: list,
            billed_micros: billed,
            ..Sums::default()
        };
        let of = |sums: Sums, model: &str| {
            let day = UsageDay { sums, model: model.to_owned(), ..UsageDay::sample() };
            Repeated::of(std::slice::from_ref(&day), day.agent, 100_000)
        };
        let all = of(sums(50, 50), &model.id);
        assert_eq!((all.calls, all.unpriced, all.cached_percent()), (10, 0, Some(75)));
        // A million tokens, three quarters of them from the cache.
        let full = (price.input + 3 * price.cache_read).div_ceil(4);
        assert!(all.micros.unsigned_abs().abs_diff(full) <= 1, "{} {full}", all.micros);
        assert_eq!(of(sums(50, 0), &model.id).micros, 0, "paid by the month");
        let unknown = of(sums(0, 0), "a-model-that-nobody-knows");
        assert_eq!((unknown.unpriced, unknown.micros), (10, 0));
        let nobody = Repeated::of(&[], kernel::AgentId::from_bytes([9; 16]), 100);
        assert_eq!(nobody.cached_percent(), None);
    }
}
