//! Which firing stands behind a change: that of the run that made it, of the task that this run works
//! on, or the one that stands just before it in the same entry. Chains of routines end by it.

use crate::features::inbox::model::Item;
use crate::features::routines::model::{BY_TASK, Firing};
use crate::features::routines::registry::Subject;
use crate::features::runs::model::Run;
use crate::features::tasks::model::Task;
use crate::kernel::{Event, RunId, TaskId};
use crate::store::{Entry, KeyBuf, Range, Read, ReadExt, StoreError};

/// How far a chain of tasks and runs is followed.
const FAR: usize = 12;

/// The firing behind the event at this place of an entry.
///
/// # Errors
/// When the disk fails.
pub fn of(
    read: &dyn Read,
    entry: &Entry,
    place: usize,
    subject: Subject,
) -> Result<Option<Firing>, StoreError> {
    // What a firing begins follows it, before the next one.
    let fired = entry.events.iter().take(place).rev().find_map(|event| match event {
        Event::RoutineFired { firing, .. } => Some(*firing),
        _ => None,
    });
    if let Some(firing) = fired {
        return read.get::<Firing>(firing);
    }
    let run = match subject {
        Subject::Agent(_, run) => run,
        _ => None,
    };
    match entry.actor.run().or(run) {
        Some(run) => of_run(read, run),
        None => Ok(None),
    }
}

/// The firing behind a run.
///
/// # Errors
/// When the disk fails.
pub fn of_run(read: &dyn Read, run: RunId) -> Result<Option<Firing>, StoreError> {
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

/// The firing that made a task or one above it; else the run that made it.
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
