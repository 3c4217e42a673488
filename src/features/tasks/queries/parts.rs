//! Counts the work that agents delegate from a task: its subtasks, and separate tasks created while working on it.
//! Limits delegation loops.

use crate::comments::model::{BY_TASK, Comment};
use crate::runs::model::Run;
use crate::tasks::model::Task;
use kernel::{Assignee, RunId, TaskId};
use store::{Range, Read, ReadExt, StoreError};

/// Maximum number of subtasks that agents create until a person comments.
pub const MOST: usize = 10;
/// Maximum number of comments, tasks and steps to search.
const LOOKED_AT: usize = 200;
/// Maximum depth of the count.
const LEVELS: usize = 5;
/// Maximum number of subtasks to read for the count.
const COUNTED: usize = 500;

/// The task at the root of delegated work: above a subtask, or above the task of a run. A task that a person created is
/// a root.
pub fn top(
    read: &dyn Read,
    parent: Option<TaskId>,
    run: Option<RunId>,
) -> Result<Option<TaskId>, StoreError> {
    let (mut next, mut top) = (above(read, parent, run)?, None);
    for _ in 0..LOOKED_AT {
        let Some(at) = next else { break };
        top = Some(at);
        let made = read.get::<Task>(at)?.filter(|task| task.created_by.agent().is_some());
        let Some(task) = made else { break };
        next = above(read, task.parent, given_by(&task))?;
    }
    Ok(top)
}

/// Parent of a task, else the task whose run created it.
fn above(
    read: &dyn Read,
    parent: Option<TaskId>,
    run: Option<RunId>,
) -> Result<Option<TaskId>, StoreError> {
    match (parent, run) {
        (None, Some(run)) => worked_on(read, run),
        (parent, _) => Ok(parent),
    }
}

fn worked_on(read: &dyn Read, run: RunId) -> Result<Option<TaskId>, StoreError> {
    Ok(read.get::<Run>(run)?.and_then(|run| run.task))
}

/// Number of tasks that agents created below a task since a person last commented on it, including archived ones. Stops
/// counting above [`MOST`].
pub fn since_a_person(read: &dyn Read, whole: TaskId) -> Result<usize, StoreError> {
    let last: Vec<Comment> =
        read.scan(BY_TASK, &super::of_task(whole).reverse().limit(LOOKED_AT))?;
    let of_person = last.iter().find(|comment| comment.author.account().is_some());
    let since = of_person.map(|comment| comment.created_at);
    let counts = |part: &Task| {
        part.created_by.agent().is_some() && since.is_none_or(|since| since < part.created_at)
    };
    let (mut count, mut looked_at, mut level) = (0, 0, vec![whole]);
    for (task, run) in given(read)? {
        if top(read, None, Some(run))? == Some(whole) {
            count += usize::from(counts(&task));
            level.push(task.id);
        }
    }
    for _ in 0..LEVELS {
        let mut below = Vec::new();
        for task in level {
            // Newest first. Subtasks older than the comment do not count.
            for part in super::child_ids(read, task)?.into_iter().rev() {
                if MOST < count || looked_at == COUNTED {
                    return Ok(count);
                }
                looked_at += 1;
                let part = read.get::<Task>(part)?;
                // A subtask that a person created is a root of its own.
                if let Some(part) = part.filter(|part| part.created_by.agent().is_some()) {
                    count += usize::from(counts(&part));
                    below.push(part.id);
                }
            }
        }
        level = below;
    }
    Ok(count)
}

/// Tasks without a parent that agents delegated while working on this task, or on a result of such a task. Newest
/// first.
pub fn beside(read: &dyn Read, whole: TaskId) -> Result<Vec<Task>, StoreError> {
    let mut found = Vec::new();
    for (task, run) in given(read)? {
        if origin(read, run)? == Some(whole) {
            found.push(task);
        }
    }
    Ok(found)
}

/// The newest tasks without a parent that agents delegated, each with the delegating run. Newest first.
fn given(read: &dyn Read) -> Result<Vec<(Task, RunId)>, StoreError> {
    let newest: Vec<Task> = read.list(&Range::all().reverse().limit(LOOKED_AT))?;
    let with_run = |task: Task| given_by(&task).map(|run| (task, run));
    Ok(newest.into_iter().filter_map(with_run).collect())
}

/// The run that delegated a task without a parent to another agent.
fn given_by(task: &Task) -> Option<RunId> {
    let agent = task.created_by.agent()?;
    let to = task.assignee.and_then(Assignee::agent).filter(|to| *to != agent);
    to.and(task.created_by.run()).filter(|_| task.parent.is_none())
}

/// The task at which a run's work began. For a run on a task that was delegated, this is the task from which it was
/// delegated.
pub fn origin(read: &dyn Read, run: RunId) -> Result<Option<TaskId>, StoreError> {
    let (mut run, mut origin) = (run, None);
    for _ in 0..LOOKED_AT {
        let Some(task) = worked_on(read, run)? else { break };
        origin = Some(task);
        match read.get::<Task>(task)?.as_ref().and_then(given_by) {
            Some(above) => run = above,
            None => break,
        }
    }
    Ok(origin)
}
