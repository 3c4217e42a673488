//! The declarations of a record type: table, class, version, indexes, references, root, sums.

use serde::{Serialize, de::DeserializeOwned};

use super::blob::BlobId;
use super::codec::{self, DecodeError};
use kernel::key::{Key, KeyBuf};

/// A table of records: a number that is never reused and a name for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The number; the redb table is named after it.
    pub number: u16,
    /// The name in feed readers, topics and pages.
    pub name: &'static str,
}

impl Table {
    /// Declares a table. Numbers 1 to 15 belong to the store.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name }
    }
}

/// An index of a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its own table number.
    pub number: u16,
    /// Name of the index.
    pub name: &'static str,
    /// Whether a key belongs to at most one record.
    pub unique: bool,
}

impl Index {
    /// An index in which several records may share a key.
    #[must_use]
    pub const fn multi(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name, unique: false }
    }

    /// An index in which a key belongs to at most one record.
    #[must_use]
    pub const fn unique(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name, unique: true }
    }
}

/// A table of sums that the store maintains (class `Derived`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its own table number.
    pub number: u16,
    /// Name of the table.
    pub name: &'static str,
}

impl Count {
    /// Declares a table of sums.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name }
    }
}

/// What the feed stores of a change, and how undo treats the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Key, operation, before-image and hash of the new row; undo restores the row.
    Tracked,
    /// Insert only; the row is its own image; undo keeps the row.
    Log,
    /// Key, operation and hash, never a value; undo keeps the row.
    Sealed,
    /// Key, operation and hash; undo cancels open work.
    Work,
    /// Key, operation and hash, never a value. The row can be recomputed, so undo deletes it with its owner.
    Remade,
    /// Nothing; for cursors and other local state.
    Local,
    /// Nothing; the row can be recomputed.
    Derived,
}

impl Class {
    /// Whether changes of such rows are in the feed.
    #[must_use]
    pub const fn in_feed(self) -> bool {
        !matches!(self, Self::Local | Self::Derived)
    }
}

/// What happens to a row when the record it refers to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The row is deleted, too.
    Cascade,
    /// The reference is cleared ([`Record::clear`]).
    Clear,
    /// The deletion is refused, unless the row is deleted for another reason.
    Refuse,
}

/// The aggregate that a record belongs to, as table and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root {
    /// Table number.
    pub table: u16,
    /// Key bytes.
    pub key: Vec<u8>,
}

impl Root {
    /// The record of type `R` with this id.
    #[must_use]
    pub fn of<R: Record>(id: R::Id) -> Self {
        Self { table: R::TABLE.number, key: KeyBuf::of(&id).into_bytes() }
    }

    /// Whether this is the given row.
    #[must_use]
    pub fn is(&self, table: u16, key: &[u8]) -> bool {
        self.table == table && self.key == key
    }
}

/// Collects the index keys of a record.
#[derive(Default)]
pub struct Keys(pub(super) Vec<(Index, KeyBuf)>);

impl Keys {
    /// Starts a key in an index. For non-unique indexes the store appends the record's id.
    pub fn entry(&mut self, index: Index) -> &mut KeyBuf {
        self.0.push((index, KeyBuf::new()));
        let at = self.0.len() - 1;
        &mut self.0[at].1
    }
}

/// A reference found in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The target record.
    pub target: Root,
    /// The number of the field with the reference.
    pub field: u8,
    /// What happens when the target is deleted.
    pub on_delete: OnDelete,
}

impl Reference {
    /// The key in the table of references for this source row. The target comes first, so that referrers can be found
    /// by prefix.
    #[must_use]
    pub fn row_key(&self, source_table: u16, source_key: &[u8]) -> Vec<u8> {
        let mut key = KeyBuf::of(&self.target.table);
        key.raw(&self.target.key).part(source_table).u8(self.field).raw(source_key);
        key.into_bytes()
    }
}

/// Collects the references of a record.
#[derive(Default)]
pub struct Refs(pub(super) Vec<Reference>);

impl Refs {
    /// Adds a reference in field number `field` (never reused) to a record of type `R`.
    pub fn to<R: Record>(&mut self, field: u8, id: Option<R::Id>, on_delete: OnDelete) {
        if let Some(id) = id {
            self.to_root(field, Root::of::<R>(id), on_delete);
        }
    }

    /// Adds a reference in field number `field` (never reused) to a record of any type.
    pub fn to_root(&mut self, field: u8, target: Root, on_delete: OnDelete) {
        self.0.push(Reference { target, field, on_delete });
    }
}

/// Collects the blobs that a record holds.
#[derive(Default)]
pub struct BlobRefs(pub(super) Vec<BlobId>);

impl BlobRefs {
    /// Adds a blob.
    pub fn one(&mut self, id: BlobId) {
        self.0.push(id);
    }
}

/// Collects what a record adds to tables of sums.
#[derive(Default)]
pub struct Counts(pub(super) Vec<(Count, i64, KeyBuf)>);

impl Counts {
    /// Adds 1 under the key built on the result.
    pub fn one(&mut self, count: Count) -> &mut KeyBuf {
        self.add(count, 1)
    }

    /// Adds an amount under the key built on the result.
    pub fn add(&mut self, count: Count, amount: i64) -> &mut KeyBuf {
        self.0.push((count, amount, KeyBuf::new()));
        let at = self.0.len() - 1;
        &mut self.0[at].2
    }
}

/// A stored type.
pub trait Record: Serialize + DeserializeOwned + 'static {
    /// Type of the key.
    type Id: Key + Clone;
    /// Table of the records.
    const TABLE: Table;
    /// What the feed stores of a change.
    const CLASS: Class;
    /// Version of the layout.
    const VERSION: u8 = 1;
    /// The indexes, at most four.
    const INDEXES: &'static [Index] = &[];
    /// The tables of sums that records add to.
    const COUNTS: &'static [Count] = &[];
    /// Names the blobs of a record; `None` for types without blobs. The sweep deletes blobs that are not named here.
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = None;

    /// Whether small writes are allowed while the disk is nearly full, because people need them to free space.
    const WHEN_FULL: bool = false;

    /// Groups of fields, by name, that are valid only together: undo reverts all fields of a group or none.
    const TOGETHER: &'static [&'static [&'static str]] = &[];

    /// Fields, by name, that only record changes of other fields: undo reverts them with those, never alone.
    const STAMPS: &'static [&'static str] = &["updated_at"];

    /// Key of the record.
    fn id(&self) -> Self::Id;

    /// Adds the index keys of the record.
    fn index(&self, _keys: &mut Keys) {}

    /// Adds the references of the record.
    fn refs(&self, _refs: &mut Refs) {}

    /// Clears the reference in a field when its target is deleted with [`OnDelete::Clear`].
    fn clear(&mut self, _field: u8) {}

    /// The aggregate that the record belongs to; itself if it is a root.
    fn root(&self) -> Root {
        Root::of::<Self>(self.id())
    }

    /// Adds the record's contributions to sums.
    fn counts(&self, _counts: &mut Counts) {}

    /// Decodes an older layout.
    ///
    /// # Errors
    /// When the version is unknown.
    fn upgrade(version: u8, _body: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version })
    }

    /// A fixed value for the golden test of the layout.
    fn sample() -> Self;
}

/// Decodes a stored value, upgrading older layouts; returns record and rev.
pub fn read<R: Record>(value: &[u8]) -> Result<(R, u64), DecodeError> {
    let (version, rev, body) = codec::unwrap(value)?;
    let record =
        if version == R::VERSION { codec::decode(body)? } else { R::upgrade(version, body)? };
    Ok((record, rev))
}
