//! Escalation of tasks that an agent cannot continue.

use crate::agents::model::Agent;
use crate::agents::queries::lines as agents;
use crate::tasks::model::Task;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::{self, checks, lines, relations};
use kernel::text::ellipsis;
use kernel::{AgentId, Event, Manager, TaskId, TaskStatus};
use store::{ReadExt as _, StoreError, WriteTx};

/// Maximum length of a forwarded reason, in characters.
const MAX_REASON: usize = 900;

/// Blocks a task and asks the manager of its agent for help. Returns whom it asked.
///
/// # Errors
/// If the reason is empty, the task is closed, or the agent may not escalate it.
pub fn escalate(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    agent: AgentId,
    reason: &str,
) -> Result<(Task, Option<Manager>), TaskError> {
    if reason.trim().is_empty() {
        return Err(TaskError::field("reason", "say what blocks you and what would help"));
    }
    let task = checks::in_use(tx, id)?;
    if !task.status.is_open() {
        return Err(TaskError::Closed(queries::name(tx, task.number)?));
    }
    lines::may_escalate(tx, agent, &task)?;
    let to = manager(tx, agent)?;
    tell(tx, id, agent, to, reason);
    Ok((super::set_status(tx, id, TaskStatus::Blocked)?, to))
}

/// Blocks an agent's task and informs an agent above it of the reason. A task that only waits for other tasks informs
/// nobody.
///
/// # Errors
/// If the task is archived.
pub fn block(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    agent: AgentId,
    reason: &str,
) -> Result<Task, TaskError> {
    let task = checks::in_use(tx, id)?;
    let to = manager(tx, agent)?.filter(|to| to.agent().is_some());
    if to.is_some()
        && task.status != TaskStatus::Blocked
        && relations::open_blockers(tx, id)?.is_empty()
    {
        tell(tx, id, agent, to, reason);
    }
    super::set_status(tx, id, TaskStatus::Blocked)
}

fn manager(tx: &WriteTx<'_>, agent: AgentId) -> Result<Option<Manager>, StoreError> {
    match tx.get::<Agent>(agent)? {
        Some(agent) => agents::manager(tx, &agent),
        None => Ok(None),
    }
}

fn tell(tx: &mut WriteTx<'_>, task: TaskId, agent: AgentId, to: Option<Manager>, reason: &str) {
    let text = ellipsis(reason.trim(), MAX_REASON);
    tx.emit(Event::TaskEscalated { task, agent, to, text });
}
