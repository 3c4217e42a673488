//! Reads of comments.

use super::model::{self, Comment};
use crate::features::agents::model::Agent;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries::standing;
use crate::features::workspace::model::Settings;
use crate::kernel::{AgentStatus, CommentId, RunState, TaskId};
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};

/// The comments on a task, oldest first.
///
/// # Errors
/// When the store fails.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Comment>, StoreError> {
    read.scan(model::BY_TASK, &Range::prefix(KeyBuf::of(&task)))
}

/// A comment, if it belongs to this task.
///
/// # Errors
/// When the store fails.
pub fn on_task(
    read: &dyn Read,
    task: TaskId,
    id: CommentId,
) -> Result<Option<Comment>, StoreError> {
    Ok(read.get::<Comment>(id)?.filter(|comment| comment.task == task))
}

/// What a person's comment without a mention will do, in one line for the composer.
///
/// # Errors
/// When the store fails.
pub fn reach(read: &dyn Read, task: &Task) -> Result<Reaches, StoreError> {
    let agent = match task.assignee.and_then(|who| who.agent()) {
        Some(id) => read.get::<Agent>(id)?.filter(|agent| agent.archived_at.is_none()),
        None => None,
    };
    let on = read.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    let Some(agent) = agent.filter(|_| on && task.status.is_open()) else {
        let closed = !task.status.is_open() && task.assignee.is_some_and(|a| a.agent().is_some());
        let text = match closed {
            true => "Finished work rests: only a mention with @ wakes an agent",
            false => "Nobody is woken. Mention an agent with @ to give it work",
        };
        return Ok(Reaches { agent: None, text: text.to_owned() });
    };
    let runs = standing::newest_runs(read, task.id, 3)?;
    let is = |state| runs.iter().any(|run| run.agent == agent.id && run.state == state);
    let name = &agent.name;
    let text = if is(RunState::Running) {
        format!("{name} reads this at the next step")
    } else if is(RunState::Waiting) {
        format!("{name} reads this when the run goes on")
    } else if agent.status == AgentStatus::Paused {
        format!("{name} is paused and reads this when resumed")
    } else {
        format!("{name} gets this as work")
    };
    Ok(Reaches { agent: Some(name.clone()), text })
}

/// Whom a comment reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaches {
    /// The agent that hears of it without a mention.
    pub agent: Option<String>,
    /// What will happen.
    pub text: String,
}
