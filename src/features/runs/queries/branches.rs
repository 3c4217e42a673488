//! Branches: conversations started from a step of another run, the events they share, and what their runs wait for.

use crate::history::model::{FileRevert, REVERTS_BY_RUN};
use crate::runs::model::{BRANCH_OF, BRANCH_PARENT, Branch, EventKind, Run, Session, SessionEvent};
use kernel::key::KeyBuf;
use kernel::{RunId, RunState, SessionId};
use store::{Range, Read, ReadExt, StoreError};

use super::{events_of_run, live_on_task};

/// Maximum number of branches listed for one run.
const MOST: usize = 100;

/// The branch record of a conversation; `None` if it did not start as a branch.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Option<Branch>, StoreError> {
    tx.get::<Branch>(session)
}

/// The branch that started this run; `None` for other runs.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<Option<Branch>, StoreError> {
    Ok(of_session(tx, run.session)?.filter(|branch| branch.run == run.id))
}

/// The branches started from this run, oldest first.
pub fn started_from(tx: &dyn Read, run: RunId) -> Result<Vec<Branch>, StoreError> {
    let ids = tx.referrers::<Branch, Run>(run, BRANCH_OF, MOST)?;
    ids.into_iter().filter_map(|id| tx.get::<Branch>(id).transpose()).collect()
}

/// Whether a branch shares events of this conversation.
pub fn is_shared(tx: &dyn Read, session: SessionId) -> Result<bool, StoreError> {
    Ok(!tx.referrers::<Branch, Session>(session, BRANCH_PARENT, 1)?.is_empty())
}

/// Number of the first event that a conversation does not share with its parent.
pub fn first_own(tx: &dyn Read, session: SessionId) -> Result<u32, StoreError> {
    Ok(of_session(tx, session)?.map_or(0, |branch| branch.upto))
}

/// Locations of the events with numbers in `[from, to)` as (session, from, to), newest piece first.
pub fn pieces(
    tx: &dyn Read,
    session: SessionId,
    from: u32,
    to: u32,
) -> Result<Vec<(SessionId, u32, u32)>, StoreError> {
    let (mut at, mut to, mut pieces) = (session, to, Vec::new());
    while let Some(branch) = of_session(tx, at)?.filter(|branch| from < branch.upto) {
        if branch.upto < to {
            pieces.push((at, branch.upto, to));
        }
        (at, to) = (branch.parent, to.min(branch.upto));
    }
    pieces.push((at, from, to));
    Ok(pieces)
}

/// Point at which a run is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// First event that is not shared.
    pub upto: u32,
    /// Step number as on the run's page; `None` for the beginning.
    pub step: Option<u32>,
}

/// Finds the cut for a step as named by page and API (`7`, `s-7`, `7-2`): before the model call that led to the step.
/// Without a step: before the first call. `None` if there is no such step or no model call follows it.
pub fn cut(tx: &dyn Read, run: &Run, step: Option<&str>) -> Result<Option<Cut>, StoreError> {
    let events = events_of_run(tx, run, usize::MAX)?;
    let mut calls = Vec::new();
    let mut end = None;
    for event in &events {
        match event.kind {
            EventKind::CallStarted { .. } => calls.push(event.n),
            EventKind::RunEnded { .. } => end = Some(event.n),
            _ => {}
        }
    }
    let first = calls.first().copied().or(end);
    let Some(step) = step else { return Ok(first.map(|upto| Cut { upto, step: None })) };
    let name = step.trim().trim_start_matches('#').trim_start_matches("s-");
    let number = name.split('-').next().and_then(|number| number.parse::<u32>().ok());
    let Some(number) = number.filter(|number| 0 < *number) else { return Ok(None) };
    let n = run.first_event.saturating_add(number - 1);
    let Some(event) = events.iter().find(|event| event.n == n) else { return Ok(None) };
    let upto = match event.kind {
        EventKind::Assistant { .. }
        | EventKind::CallStarted { .. }
        | EventKind::ToolStarted { .. }
        | EventKind::FilesStarted { .. }
        | EventKind::ToolFinished { .. } => calls.iter().rfind(|call| **call <= n),
        _ => calls.iter().find(|call| n < **call),
    };
    let cut = |upto: u32| Cut { upto, step: (Some(upto) != first).then_some(number) };
    Ok(upto.copied().map(cut))
}

/// A step's number as runs count their steps, from 1: the number of tool calls that ended before it, and one. `step` is
/// its number on the run's page, where each event has one.
pub fn counted(tx: &dyn Read, run: &Run, step: u32) -> Result<u32, StoreError> {
    let before = step.saturating_sub(1);
    let until = run.first_event.saturating_add(before);
    // Each event has its own number, so no more than these come before it.
    let most = usize::try_from(before).unwrap_or(usize::MAX);
    let counts = |event: &SessionEvent| {
        event.n < until && matches!(event.kind, EventKind::ToolFinished { .. })
    };
    let count = events_of_run(tx, run, most)?.iter().filter(|event| counts(event)).count();
    Ok(u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1))
}

/// Where a branch leaves its run: "from step 2", counted as runs count their steps.
pub fn place(tx: &dyn Read, branch: &Branch, of: &Run) -> Result<String, StoreError> {
    Ok(match branch.step {
        Some(step) => format!("from step {}", counted(tx, of, step)?),
        None => "from the beginning".to_owned(),
    })
}

/// Why a restarted run does not begin yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Another run works on the task.
    Run(Box<Run>),
    /// Files of this run are being reverted.
    Files(Box<Run>),
}

impl Held {
    /// One sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Run(run) => {
                format!("Waiting for {} to end: both use the same task and folder.", run.name())
            }
            Self::Files(run) => {
                format!("Waiting until the files {} changed are reverted.", run.name())
            }
        }
    }
}

/// What a restarted run waits for before its first step: the end of an older run of its agent on the same task, or a
/// file revert. `None` for all other runs.
pub fn held(tx: &dyn Read, run: &Run) -> Result<Option<Held>, StoreError> {
    if run.state != RunState::Queued || run.started_at.is_some() {
        return Ok(None);
    }
    let Some(branch) = of_run(tx, run)? else { return Ok(None) };
    let range = Range::prefix(KeyBuf::of(&branch.of));
    let orders: Vec<FileRevert> = tx.scan(REVERTS_BY_RUN, &range)?;
    if orders.iter().any(FileRevert::is_open)
        && let Some(of) = tx.get::<Run>(branch.of)?
    {
        return Ok(Some(Held::Files(Box::new(of))));
    }
    let (Some(task), Some(_)) = (run.task, run.item) else { return Ok(None) };
    let older = live_on_task(tx, task)?.into_iter().find(|other| {
        other.agent == run.agent && other.item.is_some() && other.number < run.number
    });
    Ok(older.map(|older| Held::Run(Box::new(older))))
}
