//! Runs on a host that wait while the link to the primary is down. Only the host's row shows this wait: the primary
//! knows that the host is silent, and its row replaces this one with the next update.

use crate::runs::model::{Run, Waiting};
use kernel::{RunId, RunState, WaitFor};
use store::{ReadExt as _, WriteTx};

use super::RunError;

/// Detail of the wait.
const DETAIL: &str = "The connection to HQ is lost. The run continues when it is back.";

/// Whether a run waits for the link.
#[must_use]
pub fn is_waiting(run: &Run) -> bool {
    let for_link = |waiting: &Waiting| waiting.waits_for == WaitFor::Link;
    run.state == RunState::Waiting && run.waiting.as_ref().is_some_and(for_link)
}

/// Marks a running run as waiting for the link.
pub fn waits(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), RunError> {
    let Some(run) = tx.get::<Run>(run)?.filter(|run| run.state == RunState::Running) else {
        return Ok(());
    };
    let waiting = Waiting {
        waits_for: WaitFor::Link,
        since: tx.now(),
        detail: DETAIL.to_owned(),
        needs_micros: None,
        until: None,
    };
    tx.put(&Run { state: RunState::Waiting, waiting: Some(waiting), ..run })?;
    Ok(())
}

/// Ends the wait, unless the primary's row has replaced it.
pub fn goes_on(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), RunError> {
    if let Some(run) = tx.get::<Run>(run)?.filter(is_waiting) {
        tx.put(&Run { state: RunState::Running, waiting: None, ..run })?;
    }
    Ok(())
}
