//! Takes an agent's folder into its branch: all of it, or the paths that a run has noted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::folder::{Folder, Kind, is_half_made, show};
use super::names::{self, Branch, CommitId};
use super::{AgentsRepo, Author, Entry, File, GitError, Leaf, Leaves, Unasked};
use super::{commit, head, leaves, write_tree, written};

/// The largest file that is kept, in bytes.
pub const MAX_FILE: u64 = 25 << 20;
/// The most files in a branch.
pub const MAX_FILES: usize = 10_000;
/// The most bytes in a branch.
pub const MAX_BYTES: u64 = 512 << 20;

/// The most files that are told as left out.
const MAX_SKIPPED: usize = 100;

/// Folders at the top that are for working in, not for keeping.
const SCRATCH: &[&str] = &["scratch", "state", "tmp", ".cache", ".local", ".config", ".npm"];
/// What is left out wherever it lies: made by tools, or secret by habit.
const NEVER: &[&str] =
    &["node_modules", "__pycache__", ".venv", ".DS_Store", "Thumbs.db", ".pytest_cache"];

/// Tells which files others will commit.
pub type Others<'a> = &'a (dyn Fn() -> Result<BTreeSet<String>, Unasked> + 'a);

/// Says why a file with this content must not get into a branch; nothing when it may. Asked only for what differs.
pub type Refuses<'a> = &'a dyn Fn(&str, &[u8]) -> Option<&'static str>;

/// Which part of a folder to take.
#[derive(Clone, Copy)]
pub enum Paths<'a> {
    /// All of it but the files of others, which stay as the branch has them. It is asked for them when the
    /// folder has been looked at: what somebody notes before it is written is then known with the file.
    AllBut(Others<'a>),
    /// These files and folders; one that is gone is removed from the branch.
    Only(&'a [String]),
}

/// What a snapshot has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The new commit; none when nothing had changed.
    pub commit: Option<CommitId>,
    /// The paths that it changes.
    pub changed: Vec<String>,
    /// What was left out and why, the first hundred; a person can be told.
    pub skipped: Vec<Skipped>,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub path: String,
    pub why: &'static str,
}

impl AgentsRepo {
    /// Commits what has changed in a folder since the newest commit of its branch.
    pub fn commit_paths(
        &self,
        branch: &Branch,
        dir: &Path,
        paths: Paths<'_>,
        entry: &Entry<'_>,
    ) -> Result<Snapshot, GitError> {
        self.commit_what_may(branch, dir, (paths, None), entry)
    }

    /// The same without what must not get in: of that the branch keeps what it has.
    pub fn commit_what_may(
        &self,
        branch: &Branch,
        dir: &Path,
        (paths, refuses): (Paths<'_>, Option<Refuses<'_>>),
        entry: &Entry<'_>,
    ) -> Result<Snapshot, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let parent = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let before = leaves(&repo, parent)?;
        let root = Folder::open(dir).map_err(GitError::disk(dir))?;
        let mut taking = Taking::new(&repo, &before, refuses);
        match paths {
            Paths::AllBut(others) => {
                taking.folder(&root, "").map_err(|e| e.at(dir))?;
                for path in others().map_err(GitError::Unasked)? {
                    match before.get(&path) {
                        Some(leaf) => drop(taking.after.insert(path, *leaf)),
                        None => drop(taking.after.remove(&path)),
                    }
                }
            }
            Paths::Only(paths) => {
                taking.after = before.clone();
                for path in BTreeSet::from_iter(paths) {
                    taking.path(&root, path).map_err(|e| e.at(dir))?;
                }
            }
        }
        let Taking { after, skipped, .. } = taking;
        let changed = changed(&before, &after);
        if changed.is_empty() {
            return Ok(Snapshot { commit: None, changed, skipped });
        }
        let tree = write_tree(&repo, &after)?;
        let id = commit(&repo, branch, tree, Some(parent), entry)?;
        Ok(Snapshot { commit: Some(id), changed, skipped })
    }

    /// What lies in a folder now, as a commit on top of its branch to which no branch leads; the newest commit itself where
    /// nothing differs. What lies there as before is the same commit as before.
    pub fn as_it_lies(
        &self,
        branch: &Branch,
        dir: &Path,
        refuses: Refuses<'_>,
    ) -> Result<(CommitId, Vec<Skipped>), GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let parent = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let before = leaves(&repo, parent)?;
        let root = Folder::open(dir).map_err(GitError::disk(dir))?;
        let mut taking = Taking::new(&repo, &before, Some(refuses));
        taking.folder(&root, "").map_err(|e| e.at(dir))?;
        let Taking { after, skipped, .. } = taking;
        if after == before {
            return Ok((parent.into(), skipped));
        }
        let tree = write_tree(&repo, &after)?;
        let seconds = repo.find_commit(parent)?.time()?.seconds;
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let entry = Entry { author: &Author::hq(), message: "As it lies there", time };
        Ok((written(&repo, tree, Some(parent), &entry)?.into(), skipped))
    }

    /// Those of these files that would not get into a branch as they lie in a folder now, and why.
    pub fn left_out(
        &self,
        branch: &Branch,
        dir: &Path,
        paths: &[String],
        refuses: Refuses<'_>,
    ) -> Result<Vec<Skipped>, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let parent = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let before = leaves(&repo, parent)?;
        let root = Folder::open(dir).map_err(GitError::disk(dir))?;
        let mut taking = Taking::new(&repo, &before, Some(refuses));
        taking.after = before.clone();
        for path in paths {
            taking.path(&root, path).map_err(|e| e.at(dir))?;
        }
        Ok(taking.skipped)
    }

    /// Commits files as they are given, before any folder has them; where there is none, the path is removed. None when
    /// nothing differs.
    pub fn commit_files(
        &self,
        branch: &Branch,
        files: &BTreeMap<&str, Option<&File>>,
        entry: &Entry<'_>,
    ) -> Result<Option<CommitId>, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let parent = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let before = leaves(&repo, parent)?;
        let mut after = before.clone();
        for (path, file) in files {
            names::check_path(path)?;
            match file {
                Some(file) => {
                    let id = repo.write_blob(&file.bytes)?.detach();
                    after.insert((*path).to_owned(), Leaf { id, executable: file.executable });
                }
                None => drop(after.remove(*path)),
            }
        }
        if after == before {
            return Ok(None);
        }
        let tree = write_tree(&repo, &after)?;
        commit(&repo, branch, tree, Some(parent), entry).map(Some)
    }
}

/// Why taking stopped: the disk, with the path below the folder, or the repository.
pub(super) enum Stop {
    Disk(String, io::Error),
    Git(GitError),
}

impl Stop {
    pub(super) fn at(self, dir: &Path) -> GitError {
        match self {
            Self::Disk(path, source) => GitError::Disk { path: dir.join(path), source },
            Self::Git(error) => error,
        }
    }
}

pub(super) struct Taking<'a> {
    repo: &'a gix::Repository,
    before: &'a Leaves,
    pub(super) after: Leaves,
    pub(super) skipped: Vec<Skipped>,
    bytes: u64,
    refuses: Option<Refuses<'a>>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(
        repo: &'a gix::Repository,
        before: &'a Leaves,
        refuses: Option<Refuses<'a>>,
    ) -> Self {
        Self { repo, before, after: Leaves::new(), skipped: Vec::new(), bytes: 0, refuses }
    }

    /// One path that was noted. What was there before is replaced by what is there now.
    fn path(&mut self, root: &Folder, path: &str) -> Result<(), Stop> {
        names::check_path(path).map_err(Stop::Git)?;
        let below = format!("{path}/");
        self.after.retain(|other, _| other != path && !other.starts_with(&below));
        let mut folder = None;
        let mut names = path.split('/').peekable();
        let mut so_far = String::new();
        while let Some(name) = names.next() {
            let here = folder.as_ref().unwrap_or(root);
            if is_ignored(&so_far, name) {
                return Ok(());
            }
            so_far = join(&so_far, name);
            if names.peek().is_none() {
                return self.name(here, &so_far, name);
            }
            match here.enter(name) {
                Ok(inner) => {
                    // A file of the branch that has become a folder.
                    self.after.remove(&so_far);
                    folder = Some(inner);
                }
                // ok: gone, or no folder; what was noted is gone with it. A file that stands there was not noted.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    pub(super) fn folder(&mut self, folder: &Folder, at: &str) -> Result<(), Stop> {
        for name in folder.names().map_err(|e| Stop::Disk(at.to_owned(), e))? {
            match name {
                Ok(name) if is_ignored(at, &name) => {}
                Ok(name) => self.name(folder, &join(at, &name), &name)?,
                Err(bytes) => self.skip(join(at, &show(&bytes)), "its name is no text (UTF-8)"),
            }
        }
        Ok(())
    }

    fn name(&mut self, folder: &Folder, path: &str, name: &str) -> Result<(), Stop> {
        let failed = |e| Stop::Disk(path.to_owned(), e);
        if let Err(GitError::Path { why, .. }) = names::check_path(path) {
            self.skip(path.to_owned(), why);
            return Ok(());
        }
        match folder.kind(name).map_err(failed)? {
            None => Ok(()),
            Some(Kind::Folder) => match folder.enter(name) {
                Ok(inner) => self.folder(&inner, path),
                Err(_) => {
                    self.keep(path, "it cannot be read"); // ok: told to the person
                    Ok(())
                }
            },
            Some(Kind::Other) => {
                self.skip(path.to_owned(), "it is a link, a socket, a pipe or a device");
                Ok(())
            }
            Some(Kind::File { bytes, executable }) => {
                if MAX_FILE < bytes {
                    self.keep(path, "it is larger than 25 MiB");
                    return Ok(());
                }
                if MAX_FILES <= self.after.len() {
                    self.keep(path, "there are more than 10,000 files");
                    return Ok(());
                }
                let Ok(content) = folder.read(name, MAX_FILE) else {
                    self.keep(path, "it cannot be read");
                    return Ok(());
                };
                let size = content.len() as u64;
                if MAX_FILE < size || MAX_BYTES < self.bytes + size {
                    self.keep(path, "there are more than 512 MiB, or it grows while it is read");
                    return Ok(());
                }
                if let Some(refuses) = self.refuses
                    && !self.is_there(path, &content)
                    && let Some(why) = refuses(path, &content)
                {
                    self.keep(path, why);
                    return Ok(());
                }
                self.bytes += size;
                let id = self.repo.write_blob(&content).map_err(|e| Stop::Git(e.into()))?.detach();
                self.after.insert(path.to_owned(), Leaf { id, executable });
                Ok(())
            }
        }
    }

    /// Whether the branch has exactly this already.
    fn is_there(&self, path: &str, content: &[u8]) -> bool {
        let leaf = self.before.get(path);
        leaf.is_some_and(|leaf| self.repo.find_blob(leaf.id).is_ok_and(|blob| blob.data == content))
    }

    fn skip(&mut self, path: String, why: &'static str) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(Skipped { path, why });
        }
    }

    /// Left out as it is now; what the branch has of it stays.
    fn keep(&mut self, path: &str, why: &'static str) {
        let below = format!("{path}/");
        for (other, leaf) in self.before.range(path.to_owned()..) {
            if other == path || other.starts_with(&below) {
                self.after.insert(other.clone(), *leaf);
            } else if !other.starts_with(path) {
                break;
            }
        }
        self.skip(path.to_owned(), why);
    }
}

/// Whether a file with this path gets into the branch: what is for working in or secret by habit does not.
#[must_use]
pub fn is_kept(path: &str) -> bool {
    let mut at = String::new();
    path.split('/').all(|name| {
        let kept = !is_ignored(&at, name);
        at = join(&at, name);
        kept
    })
}

/// Whether a name is never taken.
pub(crate) fn is_ignored(at: &str, name: &str) -> bool {
    (at.is_empty() && SCRATCH.contains(&name))
        || NEVER.contains(&name)
        || name == ".git"
        || name == ".env"
        || name.starts_with(".env.")
        || is_half_made(name)
        || name.ends_with(".pyc")
}

pub(crate) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") }
}

pub(super) fn changed(before: &Leaves, after: &Leaves) -> Vec<String> {
    let both: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    both.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}
