//! All writes to relations between tasks, and the wake-up of tasks whose blockers are gone.

use super::super::queries::checks::{self, MAX_RELATIONS};
use super::super::queries::circles::{Coming, Waiting};
use super::super::queries::error::TaskError;
use super::super::queries::{self, relations, standing};
use super::set_status;
use crate::tasks::model::Task;
use crate::tasks::model::relation::Relation;
use kernel::{Event, RelationKind, TaskField, TaskId, TaskStatus};
use store::{ReadExt as _, WriteTx};

/// Adds a relation. An existing relation stays unchanged.
///
/// # Errors
/// If a task is archived, both are the same, or the tasks would wait for each other.
pub fn relate(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    kind: RelationKind,
    other: TaskId,
) -> Result<Task, TaskError> {
    let own = checks::in_use(tx, task)?;
    checks::in_use(tx, other)?;
    if task == other {
        return Err(TaskError::OwnRelation);
    }
    let (from, to) = ordered(task, kind, other);
    if relations::find(tx, from, kind, to)?.is_some() {
        return Ok(own);
    }
    if kind == RelationKind::BlockedBy {
        Waiting::of(tx, task, &Coming::new())?.may_wait(tx, other)?;
    }
    for id in [task, other] {
        if MAX_RELATIONS <= relations::count(tx, id)? {
            return Err(TaskError::TooManyRelations);
        }
    }
    let relation = Relation {
        id: tx.new_id(),
        task: from,
        kind,
        other: to,
        by: tx.by(),
        created_at: tx.now(),
    };
    tx.put(&relation)?;
    touch(tx, own)
}

/// Removes a relation. A missing relation is no error.
///
/// # Errors
/// If the task is archived.
pub fn unrelate(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    kind: RelationKind,
    other: TaskId,
) -> Result<Task, TaskError> {
    let own = checks::in_use(tx, task)?;
    let (from, to) = ordered(task, kind, other);
    let Some(relation) = relations::find(tx, from, kind, to)? else { return Ok(own) };
    tx.delete::<Relation>(relation.id)?;
    let own = touch(tx, own)?;
    let held = tx.get::<Task>(other)?.is_some_and(|other| relations::is_unfinished(&other));
    if kind == RelationKind::BlockedBy && held {
        free(tx, task, other)?;
        return queries::get(tx, task);
    }
    Ok(own)
}

/// Stores a symmetric relation at the older task, so that there is only one row.
fn ordered(task: TaskId, kind: RelationKind, other: TaskId) -> (TaskId, TaskId) {
    match kind {
        RelationKind::RelatesTo if other < task => (other, task),
        _ => (task, other),
    }
}

fn touch(tx: &mut WriteTx<'_>, mut task: Task) -> Result<Task, TaskError> {
    task.updated_at = tx.now();
    tx.put(&task)?;
    tx.emit(Event::TaskChanged { task: task.id, fields: vec![TaskField::Relations] });
    Ok(task)
}

/// Call when a task is closed or archived: frees the tasks that waited only for it.
pub fn settle(tx: &mut WriteTx<'_>, id: TaskId) -> Result<(), TaskError> {
    for task in relations::waiting_for(tx, id)? {
        free(tx, task.id, id)?;
    }
    Ok(())
}

/// Removes one blocker. After the last one, a blocked task becomes `Todo` again and its assignee is notified.
fn free(tx: &mut WriteTx<'_>, id: TaskId, by: TaskId) -> Result<(), TaskError> {
    let Some(task) = tx.get::<Task>(id)? else { return Ok(()) };
    let over = !task.status.is_open() || task.archived_at.is_some();
    if over || !relations::open_blockers(tx, id)?.is_empty() {
        return Ok(());
    }
    if task.status == TaskStatus::Blocked {
        let begun = !standing::newest_runs(tx, id, 1)?.is_empty();
        let to = if begun { TaskStatus::InProgress } else { TaskStatus::Todo };
        set_status(tx, id, to)?;
    }
    tx.emit(Event::TaskUnblocked { task: id, by });
    Ok(())
}
