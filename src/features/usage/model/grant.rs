//! Grant of a run on a host: what the run may spend while the host is disconnected. The primary reserves it, and the
//! host has a copy.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Reservation;
use crate::runs::model::Run;
use kernel::{
    CallKind, GatewayId, Payer, PricedBy, ReservationId, Route, RunId, Timestamp, TypedId,
};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const RUN_GRANTS: Table = Table::new(401, "run_grants");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunGrant {
    pub run: RunId,
    /// The gateway of the host.
    pub gateway: GatewayId,
    /// Remaining micro-dollars.
    pub micros: i64,
    /// Remaining tokens sent and received; used if no price is known.
    pub tokens: i64,
    /// Whether a budget limits tokens, so that they count even with a known price.
    pub counts_tokens: bool,
    /// Whether a person has set a money limit. If so, calls without a known price count at the highest known price.
    pub is_limited: bool,
    /// Validity after the disconnection in hours.
    pub hours: u32,
    /// The payers whose budgets the grant counts towards.
    pub payers: Vec<Payer>,
    /// Amount booked when the run was taken away from a silent host, in micro-dollars, because its spending was
    /// unknown. A lost grant reserves nothing.
    pub lost: Option<i64>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl RunGrant {
    /// Reservation id of a run's grant.
    #[must_use]
    pub fn held_as(run: RunId) -> ReservationId {
        ReservationId::from_uuid(run.uuid())
    }

    /// The grant as a reservation; `None` if it is lost.
    #[must_use]
    pub fn held(self) -> Option<Reservation> {
        if self.lost.is_some() {
            return None;
        }
        Some(Reservation {
            id: Self::held_as(self.run),
            agent: None,
            run: Some(self.run),
            call: 0,
            connection: None,
            provider: String::new(),
            model: String::new(),
            micros: self.micros,
            input_micros: 0,
            tokens: self.tokens,
            input_tokens: 0,
            priced_by: PricedBy::Dearest,
            route: Route::Api,
            kind: CallKind::Step,
            payers: self.payers,
            at: self.at,
            release_at: None,
        })
    }
}

impl Record for RunGrant {
    type Id = RunId;
    const TABLE: Table = RUN_GRANTS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> RunId {
        self.run
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        Self {
            run: RunId::from_bytes([8; 16]),
            gateway: GatewayId::from_bytes([95; 16]),
            micros: 500_000,
            tokens: 500_000,
            counts_tokens: true,
            is_limited: true,
            hours: 72,
            payers: vec![Payer::Workspace, Payer::Run(RunId::from_bytes([8; 16]))],
            lost: Some(320_000),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
