//! Former layouts of tasks.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use super::Task;
use kernel::{
    Actor, Assignee, Priority, SeriesId, StreamId, TaskId, TaskStatus, Thinking, Timestamp, rank,
};
use store::codec::{self, DecodeError};

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

/// Fills fields that did not exist before streams. The rank follows from the number.
impl From<TaskV1> for Task {
    fn from(old: TaskV1) -> Self {
        Self {
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
            template: None,
        }
    }
}

/// Decodes the layout before streams.
pub(super) fn first(body: &[u8]) -> Result<Task, DecodeError> {
    codec::decode::<TaskV1>(body).map(Task::from)
}

#[derive(Deserialize)]
struct TaskV2 {
    first: TaskV1,
    stream: Option<StreamId>,
    #[serde(with = "millisecond::optional")]
    start_at: Option<Timestamp>,
    due_has_time: bool,
    rank: String,
    series: Option<SeriesId>,
    #[serde(with = "millisecond::optional")]
    occurrence_at: Option<Timestamp>,
    before_missed: Option<TaskStatus>,
}

/// Decodes the layout without `template`.
pub(super) fn second(body: &[u8]) -> Result<Task, DecodeError> {
    let old: TaskV2 = codec::decode(body)?;
    Ok(Task {
        stream: old.stream,
        start_at: old.start_at,
        due_has_time: old.due_has_time,
        rank: old.rank,
        series: old.series,
        occurrence_at: old.occurrence_at,
        before_missed: old.before_missed,
        ..old.first.into()
    })
}
