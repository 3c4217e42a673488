//! Whole stores as rows: reading for a backup, and loading into a new file.
//!
//! Reading holds one snapshot from the first row to the last. Whoever takes the rows must not wait for anything slow,
//! because the file grows meanwhile. Loading creates a file with a new incarnation, which invalidates all cursors
//! except those of consumers whose effects are in the same file.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;

use super::batch::{Batch, Snap, create_tables};
use super::codec;
use super::consumer::State;
use super::disk::{Disk, NoFaults, sync_folder};
use super::error::{StoreError, failed};
use super::feed::{self, Cursor};
use super::read::Read;
use super::schema::{Schema, builtin};
use super::{FORMAT, Store, WriteTx};
use crate::range::Range;

/// Bytes of rows per commit while loading.
const PIECE: usize = 16 * 1024 * 1024;

/// Key and value.
type Row = (Vec<u8>, Vec<u8>);

/// An item of a dump, in order.
pub enum Item<'a> {
    /// Start of a table.
    Table(u16),
    /// Key and value of a row of the current table, ordered by key.
    Row(&'a [u8], &'a [u8]),
}

/// The state of the store that was dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// Incarnation and number of the last entry.
    pub end: Cursor,
    /// Format of the file.
    pub format: u32,
}

impl Store {
    /// Visits every row of every table as of one commit, ordered by table and key.
    ///
    /// # Errors
    /// The error of the visitor, or an error of the store.
    pub fn dump<E: From<StoreError>>(
        &self,
        mut visit: impl FnMut(Item<'_>) -> Result<(), E>,
    ) -> Result<Dumped, E> {
        self.read(|snap: &Snap<'_>| {
            let end = Cursor { incarnation: incarnation(snap)?, seq: feed::last(snap)?.seq };
            for info in self.schema().tables() {
                visit(Item::Table(info.number))?;
                let mut result = Ok(());
                snap.raw_scan(info.number, &Range::all(), &mut |key, value| {
                    result = visit(Item::Row(key, value));
                    if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                result?;
            }
            Ok(Dumped { end, format: FORMAT })
        })
    }
}

impl Store {
    /// Verifies numbers and hashes of the whole chain; returns the number of entries.
    ///
    /// # Errors
    /// `Failed` with the first entry that does not match.
    pub fn follow_chain(&self) -> Result<u64, StoreError> {
        self.read(|snap| {
            let (mut seq, mut before, mut fault) = (0, [0; 32], None);
            snap.raw_scan(builtin::FEED, &Range::all(), &mut |key, value| {
                let Some((number, 0)) = feed::split(key) else { return ControlFlow::Continue(()) };
                let fits = feed::sum_of_head(value)
                    .is_some_and(|(previous, fits)| fits && previous == before);
                if number != seq + 1 || !fits {
                    fault = Some(number);
                    return ControlFlow::Break(());
                }
                seq = number;
                before = *value.last_chunk::<32>().unwrap_or(&[0; 32]);
                ControlFlow::Continue(())
            })?;
            match fault {
                None => Ok(seq),
                Some(number) => Err(StoreError::Failed(format!(
                    "entry {number} of the feed does not follow from the one before"
                ))),
            }
        })
    }
}

fn incarnation(read: &dyn Read) -> Result<u64, StoreError> {
    match read.raw_get(builtin::META, b"incarnation")? {
        Some(row) => Ok(codec::decode(&row)?),
        None => Ok(0),
    }
}

impl WriteTx<'_> {
    /// Puts a row from its stored bytes, for imports. Maintains derived rows and the feed like a rule's `put`.
    pub fn import_row(&mut self, table: u16, row: &[u8]) -> Result<(), StoreError> {
        let put = self.info(table)?.ops()?.put;
        put(self, row)
    }
}

/// Creates a store file from rows.
pub struct Loader {
    db: Database,
    path: PathBuf,
    schema: Schema,
    pending: Vec<(u16, Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Loader {
    /// Creates the file.
    ///
    /// # Errors
    /// When the file already exists.
    pub fn create(path: &Path, schema: Schema) -> Result<Self, StoreError> {
        if path.try_exists().map_err(failed)? {
            let words = format!("{} already exists and isn't overwritten", path.display());
            return Err(StoreError::Failed(words));
        }
        let disk = Disk::open(path, Arc::new(NoFaults), Arc::default()).map_err(failed)?;
        let db =
            Database::builder().set_cache_size(PIECE).create_with_backend(disk).map_err(failed)?;
        let txn = db.begin_write().map_err(failed)?;
        create_tables(&txn, &schema)?;
        txn.commit().map_err(failed)?;
        Ok(Self { db, path: path.to_owned(), schema, pending: Vec::new(), bytes: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When this program has no such table.
    pub fn row(&mut self, table: u16, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.schema.slot(table)?;
        self.bytes += key.len() + value.len();
        self.pending.push((table, key.to_vec(), value.to_vec()));
        if PIECE <= self.bytes { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let txn = self.db.begin_write().map_err(failed)?;
        let mut batch = Batch::new(&txn, &self.schema);
        for (table, key, value) in self.pending.drain(..) {
            batch.set(table, &key, Some(&value))?;
        }
        drop(batch);
        self.bytes = 0;
        txn.commit().map_err(failed)
    }

    /// Completes the file with a new incarnation, which it returns; cursors of the file's own consumers stay valid.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        self.flush()?;
        let fresh = new_life(&self.db, &self.schema, u64::MAX)?;
        drop(self.db);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        sync_folder(self.path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
        Ok(fresh)
    }
}

/// Gives a store a new incarnation, which invalidates cursors. Cursors of its own consumers stay valid if they are not
/// after the entry `end`.
pub(super) fn new_life(db: &Database, schema: &Schema, end: u64) -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(failed)?;
    let fresh = u64::from_be_bytes(bytes);
    let txn = db.begin_write().map_err(failed)?;
    let mut batch = Batch::new(&txn, schema);
    let former = incarnation(&batch)?;
    for (key, row) in consumers(&batch)? {
        let mut state: State = codec::decode(&row)?;
        if state.incarnation == former && state.cursor <= end {
            state.incarnation = fresh;
            batch.set(builtin::CONSUMERS, &key, Some(&codec::encode(&state)?))?;
        }
    }
    batch.set(builtin::META, b"incarnation", Some(&codec::encode(&fresh)?))?;
    drop(batch);
    txn.commit().map_err(failed)?;
    Ok(fresh)
}

/// The rows with consumer states; dead letters have longer keys.
fn consumers(read: &dyn Read) -> Result<Vec<Row>, StoreError> {
    let mut found = Vec::new();
    read.raw_scan(builtin::CONSUMERS, &Range::all(), &mut |key, row| {
        if key.len() == 2 {
            found.push((key.to_vec(), row.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
