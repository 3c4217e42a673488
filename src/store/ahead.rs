//! Prepares a write outside of the writer while others write.
//!
//! The preparation runs on a snapshot that records every row and range read from it. From before that snapshot until
//! the write runs, the writer records the rows that it writes. The write then checks whether one of them was read. If
//! not, the prepared result is still exact. The check costs time only for rows written meanwhile.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use kernel::{Actor, Cause, Part};

use super::Store;
use super::batch::Snap;
use super::error::StoreError;
use super::read::{Read, Visit};
use super::tx::WriteTx;
use crate::range::Range;

/// Maximum number of recorded rows. A preparation that takes longer than that must start over.
const MAX_TRAIL: usize = 200_000;

/// Rows written since the preparation began.
#[derive(Default)]
pub(super) struct Trail(Mutex<Laid>);

#[derive(Default)]
struct Laid {
    rows: Vec<(u16, Vec<u8>)>,
    /// More rows were written than the trail holds.
    over: bool,
}

/// The trails of all running preparations.
#[derive(Default)]
pub(super) struct Trails {
    any: AtomicBool,
    all: Mutex<Vec<Weak<Trail>>>,
}

impl Trails {
    /// Starts a trail. Only the writer may call this, because it writes no row meanwhile.
    fn begin(&self) -> Arc<Trail> {
        let trail = Arc::<Trail>::default();
        self.all.lock().push(Arc::downgrade(&trail));
        self.any.store(true, Ordering::Relaxed);
        trail
    }

    /// Records a row that the writer writes.
    pub(super) fn note(&self, table: u16, key: &[u8]) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut all = self.all.lock();
        all.retain(|trail| {
            let Some(trail) = trail.upgrade() else { return false };
            let mut laid = trail.0.lock();
            if laid.rows.len() < MAX_TRAIL {
                laid.rows.push((table, key.to_vec()));
            } else {
                laid.over = true;
            }
            true
        });
        self.any.store(!all.is_empty(), Ordering::Relaxed);
    }

    fn has(&self, trail: &Arc<Trail>) -> bool {
        self.all.lock().iter().any(|one| std::ptr::eq(one.as_ptr(), Arc::as_ptr(trail)))
    }
}

/// Keys from the first, inclusive, to the second, exclusive; `None` for the end.
type Span = (Vec<u8>, Option<Vec<u8>>);

/// The rows and ranges that were read.
#[derive(Default)]
struct Seen {
    rows: HashSet<(u16, Vec<u8>)>,
    spans: HashMap<u16, Vec<Span>>,
}

impl Seen {
    /// Sorts the ranges and merges overlapping ones.
    fn sort(&mut self) {
        for spans in self.spans.values_mut() {
            spans.sort();
            let mut whole: Vec<Span> = Vec::with_capacity(spans.len());
            for (lo, hi) in spans.drain(..) {
                match whole.last_mut() {
                    Some((_, end)) if end.as_ref().is_none_or(|end| lo <= *end) => {
                        let further = match (&*end, &hi) {
                            (None, _) => false,
                            (_, None) => true,
                            (Some(end), Some(hi)) => end < hi,
                        };
                        if further {
                            *end = hi;
                        }
                    }
                    _ => whole.push((lo, hi)),
                }
            }
            *spans = whole;
        }
    }

    fn has(&self, row: &(u16, Vec<u8>)) -> bool {
        if self.rows.contains(row) {
            return true;
        }
        let Some(spans) = self.spans.get(&row.0) else { return false };
        let behind = spans.partition_point(|(lo, _)| *lo <= row.1);
        let before = behind.checked_sub(1).map(|n| &spans[n]);
        before.is_some_and(|(_, hi)| hi.as_ref().is_none_or(|hi| row.1 < *hi))
    }
}

/// A snapshot that records what is read from it.
pub struct Noting<'s> {
    snap: &'s Snap<'s>,
    seen: RefCell<Seen>,
}

impl Read for Noting<'_> {
    fn raw_get(&self, table: u16, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.seen.borrow_mut().rows.insert((table, key.to_vec()));
        self.snap.raw_get(table, key)
    }

    fn raw_scan(&self, table: u16, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // The visitor did not see rows after the one at which it stopped.
        let mut stopped = None;
        self.snap.raw_scan(table, range, &mut |key, value| {
            let flow = visit(key, value);
            if flow.is_break() {
                stopped = Some(key.to_vec());
            }
            flow
        })?;
        let span = match stopped {
            Some(key) if range.reverse => (key, range.hi.clone()),
            Some(key) => (range.lo.clone(), Some([&key[..], &[0]].concat())),
            None => (range.lo.clone(), range.hi.clone()),
        };
        self.seen.borrow_mut().spans.entry(table).or_default().push(span);
        Ok(())
    }

    /// Every write changes this number, so no preparation can depend on it.
    fn last_seq(&self) -> Result<u64, StoreError> {
        self.snap.last_seq()
    }
}

/// A prepared result with everything that it depends on.
pub struct Ahead<T> {
    value: T,
    seen: Seen,
    trail: Arc<Trail>,
}

impl<T> Ahead<T> {
    /// The prepared result. It may be out of date.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Whether no row was written since that was read.
    fn holds(&self, trails: &Trails) -> bool {
        let laid = self.trail.0.lock();
        trails.has(&self.trail) && !laid.over && !laid.rows.iter().any(|row| self.seen.has(row))
    }
}

impl Store {
    /// Prepares a result on a snapshot for a later write. Blocking; does not delay writers. The result may depend only
    /// on what the body reads from its argument.
    pub fn ahead<T, E: From<StoreError> + Send + 'static>(
        &self,
        body: impl FnOnce(&Noting<'_>) -> Result<T, E>,
    ) -> Result<Ahead<T>, E> {
        // An empty write: when it returns, all earlier writes are on disk and in the snapshot.
        let begin = |tx: &mut WriteTx<'_>| Ok::<_, E>(tx.trails().begin());
        let trail = self.write_blocking(Actor::System(Part::Engine), Cause::Timer, begin)?;
        self.read(|snap| {
            let noting = Noting { snap, seen: RefCell::default() };
            let value = body(&noting)?;
            let mut seen = noting.seen.into_inner();
            seen.sort();
            Ok(Ahead { value, seen, trail })
        })
    }
}

impl WriteTx<'_> {
    /// The prepared result if it is still exact; `None` if a row that it depends on was written. Call this before this
    /// transaction writes.
    #[must_use]
    pub fn still<T>(&self, ahead: Ahead<T>) -> Option<T> {
        ahead.holds(self.trails()).then_some(ahead.value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, MAX_TRAIL, Seen, Trails};

    fn span(lo: &str, hi: Option<&str>) -> super::Span {
        (lo.as_bytes().to_vec(), hi.map(|hi| hi.as_bytes().to_vec()))
    }

    #[test]
    fn stretches_that_overlap_are_one_and_each_end_counts() {
        let mut seen = Seen::default();
        let spans = [
            span("m", Some("p")),
            span("b", Some("d")),
            span("c", Some("f")),
            span("b", Some("c")),
            span("t", Some("v")),
            span("u", None),
        ];
        seen.spans.insert(7, spans.to_vec());
        seen.rows.insert((7, b"k".to_vec()));
        seen.sort();
        assert_eq!(seen.spans[&7], [span("b", Some("f")), span("m", Some("p")), span("t", None)]);
        let has = |key: &str| seen.has(&(7, key.as_bytes().to_vec()));
        let inside = ["b", "e", "ezz", "k", "m", "ozz", "t", "z"];
        let outside = ["", "a", "f", "g", "ka", "p", "s"];
        assert!(inside.iter().all(|key| has(key)), "{inside:?}");
        assert!(!outside.iter().any(|key| has(key)), "{outside:?}");
        assert!(!seen.has(&(8, b"k".to_vec())), "another table");
    }

    #[test]
    fn a_trail_ends_where_it_becomes_too_long_and_is_forgotten_with_who_needed_it() {
        let trails = Trails::default();
        trails.note(7, b"before");
        let mut seen = Seen::default();
        seen.rows.insert((7, b"before".to_vec()));
        let ahead = Ahead { value: (), seen, trail: trails.begin() };
        (0..MAX_TRAIL).for_each(|n| trails.note(8, &n.to_be_bytes()));
        assert!(ahead.holds(&trails));
        trails.note(8, b"one more");
        assert!(!ahead.holds(&trails), "it cannot be told any more");
        assert!(!ahead.holds(&Trails::default()), "a trail of another store");
        drop(ahead);
        trails.note(8, b"nobody asks");
        assert!(trails.all.lock().is_empty());
    }
}
