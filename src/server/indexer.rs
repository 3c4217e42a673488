//! Keeps the search index of each workspace up to date with its feed: one task per workspace, of which one works at a
//! time. In a workspace without texts (such as knowledge pages), nothing is opened before the first search.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use app::Ws;
use features::global_search::follow::{self, FollowError};
use store::StoreError;

/// Batching delay for changes, cut short by a query.
const GATHER: Duration = Duration::from_millis(300);
/// Idle time after which the writer is closed.
const REST: Duration = Duration::from_secs(10);
/// Idle time after which the reader is closed.
const QUIET: Duration = Duration::from_secs(600);
/// Pause after an error of the store or the disk.
const REFUSED: Duration = Duration::from_secs(2);

/// Starts to follow the feed of a workspace.
pub fn begin(ws: &Ws) {
    ws.keep("search index", run);
}

async fn run(ws: Ws) {
    keep_up(&ws, &ws.halt()).await;
    ws.finding.index.close();
}

async fn keep_up(ws: &Ws, halt: &CancellationToken) {
    let (mut feed, mut questions) = (ws.store.watch(), ws.finding.questions());
    while !ws.finding.index.is_begun() {
        feed.borrow_and_update();
        // ok: a failing store is reported elsewhere, and a query has the same effect.
        if ws.read_blocking(follow::has_texts).await.unwrap_or(false) {
            break;
        }
        tokio::select! {
            changed = feed.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = questions.changed() => break,
            () = halt.cancelled() => return,
        }
        // Several changes cause one check.
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            _ = questions.changed() => break,
            () = halt.cancelled() => return,
        }
    }
    loop {
        // Marked as seen before the work, so that changes during the work are noticed.
        feed.borrow_and_update();
        questions.borrow_and_update();
        match follow::catch_up(ws, halt.clone()).await {
            Ok(()) => {}
            Err(FollowError::Stopped | FollowError::Store(StoreError::Closed)) => return,
            Err(error) => {
                tracing::warn!(%error, "the search index of {} has to wait", ws.slug);
                tokio::select! {
                    () = tokio::time::sleep(REFUSED) => continue,
                    () = halt.cancelled() => return,
                }
            }
        }
        let gathers = tokio::select! {
            changed = feed.changed() => changed.is_ok(),
            _ = questions.changed() => false,
            () = idle(ws) => false,
            () = halt.cancelled() => return,
        };
        // A query is handled immediately; changes alone are batched.
        if gathers {
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                _ = questions.changed() => {}
                () = halt.cancelled() => return,
            }
        }
    }
}

/// Closes unused readers and writers. Never returns.
async fn idle(ws: &Ws) {
    tokio::time::sleep(REST).await;
    if ws.finding.index.is_writing() {
        follow::rest(ws, QUIET).await;
    }
    loop {
        tokio::time::sleep(QUIET).await;
        follow::rest(ws, QUIET).await;
    }
}
