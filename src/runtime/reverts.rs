//! Files of agents that an undo takes back: orders in the store, worked off one after the other. What
//! a crash cuts off is begun again; a file that has gone back already is found so.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::Ws;
use crate::features::agents::model::Agent;
use crate::features::history::model::{FILE_REVERTS, FileRevert, KeptFile, REVERTS_OPEN};
use crate::features::history::queries::error::HistoryError;
use crate::features::history::rules::{self, FilesDone};
use crate::features::runs::model::Run;
use crate::git::revert::{Noted, Revert};
use crate::git::{Author, Branch, CommitId, Entry as GitEntry, GitError};
use crate::store::{Entry, Range, ReadExt, StoreError};

use super::journal::blocking;
use super::{BY, EngineError};

/// How many orders are taken at once.
const PAGE: usize = 20;

/// Works off orders until the program ends.
pub(super) async fn run(ws: Ws) {
    let mut feed = ws.store.subscribe();
    let halt = ws.halt();
    loop {
        if let Err(error) = work_off(&ws).await {
            tracing::error!(%error, "files could not be taken back; it is tried again");
        }
        tokio::select! {
            () = halt.cancelled() => return,
            heard = heard(&mut feed) => if !heard { return },
        }
    }
}

/// Waits for a new order. False when the store is closed.
async fn heard(feed: &mut Receiver<Arc<Entry>>) -> bool {
    loop {
        match feed.recv().await {
            Ok(entry) => {
                if entry.changes.iter().any(|change| change.table == FILE_REVERTS.number) {
                    return true;
                }
            }
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}

async fn work_off(ws: &Ws) -> Result<(), EngineError> {
    loop {
        let open: Vec<FileRevert> =
            ws.read(|snap| snap.scan::<FileRevert>(REVERTS_OPEN, &Range::all().limit(PAGE)))?;
        if open.is_empty() || ws.halt().is_cancelled() {
            return Ok(());
        }
        for order in open {
            let id = order.id;
            let done = match take_back(ws, order).await {
                Ok(done) => Ok(done),
                Err(EngineError::Git(error)) => Err(error.to_string()),
                Err(EngineError::Broken(why)) => Err(why.to_owned()),
                Err(error) => return Err(error),
            };
            let noted = ws.write(&BY, move |tx| rules::files_done(tx, id, done)).await;
            noted.map_err(|error| match error {
                HistoryError::Store(error) => EngineError::Store(error),
                other => EngineError::Tool(other.to_string()),
            })?;
        }
    }
}

async fn take_back(ws: &Ws, order: FileRevert) -> Result<FilesDone, EngineError> {
    let (agent, run) = ws.read(|snap| {
        Ok::<_, StoreError>((snap.get::<Agent>(order.agent)?, snap.get::<Run>(order.run)?))
    })?;
    let Some(agent) = agent else { return Err(EngineError::Broken("the agent is gone")) };
    let commits =
        order.commits.iter().map(|id| id.parse()).collect::<Result<Vec<CommitId>, _>>()?;
    let root = ws.agent_folder(&agent.slug);
    let (own, looked) = (ws.clone(), commits.clone());
    let paths = blocking(move || own.repo()?.changed_by(&looked)).await??;
    // In the order of names, so that two that want the same do not wait for each other.
    let mut held = Vec::with_capacity(paths.len());
    for path in &paths {
        held.push(ws.paths.hold(&root.join(path)).await);
    }
    let name = run.map_or_else(|| "a run".to_owned(), |run| run.name());
    let message = format!("Undo {name}\n\nOrder: {}\nAgent: {}\n", order.id, agent.slug);
    let noted = order.marks.into_iter().map(|mark| Noted {
        path: mark.path,
        before: mark.before,
        after: mark.after,
    });
    let noted: Vec<Noted> = noted.collect();
    let (own, now) = (ws.clone(), ws.app.clock.now());
    let done: Result<_, GitError> = blocking(move || {
        let branch = Branch::agent(&agent.slug)?;
        let author = Author::hq();
        let entry = GitEntry { author: &author, message: &message, time: now };
        let what = Revert { branch: &branch, dir: &root, commits: &commits, noted: &noted };
        own.repo()?.revert(&what, &entry)
    })
    .await?;
    drop(held);
    let done = done?;
    let kept = done.kept.into_iter();
    Ok(FilesDone {
        commit: done.commit.map(|id| id.to_string()),
        restored: done.restored,
        kept: kept.map(|(path, why)| KeptFile { path, why: why.to_owned() }).collect(),
    })
}
