//! Exclusive operations on the whole file: compaction and redb's integrity check. They run on the writer's thread while
//! readers and writers wait. A long read, such as a backup, makes them fail, so that nobody waits for its end.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::Database;
use tokio::sync::oneshot;

use super::batch::Batch;
use super::error::{StoreError, failed};
use super::open::{Looked, Shared};
use super::schema::builtin;
use super::stats::{COMPACTED, Compacted, IN_USE, StoreStats};
use super::writer::Writer;
use super::{READING, Store, codec};

/// Fewer reads and commits than this between two checks count as quiet.
const FEW: u64 = 300;

/// An exclusive operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// Compact the file.
    Compact,
    /// Let redb check every page.
    Check,
}

/// The result of an exclusive operation.
pub(super) enum Done {
    Compacted(Compacted),
    /// Whether the file was intact; if not, it was repaired.
    Checked(bool),
}

pub(super) type Reply = oneshot::Sender<Result<Done, StoreError>>;

/// The length of a file and its size on disk.
fn size(path: &Path) -> (u64, u64) {
    std::fs::metadata(path).map_or((0, 0), |meta| (meta.len(), meta.blocks() * 512))
}

/// Compacts a file and records the time.
fn compact(shared: &Shared, db: &mut Database) -> Result<Compacted, StoreError> {
    let (started, (_, before)) = (Instant::now(), size(&shared.path));
    db.compact().map_err(failed)?;
    let done = Compacted {
        at: shared.clock.now_ms(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        before,
        after: size(&shared.path).1,
    };
    let txn = db.begin_write().map_err(failed)?;
    let mut batch = Batch::new(&txn, &shared.schema);
    batch.set(builtin::META, COMPACTED, Some(&codec::encode(&done)?))?;
    // What remains is in use, or is kept by redb for growth.
    batch.set(builtin::META, IN_USE, Some(&codec::encode(&done.after)?))?;
    drop(batch);
    txn.commit().map_err(failed)?;
    tracing::info!(before, after = done.after, took_ms = done.took_ms, "compacted the store");
    Ok(done)
}

impl Shared {
    /// Compacts a file before use if it is far larger than its contents.
    pub(super) fn compact_if_wasteful(
        &self,
        db: &mut Database,
        in_use: Option<u64>,
    ) -> Result<(), StoreError> {
        let on_disk = size(&self.path).1;
        let is_wasteful = in_use.is_some_and(|n| on_disk > n.saturating_mul(2) + self.limits.waste);
        if is_wasteful {
            self.tell(super::Opening::Compacting);
            compact(self, db)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Runs an exclusive operation; after a failure the file is reopened.
    pub(super) fn upkeep(&mut self, work: Upkeep, reply: Reply) {
        self.shared.whole.send_replace(true);
        let mut done = self.work_alone(work);
        if let Ok(Done::Checked(false)) = done {
            // The repair may have restored the previous commit; the next entry must follow the last one that exists.
            done = self.open_anew().map(|()| Done::Checked(false));
        }
        self.shared.whole.send_replace(false);
        if !matches!(done, Err(StoreError::Reading)) {
            self.settled = false;
            if done.is_err() {
                self.shared.queue.ask_to_reopen();
            }
        }
        // ok: the caller is gone and needs no reply.
        let _ = reply.send(done);
    }

    fn work_alone(&self, work: Upkeep) -> Result<Done, StoreError> {
        let shared = &self.shared;
        let mut slot = shared.alone()?;
        let gone = || StoreError::Failed("the file is not open".to_owned());
        let db = slot.as_mut().ok_or_else(gone)?;
        match work {
            Upkeep::Compact => compact(shared, db).map(Done::Compacted),
            Upkeep::Check => db.check_integrity().map(Done::Checked).map_err(|error| {
                let name = shared.path.display();
                StoreError::Damaged(format!("{name} is damaged and could not be repaired: {error}"))
            }),
        }
    }
}

impl Store {
    fn ask(&self, work: Upkeep) -> Result<Done, StoreError> {
        self.refuse_nested()?;
        if READING.get() > 0 {
            return Err(StoreError::Nested);
        }
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push_upkeep(work, reply)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Compacts the file. Readers and writers wait. Blocking.
    ///
    /// # Errors
    /// `Reading` during a long read.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        match self.ask(Upkeep::Compact)? {
            Done::Compacted(done) => Ok(done),
            Done::Checked(_) => Err(StoreError::Closed),
        }
    }

    /// Lets redb check every page and repair what it can; returns whether the file was intact. Readers and writers
    /// wait. Blocking.
    ///
    /// # Errors
    /// `Damaged` when the repair failed, `Lost` when it cost acknowledged entries, `Reading` during a long read.
    pub fn check(&self) -> Result<bool, StoreError> {
        match self.ask(Upkeep::Check)? {
            Done::Checked(sound) => Ok(sound),
            Done::Compacted(_) => Err(StoreError::Closed),
        }
    }

    /// The length of the file and its size on disk.
    #[must_use]
    pub fn file_size(&self) -> (u64, u64) {
        size(&self.shared.path)
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Size of the page cache in bytes.
    #[must_use]
    pub fn cache_size(&self) -> usize {
        self.shared.cache.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Releases the memory of the page cache after a burst: reopens the file once two consecutive calls found little
    /// activity. Call this about every 20 seconds. Pages needed again come from the kernel's page cache, which yields
    /// to programs.
    pub fn rest(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let shared = &self.shared;
        let disk = &shared.counters;
        let mut looked = shared.looked.lock();
        let reads = shared.next_snapshot.load(Relaxed) + disk.syncs.load(Relaxed);
        let bytes = disk.read.load(Relaxed) + disk.written.load(Relaxed);
        let is_quiet = reads - looked.reads < FEW;
        // All bytes since the file was opened may be in its cache.
        let rests = is_quiet && looked.is_quiet && shared.limits.resting < bytes - looked.opened;
        let opened = if rests { bytes } else { looked.opened };
        *looked = Looked { reads, is_quiet: is_quiet && !rests, opened };
        drop(looked);
        if rests {
            shared.queue.ask_to_resize();
        }
    }

    /// Transactions with a feed entry per second, averaged over the last minute.
    #[must_use]
    pub fn writes_per_second(&self) -> f64 {
        let rate = self.shared.rate.lock();
        let minute = Duration::from_secs(60);
        let Some((at, seq)) = rate.iter().find(|(at, _)| at.elapsed() <= minute) else {
            return 0.0;
        };
        let head = *self.shared.head.borrow();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let entries = head.saturating_sub(*seq) as f64;
        entries / at.elapsed().as_secs_f64().max(1.0)
    }

    /// Disk space: free, total and reserve.
    #[must_use]
    pub fn room(&self) -> Option<super::disk::Room> {
        let shared = &self.shared;
        // ok: a file system that reports no size is shown as unknown.
        let (free, all) = shared.faults.space(&shared.folder).ok()?;
        let reserve = super::disk::reserve(self.file_size().0);
        Some(super::disk::Room { free, all, reserve })
    }

    /// Stores the size in use, so that the next start can decide about compaction.
    pub async fn remember(&self, stats: &StoreStats) -> Result<(), StoreError> {
        use kernel::{Actor, Cause, Part};
        let row = codec::encode(&stats.in_use())?;
        let by = Actor::System(Part::Timer);
        self.write_in(super::Lane::Second, by, Cause::Retention, move |tx| {
            tx.set(builtin::META, IN_USE.to_vec(), Some(row))
        })
        .await
    }
}
