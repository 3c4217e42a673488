//! Manual order of tasks.

use super::super::queries;
use super::super::queries::error::TaskError;
use super::super::queries::{checks, list};
use crate::tasks::model::Task;
use crate::workspace::model::{Counter, Counting};
use kernel::{Event, TaskField, TaskId, rank};
use store::{ReadExt as _, StoreError, WriteTx};

/// Number of tasks that get new rank keys at once when a key would become too long.
const PIECE: usize = 400;

/// Moves a task after one task and before another. One of them may be omitted.
///
/// # Errors
/// If the task is archived or both are omitted.
pub fn place(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    after: Option<TaskId>,
    before: Option<TaskId>,
) -> Result<Task, TaskError> {
    let mut task = checks::in_use(tx, id)?;
    let key = |at: Option<TaskId>| -> Result<Option<String>, TaskError> {
        at.map(|at| queries::get(tx, at).map(|task| task.rank)).transpose()
    };
    let (low, high) = match (key(after)?, key(before)?) {
        (None, None) => return Err(TaskError::field("after", "choose the task to place it after")),
        // At the end, but before the next task to be created.
        (Some(low), None) => (Some(low), rank::nth(next_number(tx)?)),
        (low, Some(high)) => (low, high),
    };
    let rank = rank::between(low.as_deref(), Some(&high));
    if rank == task.rank {
        return Ok(task);
    }
    task.rank = rank;
    task.updated_at = tx.now();
    tx.put(&task)?;
    if rank::MAX_LEN < task.rank.len() {
        spread(tx, id)?;
        task = queries::get(tx, id)?;
    }
    tx.emit(Event::TaskChanged { task: id, fields: vec![TaskField::Rank] });
    Ok(task)
}

fn next_number(tx: &WriteTx<'_>) -> Result<u32, StoreError> {
    Ok(tx.get::<Counter>(Counting::Tasks)?.map_or(0, |counter| counter.last) + 1)
}

/// Assigns short rank keys to a task and its neighbours, in the same order.
fn spread(tx: &mut WriteTx<'_>, id: TaskId) -> Result<(), TaskError> {
    let all = list::ranks(tx)?;
    let at = all.iter().position(|(_, one)| *one == id).unwrap_or(0);
    let start = at.saturating_sub(PIECE / 2);
    let end = all.len().min(start + PIECE);
    let low = start.checked_sub(1).map(|below| all[below].0.clone());
    let high = match all.get(end) {
        Some((key, _)) => key.clone(),
        None => rank::nth(next_number(tx)?),
    };
    let keys = rank::spread(low.as_deref(), Some(&high), end - start);
    for ((_, id), key) in all[start..end].iter().zip(keys) {
        let mut task = queries::get(tx, *id)?;
        if task.rank != key {
            task.rank = key;
            tx.put(&task)?;
        }
    }
    Ok(())
}
