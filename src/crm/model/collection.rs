//! Collections: custom tables.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, Record, Table};

use super::CollectionId;

pub const COLLECTIONS: Table = Table::new(316, "collections");
/// The name in lower case; archived collections are not indexed.
pub const BY_NAME: Index = Index::unique(317, "collections_by_name");

/// A custom table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    pub id: CollectionId,
    pub name: String,
    /// One emoji, or empty.
    pub icon: String,
    pub description: String,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Time of archiving.
    #[serde(with = "millisecond::optional")]
    pub archived_at: Option<Timestamp>,
}

impl Record for Collection {
    type Id = CollectionId;
    const TABLE: Table = COLLECTIONS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_NAME];
    fn id(&self) -> CollectionId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.archived_at.is_none() {
            keys.entry(BY_NAME).text(&self.name.to_lowercase());
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: CollectionId::from_bytes([62; 16]),
            name: "Bikes".into(),
            icon: "🚲".into(),
            description: "All that we lend".into(),
            created_at: at,
            updated_at: at,
            archived_at: None,
        }
    }
}
