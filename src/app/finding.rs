//! The search index of a workspace, with how far it has followed the feed and who waits for it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use search::Search;
use store::Cursor;

/// The search index of a workspace, and how it is kept up.
pub struct Finding {
    pub index: Search,
    /// Up to where everything can be found.
    seen: watch::Sender<Option<Cursor>>,
    /// Counts questions: who follows the feed need not wait for more.
    asked: watch::Sender<u64>,
    asked_at: Mutex<Option<Instant>>,
    /// Whether something was told that the follower has not looked at.
    told: AtomicBool,
    /// Whether the index was found damaged.
    anew: AtomicBool,
    /// How many records a new index holds so far, while one is made.
    building: Mutex<Option<u64>>,
    error: Mutex<Option<String>>,
}

impl Finding {
    /// The index in this folder; nothing is opened.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self {
            index: Search::at(folder),
            seen: watch::Sender::new(None),
            asked: watch::Sender::new(0),
            asked_at: Mutex::default(),
            told: AtomicBool::new(true),
            anew: AtomicBool::new(false),
            building: Mutex::default(),
            error: Mutex::default(),
        }
    }

    /// Somebody asks: what is not in the index yet should come in now.
    pub fn ask(&self) {
        *self.asked_at.lock() = Some(Instant::now());
        self.asked.send_modify(|count| *count += 1);
    }

    /// Hears questions.
    #[must_use]
    pub fn questions(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// For how long nobody has asked; nothing when nobody ever has.
    #[must_use]
    pub fn quiet(&self) -> Option<Duration> {
        self.asked_at.lock().map(|at| at.elapsed())
    }

    /// Up to where everything can be found, as far as that was looked at.
    #[must_use]
    pub fn seen(&self) -> Option<Cursor> {
        *self.seen.borrow()
    }

    /// Everything up to here can be found.
    pub fn saw(&self, place: Cursor) {
        self.seen.send_replace(Some(place));
    }

    /// How far it goes has to be read from the index again.
    pub fn forget(&self) {
        self.seen.send_replace(None);
    }

    /// Waits, at most so long, until everything up to here can be found; says whether it can.
    pub async fn until(&self, place: Cursor, patience: Duration) -> bool {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|seen| {
            seen.is_some_and(|seen| seen.incarnation == place.incarnation && place.seq <= seen.seq)
        });
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Asks for a new index in the place of one that is damaged. Where nobody follows the feed the old one goes,
    /// so that the next who does makes one.
    pub fn begin_anew(&self) {
        if self.asked.receiver_count() == 0 {
            self.forget();
            if let Err(error) = self.index.begin_anew() {
                self.note(Some(error.to_string()));
            }
            return;
        }
        self.anew.store(true, Ordering::Release);
        self.tell();
    }

    /// Whether a new index was asked for; asking is over with the answer.
    #[must_use]
    pub fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::AcqRel)
    }

    /// Says that the follower has been told something in the store: it looks what that is.
    pub fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.ask();
    }

    /// Whether the follower has been told something since it looked.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// The follower looks what it has been told.
    pub fn listen(&self) {
        self.told.store(false, Ordering::Release);
    }

    /// How many records a new index holds so far, while one is made.
    #[must_use]
    pub fn building(&self) -> Option<u64> {
        *self.building.lock()
    }

    /// Says how far a new index is.
    pub fn build(&self, records: Option<u64>) {
        *self.building.lock() = records;
    }

    /// What went wrong last, until something has gone well.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    /// Notes what went wrong, or that nothing does any more.
    pub fn note(&self, error: Option<String>) {
        *self.error.lock() = error;
    }
}
