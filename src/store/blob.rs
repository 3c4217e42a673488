//! Content-addressed files beside the database: `blobs/ab/cdef…`, named by SHA-256.
//!
//! A blob is written to a temporary file, fsynced and renamed, and its folder is fsynced; only then may a transaction
//! refer to it. Blocking: call from `spawn_blocking`. `sweep.rs` deletes unreferenced blobs after a day at the
//! earliest.

pub mod check;
pub mod refs;
pub mod sweep;
pub(super) mod collect;
mod upload;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::disk::{Faults, NoFaults, reserve, sync_folder};

pub use sweep::Hold;
use sweep::{Condemned, Gate};
pub use upload::Upload;

/// How many bytes are written between two checks of the free space.
const LOOK_EACH: u64 = 8 * 1024 * 1024;
/// Space in bytes that uploads leave free beyond the store's reserve, so that files are refused before records are:
/// what eight uploads write between two checks.
const MARGIN: u64 = 8 * LOOK_EACH;

/// The id of a blob: the SHA-256 of its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The id of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl std::str::FromStr for BlobId {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out)?;
        Ok(Self(out))
    }
}

/// The blobs of one store.
pub struct Blobs {
    folder: PathBuf,
    next: AtomicU64,
    /// Folders whose own names are durable.
    durable: [AtomicBool; 256],
    /// One lock per folder, held while a name in it is created or deleted.
    turns: [Mutex<()>; 256],
    /// Recent puts, by a monotonic clock.
    fresh: Mutex<HashMap<BlobId, Instant>>,
    condemned: Arc<Condemned>,
    gate: Arc<Gate>,
    /// Requested blobs whose file is missing.
    missing: Mutex<BTreeSet<BlobId>>,
    /// Blobs whose content was found to be damaged.
    corrupt: Mutex<BTreeSet<BlobId>>,
    faults: Arc<dyn Faults>,
    /// The file of the store that these blobs belong to.
    rows: Option<PathBuf>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Blobs {
    /// Opens the folder, creates it if needed, and deletes incomplete uploads.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        Self::open_with(folder, Arc::new(NoFaults))
    }

    /// Like [`open`](Self::open), with injected faults.
    pub fn open_with(folder: PathBuf, faults: Arc<dyn Faults>) -> io::Result<Self> {
        let tmp = folder.join("tmp");
        fs::create_dir_all(&tmp)?;
        for left in fs::read_dir(&tmp)? {
            fs::remove_file(left?.path())?;
        }
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        Ok(Self {
            folder,
            next: AtomicU64::new(0),
            durable: std::array::from_fn(|_| AtomicBool::new(false)),
            turns: std::array::from_fn(|_| Mutex::new(())),
            fresh: Mutex::default(),
            condemned: Arc::default(),
            gate: Arc::default(),
            missing: Mutex::default(),
            corrupt: Mutex::default(),
            faults,
            rows: None,
        })
    }

    /// Sets the store file, whose reserve uploads must leave free.
    #[must_use]
    pub fn beside(self, rows: PathBuf) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// Free space in bytes that uploads must leave.
    fn reserve(&self) -> u64 {
        // ok: before the first start there is no file.
        let len =
            self.rows.as_ref().and_then(|rows| fs::metadata(rows).ok()).map_or(0, |m| m.len());
        reserve(len) + MARGIN
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Stores bytes; durable on return. Equal content is stored once.
    ///
    /// # Errors
    /// `StorageFull` when the disk is nearly full.
    pub fn put(&self, content: &[u8]) -> io::Result<BlobId> {
        let id = BlobId::of(content);
        if self.touch(id, content)? {
            return Ok(id);
        }
        self.put_from(&mut &content[..], u64::MAX).map(|(id, _)| id)
    }

    /// Stores the content of a reader, up to `limit` bytes; returns id and length.
    ///
    /// # Errors
    /// `StorageFull` when the disk is nearly full, `FileTooLarge` when there is more than `limit`.
    pub fn put_from(&self, content: &mut dyn Read, limit: u64) -> io::Result<(BlobId, u64)> {
        let mut upload = self.begin(limit)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match content.read(&mut buffer)? {
                0 => return self.finish(upload),
                n => upload.take(&buffer[..n])?,
            }
        }
    }

    /// Makes an existing blob new again, so that no sweep deletes it during another put. Returns whether the blob
    /// exists and is intact; a damaged one must be rewritten.
    fn touch(&self, id: BlobId, content: &[u8]) -> io::Result<bool> {
        let _turn = self.turn(id).lock();
        let mut file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() != content.len() as u64 || !is_content(&mut file, content)? {
            return Ok(false);
        }
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        rustix::fs::futimens(&file, &times)?;
        self.arrived(id);
        self.sync_name(id)?;
        Ok(true)
    }

    /// The lock of a blob's folder.
    fn turn(&self, id: BlobId) -> &Mutex<()> {
        &self.turns[usize::from(id.0[0])]
    }

    /// Records a put. The caller holds the folder's lock.
    fn arrived(&self, id: BlobId) {
        self.fresh.lock().insert(id, Instant::now());
        self.condemned.spare(id);
        self.missing.lock().remove(&id);
        self.corrupt.lock().remove(&id);
    }

    /// Records the result of a content check; damaged blobs are no longer served.
    fn judge(&self, id: BlobId, is_whole: bool) {
        let mut corrupt = self.corrupt.lock();
        match is_whole {
            true => corrupt.remove(&id),
            false => corrupt.insert(id),
        };
    }

    /// Makes a blob's name durable. Needed also for an existing blob, because its writer may not have done so yet.
    fn sync_name(&self, id: BlobId) -> io::Result<()> {
        let path = self.path(id);
        self.faults.sync()?;
        sync_folder(path.parent().unwrap_or(&self.folder))?;
        let known = &self.durable[usize::from(id.0[0])];
        if !known.load(Ordering::Acquire) {
            sync_folder(&self.folder)?;
            known.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// `NotFound` when the file is missing, `InvalidData` when it is known to be damaged.
    pub fn open_blob(&self, id: BlobId) -> io::Result<File> {
        if self.corrupt.lock().contains(&id) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let opened = File::open(self.path(id));
        if let Err(error) = &opened
            && error.kind() == io::ErrorKind::NotFound
            && self.missing.lock().insert(id)
        {
            tracing::error!("the file of blob {id} is missing; `hq doctor blobs` lists such files");
        }
        opened
    }

    /// Whether the file of a blob exists.
    #[must_use]
    pub fn has(&self, id: BlobId) -> bool {
        self.path(id).is_file()
    }

    /// Requested blobs whose file is missing.
    #[must_use]
    pub fn missing(&self) -> Vec<BlobId> {
        self.missing.lock().iter().copied().collect()
    }

    /// The whole content, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound` when the file is missing, `FileTooLarge` when it is larger.
    pub fn get(&self, id: BlobId, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = self.open_blob(id)?;
        if file.metadata()?.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut out = Vec::new();
        file.read_to_end(&mut out)?;
        Ok(out)
    }
}

/// Whether a file has this content.
fn is_content(file: &mut File, mut content: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; content.len().min(64 * 1024)];
    while !content.is_empty() {
        let n = file.read(&mut buffer)?;
        match content.strip_prefix(&buffer[..n]) {
            Some(rest) if n != 0 => content = rest,
            _ => return Ok(false),
        }
    }
    Ok(true)
}
