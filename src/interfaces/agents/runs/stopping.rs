//! Waiting for a run that was asked to stop.

use std::time::Duration;

use app::Ws;
use kernel::{Actor, Cause, Outcome, Part, RunId};
use store::{ReadExt, StoreError};

use features::runs::model::Run;
use features::runs::rules::{self, RunError};

/// Time for the run's task to end the run itself, before it is forced.
const GRACE: Duration = Duration::from_millis(1_000);

/// Waits for the end of a run; returns whether it ended in time.
pub(super) async fn ended(ws: &Ws, id: RunId, within: Duration) -> Result<bool, StoreError> {
    let mut feed = ws.store.watch();
    let end = tokio::time::Instant::now() + within;
    loop {
        feed.borrow_and_update();
        if ws.read(|snap| snap.get::<Run>(id))?.is_none_or(|run| !run.is_live()) {
            return Ok(true);
        }
        match tokio::time::timeout_at(end, feed.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(false),
        }
    }
}

/// Waits for the end of a run that was asked to stop, and forces it after a grace period. Works over the local socket
/// even if all other threads hang, because the socket has a thread of its own.
pub(super) async fn see_to_end(ws: &Ws, id: RunId) -> Result<(), RunError> {
    if ended(ws, id, GRACE).await? {
        return Ok(());
    }
    let by = (Actor::System(Part::Engine), Cause::Timer);
    ws.write(&by, move |tx| {
        let run = tx.get::<Run>(id)?.filter(|run| run.is_live());
        match run.and_then(|run| run.stop) {
            Some(stop) => rules::force_end(tx, id, Outcome::Stopped { by: stop.by }, "").map(drop),
            None => Ok(()),
        }
    })
    .await
}
