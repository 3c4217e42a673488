//! What one backup holds. It exists when its manifest is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use kernel::Timestamp;

/// A piece of content: its name, its length, its length at the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef(pub String, pub u64, pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// All rows of a store.
    Store,
    /// A tree of files.
    Files,
    /// Uploaded files and large outputs, each by itself.
    Blobs,
}

/// What stood in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// The store's life, in hexadecimal.
    pub incarnation: String,
    /// The number of its last entry.
    pub seq: u64,
    /// Rows by table number.
    pub rows: BTreeMap<u16, u64>,
    /// The format of the file.
    pub format: u32,
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Its name: the SHA-256 of its content.
    pub id: String,
    /// Its content.
    pub chunks: Vec<ChunkRef>,
}

/// One part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it belongs in the data folder: `system.redb`, `workspaces/acme/blobs`.
    pub path: String,
    pub kind: PartKind,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of all of it; of a list of blobs, of their names in order.
    pub sha256: String,
    /// Its content, in order.
    pub chunks: Vec<ChunkRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobRef>,
    /// How many files.
    #[serde(default)]
    pub files: u64,
}

impl Part {
    /// Whether it belongs to a workspace.
    #[must_use]
    pub fn is_of(&self, slug: &str) -> bool {
        let rest = self.path.strip_prefix("workspaces/").and_then(|rest| rest.strip_prefix(slug));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// Every piece that it names.
    pub fn all_chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        self.chunks.iter().chain(self.blobs.iter().flat_map(|blob| &blob.chunks))
    }
}

/// What one backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the repository.
    pub format: u32,
    /// Its name, which sorts by time.
    pub id: String,
    /// One more than the highest there was: the order of making, whatever clocks have said.
    #[serde(default)]
    pub serial: u64,
    /// When the last store was read: all that was acknowledged before is in it.
    pub taken_at: Timestamp,
    /// When it was begun.
    pub started_at: Timestamp,
    /// The version of HQ that made it.
    pub app: String,
    /// Names the master key that its secrets open with; the key itself is never in a backup.
    pub key_id: String,
    pub workspaces: Vec<String>,
    pub parts: Vec<Part>,
    /// Bytes that it added to the repository.
    pub new_bytes: u64,
    /// What could not be taken, with the reason.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Workspaces that were on the list of the accounts all the while and are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Manifest {
    /// Bytes of everything in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Whether every workspace that was on the list is in it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The same without the pieces: what is worth knowing of many at once.
    #[must_use]
    pub fn outline(mut self) -> Self {
        for part in &mut self.parts {
            (part.chunks, part.blobs) = (Vec::new(), Vec::new());
        }
        self
    }

    /// Sorts backups by when they were made.
    #[must_use]
    pub fn order(&self) -> (u64, Timestamp, String) {
        (self.serial, self.taken_at, self.id.clone())
    }

    /// The parts of one workspace, or all.
    pub fn parts_of<'m>(&'m self, workspace: Option<&'m str>) -> impl Iterator<Item = &'m Part> {
        self.parts.iter().filter(move |part| workspace.is_none_or(|slug| part.is_of(slug)))
    }
}

/// The hash of the names of blobs, in order.
pub(super) fn blobs_hash(blobs: &[BlobRef]) -> String {
    let mut hash = Sha256::new();
    for blob in blobs {
        hash.update(blob.id.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}

/// Puts the SHA-256 of all that stands before it at the end, as a last line.
pub(super) fn with_sum(mut text: String) -> Vec<u8> {
    text.push('\n');
    let sum = hex::encode(Sha256::digest(text.as_bytes()));
    text.push_str(&sum);
    text.push('\n');
    text.into_bytes()
}

/// The text in front of a sum that fits; nothing when one byte is not as it was.
pub(super) fn checked(bytes: &[u8]) -> Option<&str> {
    let (text, sum) = bytes.split_at_checked(bytes.len().checked_sub(65)?)?;
    let right = hex::encode(Sha256::digest(text)) + "\n";
    if right.as_bytes() != sum {
        return None;
    }
    std::str::from_utf8(text).ok()?.strip_suffix('\n')
}
