//! Texts of items, and former versions. A version is stored when another author starts to write, or the same author
//! after a pause. A writing session is thus one version, and the current text is the newest.

use std::io;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Cause, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Blobs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Item, KnowledgeId, VersionId};

/// By item that a text links to.
pub const BODIES_BY_LINK: Index = Index::multi(341, "knowledge_bodies_by_link");
/// Texts of items.
pub const BODIES: Table = Table::new(336, "knowledge_bodies");
/// Former versions.
pub const VERSIONS: Table = Table::new(337, "knowledge_versions");
/// By item and version number.
pub const VERSIONS_BY_ITEM: Index = Index::unique(338, "knowledge_versions_by_item");

/// Size limit of a text, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// Larger texts are stored as blobs, in bytes.
const INLINE: usize = 32 * 1024;

/// A text, inline or as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    Inline(String),
    /// The blob, and the length in bytes.
    Blob(BlobId, u32),
}

impl Text {
    /// Stores a text. Writes a blob if it is long, so call it where blocking is allowed.
    pub fn keep(blobs: &Blobs, text: String) -> io::Result<Self> {
        if text.len() <= INLINE {
            return Ok(Self::Inline(text));
        }
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Ok(Self::Blob(blobs.put(text.as_bytes())?, bytes))
    }

    /// The whole text. Reads a blob if it is long, so it may block.
    pub fn read(&self, blobs: &Blobs) -> io::Result<String> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::Blob(blob, bytes) => {
                let bytes = blobs.get(*blob, u64::from(*bytes))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Inline(text) => text.len(),
            Self::Blob(_, bytes) => *bytes as usize,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn blob(&self, blobs: &mut BlobRefs) {
        if let Self::Blob(blob, _) = self {
            blobs.one(*blob);
        }
    }
}

/// The current text of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    pub item: KnowledgeId,
    /// Markdown.
    pub text: Text,
    /// Version number, from 1.
    pub n: u32,
    pub by: Actor,
    pub cause: Cause,
    /// Reason, in one line.
    pub reason: String,
    /// Linked items with the names in lower case, so that a link survives a rename of its target.
    pub links: Vec<(String, KnowledgeId)>,
    /// Start of the writing session.
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// Time of the last change.
    #[serde(with = "millisecond::required")]
    pub written_at: Timestamp,
}

impl Record for Body {
    type Id = KnowledgeId;
    const TABLE: Table = BODIES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BODIES_BY_LINK];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|body, blobs| body.text.blob(blobs));
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["text", "n", "by", "cause", "reason", "links", "begun_at", "written_at"]];
    fn id(&self) -> KnowledgeId {
        self.item
    }
    fn index(&self, keys: &mut Keys) {
        for (_, to) in &self.links {
            keys.entry(BODIES_BY_LINK).part(*to);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Item>(self.item)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            item: KnowledgeId::from_bytes([72; 16]),
            text: Text::Inline("# Deposit\n\nOne rate.\n".into()),
            n: 2,
            by: Actor::System(Part::Setup),
            cause: Cause::Setup,
            reason: "plainer words".into(),
            links: vec![("return check".into(), KnowledgeId::from_bytes([74; 16]))],
            begun_at: at,
            written_at: at,
        }
    }
}

/// A former version of an item's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub id: VersionId,
    pub item: KnowledgeId,
    /// Counted from 1.
    pub n: u32,
    /// The item's title at that time.
    pub title: String,
    /// Markdown.
    pub text: Text,
    pub by: Actor,
    pub cause: Cause,
    /// Reason, in one line.
    pub reason: String,
    /// Time of the last change.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for Version {
    type Id = VersionId;
    const TABLE: Table = VERSIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[VERSIONS_BY_ITEM];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|version, blobs| version.text.blob(blobs));
    fn id(&self) -> VersionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(VERSIONS_BY_ITEM).part(self.item).part(self.n);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Item>(1, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Item>(self.item)
    }
    fn sample() -> Self {
        Self {
            id: VersionId::from_bytes([73; 16]),
            item: KnowledgeId::from_bytes([72; 16]),
            n: 1,
            title: "Lease terms".into(),
            text: Text::Blob(BlobId::of(b"long"), 40_000),
            by: Actor::System(Part::Setup),
            cause: Cause::Setup,
            reason: String::new(),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
