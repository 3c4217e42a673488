//! Content-addressed files beside the database: `blobs/ab/cdef…`, named by SHA-256.
//!
//! Written to a temporary name, fsynced, renamed, the folder fsynced; only then may a transaction
//! refer to it. Blocking: call from `spawn_blocking`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name of a blob: the SHA-256 of its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The name that this content has.
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
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    next: AtomicU64,
}

impl Blobs {
    /// Opens the folder, making it if need be, and drops what a crash left half written.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let tmp = folder.join("tmp");
        fs::create_dir_all(&tmp)?;
        for left in fs::read_dir(&tmp)? {
            fs::remove_file(left?.path())?;
        }
        Ok(Self { folder, next: AtomicU64::new(0) })
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Stores bytes; durable when it answers. The same content is stored once.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put(&self, content: &[u8]) -> io::Result<BlobId> {
        let id = BlobId::of(content);
        if self.path(id).exists() {
            return Ok(id);
        }
        self.put_from(&mut &content[..], u64::MAX).map(|(id, _)| id)
    }

    /// Stores what a reader gives, up to `limit` bytes; answers the name and the length.
    ///
    /// # Errors
    /// When the disk fails, or with `FileTooLarge` when there is more than the limit.
    pub fn put_from(&self, content: &mut dyn Read, limit: u64) -> io::Result<(BlobId, u64)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let tmp = self.folder.join("tmp").join(n.to_string());
        let result = self.write(&tmp, content, limit);
        if result.is_err() {
            // ok: the first error counts, and the next start clears the folder.
            let _ = fs::remove_file(&tmp);
        }
        result
    }

    fn write(&self, tmp: &Path, content: &mut dyn Read, limit: u64) -> io::Result<(BlobId, u64)> {
        let mut file = File::create(tmp)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut len = 0u64;
        loop {
            let n = content.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            len += n as u64;
            if len > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hash.update(&buffer[..n]);
            file.write_all(&buffer[..n])?;
        }
        file.sync_all()?;
        let id = BlobId(hash.finalize().into());
        let path = self.path(id);
        let parent = path.parent().unwrap_or(&self.folder).to_owned();
        if !parent.exists() {
            fs::create_dir_all(&parent)?;
            File::open(&self.folder)?.sync_all()?;
        }
        fs::rename(tmp, &path)?;
        File::open(&parent)?.sync_all()?;
        Ok((id, len))
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub fn open_blob(&self, id: BlobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// The whole content, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `FileTooLarge` when it is larger.
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
