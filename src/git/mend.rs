//! Repairs a repository from copies: restores missing and damaged objects, and counts those that no copy has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gix::ObjectId;
use gix::objs::Kind;
use gix::objs::Write as _;

use super::check::set;
use super::names::{Branch, CommitId};
use super::pack::commits;
use super::snapshot::{Paths, Refuses, Skipped};
use super::{AgentsRepo, Entry, GitError, init, options};

/// Objects with verified hashes, which are not read again.
#[derive(Debug, Default)]
pub struct Known(BTreeSet<ObjectId>);

/// Result of restoring the objects of a commit and its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Number of objects restored from the copy.
    pub brought: usize,
    /// Number of objects still missing from the commit itself.
    pub newest: usize,
    /// Number of objects still missing from older versions.
    pub older: usize,
}

impl Filled {
    /// Returns `true` if nothing is missing.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.newest == 0 && self.older == 0
    }
}

/// Recreates the repository files around branches and objects. Returns whether that was necessary.
pub fn mend_frame(path: &Path) -> Result<bool, GitError> {
    let opens = || gix::ThreadSafeRepository::open_opts(path, options()).is_ok();
    if path.join("refs").is_dir() && path.join("objects").is_dir() && opens() {
        return Ok(false);
    }
    let blank = path.with_extension("blank");
    if blank.exists() {
        fs::remove_dir_all(&blank).map_err(GitError::disk(&blank))?;
    }
    init(&blank)?;
    for folder in ["objects/pack", "objects/info", "refs/heads"] {
        let folder = path.join(folder);
        fs::create_dir_all(&folder).map_err(GitError::disk(&folder))?;
    }
    for name in ["HEAD", "config"] {
        let to = path.join(name);
        fs::copy(blank.join(name), &to).map_err(GitError::disk(&to))?;
    }
    fs::remove_dir_all(&blank).map_err(GitError::disk(&blank))?;
    Ok(true)
}

impl AgentsRepo {
    /// Reopens the repository after its files were changed by other means.
    pub fn reopen(&self) -> Result<(), GitError> {
        let fresh = gix::ThreadSafeRepository::open_opts(&self.path, options())?;
        *self.shared.write() = fresh;
        Ok(())
    }

    /// The commit that a branch points to, readable or not.
    #[must_use]
    pub fn stands_at(&self, branch: &Branch) -> Option<CommitId> {
        // ok: an invalid reference points to no commit.
        let repo = self.repo();
        let found = repo.try_find_reference(branch.reference().as_str()).ok().flatten()?;
        found.try_id().map(|id| id.detach().into())
    }

    /// The time of a commit, in seconds since 1970; `None` if it is unreadable.
    #[must_use]
    pub fn made_at(&self, commit: CommitId) -> Option<i64> {
        // ok: see the doc comment.
        self.repo().find_commit(commit.object()).ok()?.time().ok().map(|time| time.seconds)
    }

    /// Finds the newest version of an agent among all objects, for a branch whose reference is lost. Commits name their
    /// agent. Commits reachable from other branches are excluded.
    #[must_use]
    pub fn newest_told(&self, slug: &str) -> Option<CommitId> {
        let repo = self.repo();
        let line = format!("Agent: {slug}");
        let (mut found, mut parents) = (Vec::new(), BTreeSet::new());
        // ok: an unreadable object is not a version.
        for id in repo.objects.iter().ok()?.filter_map(Result::ok) {
            let is_commit = repo.find_header(id).is_ok_and(|one| one.kind() == Kind::Commit);
            if !is_commit || right(&repo, id).is_none() {
                continue;
            }
            let Ok(commit) = repo.find_commit(id) else { continue };
            let message = commit.message_raw_sloppy().to_string();
            if !message.lines().any(|one| one == line) {
                continue;
            }
            parents.extend(commit.parent_ids().map(gix::Id::detach));
            found.push((commit.time().map_or(0, |time| time.seconds), id));
        }
        for branch in self.branches().unwrap_or_default() {
            if let Some(tip) = self.stands_at(&branch) {
                parents.extend(commits(&repo, tip.object(), &BTreeSet::new()).unwrap_or_default());
            }
        }
        found.retain(|(_, id)| !parents.contains(id));
        found.into_iter().max().map(|(_, id)| id.into())
    }

    /// Restores missing and damaged objects reachable from a commit, from a copy if there is one.
    pub fn fill(&self, tip: CommitId, copy: Option<&Self>, known: &mut Known) -> Filled {
        let _writing = self.writing.lock();
        let (repo, copy) = (self.repo(), copy.map(Self::repo));
        let mut filling = Filling { repo, copy, known, seen: BTreeSet::new(), brought: 0 };
        let (mut newest, mut older) = (0, 0);
        let mut next = vec![tip.object()];
        while let Some(id) = next.pop() {
            if filling.seen.contains(&id) {
                continue;
            }
            let lacking = match filling.enter(id) {
                Some((tree, parents)) => {
                    next.extend(parents);
                    filling.lacking(tree)
                }
                None => 1,
            };
            match id == tip.object() {
                true => newest += lacking,
                false => older += lacking,
            }
        }
        Filled { brought: filling.brought, newest, older }
    }

    /// The latest complete version at or before a commit, and the number of incomplete versions after it.
    pub fn last_whole(&self, tip: CommitId, known: &mut Known) -> Option<(CommitId, usize)> {
        let (repo, copy) = (self.repo(), None);
        let mut filling = Filling { repo, copy, known, seen: BTreeSet::new(), brought: 0 };
        let (mut at, mut behind) = (tip.object(), 0);
        loop {
            filling.seen.clear();
            let (tree, parents) = filling.enter(at)?;
            if filling.lacking(tree) == 0 {
                return Some((at.into(), behind));
            }
            (at, behind) = (parents.into_iter().next()?, behind + 1);
        }
    }

    /// Points a branch to a commit, whatever it pointed to.
    pub fn stand_at(&self, branch: &Branch, at: CommitId) -> Result<(), GitError> {
        let _writing = self.writing.lock();
        set(&self.repo(), branch, at.object())
    }

    /// Continues a branch from a commit with the files of a folder on top. Returns the skipped files.
    pub fn go_on_from(
        &self,
        branch: &Branch,
        at: CommitId,
        (dir, refuses): (&Path, Refuses<'_>),
        entry: &Entry<'_>,
    ) -> Result<Vec<Skipped>, GitError> {
        self.stand_at(branch, at)?;
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let nobody = || Ok(BTreeSet::new());
        let all = (Paths::AllBut(&nobody), Some(refuses));
        Ok(self.commit_what_may(branch, dir, all, entry)?.skipped)
    }
}

struct Filling<'k> {
    repo: gix::Repository,
    copy: Option<gix::Repository>,
    known: &'k mut Known,
    /// Objects visited by this walk.
    seen: BTreeSet<ObjectId>,
    brought: usize,
}

impl Filling<'_> {
    /// Returns `true` if an object exists, restoring it if necessary.
    fn has(&mut self, id: ObjectId) -> bool {
        if self.known.0.contains(&id) {
            return true;
        }
        let is_there = right(&self.repo, id).is_some() || self.bring(id);
        if is_there {
            self.known.0.insert(id);
        }
        is_there
    }

    fn bring(&mut self, id: ObjectId) -> bool {
        let found = self.copy.as_ref().and_then(|copy| right(copy, id));
        // ok: an object that cannot be written stays missing and is counted.
        let is_brought =
            found.is_some_and(|(kind, bytes)| self.repo.objects.write_buf(kind, &bytes).is_ok());
        self.brought += usize::from(is_brought);
        is_brought
    }

    /// The tree and the parents of a commit, if it exists.
    fn enter(&mut self, id: ObjectId) -> Option<(ObjectId, Vec<ObjectId>)> {
        self.seen.insert(id);
        if !self.has(id) {
            return None;
        }
        let commit = self.repo.find_commit(id).ok()?;
        let parents = commit.parent_ids().map(gix::Id::detach).collect();
        Some((commit.tree_id().ok()?.detach(), parents))
    }

    /// Number of missing objects of a tree.
    fn lacking(&mut self, tree: ObjectId) -> usize {
        let (mut lacking, mut next) = (0, vec![tree]);
        while let Some(id) = next.pop() {
            if !self.seen.insert(id) {
                continue;
            }
            if !self.has(id) {
                lacking += 1;
                continue;
            }
            let mut files = Vec::new();
            let Ok(tree) = self.repo.find_tree(id) else {
                lacking += 1;
                continue;
            };
            // ok: an object with a matching hash was written by HQ or git and is readable.
            for entry in tree.iter().filter_map(Result::ok) {
                match entry.mode().kind() {
                    gix::objs::tree::EntryKind::Tree => next.push(entry.oid().to_owned()),
                    gix::objs::tree::EntryKind::Commit => {}
                    _ => files.push(entry.oid().to_owned()),
                }
            }
            drop(tree);
            for file in files {
                lacking += usize::from(self.seen.insert(file) && !self.has(file));
            }
        }
        lacking
    }
}

/// Reads an object whose hash matches its id.
pub(super) fn right(repo: &gix::Repository, id: ObjectId) -> Option<(Kind, Vec<u8>)> {
    // ok: an unreadable object counts as missing.
    let object = repo.find_object(id).ok()?;
    let hash = gix::objs::compute_hash(gix::hash::Kind::Sha1, object.kind, &object.data).ok()?;
    (hash == id).then(|| (object.kind, object.data.clone()))
}
