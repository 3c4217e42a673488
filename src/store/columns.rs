//! Columns: an in-memory cache of the few values per record that lists filter, sort and count by.
//!
//! Built by one scan at first use, then updated to each reader's snapshot by the changes in the feed; dropped when
//! unused. Columns are never authoritative: a list decodes the rows it shows from its own snapshot.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::codec::DecodeError;
use super::error::StoreError;
use super::feed::{self, Entry};
use super::open::Recent;
use super::range::Range;
use super::read::{Read, ReadExt};
use super::record::Record;
use super::schema::Schema;
use kernel::key;

/// With this many entries to catch up on, a scan is cheaper.
const FAR: usize = 4096;

/// The compact form of a record.
pub trait Column: Send + Sync + Sized + 'static {
    /// The record type.
    type Of: Record<Id: Ord>;
    /// Storage shared by all rows, such as variable-length bytes, so that scans read memory sequentially.
    type Shared: Default + Send + Sync;
    /// The values of a record.
    fn of(record: &Self::Of, shared: &mut Self::Shared) -> Self;
    /// The values of a stored row. Override this to decode only some fields.
    fn read(row: &[u8], shared: &mut Self::Shared) -> Result<Self, DecodeError> {
        let (record, _) = super::record::read::<Self::Of>(row)?;
        Ok(Self::of(&record, shared))
    }
    /// Id of the record.
    fn id(&self) -> <Self::Of as Record>::Id;
    /// The row is removed or replaced: its part of the shared storage becomes garbage.
    fn on_removed(&self, _shared: &mut Self::Shared) {}
    /// Collects garbage in the shared storage if that pays off. Called after changes.
    fn tidy(_rows: &mut [Self], _shared: &mut Self::Shared) {}
}

/// The columns of one store.
#[derive(Default)]
pub(super) struct Kept {
    tables: Mutex<HashMap<TypeId, Arc<dyn Table>>>,
}

impl Kept {
    fn table<C: Column>(&self) -> Arc<Held<C>> {
        let mut tables = self.tables.lock();
        let found = tables.entry(TypeId::of::<C>()).or_insert_with(|| Arc::new(Held::<C>::new()));
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(found).into_any();
        // The map is keyed by the type itself, so the downcast succeeds.
        any.downcast().unwrap_or_else(|_| Arc::new(Held::new()))
    }

    /// Drops columns that were unused for `idle`.
    pub(super) fn drop_idle(&self, idle: Duration) {
        self.tables.lock().retain(|_, table| table.used().elapsed() < idle);
    }
}

trait Table: Send + Sync {
    fn used(&self) -> Instant;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

struct Held<C: Column> {
    used: Mutex<Instant>,
    rows: RwLock<Rows<C>>,
}

/// Rows in the order of their ids, as of an entry; `None` before the first scan.
struct Rows<C: Column> {
    seq: Option<u64>,
    rows: Vec<C>,
    shared: C::Shared,
}

impl<C: Column> Held<C> {
    fn new() -> Self {
        let rows = Rows { seq: None, rows: Vec::new(), shared: C::Shared::default() };
        let rows = RwLock::new(rows);
        Self { used: Mutex::new(Instant::now()), rows }
    }
}

impl<C: Column> Table for Held<C> {
    fn used(&self) -> Instant {
        *self.used.lock()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The columns as of a snapshot.
pub struct Columns<'s> {
    pub(super) kept: &'s Kept,
    pub(super) recent: &'s Mutex<Recent>,
    pub(super) schema: &'s Schema,
    pub(super) snap: &'s dyn Read,
}

impl Columns<'_> {
    /// Calls the body with all rows, ordered by id, as of the snapshot, or as of a slightly later commit if another
    /// reader was faster. The body must not read columns itself.
    pub fn with<C: Column, T>(
        &self,
        body: impl FnOnce(&[C], &C::Shared) -> T,
    ) -> Result<T, StoreError> {
        let held = self.kept.table::<C>();
        *held.used.lock() = Instant::now();
        let seq = self.snap.last_seq()?;
        {
            let rows = held.rows.read();
            if rows.seq.is_some_and(|known| seq <= known) {
                return Ok(body(&rows.rows, &rows.shared));
            }
        }
        let mut rows = held.rows.write();
        self.bring_up(&mut rows, seq)?;
        let rows = RwLockWriteGuard::downgrade(rows);
        Ok(body(&rows.rows, &rows.shared))
    }

    fn bring_up<C: Column>(&self, rows: &mut Rows<C>, seq: u64) -> Result<(), StoreError> {
        let Some(known) = rows.seq else { return self.scan(rows, seq) };
        if seq <= known {
            return Ok(());
        }
        let Some(ids) = self.changed::<C>(known, seq)? else { return self.scan(rows, seq) };
        // After a failure halfway, the next reader rescans the table.
        rows.seq = None;
        let Rows { rows: all, shared, .. } = rows;
        for id in ids {
            let now = self.snap.get::<C::Of>(id.clone())?;
            let place = all.binary_search_by(|row| row.id().cmp(&id));
            if let Ok(at) = place {
                all[at].on_removed(shared);
            }
            let now = now.map(|record| C::of(&record, shared));
            match (place, now) {
                (Ok(at), Some(now)) => all[at] = now,
                (Ok(at), None) => drop(all.remove(at)),
                (Err(at), Some(now)) => all.insert(at, now),
                (Err(_), None) => {}
            }
        }
        C::tidy(all, shared);
        rows.seq = Some(seq);
        Ok(())
    }

    /// The ids of rows changed by entries after `known` up to `seq`; `None` if there are too many entries.
    fn changed<C: Column>(
        &self,
        known: u64,
        seq: u64,
    ) -> Result<Option<BTreeSet<<C::Of as Record>::Id>>, StoreError> {
        let recent = self.recent.lock().after(known, FAR + 1);
        // A snapshot shows a commit slightly before its entry is among the recent ones.
        let reaches = |entries: &Vec<Arc<Entry>>| {
            FAR < entries.len() || entries.last().is_some_and(|entry| seq <= entry.seq)
        };
        let recent = recent.filter(reaches);
        let entries: Vec<Arc<Entry>> = match recent {
            Some(entries) => entries,
            None => {
                let entries = feed::entries(self.snap, self.schema, known, FAR + 1)?;
                entries.into_iter().map(Arc::new).collect()
            }
        };
        if FAR < entries.len() {
            return Ok(None);
        }
        let entries = entries.iter().filter(|entry| entry.seq <= seq);
        let changes = entries.flat_map(|entry| &entry.changes);
        let own = changes.filter(|change| change.table == C::Of::TABLE.number);
        Ok(Some(own.filter_map(|change| key::decode(&change.key)).collect()))
    }

    fn scan<C: Column>(&self, rows: &mut Rows<C>, seq: u64) -> Result<(), StoreError> {
        rows.seq = None;
        (rows.rows, rows.shared) = all::<C>(self.snap)?;
        rows.seq = Some(seq);
        Ok(())
    }
}

/// Reads all rows of a table one by one: to fill the columns, or to replace them inside a write.
pub fn all<C: Column>(read: &dyn Read) -> Result<(Vec<C>, C::Shared), StoreError> {
    let (mut rows, mut shared, mut bad) = (Vec::new(), C::Shared::default(), None);
    read.raw_scan(C::Of::TABLE.number, &Range::all(), &mut |_, value| {
        match C::read(value, &mut shared) {
            Ok(row) => rows.push(row),
            Err(error) => bad = Some(error),
        }
        super::read::stop_at(bad.is_some())
    })?;
    match bad {
        Some(error) => Err(error.into()),
        None => {
            rows.shrink_to_fit();
            C::tidy(&mut rows, &mut shared);
            Ok((rows, shared))
        }
    }
}

/// Calls the body with all rows of a table: from the cached columns on a snapshot, read one by one inside a write.
pub fn with<C: Column, T>(read: &dyn Read, body: impl FnOnce(&[C]) -> T) -> Result<T, StoreError> {
    with_shared(read, |rows, _| body(rows))
}

/// Like [`with`]; the body also gets the shared storage.
pub fn with_shared<C: Column, T>(
    read: &dyn Read,
    body: impl FnOnce(&[C], &C::Shared) -> T,
) -> Result<T, StoreError> {
    match read.columns() {
        Some(columns) => columns.with(body),
        None => {
            let (rows, shared) = all(read)?;
            Ok(body(&rows, &shared))
        }
    }
}
