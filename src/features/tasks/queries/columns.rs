//! What lists know of every task without reading it.

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

/// A date in milliseconds, the largest number for none: as it is compared, and half as long.
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

/// What lists ask of a task: two lines of a processor's memory. Whoever walks over all rows reads them from the
/// machine's memory each time; what most lists ask for stands in the first line.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Row {
    pub(super) status: TaskStatus,
    pub(super) priority: Priority,
    pub(super) archived: bool,
    /// Whether it is due at a moment, and not at the end of a day.
    due_has_time: bool,
    pub(super) number: u32,
    pub(super) due: Moment,
    updated_ms: i64,
    pub(super) id: TaskId,
    pub(super) assignee: Option<Assignee>,
    /// How the rank begins: mostly enough to tell two apart.
    rank_begins: [u8; 5],
    /// Where the title begins in the words.
    title_at: u16,
    /// The minute in which work may begin: mostly enough to tell two apart.
    start_minute: i32,
    /// The minute in which it was made, likewise.
    created_minute: i32,
    /// Nil for none: half a line is left for both.
    stream: Uuid,
    parent: Uuid,
    /// The place in the order by hand, then the title in lower case.
    words: Box<str>,
    pub(super) rest: Box<Rest>,
}

/// What few lists ask besides.
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
        // A rank has some signs; of a longer one the beginning tells its place.
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

/// The minute of a moment; none comes last, as does what is too far away to be told apart.
fn minute(at: Moment) -> i32 {
    at.ms().map_or(i32::MAX, |ms| {
        let minute = ms.div_euclid(60_000).clamp(i32::MIN.into(), i64::from(i32::MAX) - 1);
        i32::try_from(minute).unwrap_or(i32::MAX - 1)
    })
}

impl Row {
    /// Whether it keeps what waits for it: one that has missed its day still does.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.archived && keeps_waiting(self.status)
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        (!self.stream.is_nil()).then(|| StreamId::from_uuid(self.stream))
    }

    /// What it is a part of.
    pub(super) fn parent(&self) -> Option<TaskId> {
        (!self.parent.is_nil()).then(|| TaskId::from_uuid(self.parent))
    }

    /// Whether it is open, and its due date has passed.
    pub(super) fn is_overdue(&self, passed: Passed) -> bool {
        passed.holds(self.status, self.due.ms(), self.due_has_time)
    }

    /// Its place in the order by hand.
    pub(super) fn rank(&self) -> &str {
        &self.words[..usize::from(self.title_at)]
    }

    /// In lower case.
    fn title(&self) -> &str {
        &self.words[usize::from(self.title_at)..]
    }

    /// One of its dates in milliseconds.
    pub(super) fn dated(&self, dated: Dated) -> Option<i64> {
        match dated {
            Dated::Due => self.due.ms(),
            // Most have none, which stands in the row itself.
            Dated::Start => (self.start_minute != i32::MAX).then(|| self.rest.start.ms()).flatten(),
            Dated::Done => self.rest.done.ms(),
            Dated::Created => Some(self.rest.created_ms),
            Dated::Updated => Some(self.updated_ms),
        }
    }

    /// From when to when it goes on, in milliseconds: from its start until it was done, else is due, else until
    /// now. What has no start is the moment of its end alone; what has neither is at no time.
    pub(super) fn stretch(&self, now: i64) -> Option<(i64, i64)> {
        let start = self.dated(Dated::Start);
        let due = self.due.ms();
        start.or(due)?;
        // What is open was not done, and when it was stands outside of the row.
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
                // Most have none, and what they are is read from elsewhere.
                let exact = || match self.start_minute {
                    i32::MAX => Ordering::Equal,
                    _ => self.rest.start.cmp(&other.rest.start),
                };
                begin.then_with(exact).then_with(|| other.priority.cmp(&self.priority))
            }
        };
        by.then_with(|| self.id.cmp(&other.id))
    }

    /// Adds bytes whose order is the order of the list; the id makes them unique.
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
