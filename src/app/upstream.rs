//! The way from a host to the workspace that it belongs to. What the engine writes on a host it says there and waits; while
//! the line is cut, what happens in a run is written on the host and said later. A workspace at home has none.

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

/// Why home has not done what it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable word.
    pub code: String,
    /// A sentence for people and models.
    pub sentence: String,
    /// What else has to be known of it.
    pub with: Value,
}

impl Refusal {
    /// A refusal of which nothing else has to be known.
    pub fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { code: code.into(), sentence: sentence.into(), with: Value::Null }
    }
}

/// What home answers, once it does.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send + 'a>>;

/// What home answers while there is a line; nothing once that has been cut for a while.
pub type Tried<'a> = Pin<Box<dyn Future<Output = Option<Result<Value, Refusal>>> + Send + 'a>>;

/// That something may be written here, because the line is cut. It comes back only when this is dropped.
pub struct Alone {
    /// For how long the line has been cut, by the worse of two clocks.
    pub cut_for: Duration,
    /// Holds the next link back.
    pub gate: OwnedRwLockReadGuard<()>,
}

/// A line that is cut, by the clock and by what has passed since.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    at: Timestamp,
    passed: Duration,
}

impl Cut {
    /// It is cut now.
    #[must_use]
    pub fn now(clock: &dyn Clock) -> Self {
        Self { at: clock.now(), passed: clock.passed() }
    }

    /// For how long it has been, by the worse of two clocks: one that is set back gives nothing anew.
    #[must_use]
    pub fn lasts(&self, clock: &dyn Clock) -> Duration {
        let passed = clock.passed().saturating_sub(self.passed);
        let told = clock.now().duration_since(self.at);
        passed.max(Duration::try_from(told).unwrap_or_default())
    }
}

/// Whether that is so, once nothing else is under way.
pub type MayAlone<'a> = Pin<Box<dyn Future<Output = Option<Alone>> + Send + 'a>>;

/// The way to home.
pub trait Upstream: Send + Sync {
    /// Says something about a run, or about none, and waits for the answer. What was answered is in the mirror then. About
    /// one run only one thing is said at a time.
    fn say(&self, about: Option<RunId>, what: Value) -> Answered<'_>;
    /// Something as it is said each time: by this home knows what it has heard before.
    fn words(&self, what: Value) -> Value;
    /// Says such words about a run, and waits for the answer as [`Upstream::say`] does.
    fn says(&self, run: RunId, words: Value) -> Answered<'_>;
    /// The same as long as there is a line, or there was one a moment ago.
    fn tries(&self, run: RunId, words: Value) -> Tried<'_>;
    /// Whether what a run writes is written here for now: the line is cut, and all that was written here before waits for it.
    fn alone(&self, run: RunId) -> MayAlone<'_>;
    /// Something was written here of a run, and waits for home to hear it.
    fn wrote(&self, run: RunId);
    /// How often home has heard all that was written here of a run, or the keys were dropped that it works with: it is taken
    /// up anew from then on.
    fn drained(&self, run: RunId) -> u64;
    /// The agents that work here.
    fn agents(&self) -> BTreeSet<AgentId>;
    /// Whether no new work is begun.
    fn is_paused(&self) -> bool;
    /// Whether there is a line now.
    fn is_linked(&self) -> bool;
    /// Counts what has come of the mirror, and each other change that work may wait for.
    fn moves(&self) -> watch::Receiver<u64>;
    /// Shows home what a model says as it says it; what finds no room is not shown.
    fn shows(&self, piece: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Asks for something that changes nothing at home, whatever else is said meanwhile.
    fn asks(&self, what: Value) -> Answered<'_>;
    /// Hands over what home asks from now on; each question is answered by [`Upstream::asks`].
    fn is_heard_by(&self, ears: mpsc::UnboundedSender<Tell>);
    /// What home has sent to be kept in memory alone, and which version of it.
    fn key(&self, handle: &str) -> Option<(u64, Zeroizing<String>)>;
    /// All that home has sent of which the names begin so, by their names.
    fn keys(&self, begins: &str) -> Vec<Zeroizing<String>>;
    /// Whether that was dropped, since the line was cut for too long or home lets this machine in no more, and has not all
    /// come anew.
    fn lacks_keys(&self) -> bool;
}

/// By what the key of a connection is named on the way.
#[must_use]
pub fn handle(connection: ConnectionId, slot: u32) -> String {
    format!("{connection}/{slot}")
}

/// By what the token of a connection's sign-in is named.
#[must_use]
pub fn access_handle(connection: ConnectionId) -> String {
    format!("{connection}/access")
}

/// By what is named that a host has to know of a connection besides.
#[must_use]
pub fn facts_handle(connection: ConnectionId) -> String {
    format!("{connection}{FACTS}")
}

/// How the names of secrets begin.
pub const SECRETS: &str = "secret/";
/// By what the patterns are named that nothing may let through.
pub const MASKS: &str = "masks";

/// How the names of what a host has to know of connections end.
const FACTS: &str = "/facts";

/// Whether what has this name lets in whoever has it, as keys, tokens and secrets do.
#[must_use]
pub fn lets_in(handle: &str) -> bool {
    handle.starts_with(SECRETS) || (handle != MASKS && !handle.ends_with(FACTS))
}

/// Why nothing is begun that may need such a thing.
pub const KEYS_GONE: &str = "what this machine may spend without a line has ended, and with it the use of the keys and secrets \
                             of its agents; they come anew with the line";

/// A token that calls are made with, wanted by a host: one that is good, and another one than its server has refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose sign-in.
    pub connection: ConnectionId,
    /// The version of a token that its server has refused.
    pub refused: Option<u64>,
}

/// A file that lies at home, wanted by a host from a byte on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub file: BlobId,
    /// The first byte that is missing.
    pub offset: u64,
}

/// A piece of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many bytes the file has.
    pub total: u64,
    /// Some of them.
    #[serde(with = "crate::base64_serde")]
    pub data: Vec<u8>,
}

/// A piece of a file of a host that something names which is written next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which file.
    pub id: BlobId,
    /// The first byte of the piece.
    pub offset: u64,
    /// How many bytes the file has.
    pub total: u64,
    /// The piece.
    #[serde(with = "crate::base64_serde")]
    pub data: Vec<u8>,
}

/// What a host says to home beside what its engine writes and asks, as it is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aside {
    /// A token is wanted.
    Access(Wanted),
    /// A file of home is.
    File(Missing),
    /// A piece of a file comes. The engine of home takes it, in its turn.
    Piece(Sent),
    /// A piece of an answer comes to what home has asked.
    Told(Told),
}

impl Aside {
    /// The same as it is said.
    #[must_use]
    pub fn said(&self) -> Value {
        json!(self)
    }

    /// What is said, if it is one of these.
    #[must_use]
    pub fn of(what: &Value) -> Option<Self> {
        // ok: what is something else is said to somebody else.
        Self::deserialize(what).ok()
    }
}

/// The files that are named in what is said, as far as it looks so.
#[must_use]
pub fn files_in(said: &Value) -> BTreeSet<BlobId> {
    let mut found = BTreeSet::new();
    name_files(said, &mut found);
    found
}

fn name_files(said: &Value, found: &mut BTreeSet<BlobId>) {
    match said {
        Value::String(text) if text.len() == 64 => found.extend(text.parse::<BlobId>()),
        // As records name one: by its 32 bytes.
        Value::Array(all) if all.len() == 32 && all[0].is_u64() => {
            found.extend(BlobId::deserialize(said));
        }
        Value::Array(all) => all.iter().for_each(|one| name_files(one, found)),
        Value::Object(all) => all.values().for_each(|one| name_files(one, found)),
        _ => {}
    }
}

/// By what a host marks what it has written while its line was cut: it waits for no mirror.
pub const LATE: &str = "late";

/// Who answers hosts at home; the engine gives it.
pub trait Desk: Send + Sync {
    /// Does what a host says. `said` is the digest of all of it: what was said before is answered as before.
    fn hear(
        &self,
        ws: Ws,
        from: GatewayId,
        about: Option<RunId>,
        said: [u8; 32],
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
            let said = aside.said();
            let names: Vec<&String> = said.as_object().unwrap().keys().collect();
            assert_eq!(names, [name]);
            assert_eq!(Aside::of(&said), Some(aside));
        }
        for other in [json!("none"), json!({ "file": 7 }), json!({ "access": "all" }), json!({})] {
            assert_eq!(Aside::of(&other), None, "{other}");
        }
    }

    #[test]
    fn bytes_are_said_in_base64() {
        let part = Part { total: 3, data: vec![0, 1, 255] };
        let said = json!(part);
        assert_eq!(said, json!({ "total": 3, "data": "AAH/" }));
        assert_eq!(serde_json::from_value::<Part>(said).unwrap(), part);
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
