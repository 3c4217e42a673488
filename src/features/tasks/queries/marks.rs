//! Labels and relations of many tasks at once, from columns of their own: for lists and filters.

use std::collections::{HashMap, HashSet};

use super::columns::Row;
use super::list;
use super::taskset::TaskSet;
use crate::features::tasks::model::label::TaskLabel;
use crate::features::tasks::model::relation::Relation;
use crate::kernel::{LabelId, RelationId, RelationKind, StreamId, TaskId, TaskStatus};
use crate::store::columns::{self, Column};
use crate::store::{Read, StoreError};

/// Which task has which label.
struct Mark {
    task: TaskId,
    label: LabelId,
}

impl Column for Mark {
    type Of = TaskLabel;

    fn of(record: &TaskLabel) -> Self {
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

    fn of(record: &Relation) -> Self {
        Self { id: record.id, kind: record.kind, task: record.task, other: record.other }
    }

    fn id(&self) -> RelationId {
        self.id
    }
}

/// The tasks with one of these labels.
///
/// # Errors
/// When the store fails.
pub fn with_label(read: &dyn Read, labels: &[LabelId]) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| {
        let fit = marks.iter().filter(|mark| labels.contains(&mark.label));
        fit.map(|mark| mark.task).collect()
    })
}

/// The tasks that have a label, whichever.
///
/// # Errors
/// When the store fails.
pub fn labelled(read: &dyn Read) -> Result<TaskSet, StoreError> {
    columns::with(read, |marks: &[Mark]| marks.iter().map(|mark| mark.task).collect())
}

/// How many tasks have each label.
///
/// # Errors
/// When the store fails.
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
///
/// # Errors
/// When the store fails.
pub fn in_stream(
    read: &dyn Read,
    stream: StreamId,
) -> Result<HashMap<TaskStatus, usize>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let mut counts: HashMap<TaskStatus, usize> = HashMap::new();
        for row in rows.iter().filter(|row| row.stream == Some(stream) && !row.archived) {
            *counts.entry(row.status).or_default() += 1;
        }
        counts
    })
}

/// The tasks of a stream that are no part of another of its tasks.
///
/// # Errors
/// When the store fails.
pub fn tops_in_stream(read: &dyn Read, stream: StreamId) -> Result<Vec<TaskId>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let own = || rows.iter().filter(|row| row.stream == Some(stream));
        let ids: HashSet<TaskId> = own().map(|row| row.id).collect();
        let tops = own().filter(|row| row.parent.is_none_or(|parent| !ids.contains(&parent)));
        tops.map(|row| row.id).collect()
    })
}

/// The tasks that wait for others, each with how many of those are still to be done.
///
/// # Errors
/// When the store fails.
pub fn blocked(read: &dyn Read) -> Result<HashMap<TaskId, usize>, StoreError> {
    let pairs = waits(read)?;
    let open = open_blockers(read, &pairs)?;
    let mut counts: HashMap<TaskId, usize> = HashMap::new();
    for (task, _) in pairs.into_iter().filter(|(_, other)| open.contains(other)) {
        *counts.entry(task).or_default() += 1;
    }
    Ok(counts)
}

/// The tasks for which others wait, each with how many of those there are; only what is still to be
/// done keeps anything waiting.
///
/// # Errors
/// When the store fails.
pub fn blocking(read: &dyn Read) -> Result<HashMap<TaskId, usize>, StoreError> {
    let pairs = waits(read)?;
    let open = open_blockers(read, &pairs)?;
    let mut counts: HashMap<TaskId, usize> = HashMap::new();
    for (_, other) in pairs.into_iter().filter(|(_, other)| open.contains(other)) {
        *counts.entry(other).or_default() += 1;
    }
    Ok(counts)
}

/// Every task that waits, with what it waits for.
///
/// # Errors
/// When the store fails.
pub fn waits(read: &dyn Read) -> Result<Vec<(TaskId, TaskId)>, StoreError> {
    columns::with(read, |ties: &[Tie]| {
        let waits = ties.iter().filter(|tie| tie.kind == RelationKind::BlockedBy);
        waits.map(|tie| (tie.task, tie.other)).collect()
    })
}

fn open_blockers(
    read: &dyn Read,
    pairs: &[(TaskId, TaskId)],
) -> Result<HashSet<TaskId>, StoreError> {
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let others: Vec<TaskId> = pairs.iter().map(|(_, other)| *other).collect();
    list::open_among(read, &others)
}
