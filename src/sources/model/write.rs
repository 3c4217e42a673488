//! Writes of agents to sources: recorded before the request is sent, completed with its result.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Cause, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Source, SourceId, WriteId};

pub const WRITES: Table = Table::new(349, "source_writes");

/// Result of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteState {
    /// In flight.
    Sent,
    Done,
    /// The content had changed; nothing was written.
    Conflict(String),
    /// Failed, with the reason.
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub source: SourceId,
    pub id: WriteId,
    /// Place in the source.
    pub place: String,
    pub by: Actor,
    pub cause: Cause,
    /// Expected hash before the write; `None` if there should be no content.
    pub base: Option<connect::Hash>,
    /// Hash of the written content.
    pub hash: connect::Hash,
    pub state: WriteState,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for Write {
    type Id = (SourceId, WriteId);
    const TABLE: Table = WRITES;
    const CLASS: Class = Class::Sealed;
    fn id(&self) -> (SourceId, WriteId) {
        (self.source, self.id)
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Source>(1, Some(self.source), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Source>(self.source)
    }
    fn sample() -> Self {
        Self {
            source: SourceId::from_bytes([80; 16]),
            id: WriteId::from_bytes([81; 16]),
            place: "notes/today.md".into(),
            by: Actor::System(Part::Setup),
            cause: Cause::Setup,
            base: Some([7; 32]),
            hash: [8; 32],
            state: WriteState::Conflict("notes/today.md has changed since it was read.".into()),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
