//! Labels and relations of many tasks at once, from columns of their own, for lists and filters.

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

/// A label of a task, as a column.
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

/// A relation between tasks, as a column.
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

/// Tasks with any of these labels.
pub fn with_label(read: &dyn Read, labels: &[LabelId]) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| {
        let fit = marks.iter().filter(|mark| labels.contains(&mark.label));
        fit.map(|mark| mark.task).collect()
    })
}

/// Tasks with at least one label.
pub fn labelled(read: &dyn Read) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| marks.iter().map(|mark| mark.task).collect())
}

/// Open tasks with a deliverable in review.
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

pub fn labels_of(
    read: &dyn Read,
    tasks: &TaskSet,
) -> Result<HashMap<TaskId, Vec<LabelId>>, StoreError> {
    columns::with(read, |mut marks: &[Mark]| {
        let mut labels: HashMap<TaskId, Vec<LabelId>> = HashMap::new();
        // Both are in task order.
        for task in tasks.ids() {
            marks = &marks[marks.partition_point(|mark| mark.task < *task)..];
            let own = marks.iter().take_while(|mark| mark.task == *task).map(|mark| mark.label);
            labels.entry(*task).or_default().extend(own);
        }
        labels
    })
}

/// Number of tasks per label.
pub fn label_counts(read: &dyn Read) -> Result<HashMap<LabelId, usize>, StoreError> {
    columns::with(read, |marks: &[Mark]| {
        let mut counts: HashMap<LabelId, usize> = HashMap::new();
        for mark in marks {
            *counts.entry(mark.label).or_default() += 1;
        }
        counts
    })
}

/// Number of unarchived tasks of a stream per status.
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

/// Counts of the open tasks of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub all: usize,
    /// In progress and not overdue.
    pub moving: usize,
    pub overdue: usize,
}

/// Counts of open tasks per stream, from one scan. Omits streams without open tasks.
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

/// Tasks of a stream whose parent is not in the same stream.
pub fn tops_in_stream(read: &dyn Read, stream: StreamId) -> Result<Vec<TaskId>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let own = || rows.iter().filter(|row| row.stream() == Some(stream));
        let ids: HashSet<TaskId> = own().map(|row| row.id).collect();
        let tops = own().filter(|row| row.parent().is_none_or(|parent| !ids.contains(&parent)));
        tops.map(|row| row.id).collect()
    })
}

/// Number of open blockers per blocked task.
pub fn blocked(read: &dyn Read) -> Result<HashMap<TaskId, usize>, StoreError> {
    Ok(counted(held_up(read, waits(read)?)?.into_iter().map(|(task, _)| task)))
}

/// Like [`blocked`], limited to these tasks.
pub fn blocked_among(
    read: &dyn Read,
    tasks: &TaskSet,
) -> Result<HashMap<TaskId, usize>, StoreError> {
    let pairs = pairs(read, |tie| tasks.contains(tie.task))?;
    Ok(counted(held_up(read, pairs)?.into_iter().map(|(task, _)| task)))
}

/// Number of waiting tasks per open blocker.
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

/// Wait pairs (task, blocker) within this set.
pub fn waits_among(read: &dyn Read, tasks: &TaskSet) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    pairs(read, |tie| tasks.contains(tie.task) && tasks.contains(tie.other))
}

/// All wait pairs (task, blocker).
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

/// Keeps the pairs with an open blocker.
fn held_up(
    read: &dyn Read,
    mut pairs: Vec<(TaskId, TaskId)>,
) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    if pairs.is_empty() {
        return Ok(pairs);
    }
    // In column order, because single lookups read memory at random.
    pairs.sort_unstable_by_key(|(_, other)| *other);
    let open = list::open_among(read, &pairs.iter().map(|(_, other)| *other).collect())?;
    pairs.retain(|(_, other)| open.contains(*other));
    Ok(pairs)
}
