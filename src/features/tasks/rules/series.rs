//! Recurring tasks. Each slot of a series is used once: the occurrence row, the task and the next slot are written in
//! one transaction, and only here.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{NewTask, labels, title};
use crate::agents::model::Agent;
use crate::tasks::model::Task;
use crate::tasks::model::series::{DueAfter, Going, Occurrence, Series};
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::labels::LabelFilter;
use crate::tasks::queries::series::Common;
use crate::tasks::queries::{self, checks, overdue, series as reads};
use kernel::cadence::{day_number, midnight};
use kernel::{
    Assignee, FieldError, MissedPolicy, Priority, Schedule, SeriesId, StreamId, TaskId, TaskStatus,
    Thinking,
};
use store::{ReadExt as _, StoreError, WriteTx};

/// Upper limit of `ends_after`.
const MOST: u32 = 100_000;

#[derive(Clone, Debug)]
pub struct NewSeries {
    pub title: String,
    pub description: String,
    pub priority: Priority,
    pub assignee: Option<Assignee>,
    pub stream: Option<StreamId>,
    /// Overrides the agent's model.
    pub model: Option<String>,
    /// Overrides the agent's thinking level.
    pub thinking: Option<Thinking>,
    /// Label names.
    pub labels: Vec<String>,
    pub schedule: Schedule,
    /// Policy for the previous occurrence if it is still open.
    pub missed: MissedPolicy,
    /// Last day, inclusive.
    pub ends_on: Option<Date>,
    /// Number of tasks after which the series ends.
    pub ends_after: Option<u32>,
    pub due: Option<DueAfter>,
}

/// A change. `None` keeps a value; in doubly optional fields `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct SeriesPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub priority: Option<Priority>,
    pub assignee: Option<Option<Assignee>>,
    pub stream: Option<Option<StreamId>>,
    /// `Some(None)` restores the agent's model.
    pub model: Option<Option<String>>,
    /// `Some(None)` restores the agent's thinking level.
    pub thinking: Option<Option<Thinking>>,
    pub labels: Option<Vec<String>>,
    pub schedule: Option<Schedule>,
    pub missed: Option<MissedPolicy>,
    pub ends_on: Option<Option<Date>>,
    pub ends_after: Option<Option<u32>>,
    pub due: Option<Option<DueAfter>>,
}

/// Creates a series. Its first task is created when its first slot is due.
///
/// # Errors
/// If the input is invalid or the schedule has no slot.
pub fn create(tx: &mut WriteTx<'_>, new: NewSeries) -> Result<Series, TaskError> {
    let mut wrong = Vec::new();
    let title = title(&new.title, &mut wrong);
    let description = super::description(&new.description, &mut wrong);
    let model = super::model(new.model, &mut wrong);
    check_due(new.due, &mut wrong);
    if !wrong.is_empty() {
        return Err(TaskError::Invalid(wrong));
    }
    checks::assignee(tx, new.assignee)?;
    queries::lines::may_give(tx, tx.by(), None, new.assignee)?;
    checks::stream(tx, new.stream)?;
    let now = tx.now();
    let mut series = Series {
        id: tx.new_id(),
        title,
        description,
        priority: new.priority,
        assignee: new.assignee,
        stream: new.stream,
        model,
        thinking: new.thinking,
        labels: names(new.labels),
        schedule: new.schedule,
        missed: new.missed,
        ends_on: new.ends_on.map(day_number),
        ends_after: new.ends_after,
        paused_at: None,
        next_at: None,
        created_by: tx.by(),
        created_at: now,
        updated_at: now,
        due: new.due,
    };
    plan(tx, &mut series)?;
    tx.put(&series)?;
    Ok(series)
}

/// Changes the template or schedule of future tasks. Existing tasks stay unchanged.
///
/// # Errors
/// If the input is invalid or the schedule has no slot left.
pub fn update(tx: &mut WriteTx<'_>, id: SeriesId, patch: SeriesPatch) -> Result<Series, TaskError> {
    let old = reads::get(tx, id)?;
    let mut series = old.clone();
    let mut wrong = Vec::new();
    if let Some(text) = patch.title {
        series.title = title(&text, &mut wrong);
    }
    if let Some(text) = patch.description {
        series.description = super::description(&text, &mut wrong);
    }
    if let Some(name) = patch.model {
        series.model = super::model(name, &mut wrong);
    }
    if let Some(due) = patch.due {
        check_due(due, &mut wrong);
        series.due = due;
    }
    if !wrong.is_empty() {
        return Err(TaskError::Invalid(wrong));
    }
    series.priority = patch.priority.unwrap_or(series.priority);
    series.thinking = patch.thinking.unwrap_or(series.thinking);
    series.missed = patch.missed.unwrap_or(series.missed);
    if let Some(to) = patch.stream.filter(|to| *to != series.stream) {
        checks::stream(tx, to)?;
        series.stream = to;
    }
    if let Some(labels) = patch.labels {
        series.labels = names(labels);
    }
    if let Some(to) = patch.assignee.filter(|to| *to != series.assignee) {
        checks::assignee(tx, to)?;
        queries::lines::may_give(tx, tx.by(), None, to)?;
        series.assignee = to;
    }
    if let Some(schedule) = patch.schedule {
        series.schedule = schedule;
    }
    if let Some(day) = patch.ends_on {
        series.ends_on = day.map(day_number);
    }
    series.ends_after = patch.ends_after.unwrap_or(series.ends_after);
    let moved = series.schedule != old.schedule
        || series.ends_on != old.ends_on
        || series.ends_after != old.ends_after;
    if moved && series.paused_at.is_none() {
        plan(tx, &mut series)?;
    }
    if series == old {
        return Ok(old);
    }
    series.updated_at = tx.now();
    tx.put(&series)?;
    Ok(series)
}

/// "This and all following": copies these fields of a task to its series. An empty list copies every field in which
/// they differ.
///
/// # Errors
/// If the task belongs to no series, or its due date cannot be expressed by the series.
pub fn follow(tx: &mut WriteTx<'_>, task: TaskId, fields: &[Common]) -> Result<Series, TaskError> {
    let task = queries::get(tx, task)?;
    let Some(series) = reads::of_task(tx, &task)? else {
        return Err(TaskError::field("scope", "this task isn't part of a series"));
    };
    let differing = reads::differing(tx, &task, &series)?;
    let fits = |field: &&Common| fields.is_empty() || fields.contains(field);
    let mut patch = SeriesPatch::default();
    for field in differing.iter().filter(fits) {
        match field {
            Common::Title => patch.title = Some(task.title.clone()),
            Common::Description => patch.description = Some(task.description.clone()),
            Common::Priority => patch.priority = Some(task.priority),
            Common::Assignee => patch.assignee = Some(task.assignee),
            Common::Stream => patch.stream = Some(task.stream),
            Common::Model => patch.model = Some(task.model.clone()),
            Common::Thinking => patch.thinking = Some(task.thinking),
            Common::Labels => {
                let labels = queries::labels::of(tx, task.id)?;
                patch.labels = Some(labels.into_iter().map(|label| label.name).collect());
            }
            Common::Due => {
                let due = reads::due_of(&series, &task);
                let text = "the due date is before the task's day or more than a year after it; \
                            choose another date";
                patch.due = Some(due.ok_or_else(|| TaskError::field("due", text))?);
            }
        }
    }
    update(tx, series.id, patch)
}

/// Fails if the series changed since revision `rev`. Creating an occurrence does not count as a change, so a form that
/// was open meanwhile can still be saved.
///
/// # Errors
/// `Stale`, or if there is no such series.
pub fn check_rev(tx: &WriteTx<'_>, id: SeriesId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    let (series, now) = reads::get_rev(tx, id)?;
    match now == expected || reads::says_as_after(tx, tx.schema(), &series, expected)? {
        true => Ok(()),
        false => Err(StoreError::Stale.into()),
    }
}

/// Validates a due rule.
fn check_due(due: Option<DueAfter>, wrong: &mut Vec<FieldError>) {
    let Some(due) = due else { return };
    if reads::MOST_DAYS < due.days {
        let message = format!("use at most {} days", reads::MOST_DAYS);
        wrong.push(FieldError::new("due_after.days", message));
    }
    if due.minute.is_some_and(|minute| 24 * 60 <= minute) {
        wrong.push(FieldError::new("due_after.time", "use a time of day such as 17:00"));
    }
}

/// Stops creating tasks until the series is resumed.
pub fn pause(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Series, TaskError> {
    let mut series = reads::get(tx, id)?;
    if series.going() != Going::Active {
        return Ok(series);
    }
    (series.paused_at, series.next_at) = (Some(tx.now()), None);
    series.updated_at = tx.now();
    tx.put(&series)?;
    Ok(series)
}

/// Resumes a series from now. The paused time creates no tasks.
///
/// # Errors
/// If there is no such series or the schedule has no slot left.
pub fn resume(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Series, TaskError> {
    let mut series = reads::get(tx, id)?;
    if series.paused_at.is_none() {
        return Ok(series);
    }
    series.paused_at = None;
    plan(tx, &mut series)?;
    series.updated_at = tx.now();
    tx.put(&series)?;
    Ok(series)
}

/// Deletes a series. Its tasks stay.
///
/// # Errors
/// If there is no such series, or it has too many tasks to process in one transaction.
pub fn remove(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Series, TaskError> {
    let series = reads::get(tx, id)?;
    tx.delete::<Series>(id)?;
    Ok(series)
}

/// Creates the next task at once and uses up its slot.
///
/// # Errors
/// If no slot is left.
pub fn spawn_now(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Task, TaskError> {
    let series = reads::get(tx, id)?;
    let mut at = match series.next_at {
        Some(at) => Some(at),
        // A paused series has no `next_at`; use the slot that would come.
        None => open_slot(tx, &series, tx.now())?,
    };
    while let Some(slot) = at {
        let now = reads::get(tx, id)?;
        if let Some(task) = spawn(tx, now, (slot, 0))? {
            return Ok(task);
        }
        at = open_slot(tx, &series, slot)?;
    }
    Err(TaskError::field("series", "this series has ended; change its end date first"))
}

/// Creates the task of the newest due slot, if any. Older due slots are skipped and counted.
pub fn spawn_due(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Option<Task>, TaskError> {
    let Some(series) = tx.get::<Series>(id)? else { return Ok(None) };
    let now = tx.now();
    let due = series.next_at.filter(|at| *at <= now && series.paused_at.is_none());
    let Some(due) = due else { return Ok(None) };
    let until = last_moment(&series).map_or(now, |last| last.min(now));
    let (at, skipped) = match series.schedule.passed(due, until) {
        Some(passed) => (passed.last, passed.count),
        None => (due, 0),
    };
    spawn(tx, series, (at, skipped))
}

/// Pauses a series whose task cannot be created, until a person intervenes.
pub fn give_up(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<(), TaskError> {
    pause(tx, id).map(drop)
}

/// Uses a slot and plans the next one. Does nothing for a slot that was already used.
fn spawn(
    tx: &mut WriteTx<'_>,
    mut series: Series,
    (at, skipped): (Timestamp, u32),
) -> Result<Option<Task>, TaskError> {
    let unused = tx.get::<Occurrence>((series.id, at))?.is_none();
    let task = if unused { Some(make(tx, &series, (at, skipped))?) } else { None };
    if series.paused_at.is_none() {
        series.next_at = open_slot(tx, &series, at)?;
        tx.put(&series)?;
    }
    Ok(task)
}

fn make(
    tx: &mut WriteTx<'_>,
    series: &Series,
    (at, skipped): (Timestamp, u32),
) -> Result<Task, TaskError> {
    if series.missed == MissedPolicy::AutoSkip {
        skip_open(tx, series.id)?;
    }
    let new = NewTask {
        description: series.description.clone(),
        priority: series.priority,
        assignee: usable(tx, series.assignee)?,
        due_at: reads::due_at(series, at),
        due_has_time: series.due.is_some_and(|due| due.minute.is_some()),
        stream: open_stream(tx, series.stream)?,
        series: Some((series.id, at)),
        model: series.model.clone(),
        thinking: series.thinking,
        ..NewTask::titled(series.title.clone())
    };
    let task = super::create(tx, new)?;
    if !series.labels.is_empty() {
        let filter = LabelFilter::Exactly(series.labels.clone());
        // Invalid label names do not prevent the task.
        match tx.attempt(|tx| labels::ask(tx, task.id, filter)) {
            Ok(_) => {}
            Err(TaskError::Store(error)) => return Err(error.into()),
            Err(error) => tracing::warn!(series = %series.id, %error, "its labels were left out"),
        }
    }
    let row = Occurrence { series: series.id, at, task: Some(task.id), skipped, made_at: tx.now() };
    tx.put(&row)?;
    Ok(task)
}

/// Drops an archived agent; the task is then unassigned.
fn usable(tx: &WriteTx<'_>, who: Option<Assignee>) -> Result<Option<Assignee>, StoreError> {
    let Some(Assignee::Agent(id)) = who else { return Ok(who) };
    let agent = tx.get::<Agent>(id)?;
    Ok(who.filter(|_| agent.is_some_and(|agent| agent.archived_at.is_none())))
}

/// Drops an archived stream; the task then has no stream.
fn open_stream(tx: &WriteTx<'_>, stream: Option<StreamId>) -> Result<Option<StreamId>, TaskError> {
    match checks::stream(tx, stream) {
        Ok(()) => Ok(stream),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Marks open tasks of a series as missed, except those in progress.
fn skip_open(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<(), TaskError> {
    for task in reads::open_tasks(tx, id)? {
        let since = task.occurrence_at.unwrap_or(task.created_at);
        if overdue::is_lost(tx, &task, since)? {
            super::set_status(tx, task.id, TaskStatus::Missed)?;
        }
    }
    Ok(())
}

/// Finds the next slot from now, or from the first day if that is later.
fn plan(tx: &WriteTx<'_>, series: &mut Series) -> Result<(), TaskError> {
    let mut wrong = Vec::new();
    if series.schedule.is_by_moments() {
        let text = "tasks recur by days: daily, weekdays, weekly, monthly, every_n_days or cron";
        wrong.push(("schedule.cadence_type", text.to_owned()));
    }
    if series.ends_after.is_some_and(|count| !(1..=MOST).contains(&count)) {
        wrong.push(("ends_after_count", format!("use 1 to {MOST}")));
    }
    if series.last_day().is_some_and(|last| last < series.schedule.starts_on()) {
        wrong.push(("ends_on", "the end is before the start".to_owned()));
    }
    if wrong.is_empty() {
        series.next_at = open_slot(tx, series, tx.now())?;
        if series.next_at.is_none() {
            wrong.push(match reads::spawned(tx, series.id)? {
                made if series.ends_after.is_some_and(|most| most <= made) => {
                    ("ends_after_count", format!("{made} were created already"))
                }
                _ if series.ends_on.is_some() => {
                    ("ends_on", "there is no occurrence until then; choose a later day".to_owned())
                }
                _ => ("schedule", "there are no more occurrences; choose a later time".to_owned()),
            });
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Invalid(
            wrong.into_iter().map(|(field, text)| FieldError::new(field, text)).collect(),
        )),
    }
}

/// First unused slot after a moment, within the limits of the series.
fn open_slot(
    tx: &WriteTx<'_>,
    series: &Series,
    after: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let made = reads::spawned(tx, series.id)?;
    if series.ends_after.is_some_and(|most| most <= made) {
        return Ok(None);
    }
    let last = last_moment(series);
    let mut after = after;
    while let Some(at) = series.schedule.next(after) {
        if last.is_some_and(|last| last < at) {
            return Ok(None);
        }
        if tx.get::<Occurrence>((series.id, at))?.is_none() {
            return Ok(Some(at));
        }
        after = at;
    }
    Ok(None)
}

/// Last millisecond of the last day.
fn last_moment(series: &Series) -> Option<Timestamp> {
    let behind = midnight(&series.schedule.zone(), series.last_day()?.tomorrow().ok()?)?;
    Some(kernel::time::from_ms(behind.as_millisecond() - 1))
}

/// Trims names, drops empty ones and removes duplicates.
fn names(labels: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for label in labels {
        let label = label.trim();
        let known = names.iter().any(|name| name.eq_ignore_ascii_case(label));
        if !label.is_empty() && !known {
            names.push(label.to_owned());
        }
    }
    names
}
