//! Subjects of comments and files: a task, or a record of a noun with a descriptor.

use serde::{Deserialize, Serialize};

use crate::cards;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::tasks::queries::error::TaskError;
use entity::{Entity, Target};
use kernel::key::KeyBuf;
use kernel::text::{capitalized, ellipsis};
use kernel::{About, AgentId, RecordId, TaskId, TypedId as _};
use serde_json::Value;
use store::schema::id_text;
use store::{Read, ReadExt as _, Root, StoreError};
use web::hx::Ask;

/// Subject of a comment or file. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Task(TaskId),
    /// A record of a noun with a descriptor.
    Row(Target),
}

impl From<TaskId> for Place {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl Place {
    #[must_use]
    pub fn task(self) -> Option<TaskId> {
        match self {
            Self::Task(id) => Some(id),
            Self::Row(_) => None,
        }
    }

    #[must_use]
    pub fn row(self) -> Option<Target> {
        match self {
            Self::Task(_) => None,
            Self::Row(row) => Some(row),
        }
    }

    /// Index key. Ids of tasks and records are disjoint.
    #[must_use]
    pub fn key(self) -> KeyBuf {
        match self {
            Self::Task(id) => KeyBuf::of(&id),
            Self::Row(row) => KeyBuf::of(&RecordId::from_uuid(row.id)),
        }
    }

    /// The record whose history includes it.
    #[must_use]
    pub fn root(self) -> Root {
        match self {
            Self::Task(id) => Root::of::<Task>(id),
            Self::Row(row) => Root { table: row.table, key: self.key().into_bytes() },
        }
    }

    /// Subject of its watches.
    #[must_use]
    pub fn about(self) -> About {
        match self {
            Self::Task(id) => About::Task(id),
            Self::Row(row) => About::Row(row.table, RecordId::from_uuid(row.id)),
        }
    }
}

/// A subject for display.
#[derive(Clone, Debug)]
pub struct Spot {
    pub place: Place,
    /// `MC-12`, or the name of a record.
    pub name: String,
    /// Title of a task, or the noun of a record.
    pub title: String,
    /// Path below the workspace.
    pub path: String,
    /// Base path of comment and file actions, below the workspace. For a record, without the prefix `on/`, also its API
    /// name: `contact:0192…`.
    pub base: String,
    /// Live update topic of its table.
    pub topic: &'static str,
    pub archived: bool,
}

impl Spot {
    #[must_use]
    pub fn of_task(name: String, task: &Task) -> Self {
        let path = format!("tasks/{name}");
        Self {
            place: Place::Task(task.id),
            title: task.title.clone(),
            base: path.clone(),
            path,
            name,
            topic: "tasks",
            archived: task.archived_at.is_some(),
        }
    }

    /// Triggers the live regions that show the subject.
    #[must_use]
    pub fn changed(&self) -> Ask {
        match self.place {
            Place::Task(id) => Ask::new().changed(self.topic, id),
            Place::Row(row) => Ask::new().changed(self.topic, row.id),
        }
    }

    /// Loads a subject. `None` if it is deleted.
    pub fn read(read: &dyn Read, place: Place) -> Result<Option<Self>, StoreError> {
        match place {
            Place::Task(id) => match read.get::<Task>(id)? {
                Some(task) => Ok(Some(Self::of_task(tasks::name(read, task.number)?, &task))),
                None => Ok(None),
            },
            Place::Row(row) => match cards::of_table(row.table) {
                Some(noun) => Self::of_row(read, noun, row),
                None => Ok(None),
            },
        }
    }

    /// Like `read`, but fails if the subject is deleted.
    pub fn here(read: &dyn Read, place: Place) -> Result<Self, TaskError> {
        match (Self::read(read, place)?, place) {
            (Some(spot), _) => Ok(spot),
            (None, Place::Task(id)) => Err(TaskError::NotFound(id.to_string(), tasks::key(read)?)),
            (None, Place::Row(row)) => Err(TaskError::NoRecord("record", row.id.to_string())),
        }
    }

    fn of_row(read: &dyn Read, noun: &Entity, row: Target) -> Result<Option<Self>, StoreError> {
        let place = Place::Row(row);
        let Some(fields) = noun.get(read, place.key().bytes())? else { return Ok(None) };
        Ok(Some(Self {
            place,
            name: (noun.title)(&fields),
            title: capitalized(noun.one),
            path: (noun.path)(&fields),
            base: format!("on/{}:{}", noun.word, row.id),
            topic: noun.topic,
            archived: fields.get("archived_at").is_some_and(|at| !at.is_null()),
        }))
    }

    /// Resolves a task name, or a record as `contact:Name` or `contact:0192…`.
    pub fn resolve(read: &dyn Read, text: &str) -> Result<Self, TaskError> {
        let row = text.split_once(':').and_then(|(word, name)| {
            let noun = cards::of_word(word.trim()).filter(|noun| noun.discussed)?;
            Some((noun, name.trim()))
        });
        let Some((noun, name)) = row else {
            let task = tasks::resolve(read, text)?;
            return Ok(Self::of_task(tasks::name(read, task.number)?, &task));
        };
        let none = || TaskError::NoRecord(noun.one, ellipsis(name, 60));
        let key = noun.find(read, name)?.filter(|_| !name.is_empty()).ok_or_else(none)?;
        let id = id_text(&key).parse().map_err(|_| none())?;
        Self::of_row(read, noun, Target { table: noun.table, id })?.ok_or_else(none)
    }

    /// Like `resolve`, for an agent: a record that it may not see does not exist for it.
    pub fn resolve_for(read: &dyn Read, text: &str, agent: AgentId) -> Result<Self, TaskError> {
        let spot = Self::resolve(read, text)?;
        if let Place::Row(row) = spot.place
            && let Some(noun) = cards::of_table(row.table)
        {
            let stored = read.raw_get(noun.table, spot.place.key().bytes())?;
            if !stored.is_some_and(|stored| noun.is_for_agent(&stored, agent)) {
                let name = text.split_once(':').map_or(text, |(_, name)| name.trim());
                return Err(TaskError::NoRecord(noun.one, ellipsis(name, 60)));
            }
        }
        Ok(spot)
    }

    /// Subject of an agent's tool call: the named one, else the task of the run.
    pub fn meant(
        read: &dyn Read,
        text: Option<&str>,
        (agent, own): (AgentId, Option<TaskId>),
    ) -> Result<Self, TaskError> {
        if let Some(text) = text.filter(|text| text.contains(':')) {
            return Self::resolve_for(read, text, agent);
        }
        let task = tasks::meant(read, text, own)?;
        Ok(Self::of_task(tasks::name(read, task.number)?, &task))
    }

    /// Such as `MC-142 “Compare leasing prices”` or `Brandt Bakery`.
    #[must_use]
    pub fn called(&self) -> String {
        match self.place {
            Place::Task(_) => format!("{} \u{201c}{}\u{201d}", self.name, self.title),
            Place::Row(_) => self.name.clone(),
        }
    }

    /// Heading and subheading.
    #[must_use]
    pub fn headed(self) -> (String, String) {
        match self.place {
            Place::Task(_) => (self.title, self.name),
            Place::Row(_) => (self.name, self.title.to_lowercase()),
        }
    }

    /// Name for tools and the API: `MC-12` or `contact:0192…`.
    #[must_use]
    pub fn word(&self) -> &str {
        match self.place {
            Place::Task(_) => &self.name,
            Place::Row(_) => self.base.trim_start_matches("on/"),
        }
    }
}

/// Subject in the JSON of a comment or file: task id, or descriptor and record id.
pub(crate) enum Said<'v> {
    Task(&'v str),
    Row(&'static Entity, &'v str),
}

/// Parses the subject of a comment or file.
pub(crate) fn place_of(fields: &entity::Fields) -> Option<Said<'_>> {
    let on = fields.get("on")?;
    if let Some(task) = on.get("task").and_then(Value::as_str) {
        return Some(Said::Task(task));
    }
    let row = on.get("row")?;
    let table = row.get("table").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok())?;
    Some(Said::Row(cards::of_table(table)?, row.get("id").and_then(Value::as_str)?))
}
