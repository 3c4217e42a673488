//! A blob on its way in: written piece by piece, never whole in memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::{BlobId, Blobs, LOOK_EACH};
use crate::disk::Faults;
use crate::error::NoRoom;

/// A blob that is being written. Dropped before its end, it leaves nothing.
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
    /// Begins a blob of at most `limit` bytes. Blocking, as all that follows.
    ///
    /// # Errors
    /// When no file can be made.
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

    /// The whole is there: makes it durable and gives it its name. Answers name and length.
    pub fn finish(&self, mut upload: Upload) -> io::Result<(BlobId, u64)> {
        self.faults.sync()?;
        upload.file.sync_all()?;
        let id = BlobId(std::mem::take(&mut upload.hash).finalize().into());
        let path = self.path(id);
        // While a name comes or goes nobody else is at it: a sweep that had begun with the same
        // content has ended, and one that begins finds it fresh.
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
        // A file system that cannot be asked is not a full one.
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
