//! Choice of the embedding model. Choices are never overwritten and the newest applies, so undo reverts the last one.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, ConnectionId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Connection;

pub const VECTOR_SOURCES: Table = Table::new(384, "vector_sources");

kernel::ids! {
    /// A choice of who makes vectors.
    VectorSourceId,
}

/// A choice of the embedding model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorSource {
    pub id: VectorSourceId,
    /// `None` for the local model.
    pub connection: Option<ConnectionId>,
    /// Model id of the server; empty without a connection.
    pub model: String,
    /// Vector length, taken from the first response.
    pub dimensions: u32,
    /// Minimum dot product of question and passage in thousandths; below it a passage is unrelated.
    pub floor: u16,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl VectorSource {
    /// The embedding model behind a connection; `None` for the local one.
    #[must_use]
    pub fn maker(&self) -> Option<Maker> {
        Some(Maker {
            connection: self.connection?,
            model: self.model.clone(),
            dimensions: self.dimensions,
            floor: self.floor,
        })
    }
}

impl Record for VectorSource {
    type Id = VectorSourceId;
    const TABLE: Table = VECTOR_SOURCES;
    const CLASS: Class = Class::Tracked;
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["connection", "model", "dimensions", "floor"]];
    fn id(&self) -> VectorSourceId {
        self.id
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Connection>(1, self.connection, OnDelete::Clear);
    }
    fn clear(&mut self, _: u8) {
        // The model belongs to the removed connection, so the local model replaces it.
        (self.connection, self.model) = (None, String::new());
        (self.dimensions, self.floor) = (0, 0);
    }
    fn sample() -> Self {
        Self {
            id: VectorSourceId::from_bytes([84; 16]),
            connection: Some(ConnectionId::from_bytes([7; 16])),
            model: "text-embedding-3-small".into(),
            dimensions: 1_536,
            floor: 240,
            by: Actor::System(Part::Setup),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}

/// An embedding model behind a connection, with the properties that its vectors depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    pub connection: ConnectionId,
    /// Model id of the server.
    pub model: String,
    /// Vector length.
    pub dimensions: u32,
    /// Minimum dot product of question and passage in thousandths; below it a passage is unrelated.
    pub floor: u16,
}

impl Maker {
    /// Identifier that vectors are bound to, also used as a file name.
    #[must_use]
    pub fn id(&self) -> String {
        let model = hex::encode(Sha256::digest(&self.model));
        let short = model.get(..16).unwrap_or(&model);
        format!("connection-{}-{short}-{}", self.connection, self.dimensions)
    }

    /// Vector length.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::try_from(self.dimensions).unwrap_or(usize::MAX)
    }

    /// Minimum dot product of question and passage.
    #[must_use]
    pub fn least(&self) -> f32 {
        f32::from(self.floor) / 1_000.0
    }
}
