//! Current activity of a task: running, queued, blocked, failed and so on. Derived on read, never stored.

use super::people::People;
use super::relations;
use crate::agents::model::Agent;
use crate::agents::queries::elsewhere;
use crate::deliverables::model::{self as deliverables, Deliverable};
use crate::inbox::model::{self as inbox, Item};
use crate::inbox::queries::why::{Cause, Why};
use crate::runs::model::{self as runs, Run};
use crate::runs::queries::words;
use crate::tasks::model::Task;
use app::Ws;
use kernel::{AgentStatus, DeliverableState, Outcome, RunState, TaskId, TaskStatus, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::parts::ShownState;

/// Milliseconds after which an open task that nothing will start is shown as such.
pub const ALONE_AFTER_MS: i64 = 10 * 60 * 1000;

/// Current activity of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing to report.
    Plain,
    /// A run is working on the task.
    Working {
        /// Run number.
        run: u32,
        /// Tool calls so far.
        steps: u32,
        /// Current activity of the run.
        activity: String,
    },
    /// A run is waiting.
    Waiting {
        /// Run number.
        run: u32,
        /// State of the run.
        state: ShownState,
        /// What the run waits for, in one sentence.
        detail: String,
    },
    /// The task is in its agent's inbox.
    Queued {
        /// Why it does not start now, if something holds it up.
        why: Option<Why>,
    },
    /// The agent is paused, so nothing will start.
    Paused,
    /// The task starts when the tasks that it waits for are done.
    Blocked,
    /// A deliverable waits for review.
    InReview,
    /// The last run failed and nothing will start on its own.
    Failed {
        /// Run number.
        run: u32,
        /// State of the run: failed, no result, limit reached, …
        state: ShownState,
        reason: String,
    },
    /// A person stopped the last run.
    Stopped {
        /// Run number.
        run: u32,
    },
    /// The task is open and has an agent, but nothing will start it.
    Alone,
}

impl Standing {
    /// State as shown everywhere. `None` if there is nothing to report besides the status.
    #[must_use]
    pub fn shown(&self) -> Option<ShownState> {
        Some(match self {
            Self::Plain => return None,
            Self::Working { .. } => ShownState::new("working", "Working", "play"),
            Self::Waiting { state, .. } | Self::Failed { state, .. } => state.clone(),
            Self::Queued { why: Some(why) } => ShownState::new(why.state(), why.label(), "clock"),
            Self::Queued { why: None } => ShownState::new("queued", "Queued", "clock"),
            Self::Paused => ShownState::new("paused", "Agent paused", "pause"),
            Self::Blocked => ShownState::new("blocked", "Blocked", "block"),
            Self::InReview => {
                let (word, label) = review();
                ShownState::new(word, label, "box")
            }
            Self::Stopped { .. } => words::outcome_state(&Outcome::Stopped { by: None }),
            Self::Alone => words::stalled(),
        })
    }
}

/// Open inbox items of a task.
pub fn open_items(read: &dyn Read, task: TaskId) -> Result<Vec<Item>, StoreError> {
    read.scan(inbox::OPEN_BY_TASK, &super::of_task(task))
}

/// Newest runs of a task, newest first.
pub fn newest_runs(read: &dyn Read, task: TaskId, limit: usize) -> Result<Vec<Run>, StoreError> {
    read.scan(runs::RUN_BY_TASK, &super::of_task(task).reverse().limit(limit))
}

/// Returns `true` if a deliverable of the task waits for review.
pub fn in_review(read: &dyn Read, task: TaskId) -> Result<bool, StoreError> {
    let pieces: Vec<Deliverable> = read.scan(deliverables::BY_TASK, &super::of_task(task))?;
    Ok(pieces.iter().any(|piece| piece.state == DeliverableState::InReview))
}

/// Word and label of the displayed status. An open task with a deliverable in review is displayed as in review,
/// whatever status is stored.
#[must_use]
pub fn status(status: TaskStatus, in_review: bool) -> (&'static str, &'static str) {
    match in_review && status.is_open() {
        true => review(),
        false => (status.word(), status.label()),
    }
}

/// Word and label of the displayed status "in review".
#[must_use]
pub fn review() -> (&'static str, &'static str) {
    let review = DeliverableState::InReview;
    (review.word(), review.label())
}

/// Related data that is displayed with a task.
pub(super) struct Near {
    /// Subtasks that are not archived.
    pub(super) parts: Vec<Task>,
    /// `true` if a deliverable waits for review.
    pub(super) in_review: bool,
    /// Status of the assigned agent.
    pub(super) agent: Option<AgentStatus>,
}

impl Near {
    pub(super) fn of(read: &dyn Read, people: &People, task: &Task) -> Result<Self, StoreError> {
        let agent = task.assignee.and_then(|who| who.agent());
        Ok(Self {
            parts: super::children(read, task.id)?,
            in_review: in_review(read, task.id)?,
            agent: agent.and_then(|id| people.agent(id)).map(|agent| agent.status),
        })
    }
}

/// Current activity of a task.
pub fn standing(read: &dyn Read, task: &Task, now: Timestamp) -> Result<Standing, StoreError> {
    standing_near(read, task, now, (None, None))
}

/// Like [`standing`], for pages, which know the connections of machines: a run without a sign of life is stalled.
pub fn seen(ws: &Ws, read: &dyn Read, task: &Task, now: Timestamp) -> Result<Standing, StoreError> {
    standing_near(read, task, now, (None, Some(ws)))
}

/// Like [`standing`], or [`seen`] with a workspace; `near` is the related data if the caller already has it.
pub(super) fn standing_near(
    read: &dyn Read,
    task: &Task,
    now: Timestamp,
    (near, ws): (Option<&Near>, Option<&Ws>),
) -> Result<Standing, StoreError> {
    let newest = newest_runs(read, task.id, 3)?;
    let live = newest.iter().find(|run| run.state == RunState::Running);
    if let Some(run) = live {
        let silent = match ws {
            Some(ws) => elsewhere::silent(ws, read, run.agent)?,
            None => None,
        };
        if let Some(place) = silent {
            let detail = format!("{} is offline.", place.label);
            return Ok(Standing::Waiting { run: run.number, state: words::stalled(), detail });
        }
        let (run, steps, activity) = (run.number, run.steps, run.activity.clone());
        return Ok(Standing::Working { run, steps, activity });
    }
    if let Some(run) = newest.iter().find(|run| run.state == RunState::Waiting) {
        let detail = run.waiting.as_ref().map_or_else(String::new, |w| w.detail.clone());
        return Ok(Standing::Waiting { run: run.number, state: words::state(run), detail });
    }
    if !task.status.is_open() || task.archived_at.is_some() {
        return Ok(Standing::Plain);
    }
    let agent = match (near, task.assignee.and_then(|who| who.agent())) {
        (Some(near), _) => near.agent,
        (None, Some(id)) => read.get::<Agent>(id)?.map(|agent| agent.status),
        (None, None) => None,
    };
    let items = open_items(read, task.id)?;
    if let Some(item) = items.first() {
        let paused = agent == Some(AgentStatus::Paused);
        if paused {
            return Ok(Standing::Paused);
        }
        let mut why = Why::of(&read, item, now)?;
        if why.as_ref().is_some_and(|why| matches!(why.cause, Cause::Blocked(_))) {
            if items.iter().all(Item::waits_for_blockers) {
                return Ok(Standing::Blocked);
            }
            // Other inbox items of the task are delivered in any case.
            why = None;
        }
        return Ok(Standing::Queued { why });
    }
    if newest.iter().any(|run| run.state == RunState::Queued) {
        return Ok(Standing::Queued { why: None });
    }
    let waits = near.map_or_else(|| in_review(read, task.id), |near| Ok(near.in_review));
    if waits? {
        return Ok(Standing::InReview);
    }
    if agent.is_none() {
        return Ok(Standing::Plain);
    }
    let moved = newest.first().and_then(|run| run.ended_at).unwrap_or(task.updated_at);
    if let Some(run) = newest.first().filter(|run| task.updated_at <= run_end(run)) {
        match &run.outcome {
            Some(Outcome::Stopped { .. }) => return Ok(Standing::Stopped { run: run.number }),
            Some(outcome) if words::is_bad(outcome) => {
                let (run, state) = (run.number, words::outcome_state(outcome));
                let reason = words::reason(outcome).unwrap_or_default();
                return Ok(Standing::Failed { run, state, reason });
            }
            _ => {}
        }
    }
    let since = moved.max(task.updated_at).as_millisecond();
    if now.as_millisecond() < since + ALONE_AFTER_MS {
        return Ok(Standing::Plain);
    }
    let open = |parts: &[Task]| parts.iter().any(|part| part.status.is_open());
    let waits_for_parts = match near {
        Some(near) => open(&near.parts),
        None => open(&super::children(read, task.id)?),
    };
    let alone = !waits_for_parts && relations::open_blockers(read, task.id)?.is_empty();
    Ok(if alone { Standing::Alone } else { Standing::Plain })
}

fn run_end(run: &Run) -> Timestamp {
    run.ended_at.unwrap_or(run.created_at)
}
