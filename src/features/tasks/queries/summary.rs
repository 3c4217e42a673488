//! Task data for list rows.

use super::people::People;
use super::standing::{self, Near, Standing};
use crate::comments::model as comments;
use crate::tasks::model::Task;
use app::Ws;
use kernel::{TaskStatus, Timestamp};
use store::{Read, ReadExt as _, StoreError};

/// A task with the counts and state that a list row shows.
#[derive(Clone, Debug)]
pub struct Summary {
    pub task: Task,
    pub comments: usize,
    /// Number of subtasks.
    pub parts: usize,
    /// Number of done subtasks.
    pub parts_done: usize,
    /// `true` if a deliverable waits for review.
    pub in_review: bool,
    pub standing: Standing,
}

/// For pages: a run whose machine is silent is stalled.
pub fn summary(
    ws: &Ws,
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
        standing: standing::standing_near(read, &task, now, (Some(&near), Some(ws)))?,
        task,
    })
}
