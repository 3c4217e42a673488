//! Visits of people. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::SignedDuration;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, Record, Table};

/// Last visit per account.
pub const VISITS: Table = Table::new(282, "visits");

/// Minimum absence after which activity since the last visit is shown.
pub const AWAY: SignedDuration = SignedDuration::from_hours(4);
/// Interval at which an ongoing visit is recorded.
pub const STEP: SignedDuration = SignedDuration::from_mins(5);

/// Last visit of an account, as reported by the live streams of its pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub account: AccountId,
    /// Last time at which a page was open.
    #[serde(with = "millisecond::required")]
    pub seen_at: Timestamp,
    /// End of the previous visit. `None` on the first visit and after dismissal.
    #[serde(with = "millisecond::optional")]
    pub since: Option<Timestamp>,
}

impl Visit {
    /// Start of the activity that is new to this person.
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
