//! The files of agents that work on other machines. Their branches go down before a run and up after each commit, forward
//! only; what home cannot go on with is kept there beside. While the line stands, home looks at what lies on a host, and
//! lays there what people change.

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
pub(in crate::remote) use show::asked;

use super::{OfHome, RemoteRequest, Stand, keep, read, say, value};
use crate::EngineError;
use crate::journal::blocking;

/// How long to wait before files that did not come are asked for again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// What home answers where its branch has gone another way: what came is kept beside it.
const APART: &str = "apart";
/// What it answers of an agent that works elsewhere by now: what came is kept.
const KEPT: &str = "kept";

/// Where a host is, and its way to home.
type Here<'a> = (&'a Ws, &'a dyn Upstream);

/// An agent's branch on this machine.
struct Place {
    slug: String,
    branch: Branch,
    /// Where it stands here.
    head: Option<CommitId>,
}

/// Brings the files of an agent to this host before its run begins. What goes wrong is tried again for a while: a run
/// without its files would work beside what the agent knows. While the line is cut, a run goes on with what is here.
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

/// Whether an agent has a folder here.
async fn is_here(ws: &Ws, agent: AgentId) -> bool {
    let place = stands(ws, agent).await;
    place.is_ok_and(|place| place.head.is_some() && ws.agent_folder(&place.slug).is_dir())
}

/// Brings the files of an agent to this host, as home has them.
async fn fetch(at: Here<'_>, run: RunId, agent: AgentId) -> Result<(), EngineError> {
    let slug = stands(at.0, agent).await?.slug;
    let _turn = at.0.paths.hold(&at.0.agent_folder(&slug)).await;
    fetch_held(at, Some(run), agent).await
}

/// The same for whoever has the turn.
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
        // Programs write there what is no file of the agent's.
        AgentFiles::create(&own.agent_scratch(&slug))?;
        Ok::<_, EngineError>(moved)
    });
    if moved.await?? == Moved::Apart {
        // What was committed here and never came home.
        send_held(at, run, agent).await?;
    }
    Ok(())
}

/// Brings what is new in an agent's branch home. While the line is cut, it goes with the next link.
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

/// The same for whoever has the turn. Where home's branch has gone another way, this one goes there, too, once home has
/// what was here.
async fn send_held(
    (ws, up): Here<'_>,
    run: Option<RunId>,
    agent: AgentId,
) -> Result<(), EngineError> {
    let Place { slug, branch, head } = stands(ws, agent).await?;
    let Some(here) = head else { return Ok(()) };
    let asked = RemoteRequest::Branch { agent, here: Some(here.to_string()), offset: u64::MAX };
    let stand: Stand = ask(up, run, &asked).await?;
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
        let asked = RemoteRequest::Commits { agent, pack: id, head: here.to_string() };
        let answer: Value = ask(up, run, &asked).await?;
        if !matches!(answer.as_str(), Some(APART | KEPT)) {
            return Ok(());
        }
        // People may drop it there; it is not sent once more.
        let own = ws.clone();
        blocking(move || own.repo()?.place(&sent, here).map_err(EngineError::from)).await??;
    }
    take_over((ws, up), run, (agent, slug, branch, here)).await
}

/// Goes on with a branch as home has it. What was here is kept there; what is in no commit stays as it lies.
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
        // Should it end in between, it is done once more.
        repo.carry(&folder, (here, head), None)?;
        Ok::<_, EngineError>(repo.replace(&branch, here, head)?)
    });
    if !replaced.await?? {
        // A run has committed meanwhile: that goes home first.
        ws.looks.owe([agent]);
    }
    Ok(())
}

/// Where a branch stands at home, with a pack of what is missing here.
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

/// Takes a piece of a pack; says whether it was the last.
fn is_whole(pack: &mut Vec<u8>, stand: &Stand) -> bool {
    let piece = &stand.data;
    let is_last = piece.is_empty() || stand.total <= (pack.len() + piece.len()) as u64;
    pack.extend_from_slice(piece);
    is_last
}

/// Asks home about files: about a run in its turn, else beside all that is said.
async fn ask<T: DeserializeOwned>(
    up: &dyn Upstream,
    run: Option<RunId>,
    asked: &RemoteRequest,
) -> Result<T, EngineError> {
    let answer = match run {
        Some(run) => say(up, Some(run), asked).await,
        None => match value(asked) {
            Ok(what) => up.asks(what).await.and_then(read),
            Err(refusal) => Err(refusal),
        },
    };
    answer.map_err(EngineError::told)
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

/// What is wrong with files, as the engine has it.
pub(crate) fn of_files(error: FilesError) -> EngineError {
    match error {
        FilesError::Git(error) => error.into(),
        FilesError::Store(error) => error.into(),
        FilesError::NoFolder => EngineError::Broken("the agent has no files"),
        other => EngineError::Home(Refusal::new(other.code(), other.to_string())),
    }
}
