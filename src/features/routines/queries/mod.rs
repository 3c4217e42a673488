//! Reads of routines.

pub mod origin;
pub mod plan;
pub mod view;

use super::model::{
    BY_AGENT, BY_EVENT, BY_ROUTINE, BY_TASK, Clock, Firing, Routine, RoutineRules, of_item_key,
};
use super::rules::RoutineError;
use crate::inbox::model::{BY_KEY, Item};
use kernel::key::KeyBuf;
use kernel::{AgentId, RoutineId, TaskId, TemplateId};
use store::{Hit, Range, Read, ReadExt, StoreError};

/// Maximum number of routines per event kind.
const MOST_WATCHING: usize = 1_000;
/// Maximum number of listed routines.
const MOST_LISTED: usize = 2_000;
/// Maximum number of routines to search for archived ones.
const MOST_LOOKED_AT: usize = 10_000;

pub fn rules(read: &dyn Read) -> Result<RoutineRules, StoreError> {
    Ok(read.get::<RoutineRules>(())?.unwrap_or_default())
}

pub fn get(read: &dyn Read, id: RoutineId) -> Result<Routine, RoutineError> {
    get_rev(read, id).map(|(routine, _)| routine)
}

/// Routine and its revision.
pub fn get_rev(read: &dyn Read, id: RoutineId) -> Result<(Routine, u64), RoutineError> {
    let found = read.get_rev::<Routine>(id)?;
    found.ok_or_else(|| RoutineError::NotFound(id.to_string()))
}

/// All routines that are not archived, by name.
pub fn all(read: &dyn Read) -> Result<Vec<Routine>, StoreError> {
    let mut all: Vec<Routine> = read.scan(BY_AGENT, &Range::all().limit(MOST_LISTED))?;
    all.sort_by_cached_key(|routine| (routine.name.to_lowercase(), routine.id));
    Ok(all)
}

/// Archived routines, newest first, optionally of one agent. Searches only the newest 10,000 routines.
pub fn done(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Routine>, StoreError> {
    let mut all: Vec<Routine> = read.list(&Range::all().reverse().limit(MOST_LOOKED_AT))?;
    all.retain(|one| one.done_at.is_some() && agent.is_none_or(|agent| agent == one.agent));
    all.sort_by_key(|routine| std::cmp::Reverse((routine.done_at, routine.id)));
    all.truncate(MOST_LISTED);
    Ok(all)
}

/// The routine with this name, ignoring case. `None` if several have it.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Routine>, StoreError> {
    let wanted = name.to_lowercase();
    let mut all = all(read)?;
    all.retain(|routine| routine.name.to_lowercase() == wanted);
    let one = all.pop();
    Ok(one.filter(|_| all.is_empty()))
}

/// The routine that created a task.
pub fn maker_of(read: &dyn Read, task: TaskId) -> Result<Option<RoutineId>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task)).limit(1);
    let firing = read.scan::<Firing>(BY_TASK, &range)?.pop();
    Ok(firing.map(|firing| firing.routine))
}

/// Routines of an agent that are not archived, in creation order.
pub fn of_agent(read: &dyn Read, agent: AgentId) -> Result<Vec<Routine>, StoreError> {
    read.scan(BY_AGENT, &Range::prefix(KeyBuf::of(&agent)))
}

/// A routine that uses a task template, if there is one.
pub fn making(read: &dyn Read, template: TemplateId) -> Result<Option<Routine>, StoreError> {
    let makes =
        |routine: &Routine| routine.action.tasks().is_some_and(|form| form.template == template);
    Ok(all(read)?.into_iter().find(makes))
}

/// The routines that wait for a kind of event.
pub fn watching(read: &dyn Read, event: &str) -> Result<Vec<Routine>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(event);
    read.scan(BY_EVENT, &Range::prefix(key).limit(MOST_WATCHING))
}

/// Stored clock, or the initial state.
pub fn clock(read: &dyn Read, id: RoutineId) -> Result<Clock, StoreError> {
    Ok(read.get::<Clock>(id)?.unwrap_or_else(|| Clock::new(id)))
}

/// Firings of a routine, newest first.
pub fn firings(
    read: &dyn Read,
    id: RoutineId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Firing>>, StoreError> {
    let mut range = Range::prefix(KeyBuf::of(&id)).reverse().limit(limit);
    if let Some(after) = after {
        range = range.after(after);
    }
    read.hits(BY_ROUTINE, &range)
}

/// The firing of an inbox item.
pub fn firing_of(read: &dyn Read, item: &Item) -> Result<Option<Firing>, StoreError> {
    match of_item_key(&item.key) {
        Some(id) => read.get::<Firing>(id),
        None => Ok(None),
    }
}

/// The inbox item of a firing.
pub fn item_of(read: &dyn Read, firing: &Firing) -> Result<Option<Item>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&firing.item_key());
    read.find(BY_KEY, &key)
}

/// The routine of an inbox item.
pub fn routine_of(read: &dyn Read, item: &Item) -> Result<Option<Routine>, StoreError> {
    match firing_of(read, item)? {
        Some(firing) => read.get::<Routine>(firing.routine),
        None => Ok(None),
    }
}
