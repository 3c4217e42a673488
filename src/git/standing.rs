//! How files in an agent's folder stand to the newest commit of its branch.

use super::files::AgentFiles;
use super::snapshot::{MAX_FILE, is_kept};
use super::{AgentsRepo, Branch, GitError, head, leaves};

/// How many bytes are compared for one answer; files behind that count as they were.
const MAX_COMPARED: u64 = 64 << 20;

/// How a file stands to the newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as the commit has it.
    Same,
    /// The commit has it, and it is different now.
    Changed,
    /// The commit does not have it, the next one will.
    New,
    /// It is never committed, wherever it lies.
    Apart,
}

impl AgentsRepo {
    /// How these files stand, in their order. One that is no file any more counts as changed.
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
            // ok: a link or a folder in its place is no file any more.
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
