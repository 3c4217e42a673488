//! The words of items, and their former versions. A version is written when somebody else begins to write, or the same
//! one after a while: so a stretch of writing is one version, and what stands now is the newest.

use std::io;

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Cause, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Blobs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Item, KnowledgeId, VersionId};

/// Items that a text leads to.
pub const BODIES_BY_LINK: Index = Index::multi(341, "knowledge_bodies_by_link");
/// The words of items.
pub const BODIES: Table = Table::new(336, "knowledge_bodies");
/// Former versions.
pub const VERSIONS: Table = Table::new(337, "knowledge_versions");
/// The item, and the number.
pub const VERSIONS_BY_ITEM: Index = Index::unique(338, "knowledge_versions_by_item");

/// The most of a text, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// Texts above this many bytes lie in a blob.
const INLINE: usize = 32 * 1024;

/// A text: in its record, or in a blob when it is long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// The text.
    Inline(String),
    /// The blob with the text, and its length in bytes.
    Blob(BlobId, u32),
}

impl Text {
    /// A text to be kept. Writes a blob when it is long: call it where blocking is allowed.
    pub fn keep(blobs: &Blobs, text: String) -> io::Result<Self> {
        if text.len() <= INLINE {
            return Ok(Self::Inline(text));
        }
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Ok(Self::Blob(blobs.put(text.as_bytes())?, bytes))
    }

    /// The whole text. Reads a blob when it is long.
    pub fn read(&self, blobs: &Blobs) -> io::Result<String> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::Blob(blob, bytes) => {
                let bytes = blobs.get(*blob, u64::from(*bytes))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Inline(text) => text.len(),
            Self::Blob(_, bytes) => *bytes as usize,
        }
    }

    /// Whether it says nothing.
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

/// The words of an item as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    pub item: KnowledgeId,
    /// Markdown.
    pub text: Text,
    /// The number of this version, from 1.
    pub n: u32,
    /// Who wrote it.
    pub by: Actor,
    /// Through what.
    pub cause: Cause,
    /// Why, in a line.
    pub reason: String,
    /// The items that it leads to by name, with the name in small letters: a link stays when its target is renamed.
    pub links: Vec<(String, KnowledgeId)>,
    /// When this stretch of writing began.
    #[serde(with = "millisecond::required")]
    pub begun_at: Timestamp,
    /// When it was last written.
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

/// A former version of an item's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub id: VersionId,
    pub item: KnowledgeId,
    /// Its number, from 1.
    pub n: u32,
    /// What the item was called.
    pub title: String,
    /// Markdown.
    pub text: Text,
    /// Who wrote it.
    pub by: Actor,
    /// Through what.
    pub cause: Cause,
    /// Why, in a line.
    pub reason: String,
    /// When it was last written.
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
