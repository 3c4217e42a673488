//! How much agents have given out of a task: its parts, and tasks beside it that were made while it was worked on.

use crate::comments::model::{BY_TASK, Comment};
use crate::runs::model::Run;
use crate::tasks::model::Task;
use kernel::{Assignee, RunId, TaskId};
use store::{Range, Read, ReadExt, StoreError};

/// How many parts of a task agents make before a person has to say something on it.
pub const MOST: usize = 10;
/// How many of the last comments, and of the newest tasks, are looked at.
const LOOKED_AT: usize = 200;
/// How deep parts of parts are counted.
const LEVELS: usize = 5;
/// How many parts are read to count them.
const COUNTED: usize = 500;

/// The task from which all of this comes that agents made: above a part of a task, or above what a run works on. A
/// task that a person made is at the top of what agents make of it.
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

/// The task of which something is a part, else the one on which it was made.
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

/// The task on which a run works.
fn worked_on(read: &dyn Read, run: RunId) -> Result<Option<TaskId>, StoreError> {
    Ok(read.get::<Run>(run)?.and_then(|run| run.task))
}

/// What agents have given out of a task, and of its parts, since a person last said something on it; archived ones
/// count. Beyond [`MOST`] it is not counted on.
pub fn since_a_person(read: &dyn Read, whole: TaskId) -> Result<usize, StoreError> {
    let last: Vec<Comment> =
        read.scan(BY_TASK, &super::of_task(whole).reverse().limit(LOOKED_AT))?;
    let said = last.iter().find(|comment| comment.author.account().is_some());
    let since = said.map(|comment| comment.created_at);
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
            // The newest first: those before a person's word count for nothing.
            for part in super::child_ids(read, task)?.into_iter().rev() {
                if MOST < count || looked_at == COUNTED {
                    return Ok(count);
                }
                looked_at += 1;
                let part = read.get::<Task>(part)?;
                // What a person made is the top of its own parts.
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

/// Tasks that are no part of another, which agents gave away while they worked on this one, or on what came back of
/// such a task; newest first.
pub fn beside(read: &dyn Read, whole: TaskId) -> Result<Vec<Task>, StoreError> {
    let mut found = Vec::new();
    for (task, run) in given(read)? {
        if origin(read, run)? == Some(whole) {
            found.push(task);
        }
    }
    Ok(found)
}

/// The newest tasks that agents gave away and that are no part of another, each with the run that did; newest first.
fn given(read: &dyn Read) -> Result<Vec<(Task, RunId)>, StoreError> {
    let newest: Vec<Task> = read.list(&Range::all().reverse().limit(LOOKED_AT))?;
    let with_run = |task: Task| given_by(&task).map(|run| (task, run));
    Ok(newest.into_iter().filter_map(with_run).collect())
}

/// The run of the agent that gave a task away which is no part of another.
fn given_by(task: &Task) -> Option<RunId> {
    let agent = task.created_by.agent()?;
    let to = task.assignee.and_then(Assignee::agent).filter(|to| *to != agent);
    to.and(task.created_by.run()).filter(|_| task.parent.is_none())
}

/// The task at which a run's work began: its own, or, where that came back from somebody to whom it was given, the one
/// from which it was given away.
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
