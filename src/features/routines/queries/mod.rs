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

/// How many routines wait for one event.
const MOST_WATCHING: usize = 1_000;
/// How many routines are listed.
const MOST_LISTED: usize = 2_000;
/// How many are looked at for those that were put away.
const MOST_LOOKED_AT: usize = 10_000;

/// What holds for all routines.
pub fn rules(read: &dyn Read) -> Result<RoutineRules, StoreError> {
    Ok(read.get::<RoutineRules>(())?.unwrap_or_default())
}

/// A routine.
pub fn get(read: &dyn Read, id: RoutineId) -> Result<Routine, RoutineError> {
    get_rev(read, id).map(|(routine, _)| routine)
}

/// A routine with its rev.
pub fn get_rev(read: &dyn Read, id: RoutineId) -> Result<(Routine, u64), RoutineError> {
    let found = read.get_rev::<Routine>(id)?;
    found.ok_or_else(|| RoutineError::NotFound(id.to_string()))
}

/// All routines that are not put away, in the order of their names.
pub fn all(read: &dyn Read) -> Result<Vec<Routine>, StoreError> {
    let mut all: Vec<Routine> = read.scan(BY_AGENT, &Range::all().limit(MOST_LISTED))?;
    all.sort_by_cached_key(|routine| (routine.name.to_lowercase(), routine.id));
    Ok(all)
}

/// Those that were put away, the newest first, with those of one agent alone where one is given. Of very
/// many routines the oldest are not looked at.
pub fn done(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<Routine>, StoreError> {
    let mut all: Vec<Routine> = read.list(&Range::all().reverse().limit(MOST_LOOKED_AT))?;
    all.retain(|one| one.done_at.is_some() && agent.is_none_or(|agent| agent == one.agent));
    all.sort_by_key(|routine| std::cmp::Reverse((routine.done_at, routine.id)));
    all.truncate(MOST_LISTED);
    Ok(all)
}

/// The only routine with a name, in any case; none where several have it.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Routine>, StoreError> {
    let wanted = name.to_lowercase();
    let mut all = all(read)?;
    all.retain(|routine| routine.name.to_lowercase() == wanted);
    let one = all.pop();
    Ok(one.filter(|_| all.is_empty()))
}

/// The routine that made a task.
pub fn maker_of(read: &dyn Read, task: TaskId) -> Result<Option<RoutineId>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task)).limit(1);
    let firing = read.scan::<Firing>(BY_TASK, &range)?.pop();
    Ok(firing.map(|firing| firing.routine))
}

/// The routines of an agent that are not put away, in the order of making.
pub fn of_agent(read: &dyn Read, agent: AgentId) -> Result<Vec<Routine>, StoreError> {
    read.scan(BY_AGENT, &Range::prefix(KeyBuf::of(&agent)))
}

/// A routine that makes the tasks of a template, if one does.
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

/// Where a routine stands.
pub fn clock(read: &dyn Read, id: RoutineId) -> Result<Clock, StoreError> {
    Ok(read.get::<Clock>(id)?.unwrap_or_else(|| Clock::new(id)))
}

/// The firings of a routine, newest first.
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

/// The firing that an inbox item comes from.
pub fn firing_of(read: &dyn Read, item: &Item) -> Result<Option<Firing>, StoreError> {
    match of_item_key(&item.key) {
        Some(id) => read.get::<Firing>(id),
        None => Ok(None),
    }
}

/// The inbox item that a firing made.
pub fn item_of(read: &dyn Read, firing: &Firing) -> Result<Option<Item>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&firing.item_key());
    read.find(BY_KEY, &key)
}

/// The routine that an inbox item comes from.
pub fn routine_of(read: &dyn Read, item: &Item) -> Result<Option<Routine>, StoreError> {
    match firing_of(read, item)? {
        Some(firing) => read.get::<Routine>(firing.routine),
        None => Ok(None),
    }
}
