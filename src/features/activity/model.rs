//! When people were here. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, Record, Table};

/// When people were last here.
pub const VISITS: Table = Table::new(282, "visits");

/// Who was away for so long is told what happened meanwhile.
pub const AWAY: SignedDuration = SignedDuration::from_hours(4);
/// A visit that goes on is noted after so long: pages come and go faster.
pub const STEP: SignedDuration = SignedDuration::from_mins(5);

/// When somebody was last here, as the live streams of their pages tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub account: AccountId,
    /// When a page of theirs was last open.
    #[serde(with = "millisecond::required")]
    pub seen_at: Timestamp,
    /// The end of the visit before this one; none after the first, and once they have put it away.
    #[serde(with = "millisecond::optional")]
    pub since: Option<Timestamp>,
}

impl Visit {
    /// Since when this person has not looked, at this moment.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        match self.seen_at + AWAY <= now {
            true => Some(self.seen_at),
            false => self.since,
        }
    }
}

impl Record for Visit {
    type Id = AccountId;
    const TABLE: Table = VISITS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> AccountId {
        self.account
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self { account: AccountId::from_bytes([3; 16]), seen_at: at, since: Some(at) }
    }
}
