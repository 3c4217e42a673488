//! The writer thread of a store: group commit, two lanes, failure handling.
//!
//! The thread takes all queued writes within limits, runs each closure over its own write set, applies the write sets
//! to one redb transaction, commits once with an fsync, then answers every caller. There is no batching timer: batches
//! grow only under load.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redb::WriteTransaction;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use kernel::{Actor, Cause, Timestamp};

use super::apply::{self, Ground};
use super::batch::Batch;
use super::disk;
use super::error::{StoreError, failed, panic_text};
use super::feed::{End, Entry};
use super::open::Shared;
use super::tx::{Context, WriteSet, WriteTx};
use super::upkeep::{self, Upkeep};

/// Maximum number of closures in one commit.
const MAX_JOBS: usize = 256;
/// Maximum bytes of changes in one commit.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Delay before another attempt to open a file that failed to open.
const RETRY: Duration = Duration::from_secs(1);
/// How long upkeep that needs the whole file yields to queued writes.
const UPKEEP_WAITS: Duration = Duration::from_secs(1);

/// The body of a write. The caller keeps the typed result; `false` discards the changes.
pub(super) type Body = Box<dyn FnOnce(&mut WriteTx<'_>) -> bool + Send>;

/// The queue that a write waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Writes of people, tools and the API.
    First,
    /// Writes of consumers, imports and retention. While the first lane is busy, they get a quarter of a batch.
    Second,
}

pub(super) struct Job {
    pub actor: Actor,
    pub cause: Cause,
    pub body: Body,
    pub reply: oneshot::Sender<Result<(), StoreError>>,
    pub permit: OwnedSemaphorePermit,
}

#[derive(Default)]
pub(super) struct Lanes {
    first: VecDeque<Job>,
    second: VecDeque<Job>,
    pub closed: bool,
    /// A reader found that redb refuses every call; the file must be reopened.
    broken: bool,
    /// When to reopen the file with a new page cache size.
    resize: Option<Instant>,
    /// Upkeep that needs the whole file, each with the time it was queued.
    upkeep: VecDeque<(Instant, Upkeep, upkeep::Reply)>,
}

/// The work queue of the writer. Uses the mutex and condvar of the standard library: a thread that only waits on them
/// allocates nothing, so an idle store costs almost no memory.
#[derive(Default)]
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

impl Queue {
    pub(super) fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, lane: Lane, job: Job) -> Result<(), StoreError> {
        let mut lanes = self.lock();
        if lanes.closed {
            return Err(StoreError::Closed);
        }
        match lane {
            Lane::First => lanes.first.push_back(job),
            Lane::Second => lanes.second.push_back(job),
        }
        drop(lanes);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn push_upkeep(&self, work: Upkeep, reply: upkeep::Reply) -> Result<(), StoreError> {
        let mut lanes = self.lock();
        if lanes.closed {
            return Err(StoreError::Closed);
        }
        lanes.upkeep.push_back((Instant::now(), work, reply));
        drop(lanes);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    pub(super) fn ask_to_reopen(&self) {
        self.lock().broken = true;
        self.wake.notify_one();
    }

    pub(super) fn ask_to_resize(&self) {
        self.lock().resize = Some(Instant::now());
        self.wake.notify_one();
    }

    /// Waits for a wake-up, at most for `span`; returns whether the wait timed out.
    fn wait<'q>(
        &self,
        lanes: MutexGuard<'q, Lanes>,
        span: Option<Duration>,
    ) -> (MutexGuard<'q, Lanes>, bool) {
        let Some(span) = span else {
            return (self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner), false);
        };
        let waited = self.wake.wait_timeout(lanes, span);
        let (lanes, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (lanes, timeout.timed_out())
    }
}

/// State that only the writer thread uses.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub end: End,
    pub now: Timestamp,
    pub space_checked: Option<(Instant, Option<Space>)>,
    /// Nothing was written since the commit of the last quiet period.
    pub settled: bool,
    pub open: bool,
}

enum Next {
    Job(Job),
    Quiet,
    Reopen,
    Resize,
    Upkeep(Upkeep, upkeep::Reply),
}

/// Number of jobs in the current batch, and how many of them are from the second lane.
struct Taken {
    jobs: usize,
    second: usize,
}

/// Free disk space below the reserve, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Space {
    free: u64,
    reserve: u64,
}

impl Space {
    fn refusal(self) -> StoreError {
        disk::full(self.free, self.reserve)
    }
}

type Reply = (oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>);

/// Replies and entries of the executed jobs. They are delivered after the commit.
#[derive(Default)]
struct Ran {
    replies: Vec<Reply>,
    entries: Vec<Entry>,
    changed: bool,
    bytes: usize,
}

/// The clock may be up to this many milliseconds behind the previous timestamp; timestamps then stand still until it
/// catches up.
const SMALL: i64 = 60 * 60 * 1000;

/// The timestamp of the next write. It never goes back, even across a restart, unless the previous timestamp is more
/// than an hour ahead of the clock: that clock was wrong, and everything scheduled would wait for as long.
pub(super) fn moment(last: Timestamp, clock: Timestamp) -> Timestamp {
    let near = last.as_millisecond().saturating_sub(clock.as_millisecond()) <= SMALL;
    if near { clock.max(last) } else { clock }
}

impl Writer {
    /// Works until the store is closed and the queues are empty.
    pub(super) fn run(mut self) {
        while let Some(next) = self.wait() {
            let done = catch_unwind(AssertUnwindSafe(|| match next {
                Next::Job(job) => self.batch(job),
                Next::Quiet => self.settle(),
                Next::Reopen => self.reopen(),
                Next::Resize => self.resize(),
                Next::Upkeep(work, reply) => self.upkeep(work, reply),
            }));
            // `run_one` catches panics of closures. This panic is ours or redb's, so redb's memory state is unusable.
            // The callers get `Unknown`.
            if let Err(panic) = done {
                tracing::error!(panic = panic_text(&*panic), "the writer panicked; opening anew");
                self.reopen();
            }
        }
    }

    /// Returns the next piece of work, or `None` when the store is closed and the queues are empty.
    fn wait(&mut self) -> Option<Next> {
        let mut lanes = self.shared.queue.lock();
        loop {
            if std::mem::take(&mut lanes.broken) && self.open {
                return Some(Next::Reopen);
            }
            let resize = lanes.resize.filter(|_| self.open && !lanes.closed);
            if resize.is_some_and(|at| at <= Instant::now()) {
                lanes.resize = None;
                return Some(Next::Resize);
            }
            // Under steady load the lanes are never empty.
            let waited = lanes.upkeep.front().map(|(since, ..)| since.elapsed());
            if waited.is_some_and(|waited| UPKEEP_WAITS <= waited)
                && let Some((_, work, reply)) = lanes.upkeep.pop_front()
            {
                return Some(Next::Upkeep(work, reply));
            }
            if let Some(job) = lanes.first.pop_front().or_else(|| lanes.second.pop_front()) {
                return Some(Next::Job(job));
            }
            if let Some((_, work, reply)) = lanes.upkeep.pop_front() {
                return Some(Next::Upkeep(work, reply));
            }
            if lanes.closed {
                return None;
            }
            let idle = match (self.open, self.settled) {
                (true, true) => None,
                (true, false) => Some(self.shared.limits.quiet),
                (false, _) => Some(RETRY),
            };
            let until_resize = resize.map(|at| at.saturating_duration_since(Instant::now()));
            let span = idle.into_iter().chain(until_resize).min();
            let (woken, passed) = self.shared.queue.wait(lanes, span);
            lanes = woken;
            if passed && span == idle {
                return Some(if self.open { Next::Quiet } else { Next::Reopen });
            }
        }
    }

    fn take(&self, taken: &mut Taken) -> Option<Job> {
        let mut lanes = self.shared.queue.lock();
        let crowded = !lanes.first.is_empty();
        let job = if crowded && (taken.second >= taken.jobs / 4 || lanes.second.is_empty()) {
            lanes.first.pop_front()
        } else {
            taken.second += 1;
            lanes.second.pop_front()
        };
        taken.jobs += 1;
        job
    }

    /// An empty commit that halves the work of a recovery if the process is killed in a quiet period.
    fn settle(&mut self) {
        self.settled = true;
        let done = self.begin().and_then(|mut txn| {
            txn.set_quick_repair(true);
            txn.commit().map_err(failed)
        });
        if let Err(error) = done {
            tracing::warn!(%error, "the commit in quiet time failed; opening the file anew");
            self.reopen();
        }
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        match &*self.shared.db.read() {
            // redb's memory state is unusable after an I/O error.
            Some(db) if self.open => db.begin_write().map_err(failed),
            _ => Err(StoreError::Failed("the file is not open".to_owned())),
        }
    }

    fn batch(&mut self, first: Job) {
        self.settled = false;
        self.shared.counters.take_full();
        let begun = self.begin().or_else(|_| {
            self.reopen();
            self.begin()
        });
        let txn = match begun {
            Ok(txn) => txn,
            Err(error) => {
                let refusal = self.no_room().unwrap_or(error);
                return answer(first.reply, Err(refusal));
            }
        };
        let full = self.out_of_space();
        let end = self.end;
        let mut ran = Ran::default();
        let outcome = self.run_jobs(&txn, first, full, &mut ran);
        let mut outcome = match outcome {
            Ok(()) if ran.changed => {
                txn.commit().map_err(|error| StoreError::Unknown(error.to_string()))
            }
            outcome => {
                let aborted = txn.abort();
                if aborted.is_err() && outcome.is_ok() {
                    // Nothing was to be written, so no reply depends on the abort.
                    self.shared.queue.ask_to_reopen();
                }
                outcome
            }
        };
        let has_news = if let Err(error) = &outcome {
            tracing::error!(%error, "a batch failed; opening the file anew");
            // A failure before the commit wrote nothing. A failure in the commit wrote nothing if the feed still ends
            // where it did.
            let is_ahead = matches!(error, StoreError::Failed(_));
            self.end = end;
            self.reopen();
            let is_nowhere =
                is_ahead || (self.open && self.end.seq == end.seq && !ran.entries.is_empty());
            if let Some(refusal) = self.no_room().filter(|_| is_nowhere) {
                outcome = Err(refusal);
            }
            false
        } else {
            self.shared.publish(ran.entries)
        };
        for (reply, result) in ran.replies {
            answer(
                reply,
                outcome.as_ref().map_or_else(|error| Err(clone_error(error)), |()| result),
            );
        }
        if has_news {
            self.shared.wake();
        }
    }

    /// Runs the first job and the jobs queued behind it. An error is a disk error: nothing of the batch may be kept.
    fn run_jobs(
        &mut self,
        txn: &WriteTransaction,
        first: Job,
        full: Option<Space>,
        ran: &mut Ran,
    ) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::new(txn, &shared.schema).noting(&shared.trails);
        let started = Instant::now();
        let mut taken = Taken { jobs: 1, second: 0 };
        let mut next = Some(first);
        while let Some(Job { actor, cause, body, reply, permit }) = next {
            drop(permit);
            // Jobs that join the batch later get a later timestamp.
            self.now = moment(self.now, shared.clock.now());
            let result = self.run_one(&batch, actor, cause, body);
            let result = result.and_then(|set| {
                if set.rows.is_empty() && set.events.is_empty() {
                    return Ok(());
                }
                if let Some(space) = full
                    && !apply::frees(&batch, &shared.schema, cause, &set)?
                {
                    return Err(space.refusal());
                }
                self.lay(&mut batch, actor, cause, set, ran)
            });
            // Applies even if the closure swallowed the error, because its reads may be wrong.
            let broken = batch.broken().then(|| match &result {
                Err(error @ StoreError::Failed(_)) => clone_error(error),
                _ => StoreError::Failed("the disk could not be read".to_owned()),
            });
            ran.replies.push((reply, result));
            if let Some(error) = broken {
                return Err(error);
            }
            let room = ran.replies.len() < MAX_JOBS
                && ran.bytes < MAX_BYTES
                && started.elapsed() < shared.limits.turn;
            next = if room { self.take(&mut taken) } else { None };
        }
        Ok(())
    }

    /// Runs one closure over its own write set. An error or a panic leaves no changes.
    fn run_one(
        &self,
        batch: &Batch<'_>,
        actor: Actor,
        cause: Cause,
        body: Body,
    ) -> Result<WriteSet, StoreError> {
        let shared = &self.shared;
        let context = Context {
            actor,
            cause,
            now: self.now,
            seq: self.end.seq + 1,
            ids: &*shared.ids,
            schema: &shared.schema,
            reactor: shared.reactor.as_deref(),
            condemned: shared.condemned.get().map(|list| &**list),
            trails: &shared.trails,
            turn: shared.limits.turn,
            unbounded: false,
        };
        let mut tx = WriteTx::new(batch, context);
        let done = catch_unwind(AssertUnwindSafe(move || {
            if body(&mut tx) { tx.finish() } else { Ok(WriteSet::default()) }
        }));
        done.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
    }

    fn lay(
        &mut self,
        batch: &mut Batch<'_>,
        actor: Actor,
        cause: Cause,
        set: WriteSet,
        ran: &mut Ran,
    ) -> Result<(), StoreError> {
        let length = |laid: &super::layer::Laid| laid.value.as_ref().map_or(0, Vec::len);
        ran.bytes += set.rows.rows().map(|(_, key, laid)| key.len() + length(laid)).sum::<usize>();
        let now = self.now.as_millisecond();
        let ground = Ground { schema: &self.shared.schema, end: self.end, now, actor, cause };
        let applied = apply::apply(batch, &ground, set)?;
        ran.changed |= applied.changed;
        if let Some(entry) = applied.entry {
            self.end = End { seq: entry.seq, hash: entry.hash, at: entry.at };
            ran.entries.push(entry);
        }
        Ok(())
    }

    /// The refusal for a write that did not fit although the space check had passed.
    fn no_room(&mut self) -> Option<StoreError> {
        let shared = &self.shared;
        if !shared.counters.take_full() {
            return None;
        }
        self.space_checked = None;
        let file = std::fs::metadata(&shared.path).map_or(0, |meta| meta.len());
        // ok: this file system has just refused a write, so treat an unknown size as zero.
        let free = shared.faults.free_space(&shared.folder).unwrap_or(0);
        Some(disk::full(free, disk::reserve(file)))
    }

    /// Free space and reserve when the disk has less than the reserve. Checks at most once a second, but on every call
    /// while the disk is full, so that freed space counts at once.
    fn out_of_space(&mut self) -> Option<Space> {
        if let Some((at, None)) = self.space_checked
            && at.elapsed() < Duration::from_secs(1)
        {
            return None;
        }
        let shared = &self.shared;
        // A file system that reports no size does not count as full.
        let free = shared.faults.free_space(&shared.folder).unwrap_or(u64::MAX);
        let file = std::fs::metadata(&shared.path).map_or(0, |m| m.len());
        let reserve = super::disk::reserve(file);
        let full = (free < reserve).then_some(Space { free, reserve });
        self.space_checked = Some((Instant::now(), full));
        full
    }

    /// Reopens the file after an I/O error; redb refuses every call until then.
    fn reopen(&mut self) {
        if let Err(error) = self.open_anew() {
            tracing::error!(%error, "the store's file does not open; trying again");
        }
    }

    /// Reopens the file and reads the end of the feed. After a failure the writer retries.
    pub(super) fn open_anew(&mut self) -> Result<(), StoreError> {
        self.open = false;
        self.end = self.shared.reopen()?;
        self.open = true;
        Ok(())
    }

    /// Reopens the file with the new page cache size. A long read postpones this.
    fn resize(&mut self) {
        match self.shared.reopen() {
            Ok(end) => self.end = end,
            Err(StoreError::Reading) => {
                self.shared.queue.lock().resize.get_or_insert(Instant::now() + RETRY);
            }
            Err(error) => {
                self.open = false;
                tracing::error!(%error, "the store's file does not open; trying again");
            }
        }
    }
}

fn answer(reply: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    // ok: the caller is gone and needs no reply.
    let _ = reply.send(result);
}

fn clone_error(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unknown(text) => StoreError::Unknown(text.clone()),
        StoreError::Failed(text) => StoreError::Failed(text.clone()),
        StoreError::Full { free_mb, reserve_mb } => {
            StoreError::Full { free_mb: *free_mb, reserve_mb: *reserve_mb }
        }
        other => StoreError::Failed(other.to_string()),
    }
}
