//! Budgets: set, remove, raise, and notify when nearly or fully used.

use crate::agents::model::Agent;
use crate::routines::model::Routine;
use crate::runs::model::Run;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::usage::model::budget::{Budget, BudgetKey, BudgetNotice, SOFT_PCT};
use crate::usage::queries::budgets::{self as standing, Level};
use crate::usage::queries::waiting;
use crate::workspace::model::Settings;
use kernel::{Event, Payer, Period};
use store::{ReadExt, WriteTx};

use super::UsageError;

/// Maximum budget in micro-dollars (ten million dollars).
pub const MAX_BUDGET: i64 = 10_000_000_000_000;
/// Maximum token budget.
pub const MAX_TOKENS: i64 = 1_000_000_000_000;
/// Amount that [`raise`] adds to a money limit, in micro-dollars.
pub const MORE_MICROS: i64 = 2_000_000;
/// Amount that [`raise`] adds to a token limit.
pub const MORE_TOKENS: i64 = 500_000;

/// Request to set a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRequest {
    pub payer: Payer,
    pub period: Period,
    /// Micro-dollars; `None` for no limit.
    pub limit_micros: Option<i64>,
    /// `None` for no limit.
    pub limit_tokens: Option<i64>,
    /// Warning level in percent.
    pub soft_pct: u8,
    /// Whether calls that could exceed the limit are refused.
    pub hard: bool,
}

/// Sets a budget, or removes it if it has no limit. Applies from the next call on. Setting an unchanged budget has no
/// effect, unless it was the default so far.
///
/// # Errors
/// If the payer does not exist, or an amount, share or period is invalid.
pub fn set(tx: &mut WriteTx<'_>, wish: BudgetRequest) -> Result<(), UsageError> {
    let BudgetRequest { payer, period, limit_micros, limit_tokens, soft_pct, hard } = wish;
    check(tx, &wish)?;
    let before = standing::one(tx, payer, period)?;
    let wanted = Budget {
        limit_micros,
        limit_tokens,
        soft_pct,
        hard,
        updated_at: tx.now(),
        ..Budget::new(payer, period)
    };
    let is_same = |old: &Budget| Budget { updated_at: wanted.updated_at, ..old.clone() } == wanted;
    if before.as_ref().map_or(!wanted.limits(), is_same) {
        return Ok(());
    }
    put(tx, wanted)?;
    // An old notice refers to the old limits.
    if tx.get::<BudgetNotice>((payer, period))?.is_some() {
        tx.delete::<BudgetNotice>((payer, period))?;
    }
    tx.emit(Event::BudgetChanged { payer, period });
    watch(tx, &[payer])
}

/// Removes a budget. Returns whether there was one.
///
/// # Errors
/// If the payer does not exist.
pub fn remove(tx: &mut WriteTx<'_>, payer: Payer, period: Period) -> Result<bool, UsageError> {
    let Some(budget) = standing::one(tx, payer, period)? else { return Ok(false) };
    let Budget { soft_pct, hard, .. } = budget;
    let wish =
        BudgetRequest { payer, period, limit_micros: None, limit_tokens: None, soft_pct, hard };
    set(tx, wish).map(|()| true)
}

/// Unblocks work: raises each limit that is used up or cannot pay the waiting call. The new limit exceeds spent and
/// reserved amounts by [`MORE_MICROS`] or [`MORE_TOKENS`], or by what the call needs if that is more. Limits with
/// room stay unchanged. Returns whether a limit was raised.
///
/// # Errors
/// `NoBudget` if there is no budget.
pub fn raise(tx: &mut WriteTx<'_>, payer: Payer, period: Period) -> Result<bool, UsageError> {
    let budget = standing::one(tx, payer, period)?.ok_or(UsageError::NoBudget)?;
    let (micros, tokens) = waiting::needed(&waiting::all(tx)?, &budget);
    let one = standing::standing_of(tx, budget, tx.now())?;
    let raised = |level: Option<Level>, needed: i64, more: i64, most: i64| {
        let level = level?;
        let gone = level.booked.saturating_add(level.reserved);
        Some(match level.is_short_of(needed) {
            true => level.limit.max(gone).saturating_add(more.max(needed)).min(most),
            false => level.limit,
        })
    };
    let wish = BudgetRequest {
        payer,
        period,
        limit_micros: raised(one.micros, micros, MORE_MICROS, MAX_BUDGET),
        limit_tokens: raised(one.tokens, tokens, MORE_TOKENS, MAX_TOKENS),
        soft_pct: one.budget.soft_pct,
        hard: one.budget.hard,
    };
    let before = (one.budget.limit_micros, one.budget.limit_tokens);
    let is_raised = before != (wish.limit_micros, wish.limit_tokens);
    if is_raised {
        set(tx, wish)?;
    }
    Ok(is_raised)
}

fn check(tx: &WriteTx<'_>, wish: &BudgetRequest) -> Result<(), UsageError> {
    let fits = |most: i64| move |n: i64| (0..=most).contains(&n);
    if !wish.limit_micros.is_none_or(fits(MAX_BUDGET)) {
        return Err(UsageError::BadAmount { field: "limit" });
    }
    if !wish.limit_tokens.is_none_or(fits(MAX_TOKENS)) {
        return Err(UsageError::BadTokens);
    }
    if !(1..=100).contains(&wish.soft_pct) {
        return Err(UsageError::BadShare);
    }
    if !wish.payer.periods().contains(&wish.period) {
        return Err(UsageError::BadPeriod(match wish.payer {
            Payer::Routine(_) => "set the cost of one run in the routine itself",
            _ => "a run has one total budget",
        }));
    }
    let there = match wish.payer {
        Payer::Workspace => tx.get::<Settings>(())?.is_some(),
        Payer::Agent(id) => tx.get::<Agent>(id)?.is_some(),
        Payer::Task(id) => tx.get::<Task>(id)?.is_some(),
        Payer::Run(id) => tx.get::<Run>(id)?.is_some(),
        Payer::Stream(id) => tx.get::<Stream>(id)?.is_some(),
        Payer::Routine(id) => tx.get::<Routine>(id)?.is_some(),
    };
    match (there, wish.payer) {
        (true, _) => Ok(()),
        (false, Payer::Workspace) => Err(UsageError::NoWorkspace),
        (false, payer) => Err(UsageError::NoPayer(payer.word())),
    }
}

/// Stores a budget: parts that belong to another record there, the rest in its own row.
fn put(tx: &mut WriteTx<'_>, mut budget: Budget) -> Result<(), UsageError> {
    let (payer, period, micros) = (budget.payer, budget.period, budget.limit_micros);
    let limits = budget.limits();
    let elsewhere = match (payer, period) {
        (Payer::Workspace, Period::Month | Period::Run) => {
            let mut settings = tx.get::<Settings>(())?.ok_or(UsageError::NoWorkspace)?;
            match period {
                Period::Month => settings.budget_micros = micros,
                _ => settings.run_cap_micros = micros.unwrap_or(0),
            }
            tx.put(&settings)?;
            true
        }
        (Payer::Agent(id), Period::Month) => {
            let mut agent = tx.get::<Agent>(id)?.ok_or(UsageError::NoPayer("agent"))?;
            (agent.budget_micros, agent.budget_soft_pct) = (micros, budget.soft_pct);
            agent.updated_at = tx.now();
            tx.put(&agent)?;
            budget.soft_pct = SOFT_PCT;
            true
        }
        _ => false,
    };
    // The limit per run is also stored here, which marks it as chosen.
    if elsewhere && period != Period::Run {
        budget.limit_micros = None;
    }
    let says_more = elsewhere && (!budget.hard || budget.soft_pct != SOFT_PCT);
    if limits && (budget.limits() || says_more) {
        tx.put(&budget)?;
    } else if tx.get::<Budget>((payer, period))?.is_some() {
        tx.delete::<Budget>((payer, period))?;
    }
    Ok(())
}

/// Limits of the whole workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Per month in micro-dollars; `None` for no limit.
    pub month_micros: Option<i64>,
    /// Per run in micro-dollars; 0 for no limit.
    pub run_micros: i64,
}

/// Sets the workspace's money limits per month and per run. Other properties of these budgets stay.
///
/// # Errors
/// `BadAmount` for an amount below zero or above [`MAX_BUDGET`].
pub fn set_limits(tx: &mut WriteTx<'_>, limits: Limits) -> Result<(), UsageError> {
    let run = Some(limits.run_micros).filter(|micros| *micros != 0);
    for (period, limit_micros, field) in
        [(Period::Month, limits.month_micros, "month"), (Period::Run, run, "run")]
    {
        let now = standing::one(tx, Payer::Workspace, period)?;
        let now = now.unwrap_or_else(|| Budget::new(Payer::Workspace, period));
        if now.limit_micros == limit_micros {
            // Only the other limit was changed, so this one stays unchosen.
            continue;
        }
        let Budget { payer, period, limit_tokens, soft_pct, hard, .. } = now;
        let wish = BudgetRequest { payer, period, limit_micros, limit_tokens, soft_pct, hard };
        set(tx, wish).map_err(|error| match error {
            UsageError::BadAmount { .. } => UsageError::BadAmount { field },
            other => other,
        })?;
    }
    Ok(())
}

/// Notifies about the payers' budgets that are nearly or fully used, once per period. Includes budgets that only
/// warn.
pub(super) fn watch(tx: &mut WriteTx<'_>, payers: &[Payer]) -> Result<(), UsageError> {
    for standing in standing::standings(tx, payers, tx.now())? {
        if standing.budget.is_of_run() {
            continue;
        }
        let reached = standing.is_used_up();
        if reached || standing.is_warm() {
            tell(tx, &standing.budget, reached)?;
        }
    }
    Ok(())
}

/// Notifies that a budget stops a call, once per period.
pub(super) fn tell_reached(tx: &mut WriteTx<'_>, budget: &Budget) -> Result<(), UsageError> {
    tell(tx, budget, true)
}

fn tell(tx: &mut WriteTx<'_>, budget: &Budget, reached: bool) -> Result<(), UsageError> {
    let (payer, period) = (budget.payer, budget.period);
    let first_day = period.first_day(tx.now());
    let limits = (budget.limit_micros, budget.limit_tokens);
    let is_known = tx.get::<BudgetNotice>((payer, period))?.is_some_and(|notice| {
        notice.first_day == first_day && notice.limits == limits && (notice.reached || !reached)
    });
    if is_known {
        return Ok(());
    }
    let at = tx.now();
    tx.put(&BudgetNotice { payer, period, first_day, limits, reached, at, seen_at: None })?;
    tx.emit(match reached {
        true => Event::BudgetReached { payer, period },
        false => Event::BudgetWarned { payer, period },
    });
    Ok(())
}

/// Hides a budget notice for the rest of the period.
pub fn put_away(tx: &mut WriteTx<'_>, key: BudgetKey) -> Result<(), UsageError> {
    if let Some(mut notice) = tx.get::<BudgetNotice>(key)? {
        notice.seen_at = Some(tx.now());
        tx.put(&notice)?;
    }
    Ok(())
}
