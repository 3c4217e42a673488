//! The file under redb: a wrapper of redb's file backend.
//!
//! It counts reads and writes, lets tests inject faults, and ends the process when an fsync fails: the kernel may have
//! dropped those pages, so the state of the file is unknown.

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

/// Exit code after a failed fsync.
pub const EXIT_SYNC_FAILED: i32 = 74;

/// Minimum free space in bytes.
const RESERVE: u64 = 256 * 1024 * 1024;

/// The free space to keep beside a store file of `file` bytes: a twentieth of it, at least 256 MB.
#[must_use]
pub fn reserve(file: u64) -> u64 {
    RESERVE.max(file / 20)
}

/// A step in the atomic replacement of files outside of a store. Unsynced writes may be lost in a power failure; the
/// order of the steps makes that safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'p> {
    /// Sync everything below this folder.
    Settle(&'p Path),
    /// Sync this file and its timestamps.
    Sync(&'p Path),
    /// Sync the names in this folder.
    Names(&'p Path),
    /// Create a hard link: existing file, new name.
    Link(&'p Path, &'p Path),
    /// Rename the first path to the second.
    Rename(&'p Path, &'p Path),
}

/// Fault injection for tests. The program never injects faults.
pub trait Faults: Send + Sync {
    /// Called before each read.
    ///
    /// # Errors
    /// The error that the disk is to return.
    fn read(&self, _offset: u64, _len: usize) -> io::Result<()> {
        Ok(())
    }
    /// Called before each write.
    ///
    /// # Errors
    /// The error that the disk is to return.
    fn write(&self, _offset: u64, _len: usize) -> io::Result<()> {
        Ok(())
    }
    /// How many bytes of a write reach the disk before it fails; `None` to let it succeed.
    fn short(&self, _offset: u64, _len: usize) -> Option<usize> {
        None
    }
    /// Called before the file grows or shrinks.
    ///
    /// # Errors
    /// The error that the disk is to return.
    fn set_len(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Called before each fsync.
    ///
    /// # Errors
    /// The error that the disk is to return.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    /// Called before each [`Step`].
    ///
    /// # Errors
    /// The error that the disk is to return; the step is then not done.
    fn step(&self, _step: Step<'_>) -> io::Result<()> {
        Ok(())
    }
    /// Called when an fsync has failed. By default ends the process.
    fn sync_failed(&self) {
        std::process::exit(EXIT_SYNC_FAILED);
    }
    /// Free bytes of the file system; by default the actual number.
    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        free_space(folder)
    }
    /// Free and total bytes of the file system; by default the actual numbers.
    fn space(&self, folder: &Path) -> io::Result<(u64, u64)> {
        space(folder)
    }
}

/// Disk space in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free for this process.
    pub free: u64,
    /// Size of the file system.
    pub all: u64,
    /// Reserve; with less free space, writes are refused.
    pub reserve: u64,
}

impl Room {
    /// Whether at most a tenth is free.
    #[must_use]
    pub fn is_low(self) -> bool {
        self.free <= self.all / 10
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.free < self.reserve
    }

    /// Checks in advance that a later write will not be refused.
    ///
    /// # Errors
    /// `Full`, as the write would return.
    pub fn check(self) -> Result<(), StoreError> {
        if self.is_full() { Err(full(self.free, self.reserve)) } else { Ok(()) }
    }
}

/// The refusal of a write for lack of space; both in bytes.
pub(crate) fn full(free: u64, reserve: u64) -> StoreError {
    StoreError::Full { free_mb: free >> 20, reserve_mb: reserve >> 20 }
}

/// Injects no faults.
pub struct NoFaults;

impl Faults for NoFaults {}

/// I/O counters since the store was opened.
#[derive(Default, Debug)]
pub struct DiskCounters {
    /// Bytes read.
    pub read: AtomicU64,
    /// Bytes written.
    pub written: AtomicU64,
    /// Number of fsyncs.
    pub syncs: AtomicU64,
    /// Whether this process has opened the file before.
    opened: AtomicBool,
    dead: AtomicBool,
    /// Whether the latest write did not fit.
    full: AtomicBool,
}

impl DiskCounters {
    /// Whether an fsync has failed. All later writes are refused.
    #[must_use]
    pub fn sync_failed(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether a write did not fit since the previous call.
    pub(super) fn take_full(&self) -> bool {
        self.full.swap(false, Ordering::AcqRel)
    }

    /// Records a write that did not fit, because redb reports a full disk and a broken one alike.
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
        // If an fsync failed in an earlier run, the kernel may cache pages that are not on the disk: drop its cache.
        if !counters.opened.swap(true, Ordering::AcqRel) {
            // ok: only advice, and at the first start the file is empty.
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
        Ok(Self { file: FileBackend::new(file)?, faults, counters })
    }
}

/// Syncs the names in a folder.
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

/// Free bytes for this process and total bytes of the folder's file system.
fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let stat = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok((bytes(stat.f_bavail), bytes(stat.f_blocks)))
}

/// Free bytes for this process on the folder's file system.
pub fn free_space(folder: &Path) -> io::Result<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
