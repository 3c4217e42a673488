//! The content of each frame: fields in JSON, and for some frames a binary tail.

use std::fmt;

use bytes::Bytes;
use kernel::{AgentId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Body;
use crate::CHUNK;

/// The first frame of the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// How often the host's data was made void.
    pub epoch: u64,
    /// The primary's clock, in Unix milliseconds.
    pub clock_ms: i64,
    /// The newest feed entry.
    pub head: u64,
    /// The digest of the host's scope.
    pub scope: String,
    /// Settings of the gateway and the workspace.
    pub settings: Value,
}

/// The state of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Load average of the last minute, in hundredths.
    pub load: u32,
    /// Processor use, in percent of all processors.
    pub cpu: u8,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// Total memory, in bytes.
    pub memory: u64,
    /// Free space on the disk of the host's folder, in bytes.
    pub disk_free: u64,
    /// Size of that disk, in bytes.
    pub disk: u64,
    /// The version of HQ.
    pub version: String,
    pub runs: Vec<RunId>,
    /// The host's clock, in Unix milliseconds.
    pub clock_ms: i64,
    /// The disk is too full to save received data.
    #[serde(default, skip_serializing_if = "is_none")]
    pub disk_full: bool,
    /// Another problem that blocks the host; empty if there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub stuck: String,
    /// Number of offline writes that are not sent yet.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unsent: u64,
    /// Why the host last had no link.
    #[serde(default, skip_serializing_if = "is_none")]
    pub broke: Option<Broke>,
}

/// Why a host had no link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broke {
    /// The time by the host's clock, in Unix milliseconds.
    pub at_ms: i64,
    /// A sentence for people.
    pub why: String,
}

/// Whether a field has its default value: it is then omitted, so that older versions see no change.
fn is_none<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBegin {
    /// The digest of the scope.
    pub scope: String,
    /// The feed entry from which steps continue.
    pub head: u64,
    /// The tables in the order of transmission.
    pub tables: Vec<String>,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRows {
    pub table: String,
    /// Number of rows.
    pub count: u32,
    /// The last key, in hexadecimal: an interrupted snapshot continues after it.
    pub last: String,
    #[serde(skip)]
    pub rows: Bytes,
}

/// The end of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEnd {
    /// The feed entry from which steps continue.
    pub head: u64,
}

/// Changes between two feed entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The entry before the first.
    pub after: u64,
    /// The last entry.
    pub upto: u64,
    #[serde(skip)]
    pub steps: Bytes,
}

/// Acknowledges durable data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The last durable feed entry.
    pub seq: u64,
}

/// The scope of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub digest: String,
    pub body: Value,
}

/// What a run may spend while the link is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Money, in micro-dollars.
    pub usd_micros: u64,
    /// Tokens of models without a price.
    pub tokens: u64,
    /// Time, in seconds.
    pub secs: u64,
}

/// Offers a run to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOffer {
    pub run: RunId,
    pub agent: AgentId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// What it may spend offline.
    pub grant: Grant,
    /// The run's data.
    pub body: Value,
}

/// Takes an offered run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAccept {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// Refuses an offered run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRefuse {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// A stable code.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
}

/// Withdraws an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdraw {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// The run has moved to another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLost {
    pub run: RunId,
    /// The valid epoch.
    pub epoch: u64,
    /// A sentence for people.
    pub why: String,
}

/// A command of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub run: RunId,
    /// The epoch of its lease.
    pub epoch: u64,
    /// The number of the command in the run, without gaps.
    pub number: u64,
    pub body: Value,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub run: RunId,
    /// The number of the command.
    pub number: u64,
    pub result: Outcome,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Applied now or before.
    Done(Value),
    /// Rejected for good.
    Refused {
        /// A stable code.
        code: String,
        /// A sentence for people and models.
        sentence: String,
    },
    /// It had an old epoch: stored for inspection and not applied.
    Kept,
}

/// Text of a model while it streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub run: RunId,
    /// Offset in the text of this step, in bytes. A gap means that text was dropped.
    pub at: u64,
    pub body: Value,
}

/// An urgent request to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The run, if it concerns one.
    pub run: Option<RunId>,
    pub body: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// The name of the ref.
    pub name: String,
    /// The commit, in hexadecimal.
    pub commit: String,
}

/// The heads of branches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitHave {
    /// The agent that owns the files.
    pub agent: AgentId,
    pub branches: Vec<Branch>,
}

/// A piece of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitPack {
    /// The agent that owns the files.
    pub agent: AgentId,
    /// The number of the pack on this link.
    pub transfer: u64,
    /// Offset in bytes.
    pub offset: u64,
    /// Total size in bytes.
    pub total: u64,
    /// At most 256 KiB.
    #[serde(skip)]
    pub bytes: Bytes,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The hash that names the file.
    pub hash: String,
    /// Offset in bytes.
    pub offset: u64,
    /// Total size in bytes.
    pub total: u64,
    /// At most 256 KiB.
    #[serde(skip)]
    pub bytes: Bytes,
}

/// A key for agents of a host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPush {
    /// The name of the key.
    pub handle: String,
    pub version: u64,
    /// The value, sealed for the host.
    #[serde(skip)]
    pub sealed: Bytes,
}

impl fmt::Debug for KeyPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyPush");
        shown.field("handle", &self.handle).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Acknowledges a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAck {
    /// The name of the key.
    pub handle: String,
    pub version: u64,
}

/// Revokes a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoke {
    /// The name of the key.
    pub handle: String,
}

/// Closes a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// A stable code: `sleeping`, `updating`, `left`, `revoked`, `stopping`.
    pub why: String,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The time, in Unix milliseconds.
    pub at_ms: i64,
    /// The level of `tracing`.
    pub level: String,
    pub text: String,
}

/// What a host's mirror has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Encoded by the mirror.
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

/// Checks that a piece is short enough and within its total.
fn is_piece(offset: u64, total: u64, bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    bytes.len() <= CHUNK && offset.checked_add(length).is_some_and(|end| end <= total)
}
