//! Which due dates have passed, and which tasks are missed by that.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::list::OPEN;
use super::{due, standing};
use crate::features::comments::queries as comments;
use crate::features::tasks::model::overdue::{OverdueMark, TaskRules};
use crate::features::tasks::model::{BY_STATUS, Task};
use crate::features::workspace::model::Settings;
use crate::kernel::cadence::midnight;
use crate::kernel::{Priority, RunState, TaskId, TaskStatus};
use crate::store::{KeyBuf, Range, Read, ReadExt as _, StoreError};

/// Of what passed earlier nobody is told any more: it was found after a long sleep, or imported.
const OLD: SignedDuration = SignedDuration::from_hours(3 * 24);

/// What the clock has brought for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fell {
    /// Its due date has passed, and people are to hear of it.
    Overdue(TaskId),
    /// Its due date passed long ago: it is noted, and nobody hears of it.
    Noted(TaskId),
    /// It is missed: nothing happened on it since then.
    Missed(TaskId, Timestamp),
}

/// The rules of the workspace.
///
/// # Errors
/// When the store fails.
pub fn rules(read: &dyn Read) -> Result<TaskRules, StoreError> {
    Ok(read.get::<TaskRules>(())?.unwrap_or_default())
}

/// The workspace's zone.
fn zone(read: &dyn Read) -> Result<TimeZone, StoreError> {
    let settings = read.get::<Settings>(())?;
    Ok(settings.map_or(TimeZone::UTC, |settings| due::zone(&settings.zone)))
}

/// When a task becomes overdue: at its moment, or when its day is over in this zone.
#[must_use]
pub fn overdue_at(task: &Task, zone: &TimeZone) -> Option<Timestamp> {
    let due_at = task.due_at?;
    match task.due_has_time {
        true => Some(due_at),
        false => midnight(zone, due::day(due_at, zone).tomorrow().ok()?),
    }
}

/// When a task that nobody is at is missed.
fn missed_at(task: &Task, zone: &TimeZone, days: u16) -> Option<Timestamp> {
    let day = due::day(task.due_at?, zone).tomorrow().ok()?;
    let span = jiff::Span::new().try_days(i64::from(days)).ok()?;
    midnight(zone, day.checked_add(span).ok()?)
}

/// The stretches of the index in which open tasks stand by their due date.
fn stretches(from: Option<Timestamp>, to: Option<Timestamp>) -> impl Iterator<Item = Range> {
    let kinds = OPEN.into_iter().flat_map(|status| {
        let all = Priority::ALL.iter();
        all.map(move |priority| (status, *priority))
    });
    kinds.map(move |(status, priority)| {
        let mut lo = KeyBuf::new();
        lo.u8(status as u8).u8(u8::MAX - priority as u8);
        let mut hi = lo.clone();
        if from.is_some() {
            lo.time_or_max(from);
        }
        hi.time_or_max(to);
        Range::between(lo, hi)
    })
}

/// When the next due date passes.
///
/// # Errors
/// When the store fails.
pub fn next(read: &dyn Read, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let (mut next, zone) = (None::<Timestamp>, zone(read)?);
    for range in stretches(Some(now), None) {
        let first: Vec<Task> = read.scan(BY_STATUS, &range.limit(1))?;
        let at = first.first().and_then(|task| overdue_at(task, &zone));
        next = match (next, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(next)
}

/// What has fallen due since the last look, at most so many tasks.
///
/// # Errors
/// When the store fails.
pub fn fallen(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<Fell>, StoreError> {
    let (zone, rules) = (zone(read)?, rules(read)?);
    let mut fallen = Vec::new();
    for range in stretches(None, Some(now)) {
        let passed: Vec<Task> = read.scan(BY_STATUS, &range)?;
        for task in passed {
            if fallen.len() == limit {
                return Ok(fallen);
            }
            fallen.extend(fell(read, &task, (now, &zone), &rules)?);
        }
    }
    Ok(fallen)
}

fn fell(
    read: &dyn Read,
    task: &Task,
    (now, zone): (Timestamp, &TimeZone),
    rules: &TaskRules,
) -> Result<Option<Fell>, StoreError> {
    let Some(since) = overdue_at(task, zone).filter(|at| *at <= now) else { return Ok(None) };
    let mark = read.get::<OverdueMark>(task.id)?;
    if mark.map(|mark| mark.due_at) != task.due_at {
        let old = now.duration_since(since) > OLD;
        return Ok(Some(if old { Fell::Noted(task.id) } else { Fell::Overdue(task.id) }));
    }
    let missed = missed_at(task, zone, rules.missed_after_days);
    // What somebody opened again or changed after that is not missed by the same date.
    let missed = missed.is_some_and(|at| at <= now && task.updated_at < at);
    let lost = missed && is_lost(read, task, since)?;
    Ok(lost.then_some(Fell::Missed(task.id, since)))
}

/// Whether a task that is overdue since then is lost: it was never begun, or nothing happened on it
/// since. Never while a run works on it or waits, delivered work waits for a look, or it is blocked.
///
/// # Errors
/// When the store fails.
pub fn is_lost(read: &dyn Read, task: &Task, since: Timestamp) -> Result<bool, StoreError> {
    if !matches!(task.status, TaskStatus::Todo | TaskStatus::InProgress) {
        return Ok(false);
    }
    let runs = standing::newest_runs(read, task.id, 3)?;
    if runs.iter().any(|run| run.state != RunState::Ended) || standing::in_review(read, task.id)? {
        return Ok(false);
    }
    if task.status == TaskStatus::Todo {
        return Ok(true);
    }
    let ran = runs.iter().any(|run| run.ended_at.is_some_and(|at| at > since));
    let said = comments::of_task(read, task.id)?.iter().any(|one| one.created_at > since);
    Ok(task.updated_at <= since && !ran && !said)
}
