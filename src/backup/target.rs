//! Targets of backups: named objects in a folder (here) or in S3 (`s3.rs`).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kernel::Timestamp;
use kernel::time::from_ms;
use store::disk::{free_space, reserve};

use super::BackupError;

/// An object at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// May contain slashes.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Modification time by the target's clock.
    pub modified: Timestamp,
}

/// A place for backups. Blocking: call from `spawn_blocking`.
pub trait Target: Send + Sync {
    /// Name of the place for people, without credentials.
    fn place(&self) -> &str;
    /// Objects below a prefix that ends with a slash, sorted by name.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, BackupError>;
    /// Content of an object; `None` if it does not exist.
    ///
    /// # Errors
    /// If the target fails, or the object is larger than `limit`.
    fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, BackupError>;
    /// Writes an object atomically; overwrites an existing one.
    ///
    /// # Errors
    /// If the target is full, unreachable or read-only.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError>;
    /// Writes several objects, in any order.
    fn put_all(
        &self,
        items: &mut dyn Iterator<Item = Result<(String, Vec<u8>), BackupError>>,
    ) -> Result<(), BackupError> {
        for item in items {
            let (name, bytes) = item?;
            self.put(&name, bytes)?;
        }
        Ok(())
    }
    /// Writes a local file as an object; may move the file.
    ///
    /// # Errors
    /// As `put`, or if the file cannot be read.
    fn adopt(&self, name: &str, file: &Path) -> Result<(), BackupError> {
        self.put(name, fs::read(file).map_err(BackupError::disk(file))?)
    }
    /// Moves a damaged object to `damaged/`, so that it no longer counts as existing.
    ///
    /// # Errors
    /// As `get` and `put`.
    fn set_aside(&self, name: &str) -> Result<(), BackupError> {
        if let Some(bytes) = self.get(name, MAX_ASIDE)? {
            self.put(&aside(name), bytes)?;
        }
        self.delete(name)
    }
    /// Deletes an object; it need not exist.
    fn delete(&self, name: &str) -> Result<(), BackupError>;
    /// Makes all written objects durable.
    fn settle(&self) -> Result<(), BackupError> {
        Ok(())
    }
    /// Free bytes, if known.
    fn free(&self) -> Option<u64> {
        None
    }
    /// Checks that `need` bytes are free, if the free space is known.
    ///
    /// # Errors
    /// If there is too little space.
    fn has_room(&self, need: u64) -> Result<(), BackupError> {
        match self.free() {
            Some(free) if free < need => Err(BackupError::full(self.place(), free, need)),
            _ => Ok(()),
        }
    }
    /// Whether writes go over a network: then nothing is sent while a store is read.
    fn is_slow(&self) -> bool {
        false
    }
    /// Whether the target contains nothing but remains of a repository.
    fn is_empty(&self) -> Result<bool, BackupError> {
        Ok(self.list("")?.is_empty())
    }
    /// Removes remains of interrupted writes.
    fn tidy(&self) -> Result<(), BackupError> {
        Ok(())
    }
}

const TMP: &str = "tmp";
/// Folder of damaged objects.
const ASIDE: &str = "damaged";
/// Largest object that is read in order to move it aside.
const MAX_ASIDE: u64 = 64 * 1024 * 1024;

fn aside(name: &str) -> String {
    format!("{ASIDE}/{}", name.replace('/', "-"))
}

pub struct Folder {
    root: PathBuf,
    place: String,
}

impl Folder {
    /// The folder need not exist.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        let place = root.display().to_string();
        Self { root, place }
    }

    /// Path of an object.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn failed(&self, path: &Path, error: &io::Error) -> BackupError {
        let (place, free) = (self.place.clone(), self.free().unwrap_or(0));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                BackupError::Full { place, free_mb: free >> 20, need_mb: (free >> 20) + 1 }
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                let path = path.display();
                let why = format!(
                    "{path}: expected a folder, but it or a parent is a file; was the folder moved?"
                );
                BackupError::Target { place, why }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                let why = format!("{} can't be written or read ({error})", path.display());
                BackupError::Target { place, why }
            }
            _ => BackupError::Target { place, why: format!("{}: {error}", path.display()) },
        }
    }

    fn at<'p>(&'p self, path: &'p Path) -> impl FnOnce(io::Error) -> BackupError + 'p {
        move |error| self.failed(path, &error)
    }

    fn walk(
        &self,
        folder: &Path,
        prefix: &str,
        found: &mut Vec<Object>,
    ) -> Result<(), BackupError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed(folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(self.at(folder))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            let kind = entry.file_type().map_err(self.at(&path))?;
            if kind.is_dir() {
                self.walk(&path, &format!("{name}/"), found)?;
                continue;
            }
            match entry.metadata() {
                Ok(meta) => {
                    found.push(Object { name, size: meta.len(), modified: modified(&meta) })
                }
                // Deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(&path, &error)),
            }
        }
        Ok(())
    }
}

fn modified(meta: &fs::Metadata) -> Timestamp {
    use std::os::unix::fs::MetadataExt;
    from_ms(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000)
}

impl Target for Folder {
    fn place(&self) -> &str {
        &self.place
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, BackupError> {
        let mut found = Vec::new();
        self.walk(&self.root.join(prefix), prefix, &mut found)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, BackupError> {
        let path = self.root.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&path, &error)),
        };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(self.at(&path))?;
        if limit < bytes.len() as u64 {
            let (place, name) = (self.place.clone(), name.to_owned());
            return Err(BackupError::Damaged { place, name, why: "it is too long" });
        }
        Ok(Some(bytes))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        // Other programs write, too, and the size of a backup is an estimate: a store on the same disk keeps its
        // reserve.
        if name.starts_with("chunks/") {
            self.has_room(reserve(0) + bytes.len() as u64)?;
        }
        let (path, tmp) = (self.root.join(name), self.root.join(TMP).join(name.replace('/', "-")));
        for folder in [tmp.parent(), path.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(self.at(folder))?;
        }
        let written = File::create(&tmp).and_then(|mut file| {
            file.write_all(&bytes)?;
            // Manifests and heads must not be torn, and chunks must be durable before them.
            if name.starts_with("chunks/") { Ok(()) } else { file.sync_all() }
        });
        if let Err(error) = written {
            // ok: the first error counts; the next backup clears the folder.
            let _ = fs::remove_file(&tmp);
            return Err(self.failed(&tmp, &error));
        }
        fs::rename(&tmp, &path).map_err(self.at(&path))?;
        if !name.starts_with("chunks/") {
            let folder = path.parent().unwrap_or(&self.root);
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(self.at(folder))?;
        }
        Ok(())
    }

    fn adopt(&self, name: &str, file: &Path) -> Result<(), BackupError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(self.at(folder))?;
        match fs::rename(file, &path) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.put(name, fs::read(file).map_err(BackupError::disk(file))?)
            }
            moved => moved.map_err(self.at(&path)),
        }
    }

    fn set_aside(&self, name: &str) -> Result<(), BackupError> {
        let (path, to) = (self.root.join(name), self.root.join(aside(name)));
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(self.at(folder))?;
        fs::rename(&path, &to).map_err(self.at(&path))
    }

    fn delete(&self, name: &str) -> Result<(), BackupError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed(&path, &error))
            }
            _ => Ok(()),
        }
    }

    fn settle(&self) -> Result<(), BackupError> {
        // One call instead of an fsync for each of thousands of files.
        let folder = File::open(&self.root).map_err(self.at(&self.root))?;
        rustix::fs::syncfs(&folder).map_err(|error| self.failed(&self.root, &error.into()))
    }

    fn free(&self) -> Option<u64> {
        let mut folder = self.root.as_path();
        while !folder.exists() {
            folder = folder.parent()?;
        }
        free_space(folder).ok() // ok: a full disk shows when writing
    }

    fn tidy(&self) -> Result<(), BackupError> {
        let tmp = self.root.join(TMP);
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&tmp, &error)),
            _ => Ok(()),
        }
    }
}
