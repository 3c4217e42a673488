//! Reads of recurring tasks.

use schemars::JsonSchema;
use serde::Serialize;

use super::brief::Names;
use super::error::TaskError;
use super::json::WhoView;
use crate::features::tasks::model::Task;
use crate::features::tasks::model::series::{BY_NEXT, Occurrence, SPAWNED, Series};
use crate::kernel::{
    MissedPolicy, Priority, ScheduleFields, SeriesId, StreamId, TaskStatus, Thinking, Timestamp,
};
use crate::store::{Hit, KeyBuf, Range, Read, ReadExt as _, StoreError};

/// How many of the newest tasks of a series are counted.
pub const COUNTED: usize = 100;

/// A series by its id.
///
/// # Errors
/// When there is none.
pub fn get(read: &dyn Read, id: SeriesId) -> Result<Series, TaskError> {
    get_rev(read, id).map(|(series, _)| series)
}

/// A series by its id, with its rev.
///
/// # Errors
/// When there is none.
pub fn get_rev(read: &dyn Read, id: SeriesId) -> Result<(Series, u64), TaskError> {
    read.get_rev::<Series>(id)?.ok_or(TaskError::NoSeries)
}

/// All series: what comes next first, then what is paused or over, newest first.
///
/// # Errors
/// When the store fails.
pub fn all(read: &dyn Read) -> Result<Vec<Series>, StoreError> {
    let mut all = read.list::<Series>(&Range::all())?;
    all.sort_by_key(|series| {
        (series.next_at.is_none(), series.next_at, std::cmp::Reverse(series.id))
    });
    Ok(all)
}

/// Series whose moment has come, at most so many.
///
/// # Errors
/// When the store fails.
pub fn due(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<SeriesId>, StoreError> {
    let behind = crate::kernel::time::from_ms(now.as_millisecond().saturating_add(1));
    let range = Range::between(KeyBuf::new(), KeyBuf::of(&behind));
    read.ids::<Series>(BY_NEXT, &range.limit(limit))
}

/// When the next task of any series is made.
///
/// # Errors
/// When the store fails.
pub fn next(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Series> = read.scan(BY_NEXT, &Range::all().limit(1))?;
    Ok(first.first().and_then(|series| series.next_at))
}

/// How many tasks a series has made.
///
/// # Errors
/// When the store fails.
pub fn spawned(read: &dyn Read, id: SeriesId) -> Result<u32, StoreError> {
    Ok(u32::try_from(read.sum(SPAWNED, &KeyBuf::of(&id))?).unwrap_or(0))
}

/// The newest slots of a series that were used, newest first.
///
/// # Errors
/// When the store fails.
pub fn used(read: &dyn Read, id: SeriesId, limit: usize) -> Result<Vec<Occurrence>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&id)).reverse().limit(limit);
    let hits: Vec<Hit<Occurrence>> = read.rows(&range)?;
    Ok(hits.into_iter().map(|hit| hit.record).collect())
}

/// The series that a task belongs to.
///
/// # Errors
/// When the store fails.
pub fn of_task(read: &dyn Read, task: &Task) -> Result<Option<Series>, StoreError> {
    match task.series {
        Some(id) => read.get::<Series>(id),
        None => Ok(None),
    }
}

/// The open tasks of a series, among its newest.
///
/// # Errors
/// When the store fails.
pub fn open_tasks(read: &dyn Read, id: SeriesId) -> Result<Vec<Task>, StoreError> {
    let mut open = Vec::new();
    for slot in used(read, id, COUNTED)? {
        let Some(task) = slot.task else { continue };
        let task = read.get::<Task>(task)?;
        open.extend(task.filter(|task| task.status.is_open() && task.archived_at.is_none()));
    }
    Ok(open)
}

/// What became of the newest tasks of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// Finished.
    pub done: u32,
    /// Missed.
    pub missed: u32,
    /// Open.
    pub open: u32,
    /// All that were made, ever.
    pub total: u32,
}

/// What became of the newest tasks of a series.
///
/// # Errors
/// When the store fails.
pub fn tally(read: &dyn Read, id: SeriesId) -> Result<Tally, StoreError> {
    let mut tally = Tally { total: spawned(read, id)?, ..Tally::default() };
    for slot in used(read, id, COUNTED)? {
        let task = match slot.task {
            Some(task) => read.get::<Task>(task)?,
            None => None,
        };
        match task.map(|task| task.status) {
            Some(TaskStatus::Done) => tally.done += 1,
            Some(TaskStatus::Missed) => tally.missed += 1,
            Some(status) if status.is_open() => tally.open += 1,
            _ => {}
        }
    }
    Ok(tally)
}

/// A series as the API shows it.
#[derive(Serialize, JsonSchema)]
pub struct SeriesView {
    id: SeriesId,
    title: String,
    /// Markdown.
    description: String,
    priority: Priority,
    assignee: Option<WhoView>,
    /// The id of its stream.
    stream: Option<StreamId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    labels: Vec<String>,
    schedule: ScheduleFields,
    /// The schedule in words.
    words: String,
    missed_policy: MissedPolicy,
    ends_on: Option<String>,
    ends_after_count: Option<u32>,
    /// `active`, `paused` or `ended`.
    state: &'static str,
    #[schemars(with = "Option<String>")]
    next_occurrence_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    last_spawned_at: Option<Timestamp>,
    /// What became of the newest hundred.
    tasks: Tally,
    created_by: WhoView,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
}

impl SeriesView {
    /// A series as the API shows it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(read: &dyn Read, names: &Names, series: Series) -> Result<Self, StoreError> {
        let last = used(read, series.id, 1)?;
        Ok(Self {
            id: series.id,
            state: series.going().word(),
            schedule: ScheduleFields::from(&series.schedule),
            words: series.schedule.words(),
            ends_on: series.last_day().map(|day| day.to_string()),
            last_spawned_at: last.first().map(|slot| slot.made_at),
            tasks: tally(read, series.id)?,
            title: series.title,
            description: series.description,
            priority: series.priority,
            assignee: series.assignee.map(|who| WhoView::of(names, who)),
            stream: series.stream,
            model: series.model,
            thinking: series.thinking,
            labels: series.labels,
            missed_policy: series.missed,
            ends_after_count: series.ends_after,
            next_occurrence_at: series.next_at,
            created_by: WhoView::actor(names, series.created_by),
            created_at: series.created_at,
            updated_at: series.updated_at,
        })
    }
}

/// A slot of a series that was used, as the API shows it.
#[derive(Serialize, JsonSchema)]
pub struct SlotView {
    #[schemars(with = "String")]
    occurrence_at: Timestamp,
    /// The key of the task, while it is there.
    task: Option<String>,
    status: Option<TaskStatus>,
    /// How many slots before it were left out, since nobody was there.
    catchup_skipped: u32,
    #[schemars(with = "String")]
    spawned_at: Timestamp,
}

impl SlotView {
    /// A slot as the API shows it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(read: &dyn Read, names: &Names, slot: &Occurrence) -> Result<Self, StoreError> {
        let task = match slot.task {
            Some(task) => read.get::<Task>(task)?,
            None => None,
        };
        Ok(Self {
            occurrence_at: slot.at,
            task: task.as_ref().map(|task| names.of(task)),
            status: task.map(|task| task.status),
            catchup_skipped: slot.skipped,
            spawned_at: slot.made_at,
        })
    }
}
