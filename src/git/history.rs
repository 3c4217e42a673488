//! Reads branches: files, history, and the changes of a commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use gix::ObjectId;
use jiff::Timestamp;
use similar::{ChangeTag, TextDiff};

use super::names::{Branch, CommitId};
use super::{AgentsRepo, File, GitError, Leaf, Leaves, head, leaves};

/// Maximum size of files that are compared line by line, in bytes.
const MAX_COMPARED: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// A branch's newest commit, or a given commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// The newest commit of this branch.
    Branch(Branch),
    Commit(CommitId),
}

/// A file in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether the file is executable.
    pub executable: bool,
    /// Content id: equal if and only if the content is equal.
    pub content: String,
}

/// A commit in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub id: CommitId,
    /// Author name.
    pub author: String,
    /// Author address.
    pub email: String,
    pub time: Timestamp,
    /// Commit message; the first line is the subject.
    pub message: String,
}

/// Selects a part of a history.
#[derive(Clone, Debug, Default)]
pub struct LogQuery<'a> {
    /// Only commits that changed this file or folder.
    pub path: Option<&'a str>,
    /// Only commits before this one.
    pub before: Option<CommitId>,
    /// Maximum number of commits.
    pub limit: usize,
}

/// How a file changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Removed,
    /// The content or the mode changed.
    Modified,
    /// The name changed, the content did not.
    Renamed {
        /// The old name.
        from: String,
    },
}

/// A file that differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// Path; for a renamed file, the new one.
    pub path: String,
    pub change: Change,
    /// Unified diff hunks with three context lines; empty if the file is not shown as text.
    pub hunks: String,
    /// Number of added lines.
    pub added: usize,
    /// Number of removed lines.
    pub removed: usize,
    /// Whether the file is shown as text.
    pub is_text: bool,
}

impl AgentsRepo {
    /// The files of a commit, by path.
    pub fn tree(&self, at: &At) -> Result<Vec<Listed>, GitError> {
        let repo = self.repo();
        let commit = resolve(&repo, at)?;
        let mut listed = Vec::new();
        for (path, leaf) in leaves(&repo, commit)? {
            let bytes = repo.find_header(leaf.id)?.size();
            let content = leaf.id.to_hex().to_string();
            listed.push(Listed { path, bytes, executable: leaf.executable, content });
        }
        Ok(listed)
    }

    /// Reads a file; `None` if it does not exist.
    pub fn read_file(&self, at: &At, path: &str) -> Result<Option<File>, GitError> {
        let repo = self.repo();
        let commit = resolve(&repo, at)?;
        let Some(leaf) = leaf(&repo, commit, path)? else { return Ok(None) };
        let bytes = repo.find_blob(leaf.id)?.take_data();
        Ok(Some(File { path: path.to_owned(), bytes, executable: leaf.executable }))
    }

    /// The history of a branch, newest first.
    pub fn log(&self, branch: &Branch, query: &LogQuery<'_>) -> Result<Vec<Logged>, GitError> {
        let repo = self.repo();
        let mut next = match query.before {
            Some(id) => parent(&repo, find(&repo, id)?)?,
            None => Some(head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?),
        };
        let mut found = Vec::new();
        // Agent branches have a linear history.
        while let Some(id) = next
            && found.len() < query.limit
        {
            let above = parent(&repo, id)?;
            if let Some(path) = query.path
                && entry(&repo, Some(id), path)? == entry(&repo, above, path)?
            {
                next = above;
                continue;
            }
            found.push(logged(&repo, id)?);
            next = above;
        }
        Ok(found)
    }

    /// For each path, the commit that last changed it, if it is among the newest `most` commits of the branch.
    pub fn last_changes(
        &self,
        branch: &Branch,
        paths: &[String],
        most: usize,
    ) -> Result<Vec<Option<Logged>>, GitError> {
        let repo = self.repo();
        let mut found = vec![None; paths.len()];
        let mut next = head(&repo, branch)?;
        for _ in 0..most {
            let Some(id) = next else { break };
            if found.iter().all(Option::is_some) {
                break;
            }
            let above = parent(&repo, id)?;
            for (path, found) in paths.iter().zip(&mut found) {
                if found.is_none() && entry(&repo, Some(id), path)? != entry(&repo, above, path)? {
                    *found = Some(logged(&repo, id)?);
                }
            }
            next = above;
        }
        Ok(found)
    }

    pub fn commit(&self, id: CommitId) -> Result<Logged, GitError> {
        let repo = self.repo();
        logged(&repo, find(&repo, id)?)
    }

    /// The parent of a commit; `None` for the first one.
    pub fn parent(&self, id: CommitId) -> Result<Option<CommitId>, GitError> {
        let repo = self.repo();
        Ok(parent(&repo, find(&repo, id)?)?.map(CommitId::from))
    }

    /// The changes of a commit.
    pub fn diff(&self, id: CommitId) -> Result<Vec<FileDiff>, GitError> {
        Ok(self.diff_below(id, "", usize::MAX)?.0)
    }

    /// The changes of a commit below a path (empty for all): at most `most` files, and the number of further ones.
    pub fn diff_below(
        &self,
        id: CommitId,
        path: &str,
        most: usize,
    ) -> Result<(Vec<FileDiff>, usize), GitError> {
        let repo = self.repo();
        let after = find(&repo, id)?;
        let before = parent(&repo, after)?;
        compare(&repo, (before, after), path, most)
    }

    /// Returns `true` if a commit is in the history of a branch.
    pub fn is_on(&self, branch: &Branch, id: CommitId) -> Result<bool, GitError> {
        let repo = self.repo();
        let mut next = head(&repo, branch)?;
        while let Some(at) = next
            && at != id.object()
        {
            next = parent(&repo, at)?;
        }
        Ok(next.is_some())
    }

    /// The newest common commit of two branches; `None` if there is none or a branch is missing.
    pub fn fork(&self, one: &Branch, other: &Branch) -> Result<Option<CommitId>, GitError> {
        let repo = self.repo();
        let mut known = HashSet::new();
        let mut next = head(&repo, other)?;
        while let Some(at) = next {
            known.insert(at);
            next = parent(&repo, at)?;
        }
        let mut next = head(&repo, one)?;
        while let Some(at) = next
            && !known.contains(&at)
        {
            next = parent(&repo, at)?;
        }
        Ok(next.map(CommitId::from))
    }

    /// The differences between two commits.
    pub fn diff_between(&self, from: &At, to: &At) -> Result<Vec<FileDiff>, GitError> {
        let repo = self.repo();
        let (from, to) = (resolve(&repo, from)?, resolve(&repo, to)?);
        Ok(compare(&repo, (Some(from), to), "", usize::MAX)?.0)
    }
}

fn resolve(repo: &gix::Repository, at: &At) -> Result<ObjectId, GitError> {
    match at {
        At::Branch(branch) => head(repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone())),
        At::Commit(id) => find(repo, *id),
    }
}

/// Checks that the object exists and is a commit.
fn find(repo: &gix::Repository, id: CommitId) -> Result<ObjectId, GitError> {
    let header = repo.try_find_header(id.object())?;
    match header {
        Some(header) if header.kind() == gix::objs::Kind::Commit => Ok(id.object()),
        _ => Err(GitError::NoCommit(id)),
    }
}

pub(super) fn parent(repo: &gix::Repository, id: ObjectId) -> Result<Option<ObjectId>, GitError> {
    let commit = repo.find_commit(id)?;
    Ok(commit.parent_ids().next().map(|parent| parent.detach()))
}

/// Content id and mode of a file or folder in a commit.
fn entry(
    repo: &gix::Repository,
    commit: Option<ObjectId>,
    path: &str,
) -> Result<Option<(ObjectId, u16)>, GitError> {
    let Some(commit) = commit else { return Ok(None) };
    let tree = repo.find_commit(commit)?.tree()?;
    let entry = tree.lookup_entry(path.split('/'))?;
    Ok(entry.map(|entry| (entry.object_id(), entry.mode().value())))
}

fn leaf(repo: &gix::Repository, commit: ObjectId, path: &str) -> Result<Option<Leaf>, GitError> {
    let tree = repo.find_commit(commit)?.tree()?;
    let Some(entry) = tree.lookup_entry(path.split('/'))? else { return Ok(None) };
    let mode = entry.mode();
    Ok(mode.is_blob().then(|| Leaf { id: entry.object_id(), executable: mode.is_executable() }))
}

fn logged(repo: &gix::Repository, id: ObjectId) -> Result<Logged, GitError> {
    let commit = repo.find_commit(id)?;
    let author = commit.author()?;
    let seconds = author.time()?.seconds;
    Ok(Logged {
        id: CommitId::from(id),
        author: author.name.to_string(),
        email: author.email.to_string(),
        // An out-of-range time can only come from outside.
        time: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
        message: commit.message_raw()?.to_string().trim_end().to_owned(),
    })
}

/// Differences below a path (empty for all): at most `most` files, and the number of further ones.
fn compare(
    repo: &gix::Repository,
    (before, after): (Option<ObjectId>, ObjectId),
    below: &str,
    most: usize,
) -> Result<(Vec<FileDiff>, usize), GitError> {
    let wanted = |path: &str| {
        let rest = path.strip_prefix(below);
        below.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let old = before.map(|id| leaves(repo, id)).transpose()?.unwrap_or_default();
    let new = leaves(repo, after)?;
    let renamed = renames(&old, &new);
    let gone: BTreeSet<&String> = renamed.values().copied().collect();
    let (mut diffs, mut more) = (Vec::new(), 0);
    for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (old.get(path), new.get(path));
        let change = match (was, is) {
            _ if was == is || !wanted(path) => continue,
            // A rename is reported under its new name, unless only the old path was requested.
            _ if gone.contains(path) && path != below => continue,
            _ if most <= diffs.len() => {
                more += 1;
                continue;
            }
            (None, _) => match renamed.get(path) {
                Some(from) => Change::Renamed { from: (*from).clone() },
                None => Change::Added,
            },
            (Some(_), None) => Change::Removed,
            (Some(_), Some(_)) => Change::Modified,
        };
        let was = if matches!(change, Change::Renamed { .. }) { is } else { was };
        diffs.push(file_diff(repo, path, change, was, is)?);
    }
    Ok((diffs, more))
}

/// Maps new paths to removed paths with the same content. Each old path is used once.
fn renames<'a>(old: &'a Leaves, new: &'a Leaves) -> BTreeMap<&'a String, &'a String> {
    let mut gone: BTreeMap<ObjectId, Vec<&String>> = BTreeMap::new();
    for (path, leaf) in old.iter().rev().filter(|(path, _)| !new.contains_key(*path)) {
        gone.entry(leaf.id).or_default().push(path);
    }
    new.iter()
        .filter(|(path, _)| !old.contains_key(*path))
        .filter_map(|(path, leaf)| Some((path, gone.get_mut(&leaf.id)?.pop()?)))
        .collect()
}

fn file_diff(
    repo: &gix::Repository,
    path: &str,
    change: Change,
    was: Option<&Leaf>,
    is: Option<&Leaf>,
) -> Result<FileDiff, GitError> {
    let read = |leaf: Option<&Leaf>| -> Result<Vec<u8>, GitError> {
        Ok(leaf
            .map(|leaf| repo.find_blob(leaf.id))
            .transpose()?
            .map_or_else(Vec::new, |mut b| b.take_data()))
    };
    let (old, new) = (read(was)?, read(is)?);
    let mut diff = FileDiff {
        path: path.to_owned(),
        change,
        hunks: String::new(),
        added: 0,
        removed: 0,
        is_text: false,
    };
    let (Some(old), Some(new)) = (text(&old), text(&new)) else { return Ok(diff) };
    diff.is_text = true;
    let lines = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    for line in lines.iter_all_changes() {
        match line.tag() {
            ChangeTag::Insert => diff.added += 1,
            ChangeTag::Delete => diff.removed += 1,
            ChangeTag::Equal => {}
        }
    }
    diff.hunks = lines.unified_diff().context_radius(3).to_string();
    Ok(diff)
}

fn text(bytes: &[u8]) -> Option<&str> {
    let is_text = bytes.len() <= MAX_COMPARED && !bytes.contains(&0);
    std::str::from_utf8(bytes).ok().filter(|_| is_text)
}
