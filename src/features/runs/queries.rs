//! Reads of sessions, runs and inputs.

pub mod between;
pub mod run_limits;
pub mod branches;
pub mod children;
pub mod choice;
pub mod client;
pub mod compare;
pub mod doing;
pub mod egress;
pub mod elicit;
pub mod evidence;
pub mod grants;
pub mod preferences;
pub mod halt;
pub mod limits;
pub mod makeup;
pub mod marks;
pub mod onward;
pub mod taint;
pub mod today;
pub mod park;
pub mod questions;
pub mod queue;
pub mod search;
pub mod sessions;
pub mod silent;
pub mod steps;
pub mod talk;
pub mod used;
pub mod versions;
pub mod waits;
pub mod words;

use serde::{Deserialize, Serialize};

use crate::inbox::model::Item;
use crate::routines::model::{Firing, Routine, of_item_key};
use kernel::key::KeyBuf;
use kernel::{AgentId, GatewayId, ItemState, RoutineSession, RunId, SessionId, TaskId};
use providers::model::Part;
use store::{BlobId, Hit, Index, Range, Read, ReadExt, StoreError};

pub use queue::open_inputs;

use super::model::{
    Body, Branch, Context, EventKind, FileMark, RUN_BY_AGENT, RUN_BY_NUMBER, RUN_BY_TASK, RUN_LIVE,
    Run, SESSION_BY_AGENT, SESSION_BY_KEY, Session, SessionEvent,
};

/// Number of a task's latest runs searched for live ones.
const LAST_OF_TASK: usize = 50;

/// Number of a run's latest events searched for its last response.
const LAST_EVENTS: usize = 2_000;

/// Live runs of an agent.
pub fn live_of_agent(tx: &dyn Read, agent: AgentId) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_LIVE, &Range::prefix(KeyBuf::of(&agent)))
}

pub fn live(tx: &dyn Read) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_LIVE, &Range::all())
}

/// Live runs on a gateway.
pub fn live_on(tx: &dyn Read, gateway: GatewayId) -> Result<Vec<Run>, StoreError> {
    let mut all = live(tx)?;
    all.retain(|run| run.gateway == Some(gateway));
    Ok(all)
}

/// The live run with which an agent works on a task.
pub fn live_of_task(
    tx: &dyn Read,
    task: TaskId,
    agent: AgentId,
) -> Result<Option<Run>, StoreError> {
    let mut live = live_of_agent(tx, agent)?;
    live.retain(|run| run.task == Some(task) && run.item.is_some());
    Ok(live.into_iter().next())
}

/// All live runs on a task, newest first.
pub fn live_on_task(tx: &dyn Read, task: TaskId) -> Result<Vec<Run>, StoreError> {
    let mut runs = of_task(tx, task, LAST_OF_TASK)?;
    runs.retain(Run::is_live);
    Ok(runs)
}

/// The item that an ended run left failed or given up, so that it can be retried.
pub fn left_item(tx: &dyn Read, run: &Run) -> Result<Option<Item>, StoreError> {
    let item = match run.item.filter(|_| !run.is_live()) {
        Some(item) => tx.get::<Item>(item)?,
        None => None,
    };
    let left = [ItemState::Failed, ItemState::DeadLetter];
    Ok(item.filter(|item| item.run == Some(run.id) && left.contains(&item.state)))
}

/// Session key for an agent's work: one per task, and one for all other work.
#[must_use]
pub fn work_session_key(slug: &str, task: Option<TaskId>) -> String {
    match task {
        Some(task) => format!("agent:{slug}:task:{task}"),
        None => format!("agent:{slug}:work"),
    }
}

/// Session key for an item. Each firing of a routine has its own, unless the routine continues in the agent's work
/// session.
pub fn item_session_key(tx: &dyn Read, slug: &str, item: &Item) -> Result<String, StoreError> {
    let Some(id) = of_item_key(&item.key) else { return Ok(work_session_key(slug, item.task)) };
    let routine = match tx.get::<Firing>(id)? {
        Some(firing) => tx.get::<Routine>(firing.routine)?,
        None => None,
    };
    match routine.map(|routine| routine.session) {
        Some(RoutineSession::Main) => Ok(work_session_key(slug, item.task)),
        // Also if the routine has been deleted.
        Some(RoutineSession::Isolated) | None => Ok(format!("agent:{slug}:routine:{id}")),
    }
}

/// Finds a run by name (`R-2291`), number or id.
pub fn by_name(tx: &dyn Read, name: &str) -> Result<Option<Run>, StoreError> {
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
pub fn of_agent(
    tx: &dyn Read,
    agent: AgentId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Run>>, StoreError> {
    newest(tx, RUN_BY_AGENT, Range::prefix(KeyBuf::of(&agent)), after, limit)
}

/// All runs of the workspace, newest first.
pub fn all(tx: &dyn Read, after: Option<&[u8]>, limit: usize) -> Result<Vec<Hit<Run>>, StoreError> {
    newest(tx, RUN_BY_NUMBER, Range::all(), after, limit)
}

/// One page of the runs on a task, newest first.
pub fn pages_of_task(
    tx: &dyn Read,
    task: TaskId,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Run>>, StoreError> {
    newest(tx, RUN_BY_TASK, Range::prefix(KeyBuf::of(&task)), after, limit)
}

fn newest(
    tx: &dyn Read,
    index: Index,
    range: Range,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Hit<Run>>, StoreError> {
    let mut range = range.reverse().limit(limit);
    if let Some(after) = after {
        range = range.after(after);
    }
    tx.hits(index, &range)
}

/// Runs on a task, newest first.
pub fn of_task(tx: &dyn Read, task: TaskId, limit: usize) -> Result<Vec<Run>, StoreError> {
    tx.scan(RUN_BY_TASK, &Range::prefix(KeyBuf::of(&task)).reverse().limit(limit))
}

pub fn session_by_key(tx: &dyn Read, key: &str) -> Result<Option<Session>, StoreError> {
    let mut at = KeyBuf::new();
    at.text(key);
    tx.find(SESSION_BY_KEY, &at)
}

/// Sessions in creation order, after `after`.
pub fn sessions_made(
    tx: &dyn Read,
    after: Option<SessionId>,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    let range = Range::all().limit(limit);
    tx.list(&match after {
        Some(id) => range.after(KeyBuf::of(&id).bytes()),
        None => range,
    })
}

/// Sessions of an agent, newest first.
pub fn sessions_of_agent(
    tx: &dyn Read,
    agent: AgentId,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    tx.scan(SESSION_BY_AGENT, &Range::prefix(KeyBuf::of(&agent)).reverse().limit(limit))
}

/// Events of a session with numbers in `[from, to)`, oldest first, including the events that a branch shares with its
/// parent.
pub fn events(
    tx: &dyn Read,
    session: SessionId,
    from: u32,
    to: u32,
) -> Result<Vec<SessionEvent>, StoreError> {
    let mut all = Vec::new();
    for (session, from, to) in branches::pieces(tx, session, from, to)?.into_iter().rev() {
        let at = |n: u32| KeyBuf::of(&(session, n));
        all.extend(tx.list::<SessionEvent>(&Range::between(at(from), at(to)))?);
    }
    Ok(all)
}

/// The last events of a session, oldest first.
pub fn last_events(
    tx: &dyn Read,
    session: SessionId,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(limit);
    let mut events: Vec<SessionEvent> = tx.list(&range)?;
    events.reverse();
    let missing = u32::try_from(limit - events.len()).unwrap_or(u32::MAX);
    if 0 < missing
        && let Some(Branch { parent, upto, .. }) = branches::of_session(tx, session)?
    {
        let mut first = self::events(tx, parent, upto.saturating_sub(missing), upto)?;
        first.append(&mut events);
        return Ok(first);
    }
    Ok(events)
}

/// The part of a session that its model is sent.
pub fn context(tx: &dyn Read, session: SessionId) -> Result<Context, StoreError> {
    Ok(tx.get::<Context>(session)?.unwrap_or_else(|| Context::whole(session)))
}

/// The events of one run, oldest first, at most `limit`.
pub fn events_of_run(
    tx: &dyn Read,
    run: &Run,
    limit: usize,
) -> Result<Vec<SessionEvent>, StoreError> {
    let at = |n: u32| KeyBuf::of(&(run.session, n));
    let range = Range::between(at(run.first_event), at(u32::MAX)).limit(limit);
    let events: Vec<SessionEvent> = tx.list(&range)?;
    Ok(events.into_iter().filter(|event| event.run == Some(run.id)).collect())
}

/// An unanswered tool call of a run's last response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenCall {
    /// Call id assigned by the provider.
    pub id: String,
    /// Tool name as the model wrote it.
    pub name: String,
    pub arguments: String,
    /// Set if the call was begun.
    pub started: Option<Begun>,
    /// Event number of the response, and position among its calls.
    pub place: (u32, usize),
}

/// A tool call that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Number of the call in the run.
    pub step: u32,
    /// Planned file changes; empty for a tool with external effects.
    pub files: Vec<FileMark>,
    /// The new contents, if several files change.
    pub kept: Option<BlobId>,
}

/// The unanswered tool calls of a run's last response, in order.
pub fn open_calls(tx: &dyn Read, run: &Run) -> Result<Vec<OpenCall>, StoreError> {
    let at = |n: u32| KeyBuf::of(&(run.session, n));
    let range = Range::between(at(run.first_event), at(u32::MAX)).reverse().limit(LAST_EVENTS);
    let mut started = Vec::new();
    let mut finished = Vec::new();
    for event in tx.list::<SessionEvent>(&range)? {
        match event.kind {
            _ if event.run != Some(run.id) => {}
            EventKind::ToolFinished { call_id, .. } => finished.push(call_id),
            EventKind::ToolStarted { call_id, step, file, .. } => {
                let files = file.into_iter().collect();
                started.push((call_id, Begun { step, files, kept: None }));
            }
            EventKind::FilesStarted { call_id, step, files, kept, .. } => {
                started.push((call_id, Begun { step, files, kept: Some(kept) }));
            }
            EventKind::Assistant { parts, .. } => {
                let calls = parts_of(&parts).into_iter().filter_map(|part| match part {
                    Part::ToolCall { id, name, arguments } => Some((id, name, arguments)),
                    _ => None,
                });
                let calls = calls.enumerate().map(|(at, (id, name, arguments))| {
                    let began = started.iter().find(|(call, _)| *call == id);
                    let started = began.map(|(_, how)| how.clone());
                    OpenCall { id, name, arguments, started, place: (event.n, at) }
                });
                return Ok(calls.filter(|call| !finished.contains(&call.id)).collect());
            }
            _ => {}
        }
    }
    Ok(Vec::new())
}

fn parts_of(parts: &Body) -> Vec<Part> {
    // ok: parts that this version cannot read contain no calls to close.
    serde_json::from_str(parts.head()).unwrap_or_default()
}

/// Whether a response contains tool calls.
#[must_use]
pub fn has_calls(parts: &Body) -> bool {
    parts_of(parts).iter().any(|part| matches!(part, Part::ToolCall { .. }))
}

/// Whether a response contains text. A response stored as a blob always does.
#[must_use]
pub fn has_words(parts: &Body) -> bool {
    let says = |part: &Part| matches!(part, Part::Text { text } if !text.trim().is_empty());
    matches!(parts, Body::Blob { .. }) || parts_of(parts).iter().any(says)
}

/// Whether a background run of the agent holds its slot. Waiting runs have given it back.
pub fn has_background_run(tx: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    for run in live_of_agent(tx, agent)? {
        if run.keeps_agent_busy() && branches::held(tx, &run)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}
