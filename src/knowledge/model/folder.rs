//! Folders: a tree of names, in which each item may have a place.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::FolderId;

pub const FOLDERS: Table = Table::new(330, "knowledge_folders");
/// The parent and the name in small letters; no two of a parent are called the same.
pub const BY_PARENT: Index = Index::unique(331, "knowledge_folders_by_parent");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    pub id: FolderId,
    /// The folder that it lies in.
    pub parent: Option<FolderId>,
    pub name: String,
    /// One emoji, or nothing.
    pub icon: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

/// The key of what lies in a folder, or at the top, in [`BY_PARENT`]; of what has a name there.
#[must_use]
pub fn place_key(parent: Option<FolderId>, name: Option<&str>) -> KeyBuf {
    let mut key = KeyBuf::of(&parent.unwrap_or_else(|| FolderId::from_bytes([0; 16])));
    if let Some(name) = name {
        key.text(&name.to_lowercase());
    }
    key
}

impl Record for Folder {
    type Id = FolderId;
    const TABLE: Table = FOLDERS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_PARENT];
    fn id(&self) -> FolderId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_PARENT).raw(place_key(self.parent, Some(&self.name)).bytes());
    }
    fn refs(&self, refs: &mut Refs) {
        // Rules move what lies in a folder before it goes.
        refs.to::<Self>(1, self.parent, OnDelete::Refuse);
    }
    fn root(&self) -> Root {
        Root::of::<Self>(self.id)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: FolderId::from_bytes([70; 16]),
            parent: Some(FolderId::from_bytes([71; 16])),
            name: "Contracts Ü".into(),
            icon: "📁".into(),
            created_at: at,
            updated_at: at,
        }
    }
}
