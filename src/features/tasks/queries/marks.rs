//! Labels and relations of many tasks at once, from columns of their own: for lists and filters.

use std::collections::{HashMap, HashSet};

use super::columns::Row;
use super::list;
use super::overdue::Passed;
use super::taskset::TaskSet;
use crate::deliverables::model::{self as deliverables, Deliverable};
use crate::tasks::model::Task;
use crate::tasks::model::label::LabelId;
use crate::tasks::model::label::TaskLabel;
use crate::tasks::model::relation::Relation;
use kernel::{RelationId, RelationKind, StreamId, TaskId, TaskStatus};
use store::columns::{self, Column};
use store::{Range, Read, ReadExt as _, StoreError};

/// Which task has which label.
struct Mark {
    task: TaskId,
    label: LabelId,
}

impl Column for Mark {
    type Of = TaskLabel;
    type Shared = ();

    fn of(record: &TaskLabel, (): &mut ()) -> Self {
        Self { task: record.task, label: record.label }
    }

    fn id(&self) -> (TaskId, LabelId) {
        (self.task, self.label)
    }
}

/// Which task waits for which, or is related to it.
struct Tie {
    id: RelationId,
    kind: RelationKind,
    task: TaskId,
    other: TaskId,
}

impl Column for Tie {
    type Of = Relation;
    type Shared = ();

    fn of(record: &Relation, (): &mut ()) -> Self {
        Self { id: record.id, kind: record.kind, task: record.task, other: record.other }
    }

    fn id(&self) -> RelationId {
        self.id
    }
}

/// The tasks with one of these labels.
pub fn with_label(read: &dyn Read, labels: &[LabelId]) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| {
        let fit = marks.iter().filter(|mark| labels.contains(&mark.label));
        fit.map(|mark| mark.task).collect()
    })
}

/// The tasks that have a label, whichever.
pub fn labelled(read: &dyn Read) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| marks.iter().map(|mark| mark.task).collect())
}

/// The open tasks whose delivered work waits for a person.
pub fn in_review(read: &dyn Read) -> Result<TaskSet, StoreError> {
    let pieces: Vec<Deliverable> = read.scan(deliverables::IN_REVIEW, &Range::all())?;
    let mut open = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if read.get::<Task>(piece.task)?.is_some_and(|task| task.status.is_open()) {
            open.push(piece.task);
        }
    }
    Ok(open.into_iter().collect())
}

/// The labels of these tasks.
pub fn labels_of(
    read: &dyn Read,
    tasks: &TaskSet,
) -> Result<HashMap<TaskId, Vec<LabelId>>, StoreError> {
    columns::with(read, |mut marks: &[Mark]| {
        let mut labels: HashMap<TaskId, Vec<LabelId>> = HashMap::new();
        // Both are in the order of tasks.
        for task in tasks.ids() {
            marks = &marks[marks.partition_point(|mark| mark.task < *task)..];
            let own = marks.iter().take_while(|mark| mark.task == *task).map(|mark| mark.label);
            labels.entry(*task).or_default().extend(own);
        }
        labels
    })
}

/// How many tasks have each label.
pub fn label_counts(read: &dyn Read) -> Result<HashMap<LabelId, usize>, StoreError> {
    columns::with(read, |marks: &[Mark]| {
        let mut counts: HashMap<LabelId, usize> = HashMap::new();
        for mark in marks {
            *counts.entry(mark.label).or_default() += 1;
        }
        counts
    })
}

/// How many tasks of a stream stand where, archived ones left out.
pub fn in_stream(
    read: &dyn Read,
    stream: StreamId,
) -> Result<HashMap<TaskStatus, usize>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let mut counts: HashMap<TaskStatus, usize> = HashMap::new();
        for row in rows.iter().filter(|row| !row.archived && row.stream() == Some(stream)) {
            *counts.entry(row.status).or_default() += 1;
        }
        counts
    })
}

/// The open tasks of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub all: usize,
    /// Those under way that are not overdue.
    pub moving: usize,
    /// Those that are overdue.
    pub overdue: usize,
}

/// The open tasks of each stream that has some, in one walk over all tasks.
pub fn open_by_stream(
    read: &dyn Read,
    passed: Passed,
) -> Result<HashMap<StreamId, Open>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let mut all: HashMap<StreamId, Open> = HashMap::new();
        for row in rows.iter().filter(|row| !row.archived && row.status.is_open()) {
            let Some(stream) = row.stream() else { continue };
            let open = all.entry(stream).or_default();
            open.all += 1;
            if row.is_overdue(passed) {
                open.overdue += 1;
            } else if row.status == TaskStatus::InProgress {
                open.moving += 1;
            }
        }
        all
    })
}

/// The tasks of a stream that are no part of another of its tasks.
pub fn tops_in_stream(read: &dyn Read, stream: StreamId) -> Result<Vec<TaskId>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let own = || rows.iter().filter(|row| row.stream() == Some(stream));
        let ids: HashSet<TaskId> = own().map(|row| row.id).collect();
        let tops = own().filter(|row| row.parent().is_none_or(|parent| !ids.contains(&parent)));
        tops.map(|row| row.id).collect()
    })
}

/// The tasks that wait for others, each with how many of those are still to be done.
pub fn blocked(read: &dyn Read) -> Result<HashMap<TaskId, usize>, StoreError> {
    Ok(counted(held_up(read, waits(read)?)?.into_iter().map(|(task, _)| task)))
}

/// The same, of these tasks only.
pub fn blocked_among(
    read: &dyn Read,
    tasks: &TaskSet,
) -> Result<HashMap<TaskId, usize>, StoreError> {
    let pairs = pairs(read, |tie| tasks.contains(tie.task))?;
    Ok(counted(held_up(read, pairs)?.into_iter().map(|(task, _)| task)))
}

/// The tasks for which others wait, each with how many of those there are; only what is still to be
/// done keeps anything waiting.
pub fn blocking(read: &dyn Read) -> Result<HashMap<TaskId, usize>, StoreError> {
    Ok(counted(held_up(read, waits(read)?)?.into_iter().map(|(_, other)| other)))
}

fn counted(tasks: impl Iterator<Item = TaskId>) -> HashMap<TaskId, usize> {
    let mut counts: HashMap<TaskId, usize> = HashMap::new();
    for task in tasks {
        *counts.entry(task).or_default() += 1;
    }
    counts
}

/// Which of these tasks waits for which other of them.
pub fn waits_among(read: &dyn Read, tasks: &TaskSet) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    pairs(read, |tie| tasks.contains(tie.task) && tasks.contains(tie.other))
}

/// Every task that waits, with what it waits for.
pub fn waits(read: &dyn Read) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    pairs(read, |_| true)
}

fn pairs(
    read: &dyn Read,
    is_wanted: impl Fn(&Tie) -> bool,
) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    columns::with(read, |ties: &[Tie]| {
        let waits = ties.iter().filter(|tie| tie.kind == RelationKind::BlockedBy);
        waits.filter(|tie| is_wanted(tie)).map(|tie| (tie.task, tie.other)).collect()
    })
}

/// Those of the pairs whose second is still to be done.
fn held_up(
    read: &dyn Read,
    mut pairs: Vec<(TaskId, TaskId)>,
) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    if pairs.is_empty() {
        return Ok(pairs);
    }
    // In the order of the columns: to look each one up for itself reads memory all over the place.
    pairs.sort_unstable_by_key(|(_, other)| *other);
    let open = list::open_among(read, &pairs.iter().map(|(_, other)| *other).collect())?;
    pairs.retain(|(_, other)| open.contains(*other));
    Ok(pairs)
}
