//! What is kept in memory of a workspace's records: as true as a read, without one for each question.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use store::{Read as _, Snap, Store, StoreError};

/// With so many entries since the last look it is read anew.
const FAR: usize = 256;
/// For how many questions numbers are kept.
const QUESTIONS: usize = 64;
/// For so long they hold while none of their tables changes: some of them depend on what time it is.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// One value that is made of some tables, and as of which entry.
#[derive(Default)]
pub struct Cache(Mutex<Option<(u64, Arc<dyn Any + Send + Sync>)>>);

impl Cache {
    /// The value, read again when one of its tables has changed since. Who is answered after a write
    /// finds that write in it.
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

/// The numbers that answer a question about some tables, for the questions that were asked last.
#[derive(Default)]
pub struct Numbers(Mutex<VecDeque<Answered>>);

/// An answer, as of which entry and of when.
struct Answered {
    question: String,
    seq: u64,
    at: Timestamp,
    numbers: Arc<[usize]>,
}

impl Numbers {
    /// The numbers as of a snapshot's last entry, counted in it again when one of their tables has changed since
    /// they were, or a while has passed.
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

    /// As of which entry a question was answered last, and what the answer was.
    fn known(&self, question: &str, now: Timestamp) -> Option<(u64, Arc<[usize]>)> {
        let kept = self.0.lock();
        let known = kept.iter().find(|one| one.question == question)?;
        // A clock that was set back makes nothing hold for longer.
        let age = now.duration_since(known.at);
        let holds = !age.is_negative() && age < FRESH;
        holds.then(|| (known.seq, Arc::clone(&known.numbers)))
    }
}

/// Whether none of the tables was touched between two entries.
fn is_same(store: &Store, from: u64, to: u64, tables: &[u16]) -> Result<bool, StoreError> {
    if to <= from {
        return Ok(from == to);
    }
    let since = store.entries_after(from, FAR + 1)?;
    let touched = |table: u16| tables.contains(&table);
    // A snapshot shows a commit a moment before its entry is among the recent ones.
    let reaches = since.last().is_some_and(|last| to <= last.seq) && since.len() <= FAR;
    Ok(reaches && !since.iter().any(|one| one.changes.iter().any(|c| touched(c.table))))
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
