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

/// What a list needs to know of a task: 140 bytes and the title.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: TaskId,
    pub(super) number: u32,
    pub(super) status: TaskStatus,
    pub(super) priority: Priority,
    pub(super) archived: bool,
    pub(super) assignee: Option<Assignee>,
    pub(super) creator: Assignee,
    pub(super) parent: Option<TaskId>,
    pub(super) due: Option<Timestamp>,
    pub(super) stream: Option<StreamId>,
    pub(super) series: Option<SeriesId>,
    start: Option<Timestamp>,
    done: Option<Timestamp>,
    pub(super) rank: Box<str>,
    created_ms: i64,
    updated_ms: i64,
    /// In lower case.
    pub(super) title: Box<str>,
}

impl Column for Row {
    type Of = Task;

    fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            number: task.number,
            status: task.status,
            priority: task.priority,
            archived: task.archived_at.is_some(),
            assignee: task.assignee,
            creator: assignee_of(task.created_by),
            parent: task.parent,
            due: task.due_at,
            stream: task.stream,
            series: task.series,
            start: task.start_at,
            done: task.completed_at,
            rank: task.rank.as_str().into(),
            created_ms: task.created_at.as_millisecond(),
            updated_ms: task.updated_at.as_millisecond(),
            title: task.title.to_lowercase().into(),
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
        &self.rank
    }

    /// One of its dates in milliseconds.
    pub(super) fn dated(&self, dated: Dated) -> Option<i64> {
        match dated {
            Dated::Due => self.due.map(Timestamp::as_millisecond),
            Dated::Start => self.start.map(Timestamp::as_millisecond),
            Dated::Done => self.done.map(Timestamp::as_millisecond),
            Dated::Created => Some(self.created_ms),
            Dated::Updated => Some(self.updated_ms),
        }
    }

    pub(super) fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let due = |row: &Self| row.due.map_or(i64::MAX, Timestamp::as_millisecond);
        let by = match sort {
            Sort::Priority => {
                other.priority.cmp(&self.priority).then_with(|| due(self).cmp(&due(other)))
            }
            Sort::Due => {
                due(self).cmp(&due(other)).then_with(|| other.priority.cmp(&self.priority))
            }
            Sort::Created => other.created_ms.cmp(&self.created_ms),
            Sort::Updated => other.updated_ms.cmp(&self.updated_ms),
            Sort::Title => self.title.cmp(&other.title),
            Sort::Manual => self.rank.cmp(&other.rank),
            Sort::Start => self.start.is_none().cmp(&other.start.is_none()).then_with(|| {
                self.start.cmp(&other.start).then_with(|| other.priority.cmp(&self.priority))
            }),
        };
        by.then_with(|| self.id.cmp(&other.id))
    }

    /// Bytes whose order is the order of the list; the id makes them unique.
    pub(super) fn order_key(&self, sort: Sort) -> Vec<u8> {
        let mut key = KeyBuf::new();
        let priority = u8::MAX - self.priority as u8;
        match sort {
            Sort::Priority => key.u8(priority).time_or_max(self.due),
            Sort::Due => key.time_or_max(self.due).u8(priority),
            Sort::Created => key.part(i64::MAX - self.created_ms),
            Sort::Updated => key.part(i64::MAX - self.updated_ms),
            Sort::Title => key.text(&self.title),
            Sort::Manual => key.text(&self.rank),
            Sort::Start => key.time_or_max(self.start).u8(priority),
        };
        self.id.encode(&mut key);
        key.into_bytes()
    }
}
