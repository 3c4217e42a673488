//! The list of all tables of a store, and what the store may do with a record without its type.

use super::blob::BlobId;
use super::codec::{self, DecodeError};
use super::error::StoreError;
use super::read::Read;
use super::record::{
    self, BlobRefs, Class, Count, Counts, Index, Keys, Record, Reference, Refs, Root,
};
use super::tx::WriteTx;
use kernel::key::{self, KeyBuf};

/// The store's own tables.
pub(super) mod builtin {
    pub const FEED: u16 = 1;
    pub const REFS: u16 = 2;
    pub const CONSUMERS: u16 = 3;
    pub const ONCE: u16 = 4;
    pub const TOMBSTONES: u16 = 5;
    pub const META: u16 = 6;
    pub const REDACTED: u16 = 7;
    pub const REBUILDS: u16 = 8;
    pub const BLOB_REFS: u16 = 10;
    pub const ALL: [(u16, &str); 9] = [
        (FEED, "feed"),
        (REFS, "references"),
        (CONSUMERS, "consumers"),
        (ONCE, "once"),
        (TOMBSTONES, "tombstones"),
        (META, "meta"),
        (REDACTED, "redacted"),
        (REBUILDS, "rebuilds"),
        (BLOB_REFS, "blob_references"),
    ];
}

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows of a record.
    Record(Class),
    /// An index.
    Index,
    /// Sums.
    Count,
    /// The store's own.
    Builtin,
}

/// Clears references of the row with this key.
type Clear = fn(&mut WriteTx<'_>, &[u8], &[Reference]) -> Result<(), StoreError>;

/// Makes key and stored bytes of a row from its JSON, or says what is wrong with it.
pub type Parse = fn(serde_json::Value) -> Result<(Vec<u8>, Vec<u8>), String>;

/// Makes JSON of a row's stored bytes.
pub type AsJson = fn(&[u8]) -> Result<serde_json::Value, DecodeError>;

/// Names the blobs that a row holds, from its bytes.
pub type NameBlobs = fn(&[u8]) -> Result<Vec<BlobId>, DecodeError>;

/// What the store can do with a row by its table number alone.
pub struct Ops {
    pub(super) clear: Clear,
    /// The aggregate that a row belongs to, from its bytes.
    pub root: fn(&[u8]) -> Option<Root>,
    /// The stored bytes of the sample.
    pub sample: fn() -> Result<Vec<u8>, DecodeError>,
    /// Everything that the store keeps beside a row, from its bytes.
    pub derive: fn(&[u8]) -> Result<Derived, DecodeError>,
    /// The blobs that a row holds, from its bytes; none for a kind that never holds any.
    pub blobs: Option<NameBlobs>,
    /// The row as JSON for export, the API, history and undo.
    pub json: AsJson,
    /// The stored bytes of a row in the present layout and without a rev.
    pub renew: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// Fields that mean something only together.
    pub together: &'static [&'static [&'static str]],
    /// Fields that only tell of a change of the others.
    pub stamps: &'static [&'static str],
    /// A row made of its JSON again, with its key: as it is stored, in the present layout and without a rev.
    pub parse: Parse,
    /// Puts a row from its stored bytes, as a rule would.
    pub(super) put: fn(&mut WriteTx<'_>, &[u8]) -> Result<(), StoreError>,
    /// The key of a row, from its bytes.
    pub key: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// The key as text.
    pub key_text: fn(&[u8]) -> Option<String>,
    /// Whether it is written also while the disk is nearly full.
    pub when_full: bool,
    /// The version of the layout.
    pub version: u8,
    /// The indexes that the record declares.
    pub indexes: &'static [Index],
    /// The sums that it declares.
    pub counts: &'static [Count],
}

/// What the store keeps beside a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// Index rows: table, key, value.
    pub index: Vec<(Index, Vec<u8>, Vec<u8>)>,
    /// References to other records.
    pub refs: Vec<Reference>,
    /// The blobs that it holds, each once, in order.
    pub blobs: Vec<BlobId>,
    /// Sums: table, key, amount.
    pub counts: Vec<(Count, Vec<u8>, i64)>,
}

pub(super) fn derive<R: Record>(record: &R, own: &[u8]) -> Derived {
    let (mut keys, mut refs, mut counts) = (Keys::default(), Refs::default(), Counts::default());
    record.index(&mut keys);
    record.refs(&mut refs);
    record.counts(&mut counts);
    let index = keys
        .0
        .into_iter()
        .map(|(index, mut key)| {
            if !index.unique {
                key.raw(own);
            }
            (index, key.into_bytes(), own.to_vec())
        })
        .collect();
    let counts = counts.0.into_iter().map(|(c, n, k)| (c, k.into_bytes(), n)).collect();
    Derived { index, refs: refs.0, blobs: blobs(record), counts }
}

/// The blobs that a record holds, each once, in order.
fn blobs<R: Record>(record: &R) -> Vec<BlobId> {
    let Some(name) = R::BLOBS else { return Vec::new() };
    let mut blobs = BlobRefs::default();
    name(record, &mut blobs);
    blobs.0.sort_unstable();
    blobs.0.dedup();
    blobs.0
}

/// One table.
pub struct TableInfo {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// For rows of a record.
    pub ops: Option<Ops>,
    pub(super) redb_name: String,
}

impl TableInfo {
    /// What the feed keeps of its rows, if they are records.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self.kind {
            Kind::Record(class) => Some(class),
            Kind::Index | Kind::Count | Kind::Builtin => None,
        }
    }

    /// What the store can do with its rows.
    pub(super) fn ops(&self) -> Result<&Ops, StoreError> {
        self.ops.as_ref().ok_or(StoreError::UnknownTable(self.number))
    }
}

/// What is wrong in records, beyond what the store sees by itself: the id of each, and what is wrong with it.
pub type Check = fn(&dyn Read) -> Result<Vec<(String, String)>, StoreError>;

/// All tables of a store.
#[derive(Default)]
pub struct Schema {
    tables: Vec<TableInfo>,
    slots: Vec<Option<u16>>,
    checks: Vec<(&'static str, Check)>,
    is_mirror: bool,
}

impl Schema {
    /// A schema with the store's own tables.
    ///
    /// # Panics
    /// Never: the numbers of the store's own tables differ.
    #[must_use]
    pub fn new() -> Self {
        let mut schema = Self::default();
        for (number, name) in builtin::ALL {
            schema.add(number, name, Kind::Builtin, None);
        }
        schema
    }

    fn add(&mut self, number: u16, name: &'static str, kind: Kind, ops: Option<Ops>) {
        let at = usize::from(number);
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        assert!(self.slots[at].is_none(), "table number {number} ({name}) is used twice");
        self.slots[at] = u16::try_from(self.tables.len()).ok();
        self.tables.push(TableInfo { number, name, kind, ops, redb_name: format!("t{number:04}") });
    }

    /// Adds a record with its indexes and sums.
    ///
    /// # Panics
    /// When a number is used twice or a record has more than four indexes: both are mistakes of
    /// the program's source that must be seen at the first start.
    #[must_use]
    pub fn with<R: Record>(mut self) -> Self {
        assert!(R::INDEXES.len() <= 4, "{} has more than four indexes", R::TABLE.name);
        let ops = Ops {
            clear: |tx, bytes, gone| {
                let id = key::decode::<R::Id>(bytes).ok_or(DecodeError::Short)?;
                tx.clear_references::<R>(id, gone)
            },
            root: |value| record::read::<R>(value).ok().map(|(r, _)| r.root()),
            sample: || codec::encode_row(R::VERSION, 0, &R::sample()),
            derive: |value| {
                let (record, _) = record::read::<R>(value)?;
                Ok(derive(&record, KeyBuf::of(&record.id()).bytes()))
            },
            blobs: R::BLOBS.is_some().then_some(|value| Ok(blobs(&record::read::<R>(value)?.0))),
            json: |value| {
                let (record, _) = record::read::<R>(value)?;
                serde_json::to_value(&record).map_err(|_| DecodeError::Short)
            },
            renew: |value| codec::encode_row(R::VERSION, 0, &record::read::<R>(value)?.0),
            when_full: R::WHEN_FULL,
            together: R::TOGETHER,
            stamps: R::STAMPS,
            parse: |value| {
                let record: R = serde_json::from_value(value).map_err(|error| error.to_string())?;
                let key = KeyBuf::of(&record.id()).into_bytes();
                let row = codec::encode_row(R::VERSION, 0, &record);
                Ok((key, row.map_err(|error| error.to_string())?))
            },
            put: |tx, row| {
                let (record, _) = record::read::<R>(row)?;
                tx.put(&record)
            },
            key: |row| Ok(KeyBuf::of(&record::read::<R>(row)?.0.id()).into_bytes()),
            key_text: |bytes| key_text::<R>(bytes),
            version: R::VERSION,
            indexes: R::INDEXES,
            counts: R::COUNTS,
        };
        self.add(R::TABLE.number, R::TABLE.name, Kind::Record(R::CLASS), Some(ops));
        for index in R::INDEXES {
            self.add(index.number, index.name, Kind::Index, None);
        }
        for count in R::COUNTS {
            if !self.has(count.number) {
                self.add(count.number, count.name, Kind::Count, None);
            }
        }
        self
    }

    /// The same tables for a mirror, which holds a part of what another store has: the feed keeps nothing of them, so
    /// that all rows are as `Local` ones.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        for info in &mut self.tables {
            if matches!(info.kind, Kind::Record(_)) {
                info.kind = Kind::Record(Class::Local);
            }
        }
        self.is_mirror = true;
        self
    }

    /// Whether it is that of a mirror.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.is_mirror
    }

    /// Adds what doctor asks of records, under the name that its findings have.
    #[must_use]
    pub fn checked(mut self, name: &'static str, check: Check) -> Self {
        self.checks.push((name, check));
        self
    }

    /// What doctor asks of records.
    pub(super) fn checks(&self) -> &[(&'static str, Check)] {
        &self.checks
    }

    fn has(&self, number: u16) -> bool {
        self.slots.get(usize::from(number)).is_some_and(Option::is_some)
    }

    /// All tables.
    #[must_use]
    pub fn tables(&self) -> &[TableInfo] {
        &self.tables
    }

    /// A table by its number.
    #[must_use]
    pub fn table(&self, number: u16) -> Option<&TableInfo> {
        self.slot(number).ok().map(|slot| &self.tables[slot])
    }

    /// A table by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&TableInfo> {
        self.tables.iter().find(|t| t.name == name)
    }

    pub(super) fn slot(&self, number: u16) -> Result<usize, StoreError> {
        self.slots
            .get(usize::from(number))
            .copied()
            .flatten()
            .map(usize::from)
            .ok_or(StoreError::UnknownTable(number))
    }

    pub(super) fn class(&self, number: u16) -> Option<Class> {
        self.table(number)?.class()
    }
}

fn key_text<R: Record>(bytes: &[u8]) -> Option<String> {
    key::decode::<R::Id>(bytes).map(|_| id_text(bytes))
}

/// The bytes of a key as people write ids: 16 of them as a UUID, anything else in hexadecimal.
#[must_use]
pub fn id_text(bytes: &[u8]) -> String {
    match <[u8; 16]>::try_from(bytes) {
        Ok(id) => uuid::Uuid::from_bytes(id).hyphenated().to_string(),
        Err(_) => hex::encode(bytes),
    }
}

/// Builds a [`Schema`] from a list of records.
#[macro_export]
macro_rules! schema {
    ($($record:ty),+ $(,)?) => {
        $crate::Schema::new()$(.with::<$record>())+
    };
}
