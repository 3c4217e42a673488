//! Groups of a list: the columns of a board, the lanes across it, the headings of a list.

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

/// By what tasks are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    None,
    /// Where they stand.
    #[default]
    Status,
    /// How urgent they are.
    Priority,
    /// Whose they are.
    Assignee,
    /// The stream they are in.
    Stream,
    /// When they are due.
    Due,
}

impl GroupBy {
    /// Every way with its word and label.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Status, "status", "Status"),
        (Self::Priority, "priority", "Priority"),
        (Self::Assignee, "assignee", "Assignee"),
        (Self::Stream, "stream", "Stream"),
        (Self::Due, "due", "Due date"),
        (Self::None, "none", "Nothing"),
    ];

    /// The way of a word.
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
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("Nothing", |(.., label)| label)
    }
}

/// How far away a due date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// It has passed, and the task is open.
    Overdue,
    /// Its day has passed, and the task is not open any more.
    Earlier,
    Today,
    /// Within six days from today.
    Week,
    /// Later than that.
    Later,
    /// There is none.
    Never,
}

impl Nearness {
    const ALL: [Self; 6] =
        [Self::Overdue, Self::Earlier, Self::Today, Self::Week, Self::Later, Self::Never];

    /// Its word and what people read.
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

/// What the tasks of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Nothing is asked.
    All,
    /// The status; those in review are apart.
    Status(TaskStatus),
    /// They are open, and their delivered work waits for a person.
    InReview,
    Priority(Priority),
    /// Whose they are.
    Who(Option<Assignee>),
    Stream(Option<StreamId>),
    /// How soon they are due.
    Due(Nearness),
}

impl Bucket {
    /// The word and the name of a group by status.
    #[must_use]
    pub fn standing(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Status(status) => Some(standing::status(status, false)),
            Self::InReview => Some(standing::review()),
            Self::All | Self::Priority(_) | Self::Who(_) | Self::Stream(_) | Self::Due(_) => None,
        }
    }
}

/// The order of groups by status: work in progress first, what is over last. Nothing stands for what is in review.
const STATUS_ORDER: [Option<TaskStatus>; 7] = [
    Some(TaskStatus::InProgress),
    None,
    Some(TaskStatus::Blocked),
    Some(TaskStatus::Todo),
    Some(TaskStatus::Missed),
    Some(TaskStatus::Done),
    Some(TaskStatus::Cancelled),
];

/// The groups that were met so far, for what is not known before.
struct Met<T> {
    all: Vec<Option<T>>,
    last: usize,
}

impl<T: Copy + PartialEq> Met<T> {
    fn new() -> Self {
        Self { all: Vec::new(), last: 0 }
    }

    fn place(&mut self, value: Option<T>) -> usize {
        // Neighbours often have the same.
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

/// Puts rows into groups, which it numbers.
pub(super) struct Grouper<'o> {
    by: GroupBy,
    /// The tasks in review, for groups by status.
    review: &'o TaskSet,
    /// The groups that were met, for those that are not known before.
    owners: Met<Assignee>,
    streams: Met<StreamId>,
    /// When today, tomorrow and the day in a week begin, in milliseconds.
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

    /// The number of a row's group.
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

    /// What the group of a number has in common.
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

/// The tasks of a group, or of a group within a lane.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What they have in common.
    pub column: Bucket,
    /// What those of its lane have in common.
    pub lane: Bucket,
    /// How many there are.
    pub total: usize,
    /// The first ones.
    pub page: Page<Task>,
}

/// How many tasks of groups are shown at first.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Of one at most.
    pub most: usize,
    /// When so many are shown, the screen is full.
    pub full: usize,
    /// Of each further group then.
    pub then: usize,
}

/// So many of each.
impl From<usize> for Room {
    fn from(most: usize) -> Self {
        Self { most, full: usize::MAX, then: most }
    }
}

impl Room {
    /// What a list begins with: as many as a tall screen shows; what is below it comes as soon as somebody scrolls
    /// there.
    pub const LIST: Self = Self { most: 50, full: 50, then: 10 };

    /// How many of a group, behind groups of which so many are shown. A company with many agents has as many groups:
    /// behind one and a half screens a group begins with one row, so that the page keeps its size.
    pub(super) fn after(self, shown: usize) -> usize {
        match shown {
            _ if shown < self.full => self.most,
            _ if shown < self.full.saturating_add(self.full / 2) => self.then,
            _ => self.then.min(1),
        }
    }
}

/// The tasks that fit by group and lane, and as many of each as there is room for. Groups of people come as they are
/// met.
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
