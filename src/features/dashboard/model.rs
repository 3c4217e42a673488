//! Hidden dashboard items. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

/// Hidden items, one row per person.
pub const NEEDS_AWAY: Table = Table::new(283, "needs_away");
/// Earliest end of a snooze per person.
pub const BY_UNTIL: Index = Index::multi(284, "needs_away_until");

/// A hidden item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAway {
    /// Identifies the item in its state at that time. A new state has a new id.
    pub need: String,
    /// Ids of the other items on the same row.
    pub with: Vec<String>,
    pub title: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// End of the snooze. `None` for a dismissed item.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
}

impl PutAway {
    /// Returns `true` if it is hidden at `now`.
    #[must_use]
    pub fn is_away(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Hidden items of a person, last hidden at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    pub account: AccountId,
    pub rows: Vec<PutAway>,
}

impl Away {
    /// Earliest end of a snooze.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.rows.iter().filter_map(|row| row.until).min()
    }
}

impl Record for Away {
    type Id = AccountId;
    const TABLE: Table = NEEDS_AWAY;
    // Undoing the cause does not undo hiding.
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[BY_UNTIL];
    fn id(&self) -> AccountId {
        self.account
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(until) = self.next() {
            keys.entry(BY_UNTIL).part(until);
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        let row = PutAway {
            need: "run-12-1700000000000".into(),
            with: vec!["overdue-4".into()],
            title: "Which offer, Zoë?".into(),
            at,
            until: Some(at),
        };
        Self { account: AccountId::from_bytes([3; 16]), rows: vec![row] }
    }
}
