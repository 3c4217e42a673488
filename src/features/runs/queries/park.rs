//! What runs wait for by their own wish.

use crate::features::runs::model::{PARKS_BY_TASK, Park, Run};
use crate::kernel::{RunId, RunState, TaskId, WaitFor};
use crate::store::{KeyBuf, Range, ReadExt, StoreError};

/// The question that a run waits for an answer to.
///
/// # Errors
/// When the disk fails.
pub fn question_of(tx: &impl ReadExt, run: &Run) -> Result<Option<Park>, StoreError> {
    let asks = run.waiting.as_ref().is_some_and(|wait| wait.waits_for == WaitFor::Question);
    if run.state != RunState::Waiting || !asks {
        return Ok(None);
    }
    open_of(tx, run.id)
}

/// What a run waits for.
///
/// # Errors
/// When the disk fails.
pub fn open_of(tx: &impl ReadExt, run: RunId) -> Result<Option<Park>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&run)).reverse().limit(5);
    let last: Vec<Park> = tx.list(&range)?;
    Ok(last.into_iter().find(|park| park.over_at.is_none()))
}

/// Who waits for the end of a task.
///
/// # Errors
/// When the disk fails.
pub fn of_task(tx: &impl ReadExt, task: TaskId) -> Result<Vec<Park>, StoreError> {
    tx.scan(PARKS_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(100))
}
