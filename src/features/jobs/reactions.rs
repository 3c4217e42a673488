//! Reactions of jobs to events of other nouns.

use crate::runs::model::{Run, TAKEN_BACK};
use kernel::{Event, Outcome, RunId};
use store::{ReadExt, StoreError, WriteTx};

use super::model::Job;
use super::queries;
use super::rules::{self, JobError};

/// Stops the jobs of a run that a person stopped or that was taken back, and of an agent that was archived or halted at
/// once.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), JobError> {
    let jobs = match event {
        Event::RunStopRequested { run, .. } => of_run(tx, *run)?,
        // The work starts over, possibly on another host.
        Event::RunEnded { run, .. } if is_taken_back(tx, *run)? => of_run(tx, *run)?,
        Event::AgentArchived { agent } => queries::running(tx, Some(*agent))?,
        Event::WorkHalted { agent, now: true } => queries::running(tx, *agent)?,
        _ => return Ok(()),
    };
    for job in jobs {
        rules::request_stop(tx, job.id)?;
    }
    Ok(())
}

fn of_run(tx: &WriteTx<'_>, run: RunId) -> Result<Vec<Job>, StoreError> {
    let mut jobs = queries::running(tx, None)?;
    jobs.retain(|job| job.run == run);
    Ok(jobs)
}

fn is_taken_back(tx: &WriteTx<'_>, run: RunId) -> Result<bool, StoreError> {
    let outcome = tx.get::<Run>(run)?.and_then(|run| run.outcome);
    Ok(matches!(outcome, Some(Outcome::Failed { code, .. }) if code == TAKEN_BACK))
}
