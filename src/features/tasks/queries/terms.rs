//! Conditions of the task query language, prepared for testing many rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::columns::Row;
use super::overdue::Passed;
use super::taskset::TaskSet;
use kernel::filter::Numbers;
use kernel::{Assignee, Priority, SeriesId, StreamId, TaskId, TaskStatus, TemplateId};

/// Conditions that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Rejected statuses, as bits. Tested first, because most lists contain only open tasks.
    barred: u8,
    conds: Vec<Cond>,
    /// Words that must or must not occur in the text of a task.
    pub(super) words: Vec<(Sign, String)>,
    /// `true` if a condition is about archived tasks.
    pub(super) judges_archived: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The condition must hold.
    Is,
    /// The condition must not hold.
    Not,
}

#[derive(Clone, Debug)]
struct Cond {
    sign: Sign,
    test: Test,
}

/// Person field of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Assignee,
    Creator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dated {
    Due,
    Start,
    Created,
    Updated,
    Done,
}

/// Condition on an optional field: one of `values`, empty (`none`) or set (`any`). The alternatives are combined with
/// OR.
#[derive(Clone, Debug)]
pub struct OneOf<T> {
    pub values: Vec<T>,
    /// Accepts an empty field.
    pub none: bool,
    /// Accepts every value.
    pub any: bool,
}

// A derived `Default` would require `T: Default`.
impl<T> Default for OneOf<T> {
    fn default() -> Self {
        Self { values: Vec::new(), none: false, any: false }
    }
}

impl<T> OneOf<T> {
    fn holds(&self, value: Option<T>, fits: impl Fn(&T, &T) -> bool) -> bool {
        match value {
            None => self.none,
            Some(value) => self.any || self.values.iter().any(|one| fits(one, &value)),
        }
    }

    /// Returns `true` if there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && !self.none && !self.any
    }
}

/// A state for the `is:` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Being {
    /// The status is one of these, as bits.
    Status(u8),
    /// The task is in this set.
    In(Arc<TaskSet>),
    /// The task is not in this set.
    NotIn(Arc<TaskSet>),
    /// The task is open and past its due date.
    Overdue(Passed),
    Archived,
    /// The task has this assignee.
    Of(Assignee),
}

/// A half-open time range in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Inclusive start.
    pub from: i64,
    /// Exclusive end.
    pub to: i64,
    /// Assumed end of tasks that have started and have no end.
    pub now: i64,
}

impl Window {
    fn holds(self, row: &Row) -> bool {
        row.stretch(self.now).is_some_and(|(first, last)| first < self.to && self.from <= last)
    }
}

/// The tasks that a member follows.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The member, who follows the tasks they created.
    pub maker: Assignee,
    /// Assignees whose tasks the member follows.
    pub owners: Vec<Assignee>,
    /// Tasks that the member follows explicitly.
    pub with: HashSet<TaskId>,
    /// Tasks that the member unfollowed.
    pub without: HashSet<TaskId>,
}

impl Watched {
    fn holds(&self, row: &Row) -> bool {
        let follows = row.rest.creator == self.maker
            || row.assignee.is_some_and(|who| self.owners.contains(&who))
            || self.with.contains(&row.id);
        follows && !self.without.contains(&row.id)
    }
}

/// Test of a single condition.
#[derive(Clone, Debug)]
pub enum Test {
    /// One of these members follows the task.
    Watched(Vec<Watched>),
    /// Statuses as bits.
    Status(u8),
    /// Priorities as bits.
    Priority(u8),
    /// Assignee or creator.
    Who(Of, OneOf<Assignee>),
    /// Half-open ranges in milliseconds.
    When(Dated, OneOf<(i64, i64)>),
    /// The task's time span overlaps this window.
    During(Window),
    /// One of these states.
    Being(Vec<Being>),
    /// Subtasks of one of these tasks.
    Parent(OneOf<TaskId>),
    Stream(OneOf<StreamId>),
    Series(OneOf<SeriesId>),
    Template(OneOf<TemplateId>),
    /// The task is in this set.
    In(Arc<TaskSet>),
    Number(Vec<Numbers>),
    /// Cost in micro-dollars.
    Cost(Vec<Numbers>, Arc<HashMap<TaskId, i64>>),
}

#[must_use]
pub fn status_bit(status: TaskStatus) -> u8 {
    1 << status as u8
}

#[must_use]
pub fn priority_bit(priority: Priority) -> u8 {
    1 << priority as u8
}

impl Terms {
    pub fn push(&mut self, sign: Sign, test: Test) {
        if let Some(bits) = test.statuses() {
            self.barred |= if sign == Sign::Is { !bits } else { bits };
            return;
        }
        if let Test::Being(list) = &test {
            self.judges_archived |= list.contains(&Being::Archived);
        }
        self.conds.push(Cond { sign, test });
    }

    /// Adds the condition that the status is one of these bits, or, if requested, that the task is in review. A task in
    /// review matches only `reviewed`, whatever status is stored.
    pub(super) fn push_standing(
        &mut self,
        sign: Sign,
        (bits, reviewed): (u8, bool),
        in_review: Arc<TaskSet>,
    ) {
        match (reviewed, sign) {
            (true, _) => {
                self.push(sign, Test::Being(vec![Being::Status(bits), Being::In(in_review)]));
            }
            (false, Sign::Is) => {
                self.push(Sign::Is, Test::Status(bits));
                self.push(Sign::Not, Test::In(in_review));
            }
            (false, Sign::Not) => {
                let others = vec![Being::Status(!bits), Being::In(in_review)];
                self.push(Sign::Is, Test::Being(others));
            }
        }
    }

    /// Adds a word condition. Words are compared in lower case.
    pub fn push_words(&mut self, sign: Sign, words: &str) {
        self.words.push((sign, words.to_lowercase()));
    }

    /// Adds a condition on a date, from `from` up to but excluding `to`, in milliseconds.
    #[must_use]
    pub fn between(mut self, dated: Dated, from: i64, to: i64) -> Self {
        let span = OneOf { values: vec![(from, to)], ..OneOf::default() };
        self.push(Sign::Is, Test::When(dated, span));
        self
    }

    /// Adds the condition that the time span of the task, from start to end or the one of both that is set, overlaps
    /// the window.
    #[must_use]
    pub fn during(mut self, window: Window) -> Self {
        self.push(Sign::Is, Test::During(window));
        self
    }

    /// Returns `false` if no task with this status can match.
    pub(super) fn admits(&self, status: TaskStatus) -> bool {
        self.barred & status_bit(status) == 0
    }

    /// Tests a row, except for the word conditions.
    pub(super) fn hold(&self, row: &Row) -> bool {
        self.admits(row.status)
            && self.conds.iter().all(|cond| cond.test.holds(row) == (cond.sign == Sign::Is))
    }
}

impl Test {
    /// Matching statuses as bits, if the test depends on the status alone.
    fn statuses(&self) -> Option<u8> {
        match self {
            Self::Status(bits) => Some(*bits),
            Self::Being(list) => list.iter().try_fold(0, |bits, being| match being {
                Being::Status(more) => Some(bits | more),
                _ => None,
            }),
            _ => None,
        }
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Status(bits) => status_bit(row.status) & bits != 0,
            Self::Priority(bits) => priority_bit(row.priority) & bits != 0,
            Self::Who(Of::Assignee, who) => who.holds(row.assignee, |a, b| a == b),
            Self::Who(Of::Creator, who) => who.holds(Some(row.rest.creator), |a, b| a == b),
            Self::When(dated, spans) => spans
                .holds(row.dated(*dated).map(|at| (at, at)), |span, at| {
                    span.0 <= at.0 && at.0 < span.1
                }),
            Self::During(window) => window.holds(row),
            Self::Being(list) => list.iter().any(|being| being.holds(row)),
            Self::Parent(ids) => ids.holds(row.parent(), |a, b| a == b),
            Self::Watched(all) => all.iter().any(|watched| watched.holds(row)),
            Self::Series(ids) => ids.holds(row.rest.series, |a, b| a == b),
            Self::Template(ids) => ids.holds(row.rest.template, |a, b| a == b),
            Self::Stream(ids) => ids.holds(row.stream(), |a, b| a == b),
            Self::In(ids) => ids.contains(row.id),
            Self::Number(spans) => spans.iter().any(|span| span.contains(f64::from(row.number))),
            Self::Cost(spans, costs) => {
                let micros = costs.get(&row.id).copied().unwrap_or(0);
                #[expect(clippy::cast_precision_loss, reason = "a limit in dollars is no account")]
                let dollars = micros as f64 / 1e6;
                spans.iter().any(|span| span.contains(dollars))
            }
        }
    }
}

impl Being {
    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::In(ids) => ids.contains(row.id),
            Self::NotIn(ids) => !ids.contains(row.id),
            Self::Status(bits) => status_bit(row.status) & bits != 0,
            Self::Overdue(passed) => row.is_overdue(*passed),
            Self::Archived => row.archived,
            Self::Of(who) => row.assignee == Some(*who),
        }
    }
}
