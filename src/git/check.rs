//! Whether the branches of a repository can be read, and the one repair that needs nothing else: a branch whose newest
//! version is lost begins anew with what lies in the folder of its agent.

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

/// How deep a check looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Each branch leads to a commit that can be read.
    Branches,
    /// All that the branches lead to is there and is what its name says. Reads all of it.
    Objects,
}

/// What is wrong with a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The branch; none where it concerns all of them.
    pub branch: Option<Branch>,
    /// What is wrong.
    pub what: String,
    /// Whether its newest version is lost; otherwise older ones alone.
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

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many branches there are.
    pub branches: usize,
    /// How many objects were read.
    pub objects: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// For so long a look at the branches holds while nothing beside them changes: a byte that changes in its place is seen
/// by no date of a folder.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// What the last checks have found.
#[derive(Default)]
pub(crate) struct Last {
    /// At the newest versions, when, and as which dates the files had then.
    branches: Option<(Vec<Dated>, Timestamp, Checked)>,
    /// At all objects.
    objects: Vec<Fault>,
}

/// A file or folder with what tells that it has changed: its length, its number, and when that was.
type Dated = (PathBuf, u64, u64, i64, i64);

/// The agents that have files in this folder of agents.
///
/// # Errors
/// When the folder cannot be read.
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

/// Moves a repository that does not open to another place, so that an empty one can take its place.
pub fn put_aside(path: &Path, aside: &Path) -> Result<(), GitError> {
    fs::rename(path, aside).map_err(GitError::disk(path))
}

impl AgentsRepo {
    /// Looks at all branches, and whether each of these agents has one.
    #[must_use]
    pub fn check(&self, agents: &[String], depth: Depth) -> Checked {
        let checked = self.look(agents, depth);
        if depth == Depth::Objects {
            self.last.lock().objects.clone_from(&checked.faults);
        }
        checked
    }

    /// What a look at all branches finds, taken again only when a branch or an object came, changed or went since; with it
    /// what the last check of all objects has found.
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
                let checked = self.look(agents, Depth::Branches);
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

    fn look(&self, agents: &[String], depth: Depth) -> Checked {
        let repo = self.repo();
        // ok: where they cannot be listed those of the agents are looked for by name.
        let listed = self.branches().unwrap_or_default();
        let mut all: BTreeSet<Branch> = listed.into_iter().collect();
        let mut checked = Checked { branches: all.len(), ..Checked::default() };
        let bad = packs::bad(repo.git_dir(), depth);
        if !bad.is_empty() {
            // Nothing is read out of them: what lies behind the end of a file ends a thread.
            let fault = |what| Fault { branch: None, what, is_newest: true };
            checked.faults.extend(bad.into_iter().map(|one| fault(one.said)));
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

    /// Lets a branch whose newest version is lost begin anew with what lies in a folder, without its history. Says what
    /// was left out.
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

/// Lets a branch lead to a commit, whatever stood there: what is no name of a commit cannot be compared.
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

/// The dates of all that names a branch, and of the folders of objects and the packs: what came or went is seen by them.
fn dates(repository: &Path) -> Vec<Dated> {
    let mut found = Vec::new();
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        let is_top = folder == repository;
        // ok: what cannot be read has no date, and what is there is looked at.
        let Ok(all) = fs::read_dir(&folder) else { continue };
        for entry in all.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(meta) = entry.metadata() else { continue };
            found.push((path.clone(), meta.len(), meta.ino(), meta.mtime(), meta.mtime_nsec()));
            let is_in = !is_top || name == "refs" || name == "objects";
            // The objects themselves are as many as all versions have files.
            let is_shelf = name.len() == 2 && folder == repository.join("objects");
            if meta.is_dir() && is_in && !is_shelf {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The commit that a branch leads to.
fn newest(repo: &gix::Repository, branch: &Branch) -> Result<ObjectId, String> {
    let id = head(repo, branch).map_err(|error| error.to_string())?;
    let id = id.ok_or_else(|| "the branch is missing".to_owned())?;
    let commit = repo.find_commit(id).map_err(|error| error.to_string())?;
    commit.tree().map_err(|error| error.to_string())?;
    Ok(id)
}

/// Reads the files of one commit.
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

/// Reads all that came before it.
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

/// Compares objects with their names; those that were right before are not read again.
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
