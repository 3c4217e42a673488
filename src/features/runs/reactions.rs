//! What happens to runs when something else changes.

use crate::features::comments::model::Comment;
use crate::features::tasks::model::Task;
use crate::features::workspace::model::Settings;
use crate::kernel::{AgentId, Assignee, CommentId, Event, RunTrigger, TaskId};
use crate::store::{ReadExt, WriteTx};

use super::queries;
use super::rules::{self, NewInput, RunError};

/// Handles one event.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), RunError> {
    match event {
        Event::CommentAdded { comment, task, mentions, note_only } => {
            steer(tx, *comment, *task, mentions, *note_only)
        }
        Event::AgentArchived { agent } => {
            for run in queries::live_of_agent(tx, *agent)? {
                let by = tx.by().account();
                rules::request_stop(tx, run.id, by)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A comment for an agent that works on the task right now is read at its next step.
fn steer(
    tx: &mut WriteTx<'_>,
    comment: CommentId,
    task: TaskId,
    mentions: &[AgentId],
    note_only: bool,
) -> Result<(), RunError> {
    let (Some(comment), Some(task)) = (tx.get::<Comment>(comment)?, tx.get::<Task>(task)?) else {
        return Ok(());
    };
    let mut agents = mentions.to_vec();
    let reaches = tx.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    if let Some(agent) = task.assignee.and_then(Assignee::agent)
        && comment.author.account().is_some()
        && !note_only
        && reaches
        && !agents.contains(&agent)
    {
        agents.push(agent);
    }
    for agent in agents {
        if let Some(run) = queries::live_of_task(tx, task.id, agent)? {
            let text = format!("New comment on the task:\n\n{}", comment.body);
            let input = NewInput { text, trigger: RunTrigger::Chat, model: None };
            rules::queue(tx, run.session, input)?;
        }
    }
    Ok(())
}
