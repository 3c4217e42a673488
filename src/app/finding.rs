//! The search index of a workspace: its feed position, rebuilds, and callers that wait for it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use search::Search;
use store::Cursor;

/// Search index with its indexing state.
pub struct Finding {
    pub index: Search,
    /// Feed position up to which the index is complete.
    seen: watch::Sender<Option<Cursor>>,
    /// Counts queries. A query makes the indexer commit without waiting for more entries.
    queries: watch::Sender<u64>,
    asked_at: Mutex<Option<Instant>>,
    /// Whether the indexer must read its state again, for example because an operator changed it.
    is_stale: AtomicBool,
    /// Whether a rebuild was requested because the index is damaged.
    anew: AtomicBool,
    /// Number of records in an index that is being rebuilt.
    building: Mutex<Option<u64>>,
    error: Mutex<Option<String>>,
}

impl Finding {
    /// Uses the index in this folder. Opens nothing.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self {
            index: Search::at(folder),
            seen: watch::Sender::new(None),
            queries: watch::Sender::new(0),
            asked_at: Mutex::default(),
            is_stale: AtomicBool::new(true),
            anew: AtomicBool::new(false),
            building: Mutex::default(),
            error: Mutex::default(),
        }
    }

    /// Announces a query, so that pending changes are indexed now.
    pub fn ask(&self) {
        *self.asked_at.lock() = Some(Instant::now());
        self.queries.send_modify(|count| *count += 1);
    }

    /// Notifies about queries.
    #[must_use]
    pub fn questions(&self) -> watch::Receiver<u64> {
        self.queries.subscribe()
    }

    /// Time since the last query; `None` if there was none.
    #[must_use]
    pub fn quiet(&self) -> Option<Duration> {
        self.asked_at.lock().map(|at| at.elapsed())
    }

    /// Known feed position up to which the index is complete.
    #[must_use]
    pub fn seen(&self) -> Option<Cursor> {
        *self.seen.borrow()
    }

    /// Sets the feed position up to which the index is complete.
    pub fn saw(&self, place: Cursor) {
        self.seen.send_replace(Some(place));
    }

    /// Forgets the position; it must be read from the index again.
    pub fn forget(&self) {
        self.seen.send_replace(None);
    }

    /// Waits at most `patience` until the index is complete up to `place`. Returns whether it is.
    pub async fn until(&self, place: Cursor, patience: Duration) -> bool {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|seen| {
            seen.is_some_and(|seen| seen.incarnation == place.incarnation && place.seq <= seen.seq)
        });
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Requests a rebuild of a damaged index. Without a running indexer, the old index is deleted, so that the next
    /// indexer rebuilds it.
    pub fn begin_anew(&self) {
        if self.queries.receiver_count() == 0 {
            self.forget();
            if let Err(error) = self.index.begin_anew() {
                self.note(Some(error.to_string()));
            }
            return;
        }
        self.anew.store(true, Ordering::Release);
        self.tell();
    }

    /// Whether a rebuild was requested. Clears the request.
    #[must_use]
    pub fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::AcqRel)
    }

    /// Makes the indexer read its state again: the stored settings and a requested rebuild.
    pub fn tell(&self) {
        self.is_stale.store(true, Ordering::Release);
        self.ask();
    }

    /// Whether the indexer must read its state again.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_stale.load(Ordering::Acquire)
    }

    /// Called by the indexer before it reads its state.
    pub fn listen(&self) {
        self.is_stale.store(false, Ordering::Release);
    }

    /// Number of records in an index that is being rebuilt.
    #[must_use]
    pub fn building(&self) -> Option<u64> {
        *self.building.lock()
    }

    pub fn build(&self, records: Option<u64>) {
        *self.building.lock() = records;
    }

    /// The last error; `None` after a success.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    /// Sets or clears the last error.
    pub fn note(&self, error: Option<String>) {
        *self.error.lock() = error;
    }
}
