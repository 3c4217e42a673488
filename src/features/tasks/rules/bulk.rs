//! The same change to many tasks, as one piece of work: all of it or nothing.

use jiff::tz::TimeZone;

use super::labels;
use super::{TaskPatch, archive, assign, complete, restore, set_status, update};
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::labels::LabelFilter;
use kernel::{Assignee, Priority, StreamId, TaskId, TaskStatus, Timestamp};
use store::WriteTx;

/// How many tasks one change may have: a transaction has at most 5,000 events, and each task has some.
pub const MOST: usize = 1_000;

/// What happens to each of the tasks; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    pub status: Option<TaskStatus>,
    /// Whether a task whose parts or delivered work are still open stays as it is, with an error.
    pub careful: bool,
    pub priority: Option<Priority>,
    /// Who gets it, or nobody.
    pub assignee: Option<Option<Assignee>>,
    /// The stream, or none.
    pub stream: Option<Option<StreamId>>,
    /// The due moment, or none.
    pub due_at: Option<Option<Timestamp>>,
    /// With a due moment: whether it is more than the end of a day.
    pub due_has_time: bool,
    /// With the end of a day: the zone in which a time of day stays that a task has; none makes all of them
    /// due on the whole day.
    pub due_keeps: Option<TimeZone>,
    /// When it may begin, or whenever.
    pub start_at: Option<Option<Timestamp>>,
    /// Names of labels that it gets.
    pub add_labels: Vec<String>,
    /// Names of labels that it loses.
    pub remove_labels: Vec<String>,
    /// Out of the way, or back.
    pub archived: Option<bool>,
}

/// Changes many tasks, the first ones first.
///
/// # Errors
/// When there are none or too many, or one of them refuses; then none is changed.
pub fn apply(tx: &mut WriteTx<'_>, ids: &[TaskId], bulk: &Bulk) -> Result<(), TaskError> {
    if ids.is_empty() {
        return Err(TaskError::field("tasks", "choose the tasks that are to change"));
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
