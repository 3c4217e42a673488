//! The way from a host to the workspace that it belongs to. What the engine writes on a host it says there, and waits,
//! however long the line is cut; a workspace at home has none.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use kernel::{AgentId, GatewayId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::Ws;
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

/// The way to home.
pub trait Upstream: Send + Sync {
    /// Says something about a run, or about none, and waits for the answer. What was answered is in the mirror then. About
    /// one run only one thing is said at a time.
    fn say(&self, about: Option<RunId>, what: Value) -> Answered<'_>;
    /// The agents that work here.
    fn agents(&self) -> BTreeSet<AgentId>;
    /// Whether no new work is begun.
    fn is_paused(&self) -> bool;
    /// Counts what has come of the mirror, and each other change that work may wait for.
    fn moves(&self) -> watch::Receiver<u64>;
    /// Shows home what a model says as it says it; what finds no room is not shown.
    fn shows(&self, piece: Piece) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// A key that home has sent.
    fn key(&self, handle: &str) -> Option<Zeroizing<String>>;
}

/// By what the key of a connection is named on the way.
#[must_use]
pub fn handle(connection: kernel::ConnectionId, slot: u32) -> String {
    format!("{connection}/{slot}")
}

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
