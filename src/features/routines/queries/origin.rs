//! Finds the firing that caused a change: that of the run that made it, of the run's task, or the preceding one in the
//! same feed entry. Used to end chains of routines.

use crate::inbox::model::Item;
use crate::routines::model::{BY_TASK, Firing};
use crate::routines::registry::{Change, Happening, Subject};
use crate::runs::model::Run;
use crate::runs::queries::children;
use crate::tasks::model::Task;
use kernel::key::KeyBuf;
use kernel::{Event, RunId, TaskId};
use store::{Entry, Range, Read, ReadExt, StoreError};

/// Maximum length of a chain of tasks and runs.
const FAR: usize = 12;

/// The firing that caused the event at this position of an entry.
pub fn of(
    read: &dyn Read,
    entry: &Entry,
    place: usize,
    happening: &Happening,
) -> Result<Option<Firing>, StoreError> {
    if let Subject::Row(..) = happening.subject {
        return of_rows(read, entry);
    }
    // The effects of a firing follow it in the entry, up to the next firing. The firing event itself belongs to that
    // firing.
    let until = place.saturating_add(1);
    let fired = entry.events.iter().take(until).rev().find_map(|event| match event {
        Event::RoutineFired { firing, .. } => Some(*firing),
        _ => None,
    });
    if let Some(firing) = fired {
        return read.get::<Firing>(firing);
    }
    if let Change::Item(item) | Change::ItemFailed(item) = &happening.change
        && let Some(item) = read.get::<Item>(*item)?
        && let Some(firing) = of_item(read, &item)?
    {
        return Ok(Some(firing));
    }
    let run = match happening.subject {
        Subject::Agent(_, run) => run,
        _ => None,
    };
    match entry.actor.run().or(run) {
        Some(run) => of_run(read, run),
        None => Ok(None),
    }
}

/// The firing that caused an inbox item: its own or that of its task.
fn of_item(read: &dyn Read, item: &Item) -> Result<Option<Firing>, StoreError> {
    if let Some(firing) = super::firing_of(read, item)? {
        return Ok(Some(firing));
    }
    match item.task {
        Some(task) => match of_task(read, task)? {
            (None, Some(run)) => of_run(read, run),
            (firing, _) => Ok(firing),
        },
        None => Ok(None),
    }
}

/// The firing that caused the row changes of an entry. Rows have no order relative to firings, so the one deepest in
/// its chain counts, which ensures that every chain ends.
fn of_rows(read: &dyn Read, entry: &Entry) -> Result<Option<Firing>, StoreError> {
    let mut furthest: Option<Firing> = None;
    for event in &entry.events {
        let Event::RoutineFired { firing, .. } = event else { continue };
        let firing = read.get::<Firing>(*firing)?;
        furthest = furthest.into_iter().chain(firing).max_by_key(|firing| firing.depth);
    }
    match (furthest, entry.actor.run()) {
        (Some(firing), _) => Ok(Some(firing)),
        (None, Some(run)) => of_run(read, run),
        (None, None) => Ok(None),
    }
}

/// The firing that caused a run.
pub fn of_run(read: &dyn Read, run: RunId) -> Result<Option<Firing>, StoreError> {
    for own in [run].into_iter().chain(children::above(&read, run)?) {
        if let Some(firing) = of_one(read, own)? {
            return Ok(Some(firing));
        }
    }
    Ok(None)
}

/// The firing that caused a run, ignoring its parent runs.
fn of_one(read: &dyn Read, run: RunId) -> Result<Option<Firing>, StoreError> {
    let mut next = Some(run);
    for _ in 0..FAR {
        let Some(id) = next else { return Ok(None) };
        let Some(run) = read.get::<Run>(id)? else { return Ok(None) };
        if let Some(item) = run.item
            && let Some(item) = read.get::<Item>(item)?
            && let Some(firing) = super::firing_of(read, &item)?
        {
            return Ok(Some(firing));
        }
        let Some(task) = run.task else { return Ok(None) };
        let (firing, made_by) = of_task(read, task)?;
        if firing.is_some() {
            return Ok(firing);
        }
        next = made_by.filter(|by| *by != id);
    }
    Ok(None)
}

/// The firing that created a task or its ancestor, else the run that created it.
fn of_task(read: &dyn Read, task: TaskId) -> Result<(Option<Firing>, Option<RunId>), StoreError> {
    let (mut at, mut made_by) = (Some(task), None);
    for _ in 0..FAR {
        let Some(id) = at else { break };
        let range = Range::prefix(KeyBuf::of(&id)).limit(1);
        if let Some(firing) = read.scan::<Firing>(BY_TASK, &range)?.pop() {
            return Ok((Some(firing), None));
        }
        let Some(task) = read.get::<Task>(id)? else { break };
        made_by = made_by.or(task.created_by.run());
        at = task.parent;
    }
    Ok((None, made_by))
}
