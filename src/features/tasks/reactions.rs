//! What happens to a task when something else changes.

use super::model::Task;
use super::queries::error::TaskError;
use super::queries::relations::keeps_waiting;
use super::rules;
use crate::kernel::{Assignee, Event, TaskField, Verdict};
use crate::store::{ReadExt as _, WriteTx};

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
        Event::TaskStatusChanged { task, from, to, .. }
            if keeps_waiting(*from) && !keeps_waiting(*to) =>
        {
            rules::relations::settle(tx, *task)
        }
        Event::TaskChanged { task, fields } if fields.contains(&TaskField::Archived) => {
            match tx.get::<Task>(*task)? {
                Some(task) if task.archived_at.is_some() && keeps_waiting(task.status) => {
                    rules::relations::settle(tx, task.id)
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
