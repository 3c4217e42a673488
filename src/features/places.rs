//! What comments and files are on: a task, or a record of a noun with a card.

use serde::{Deserialize, Serialize};

use crate::cards;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::tasks::queries::error::TaskError;
use entity::{Entity, Target};
use kernel::key::KeyBuf;
use kernel::text::{capitalized, ellipsis};
use kernel::{About, RecordId, TaskId, TypedId as _};
use serde_json::Value;
use store::schema::id_text;
use store::{Read, ReadExt as _, Root, StoreError};
use web::hx::Ask;

/// What a comment or a file is on. Stored by position: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Task(TaskId),
    /// A record of a noun with a card.
    Row(Target),
}

impl From<TaskId> for Place {
    fn from(task: TaskId) -> Self {
        Self::Task(task)
    }
}

impl Place {
    /// The task, if it is one.
    #[must_use]
    pub fn task(self) -> Option<TaskId> {
        match self {
            Self::Task(id) => Some(id),
            Self::Row(_) => None,
        }
    }

    /// What stands in indexes for it. Ids of tasks and of records never meet.
    #[must_use]
    pub fn key(self) -> KeyBuf {
        match self {
            Self::Task(id) => KeyBuf::of(&id),
            Self::Row(row) => KeyBuf::of(&RecordId::from_uuid(row.id)),
        }
    }

    /// The record in whose history it stands.
    #[must_use]
    pub fn root(self) -> Root {
        match self {
            Self::Task(id) => Root::of::<Task>(id),
            Self::Row(row) => Root { table: row.table, key: self.key().into_bytes() },
        }
    }

    /// What people who watch it watch.
    #[must_use]
    pub fn about(self) -> About {
        match self {
            Self::Task(id) => About::Task(id),
            Self::Row(row) => About::Row(row.table, RecordId::from_uuid(row.id)),
        }
    }
}

/// A place as people know it.
#[derive(Clone, Debug)]
pub struct Spot {
    pub place: Place,
    /// `MC-12`, or the name of a record.
    pub name: String,
    /// The title of a task; of a record what kind it is.
    pub title: String,
    /// Its page below the workspace.
    pub path: String,
    /// What acts on its comments and files begin with, below the workspace; `contact:0192…` names it in calls.
    pub base: String,
    /// What open pages call its table.
    pub topic: &'static str,
    /// Whether it is out of the way.
    pub archived: bool,
}

impl Spot {
    /// A task, by its name.
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

    /// Tells the regions of a page that what is on it has changed.
    #[must_use]
    pub fn changed(&self) -> Ask {
        match self.place {
            Place::Task(id) => Ask::new().changed(self.topic, id),
            Place::Row(row) => Ask::new().changed(self.topic, row.id),
        }
    }

    /// What a place is now; none when it is gone.
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

    /// The same, where it has to be there.
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

    /// The place that is named: a task, or a record as `contact:Name` or `contact:0192…`.
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

    /// The place that a tool call means: the one it names, else the task that its run works on.
    pub fn meant(
        read: &dyn Read,
        text: Option<&str>,
        own: Option<TaskId>,
    ) -> Result<Self, TaskError> {
        if let Some(text) = text.filter(|text| text.contains(':')) {
            return Self::resolve(read, text);
        }
        let task = tasks::meant(read, text, own)?;
        Ok(Self::of_task(tasks::name(read, task.number)?, &task))
    }

    /// `MC-142 “Compare leasing prices”`, `Brandt Bakery`.
    #[must_use]
    pub fn called(&self) -> String {
        match self.place {
            Place::Task(_) => format!("{} \u{201c}{}\u{201d}", self.name, self.title),
            Place::Row(_) => self.name.clone(),
        }
    }

    /// What stands above words on it, and what it is behind that.
    #[must_use]
    pub fn headed(self) -> (String, String) {
        match self.place {
            Place::Task(_) => (self.title, self.name),
            Place::Row(_) => (self.name, self.title.to_lowercase()),
        }
    }

    /// How tools and the API name it: `MC-12`, `contact:0192…`.
    #[must_use]
    pub fn word(&self) -> &str {
        match self.place {
            Place::Task(_) => &self.name,
            Place::Row(_) => self.base.trim_start_matches("on/"),
        }
    }
}

/// The place of a comment or a file in its JSON: the id of a task, or the card and the id of a record.
pub(crate) enum Said<'v> {
    Task(&'v str),
    Row(&'static Entity, &'v str),
}

/// Reads it.
pub(crate) fn place_of(fields: &entity::Fields) -> Option<Said<'_>> {
    let on = fields.get("on")?;
    if let Some(task) = on.get("task").and_then(Value::as_str) {
        return Some(Said::Task(task));
    }
    let row = on.get("row")?;
    let table = row.get("table").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok())?;
    Some(Said::Row(cards::of_table(table)?, row.get("id").and_then(Value::as_str)?))
}
