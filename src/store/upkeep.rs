//! What needs the whole file: compaction, and redb's own check. Both run on the writer's thread, with
//! nobody reading; everybody else waits. While a backup reads the store they are refused: everybody
//! else would wait for the end of the backup.

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

/// So few reads and commits between two looks are quiet.
const FEW: u64 = 300;

/// What is to be done with the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// Make it as small as it can be.
    Compact,
    /// Let redb look at every page.
    Check,
}

/// What came of it.
pub(super) enum Done {
    Compacted(Compacted),
    /// Whether the file was sound; if not, it was repaired.
    Checked(bool),
}

pub(super) type Reply = oneshot::Sender<Result<Done, StoreError>>;

/// The length of a file, and what it takes on the disk.
fn size(path: &Path) -> (u64, u64) {
    std::fs::metadata(path).map_or((0, 0), |meta| (meta.len(), meta.blocks() * 512))
}

/// Makes a file as small as it can be and notes when that was.
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
    // What is left is what is in use, and what redb keeps to grow into.
    batch.set(builtin::META, IN_USE, Some(&codec::encode(&done.after)?))?;
    drop(batch);
    txn.commit().map_err(failed)?;
    tracing::info!(before, after = done.after, took_ms = done.took_ms, "compacted the store");
    Ok(done)
}

impl Shared {
    /// Compacts a file that is about to be used, if it takes far more than what stands in it.
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
    /// Does something with the whole file; the file is opened anew if that fails.
    pub(super) fn upkeep(&mut self, work: Upkeep, reply: Reply) {
        self.shared.whole.send_replace(true);
        let mut done = self.work_alone(work);
        if let Ok(Done::Checked(false)) = done {
            // The repair may have gone back to the commit before: the next entry has to follow from
            // the one that is there.
            done = self.open_anew().map(|()| Done::Checked(false));
        }
        self.shared.whole.send_replace(false);
        if !matches!(done, Err(StoreError::Reading)) {
            self.settled = false;
            if done.is_err() {
                self.shared.queue.ask_to_reopen();
            }
        }
        // ok: a caller that went away does not want its answer.
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

    /// Makes the file as small as it can be. Everybody else waits meanwhile. Blocking.
    ///
    /// # Errors
    /// When the disk fails, or `Reading` while somebody reads for long.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        match self.ask(Upkeep::Compact)? {
            Done::Compacted(done) => Ok(done),
            Done::Checked(_) => Err(StoreError::Closed),
        }
    }

    /// Lets redb look at every page; says whether all was well. What was not is repaired. Everybody
    /// else waits meanwhile. Blocking.
    ///
    /// # Errors
    /// `Damaged` when it could not be repaired, `Lost` when the repair cost entries that were
    /// acknowledged, or `Reading` while somebody reads for long.
    pub fn check(&self) -> Result<bool, StoreError> {
        match self.ask(Upkeep::Check)? {
            Done::Checked(sound) => Ok(sound),
            Done::Compacted(_) => Err(StoreError::Closed),
        }
    }

    /// The length of the file, and what it takes on the disk.
    #[must_use]
    pub fn file_size(&self) -> (u64, u64) {
        size(&self.shared.path)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The page cache in bytes.
    #[must_use]
    pub fn cache_size(&self) -> usize {
        self.shared.cache.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Gives the memory of the page cache back after a burst: the file is opened anew when little was read between three
    /// calls in a row. To be called every twenty seconds or so. Pages that are needed again come from the cache of the
    /// kernel, which gives way to programs.
    pub fn rest(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let shared = &self.shared;
        let disk = &shared.counters;
        let mut looked = shared.looked.lock();
        let reads = shared.next_snapshot.load(Relaxed) + disk.syncs.load(Relaxed);
        let bytes = disk.read.load(Relaxed) + disk.written.load(Relaxed);
        let is_quiet = reads - looked.reads < FEW;
        // What has passed since the file was opened is what its cache may hold.
        let rests = is_quiet && looked.is_quiet && shared.limits.resting < bytes - looked.opened;
        let opened = if rests { bytes } else { looked.opened };
        *looked = Looked { reads, is_quiet: is_quiet && !rests, opened };
        drop(looked);
        if rests {
            shared.queue.ask_to_resize();
        }
    }

    /// Transactions with an entry a second, over the last minute.
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

    /// Room on the disk: free, all, and what is kept in reserve.
    #[must_use]
    pub fn room(&self) -> Option<super::disk::Room> {
        let shared = &self.shared;
        // ok: a file system that cannot be asked is shown as unknown.
        let (free, all) = shared.faults.space(&shared.folder).ok()?;
        let reserve = super::disk::reserve(self.file_size().0);
        Some(super::disk::Room { free, all, reserve })
    }

    /// Remembers what is in use, so that the next start knows whether the file is worth compacting.
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
