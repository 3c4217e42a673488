//! A blob upload: written in pieces, never held in memory as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::{BlobId, Blobs, LOOK_EACH};
use crate::disk::Faults;
use crate::error::NoRoom;

/// A blob being written. Dropping it before [`Blobs::finish`] deletes the partial file.
pub struct Upload {
    folder: PathBuf,
    faults: Arc<dyn Faults>,
    path: PathBuf,
    file: File,
    hash: Sha256,
    len: u64,
    look_at: u64,
    limit: u64,
    reserve: u64,
    done: bool,
}

impl Blobs {
    /// Starts a blob of at most `limit` bytes. All functions of an upload block.
    pub fn begin(&self, limit: u64) -> io::Result<Upload> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join("tmp").join(n.to_string());
        let file = File::create(&path)?;
        Ok(Upload {
            folder: self.folder.clone(),
            faults: Arc::clone(&self.faults),
            path,
            file,
            hash: Sha256::new(),
            len: 0,
            look_at: 0,
            limit,
            reserve: self.reserve(),
            done: false,
        })
    }

    /// Makes a complete blob durable and gives it its name; returns id and length.
    pub fn finish(&self, mut upload: Upload) -> io::Result<(BlobId, u64)> {
        self.faults.sync()?;
        upload.file.sync_all()?;
        let id = BlobId(std::mem::take(&mut upload.hash).finalize().into());
        let path = self.path(id);
        // This lock excludes sweeps: a sweep of the same content has ended, and a later one finds the blob new.
        let _turn = self.turn(id).lock();
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::rename(&upload.path, &path)?;
        upload.done = true;
        self.arrived(id);
        self.sync_name(id)?;
        Ok((id, upload.len))
    }
}

impl Upload {
    /// Writes the next piece.
    ///
    /// # Errors
    /// `StorageFull` when the disk is nearly full, `FileTooLarge` when there is more than the limit.
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let end = self.len + piece.len() as u64;
        if end > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.len >= self.look_at {
            self.refuse_when_full()?;
            self.look_at = self.len + LOOK_EACH;
        }
        self.faults.write(self.len, piece.len())?;
        self.hash.update(piece);
        self.file.write_all(piece)?;
        self.len = end;
        Ok(())
    }

    fn refuse_when_full(&self) -> io::Result<()> {
        // A file system that reports no size does not count as full.
        let (free, reserve) =
            (self.faults.free_space(&self.folder).unwrap_or(u64::MAX), self.reserve);
        if free < reserve {
            return Err(io::Error::new(io::ErrorKind::StorageFull, NoRoom { free, reserve }));
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            // ok: the next start clears the folder.
            let _ = fs::remove_file(&self.path);
        }
    }
}
