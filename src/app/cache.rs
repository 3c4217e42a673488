//! In-memory caches of values derived from a workspace's records. A value is always as current as a read.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use store::{Read as _, Snap, Store, StoreError};

/// Number of entries since the last check above which the value is read again.
const FAR: usize = 256;
/// Maximum number of cached queries.
const QUESTIONS: usize = 64;
/// Maximum age of cached counts: some of them depend on the current time.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// One cached value derived from some tables, with its feed sequence number.
#[derive(Default)]
pub struct Cache(Mutex<Option<(u64, Arc<dyn Any + Send + Sync>)>>);

impl Cache {
    /// Returns the value, and reads it again if one of its tables has changed. A caller sees its own earlier writes.
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

/// Cached counts of the most recent queries.
#[derive(Default)]
pub struct Numbers(Mutex<VecDeque<Answered>>);

/// Cached counts, with the feed sequence number and the time of the count.
struct Answered {
    question: String,
    seq: u64,
    at: Timestamp,
    numbers: Arc<[usize]>,
}

impl Numbers {
    /// Counts as of the sequence number of a snapshot. Runs `count` if one of the tables has changed or the cached
    /// counts are too old.
    pub fn get<E: From<StoreError>>(
        &self,
        (store, seq, now): (&Store, u64, Timestamp),
        (question, tables): (&str, &[u16]),
        count: impl FnOnce() -> Result<Vec<usize>, E>,
    ) -> Result<Arc<[usize]>, E> {
        if let Some((known, numbers)) = self.known(question, now)
            && is_same(store, known, seq, tables)?
        {
            return Ok(numbers);
        }
        let numbers: Arc<[usize]> = count()?.into();
        let question = question.to_owned();
        let mut kept = self.0.lock();
        let answered = Answered { question, seq, at: now, numbers: Arc::clone(&numbers) };
        let question = &answered.question;
        kept.retain(|one| one.question != *question);
        kept.truncate(QUESTIONS - 1);
        kept.push_front(answered);
        Ok(numbers)
    }

    /// Cached counts of a query and their sequence number.
    fn known(&self, question: &str, now: Timestamp) -> Option<(u64, Arc<[usize]>)> {
        let kept = self.0.lock();
        let known = kept.iter().find(|one| one.question == question)?;
        // A clock that was set back does not extend the age limit.
        let age = now.duration_since(known.at);
        let holds = !age.is_negative() && age < FRESH;
        holds.then(|| (known.seq, Arc::clone(&known.numbers)))
    }
}

/// Whether no entry in between changed one of the tables.
fn is_same(store: &Store, from: u64, to: u64, tables: &[u16]) -> Result<bool, StoreError> {
    if to <= from {
        return Ok(from == to);
    }
    let since = store.entries_after(from, FAR + 1)?;
    let touched = |table: u16| tables.contains(&table);
    // A snapshot shows a commit shortly before its entry is among the recent ones.
    let reaches = since.last().is_some_and(|last| to <= last.seq) && since.len() <= FAR;
    Ok(reaches && !since.iter().any(|one| one.changes.iter().any(|c| touched(c.table))))
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
