//! Reads of sessions, runs and inputs.

pub mod steps;
pub mod talk;
pub mod words;

use crate::kernel::{AgentId, RunId, RunState, SessionId, TaskId};
use crate::store::{Hit, KeyBuf, Range, ReadExt, StoreError};

use super::model::{
    INPUT_OPEN, Input, RUN_BY_AGENT, RUN_BY_NUMBER, RUN_BY_TASK, RUN_LIVE, Run, SESSION_BY_AGENT,
    SESSION_BY_KEY, Session, SessionEvent,
};

/// Runs of an agent that have not ended.
///
/// # Errors
/// When the disk fails.
pub fn live_of_agent(tx: &impl ReadExt, agent: AgentId) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_LIVE, &Range::prefix(KeyBuf::of(&agent)))
}

/// All runs that have not ended.
///
/// # Errors
/// When the disk fails.
pub fn live(tx: &impl ReadExt) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_LIVE, &Range::all())
}

/// The run of an agent that works on a task now, or waits to go on.
///
/// # Errors
/// When the disk fails.
pub fn live_of_task(
    tx: &impl ReadExt,
    task: TaskId,
    agent: AgentId,
) -> Result<Option<Run>, StoreError> {
    Ok(live_of_agent(tx, agent)?.into_iter().find(|run| run.task == Some(task)))
}

/// A run by its name (`R-2291`), number or id.
///
/// # Errors
/// When the disk fails.
pub fn by_name(tx: &impl ReadExt, name: &str) -> Result<Option<Run>, StoreError> {
    let digits = name.strip_prefix("R-").or_else(|| name.strip_prefix("r-")).unwrap_or(name);
    if let Ok(number) = digits.parse::<u32>() {
        return tx.find(RUN_BY_NUMBER, &KeyBuf::of(&number));
    }
    match name.parse::<RunId>() {
        Ok(id) => tx.get(id),
        Err(_) => Ok(None),
    }
}

/// Runs of an agent, newest first.
///
/// # Errors
/// When the disk fails.
pub fn of_agent(
    tx: &impl ReadExt,
    agent: AgentId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Run>>, StoreError> {
    newest(tx, Range::prefix(KeyBuf::of(&agent)), after, limit, true)
}

/// Runs of the workspace, newest first.
///
/// # Errors
/// When the disk fails.
pub fn all(
    tx: &impl ReadExt,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Run>>, StoreError> {
    newest(tx, Range::all(), after, limit, false)
}

fn newest(
    tx: &impl ReadExt,
    range: Range,
    after: Option<&[u8]>,
    limit: usize,
    by_agent: bool,
) -> Result<Vec<Hit<Run>>, StoreError> {
    let mut range = range.reverse().limit(limit);
    if let Some(after) = after {
        range = range.after(after);
    }
    tx.hits(if by_agent { RUN_BY_AGENT } else { RUN_BY_NUMBER }, &range)
}

/// Runs on a task, newest first.
///
/// # Errors
/// When the disk fails.
pub fn of_task(tx: &impl ReadExt, task: TaskId, limit: usize) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_BY_TASK, &Range::prefix(KeyBuf::of(&task)).reverse().limit(limit))
}

/// A session by its key.
///
/// # Errors
/// When the disk fails.
pub fn session_by_key(tx: &impl ReadExt, key: &str) -> Result<Option<Session>, StoreError> {
    let mut at = KeyBuf::new();
    at.text(key);
    tx.find(SESSION_BY_KEY, &at)
}

/// Sessions of an agent, newest first.
///
/// # Errors
/// When the disk fails.
pub fn sessions_of_agent(
    tx: &impl ReadExt,
    agent: AgentId,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    tx.scan(SESSION_BY_AGENT, &Range::prefix(KeyBuf::of(&agent)).reverse().limit(limit))
}

/// Events of a session with numbers in `[from, to)`, oldest first.
///
/// # Errors
/// When the disk fails.
pub fn events(
    tx: &impl ReadExt,
    session: SessionId,
    from: u32,
    to: u32,
) -> Result<Vec<SessionEvent>, StoreError> {
    let at = |n: u32| KeyBuf::of(&(session, n));
    tx.list(&Range::between(at(from), at(to)))
}

/// The last events of a session, oldest first.
///
/// # Errors
/// When the disk fails.
pub fn last_events(
    tx: &impl ReadExt,
    session: SessionId,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(limit);
    let mut events: Vec<SessionEvent> = tx.list(&range)?;
    events.reverse();
    Ok(events)
}

/// The events of one run, oldest first, at most `limit`.
///
/// # Errors
/// When the disk fails.
pub fn events_of_run(
    tx: &impl ReadExt,
    run: &Run,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    let at = |n: u32| KeyBuf::of(&(run.session, n));
    let range = Range::between(at(run.first_event), at(u32::MAX)).limit(limit);
    let events: Vec<SessionEvent> = tx.list(&range)?;
    Ok(events.into_iter().filter(|event| event.run == Some(run.id)).collect())
}

/// The open inputs of a session, oldest first.
///
/// # Errors
/// When the disk fails.
pub fn open_inputs(tx: &impl ReadExt, session: SessionId) -> Result<Vec<Input>, StoreError> {
    tx.scan(INPUT_OPEN, &Range::prefix(KeyBuf::of(&session)))
}

/// Whether an agent has a background run that holds its slot: a waiting one has given it back.
///
/// # Errors
/// When the disk fails.
pub fn has_background_run(tx: &impl ReadExt, agent: AgentId) -> Result<bool, StoreError> {
    let live = live_of_agent(tx, agent)?;
    Ok(live.iter().any(|run| run.item.is_some() && run.state != RunState::Waiting))
}
