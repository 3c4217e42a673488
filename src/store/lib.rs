//! Records on redb: write sets, indexes, the feed, consumers, blobs. Knows no noun.
//!
//! Each store has one writer thread. A write is answered after its fsync. Each transaction with a change that belongs
//! in the feed appends one entry. Only this package uses redb, and only `codec.rs` uses the record codec.

#![warn(missing_docs)]

mod ahead;
mod apply;
mod attempt;
pub mod audit;
mod batch;
pub mod blob;
pub mod codec;
pub mod columns;
pub mod consumer;
mod delete;
pub mod disk;
pub mod doctor;
pub mod dump;
mod error;
pub mod feed;
pub mod keep;
pub mod history;
pub mod range;
mod layer;
pub mod migrate;
pub mod mirror;
pub mod once;
mod open;
pub mod read;
pub mod record;
mod rehearse;
mod remake;
pub mod schema;
pub mod stats;
mod tx;
mod upkeep;
pub mod verify;
pub mod undo;
mod writer;

use std::cell::Cell;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll, ready};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLockReadGuard};
use redb::Database;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{broadcast, oneshot, watch};

use kernel::id::IdSource;
use kernel::{Actor, Cause, Clock};

pub use ahead::{Ahead, Noting};
pub use batch::Snap;
pub use blob::{BlobId, Blobs};
pub use codec::DecodeError;
pub use disk::{DiskCounters, Faults, NoFaults, Room, Step, free_space as free_of};
pub use error::StoreError;
pub use feed::{Change, Cursor, Entry, Op};
pub use open::expects_panic;
pub use range::Range;
pub use read::{Hit, Read, ReadExt, cursor_key, key_cursor};
pub use record::{
    BlobRefs, Class, Count, Counts, Index, Keys, OnDelete, Record, Reference, Refs, Root, Table,
};
pub use rehearse::Size;
pub use schema::{Kind, Schema};
pub use tx::{ReactionError, Reactor, WriteTx};
pub use writer::Lane;

use open::Shared;
use writer::{Body, Job, Writer};

/// The file format. A newer program upgrades an older file; an older program refuses a newer file. Raise the number for
/// every new table, index, sum, layout, event, actor or cause, because older programs cannot read them. A test compares
/// the contents of each format (`tests/it/fixtures/formats`).
pub const FORMAT: u32 = 8;
/// Version of the record layouts on the wire between hosts.
pub const WIRE: u32 = 1;

/// Parameters for opening a store.
pub struct Options {
    /// Path of the redb file.
    pub path: PathBuf,
    /// All tables of the store.
    pub schema: Schema,
    /// Page cache in bytes.
    pub cache: usize,
    /// Clock that timestamps are taken from.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdSource>,
    /// Reactions to events.
    pub reactor: Option<Arc<Reactor>>,
    /// Injected faults; none in production.
    pub faults: Arc<dyn Faults>,
}

/// Limits of a store. The program uses the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of writes that wait in a lane.
    pub queue: usize,
    /// How long a caller waits for a place in the queue.
    pub patience: Duration,
    /// Maximum number of entries kept in memory.
    pub recent: usize,
    /// How long closures may run before the commit, and how long a consumer may run before it yields.
    pub turn: Duration,
    /// Idle time before the commit that makes a later recovery cheap.
    pub quiet: Duration,
    /// A file that exceeds twice its contents by more than this many bytes is compacted when it is opened.
    pub waste: u64,
    /// The page cache is released after a burst that read and wrote more than this many bytes.
    pub resting: u64,
}

/// Slow phases of opening a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Recovery after an unclean shutdown, with its progress in percent.
    Recovering(u8),
    /// Compaction of a file that is far larger than its contents.
    Compacting,
}

/// Callback for slow phases of opening a store.
pub type OpenProgress = dyn Fn(Opening) + Send + Sync;

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 1024,
            patience: Duration::from_secs(5),
            recent: 1024,
            turn: Duration::from_millis(20),
            quiet: Duration::from_secs(1),
            waste: 256 * 1024 * 1024,
            resting: 24 * 1024 * 1024,
        }
    }
}

/// One open store. Cheap to clone; closed when the last clone is dropped.
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

impl Closer {
    /// Lets the writer finish queued work and waits for it.
    fn close(&self) {
        self.shared.queue.close();
        if std::thread::current().id() != self.id
            && let Some(thread) = self.thread.lock().take()
        {
            // ok: a panic of the writer thread was logged where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.close();
    }
}

thread_local! {
    /// Number of snapshots that this thread holds.
    static READING: Cell<usize> = const { Cell::new(0) };
}

impl Store {
    /// Opens the file, creates it if needed, and starts its writer thread.
    ///
    /// # Errors
    /// [`StoreError::Format`] when a program of another format wrote the file; [`StoreError::Damaged`] when the file is
    /// damaged.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        Self::open_with(options, Limits::default())
    }

    /// Like [`open`](Self::open), with other limits.
    pub fn open_with(options: Options, limits: Limits) -> Result<Self, StoreError> {
        Self::open_watched(options, limits, None)
    }

    /// Like [`open_with`](Self::open_with); reports slow phases to `onlooker`.
    pub fn open_watched(
        options: Options,
        limits: Limits,
        onlooker: Option<Arc<OpenProgress>>,
    ) -> Result<Self, StoreError> {
        let mut shared = Shared::new(options, limits);
        shared.onlooker = onlooker;
        Self::start(shared)
    }

    fn start(shared: Shared) -> Result<Self, StoreError> {
        let shared = Arc::new(shared);
        let end = shared.open()?;
        let last = kernel::time::from_ms(end.at);
        let writer = Writer {
            now: writer::moment(last, shared.clock.now()),
            shared: Arc::clone(&shared),
            end,
            space_checked: None,
            settled: true,
            open: true,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(error::failed)?;
        let id = thread.thread().id();
        let closer = Closer { shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)), id };
        Ok(Self { shared, closer: Arc::new(closer) })
    }

    /// Finishes queued work and closes the file. Remaining clones are refused afterwards. Dropping the last clone does
    /// the same.
    pub fn close(&self) {
        self.closer.close();
        // Refuse new readers at once, not after the last long read has ended.
        self.shared.closing.store(true, Ordering::Relaxed);
        *self.shared.db.write() = None;
    }

    /// Changes the size of the page cache. The file is reopened between two writes, and readers wait for that, so call
    /// this rarely. The change waits while a backup reads the store.
    pub fn set_cache(&self, bytes: usize) {
        if self.shared.cache.swap(bytes, Ordering::Relaxed) != bytes {
            self.shared.queue.ask_to_resize();
        }
    }

    /// Runs a transaction in the first lane. The result arrives after the commit is durable. Nothing happens before the
    /// first poll.
    ///
    /// # Errors
    /// The error of the body, with nothing changed, or an error of the store.
    pub fn write<T, E>(
        &self,
        actor: Actor,
        cause: Cause,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write_in(Lane::First, actor, cause, body)
    }

    /// Like [`write`](Self::write), in the given lane.
    pub fn write_in<T, E>(
        &self,
        lane: Lane,
        actor: Actor,
        cause: Cause,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (body, slot) = box_body(body);
        Pending { done: Box::pin(self.clone().submit(lane, actor, cause, body)), slot }
    }

    /// Like [`write`](Self::write), for threads outside the async runtime; blocks. Refused inside a read, because the
    /// writer may have to wait for that read to end.
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
        let (body, slot) = box_body(body);
        self.submit_blocking(actor, cause, body)?;
        slot.lock().take().unwrap_or_else(|| Err(unanswered().into()))
    }

    async fn submit(
        self,
        lane: Lane,
        actor: Actor,
        cause: Cause,
        body: Body,
    ) -> Result<(), StoreError> {
        self.refuse_nested()?;
        let permit = Arc::clone(self.shared.places(lane)).acquire_owned();
        let permit = tokio::time::timeout(self.shared.limits.patience, permit)
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(lane, Job { actor, cause, body, reply, permit })?;
        // A waiting caller must not keep the store open: the last owner may close it meanwhile.
        drop(self);
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn submit_blocking(&self, actor: Actor, cause: Cause, body: Body) -> Result<(), StoreError> {
        self.refuse_nested()?;
        if READING.get() > 0 {
            return Err(StoreError::Nested);
        }
        let start = Instant::now();
        // Few threads wait here, and only while the queue is full. Not all of them can reach the runtime's timers.
        let permit = loop {
            match Arc::clone(self.shared.places(Lane::First)).try_acquire_owned() {
                Ok(permit) => break permit,
                Err(_) if start.elapsed() > self.shared.limits.patience => {
                    return Err(StoreError::Busy);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Lane::First, Job { actor, cause, body, reply, permit })?;
        answer.blocking_recv().unwrap_or_else(|_| Err(unanswered()))
    }

    fn refuse_nested(&self) -> Result<(), StoreError> {
        if std::thread::current().id() == self.closer.id {
            return Err(StoreError::Nested);
        }
        Ok(())
    }

    /// Reads from a snapshot on the calling thread. Never blocks the writer.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Snap<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (mut body, mut result) = (Some(body), None);
        self.with_snapshot(&mut |snap| result = body.take().map(|body| body(snap)))?;
        result.unwrap_or_else(|| Err(StoreError::Closed.into()))
    }

    fn with_snapshot(&self, body: &mut dyn FnMut(&Snap<'_>)) -> Result<(), StoreError> {
        self.refuse_nested()?;
        let shared = &self.shared;
        if shared.closing.load(Ordering::Relaxed) {
            return Err(StoreError::Closed);
        }
        let db = self.hold();
        let Some(open) = &*db else {
            let closed = shared.queue.lock().closed;
            let why = || StoreError::Failed("the file is being opened again".to_owned());
            return Err(if closed { StoreError::Closed } else { why() });
        };
        let snap = Snap::of(open, shared).inspect_err(|_| shared.queue.ask_to_reopen())?;
        let _age = SnapshotAge::new(shared);
        body(&snap);
        if snap.broken() {
            // redb refuses every call from now on.
            shared.queue.ask_to_reopen();
        }
        Ok(())
    }

    /// Keeps the file open. A thread that reads inside a read must not queue behind the writer, which waits for that
    /// thread. Other threads queue, so that the writer gets its turn.
    fn hold(&self) -> RwLockReadGuard<'_, Option<Database>> {
        let db = &self.shared.db;
        if READING.get() > 0 {
            return db.read_recursive();
        }
        db.try_read().unwrap_or_else(|| aside(|| db.read()))
    }

    /// Waits until nothing uses the whole file exclusively, at most for `within`; returns `false` after that time.
    /// Callers that can retry later avoid waiting minutes behind upkeep.
    pub async fn is_at_hand(&self, within: Duration) -> bool {
        let mut whole = self.shared.whole.subscribe();
        let free = whole.wait_for(|whole| !whole);
        matches!(tokio::time::timeout(within, free).await, Ok(Ok(_)))
    }

    /// Returns `true` while the whole file is in exclusive use for compaction or a check.
    #[must_use]
    pub fn is_held_whole(&self) -> bool {
        *self.shared.whole.borrow()
    }

    /// The end of the feed.
    #[must_use]
    pub fn head(&self) -> Cursor {
        let seq = *self.shared.head.borrow();
        Cursor { incarnation: self.incarnation(), seq }
    }

    /// Whether the feed of the current incarnation has reached `place`. A snapshot shows an entry slightly before
    /// [`head`](Self::head) does.
    pub fn knows(&self, place: Cursor) -> Result<bool, StoreError> {
        let head = self.head();
        if place.incarnation != head.incarnation {
            return Ok(false);
        }
        Ok(place.seq <= head.seq || place.seq <= self.read(|snap| snap.last_seq())?)
    }

    /// Random number of the file's current incarnation.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.shared.incarnation.load(Ordering::Relaxed)
    }

    /// Wakes durable readers; the value is the number of the last entry.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// Entries as they are committed. Lossy: a receiver that lags must read the feed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.shared.live.subscribe()
    }

    /// Up to `limit` entries after `seq`, oldest first.
    pub fn entries_after(&self, seq: u64, limit: usize) -> Result<Vec<Arc<Entry>>, StoreError> {
        if let Some(entries) = self.shared.recent.lock().after(seq, limit) {
            return Ok(entries);
        }
        if seq >= *self.shared.head.borrow() {
            return Ok(Vec::new());
        }
        self.read(|snap| {
            let entries = feed::entries(snap, &self.shared.schema, seq, limit)?;
            Ok(entries.into_iter().map(Arc::new).collect())
        })
    }

    /// All tables of the store.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Drops in-memory columns that were unused for `idle`.
    pub fn drop_idle_columns(&self, idle: Duration) {
        self.shared.columns.drop_idle(idle);
    }

    /// Makes the list of blobs under deletion visible to transactions.
    fn guard(&self, condemned: &Arc<blob::sweep::Condemned>) {
        self.shared.condemned.get_or_init(|| Arc::clone(condemned));
    }

    /// I/O counters of the file.
    #[must_use]
    pub fn counters(&self) -> &DiskCounters {
        &self.shared.counters
    }

    /// The age of the oldest open snapshot.
    #[must_use]
    pub fn oldest_snapshot(&self) -> Option<Duration> {
        self.shared.snapshots.lock().values().next().map(Instant::elapsed)
    }
}

/// Where a body stores its typed result for the caller.
pub type Slot<T, E> = Arc<Mutex<Option<Result<T, E>>>>;

/// A future of a transaction's result. Dropping it before the first poll cancels the transaction; after that the
/// transaction may still happen.
#[must_use = "nothing is written before the first poll"]
pub struct Pending<T, E> {
    done: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
    slot: Slot<T, E>,
}

impl<T, E> Pending<T, E> {
    /// Wraps `done`, which must fill `slot` before it completes.
    pub fn new(
        done: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
        slot: Slot<T, E>,
    ) -> Self {
        Self { done, slot }
    }
}

impl<T, E: From<StoreError>> Future for Pending<T, E> {
    type Output = Result<T, E>;
    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        ready!(self.done.as_mut().poll(context))?;
        Poll::Ready(self.slot.lock().take().unwrap_or_else(|| Err(unanswered().into())))
    }
}

/// Boxes a body whose typed result is stored in a slot of the caller.
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

/// Waits on this thread after moving the thread's other tasks elsewhere.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// The reply channel closed without a reply: the writer panicked in the middle of a batch.
fn unanswered() -> StoreError {
    StoreError::Unknown("the writer gave up in the middle".to_owned())
}

/// Registers a snapshot while it is open.
struct SnapshotAge<'s> {
    shared: &'s Shared,
    number: u64,
}

impl<'s> SnapshotAge<'s> {
    fn new(shared: &'s Shared) -> Self {
        let number = shared.next_snapshot.fetch_add(1, Ordering::Relaxed);
        shared.snapshots.lock().insert(number, Instant::now());
        READING.set(READING.get() + 1);
        Self { shared, number }
    }
}

impl Drop for SnapshotAge<'_> {
    fn drop(&mut self) {
        READING.set(READING.get() - 1);
        self.shared.snapshots.lock().remove(&self.number);
    }
}
