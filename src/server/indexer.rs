//! Keeps the search index of each workspace in step with its feed: one task for each, one at work at a
//! time. Nothing is opened in a workspace that has no texts, such as pages of knowledge, before somebody searches.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use app::Ws;
use features::global_search::follow::{self, FollowError};
use store::StoreError;

/// How long changes are gathered, unless somebody asks meanwhile.
const GATHER: Duration = Duration::from_millis(300);
/// How long a writer waits for more.
const REST: Duration = Duration::from_secs(10);
/// How long a reader waits for another question.
const QUIET: Duration = Duration::from_secs(600);
/// How long to wait when the store or the disk refuses.
const REFUSED: Duration = Duration::from_secs(2);

/// Begins to follow the feed of a workspace.
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
        // ok: a store that fails says so elsewhere, and a question comes to the same.
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
        // Many changes are one reason to look.
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            _ = questions.changed() => break,
            () = halt.cancelled() => return,
        }
    }
    loop {
        // Looked at before the work, so that what comes meanwhile is heard.
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
        // A question waits for nothing; changes alone are gathered.
        if gathers {
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                _ = questions.changed() => {}
                () = halt.cancelled() => return,
            }
        }
    }
}

/// Puts away what is open and not used; ends never.
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
