//! Waits that runs requested.

use crate::agents::model::Agent;
use crate::runs::model::{PARKS_BY_TASK, Park, Run};
use crate::tasks::model::Task;
use kernel::key::KeyBuf;
use kernel::{RunId, RunState, TaskId, WaitFor};
use store::{Range, Read, ReadExt, StoreError};

/// The question that a run waits on, answered in text or by manual control of its browser.
pub fn question_of(tx: &dyn Read, run: &Run) -> Result<Option<Park>, StoreError> {
    open_for(tx, run, WaitFor::is_question)
}

/// Whether a run waits for manual control of its browser.
#[must_use]
pub fn is_at_browser(run: &Run) -> bool {
    let waits = run.waits_for() == Some(WaitFor::Browser);
    run.state == RunState::Waiting && waits
}

/// Path of the browser page for a run that waits for manual control; `None` for other runs.
pub fn browser_of(tx: &dyn Read, run: &Run) -> Result<Option<String>, StoreError> {
    if !is_at_browser(run) {
        return Ok(None);
    }
    let agent = tx.get::<Agent>(run.agent)?;
    Ok(agent.map(|agent| format!("agents/{}/browser", agent.slug)))
}

/// The wait of a run for a time or for the end of a task.
pub fn timer_of(tx: &dyn Read, run: &Run) -> Result<Option<Park>, StoreError> {
    open_for(tx, run, |what| what == WaitFor::Timer)
}

/// The wait of a run for a sign-in to an MCP server.
pub fn sign_in_of(tx: &dyn Read, run: &Run) -> Result<Option<Park>, StoreError> {
    open_for(tx, run, |what| what == WaitFor::SignIn)
}

/// Whether a wait can never end: its task has ended or was archived, or the task was deleted and the wait has no
/// time.
pub fn is_in_vain(tx: &dyn Read, run: &Run) -> Result<bool, StoreError> {
    let timer = run.waits_for() == Some(WaitFor::Timer);
    // A run that has not begun waits for more messages of its turn.
    if run.state != RunState::Waiting || !timer || run.started_at.is_none() {
        return Ok(false);
    }
    let Some(park) = open_of(tx, run.id)? else { return Ok(true) };
    let Some(task) = park.task else { return Ok(park.until.is_none()) };
    let open = |task: &Task| task.status.is_open() && task.archived_at.is_none();
    Ok(!tx.get::<Task>(task)?.as_ref().is_some_and(open))
}

fn open_for(
    tx: &dyn Read,
    run: &Run,
    is_wanted: impl Fn(WaitFor) -> bool,
) -> Result<Option<Park>, StoreError> {
    match run.state == RunState::Waiting && run.waits_for().is_some_and(is_wanted) {
        true => open_of(tx, run.id),
        false => Ok(None),
    }
}

/// The open wait of a run.
pub fn open_of(tx: &dyn Read, run: RunId) -> Result<Option<Park>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&run)).reverse().limit(5);
    let last: Vec<Park> = tx.list(&range)?;
    Ok(last.into_iter().find(|park| park.over_at.is_none()))
}

/// The waits for the end of a task.
pub fn of_task(tx: &dyn Read, task: TaskId) -> Result<Vec<Park>, StoreError> {
    tx.scan(PARKS_BY_TASK, &Range::prefix(KeyBuf::of(&task)).limit(100))
}

/// The wait of a call that has begun, at the question of its server or for a sign-in; `None` once the call continues.
pub fn asked_at(read: &dyn Read, run: RunId, step: u32) -> Result<Option<Park>, StoreError> {
    let park = read.get::<Park>((run, step))?;
    Ok(park.filter(|park| park.asked.as_ref().is_some_and(|asked| !asked.is_taken)))
}
