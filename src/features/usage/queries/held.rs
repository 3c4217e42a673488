//! Unspent amounts that are unavailable: reserved for running calls, or set aside for sub-agents.

use crate::runs::queries::children;
use crate::usage::model::Reservation;
use kernel::{Payer, Period, Timestamp};
use store::{Read, StoreError};

use super::budgets::{spent, tokens};

/// Current reservations, and the payers of the request.
pub(super) struct Held<'a> {
    /// The payers of the request.
    pub of: &'a [Payer],
    pub all: &'a [Reservation],
    pub now: Timestamp,
}

impl Held<'_> {
    /// Amount reserved for running calls: micro-dollars and tokens.
    pub fn reserved(&self, spender: Payer) -> (i64, i64) {
        let own = self.all.iter().filter(|held| held.payers.contains(&spender));
        own.fold((0, 0), |sum: (i64, i64), held| {
            (sum.0.saturating_add(held.micros), sum.1.saturating_add(held.tokens))
        })
    }

    /// Unspent shares of a run's live sub-agents, which nobody else may spend. A sub-agent in `of` is excluded: the
    /// request uses its share.
    pub fn set_aside(&self, tx: &dyn Read, spender: Payer) -> Result<(i64, i64), StoreError> {
        let Payer::Run(run) = spender else { return Ok((0, 0)) };
        let mut aside = (0_i64, 0_i64);
        for child in children::live_of_parent(tx, run)? {
            let payer = Payer::Run(child.run);
            if self.of.contains(&payer) {
                continue;
            }
            let reserved = self.reserved(payer);
            let left = |limit: i64, booked: i64, reserved: i64| {
                limit.saturating_sub(booked).saturating_sub(reserved).max(0)
            };
            if let Some(limit) = child.limit_micros {
                let booked = spent(tx, payer, Period::Total, self.now)?;
                aside.0 = aside.0.saturating_add(left(limit, booked, reserved.0));
            }
            if let Some(limit) = child.limit_tokens {
                let booked = tokens(tx, payer, Period::Total, self.now)?;
                aside.1 = aside.1.saturating_add(left(limit, booked, reserved.1));
            }
        }
        Ok(aside)
    }
}
