//! The row of a run on this host says that it waits for the line, while it does.

use app::Ws;
use app::upstream::Upstream;
use features::runs::rules::{RunError, link};
use kernel::RunId;

use crate::BY;

/// Says that a run waits for the line, unless that is back.
pub(crate) async fn waits((ws, up): (&Ws, &dyn Upstream), run: RunId) {
    let Some(alone) = up.alone(run).await else { return };
    let noted = ws.store.write(BY.0, BY.1, move |tx| link::waits(tx, run)).await;
    drop(alone);
    log_failure(run, noted);
}

/// Takes that back.
pub(crate) async fn goes_on(ws: &Ws, run: RunId) {
    log_failure(run, ws.store.write(BY.0, BY.1, move |tx| link::goes_on(tx, run)).await);
}

/// Nothing depends on it: home's row takes the place of this one.
fn log_failure(run: RunId, noted: Result<(), RunError>) {
    if let Err(error) = noted {
        tracing::warn!(run.id = %run, %error, "the row of run {run} does not say what it waits for");
    }
}
