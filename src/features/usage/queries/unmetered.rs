//! Models in use without a known price.

use std::collections::BTreeMap;

use crate::usage::model::day::day_in;
use app::Ws;
use kernel::Timestamp;
use store::{Snap, StoreError};

use super::{daily, prices};

/// Number of days considered.
const DAYS: u32 = 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmetered {
    pub model: String,
    /// The provider's stable word.
    pub provider: String,
    /// Number of recent calls without a known price.
    pub calls: u64,
}

/// Models of the last 30 days that still have no entered price, most calls first.
pub fn recent(ws: &Ws, snap: &Snap<'_>, now: Timestamp) -> Result<Vec<Unmetered>, StoreError> {
    let today = day_in(now, &daily::zone(snap)?);
    let days = daily::rolled(ws, snap, today.saturating_sub(DAYS - 1)..=today)?.days;
    let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
    for day in days.into_iter().filter(|day| 0 < day.sums.unpriced) {
        *calls.entry((day.model, day.provider)).or_default() += day.sums.unpriced;
    }
    let mut all = Vec::new();
    for ((model, provider), calls) in calls {
        let entered = prices::of_model(snap, &model)?;
        if !entered.iter().any(|price| price.begins_at <= now) {
            all.push(Unmetered { model, provider, calls });
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.calls));
    Ok(all)
}
