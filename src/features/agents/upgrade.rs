//! Upgrades of agents: what a newer version of its template, or another template, would make of an agent's files, and
//! how that is taken over. Nothing is taken over by itself.
//!
//! The files of the template as they were and as they are, both filled in with the agent's values, and the agent's own
//! are made one, file by file ([`compare`]). What the agent remembers and its history are never part of that.

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

/// Why an agent stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Its files could not be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A rule refused.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// It works now.
    #[error("{0} is at work; take it over when the run has ended")]
    Working(String),
    /// Its files are not there.
    #[error("{0} is not set up; that comes first")]
    NotReady(String),
    /// What was looked at is not what is there now.
    #[error("something has changed since you looked; look again and choose")]
    Moved,
    /// Somebody has to choose.
    #[error("choose what stays in {}", .0.join(", "))]
    Undecided(Vec<String>),
    /// A key that would get into the history.
    #[error("{path}, line {}: {}; take it out first", leak.line, leak.why)]
    Key {
        /// The file.
        path: String,
        leak: Leak,
    },
    /// There is nothing newer.
    #[error("{0} has all that its template has now")]
    Nothing(String),
    /// Something was taken over since.
    #[error("something else was taken over since; take that back first")]
    NotLast,
    /// Not the commit of an upgrade.
    #[error("that commit is no upgrade of this agent; its history shows which are")]
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
    /// When it was made.
    pub at: Timestamp,
}

/// Something that the record says of an agent and that the template now says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What it is: `role`, `team`, `domains`, `capabilities`, `description`.
    pub field: &'static str,
    pub before: String,
    /// As it would be.
    pub after: String,
}

/// What could be taken over.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The version that the agent has; none when that is not known.
    pub from: Option<Version>,
    /// The version that it could have.
    pub to: Version,
    /// Its files.
    pub changes: Vec<Change>,
    /// What it is said to be.
    pub words: Vec<Word>,
    /// A name for all that this was made from: another one when anything has changed.
    pub mark: String,
    /// Whether somebody declined this version.
    pub is_passed: bool,
    /// What the record and the manifest would say.
    said: Agent,
}

impl Offer {
    /// Whether anything would be another: else it is no offer.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.words.is_empty() || self.changes.iter().any(|change| change.fate.is_work())
    }

    /// Whether nobody has to choose.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.changes.iter().all(|change| change.fate != Fate::Clash)
    }

    /// Whether it is another template, not another version.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.template != self.to.template)
    }

    /// How many files have a fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.changes.iter().filter(|change| change.fate == fate).count()
    }
}

/// What an agent could take over from its template as it is now, or from another one.
///
/// # Errors
/// `NoTemplate` when there is no such template, or it has no files yet.
pub async fn offer(ws: &Ws, agent: &Agent, template: Option<&str>) -> Result<Offer, UpgradeError> {
    let (own, agent) = (ws.clone(), agent.clone());
    let template = template.unwrap_or(&agent.template).to_owned();
    let done = tokio::task::spawn_blocking(move || {
        usable(&agent)?;
        made(&own, &agent, &template, &mut Shelf::default())
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// The agents whose template has something new that nobody declined, with what it is, in the order of their names.
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
                // Its page says what is wrong; the others are not kept waiting for it.
                Err(error) => {
                    tracing::warn!(agent.id = %agent.id, "its upgrade cannot be told: {error}");
                }
            }
        }
        Ok(found)
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// Of how many agents the template has a version that they do not have and nobody declined; a quick look that reads no
/// files.
pub fn behind(ws: &Ws, agents: &[Agent]) -> Result<usize, GitError> {
    let mut shelf = Shelf::default();
    let mut count = 0;
    for agent in agents.iter().filter(|agent| usable(agent).is_ok()) {
        count += usize::from(shelf.is_behind(ws.repo()?, agent)?);
    }
    Ok(count)
}

/// When the version of its template was made that an agent has; nothing when that is not known.
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

/// Versions of templates that were read already.
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
        // Not a name that a branch can have, so there is none.
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

/// The offer of a template to an agent. Blocks on the disk.
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
    let told = repo.read_file(&branch, MANIFEST)?;
    let before = told.map_or_else(|| now.clone(), |file| now.told(&file.bytes));
    let (said, words) = changed_words(agent, (manifest(&base), manifest(&theirs)), template, to);
    let then = provision::persona(ws, &said)?;
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
        said,
    })
}

/// Something that nothing is made one with: it stays, or is replaced as a whole.
fn opaque(path: &str) -> File {
    File::new(path, [0xff])
}

/// A file of the agent as it lies on the disk.
fn read(files: &AgentFiles, path: &str) -> Result<Option<File>, GitError> {
    match files.read_up_to(path, MAX_FILE) {
        Ok(Some(part)) if (part.bytes.len() as u64) < part.total => Ok(Some(opaque(path))),
        Ok(part) => Ok(part.map(|part| File {
            path: path.to_owned(),
            bytes: part.bytes,
            executable: part.executable,
        })),
        // A folder or a link stands in its place.
        Err(GitError::Path { .. }) => Ok(Some(opaque(path))),
        Err(error) => Err(error),
    }
}

/// The files of a template that an agent takes over, with its values in them.
fn filled(files: &[File], who: &Persona) -> Files {
    let takes = |file: &&File| is_taken(&file.path);
    files
        .iter()
        .filter(takes)
        .map(|file| (file.path.clone(), templates::filled(file, who)))
        .collect()
}

/// What an agent remembers, what HQ makes, and what keeps empty folders is no part of an upgrade.
fn is_taken(path: &str) -> bool {
    let is_own =
        memory::is_memory(path) || path.starts_with("memory/") || path.starts_with("history/");
    let is_made = path == MANIFEST || path.rsplit('/').next() == Some(".keep");
    !is_own && !is_made && check_path(path).is_ok() && is_kept(path)
}

fn manifest(files: &[File]) -> Option<Manifest> {
    let file = files.iter().find(|file| file.path == MANIFEST)?;
    // ok: a template whose manifest cannot be read says nothing of what its agents are.
    serde_json::from_slice(&file.bytes).ok()
}

/// The record as it would be, and what is another in it: what nobody has changed follows the template.
fn changed_words(
    agent: &Agent,
    (base, theirs): (Option<Manifest>, Option<Manifest>),
    template: &str,
    to: CommitId,
) -> (Agent, Vec<Word>) {
    let mut said = Agent {
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
        follow("description", &mut said.description, &base.description, theirs.description);
        follow("role", &mut said.role, &base.role, theirs.role);
        follow("team", &mut said.team, &base.team, theirs.team);
        let mut follow = |field, mine: &mut Vec<String>, base: &[String], theirs: Vec<String>| {
            if mine == base && *mine != theirs {
                let (before, after) = (mine.join(", "), theirs.join(", "));
                words.push(Word { field, before, after });
                *mine = theirs;
            }
        };
        follow("domains", &mut said.domains, &base.domains, theirs.domains);
        follow("capabilities", &mut said.capabilities, &base.capabilities, theirs.capabilities);
    }
    (said, words)
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
