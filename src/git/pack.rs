//! Transfers the new commits of a branch between two repositories of a workspace, as packs without deltas.

use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::path::Path;

use gix::ObjectId;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;

use super::bundle::{Room, broken, git, read_objects, write_objects};
use super::names::{Branch, CommitId, check_path};
use super::snapshot::MAX_FILE;
use super::{AgentsRepo, head, leaves};

/// Size limits of an incoming branch: files as in snapshots, and a total because all of it is unpacked while others
/// wait.
const ROOM: Room = Room { object: MAX_FILE, all: 4 << 30 };

/// Result of advancing a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The branch was already at the commit.
    Stood,
    /// The branch was fast-forwarded or created.
    On,
    /// The branch has diverged and was left unchanged.
    Apart,
}

impl AgentsRepo {
    /// The newest commit of a branch, and a pack of what is missing at `has`; `None` if the branch does not exist.
    ///
    /// # Errors
    /// If an object cannot be read.
    pub fn write_pack(
        &self,
        branch: &Branch,
        has: Option<CommitId>,
    ) -> io::Result<Option<(CommitId, Vec<u8>)>> {
        let Some(newest) = head(&self.repo(), branch).map_err(git)? else { return Ok(None) };
        Ok(Some((newest.into(), self.pack_of(newest.into(), has)?)))
    }

    /// A pack of what is missing at `has` to get to a commit; empty if they are equal.
    ///
    /// # Errors
    /// If an object cannot be read.
    pub fn pack_of(&self, newest: CommitId, has: Option<CommitId>) -> io::Result<Vec<u8>> {
        let (repo, newest) = (self.repo(), newest.object());
        let has = has.map(|id| id.object()).filter(|id| repo.find_commit(*id).is_ok());
        if has == Some(newest) {
            return Ok(Vec::new());
        }
        let old = match has {
            Some(id) => commits(&repo, id, &BTreeSet::new())?,
            None => BTreeSet::new(),
        };
        let mut known = BTreeSet::new();
        if let Some(id) = has {
            let tree = repo.find_commit(id).map_err(git)?.tree_id().map_err(git)?.detach();
            enter_tree(&repo, tree, &mut known)?;
        }
        let (new, mut ids) = (commits(&repo, newest, &old)?, known.clone());
        for commit in &new {
            let tree = repo.find_commit(*commit).map_err(git)?.tree_id().map_err(git)?.detach();
            enter_tree(&repo, tree, &mut ids)?;
        }
        ids.retain(|id| !known.contains(id));
        ids.extend(new);
        let mut pack = Vec::new();
        write_objects(&repo, &ids, &mut pack)?;
        Ok(pack)
    }

    /// Imports a commit with its history without moving a branch.
    ///
    /// # Errors
    /// If the pack is damaged, incomplete or contains forbidden objects.
    pub fn take_in(&self, newest: CommitId, pack: &[u8]) -> io::Result<()> {
        let (_writing, repo) = (self.writing.lock(), self.repo());
        let newest = newest.object();
        if !pack.is_empty() {
            read_objects(&repo, BufReader::new(pack), ROOM)?;
        }
        commits(&repo, newest, &BTreeSet::new())?;
        let mut ids = BTreeSet::new();
        let tree = repo.find_commit(newest).map_err(git)?.tree_id().map_err(git)?.detach();
        enter_tree(&repo, tree, &mut ids)?;
        if ids.iter().any(|id| repo.find_header(*id).is_err()) {
            return Err(broken("something is missing in it"));
        }
        for path in leaves(&repo, newest).map_err(git)?.keys() {
            check_path(path).map_err(broken)?;
        }
        Ok(())
    }

    /// Fast-forwards a branch to an existing commit. A branch that has diverged or is ahead is left unchanged.
    ///
    /// # Errors
    /// If the commit does not exist.
    pub fn move_on(&self, branch: &Branch, to: CommitId) -> io::Result<Moved> {
        let (_writing, repo, to) = (self.writing.lock(), self.repo(), to.object());
        let now = head(&repo, branch).map_err(git)?;
        if now == Some(to) {
            return Ok(Moved::Stood);
        }
        let all = commits(&repo, to, &BTreeSet::new())?;
        let constraint = match now {
            None => PreviousValue::MustNotExist,
            Some(now) if all.contains(&now) => {
                PreviousValue::MustExistAndMatch(Target::Object(now))
            }
            Some(_) => return Ok(Moved::Apart),
        };
        repo.reference(branch.reference(), to, constraint, "received").map_err(git)?;
        Ok(Moved::On)
    }

    /// Points a branch to an existing commit, wherever it pointed.
    ///
    /// # Errors
    /// If the commit does not exist.
    pub fn place(&self, branch: &Branch, at: CommitId) -> io::Result<()> {
        let (_writing, repo) = (self.writing.lock(), self.repo());
        repo.find_commit(at.object()).map_err(git)?;
        let placed = repo.reference(branch.reference(), at.object(), PreviousValue::Any, "placed");
        placed.map(drop).map_err(git)
    }

    /// Points a branch to an existing commit if it is still at `from`. Returns whether it was moved.
    ///
    /// # Errors
    /// If the commit does not exist.
    pub fn replace(&self, branch: &Branch, from: CommitId, to: CommitId) -> io::Result<bool> {
        let (_writing, repo) = (self.writing.lock(), self.repo());
        if head(&repo, branch).map_err(git)? != Some(from.object()) {
            return Ok(false);
        }
        repo.find_commit(to.object()).map_err(git)?;
        let constraint = PreviousValue::MustExistAndMatch(Target::Object(from.object()));
        repo.reference(branch.reference(), to.object(), constraint, "replaced").map_err(git)?;
        Ok(true)
    }

    /// Fast-forwards a branch and its folder to an existing commit. The folder is updated first: after an interruption,
    /// the branch is unchanged and the update is repeated. Locally changed files and diverged branches are left
    /// unchanged.
    ///
    /// # Errors
    /// If the commit does not exist, or the disk fails.
    pub fn bring_on(&self, branch: &Branch, folder: &Path, to: CommitId) -> io::Result<Moved> {
        let repo = self.repo();
        match head(&repo, branch).map_err(git)? {
            Some(now) if now == to.object() && folder.is_dir() => return Ok(Moved::Stood),
            Some(now) if !commits(&repo, to.object(), &BTreeSet::new())?.contains(&now) => {
                return Ok(Moved::Apart);
            }
            Some(now) if folder.is_dir() => {
                self.carry(folder, (now.into(), to), None).map_err(git)?;
            }
            _ => drop(self.lay(to, folder).map_err(git)?),
        }
        self.move_on(branch, to)
    }
}

/// A commit and its ancestors, except `but`.
pub(super) fn commits(
    repo: &gix::Repository,
    from: ObjectId,
    but: &BTreeSet<ObjectId>,
) -> io::Result<BTreeSet<ObjectId>> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(id) = next.pop() {
        if !but.contains(&id) && found.insert(id) {
            let commit = repo.find_commit(id).map_err(|_| broken("a commit is missing"))?;
            next.extend(commit.parent_ids().map(gix::Id::detach));
        }
    }
    Ok(found)
}

/// A tree with all its objects.
pub(super) fn enter_tree(
    repo: &gix::Repository,
    id: ObjectId,
    found: &mut BTreeSet<ObjectId>,
) -> io::Result<()> {
    let mut next = vec![id];
    while let Some(id) = next.pop() {
        if !found.insert(id) {
            continue;
        }
        let tree = repo.find_tree(id).map_err(|_| broken("a folder is missing"))?;
        for entry in tree.iter() {
            let entry = entry.map_err(git)?;
            match entry.mode().kind() {
                gix::objs::tree::EntryKind::Tree => next.push(entry.oid().to_owned()),
                gix::objs::tree::EntryKind::Commit => {}
                _ => drop(found.insert(entry.oid().to_owned())),
            }
        }
    }
    Ok(())
}
