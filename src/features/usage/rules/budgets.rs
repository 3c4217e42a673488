//! Budgets: set, taken away, and told of when they are nearly or wholly used up.

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

/// The largest budget that can be set, in micro-dollars (ten million dollars).
pub const MAX_BUDGET: i64 = 10_000_000_000_000;
/// The largest budget of tokens that can be set.
pub const MAX_TOKENS: i64 = 1_000_000_000_000;
/// What [`raise`] adds to a limit of money, in micro-dollars.
pub const MORE_MICROS: i64 = 2_000_000;
/// What it adds to a limit of tokens.
pub const MORE_TOKENS: i64 = 500_000;

/// A budget as somebody wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRequest {
    /// Who pays.
    pub payer: Payer,
    pub period: Period,
    /// The most money, in micro-dollars; none for no limit.
    pub limit_micros: Option<i64>,
    /// The most tokens; none for no limit.
    pub limit_tokens: Option<i64>,
    /// At which share of it a person is warned, in percent.
    pub soft_pct: u8,
    /// Whether no call starts that could pass it.
    pub hard: bool,
}

/// Sets a budget; one without a limit is taken away. It counts from the next call. What is set as it was
/// changes nothing, unless that was nobody's choice.
///
/// # Errors
/// When the payer does not exist, or an amount, share or period cannot be one.
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
    // What was told of other limits says nothing of these.
    if tx.get::<BudgetNotice>((payer, period))?.is_some() {
        tx.delete::<BudgetNotice>((payer, period))?;
    }
    tx.emit(Event::BudgetChanged { payer, period });
    watch(tx, &[payer])
}

/// Takes a budget away. Answers whether there was one.
///
/// # Errors
/// When the payer does not exist.
pub fn remove(tx: &mut WriteTx<'_>, payer: Payer, period: Period) -> Result<bool, UsageError> {
    let Some(budget) = standing::one(tx, payer, period)? else { return Ok(false) };
    let Budget { soft_pct, hard, .. } = budget;
    let wish =
        BudgetRequest { payer, period, limit_micros: None, limit_tokens: None, soft_pct, hard };
    set(tx, wish).map(|()| true)
}

/// Lets work go on that a budget holds up: a limit that is used up, or that cannot pay the call that
/// a run waits to make, is raised above what is spent and held back by [`MORE_MICROS`] or
/// [`MORE_TOKENS`], and by more where that call needs it. A limit that has room stays as it is.
/// Answers whether anything was raised.
///
/// # Errors
/// `NoBudget` when there is none to raise.
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
            Payer::Routine(_) => "what one run of a routine may cost is said in the routine itself",
            _ => "a run has one budget in all",
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

/// Keeps a budget: what stands in another record there, the rest in a row of its own.
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
    // What each run may cost is noted here, too: somebody has chosen it.
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
    /// A month, in micro-dollars; none for no limit.
    pub month_micros: Option<i64>,
    /// A run, in micro-dollars; 0 for no limit.
    pub run_micros: i64,
}

/// Sets what the workspace may spend in a month and for one run; what else their budgets say stays.
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
            // The other of the two was changed: nobody has chosen this one.
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

/// Tells of the budgets of these payers that are nearly or wholly used up, once in each period, also of those that
/// only warn.
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

/// Tells that a budget stops a call, once in each period.
pub(super) fn tell_reached(tx: &mut WriteTx<'_>, budget: &Budget) -> Result<(), UsageError> {
    tell(tx, budget, true)
}

fn tell(tx: &mut WriteTx<'_>, budget: &Budget, reached: bool) -> Result<(), UsageError> {
    let (payer, period) = (budget.payer, budget.period);
    let first_day = period.first_day(tx.now());
    let limits = (budget.limit_micros, budget.limit_tokens);
    let told = tx.get::<BudgetNotice>((payer, period))?.is_some_and(|told| {
        told.first_day == first_day && told.limits == limits && (told.reached || !reached)
    });
    if told {
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

/// Puts away what was told of a budget: nobody has to see it again in this period.
pub fn put_away(tx: &mut WriteTx<'_>, key: BudgetKey) -> Result<(), UsageError> {
    if let Some(mut notice) = tx.get::<BudgetNotice>(key)? {
        notice.seen_at = Some(tx.now());
        tx.put(&notice)?;
    }
    Ok(())
}
