//! Checks for every change of a task, whichever actor and interface makes it.

use super::circles::{Coming, Waiting};
use super::error::TaskError;
use crate::agents::model::Agent;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::workspace::model::Member;
use kernel::{Assignee, StreamId, TaskId, Timestamp};
use store::{Read, ReadExt as _, StoreError};

/// Maximum depth of a task tree, including the root.
pub const MAX_DEPTH: usize = 5;
/// Maximum number of labels per task.
pub const MAX_LABELS: usize = 20;
/// Maximum number of relations per task, in both directions.
pub const MAX_RELATIONS: usize = 100;

/// Returns a task that is not archived.
///
/// # Errors
/// If the task is archived or does not exist.
pub fn in_use(read: &dyn Read, id: TaskId) -> Result<Task, TaskError> {
    let task = super::get(read, id)?;
    match task.archived_at {
        Some(_) => Err(TaskError::Archived(super::name(read, task.number)?)),
        None => Ok(task),
    }
}

/// Checks that the assignee exists and can take work.
pub fn assignee(read: &dyn Read, who: Option<Assignee>) -> Result<(), TaskError> {
    let unknown = |name: String| {
        let hint = "; choose someone from the list".to_owned();
        TaskError::UnknownAssignee { name, hint }
    };
    match who {
        None | Some(Assignee::System) => Ok(()),
        Some(Assignee::Agent(id)) => match read.get::<Agent>(id)? {
            Some(agent) if agent.archived_at.is_some() => Err(TaskError::ArchivedAgent(agent.name)),
            Some(_) => Ok(()),
            None => Err(unknown(id.to_string())),
        },
        Some(Assignee::Person(id)) => match read.get::<Member>(id)? {
            Some(member) if member.left_at.is_none() => Ok(()),
            Some(member) => Err(unknown(member.name)),
            None => Err(unknown(id.to_string())),
        },
    }
}

/// Checks that the stream exists and is not archived.
pub fn stream(read: &dyn Read, stream: Option<StreamId>) -> Result<(), TaskError> {
    let Some(id) = stream else { return Ok(()) };
    match read.get::<Stream>(id)? {
        Some(stream) if stream.archived_at.is_some() => {
            let message =
                format!("{} is archived; restore it, or choose another stream", stream.name);
            Err(TaskError::field("stream", message))
        }
        Some(_) => Ok(()),
        None => Err(TaskError::field(
            "stream",
            "this stream doesn't exist; choose one from the \
            list",
        )),
    }
}

/// Checks that the start is not after the due date.
///
/// # Errors
/// If it is.
pub fn days(start: Option<Timestamp>, due: Option<Timestamp>) -> Result<(), TaskError> {
    match (start, due) {
        (Some(start), Some(due)) if due < start => {
            Err(TaskError::field("start", "the start is after the due date; choose an earlier day"))
        }
        _ => Ok(()),
    }
}

/// Checks that the parent exists, is not archived, is not below the task, leaves enough depth for the subtasks, and
/// does not close a wait cycle.
pub fn parent(read: &dyn Read, task: Option<TaskId>, parent: TaskId) -> Result<(), TaskError> {
    let mut above = 0;
    let mut at = Some(parent);
    while let Some(id) = at {
        if Some(id) == task {
            return Err(TaskError::Cycle);
        }
        let next = in_use(read, id)?;
        above += 1;
        if MAX_DEPTH <= above {
            return Err(TaskError::TooDeep);
        }
        at = next.parent;
    }
    let below = match task {
        Some(id) => height(read, id)?,
        None => 1,
    };
    if MAX_DEPTH < above + below {
        return Err(TaskError::TooDeep);
    }
    match task {
        Some(part) => Waiting::of(read, parent, &Coming::new())?.may_have_part(read, part),
        // A new task waits for nothing yet.
        None => Ok(()),
    }
}

/// Number of levels of a task tree.
fn height(read: &dyn Read, id: TaskId) -> Result<usize, StoreError> {
    let mut level = vec![id];
    let mut levels = 0;
    while !level.is_empty() && levels <= MAX_DEPTH {
        levels += 1;
        let mut next = Vec::new();
        for id in level {
            next.extend(super::child_ids(read, id)?);
        }
        level = next;
    }
    Ok(levels)
}
