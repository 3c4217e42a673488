//! History of an agent's files for people and the API: commits, their changes, old versions of a file, and restoring
//! them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::runs::queries::{self as runs, talk};
use app::Ws;
use git::files::AgentFiles;
use git::history::{At, FileDiff, LogQuery, Logged};
use git::names::check_path;
use git::snapshot::MAX_FILE;
use git::standing::Standing;
use git::{AgentsRepo, Author, Branch, CommitId, File, GitError};
use kernel::{AccountId, Role, Timestamp};
use store::{Read, StoreError};
use tool::leaks;
use web::session::Person;

use super::desk;
use super::editing::{self, EditError, Hand};
use super::files::{Content, FilesError, MAX_SHOWN};
use super::model::Agent;
use super::there;

/// Maximum number of files compared per commit.
const MAX_COMPARED: usize = 50;
/// Subject shown in place of text from another person's conversation.
const PRIVATE: &str = "In a conversation";

/// Part of a history, newest first.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub commits: Vec<Logged>,
    /// Continue before this commit; `None` at the end.
    pub next: Option<CommitId>,
}

/// A commit with its changes.
#[derive(Clone, Debug)]
pub struct Change {
    pub commit: Logged,
    /// Changed files, limited to the requested path if any.
    pub files: Vec<FileDiff>,
    /// Number of further changed files that were not compared.
    pub more: usize,
    /// The requested file after the commit; `None` if it did not exist.
    pub then: Option<Content>,
    /// Whether the current file equals that version.
    pub is_now: bool,
}

/// A commit as a person may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: CommitId,
    pub author: String,
    pub at: Timestamp,
    /// One line.
    pub subject: String,
    /// Complete message; empty if it is private.
    pub message: String,
    /// Name of the related run: `R-12`.
    pub run: Option<String>,
}

/// Commits of an agent's branch, optionally only those that changed a path.
///
/// # Errors
/// If the path is invalid or the commit is not on the agent's branch.
pub async fn log(
    ws: &Ws,
    agent: &Agent,
    path: &str,
    before: Option<&str>,
    limit: usize,
) -> Result<Log, FilesError> {
    let (path, before) = (checked(path)?, before.map(CommitId::parse).transpose()?);
    in_branch(ws, agent, move |repo, branch| {
        if let Some(before) = before {
            on_branch(repo, branch, before)?;
        }
        let query = LogQuery { path: path.as_deref(), before, limit: limit.saturating_add(1) };
        let mut commits = repo.log(branch, &query)?;
        let more = limit < commits.len();
        commits.truncate(limit);
        let next = commits.last().filter(|_| more).map(|last| last.id);
        Ok(Log { commits, next })
    })
    .await
}

/// Changes of a commit. With a path, only those of that file or folder, and the file after the commit.
///
/// # Errors
/// If the path is invalid or the commit is not on the agent's branch.
pub async fn change(ws: &Ws, agent: &Agent, id: &str, path: &str) -> Result<Change, FilesError> {
    let (id, path) = (CommitId::parse(id)?, checked(path)?);
    let folder = there::folder(ws, agent).await?;
    in_branch(ws, agent, move |repo, branch| {
        on_branch(repo, branch, id)?;
        let commit = repo.commit(id)?;
        let below = path.as_deref().unwrap_or_default();
        let (files, more) = repo.diff_below(id, below, MAX_COMPARED)?;
        let mut change = Change { commit, files, more, then: None, is_now: false };
        let then = path.map(|path| repo.read_file(&At::Commit(id), &path)).transpose()?;
        if let Some(then) = then.flatten() {
            change.is_now = is_now(&folder, &then)?;
            let (total, mut bytes) = (then.bytes.len() as u64, then.bytes);
            bytes.truncate(usize::try_from(MAX_SHOWN).unwrap_or(usize::MAX));
            change.then = Some(Content::of(bytes, total, then.executable));
        }
        Ok(change)
    })
    .await
}

/// Restores a file to its version after a commit, in a new commit; `None` if it is unchanged. Uncommitted changes are
/// committed first under the agent's name, so nothing is lost.
///
/// # Errors
/// If the file is not in that commit, the commit is not on the agent's branch, the agent is archived, the disk is
/// nearly full, or the old version or an uncommitted change contains a key.
pub async fn bring_back(
    ws: &Ws,
    agent: &Agent,
    who: &Person,
    path: &str,
    id: &str,
) -> Result<Option<CommitId>, EditError> {
    let hand = Hand { ws, agent, who };
    let (id, path) = (CommitId::parse(id)?, editing::usable(hand, path)?);
    let (author, file, slug) =
        (Author::person(&who.name, who.account), path.clone(), agent.slug.clone());
    let commit = desk::at(ws, agent, author, BTreeSet::from([path.clone()]), move |desk| {
        desk.disk_has_room()?;
        let repo = desk.ws.repo()?;
        on_branch(repo, &desk.branch, id)?;
        let then = repo.read_file(&At::Commit(id), &path)?;
        let then = then.ok_or_else(|| FilesError::NotThen(path.clone()))?;
        let holds_key = |bytes: &[u8]| leaks::in_file(&desk.ws.app.redactor, bytes);
        if let Some(leak) = holds_key(&then.bytes) {
            return Err(EditError::Key(leak));
        }
        desk.files.has_place(&path)?;
        desk.keep(&[&path])?;
        // A file with a key is not committed and would be lost. ok: a link in its place has no text.
        let standing = repo.standings(&desk.branch, &desk.files, &[&path])?;
        if standing.first() != Some(&Standing::Same)
            && let Ok(Some(now)) = desk.files.read_up_to(&path, MAX_FILE)
            && let Some(leak) = holds_key(&now.bytes)
        {
            return Err(EditError::Key(leak));
        }
        let day = repo.commit(id)?.time.strftime("%-d %B %Y, %H:%M UTC").to_string();
        desk.files.write(&then)?;
        let back = format!("Restore {path} of {day}\n\nFrom: {id}\nAgent: {slug}\n");
        Ok(desk.commit(&[&path], &back)?)
    })
    .await?;
    if let Some(commit) = commit {
        editing::tell(hand, file, commit).await?;
    }
    Ok(commit)
}

/// Commits as a person may read them. Text from another person's conversation is hidden.
pub fn tell(
    read: &dyn Read,
    (account, role): (AccountId, Role),
    commits: Vec<Logged>,
) -> Result<Vec<Told>, StoreError> {
    let tell = |commit: Logged| {
        let (mut run, mut open) = (None, true);
        if let Some(name) = run_of(&commit.message) {
            let found = runs::by_name(read, name)?;
            open = match &found {
                Some(run) => talk::may_see_run(read, run, account, role)?,
                // The owner of the conversation is unknown.
                None => matches!(role, Role::Owner | Role::Admin),
            };
            run = found.filter(|_| open).map(|run| run.name());
        }
        let subject = commit.message.lines().next().unwrap_or_default();
        Ok(Told {
            id: commit.id,
            author: commit.author,
            at: commit.time,
            subject: if open { subject } else { PRIVATE }.to_owned(),
            message: if open { commit.message.clone() } else { String::new() },
            run,
        })
    };
    commits.into_iter().map(tell).collect()
}

/// The run named in the trailers of a commit message.
fn run_of(message: &str) -> Option<&str> {
    let (_, last) = message.trim_end().rsplit_once("\n\n")?;
    last.lines().find_map(|line| line.strip_prefix("Run: "))
}

/// Validates a path and trims its slashes; `None` for all files.
fn checked(path: &str) -> Result<Option<String>, GitError> {
    match path.trim_matches('/') {
        "" => Ok(None),
        path => check_path(path).map(|()| Some(path.to_owned())),
    }
}

/// Refuses commits of other branches.
fn on_branch(repo: &AgentsRepo, branch: &Branch, id: CommitId) -> Result<(), GitError> {
    if repo.is_on(branch, id)? { Ok(()) } else { Err(GitError::NoCommit(id)) }
}

/// Whether the file in the folder equals an old version.
fn is_now(folder: &Path, then: &File) -> Result<bool, GitError> {
    if !folder.is_dir() {
        return Ok(false);
    }
    match AgentFiles::open(folder)?.read_up_to(&then.path, MAX_FILE) {
        Ok(part) => Ok(part.is_some_and(|part| {
            part.bytes == then.bytes
                && part.total == then.bytes.len() as u64
                && part.executable == then.executable
        })),
        // A folder or link is in its place.
        Err(GitError::Path { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn in_branch<T: Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    body: impl FnOnce(&AgentsRepo, &Branch) -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    let (own, slug) = (ws.clone(), agent.slug.clone());
    let done = tokio::task::spawn_blocking(move || {
        let (repo, branch) = (own.repo()?, Branch::agent(&slug)?);
        match repo.head(&branch)? {
            Some(_) => body(repo, &branch),
            None => Err(FilesError::NoFolder),
        }
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

#[cfg(test)]
mod tests {
    use super::run_of;

    #[test]
    fn the_run_of_a_commit_stands_in_its_last_paragraph() {
        let message = "MC-3: Write\n\nRun: R-12\nAgent: ada\n";
        assert_eq!(run_of(message), Some("R-12"));
        assert_eq!(run_of("Run: R-12"), None, "a subject is no trailer");
        assert_eq!(run_of("Why\n\nRun: R-1\n\nAgent: ada"), None);
    }
}
