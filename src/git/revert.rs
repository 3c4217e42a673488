//! Takes files back to what they were before some commits: path by path, and only where a file is
//! still what those commits made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gix::ObjectId;
use sha2::{Digest, Sha256};

use super::files::AgentFiles;
use super::history::LogQuery;
use super::names::{Branch, CommitId};
use super::snapshot::{MAX_FILE, Paths};
use super::{AgentsRepo, Entry, File, GitError, Leaf, Leaves, leaves};

/// How far back a commit is looked for by its message.
const MAX_SEARCHED: usize = 10_000;

/// What was noted of a file when it was changed: SHA-256 before and after, none where there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub path: String,
    /// Before the first change.
    pub before: Option<[u8; 32]>,
    /// After the last one.
    pub after: Option<[u8; 32]>,
}

/// What is to go back.
#[derive(Clone, Debug)]
pub struct Revert<'a> {
    pub branch: &'a Branch,
    /// The folder with the files.
    pub dir: &'a Path,
    /// The commits, oldest first.
    pub commits: &'a [CommitId],
    /// What is known of single files besides.
    pub noted: &'a [Noted],
    /// Only these files, in order; none for all that the commits changed.
    pub only: Option<&'a [String]>,
    /// The last line of `entry`'s message: it tells this revert from all others.
    pub mark: &'a str,
}

/// What went back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reverted {
    /// The commit; none when no file went back.
    pub commit: Option<CommitId>,
    /// The files that went back.
    pub restored: Vec<String>,
    /// The files that stayed, and why.
    pub kept: Vec<(String, &'static str)>,
}

/// A file before and after the commits.
#[derive(Clone, Copy)]
struct Way {
    from: Option<Leaf>,
    to: Option<Leaf>,
}

/// Whether a file can go back.
enum Now {
    /// It is what the commits left.
    AsLeft,
    /// It has gone back already.
    Back,
    Other,
}

impl AgentsRepo {
    /// The paths that these commits changed.
    pub fn changed_by(&self, commits: &[CommitId]) -> Result<Vec<String>, GitError> {
        Ok(ways(&self.repo(), commits)?.into_keys().collect())
    }

    /// Takes files back and commits that. Asked again after it was cut off, it goes on and gives the
    /// commit that it had made, which it knows by its mark.
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

    /// Brings those files of a folder that are still as they were before a commit to what it made of them, after that
    /// was cut off; what was changed since stays.
    pub fn bring(&self, dir: &Path, commit: CommitId) -> Result<(), GitError> {
        let files = AgentFiles::open(dir)?;
        for (path, way) in ways(&self.repo(), &[commit])? {
            // The way back from where the files were to where they should be.
            let why = self.take_back(&files, &path, Way { from: way.to, to: way.from }, None)?;
            if why.is_none() && way.to.is_none() {
                files.remove_empty_above(&path)?;
            }
        }
        Ok(())
    }

    /// Takes one file back; why not, if not.
    fn take_back(
        &self,
        files: &AgentFiles,
        path: &str,
        way: Way,
        noted: Option<&Noted>,
    ) -> Result<Option<&'static str>, GitError> {
        let (from, to) = (self.content(way.from)?, self.content(way.to)?);
        let hash = |bytes: &Option<Vec<u8>>| -> Option<[u8; 32]> {
            bytes.as_ref().map(|bytes| Sha256::digest(bytes).into())
        };
        if noted.is_some_and(|noted| noted.before != hash(&from)) {
            return Ok(Some("what it was before was never committed"));
        }
        let now = match files.read_up_to(path, MAX_FILE) {
            Ok(Some(part)) if MAX_FILE < part.total => return Ok(Some("it is too large now")),
            Ok(part) => part.map(|part| part.bytes),
            // A folder or a link stands in its place.
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

    /// The commits of a branch whose message ends with a paragraph that has this line, oldest first.
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

/// Each file that the commits changed, before the first of them and after the last. Where somebody
/// else committed it in between, it goes back to what they left.
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
