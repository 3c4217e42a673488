//! Lists of tasks: filter, order, pages, counts.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::due;
use super::standing::{self, Standing};
use crate::features::comments::model as comments;
use crate::features::tasks::model::{self, Task};
use crate::kernel::cursor::Page;
use crate::kernel::{Assignee, Priority, TaskId, TaskStatus};
use crate::store::{Key as _, KeyBuf, Range, Read, ReadExt, StoreError, cursor_key, key_cursor};

/// Whose tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Anybody's.
    #[default]
    Any,
    /// Nobody's.
    Nobody,
    /// This one's.
    One(Assignee),
}

/// Which due dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueIn {
    /// Before today and still open.
    Overdue,
    /// Up to the end of today.
    Today,
    /// Up to six days from today.
    Week,
    /// Without one.
    Never,
}

impl DueIn {
    /// Every value with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Overdue, "overdue", "Overdue"),
        (Self::Today, "today", "Today or earlier"),
        (Self::Week, "week", "Within a week"),
        (Self::Never, "none", "No date"),
    ];

    /// The value of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most urgent first, then the nearest due date.
    #[default]
    Priority,
    /// Nearest due date first.
    Due,
    /// Newest first.
    Created,
    /// Last changed first.
    Updated,
    /// By title.
    Title,
}

impl Sort {
    /// Every order with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Priority, "priority", "Priority"),
        (Self::Due, "due", "Due date"),
        (Self::Updated, "updated", "Last changed"),
        (Self::Created, "created", "Newest"),
        (Self::Title, "title", "Title"),
    ];

    /// The order of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }
}

/// Which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Words that stand in the title, the description or the number; case does not matter.
    pub q: String,
    /// These statuses; none means all.
    pub status: Vec<TaskStatus>,
    /// Whose.
    pub assignee: Whose,
    /// These priorities; none means all.
    pub priority: Vec<Priority>,
    /// With such a due date.
    pub due: Option<DueIn>,
    /// Parts of this task only.
    pub parent: Option<TaskId>,
    /// The archived ones in place of the others.
    pub archived: bool,
}

/// The statuses of work that may still happen.
pub const OPEN: [TaskStatus; 3] = [TaskStatus::InProgress, TaskStatus::Blocked, TaskStatus::Todo];

/// The day and zone in which due dates are judged.
#[derive(Clone, Debug)]
pub struct Today {
    /// Now.
    pub now: Timestamp,
    /// Where.
    pub zone: TimeZone,
}

/// All tasks that fit, in the order asked for.
///
/// # Errors
/// When the store fails.
pub fn select(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
) -> Result<Vec<Task>, StoreError> {
    let q = filter.q.trim().to_lowercase();
    let number = super::number(read, filter.q.trim())?;
    let last = last_moment(filter.due, today);
    let mut found = candidates(read, filter)?;
    found.retain(|task| {
        task.archived_at.is_some() == filter.archived
            && (filter.status.is_empty() || filter.status.contains(&task.status))
            && (filter.priority.is_empty() || filter.priority.contains(&task.priority))
            && (filter.parent.is_none() || filter.parent == task.parent)
            && match filter.assignee {
                Whose::Any => true,
                Whose::Nobody => task.assignee.is_none(),
                Whose::One(who) => task.assignee == Some(who),
            }
            && match filter.due {
                None => true,
                Some(DueIn::Never) => task.due_at.is_none(),
                Some(DueIn::Overdue) => task.status.is_open() && is_before(task.due_at, last),
                Some(DueIn::Today | DueIn::Week) => is_before(task.due_at, last),
            }
            && (q.is_empty() || number == Some(task.number) || holds(task, &q))
    });
    found.sort_by_cached_key(|task| order_key(task, sort));
    Ok(found)
}

fn is_before(due: Option<Timestamp>, last: Option<Timestamp>) -> bool {
    matches!((due, last), (Some(due), Some(last)) if due < last)
}

/// The moment before which a due date must lie.
fn last_moment(due: Option<DueIn>, today: &Today) -> Option<Timestamp> {
    let days = match due? {
        DueIn::Overdue => 0,
        DueIn::Today => 1,
        DueIn::Week => 7,
        DueIn::Never => return None,
    };
    let day = due::day(today.now, &today.zone).checked_add(days.days()).ok()?;
    Some(day.to_zoned(today.zone.clone()).ok()?.timestamp())
}

fn holds(task: &Task, q: &str) -> bool {
    task.title.to_lowercase().contains(q) || task.description.to_lowercase().contains(q)
}

/// The tasks among which to look: by the narrowest index.
fn candidates(read: &dyn Read, filter: &Filter) -> Result<Vec<Task>, StoreError> {
    if let Some(parent) = filter.parent {
        let mut parts = Vec::new();
        for id in super::child_ids(read, parent)? {
            parts.extend(read.get::<Task>(id)?);
        }
        return Ok(parts);
    }
    if filter.archived {
        return read.list(&Range::all());
    }
    if let Whose::One(who) = filter.assignee {
        return read.scan(model::BY_ASSIGNEE, &Range::prefix(KeyBuf::of(&who)));
    }
    let mut found = Vec::new();
    let all = if filter.status.is_empty() { TaskStatus::ALL } else { &filter.status };
    for status in all {
        let range = Range::prefix(KeyBuf::of(&(*status as u8)));
        found.extend(read.scan::<Task>(model::BY_STATUS, &range)?);
    }
    Ok(found)
}

/// Bytes whose order is the order of the list; the id makes them unique.
fn order_key(task: &Task, sort: Sort) -> Vec<u8> {
    let mut key = KeyBuf::new();
    let newest = |at: Timestamp| i64::MAX - at.as_millisecond();
    match sort {
        Sort::Priority => key.u8(u8::MAX - task.priority as u8).time_or_max(task.due_at),
        Sort::Due => key.time_or_max(task.due_at).u8(u8::MAX - task.priority as u8),
        Sort::Created => key.part(newest(task.created_at)),
        Sort::Updated => key.part(newest(task.updated_at)),
        Sort::Title => key.text(&task.title.to_lowercase()),
    };
    task.id.encode(&mut key);
    key.into_bytes()
}

/// One page of the tasks that fit.
///
/// # Errors
/// When the store fails.
pub fn page(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
    cut: &Cut,
) -> Result<Page<Task>, StoreError> {
    let mut items = select(read, filter, sort, today)?;
    if let Some(after) = cut.after.as_deref().and_then(cursor_key) {
        items.retain(|task| after < order_key(task, sort));
    }
    Ok(trim(items, sort, cut.limit))
}

/// Where a page begins and how long it is.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The cursor of the page before.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

fn trim(mut items: Vec<Task>, sort: Sort, limit: usize) -> Page<Task> {
    let more = limit < items.len();
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|task| key_cursor(&order_key(task, sort)));
    Page { items, next }
}

/// The tasks of one status in a grouped list.
#[derive(Clone, Debug)]
pub struct Group {
    /// The status.
    pub status: TaskStatus,
    /// How many there are.
    pub total: usize,
    /// The first ones.
    pub page: Page<Task>,
}

/// The order of groups: work in progress first, what is over last.
const GROUP_ORDER: [TaskStatus; 6] = [
    TaskStatus::InProgress,
    TaskStatus::Blocked,
    TaskStatus::Todo,
    TaskStatus::Missed,
    TaskStatus::Done,
    TaskStatus::Cancelled,
];

/// The tasks that fit, by status, at most `limit` shown of each.
///
/// # Errors
/// When the store fails.
pub fn groups(
    read: &dyn Read,
    filter: &Filter,
    sort: Sort,
    today: &Today,
    limit: usize,
) -> Result<Vec<Group>, StoreError> {
    let all = select(read, filter, sort, today)?;
    let mut by_status: Vec<Vec<Task>> = vec![Vec::new(); GROUP_ORDER.len()];
    for task in all {
        let at = GROUP_ORDER.iter().position(|status| *status == task.status);
        if let Some(at) = at {
            by_status[at].push(task);
        }
    }
    let filled = GROUP_ORDER.into_iter().zip(by_status).filter(|(_, tasks)| !tasks.is_empty());
    Ok(filled
        .map(|(status, tasks)| {
            let total = tasks.len();
            Group { status, total, page: trim(tasks, sort, limit) }
        })
        .collect())
}

/// How many tasks have each status, archived ones left out.
///
/// # Errors
/// When the store fails.
pub fn counts(read: &dyn Read) -> Result<Vec<(TaskStatus, u64)>, StoreError> {
    let mut counts = Vec::with_capacity(TaskStatus::ALL.len());
    for status in TaskStatus::ALL {
        let n = read.sum(model::OPEN_COUNT, &KeyBuf::of(&(*status as u8)))?;
        counts.push((*status, u64::try_from(n).unwrap_or(0)));
    }
    Ok(counts)
}

/// How many tasks are open.
///
/// # Errors
/// When the store fails.
pub fn open_count(read: &dyn Read) -> Result<u64, StoreError> {
    Ok(counts(read)?.iter().filter(|(status, _)| status.is_open()).map(|(_, n)| n).sum())
}

/// How many open tasks somebody has.
///
/// # Errors
/// When the store fails.
pub fn open_count_of(read: &dyn Read, who: Assignee) -> Result<u64, StoreError> {
    let mut sum = 0;
    for status in OPEN {
        let mut key = KeyBuf::of(&who);
        key.u8(status as u8);
        sum += read.len(model::BY_ASSIGNEE, &Range::prefix(key))?;
    }
    Ok(sum as u64)
}

/// A task with the numbers that stand beside it in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The task.
    pub task: Task,
    /// How many comments.
    pub comments: usize,
    /// How many parts.
    pub parts: usize,
    /// How many of them are done.
    pub parts_done: usize,
    /// Whether delivered work waits for a person.
    pub in_review: bool,
    /// What happens with it right now.
    pub standing: Standing,
}

/// Adds to each task what a list shows of it.
///
/// # Errors
/// When the store fails.
pub fn summaries(
    read: &dyn Read,
    tasks: Vec<Task>,
    now: Timestamp,
) -> Result<Vec<Summary>, StoreError> {
    tasks.into_iter().map(|task| summary(read, task, now)).collect()
}

/// Adds to a task what a list shows of it.
///
/// # Errors
/// When the store fails.
pub fn summary(read: &dyn Read, task: Task, now: Timestamp) -> Result<Summary, StoreError> {
    let parts = super::children(read, task.id)?;
    Ok(Summary {
        comments: read.len(comments::BY_TASK, &super::of_task(task.id))?,
        parts: parts.len(),
        parts_done: parts.iter().filter(|part| part.status == TaskStatus::Done).count(),
        in_review: standing::in_review(read, task.id)?,
        standing: standing::standing(read, &task, now)?,
        task,
    })
}
