//! Agent files as commits in one bare repository per workspace, through gix. Blocking: call from `spawn_blocking`.
//!
//! Each agent has a branch `agent/<slug>`, each template a branch `template/<name>`. Agent folders are plain folders
//! without `.git`: [`snapshot`] commits them, [`checkout`] writes them, [`files`] is the access for tools and pages,
//! [`mirror`] is for folders on another machine.
//!
//! Invariants: user and system git configuration is never read; no program is run; no symlink is followed; a branch
//! only moves from the commit that was read. HQ is the only writer.

pub mod bundle;
pub mod check;
pub mod checkout;
pub mod files;
pub mod folder;
pub mod history;
pub mod mend;
pub mod mirror;
pub mod moment;
pub mod names;
pub mod pack;
mod packs;
pub mod revert;
pub mod snapshot;
pub mod standing;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use kernel::AccountId;
use kernel::problem::{Problem, ProblemKind};
pub use names::{Branch, CommitId};

/// Author address of commits that HQ makes on its own.
const OWN_EMAIL: &str = "hq@localhost";

/// Errors of agent file operations.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Invalid branch name.
    #[error(
        "{0:?} isn't a branch; use agent/<slug> or template/<name> in lower-case letters, digits and dashes"
    )]
    Branch(String),
    /// Invalid commit id.
    #[error("{0:?} isn't a commit; use the 40 digits that the history shows")]
    CommitName(String),
    /// A path that is not allowed in a branch.
    #[error("{path:?} can't be an agent file: {why}")]
    Path {
        path: String,
        /// The violated rule, as a phrase.
        why: &'static str,
    },
    #[error("there is no branch {0}; list agents or role templates to see the names")]
    NoBranch(Branch),
    /// No such commit in this repository.
    #[error("there is no commit {0}; it may belong to another workspace")]
    NoCommit(CommitId),
    #[error("the branch {0} already exists; choose another name")]
    BranchExists(Branch),
    /// Another program moved the branch.
    #[error("the branch {0} was changed at the same time; try again")]
    Conflict(Branch),
    /// Failure of the file system.
    #[error("{}", on_disk(path, source))]
    Disk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Failure of the repository.
    #[error("the repository of agent files is damaged or can't be used: {0}; run `hq doctor`")]
    Repository(#[from] Box<gix::Error>),
    /// The files that belong to other commits could not be determined, so nothing was committed.
    #[error("couldn't list the changed files: {0}")]
    Unasked(#[source] Unasked),
}

/// Why the files of others could not be determined.
pub type Unasked = Box<dyn std::error::Error + Send + Sync>;

impl From<gix::Error> for GitError {
    fn from(error: gix::Error) -> Self {
        Self::Repository(Box::new(error))
    }
}

impl GitError {
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { path: path.to_owned(), source }
    }
}

/// Message for a file system error.
fn on_disk(path: &Path, source: &io::Error) -> String {
    if is_full(source) {
        return "the disk is full; free some space, then try again".to_owned();
    }
    if has_moved(source) {
        let path = path.display();
        return format!(
            "{path}: {source}; try again, and check the disk and its permissions if this persists"
        );
    }
    format!("{}: {source}; check the disk and its permissions", path.display())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Returns `true` if a file or folder was replaced or removed between two accesses.
fn has_moved(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | DirectoryNotEmpty)
}

impl Problem for GitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Branch(_) => "branch_invalid",
            Self::CommitName(_) => "commit_invalid",
            Self::Path { .. } => "path_invalid",
            Self::NoBranch(_) => "branch_not_found",
            Self::NoCommit(_) => "commit_not_found",
            Self::BranchExists(_) => "branch_exists",
            Self::Conflict(_) => "branch_conflict",
            Self::Disk { source, .. } if has_moved(source) => "agent_files_changed",
            Self::Disk { .. } => "agent_files_disk",
            Self::Repository(_) => "agent_files_repository",
            Self::Unasked(_) => "agent_files_unasked",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Branch(_) | Self::CommitName(_) | Self::Path { .. } => ProblemKind::Invalid,
            Self::NoBranch(_) | Self::NoCommit(_) => ProblemKind::NotFound,
            Self::BranchExists(_) | Self::Conflict(_) => ProblemKind::Conflict,
            Self::Disk { source, .. } if is_full(source) => ProblemKind::Full,
            Self::Disk { source, .. } if has_moved(source) => ProblemKind::Conflict,
            Self::Disk { .. } | Self::Repository(_) | Self::Unasked(_) => ProblemKind::Internal,
        }
    }
}

/// Author of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: String,
    email: String,
}

impl Author {
    /// An author without characters that are special in commits.
    #[must_use]
    pub fn new(name: &str, email: &str) -> Self {
        let clean = |text: &str| -> String {
            let kept = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>'));
            kept.collect::<String>().trim().to_owned()
        };
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        Self { name: or(clean(name), "unnamed"), email: or(clean(email), "unknown@localhost") }
    }

    /// A person. Commits are copied to the machines of agents, which must not learn personal addresses: this address is
    /// derived from the account id and receives no mail.
    #[must_use]
    pub fn person(name: &str, account: AccountId) -> Self {
        Self::new(name, &format!("{account}@people.hq"))
    }

    #[must_use]
    pub fn hq() -> Self {
        Self::new("HQ", OWN_EMAIL)
    }
}

/// A file of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path relative to the agent's folder.
    pub path: String,
    pub bytes: Vec<u8>,
    /// Whether the file is executable.
    pub executable: bool,
}

impl File {
    /// A non-executable file.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), executable: false }
    }
}

/// A commit to make.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub author: &'a Author,
    /// Commit message; the first line is the subject.
    pub message: &'a str,
    pub time: Timestamp,
}

/// Result of updating a built-in template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// The template was created.
    Created(CommitId),
    /// An older built-in version was updated.
    Updated(CommitId),
    /// The template is current.
    Unchanged,
    /// The template was edited and is left unchanged. The new version can be offered.
    KeptTheirs,
}

/// A file in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    id: ObjectId,
    executable: bool,
}

/// The files of a commit by path.
pub(crate) type Leaves = BTreeMap<String, Leaf>;

/// The repository of one workspace.
pub struct AgentsRepo {
    path: PathBuf,
    /// Reopened when files were removed, because memory maps of them are invalid.
    shared: RwLock<gix::ThreadSafeRepository>,
    /// One writer at a time within HQ. The compare-and-swap of references protects against other writers.
    writing: Mutex<()>,
    /// Results of the last checks.
    last: Mutex<check::Last>,
}

impl AgentsRepo {
    /// Opens the repository, or creates it.
    pub fn open_or_init(path: &Path) -> Result<Self, GitError> {
        if !path.join("HEAD").exists() {
            init(path)?;
        }
        remove_stale_locks(path)?;
        Self::open(path)
    }

    /// Opens an existing repository.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        let shared = RwLock::new(gix::ThreadSafeRepository::open_opts(path, options())?);
        Ok(Self {
            path: path.to_owned(),
            shared,
            writing: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// The branches, in order.
    pub fn branches(&self) -> Result<Vec<Branch>, GitError> {
        let repo = self.repo();
        let mut found = Vec::new();
        let references = repo.references()?;
        for reference in references.local_branches()? {
            let name = reference?.name().shorten().to_string();
            // Other branches may have been pushed here. They are ignored.
            found.extend(Branch::parse(&name).ok()); // ok: see the comment above
        }
        found.sort();
        Ok(found)
    }

    /// The newest commit of a branch.
    pub fn head(&self, branch: &Branch) -> Result<Option<CommitId>, GitError> {
        Ok(head(&self.repo(), branch)?.map(CommitId::from))
    }

    /// Creates a template, or updates it if only HQ has changed it.
    pub fn ensure_template(
        &self,
        name: &str,
        files: &[File],
        time: Timestamp,
    ) -> Result<Seeded, GitError> {
        let branch = Branch::template(name)?;
        let _writing = self.writing.lock();
        let repo = self.repo();
        let before = head(&repo, &branch)?;
        let tree = write_files(&repo, Leaves::new(), files)?;
        let author = Author::hq();
        let entry = Entry { author: &author, message: "template: As it comes with HQ", time };
        let Some(old) = before else {
            return Ok(Seeded::Created(commit(&repo, &branch, tree, None, &entry)?));
        };
        let tip = repo.find_commit(old)?;
        if tip.tree_id()? == tree {
            return Ok(Seeded::Unchanged);
        }
        if tip.author()?.email != OWN_EMAIL {
            return Ok(Seeded::KeptTheirs);
        }
        Ok(Seeded::Updated(commit(&repo, &branch, tree, Some(old), &entry)?))
    }

    /// Creates the branch of a new agent: the template's files, overridden by `files`.
    pub fn create_agent_branch(
        &self,
        slug: &str,
        template: &str,
        files: &[File],
        entry: &Entry<'_>,
    ) -> Result<CommitId, GitError> {
        let branch = Branch::agent(slug)?;
        let template = Branch::template(template)?;
        let _writing = self.writing.lock();
        let repo = self.repo();
        if head(&repo, &branch)?.is_some() {
            return Err(GitError::BranchExists(branch));
        }
        let base = head(&repo, &template)?.ok_or(GitError::NoBranch(template))?;
        let tree = write_files(&repo, leaves(&repo, base)?, files)?;
        commit_onto(&repo, &branch, tree, Some(base), None, entry)
    }

    /// Deletes the branch of a deleted agent. Its commits stay reachable by id until the repository is cleaned up.
    pub fn delete_branch(&self, branch: &Branch) -> Result<(), GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        match repo.try_find_reference(branch.reference().as_str())? {
            Some(reference) => Ok(reference.delete()?),
            None => Err(GitError::NoBranch(branch.clone())),
        }
    }

    /// Deletes a branch if its newest commit is `at`. Returns whether it was deleted.
    pub fn delete_branch_at(&self, branch: &Branch, at: CommitId) -> Result<bool, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        if head(&repo, branch)? != Some(at.object()) {
            return Ok(false);
        }
        repo.find_reference(branch.reference().as_str())?.delete()?;
        Ok(true)
    }

    pub(crate) fn repo(&self) -> gix::Repository {
        self.shared.read().to_thread_local()
    }
}

fn options() -> gix::open::Options {
    gix::open::Options::isolated()
        .open_path_as_is(true)
        .config_overrides(["init.defaultBranch=template/default"])
}

/// Created under a temporary name and renamed, so that a crash leaves no partial repository.
fn init(path: &Path) -> Result<(), GitError> {
    let new = path.with_extension("git.new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(GitError::disk(&new))?;
    }
    gix::ThreadSafeRepository::init_opts(
        &new,
        gix::create::Kind::Bare,
        gix::create::Options::default(),
        options(),
    )?;
    let hooks = new.join("hooks");
    fs::remove_dir_all(&hooks).map_err(GitError::disk(&hooks))?;
    fs::rename(&new, path).map_err(GitError::disk(path))
}

/// A process killed while moving a branch leaves a lock that nothing else removes.
fn remove_stale_locks(repository: &Path) -> Result<(), GitError> {
    let mut folders = vec![repository.join("refs")];
    let packed = repository.join("packed-refs.lock");
    if packed.exists() {
        fs::remove_file(&packed).map_err(GitError::disk(&packed))?;
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(GitError::disk(&folder))? {
            let entry = entry.map_err(GitError::disk(&folder))?;
            let path = entry.path();
            if entry.file_type().map_err(GitError::disk(&path))?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                fs::remove_file(&path).map_err(GitError::disk(&path))?;
            }
        }
    }
    Ok(())
}

pub(crate) fn head(repo: &gix::Repository, branch: &Branch) -> Result<Option<ObjectId>, GitError> {
    let Some(mut reference) = repo.try_find_reference(branch.reference().as_str())? else {
        return Ok(None);
    };
    Ok(Some(reference.peel_to_id()?.detach()))
}

pub(crate) fn leaves(repo: &gix::Repository, commit: ObjectId) -> Result<Leaves, GitError> {
    let tree = repo.find_commit(commit)?.tree()?;
    let mut found = Leaves::new();
    for entry in tree.traverse().breadthfirst.files()? {
        // Symlinks and submodules can only come from outside and are not shown.
        let executable = match entry.mode.kind() {
            EntryKind::Blob => false,
            EntryKind::BlobExecutable => true,
            EntryKind::Tree | EntryKind::Link | EntryKind::Commit => continue,
        };
        if let Ok(path) = std::str::from_utf8(&entry.filepath) {
            found.insert(path.to_owned(), Leaf { id: entry.oid, executable });
        }
    }
    Ok(found)
}

fn write_files(
    repo: &gix::Repository,
    mut leaves: Leaves,
    files: &[File],
) -> Result<ObjectId, GitError> {
    for file in files {
        names::check_path(&file.path)?;
        let id = repo.write_blob(&file.bytes)?.detach();
        leaves.insert(file.path.clone(), Leaf { id, executable: file.executable });
    }
    write_tree(repo, &leaves)
}

pub(crate) fn write_tree(repo: &gix::Repository, leaves: &Leaves) -> Result<ObjectId, GitError> {
    let mut editor = repo.edit_tree(repo.empty_tree().id)?;
    for (path, leaf) in leaves {
        let kind = if leaf.executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
        editor.upsert(path, kind, leaf.id)?;
    }
    Ok(editor.write()?.detach())
}

/// Commits on top of the branch's newest commit.
pub(crate) fn commit(
    repo: &gix::Repository,
    branch: &Branch,
    tree: ObjectId,
    parent: Option<ObjectId>,
    entry: &Entry<'_>,
) -> Result<CommitId, GitError> {
    commit_onto(repo, branch, tree, parent, parent, entry)
}

/// Writes a commit without a branch.
pub(crate) fn written(
    repo: &gix::Repository,
    tree: ObjectId,
    parent: Option<ObjectId>,
    entry: &Entry<'_>,
) -> Result<ObjectId, GitError> {
    let time = format!("{} +0000", entry.time.as_second());
    let who = gix::actor::SignatureRef {
        name: entry.author.name.as_str().into(),
        email: entry.author.email.as_str().into(),
        time: &time,
    };
    let message = match entry.message.replace('\0', "").trim() {
        "" => "Change\n".to_owned(),
        text => format!("{text}\n"),
    };
    Ok(repo.new_commit_as(who, who, message, tree, parent)?.id)
}

/// `expected` is the current commit of the branch; `None` if it must not exist.
fn commit_onto(
    repo: &gix::Repository,
    branch: &Branch,
    tree: ObjectId,
    parent: Option<ObjectId>,
    expected: Option<ObjectId>,
    entry: &Entry<'_>,
) -> Result<CommitId, GitError> {
    let id = written(repo, tree, parent, entry)?;
    let constraint = match expected {
        Some(expected) => PreviousValue::MustExistAndMatch(Target::Object(expected)),
        None => PreviousValue::MustNotExist,
    };
    repo.reference(branch.reference(), id, constraint, "commit").map_err(|error| {
        match head(repo, branch) {
            Ok(now) if now != expected => GitError::Conflict(branch.clone()),
            _ => GitError::from(error),
        }
    })?;
    Ok(CommitId::from(id))
}

#[cfg(test)]
mod tests {
    use super::GitError;
    use kernel::{Problem as _, ProblemKind};
    use std::io::{Error, ErrorKind};
    use std::path::Path;

    #[test]
    fn what_moves_while_it_is_read_is_no_fault_of_the_disk() {
        let of = |kind| GitError::disk(Path::new("notes"))(Error::from(kind));
        for kind in [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory] {
            let error = of(kind);
            assert_eq!(error.kind(), ProblemKind::Conflict, "{error}");
            assert!(error.to_string().contains("try again"), "{error}");
        }
        assert_eq!(of(ErrorKind::PermissionDenied).kind(), ProblemKind::Internal);
        assert_eq!(of(ErrorKind::StorageFull).kind(), ProblemKind::Full);
    }
}
