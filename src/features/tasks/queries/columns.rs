//! What lists know of every task without reading it.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::list::Sort;
use super::people::assignee_of;
use super::relations::keeps_waiting;
use super::terms::Dated;
use crate::features::tasks::model::Task;
use crate::kernel::{Assignee, Priority, SeriesId, StreamId, TaskId, TaskStatus};
use crate::store::columns::Column;
use crate::store::{Key as _, KeyBuf};

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

/// What a list needs to know of a task: three lines of a processor's memory, and the words. Whoever walks over
/// all rows reads them from the machine's memory each time; what most lists ask for stands in the first line.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Row {
    pub(super) status: TaskStatus,
    pub(super) priority: Priority,
    pub(super) archived: bool,
    pub(super) number: u32,
    pub(super) due: Moment,
    updated_ms: i64,
    pub(super) id: TaskId,
    pub(super) assignee: Option<Assignee>,
    /// Where the title begins in the words.
    title_at: u16,
    pub(super) stream: Option<StreamId>,
    pub(super) creator: Assignee,
    pub(super) parent: Option<TaskId>,
    created_ms: i64,
    pub(super) series: Option<SeriesId>,
    start: Moment,
    done: Moment,
    /// The place in the order by hand, then the title in lower case.
    words: Box<str>,
}

const _: () = assert!(size_of::<Row>() == 192, "a row takes more lines than it should");

impl Column for Row {
    type Of = Task;

    fn of(task: &Task) -> Self {
        // A rank has some signs; longer than that is none, and sorts as its beginning does.
        let rank = &task.rank[..task.rank.floor_char_boundary(usize::from(u16::MAX))];
        Self {
            id: task.id,
            number: task.number,
            status: task.status,
            priority: task.priority,
            archived: task.archived_at.is_some(),
            assignee: task.assignee,
            creator: assignee_of(task.created_by),
            parent: task.parent,
            due: Moment::of(task.due_at),
            stream: task.stream,
            series: task.series,
            start: Moment::of(task.start_at),
            done: Moment::of(task.completed_at),
            title_at: u16::try_from(rank.len()).unwrap_or(u16::MAX),
            created_ms: task.created_at.as_millisecond(),
            updated_ms: task.updated_at.as_millisecond(),
            words: format!("{rank}{}", task.title.to_lowercase()).into(),
        }
    }

    fn id(&self) -> TaskId {
        self.id
    }
}

impl Row {
    /// Whether it keeps what waits for it: one that has missed its day still does.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.archived && keeps_waiting(self.status)
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
            Dated::Start => self.start.ms(),
            Dated::Done => self.done.ms(),
            Dated::Created => Some(self.created_ms),
            Dated::Updated => Some(self.updated_ms),
        }
    }

    pub(super) fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let by = match sort {
            Sort::Priority => {
                other.priority.cmp(&self.priority).then_with(|| self.due.cmp(&other.due))
            }
            Sort::Due => self.due.cmp(&other.due).then_with(|| other.priority.cmp(&self.priority)),
            Sort::Created => other.created_ms.cmp(&self.created_ms),
            Sort::Updated => other.updated_ms.cmp(&self.updated_ms),
            Sort::Title => self.title().cmp(other.title()),
            Sort::Manual => self.rank().cmp(other.rank()),
            Sort::Start => {
                self.start.cmp(&other.start).then_with(|| other.priority.cmp(&self.priority))
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
            Sort::Created => key.part(i64::MAX - self.created_ms),
            Sort::Updated => key.part(i64::MAX - self.updated_ms),
            Sort::Title => key.text(self.title()),
            Sort::Manual => key.text(self.rank()),
            Sort::Start => key.part(self.start.0).u8(priority),
        };
        self.id.encode(key);
    }
}
