//! What is new in one branch, from one repository of a workspace to another: objects as a pack, whole and without deltas.

use std::collections::BTreeSet;
use std::io::{self, BufReader};

use gix::ObjectId;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;

use super::bundle::{broken, git, read_objects, write_objects};
use super::names::{Branch, CommitId};
use super::{AgentsRepo, head};

/// What became of a branch that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It stood there before.
    Stood,
    /// It goes on from where it was, or is new.
    On,
    /// It has gone another way here: it was left as it is.
    Apart,
}

impl AgentsRepo {
    /// Where a branch stands, and a pack of what is missing where it stands at `has`; nothing of a branch that is not there.
    ///
    /// # Errors
    /// When an object cannot be read.
    pub fn write_pack(
        &self,
        branch: &Branch,
        has: Option<CommitId>,
    ) -> io::Result<Option<(CommitId, Vec<u8>)>> {
        let repo = self.repo();
        let Some(newest) = head(&repo, branch).map_err(git)? else { return Ok(None) };
        let has = has.map(|id| id.object()).filter(|id| repo.find_commit(*id).is_ok());
        if has == Some(newest) {
            return Ok(Some((newest.into(), Vec::new())));
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
        Ok(Some((newest.into(), pack)))
    }

    /// Takes in what is new in a branch that stands at `newest` elsewhere. A branch that has gone another way here is left as
    /// it is.
    ///
    /// # Errors
    /// When the pack is damaged, or something is missing in it.
    pub fn read_pack(&self, branch: &Branch, newest: CommitId, pack: &[u8]) -> io::Result<Moved> {
        let (_writing, repo) = (self.writing.lock(), self.repo());
        if !pack.is_empty() {
            read_objects(&repo, BufReader::new(pack))?;
        }
        let (now, newest) = (head(&repo, branch).map_err(git)?, newest.object());
        if now == Some(newest) {
            return Ok(Moved::Stood);
        }
        // All of it is there before the branch leads to it.
        let all = commits(&repo, newest, &BTreeSet::new())?;
        let mut ids = BTreeSet::new();
        let tree = repo.find_commit(newest).map_err(git)?.tree_id().map_err(git)?.detach();
        enter_tree(&repo, tree, &mut ids)?;
        if ids.iter().any(|id| repo.find_header(*id).is_err()) {
            return Err(broken("something is missing in it"));
        }
        let constraint = match now {
            None => PreviousValue::MustNotExist,
            Some(now) if all.contains(&now) => {
                PreviousValue::MustExistAndMatch(Target::Object(now))
            }
            Some(_) => return Ok(Moved::Apart),
        };
        repo.reference(branch.reference(), newest, constraint, "received").map_err(git)?;
        Ok(Moved::On)
    }
}

/// A commit and those before it, but for these.
fn commits(
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

/// A tree with all that is in it.
fn enter_tree(
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
