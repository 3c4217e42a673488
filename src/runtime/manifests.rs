//! Keeps agents' manifest files equal to their records where a record changes without its files: after an undo, after
//! changes of the people they work for, and at start after a crash.
//!
//! There is no queue: a manifest that differs from the record is outdated.

use tokio::sync::broadcast::error::RecvError;

use super::remote;
use app::Ws;
use features::agents::model::{AGENTS, Agent};
use features::agents::provision;
use features::agents::queries::elsewhere;
use features::users::model::ACCOUNTS;
use features::workspace::model::{MEMBERS, SETTINGS};
use git::Author;
use kernel::key;
use kernel::{AgentId, AgentStatus, Cause};
use store::{Entry, Range, ReadExt as _, StoreError};

/// Updates manifests until the program ends.
pub(super) async fn run(ws: Ws) {
    let (mut feed, mut people) = (ws.store.subscribe(), ws.app.system.subscribe());
    let mut hosts = ws.app.hosts.moves();
    let halt = ws.halt();
    check(&ws, None).await;
    loop {
        let next = tokio::select! {
            () = halt.cancelled() => return,
            next = feed.recv() => next,
            next = people.recv() => next,
            moved = hosts.changed() => {
                if moved.is_err() {
                    return;
                }
                check(&ws, Some(others(&ws))).await;
                continue;
            }
        };
        match next {
            Ok(entry) if is_of_owners(&entry) => check(&ws, None).await,
            Ok(entry) => {
                let ids = undone(&entry);
                if !ids.is_empty() {
                    check(&ws, Some(ids)).await;
                }
            }
            Err(RecvError::Lagged(_)) => check(&ws, None).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Returns `true` if data about the people or the workspace may have changed: a name or a time zone.
fn is_of_owners(entry: &Entry) -> bool {
    let tables = [ACCOUNTS, MEMBERS, SETTINGS].map(|table| table.number);
    entry.changes.iter().any(|change| tables.contains(&change.table))
}

/// The agents that an undo changed. Other changes of an agent update its files directly.
fn undone(entry: &Entry) -> Vec<AgentId> {
    if !matches!(entry.cause, Cause::Undo(_)) {
        return Vec::new();
    }
    let changes = entry.changes.iter().filter(|change| change.table == AGENTS.number);
    changes.filter_map(|change| key::decode::<AgentId>(&change.key)).collect()
}

/// Returns `true` if the last manifest received here equals the record.
async fn is_told(ws: &Ws, agent: &Agent) -> bool {
    let one = agent.clone();
    ws.read_blocking(move |ws| provision::is_told(ws, &one)).await.unwrap_or(false)
}

/// The agents on hosts.
fn others(ws: &Ws) -> Vec<AgentId> {
    let found = ws.read(|snap| remote::places(ws, snap));
    found.map(|places| places.into_keys().collect()).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known which agents work elsewhere");
        Vec::new()
    })
}

/// Writes the outdated manifests of these agents, or of all.
async fn check(ws: &Ws, ids: Option<Vec<AgentId>>) {
    let found = ws.read(|snap| match ids {
        None => snap.list::<Agent>(&Range::all()),
        Some(ids) => {
            let agents = ids.into_iter().map(|id| snap.get::<Agent>(id));
            Ok(agents.collect::<Result<Vec<_>, StoreError>>()?.into_iter().flatten().collect())
        }
    });
    let agents = match found {
        Ok(agents) => agents,
        Err(error) => {
            tracing::warn!(%error, "agents could not be read; their manifests are not looked at");
            return;
        }
    };
    for agent in agents {
        if ws.halt().is_cancelled() {
            return;
        }
        // An agent whose files are not ready gets its manifest with them.
        if !matches!(agent.status, AgentStatus::Ready | AgentStatus::Paused) {
            continue;
        }
        let is_away = match ws.read(|snap| elsewhere::at(ws, snap, agent.id)) {
            // An unlinked host gets it when it is back.
            Ok(Some(place)) if !place.is_linked => continue,
            Ok(place) => place.is_some(),
            Err(_) => false,
        };
        // Do not contact a host without need.
        if is_away && is_told(ws, &agent).await {
            continue;
        }
        if let Err(error) = provision::tell_files(ws, &agent, Author::hq()).await {
            tracing::warn!(agent.id = %agent.id, "the agent's manifest is behind: {error}");
        }
    }
}
