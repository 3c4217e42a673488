//! Records on redb: write sets, indexes, the feed, consumers, blobs. Knows no feature.
//!
//! One writer thread per store. A write is answered after it is on disk. Each transaction that
//! changed something worth knowing appends one entry to the feed. Nothing outside this folder knows
//! redb, and nothing outside `codec.rs` the record codec.

mod batch;
pub mod blob;
pub mod codec;
pub mod consumer;
pub mod disk;
mod error;
pub mod feed;
pub mod key;
pub mod read;
pub mod record;
pub mod schema;
mod tx;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use redb::Database;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};

use crate::kernel::id::IdSource;
use crate::kernel::{Actor, Cause, Clock};

pub use batch::Snap;
pub use blob::{BlobId, Blobs};
pub use codec::DecodeError;
pub use disk::{DiskCounters, Faults, NoFaults};
pub use error::StoreError;
pub use feed::{Change, Cursor, Entry, Op};
pub use key::{Key, KeyBuf, Range};
pub use read::{Hit, Read, ReadExt, cursor_key, key_cursor};
pub use record::{Class, Count, Counts, Index, Keys, OnDelete, Record, Refs, Root, Table};
pub use schema::{Kind, Schema};
pub use tx::{ReactionError, Reactor, WriteTx};
pub use writer::Lane;

use feed::Hash;
use schema::builtin;
use writer::{Body, Job, Lanes, Writer};

/// The format of the file. A newer program upgrades it, an older one refuses it.
pub const FORMAT: u32 = 1;
/// The number of the record layouts on the wire between hosts.
pub const WIRE: u32 = 1;
/// How many writes may wait.
const QUEUE: usize = 1024;
/// How long a caller waits for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many entries are kept in memory.
const RECENT: usize = 1024;
/// Free space that is always left, in bytes.
const RESERVE: u64 = 256 * 1024 * 1024;

/// How a store is opened.
pub struct Options {
    /// The redb file.
    pub path: PathBuf,
    /// All its tables.
    pub schema: Schema,
    /// Page cache in bytes.
    pub cache: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// Reactions to events.
    pub reactor: Option<Arc<Reactor>>,
    /// Injected faults; none in the program.
    pub faults: Arc<dyn Faults>,
}

struct Shared {
    path: PathBuf,
    folder: PathBuf,
    cache: usize,
    reserve: u64,
    schema: Schema,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    reactor: Option<Arc<Reactor>>,
    faults: Arc<dyn Faults>,
    counters: Arc<DiskCounters>,
    incarnation: AtomicU64,
    db: RwLock<Option<Database>>,
    lanes: Mutex<Lanes>,
    wake: Condvar,
    permits: Arc<Semaphore>,
    head: watch::Sender<u64>,
    live: broadcast::Sender<Arc<Entry>>,
    recent: Mutex<VecDeque<Arc<Entry>>>,
    snapshots: Mutex<BTreeMap<u64, Instant>>,
    next_snapshot: AtomicU64,
}

/// One open store. Cheap to clone; closed when the last clone goes.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    closer: Arc<Closer>,
}

struct Closer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    id: ThreadId,
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.shared.lanes.lock().closed = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && std::thread::current().id() != self.id
        {
            // ok: a panic of the writer thread was logged where it happened.
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Opens the file, making it if need be, and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or was written by a newer program.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let folder = options.path.parent().map(PathBuf::from).unwrap_or_default();
        let shared = Arc::new(Shared {
            folder,
            path: options.path,
            cache: options.cache,
            reserve: RESERVE,
            schema: options.schema,
            clock: options.clock,
            ids: options.ids,
            reactor: options.reactor,
            faults: options.faults,
            counters: Arc::default(),
            incarnation: AtomicU64::new(0),
            db: RwLock::new(None),
            lanes: Mutex::default(),
            wake: Condvar::new(),
            permits: Arc::new(Semaphore::new(QUEUE)),
            head: watch::Sender::new(0),
            live: broadcast::Sender::new(RECENT),
            recent: Mutex::new(VecDeque::with_capacity(16)),
            snapshots: Mutex::default(),
            next_snapshot: AtomicU64::new(0),
        });
        let (db, seq, hash) = shared.open_database()?;
        *shared.db.write() = Some(db);
        shared.head.send_replace(seq);
        let now = shared.clock.now();
        let writer = Writer {
            shared: Arc::clone(&shared),
            seq,
            hash,
            now,
            space_checked: None,
            settled: true,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(error::failed)?;
        let id = thread.thread().id();
        let closer = Closer { shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)), id };
        Ok(Self { shared, closer: Arc::new(closer) })
    }

    /// Runs a transaction in the first lane and answers when it is on disk.
    ///
    /// # Errors
    /// What the body answers (then nothing was changed), or what the store says.
    pub async fn write<T, E>(
        &self,
        actor: Actor,
        cause: Cause,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write_in(Lane::First, actor, cause, body).await
    }

    /// Runs a transaction in a lane.
    ///
    /// # Errors
    /// As `write`.
    pub async fn write_in<T, E>(
        &self,
        lane: Lane,
        actor: Actor,
        cause: Cause,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (body, result) = box_body(body);
        let reply = self.queue(lane, actor, cause, body).await?;
        reply.await.map_err(|_| StoreError::Closed)??;
        result.lock().take().unwrap_or_else(|| Err(StoreError::Closed.into()))
    }

    /// As `write`, for threads outside the async runtime.
    ///
    /// # Errors
    /// As `write`.
    pub fn write_blocking<T, E>(
        &self,
        actor: Actor,
        cause: Cause,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (body, result) = box_body(body);
        self.refuse_nested()?;
        let start = Instant::now();
        let permit = loop {
            match Arc::clone(&self.shared.permits).try_acquire_owned() {
                Ok(permit) => break permit,
                Err(_) if start.elapsed() > PATIENCE => return Err(StoreError::Busy.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let (reply, answer) = oneshot::channel();
        self.push(Lane::First, Job { actor, cause, body, reply, permit })?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)??;
        result.lock().take().unwrap_or_else(|| Err(StoreError::Closed.into()))
    }

    async fn queue(
        &self,
        lane: Lane,
        actor: Actor,
        cause: Cause,
        body: Body,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        self.refuse_nested()?;
        let permit = Arc::clone(&self.shared.permits).acquire_owned();
        let permit = tokio::time::timeout(PATIENCE, permit)
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.push(lane, Job { actor, cause, body, reply, permit })?;
        Ok(answer)
    }

    fn push(&self, lane: Lane, job: Job) -> Result<(), StoreError> {
        let mut lanes = self.shared.lanes.lock();
        if lanes.closed {
            return Err(StoreError::Closed);
        }
        match lane {
            Lane::First => lanes.first.push_back(job),
            Lane::Second => lanes.second.push_back(job),
        }
        drop(lanes);
        self.shared.wake.notify_one();
        Ok(())
    }

    fn refuse_nested(&self) -> Result<(), StoreError> {
        if std::thread::current().id() == self.closer.id {
            return Err(StoreError::Nested);
        }
        Ok(())
    }

    /// Reads on a snapshot, on the calling thread, without ever blocking the writer.
    ///
    /// # Errors
    /// What the body answers, or what the store says.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Snap<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.refuse_nested()?;
        let shared = &self.shared;
        let db = shared.db.read_recursive();
        let Some(open) = &*db else {
            return Err(StoreError::Failed("the file is not open".to_owned()).into());
        };
        let snap = Snap::new(open, &shared.schema)?;
        let _age = SnapshotAge::new(shared);
        body(&snap)
    }

    /// Where the feed ends.
    #[must_use]
    pub fn head(&self) -> Cursor {
        let seq = *self.shared.head.borrow();
        Cursor { incarnation: self.incarnation(), seq }
    }

    /// The random number of this file's life.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.shared.incarnation.load(Ordering::Relaxed)
    }

    /// Wakes durable readers: the number of the last entry.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// Entries as they are committed. Lossy: who lags reads from the feed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.shared.live.subscribe()
    }

    /// Up to `limit` entries after a number, oldest first.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn entries_after(&self, seq: u64, limit: usize) -> Result<Vec<Arc<Entry>>, StoreError> {
        {
            let recent = self.shared.recent.lock();
            if recent.front().is_some_and(|first| first.seq <= seq + 1) {
                let from = recent.partition_point(|entry| entry.seq <= seq);
                return Ok(recent.iter().skip(from).take(limit).cloned().collect());
            }
        }
        self.read(|snap| {
            let entries = feed::entries(snap, &self.shared.schema, seq, limit)?;
            Ok(entries.into_iter().map(Arc::new).collect())
        })
    }

    /// The tables.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// What the disk has done.
    #[must_use]
    pub fn counters(&self) -> &DiskCounters {
        &self.shared.counters
    }

    /// The age of the oldest snapshot that is still read.
    #[must_use]
    pub fn oldest_snapshot(&self) -> Option<Duration> {
        self.shared.snapshots.lock().values().next().map(Instant::elapsed)
    }
}

/// Where a body leaves its typed result for the caller.
type Slot<T, E> = Arc<Mutex<Option<Result<T, E>>>>;

/// A body whose typed result stays in a slot of the caller's.
fn box_body<T, E>(
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
) -> (Body, Slot<T, E>)
where
    T: Send + 'static,
    E: Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let result = Arc::clone(&slot);
    let boxed = Box::new(move |tx: &mut WriteTx<'_>| {
        let value = body(tx);
        let keep = value.is_ok();
        *slot.lock() = Some(value);
        keep
    });
    (boxed, result)
}

struct SnapshotAge<'s> {
    shared: &'s Shared,
    number: u64,
}

impl<'s> SnapshotAge<'s> {
    fn new(shared: &'s Shared) -> Self {
        let number = shared.next_snapshot.fetch_add(1, Ordering::Relaxed);
        shared.snapshots.lock().insert(number, Instant::now());
        Self { shared, number }
    }
}

impl Drop for SnapshotAge<'_> {
    fn drop(&mut self) {
        self.shared.snapshots.lock().remove(&self.number);
    }
}

impl Shared {
    /// Opens the file, makes missing tables, checks the format; answers where the feed ends.
    fn open_database(&self) -> Result<(Database, u64, Hash), StoreError> {
        let disk =
            disk::Disk::open(&self.path, Arc::clone(&self.faults), Arc::clone(&self.counters))
                .map_err(error::failed)?;
        let db = Database::builder()
            .set_cache_size(self.cache)
            .create_with_backend(disk)
            .map_err(error::failed)?;
        let incarnation = self.prepare(&db)?;
        self.incarnation.store(incarnation, Ordering::Relaxed);
        let (seq, hash) = writer::last_entry(&db, self)?;
        Ok((db, seq, hash))
    }

    fn prepare(&self, db: &Database) -> Result<u64, StoreError> {
        let txn = db.begin_write().map_err(error::failed)?;
        batch::create_tables(&txn, &self.schema).map_err(error::failed)?;
        let incarnation;
        {
            let mut batch = batch::Batch::new(&txn, &self.schema);
            if let Some(found) = batch.raw_get(builtin::META, b"format")? {
                let found: u32 = codec::decode(&found)?;
                if found != FORMAT {
                    return Err(StoreError::Format { found, known: FORMAT });
                }
            } else {
                batch.set(builtin::META, b"format", Some(&codec::encode(&FORMAT)?))?;
                batch.set(builtin::META, b"wire", Some(&codec::encode(&WIRE)?))?;
            }
            incarnation = match batch.raw_get(builtin::META, b"incarnation")? {
                Some(found) => codec::decode(&found)?,
                None => {
                    let mut bytes = [0; 8];
                    getrandom::fill(&mut bytes).map_err(error::failed)?;
                    let fresh = u64::from_be_bytes(bytes);
                    let row = codec::encode(&fresh)?;
                    batch.set(builtin::META, b"incarnation", Some(&row))?;
                    fresh
                }
            };
        }
        txn.commit().map_err(error::failed)?;
        Ok(incarnation)
    }

    /// Hands committed entries to readers.
    fn publish(&self, entries: Vec<Entry>) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        {
            let mut recent = self.recent.lock();
            recent.extend(entries.iter().cloned());
            let over = recent.len().saturating_sub(RECENT);
            recent.drain(..over);
        }
        self.head.send_replace(last);
        for entry in entries {
            // ok: nobody listens.
            let _ = self.live.send(entry);
        }
    }

    /// After a reopen that found more or fewer entries than were known.
    fn catch_up(&self, seq: u64) {
        self.recent.lock().clear();
        self.head.send_replace(seq);
    }
}
