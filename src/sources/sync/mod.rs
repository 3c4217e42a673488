//! Syncs of a workspace: a worker that sleeps until a source is due, or somebody asks. A few sources are synced at once,
//! each in pieces, so that what was found before a kill is kept and what was not is found again.

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

/// Who syncs.
pub(crate) const BY: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Sources that are synced at once.
const AT_ONCE: usize = 5;
/// The longest sleep, and the pause when the store or the disk refuses.
const AT_MOST: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
const REFUSED: Duration = Duration::from_secs(5);

/// Begins to sync the sources of a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("sources", |ws| async move { keep_up(&ws).await });
}

async fn keep_up(ws: &Ws) {
    let halt = ws.halt();
    // Heard from before the first look on, so that nothing falls between the two.
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

/// Closes what the program left in the middle.
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

/// Waits until something about sources changes; false at the end of the feed.
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
