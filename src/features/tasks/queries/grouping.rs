//! Groups of a task list: board columns, board lanes and list headings.

use jiff::ToSpan;

use super::columns::Row;
use super::due;
use super::list::{self, Cut, Filter, Found, Order, Sort, Today};
use super::marks;
use super::overdue::Passed;
use super::standing;
use super::taskset::TaskSet;
use super::terms::Dated;
use crate::tasks::model::Task;
use kernel::cursor::Page;
use kernel::{Assignee, Priority, StreamId, TaskStatus};
use store::{Read, StoreError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    None,
    #[default]
    Status,
    Priority,
    Assignee,
    Stream,
    Due,
}

impl GroupBy {
    /// Every value with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Status, "status", "Status"),
        (Self::Priority, "priority", "Priority"),
        (Self::Assignee, "assignee", "Assignee"),
        (Self::Stream, "stream", "Stream"),
        (Self::Due, "due", "Due date"),
        (Self::None, "none", "None"),
    ];

    /// Parses a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(value, ..)| *value)
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("none", |(_, word, _)| word)
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("None", |(.., label)| label)
    }
}

/// Due date bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// Past due and open.
    Overdue,
    /// Past due and closed.
    Earlier,
    Today,
    /// Tomorrow up to six days from today.
    Week,
    Later,
    /// No due date.
    Never,
}

impl Nearness {
    const ALL: [Self; 6] =
        [Self::Overdue, Self::Earlier, Self::Today, Self::Week, Self::Later, Self::Never];

    /// Word and label.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Overdue => ("overdue", "Overdue"),
            Self::Earlier => ("earlier", "Earlier"),
            Self::Today => ("today", "Today"),
            Self::Week => ("week", "Within a week"),
            Self::Later => ("later", "Later"),
            Self::Never => ("none", "No date"),
        }
    }
}

/// Common value of the tasks in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// No grouping.
    All,
    /// The status. Tasks in review have a bucket of their own.
    Status(TaskStatus),
    /// Open tasks with a deliverable in review.
    InReview,
    Priority(Priority),
    Who(Option<Assignee>),
    Stream(Option<StreamId>),
    Due(Nearness),
}

impl Bucket {
    /// Word and label of a group by status.
    #[must_use]
    pub fn standing(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Status(status) => Some(standing::status(status, false)),
            Self::InReview => Some(standing::review()),
            Self::All | Self::Priority(_) | Self::Who(_) | Self::Stream(_) | Self::Due(_) => None,
        }
    }
}

/// Order of groups by status: in progress first, closed last. `None` is the group in review.
const STATUS_ORDER: [Option<TaskStatus>; 7] = [
    Some(TaskStatus::InProgress),
    None,
    Some(TaskStatus::Blocked),
    Some(TaskStatus::Todo),
    Some(TaskStatus::Missed),
    Some(TaskStatus::Done),
    Some(TaskStatus::Cancelled),
];

/// Group values in the order of their first occurrence.
struct Met<T> {
    all: Vec<Option<T>>,
    last: usize,
}

impl<T: Copy + PartialEq> Met<T> {
    fn new() -> Self {
        Self { all: Vec::new(), last: 0 }
    }

    fn place(&mut self, value: Option<T>) -> usize {
        // Adjacent rows often have the same value.
        if self.all.get(self.last) == Some(&value) {
            return self.last;
        }
        self.last = match self.all.iter().position(|one| *one == value) {
            Some(known) => known,
            None => {
                self.all.push(value);
                self.all.len() - 1
            }
        };
        self.last
    }
}

/// Assigns group numbers to rows.
pub(super) struct Grouper<'o> {
    by: GroupBy,
    /// Tasks in review, for groups by status.
    review: &'o TaskSet,
    /// Groups by assignee seen so far.
    owners: Met<Assignee>,
    streams: Met<StreamId>,
    /// Start of today, of tomorrow and of the day in a week, in milliseconds.
    days: [i64; 3],
    passed: Passed,
}

impl<'o> Grouper<'o> {
    pub(super) fn new(by: GroupBy, today: &Today, review: &'o TaskSet) -> Self {
        let start = |days: i64| {
            let day = due::day(today.now, &today.zone).checked_add(days.days()).ok();
            let start = day.and_then(|day| day.to_zoned(today.zone.clone()).ok());
            start.map_or(i64::MAX, |start| start.timestamp().as_millisecond())
        };
        let days = [start(0), start(1), start(7)];
        let passed = Passed::at(today.now, &today.zone);
        Self { by, review, owners: Met::new(), streams: Met::new(), days, passed }
    }

    /// Group number of a row.
    pub(super) fn place(&mut self, row: &Row) -> usize {
        match self.by {
            GroupBy::None => 0,
            GroupBy::Status => {
                let in_review = row.status.is_open() && self.review.contains(row.id);
                let status = (!in_review).then_some(row.status);
                STATUS_ORDER.iter().position(|one| *one == status).unwrap_or(0)
            }
            GroupBy::Priority => Priority::ALL.len() - 1 - row.priority as usize,
            GroupBy::Due => self.nearness(row) as usize,
            GroupBy::Assignee => self.owners.place(row.assignee),
            GroupBy::Stream => self.streams.place(row.stream()),
        }
    }

    /// Common value of a group number.
    pub(super) fn bucket(&self, place: usize) -> Bucket {
        match self.by {
            GroupBy::None => Bucket::All,
            GroupBy::Status => STATUS_ORDER[place].map_or(Bucket::InReview, Bucket::Status),
            GroupBy::Priority => Bucket::Priority(Priority::ALL[Priority::ALL.len() - 1 - place]),
            GroupBy::Due => Bucket::Due(Nearness::ALL[place]),
            GroupBy::Assignee => Bucket::Who(self.owners.all[place]),
            GroupBy::Stream => Bucket::Stream(self.streams.all[place]),
        }
    }

    fn nearness(&self, row: &Row) -> Nearness {
        let [today, tomorrow, week] = self.days;
        match row.dated(Dated::Due) {
            None => Nearness::Never,
            Some(_) if row.is_overdue(self.passed) => Nearness::Overdue,
            Some(at) if at < today => Nearness::Earlier,
            Some(at) if at < tomorrow => Nearness::Today,
            Some(at) if at < week => Nearness::Week,
            Some(_) => Nearness::Later,
        }
    }
}

/// Tasks of one group, within a lane if there are lanes.
#[derive(Clone, Debug)]
pub struct Cell {
    pub column: Bucket,
    pub lane: Bucket,
    pub total: usize,
    pub page: Page<Task>,
}

/// Number of tasks that groups show initially.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Maximum per group.
    pub most: usize,
    /// Number of displayed tasks that fill the screen.
    pub full: usize,
    /// Maximum per group once the screen is full.
    pub then: usize,
}

/// The same maximum for every group.
impl From<usize> for Room {
    fn from(most: usize) -> Self {
        Self { most, full: usize::MAX, then: most }
    }
}

impl Room {
    /// First page of a list: enough for a tall screen. The rest is loaded on scrolling.
    pub const LIST: Self = Self { most: 50, full: 50, then: 10 };

    /// Maximum of the next group after `shown` tasks. A company with many agents has as many groups, so after one and a
    /// half screens each group shows one row to bound the page size.
    pub(super) fn after(self, shown: usize) -> usize {
        match shown {
            _ if shown < self.full => self.most,
            _ if shown < self.full.saturating_add(self.full / 2) => self.then,
            _ => self.then.min(1),
        }
    }
}

/// Matching tasks by group and lane, limited to the available room. Groups by assignee are in order of first
/// occurrence.
pub fn cells(
    read: &dyn Read,
    filter: &Filter,
    by: (GroupBy, GroupBy),
    sort: Sort,
    today: &Today,
    room: impl Into<Room>,
) -> Result<Vec<Cell>, StoreError> {
    let room = room.into();
    let review = match by.0 == GroupBy::Status || by.1 == GroupBy::Status {
        true => marks::in_review(read)?,
        false => TaskSet::default(),
    };
    let order = Order::of(sort, today, &Cut { after: None, limit: room.most }).by(by, room, review);
    let cell = |found: Found| {
        let (column, lane, total) = (found.column, found.lane, found.total);
        Ok(Cell { column, lane, total, page: list::shown(read, found)? })
    };
    list::find(read, filter, &order)?.into_iter().map(cell).collect()
}
