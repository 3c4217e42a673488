//! Semantic search: the model of the process, and the vectors of a workspace.
//!
//! Nothing is loaded before a person has chosen a model. A model that is idle for a while is unloaded.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use embed::shelf::{Given, InstalledModel, Shelf};
use embed::vectors::{ArenaError, Home};
use embed::{Arena, Embedder, Refused};

/// The embedding model of the process.
pub struct Meaning {
    /// Models on this machine.
    pub shelf: Shelf,
    /// The selected model, cached until the next change.
    used: Mutex<Option<Option<InstalledModel>>>,
    loaded: Mutex<Option<Loaded>>,
    /// Held while a model loads, so that it is loaded once.
    loading: Mutex<()>,
    trouble: Mutex<Option<Refused>>,
    changes: watch::Sender<u64>,
    coming: Mutex<Coming>,
}

/// Why no model is available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// No model is selected.
    #[error("no model is in use here; choose one under Settings, Semantic search")]
    Off,
    /// The files of the model are invalid.
    #[error(transparent)]
    Refused(#[from] Refused),
}

struct Loaded {
    embedder: Arc<dyn Embedder>,
    used: Instant,
}

/// A model download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    /// Model id; empty if no download is running.
    pub id: String,
    /// Bytes received.
    pub have: u64,
    /// Total bytes, as far as known.
    pub all: u64,
    /// Error of the last download.
    pub trouble: String,
}

impl Meaning {
    /// Uses the models below `root` and the model in `given`, a configured folder. Reads nothing yet.
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

    /// The selected model: a person's choice, otherwise the model in the configured folder. Blocking: may take a
    /// second after a change.
    #[must_use]
    pub fn used(&self) -> Option<InstalledModel> {
        let mut used = self.used.lock();
        used.get_or_insert_with(|| self.find_selected()).clone()
    }

    /// Whether a model is known to be selected. Never blocks; returns `false` while [`Meaning::used`] looks the model
    /// up.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.used.try_lock().is_some_and(|used| matches!(&*used, Some(Some(_))))
    }

    fn find_selected(&self) -> Option<InstalledModel> {
        let given = || match self.shelf.given() {
            Some(Given::Fits(kept)) => Some(*kept),
            _ => None,
        };
        let Some(chosen) = self.shelf.chosen() else { return given() };
        // ok: a folder that cannot be listed has no models. The models page shows the error.
        let all = self.shelf.models().unwrap_or_default();
        let found = all.into_iter().find(|kept| kept.model.id == chosen);
        found.or_else(|| given().filter(|kept| kept.model.id == chosen))
    }

    /// Invalidates the cached state after models were added, removed or selected.
    pub fn changed(&self) {
        *self.used.lock() = None;
        *self.loaded.lock() = None;
        *self.trouble.lock() = None;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Notifies about changes of the models.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether a model is in memory.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.lock().is_some()
    }

    /// The model in memory, if any. Counts as a use.
    #[must_use]
    pub fn loaded(&self) -> Option<Arc<dyn Embedder>> {
        let mut loaded = self.loaded.lock();
        let loaded = loaded.as_mut()?;
        loaded.used = Instant::now();
        Some(loaded.embedder.clone())
    }

    /// The selected model, loaded if necessary; `None` if no model is selected. Blocking: may take a second.
    ///
    /// # Errors
    /// When the files of the model are no longer valid.
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

    /// Like [`Meaning::embedder`], for callers that cannot work without a model.
    ///
    /// # Errors
    /// When no model is selected or its files are no longer valid.
    pub fn needed(&self) -> Result<Arc<dyn Embedder>, NoModel> {
        self.embedder()?.ok_or(NoModel::Off)
    }

    /// Why the selected model could not be loaded.
    #[must_use]
    pub fn trouble(&self) -> Option<Refused> {
        self.trouble.lock().clone()
    }

    /// Unloads the model if it has been idle for `quiet`.
    pub fn rest(&self, quiet: Duration) {
        let mut loaded = self.loaded.lock();
        if loaded.as_ref().is_some_and(|loaded| quiet <= loaded.used.elapsed()) {
            *loaded = None;
        }
    }

    /// The running download.
    #[must_use]
    pub fn coming(&self) -> Coming {
        self.coming.lock().clone()
    }

    /// Updates the progress of the download.
    pub fn comes(&self, coming: Coming) {
        *self.coming.lock() = coming;
    }

    /// Starts a download; returns `false` if one is running.
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

/// Half of the cores: other work shares the machine.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Embedding vectors of a workspace.
pub struct Vectors {
    home: Home,
    /// Open vector files: the active one and one that is being built to replace it.
    open: Mutex<Vec<Open>>,
    /// Passages without a vector.
    waiting: AtomicUsize,
    /// Items of these passages.
    behind: Mutex<HashSet<Uuid>>,
    /// Items that failed repeatedly and are excluded.
    left_out: AtomicUsize,
    /// Feed position up to which changes were read.
    seen: Mutex<Option<store::Cursor>>,
    trouble: Mutex<Option<String>>,
    /// The model whose server is in cooldown, and the end of the cooldown.
    left: Mutex<Option<(String, Instant)>>,
}

/// Maximum number of open vector files.
const OPEN: usize = 2;

struct Open {
    model: String,
    arena: Arc<Arena>,
    used: Instant,
}

impl Vectors {
    /// Uses the vector files in a folder. Opens nothing.
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

    /// Opens the vectors of a model. An invalid file is replaced by an empty one. Blocking: reads the whole file.
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

    /// Closes vector files that have been idle for `quiet`.
    pub fn rest(&self, quiet: Duration) {
        self.open.lock().retain(|open| open.used.elapsed() < quiet);
    }

    /// The stored feed position of a model's vectors.
    #[must_use]
    pub fn place(&self, model: &str) -> Option<store::Cursor> {
        // ok: without a valid position, all passages are compared again.
        self.home.place(model)?.parse().ok()
    }

    /// Stores the feed position of a model's vectors and removes the vectors of all other models.
    pub fn keep_place(&self, model: &str, place: store::Cursor) -> std::io::Result<()> {
        self.home.keep_place(model, &place.to_string())?;
        self.open.lock().retain(|open| open.model == model);
        self.home.keep_only(model)
    }

    /// Starts a cooldown for the server of a model. Other models are not affected.
    pub fn start_cooldown(&self, model: &str, pause: Duration) {
        *self.left.lock() = Some((model.to_owned(), Instant::now() + pause));
    }

    /// Ends the cooldown.
    pub fn go_on(&self) {
        *self.left.lock() = None;
    }

    /// Whether the server of a model is in cooldown.
    #[must_use]
    pub fn is_left(&self, model: &str) -> bool {
        self.left.lock().as_ref().is_some_and(|(of, until)| of == model && Instant::now() < *until)
    }

    /// Number of passages without a vector.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether a passage of this item has no vector.
    #[must_use]
    pub fn is_behind(&self, item: Uuid) -> bool {
        self.behind.lock().contains(&item)
    }

    /// Sets the number of passages without a vector, and their items.
    pub fn wait(&self, passages: usize, items: impl IntoIterator<Item = Uuid>) {
        self.waiting.store(passages, Ordering::Relaxed);
        *self.behind.lock() = items.into_iter().collect();
    }

    /// Number of items that failed repeatedly and are excluded.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out.load(Ordering::Relaxed)
    }

    pub fn leave_out(&self, items: usize) {
        self.left_out.store(items, Ordering::Relaxed);
    }

    /// Feed position up to which changes were read since the start.
    #[must_use]
    pub fn seen(&self) -> Option<store::Cursor> {
        *self.seen.lock()
    }

    pub fn saw(&self, place: Option<store::Cursor>) {
        *self.seen.lock() = place;
    }

    /// The last error; `None` after a success.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Sets or clears the last error.
    pub fn note(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }
}
