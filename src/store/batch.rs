//! redb's tables as bytes: snapshots for readers, and the open batch of the writer.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::ops::{Bound, ControlFlow};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, Table, TableDefinition, TableHandle, WriteTransaction,
};

use super::ahead::Trails;
use super::columns::Columns;
use super::error::{StoreError, failed};
use super::open::Shared;
use super::read::{Read, Visit};
use super::schema::Schema;
use crate::range::Range;

type Bytes = &'static [u8];

fn definition(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

fn get<T: ReadableTable<Bytes, Bytes>>(
    table: &T,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(table.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
}

fn visit_all<T: ReadableTable<Bytes, Bytes>>(
    table: &T,
    range: &Range,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let lo = Bound::Included(range.lo.as_slice());
    let hi = range.hi.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    if range.hi.as_deref().is_some_and(|hi| hi <= range.lo.as_slice()) {
        return Ok(());
    }
    let mut rows = table.range::<&[u8]>((lo, hi)).map_err(failed)?;
    loop {
        let row = if range.reverse { rows.next_back() } else { rows.next() };
        let Some(row) = row else { return Ok(()) };
        let (key, value) = row.map_err(failed)?;
        if visit(key.value(), value.value()) == ControlFlow::Break(()) {
            return Ok(());
        }
    }
}

/// Records a disk failure even if the caller swallows the error: redb then refuses every call until the file is
/// reopened.
#[derive(Default)]
struct Health(Cell<bool>);

impl Health {
    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::Failed(_))) {
            self.0.set(true);
        }
        result
    }
}

/// Size of a table: rows and bytes.
pub(super) struct Figures {
    pub rows: u64,
    pub stored: u64,
    pub overhead: u64,
    pub fragmented: u64,
}

/// A consistent view of everything as of one commit. It does not outlive the closure that it was made for.
pub struct Snap<'s> {
    txn: ReadTransaction,
    schema: &'s Schema,
    open: Box<[OnceCell<ReadOnlyTable<Bytes, Bytes>>]>,
    health: Health,
    /// The open store that this is a snapshot of.
    store: Option<&'s Shared>,
}

impl<'s> Snap<'s> {
    pub(super) fn new(db: &Database, schema: &'s Schema) -> Result<Self, StoreError> {
        let txn = db.begin_read().map_err(failed)?;
        let open = (0..schema.tables().len()).map(|_| OnceCell::new()).collect();
        Ok(Self { txn, schema, open, health: Health::default(), store: None })
    }

    /// Takes a snapshot of an open store.
    pub(super) fn of(db: &Database, store: &'s Shared) -> Result<Self, StoreError> {
        Ok(Self { store: Some(store), ..Self::new(db, &store.schema)? })
    }

    fn table(&self, number: u16) -> Result<&ReadOnlyTable<Bytes, Bytes>, StoreError> {
        let slot = self.schema.slot(number)?;
        if let Some(table) = self.open[slot].get() {
            return Ok(table);
        }
        let name = &self.schema.tables()[slot].redb_name;
        let table = self.txn.open_table(definition(name)).map_err(failed)?;
        Ok(self.open[slot].get_or_init(|| table))
    }

    /// Measures a table by reading all of it.
    pub(super) fn table_stats(&self, number: u16) -> Result<Figures, StoreError> {
        let table = self.table(number)?;
        let stats = table.stats().map_err(failed)?;
        Ok(Figures {
            rows: table.len().map_err(failed)?,
            stored: stats.stored_bytes(),
            overhead: stats.metadata_bytes(),
            fragmented: stats.fragmented_bytes(),
        })
    }

    /// Whether the disk failed under this snapshot.
    pub(super) fn broken(&self) -> bool {
        self.health.0.get()
    }

    /// The names of the tables read so far, which a live region must subscribe to.
    #[must_use]
    pub fn tables_read(&self) -> Vec<&'static str> {
        let tables = self.schema.tables().iter().zip(&self.open);
        tables.filter(|(_, open)| open.get().is_some()).map(|(info, _)| info.name).collect()
    }
}

impl Read for Snap<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.health.note(self.table(table).and_then(|table| get(table, key)))
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.health.note(self.table(table).and_then(|table| visit_all(table, range, visit)))
    }

    fn columns(&self) -> Option<Columns<'_>> {
        // The feed of a mirror records no changes.
        let Shared { columns: kept, recent, .. } =
            self.store.filter(|_| !self.schema.is_mirror())?;
        Some(Columns { kept, recent, schema: self.schema, snap: self })
    }
}

/// The tables of the writer's open transaction, opened at first use.
pub(super) struct Batch<'t> {
    txn: &'t WriteTransaction,
    schema: &'t Schema,
    open: Box<[OnceCell<Table<'t, Bytes, Bytes>>]>,
    health: Health,
    /// Where written rows are recorded.
    trails: Option<&'t Trails>,
}

impl<'t> Batch<'t> {
    pub(super) fn new(txn: &'t WriteTransaction, schema: &'t Schema) -> Self {
        let open = (0..schema.tables().len()).map(|_| OnceCell::new()).collect();
        Self { txn, schema, open, health: Health::default(), trails: None }
    }

    /// Records written rows.
    pub(super) fn noting(self, trails: &'t Trails) -> Self {
        Self { trails: Some(trails), ..self }
    }

    fn table(&self, number: u16) -> Result<&Table<'t, Bytes, Bytes>, StoreError> {
        let slot = self.schema.slot(number)?;
        if let Some(table) = self.open[slot].get() {
            return Ok(table);
        }
        let name = &self.schema.tables()[slot].redb_name;
        let table = self.txn.open_table(definition(name)).map_err(failed)?;
        Ok(self.open[slot].get_or_init(|| table))
    }

    /// Whether the disk failed; nothing of this batch may then be committed.
    pub(super) fn broken(&self) -> bool {
        self.health.0.get()
    }

    pub(super) fn set(
        &mut self,
        number: u16,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        self.health.note(self.table(number).map(|_| ()))?;
        if let Some(trails) = self.trails {
            trails.note(number, key);
        }
        let slot = self.schema.slot(number)?;
        let Some(table) = self.open[slot].get_mut() else {
            return Err(StoreError::UnknownTable(number));
        };
        let done = match value {
            Some(value) => table.insert(key, value).map(|_| ()).map_err(failed),
            None => table.remove(key).map(|_| ()).map_err(failed),
        };
        self.health.note(done)
    }
}

impl Read for Batch<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.health.note(self.table(table).and_then(|table| get(table, key)))
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.health.note(self.table(table).and_then(|table| visit_all(table, range, visit)))
    }
}

/// Whether the file has every table of the schema.
pub(super) fn has_all_tables(db: &Database, schema: &Schema) -> Result<bool, StoreError> {
    let txn = db.begin_read().map_err(failed)?;
    let there: HashSet<String> =
        txn.list_tables().map_err(failed)?.map(|table| table.name().to_owned()).collect();
    Ok(schema.tables().iter().all(|info| there.contains(&info.redb_name)))
}

/// Whether the file has this table.
pub(super) fn has_table(
    txn: &WriteTransaction,
    schema: &Schema,
    number: u16,
) -> Result<bool, StoreError> {
    let name = &schema.tables()[schema.slot(number)?].redb_name;
    Ok(txn.list_tables().map_err(failed)?.any(|table| table.name() == name))
}

/// Creates missing tables, because reading a missing table is an error.
pub(super) fn create_tables(txn: &WriteTransaction, schema: &Schema) -> Result<(), StoreError> {
    for info in schema.tables() {
        txn.open_table(definition(&info.redb_name)).map_err(failed)?;
    }
    Ok(())
}
