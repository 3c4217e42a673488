//! Records on redb: write sets, indexes, the feed, consumers, blobs. Knows no feature.
//!
//! One writer thread per store. A write is answered after it is on disk. Each transaction that
//! changed something worth knowing appends one entry to the feed. Nothing outside this folder knows
//! redb, and nothing outside `codec.rs` the record codec.

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

/// The format of the file. A newer program upgrades it, an older one refuses it. One more for every
/// new table, index, sum or layout and every new event, actor or cause, since an older program could
/// not read them: a test holds what each format has (`tests/it/fixtures/formats`).
pub const FORMAT: u32 = 8;
/// The number of the record layouts on the wire between hosts.
pub const WIRE: u32 = 1;

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

/// What bounds a store. The program uses the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many writes may wait in a lane.
    pub queue: usize,
    /// How long a caller waits for a place in the queue.
    pub patience: Duration,
    /// How many entries are kept in memory.
    pub recent: usize,
    /// How long closures may run before the commit, and a consumer before others have their turn.
    pub turn: Duration,
    /// Quiet time before the commit that makes a later recovery cheap.
    pub quiet: Duration,
    /// A file that takes so many bytes more on the disk than twice what stands in it is compacted
    /// when it is opened.
    pub waste: u64,
    /// The page cache is given back after a burst in which more than so many bytes passed.
    pub resting: u64,
}

/// What takes long while a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It was not closed well: so many percent of its recovery are done.
    Recovering(u8),
    /// It takes far more room than it needs.
    Compacting,
}

/// Told what takes long while a store is opened.
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

impl Closer {
    /// Lets the writer finish what is queued and waits for it.
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
    /// Snapshots that this thread holds.
    static READING: Cell<usize> = const { Cell::new(0) };
}

impl Store {
    /// Opens the file, making it if need be, and starts its writer.
    ///
    /// # Errors
    /// When the file cannot be opened or was written by a newer program.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        Self::open_with(options, Limits::default())
    }

    /// As `open`, with other limits.
    pub fn open_with(options: Options, limits: Limits) -> Result<Self, StoreError> {
        Self::open_watched(options, limits, None)
    }

    /// As `open_with`, telling somebody what takes long.
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

    /// Finishes what is queued and closes the file. Whoever still holds a clone is refused then.
    /// The last clone that goes does this by itself.
    pub fn close(&self) {
        self.closer.close();
        // Whoever comes now is refused at once, not after the last long read has ended.
        self.shared.closing.store(true, Ordering::Relaxed);
        *self.shared.db.write() = None;
    }

    /// Gives the page cache another size. The file is opened anew for it between two writes, and
    /// readers wait that long: for rare moments, such as another store that wants its share. While a
    /// backup reads the store it waits for that.
    pub fn set_cache(&self, bytes: usize) {
        if self.shared.cache.swap(bytes, Ordering::Relaxed) != bytes {
            self.shared.queue.ask_to_resize();
        }
    }

    /// Runs a transaction in the first lane. The result arrives when it is on disk. Nothing happens before the
    /// first poll.
    ///
    /// # Errors
    /// What the body answers (then nothing was changed), or what the store says.
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

    /// As `write`, in a lane.
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

    /// As `write`, for threads outside the async runtime. Not inside a read: the writer may have
    /// to wait for that read to end.
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
        // The wait must not keep the store open: its last owner may close it meanwhile.
        drop(self);
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn submit_blocking(&self, actor: Actor, cause: Cause, body: Body) -> Result<(), StoreError> {
        self.refuse_nested()?;
        if READING.get() > 0 {
            return Err(StoreError::Nested);
        }
        let start = Instant::now();
        // Few threads wait here, and only while the queue is full. The runtime's timers are not at hand on all
        // of them.
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

    /// Reads on a snapshot, on the calling thread, without ever blocking the writer.
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
            let why = || StoreError::Failed("the file is being opened anew".to_owned());
            return Err(if closed { StoreError::Closed } else { why() });
        };
        let snap = Snap::of(open, shared).inspect_err(|_| shared.queue.ask_to_reopen())?;
        let _age = SnapshotAge::new(shared);
        body(&snap);
        if snap.broken() {
            // redb refuses everything now.
            shared.queue.ask_to_reopen();
        }
        Ok(())
    }

    /// Keeps the file open. A thread that reads inside a read must not queue behind the writer,
    /// which waits for that thread; everyone else does, so that the writer has its turn.
    fn hold(&self) -> RwLockReadGuard<'_, Option<Database>> {
        let db = &self.shared.db;
        if READING.get() > 0 {
            return db.read_recursive();
        }
        db.try_read().unwrap_or_else(|| aside(|| db.read()))
    }

    /// Waits until nobody has the whole file for themselves, for so long at most; says whether it came to
    /// that. Whoever may as well come again later need not stand behind what takes minutes.
    pub async fn is_at_hand(&self, within: Duration) -> bool {
        let mut whole = self.shared.whole.subscribe();
        let free = whole.wait_for(|whole| !whole);
        matches!(tokio::time::timeout(within, free).await, Ok(Ok(_)))
    }

    /// Whether somebody has the whole file for themselves: it is being made smaller, or checked.
    #[must_use]
    pub fn is_held_whole(&self) -> bool {
        *self.shared.whole.borrow()
    }

    /// Where the feed ends.
    #[must_use]
    pub fn head(&self) -> Cursor {
        let seq = *self.shared.head.borrow();
        Cursor { incarnation: self.incarnation(), seq }
    }

    /// Whether the feed of this life has come to a place. A snapshot shows an entry a moment before
    /// [`head`](Self::head) tells of it.
    pub fn knows(&self, place: Cursor) -> Result<bool, StoreError> {
        let head = self.head();
        if place.incarnation != head.incarnation {
            return Ok(false);
        }
        Ok(place.seq <= head.seq || place.seq <= self.read(|snap| snap.last_seq())?)
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

    /// The tables.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Drops columns that nobody has used for so long.
    pub fn drop_idle_columns(&self, idle: Duration) {
        self.shared.columns.drop_idle(idle);
    }

    /// Lets transactions know which blobs are being swept away.
    fn guard(&self, condemned: &Arc<blob::sweep::Condemned>) {
        self.shared.condemned.get_or_init(|| Arc::clone(condemned));
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
pub type Slot<T, E> = Arc<Mutex<Option<Result<T, E>>>>;

/// A transaction that was asked for: a future of its result. Dropping it before the first poll cancels the
/// transaction; later the transaction may still happen.
#[must_use = "nothing is written before the first poll"]
pub struct Pending<T, E> {
    done: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
    slot: Slot<T, E>,
}

impl<T, E> Pending<T, E> {
    /// A result that is in the slot once the work is done.
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

/// Waits on this thread, while what else the thread had to do goes on elsewhere.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// The writer fell before it could answer: it panicked in the middle of a batch.
fn unanswered() -> StoreError {
    StoreError::Unknown("the writer gave up in the middle".to_owned())
}

/// Counts a snapshot as long as it is read.
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
