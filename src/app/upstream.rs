//! Connection from a host to the primary of its workspace.
//!
//! On a host, the engine sends each write to the primary and waits for the response. While the link is down, the host
//! journals the writes of a run locally and sends them later. On the primary, a workspace has no [`Upstream`].

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use kernel::{AgentId, Clock, ConnectionId, GatewayId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::BlobId;
use tokio::sync::{OwnedRwLockReadGuard, mpsc, watch};
use zeroize::Zeroizing;

use crate::Ws;
use crate::downstream::{Tell, Told};
use crate::live::Piece;

/// Error response of the primary or a host to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable machine-readable code.
    pub code: String,
    /// Message for people and models.
    pub sentence: String,
    /// Structured details; `Null` if there are none.
    pub with: Value,
}

impl Refusal {
    /// Creates a refusal without details.
    pub fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { code: code.into(), sentence: sentence.into(), with: Value::Null }
    }
}

/// Future of a response.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send + 'a>>;

/// Future of a response; `None` once the link has been down for a while.
pub type Tried<'a> = Pin<Box<dyn Future<Output = Option<Result<Value, Refusal>>> + Send + 'a>>;

/// Permission to write locally while the link is down. The link cannot come back before this is dropped.
pub struct Alone {
    /// Duration of the outage; the longer of wall clock and monotonic clock.
    pub cut_for: Duration,
    /// Blocks the next link.
    pub gate: OwnedRwLockReadGuard<()>,
}

/// Start of an outage, in wall-clock and monotonic time.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    at: Timestamp,
    passed: Duration,
}

impl Cut {
    #[must_use]
    pub fn now(clock: &dyn Clock) -> Self {
        Self { at: clock.now(), passed: clock.passed() }
    }

    /// Duration of the outage: the longer of wall clock and monotonic clock, so that setting the clock back does not
    /// extend offline time.
    #[must_use]
    pub fn lasts(&self, clock: &dyn Clock) -> Duration {
        let passed = clock.passed().saturating_sub(self.passed);
        let by_clock = clock.now().duration_since(self.at);
        passed.max(Duration::try_from(by_clock).unwrap_or_default())
    }
}

/// Future of [`Alone`]; `None` if the link is up. Resolves once nothing else is in progress.
pub type MayAlone<'a> = Pin<Box<dyn Future<Output = Option<Alone>> + Send + 'a>>;

/// Connection to the primary.
pub trait Upstream: Send + Sync {
    /// Sends a message about a run, or about none, and waits for the response. The mirror contains the result when
    /// this resolves. Messages about the same run are sent one at a time.
    fn say(&self, about: Option<RunId>, what: Value) -> Answered<'_>;
    /// Encodes a message with a unique nonce. Sending the same encoding again has no further effect: the primary
    /// recognises a repetition.
    fn words(&self, what: Value) -> Value;
    /// Sends an encoded message about a run and waits for the response, as [`Upstream::say`] does.
    fn says(&self, run: RunId, words: Value) -> Answered<'_>;
    /// Like [`Upstream::says`], but gives up once the link has been down for a while.
    fn tries(&self, run: RunId, words: Value) -> Tried<'_>;
    /// Returns whether writes of a run go to the local journal now: the link is down and all earlier local writes are
    /// still queued.
    fn alone(&self, run: RunId) -> MayAlone<'_>;
    /// Announces that a local write of a run is queued for the primary.
    fn wrote(&self, run: RunId);
    /// Counter that increases when the primary has received all local writes of a run, or when keys were dropped. The
    /// run is reloaded after each change.
    fn drained(&self, run: RunId) -> u64;
    /// Agents that run on this host.
    fn agents(&self) -> BTreeSet<AgentId>;
    /// Whether no new work is started.
    fn is_paused(&self) -> bool;
    fn is_linked(&self) -> bool;
    /// Counts mirror updates and other changes that work may wait for.
    fn moves(&self) -> watch::Receiver<u64>;
    /// Streams live model output to the primary. Drops pieces for which there is no room.
    fn shows(&self, piece: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Sends a read-only request. Does not wait for other messages.
    fn asks(&self, what: Value) -> Answered<'_>;
    /// Sets the receiver of requests from the primary. Responses are sent with [`Upstream::asks`].
    fn is_heard_by(&self, ears: mpsc::UnboundedSender<Tell>);
    /// In-memory value from the primary and its version.
    fn key(&self, handle: &str) -> Option<(u64, Zeroizing<String>)>;
    /// All in-memory values whose names begin with `begins`, ordered by name.
    fn keys(&self, begins: &str) -> Vec<Zeroizing<String>>;
    /// Whether in-memory keys were dropped and not all of them have been sent again. Keys are dropped after a long
    /// outage or when the primary denies access.
    fn lacks_keys(&self) -> bool;
}

/// Wire name of a connection's key.
#[must_use]
pub fn handle(connection: ConnectionId, slot: u32) -> String {
    format!("{connection}/{slot}")
}

/// Wire name of a connection's access token.
#[must_use]
pub fn access_handle(connection: ConnectionId) -> String {
    format!("{connection}/access")
}

/// Wire name of other data that a host needs about a connection.
#[must_use]
pub fn facts_handle(connection: ConnectionId) -> String {
    format!("{connection}{FACTS}")
}

/// Prefix of the wire names of secrets.
pub const SECRETS: &str = "secret/";
/// Wire name of the redaction patterns.
pub const MASKS: &str = "masks";

/// Suffix of the wire names of connection data.
const FACTS: &str = "/facts";

/// Whether the named value is a credential (key, token or secret).
#[must_use]
pub fn lets_in(handle: &str) -> bool {
    handle.starts_with(SECRETS) || (handle != MASKS && !handle.ends_with(FACTS))
}

/// Reason shown while work that may need credentials cannot start.
pub const KEYS_GONE: &str = "this machine's offline allowance has ended, so its agents can't use \
                             keys and secrets until it reconnects";

/// Request of a host for a valid access token. The token must differ from the refused one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Connection to which the token belongs.
    pub connection: ConnectionId,
    /// Version of the token that the server refused.
    pub refused: Option<u64>,
}

/// Request of a host for a blob, starting at an offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub file: BlobId,
    /// First missing byte.
    pub offset: u64,
}

/// A chunk of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Size of the whole blob in bytes.
    pub total: u64,
    /// The bytes of the chunk.
    #[serde(with = "crate::base64_serde")]
    pub data: Vec<u8>,
}

/// A chunk of a host's blob. The next write refers to this blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub id: BlobId,
    /// First byte of the chunk.
    pub offset: u64,
    /// Size of the whole blob in bytes.
    pub total: u64,
    /// The bytes of the chunk.
    #[serde(with = "crate::base64_serde")]
    pub data: Vec<u8>,
}

/// Messages of a host that are not engine writes or engine requests, in wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aside {
    /// Requests an access token.
    Access(Wanted),
    /// Requests a blob of the primary.
    File(Missing),
    /// Uploads a chunk of a blob. The engine of the primary handles it in sequence.
    Piece(Sent),
    /// A part of a response to a request of the primary.
    Told(Told),
}

impl Aside {
    /// Encodes the message.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self)
    }

    /// Decodes a message; `None` if it is of another kind.
    #[must_use]
    pub fn of(what: &Value) -> Option<Self> {
        // ok: another handler takes other kinds of messages.
        Self::deserialize(what).ok()
    }
}

/// Blob ids that appear in a message. May include values that only look like blob ids.
#[must_use]
pub fn files_in(message: &Value) -> BTreeSet<BlobId> {
    let mut found = BTreeSet::new();
    name_files(message, &mut found);
    found
}

fn name_files(message: &Value, found: &mut BTreeSet<BlobId>) {
    match message {
        Value::String(text) if text.len() == 64 => found.extend(text.parse::<BlobId>()),
        // Records store a blob id as an array of 32 bytes.
        Value::Array(all) if all.len() == 32 && all[0].is_u64() => {
            found.extend(BlobId::deserialize(message));
        }
        Value::Array(all) => all.iter().for_each(|one| name_files(one, found)),
        Value::Object(all) => all.values().for_each(|one| name_files(one, found)),
        _ => {}
    }
}

/// Field that marks a write from an outage. Such a write does not wait for the mirror.
pub const LATE: &str = "late";

/// Handles messages from hosts on the primary. The engine provides the implementation.
pub trait HostHandler: Send + Sync {
    /// Executes a message of a host. `digest` is that of the whole message: a repeated message gets the stored
    /// response.
    fn hear(
        &self,
        ws: Ws,
        from: GatewayId,
        about: Option<RunId>,
        digest: [u8; 32],
        what: Value,
    ) -> Answered<'static>;
}

#[cfg(test)]
mod tests {
    use super::{
        Aside, BTreeSet, BlobId, MASKS, Missing, Part, SECRETS, Sent, Told, Wanted, access_handle,
        facts_handle, handle, lets_in,
    };
    use kernel::{ConnectionId, TypedId as _};
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_told_from_all_else() {
        let (connection, file) = (ConnectionId::from_bytes([7; 16]), BlobId::of(b"a file"));
        let (number, piece) = ("a".to_owned(), "{}".to_owned());
        for (name, aside) in [
            ("access", Aside::Access(Wanted { connection, refused: None })),
            ("access", Aside::Access(Wanted { connection, refused: Some(u64::MAX) })),
            ("file", Aside::File(Missing { file, offset: 7 })),
            ("piece", Aside::Piece(Sent { id: file, offset: 0, total: 2, data: vec![0, 255] })),
            ("told", Aside::Told(Told { number, piece, more: false })),
        ] {
            let json = aside.to_json();
            let names: Vec<&String> = json.as_object().unwrap().keys().collect();
            assert_eq!(names, [name]);
            assert_eq!(Aside::of(&json), Some(aside));
        }
        for other in [json!("none"), json!({ "file": 7 }), json!({ "access": "all" }), json!({})] {
            assert_eq!(Aside::of(&other), None, "{other}");
        }
    }

    #[test]
    fn bytes_are_said_in_base64() {
        let part = Part { total: 3, data: vec![0, 1, 255] };
        let encoded = json!(part);
        assert_eq!(encoded, json!({ "total": 3, "data": "AAH/" }));
        assert_eq!(serde_json::from_value::<Part>(encoded).unwrap(), part);
        let garbled = json!({ "total": 3, "data": "no base" });
        assert!(serde_json::from_value::<Part>(garbled).is_err());
    }

    #[test]
    fn no_two_things_of_a_connection_have_one_name() {
        let id = ConnectionId::from_bytes([7; 16]);
        let all = [handle(id, 0), handle(id, 1), access_handle(id), facts_handle(id)];
        assert_eq!(BTreeSet::from(all).len(), 4);
    }

    #[test]
    fn keys_tokens_and_secrets_let_in_and_what_is_known_of_them_does_not() {
        let id = ConnectionId::from_bytes([7; 16]);
        let secret = format!("{SECRETS}facts");
        assert!([handle(id, 0), access_handle(id), secret].iter().all(|one| lets_in(one)));
        assert!(!lets_in(&facts_handle(id)) && !lets_in(MASKS));
    }
}
