//! Tasks and people in the JSON API.

use schemars::JsonSchema;
use serde::Serialize;

use super::brief::Names;
use super::error::TaskError;
use super::people::assignee_of;
use super::{labels, relations};
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::model::label::Label;
use crate::tasks::model::label::LabelId;
use crate::tasks::model::template::Template;
use kernel::{
    Actor, Assignee, Colour, Priority, SeriesId, TaskId, TaskStatus, Thinking, Timestamp,
};
use store::{Read, ReadExt as _};

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
    #[must_use]
    pub fn of(names: &Names, who: Assignee) -> Self {
        let (kind, id) = match who {
            Assignee::Person(id) => ("person", Some(id.to_string())),
            Assignee::Agent(id) => ("agent", Some(id.to_string())),
            Assignee::System => ("system", None),
        };
        Self { kind, id, handle: names.people.handle(who), name: names.people.name(who) }
    }

    #[must_use]
    pub fn actor(names: &Names, actor: Actor) -> Self {
        Self::of(names, assignee_of(actor))
    }
}

/// A task in few words.
#[derive(Serialize, JsonSchema)]
pub struct TaskRef {
    /// `MC-142`.
    key: String,
    title: String,
    status: TaskStatus,
}

impl TaskRef {
    #[must_use]
    pub fn of(names: &Names, task: &Task) -> Self {
        Self { key: names.of(task), title: task.title.clone(), status: task.status }
    }
}

/// A label.
#[derive(Serialize, JsonSchema)]
pub struct LabelView {
    id: LabelId,
    name: String,
    colour: Colour,
    description: String,
}

impl LabelView {
    #[must_use]
    pub fn of(label: Label) -> Self {
        let Label { id, name, colour, description, .. } = label;
        Self { id, name, colour, description }
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
    /// The name of its stream.
    stream: Option<String>,
    /// The name of the template that it was made from.
    template: Option<String>,
    /// The series that it comes from.
    series: Option<SeriesId>,
    /// The names of its labels.
    labels: Vec<String>,
    /// What is still to be done before it.
    blocked_by: Vec<TaskRef>,
    model: Option<String>,
    thinking: Option<Thinking>,
    #[schemars(with = "Option<String>")]
    start_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    due_at: Option<Timestamp>,
    /// Whether it is due at that moment, and not at the end of a day.
    due_has_time: bool,
    /// Its place in the order by hand.
    rank: String,
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
    pub fn of(read: &dyn Read, names: &Names, task: Task) -> Result<Self, TaskError> {
        let parent = match task.parent {
            Some(id) => read.get::<Task>(id)?.map(|above| names.of(&above)),
            None => None,
        };
        let stream = match task.stream {
            Some(id) => read.get::<Stream>(id)?.map(|stream| stream.name),
            None => None,
        };
        let template = match task.template {
            Some(id) => read.get::<Template>(id)?.map(|template| template.name),
            None => None,
        };
        let labels = labels::of(read, task.id)?.into_iter().map(|label| label.name).collect();
        let blockers = relations::open_blockers(read, task.id)?;
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
            stream,
            template,
            series: task.series,
            labels,
            blocked_by: blockers.iter().map(|blocker| TaskRef::of(names, blocker)).collect(),
            model: task.model,
            thinking: task.thinking,
            start_at: task.start_at,
            due_at: task.due_at,
            due_has_time: task.due_has_time,
            rank: task.rank,
            completed_at: task.completed_at,
            archived_at: task.archived_at,
            created_by: WhoView::actor(names, task.created_by),
            created_at: task.created_at,
            updated_at: task.updated_at,
        })
    }
}
