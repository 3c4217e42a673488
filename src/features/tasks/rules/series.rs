//! Recurring tasks. A slot of a series is used once: the row of its occurrence, the task and the next
//! moment are written in one transaction, and only here.

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

/// The most tasks that a series may be said to end after.
const MOST: u32 = 100_000;

/// A series to be made.
#[derive(Clone, Debug)]
pub struct NewSeries {
    /// The title of each task.
    pub title: String,
    /// The description of each.
    pub description: String,
    /// How urgent each is.
    pub priority: Priority,
    /// Who each is for.
    pub assignee: Option<Assignee>,
    /// The stream of each.
    pub stream: Option<StreamId>,
    /// Model in place of the agent's.
    pub model: Option<String>,
    /// Thinking level in place of the agent's.
    pub thinking: Option<Thinking>,
    /// Names of labels.
    pub labels: Vec<String>,
    pub schedule: Schedule,
    /// What becomes of the one before.
    pub missed: MissedPolicy,
    /// The last day.
    pub ends_on: Option<Date>,
    /// After how many it ends.
    pub ends_after: Option<u32>,
    /// When each is due, if ever.
    pub due: Option<DueAfter>,
}

/// What is to change; what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct SeriesPatch {
    pub title: Option<String>,
    pub description: Option<String>,
    pub priority: Option<Priority>,
    /// Who each is for, or nobody.
    pub assignee: Option<Option<Assignee>>,
    /// The stream, or none.
    pub stream: Option<Option<StreamId>>,
    /// The model, or the agent's.
    pub model: Option<Option<String>>,
    /// The thinking level, or the agent's.
    pub thinking: Option<Option<Thinking>>,
    pub labels: Option<Vec<String>>,
    pub schedule: Option<Schedule>,
    /// What becomes of the one before.
    pub missed: Option<MissedPolicy>,
    /// The last day, or none.
    pub ends_on: Option<Option<Date>>,
    /// After how many it ends, or never.
    pub ends_after: Option<Option<u32>>,
    /// When each is due, or never.
    pub due: Option<Option<DueAfter>>,
}

/// Makes a series. Its first task is made when its moment comes.
///
/// # Errors
/// When the input is wrong, or nothing ever happens.
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

/// Changes what the tasks to come are like, or when they come. Those that were made stay as they are.
///
/// # Errors
/// When the input is wrong, or nothing would ever happen again.
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

/// "This and all that follow": what a task of a series is like now in these fields, the tasks to come are
/// like, too. All in which it differs when none are given.
///
/// # Errors
/// When the task belongs to no series, or is due on a day that its series cannot say.
pub fn follow(tx: &mut WriteTx<'_>, task: TaskId, fields: &[Common]) -> Result<Series, TaskError> {
    let task = queries::get(tx, task)?;
    let Some(series) = reads::of_task(tx, &task)? else {
        return Err(TaskError::field("scope", "this task belongs to no series"));
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
                let text =
                    "it is due before its day, or more than a year after; choose another date";
                patch.due = Some(due.ok_or_else(|| TaskError::field("due", text))?);
            }
        }
    }
    update(tx, series.id, patch)
}

/// Refuses when the series has changed since the caller read it. That one of its tasks was made since is no
/// change: a form that was open over its moment can be saved.
///
/// # Errors
/// `Stale`, or when there is no such series.
pub fn check_rev(tx: &WriteTx<'_>, id: SeriesId, rev: Option<u64>) -> Result<(), TaskError> {
    let Some(expected) = rev else { return Ok(()) };
    let (series, now) = reads::get_rev(tx, id)?;
    match now == expected || reads::says_as_after(tx, tx.schema(), &series, expected)? {
        true => Ok(()),
        false => Err(StoreError::Stale.into()),
    }
}

/// Whether tasks can be due so.
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

/// Makes no more tasks until it is resumed.
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

/// Goes on from now; nothing is made for the time in which it was paused.
///
/// # Errors
/// When there is no such series, or nothing would ever happen again.
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

/// Takes a series away; the tasks that it made stay.
///
/// # Errors
/// When there is no such series, or it has made so many tasks that they cannot be looked at together.
pub fn remove(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Series, TaskError> {
    let series = reads::get(tx, id)?;
    tx.delete::<Series>(id)?;
    Ok(series)
}

/// Makes the next task at once; its slot is used then.
///
/// # Errors
/// When no slot is left.
pub fn spawn_now(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<Task, TaskError> {
    let series = reads::get(tx, id)?;
    let mut at = match series.next_at {
        Some(at) => Some(at),
        // A paused one: the slot that would come.
        None => open_slot(tx, &series, tx.now())?,
    };
    while let Some(slot) = at {
        let now = reads::get(tx, id)?;
        if let Some(task) = spawn(tx, now, (slot, 0))? {
            return Ok(task);
        }
        at = open_slot(tx, &series, slot)?;
    }
    Err(TaskError::field("series", "this series has ended; change its end first"))
}

/// Makes the task of the newest slot that has come, if one has. Older ones that nobody was there for
/// are left out, and counted.
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

/// A series whose task cannot be made rests until a person looks at it.
pub fn give_up(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<(), TaskError> {
    pause(tx, id).map(drop)
}

/// Uses a slot and plans the next one. Makes nothing for a slot that was used before.
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
        let asked = LabelFilter::Exactly(series.labels.clone());
        // What cannot be a label any more keeps no task from being made.
        match tx.attempt(|tx| labels::ask(tx, task.id, asked)) {
            Ok(_) => {}
            Err(TaskError::Store(error)) => return Err(error.into()),
            Err(error) => tracing::warn!(series = %series.id, %error, "its labels were left out"),
        }
    }
    let row = Occurrence { series: series.id, at, task: Some(task.id), skipped, made_at: tx.now() };
    tx.put(&row)?;
    Ok(task)
}

/// An agent that takes no work any more gets none: the task is for nobody then.
fn usable(tx: &WriteTx<'_>, who: Option<Assignee>) -> Result<Option<Assignee>, StoreError> {
    let Some(Assignee::Agent(id)) = who else { return Ok(who) };
    let agent = tx.get::<Agent>(id)?;
    Ok(who.filter(|_| agent.is_some_and(|agent| agent.archived_at.is_none())))
}

/// A stream that is out of the way gets none: the task stands by itself then.
fn open_stream(tx: &WriteTx<'_>, stream: Option<StreamId>) -> Result<Option<StreamId>, TaskError> {
    match checks::stream(tx, stream) {
        Ok(()) => Ok(stream),
        Err(TaskError::Store(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Marks the open tasks of a series as missed, unless somebody is at them.
fn skip_open(tx: &mut WriteTx<'_>, id: SeriesId) -> Result<(), TaskError> {
    for task in reads::open_tasks(tx, id)? {
        let since = task.occurrence_at.unwrap_or(task.created_at);
        if overdue::is_lost(tx, &task, since)? {
            super::set_status(tx, task.id, TaskStatus::Missed)?;
        }
    }
    Ok(())
}

/// Finds the next slot from now on, or from the first day if that is later.
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
        wrong.push(("ends_on", "it ends before it begins".to_owned()));
    }
    if wrong.is_empty() {
        series.next_at = open_slot(tx, series, tx.now())?;
        if series.next_at.is_none() {
            wrong.push(match reads::spawned(tx, series.id)? {
                made if series.ends_after.is_some_and(|most| most <= made) => {
                    ("ends_after_count", format!("{made} were made already"))
                }
                _ if series.ends_on.is_some() => {
                    ("ends_on", "nothing happens until then; choose a later day".to_owned())
                }
                _ => ("schedule", "nothing happens any more; choose a later time".to_owned()),
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

/// The first slot after a moment that is not used, while the series lasts.
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

/// The last millisecond of the last day.
fn last_moment(series: &Series) -> Option<Timestamp> {
    let behind = midnight(&series.schedule.zone(), series.last_day()?.tomorrow().ok()?)?;
    Some(kernel::time::from_ms(behind.as_millisecond() - 1))
}

/// Names of labels, each once, without what is empty.
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
