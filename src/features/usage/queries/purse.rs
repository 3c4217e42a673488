//! The budgets of a stream or a routine as its own page shows them, with the form that sets one.

use crate::usage::model::budget::BudgetWait;
use app::Ws;
use kernel::{Payer, Period};
use store::{Read, StoreError};
use web::format;
use web::parts::{Choice, Tone};

use super::budgets::{self as standing, Standing};
use super::payers::lasting;
use super::waiting;

/// Budgets of one who pays.
#[derive(Clone, Debug, Default)]
pub struct Purse {
    /// How they stand.
    pub lines: Vec<Line>,
    /// What was spent of this month, whether or not something limits it.
    pub month: String,
    /// Where a budget is set.
    pub action: String,
    pub all: String,
    /// Who pays, for the form.
    pub payer: String,
    /// The periods to choose from.
    pub periods: Vec<Choice>,
    /// Whether whoever looks may set one.
    pub may_set: bool,
}

/// A budget as a line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Of what: `of this month`.
    pub period: &'static str,
    /// How much of what: `$3.20 of $40`.
    pub used: String,
    /// How much of it is spent.
    pub percent: u8,
    /// How that is to be taken.
    pub tone: Tone,
    /// More about it, or empty.
    pub note: String,
}

/// The budgets of this payer.
pub fn of(ws: &Ws, read: &dyn Read, payer: Payer, may_set: bool) -> Result<Purse, StoreError> {
    let now = ws.app.clock.now();
    let waits = waiting::all(read)?;
    let all = standing::standings_of(read, standing::of(read, payer)?, now)?;
    let spent = standing::spent(read, payer, Period::Month, now)?;
    let choice = |one: &Period| Choice::new(one.word(), one.label(), *one == Period::Month);
    let budgets = ws.url("settings/usage/budgets");
    Ok(Purse {
        lines: all.iter().map(|one| line(one, &waits)).collect(),
        month: format::money(spent),
        action: budgets.clone(),
        all: budgets,
        payer: lasting(payer),
        periods: payer.periods().iter().map(choice).collect(),
        may_set,
    })
}

fn line(one: &Standing, waits: &[BudgetWait]) -> Line {
    Line {
        period: one.budget.period.words(),
        used: one.told(),
        percent: one.share(),
        tone: one.tone(),
        note: notes(one, waits),
    }
}

/// What stands beside a budget: who waits for it, that it only warns, when it begins again.
#[must_use]
pub fn notes(one: &Standing, waits: &[BudgetWait]) -> String {
    let budget = &one.budget;
    let mut notes = Vec::new();
    let waiting = waiting::on(waits, budget).count();
    if waiting > 0 {
        notes.push(format::count(waiting as u64, "run waits", "runs wait"));
    }
    if budget.usual && budget.payer == Payer::Workspace {
        notes.push("does not hold for models without a price until somebody sets it".to_owned());
    }
    if !budget.hard {
        notes.push("only warns".to_owned());
    }
    if let (Some(again), true) = (budget.period.again(), one.is_used_up()) {
        notes.push(format!("begins again {again}"));
    }
    notes.join(", ")
}
