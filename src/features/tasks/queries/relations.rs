//! Reads of relations between tasks. Parents are stored in the tasks themselves.

use crate::tasks::model::Task;
use crate::tasks::model::relation::{BY_OTHER, BY_TASK, Relation};
use kernel::key::KeyBuf;
use kernel::{RelationKind, TaskId, TaskStatus};
use store::{Range, Read, ReadExt as _, StoreError};

/// Returns `true` if a blocker in this status keeps others waiting. A missed task does, because nobody has done it.
#[must_use]
pub fn keeps_waiting(status: TaskStatus) -> bool {
    !matches!(status, TaskStatus::Done | TaskStatus::Cancelled)
}

/// Returns `true` if the task keeps others waiting.
#[must_use]
pub fn is_unfinished(task: &Task) -> bool {
    task.archived_at.is_none() && keeps_waiting(task.status)
}

/// Index range of one kind of relation of a task.
fn from(task: TaskId, kind: RelationKind) -> Range {
    Range::prefix(KeyBuf::of(&task).with(&(kind as u8)))
}

pub fn find(
    read: &dyn Read,
    task: TaskId,
    kind: RelationKind,
    other: TaskId,
) -> Result<Option<Relation>, StoreError> {
    let key = KeyBuf::of(&task).with(&(kind as u8)).with(&other);
    read.find::<Relation>(BY_TASK, &key)
}

/// Number of relations of a task, in both directions.
pub fn count(read: &dyn Read, task: TaskId) -> Result<usize, StoreError> {
    let own = Range::prefix(KeyBuf::of(&task));
    Ok(read.len(BY_TASK, &own)? + read.len(BY_OTHER, &own)?)
}

/// Ids of all blockers, including closed ones.
pub fn blocker_ids(read: &dyn Read, task: TaskId) -> Result<Vec<TaskId>, StoreError> {
    let all = read.scan::<Relation>(BY_TASK, &from(task, RelationKind::BlockedBy))?;
    Ok(all.into_iter().map(|relation| relation.other).collect())
}

/// All blockers: open ones first, each group by number.
pub fn blockers(read: &dyn Read, task: TaskId) -> Result<Vec<Task>, StoreError> {
    tasks(read, blocker_ids(read, task)?)
}

pub fn open_blockers(read: &dyn Read, task: TaskId) -> Result<Vec<Task>, StoreError> {
    let mut all = blockers(read, task)?;
    all.retain(is_unfinished);
    Ok(all)
}

/// Ids of the tasks that wait for a task.
pub fn waiter_ids(read: &dyn Read, task: TaskId) -> Result<Vec<TaskId>, StoreError> {
    let all = read.scan::<Relation>(BY_OTHER, &from(task, RelationKind::BlockedBy))?;
    Ok(all.into_iter().map(|relation| relation.task).collect())
}

/// Tasks that wait for a task.
pub fn waiting_for(read: &dyn Read, task: TaskId) -> Result<Vec<Task>, StoreError> {
    tasks(read, waiter_ids(read, task)?)
}

pub fn related(read: &dyn Read, task: TaskId) -> Result<Vec<Task>, StoreError> {
    let range = from(task, RelationKind::RelatesTo);
    let out = read.scan::<Relation>(BY_TASK, &range)?.into_iter().map(|relation| relation.other);
    let back = read.scan::<Relation>(BY_OTHER, &range)?.into_iter().map(|relation| relation.task);
    tasks(read, out.chain(back).collect())
}

fn tasks(read: &dyn Read, ids: Vec<TaskId>) -> Result<Vec<Task>, StoreError> {
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.extend(read.get::<Task>(id)?);
    }
    all.sort_by_key(|task| (!is_unfinished(task), task.number));
    Ok(all)
}
