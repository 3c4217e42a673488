//! Runs and billed costs per machine in the last 30 days.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use app::Ws;
use features::runs::model::{RUNS, Run};
use features::usage::model::day::day_in;
use features::usage::queries::daily;
use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::{GatewayId, RunId, TypedId as _};
use store::{Range, Read as _, Snap, StoreError, record};

use crate::hosts::away;

/// Including today.
pub const DAYS: u32 = 30;

/// Runs and costs by gateway; `None` is this machine.
#[derive(Debug, Default)]
pub struct Lately {
    runs: BTreeMap<Option<GatewayId>, u64>,
    billed: BTreeMap<Option<GatewayId>, i64>,
}

impl Lately {
    /// Reads the workspace's runs and daily cost totals of those days.
    pub fn read(ws: &Ws, snap: &Snap<'_>) -> Result<Self, StoreError> {
        let (now, zone) = (ws.app.clock.now(), daily::zone(snap)?);
        let today = day_in(now, &zone);
        let days = today.saturating_sub(DAYS - 1)..=today;
        let mut lately = Self::default();
        for day in daily::rolled(ws, snap, days.clone())?.days {
            let billed = lately.billed.entry(day.gateway).or_default();
            *billed = billed.saturating_add(day.sums.billed_micros);
        }
        // Run ids start with their time. The first day may start up to a day earlier than in UTC.
        let from = now - SignedDuration::from_hours(24 * i64::from(DAYS + 1));
        let range = Range::all().after(KeyBuf::of(&RunId::first_at(from)).bytes());
        let mut bad = None;
        snap.raw_scan(RUNS.number, &range, &mut |_, value| match record::read::<Run>(value) {
            Ok((run, _)) => {
                if days.contains(&day_in(run.created_at, &zone)) {
                    *lately.runs.entry(run.gateway).or_default() += 1;
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                bad = Some(error);
                ControlFlow::Break(())
            }
        })?;
        match bad {
            None => Ok(lately),
            Some(error) => Err(error.into()),
        }
    }

    #[must_use]
    pub fn runs(&self, gateway: GatewayId) -> u64 {
        self.runs.get(&away(gateway)).copied().unwrap_or_default()
    }

    /// Billed costs in micro-dollars.
    #[must_use]
    pub fn billed(&self, gateway: GatewayId) -> i64 {
        self.billed.get(&away(gateway)).copied().unwrap_or_default()
    }
}
