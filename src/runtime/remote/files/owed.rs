//! Commits of a host that the primary lacks: made before a crash, while the link was down, or by an agent that has
//! moved. They are sent as soon as there is a link, so that none is left behind.

use std::collections::BTreeSet;

use app::Ws;
use features::agents::model::Agent;
use git::Branch;
use kernel::AgentId;
use store::{Range, ReadExt as _};

use super::{Here, send_held, stands};
use crate::journal::blocking;
use crate::remote::catch_up;
use crate::{EngineError, commit};

/// Sends missing commits, at start and whenever there are some, until the workspace stops.
pub(crate) fn bring_home(ws: &Ws) {
    let Some(up) = ws.upstream.clone() else { return };
    let own = ws.clone();
    ws.spawn("commits that home does not have", async move {
        let halt = own.halt();
        let mut moves = up.moves();
        let mut agents: Option<BTreeSet<AgentId>> = None;
        loop {
            tokio::select! {
                biased;
                () = halt.cancelled() => return,
                () = look_after((&own, &*up), &mut agents) => {}
            }
            tokio::select! {
                biased;
                () = halt.cancelled() => return,
                moved = moves.changed() => if moved.is_err() { return },
            }
        }
    });
}

/// Sends missing commits if there is a link. `agents` are the agents of this host at the last check.
async fn look_after(at: Here<'_>, agents: &mut Option<BTreeSet<AgentId>>) {
    let (ws, up) = at;
    if !up.is_linked() || (!ws.looks.owes() && agents.as_ref() == Some(&up.agents())) {
        return;
    }
    // The answer also updates the set of this host's agents.
    if let Err(error) = catch_up(up).await {
        tracing::debug!(%error, "what home does not have waits for the next link");
        return;
    }
    let now = up.agents();
    if agents.as_ref() != Some(&now) {
        let is_start = agents.is_none();
        match all_here(ws).await {
            Ok(mut all) => {
                all.retain(|agent| is_start || !now.contains(agent));
                ws.looks.owe(all);
            }
            Err(error) => tracing::warn!(%error, "the branches here could not be read"),
        }
        *agents = Some(now);
    }
    for agent in ws.looks.take_owed() {
        if let Err(error) = brought(at, agent).await {
            tracing::warn!(agent.id = %agent, %error, "what home does not have is tried again");
            ws.looks.owe([agent]);
        }
    }
}

/// The agents with a branch here.
async fn all_here(ws: &Ws) -> Result<Vec<AgentId>, EngineError> {
    let all = ws.read(|snap| snap.list::<Agent>(&Range::all()))?;
    let own = ws.clone();
    let found = blocking(move || {
        let (repo, mut found) = (own.repo()?, Vec::new());
        for agent in all {
            if repo.head(&Branch::agent(&agent.slug)?)?.is_some() {
                found.push(agent.id);
            }
        }
        Ok::<_, EngineError>(found)
    });
    found.await?
}

/// Commits the files of an agent without live runs, and sends what the primary lacks.
async fn brought(at: Here<'_>, agent: AgentId) -> Result<(), EngineError> {
    let ws = at.0;
    let Some(one) = ws.read(|snap| snap.get::<Agent>(agent))? else { return Ok(()) };
    let folder = ws.agent_folder(&one.slug);
    let _turn = ws.paths.hold(&folder).await;
    if folder.is_dir() && stands(ws, agent).await?.head.is_some() {
        commit::keep_all(ws, &one).await?;
    }
    send_held(at, None, agent).await
}
