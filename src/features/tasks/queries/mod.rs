//! Reads of tasks: single tasks, lists, and views for pages and models.

mod best;
pub mod brief;
pub mod checks;
pub mod circles;
mod columns;
pub mod days;
pub mod due;
pub mod error;
pub mod facts;
pub mod filter;
pub mod grouping;
mod having;
pub mod history;
pub mod json;
pub mod keys;
pub mod labels;
pub mod lines;
pub mod list;
pub mod looks;
pub mod marks;
pub mod matching;
mod named;
pub mod open_ends;
pub mod overdue;
pub mod parts;
pub mod people;
pub mod relations;
pub mod view_context;
pub mod series;
pub mod standing;
pub mod summary;
pub mod taskset;
pub mod templates;
pub mod terms;
mod texts;
pub mod words;

pub use having::{acts, alone};

use super::model::{self, Task};
use crate::streams::queries::{self as streams, StreamError};
use crate::workspace::model::Settings;
use error::TaskError;
use kernel::key::KeyBuf;
use kernel::{StreamId, TaskId};
use store::{Range, Read, ReadExt, StoreError};

/// Prefix of task numbers until the workspace has its own.
const DEFAULT_KEY: &str = "HQ";
/// Maximum number of subtasks to read.
const MAX_PARTS: usize = 500;

/// Prefix of task numbers.
pub fn key(read: &dyn Read) -> Result<String, StoreError> {
    let settings = read.get::<Settings>(())?;
    Ok(settings.map_or_else(|| DEFAULT_KEY.to_owned(), |settings| settings.task_key))
}

/// Display name of a task, such as `MC-142`.
pub fn name(read: &dyn Read, number: u32) -> Result<String, StoreError> {
    Ok(format!("{}-{number}", key(read)?))
}

pub fn get(read: &dyn Read, id: TaskId) -> Result<Task, TaskError> {
    get_rev(read, id).map(|(task, _)| task)
}

/// Task and its revision.
pub fn get_rev(read: &dyn Read, id: TaskId) -> Result<(Task, u64), TaskError> {
    match read.get_rev::<Task>(id)? {
        Some(found) => Ok(found),
        None => Err(TaskError::NotFound(id.to_string(), key(read)?)),
    }
}

/// Finds a task by display name (`MC-142`, also with a former key), number (`142`) or id.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Task, TaskError> {
    let text = text.trim().trim_start_matches('#');
    let found = match text.parse::<TaskId>() {
        Ok(id) => read.get::<Task>(id)?,
        Err(_) => match number(read, text)? {
            Some(number) => read.find::<Task>(model::BY_NUMBER, &KeyBuf::of(&number))?,
            None => None,
        },
    };
    match found {
        Some(task) => Ok(task),
        None => {
            let shown: String = text.chars().take(60).collect();
            Err(TaskError::NotFound(shown, key(read)?))
        }
    }
}

/// Task of a tool call: the named one, else the task of the run.
pub fn meant(read: &dyn Read, text: Option<&str>, own: Option<TaskId>) -> Result<Task, TaskError> {
    match (text.map(str::trim).filter(|text| !text.is_empty()), own) {
        (Some(text), _) => resolve(read, text),
        (None, Some(id)) => get(read, id),
        (None, None) => Err(TaskError::field("task", "say which task, such as MC-142")),
    }
}

/// Finds a stream by name or id. Empty and `none` mean no stream.
///
/// # Errors
/// If there is no such stream.
pub fn stream(read: &dyn Read, text: &str) -> Result<Option<StreamId>, TaskError> {
    match text.trim() {
        "" | "none" => Ok(None),
        text => match streams::resolve(read, text) {
            Ok(stream) => Ok(Some(stream.id)),
            Err(StreamError::Store(error)) => Err(error.into()),
            Err(error) => Err(TaskError::field("stream", error.to_string())),
        },
    }
}

/// Parses `MC-142`, `mc-142` or `142`. `None` if the prefix is not of this workspace.
fn number(read: &dyn Read, text: &str) -> Result<Option<u32>, StoreError> {
    let Some((letters, digits)) = text.rsplit_once('-') else { return Ok(text.parse().ok()) };
    let Ok(number) = digits.parse() else { return Ok(None) };
    let known = match read.get::<Settings>(())? {
        Some(settings) => std::iter::once(&settings.task_key)
            .chain(&settings.old_task_keys)
            .any(|key| key.eq_ignore_ascii_case(letters)),
        None => DEFAULT_KEY.eq_ignore_ascii_case(letters),
    };
    Ok(known.then_some(number))
}

/// Ids of the subtasks, including archived ones.
pub fn child_ids(read: &dyn Read, id: TaskId) -> Result<Vec<TaskId>, StoreError> {
    read.referrers::<Task, Task>(id, 2, MAX_PARTS)
}

/// Subtasks in creation order, without archived ones.
pub fn children(read: &dyn Read, id: TaskId) -> Result<Vec<Task>, StoreError> {
    let mut parts = Vec::new();
    for id in child_ids(read, id)? {
        parts.extend(read.get::<Task>(id)?.filter(|part| part.archived_at.is_none()));
    }
    Ok(parts)
}

/// Ancestors of a task, top first.
pub fn ancestors(read: &dyn Read, task: &Task) -> Result<Vec<Task>, StoreError> {
    let mut chain = Vec::new();
    let mut at = task.parent;
    while let Some(id) = at {
        let Some(next) = read.get::<Task>(id)? else { break };
        at = next.parent.filter(|_| chain.len() < checks::MAX_DEPTH);
        chain.push(next);
    }
    chain.reverse();
    Ok(chain)
}

/// Index range of the records of a task.
pub(super) fn of_task(id: TaskId) -> Range {
    Range::prefix(KeyBuf::of(&id))
}
