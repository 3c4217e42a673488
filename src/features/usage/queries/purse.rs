//! Budgets of a stream or routine for its page, with the form to set one.

use crate::usage::model::budget::BudgetWait;
use app::Ws;
use kernel::{Payer, Period};
use store::{Read, StoreError};
use web::format;
use web::parts::{Choice, Tone};

use super::budgets::{self as standing, Standing};
use super::payers::lasting;
use super::waiting;

#[derive(Clone, Debug, Default)]
pub struct Purse {
    /// One line per budget.
    pub lines: Vec<Line>,
    /// Spending of the current month, limited or not.
    pub month: String,
    /// Path to which the form is posted.
    pub action: String,
    pub all: String,
    /// Form value of the payer.
    pub payer: String,
    pub periods: Vec<Choice>,
    /// Whether the reader may set a budget.
    pub may_set: bool,
}

/// A budget as a line.
#[derive(Clone, Debug)]
pub struct Line {
    /// For example `of this month`.
    pub period: &'static str,
    /// Amount used: `$3.20 of $40`.
    pub used: String,
    /// Spent share in percent.
    pub percent: u8,
    pub tone: Tone,
    /// Additional text; may be empty.
    pub note: String,
}

/// The budgets of a payer.
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
        used: one.describe(),
        percent: one.share(),
        tone: one.tone(),
        note: notes(one, waits),
    }
}

/// Notes beside a budget: waiting runs, whether it only warns, start of the next period.
#[must_use]
pub fn notes(one: &Standing, waits: &[BudgetWait]) -> String {
    let budget = &one.budget;
    let mut notes = Vec::new();
    let waiting = waiting::on(waits, budget).count();
    if waiting > 0 {
        notes.push(format::count(waiting as u64, "run waits", "runs wait"));
    }
    if budget.usual && budget.payer == Payer::Workspace {
        notes.push("doesn’t apply to models without a price".to_owned());
    }
    if !budget.hard {
        notes.push("warns only".to_owned());
    }
    if let (Some(renewal), true) = (budget.period.renewal(), one.is_used_up()) {
        notes.push(format!("resets {renewal}"));
    }
    notes.join(", ")
}
