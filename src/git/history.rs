//! Reads branches: their files, their history, and what a commit has changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use gix::ObjectId;
use jiff::Timestamp;
use similar::{ChangeTag, TextDiff};

use super::names::{Branch, CommitId};
use super::{AgentsRepo, File, GitError, Leaf, Leaves, head, leaves};

/// Larger files are not compared line by line.
const MAX_COMPARED: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// A branch as it is now, or a commit.
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
    /// Its size.
    pub bytes: u64,
    /// Whether it is a program.
    pub executable: bool,
    /// A name for its content: equal exactly when the content is.
    pub content: String,
}

/// A commit in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its name.
    pub id: CommitId,
    /// Who made it.
    pub author: String,
    /// The author's address.
    pub email: String,
    pub time: Timestamp,
    /// What, with the subject as first line.
    pub message: String,
}

/// Which part of a history to give.
#[derive(Clone, Debug, Default)]
pub struct LogQuery<'a> {
    /// Only commits that changed this file or folder.
    pub path: Option<&'a str>,
    /// Only commits before this one.
    pub before: Option<CommitId>,
    /// At most so many.
    pub limit: usize,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content or its mode changed.
    Modified,
    /// It has another name and the same content.
    Renamed {
        /// The name before.
        from: String,
    },
}

/// A file that differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// Its path; after the change where it has two.
    pub path: String,
    pub change: Change,
    /// The changed lines with three lines around them, in the usual form; empty when it cannot be shown as text.
    pub hunks: String,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// Whether it is shown as text at all.
    pub is_text: bool,
}

impl AgentsRepo {
    /// The files there, by path.
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

    /// One file; none when it is not there.
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
        // Branches of agents have one line of commits.
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

    /// For each of these paths the newest commit that changed it, where that is among the newest `most` of a branch.
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

    /// The commit before a commit; none before the first.
    pub fn parent(&self, id: CommitId) -> Result<Option<CommitId>, GitError> {
        let repo = self.repo();
        Ok(parent(&repo, find(&repo, id)?)?.map(CommitId::from))
    }

    /// What a commit has changed.
    pub fn diff(&self, id: CommitId) -> Result<Vec<FileDiff>, GitError> {
        Ok(self.diff_below(id, "", usize::MAX)?.0)
    }

    /// What a commit has changed of a file or folder, of everything when the path is empty: at most so many
    /// files, and how many more there are.
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

    /// Whether a branch leads back to a commit.
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

    /// The newest commit that two branches share; none when they share none, or one of them is not there.
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

    /// What differs between two commits.
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

/// Only what is there and is a commit.
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

/// Content and mode of a file or folder in a commit.
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
        // A time that no calendar has can only come from outside.
        time: Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH),
        message: commit.message_raw()?.to_string().trim_end().to_owned(),
    })
}

/// What differs below a path, everywhere when it is empty: so many files at most, and how many more.
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
            // Told with its new name, unless only the old one is looked at.
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

/// New paths to the old paths that had the same content and are gone; each old path once.
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
