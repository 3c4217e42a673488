//! In-memory columns: the fields of every task that lists need, so that lists do not read task records.

use std::cmp::Ordering;

use jiff::Timestamp;
use uuid::Uuid;

use super::list::Sort;
use super::overdue::Passed;
use super::people::assignee_of;
use super::relations::keeps_waiting;
use super::terms::Dated;
use crate::tasks::model::Task;
use kernel::key::{Key as _, KeyBuf};
use kernel::{Assignee, Priority, SeriesId, StreamId, TaskId, TaskStatus, TemplateId, TypedId};
use store::columns::Column;

/// A date in milliseconds, with `i64::MAX` for none. Half the size of an `Option` and sorts none last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    fn of(at: Option<Timestamp>) -> Self {
        Self(at.map_or(i64::MAX, Timestamp::as_millisecond))
    }

    /// In milliseconds.
    pub(super) fn ms(self) -> Option<i64> {
        Some(self.0).filter(|ms| *ms != i64::MAX)
    }
}

/// Fields of a task for lists, in two cache lines. A scan reads every row from main memory, so the fields that most
/// lists need are in the first line.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Row {
    pub(super) status: TaskStatus,
    pub(super) priority: Priority,
    pub(super) archived: bool,
    /// `false` means that the task is due at the end of a day.
    due_has_time: bool,
    pub(super) number: u32,
    pub(super) due: Moment,
    updated_ms: i64,
    pub(super) id: TaskId,
    pub(super) assignee: Option<Assignee>,
    /// First bytes of the rank. Usually enough to compare two rows.
    rank_begins: [u8; 5],
    /// Offset of the title in `words`.
    title_at: u16,
    /// Minute of the start date. Usually enough to compare two rows.
    start_minute: i32,
    /// Minute of creation. Usually enough to compare two rows.
    created_minute: i32,
    /// Nil for none, which keeps the second line small enough.
    stream: Uuid,
    parent: Uuid,
    /// Rank, then the title in lower case.
    words: Box<str>,
    pub(super) rest: Box<Rest>,
}

/// Fields that few lists need.
#[derive(Clone)]
pub(super) struct Rest {
    pub(super) creator: Assignee,
    pub(super) series: Option<SeriesId>,
    pub(super) template: Option<TemplateId>,
    created_ms: i64,
    start: Moment,
    done: Moment,
}

const _: () = assert!(size_of::<Row>() == 128, "a row takes more than two lines");

impl Column for Row {
    type Of = Task;
    type Shared = ();

    fn of(task: &Task, (): &mut ()) -> Self {
        // Ranks are short. A longer one is cut, which is precise enough for sorting.
        let rank = &task.rank[..task.rank.floor_char_boundary(usize::from(u16::MAX))];
        let mut rank_begins = [0; 5];
        rank_begins.iter_mut().zip(rank.bytes()).for_each(|(to, byte)| *to = byte);
        Self {
            id: task.id,
            number: task.number,
            status: task.status,
            priority: task.priority,
            archived: task.archived_at.is_some(),
            due_has_time: task.due_has_time,
            assignee: task.assignee,
            due: Moment::of(task.due_at),
            updated_ms: task.updated_at.as_millisecond(),
            rank_begins,
            title_at: u16::try_from(rank.len()).unwrap_or(u16::MAX),
            start_minute: minute(Moment::of(task.start_at)),
            created_minute: minute(Moment::of(Some(task.created_at))),
            stream: task.stream.map(TypedId::uuid).unwrap_or_default(),
            parent: task.parent.map(TypedId::uuid).unwrap_or_default(),
            words: format!("{rank}{}", task.title.to_lowercase()).into(),
            rest: Box::new(Rest {
                creator: assignee_of(task.created_by),
                series: task.series,
                template: task.template,
                created_ms: task.created_at.as_millisecond(),
                start: Moment::of(task.start_at),
                done: Moment::of(task.completed_at),
            }),
        }
    }

    fn id(&self) -> TaskId {
        self.id
    }
}

/// Minute of a moment. None and far dates sort last.
fn minute(at: Moment) -> i32 {
    at.ms().map_or(i32::MAX, |ms| {
        let minute = ms.div_euclid(60_000).clamp(i32::MIN.into(), i64::from(i32::MAX) - 1);
        i32::try_from(minute).unwrap_or(i32::MAX - 1)
    })
}

impl Row {
    /// Returns `true` if tasks that wait for this one still have to wait. Also holds for a missed task.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.archived && keeps_waiting(self.status)
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        (!self.stream.is_nil()).then(|| StreamId::from_uuid(self.stream))
    }

    pub(super) fn parent(&self) -> Option<TaskId> {
        (!self.parent.is_nil()).then(|| TaskId::from_uuid(self.parent))
    }

    /// Returns `true` if the task is open and past due.
    pub(super) fn is_overdue(&self, passed: Passed) -> bool {
        passed.holds(self.status, self.due.ms(), self.due_has_time)
    }

    pub(super) fn rank(&self) -> &str {
        &self.words[..usize::from(self.title_at)]
    }

    /// In lower case.
    fn title(&self) -> &str {
        &self.words[usize::from(self.title_at)..]
    }

    /// One of the dates, in milliseconds.
    pub(super) fn dated(&self, dated: Dated) -> Option<i64> {
        match dated {
            Dated::Due => self.due.ms(),
            // Most tasks have no start, which the row itself records.
            Dated::Start => (self.start_minute != i32::MAX).then(|| self.rest.start.ms()).flatten(),
            Dated::Done => self.rest.done.ms(),
            Dated::Created => Some(self.rest.created_ms),
            Dated::Updated => Some(self.updated_ms),
        }
    }

    /// Time span in milliseconds: from the start until the task was done, else until its due date, else until `now`.
    /// Without a start, only the moment of its end. `None` without start and due date.
    pub(super) fn stretch(&self, now: i64) -> Option<(i64, i64)> {
        let start = self.dated(Dated::Start);
        let due = self.due.ms();
        start.or(due)?;
        // Only done tasks have a done date, and it is stored outside the row.
        let done = (self.status == TaskStatus::Done).then(|| self.rest.done.ms()).flatten();
        let end = done.or(due);
        let from = start.or(end)?;
        Some((from, end.unwrap_or(now).max(from)))
    }

    pub(super) fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let by = match sort {
            Sort::Priority => {
                other.priority.cmp(&self.priority).then_with(|| self.due.cmp(&other.due))
            }
            Sort::Due => self.due.cmp(&other.due).then_with(|| other.priority.cmp(&self.priority)),
            Sort::Created => {
                let begin = other.created_minute.cmp(&self.created_minute);
                begin.then_with(|| other.rest.created_ms.cmp(&self.rest.created_ms))
            }
            Sort::Updated => other.updated_ms.cmp(&self.updated_ms),
            Sort::Title => self.title().cmp(other.title()),
            Sort::Manual => {
                let begin = self.rank_begins.cmp(&other.rank_begins);
                begin.then_with(|| self.rank().cmp(other.rank()))
            }
            Sort::Start => {
                let begin = self.start_minute.cmp(&other.start_minute);
                // Most tasks have no start, and the exact value is outside the row.
                let exact = || match self.start_minute {
                    i32::MAX => Ordering::Equal,
                    _ => self.rest.start.cmp(&other.rest.start),
                };
                begin.then_with(exact).then_with(|| other.priority.cmp(&self.priority))
            }
        };
        by.then_with(|| self.id.cmp(&other.id))
    }

    /// Appends bytes that sort like the list. The id makes them unique.
    pub(super) fn order_key(&self, sort: Sort, key: &mut KeyBuf) {
        let priority = u8::MAX - self.priority as u8;
        match sort {
            Sort::Priority => key.u8(priority).part(self.due.0),
            Sort::Due => key.part(self.due.0).u8(priority),
            Sort::Created => key.part(i64::MAX - self.rest.created_ms),
            Sort::Updated => key.part(i64::MAX - self.updated_ms),
            Sort::Title => key.text(self.title()),
            Sort::Manual => key.text(self.rank()),
            Sort::Start => key.part(self.rest.start.0).u8(priority),
        };
        self.id.encode(key);
    }
}
