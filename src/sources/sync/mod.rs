//! Sync worker of a workspace. It sleeps until a source is due or a sync is requested. Several sources sync in
//! parallel, each in small transactions, so that a crash loses only uncommitted findings.

mod one;
mod write;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use app::Ws;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kernel::{Actor, Cause, Part};
use store::{Entry, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::model::{SOURCES, STATES, SourceId};
use crate::queries;
use crate::rules;

pub use write::{Said, write};

pub(crate) const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Sources that sync in parallel.
const AT_ONCE: usize = 5;
/// Longest sleep, and pause after an error of the store or the disk.
const AT_MOST: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
const REFUSED: Duration = Duration::from_secs(5);

/// Starts the worker for a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("sources", |ws| async move { keep_up(&ws).await });
}

async fn keep_up(ws: &Ws) {
    let halt = ws.halt();
    // Subscribed before the first read, so that no change is missed.
    let mut feed = ws.store.subscribe();
    tokio::select! {
        done = take_up(ws) => if let Err(error) = done {
            tracing::warn!(%error, "syncs of {} that broke off can't be closed", ws.slug);
        },
        () = halt.cancelled() => return,
    }
    let (mut busy, mut running) = (HashSet::new(), FuturesUnordered::new());
    loop {
        let now = ws.app.clock.now();
        let mut wakes = now + AT_MOST;
        match ws.read(|snap| queries::due(snap, now)) {
            Ok((due, next)) => {
                for id in due {
                    if busy.len() < AT_ONCE && busy.insert(id) {
                        running.push(sync(ws, id));
                    }
                }
                wakes = next.map_or(wakes, |next| next.min(wakes));
            }
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "sources of {} have to wait", ws.slug),
        }
        tokio::select! {
            biased;
            () = halt.cancelled() => return,
            Some(id) = running.next(), if !running.is_empty() => drop(busy.remove(&id)),
            goes_on = hears(&mut feed) => if !goes_on { return },
            () = ws.app.sleep_until(wakes) => {}
        }
    }
}

/// Closes syncs and writes that a crash interrupted.
async fn take_up(ws: &Ws) -> Result<(), StoreError> {
    ws.write(&BY, rules::interrupted).await?;
    write::settle(ws).await
}

async fn sync(ws: &Ws, id: SourceId) -> SourceId {
    match one::sync(ws, id).await {
        Ok(()) | Err(StoreError::Closed) => {}
        Err(error) => {
            tracing::warn!(%error, source.id = %id, "a source has to wait to be synced");
            tokio::time::sleep(REFUSED).await;
        }
    }
    id
}

/// Waits for a change of sources; `false` at the end of the feed.
async fn hears(feed: &mut Receiver<Arc<Entry>>) -> bool {
    loop {
        match feed.recv().await {
            Ok(entry) => {
                let ours = [SOURCES.number, STATES.number];
                if entry.changes.iter().any(|change| ours.contains(&change.table)) {
                    return true;
                }
            }
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
