//! What the words of a task were when somebody read them.

use super::error::TaskError;
use crate::tasks::model::Task;
use kernel::{Actor, RunId, TaskId, Timestamp};
use store::history::{self, Steps, Version};
use store::{Read, Root, Schema, StoreError, record};

/// How far a version is looked for.
const MOST_STEPS: usize = 500;
/// How many versions are looked through for a text.
const MOST_VERSIONS: usize = 50;

/// A task as it was after the transaction `rev`; nothing when that is not kept any more.
///
/// # Errors
/// When that transaction has not written this task.
fn version(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    rev: u64,
) -> Result<Option<Task>, TaskError> {
    let root = Root::of::<Task>(id);
    match history::at(read, schema, &root, rev, &mut Steps::of(MOST_STEPS))? {
        Some(version) => Ok(task(version.after.bytes())?),
        None => Err(TaskError::field("base.rev", "there is no such version of this task")),
    }
}

/// The title and the description of a task after the transaction `rev`. A version that is not kept any more is
/// one about which everything differs.
///
/// # Errors
/// When that transaction has not written this task.
pub fn texts(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    rev: u64,
) -> Result<(String, String), TaskError> {
    let then = version(read, schema, id, rev)?;
    Ok(then.map(|task| (task.title, task.description)).unwrap_or_default())
}

/// A task as a run knows it that has read nothing of it since a time: as it last wrote it itself, or as it
/// was then. Nothing when that is not kept any more.
pub fn known_to(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    (run, since): (RunId, Timestamp),
) -> Result<Option<Task>, StoreError> {
    let root = Root::of::<Task>(id);
    let page = history::of(read, schema, &root, None, MOST_VERSIONS)?.unwrap_or_default();
    let is_known = |one: &&Version| {
        // What was written in the very same moment may not have been read any more.
        one.at < since || matches!(one.actor, Actor::Agent { run: by, .. } if by == run)
    };
    let known = page.versions.iter().find(is_known).or(page.versions.last());
    known.map_or(Ok(None), |one| task(one.after.bytes()))
}

/// Whether a version of a task says something.
pub type Says<'t> = &'t dyn Fn(&Task) -> bool;

/// Whether a task has said something since it said what is asked first: a text that was sent, stored, and
/// whose answer was lost is not brought back when others have gone on from it.
pub fn has_said_since(
    read: &dyn Read,
    schema: &Schema,
    id: TaskId,
    (base, said): (Says, Says),
) -> Result<bool, StoreError> {
    let root = Root::of::<Task>(id);
    let page = history::of(read, schema, &root, None, MOST_VERSIONS)?.unwrap_or_default();
    for version in page.versions {
        let Some(then) = task(version.after.bytes())? else { return Ok(false) };
        if base(&then) {
            return Ok(false);
        }
        if said(&then) {
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
