//! What goes from home to a host, and what a host says of itself when the link is there again.

use std::collections::BTreeSet;

use kernel::AgentId;
use kernel::key::KeyBuf;
use serde::{Deserialize, Serialize};
use store::{Record, Root, codec};

use crate::MirrorError;

/// How many rows one parcel may bring.
pub(crate) const MOST_ROWS: usize = 1_000;
/// From so many bytes of rows on a parcel is full.
pub(crate) const FULL: usize = 256 * 1024;
/// A larger parcel is not even looked into: one that is full, and a row of the largest that there are.
const LARGEST: usize = 1024 * 1024;

/// A row: the number of its table and the bytes of its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    pub table: u16,
    pub key: Vec<u8>,
}

impl At {
    /// The row of a record.
    #[must_use]
    pub fn of<R: Record>(id: R::Id) -> Self {
        Self { table: R::TABLE.number, key: KeyBuf::of(&id).into_bytes() }
    }

    /// The same as the store says it.
    #[must_use]
    pub fn root(&self) -> Root {
        Root { table: self.table, key: self.key.clone() }
    }
}

impl From<Root> for At {
    fn from(root: Root) -> Self {
        Self { table: root.table, key: root.key }
    }
}

/// A row as the host is to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    pub at: At,
    /// Its stored bytes: all of the row, or its projection.
    pub row: Vec<u8>,
}

/// What the host is to have no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    Row(At),
    /// All rows that belong to this one, and the row itself. Of an agent that is not the host's any more, the row stays.
    Root(At),
}

/// A piece of a snapshot: all rows in the scope behind one row, up to another, in the order of tables and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The life of home's store.
    pub life: u64,
    /// The entry after which steps go on.
    pub seq: u64,
    /// The agents of the host.
    pub agents: Vec<AgentId>,
    /// The row behind which it begins; none at the beginning.
    pub from: Option<At>,
    /// The last row that was looked at; none at the end.
    pub to: Option<At>,
    /// The rows.
    pub puts: Vec<Put>,
}

/// What has changed in the scope between two entries of the feed, as it stands at the second or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The life of home's store.
    pub life: u64,
    /// The entry behind which it begins.
    pub from: u64,
    /// The last entry that it is about.
    pub to: u64,
    /// Whether another parcel belongs to the same step: the host stays where it is until the last one has come.
    pub more: bool,
    /// The agents of the host.
    pub agents: Vec<AgentId>,
    /// The roots that are new; the rows that belong to them come in this parcel or in the next ones of the step.
    pub enters: Vec<At>,
    /// What goes, before anything is laid.
    pub gone: Vec<Gone>,
    /// The rows.
    pub puts: Vec<Put>,
}

/// What goes from home to a host at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parcel {
    /// A piece of a snapshot.
    Rows(Rows),
    /// A step, or a part of one.
    Step(Step),
}

impl Parcel {
    /// Its bytes for the link.
    ///
    /// # Errors
    /// When they are too many.
    pub fn encode(&self) -> Result<Vec<u8>, MirrorError> {
        let bytes = codec::encode(self).map_err(store::StoreError::from)?;
        if LARGEST < bytes.len() {
            return Err(MirrorError::Unreadable("it is too large"));
        }
        Ok(bytes)
    }

    /// Reads what has come over the link.
    ///
    /// # Errors
    /// When it is too large, or no parcel.
    pub fn decode(bytes: &[u8]) -> Result<Self, MirrorError> {
        if LARGEST < bytes.len() {
            return Err(MirrorError::Unreadable("it is too large"));
        }
        codec::decode(bytes).map_err(|_| MirrorError::Unreadable("it is no parcel"))
    }

    /// The rows that it brings.
    #[must_use]
    pub fn puts(&self) -> &[Put] {
        match self {
            Self::Rows(rows) => &rows.puts,
            Self::Step(step) => &step.puts,
        }
    }

    /// The agents whose it says the host is.
    #[must_use]
    pub fn agents(&self) -> &[AgentId] {
        match self {
            Self::Rows(rows) => &rows.agents,
            Self::Step(step) => &step.agents,
        }
    }
}

/// How far a host has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    #[default]
    Nothing,
    /// It takes a snapshot of this life, after which steps go on from an entry; up to a row it has it.
    Taking(u64, u64, At),
    /// It has all of its scope as of an entry of this life.
    Following(u64, u64),
}

/// What a host has, as it tells home at the beginning of a link. Home takes it for what is to be sent and to be
/// forgotten, never for a right to anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// How far it has come.
    pub standing: Standing,
    /// The agents whose rows it has.
    pub agents: BTreeSet<AgentId>,
    /// The roots of which it has all.
    pub roots: BTreeSet<At>,
    /// Roots of which it may have a part.
    pub parts: BTreeSet<At>,
}

/// What became of a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// It had come before; nothing was done.
    pub again: bool,
    /// Rows that are new or other than they were.
    pub put: usize,
    /// Rows that are gone.
    pub dropped: usize,
    /// Roots that the host leads itself, and that home wants it to have no more: for [`Mirror::let_go`](crate::Mirror::let_go)
    /// once it does not.
    pub kept: Vec<At>,
}
