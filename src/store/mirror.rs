//! Mirror: a store with a part of another store's rows, in the same tables.
//!
//! Rows arrive as bytes with the other store's revs. Indexes, references and sums are maintained, so the same reads
//! work. But a reference may have no target, and two rows may temporarily share a unique key. No reactions run and the
//! feed stays empty. Rows written locally have no rev. The keeper's note is written in the same transaction as its
//! rows.

use super::error::StoreError;
use super::layer::Laid;
use super::read::Read;
use super::record::Root;
use super::schema::{Derived, builtin};
use super::tx::{MAX_RECORD, WriteTx};
use super::{codec, schema::Ops};

/// Key of the row that marks a file as a mirror.
pub(super) const IS_MIRROR: &[u8] = b"mirror";
/// Key of the row with the keeper's note.
const NOTE: &[u8] = b"mirror_note";

/// The note of the mirror's keeper, unchanged.
pub fn note(read: &dyn Read) -> Result<Option<Vec<u8>>, StoreError> {
    read.raw_get(builtin::META, NOTE)
}

impl WriteTx<'_> {
    /// Replaces the note of the mirror's keeper.
    ///
    /// # Errors
    /// When the store is not a mirror.
    pub fn set_mirror_note(&mut self, note: Vec<u8>) -> Result<(), StoreError> {
        self.must_be_mirror()?;
        self.set(builtin::META, NOTE.to_vec(), Some(note))
    }

    /// Writes a row of the other store, replacing the one with its key. Returns whether the row changed.
    ///
    /// # Errors
    /// When the store is not a mirror, or the bytes are unreadable, belong to another row or exceed the size limit.
    pub fn put_mirrored(&mut self, at: &Root, row: Vec<u8>) -> Result<bool, StoreError> {
        self.must_be_mirror()?;
        let info = self.info(at.table)?;
        let ops = info.ops()?;
        let size = row.len().saturating_sub(codec::HEADER);
        if size > MAX_RECORD {
            return Err(StoreError::TooLarge { table: info.name, size, limit: MAX_RECORD });
        }
        if (ops.key)(&row)? != at.key {
            return Err(StoreError::OtherRow { table: info.name });
        }
        let before = self.raw_get(at.table, &at.key)?;
        if before.as_ref().is_some_and(|before| !codec::differ(before, &row)) {
            return Ok(false);
        }
        let fresh = (ops.derive)(&row)?;
        let old = before.map_or_else(|| Ok(Derived::default()), |old| (ops.derive)(&old))?;
        self.move_mirrored(at, old, fresh)?;
        let root = root_of(ops, &row, at);
        self.lay(at.table, at.key.clone(), Laid { value: Some(row), root });
        Ok(true)
    }

    /// Deletes a row of the mirror and its derived rows; referring rows stay. Returns whether the row existed.
    ///
    /// # Errors
    /// When the store is not a mirror.
    pub fn drop_mirrored(&mut self, at: &Root) -> Result<bool, StoreError> {
        self.must_be_mirror()?;
        let Some(row) = self.raw_get(at.table, &at.key)? else { return Ok(false) };
        let ops = self.info(at.table)?.ops()?;
        self.move_mirrored(at, (ops.derive)(&row)?, Derived::default())?;
        let root = root_of(ops, &row, at);
        self.lay(at.table, at.key.clone(), Laid { value: None, root });
        Ok(true)
    }

    fn must_be_mirror(&self) -> Result<(), StoreError> {
        if self.schema().is_mirror() { Ok(()) } else { Err(StoreError::NoMirror) }
    }

    /// Replaces the derived rows of a row without checking references.
    fn move_mirrored(&mut self, at: &Root, old: Derived, fresh: Derived) -> Result<(), StoreError> {
        self.retire_blobs(at.table, &at.key, &old.blobs, &fresh.blobs)?;
        for (index, key, value) in old.index.iter().filter(|row| !fresh.index.contains(row)) {
            // The unique key may belong to another row by now that arrived earlier.
            if self.raw_get(index.number, key)?.as_ref() == Some(value) {
                self.set(index.number, key.clone(), None)?;
            }
        }
        for gone in old.refs.iter().filter(|one| !fresh.refs.contains(one)) {
            self.set(builtin::REFS, gone.row_key(at.table, &at.key), None)?;
        }
        self.enter_derived(at.table, &at.key, old, fresh)
    }
}

fn root_of(ops: &Ops, row: &[u8], at: &Root) -> Option<Root> {
    (ops.root)(row).filter(|root| !root.is(at.table, &at.key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::id::SeededIds;
    use kernel::key::KeyBuf;
    use kernel::time::ManualClock;
    use kernel::{Actor, Cause, Part};
    use serde::{Deserialize, Serialize};

    use crate::record::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};
    use crate::{
        NoFaults, Options, Range, Read as _, ReadExt, Store, StoreError, WriteTx, codec, feed,
        schema,
    };

    const TOYS: Table = Table::new(500, "toys");
    const BY_NAME: Index = Index::unique(501, "toys_by_name");

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Toy {
        id: u32,
        name: String,
        box_of: Option<u32>,
    }

    impl Record for Toy {
        type Id = u32;
        const TABLE: Table = TOYS;
        const CLASS: Class = Class::Tracked;
        const INDEXES: &'static [Index] = &[BY_NAME];
        fn id(&self) -> u32 {
            self.id
        }
        fn index(&self, keys: &mut Keys) {
            keys.entry(BY_NAME).text(&self.name);
        }
        fn refs(&self, refs: &mut Refs) {
            refs.to::<Self>(1, self.box_of, OnDelete::Cascade);
        }
        fn sample() -> Self {
            toy(1, "ball", None)
        }
    }

    fn toy(id: u32, name: &str, box_of: Option<u32>) -> Toy {
        Toy { id, name: name.into(), box_of }
    }

    fn open(folder: &tempfile::TempDir, is_mirror: bool) -> Result<Store, StoreError> {
        let schema = schema! { Toy };
        Store::open(Options {
            path: folder.path().join("hq.redb"),
            schema: if is_mirror { schema.mirrored() } else { schema },
            cache: 1 << 20,
            clock: Arc::new(ManualClock::at(kernel::time::from_ms(1_700_000_000_000))),
            ids: Arc::new(SeededIds::new(1)),
            reactor: None,
            faults: Arc::new(NoFaults),
        })
    }

    fn write<T: Send + 'static>(
        store: &Store,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        store.write_blocking(Actor::System(Part::Setup), Cause::Setup, body)
    }

    fn put(tx: &mut WriteTx<'_>, toy: &Toy, rev: u64) -> Result<bool, StoreError> {
        let row = codec::encode_row(Toy::VERSION, rev, toy)?;
        tx.put_mirrored(&Root::of::<Toy>(toy.id), row)
    }

    fn named(store: &Store, name: &str) -> Option<u32> {
        let mut key = KeyBuf::new();
        key.text(name);
        let found = store.read(|snap| snap.find::<Toy>(BY_NAME, &key));
        found.unwrap().map(|toy| toy.id)
    }

    #[test]
    fn rows_come_without_what_they_refer_to_and_leave_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, true).unwrap();
        write(&store, |tx| put(tx, &toy(2, "bear", Some(9)), 40)).unwrap();
        let (row, rev) = store.read(|snap| snap.get_rev::<Toy>(2)).unwrap().unwrap();
        assert_eq!((row.name.as_str(), rev), ("bear", 40));
        let inside = store.read(|snap| snap.referrers::<Toy, Toy>(9, 1, 5)).unwrap();
        assert_eq!(inside, [2]);
        assert!(store.read(|snap| feed::entries(snap, store.schema(), 0, 9)).unwrap().is_empty());
        assert!(write(&store, |tx| tx.drop_mirrored(&Root::of::<Toy>(2))).unwrap());
        assert_eq!(named(&store, "bear"), None);
        assert!(store.read(|snap| snap.list::<Toy>(&Range::all())).unwrap().is_empty());
    }

    #[test]
    fn names_that_are_exchanged_are_found_under_their_new_rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, true).unwrap();
        write(&store, |tx| {
            put(tx, &toy(1, "ball", None), 1)?;
            put(tx, &toy(2, "bear", None), 1)?;
            put(tx, &toy(1, "bear", None), 2)?;
            put(tx, &toy(2, "ball", None), 2)
        })
        .unwrap();
        assert_eq!((named(&store, "bear"), named(&store, "ball")), (Some(1), Some(2)));
    }

    #[test]
    fn what_is_written_here_has_no_rev_and_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, true).unwrap();
        write(&store, |tx| tx.put(&toy(3, "kite", None))).unwrap();
        assert_eq!(store.read(|snap| snap.get_rev::<Toy>(3)).unwrap().unwrap().1, 0);
        assert_eq!(store.head().seq, 0);
        let is_kept = store.read(|snap| Ok::<_, StoreError>(snap.columns().is_some()));
        assert!(!is_kept.unwrap(), "columns follow the feed, which tells of nothing here");
    }

    #[test]
    fn bytes_of_another_row_and_bytes_that_nobody_reads_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, true).unwrap();
        let other = write(&store, |tx| {
            let row = codec::encode_row(Toy::VERSION, 1, &toy(1, "ball", None))?;
            tx.put_mirrored(&Root::of::<Toy>(2), row)
        });
        assert!(matches!(other, Err(StoreError::OtherRow { .. })), "{other:?}");
        let torn = write(&store, |tx| tx.put_mirrored(&Root::of::<Toy>(2), vec![1; 4]));
        assert!(matches!(torn, Err(StoreError::Decode(_))), "{torn:?}");
        let unknown = Root { table: 900, key: vec![1] };
        let unknown = write(&store, move |tx| tx.put_mirrored(&unknown, vec![1; 20]));
        assert!(matches!(unknown, Err(StoreError::UnknownTable(900))), "{unknown:?}");
    }

    #[test]
    fn a_mirror_and_a_store_of_its_own_are_not_mistaken_for_one_another() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(open(&first, true).unwrap());
        drop(open(&second, false).unwrap());
        assert!(matches!(open(&first, false), Err(StoreError::IsMirror)));
        assert!(matches!(open(&second, true), Err(StoreError::NoMirror)));
        let store = open(&second, false).unwrap();
        let put = write(&store, |tx| put(tx, &toy(1, "ball", None), 1));
        assert!(matches!(put, Err(StoreError::NoMirror)), "{put:?}");
    }

    #[test]
    fn the_changes_of_entries_come_without_their_events() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, false).unwrap();
        for n in 1..=5 {
            write(&store, move |tx| tx.put(&toy(n, &format!("toy {n}"), None))).unwrap();
        }
        let found = store.read(|snap| feed::changes(snap, 2, 2)).unwrap();
        let seqs: Vec<u64> = found.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, [3, 4]);
        assert_eq!(found[0].1[0].key, KeyBuf::of(&3_u32).into_bytes());
    }
}
