//! Folders: a tree of names for items.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::FolderId;

pub const FOLDERS: Table = Table::new(330, "knowledge_folders");
/// By parent and name in lower case; names are unique per parent.
pub const BY_PARENT: Index = Index::unique(331, "knowledge_folders_by_parent");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    pub id: FolderId,
    pub parent: Option<FolderId>,
    pub name: String,
    /// One emoji, or empty.
    pub icon: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

/// The prefix in [`BY_PARENT`] of everything in a folder, or at the top level; with a name, the key of one folder.
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
        // The rules move the content before deleting a folder.
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
