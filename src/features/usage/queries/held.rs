//! What cannot be spent although it was not: held back for calls that run, set aside for sub-agents.

use crate::runs::queries::children;
use crate::usage::model::Reservation;
use kernel::{Payer, Period, Timestamp};
use store::{Read, StoreError};

use super::budgets::{spent, tokens};

/// What is held back at a moment, and for whom that is asked.
pub(super) struct Held<'a> {
    /// The payers that are asked about.
    pub of: &'a [Payer],
    /// All that is held back.
    pub all: &'a [Reservation],
    pub now: Timestamp,
}

impl Held<'_> {
    /// What is held back for calls that run, in money and in tokens.
    pub fn reserved(&self, spender: Payer) -> (i64, i64) {
        let own = self.all.iter().filter(|held| held.payers.contains(&spender));
        own.fold((0, 0), |sum: (i64, i64), held| {
            (sum.0.saturating_add(held.micros), sum.1.saturating_add(held.tokens))
        })
    }

    /// What is set aside for sub-agents of a run that are at work and have not spent it: nobody else
    /// may. Whoever asks for one of them asks for its share.
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
