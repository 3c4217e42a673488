//! Search by meaning: the model of the process, and the vectors of a workspace.
//!
//! Nothing is loaded before somebody has chosen a model, and a model that nobody needs for a while leaves memory.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use embed::shelf::{Given, Kept, Shelf};
use embed::vectors::{ArenaError, Home};
use embed::{Arena, Embedder, Refused};

/// The model of the process.
pub struct Meaning {
    /// The models on this machine.
    pub shelf: Shelf,
    /// Which one is in use; looked up once after each change.
    used: Mutex<Option<Option<Kept>>>,
    loaded: Mutex<Option<Loaded>>,
    /// Held while a model is loaded, so that it is loaded once.
    loading: Mutex<()>,
    trouble: Mutex<Option<Refused>>,
    changes: watch::Sender<u64>,
    coming: Mutex<Coming>,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// Nobody has chosen one.
    #[error("no model is in use here; choose one under Settings, Search by meaning")]
    Off,
    /// Its files do not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
}

struct Loaded {
    embedder: Arc<dyn Embedder>,
    used: Instant,
}

/// A model that is being fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    /// Its id; empty when none is.
    pub id: String,
    /// Bytes that are here.
    pub have: u64,
    /// Bytes that it has in all, as far as that is known.
    pub all: u64,
    /// Why the last one did not come.
    pub trouble: String,
}

impl Meaning {
    /// The models below a folder, and the one in a folder that a setting names. Nothing is read.
    #[must_use]
    pub fn at(root: PathBuf, given: Option<PathBuf>) -> Self {
        Self {
            shelf: Shelf::at(root, given),
            used: Mutex::default(),
            loaded: Mutex::default(),
            loading: Mutex::default(),
            trouble: Mutex::default(),
            changes: watch::Sender::new(0),
            coming: Mutex::default(),
        }
    }

    /// The model in use: the one that a person chose, else the one in the folder that a setting names. May take a
    /// second after a change, so it belongs on a thread that may block.
    #[must_use]
    pub fn used(&self) -> Option<Kept> {
        let mut used = self.used.lock();
        used.get_or_insert_with(|| self.look()).clone()
    }

    /// Whether a model is known to be in use. It waits for nothing, so it says no while that is looked up.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.used.try_lock().is_some_and(|used| matches!(&*used, Some(Some(_))))
    }

    fn look(&self) -> Option<Kept> {
        let given = || match self.shelf.given() {
            Some(Given::Fits(kept)) => Some(*kept),
            _ => None,
        };
        let Some(chosen) = self.shelf.chosen() else { return given() };
        // ok: a folder that cannot be listed has no models; the page of models says why.
        let all = self.shelf.models().unwrap_or_default();
        let found = all.into_iter().find(|kept| kept.model.id == chosen);
        found.or_else(|| given().filter(|kept| kept.model.id == chosen))
    }

    /// Says that models have come, gone or been chosen.
    pub fn changed(&self) {
        *self.used.lock() = None;
        *self.loaded.lock() = None;
        *self.trouble.lock() = None;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Hears changes of the models.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether a model is in memory.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.lock().is_some()
    }

    /// The model in memory, if it is there.
    #[must_use]
    pub fn loaded(&self) -> Option<Arc<dyn Embedder>> {
        let mut loaded = self.loaded.lock();
        let loaded = loaded.as_mut()?;
        loaded.used = Instant::now();
        Some(loaded.embedder.clone())
    }

    /// The model in use, loaded if it is not; none when none is in use. May take a second.
    ///
    /// # Errors
    /// If its files do not fit any more.
    pub fn embedder(&self) -> Result<Option<Arc<dyn Embedder>>, Refused> {
        let _loading = self.loading.lock();
        if let Some(embedder) = self.loaded() {
            return Ok(Some(embedder));
        }
        let Some(kept) = self.used() else { return Ok(None) };
        let loaded = embed::load(&kept.folder, &kept.model, threads());
        *self.trouble.lock() = loaded.as_ref().err().cloned();
        let embedder = loaded?;
        *self.loaded.lock() = Some(Loaded { embedder: embedder.clone(), used: Instant::now() });
        Ok(Some(embedder))
    }

    /// The model in use, loaded if it is not, for who can do nothing without. May take a second.
    ///
    /// # Errors
    /// If none is in use, or its files do not fit any more.
    pub fn needed(&self) -> Result<Arc<dyn Embedder>, NoModel> {
        self.embedder()?.ok_or(NoModel::Off)
    }

    /// Why the model in use could not be loaded.
    #[must_use]
    pub fn trouble(&self) -> Option<Refused> {
        self.trouble.lock().clone()
    }

    /// Takes a model out of memory that nobody has needed for so long.
    pub fn rest(&self, quiet: Duration) {
        let mut loaded = self.loaded.lock();
        if loaded.as_ref().is_some_and(|loaded| quiet <= loaded.used.elapsed()) {
            *loaded = None;
        }
    }

    /// The model that is being fetched.
    #[must_use]
    pub fn coming(&self) -> Coming {
        self.coming.lock().clone()
    }

    /// Says how far a model is that is being fetched.
    pub fn comes(&self, coming: Coming) {
        *self.coming.lock() = coming;
    }

    /// Begins to fetch a model; false when one is being fetched.
    #[must_use]
    pub fn begins(&self, id: &str) -> bool {
        let mut coming = self.coming.lock();
        let free = coming.id.is_empty();
        if free {
            *coming = Coming { id: id.to_owned(), ..Coming::default() };
        }
        free
    }
}

/// One thread for two cores: others work here, too.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// The vectors of a workspace.
pub struct Vectors {
    home: Home,
    /// Those that serve, and those that are being made in their place.
    open: Mutex<Vec<Open>>,
    /// Passages that have no vector yet.
    waiting: AtomicUsize,
    /// What they are of.
    behind: Mutex<HashSet<Uuid>>,
    /// Items that were tried in vain and are left out.
    left_out: AtomicUsize,
    /// Up to where the feed was looked at.
    seen: Mutex<Option<store::Cursor>>,
    trouble: Mutex<Option<String>>,
    /// The model whose server is left alone, and until when.
    left: Mutex<Option<(String, Instant)>>,
}

/// Vectors of so many models are open at once.
const OPEN: usize = 2;

struct Open {
    model: String,
    arena: Arc<Arena>,
    used: Instant,
}

impl Vectors {
    /// The vectors in a folder; nothing is opened.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self {
            home: Home::at(folder),
            open: Mutex::default(),
            waiting: AtomicUsize::new(0),
            behind: Mutex::default(),
            left_out: AtomicUsize::new(0),
            seen: Mutex::default(),
            trouble: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// The vectors of a model, opened if they are not. A file that is none is begun anew. Reads all of them, so it
    /// belongs on a thread that may block.
    pub fn open(&self, model: &str, dimensions: usize) -> Result<Arc<Arena>, ArenaError> {
        let mut open = self.open.lock();
        if let Some(open) = open.iter_mut().find(|open| open.model == model) {
            open.used = Instant::now();
            return Ok(open.arena.clone());
        }
        let arena = Arc::new(self.home.arena(model, dimensions)?);
        open.sort_by_key(|open| std::cmp::Reverse(open.used));
        open.truncate(OPEN - 1);
        open.push(Open { model: model.to_owned(), arena: arena.clone(), used: Instant::now() });
        Ok(arena)
    }

    /// Closes what nobody has needed for so long.
    pub fn rest(&self, quiet: Duration) {
        self.open.lock().retain(|open| open.used.elapsed() < quiet);
    }

    /// Up to where the vectors of a model follow the feed, as it was kept.
    #[must_use]
    pub fn place(&self, model: &str) -> Option<store::Cursor> {
        // ok: with a broken place all passages are compared anew, as without one.
        self.home.place(model)?.parse().ok()
    }

    /// Keeps up to where the vectors of a model follow the feed, and removes those of all other models.
    pub fn keep_place(&self, model: &str, place: store::Cursor) -> std::io::Result<()> {
        self.home.keep_place(model, &place.to_string())?;
        self.open.lock().retain(|open| open.model == model);
        self.home.keep_only(model)
    }

    /// Leaves the server of a model alone for so long. Another one is asked meanwhile.
    pub fn leave(&self, model: &str, pause: Duration) {
        *self.left.lock() = Some((model.to_owned(), Instant::now() + pause));
    }

    /// Leaves no server alone any more.
    pub fn go_on(&self) {
        *self.left.lock() = None;
    }

    /// Whether the server of a model is left alone.
    #[must_use]
    pub fn is_left(&self, model: &str) -> bool {
        self.left.lock().as_ref().is_some_and(|(of, until)| of == model && Instant::now() < *until)
    }

    /// How many passages have no vector yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether a passage of this item has no vector yet.
    #[must_use]
    pub fn is_behind(&self, item: Uuid) -> bool {
        self.behind.lock().contains(&item)
    }

    /// Says which passages have no vector yet: how many, and of which items.
    pub fn wait(&self, passages: usize, items: impl IntoIterator<Item = Uuid>) {
        self.waiting.store(passages, Ordering::Relaxed);
        *self.behind.lock() = items.into_iter().collect();
    }

    /// How many items are left out, since they were tried in vain.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Says how many items are left out.
    pub fn leave_out(&self, items: usize) {
        self.left_out.store(items, Ordering::Relaxed);
    }

    /// Up to where the feed was looked at since the start.
    #[must_use]
    pub fn seen(&self) -> Option<store::Cursor> {
        *self.seen.lock()
    }

    /// Says up to where the feed was looked at.
    pub fn saw(&self, place: Option<store::Cursor>) {
        *self.seen.lock() = place;
    }

    /// What went wrong last, until something has gone well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Notes what went wrong, or that nothing does any more.
    pub fn note(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }
}
