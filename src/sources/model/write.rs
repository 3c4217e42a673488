//! What agents wrote to sources: noted before it is sent, settled when it is known what became of it.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Cause, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Root, Table};

use super::{Source, SourceId, WriteId};

/// What agents wrote.
pub const WRITES: Table = Table::new(349, "source_writes");

/// What became of something that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteState {
    /// It is on its way.
    Sent,
    /// It stands there.
    Done,
    /// Somebody else has written there; nothing was written.
    Conflict(String),
    /// It did not go: why, in a sentence.
    Failed(String),
}

/// Something that an agent wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub source: SourceId,
    pub id: WriteId,
    /// Where in the source.
    pub place: String,
    /// Who wrote it.
    pub by: Actor,
    /// Through what.
    pub cause: Cause,
    /// What should lie there before; none for nothing.
    pub base: Option<connect::Hash>,
    /// What was written.
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
