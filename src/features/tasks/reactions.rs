//! What happens to a task when something else changes.

use super::queries::error::TaskError;
use super::rules;
use crate::kernel::{Assignee, Event, Verdict};
use crate::store::WriteTx;

/// Handles one event, in the transaction that caused it.
///
/// # Errors
/// When the store fails.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), TaskError> {
    match event {
        Event::RunStarted { agent, task: Some(task), .. } => {
            rules::begin(tx, *task, Assignee::Agent(*agent))
        }
        Event::DeliverableReviewed { task, verdict: Verdict::Approved, .. } => {
            rules::complete_if_accepted(tx, *task).map(|_| ())
        }
        _ => Ok(()),
    }
}
