//! All writes to task templates. A template is validated when it is saved and expanded into tasks in one transaction.

use std::collections::{HashMap, HashSet};

use super::{MAX_TITLE, NewTask, labels, relations};
use crate::routines::queries as routines;
use crate::tasks::model::Task;
use crate::tasks::model::template::{Template, TemplateItem};
use crate::tasks::queries::checks;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::labels::LabelFilter;
use crate::tasks::queries::lines;
use crate::tasks::queries::people::People;
use crate::tasks::queries::templates as reads;
use kernel::text::MAX_TEXT;
use kernel::{Assignee, FieldError, RelationKind, StreamId, TaskId, TemplateId};
use store::{StoreError, WriteTx};

/// Maximum name length in characters.
const MAX_NAME: usize = 80;
/// Maximum number of tasks in a template.
pub const MAX_ITEMS: usize = 100;
/// Maximum number of labels per task.
const MAX_LABELS: usize = 20;

#[derive(Clone, Debug, Default)]
pub struct NewTemplate {
    pub name: String,
    pub description: String,
    pub items: Vec<TemplateItem>,
}

/// Options for expanding a template.
#[derive(Clone, Debug, Default)]
pub struct Spawn {
    pub stream: Option<StreamId>,
    /// Parent of the created tasks.
    pub parent: Option<TaskId>,
    /// Assignee per role. A role that is not listed means the agent with this slug.
    pub roles: HashMap<String, Option<Assignee>>,
}

#[derive(Clone, Debug, Default)]
pub struct Spawned {
    /// In template order.
    pub tasks: Vec<TaskId>,
    /// Deviations from the template.
    pub warnings: Vec<String>,
}

/// Creates a template.
///
/// # Errors
/// If the input is invalid or the name is taken.
pub fn create(tx: &mut WriteTx<'_>, new: NewTemplate) -> Result<Template, TaskError> {
    let (now, id, by) = (tx.now(), tx.new_id(), tx.by());
    let (name, description, items) = checked(new)?;
    free(tx, id, &name)?;
    may_give(tx, &items, &[])?;
    let (created_by, created_at, updated_at) = (by, now, now);
    let template = Template { id, name, description, items, created_by, created_at, updated_at };
    tx.put(&template)?;
    Ok(template)
}

/// Replaces a template.
///
/// # Errors
/// As [`create`], or if there is no such template.
pub fn update(
    tx: &mut WriteTx<'_>,
    id: TemplateId,
    new: NewTemplate,
) -> Result<Template, TaskError> {
    let old = reads::get_rev(tx, id)?.0;
    let (name, description, items) = checked(new)?;
    free(tx, id, &name)?;
    may_give(tx, &items, &reads::roles(&old.items))?;
    let template = Template { name, description, items, ..old.clone() };
    if template == old {
        return Ok(old);
    }
    let template = Template { updated_at: tx.now(), ..template };
    tx.put(&template)?;
    Ok(template)
}

/// Deletes a template. Tasks created from it stay.
///
/// # Errors
/// If there is no such template or a routine uses it.
pub fn delete(tx: &mut WriteTx<'_>, id: TemplateId) -> Result<Template, TaskError> {
    let template = reads::get_rev(tx, id)?.0;
    if let Some(routine) = routines::making(tx, id)? {
        let text = format!(
            "the routine \"{}\" uses this template; change the routine \
            first",
            routine.name
        );
        return Err(TaskError::field("template", text));
    }
    tx.delete::<Template>(id)?;
    Ok(template)
}

/// Fails if the template changed since revision `rev`.
///
/// # Errors
/// `Stale`, or if there is no such template.
pub fn check_rev(tx: &WriteTx<'_>, id: TemplateId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    match reads::get_rev(tx, id)?.1 {
        now if now == expected => Ok(()),
        _ => Err(StoreError::Stale.into()),
    }
}

/// Creates all tasks of a template. Dependencies are written before assignments, so that no agent starts a task that
/// has to wait.
///
/// # Errors
/// If there is no such template, or the target stream or parent cannot be used.
pub fn spawn(tx: &mut WriteTx<'_>, id: TemplateId, how: &Spawn) -> Result<Spawned, TaskError> {
    let template = reads::get_rev(tx, id)?.0;
    make(tx, (id, &template.items), how)
}

/// Creates tasks as [`spawn`] does, from the items of a template.
///
/// # Errors
/// If the target stream or parent cannot be used.
pub fn make(
    tx: &mut WriteTx<'_>,
    (template, items): (TemplateId, &[TemplateItem]),
    how: &Spawn,
) -> Result<Spawned, TaskError> {
    let people = People::read(tx)?;
    for who in how.roles.values() {
        lines::may_give(tx, tx.by(), None, *who)?;
    }
    let mut spawned = Spawned::default();
    let mut tasks: HashMap<&str, TaskId> = HashMap::new();
    for item in items {
        let new = NewTask {
            description: item.description.clone(),
            priority: item.priority,
            stream: how.stream,
            parent: how.parent,
            template: Some(template),
            ..NewTask::titled(item.title.clone())
        };
        let task = super::create(tx, new)?;
        tasks.insert(&item.key, task.id);
        spawned.tasks.push(task.id);
    }
    let all: Vec<(&TemplateItem, TaskId)> =
        items.iter().zip(spawned.tasks.iter().copied()).collect();
    for (item, task) in &all {
        for blocker in item.blocked_by.iter().filter_map(|key| tasks.get(key.as_str())) {
            relations::relate(tx, *task, RelationKind::BlockedBy, *blocker)?;
        }
        if !item.labels.is_empty() {
            labels::ask(tx, *task, LabelFilter::Exactly(item.labels.clone()))?;
        }
    }
    for (item, task) in all.iter().filter(|(item, _)| !item.role.is_empty()) {
        match whose(&people, how, &item.role) {
            Ok(Some(who)) => match assign(tx, *task, who) {
                Ok(_) => {}
                Err(TaskError::Store(error)) => return Err(error.into()),
                Err(error) => spawned.warnings.push(format!("{}: {error}", item.title)),
            },
            Ok(None) => {}
            Err(warning) => spawned.warnings.push(format!("{}: {warning}", item.title)),
        }
    }
    Ok(spawned)
}

/// Assigns a new task to the holder of its role. Permission was checked when the template was saved or the role was
/// chosen.
fn assign(tx: &mut WriteTx<'_>, task: TaskId, who: Assignee) -> Result<Task, TaskError> {
    checks::assignee(tx, Some(who))?;
    let mut task = checks::in_use(tx, task)?;
    super::give(tx, &mut task, Some(who))?;
    Ok(task)
}

/// A template assigns work to the agents that its roles name. An agent may therefore add only roles of its reports.
fn may_give(tx: &WriteTx<'_>, items: &[TemplateItem], before: &[String]) -> Result<(), TaskError> {
    if tx.by().agent().is_none() {
        return Ok(());
    }
    let people = People::read(tx)?;
    let new = reads::roles(items).into_iter().filter(|role| !before.contains(role));
    for agent in new.filter_map(|role| people.agent_called(&role).map(|agent| agent.id)) {
        lines::may_give(tx, tx.by(), None, Some(Assignee::Agent(agent)))?;
    }
    Ok(())
}

/// Assignee of a role, or a warning if nobody holds it.
fn whose(people: &People, how: &Spawn, role: &str) -> Result<Option<Assignee>, String> {
    match how.roles.get(role) {
        Some(chosen) => Ok(*chosen),
        None => match people.agent_called(role) {
            Some(agent) => Ok(Some(Assignee::Agent(agent.id))),
            None => Err(format!("no agent is called \"{role}\", so its tasks are unassigned")),
        },
    }
}

fn free(tx: &WriteTx<'_>, id: TemplateId, name: &str) -> Result<(), TaskError> {
    match reads::called(tx, name)? {
        Some(other) if other.id != id => {
            let message = format!("another template is called \"{}\"", other.name);
            Err(TaskError::field("name", message))
        }
        _ => Ok(()),
    }
}

/// Validates and normalises a template. Reports all errors at once.
fn checked(new: NewTemplate) -> Result<(String, String, Vec<TemplateItem>), TaskError> {
    let mut wrong = Vec::new();
    let name = line(&new.name);
    if name.is_empty() || MAX_NAME < name.chars().count() {
        wrong.push(FieldError::new("name", format!("use a name of 1 to {MAX_NAME} characters")));
    }
    if MAX_TEXT < new.description.len() {
        wrong.push(FieldError::new("description", "at most 64 KB of text"));
    }
    if new.items.is_empty() || MAX_ITEMS < new.items.len() {
        wrong.push(FieldError::new("items", format!("use 1 to {MAX_ITEMS} tasks")));
    }
    let numbered = new.items.into_iter().enumerate();
    let items: Vec<TemplateItem> = numbered
        .map(|(n, item)| TemplateItem {
            key: match item.key.trim() {
                "" => (n + 1).to_string(),
                key => key.to_owned(),
            },
            title: line(&item.title),
            description: item.description.replace("\r\n", "\n").trim_end().to_owned(),
            priority: item.priority,
            role: item.role.trim().trim_start_matches('@').to_owned(),
            labels: once(item.labels),
            blocked_by: once(item.blocked_by),
        })
        .collect();
    let keys: HashSet<String> = items.iter().map(|item| item.key.clone()).collect();
    let mut seen = HashSet::new();
    for (n, item) in items.iter().enumerate() {
        let mut at = |field: &str, message: String| {
            wrong.push(FieldError::new(format!("items[{n}].{field}"), message));
        };
        if !seen.insert(item.key.clone()) {
            at("ref", format!("two tasks have the ref \"{}\"", item.key));
        }
        if item.title.is_empty() || MAX_TITLE < item.title.chars().count() {
            at("title", format!("use a title of 1 to {MAX_TITLE} characters"));
        }
        if MAX_TEXT < item.description.len() {
            at("description", "at most 64 KB of text".to_owned());
        }
        if MAX_LABELS < item.labels.len() {
            at("labels", format!("at most {MAX_LABELS} labels"));
        }
        if item.blocked_by.contains(&item.key) {
            at("blocked_by", "a task can't block itself".to_owned());
        }
        if let Some(unknown) = item.blocked_by.iter().find(|key| !keys.contains(*key)) {
            at("blocked_by", format!("no task here has the ref \"{unknown}\""));
        }
    }
    if wrong.is_empty()
        && let Err(key) = reads::steps(&items)
    {
        let n = items.iter().position(|item| item.key == key).unwrap_or(0);
        let text = format!("\"{}\" blocks itself through other tasks", items[n].title);
        wrong.push(FieldError::new(format!("items[{n}].blocked_by"), text));
    }
    match wrong.is_empty() {
        true => Ok((name, new.description.trim_end().to_owned(), items)),
        false => Err(TaskError::Invalid(wrong)),
    }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Trims words, drops empty ones and removes duplicates.
fn once(words: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        let word = line(&word);
        if !word.is_empty() && !all.contains(&word) {
            all.push(word);
        }
    }
    all
}
