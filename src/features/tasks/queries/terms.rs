//! What the terms of a query ask of a task, made ready for many rows.

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
    /// The statuses that do not fit, as bits: told first, since most lists are of what is open.
    barred: u8,
    conds: Vec<Cond>,
    /// Words to be found in the text of a task, or not to be found.
    pub(super) words: Vec<(Sign, String)>,
    /// Whether one of the conditions is about what is archived.
    pub(super) judges_archived: bool,
}

/// Whether a condition must hold or must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It must.
    Is,
    /// It must not.
    Not,
}

#[derive(Clone, Debug)]
struct Cond {
    sign: Sign,
    test: Test,
}

/// Whose a task is or was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Assignee,
    /// Who made it.
    Creator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dated {
    /// When it should be done.
    Due,
    /// When work on it may begin.
    Start,
    /// When it was made.
    Created,
    /// When it last changed.
    Updated,
    Done,
}

/// Values of a field that may be empty: any of them, none at all, or whatever.
#[derive(Clone, Debug)]
pub struct OneOf<T> {
    /// One of these.
    pub values: Vec<T>,
    /// Or nothing.
    pub none: bool,
    /// Or anything.
    pub any: bool,
}

// Derived, it would ask the same of its values.
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

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && !self.none && !self.any
    }
}

/// A small state of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Being {
    /// Its status is one of these, as bits.
    Status(u8),
    /// It is one of these.
    In(Arc<TaskSet>),
    /// It is none of these.
    NotIn(Arc<TaskSet>),
    /// It is open, and its due date has passed.
    Overdue(Passed),
    /// It is out of the way.
    Archived,
    /// It is this one's.
    Of(Assignee),
}

/// A part of time that is looked at, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its first moment.
    pub from: i64,
    /// The first moment after it.
    pub to: i64,
    /// Until when goes on what has begun and has no end.
    pub now: i64,
}

impl Window {
    fn holds(self, row: &Row) -> bool {
        row.stretch(self.now).is_some_and(|(first, last)| first < self.to && self.from <= last)
    }
}

/// What a member follows.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Who follows what they made.
    pub maker: Assignee,
    /// Whose tasks they follow.
    pub owners: Vec<Assignee>,
    /// What they follow besides.
    pub with: HashSet<TaskId>,
    /// What they do not want to hear of.
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

/// What is asked of a row.
#[derive(Clone, Debug)]
pub enum Test {
    /// One of these members follows it.
    Watched(Vec<Watched>),
    /// Statuses as bits.
    Status(u8),
    /// Priorities as bits.
    Priority(u8),
    /// Somebody.
    Who(Of, OneOf<Assignee>),
    /// Times in milliseconds, the end left out.
    When(Dated, OneOf<(i64, i64)>),
    /// A part of the time in which it goes on.
    During(Window),
    /// One of these states.
    Being(Vec<Being>),
    /// A part of these.
    Parent(OneOf<TaskId>),
    /// Of these streams.
    Stream(OneOf<StreamId>),
    /// Of these series.
    Series(OneOf<SeriesId>),
    /// Made from these templates.
    Template(OneOf<TemplateId>),
    /// One of these tasks.
    In(Arc<TaskSet>),
    Number(Vec<Numbers>),
    /// What it cost, in micro-dollars.
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
    /// Adds a condition.
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

    /// Adds the condition that a task stands at one of these statuses, as bits, or is `reviewed`, if that is asked
    /// too. What is in review stands there alone, whatever status is stored.
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

    /// Adds words.
    pub fn push_words(&mut self, sign: Sign, words: &str) {
        self.words.push((sign, words.to_lowercase()));
    }

    /// Only what has such a date between two moments, in milliseconds.
    #[must_use]
    pub fn between(mut self, dated: Dated, from: i64, to: i64) -> Self {
        let span = OneOf { values: vec![(from, to)], ..OneOf::default() };
        self.push(Sign::Is, Test::When(dated, span));
        self
    }

    /// Only what goes on in this part of time: from its start to its end, or at the one of them that it has.
    #[must_use]
    pub fn during(mut self, window: Window) -> Self {
        self.push(Sign::Is, Test::During(window));
        self
    }

    /// Whether what has such a status may fit.
    pub(super) fn admits(&self, status: TaskStatus) -> bool {
        self.barred & status_bit(status) == 0
    }

    /// Whether a row fits, its text left aside.
    pub(super) fn hold(&self, row: &Row) -> bool {
        self.admits(row.status)
            && self.conds.iter().all(|cond| cond.test.holds(row) == (cond.sign == Sign::Is))
    }
}

impl Test {
    /// The statuses that fit, as bits, when nothing else is asked.
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
