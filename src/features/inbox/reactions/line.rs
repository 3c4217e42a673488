//! Reports up the reporting line: results of delegated work return to the delegating agent, and trouble with a task
//! goes to the manager of its agent. Managers who are people are notified by `notifications` instead.

use crate::agents::model::Agent;
use crate::agents::queries::lines;
use crate::comments::model::{BY_TASK, Comment};
use crate::deliverables::model::{self as deliverables, Deliverable, Version};
use crate::inbox::model::{Item, Reason};
use crate::inbox::queries;
use crate::inbox::rules::{self, InboxError, NewItem};
use crate::runs::model::Run;
use crate::runs::queries::words;
use crate::tasks::model::Task;
use crate::tasks::queries::{self as tasks, relations};
use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::text::{cut, ellipsis};
use kernel::{
    AgentId, Assignee, DeliverableId, ItemId, ItemKind, ItemState, Manager, Outcome, Priority,
    TaskId, TaskStatus, Timestamp,
};
use providers::error::ErrorClass;
use store::{Range, ReadExt, StoreError, WriteTx};

use super::{is_workable, priority, reason};

/// Maximum length of a forwarded text, in characters.
const EXCERPT: usize = 400;
/// Maximum length of everything forwarded, in bytes.
const MAX_TEXT: usize = 1024;
/// Maximum number of deliverables and comments to examine.
const LOOKED_AT: usize = 10;

/// How long the result of a subtask waits for other results.
const GATHERING: SignedDuration = SignedDuration::from_mins(15);

/// Adds an item. If the chain is too deep, no item is added, but the cause still happens.
fn add(tx: &mut WriteTx<'_>, new: NewItem) -> Result<(), InboxError> {
    gather(tx, new, None)
}

fn gather(tx: &mut WriteTx<'_>, new: NewItem, until: Option<Timestamp>) -> Result<(), InboxError> {
    match rules::gather(tx, new, until) {
        Ok(_) | Err(InboxError::TooDeep) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The agent, unless it is archived.
fn at_work(tx: &WriteTx<'_>, id: AgentId) -> Result<Option<Agent>, StoreError> {
    Ok(tx.get::<Agent>(id)?.filter(|agent| agent.archived_at.is_none()))
}

/// The manager of an agent, if that is an agent.
fn chief_of(tx: &WriteTx<'_>, agent: AgentId) -> Result<Option<AgentId>, StoreError> {
    match tx.get::<Agent>(agent)? {
        Some(agent) => Ok(lines::manager(tx, &agent)?.and_then(Manager::agent)),
        None => Ok(None),
    }
}

/// Display name and title, such as `MC-3 "Title"`.
fn named(tx: &WriteTx<'_>, task: &Task) -> Result<String, StoreError> {
    let key = tasks::key(tx)?;
    Ok(format!("{key}-{} \"{}\"", task.number, task.title))
}

/// An agent's trouble with a task, to report to its manager.
struct Trouble {
    chief: AgentId,
    key: String,
    summary: String,
    text: String,
}

fn ask(tx: &mut WriteTx<'_>, task: &Task, trouble: Trouble) -> Result<(), InboxError> {
    let Trouble { chief, key, summary, text } = trouble;
    let by = tx.by();
    let new = NewItem {
        agent: chief,
        kind: ItemKind::TaskEscalation,
        task: Some(task.id),
        key,
        priority: priority(by, task).max(Priority::High),
        by,
        reason: Reason { text: cut(&text, MAX_TEXT).to_owned(), ..reason(by, summary) },
    };
    add(tx, new)
}

/// An agent escalated a task to its manager.
pub(super) fn escalated(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    agent: AgentId,
    to: Option<Manager>,
    text: &str,
) -> Result<(), InboxError> {
    let Some(chief) = to.and_then(Manager::agent) else { return Ok(()) };
    let (Some(task), Some(agent)) = (tx.get::<Task>(task)?, tx.get::<Agent>(agent)?) else {
        return Ok(());
    };
    let (seq, name) = (tx.seq()?, named(tx, &task)?);
    let trouble = Trouble {
        chief,
        key: format!("task_escalation:{}:{seq}", task.id),
        summary: format!("{} needs your help with {name}", agent.name),
        text: text.to_owned(),
    };
    ask(tx, &task, trouble)
}

/// Returns `true` if the manager has an open escalation for the task, possibly in progress.
fn is_asked(tx: &WriteTx<'_>, chief: AgentId, task: TaskId) -> Result<bool, StoreError> {
    let is_it = |item: &Item| item.kind == ItemKind::TaskEscalation && item.task == Some(task);
    Ok(queries::open(tx, chief, usize::MAX)?.iter().any(is_it))
}

/// An agent blocked its own task. Informs its manager, unless the task only waits for other tasks or was already
/// escalated.
pub(super) fn blocked(tx: &mut WriteTx<'_>, task: TaskId) -> Result<(), InboxError> {
    let Some(task) = tx.get::<Task>(task)?.filter(is_workable) else { return Ok(()) };
    let by = tx.by();
    let own = task.assignee.and_then(Assignee::agent).filter(|agent| by.agent() == Some(*agent));
    let Some(agent) = own else { return Ok(()) };
    let Some(chief) = chief_of(tx, agent)? else { return Ok(()) };
    if is_asked(tx, chief, task.id)? || !relations::open_blockers(tx, task.id)?.is_empty() {
        return Ok(());
    }
    let last = last_comments(tx, task.id)?;
    let from_run = last.iter().find(|comment| comment.author.run() == by.run());
    let text = from_run.map(|comment| ellipsis(&comment.body, 2 * EXCERPT)).unwrap_or_default();
    let (seq, name) = (tx.seq()?, named(tx, &task)?);
    let who = tx.get::<Agent>(agent)?.map_or_else(String::new, |agent| agent.name);
    let trouble = Trouble {
        chief,
        key: format!("task_escalation:{}:{seq}", task.id),
        summary: format!("{who} is stuck on {name}"),
        text,
    };
    ask(tx, &task, trouble)
}

/// A due date has passed. Informs the agent's manager, once per date.
pub(super) fn late(
    tx: &mut WriteTx<'_>,
    task: &Task,
    agent: AgentId,
    due: Timestamp,
) -> Result<(), InboxError> {
    let Some(chief) = chief_of(tx, agent)? else { return Ok(()) };
    let who = tx.get::<Agent>(agent)?.map_or_else(String::new, |agent| agent.name);
    let name = named(tx, task)?;
    let trouble = Trouble {
        chief,
        key: format!("overdue_escalation:{}:{chief}:{}", task.id, due.as_millisecond()),
        summary: format!("{who} is late with {name}"),
        text: String::new(),
    };
    ask(tx, task, trouble)
}

/// A run failed permanently. The agent's manager decides about the task. Model and connection failures are reported to
/// people instead.
pub(super) fn given_up(tx: &mut WriteTx<'_>, item: ItemId, run: &Run) -> Result<(), InboxError> {
    let why = match &run.outcome {
        Some(Outcome::Failed { code, reason })
            if ErrorClass::named(code).is_none_or(|class| class == ErrorClass::EmptyAnswer) =>
        {
            reason.clone()
        }
        Some(outcome @ (Outcome::NoOutcome | Outcome::Limit { .. } | Outcome::CrashLoop)) => {
            words::reason(outcome).unwrap_or_default()
        }
        _ => return Ok(()),
    };
    let over = tx.get::<Item>(item)?.is_some_and(|item| {
        matches!(item.state, ItemState::Failed | ItemState::DeadLetter) && !item.is_open()
    });
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?.filter(is_workable),
        None => None,
    };
    // A blocked task was already reported.
    let own = |task: &Task| {
        task.assignee == Some(Assignee::Agent(run.agent)) && task.status != TaskStatus::Blocked
    };
    let Some(task) = task.filter(|task| over && own(task)) else { return Ok(()) };
    let Some(chief) = chief_of(tx, run.agent)? else { return Ok(()) };
    let who = tx.get::<Agent>(run.agent)?.map_or_else(String::new, |agent| agent.name);
    let name = named(tx, &task)?;
    let verb = run.outcome.as_ref().map_or("failed", words::verb);
    let trouble = Trouble {
        chief,
        key: format!("task_escalation:{}:{}", task.id, run.id),
        summary: format!("{who} {verb} on {name}"),
        text: why,
    };
    ask(tx, &task, trouble)
}

/// Another agent unblocked a task. Wakes its agent.
pub(super) fn taken_up(tx: &mut WriteTx<'_>, task: TaskId) -> Result<(), InboxError> {
    let Some(task) = tx.get::<Task>(task)?.filter(is_workable) else { return Ok(()) };
    let by = tx.by();
    let (Some(agent), Some(other)) = (task.assignee.and_then(Assignee::agent), by.agent()) else {
        return Ok(());
    };
    if agent == other || at_work(tx, agent)?.is_none() {
        return Ok(());
    }
    for waiting in [ItemKind::TaskAssignment, ItemKind::TaskReassignment] {
        if queries::pending(tx, agent, waiting, Some(task.id))?.is_some() {
            return Ok(());
        }
    }
    let who = tx.get::<Agent>(other)?.map_or_else(String::new, |agent| agent.name);
    let seq = tx.seq()?;
    let new = NewItem {
        agent,
        kind: ItemKind::BlockerResolved,
        task: Some(task.id),
        key: format!("taken_up:{}:{seq}", task.id),
        priority: priority(by, &task),
        by,
        reason: reason(by, format!("{who} wants you to continue with: {}", task.title)),
    };
    add(tx, new)
}

/// The agent that delegated a task, and the task on which it is informed: the parent if it is assigned to that agent,
/// else the delegated task itself.
fn giver(tx: &WriteTx<'_>, part: &Task) -> Result<Option<(AgentId, Task)>, StoreError> {
    let Some(chief) = part.created_by.agent() else { return Ok(None) };
    let whole = match part.parent {
        Some(whole) => tx.get::<Task>(whole)?.filter(is_workable),
        None => None,
    };
    let about = match whole.filter(|whole| whole.assignee == Some(Assignee::Agent(chief))) {
        Some(whole) => whole,
        None => match part.assignee.and_then(Assignee::agent) {
            Some(agent) if agent != chief && tx.by().agent() != Some(chief) => part.clone(),
            _ => return Ok(None),
        },
    };
    // The run that works on the parent did this itself.
    let own = match tx.by().run() {
        Some(run) => tx.get::<Run>(run)?.is_some_and(|run| run.task == Some(about.id)),
        None => false,
    };
    let own = own && about.id != part.id;
    Ok(at_work(tx, chief)?.filter(|_| !own).map(|agent| (agent.id, about)))
}

/// Time until which a subtask's result waits, while other agents work on sibling tasks. This wakes the delegating agent
/// once. Blocked siblings and those in review are not waited for.
fn gathers(
    tx: &WriteTx<'_>,
    (chief, about): (AgentId, &Task),
    part: &Task,
) -> Result<Option<Timestamp>, StoreError> {
    if part.status == TaskStatus::Blocked || about.id == part.id {
        return Ok(None);
    }
    for other in tasks::children(tx, about.id)? {
        let given = other.assignee.and_then(Assignee::agent).is_some_and(|agent| agent != chief);
        let at_work = is_workable(&other) && other.status != TaskStatus::Blocked;
        if other.id != part.id
            && given
            && at_work
            && other.created_by.agent() == Some(chief)
            && !tasks::standing::in_review(tx, other.id)?
        {
            return Ok(Some(tx.now() + GATHERING));
        }
    }
    Ok(None)
}

/// A delegated task was finished or is stuck. Informs the delegating agent, with the result.
pub(super) fn came_back(tx: &mut WriteTx<'_>, part: TaskId) -> Result<(), InboxError> {
    let Some(part) = tx.get::<Task>(part)? else { return Ok(()) };
    let Some((chief, about)) = giver(tx, &part)? else { return Ok(()) };
    // An agent with an open escalation already knows that the task is blocked.
    if part.status.is_open() && is_asked(tx, chief, part.id)? {
        return Ok(());
    }
    let summary = format!("{} is {}", named(tx, &part)?, part.status);
    let text = result(tx, &part)?;
    let (by, seq) = (tx.by(), tx.seq()?);
    let new = NewItem {
        agent: chief,
        kind: ItemKind::DelegationResult,
        task: Some(about.id),
        key: format!("delegation_result:{}:{seq}", part.id),
        priority: priority(by, &about),
        by,
        reason: Reason { text, ..reason(by, summary) },
    };
    let until = gathers(tx, (chief, &about), &part)?;
    gather(tx, new, until)
}

/// A deliverable of a delegated task waits for review. Informs the delegating agent.
pub(super) fn delivered(
    tx: &mut WriteTx<'_>,
    deliverable: DeliverableId,
    part: TaskId,
) -> Result<(), InboxError> {
    let (Some(part), Some(piece)) =
        (tx.get::<Task>(part)?.filter(is_workable), tx.get::<Deliverable>(deliverable)?)
    else {
        return Ok(());
    };
    let Some((chief, about)) = giver(tx, &part)? else { return Ok(()) };
    if tx.by().agent() == Some(chief) {
        return Ok(());
    }
    let summary = format!("{}: \"{}\" is waiting for review", named(tx, &part)?, piece.title);
    let text = result(tx, &part)?;
    let by = tx.by();
    let new = NewItem {
        agent: chief,
        kind: ItemKind::DelegationResult,
        task: Some(about.id),
        key: format!("delegation_review:{}", piece.version),
        priority: priority(by, &about),
        by,
        reason: Reason { text, ..reason(by, summary) },
    };
    let until = gathers(tx, (chief, &about), &part)?;
    gather(tx, new, until)
}

/// Latest comments on a task, newest first.
fn last_comments(tx: &WriteTx<'_>, task: TaskId) -> Result<Vec<Comment>, StoreError> {
    tx.scan(BY_TASK, &Range::prefix(KeyBuf::of(&task)).reverse().limit(LOOKED_AT))
}

/// Summary of a task's result: deliverables and the agent's last comment.
fn result(tx: &WriteTx<'_>, task: &Task) -> Result<String, StoreError> {
    let mut parts = Vec::new();
    let range = Range::prefix(KeyBuf::of(&task.id)).limit(LOOKED_AT);
    for piece in tx.scan::<Deliverable>(deliverables::BY_TASK, &range)? {
        let version = tx.get::<Version>(piece.version)?;
        let text = match version.as_ref().and_then(|version| version.content.text()) {
            Some(text) => format!(":\n{}", ellipsis(text.trim(), EXCERPT)),
            None => String::new(),
        };
        parts.push(format!("\"{}\" ({}){text}", piece.title, piece.state));
    }
    let last = last_comments(tx, task.id)?;
    let own = last.iter().find(|comment| {
        comment.author.agent().is_some_and(|who| task.assignee == Some(Assignee::Agent(who)))
    });
    parts.extend(own.map(|comment| ellipsis(comment.body.trim(), EXCERPT)));
    Ok(cut(&parts.join("\n"), MAX_TEXT).to_owned())
}
