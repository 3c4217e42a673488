//! Bulk changes to tasks, in one transaction: all tasks change or none.

use jiff::tz::TimeZone;

use super::labels;
use super::{TaskPatch, archive, assign, complete, restore, set_status, update};
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::labels::LabelFilter;
use kernel::{Assignee, Priority, StreamId, TaskId, TaskStatus, Timestamp};
use store::WriteTx;

/// Maximum number of tasks. A transaction has at most 5,000 events, and each task emits several.
pub const MOST: usize = 1_000;

/// A change for each of the tasks. `None` keeps a value; in doubly optional fields `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    pub status: Option<TaskStatus>,
    /// Rejects completing a task whose subtasks or deliverables are still open.
    pub careful: bool,
    pub priority: Option<Priority>,
    pub assignee: Option<Option<Assignee>>,
    pub stream: Option<Option<StreamId>>,
    pub due_at: Option<Option<Timestamp>>,
    /// Applies to `due_at`. `false` means that the tasks are due at the end of a day.
    pub due_has_time: bool,
    /// Zone in which a date-only change keeps each task's time of day. `None` makes all tasks due on the whole day.
    pub due_keeps: Option<TimeZone>,
    pub start_at: Option<Option<Timestamp>>,
    /// Label names.
    pub add_labels: Vec<String>,
    /// Label names.
    pub remove_labels: Vec<String>,
    /// `true` archives, `false` restores.
    pub archived: Option<bool>,
}

/// Changes many tasks in the given order.
///
/// # Errors
/// If there are none or too many, or a task rejects the change. Then no task changes.
pub fn apply(tx: &mut WriteTx<'_>, ids: &[TaskId], bulk: &Bulk) -> Result<(), TaskError> {
    if ids.is_empty() {
        return Err(TaskError::field("tasks", "select the tasks to change"));
    }
    if MOST < ids.len() {
        return Err(TaskError::field("tasks", format!("at most {MOST} tasks at once")));
    }
    for id in ids {
        one(tx, *id, bulk)?;
    }
    Ok(())
}

fn one(tx: &mut WriteTx<'_>, id: TaskId, bulk: &Bulk) -> Result<(), TaskError> {
    if bulk.archived == Some(false) {
        restore(tx, id)?;
    }
    let patch = TaskPatch {
        priority: bulk.priority,
        stream: bulk.stream,
        due_at: bulk.due_at,
        due_has_time: bulk.due_has_time,
        due_keeps: bulk.due_keeps.clone(),
        start_at: bulk.start_at,
        ..TaskPatch::default()
    };
    if !patch.is_empty() {
        update(tx, id, patch)?;
    }
    if let Some(to) = bulk.assignee {
        assign(tx, id, to)?;
    }
    if !bulk.add_labels.is_empty() || !bulk.remove_labels.is_empty() {
        let (add, remove) = (bulk.add_labels.clone(), bulk.remove_labels.clone());
        labels::ask(tx, id, LabelFilter::Change { add, remove })?;
    }
    match bulk.status {
        Some(TaskStatus::Done) if bulk.careful => complete(tx, id).map(|_| ())?,
        Some(status) => set_status(tx, id, status).map(|_| ())?,
        None => {}
    }
    if bulk.archived == Some(true) {
        archive(tx, id)?;
    }
    Ok(())
}
