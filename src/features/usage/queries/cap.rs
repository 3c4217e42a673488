//! Cost and token limits of one run.

use crate::runs::model::Run;
use kernel::{Payer, Period};
use store::{Read, StoreError};

use super::{budgets, payers};

/// Limits of a run; `None` without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cap {
    /// Micro-dollars.
    pub micros: Option<i64>,
    /// Tokens sent and received.
    pub tokens: Option<i64>,
    /// Whether the money limit is a default. A default does not apply to models without a known price.
    pub usual: bool,
}

/// Limits of a run: its own, else the lowest per-run limit of its payers.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<Cap, StoreError> {
    let mut cap = Cap::default();
    for payer in payers::payers(tx, run.agent, run.id)? {
        let each = budgets::of(tx, payer)?.into_iter();
        for budget in each.filter(|budget| budget.hard && budget.period == Period::Run) {
            if budget.limit_micros.is_some() {
                cap.usual = budget.usual && (cap.usual || cap.micros.is_none());
            }
            cap.micros = cap.micros.into_iter().chain(budget.limit_micros).min();
            cap.tokens = cap.tokens.into_iter().chain(budget.limit_tokens).min();
        }
    }
    if let Some(own) = budgets::one(tx, Payer::Run(run.id), Period::Total)? {
        if own.limit_micros.is_some() {
            (cap.micros, cap.usual) = (own.limit_micros, own.usual);
        }
        cap.tokens = own.limit_tokens.or(cap.tokens);
    }
    Ok(cap)
}
