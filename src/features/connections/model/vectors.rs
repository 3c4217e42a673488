//! Choices of who makes vectors. Each is a row that stays, the newest counts: so an undo takes the last one back.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, ConnectionId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Connection;

/// Choices of who makes vectors.
pub const VECTOR_SOURCES: Table = Table::new(384, "vector_sources");

kernel::ids! {
    /// A choice of who makes vectors.
    VectorSourceId,
}

/// A choice of who makes vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorSource {
    pub id: VectorSourceId,
    /// The connection; none for the model on this machine.
    pub connection: Option<ConnectionId>,
    /// The model, as its server calls it; empty without a connection.
    pub model: String,
    /// How many numbers its vectors have, as the first answer had them.
    pub dimensions: u32,
    /// The product with a question below which a passage is about something else, in thousandths.
    pub floor: u16,
    /// Who chose it.
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl VectorSource {
    /// The model behind a connection; none for the one on this machine.
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
        // A model belongs to its connection: the one on this machine takes its place.
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

/// A model behind a connection, as its vectors are bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    pub connection: ConnectionId,
    /// The model, as its server calls it.
    pub model: String,
    /// How many numbers its vectors have.
    pub dimensions: u32,
    /// The product with a question below which a passage is about something else, in thousandths.
    pub floor: u16,
}

impl Maker {
    /// What its vectors are bound to, which is the name of a file, too.
    #[must_use]
    pub fn id(&self) -> String {
        let model = hex::encode(Sha256::digest(&self.model));
        let short = model.get(..16).unwrap_or(&model);
        format!("connection-{}-{short}-{}", self.connection, self.dimensions)
    }

    /// How many numbers its vectors have.
    #[must_use]
    pub fn length(&self) -> usize {
        usize::try_from(self.dimensions).unwrap_or(usize::MAX)
    }

    /// The product with a question below which a passage is about something else.
    #[must_use]
    pub fn least(&self) -> f32 {
        f32::from(self.floor) / 1_000.0
    }
}
