//! Reads of recurring tasks.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::brief::Names;
use super::error::TaskError;
use super::json::WhoView;
use super::labels;
use crate::tasks::model::Task;
use crate::tasks::model::series::{BY_NEXT, DueAfter, Occurrence, SPAWNED, Series};
use kernel::cadence::{date_at, day_number, instant};
use kernel::clock;
use kernel::key::KeyBuf;
use kernel::time::local_text;
use kernel::{
    MissedPolicy, Priority, ScheduleFields, SeriesId, StreamId, TaskStatus, Thinking, Timestamp,
    TypedId as _,
};
use store::history::{self, Steps};
use store::{Hit, Range, Read, ReadExt as _, Root, Schema, StoreError, record};

/// Number of upcoming slots in a view.
pub const AHEAD: usize = 5;

/// Number of newest tasks of a series that are counted.
pub const COUNTED: usize = 100;

/// Maximum number of revisions to search for an earlier version of a series.
const MOST_STEPS: usize = 500;

/// Maximum number of days between a slot and its due date.
pub const MOST_DAYS: u16 = 366;

/// A field that all tasks of a series share. It can be changed for one task, or for one and all following tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Common {
    Title,
    Description,
    Priority,
    Assignee,
    Stream,
    Model,
    Thinking,
    Labels,
    Due,
}

impl Common {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Description => "description",
            Self::Priority => "priority",
            Self::Assignee => "assignee",
            Self::Stream => "stream",
            Self::Model => "model",
            Self::Thinking => "thinking",
            Self::Labels => "labels",
            Self::Due => "due date",
        }
    }
}

/// Fields in which a task differs from its series.
pub fn differing(read: &dyn Read, task: &Task, series: &Series) -> Result<Vec<Common>, StoreError> {
    let folded = |name: &String| name.trim().to_lowercase();
    let mut own: Vec<String> = Vec::new();
    for label in labels::of(read, task.id)? {
        own.push(folded(&label.name));
    }
    let mut theirs: Vec<String> = series.labels.iter().map(folded).collect();
    own.sort_unstable();
    theirs.sort_unstable();
    let all = [
        (Common::Title, task.title != series.title),
        (Common::Description, task.description != series.description),
        (Common::Priority, task.priority != series.priority),
        (Common::Assignee, task.assignee != series.assignee),
        (Common::Stream, task.stream != series.stream),
        (Common::Model, task.model != series.model),
        (Common::Thinking, task.thinking != series.thinking),
        (Common::Labels, own != theirs),
        (Common::Due, due_of(series, task) != Some(series.due)),
    ];
    Ok(all.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect())
}

/// Due time of the task of a slot, in the zone of the series.
#[must_use]
pub fn due_at(series: &Series, at: Timestamp) -> Option<Timestamp> {
    let due = series.due?;
    let day = date_at(day_number(series.schedule.date_of(at)) + i32::from(due.days));
    let time = match due.minute {
        Some(minute) => {
            let part = |number: u16| i8::try_from(number).ok();
            Time::new(part(minute / 60)?, part(minute % 60)?, 0, 0).ok()?
        }
        None => Time::new(23, 59, 59, 0).ok()?,
    };
    let end = instant(&series.schedule.zone(), day.to_datetime(time))?;
    // The due time can be before the slot: late in the evening of a day that loses its last hour, or with an earlier
    // time of day.
    Some(end.max(at))
}

/// Due rule of a series that yields the due time of this task. `None` if no rule does: the due date is before the
/// slot's day or too far after it.
#[must_use]
pub fn due_of(series: &Series, task: &Task) -> Option<Option<DueAfter>> {
    let (Some(due), Some(slot)) = (task.due_at, task.occurrence_at) else {
        return task.due_at.is_none().then_some(None);
    };
    // The series' own rule, also where a clock change shifted the result.
    if series.due.is_some() && due_at(series, slot) == Some(due) {
        return Some(series.due);
    }
    let wall = series.schedule.zone().to_datetime(due);
    let days = day_number(wall.date()) - day_number(series.schedule.date_of(slot));
    let days = u16::try_from(days).ok().filter(|days| *days <= MOST_DAYS)?;
    let clock = || {
        u16::try_from(wall.hour())
            .ok()?
            .checked_mul(60)?
            .checked_add(u16::try_from(wall.minute()).ok()?)
    };
    let minute = if task.due_has_time { clock() } else { None };
    Some(Some(DueAfter { days, minute }))
}

/// When each task of a series is due, in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DueFields {
    /// So many days after the day of its slot; 0 is the same day.
    pub days: u16,
    /// At this time of that day, such as `17:00`; at its end if left out.
    pub time: Option<String>,
}

impl DueFields {
    /// Parses the due rule.
    ///
    /// # Errors
    /// If the time is invalid.
    pub fn read(&self) -> Result<DueAfter, TaskError> {
        let minute = match self.time.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => {
                let time = clock::read(text).ok_or_else(|| {
                    TaskError::field("due_after.time", "use a time of day such as 17:00")
                })?;
                Some(clock::minutes(time))
            }
            None => None,
        };
        Ok(DueAfter { days: self.days, minute })
    }
}

impl From<DueAfter> for DueFields {
    fn from(due: DueAfter) -> Self {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self { days: due.days, time: due.minute.map(clock) }
    }
}

pub fn get(read: &dyn Read, id: SeriesId) -> Result<Series, TaskError> {
    get_rev(read, id).map(|(series, _)| series)
}

/// Series and its revision.
pub fn get_rev(read: &dyn Read, id: SeriesId) -> Result<(Series, u64), TaskError> {
    read.get_rev::<Series>(id)?.ok_or(TaskError::NoSeries)
}

/// Returns `true` if the series equals its version after the transaction `rev`, apart from the planned next slot.
pub fn says_as_after(
    read: &dyn Read,
    schema: &Schema,
    series: &Series,
    rev: u64,
) -> Result<bool, StoreError> {
    let root = Root::of::<Series>(series.id);
    let then = history::at(read, schema, &root, rev, &mut Steps::of(MOST_STEPS))?;
    let Some(bytes) = then.as_ref().and_then(|version| version.after.bytes()) else {
        return Ok(false);
    };
    let then = record::read::<Series>(bytes)?.0;
    Ok(Series { next_at: series.next_at, ..then } == *series)
}

/// Finds a series by short id, full id or case-insensitive title. If several have the title, returns the one with the
/// nearest slot.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Series, TaskError> {
    let text = text.trim();
    let fits = |one: &Series| {
        let by_id = one.id.short() == text || one.id.to_string() == text;
        by_id || one.title.eq_ignore_ascii_case(text)
    };
    all(read)?.into_iter().find(fits).ok_or(TaskError::NoSeries)
}

/// All series: active ones by next slot, then paused and ended ones, newest first.
pub fn all(read: &dyn Read) -> Result<Vec<Series>, StoreError> {
    let mut all = read.list::<Series>(&Range::all())?;
    all.sort_by_key(|series| {
        (series.next_at.is_none(), series.next_at, std::cmp::Reverse(series.id))
    });
    Ok(all)
}

/// Series with a due slot, at most `limit`.
pub fn due(read: &dyn Read, now: Timestamp, limit: usize) -> Result<Vec<SeriesId>, StoreError> {
    let behind = kernel::time::from_ms(now.as_millisecond().saturating_add(1));
    let range = Range::between(KeyBuf::new(), KeyBuf::of(&behind));
    read.ids::<Series>(BY_NEXT, &range.limit(limit))
}

/// Next slot of any series.
pub fn next(read: &dyn Read) -> Result<Option<Timestamp>, StoreError> {
    let first: Vec<Series> = read.scan(BY_NEXT, &Range::all().limit(1))?;
    Ok(first.first().and_then(|series| series.next_at))
}

/// Number of tasks that a series has created.
pub fn spawned(read: &dyn Read, id: SeriesId) -> Result<u32, StoreError> {
    Ok(u32::try_from(read.sum(SPAWNED, &KeyBuf::of(&id))?).unwrap_or(0))
}

/// Upcoming slots of a series, at most `limit`, up to its end. Empty while it is paused.
pub fn coming(
    read: &dyn Read,
    series: &Series,
    limit: usize,
) -> Result<Vec<Timestamp>, StoreError> {
    let Some(first) = series.next_at else { return Ok(Vec::new()) };
    let left = match series.ends_after {
        Some(most) => {
            usize::try_from(most.saturating_sub(spawned(read, series.id)?)).unwrap_or(limit)
        }
        None => limit,
    };
    let last = series.last_day();
    let more = series.schedule.upcoming(first, limit.saturating_sub(1)).into_iter();
    let more = more.take_while(|at| last.is_none_or(|last| series.schedule.date_of(*at) <= last));
    Ok(std::iter::once(first).chain(more).take(left.min(limit)).collect())
}

/// Used slots of a series, newest first.
pub fn used(read: &dyn Read, id: SeriesId, limit: usize) -> Result<Vec<Occurrence>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&id)).reverse().limit(limit);
    let hits: Vec<Hit<Occurrence>> = read.rows(&range)?;
    Ok(hits.into_iter().map(|hit| hit.record).collect())
}

pub fn of_task(read: &dyn Read, task: &Task) -> Result<Option<Series>, StoreError> {
    match task.series {
        Some(id) => read.get::<Series>(id),
        None => Ok(None),
    }
}

/// Open tasks among the newest [`COUNTED`] tasks of a series.
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

/// Counts the outcomes of the newest [`COUNTED`] tasks of a series.
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
    /// When each is due; never when there is nothing.
    due_after: Option<DueFields>,
    ends_on: Option<String>,
    ends_after_count: Option<u32>,
    /// `active`, `paused` or `ended`.
    state: &'static str,
    #[schemars(with = "Option<String>")]
    next_occurrence_at: Option<Timestamp>,
    /// The next five by the clock of whoever asks, such as `2026-11-20T09:00:00+01:00`.
    next: Vec<String>,
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
    pub fn of(
        read: &dyn Read,
        names: &Names,
        (series, zone): (Series, &TimeZone),
    ) -> Result<Self, StoreError> {
        let last = used(read, series.id, 1)?;
        let next = coming(read, &series, AHEAD)?.into_iter().map(|at| local_text(at, zone));
        Ok(Self {
            next: next.collect(),
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
            due_after: series.due.map(DueFields::from),
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
