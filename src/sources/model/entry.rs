//! Pages of sources: where each lies, how it is known again, which item holds it.

use connect::Mark;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Timestamp, TypedId as _};
use knowledge::model::{Item, KnowledgeId};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{EntryId, Source, SourceId};

/// Pages of sources.
pub const ENTRIES: Table = Table::new(344, "source_items");
pub const ENTRIES_BY_SOURCE: Index = Index::multi(345, "source_items_by_source");
pub const ENTRIES_BY_ITEM: Index = Index::multi(346, "source_items_by_item");

/// How it stands with a page of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryState {
    /// It is to be fetched, whatever a list says of it.
    Stale,
    /// It is as it stands there.
    Synced,
    /// It could not be read: why, in a sentence.
    Failed(String),
    /// It was not there when it was looked for, first at this moment in milliseconds.
    Missing(i64),
    /// It was not there twice.
    Gone,
}

/// A page of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id; it follows from its source and place.
    pub id: EntryId,
    pub source: SourceId,
    /// Where it lies in its source.
    pub place: String,
    /// What people open.
    pub address: String,
    /// The item that holds it.
    pub item: KnowledgeId,
    /// How it is known again. Stored: its fields stay as they are.
    pub mark: Mark,
    /// The hash of what came.
    pub hash: connect::Hash,
    /// The size of its words; nothing for a file, whose words are read later.
    pub bytes: u64,
    /// How it stands with it.
    pub state: EntryState,
    /// When it was last fetched.
    #[serde(with = "millisecond::required")]
    pub synced_at: Timestamp,
}

/// The id of a page: that of its source and place.
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
