//! Earlier texts of a task, as they were when somebody read them.

use super::error::TaskError;
use crate::tasks::model::Task;
use kernel::{Actor, RunId, TaskId, Timestamp};
use store::history::{self, Steps, Version};
use store::{Read, Root, Schema, StoreError, record};

/// Maximum number of feed steps to search for a version.
const MOST_STEPS: usize = 500;
/// Maximum number of versions to search for a text.
const MOST_VERSIONS: usize = 50;

/// The task after the transaction `rev`, or `None` if that version is gone.
///
/// # Errors
/// If that transaction did not write this task.
fn version(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    rev: u64,
) -> Result<Option<Task>, TaskError> {
    let root = Root::of::<Task>(id);
    match history::at(read, schema, &root, rev, &mut Steps::of(MOST_STEPS))? {
        Some(version) => Ok(task(version.after.bytes())?),
        None => Err(TaskError::field("base.rev", "this version of the task doesn't exist")),
    }
}

/// Title and description after the transaction `rev`. If that version is gone, the result differs from every text.
///
/// # Errors
/// If that transaction did not write this task.
pub fn texts(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    rev: u64,
) -> Result<(String, String), TaskError> {
    let then = version(read, schema, id, rev)?;
    Ok(then.map(|task| (task.title, task.description)).unwrap_or_default())
}

/// The task as a run knows it that has not read it since `since`: as the run itself last wrote it, else as it was then.
/// `None` if that version is gone.
pub fn known_to(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    (run, since): (RunId, Timestamp),
) -> Result<Option<Task>, StoreError> {
    let root = Root::of::<Task>(id);
    let page = history::of(read, schema, &root, None, MOST_VERSIONS)?.unwrap_or_default();
    let is_known = |one: &&Version| {
        // The run may not have read a version written in the same millisecond.
        one.at < since || matches!(one.actor, Actor::Agent { run: by, .. } if by == run)
    };
    let known = page.versions.iter().find(is_known).or(page.versions.last());
    known.map_or(Ok(None), |one| task(one.after.bytes()))
}

/// Predicate on a version of a task.
pub type Says<'t> = &'t dyn Fn(&Task) -> bool;

/// Returns `true` if a version satisfying the second predicate followed one satisfying the first. Detects a retried
/// write whose response was lost, so that it does not overwrite later edits.
pub fn has_said_since(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    (base, wanted): (Says, Says),
) -> Result<bool, StoreError> {
    let root = Root::of::<Task>(id);
    let page = history::of(read, schema, &root, None, MOST_VERSIONS)?.unwrap_or_default();
    for version in page.versions {
        let Some(then) = task(version.after.bytes())? else { return Ok(false) };
        if base(&then) {
            return Ok(false);
        }
        if wanted(&then) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn task(bytes: Option<&[u8]>) -> Result<Option<Task>, StoreError> {
    Ok(match bytes {
        Some(bytes) => Some(record::read::<Task>(bytes)?.0),
        None => None,
    })
}
