//! The way from a host to the workspace that it belongs to. What the engine writes on a host it says there and waits; while
//! the line is cut, what happens in a run is written on the host and said later. A workspace at home has none.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use kernel::{AgentId, ConnectionId, GatewayId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::BlobId;
use tokio::sync::{OwnedRwLockReadGuard, mpsc, watch};
use zeroize::Zeroizing;

use crate::Ws;
use crate::downstream::Tell;
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
    /// How often home has heard all that was written here of a run: from then on home may know more of it.
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
    format!("{connection}/facts")
}

/// How the names of secrets begin.
pub const SECRETS: &str = "secret/";
/// By what the patterns are named that nothing may let through.
pub const MASKS: &str = "masks";

/// A token that calls are made with, wanted by a host: one that is good, and another one than its server has refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose sign-in.
    pub connection: ConnectionId,
    /// The version of a token that its server has refused.
    pub refused: Option<u64>,
}

/// By what a token is named that is wanted.
const ACCESS: &str = "access";

impl Wanted {
    /// The same as it is asked.
    #[must_use]
    pub fn said(&self) -> Value {
        json!({ ACCESS: self })
    }

    /// What is wanted, if that is what is asked.
    #[must_use]
    pub fn of(what: &Value) -> Option<Self> {
        // ok: what is something else is asked of somebody else.
        Self::deserialize(what.get(ACCESS)?).ok()
    }
}

/// A file that lies at home, wanted by a host from a byte on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub file: BlobId,
    /// The first byte that is missing.
    pub offset: u64,
}

/// A piece of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many bytes the file has.
    pub total: u64,
    /// Some of them, as hexadecimal digits.
    pub data: String,
}

/// By what a file is named that is wanted.
const FILE: &str = "file";

impl Missing {
    /// The same as it is asked.
    #[must_use]
    pub fn said(&self) -> Value {
        json!({ FILE: self })
    }

    /// What is missing, if that is what is asked.
    #[must_use]
    pub fn of(what: &Value) -> Option<Self> {
        // ok: what is something else is asked of somebody else.
        Self::deserialize(what.get(FILE)?).ok()
    }
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
    /// The piece, in Base64.
    pub data: String,
}

/// By what a piece is named that is sent.
const PIECE: &str = "piece";

impl Sent {
    /// The same as it is said.
    #[must_use]
    pub fn said(&self) -> Value {
        json!({ PIECE: self })
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
    use super::{BTreeSet, BlobId, Missing, Wanted, access_handle, facts_handle, handle};
    use kernel::{ConnectionId, TypedId as _};
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_told_from_all_else() {
        let connection = ConnectionId::from_bytes([7; 16]);
        for refused in [None, Some(u64::MAX)] {
            let wanted = Wanted { connection, refused };
            assert_eq!(Wanted::of(&wanted.said()), Some(wanted));
        }
        let missing = Missing { file: BlobId::of(b"a file"), offset: 7 };
        assert_eq!(Missing::of(&missing.said()), Some(missing.clone()));
        assert_eq!((Wanted::of(&missing.said()), Missing::of(&json!({ "file": 7 }))), (None, None));
        assert_eq!(Wanted::of(&json!("nothing")), None);
        assert_eq!(Wanted::of(&json!({ "access": "all" })), None);
    }

    #[test]
    fn no_two_things_of_a_connection_have_one_name() {
        let id = ConnectionId::from_bytes([7; 16]);
        let all = [handle(id, 0), handle(id, 1), access_handle(id), facts_handle(id)];
        assert_eq!(BTreeSet::from(all).len(), 4);
    }
}
