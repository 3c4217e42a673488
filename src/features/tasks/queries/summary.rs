//! What stands beside a task in a list.

use super::people::People;
use super::standing::{self, Near, Standing};
use crate::comments::model as comments;
use crate::tasks::model::Task;
use kernel::{TaskStatus, Timestamp};
use store::{Read, ReadExt as _, StoreError};

/// A task with the numbers that stand beside it in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    pub task: Task,
    /// How many comments.
    pub comments: usize,
    /// How many parts.
    pub parts: usize,
    /// How many of them are done.
    pub parts_done: usize,
    /// Whether delivered work waits for a person.
    pub in_review: bool,
    /// What happens with it right now.
    pub standing: Standing,
}

/// Adds to a task what a list shows of it.
pub fn summary(
    read: &dyn Read,
    people: &People,
    task: Task,
    now: Timestamp,
) -> Result<Summary, StoreError> {
    let near = Near::of(read, people, &task)?;
    Ok(Summary {
        comments: read.len(comments::BY_TASK, &super::of_task(task.id))?,
        parts: near.parts.len(),
        parts_done: near.parts.iter().filter(|part| part.status == TaskStatus::Done).count(),
        in_review: near.in_review,
        standing: standing::standing_near(read, &task, now, Some(&near))?,
        task,
    })
}
