//! Waiting for the end of a run that was asked to stop.

use std::time::Duration;

use app::Ws;
use kernel::{Actor, Cause, Outcome, Part, RunId};
use store::{ReadExt, StoreError};

use features::runs::model::Run;
use features::runs::rules::{self, RunError};

/// How long its task has. Whoever works on it is quicker; this is for when nobody does.
const GRACE: Duration = Duration::from_millis(1_000);

/// Waits a little for the end of a run; says whether it came.
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

/// Waits for the end of a run that was asked to stop, and ends it when nothing else does: whoever
/// asks over the local socket is served by a thread of its own, also while all others hang.
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
