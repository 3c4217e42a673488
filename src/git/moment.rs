//! Restores an agent's files to their state at a moment, as a commit on top of its branch, and updates the folder.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use jiff::Timestamp;

use super::files::AgentFiles;
use super::history::parent;
use super::names::{Branch, CommitId};
use super::snapshot::{MAX_FILE, Paths, changed};
use super::{AgentsRepo, Entry, File, GitError, Leaf, commit, head, leaves};

/// An agent's commit at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// The newest commit not younger than the moment, or the agent's first commit if all are younger.
    pub commit: CommitId,
    /// Whether all commits are younger.
    pub is_younger: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// The new commit; `None` if nothing differed.
    pub commit: Option<CommitId>,
    /// The files left unchanged in the folder, with reasons.
    pub kept: Vec<(String, String)>,
}

impl AgentsRepo {
    /// The commit of an agent's branch at a moment, searched from the newest commit back: after a clock jump, the
    /// newest commit with a matching time is used. Commit times have a resolution of one second.
    ///
    /// # Errors
    /// If the branch does not exist, or its history is damaged.
    pub fn as_of(&self, branch: &Branch, moment: Timestamp) -> Result<AsOf, GitError> {
        let repo = self.repo();
        let newest = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let templates = self.of_templates(&repo)?;
        let (mut first, mut next) = (newest, Some(newest));
        // Earlier commits of the template are not states of the agent.
        while let Some(id) = next
            && !templates.contains(&id)
        {
            if repo.find_commit(id)?.time()?.seconds <= moment.as_second() {
                return Ok(AsOf { commit: CommitId::from(id), is_younger: false });
            }
            first = id;
            next = parent(&repo, id)?;
        }
        Ok(AsOf { commit: CommitId::from(first), is_younger: true })
    }

    /// The commits of templates, from which agent branches start.
    fn of_templates(&self, repo: &gix::Repository) -> Result<BTreeSet<ObjectId>, GitError> {
        let mut found = BTreeSet::new();
        for branch in self.branches()? {
            let is_template = branch.as_str().starts_with("template/");
            let mut next = if is_template { head(repo, &branch)? } else { None };
            while let Some(id) = next
                && found.insert(id)
            {
                next = parent(repo, id)?;
            }
        }
        Ok(found)
    }

    /// Restores a folder and its branch to a commit, as a new commit on top. Uncommitted files are committed first as
    /// `keep`, so nothing is lost. All needed content is read before anything changes: if it is damaged, nothing is
    /// changed.
    ///
    /// # Errors
    /// If the branch does not exist, or needed content is damaged or cannot be written.
    pub fn put_back(
        &self,
        branch: &Branch,
        dir: &Path,
        to: CommitId,
        keep: &Entry<'_>,
        entry: &Entry<'_>,
    ) -> Result<PutBack, GitError> {
        let files = AgentFiles::create(dir)?;
        self.commit_paths(branch, dir, Paths::AllBut(&|| Ok(BTreeSet::new())), keep)?;
        let _writing = self.writing.lock();
        let repo = self.repo();
        let newest = head(&repo, branch)?.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        let (before, after) = (leaves(&repo, newest)?, leaves(&repo, to.object())?);
        let (there, gone): (Vec<String>, Vec<String>) =
            changed(&before, &after).into_iter().partition(|path| after.contains_key(path));
        if there.is_empty() && gone.is_empty() {
            return Ok(PutBack::default());
        }
        for leaf in there.iter().filter_map(|path| after.get(path)) {
            repo.find_blob(leaf.id)?;
        }
        let tree = repo.find_commit(to.object())?.tree_id()?.detach();
        let commit = commit(&repo, branch, tree, Some(newest), entry)?;
        let mut done = PutBack { commit: Some(commit), kept: Vec::new() };
        // Deletions first: a file may replace a folder.
        for path in gone.into_iter().chain(there) {
            match set(&repo, &files, &path, (before.get(&path), after.get(&path))) {
                Ok(()) => {}
                Err(GitError::Path { why, .. }) => done.kept.push((path, why.to_owned())),
                Err(GitError::Disk { source, .. }) => done.kept.push((path, source.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// Sets a file in a folder to its state in a commit, unless its current content is in no commit, for example because it
/// exceeds a limit.
fn set(
    repo: &gix::Repository,
    files: &AgentFiles,
    path: &str,
    (was, leaf): (Option<&Leaf>, Option<&Leaf>),
) -> Result<(), GitError> {
    let stays = |why| Err(GitError::Path { path: path.to_owned(), why });
    // A symlink or a folder has no content to lose.
    if let Ok(Some(now)) = files.read_up_to(path, MAX_FILE) {
        if MAX_FILE < now.total {
            return stays("it is too large now");
        }
        let id = repo.write_blob(&now.bytes)?.detach();
        if was.is_none_or(|was| was.id != id) {
            return stays("its current content isn't in any commit");
        }
    }
    match leaf {
        Some(leaf) => {
            let bytes = repo.find_blob(leaf.id)?.take_data();
            files.write(&File { path: path.to_owned(), bytes, executable: leaf.executable })
        }
        None => {
            files.remove(path)?;
            files.remove_empty_above(path)
        }
    }
}
