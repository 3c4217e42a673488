//! Claims: an agent takes a task that is unassigned or already its own.

use crate::tasks::model::Task;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::people::People;
use crate::tasks::queries::{self, checks, relations};
use kernel::{AgentId, Assignee, TaskId};
use store::WriteTx;

/// Maximum number of tasks in an error message.
const NAMED: usize = 5;

/// Assigns an unassigned task to an agent, or confirms its own, and begins it. The first claim wins.
///
/// # Errors
/// If the task is archived or closed, somebody else has it, or it waits for others.
pub fn claim(tx: &mut WriteTx<'_>, id: TaskId, agent: AgentId) -> Result<Task, TaskError> {
    let task = checks::in_use(tx, id)?;
    let name = queries::name(tx, task.number)?;
    if !task.status.is_open() {
        return Err(TaskError::Closed(name));
    }
    let me = Assignee::Agent(agent);
    if let Some(owner) = task.assignee.filter(|owner| *owner != me) {
        let by = People::read(tx)?.handle(owner);
        return Err(TaskError::Claimed { task: name, by });
    }
    let blockers = relations::open_blockers(tx, id)?;
    if !blockers.is_empty() {
        let mut on = Vec::new();
        for blocker in blockers.iter().take(NAMED) {
            on.push(queries::name(tx, blocker.number)?);
        }
        return Err(TaskError::Waits { task: name, on: on.join(", ") });
    }
    super::assign(tx, id, Some(me))?;
    super::begin(tx, id, me)?;
    queries::get(tx, id)
}
