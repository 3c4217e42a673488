//! What a sign-in came to, and one that is under way.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Connection;
use kernel::{ConnectionId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

/// What sign-ins came to.
pub const GRANTS: Table = Table::new(179, "connection_grants");
/// Sign-ins that are under way, or how the last one ended.
pub const LOGINS: Table = Table::new(184, "connection_logins");

/// What a sign-in came to: tokens, sealed, and how they are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub connection: ConnectionId,
    /// The envelope of all tokens; it opens in this place only.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// What people know the account by.
    pub label: Option<String>,
    /// When that ends which calls are made with; none when nobody said.
    #[serde(with = "millisecond::optional")]
    pub expires_at: Option<Timestamp>,
    /// When a person signed in; tells this sign-in from a later one.
    #[serde(with = "millisecond::required")]
    pub signed_in_at: Timestamp,
    /// When the tokens came.
    #[serde(with = "millisecond::required")]
    pub renewed_at: Timestamp,
    /// When new tokens were asked for, until the answer is kept: the answer may have been lost.
    #[serde(with = "millisecond::optional")]
    pub asked_at: Option<Timestamp>,
    /// How often in a row there were none.
    pub failures: u32,
    /// When they are asked for again after a failure.
    #[serde(with = "millisecond::optional")]
    pub retry_at: Option<Timestamp>,
    /// What the maker said to the last failure.
    pub said: String,
    /// Since when it does not count any more: a person has to sign in again.
    #[serde(with = "millisecond::optional")]
    pub lost_at: Option<Timestamp>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grant({})", self.connection)
    }
}

impl Record for Grant {
    type Id = ConnectionId;
    const TABLE: Table = GRANTS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            connection: ConnectionId::from_bytes([7; 16]),
            sealed: "enc:v2:sample".into(),
            key_id: "k1".into(),
            label: Some("mira@marlow.example".into()),
            expires_at: Some(at),
            signed_in_at: at,
            renewed_at: at,
            asked_at: Some(at),
            failures: 2,
            retry_at: Some(at),
            said: "busy".into(),
            lost_at: Some(at),
        }
    }
}

/// How a person signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// In a browser, which is sent back with a code.
    Browser,
    /// By typing a short code on a page of the maker's.
    Device,
}

/// How a sign-in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginState {
    /// The person is asked.
    Waiting,
    /// The person has signed in.
    Done,
    /// The person said no.
    Denied,
    /// Nobody did anything in time.
    Expired,
    /// Somebody called it off here.
    Cancelled,
    /// The maker refused it.
    Failed,
}

impl LoginState {
    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A sign-in that is under way, or how the last one ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The connection; it has one at a time.
    pub connection: ConnectionId,
    /// Counts them: what belongs to an earlier one changes nothing.
    pub number: u32,
    pub flow: Flow,
    /// How it stands.
    pub state: LoginState,
    /// The envelope of what only HQ and the person know; empty once it is over.
    pub sealed: String,
    /// The id of the master key that sealed it.
    pub key_id: String,
    /// When it began.
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// When it is too late.
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    /// Between two questions whether the code was typed, in milliseconds.
    pub pause_ms: i64,
    /// When that is asked next.
    #[serde(with = "millisecond::required")]
    pub next_at: Timestamp,
    /// What the maker said last, for people.
    pub said: String,
}

impl Login {
    /// When something has to be done about it.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Timestamp {
        match self.flow {
            _ if self.is_over(now) => now,
            Flow::Browser => self.expires_at,
            Flow::Device => self.next_at.min(self.expires_at),
        }
    }

    /// Whether it is too late for it. Who set the clock back to before it began has to begin again.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now || now < self.begun_at
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, {}, {})", self.connection, self.number, self.state.word())
    }
}

impl Record for Login {
    type Id = ConnectionId;
    const TABLE: Table = LOGINS;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> ConnectionId {
        self.connection
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, Some(self.connection), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            connection: ConnectionId::from_bytes([7; 16]),
            number: 3,
            flow: Flow::Device,
            state: LoginState::Waiting,
            sealed: "enc:v2:sample".into(),
            key_id: "k1".into(),
            begun_at: at,
            expires_at: at,
            pause_ms: 5_000,
            next_at: at,
            said: "busy".into(),
        }
    }
}
