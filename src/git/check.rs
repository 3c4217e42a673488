//! Checks whether the branches of a repository are readable, and restarts a branch whose newest version is lost with
//! the current files of its agent's folder.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use std::os::unix::fs::MetadataExt as _;

use gix::ObjectId;
use jiff::{SignedDuration, Timestamp};

use super::bundle::{broken, git};
use super::names::Branch;
use super::pack::{commits, enter_tree};
use super::snapshot::{Refuses, Skipped, Taking};
use super::{AgentsRepo, Entry, GitError, Leaves, head, leaves, names, packs, write_tree, written};
use crate::folder::Folder;

/// Depth of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Each branch points to a readable commit.
    Branches,
    /// All reachable objects exist and match their hashes. Reads everything.
    Objects,
}

/// Damage of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The branch; `None` if all branches are affected.
    pub branch: Option<Branch>,
    /// Description of the damage.
    pub what: String,
    /// Whether the newest version is lost, as opposed to older ones only.
    pub is_newest: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { branch, what, is_newest } = self;
        match branch {
            None => f.write_str(what),
            Some(branch) if *is_newest => write!(f, "{branch}: {what}"),
            Some(branch) => write!(f, "{branch}: older versions cannot be read: {what}"),
        }
    }
}

/// Result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Number of branches.
    pub branches: usize,
    /// Number of objects read.
    pub objects: usize,
    pub faults: Vec<Fault>,
}

/// Lifetime of a cached branch check if no file date changes. Bit rot changes no date.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// Results of the last checks.
#[derive(Default)]
pub(crate) struct Last {
    /// Last check of the branches: file dates at that time, time, result.
    branches: Option<(Vec<Dated>, Timestamp, Checked)>,
    /// Damage found by the last check of all objects.
    objects: Vec<Fault>,
}

/// A file or folder with its change markers: path, length, inode, modification time in seconds and nanoseconds.
type Dated = (PathBuf, u64, u64, i64, i64);

/// The agents that have a folder with files below `folder`.
///
/// # Errors
/// If the folder cannot be read.
pub fn agents_in(folder: &Path) -> io::Result<Vec<String>> {
    let all = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        all => all?,
    };
    let mut found = Vec::new();
    for entry in all {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("files").is_dir() && Branch::agent(&name).is_ok() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Moves a repository that cannot be opened out of the way, so that an empty one can replace it.
pub fn put_aside(path: &Path, aside: &Path) -> Result<(), GitError> {
    fs::rename(path, aside).map_err(GitError::disk(path))
}

impl AgentsRepo {
    /// Checks all branches, and whether each of these agents has one.
    #[must_use]
    pub fn check(&self, agents: &[String], depth: Depth) -> Checked {
        let checked = self.inspect(agents, depth);
        if depth == Depth::Objects {
            self.last.lock().objects.clone_from(&checked.faults);
        }
        checked
    }

    /// The result of a branch check, cached until a branch or an object is added, changed or removed. Includes the
    /// damage found by the last check of all objects.
    #[must_use]
    pub fn standing(&self, agents: &[String], now: Timestamp) -> Checked {
        let dates = dates(self.repo().git_dir());
        let mut last = self.last.lock();
        let is_same = |(known, at, _): &(Vec<Dated>, Timestamp, Checked)| {
            *known == dates && *at <= now && now.duration_since(*at) < FRESH
        };
        let mut checked = match last.branches.take().filter(is_same) {
            Some((dates, at, checked)) => {
                last.branches = Some((dates, at, checked.clone()));
                checked
            }
            None => {
                let checked = self.inspect(agents, Depth::Branches);
                last.branches = Some((dates, now, checked.clone()));
                checked
            }
        };
        for fault in &last.objects {
            if checked.faults.iter().all(|known| known.branch != fault.branch) {
                checked.faults.push(fault.clone());
            }
        }
        checked
    }

    fn inspect(&self, agents: &[String], depth: Depth) -> Checked {
        let repo = self.repo();
        // ok: if branches cannot be listed, those of the agents are looked up by name.
        let listed = self.branches().unwrap_or_default();
        let mut all: BTreeSet<Branch> = listed.into_iter().collect();
        let mut checked = Checked { branches: all.len(), ..Checked::default() };
        let bad = packs::bad(repo.git_dir(), depth);
        if !bad.is_empty() {
            // Damaged packs are not read: an access beyond the end of the file would abort the thread.
            let fault = |what| Fault { branch: None, what, is_newest: true };
            checked.faults.extend(bad.into_iter().map(|one| fault(one.message)));
            return checked;
        }
        all.extend(agents.iter().filter_map(|slug| Branch::agent(slug).ok()));
        let mut right = BTreeSet::new();
        for branch in all {
            let fault = |what: String, is_newest| {
                let branch = Some(branch.clone());
                Fault { branch, what, is_newest }
            };
            let newest = match newest(&repo, &branch) {
                Ok(newest) => newest,
                Err(what) => {
                    checked.faults.push(fault(what, true));
                    continue;
                }
            };
            if depth == Depth::Branches {
                continue;
            }
            let found = whole(&repo, newest, &mut right)
                .map_err(|error| (error.to_string(), true))
                .and_then(|()| {
                    history(&repo, newest, &mut right).map_err(|e| (e.to_string(), false))
                });
            if let Err((what, is_newest)) = found {
                checked.faults.push(fault(what, is_newest));
            }
        }
        checked.objects = right.len();
        checked
    }

    /// Restarts a branch whose newest version is lost with the files of a folder, without its history. Returns the
    /// skipped files.
    pub fn begin_anew(
        &self,
        branch: &Branch,
        dir: &Path,
        refuses: Refuses<'_>,
        entry: &Entry<'_>,
    ) -> Result<Vec<Skipped>, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let root = Folder::open(dir).map_err(GitError::disk(dir))?;
        let before = Leaves::new();
        let mut taking = Taking::new(&repo, &before, Some(refuses));
        taking.folder(&root, "").map_err(|error| error.at(dir))?;
        let Taking { after, skipped, .. } = taking;
        let tree = write_tree(&repo, &after)?;
        let id = written(&repo, tree, None, entry)?;
        set(&repo, branch, id)?;
        Ok(skipped)
    }
}

/// Points a branch to a commit, whatever it pointed to. A corrupt reference cannot be compared.
pub(super) fn set(repo: &gix::Repository, branch: &Branch, id: ObjectId) -> Result<(), GitError> {
    let place = repo.git_dir().join(branch.reference());
    if place.is_dir() {
        fs::remove_dir_all(&place).map_err(GitError::disk(&place))?;
    } else if place.exists() {
        fs::remove_file(&place).map_err(GitError::disk(&place))?;
    }
    let any = gix::refs::transaction::PreviousValue::Any;
    repo.reference(branch.reference(), id, any, "repaired")?;
    Ok(())
}

/// Dates of all branch references, object folders and packs. Additions and removals change them.
fn dates(repository: &Path) -> Vec<Dated> {
    let mut found = Vec::new();
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        let is_top = folder == repository;
        // ok: an unreadable folder has no date; what is readable is checked.
        let Ok(all) = fs::read_dir(&folder) else { continue };
        for entry in all.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(meta) = entry.metadata() else { continue };
            found.push((path.clone(), meta.len(), meta.ino(), meta.mtime(), meta.mtime_nsec()));
            let is_in = !is_top || name == "refs" || name == "objects";
            // Loose object folders are skipped: they contain one file per version of each file.
            let is_shelf = name.len() == 2 && folder == repository.join("objects");
            if meta.is_dir() && is_in && !is_shelf {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The newest commit of a branch.
fn newest(repo: &gix::Repository, branch: &Branch) -> Result<ObjectId, String> {
    let id = head(repo, branch).map_err(|error| error.to_string())?;
    let id = id.ok_or_else(|| "the branch is missing".to_owned())?;
    let commit = repo.find_commit(id).map_err(|error| error.to_string())?;
    commit.tree().map_err(|error| error.to_string())?;
    Ok(id)
}

/// Verifies the files of one commit.
fn whole(
    repo: &gix::Repository,
    commit: ObjectId,
    right: &mut BTreeSet<ObjectId>,
) -> io::Result<()> {
    let mut ids = BTreeSet::from([commit]);
    let tree = repo.find_commit(commit).map_err(git)?.tree_id().map_err(git)?.detach();
    enter_tree(repo, tree, &mut ids)?;
    for path in leaves(repo, commit).map_err(git)?.keys() {
        names::check_path(path).map_err(broken)?;
    }
    compare(repo, &ids, right)
}

/// Verifies all earlier commits.
fn history(
    repo: &gix::Repository,
    newest: ObjectId,
    right: &mut BTreeSet<ObjectId>,
) -> io::Result<()> {
    let all = commits(repo, newest, &BTreeSet::new())?;
    let mut ids = all.clone();
    for commit in all {
        let tree = repo.find_commit(commit).map_err(git)?.tree_id().map_err(git)?.detach();
        enter_tree(repo, tree, &mut ids)?;
    }
    compare(repo, &ids, right)
}

/// Verifies the hashes of objects. Already verified ones are not read again.
fn compare(
    repo: &gix::Repository,
    ids: &BTreeSet<ObjectId>,
    right: &mut BTreeSet<ObjectId>,
) -> io::Result<()> {
    for id in ids {
        if right.contains(id) {
            continue;
        }
        let object = repo.find_object(*id).map_err(git)?;
        let hash = gix::objs::compute_hash(gix::hash::Kind::Sha1, object.kind, &object.data);
        if hash.map_err(git)? != *id {
            return Err(broken(format!("the object {id} is not what its name says")));
        }
        right.insert(*id);
    }
    Ok(())
}
