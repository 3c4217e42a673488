//! Tasks and people as the JSON API shows them.

use schemars::JsonSchema;
use serde::Serialize;

use super::brief::Names;
use super::error::TaskError;
use super::people::assignee_of;
use crate::features::tasks::model::Task;
use crate::kernel::{Actor, Assignee, Priority, TaskId, TaskStatus, Thinking, Timestamp};
use crate::store::{Read, ReadExt as _};

/// Somebody: a person, an agent, or the program.
#[derive(Serialize, JsonSchema)]
pub struct WhoView {
    /// `person`, `agent` or `system`.
    kind: &'static str,
    /// The id of the account or agent.
    id: Option<String>,
    /// What `@` and tools call them.
    handle: String,
    name: String,
}

impl WhoView {
    /// Somebody who has work.
    #[must_use]
    pub fn of(names: &Names, who: Assignee) -> Self {
        let (kind, id) = match who {
            Assignee::Person(id) => ("person", Some(id.to_string())),
            Assignee::Agent(id) => ("agent", Some(id.to_string())),
            Assignee::System => ("system", None),
        };
        Self { kind, id, handle: names.people.handle(who), name: names.people.name(who) }
    }

    /// Somebody who did something.
    #[must_use]
    pub fn actor(names: &Names, actor: Actor) -> Self {
        Self::of(names, assignee_of(actor))
    }
}

/// A task.
#[derive(Serialize, JsonSchema)]
pub struct TaskView {
    id: TaskId,
    /// `MC-142`; accepted everywhere an id is.
    key: String,
    number: u32,
    title: String,
    /// Markdown.
    description: String,
    status: TaskStatus,
    priority: Priority,
    assignee: Option<WhoView>,
    /// The key of the task that it is a part of.
    parent: Option<String>,
    model: Option<String>,
    thinking: Option<Thinking>,
    #[schemars(with = "Option<String>")]
    due_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    completed_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    archived_at: Option<Timestamp>,
    created_by: WhoView,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
}

impl TaskView {
    /// A task as the API shows it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(read: &dyn Read, names: &Names, task: Task) -> Result<Self, TaskError> {
        let parent = match task.parent {
            Some(id) => read.get::<Task>(id)?.map(|above| names.of(&above)),
            None => None,
        };
        Ok(Self {
            key: names.of(&task),
            id: task.id,
            number: task.number,
            title: task.title,
            description: task.description,
            status: task.status,
            priority: task.priority,
            assignee: task.assignee.map(|who| WhoView::of(names, who)),
            parent,
            model: task.model,
            thinking: task.thinking,
            due_at: task.due_at,
            completed_at: task.completed_at,
            archived_at: task.archived_at,
            created_by: WhoView::actor(names, task.created_by),
            created_at: task.created_at,
            updated_at: task.updated_at,
        })
    }
}

/// Tells a field that is `null` from one that is absent.
///
/// # Errors
/// When the value does not fit.
pub fn given<'de, D, T>(input: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(input).map(Some)
}
