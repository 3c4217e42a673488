//! The files of agents that work on other machines: their branches go down before a run and up after each commit, forward
//! only.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use app::Ws;
use app::upstream::{Refusal, Upstream};
use features::agents::model::Agent;
use git::files::AgentFiles;
use git::pack::Moved;
use git::{Branch, CommitId};
use kernel::{AgentId, GatewayId, RunId};
use store::{BlobId, ReadExt};

use super::at_home::is_its;
use super::{Asked, MOST, OfHome, PIECE, Stand, keep, say, value};
use crate::EngineError;
use crate::journal::blocking;

/// How long to wait before files that did not come are asked for again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Brings the files of an agent to this host before its run begins. What goes wrong is tried again for a while: a run
/// without its files would work beside what the agent knows.
pub(crate) async fn prepare(
    at: (&Ws, &dyn Upstream),
    run: RunId,
    agent: AgentId,
    cancel: &CancellationToken,
) {
    let mut pauses = PAUSES.into_iter();
    while let Err(error) = fetch(at, run, agent).await {
        tracing::warn!(run.id = %run, %error, "the files of the agent of run {run} did not come");
        let Some(pause) = pauses.next() else { return };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return,
        }
    }
}

/// Brings the files of an agent to this host, as home has them.
async fn fetch(
    (ws, up): (&Ws, &dyn Upstream),
    run: RunId,
    agent: AgentId,
) -> Result<(), EngineError> {
    let (slug, branch, here) = stands(ws, agent).await?;
    let mut pack = Vec::new();
    let head = loop {
        let here = here.map(|id| id.to_string());
        let asked = Asked::Branch { agent, here, offset: pack.len() as u64 };
        let stand: Stand = say(up, Some(run), &asked).await.map_err(EngineError::told)?;
        pack.extend(STANDARD.decode(stand.data).unwrap_or_default());
        if stand.total <= pack.len() as u64 {
            break stand.head;
        }
    };
    let Some(head) = head else { return Ok(()) };
    let (own, head) = (ws.clone(), CommitId::parse(&head)?);
    let moved = blocking(move || {
        let repo = own.repo()?;
        let moved = repo.read_pack(&branch, head, &pack)?;
        let folder = own.agent_folder(&slug);
        if moved == Moved::On || !folder.exists() {
            repo.checkout(&branch, &folder)?;
        }
        // Programs write there what is no file of the agent's.
        AgentFiles::create(&own.agent_scratch(&slug))?;
        Ok::<_, EngineError>(moved)
    });
    if moved.await?? == Moved::Apart {
        // What was committed here and never came home.
        send((ws, up), run, agent).await?;
    }
    Ok(())
}

/// Brings what is new in an agent's branch home.
pub(crate) async fn send(
    (ws, up): (&Ws, &dyn Upstream),
    run: RunId,
    agent: AgentId,
) -> Result<(), EngineError> {
    let (_, branch, here) = stands(ws, agent).await?;
    let asked = Asked::Branch { agent, here: here.map(|id| id.to_string()), offset: u64::MAX };
    let stand: Stand = say(up, Some(run), &asked).await.map_err(EngineError::told)?;
    let has = stand.head.as_deref().map(CommitId::parse).transpose()?;
    if here.is_none() || has == here {
        return Ok(());
    }
    let own = ws.clone();
    let written = blocking(move || own.repo()?.write_pack(&branch, has).map_err(EngineError::from));
    let Some((head, pack)) = written.await?? else { return Ok(()) };
    let id = BlobId::of(&pack);
    keep(up, run, id, &pack).await?;
    let asked = Asked::Commits { agent, pack: id, head: head.to_string() };
    say::<Value>(up, Some(run), &asked).await.map(drop).map_err(EngineError::told)
}

/// The slug of an agent, its branch, and where that stands here.
async fn stands(
    ws: &Ws,
    agent: AgentId,
) -> Result<(String, Branch, Option<CommitId>), EngineError> {
    let found = ws.read(|snap| snap.get::<Agent>(agent))?;
    let slug = found.ok_or(EngineError::Broken("the agent of a run is gone"))?.slug;
    let (own, branch) = (ws.clone(), Branch::agent(&slug)?);
    let asked = branch.clone();
    let here = blocking(move || own.repo()?.head(&asked)).await??;
    Ok((slug, branch, here))
}

/// At home: where a branch stands, and a piece of what a host does not have of it.
pub(super) async fn branch(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
    here: Option<String>,
    offset: u64,
) -> Result<Value, EngineError> {
    let (_, branch, head) = its(ws, from, agent).await?;
    let data = match (head, offset) {
        (None, _) | (_, u64::MAX) => Vec::new(),
        (Some(_), _) => {
            let (own, here) = (ws.clone(), here.as_deref().map(CommitId::parse).transpose()?);
            let written =
                blocking(move || own.repo()?.write_pack(&branch, here).map_err(EngineError::from));
            written.await??.map(|(_, pack)| pack).unwrap_or_default()
        }
    };
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
    let piece = &data[from..data.len().min(from.saturating_add(PIECE))];
    let (head, total) = (head.map(|id| id.to_string()), data.len() as u64);
    value(&Stand { head, total, data: STANDARD.encode(piece) }).map_err(EngineError::Home)
}

/// At home: takes in what is new in a branch.
pub(super) async fn commits(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
    pack: BlobId,
    head: String,
) -> Result<Value, EngineError> {
    let (slug, branch, _) = its(ws, from, agent).await?;
    let (own, head) = (ws.clone(), CommitId::parse(&head)?);
    let moved = blocking(move || {
        let (pack, repo) = (own.blobs.get(pack, MOST)?, own.repo()?);
        let moved = repo.read_pack(&branch, head, &pack)?;
        if moved == Moved::On {
            repo.checkout(&branch, &own.agent_folder(&slug))?;
        }
        Ok::<_, EngineError>(moved)
    });
    match moved.await?? {
        Moved::Stood | Moved::On => Ok(Value::Bool(true)),
        Moved::Apart => {
            let words = "the files of this agent have gone another way at home";
            Err(EngineError::Home(Refusal::new("branch_conflict", words)))
        }
    }
}

async fn its(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
) -> Result<(String, Branch, Option<CommitId>), EngineError> {
    match ws.read(|snap| is_its(snap, from, agent))? {
        true => stands(ws, agent).await,
        // It may have moved while its machine was not linked.
        false => {
            let words = "this agent does not work on this machine any more";
            Err(EngineError::Home(Refusal::new("agent_elsewhere", words)))
        }
    }
}
