//! What a record declares, in one place: table, class, version, indexes, references, root, counts.

use serde::{Serialize, de::DeserializeOwned};

use super::blob::BlobId;
use super::codec::{self, DecodeError};
use kernel::key::{Key, KeyBuf};

/// A table of records: a number that is never reused and a name for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The number; the redb table is named after it.
    pub number: u16,
    /// The name in the feed's readers, topics and pages.
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

/// An index of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its own table number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// Whether a key may stand for one record only.
    pub unique: bool,
}

impl Index {
    /// An index in which many records may share a key.
    #[must_use]
    pub const fn multi(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name, unique: false }
    }

    /// An index in which a key stands for one record.
    #[must_use]
    pub const fn unique(number: u16, name: &'static str) -> Self {
        assert!(number > 15, "table numbers 1 to 15 belong to the store");
        Self { number, name, unique: true }
    }
}

/// A table of sums that the store keeps beside the records (class `Derived`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its own table number.
    pub number: u16,
    /// Its name.
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

/// What the feed keeps of a change, and what an undo does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Key, operation, before-image and hash of the new row; undo restores it.
    Tracked,
    /// Insert only; the row is its own image; undo keeps it.
    Log,
    /// Key, operation and hash, never a value; undo keeps it.
    Sealed,
    /// Key, operation and hash; undo cancels open ones.
    Work,
    /// Key, operation and hash, never a value; made anew when it is lost, so that it goes with what it belongs to.
    Remade,
    /// Nothing; cursors and the like.
    Local,
    /// Nothing; recomputed.
    Derived,
}

impl Class {
    /// Whether a change of such a row stands in the feed.
    #[must_use]
    pub const fn in_feed(self) -> bool {
        !matches!(self, Self::Local | Self::Derived)
    }
}

/// What happens to a row when the record it refers to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// It goes too.
    Cascade,
    /// The reference is cleared (`Record::clear`).
    Clear,
    /// The delete is refused, unless the row goes too for another reason.
    Refuse,
}

/// The aggregate that a record belongs to: a table and a key in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root {
    /// Table number.
    pub table: u16,
    /// Key bytes.
    pub key: Vec<u8>,
}

impl Root {
    /// The record of this type with this id.
    #[must_use]
    pub fn of<R: Record>(id: R::Id) -> Self {
        Self { table: R::TABLE.number, key: KeyBuf::of(&id).into_bytes() }
    }

    /// Whether it is this row.
    #[must_use]
    pub fn is(&self, table: u16, key: &[u8]) -> bool {
        self.table == table && self.key == key
    }
}

/// Collects the index keys of a record.
#[derive(Default)]
pub struct Keys(pub(super) Vec<(Index, KeyBuf)>);

impl Keys {
    /// Begins a key in an index; the record's id is added by the store.
    pub fn entry(&mut self, index: Index) -> &mut KeyBuf {
        self.0.push((index, KeyBuf::new()));
        let at = self.0.len() - 1;
        &mut self.0[at].1
    }
}

/// A reference found in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The target.
    pub target: Root,
    /// The number of the field that holds it.
    pub field: u8,
    /// What happens when the target is deleted.
    pub on_delete: OnDelete,
}

impl Reference {
    /// The key in the store's table of references when this stands in that row: target first, so
    /// that it can be followed backwards.
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
    /// Field number `field` (never reused) refers to a record of type `R`.
    pub fn to<R: Record>(&mut self, field: u8, id: Option<R::Id>, on_delete: OnDelete) {
        if let Some(id) = id {
            self.to_root(field, Root::of::<R>(id), on_delete);
        }
    }

    /// Field number `field` (never reused) refers to a record of any type.
    pub fn to_root(&mut self, field: u8, target: Root, on_delete: OnDelete) {
        self.0.push(Reference { target, field, on_delete });
    }
}

/// Collects the blobs that a record holds.
#[derive(Default)]
pub struct BlobRefs(pub(super) Vec<BlobId>);

impl BlobRefs {
    /// It holds this one.
    pub fn one(&mut self, id: BlobId) {
        self.0.push(id);
    }
}

/// Collects what a record adds to tables of sums.
#[derive(Default)]
pub struct Counts(pub(super) Vec<(Count, i64, KeyBuf)>);

impl Counts {
    /// Adds one under the key that is built on the answer.
    pub fn one(&mut self, count: Count) -> &mut KeyBuf {
        self.add(count, 1)
    }

    /// Adds an amount under the key that is built on the answer.
    pub fn add(&mut self, count: Count, amount: i64) -> &mut KeyBuf {
        self.0.push((count, amount, KeyBuf::new()));
        let at = self.0.len() - 1;
        &mut self.0[at].2
    }
}

/// A stored type.
pub trait Record: Serialize + DeserializeOwned + 'static {
    /// Its key.
    type Id: Key + Clone;
    /// Its table.
    const TABLE: Table;
    /// What the feed keeps of it.
    const CLASS: Class;
    /// The version of its layout.
    const VERSION: u8 = 1;
    /// Its indexes.
    const INDEXES: &'static [Index] = &[];
    /// The tables of sums that it adds to.
    const COUNTS: &'static [Count] = &[];
    /// Names the blobs that a record holds; none for a kind that never holds any. A blob that is not
    /// named here is swept away.
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = None;

    /// Whether it is written also while the disk is nearly full, as long as it stays small: what somebody
    /// needs who frees space.
    const WHEN_FULL: bool = false;

    /// Groups of fields, by name, that mean something only together: an undo gives back all of a
    /// group or none.
    const TOGETHER: &'static [&'static [&'static str]] = &[];

    /// Fields, by name, that only tell of a change of the others: they go back with those, never alone.
    const STAMPS: &'static [&'static str] = &["updated_at"];

    /// Its key.
    fn id(&self) -> Self::Id;

    /// Its index keys.
    fn index(&self, _keys: &mut Keys) {}

    /// Its references.
    fn refs(&self, _refs: &mut Refs) {}

    /// Clears the reference in a field, when its target is deleted with `OnDelete::Clear`.
    fn clear(&mut self, _field: u8) {}

    /// The aggregate it belongs to; itself when it is a root.
    fn root(&self) -> Root {
        Root::of::<Self>(self.id())
    }

    /// What it adds to tables of sums.
    fn counts(&self, _counts: &mut Counts) {}

    /// Reads an older layout.
    ///
    /// # Errors
    /// When the version is not known.
    fn upgrade(version: u8, _body: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::UnknownVersion { table: Self::TABLE.name, version })
    }

    /// A fixed value for the golden test of its layout.
    fn sample() -> Self;
}

/// Reads a stored value as a record, upgrading an older layout.
///
/// # Errors
/// When the bytes do not fit.
pub fn read<R: Record>(value: &[u8]) -> Result<(R, u64), DecodeError> {
    let (version, rev, body) = codec::unwrap(value)?;
    let record =
        if version == R::VERSION { codec::decode(body)? } else { R::upgrade(version, body)? };
    Ok((record, rev))
}
