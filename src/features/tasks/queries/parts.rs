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

/// What agents have given out of a task since a person last said something on it; archived ones count.
///
/// # Errors
/// When the disk fails.
pub fn since_a_person(read: &dyn Read, whole: TaskId) -> Result<usize, StoreError> {
    let last: Vec<Comment> =
        read.scan(BY_TASK, &super::of_task(whole).reverse().limit(LOOKED_AT))?;
    let said = last.iter().find(|comment| comment.author.account().is_some());
    let since = said.map(|comment| comment.created_at);
    let counts = |part: &Task| {
        part.created_by.agent().is_some() && since.is_none_or(|since| since < part.created_at)
    };
    let mut count = beside(read, whole)?.iter().filter(|task| counts(task)).count();
    for part in super::child_ids(read, whole)? {
        count += usize::from(read.get::<Task>(part)?.is_some_and(|part| counts(&part)));
    }
    Ok(count)
}

/// Tasks that are no part of another, which agents gave away while they worked on this one, or on what came back of
/// such a task; newest first.
///
/// # Errors
/// When the disk fails.
pub fn beside(read: &dyn Read, whole: TaskId) -> Result<Vec<Task>, StoreError> {
    let newest: Vec<Task> = read.list(&Range::all().reverse().limit(LOOKED_AT))?;
    let mut found = Vec::new();
    for task in newest {
        let Some(run) = given_by(&task) else { continue };
        if origin(read, run)? == Some(whole) {
            found.push(task);
        }
    }
    Ok(found)
}

/// The run of the agent that gave a task away which is no part of another.
fn given_by(task: &Task) -> Option<RunId> {
    let agent = task.created_by.agent()?;
    let to = task.assignee.and_then(Assignee::agent).filter(|to| *to != agent);
    to.and(task.created_by.run()).filter(|_| task.parent.is_none())
}

/// The task at which a run's work began: its own, or, where that came back from somebody to whom it was given, the one
/// from which it was given away.
///
/// # Errors
/// When the disk fails.
pub fn origin(read: &dyn Read, run: RunId) -> Result<Option<TaskId>, StoreError> {
    let (mut run, mut origin) = (run, None);
    for _ in 0..LOOKED_AT {
        let Some(task) = read.get::<Run>(run)?.and_then(|run| run.task) else { break };
        origin = Some(task);
        match read.get::<Task>(task)?.as_ref().and_then(given_by) {
            Some(above) => run = above,
            None => break,
        }
    }
    Ok(origin)
}
