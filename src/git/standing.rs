//! Compares files in an agent's folder with the newest commit of its branch.

use super::files::AgentFiles;
use super::snapshot::{MAX_FILE, is_kept};
use super::{AgentsRepo, Branch, GitError, head, leaves};

/// Maximum number of bytes compared per call. Files beyond the limit count as unchanged.
const MAX_COMPARED: u64 = 64 << 20;

/// State of a file relative to the newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Equal to the commit.
    Same,
    /// Different from the commit.
    Changed,
    /// Not in the commit, but will be in the next one.
    New,
    /// Never committed.
    Apart,
}

impl AgentsRepo {
    /// The states of these files, in order. A path that is no longer a file counts as changed.
    pub fn standings(
        &self,
        branch: &Branch,
        files: &AgentFiles,
        paths: &[&str],
    ) -> Result<Vec<Standing>, GitError> {
        let repo = self.repo();
        let before = match head(&repo, branch)? {
            Some(commit) => leaves(&repo, commit)?,
            None => return Ok(vec![Standing::New; paths.len()]),
        };
        let mut room = MAX_COMPARED;
        let mut one = |path: &str| {
            let Some(leaf) = before.get(path) else {
                return Ok(if is_kept(path) { Standing::New } else { Standing::Apart });
            };
            // ok: a symlink or a folder in its place is no longer a file.
            let Ok(Some(part)) = files.read_up_to(path, room.min(MAX_FILE)) else {
                return Ok(Standing::Changed);
            };
            let size = repo.find_header(leaf.id)?.size();
            if size != part.total || leaf.executable != part.executable {
                return Ok(Standing::Changed);
            }
            if part.bytes.len() as u64 != size {
                return Ok(Standing::Same);
            }
            room -= size;
            let (sha1, blob) = (gix::hash::Kind::Sha1, gix::objs::Kind::Blob);
            let now = gix::objs::compute_hash(sha1, blob, &part.bytes)?;
            Ok(if now == leaf.id { Standing::Same } else { Standing::Changed })
        };
        paths.iter().map(|path| one(path)).collect()
    }
}
