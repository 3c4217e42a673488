//! Agent folders on a machine other than their repository's: sets them to a commit, and updates them between commits
//! without losing local changes.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::{AgentFiles, Part};
use super::history::parent;
use super::names::{self, CommitId};
use super::snapshot::{MAX_FILE, changed};
use super::{AgentsRepo, File, GitError, Leaf, leaves};

impl AgentsRepo {
    /// Makes a folder match a commit. Other files are removed, except those that are never committed.
    pub fn mirror(&self, commit: CommitId, dir: &Path) -> Result<(), GitError> {
        let files = AgentFiles::create(dir)?;
        let all = leaves(&self.repo(), commit.object())?;
        let there = files.scan()?;
        for (path, _) in there.files().filter(|(path, _)| !all.contains_key(*path)) {
            files.remove(path)?;
            files.remove_empty_above(path)?;
        }
        for (path, leaf) in all {
            names::check_path(&path)?;
            if !is_as(read(&files, &path)?.as_ref(), Some(&leaf))? {
                files.write(&self.file(path, leaf)?)?;
            }
        }
        Ok(())
    }

    /// Which of these files, in order, differ between two commits and match neither of them in the folder.
    pub fn astray(
        &self,
        dir: &Path,
        (from, to): (CommitId, CommitId),
        only: &[String],
    ) -> Result<Vec<String>, GitError> {
        self.each(dir, (from, to), Some(only), |_, _, _| Ok(()))
    }

    /// Updates files that still match one commit to another commit. Returns the locally changed files, which stay.
    /// Limited to `only` (sorted), if given.
    pub fn carry(
        &self,
        dir: &Path,
        (from, to): (CommitId, CommitId),
        only: Option<&[String]>,
    ) -> Result<Vec<String>, GitError> {
        self.each(dir, (from, to), only, |files, path, leaf| match leaf {
            Some(leaf) => files.write(&self.file(path.to_owned(), leaf)?),
            None => {
                files.remove(path)?;
                files.remove_empty_above(path)
            }
        })
    }

    /// The paths changed by the commits after one up to another, in order, including files that were added and removed
    /// again.
    pub fn touched(&self, after: CommitId, upto: CommitId) -> Result<Vec<String>, GitError> {
        let repo = self.repo();
        let (mut found, mut at) = (BTreeSet::new(), upto.object());
        while at != after.object() {
            let Some(before) = parent(&repo, at)? else { break };
            found.extend(changed(&leaves(&repo, before)?, &leaves(&repo, at)?));
            at = before;
        }
        Ok(found.into_iter().collect())
    }

    /// Calls `act` for each file that matches the first commit and differs in the second. Returns the files that match
    /// neither.
    fn each(
        &self,
        dir: &Path,
        (from, to): (CommitId, CommitId),
        only: Option<&[String]>,
        act: impl Fn(&AgentFiles, &str, Option<Leaf>) -> Result<(), GitError>,
    ) -> Result<Vec<String>, GitError> {
        let (files, repo) = (AgentFiles::open(dir)?, self.repo());
        let (old, new) = (leaves(&repo, from.object())?, leaves(&repo, to.object())?);
        let (there, gone): (Vec<String>, Vec<String>) =
            changed(&old, &new).into_iter().partition(|path| new.contains_key(path));
        let mut astray = Vec::new();
        // Deletions first: a file may replace a folder.
        for path in gone.into_iter().chain(there) {
            if only.is_some_and(|only| only.binary_search(&path).is_err()) {
                continue;
            }
            names::check_path(&path)?;
            let now = match read(&files, &path) {
                Ok(now) => now,
                // A folder or a symlink is in its place.
                Err(GitError::Path { .. }) => {
                    astray.push(path);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_as(now.as_ref(), new.get(&path))? {
                continue;
            }
            match is_as(now.as_ref(), old.get(&path))? {
                true => act(&files, &path, new.get(&path).copied())?,
                false => astray.push(path),
            }
        }
        Ok(astray)
    }

    fn file(&self, path: String, leaf: Leaf) -> Result<File, GitError> {
        let bytes = self.repo().find_blob(leaf.id)?.take_data();
        Ok(File { path, bytes, executable: leaf.executable })
    }
}

/// The whole file, if it does not exceed the commit limit.
fn read(files: &AgentFiles, path: &str) -> Result<Option<Part>, GitError> {
    files.read_up_to(path, MAX_FILE)
}

/// Returns `true` if a file matches a commit.
fn is_as(now: Option<&Part>, leaf: Option<&Leaf>) -> Result<bool, GitError> {
    let (now, leaf) = match (now, leaf) {
        (None, None) => return Ok(true),
        (Some(now), Some(leaf)) => (now, leaf),
        _ => return Ok(false),
    };
    if now.executable != leaf.executable || now.bytes.len() as u64 != now.total {
        return Ok(false);
    }
    let (sha1, blob) = (gix::hash::Kind::Sha1, gix::objs::Kind::Blob);
    Ok(gix::objs::compute_hash(sha1, blob, &now.bytes)? == leaf.id)
}
