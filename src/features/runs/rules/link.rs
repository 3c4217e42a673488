//! A run on a host that waits for home while the line there is cut. Only its row on the host says so: home knows by itself
//! that the machine is silent, and its row takes the place of this one with the next thing that happens.

use crate::runs::model::{Run, Waiting};
use kernel::{RunId, RunState, WaitFor};
use store::{ReadExt as _, WriteTx};

use super::RunError;

/// What such a run waits for.
const DETAIL: &str = "The line to home is cut; the run goes on when it is back.";

/// Whether a run waits for the line.
#[must_use]
pub fn is_waiting(run: &Run) -> bool {
    let for_link = |waiting: &Waiting| waiting.waits_for == WaitFor::Link;
    run.state == RunState::Waiting && run.waiting.as_ref().is_some_and(for_link)
}

/// Says that a run at work waits for the line.
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

/// Takes that back, unless home's row has come meanwhile.
pub fn goes_on(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), RunError> {
    if let Some(run) = tx.get::<Run>(run)?.filter(is_waiting) {
        tx.put(&Run { state: RunState::Running, waiting: None, ..run })?;
    }
    Ok(())
}
