//! Runs that begin again at a step of another: what their conversations share, and what they wait for.

use crate::history::model::{FileRevert, REVERTS_BY_RUN};
use crate::runs::model::{BRANCH_OF, BRANCH_PARENT, Branch, EventKind, Run, Session};
use kernel::key::KeyBuf;
use kernel::{RunId, RunState, SessionId};
use store::{Range, Read, ReadExt, StoreError};

use super::{events_of_run, live_on_task};

/// How many runs that began again from one run are told.
const MOST: usize = 100;

/// What makes a conversation a branch; nothing for one that began by itself.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Option<Branch>, StoreError> {
    tx.get::<Branch>(session)
}

/// The branch that this run began; nothing for a run that is none begun again.
pub fn of_run(tx: &dyn Read, run: &Run) -> Result<Option<Branch>, StoreError> {
    Ok(of_session(tx, run.session)?.filter(|branch| branch.run == run.id))
}

/// The branches that begin this run again, oldest first.
pub fn again(tx: &dyn Read, run: RunId) -> Result<Vec<Branch>, StoreError> {
    let ids = tx.referrers::<Branch, Run>(run, BRANCH_OF, MOST)?;
    ids.into_iter().filter_map(|id| tx.get::<Branch>(id).transpose()).collect()
}

/// Whether another conversation has its first events from this one.
pub fn is_shared(tx: &dyn Read, session: SessionId) -> Result<bool, StoreError> {
    Ok(!tx.referrers::<Branch, Session>(session, BRANCH_PARENT, 1)?.is_empty())
}

/// The number of a conversation's first own event.
pub fn first_own(tx: &dyn Read, session: SessionId) -> Result<u32, StoreError> {
    Ok(of_session(tx, session)?.map_or(0, |branch| branch.upto))
}

/// Where the events of a conversation with numbers in `[from, to)` lie: the newest piece first.
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

/// Where a run is begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first event that is not part of what is shared.
    pub upto: u32,
    /// The step at which it is, as on the run's page; none for the beginning.
    pub step: Option<u32>,
}

/// Where a run is cut for a step, as its page and the API name it (`7`, `s-7`, `7-2`): before the call
/// of the model of which the step came. Without a step, before the first call. Nothing when there is no
/// such step, or no call came after it.
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

/// Why a run that is begun again does not begin yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Another one works on the task.
    Run(Box<Run>),
    /// Files are on their way back.
    Files(Box<Run>),
}

impl Held {
    /// In one sentence.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Run(run) => format!(
                "Waits until {} has ended: both work on one task, and its agent’s folder has one writer.",
                run.name()
            ),
            Self::Files(run) => {
                format!("Waits until the files that {} changed have gone back.", run.name())
            }
        }
    }
}

/// What a run that is begun again waits for before its first step: an older run of its agent on the same
/// task has to end, and files that go back have to be there. Nothing for all other runs.
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
