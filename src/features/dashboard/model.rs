//! What people have put away of what needs them. A released layout is frozen: add `…V1`, raise `VERSION`.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use kernel::{AccountId, Timestamp, TypedId};
use store::{Class, Index, Keys, Record, Table};

/// What people have put away of what needs them, one row a person.
pub const NEEDS_AWAY: Table = Table::new(283, "needs_away");
/// When the first thing of a person comes back.
pub const BY_UNTIL: Index = Index::multi(284, "needs_away_until");

/// One thing that is put away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAway {
    /// Its id, which names the thing and what it said then: when it says something new, it is another one.
    pub need: String,
    /// The ids of what stood on the same row.
    pub with: Vec<String>,
    /// What it was called.
    pub title: String,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    /// When it comes back; never by itself when there is none.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
}

impl PutAway {
    /// Whether it is away at this moment.
    #[must_use]
    pub fn is_away(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What somebody has put away, the last one at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    pub account: AccountId,
    pub rows: Vec<PutAway>,
}

impl Away {
    /// When the first of it comes back.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.rows.iter().filter_map(|row| row.until).min()
    }
}

impl Record for Away {
    type Id = AccountId;
    const TABLE: Table = NEEDS_AWAY;
    // To look away from something is not undone with what caused it.
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
