//! Manifest of a backup. A backup exists once its manifest does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use kernel::Timestamp;

/// A chunk: name, length of its content, stored length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef(pub String, pub u64, pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// All rows of a store.
    Store,
    /// A file tree.
    Files,
    /// Individual blobs: uploaded files and large outputs.
    Blobs,
}

/// Facts of a store's snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// Incarnation of the store, in hex.
    pub incarnation: String,
    /// Sequence number of its last entry.
    pub seq: u64,
    /// Number of rows by table number.
    pub rows: BTreeMap<u16, u64>,
    pub format: u32,
}

/// A blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 of its content.
    pub id: String,
    pub chunks: Vec<ChunkRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path in the data folder: `system.redb`, `workspaces/acme/blobs`.
    pub path: String,
    pub kind: PartKind,
    pub bytes: u64,
    /// SHA-256 of the content; of the ids in order, for blobs.
    pub sha256: String,
    /// In order.
    pub chunks: Vec<ChunkRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobRef>,
    #[serde(default)]
    pub files: u64,
}

impl Part {
    /// Whether the part belongs to a workspace.
    #[must_use]
    pub fn is_of(&self, slug: &str) -> bool {
        let rest = self.path.strip_prefix("workspaces/").and_then(|rest| rest.strip_prefix(slug));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    pub fn all_chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        self.chunks.iter().chain(self.blobs.iter().flat_map(|blob| &blob.chunks))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the repository.
    pub format: u32,
    /// Sortable by time.
    pub id: String,
    /// Order of creation, independent of clocks: one more than the highest existing serial.
    #[serde(default)]
    pub serial: u64,
    /// When the last store was read: all writes acknowledged before are included.
    pub taken_at: Timestamp,
    pub started_at: Timestamp,
    pub app: String,
    /// Id of the master key that opens its secrets; backups never contain the key.
    pub key_id: String,
    pub workspaces: Vec<String>,
    pub parts: Vec<Part>,
    /// Bytes added to the repository.
    pub new_bytes: u64,
    /// What could not be backed up, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Listed workspaces that are not included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Manifest {
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Whether all listed workspaces are included.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The manifest without chunk lists, which are large.
    #[must_use]
    pub fn outline(mut self) -> Self {
        for part in &mut self.parts {
            (part.chunks, part.blobs) = (Vec::new(), Vec::new());
        }
        self
    }

    /// Sort key: order of creation.
    #[must_use]
    pub fn order(&self) -> (u64, Timestamp, String) {
        (self.serial, self.taken_at, self.id.clone())
    }

    /// The parts of one workspace, or all parts.
    pub fn parts_of<'m>(&'m self, workspace: Option<&'m str>) -> impl Iterator<Item = &'m Part> {
        self.parts.iter().filter(move |part| workspace.is_none_or(|slug| part.is_of(slug)))
    }
}

/// Hash of the ids of blobs, in order.
pub(super) fn blobs_hash(blobs: &[BlobRef]) -> String {
    let mut hash = Sha256::new();
    for blob in blobs {
        hash.update(blob.id.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}

/// Appends the SHA-256 of the text as a last line.
pub(super) fn with_sum(mut text: String) -> Vec<u8> {
    text.push('\n');
    let sum = hex::encode(Sha256::digest(text.as_bytes()));
    text.push_str(&sum);
    text.push('\n');
    text.into_bytes()
}

/// The text before the checksum; `None` if the checksum is wrong.
pub(super) fn checked(bytes: &[u8]) -> Option<&str> {
    let (text, sum) = bytes.split_at_checked(bytes.len().checked_sub(65)?)?;
    let right = hex::encode(Sha256::digest(text)) + "\n";
    if right.as_bytes() != sum {
        return None;
    }
    std::str::from_utf8(text).ok()?.strip_suffix('\n')
}
