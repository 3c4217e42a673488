//! The list of all tables of a store, and operations on records whose type is not known.

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

/// The content of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows of a record type.
    Record(Class),
    /// Rows of an index.
    Index,
    /// Rows of sums.
    Count,
    /// Rows of the store itself.
    Builtin,
}

/// Clears the given references of the row with this key.
type Clear = fn(&mut WriteTx<'_>, &[u8], &[Reference]) -> Result<(), StoreError>;

/// Builds key and stored bytes of a row from its JSON, or returns what is wrong with it.
pub type Parse = fn(serde_json::Value) -> Result<(Vec<u8>, Vec<u8>), String>;

/// Converts the stored bytes of a row to JSON.
pub type AsJson = fn(&[u8]) -> Result<serde_json::Value, DecodeError>;

/// Returns the blobs that a row holds, from its bytes.
pub type NameBlobs = fn(&[u8]) -> Result<Vec<BlobId>, DecodeError>;

/// Operations on a row that need only its table number.
pub struct Ops {
    pub(super) clear: Clear,
    /// The aggregate that a row belongs to, from its bytes.
    pub root: fn(&[u8]) -> Option<Root>,
    /// The stored bytes of the sample.
    pub sample: fn() -> Result<Vec<u8>, DecodeError>,
    /// All derived rows of a row, from its bytes.
    pub derive: fn(&[u8]) -> Result<Derived, DecodeError>,
    /// The blobs that a row holds, from its bytes; `None` for record types without blobs.
    pub blobs: Option<NameBlobs>,
    /// The row as JSON for export, the API, history and undo.
    pub json: AsJson,
    /// The stored bytes of a row in the current layout, without a rev.
    pub renew: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// Groups of fields that are valid only together.
    pub together: &'static [&'static [&'static str]],
    /// Fields that only record changes of other fields.
    pub stamps: &'static [&'static str],
    /// Rebuilds a row and its key from JSON: stored bytes in the current layout, without a rev.
    pub parse: Parse,
    /// Puts a row from its stored bytes, with the same checks as a rule's `put`.
    pub(super) put: fn(&mut WriteTx<'_>, &[u8]) -> Result<(), StoreError>,
    /// The key of a row, from its bytes.
    pub key: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// The key as text.
    pub key_text: fn(&[u8]) -> Option<String>,
    /// Whether rows may be written while the disk is nearly full.
    pub when_full: bool,
    /// Version of the layout.
    pub version: u8,
    /// The indexes that the record declares.
    pub indexes: &'static [Index],
    /// The sums that the record declares.
    pub counts: &'static [Count],
}

/// The derived rows of a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// Index rows: index, key, value.
    pub index: Vec<(Index, Vec<u8>, Vec<u8>)>,
    /// References to other records.
    pub refs: Vec<Reference>,
    /// The blobs that the row holds, sorted and without duplicates.
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

/// The blobs that a record holds, sorted and without duplicates.
fn blobs<R: Record>(record: &R) -> Vec<BlobId> {
    let Some(name) = R::BLOBS else { return Vec::new() };
    let mut blobs = BlobRefs::default();
    name(record, &mut blobs);
    blobs.0.sort_unstable();
    blobs.0.dedup();
    blobs.0
}

/// Description of one table.
pub struct TableInfo {
    /// Number of the table.
    pub number: u16,
    /// Name of the table.
    pub name: &'static str,
    /// Content of the table.
    pub kind: Kind,
    /// Set for tables of records.
    pub ops: Option<Ops>,
    pub(super) redb_name: String,
}

impl TableInfo {
    /// The record class; `None` for other tables.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self.kind {
            Kind::Record(class) => Some(class),
            Kind::Index | Kind::Count | Kind::Builtin => None,
        }
    }

    /// The row operations, or an error if the table has no records.
    pub(super) fn ops(&self) -> Result<&Ops, StoreError> {
        self.ops.as_ref().ok_or(StoreError::UnknownTable(self.number))
    }
}

/// Finds errors in records that the store cannot see: the id of each record and what is wrong.
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

    /// Adds a record type with its indexes and sums.
    ///
    /// # Panics
    /// When a number is used twice or a record type has more than four indexes. Both are programming errors that show
    /// at the first start.
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

    /// The same tables for a mirror, which holds a part of another store. The feed ignores all of them, so every row is
    /// like a `Local` one.
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

    /// Whether this is the schema of a mirror.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.is_mirror
    }

    /// Adds a check for doctor. Its findings carry `name`.
    #[must_use]
    pub fn checked(mut self, name: &'static str, check: Check) -> Self {
        self.checks.push((name, check));
        self
    }

    /// The checks that doctor runs on records.
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

/// Formats the bytes of a key as an id: 16 bytes as a UUID, others in hexadecimal.
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
