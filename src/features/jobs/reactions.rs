//! What happens to jobs when something else changes.

use kernel::Event;
use store::WriteTx;

use super::queries;
use super::rules::{self, JobError};

/// Handles one event: what a run began ends when a person stops that run, and what an agent began
/// when the agent goes or stands still at once.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), JobError> {
    let jobs = match event {
        Event::RunStopRequested { run, .. } => {
            let mut jobs = queries::running(tx, None)?;
            jobs.retain(|job| job.run == *run);
            jobs
        }
        Event::AgentArchived { agent } => queries::running(tx, Some(*agent))?,
        Event::WorkHalted { agent, now: true } => queries::running(tx, *agent)?,
        _ => return Ok(()),
    };
    for job in jobs {
        rules::request_stop(tx, job.id)?;
    }
    Ok(())
}
