//! Files of agents that work on hosts. A branch is fetched before a run and sent after each commit, fast-forward only;
//! diverging commits are kept on the primary as a separate branch. While the link is up, the primary reads files on the
//! host and applies people's changes there.

mod home;
mod owed;
mod show;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use app::Ws;
use app::upstream::{Refusal, Upstream};
use features::agents::files::FilesError;
use features::agents::model::Agent;
use git::files::AgentFiles;
use git::pack::Moved;
use git::{Branch, CommitId};
use kernel::{AgentId, Problem as _, RunId};
use store::{BlobId, ReadExt};

pub(in crate::remote) use home::{branch, commits, draft};
pub(crate) use owed::bring_home;
pub(in crate::remote) use show::answer_request;

use super::{OfHome, RemoteRequest, Stand, keep, read, say, value};
use crate::EngineError;
use crate::journal::blocking;

/// Retry delays for fetching files.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// Answer if the primary's branch has diverged: the sent commits are kept beside it.
const APART: &str = "apart";
/// Answer if the agent has moved to another machine: the sent commits are kept.
const KEPT: &str = "kept";

/// The workspace on a host and its link to the primary.
type Here<'a> = (&'a Ws, &'a dyn Upstream);

/// An agent's branch on this machine.
struct Place {
    slug: String,
    branch: Branch,
    /// The local head.
    head: Option<CommitId>,
}

/// Fetches an agent's files before its run starts, with some retries, because a run without them would lack what the
/// agent knows. While the link is down the run uses the local files.
pub(crate) async fn prepare(at: Here<'_>, run: RunId, agent: AgentId, cancel: &CancellationToken) {
    let mut pauses = PAUSES.into_iter();
    while at.1.is_linked() || !is_here(at.0, agent).await {
        let Err(error) = fetch(at, run, agent).await else { return };
        tracing::warn!(run.id = %run, %error, "the files of the agent of run {run} did not come");
        let Some(pause) = pauses.next() else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return,
        }
    }
}

/// Returns `true` if an agent has its folder here.
async fn is_here(ws: &Ws, agent: AgentId) -> bool {
    let place = stands(ws, agent).await;
    place.is_ok_and(|place| place.head.is_some() && ws.agent_folder(&place.slug).is_dir())
}

/// Fetches an agent's files from the primary.
async fn fetch(at: Here<'_>, run: RunId, agent: AgentId) -> Result<(), EngineError> {
    let slug = stands(at.0, agent).await?.slug;
    let _turn = at.0.paths.hold(&at.0.agent_folder(&slug)).await;
    fetch_held(at, Some(run), agent).await
}

/// The same, for a caller that holds the lock of the folder.
async fn fetch_held(at: Here<'_>, run: Option<RunId>, agent: AgentId) -> Result<(), EngineError> {
    let (ws, up) = at;
    let Place { slug, branch, head: here } = stands(ws, agent).await?;
    let (head, pack) = fetched(up, run, (agent, here)).await?;
    let Some(head) = head else { return Ok(()) };
    let (own, folder) = (ws.clone(), ws.agent_folder(&slug));
    let moved = blocking(move || {
        let repo = own.repo()?;
        repo.take_in(head, &pack)?;
        let moved = repo.bring_on(&branch, &folder, head)?;
        // Programs use this folder for files that do not belong to the agent.
        AgentFiles::create(&own.agent_scratch(&slug))?;
        Ok::<_, EngineError>(moved)
    });
    if moved.await?? == Moved::Apart {
        // Commits that were made here and never sent.
        send_held(at, run, agent).await?;
    }
    Ok(())
}

/// Sends new commits of an agent's branch to the primary. While the link is down, they are sent with the next link.
pub(crate) async fn send(
    (ws, up): Here<'_>,
    run: Option<RunId>,
    agent: AgentId,
) -> Result<(), EngineError> {
    if !up.is_linked() {
        ws.looks.owe([agent]);
        return Ok(());
    }
    let slug = stands(ws, agent).await?.slug;
    let _turn = ws.paths.hold(&ws.agent_folder(&slug)).await;
    send_held((ws, up), run, agent).await
}

/// The same, for a caller that holds the lock of the folder. If the primary's branch has diverged, the host switches to
/// it after the primary has the local commits.
async fn send_held(
    (ws, up): Here<'_>,
    run: Option<RunId>,
    agent: AgentId,
) -> Result<(), EngineError> {
    let Place { slug, branch, head } = stands(ws, agent).await?;
    let Some(here) = head else { return Ok(()) };
    let request = RemoteRequest::Branch { agent, here: Some(here.to_string()), offset: u64::MAX };
    let stand: Stand = ask(up, run, &request).await?;
    let has = stand.head.as_deref().map(CommitId::parse).transpose()?;
    if has == Some(here) || stand.has {
        return Ok(());
    }
    let sent = Branch::sent(&slug)?;
    if !stand.is_kept && head_of(ws, &sent).await? != Some(here) {
        let own = ws.clone();
        let packed = blocking(move || own.repo()?.pack_of(here, has).map_err(EngineError::from));
        let pack = packed.await??;
        let id = BlobId::of(&pack);
        keep(up, run, id, &pack).await?;
        let request = RemoteRequest::Commits { agent, pack: id, head: here.to_string() };
        let answer: Value = ask(up, run, &request).await?;
        if !matches!(answer.as_str(), Some(APART | KEPT)) {
            return Ok(());
        }
        // People may delete the kept branch on the primary; do not send it again.
        let own = ws.clone();
        blocking(move || own.repo()?.place(&sent, here).map_err(EngineError::from)).await??;
    }
    take_over((ws, up), run, (agent, slug, branch, here)).await
}

/// Switches to the primary's branch. The local commits are kept there; uncommitted files stay unchanged.
async fn take_over(
    (ws, up): Here<'_>,
    run: Option<RunId>,
    (agent, slug, branch, here): (AgentId, String, Branch, CommitId),
) -> Result<(), EngineError> {
    let (head, pack) = fetched(up, run, (agent, Some(here))).await?;
    let Some(head) = head else { return Ok(()) };
    tracing::info!(agent.id = %agent, "home has gone another way with the files of {slug}");
    let (own, folder) = (ws.clone(), ws.agent_folder(&slug));
    let replaced = blocking(move || {
        let repo = own.repo()?;
        repo.take_in(head, &pack)?;
        if repo.head(&branch)? != Some(here) {
            return Ok(false);
        }
        // After a crash in between, this is repeated.
        repo.carry(&folder, (here, head), None)?;
        Ok::<_, EngineError>(repo.replace(&branch, here, head)?)
    });
    if !replaced.await?? {
        // A run has committed meanwhile: send that first.
        ws.looks.owe([agent]);
    }
    Ok(())
}

/// The head of the branch on the primary, with a pack of the commits that are missing here.
async fn fetched(
    up: &dyn Upstream,
    run: Option<RunId>,
    (agent, here): (AgentId, Option<CommitId>),
) -> Result<(Option<CommitId>, Vec<u8>), EngineError> {
    let mut pack = Vec::new();
    loop {
        let (here, offset) = (here.map(|id| id.to_string()), pack.len() as u64);
        let stand: Stand = ask(up, run, &RemoteRequest::Branch { agent, here, offset }).await?;
        if is_whole(&mut pack, &stand) {
            let head = stand.head.as_deref().map(CommitId::parse).transpose()?;
            return Ok((head, pack));
        }
    }
}

/// Appends a piece of a pack. Returns whether it was the last one.
fn is_whole(pack: &mut Vec<u8>, stand: &Stand) -> bool {
    let piece = &stand.data;
    let is_last = piece.is_empty() || stand.total <= (pack.len() + piece.len()) as u64;
    pack.extend_from_slice(piece);
    is_last
}

/// Sends a request about files: in a run's order if it belongs to a run, else independently.
async fn ask<T: DeserializeOwned>(
    up: &dyn Upstream,
    run: Option<RunId>,
    request: &RemoteRequest,
) -> Result<T, EngineError> {
    let answer = match run {
        Some(run) => say(up, Some(run), request).await,
        None => match value(request) {
            Ok(what) => up.asks(what).await.and_then(read),
            Err(refusal) => Err(refusal),
        },
    };
    answer.map_err(EngineError::from_refusal)
}

/// An agent's branch on this machine.
async fn stands(ws: &Ws, agent: AgentId) -> Result<Place, EngineError> {
    let found = ws.read(|snap| snap.get::<Agent>(agent))?;
    let slug = found.ok_or(EngineError::Broken("the agent of a run is gone"))?.slug;
    let branch = Branch::agent(&slug)?;
    let head = head_of(ws, &branch).await?;
    Ok(Place { slug, branch, head })
}

async fn head_of(ws: &Ws, branch: &Branch) -> Result<Option<CommitId>, EngineError> {
    let (own, branch) = (ws.clone(), branch.clone());
    Ok(blocking(move || own.repo()?.head(&branch)).await??)
}

/// Converts an error of file operations.
pub(crate) fn of_files(error: FilesError) -> EngineError {
    match error {
        FilesError::Git(error) => error.into(),
        FilesError::Store(error) => error.into(),
        FilesError::NoFolder => EngineError::Broken("the agent has no files"),
        other => EngineError::Home(Refusal::new(other.code(), other.to_string())),
    }
}
