//! The primary's side: the head of a branch, packs for a host, and commits from a host. Only a fast-forward moves a
//! branch; other commits of an agent are kept in a separate branch, for people to decide.

use serde_json::Value;

use app::Ws;
use app::upstream::Refusal;
use features::agents::{apart, there};
use gateways::queries;
use git::pack::Moved;
use git::{Branch, CommitId};
use kernel::{Actor, AgentId, Cause, GatewayId};
use store::BlobId;

use super::{APART, KEPT, Place, of_files, stands};
use crate::EngineError;
use crate::journal::blocking;
use crate::remote::at_home::is_its;
use crate::remote::{MOST, PIECE, Stand, value};

/// How an agent is related to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// It is placed there.
    Works,
    /// It was placed there, and commits may still arrive.
    Worked,
}

/// The head of a branch, and a piece of the pack that the host lacks. If the agent has moved elsewhere, the host learns
/// only whether its commits are here.
pub(in crate::remote) async fn branch(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
    here: Option<String>,
    offset: u64,
) -> Result<Value, EngineError> {
    let (bond, Place { slug, branch, head }) = its(ws, from, agent).await?;
    let here = here.as_deref().map(CommitId::parse).transpose()?;
    let own = ws.clone();
    let known = blocking(move || {
        let repo = own.repo()?;
        let has = here.map(|here| repo.is_on(&branch, here)).transpose()?.unwrap_or(false);
        let kept = here.map(|here| apart::has(repo, &slug, here)).transpose()?.unwrap_or(false);
        Ok::<_, EngineError>((has, kept))
    });
    let (has, is_kept) = known.await??;
    let head = head.filter(|_| bond == Bond::Works);
    let stand = match (head, offset) {
        (None, _) | (_, u64::MAX) => Stand::default(),
        (Some(head), _) => piece(ws, (head, here), offset).await?,
    };
    let head = head.map(|id| id.to_string());
    value(&Stand { head, has, is_kept, ..stand }).map_err(EngineError::Home)
}

/// A piece of a person's change, for the host with the files.
pub(in crate::remote) async fn draft(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
    (draft, has): (String, String),
    offset: u64,
) -> Result<Value, EngineError> {
    let (bond, Place { slug, .. }) = its(ws, from, agent).await?;
    let (draft, has) = (CommitId::parse(&draft)?, CommitId::parse(&has)?);
    let (own, branch) = (ws.clone(), Branch::draft(&slug)?);
    let now = blocking(move || own.repo()?.head(&branch)).await??;
    if bond != Bond::Works || now != Some(draft) {
        let words = "this change is no longer made";
        return Err(EngineError::Home(Refusal::new("no_draft", words)));
    }
    let stand = piece(ws, (draft, Some(has)), offset).await?;
    value(&stand).map_err(EngineError::Home)
}

async fn piece(
    ws: &Ws,
    of: (CommitId, Option<CommitId>),
    offset: u64,
) -> Result<Stand, EngineError> {
    let own = ws.clone();
    let packed = blocking(move || {
        own.looks.pack(of, || own.repo()?.pack_of(of.0, of.1).map_err(EngineError::from))
    });
    let pack = packed.await??;
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(pack.len());
    let to = pack.len().min(from.saturating_add(PIECE));
    if to == pack.len() {
        ws.looks.is_out(of);
    }
    let (total, data) = (pack.len() as u64, pack[from..to].to_vec());
    Ok(Stand { total, data, ..Stand::default() })
}

/// Takes new commits of a branch. Diverging commits, and those of an agent that has moved elsewhere, are kept in a
/// separate branch.
pub(in crate::remote) async fn commits(
    ws: &Ws,
    from: GatewayId,
    agent: AgentId,
    pack: BlobId,
    head: String,
) -> Result<Value, EngineError> {
    let (bond, Place { slug, branch, .. }) = its(ws, from, agent).await?;
    let (own, head) = (ws.clone(), CommitId::parse(&head)?);
    let taken = blocking(move || {
        let pack = own.blobs.get(pack, MOST)?;
        let repo = own.repo()?;
        repo.take_in(head, &pack)?;
        Ok::<_, EngineError>(repo.is_on(&branch, head)?)
    });
    if taken.await?? {
        return Ok(Value::Bool(true));
    }
    if bond == Bond::Works {
        let moved = there::go_on(ws, &slug, head).await.map_err(of_files)?;
        // The last known state of the host's files is now outdated.
        ws.looks.is_over(agent);
        if moved != Moved::Apart {
            return Ok(Value::Bool(true));
        }
    }
    let by = (Actor::Gateway(from), Cause::Timer);
    apart::keep(ws, &by, (agent, &slug), head).await.map_err(of_files)?;
    tracing::warn!(gateway.id = %from, "what {slug} wrote apart from home is kept beside its branch");
    Ok(match bond {
        Bond::Works => Value::from(APART),
        Bond::Worked => Value::from(KEPT),
    })
}

async fn its(ws: &Ws, from: GatewayId, agent: AgentId) -> Result<(Bond, Place), EngineError> {
    let bond = ws.read(|snap| {
        if is_its(snap, from, agent)? {
            return Ok(Some(Bond::Works));
        }
        let has_worked = queries::has_worked(snap, agent, from)?;
        Ok::<_, EngineError>(has_worked.then_some(Bond::Worked))
    })?;
    match bond {
        Some(bond) => Ok((bond, stands(ws, agent).await?)),
        None => {
            let words = "this agent does not work on this machine";
            Err(EngineError::Home(Refusal::new("agent_elsewhere", words)))
        }
    }
}
