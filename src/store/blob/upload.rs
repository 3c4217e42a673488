//! A blob on its way in: written piece by piece, never whole in memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::{BlobId, Blobs, LOOK_EACH};

/// A blob that is being written. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct Upload<'b> {
    blobs: &'b Blobs,
    path: PathBuf,
    file: File,
    hash: Sha256,
    len: u64,
    look_at: u64,
    limit: u64,
    done: bool,
}

impl Blobs {
    /// Begins a blob of at most `limit` bytes. Blocking, as all that follows.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn begin(&self, limit: u64) -> io::Result<Upload<'_>> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join("tmp").join(n.to_string());
        let file = File::create(&path)?;
        let hash = Sha256::new();
        Ok(Upload { blobs: self, path, file, hash, len: 0, look_at: 0, limit, done: false })
    }
}

impl Upload<'_> {
    /// Takes the next piece.
    ///
    /// # Errors
    /// When the disk fails, with `StorageFull` when it is nearly full, or with `FileTooLarge` when
    /// there is more than the limit.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let end = self.len + piece.len() as u64;
        if end > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.len >= self.look_at {
            self.blobs.refuse_when_full()?;
            self.look_at = self.len + LOOK_EACH;
        }
        self.blobs.faults.write(self.len, piece.len())?;
        self.hash.update(piece);
        self.file.write_all(piece)?;
        self.len = end;
        Ok(())
    }

    /// The whole is there: makes it durable and gives it its name. Answers name and length.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(mut self) -> io::Result<(BlobId, u64)> {
        self.blobs.faults.sync()?;
        self.file.sync_all()?;
        let id = BlobId(std::mem::take(&mut self.hash).finalize().into());
        let path = self.blobs.path(id);
        // While a name comes or goes nobody else is at it: a sweep that had begun with the same
        // content has ended, and one that begins finds it fresh.
        let _turn = self.blobs.turn(id).lock();
        fs::create_dir_all(path.parent().unwrap_or(&self.blobs.folder))?;
        fs::rename(&self.path, &path)?;
        self.done = true;
        self.blobs.arrived(id);
        self.blobs.sync_name(id)?;
        Ok((id, self.len))
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if !self.done {
            // ok: the next start clears the folder.
            let _ = fs::remove_file(&self.path);
        }
    }
}
