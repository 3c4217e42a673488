//! What is kept in memory of a workspace's records: as true as a read, without one for each question.

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::{Read as _, Snap, Store, StoreError};

/// With so many entries since the last look it is read anew.
const FAR: usize = 256;

/// One value that is made of some tables, and as of which entry.
#[derive(Default)]
pub struct Kept(Mutex<Option<(u64, Arc<dyn Any + Send + Sync>)>>);

impl Kept {
    /// The value, read again when one of its tables has changed since. Who is answered after a write
    /// finds that write in it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn get<T: Send + Sync + 'static>(
        &self,
        store: &Store,
        tables: &[u16],
        read: impl FnOnce(&Snap<'_>) -> Result<T, StoreError>,
    ) -> Result<Arc<T>, StoreError> {
        let mut kept = self.0.lock();
        let head = store.head().seq;
        if let Some((seq, value)) = &mut *kept
            && let Ok(value) = Arc::clone(value).downcast::<T>()
            && is_same(store, *seq, head, tables)?
        {
            *seq = head;
            return Ok(value);
        }
        let (seq, value) =
            store.read(|snap| Ok::<_, StoreError>((snap.last_seq()?, read(snap)?)))?;
        let value = Arc::new(value);
        *kept = Some((seq, Arc::clone(&value) as Arc<dyn Any + Send + Sync>));
        Ok(value)
    }
}

/// Whether none of the tables was touched between two entries.
fn is_same(store: &Store, from: u64, to: u64, tables: &[u16]) -> Result<bool, StoreError> {
    if to <= from {
        return Ok(from == to);
    }
    let since = store.entries_after(from, FAR + 1)?;
    let touched = |table: u16| tables.contains(&table);
    Ok(since.len() <= FAR && !since.iter().any(|one| one.changes.iter().any(|c| touched(c.table))))
}
