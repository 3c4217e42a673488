//! What stands in each frame. Its fields travel as JSON, and the bytes of those that have some behind them.

use std::fmt;

use bytes::Bytes;
use kernel::{AgentId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Body;
use crate::CHUNK;

/// What a host has to know before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// How often what the host has was made void.
    pub epoch: u64,
    /// Home's clock, in milliseconds since 1970.
    pub clock_ms: i64,
    /// The number of the newest entry of the feed.
    pub head: u64,
    /// The digest of what the host may have.
    pub scope: String,
    /// Settings of the gateway and the workspace.
    pub settings: Value,
}

/// How a host is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The load of the last minute, in hundredths.
    pub load: u32,
    /// How busy its processors are, in percent of all of them.
    pub cpu: u8,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// All its memory, in bytes.
    pub memory: u64,
    /// What is free on the disk of its folder, in bytes.
    pub disk_free: u64,
    /// The size of that disk, in bytes.
    pub disk: u64,
    /// The version of its program.
    pub version: String,
    pub runs: Vec<RunId>,
    /// Its clock, in milliseconds since 1970.
    pub clock_ms: i64,
    /// Whether its disk is too full to save what is sent.
    #[serde(default, skip_serializing_if = "is_none")]
    pub disk_full: bool,
    /// What else keeps it from its work; empty for nothing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub stuck: String,
    /// So many writes of runs wait to be sent.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unsent: u64,
    /// Why it last had no link.
    #[serde(default, skip_serializing_if = "is_none")]
    pub broke: Option<Broke>,
}

/// Why a host had no link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broke {
    /// When that was, by its own clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// A sentence for people.
    pub why: String,
}

/// Whether there is nothing to say: then a field is left out, and the frame is what it was before there was that field.
fn is_none<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBegin {
    /// The digest of what it is of.
    pub scope: String,
    /// The number of the entry of the feed that it has behind it.
    pub head: u64,
    /// The tables, in the order in which they come.
    pub tables: Vec<String>,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRows {
    pub table: String,
    /// How many rows these are.
    pub count: u32,
    /// The key of the last, in hex: a snapshot that was cut goes on behind it.
    pub last: String,
    #[serde(skip)]
    pub rows: Bytes,
}

/// A snapshot is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEnd {
    /// The number of the entry of the feed from which it goes on.
    pub head: u64,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The number of the entry before the first.
    pub after: u64,
    /// The number of the last entry.
    pub upto: u64,
    #[serde(skip)]
    pub steps: Bytes,
}

/// What is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The number of the last entry of the feed that is.
    pub seq: u64,
}

/// What a host may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub digest: String,
    pub body: Value,
}

/// What a run may spend while the line is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Money, in millionths of a dollar.
    pub usd_micros: u64,
    /// Tokens of models that have no price.
    pub tokens: u64,
    /// Time, in seconds.
    pub secs: u64,
}

/// A run to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOffer {
    pub run: RunId,
    pub agent: AgentId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// What it may spend.
    pub grant: Grant,
    /// What it is about.
    pub body: Value,
}

/// A run is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAccept {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// A run is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRefuse {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// A stable word.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
}

/// An offer is void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdraw {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// A run is another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLost {
    pub run: RunId,
    /// The epoch that counts now.
    pub epoch: u64,
    /// A sentence for people.
    pub why: String,
}

/// One more thing of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// Which command of the run it is, without gaps.
    pub number: u64,
    pub body: Value,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub run: RunId,
    /// Which of its commands.
    pub number: u64,
    pub result: Outcome,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is applied, now or when it came before.
    Done(Value),
    /// It is not, and will not be.
    Refused {
        /// A stable word.
        code: String,
        /// A sentence for people and models.
        sentence: String,
    },
    /// It came with an old epoch: it is kept to be looked at, and not applied.
    Kept,
}

/// Words as a model says them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub run: RunId,
    /// How many bytes of this step came before: a gap was dropped.
    pub at: u64,
    pub body: Value,
}

/// What a host has to do at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The run that it is about, if one.
    pub run: Option<RunId>,
    pub body: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Its ref.
    pub name: String,
    /// Its commit, in hex.
    pub commit: String,
}

/// Where branches stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitHave {
    /// Whose files they are.
    pub agent: AgentId,
    pub branches: Vec<Branch>,
}

/// A piece of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitPack {
    /// Whose files they are.
    pub agent: AgentId,
    /// Which pack of this link it is.
    pub transfer: u64,
    /// How many bytes of it came before.
    pub offset: u64,
    /// How many it has.
    pub total: u64,
    /// The bytes: 256 KiB at most.
    #[serde(skip)]
    pub bytes: Bytes,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The hash by which it is named.
    pub hash: String,
    /// How many bytes of it came before.
    pub offset: u64,
    /// How many it has.
    pub total: u64,
    /// The bytes: 256 KiB at most.
    #[serde(skip)]
    pub bytes: Bytes,
}

/// A key for agents of a host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPush {
    /// By what it is named.
    pub handle: String,
    pub version: u64,
    /// Its value, sealed for the host.
    #[serde(skip)]
    pub sealed: Bytes,
}

impl fmt::Debug for KeyPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyPush");
        shown.field("handle", &self.handle).field("version", &self.version).finish_non_exhaustive()
    }
}

/// A host has a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAck {
    /// By what it is named.
    pub handle: String,
    pub version: u64,
}

/// A host has to forget a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoke {
    /// By what it is named.
    pub handle: String,
}

/// A link is closed on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// A stable word: `sleeping`, `updating`, `left`, `revoked`, `stopping`.
    pub why: String,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// How grave it is, as `tracing` calls it.
    pub level: String,
    pub text: String,
}

/// What a host has of the mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// As the mirror says it.
    #[serde(skip)]
    pub have: Bytes,
}

macro_rules! plain {
    ($($name:ident)+) => { $(impl Body for $name {})+ };
}

plain! {
    Welcome Beat SnapshotBegin SnapshotEnd Ack Scope RunOffer RunAccept RunRefuse Withdraw LeaseLost Command Answer
    Running Control GitHave KeyAck KeyRevoke Goodbye Log
}

macro_rules! with_bytes {
    ($($name:ident: $bytes:ident, $fits:expr;)+) => {$(
        impl Body for $name {
            fn tail(&self) -> &[u8] {
                &self.$bytes
            }

            fn attach(&mut self, tail: Bytes) -> bool {
                self.$bytes = tail;
                true
            }

            fn fits(&self) -> bool {
                let fits: fn(&Self) -> bool = $fits;
                fits(self)
            }
        }
    )+};
}

with_bytes! {
    SnapshotRows: rows, |_| true;
    Feed: steps, |feed| feed.after <= feed.upto;
    Have: have, |_| true;
    GitPack: bytes, |pack| is_piece(pack.offset, pack.total, &pack.bytes);
    Blob: bytes, |blob| is_piece(blob.offset, blob.total, &blob.bytes);
    KeyPush: sealed, |key| key.sealed.len() <= CHUNK;
}

/// Whether a piece is short enough and lies within what it is of.
fn is_piece(offset: u64, total: u64, bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    bytes.len() <= CHUNK && offset.checked_add(length).is_some_and(|end| end <= total)
}
