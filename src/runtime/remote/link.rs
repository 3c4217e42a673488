//! Marks the local row of a run that waits for the link.

use app::Ws;
use app::upstream::Upstream;
use features::runs::rules::{RunError, link};
use kernel::RunId;

use crate::BY;

/// Marks a run as waiting for the link, unless the link is up again.
pub(crate) async fn waits((ws, up): (&Ws, &dyn Upstream), run: RunId) {
    let Some(alone) = up.alone(run).await else { return };
    let noted = ws.store.write(BY.0, BY.1, move |tx| link::waits(tx, run)).await;
    drop(alone);
    log_failure(run, noted);
}

/// Removes the mark.
pub(crate) async fn goes_on(ws: &Ws, run: RunId) {
    log_failure(run, ws.store.write(BY.0, BY.1, move |tx| link::goes_on(tx, run)).await);
}

/// Nothing depends on the mark: the primary's row replaces this one.
fn log_failure(run: RunId, noted: Result<(), RunError>) {
    if let Err(error) = noted {
        tracing::warn!(run.id = %run, %error, "the row of run {run} does not say what it waits for");
    }
}
