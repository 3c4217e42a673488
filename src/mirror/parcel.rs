//! The data sent from the primary to a host, and a host's report at the start of a link.

use std::collections::BTreeSet;

use kernel::AgentId;
use kernel::key::KeyBuf;
use serde::{Deserialize, Serialize};
use store::{Record, Root, codec};

use crate::MirrorError;

/// Most rows of a parcel.
pub(crate) const MOST_ROWS: usize = 1_000;
/// A parcel is full from this many bytes of rows on.
pub(crate) const FULL: usize = 256 * 1024;
/// Larger parcels are rejected unread: a full parcel plus the largest row.
const LARGEST: usize = 1024 * 1024;

/// A row: its table number and its encoded key.
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

    /// The same as the store's type.
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

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    pub at: At,
    /// The stored bytes: the whole row or its projection.
    pub row: Vec<u8>,
}

/// A row or root to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    Row(At),
    /// All rows of this root, and the root itself. For a removed agent its own row stays.
    Root(At),
}

/// A piece of a snapshot: all rows in scope after one row up to another, by table and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The life of the primary's store.
    pub life: u64,
    /// The feed entry from which steps continue.
    pub seq: u64,
    /// The agents of the host.
    pub agents: Vec<AgentId>,
    /// The row after which it starts; `None` at the beginning.
    pub from: Option<At>,
    /// The last examined row; `None` at the end.
    pub to: Option<At>,
    pub puts: Vec<Put>,
}

/// The changes in scope between two feed entries, with row contents as of the second one or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The life of the primary's store.
    pub life: u64,
    /// The entry after which it starts.
    pub from: u64,
    /// The last included entry.
    pub to: u64,
    /// More parcels of this step follow; the host's position changes only with the last one.
    pub more: bool,
    /// The agents of the host.
    pub agents: Vec<AgentId>,
    /// New roots; their rows are in this parcel or in later ones of the step.
    pub enters: Vec<At>,
    /// Applied before everything else.
    pub gone: Vec<Gone>,
    pub puts: Vec<Put>,
}

/// A unit of data from the primary to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parcel {
    Rows(Rows),
    /// A step, or a part of one.
    Step(Step),
}

impl Parcel {
    /// The bytes for the link.
    ///
    /// # Errors
    /// If they are too many.
    pub fn encode(&self) -> Result<Vec<u8>, MirrorError> {
        let bytes = codec::encode(self).map_err(store::StoreError::from)?;
        if LARGEST < bytes.len() {
            return Err(MirrorError::Unreadable("it is too large"));
        }
        Ok(bytes)
    }

    /// Parses bytes from the link.
    ///
    /// # Errors
    /// If they are too many, or no parcel.
    pub fn decode(bytes: &[u8]) -> Result<Self, MirrorError> {
        if LARGEST < bytes.len() {
            return Err(MirrorError::Unreadable("it is too large"));
        }
        codec::decode(bytes).map_err(|_| MirrorError::Unreadable("it isn't a parcel"))
    }

    /// The rows to write.
    #[must_use]
    pub fn puts(&self) -> &[Put] {
        match self {
            Self::Rows(rows) => &rows.puts,
            Self::Step(step) => &step.puts,
        }
    }

    /// The agents of the host according to the primary.
    #[must_use]
    pub fn agents(&self) -> &[AgentId] {
        match self {
            Self::Rows(rows) => &rows.agents,
            Self::Step(step) => &step.agents,
        }
    }
}

/// The position of a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    #[default]
    Nothing,
    /// A snapshot is in progress: life, feed entry at which it started, last received row.
    Taking(u64, u64, At),
    /// The mirror has its whole scope as of this life and feed entry.
    Following(u64, u64),
}

/// What a host has, reported at the start of a link. The primary uses it to decide what to send and remove, never as a
/// right to data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    pub standing: Standing,
    /// The agents whose rows the host has.
    pub agents: BTreeSet<AgentId>,
    /// Complete roots.
    pub roots: BTreeSet<At>,
    /// Roots that may be incomplete.
    pub parts: BTreeSet<At>,
}

/// The result of applying a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// The parcel was applied before; nothing was done.
    pub is_repeated: bool,
    /// New or changed rows.
    pub put: usize,
    /// Removed rows.
    pub dropped: usize,
    /// Roots that the primary wants removed but that the host leads: for [`Mirror::let_go`](crate::Mirror::let_go) once
    /// it no longer does.
    pub kept: Vec<At>,
}
