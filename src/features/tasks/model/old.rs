//! Former layouts of tasks.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use super::Task;
use crate::kernel::{Actor, Assignee, Priority, TaskId, TaskStatus, Thinking, Timestamp, rank};
use crate::store::codec::{self, DecodeError};

#[derive(Deserialize)]
struct TaskV1 {
    id: TaskId,
    number: u32,
    title: String,
    description: String,
    status: TaskStatus,
    priority: Priority,
    assignee: Option<Assignee>,
    assignment: u32,
    parent: Option<TaskId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    #[serde(with = "millisecond::optional")]
    due_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    completed_at: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
    created_by: Actor,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
}

/// A task as it was kept before streams: its place is that of its number.
pub(super) fn task(body: &[u8]) -> Result<Task, DecodeError> {
    let old: TaskV1 = codec::decode(body)?;
    Ok(Task {
        id: old.id,
        number: old.number,
        title: old.title,
        description: old.description,
        status: old.status,
        priority: old.priority,
        assignee: old.assignee,
        assignment: old.assignment,
        parent: old.parent,
        model: old.model,
        thinking: old.thinking,
        due_at: old.due_at,
        completed_at: old.completed_at,
        archived_at: old.archived_at,
        created_by: old.created_by,
        created_at: old.created_at,
        updated_at: old.updated_at,
        stream: None,
        start_at: None,
        due_has_time: false,
        rank: rank::nth(old.number),
        series: None,
        occurrence_at: None,
        before_missed: None,
    })
}
