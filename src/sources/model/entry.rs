//! Pages of sources: place, change mark, and the item with the content.

use connect::Mark;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use knowledge::model::{Item, KnowledgeId};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{EntryId, Source, SourceId};

pub const ENTRIES: Table = Table::new(344, "source_items");
pub const ENTRIES_BY_SOURCE: Index = Index::multi(345, "source_items_by_source");
pub const ENTRIES_BY_ITEM: Index = Index::multi(346, "source_items_by_item");

/// State of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryState {
    /// To be fetched, whatever the listing says.
    Stale,
    /// Up to date.
    Synced,
    /// Could not be read, with the reason.
    Failed(String),
    /// Missing since this time, in milliseconds since the epoch.
    Missing(i64),
    /// Missing twice; archived.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Derived from source and place.
    pub id: EntryId,
    pub source: SourceId,
    /// Place in its source.
    pub place: String,
    /// Address for people.
    pub address: String,
    /// The item with the content.
    pub item: KnowledgeId,
    /// Change mark. Stored, so its fields must not change.
    pub mark: Mark,
    /// Hash of the content.
    pub hash: connect::Hash,
    /// Size of the text in bytes; 0 for a file, whose text is extracted later.
    pub bytes: u64,
    pub state: EntryState,
    /// Last fetch.
    #[serde(with = "millisecond::required")]
    pub synced_at: Timestamp,
}

/// Derives the id from source and place.
#[must_use]
pub fn entry_id(source: SourceId, place: &str) -> EntryId {
    let whole = connect::hash(&[source.uuid().as_bytes().as_slice(), place.as_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&whole[..16]);
    EntryId::from_bytes(bytes)
}

impl Record for Entry {
    type Id = EntryId;
    const TABLE: Table = ENTRIES;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[ENTRIES_BY_SOURCE, ENTRIES_BY_ITEM];
    fn id(&self) -> EntryId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(ENTRIES_BY_SOURCE).part(self.source);
        keys.entry(ENTRIES_BY_ITEM).part(self.item);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Source>(1, Some(self.source), OnDelete::Cascade);
        refs.to::<Item>(2, Some(self.item), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Source>(self.source)
    }
    fn sample() -> Self {
        let source = SourceId::from_bytes([80; 16]);
        Self {
            id: entry_id(source, "guides/lease ü.md"),
            source,
            place: "guides/lease ü.md".into(),
            address: "/srv/handbook/guides/lease ü.md".into(),
            item: KnowledgeId::from_bytes([72; 16]),
            mark: Mark {
                listed: "9 1700000000.000000000".into(),
                etag: "\"a\"".into(),
                modified: "Tue, 14 Nov 2023 22:13:20 GMT".into(),
            },
            hash: [7; 32],
            bytes: 9,
            state: EntryState::Missing(1_700_000_000_000),
            synced_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
