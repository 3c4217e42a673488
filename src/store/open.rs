//! State shared by the threads of one store: opens the file, reopens it after a fault, delivers entries to readers.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use redb::Database;
use tokio::sync::{Semaphore, broadcast, watch};

use kernel::Clock;
use kernel::id::IdSource;

use super::ahead::Trails;
use super::batch::{self, Batch, Snap};
use super::blob::sweep::Condemned;
use super::codec;
use super::columns::Kept;
use super::disk::{Disk, DiskCounters, Faults, sync_folder};
use super::dump;
use super::error::{StoreError, failed, panic_text};
use super::feed::{self, End, Entry};
use super::mirror;
use super::read::Read;
use super::schema::{Schema, builtin};
use super::stats::IN_USE;
use super::tx::Reactor;
use super::writer::{Lane, Queue};
use super::{FORMAT, Limits, OpenProgress, Opening, Options, WIRE};

thread_local! {
    static EXPECTS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is opening a file that may be damaged. A panic is then a regular result and needs no backtrace.
#[must_use]
pub fn expects_panic() -> bool {
    EXPECTS.get()
}

struct Expects;

impl Expects {
    fn begin() -> Self {
        EXPECTS.set(true);
        Self
    }
}

impl Drop for Expects {
    fn drop(&mut self) {
        EXPECTS.set(false);
    }
}

/// The latest entries, in memory.
#[derive(Default)]
pub(super) struct Recent {
    entries: VecDeque<Arc<Entry>>,
    changes: usize,
}

/// Maximum number of changes in the cached entries together, so that an import does not fill the memory.
const RECENT_CHANGES: usize = 16 * 1024;
/// What the last check of the page cache found.
#[derive(Clone, Copy, Default)]
pub(super) struct Looked {
    /// Reads and commits until then.
    pub reads: u64,
    /// Whether there was little activity since the check before.
    pub is_quiet: bool,
    /// Bytes read and written until the file was last opened.
    pub opened: u64,
}

/// How many entries a broadcast receiver may lag before it must read the feed: one full commit. Each slot costs memory
/// in every store.
const LIVE: usize = 256;
/// Reads of this duration are long, such as those of a backup. Exclusive work does not wait for them, because everybody
/// else would queue behind it.
const LONG_READ: Duration = Duration::from_secs(1);
/// Maximum time that exclusive work waits for running reads.
const PATIENCE: Duration = Duration::from_millis(500);

impl Recent {
    fn push(&mut self, entry: Arc<Entry>, limit: usize) {
        self.changes += entry.changes.len();
        self.entries.push_back(entry);
        while self.entries.len() > limit || self.changes > RECENT_CHANGES {
            let Some(gone) = self.entries.pop_front() else { break };
            self.changes -= gone.changes.len();
        }
        if self.entries.capacity() > 4 * self.entries.len().max(16) {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// Entries after `seq`, if all of them are cached.
    pub(super) fn after(&self, seq: u64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let first = self.entries.front()?.seq;
        let from = usize::try_from(seq.checked_add(1)?.checked_sub(first)?).ok()?;
        Some(self.entries.iter().skip(from).take(limit).cloned().collect())
    }
}

pub(super) struct Shared {
    pub path: PathBuf,
    pub folder: PathBuf,
    /// Page cache in bytes, used when the file is opened next.
    pub cache: AtomicUsize,
    pub looked: Mutex<Looked>,
    pub limits: Limits,
    pub schema: Schema,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub reactor: Option<Arc<Reactor>>,
    pub faults: Arc<dyn Faults>,
    pub counters: Arc<DiskCounters>,
    pub incarnation: AtomicU64,
    pub db: RwLock<Option<Database>>,
    /// Whether the whole file is in exclusive use.
    pub whole: watch::Sender<bool>,
    /// The store is closing; new reads are refused.
    pub closing: AtomicBool,
    pub queue: Queue,
    first: Arc<Semaphore>,
    second: Arc<Semaphore>,
    pub head: watch::Sender<u64>,
    pub live: broadcast::Sender<Arc<Entry>>,
    pub recent: Mutex<Recent>,
    pub columns: Kept,
    /// Recorded writes for plans that are being prepared.
    pub trails: Trails,
    pub snapshots: Mutex<BTreeMap<u64, Instant>>,
    pub next_snapshot: AtomicU64,
    /// The last entry number at each second of the last minute.
    pub rate: Mutex<VecDeque<(Instant, u64)>>,
    pub onlooker: Option<Arc<OpenProgress>>,
    /// Blobs under deletion, once a sweep has begun.
    pub condemned: OnceLock<Arc<Condemned>>,
    /// The required file format. Differs from [`FORMAT`] only during an upgrade.
    pub format: u32,
}

impl Shared {
    pub(super) fn new(options: Options, limits: Limits) -> Self {
        Self {
            folder: options.path.parent().map(PathBuf::from).unwrap_or_default(),
            path: options.path,
            cache: AtomicUsize::new(options.cache),
            looked: Mutex::default(),
            schema: options.schema,
            clock: options.clock,
            ids: options.ids,
            reactor: options.reactor,
            faults: options.faults,
            counters: Arc::default(),
            incarnation: AtomicU64::new(0),
            whole: watch::Sender::new(false),
            db: RwLock::new(None),
            closing: AtomicBool::new(false),
            queue: Queue::default(),
            first: Arc::new(Semaphore::new(limits.queue)),
            second: Arc::new(Semaphore::new(limits.queue)),
            head: watch::Sender::new(0),
            live: broadcast::Sender::new(LIVE),
            recent: Mutex::default(),
            columns: Kept::default(),
            trails: Trails::default(),
            snapshots: Mutex::default(),
            next_snapshot: AtomicU64::new(0),
            rate: Mutex::default(),
            onlooker: None,
            condemned: OnceLock::new(),
            format: FORMAT,
            limits,
        }
    }

    /// Queue permits of a lane. Each lane has its own, so that bulk work does not take those of people.
    pub(super) fn places(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::First => &self.first,
            Lane::Second => &self.second,
        }
    }

    /// Opens the file for the first time, creating it if needed.
    pub(super) fn open(&self) -> Result<End, StoreError> {
        // redb panics on some damaged files. Only the returned error reports this.
        let _expects = Expects::begin();
        catch_unwind(AssertUnwindSafe(|| self.open_file())).unwrap_or_else(|panic| {
            let (file, message) = (self.path.display(), panic_text(&*panic));
            Err(StoreError::Damaged(format!("{file} is damaged ({message})")))
        })
    }

    fn open_file(&self) -> Result<End, StoreError> {
        if !self.path.try_exists().map_err(failed)? {
            self.make()?;
        } else if std::fs::metadata(&self.path).map_err(failed)?.len() == 0 {
            // redb would initialise an empty file as new; our files are never empty.
            let file = self.path.display();
            return Err(StoreError::Damaged(format!(
                "{file} is empty: put the file back, or restore a backup (hq restore)"
            )));
        }
        let (mut db, end) = self.open_database()?;
        let in_use = Snap::new(&db, &self.schema)?.raw_get(builtin::META, IN_USE)?;
        let in_use = in_use.map(|row| codec::decode(&row)).transpose()?;
        self.compact_if_wasteful(&mut db, in_use)?;
        *self.db.write() = Some(db);
        self.head.send_replace(end.seq);
        Ok(end)
    }

    /// Exclusive access to the file. New readers queue behind this lock, so the wait is short, and a long read is not
    /// waited for at all.
    ///
    /// # Errors
    /// `Reading`: retry later.
    pub(super) fn alone(&self) -> Result<RwLockWriteGuard<'_, Option<Database>>, StoreError> {
        let oldest = self.snapshots.lock().values().next().copied();
        if oldest.is_some_and(|since| LONG_READ <= since.elapsed()) {
            return Err(StoreError::Reading);
        }
        self.db.try_write_for(PATIENCE).ok_or(StoreError::Reading)
    }

    /// Reopens the file after a fault or for another page cache size. Readers wait; entries that turn out to be
    /// committed are delivered to them.
    ///
    /// # Errors
    /// `Reading` when nothing was done, else why the file does not open.
    pub(super) fn reopen(&self) -> Result<End, StoreError> {
        let mut slot = self.alone()?;
        // Closes the file and releases its lock.
        *slot = None;
        if self.counters.sync_failed() {
            return Err(StoreError::Failed("an fsync has failed; start HQ again".to_owned()));
        }
        let (db, end) = self.open_database()?;
        let known = *self.head.borrow();
        if end.seq < known {
            // The lost numbers will be reused, but cursors may already point to them. A new incarnation at the next
            // start invalidates those cursors.
            if let Err(error) = dump::new_life(&db, &self.schema, end.seq) {
                tracing::error!(%error, "cursors of entries that are lost stay good");
            }
            return Err(StoreError::Lost { found: end.seq, known });
        }
        let snap = Snap::new(&db, &self.schema)?;
        let found = feed::entries(&snap, &self.schema, known, usize::MAX)?;
        drop(snap);
        *slot = Some(db);
        drop(slot);
        if self.publish(found) {
            self.wake();
        }
        Ok(end)
    }

    /// Creates the file under a temporary name and renames it when it is complete. redb cannot open a file that a power
    /// failure left half created.
    fn make(&self) -> Result<(), StoreError> {
        let fresh = self.path.with_extension("redb.new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        self.prepare(&self.database(&fresh)?)?;
        let whole = File::open(&fresh).and_then(|file| file.sync_all());
        whole.and_then(|()| std::fs::rename(&fresh, &self.path)).map_err(failed)?;
        sync_folder(&self.folder).map_err(failed)
    }

    fn database(&self, path: &Path) -> Result<Database, StoreError> {
        let disk = Disk::open(path, Arc::clone(&self.faults), Arc::clone(&self.counters))
            .map_err(failed)?;
        Database::builder()
            .set_cache_size(self.cache.load(Ordering::Relaxed))
            .set_repair_callback(say_progress(self.onlooker.clone()))
            .create_with_backend(disk)
            .map_err(|error| self.unreadable(path, &error))
    }

    /// Converts an open error; distinguishes damage from a failing disk.
    fn unreadable(&self, path: &Path, error: &redb::DatabaseError) -> StoreError {
        use redb::{DatabaseError, StorageError};
        let damaged = match error {
            DatabaseError::Storage(StorageError::Corrupted(_)) => true,
            DatabaseError::Storage(StorageError::Io(error)) => {
                matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
            }
            DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted => true,
            _ => false,
        };
        match damaged {
            true => StoreError::Damaged(format!("{} is damaged ({error})", path.display())),
            false => failed(format!("{}: {error}", path.display())),
        }
    }

    /// Opens the file, creates missing tables and checks the format; returns the end of the feed.
    fn open_database(&self) -> Result<(Database, End), StoreError> {
        if !self.path.try_exists().map_err(failed)? {
            return Err(StoreError::Failed("the file is gone".to_owned()));
        }
        let db = self.database(&self.path)?;
        let incarnation = match self.prepared(&db)? {
            Some(incarnation) => incarnation,
            None => self.prepare(&db)?,
        };
        self.incarnation.store(incarnation, Ordering::Relaxed);
        let end = feed::last(&Snap::new(&db, &self.schema)?)?;
        Ok((db, end))
    }

    /// The incarnation, if the file lacks nothing. Opening then writes nothing, so a full disk can still be read.
    fn prepared(&self, db: &Database) -> Result<Option<u64>, StoreError> {
        if !batch::has_all_tables(db, &self.schema)? {
            return Ok(None);
        }
        let snap = Snap::new(db, &self.schema)?;
        self.check_format(&snap)?;
        match snap.raw_get(builtin::META, b"incarnation")? {
            Some(row) => Ok(Some(codec::decode(&row)?)),
            None => Ok(None),
        }
    }

    fn prepare(&self, db: &Database) -> Result<u64, StoreError> {
        let txn = db.begin_write().map_err(failed)?;
        // A refused file is left unchanged.
        if batch::has_table(&txn, &self.schema, builtin::META)? {
            self.check_format(&Batch::new(&txn, &self.schema))?;
        }
        batch::create_tables(&txn, &self.schema)?;
        let mut batch = Batch::new(&txn, &self.schema);
        let incarnation = match batch.raw_get(builtin::META, b"incarnation")? {
            Some(found) => codec::decode(&found)?,
            None => {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).map_err(failed)?;
                let fresh = u64::from_be_bytes(bytes);
                let rows = [
                    (&b"format"[..], codec::encode(&FORMAT)?),
                    (b"wire", codec::encode(&WIRE)?),
                    (b"incarnation", codec::encode(&fresh)?),
                ];
                for (key, row) in rows {
                    batch.set(builtin::META, key, Some(&row))?;
                }
                if self.schema.is_mirror() {
                    batch.set(builtin::META, mirror::IS_MIRROR, Some(&[1]))?;
                }
                fresh
            }
        };
        drop(batch);
        txn.commit().map_err(failed)?;
        Ok(incarnation)
    }

    /// Reports a slow phase of opening.
    pub(super) fn tell(&self, opening: Opening) {
        if let Some(onlooker) = &self.onlooker {
            onlooker(opening);
        }
    }

    /// Refuses a file of another format.
    fn check_format(&self, read: &dyn Read) -> Result<(), StoreError> {
        let Some(row) = read.raw_get(builtin::META, b"format")? else { return Ok(()) };
        let found: u32 = codec::decode(&row)?;
        if found != self.format {
            return Err(StoreError::Format { found, known: FORMAT });
        }
        // Writing a mirror as a regular store would append to a feed that it does not have.
        match (read.raw_get(builtin::META, mirror::IS_MIRROR)?, self.schema.is_mirror()) {
            (Some(_), false) => return Err(StoreError::IsMirror),
            (None, true) => return Err(StoreError::NoMirror),
            _ => {}
        }
        Ok(())
    }

    /// Samples the last entry number, once a second.
    fn note_rate(&self) {
        let mut rate = self.rate.lock();
        if rate.back().is_none_or(|(at, _)| at.elapsed().as_secs() >= 1) {
            rate.push_back((Instant::now(), *self.head.borrow()));
        }
        while rate.len() > 61 {
            rate.pop_front();
        }
    }

    /// Delivers committed entries to readers. If it returns `true`, call [`wake`](Self::wake).
    pub(super) fn publish(&self, entries: Vec<Entry>) -> bool {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return false };
        self.note_rate();
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        {
            let mut recent = self.recent.lock();
            for entry in &entries {
                recent.push(Arc::clone(entry), self.limits.recent);
            }
        }
        // Updates the value without waking receivers.
        self.head.send_if_modified(|head| {
            *head = last;
            false
        });
        for entry in entries {
            // ok: there are no receivers.
            let _ = self.live.send(entry);
        }
        true
    }

    /// Wakes readers of the feed. Called after the replies, because woken tasks share one queue and these readers
    /// access the store each time.
    pub(super) fn wake(&self) {
        self.head.send_modify(|_| {});
    }
}

/// Logs the progress of a recovery, which takes seconds for a large file.
fn say_progress(
    onlooker: Option<Arc<OpenProgress>>,
) -> impl Fn(&mut redb::RepairSession) + 'static {
    let tenths = std::cell::Cell::new(0.0);
    move |session| {
        if let Some(onlooker) = &onlooker {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of one"
            )]
            onlooker(Opening::Recovering((session.progress() * 100.0).clamp(0.0, 99.0) as u8));
        }
        let now = (session.progress() * 10.0).floor();
        if now > tenths.replace(now) {
            tracing::info!("the store was not closed well; recovering, {}0 % done", now);
        }
    }
}
