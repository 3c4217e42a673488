//! Origin of synchronised text. The package `sources` depends on this one and installs the lookup.

use std::sync::OnceLock;

use kernel::Timestamp;
use store::{Read, StoreError};

use crate::model::KnowledgeId;

/// The origin of a text.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the source.
    pub source: String,
    /// Path of the source's page, below the workspace.
    pub path: String,
    /// Address or location of the original.
    pub address: String,
    /// Whether a browser can open the address.
    pub is_link: bool,
    /// For a writable source: source, path in it, and hash of the text, as agents pass them to write.
    pub writable: Option<(String, String, String)>,
    /// Time of the last synchronisation.
    pub synced_at: Option<Timestamp>,
    /// The problem in a sentence; may be empty.
    pub told: String,
}

impl Origin {
    /// The description for agents.
    #[must_use]
    pub fn told_to_agents(&self) -> String {
        let mut words = format!("{} ({})", self.address, self.source);
        if let Some((source, place, hash)) = &self.writable {
            words
                .push_str(&format!("; source_write source: {source}, path: {place}, base: {hash}"));
        }
        if !self.told.is_empty() {
            words.push_str(&format!(". {}", self.told.trim_end_matches('.')));
        }
        words
    }
}

/// Looks up the origin of an item's text.
pub type OriginOf = fn(&dyn Read, KnowledgeId) -> Result<Option<Origin>, StoreError>;

static OF: OnceLock<OriginOf> = OnceLock::new();

/// Installs the lookup before the first page; only the first call counts.
pub fn install(of: OriginOf) {
    // ok: only the first call counts
    let _ = OF.set(of);
}

/// The origin of an item's text, if it belongs to a source.
pub fn of(read: &dyn Read, id: KnowledgeId) -> Result<Option<Origin>, StoreError> {
    OF.get().map_or(Ok(None), |of| of(read, id))
}
