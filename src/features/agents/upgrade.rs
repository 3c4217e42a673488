//! Upgrades: the changes that a newer version of an agent's template, or another template, would make to the agent's
//! files, and how they are applied. Nothing is applied automatically.
//!
//! The old and the new template files, both filled in with the agent's values, are merged with the agent's own, file
//! by file ([`compare`]). Memory and history are never part of an upgrade.

pub mod apply;
pub mod compare;

use std::collections::HashMap;
use std::sync::Arc;

use app::Ws;
use git::files::AgentFiles;
use git::history::At;
use git::names::check_path;
use git::snapshot::{MAX_FILE, is_kept};
use git::{AgentsRepo, Branch, CommitId, File, GitError};
use kernel::{AgentStatus, Problem, ProblemKind, Timestamp};
use sha2::{Digest, Sha256};
use store::{Snap, StoreError};
use tool::leaks::Leak;

use super::files::FilesError;
use super::model::Agent;
use super::rules::AgentError;
use super::templates::{self, MANIFEST, Manifest, Persona};
use super::{memory, provision, queries, there};
use compare::{Change, Fate, Files};

#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("{0} is running; apply this when the run has ended")]
    Working(String),
    #[error("{0} isn't set up yet; set it up first")]
    NotReady(String),
    /// The offer has changed since it was reviewed.
    #[error("something has changed since you opened this; review it again")]
    Moved,
    /// Files with undecided conflicts.
    #[error("choose a version for {}", .0.join(", "))]
    Undecided(Vec<String>),
    /// A key would be committed.
    #[error("{path}, line {}: {}; take it out first", leak.line, leak.why)]
    Key {
        /// Path in the agent's folder.
        path: String,
        leak: Leak,
    },
    #[error("{0} is up to date with its template")]
    Nothing(String),
    /// A later upgrade has to be reverted first.
    #[error("another upgrade was applied since; undo that first")]
    NotLast,
    #[error("that commit isn't an upgrade of this agent; see its history")]
    NoUpgrade,
}

impl From<GitError> for UpgradeError {
    fn from(error: GitError) -> Self {
        Self::Files(error.into())
    }
}

impl From<StoreError> for UpgradeError {
    fn from(error: StoreError) -> Self {
        Self::Files(error.into())
    }
}

impl Problem for UpgradeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Files(error) => error.code(),
            Self::Agent(error) => error.code(),
            Self::Working(_) => "agent_working",
            Self::NotReady(_) => "agent_state",
            Self::Moved => "upgrade_moved",
            Self::Undecided(_) => "upgrade_undecided",
            Self::Key { .. } => "file_holds_key",
            Self::Nothing(_) => "upgrade_nothing",
            Self::NotLast => "upgrade_not_last",
            Self::NoUpgrade => "upgrade_not_found",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Agent(error) => error.kind(),
            Self::NoUpgrade => ProblemKind::NotFound,
            Self::Key { .. } => ProblemKind::Invalid,
            _ => ProblemKind::Conflict,
        }
    }
}

/// A version of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub template: String,
    pub commit: CommitId,
    pub at: Timestamp,
}

/// A field of the record that the template changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// `role`, `team`, `domains`, `capabilities` or `description`.
    pub field: &'static str,
    pub before: String,
    pub after: String,
}

/// An available upgrade.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The current version; `None` if unknown.
    pub from: Option<Version>,
    /// The offered version.
    pub to: Version,
    pub changes: Vec<Change>,
    pub words: Vec<Word>,
    /// Hash of all inputs of the offer; changes with any of them.
    pub mark: String,
    /// Whether this version was declined.
    pub is_passed: bool,
    /// The record after the upgrade.
    agent: Agent,
}

impl Offer {
    /// Whether the upgrade would change anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.words.is_empty() || self.changes.iter().any(|change| change.fate.is_work())
    }

    /// Whether there are no conflicts.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.changes.iter().all(|change| change.fate != Fate::Clash)
    }

    /// Whether the upgrade is to another template.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.template != self.to.template)
    }

    /// Number of files with this outcome.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.changes.iter().filter(|change| change.fate == fate).count()
    }
}

/// The upgrade of an agent to the current version of its template, or to another template.
///
/// # Errors
/// `NoTemplate` if the template does not exist or has no files yet.
pub async fn offer(ws: &Ws, agent: &Agent, template: Option<&str>) -> Result<Offer, UpgradeError> {
    let (own, agent) = (ws.clone(), agent.clone());
    let template = template.unwrap_or(&agent.template).to_owned();
    let done = tokio::task::spawn_blocking(move || {
        usable(&agent)?;
        made(&own, &agent, &template, &mut Shelf::default())
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// Agents with an upgrade that was not declined, ordered by name.
pub async fn offers(ws: &Ws) -> Result<Vec<(Agent, Offer)>, UpgradeError> {
    let own = ws.clone();
    let done = tokio::task::spawn_blocking(move || {
        let mut shelf = Shelf::default();
        let mut found = Vec::new();
        for agent in own.read(|snap: &Snap<'_>| queries::all(snap))? {
            if usable(&agent).is_err() || !shelf.is_behind(own.repo()?, &agent)? {
                continue;
            }
            match made(&own, &agent, &agent.template, &mut shelf) {
                Ok(offer) if offer.is_any() => found.push((agent, offer)),
                Ok(_) => {}
                // The agent's page shows the error; the other agents are not affected.
                Err(error) => {
                    tracing::warn!(agent.id = %agent.id, "its upgrade cannot be told: {error}");
                }
            }
        }
        Ok(found)
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// Number of agents whose template has a newer version that was not declined. Reads no files.
pub fn behind(ws: &Ws, agents: &[Agent]) -> Result<usize, GitError> {
    let mut shelf = Shelf::default();
    let mut count = 0;
    for agent in agents.iter().filter(|agent| usable(agent).is_ok()) {
        count += usize::from(shelf.is_behind(ws.repo()?, agent)?);
    }
    Ok(count)
}

/// The template version of an agent; `None` if unknown.
pub fn version(ws: &Ws, agent: &Agent) -> Result<Option<Version>, GitError> {
    let repo = ws.repo()?;
    let found = provision::version(repo, agent)?;
    found.map(|commit| named(repo, &agent.template, commit)).transpose()
}

fn named(repo: &AgentsRepo, template: &str, commit: CommitId) -> Result<Version, GitError> {
    Ok(Version { template: template.to_owned(), commit, at: repo.commit(commit)?.time })
}

fn usable(agent: &Agent) -> Result<(), UpgradeError> {
    match agent.status {
        _ if agent.archived_at.is_some() => Err(FilesError::Archived.into()),
        AgentStatus::Ready | AgentStatus::Paused | AgentStatus::Hibernating => Ok(()),
        AgentStatus::Provisioning | AgentStatus::Error => {
            Err(UpgradeError::NotReady(agent.name.clone()))
        }
    }
}

/// Cache of template versions.
#[derive(Default)]
struct Shelf {
    heads: HashMap<String, Option<CommitId>>,
    files: HashMap<CommitId, Arc<Vec<File>>>,
}

impl Shelf {
    fn head(&mut self, repo: &AgentsRepo, template: &str) -> Result<Option<CommitId>, GitError> {
        if let Some(head) = self.heads.get(template) {
            return Ok(*head);
        }
        // An invalid branch name has no branch.
        let head = Branch::template(template).ok().map(|branch| repo.head(&branch)).transpose()?;
        self.heads.insert(template.to_owned(), head.flatten());
        Ok(head.flatten())
    }

    fn files(&mut self, repo: &AgentsRepo, at: CommitId) -> Result<Arc<Vec<File>>, GitError> {
        if let Some(files) = self.files.get(&at) {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(provision::files_at(repo, &At::Commit(at))?);
        self.files.insert(at, Arc::clone(&files));
        Ok(files)
    }

    fn is_behind(&mut self, repo: &AgentsRepo, agent: &Agent) -> Result<bool, GitError> {
        let Some(has) = agent.template_commit else { return Ok(false) };
        let head = self.head(repo, &agent.template)?;
        Ok(head.is_some_and(|head| head != has && Some(head) != agent.template_passed))
    }
}

/// Computes the upgrade to a template. Blocking.
fn made(ws: &Ws, agent: &Agent, template: &str, shelf: &mut Shelf) -> Result<Offer, UpgradeError> {
    let repo = ws.repo()?;
    let to = shelf.head(repo, template)?;
    let to = to.ok_or_else(|| AgentError::NoTemplate(template.to_owned()))?;
    let from = provision::version(repo, agent)?;
    let theirs = shelf.files(repo, to)?;
    let base = match from {
        Some(from) => shelf.files(repo, from)?,
        None => Arc::default(),
    };
    let now = provision::persona(ws, agent)?;
    let branch = At::Branch(Branch::agent(&agent.slug)?);
    let stored = repo.read_file(&branch, MANIFEST)?;
    let before = stored.map_or_else(|| now.clone(), |file| now.with_manifest(&file.bytes));
    let (upgraded, words) =
        changed_words(agent, (manifest(&base), manifest(&theirs)), template, to);
    let then = provision::persona(ws, &upgraded)?;
    let (base, theirs) = (filled(&base, &before), filled(&theirs, &then));
    let folder = there::last_folder(ws, agent)?;
    let own = if folder.is_dir() {
        AgentFiles::open(&folder)?
    } else {
        return Err(FilesError::NoFolder.into());
    };
    let mut mine = Files::new();
    for path in base.keys().chain(theirs.keys()) {
        mine.extend(read(&own, path)?.map(|file| (path.clone(), file)));
    }
    let changes = compare::compare(&base, &theirs, &mine);
    Ok(Offer {
        mark: mark(to, &changes, &words),
        from: from.map(|from| named(repo, &agent.template, from)).transpose()?,
        to: named(repo, template, to)?,
        changes,
        words,
        is_passed: agent.template_passed == Some(to),
        agent: upgraded,
    })
}

/// Placeholder for content that cannot be merged: it is kept or replaced as a whole.
fn opaque(path: &str) -> File {
    File::new(path, [0xff])
}

/// A file of the agent as it is on disk.
fn read(files: &AgentFiles, path: &str) -> Result<Option<File>, GitError> {
    match files.read_up_to(path, MAX_FILE) {
        Ok(Some(part)) if (part.bytes.len() as u64) < part.total => Ok(Some(opaque(path))),
        Ok(part) => Ok(part.map(|part| File {
            path: path.to_owned(),
            bytes: part.bytes,
            executable: part.executable,
        })),
        // A folder or link is in its place.
        Err(GitError::Path { .. }) => Ok(Some(opaque(path))),
        Err(error) => Err(error),
    }
}

/// The template files that upgrades include, filled in with the agent's values.
fn filled(files: &[File], who: &Persona) -> Files {
    let takes = |file: &&File| is_taken(&file.path);
    files
        .iter()
        .filter(takes)
        .map(|file| (file.path.clone(), templates::filled(file, who)))
        .collect()
}

/// Whether upgrades include the path. Memory, generated files and folder keepers are excluded.
fn is_taken(path: &str) -> bool {
    let is_own =
        memory::is_memory(path) || path.starts_with("memory/") || path.starts_with("history/");
    let is_made = path == MANIFEST || path.rsplit('/').next() == Some(".keep");
    !is_own && !is_made && check_path(path).is_ok() && is_kept(path)
}

fn manifest(files: &[File]) -> Option<Manifest> {
    let file = files.iter().find(|file| file.path == MANIFEST)?;
    // ok: without a readable manifest the template changes no fields.
    serde_json::from_slice(&file.bytes).ok()
}

/// The record after the upgrade and the changed fields. Fields that nobody changed follow the template.
fn changed_words(
    agent: &Agent,
    (base, theirs): (Option<Manifest>, Option<Manifest>),
    template: &str,
    to: CommitId,
) -> (Agent, Vec<Word>) {
    let mut upgraded = Agent {
        template: template.to_owned(),
        template_commit: Some(to),
        template_passed: None,
        ..agent.clone()
    };
    let mut words = Vec::new();
    if let (Some(base), Some(theirs)) = (base, theirs) {
        let mut follow = |field, mine: &mut String, base: &str, theirs: String| {
            if mine == base && *mine != theirs {
                words.push(Word { field, before: mine.clone(), after: theirs.clone() });
                *mine = theirs;
            }
        };
        follow("description", &mut upgraded.description, &base.description, theirs.description);
        follow("role", &mut upgraded.role, &base.role, theirs.role);
        follow("team", &mut upgraded.team, &base.team, theirs.team);
        let mut follow = |field, mine: &mut Vec<String>, base: &[String], theirs: Vec<String>| {
            if mine == base && *mine != theirs {
                let (before, after) = (mine.join(", "), theirs.join(", "));
                words.push(Word { field, before, after });
                *mine = theirs;
            }
        };
        follow("domains", &mut upgraded.domains, &base.domains, theirs.domains);
        follow("capabilities", &mut upgraded.capabilities, &base.capabilities, theirs.capabilities);
    }
    (upgraded, words)
}

fn mark(to: CommitId, changes: &[Change], words: &[Word]) -> String {
    let mut all = Sha256::new();
    let mut put = |bytes: &[u8]| {
        all.update((bytes.len() as u64).to_le_bytes());
        all.update(bytes);
    };
    put(to.to_string().as_bytes());
    for change in changes {
        put(change.path.as_bytes());
        for part in change.parts() {
            put(&[u8::from(part.is_some()), u8::from(part.is_some_and(|file| file.executable))]);
            put(part.map_or(&[][..], |file| &file.bytes));
        }
    }
    for word in words {
        put(word.field.as_bytes());
        put(word.before.as_bytes());
        put(word.after.as_bytes());
    }
    hex::encode(&all.finalize()[..12])
}
