//! Figures of a run's page: machine, model, tokens, cost, time, limits.

use std::time::Duration;

use features::agents::queries::machines::Machines;
use features::runs::model::Run;
use features::runs::queries::run_limits;
use features::usage::model::{BY_RUN, RUN_COST, Usage};
use features::usage::queries::cap::{self, Cap};
use kernel::Thinking;
use kernel::key::KeyBuf;
use store::{Range, Read, ReadExt, StoreError};
use web::format;
use web::parts::percent;

use super::display::Look;

/// A fact in the head.
pub(super) struct Fact {
    pub label: &'static str,
    pub value: String,
    pub small: String,
}

/// The facts in the head of a run's page.
pub(super) fn of(
    tx: &dyn Read,
    look: &Look<'_>,
    run: &Run,
    model: Option<String>,
) -> Result<Vec<Fact>, StoreError> {
    let used: Vec<Usage> = tx.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run.id)).limit(1_000))?;
    let sum = |of: fn(&Usage) -> u64| used.iter().map(of).sum::<u64>();
    let (cached, sent) = (sum(|u| u.cache_read), sum(|u| u.input + u.cache_read + u.cache_write));
    let tokens = sent + sum(|u| u.output);
    let cost = tx.sum(RUN_COST, &KeyBuf::of(&run.id))?;
    let unknown = used.iter().any(|u| u.billed_micros.is_none());
    let mut facts = Vec::new();
    let mut add = |label, value: String, small: String| facts.push(Fact { label, value, small });
    if let Some(model) = model {
        let small = match run.thinking {
            Thinking::None => String::new(),
            thinking => format!("thinking {}", thinking.word()),
        };
        add("Model", model, small);
    }
    if run.gateway.is_some() {
        let machines = Machines::with_former(tx)?;
        add("Machine", machines.label(run.gateway).to_owned(), String::new());
    }
    let small = match percent(cached, sent) {
        0 => None,
        share => Some(format!("{share} % from cache")),
    };
    let Cap { micros, tokens: most, usual } = cap::of_run(tx, run)?;
    let most = most.map(|most| format!("limit {}", format::tokens(most.max(0).unsigned_abs())));
    let small: Vec<String> = most.into_iter().chain(small).collect();
    add("Tokens", format::tokens(tokens), small.join(", "));
    let cap = micros.map(|cap| format!("limit {}", format::money(cap)));
    let small = match (unknown, cap) {
        (true, Some(_)) if usual => {
            Some("price unknown, so its limit doesn’t apply until one is set".to_owned())
        }
        (true, Some(cap)) => Some(format!("{cap}, price of some calls unknown")),
        (true, None) => Some("price unknown".to_owned()),
        (false, cap) => cap,
    };
    let sums = |of: fn(&Usage) -> Option<i64>| used.iter().filter_map(of).sum::<i64>();
    let (list, billed) = (sums(|u| u.list_micros.or(u.billed_micros)), sums(|u| u.billed_micros));
    let list = (list != billed).then(|| format!("list price {}", format::money(list)));
    let small: Vec<String> = small.into_iter().chain(list).collect();
    add("Cost", format::money(cost), small.join(", "));
    let took = look.duration(run).map(format::duration);
    let small = if run.attempt > 1 {
        format!("resumed {}", format::count(u64::from(run.attempt - 1), "time", "times"))
    } else {
        String::new()
    };
    add("Duration", took.unwrap_or_else(|| "not started".to_owned()), small);
    Ok(facts)
}

/// Number of calls of a run, with their limits while the run is live.
pub(super) fn limits(tx: &dyn Read, run: &Run) -> Result<Vec<(&'static str, String)>, StoreError> {
    let (calls, steps) = (run.calls, run.steps);
    if !run.is_live() {
        return Ok(vec![("Calls", format!("{calls} model, {steps} tool"))]);
    }
    let most = run_limits::of_run(tx, run)?;
    let calls = format!("{calls} of {} model, {steps} of {} tool", most.calls, most.tool_calls);
    let works = Duration::from_mins(u64::from(most.working_minutes));
    Ok(vec![("Calls", calls), ("Time limit", format::duration(works))])
}
