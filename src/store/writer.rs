//! The one writer thread: group commit, two lanes, failure handling.
//!
//! It takes all that is queued within limits, runs each closure over a write set of its own, lays
//! the write sets into one redb transaction, commits once with an fsync, then answers everyone. No
//! timer: batches grow only under load.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Database, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::kernel::{Actor, Cause, Timestamp};

use super::Shared;
use super::batch::Batch;
use super::codec;
use super::error::{StoreError, failed};
use super::feed::{self, Change, Entry, Hash, Op};
use super::key::KeyBuf;
use super::read::Read;
use super::record::Class;
use super::schema::{Kind, builtin};
use super::tx::{Context, WriteSet, WriteTx};

/// How many closures one commit may hold.
const MAX_JOBS: usize = 256;
/// How many bytes of changes one commit may hold.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long closures may run before the commit.
const MAX_TIME: Duration = Duration::from_millis(20);
/// Quiet time before the commit that makes a later recovery cheap.
const QUIET: Duration = Duration::from_secs(1);

/// The body of a write: the typed result stays with the caller; false drops the changes.
pub(super) type Body = Box<dyn FnOnce(&mut WriteTx<'_>) -> bool + Send>;

/// Which queue a write stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// People, tools and the API.
    First,
    /// Consumers, imports, retention.
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
    pub first: VecDeque<Job>,
    pub second: VecDeque<Job>,
    pub closed: bool,
}

/// What the writer thread keeps to itself.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub seq: u64,
    pub hash: Hash,
    pub now: Timestamp,
    pub space_checked: Option<(Instant, u64)>,
    pub settled: bool,
}

enum Next {
    Job(Job),
    Nothing,
}

/// Jobs of the second lane taken into the present batch.
struct Taken {
    jobs: usize,
    second: usize,
}

/// Free space below the reserve, in bytes.
#[derive(Clone, Copy)]
struct Space {
    free: u64,
    reserve: u64,
}

impl Space {
    fn refusal(self) -> StoreError {
        StoreError::Full { free_mb: self.free >> 20, reserve_mb: self.reserve >> 20 }
    }
}

type Reply = (oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>);

struct Ran {
    replies: Vec<Reply>,
    entries: Vec<Entry>,
    changed: bool,
}

impl Writer {
    /// Works until the store is closed and the queues are empty.
    pub(super) fn run(mut self) {
        loop {
            let Some(first) = self.wait() else { return };
            match first {
                Next::Job(job) => self.batch(job),
                Next::Nothing => self.settle(),
            }
        }
    }

    /// The next job, `Nothing` after a quiet second, none when closed.
    fn wait(&self) -> Option<Next> {
        let mut lanes = self.shared.lanes.lock();
        loop {
            if let Some(job) = lanes.first.pop_front().or_else(|| lanes.second.pop_front()) {
                return Some(Next::Job(job));
            }
            if lanes.closed {
                return None;
            }
            if self.settled {
                self.shared.wake.wait(&mut lanes);
            } else if self.shared.wake.wait_for(&mut lanes, QUIET).timed_out() {
                return Some(Next::Nothing);
            }
        }
    }

    fn take(&self, taken: &mut Taken) -> Option<Job> {
        let mut lanes = self.shared.lanes.lock();
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

    /// An empty commit that halves the work of a recovery after a kill in quiet time.
    fn settle(&mut self) {
        self.settled = true;
        let db = self.shared.db.read();
        if let Some(db) = &*db {
            let done = db.begin_write().map_err(failed).and_then(|mut txn| {
                txn.set_quick_repair(true);
                txn.commit().map_err(failed)
            });
            if let Err(error) = done {
                tracing::warn!(%error, "the commit in quiet time failed");
            }
        }
    }

    fn batch(&mut self, first: Job) {
        self.settled = false;
        let full = self.out_of_space();
        let shared = Arc::clone(&self.shared);
        let db = shared.db.read();
        let Some(open) = &*db else {
            drop(db);
            self.reopen();
            return answer(first.reply, Err(StoreError::Failed("the file is not open".into())));
        };
        let txn = match open.begin_write() {
            Ok(txn) => txn,
            Err(error) => {
                drop(db);
                self.reopen();
                return answer(first.reply, Err(failed(error)));
            }
        };
        let (seq, hash) = (self.seq, self.hash);
        let ran = self.run_jobs(&txn, first, full);
        let outcome = match ran {
            Ok(ran) if !ran.changed => {
                // ok: nothing was changed, so nothing is lost by a failed abort.
                let _ = txn.abort();
                Ok(ran)
            }
            Ok(ran) => match txn.commit() {
                Ok(()) => Ok(ran),
                Err(error) => Err((ran.replies, StoreError::Unknown(error.to_string()))),
            },
            Err((replies, error)) => {
                // ok: the file is reopened below whatever the abort says.
                let _ = txn.abort();
                Err((replies, error))
            }
        };
        drop(db);
        match outcome {
            Ok(ran) => {
                self.shared.publish(ran.entries);
                for (reply, result) in ran.replies {
                    answer(reply, result);
                }
            }
            Err((replies, error)) => {
                tracing::error!(%error, "a commit failed; opening the file anew");
                (self.seq, self.hash) = (seq, hash);
                self.reopen();
                for (reply, _) in replies {
                    answer(reply, Err(again(&error)));
                }
            }
        }
    }

    fn run_jobs(
        &mut self,
        txn: &WriteTransaction,
        first: Job,
        full: Option<Space>,
    ) -> Result<Ran, (Vec<Reply>, StoreError)> {
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::new(txn, &shared.schema);
        let mut ran = Ran { replies: Vec::new(), entries: Vec::new(), changed: false };
        let (started, mut bytes) = (Instant::now(), 0);
        self.now = self.now.max(shared.clock.now());
        let mut taken = Taken { jobs: 1, second: 0 };
        let mut next = Some(first);
        while let Some(job) = next {
            let Job { actor, cause, body, reply, permit } = job;
            drop(permit);
            match self.run_one(&batch, actor, cause, body) {
                Ok(set) if set.rows.is_empty() && set.events.is_empty() => {
                    ran.replies.push((reply, Ok(())));
                }
                Ok(set) if full.is_some_and(|_| grows(&shared, cause, &set)) => {
                    let refusal = full.map_or(StoreError::Closed, Space::refusal);
                    ran.replies.push((reply, Err(refusal)));
                }
                Ok(set) => {
                    bytes += set
                        .rows
                        .iter()
                        .map(|(k, v)| k.1.len() + v.as_ref().map_or(0, Vec::len))
                        .sum::<usize>();
                    match self.apply(&mut batch, actor, cause, set) {
                        Ok((changed, entry)) => {
                            ran.changed |= changed;
                            ran.entries.extend(entry);
                            ran.replies.push((reply, Ok(())));
                        }
                        Err(error) => {
                            ran.replies.push((reply, Ok(())));
                            return Err((ran.replies, error));
                        }
                    }
                }
                Err(error @ StoreError::Failed(_)) => {
                    ran.replies.push((reply, Ok(())));
                    return Err((ran.replies, error));
                }
                Err(error) => ran.replies.push((reply, Err(error))),
            }
            let room =
                ran.replies.len() < MAX_JOBS && bytes < MAX_BYTES && started.elapsed() < MAX_TIME;
            next = if room { self.take(&mut taken) } else { None };
        }
        Ok(ran)
    }

    /// Runs one closure over a write set of its own. An error or a panic leaves nothing.
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
            seq: self.seq + 1,
            ids: &*shared.ids,
            schema: &shared.schema,
            reactor: shared.reactor.as_deref(),
        };
        let mut tx = WriteTx::new(batch, context);
        let done = catch_unwind(AssertUnwindSafe(move || {
            if body(&mut tx) { tx.finish() } else { Ok(WriteSet::default()) }
        }));
        done.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
    }

    /// Lays a write set into the batch and appends its entry to the feed.
    fn apply(
        &mut self,
        batch: &mut Batch<'_>,
        actor: Actor,
        cause: Cause,
        set: WriteSet,
    ) -> Result<(bool, Option<Entry>), StoreError> {
        let shared = Arc::clone(&self.shared);
        let seq = self.seq + 1;
        let mut any = false;
        let mut entry = Entry {
            seq,
            at: self.now.as_millisecond(),
            actor,
            cause,
            changes: Vec::new(),
            events: set.events,
            roots: Vec::new(),
            previous: self.hash,
            hash: [0; 32],
        };
        let mut images: Vec<(u16, Vec<u8>)> = Vec::new();
        for ((table, key), value) in &set.rows {
            let info = shared.schema.table(*table).ok_or(StoreError::UnknownTable(*table))?;
            let Kind::Record(class) = info.kind else {
                batch.set(*table, key, value.as_deref())?;
                any = true;
                continue;
            };
            let before = batch.raw_get(*table, key)?;
            let Some(op) = op(before.as_deref(), value.as_deref()) else { continue };
            batch.set(*table, key, value.as_deref())?;
            any = true;
            if !class.in_feed() {
                continue;
            }
            let n = u16::try_from(entry.changes.len()).unwrap_or(u16::MAX - 1);
            let change = Change {
                table: *table,
                key: key.clone(),
                op,
                before_rev: before.as_deref().map_or(Ok(0), |b| codec::unwrap(b).map(|p| p.1))?,
                hash: value.as_deref().map_or([0; 32], |v| feed::row_hash(*table, key, v)),
            };
            if let (Some(ops), Some(row)) = (&info.ops, value.as_deref().or(before.as_deref())) {
                feed::push_root(&mut entry.roots, (ops.root)(row), &change);
            }
            entry.changes.push(change);
            if class == Class::Tracked {
                tombstone(batch, *table, key, op, seq)?;
                images.extend(before.map(|image| (n, image)));
            }
        }
        if entry.changes.is_empty() && entry.events.is_empty() {
            return Ok((any, None));
        }
        let head = feed::encode_head(&mut entry)?;
        batch.set(builtin::FEED, &feed::head_key(seq, 0), Some(&head))?;
        for (n, image) in images {
            batch.set(builtin::FEED, &feed::head_key(seq, n + 1), Some(&image))?;
        }
        (self.seq, self.hash) = (seq, entry.hash);
        Ok((true, Some(entry)))
    }

    /// How much there is when the disk has less than the reserve.
    fn out_of_space(&mut self) -> Option<Space> {
        let fresh = |(at, _): &(Instant, u64)| at.elapsed() < Duration::from_secs(1);
        let shared = &self.shared;
        let free = match self.space_checked.filter(fresh) {
            Some((_, free)) => free,
            // A file system that cannot be asked is not a full one.
            None => shared.faults.free_space(&shared.folder).unwrap_or(u64::MAX),
        };
        if self.space_checked.filter(fresh).is_none() {
            self.space_checked = Some((Instant::now(), free));
        }
        let file = std::fs::metadata(&shared.path).map_or(0, |m| m.len());
        let reserve = shared.reserve.max(file / 20);
        if free >= reserve {
            return None;
        }
        // Below the reserve look each time, so that freed space counts at once.
        self.space_checked = None;
        Some(Space { free, reserve })
    }

    /// Opens the file anew after an I/O error: redb refuses every write until then.
    fn reopen(&mut self) {
        let mut db = self.shared.db.write();
        *db = None;
        match self.shared.open_database() {
            Ok((open, seq, hash)) => {
                *db = Some(open);
                let moved = seq != self.seq;
                (self.seq, self.hash) = (seq, hash);
                drop(db);
                if moved {
                    self.shared.catch_up(seq);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store's file does not open; trying again with the next write")
            }
        }
    }
}

/// Whether a write set adds to the file: below the reserve only deletes and retention run.
fn grows(shared: &Shared, cause: Cause, set: &WriteSet) -> bool {
    cause != Cause::Retention
        && set
            .rows
            .iter()
            .any(|((table, _), value)| value.is_some() && shared.schema.class(*table).is_some())
}

/// What happened to a row, if anything did.
fn op(before: Option<&[u8]>, after: Option<&[u8]>) -> Option<Op> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(Op::Insert),
        (Some(_), None) => Some(Op::Delete),
        (Some(b), Some(a)) => codec::differ(b, a).then_some(Op::Update),
    }
}

/// Marks where a deleted record's history begins, and clears the mark when it comes back.
fn tombstone(
    batch: &mut Batch<'_>,
    table: u16,
    key: &[u8],
    op: Op,
    seq: u64,
) -> Result<(), StoreError> {
    let mut at = KeyBuf::of(&table);
    at.raw(key);
    match op {
        Op::Delete => batch.set(builtin::TOMBSTONES, at.bytes(), Some(&seq.to_be_bytes())),
        Op::Insert if batch.raw_get(builtin::TOMBSTONES, at.bytes())?.is_some() => {
            batch.set(builtin::TOMBSTONES, at.bytes(), None)
        }
        Op::Insert | Op::Update => Ok(()),
    }
}

fn answer(reply: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    // ok: a caller that went away does not want its answer.
    let _ = reply.send(result);
}

fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unknown(text) => StoreError::Unknown(text.clone()),
        other => StoreError::Failed(other.to_string()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Opens the database and reads where its feed ends.
pub(super) fn last_entry(db: &Database, shared: &Shared) -> Result<(u64, Hash), StoreError> {
    let snap = super::Snap::new(db, &shared.schema)?;
    feed::last(&snap)
}
