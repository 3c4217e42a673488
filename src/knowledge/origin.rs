//! Where the words of an item come from that nobody writes here. Sources stand above knowledge and say it.

use std::sync::OnceLock;

use kernel::Timestamp;
use store::{Read, StoreError};

use crate::model::KnowledgeId;

/// Where words come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What the source is called.
    pub source: String,
    /// The page of the source, below the workspace.
    pub path: String,
    /// What people open.
    pub address: String,
    /// Whether a browser opens it.
    pub is_link: bool,
    /// What agents write it by, where the source is written to: the source, the place in it, the hash of its words.
    pub writable: Option<(String, String, String)>,
    /// When it was last as it stands there.
    pub synced_at: Option<Timestamp>,
    /// What is wrong with it, in a sentence.
    pub told: String,
}

impl Origin {
    /// What an agent is told of it.
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

/// Finds where the words of an item come from.
pub type OriginOf = fn(&dyn Read, KnowledgeId) -> Result<Option<Origin>, StoreError>;

static OF: OnceLock<OriginOf> = OnceLock::new();

/// Says who knows where words come from, before the first page; only the first call counts.
pub fn install(of: OriginOf) {
    // ok: the first call counts.
    let _ = OF.set(of);
}

/// Where the words of an item come from, if they come from a source.
pub fn of(read: &dyn Read, id: KnowledgeId) -> Result<Option<Origin>, StoreError> {
    OF.get().map_or(Ok(None), |of| of(read, id))
}
