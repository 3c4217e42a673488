//! Reverts files to their state before some commits: path by path, and only if a file is still as those commits left
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gix::ObjectId;
use sha2::{Digest, Sha256};

use super::files::AgentFiles;
use super::history::LogQuery;
use super::names::{Branch, CommitId};
use super::snapshot::{MAX_FILE, Paths};
use super::{AgentsRepo, Entry, File, GitError, Leaf, Leaves, leaves};

/// Maximum number of commits searched for a message.
const MAX_SEARCHED: usize = 10_000;

/// SHA-256 of a file before and after a recorded change; `None` if it did not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedChange {
    pub path: String,
    /// Before the first change.
    pub before: Option<[u8; 32]>,
    /// After the last change.
    pub after: Option<[u8; 32]>,
}

/// A revert request.
#[derive(Clone, Debug)]
pub struct Revert<'a> {
    pub branch: &'a Branch,
    /// The folder with the files.
    pub dir: &'a Path,
    /// The commits, oldest first.
    pub commits: &'a [CommitId],
    /// Additional records of single files.
    pub noted: &'a [RecordedChange],
    /// Only these files, sorted; `None` for all files that the commits changed.
    pub only: Option<&'a [String]>,
    /// The last line of `entry`'s message, which identifies this revert.
    pub mark: &'a str,
}

/// Result of a revert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reverted {
    /// The commit; `None` if no file was reverted.
    pub commit: Option<CommitId>,
    /// The reverted files.
    pub restored: Vec<String>,
    /// The unchanged files, with reasons.
    pub kept: Vec<(String, &'static str)>,
}

/// A file before and after the commits.
#[derive(Clone, Copy)]
struct Way {
    from: Option<Leaf>,
    to: Option<Leaf>,
}

/// Whether a file can be reverted.
enum Now {
    /// As the commits left it.
    AsLeft,
    /// Already reverted.
    Back,
    Other,
}

impl AgentsRepo {
    /// The paths that these commits changed.
    pub fn changed_by(&self, commits: &[CommitId]) -> Result<Vec<String>, GitError> {
        Ok(ways(&self.repo(), commits)?.into_keys().collect())
    }

    /// Reverts files and commits the result. Idempotent: repeated after an interruption, it continues and returns the
    /// existing commit, identified by its mark.
    pub fn revert(&self, what: &Revert<'_>, entry: &Entry<'_>) -> Result<Reverted, GitError> {
        let files = AgentFiles::open(what.dir)?;
        let mut done = Reverted::default();
        for (path, way) in ways(&self.repo(), what.commits)? {
            if what.only.is_some_and(|only| only.binary_search(&path).is_err()) {
                continue;
            }
            let noted = what.noted.iter().find(|noted| noted.path == path);
            match self.take_back(&files, &path, way, noted)? {
                None => done.restored.push(path),
                Some(why) => done.kept.push((path, why)),
            }
        }
        let paths = Paths::Only(&done.restored);
        done.commit = self.commit_paths(what.branch, what.dir, paths, entry)?.commit;
        if done.commit.is_none() && !done.restored.is_empty() {
            done.commit = self.marked(what.branch, what.mark)?.pop();
        }
        Ok(done)
    }

    /// After an interruption, updates the files of a folder that are still in the state before a commit to the state
    /// after it. Files changed since stay.
    pub fn bring(&self, dir: &Path, commit: CommitId) -> Result<(), GitError> {
        let files = AgentFiles::open(dir)?;
        for (path, way) in ways(&self.repo(), &[commit])? {
            // Apply the change in reverse direction.
            let why = self.take_back(&files, &path, Way { from: way.to, to: way.from }, None)?;
            if why.is_none() && way.to.is_none() {
                files.remove_empty_above(&path)?;
            }
        }
        Ok(())
    }

    /// Reverts one file. Returns the reason if it was left unchanged.
    fn take_back(
        &self,
        files: &AgentFiles,
        path: &str,
        way: Way,
        noted: Option<&RecordedChange>,
    ) -> Result<Option<&'static str>, GitError> {
        let (from, to) = (self.content(way.from)?, self.content(way.to)?);
        let hash = |bytes: &Option<Vec<u8>>| -> Option<[u8; 32]> {
            bytes.as_ref().map(|bytes| Sha256::digest(bytes).into())
        };
        if noted.is_some_and(|noted| noted.before != hash(&from)) {
            return Ok(Some("its previous content was never committed"));
        }
        let now = match files.read_up_to(path, MAX_FILE) {
            Ok(Some(part)) if MAX_FILE < part.total => return Ok(Some("it is too large now")),
            Ok(part) => part.map(|part| part.bytes),
            // A folder or a symlink is in its place.
            Err(GitError::Path { why, .. }) => return Ok(Some(why)),
            Err(error) => return Err(error),
        };
        let state = match () {
            () if now == from => Now::Back,
            () if now == to && noted.is_none_or(|noted| noted.after == hash(&now)) => Now::AsLeft,
            () => Now::Other,
        };
        match (state, from) {
            (Now::Back, _) => {}
            (Now::AsLeft, Some(bytes)) => {
                let executable = way.from.is_some_and(|leaf| leaf.executable);
                files.write(&File { path: path.to_owned(), bytes, executable })?;
            }
            (Now::AsLeft, None) => {
                files.remove(path)?;
            }
            (Now::Other, _) => return Ok(Some("it was changed since")),
        }
        Ok(None)
    }

    fn content(&self, leaf: Option<Leaf>) -> Result<Option<Vec<u8>>, GitError> {
        match leaf {
            Some(leaf) => Ok(Some(self.repo().find_blob(leaf.id)?.take_data())),
            None => Ok(None),
        }
    }

    /// The commits of a branch whose message has this line in its last paragraph, oldest first.
    pub fn marked(&self, branch: &Branch, mark: &str) -> Result<Vec<CommitId>, GitError> {
        let query = LogQuery { limit: MAX_SEARCHED, ..LogQuery::default() };
        let mut found = self.log(branch, &query)?;
        found.retain(|commit| {
            let last = commit.message.trim_end().rsplit_once("\n\n").map_or("", |(_, last)| last);
            last.lines().any(|line| line == mark)
        });
        Ok(found.into_iter().rev().map(|commit| commit.id).collect())
    }
}

/// Each file that the commits changed, with its state before the first and after the last of them. If others committed
/// the file in between, their version is the state to return to.
fn ways(repo: &gix::Repository, commits: &[CommitId]) -> Result<BTreeMap<String, Way>, GitError> {
    let mut found: BTreeMap<String, Way> = BTreeMap::new();
    for id in commits {
        let (before, after) = sides(repo, id.object())?;
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for path in paths {
            let (from, to) = (before.get(path).copied(), after.get(path).copied());
            if from == to {
                continue;
            }
            match found.get_mut(path) {
                Some(way) if way.to == from => way.to = to,
                _ => {
                    found.insert(path.clone(), Way { from, to });
                }
            }
        }
    }
    found.retain(|_, way| way.from != way.to);
    Ok(found)
}

/// The files of a commit's parent and of the commit.
fn sides(repo: &gix::Repository, id: ObjectId) -> Result<(Leaves, Leaves), GitError> {
    let Ok(commit) = repo.find_commit(id) else {
        return Err(GitError::NoCommit(CommitId::from(id)));
    };
    let parent = commit.parent_ids().next().map(gix::Id::detach);
    let before = parent.map_or_else(|| Ok(Leaves::new()), |parent| leaves(repo, parent))?;
    Ok((before, leaves(repo, id)?))
}
