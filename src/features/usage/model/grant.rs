//! What a run on another machine may spend while that machine is cut off. It is set aside at home, and the machine has a
//! copy of it.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Reservation;
use crate::runs::model::Run;
use kernel::{
    CallKind, GatewayId, Payer, PricedBy, ReservationId, Route, RunId, Timestamp, TypedId,
};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const RUN_GRANTS: Table = Table::new(401, "run_grants");

/// What one run may spend while nothing is heard of its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunGrant {
    pub run: RunId,
    /// The machine that has it.
    pub gateway: GatewayId,
    /// How much of it is left, in micro-dollars.
    pub micros: i64,
    /// How much of it is left in tokens, sent and received: where no price is known.
    pub tokens: i64,
    /// Whether a budget limits tokens: then they count whatever the price.
    pub counts_tokens: bool,
    /// Whether a person has set a limit of money: then a call costs what the dearest does where no price is known.
    pub is_limited: bool,
    /// For how many hours after the cut it holds.
    pub hours: u32,
    /// Whose budgets it counts for.
    pub payers: Vec<Payer>,
    /// What was booked in its place when the run was taken away from a silent machine, in micro-dollars: nobody knew then
    /// how much of it was spent. It holds nothing any more.
    pub lost: Option<i64>,
    /// When it was given.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl RunGrant {
    /// By which id it stands among what is held back.
    #[must_use]
    pub fn held_as(run: RunId) -> ReservationId {
        ReservationId::from_uuid(run.uuid())
    }

    /// The same as something that is held back for a call; none once it holds nothing.
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
