//! Records of sign-ins: the resulting tokens, and pending sign-ins.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Connection;
use kernel::{ConnectionId, Timestamp, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

pub const GRANTS: Table = Table::new(179, "connection_grants");
/// Pending sign-ins, or the result of the last one.
pub const LOGINS: Table = Table::new(184, "connection_logins");

/// Sealed tokens of a sign-in, and their state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub connection: ConnectionId,
    /// Envelope of all tokens; opens for its own place only.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    /// Display name of the account.
    pub label: Option<String>,
    /// Expiry of the token for calls; `None` if unknown.
    #[serde(with = "millisecond::optional")]
    pub expires_at: Option<Timestamp>,
    /// Identifies this sign-in among later ones.
    #[serde(with = "millisecond::required")]
    pub signed_in_at: Timestamp,
    /// Time of the current tokens.
    #[serde(with = "millisecond::required")]
    pub renewed_at: Timestamp,
    /// Set from a renewal request until its answer is stored; the answer may have been lost.
    #[serde(with = "millisecond::optional")]
    pub asked_at: Option<Timestamp>,
    /// Consecutive failed renewals.
    pub failures: u32,
    /// Time of the next renewal after a failure.
    #[serde(with = "millisecond::optional")]
    pub retry_at: Option<Timestamp>,
    /// The maker's message for the last failure.
    pub said: String,
    /// Set once the sign-in is invalid: a person has to sign in again.
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

/// Sign-in flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// A browser that is redirected back with a code.
    Browser,
    /// A short code typed on the maker's page.
    Device,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginState {
    /// Waits for the person.
    Waiting,
    Done,
    /// Denied by the person.
    Denied,
    /// The person did not act in time.
    Expired,
    /// Cancelled in HQ.
    Cancelled,
    /// Refused by the maker.
    Failed,
}

impl LoginState {
    /// Stable identifier.
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

/// A pending sign-in, or the result of the last one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// A connection has one sign-in at a time.
    pub connection: ConnectionId,
    /// Sequence number; updates for an earlier sign-in are ignored.
    pub number: u32,
    pub flow: Flow,
    pub state: LoginState,
    /// Envelope of the secrets of the sign-in; empty once it is over.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    /// Poll interval of the device flow in milliseconds.
    pub pause_ms: i64,
    /// Time of the next poll.
    #[serde(with = "millisecond::required")]
    pub next_at: Timestamp,
    /// The maker's last message, for display.
    pub said: String,
}

impl Login {
    /// Time of the next required action.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Timestamp {
        match self.flow {
            _ if self.is_over(now) => now,
            Flow::Browser => self.expires_at,
            Flow::Device => self.next_at.min(self.expires_at),
        }
    }

    /// Whether the sign-in has expired. A clock set back to before its beginning expires it too.
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
