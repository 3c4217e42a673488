//! Writes the files of a branch to a folder, as plain files.

use std::fs;
use std::path::Path;

use super::folder::{Folder, Kind};
use super::names::{self, Branch, CommitId};
use super::{AgentsRepo, GitError, head, leaves};

impl AgentsRepo {
    /// Writes every file of a branch below `dir`, which is created if necessary. Different files are replaced; files
    /// that are not in the branch stay. Returns the written paths.
    pub fn checkout(&self, branch: &Branch, dir: &Path) -> Result<Vec<String>, GitError> {
        let commit = head(&self.repo(), branch)?;
        let commit = commit.ok_or_else(|| GitError::NoBranch(branch.clone()))?;
        self.lay(commit.into(), dir)
    }

    /// The same for a commit.
    pub(super) fn lay(&self, commit: CommitId, dir: &Path) -> Result<Vec<String>, GitError> {
        let repo = self.repo();
        fs::create_dir_all(dir).map_err(GitError::disk(dir))?;
        let root = Folder::open(dir).map_err(GitError::disk(dir))?;
        let mut written = Vec::new();
        for (path, leaf) in leaves(&repo, commit.object())? {
            // A branch may come from outside.
            names::check_path(&path)?;
            let target = dir.join(&path);
            let bytes = repo.find_blob(leaf.id)?.take_data();
            if put(&root, &path, &bytes, leaf.executable).map_err(GitError::disk(&target))? {
                written.push(path);
            }
        }
        Ok(written)
    }
}

/// Writes a file if it differs. Returns whether it was written.
fn put(root: &Folder, path: &str, bytes: &[u8], executable: bool) -> std::io::Result<bool> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut folder = None;
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        folder = Some(folder.as_ref().unwrap_or(root).enter_or_make(part)?);
    }
    let folder = folder.as_ref().unwrap_or(root);
    let size = bytes.len() as u64;
    if folder.kind(name)? == Some(Kind::File { bytes: size, executable })
        && folder.read(name, size)? == bytes
    {
        return Ok(false);
    }
    folder.write(name, &mut &*bytes, executable)?;
    Ok(true)
}
