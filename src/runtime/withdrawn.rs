//! Ends running programs whose agent has lost a permission that they were started with, both those that an agent waits
//! for and its jobs. The egress proxy itself refuses forbidden requests; this covers other access that a program may
//! hold.

use std::future::pending;

use app::Ws;
use features::agents::model::{AGENTS, Agent, REACH};
use features::agents::queries::reach;
use features::trust::model::TRUST_MODES;
use features::trust::queries as trust;
use kernel::{AgentId, RunId};
use sandbox::job::{Job, StopReason};
use sandbox::policy::Network;
use store::{Read, ReadExt, StoreError, Table};
use tool::ToolCx;

use super::feed::changed;

/// Tables that decide what an agent's programs may do.
const SWITCHES: [Table; 3] = [AGENTS, REACH, TRUST_MODES];

/// The network access with which a program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BegunWith {
    /// No network access.
    Nothing,
    /// The egress proxy, which checks each request.
    WayOut,
    /// Unfiltered sockets, because the kernel cannot filter ports.
    Sockets,
}

impl BegunWith {
    pub(crate) fn of(network: &Network, has_way_out: bool) -> Self {
        match network {
            Network::Off => Self::Nothing,
            Network::On(_) if has_way_out => Self::WayOut,
            Network::On(_) => Self::Sockets,
        }
    }
}

/// Ends a program as soon as its agent, or an agent that started the run, may not run it any more.
pub(crate) fn end_then(cx: &ToolCx, begun: BegunWith, job: Job) {
    let (ws, of) = (cx.ws.clone(), (cx.agent, cx.run));
    cx.ws.spawn("what a program may", async move {
        let mut feed = ws.store.subscribe();
        let mut moves = ws.upstream.as_ref().map(|up| up.moves());
        let halt = ws.halt();
        loop {
            match ws.read(|snap| may_go_on(snap, &ws, of, begun)) {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(agent.id = %of.0, "a program ends: its agent may not run it any more");
                    return job.stop(StopReason::Stopped);
                }
                Err(error) => tracing::error!(%error, "what a program may could not be read"),
            }
            let moved = async {
                match &mut moves {
                    Some(moves) => moves.changed().await.is_ok(),
                    None => pending().await,
                }
            };
            let goes_on = tokio::select! {
                () = job.wait_for_all() => false,
                () = halt.cancelled() => false,
                is_open = changed(&mut feed, &SWITCHES) => is_open,
                is_open = moved => is_open,
            };
            if !goes_on {
                return;
            }
        }
    });
}

fn may_go_on(
    tx: &dyn Read,
    ws: &Ws,
    (agent, run): (AgentId, RunId),
    begun: BegunWith,
) -> Result<bool, StoreError> {
    let agents = reach::agents_of(tx, agent, run)?;
    for id in &agents {
        let may = match tx.get::<Agent>(*id)? {
            Some(agent) => {
                let network = begun == BegunWith::Nothing || agent.network;
                agent.exec && network && agent.archived_at.is_none()
            }
            // The record may not have reached the host's mirror yet.
            None => ws.upstream.is_some(),
        };
        if !may {
            return Ok(false);
        }
    }
    if trust::is_locked(tx, &agents)? {
        return Ok(false);
    }
    Ok(begun != BegunWith::Sockets || !reach::of_all(tx, &agents)?.are_listed())
}
