//! Runs that wait for a budget.

use crate::usage::model::budget::{Budget, BudgetWait};
use kernel::RunId;
use store::{Range, Read, ReadExt, StoreError};

/// The budget wait of a run.
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<Option<BudgetWait>, StoreError> {
    tx.get(run)
}

pub fn all(tx: &dyn Read) -> Result<Vec<BudgetWait>, StoreError> {
    tx.list(&Range::all())
}

/// The waits for one budget.
pub fn on<'w>(
    waits: &'w [BudgetWait],
    budget: &Budget,
) -> impl Iterator<Item = &'w BudgetWait> + use<'w> {
    let key = (budget.payer, budget.period);
    waits.iter().filter(move |wait| (wait.payer, wait.period) == key)
}

/// Maximum micro-dollars and tokens that a run waiting for the budget needs.
#[must_use]
pub fn needed(waits: &[BudgetWait], budget: &Budget) -> (i64, i64) {
    on(waits, budget).fold((0, 0), |most, wait| (most.0.max(wait.micros), most.1.max(wait.tokens)))
}
