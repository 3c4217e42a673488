//! Reactions of usage to events of other nouns.

use crate::inbox::model::Item;
use crate::routines::queries as routines;
use crate::runs::model::{Run, TAKEN_BACK};
use kernel::{Event, ItemId, Outcome, Payer, Period, RunId};
use store::{ReadExt, WriteTx};

use super::model::budget::SOFT_PCT;
use super::rules::budgets::{self, BudgetRequest};
use super::rules::{self, UsageError};

/// Handles one event.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), UsageError> {
    match event {
        Event::RunStarted { run, item: Some(item), .. } => cap(tx, *run, *item),
        // A run that was ended during a call leaves a reservation.
        Event::RunEnded { run, .. } => {
            rules::book_left(tx, *run)?;
            grant_over(tx, *run)?;
            rules::wait_over(tx, *run)
        }
        _ => Ok(()),
    }
}

/// Ends the grant of an ended run. A run taken back from its host may have spent all of it.
fn grant_over(tx: &mut WriteTx<'_>, id: RunId) -> Result<(), UsageError> {
    let outcome = tx.get::<Run>(id)?.and_then(|run| run.outcome);
    match outcome {
        Some(Outcome::Failed { code, .. }) if code == TAKEN_BACK => rules::grants::lose(tx, id),
        _ => rules::grants::release(tx, id),
    }
}

/// Sets the routine's limit per run as the budget of the run.
fn cap(tx: &mut WriteTx<'_>, run: RunId, item: ItemId) -> Result<(), UsageError> {
    let Some(item) = tx.get::<Item>(item)? else { return Ok(()) };
    let routine = routines::routine_of(tx, &item)?;
    let Some(limit) = routine.and_then(|routine| routine.budget_micros) else { return Ok(()) };
    let wish = BudgetRequest {
        payer: Payer::Run(run),
        period: Period::Total,
        limit_micros: Some(limit),
        limit_tokens: None,
        soft_pct: SOFT_PCT,
        hard: true,
    };
    budgets::set(tx, wish)
}
