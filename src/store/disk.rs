//! The file below redb: redb's own file backend, wrapped.
//!
//! It counts what is written, is the seam for fault injection in tests, and ends the process when
//! an fsync fails: what the kernel dropped then can never be written again, so nothing that the
//! program would do afterwards could be trusted.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::error::StoreError;

/// The exit code after a failed fsync.
pub const EXIT_SYNC_FAILED: i32 = 74;

/// The least that is always left free, in bytes.
const RESERVE: u64 = 256 * 1024 * 1024;

/// What is left free beside a store's file of so many bytes: a twentieth of it, and not less than
/// 256 MB.
#[must_use]
pub fn reserve(file: u64) -> u64 {
    RESERVE.max(file / 20)
}

/// A step by which files outside of a store's own take their place on a disk. What is written before it
/// may be lost with the power; their order is what makes them safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'p> {
    /// Everything below this folder is made durable.
    Settle(&'p Path),
    /// This file is made durable, with its times.
    Sync(&'p Path),
    /// The names in this folder are made durable.
    Names(&'p Path),
    /// The first gets the second for another name.
    Link(&'p Path, &'p Path),
    /// The first takes the name of the second.
    Rename(&'p Path, &'p Path),
}

/// What tests may do to a disk. In the program nothing is ever injected.
pub trait Faults: Send + Sync {
    /// Called before each read of so many bytes.
    ///
    /// # Errors
    /// What the disk is to answer.
    fn read(&self, _offset: u64, _len: usize) -> io::Result<()> {
        Ok(())
    }
    /// Called before each write of so many bytes.
    ///
    /// # Errors
    /// What the disk is to answer.
    fn write(&self, _offset: u64, _len: usize) -> io::Result<()> {
        Ok(())
    }
    /// How much of a write reaches the disk before it breaks off; none when it goes through.
    fn short(&self, _offset: u64, _len: usize) -> Option<usize> {
        None
    }
    /// Called before the file grows or shrinks.
    ///
    /// # Errors
    /// What the disk is to answer.
    fn set_len(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Called before each fsync.
    ///
    /// # Errors
    /// What the disk is to answer.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    /// Called before each step by which other files take their place.
    ///
    /// # Errors
    /// What the disk is to answer; the step is not done then.
    fn step(&self, _step: Step<'_>) -> io::Result<()> {
        Ok(())
    }
    /// Called when an fsync has failed, in place of ending the process.
    fn sync_failed(&self) {
        std::process::exit(EXIT_SYNC_FAILED);
    }
    /// Free bytes of the file system; the real figure by default.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        free_space(folder)
    }
    /// Free bytes and all bytes of the file system; the real figures by default.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    fn space(&self, folder: &Path) -> io::Result<(u64, u64)> {
        space(folder)
    }
}

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free for this process.
    pub free: u64,
    /// All.
    pub all: u64,
    /// Kept in reserve: below that, writes are refused.
    pub reserve: u64,
}

impl Room {
    /// Whether a tenth or less is free.
    #[must_use]
    pub fn is_low(self) -> bool {
        self.free <= self.all / 10
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.free < self.reserve
    }

    /// Lets pass what needs a write later, while writes are not refused.
    ///
    /// # Errors
    /// What a write would hear.
    pub fn check(self) -> Result<(), StoreError> {
        if self.is_full() { Err(full(self.free, self.reserve)) } else { Ok(()) }
    }
}

/// What a write hears that is refused for want of room; both in bytes.
pub(crate) fn full(free: u64, reserve: u64) -> StoreError {
    StoreError::Full { free_mb: free >> 20, reserve_mb: reserve >> 20 }
}

/// No faults.
pub struct NoFaults;

impl Faults for NoFaults {}

/// What a disk has done since the store was opened.
#[derive(Default, Debug)]
pub struct DiskCounters {
    /// Bytes read.
    pub read: AtomicU64,
    /// Bytes written.
    pub written: AtomicU64,
    /// fsyncs.
    pub syncs: AtomicU64,
    /// Whether the file was opened before in this process.
    opened: AtomicBool,
    dead: AtomicBool,
    /// What was last to be written did not fit.
    full: AtomicBool,
}

impl DiskCounters {
    /// Whether an fsync has failed. From then on nothing is written, whoever asks.
    #[must_use]
    pub fn sync_failed(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether something did not fit since this was asked the last time.
    pub(super) fn take_full(&self) -> bool {
        self.full.swap(false, Ordering::AcqRel)
    }

    /// Notes a write that did not fit: redb tells a full disk and a broken one alike.
    fn noting<T>(&self, done: io::Result<T>) -> io::Result<T> {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if done.as_ref().is_err_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded)) {
            self.full.store(true, Ordering::Release);
        }
        done
    }

    fn alive(&self) -> io::Result<()> {
        if self.sync_failed() {
            return Err(io::Error::other("an fsync failed before; nothing is written any more"));
        }
        Ok(())
    }
}

pub(super) struct Disk {
    file: FileBackend,
    faults: Arc<dyn Faults>,
    counters: Arc<DiskCounters>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    pub(super) fn open(
        path: &Path,
        faults: Arc<dyn Faults>,
        counters: Arc<DiskCounters>,
    ) -> Result<Self, redb::DatabaseError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        // After an fsync that failed in a former start the kernel may hold pages that are not on the disk: read anew.
        if !counters.opened.swap(true, Ordering::AcqRel) {
            // ok: only advice, and the first start has no file to speak of.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
        Ok(Self { file: FileBackend::new(file)?, faults, counters })
    }
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.faults.read(offset, out.len())?;
        self.counters.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.counters.alive()?;
        self.counters.noting(self.faults.set_len(len).and_then(|()| self.file.set_len(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counters.alive()?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        let done = self.faults.sync().and_then(|()| self.file.sync_data());
        if let Err(error) = &done {
            self.counters.dead.store(true, Ordering::Release);
            tracing::error!(%error, "an fsync failed; ending now, the next start reads the disk anew");
            self.faults.sync_failed();
        }
        done
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.counters.alive()?;
        self.counters.noting(self.faults.write(offset, data.len()))?;
        if let Some(len) = self.faults.short(offset, data.len()) {
            self.file.write(offset, &data[..len.min(data.len())])?;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.counters.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.counters.noting(self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

/// Free bytes for this process and all bytes of the file system of a folder.
fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let stat = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok((bytes(stat.f_bavail), bytes(stat.f_blocks)))
}

/// Free bytes for this process on the file system of a folder.
///
/// # Errors
/// When the folder cannot be looked at.
pub fn free_space(folder: &Path) -> io::Result<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
