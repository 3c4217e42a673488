//! File access in an agent's folder for tools and pages: read, write, list, remove, and detect changes by a command.
//! Each path component is opened relative to its parent without following symlinks. A path that leaves the folder is
//! refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use kernel::text::turns;

use super::folder::{Folder, Kind, Mark, is_half_made};
use super::names::check_path;
use super::snapshot::{MAX_FILES, is_ignored, join};
use super::{File, GitError};

/// An open agent folder.
pub struct AgentFiles {
    root: Folder,
    dir: PathBuf,
}

/// A folder entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Name without the folder.
    pub name: String,
    pub kind: Kind,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub bytes: Vec<u8>,
    /// Size of the whole file.
    pub total: u64,
    /// Whether the file is executable.
    pub executable: bool,
}

/// The files of a folder with change markers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    marks: BTreeMap<String, Mark>,
    /// Whether the file limit was exceeded.
    pub is_cut: bool,
}

impl AgentFiles {
    /// Opens an existing folder.
    pub fn open(dir: &Path) -> Result<Self, GitError> {
        let dir = dir.canonicalize().map_err(GitError::disk(dir))?;
        let root = Folder::open(&dir).map_err(GitError::disk(&dir))?;
        Ok(Self { root, dir })
    }

    /// Opens a folder, creating it if necessary.
    pub fn create(dir: &Path) -> Result<Self, GitError> {
        std::fs::create_dir_all(dir).map_err(GitError::disk(dir))?;
        Self::open(dir)
    }

    /// Normalizes a path written by a model or a person to a path relative to the folder. Accepts relative paths,
    /// absolute paths inside the folder, and `.` and `..` that stay inside. The folder itself is the empty path.
    pub fn relative(&self, written: &str) -> Result<String, GitError> {
        let refuse = |why| Err(GitError::Path { path: written.to_owned(), why });
        let path = Path::new(written.trim());
        let below = if path.is_absolute() {
            match path.strip_prefix(&self.dir) {
                Ok(below) => below,
                Err(_) => return refuse("it is outside the folder; use a path below it"),
            }
        } else {
            path
        };
        let mut parts = Vec::new();
        for part in below.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
                Component::CurDir => {}
                Component::ParentDir if parts.pop().is_some() => {}
                _ => return refuse("it leaves the folder; use a path below it"),
            }
        }
        let path = parts.join("/");
        if !path.is_empty() {
            check_path(&path)?;
        }
        Ok(path)
    }

    /// Reads a file of at most `limit` bytes. For a larger one, returns only its size.
    pub fn read_up_to(&self, path: &str, limit: u64) -> Result<Option<Part>, GitError> {
        self.read_if(path, 0, limit, |total| total <= limit)
    }

    /// Reads at most `limit` bytes from `offset`; `None` if there is no such file.
    pub fn read(&self, path: &str, offset: u64, limit: u64) -> Result<Option<Part>, GitError> {
        self.read_if(path, offset, limit, |_| true)
    }

    fn read_if(
        &self,
        path: &str,
        offset: u64,
        limit: u64,
        wanted: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Part>, GitError> {
        let Some((folder, name)) = self.parent(path)? else { return Ok(None) };
        let folder = folder.as_ref().unwrap_or(&self.root);
        match folder.kind(name).map_err(self.failed(path))? {
            None => Ok(None),
            Some(Kind::File { bytes: total, executable }) if !wanted(total) => {
                Ok(Some(Part { bytes: Vec::new(), total, executable }))
            }
            Some(Kind::File { bytes: total, executable }) => {
                let bytes = folder.read_part(name, offset, limit).map_err(self.failed(path))?;
                Ok(Some(Part { bytes, total, executable }))
            }
            Some(Kind::Folder) => Err(refused(path, "it is a folder; list it")),
            Some(Kind::Other) => {
                Err(refused(path, "it is a link or special file, which aren't followed"))
            }
        }
    }

    /// Opens a file for reading; `None` if there is no such file.
    pub fn file(&self, path: &str) -> Result<Option<fs::File>, GitError> {
        let Some((folder, name)) = self.parent(path)? else { return Ok(None) };
        let folder = folder.as_ref().unwrap_or(&self.root);
        match folder.kind(name).map_err(self.failed(path))? {
            None => Ok(None),
            Some(Kind::File { .. }) => folder.file(name).map(Some).map_err(self.failed(path)),
            Some(Kind::Folder) => Err(refused(path, "it is a folder; list it")),
            Some(Kind::Other) => {
                Err(refused(path, "it is a link or special file, which aren't followed"))
            }
        }
    }

    /// The kind of a path; `None` if nothing is there.
    pub fn kind(&self, path: &str) -> Result<Option<Kind>, GitError> {
        let Some((folder, name)) = self.parent(path)? else { return Ok(None) };
        folder.as_ref().unwrap_or(&self.root).kind(name).map_err(self.failed(path))
    }

    /// Writes a whole file and creates its folders. Replaces a symlink with the file.
    pub fn write(&self, file: &File) -> Result<(), GitError> {
        self.write_from(&file.path, &mut file.bytes.as_slice(), file.executable)
    }

    /// The same from a reader.
    pub fn write_from(
        &self,
        path: &str,
        from: &mut dyn Read,
        executable: bool,
    ) -> Result<(), GitError> {
        self.has_place(path)?;
        let (folders, name) = split(path);
        let mut folder = None;
        for part in folders {
            let here: &Folder = folder.as_ref().unwrap_or(&self.root);
            folder = Some(here.enter_or_make(part).map_err(self.failed(path))?);
        }
        let folder = folder.as_ref().unwrap_or(&self.root);
        folder.write(name, from, executable).map_err(self.failed(path))
    }

    /// Checks whether a file can be written to a path. Refuses folders, paths below a non-folder, and new names with
    /// deceptive characters.
    pub fn has_place(&self, path: &str) -> Result<(), GitError> {
        check_path(path)?;
        let (folders, name) = split(path);
        let mut folder = None;
        for part in folders {
            let here: &Folder = folder.as_ref().unwrap_or(&self.root);
            match here.kind(part).map_err(self.failed(path))? {
                None => return is_readable(path),
                Some(Kind::Folder) => folder = Some(here.enter(part).map_err(self.failed(path))?),
                Some(Kind::File { .. } | Kind::Other) => {
                    return Err(refused(path, "a file or a link is where its folder would be"));
                }
            }
        }
        let folder = folder.as_ref().unwrap_or(&self.root);
        match folder.kind(name).map_err(self.failed(path))? {
            None => is_readable(path),
            Some(Kind::Folder) => Err(refused(path, "it is a folder; choose another name")),
            Some(Kind::File { .. } | Kind::Other) => Ok(()),
        }
    }

    /// Removes a file or a symlink (never its target). Returns `false` if there was none.
    pub fn remove(&self, path: &str) -> Result<bool, GitError> {
        let Some((folder, name)) = self.parent(path)? else { return Ok(false) };
        let folder = folder.as_ref().unwrap_or(&self.root);
        match folder.kind(name).map_err(self.failed(path))? {
            None => Ok(false),
            Some(Kind::Folder) => Err(refused(path, "it is a folder; remove its files instead")),
            Some(Kind::File { .. } | Kind::Other) => {
                folder.remove(name).map_err(self.failed(path))?;
                Ok(true)
            }
        }
    }

    /// Removes the empty parent folders of a path, innermost first.
    pub fn remove_empty_above(&self, path: &str) -> Result<(), GitError> {
        let mut at = path;
        while let Some((above, _)) = at.rsplit_once('/') {
            let Some((folder, name)) = self.parent(above)? else { return Ok(()) };
            if folder.as_ref().unwrap_or(&self.root).remove_folder(name).is_err() {
                // The folder is not empty, or may not be removed.
                return Ok(());
            }
            at = above;
        }
        Ok(())
    }

    /// The entries of a folder by name; `None` if it does not exist. The empty path is the agent's folder.
    pub fn list(&self, path: &str) -> Result<Option<Vec<Item>>, GitError> {
        let entered;
        let folder = if path.is_empty() {
            &self.root
        } else {
            let Some((parent, name)) = self.parent(path)? else { return Ok(None) };
            let parent = parent.as_ref().unwrap_or(&self.root);
            if parent.kind(name).map_err(self.failed(path))? != Some(Kind::Folder) {
                return Ok(None);
            }
            entered = parent.enter(name).map_err(self.failed(path))?;
            &entered
        };
        let mut items = Vec::new();
        // Names that are not UTF-8 cannot be addressed, so they are omitted.
        let names = folder.names().map_err(self.failed(path))?.into_iter().flatten();
        for name in names.filter(|name| !is_half_made(name)) {
            if let Some(kind) = folder.kind(&name).map_err(self.failed(path))? {
                items.push(Item { name, kind });
            }
        }
        Ok(Some(items))
    }

    /// Records every file that a snapshot would take, without reading it. The difference of two scans is what a command
    /// changed.
    pub fn scan(&self) -> Result<Scan, GitError> {
        let mut scan = Scan::default();
        walk(&self.root, "", &mut scan).map_err(GitError::disk(&self.dir))?;
        Ok(scan)
    }

    /// The parent folder of a path and the last name; `None` if the folder does not exist. The inner `None` is the
    /// root.
    fn parent<'a>(&self, path: &'a str) -> Result<Option<(Option<Folder>, &'a str)>, GitError> {
        check_path(path)?;
        let (folders, name) = split(path);
        let mut folder = None;
        for part in folders {
            let here: &Folder = folder.as_ref().unwrap_or(&self.root);
            match here.kind(part).map_err(self.failed(path))? {
                Some(Kind::Folder) => folder = Some(here.enter(part).map_err(self.failed(path))?),
                Some(Kind::Other) => {
                    return Err(refused(path, "it leads through a link, which isn't followed"));
                }
                Some(Kind::File { .. }) | None => return Ok(None),
            }
        }
        Ok(Some((folder, name)))
    }

    fn failed(&self, path: &str) -> impl FnOnce(io::Error) -> GitError + use<> {
        let path = self.dir.join(path);
        move |source| GitError::Disk { path, source }
    }
}

impl Scan {
    /// Paths added, changed or removed in a later scan.
    #[must_use]
    pub fn changes(&self, later: &Scan) -> Vec<String> {
        let mut changed: Vec<String> = later
            .marks
            .iter()
            .filter(|(path, mark)| self.marks.get(*path) != Some(mark))
            .chain(self.marks.iter().filter(|(path, _)| !later.marks.contains_key(*path)))
            .map(|(path, _)| path.clone())
            .collect();
        changed.sort();
        changed
    }

    /// The files changed at or after a moment, by the file system's clock.
    pub fn changed_since(&self, since: SystemTime) -> Vec<String> {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since =
            (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
        let later = self.marks.iter().filter(|(_, mark)| since <= mark.changed);
        later.map(|(path, _)| path.clone()).collect()
    }

    /// The files with their sizes.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.marks.iter().map(|(path, mark)| (path.as_str(), mark.bytes))
    }
}

fn walk(folder: &Folder, at: &str, scan: &mut Scan) -> io::Result<()> {
    for name in folder.names()?.into_iter().flatten() {
        let path = join(at, &name);
        if is_ignored(at, &name) || check_path(&path).is_err() {
            continue;
        }
        match folder.mark(&name)? {
            Some((Kind::Folder, _)) => {
                // Removed or replaced meanwhile: the next scan reports it.
                if let Ok(inner) = folder.enter(&name) {
                    walk(&inner, &path, scan)?;
                }
            }
            Some((Kind::File { .. }, _)) if MAX_FILES <= scan.marks.len() => scan.is_cut = true,
            Some((Kind::File { .. }, mark)) => {
                scan.marks.insert(path, mark);
            }
            Some((Kind::Other, _)) | None => {}
        }
    }
    Ok(())
}

fn split(path: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    (folders.split('/').filter(|part| !part.is_empty()), name)
}

/// Refuses a new name that displays as another one.
fn is_readable(path: &str) -> Result<(), GitError> {
    match turns(path) {
        true => Err(refused(path, "it has a character that changes the text direction")),
        false => Ok(()),
    }
}

fn refused(path: &str, why: &'static str) -> GitError {
    GitError::Path { path: path.to_owned(), why }
}
