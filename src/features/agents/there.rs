//! Files of agents on another host. The host has the authoritative copy; the primary fetches what is new and shows a
//! replica.
//!
//! A person's change is committed on the primary to a draft branch and applied on the host, which refuses it if the
//! files changed meanwhile. While the host is silent, the primary shows the last replica.

mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use app::Ws;
use app::downstream::{Look, PATIENCE, SILENT, Stays};
use app::upstream::Refusal;
use git::pack::Moved;
use git::{Branch, CommitId};
use jiff::tz::TimeZone;
use kernel::{AgentId, RunId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web::format;

use super::files::FilesError;
use super::model::Agent;
use super::queries::elsewhere::{self, Elsewhere};

/// Age up to which a fetched replica is reused.
const FRESH: Duration = Duration::from_millis(200);
/// How long a read waits for a running change.
const TURN: Duration = Duration::from_secs(2);
/// Timeout for applying a change: large content has to be transferred first.
const LAYING: Duration = Duration::from_secs(120);
/// Maximum size of a pack in bytes; no agent has larger files.
const MOST: u64 = 600 << 20;
/// Key of file requests among all requests to a host.
const FILES: &str = "files";
/// Code with which a host refuses a change because the files changed meanwhile.
pub const OVERTAKEN: &str = "file_changed";
/// Code with which a host refuses a change of a file that it cannot send; the refusal contains a [`Stays`].
pub const HELD_BACK: &str = "file_stays";
/// Maximum number of unsent files listed by name.
pub const NAMED: usize = 20;

/// File request of the primary to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileQuestion {
    /// Fetch the current state.
    Look(Wanted),
    /// Apply a change made on the primary.
    Lay(Change),
    /// Commit what an ended run left uncommitted.
    Left(AgentId, LeftOver),
}

/// Parameters of a fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub agent: AgentId,
    /// Head of the branch on the primary.
    pub head: Option<CommitId>,
    /// Commit that the primary has; only objects missing beside it are sent.
    pub has: Option<CommitId>,
    /// The state of the first response, when requesting the next piece.
    pub of: Option<Lying>,
    /// Number of bytes received so far.
    pub offset: u64,
}

/// State of an agent's files on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lying {
    /// Head of the branch on the host.
    pub head: CommitId,
    /// All files as a commit on top of `head`; equal to `head` if nothing differs.
    pub now: CommitId,
    /// Number of files missing in `now`.
    pub left_out: usize,
}

/// Response to a fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lies {
    pub lying: Lying,
    /// Size in bytes of the pack with the missing objects.
    pub total: u64,
    /// A piece of the pack.
    #[serde(with = "app::base64_serde")]
    pub data: Vec<u8>,
    /// The first files that the host cannot send; only in the first response.
    #[serde(default)]
    pub stays: Vec<Stays>,
}

/// A change made on the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub agent: AgentId,
    /// Head of the branch on the host before the change.
    pub head: CommitId,
    /// State of the host's files before the change.
    pub now: CommitId,
    /// New head: a commit that the primary provides.
    pub draft: CommitId,
}

/// Uncommitted files of an ended run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    pub run: RunId,
    pub name: String,
    pub paths: Vec<String>,
}

/// Branch and folder to work on.
#[derive(Clone, Debug)]
pub struct Bench {
    pub branch: Branch,
    pub folder: PathBuf,
}

/// State of files on another host, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Whether the replica is current and the files can be changed.
    pub is_live: bool,
    /// Display text in whole sentences; empty if nothing is unusual.
    pub words: String,
    /// The first files that exist on the host only, as of the last fetch.
    pub stays: Vec<Stays>,
}

/// Works on an agent's files, local or remote, while they are locked.
///
/// # Errors
/// Those of `work`; if there is no folder, the host is silent, or its files changed at the same time.
pub async fn at<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    paths: BTreeSet<String>,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match place(ws, agent)? {
        None => here(ws, agent, paths, work).await,
        Some(place) => away(ws, agent, place, work).await,
    }
}

async fn here<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    paths: BTreeSet<String>,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let folder = ws.agent_folder(&agent.slug);
    let branch = Branch::agent(&agent.slug).map_err(FilesError::from)?;
    // Lock in name order to avoid deadlocks.
    let mut turns = Vec::with_capacity(paths.len());
    for path in &paths {
        turns.push(ws.paths.hold(&folder.join(path)).await);
    }
    let done = tokio::task::spawn_blocking(move || match folder.is_dir() {
        true => work(&Bench { branch, folder }),
        false => Err(FilesError::NoFolder.into()),
    });
    done.await.map_err(|_| FilesError::CutOff)?
}

/// Works on the replica of a host's files and applies the result on the host. Completes even if the caller
/// disconnects, because half a change would be visible here only.
async fn away<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    place: Elsewhere,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let (own, agent) = (ws.clone(), agent.clone());
    let made = async move { changed(&own, &agent, &place, work).await };
    let done = ws.app.see_through("a change of files", made).await;
    done.unwrap_or_else(|_| Err(FilesError::CutOff.into()))
}

async fn changed<T: Send + 'static, E: From<FilesError> + Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    place: &Elsewhere,
    work: impl FnOnce(&Bench) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let folder = copy_of(ws, &agent.slug);
    let _turn = ws.paths.hold(&folder).await;
    let look = seen(ws, agent, place, Duration::ZERO).await?;
    let branch = Branch::draft(&agent.slug).map_err(FilesError::from)?;
    let bench = Bench { branch, folder };
    let (own, start, draft) = (ws.clone(), look.head, bench.branch.clone());
    let done = tokio::task::spawn_blocking(move || {
        begin(&own, &bench, start)?;
        let came = work(&bench)?;
        Ok::<_, E>((came, stands(&own, &bench.branch)?))
    });
    let done = done.await.unwrap_or_else(|_| Err(FilesError::CutOff.into()));
    // The replica is outdated from here on.
    ws.looks.is_over(agent.id);
    let laid = match done {
        Ok((came, Some(to))) if to != start => {
            let change = Change { agent: agent.id, head: start, now: look.now, draft: to };
            lay(ws, agent, place, change).await.map(|()| came).map_err(E::from)
        }
        Ok((came, _)) => Ok(came),
        Err(error) => Err(error),
    };
    let own = ws.clone();
    let tidied = blocking(move || Ok(own.repo()?.delete_branch(&draft)?)).await;
    if let Err(error) = tidied {
        tracing::debug!(%error, "a draft stays until the next one");
    }
    laid
}

/// Starts a draft branch at a commit.
fn begin(ws: &Ws, bench: &Bench, at: CommitId) -> Result<(), FilesError> {
    ws.repo()?.place(&bench.branch, at).map_err(damaged)
}

fn stands(ws: &Ws, branch: &Branch) -> Result<Option<CommitId>, FilesError> {
    Ok(ws.repo()?.head(branch)?)
}

/// Applies a change on the host, which completes it; then moves the primary's branch.
async fn lay(ws: &Ws, agent: &Agent, place: &Elsewhere, change: Change) -> Result<(), FilesError> {
    ask::<Value>(ws, place, &FileQuestion::Lay(change), LAYING).await?;
    if let Err(error) = go_on(ws, &agent.slug, change.draft).await {
        tracing::warn!(agent.id = %agent.id, %error, "a change is known here with the next look");
    }
    Ok(())
}

/// Moves an agent's branch on the primary, and the folder of its replica, to a stored commit.
///
/// # Errors
/// If the commit is missing or the disk fails.
pub async fn go_on(ws: &Ws, slug: &str, to: CommitId) -> Result<Moved, FilesError> {
    let (own, folder, branch) = (ws.clone(), ws.agent_folder(slug), Branch::agent(slug)?);
    let _turn = ws.paths.hold(&folder).await;
    blocking(move || own.repo()?.bring_on(&branch, &folder, to).map_err(damaged)).await
}

/// Folder for reading an agent's files: the current replica of its host's files while the host is connected.
pub async fn folder(ws: &Ws, agent: &Agent) -> Result<PathBuf, FilesError> {
    let own = ws.agent_folder(&agent.slug);
    let Some(place) = place(ws, agent)? else {
        if ws.looks.forget(agent.id) {
            let copy = copy_of(ws, &agent.slug);
            // ok: a leftover replica does no harm.
            let _ = tokio::fs::remove_dir_all(copy).await;
        }
        return Ok(own);
    };
    match fetch_if_stale(ws, agent, &place).await {
        Ok(_) => Ok(copy_of(ws, &agent.slug)),
        Err(FilesError::Silent(_)) => Ok(own),
        Err(error) => {
            tracing::info!(agent.id = %agent.id, %error, "what was sent last is shown");
            Ok(own)
        }
    }
}

/// Like [`folder`] as of the last fetch, without waiting for a new one.
pub fn last_folder(ws: &Ws, agent: &Agent) -> Result<PathBuf, FilesError> {
    let is_linked = place(ws, agent)?.is_some_and(|place| place.is_linked);
    let is_laid = ws.looks.last(agent.id).is_some_and(|look| look.is_laid);
    Ok(match is_linked && is_laid {
        true => copy_of(ws, &agent.slug),
        false => ws.agent_folder(&agent.slug),
    })
}

/// Display state of an agent's files on another host; `None` for local files.
pub async fn state(
    ws: &Ws,
    agent: &Agent,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Option<There>, FilesError> {
    let Some(place) = place(ws, agent)? else { return Ok(None) };
    let why = match fetch_if_stale(ws, agent, &place).await {
        Ok(look) => {
            let words = words::left_out(&look, &place.label, true);
            return Ok(Some(There { is_live: true, words, stays: look.stays }));
        }
        Err(FilesError::Silent(_)) => None,
        Err(FilesError::There { why, .. }) => Some(why),
        Err(error) => Some(error.to_string()),
    };
    let (own, branch) = (ws.clone(), Branch::agent(&agent.slug)?);
    let as_of = blocking(move || {
        let repo = own.repo()?;
        let head = repo.head(&branch)?;
        Ok(head.map(|head| repo.commit(head)).transpose()?.map(|commit| commit.time))
    });
    let old = words::old(&place, why.as_deref(), as_of.await?, (now, zone));
    let last = ws.looks.last(agent.id);
    let left_out = last.as_ref().map(|look| words::left_out(look, &place.label, false));
    let words = format!("{old} {}", left_out.unwrap_or_default()).trim_end().to_owned();
    let stays = last.map(|look| look.stays).unwrap_or_default();
    Ok(Some(There { is_live: false, words, stays }))
}

/// Requests a host to commit what an ended run left uncommitted.
///
/// # Errors
/// If the host is silent or does not respond.
pub async fn left(ws: &Ws, agent: &Agent, left: LeftOver) -> Result<(), FilesError> {
    let Some(place) = place(ws, agent)? else { return Ok(()) };
    ask::<Value>(ws, &place, &FileQuestion::Left(agent.id, left), LAYING).await.map(drop)
}

fn place(ws: &Ws, agent: &Agent) -> Result<Option<Elsewhere>, FilesError> {
    Ok(ws.read(|snap| elsewhere::at(ws, snap, agent.id))?)
}

/// Folder of the replica of a host's files.
pub(super) fn copy_of(ws: &Ws, slug: &str) -> PathBuf {
    ws.folder.join("agents").join(slug).join("there")
}

/// Fetches the host's files unless the replica is fresh. After a failed fetch, readers do not wait for the host again
/// for a while. Completes even if the caller disconnects.
async fn fetch_if_stale(ws: &Ws, agent: &Agent, place: &Elsewhere) -> Result<Look, FilesError> {
    let (own, agent, place) = (ws.clone(), agent.clone(), place.clone());
    let look = async move {
        let mute = |ws: &Ws| ws.looks.mute(agent.id).map_or(Ok(()), |why| Err(there(&place, &why)));
        mute(&own)?;
        let copy = copy_of(&own, &agent.slug);
        let Ok(_turn) = tokio::time::timeout(TURN, own.paths.hold(&copy)).await else {
            return Err(there(&place, "they are being changed"));
        };
        mute(&own)?;
        let seen = seen(&own, &agent, &place, FRESH).await;
        if let Err(FilesError::There { why, .. }) = &seen {
            own.looks.is_mute(agent.id, why.clone());
        }
        seen
    };
    let looked = ws.app.see_through("a look at files", look).await;
    looked.unwrap_or(Err(FilesError::CutOff))
}

/// Like [`fetch_if_stale`] for a caller that holds the lock.
async fn seen(
    ws: &Ws,
    agent: &Agent,
    place: &Elsewhere,
    fresh: Duration,
) -> Result<Look, FilesError> {
    if !place.is_linked {
        return Err(silent(place, ws.app.clock.now()));
    }
    let last = ws.looks.last(agent.id);
    if let Some(look) = &last
        && look.is_laid
        && look.at.elapsed() < fresh
    {
        return Ok(look.clone());
    }
    let (own, branch) = (ws.clone(), Branch::agent(&agent.slug)?);
    let head = blocking(move || stands(&own, &branch)).await?;
    let has = last.as_ref().map(|look| look.now).or(head);
    let Fetched { lying, stays, pack } = fetched(ws, place, (agent.id, head, has)).await?;
    let is_same = last.is_some_and(|look| look.is_laid && look.now == lying.now);
    let (own, copy) = (ws.clone(), copy_of(ws, &agent.slug));
    // The replica is invalid until it is completely written.
    ws.looks.is_over(agent.id);
    blocking(move || {
        let repo = own.repo()?;
        if !is_same {
            repo.take_in(lying.now, &pack).map_err(damaged)?;
            repo.mirror(lying.now, &copy)?;
        }
        if head != Some(lying.head) {
            repo.take_in(lying.head, &[]).map_err(damaged)?;
        }
        Ok(())
    })
    .await?;
    go_on(ws, &agent.slug, lying.head).await?;
    let Lying { head, now, left_out } = lying;
    let look = Look { at: Instant::now(), head, now, is_laid: true, left_out, stays };
    ws.looks.note(agent.id, look.clone());
    Ok(look)
}

/// State of the host's files, with a pack of the missing objects.
struct Fetched {
    lying: Lying,
    stays: Vec<Stays>,
    pack: Vec<u8>,
}

async fn fetched(
    ws: &Ws,
    place: &Elsewhere,
    (agent, head, has): (AgentId, Option<CommitId>, Option<CommitId>),
) -> Result<Fetched, FilesError> {
    let (mut of, mut stays, mut pack) = (None, Vec::new(), Vec::new());
    loop {
        let wanted = Wanted { agent, head, has, of, offset: pack.len() as u64 };
        let lies: Lies = ask(ws, place, &FileQuestion::Look(wanted), PATIENCE).await?;
        let piece = lies.data;
        let is_last = piece.is_empty() || lies.total <= (pack.len() + piece.len()) as u64;
        pack.extend(piece);
        if of.is_none() {
            stays = lies.stays.into_iter().take(NAMED).map(words::short).collect();
        }
        if MOST < pack.len() as u64 {
            return Err(there(place, "it has more files than an agent can have"));
        }
        if is_last {
            return Ok(Fetched { lying: lies.lying, stays, pack });
        }
        of = Some(lies.lying);
    }
}

async fn ask<T: DeserializeOwned>(
    ws: &Ws,
    place: &Elsewhere,
    question: &FileQuestion,
    patience: Duration,
) -> Result<T, FilesError> {
    let what = json!({ FILES: question });
    let answer = ws.app.hosts.ask_within(ws, place.gateway, what, patience).await;
    let answer = answer.map_err(|refusal| refused(place, refusal, ws.app.clock.now()))?;
    let read = serde_json::from_value(answer);
    read.map_err(|_| there(place, "its response is invalid"))
}

/// Converts a host's refusal to an error for display.
fn refused(place: &Elsewhere, refusal: Refusal, now: Timestamp) -> FilesError {
    match refusal.code.as_str() {
        SILENT => silent(place, now),
        OVERTAKEN => FilesError::Overtaken(place.label.clone()),
        HELD_BACK => match Stays::deserialize(&refusal.with) {
            Ok(Stays { path, why }) => FilesError::Stays { label: place.label.clone(), path, why },
            Err(_) => there(place, &refusal.sentence),
        },
        _ => there(place, &refusal.sentence),
    }
}

fn silent(place: &Elsewhere, now: Timestamp) -> FilesError {
    let label = &place.label;
    FilesError::Silent(match place.heard_at {
        Some(at) => {
            let length = Duration::from_secs(now.duration_since(at).unsigned_abs().as_secs());
            format!("{label} has been offline for {}", format::duration(length))
        }
        None => format!("{label} has never connected"),
    })
}

fn there(place: &Elsewhere, why: &str) -> FilesError {
    FilesError::There { label: place.label.clone(), why: why.to_owned() }
}

pub(super) fn damaged(error: std::io::Error) -> FilesError {
    FilesError::Damaged(error.to_string())
}

pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(body).await.map_err(|_| FilesError::CutOff)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::from_ms;
    use kernel::{GatewayId, Problem as _, TypedId as _};

    const NOON: i64 = 1_700_049_600_000;

    fn place(is_linked: bool, heard_at: Option<Timestamp>) -> Elsewhere {
        Elsewhere {
            gateway: GatewayId::from_bytes([95; 16]),
            label: "GPU box".to_owned(),
            is_paused: false,
            is_revoked: false,
            is_linked,
            heard_at,
        }
    }

    #[test]
    fn a_question_is_known_again() {
        let id = CommitId::from_bytes([7; 20]);
        let agent = AgentId::from_bytes([5; 16]);
        let lying = Lying { head: id, now: id, left_out: 1 };
        let wanted = Wanted { agent, head: None, has: Some(id), of: Some(lying), offset: u64::MAX };
        let change = Change { agent, head: id, now: id, draft: id };
        let paths = vec!["a.md".to_owned()];
        let left = LeftOver { run: RunId::from_bytes([6; 16]), name: "R-7".to_owned(), paths };
        for question in
            [FileQuestion::Look(wanted), FileQuestion::Lay(change), FileQuestion::Left(agent, left)]
        {
            let json = serde_json::to_value(&question).unwrap();
            assert_eq!(serde_json::from_value::<FileQuestion>(json).unwrap(), question);
        }
    }

    #[test]
    fn what_a_host_refuses_is_told_as_what_it_is() {
        let place = place(true, Some(from_ms(NOON - 300_000)));
        let error_of = |refusal: Refusal| {
            let error = refused(&place, refusal, from_ms(NOON));
            (error.code(), error.to_string())
        };
        let code = |code: &str| error_of(Refusal::new(code, "it is busy"));
        let (silent, words) = code(SILENT);
        assert_eq!(silent, "gateway_offline");
        assert!(words.starts_with("GPU box has been offline for 5 min"), "{words}");
        assert_eq!(code(OVERTAKEN).0, "file_changed");
        let (other, words) = code("host_mute");
        assert!(other == "gateway_failed" && words.contains("it is busy"), "{words}");
        let with = json!({ "path": "a.md", "why": "it contains what looks like a key" });
        let (held, words) = error_of(Refusal { with, ..Refusal::new(HELD_BACK, "it stays") });
        assert!(held == "file_stays", "{held}");
        assert!(words.starts_with("a.md stays unchanged on GPU box: it contains what "), "{words}");
        let (garbled, words) = code(HELD_BACK);
        assert!(garbled == "gateway_failed" && words.contains("it is busy"), "{words}");
    }
}
