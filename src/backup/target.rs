//! Where backups lie: names to bytes. A folder here; S3 in `s3.rs`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use kernel::Timestamp;
use kernel::time::from_ms;
use store::disk::{free_space, reserve};

use super::BackupError;

/// Something that lies at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name, with slashes.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, as the target says.
    pub modified: Timestamp,
}

/// A place for backups. Blocking: call from `spawn_blocking`.
pub trait Target: Send + Sync {
    /// The place, for people; without keys.
    fn place(&self) -> &str;
    /// What lies below a prefix that ends with a slash, in the order of names.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, BackupError>;
    /// The bytes of a name; none when there is nothing.
    ///
    /// # Errors
    /// When it cannot be asked, or there are more bytes than `limit`.
    fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, BackupError>;
    /// Puts bytes under a name, all or nothing, over what was there.
    ///
    /// # Errors
    /// When it is full, gone, or read-only.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError>;
    /// Puts many at once; the order does not count.
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
    /// Takes a file of this machine over under a name; it may be gone afterwards.
    ///
    /// # Errors
    /// As `put`, or when the file cannot be read.
    fn adopt(&self, name: &str, file: &Path) -> Result<(), BackupError> {
        self.put(name, fs::read(file).map_err(BackupError::disk(file))?)
    }
    /// Puts what is damaged aside, so that it is not taken for what its name says.
    ///
    /// # Errors
    /// As `get` and `put`.
    fn set_aside(&self, name: &str) -> Result<(), BackupError> {
        if let Some(bytes) = self.get(name, MAX_ASIDE)? {
            self.put(&aside(name), bytes)?;
        }
        self.delete(name)
    }
    /// Removes a name; nothing there is fine.
    fn delete(&self, name: &str) -> Result<(), BackupError>;
    /// Makes what was put durable.
    fn settle(&self) -> Result<(), BackupError> {
        Ok(())
    }
    /// Free bytes, where that can be told.
    fn free(&self) -> Option<u64> {
        None
    }
    /// Refuses when so many bytes are not free, where that can be told.
    ///
    /// # Errors
    /// When they are not.
    fn has_room(&self, need: u64) -> Result<(), BackupError> {
        match self.free() {
            Some(free) if free < need => Err(BackupError::full(self.place(), free, need)),
            _ => Ok(()),
        }
    }
    /// Whether putting waits for a network: then nothing is put while a store is read.
    fn is_slow(&self) -> bool {
        false
    }
    /// Whether there is nothing but what a repository may hold.
    fn is_empty(&self) -> Result<bool, BackupError> {
        Ok(self.list("")?.is_empty())
    }
    /// Removes what a broken write has left.
    fn tidy(&self) -> Result<(), BackupError> {
        Ok(())
    }
}

const TMP: &str = "tmp";
/// Where damaged pieces go.
const ASIDE: &str = "damaged";
/// The longest thing that is read to be put aside.
const MAX_ASIDE: u64 = 64 * 1024 * 1024;

fn aside(name: &str) -> String {
    format!("{ASIDE}/{}", name.replace('/', "-"))
}

pub struct Folder {
    root: PathBuf,
    place: String,
}

impl Folder {
    /// The folder at a path; it need not be there yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        let place = root.display().to_string();
        Self { root, place }
    }

    /// Where a name lies.
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
                    "{path}: a file lies where a folder is needed, there or above it; was the folder moved \
                     away?"
                );
                BackupError::Target { place, why }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                let why = format!("{} cannot be written or read ({error})", path.display());
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
                // Removed just now.
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
        // Others write meanwhile, and how much a backup grows is a guess: a store on the same disk keeps what
        // it needs to go on.
        if name.starts_with("chunks/") {
            self.has_room(reserve(0) + bytes.len() as u64)?;
        }
        let (path, tmp) = (self.root.join(name), self.root.join(TMP).join(name.replace('/', "-")));
        for folder in [tmp.parent(), path.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(self.at(folder))?;
        }
        let written = File::create(&tmp).and_then(|mut file| {
            file.write_all(&bytes)?;
            // What names others must not be there before them, and not be torn itself.
            if name.starts_with("chunks/") { Ok(()) } else { file.sync_all() }
        });
        if let Err(error) = written {
            // ok: the first error counts, and the next backup clears the folder.
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
        // One call for thousands of small files, in place of one for each.
        let folder = File::open(&self.root).map_err(self.at(&self.root))?;
        rustix::fs::syncfs(&folder).map_err(|error| self.failed(&self.root, &error.into()))
    }

    fn free(&self) -> Option<u64> {
        let mut folder = self.root.as_path();
        while !folder.exists() {
            folder = folder.parent()?;
        }
        free_space(folder).ok() // ok: then it shows when it is full
    }

    fn tidy(&self) -> Result<(), BackupError> {
        let tmp = self.root.join(TMP);
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&tmp, &error)),
            _ => Ok(()),
        }
    }
}
