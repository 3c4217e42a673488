//! What becomes work for an agent, in the transaction that caused it.

use crate::features::agents::model::Agent;
use crate::features::comments::model::Comment;
use crate::features::deliverables::model::{Deliverable, Review};
use crate::features::runs::model::Run;
use crate::features::runs::queries as runs;
use crate::features::tasks::model::Task;
use crate::features::workspace::model::Settings;
use crate::kernel::text::{cut, ellipsis};
use crate::kernel::{
    AgentId, Assignee, CommentId, DeliverableId, Event, ItemKind, Priority, TaskField, TaskId,
    Verdict, VersionId,
};
use crate::store::{ReadExt, WriteTx};

use super::model::Reason;
use super::rules::{self, InboxError, NewItem};

/// Handles one event.
///
/// # Errors
/// When the store refuses.
pub fn react(tx: &mut WriteTx<'_>, event: &Event) -> Result<(), InboxError> {
    match event {
        Event::TaskAssigned { task, from, to, assignment } => {
            assigned(tx, *task, *from, *to, *assignment)
        }
        Event::TaskStatusChanged { task, to, .. } if !to.is_open() => {
            rules::cancel_for_task(tx, *task, None, "task closed")
        }
        Event::TaskChanged { task, fields } if fields.contains(&TaskField::Archived) => {
            match tx.get::<Task>(*task)? {
                Some(task) if task.archived_at.is_some() => {
                    rules::cancel_for_task(tx, task.id, None, "task archived")
                }
                _ => Ok(()),
            }
        }
        Event::CommentAdded { comment, task, mentions, note_only } => {
            commented(tx, *comment, *task, mentions, *note_only)
        }
        Event::DeliverableReviewed { deliverable, version, task, verdict, submitter } => {
            match submitter {
                Some(agent) if *verdict != Verdict::Approved => {
                    reviewed(tx, *deliverable, *version, *task, *agent)
                }
                _ => Ok(()),
            }
        }
        Event::AgentMessageSent { from, to, task, text } => messaged(tx, *from, *to, *task, text),
        Event::AgentArchived { agent } => rules::cancel_for_agent(tx, *agent, "agent archived"),
        Event::RunEnded { run, item: Some(item), .. } => match tx.get::<Run>(*run)? {
            Some(run) => rules::close(tx, *item, &run),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn reason(tx: &WriteTx<'_>, summary: String) -> Reason {
    Reason {
        summary: ellipsis(&summary, 300),
        comment: None,
        deliverable: None,
        person: tx.by().account(),
        agent: tx.by().agent(),
        text: String::new(),
    }
}

/// Work given by a person counts as at least high.
fn priority(tx: &WriteTx<'_>, task: &Task) -> Priority {
    match tx.by().account() {
        Some(_) => task.priority.max(Priority::High),
        None => task.priority,
    }
}

fn is_workable(task: &Task) -> bool {
    task.status.is_open() && task.archived_at.is_none()
}

fn assigned(
    tx: &mut WriteTx<'_>,
    task: TaskId,
    from: Option<Assignee>,
    to: Option<Assignee>,
    assignment: u32,
) -> Result<(), InboxError> {
    let former = from.and_then(Assignee::agent);
    if let Some(former) = former.filter(|_| from != to) {
        rules::cancel_for_task(tx, task, Some(former), "reassigned")?;
    }
    let (Some(agent), Some(task)) = (to.and_then(Assignee::agent), tx.get::<Task>(task)?) else {
        return Ok(());
    };
    if !is_workable(&task) {
        return Ok(());
    }
    let kind = match former {
        Some(former) if former != agent => ItemKind::TaskReassignment,
        _ => ItemKind::TaskAssignment,
    };
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("{kind}:{}:{assignment}", task.id),
        priority: priority(tx, &task),
        reason: reason(tx, format!("Task assigned: {}", task.title)),
    };
    rules::enqueue(tx, new).map(|_| ())
}

fn commented(
    tx: &mut WriteTx<'_>,
    comment: CommentId,
    task: TaskId,
    mentions: &[AgentId],
    note_only: bool,
) -> Result<(), InboxError> {
    let (Some(comment), Some(task)) = (tx.get::<Comment>(comment)?, tx.get::<Task>(task)?) else {
        return Ok(());
    };
    for agent in mentions {
        enqueue_comment(tx, &task, &comment, *agent, ItemKind::TaskCommentMention)?;
    }
    let Some(agent) = task.assignee.and_then(Assignee::agent) else { return Ok(()) };
    let reaches = tx.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    let by_person = comment.author.account().is_some();
    if by_person && !note_only && reaches && is_workable(&task) && !mentions.contains(&agent) {
        enqueue_comment(tx, &task, &comment, agent, ItemKind::TaskComment)?;
    }
    Ok(())
}

fn enqueue_comment(
    tx: &mut WriteTx<'_>,
    task: &Task,
    comment: &Comment,
    agent: AgentId,
    kind: ItemKind,
) -> Result<(), InboxError> {
    let usable = tx.get::<Agent>(agent)?.is_some_and(|a| a.archived_at.is_none());
    // A run that is working on it reads the comment at its next step: `runs` steers it.
    if !usable || runs::live_of_task(tx, task.id, agent)?.is_some() {
        return Ok(());
    }
    let summary = match kind {
        ItemKind::TaskCommentMention => format!("You were mentioned on: {}", task.title),
        _ => format!("New comment on: {}", task.title),
    };
    let reason = Reason {
        comment: Some(comment.id),
        text: cut(&comment.body, 1024).to_owned(),
        ..reason(tx, summary)
    };
    let new = NewItem {
        agent,
        kind,
        task: Some(task.id),
        key: format!("{kind}:{}:{agent}", comment.id),
        priority: priority(tx, task),
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}

fn reviewed(
    tx: &mut WriteTx<'_>,
    deliverable: DeliverableId,
    version: VersionId,
    task: TaskId,
    agent: AgentId,
) -> Result<(), InboxError> {
    let (Some(work), Some(task), Some(review)) =
        (tx.get::<Deliverable>(deliverable)?, tx.get::<Task>(task)?, tx.get::<Review>(version)?)
    else {
        return Ok(());
    };
    let summary = match review.verdict {
        Verdict::Rejected => format!("Deliverable rejected: {}", work.title),
        _ => format!("Changes requested on deliverable: {}", work.title),
    };
    let reason = Reason {
        deliverable: Some(deliverable),
        text: cut(&review.note, 1024).to_owned(),
        ..reason(tx, summary)
    };
    let new = NewItem {
        agent,
        kind: ItemKind::DeliverableReview,
        task: Some(task.id),
        key: format!("deliverable_review:{version}"),
        priority: priority(tx, &task),
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}

fn messaged(
    tx: &mut WriteTx<'_>,
    from: AgentId,
    to: AgentId,
    task: Option<TaskId>,
    text: &str,
) -> Result<(), InboxError> {
    let name = tx.get::<Agent>(from)?.map_or_else(|| "A colleague".to_owned(), |a| a.name);
    let seq = tx.seq()?;
    let reason = Reason { text: text.to_owned(), ..reason(tx, format!("Message from {name}")) };
    let new = NewItem {
        agent: to,
        kind: ItemKind::AgentMessage,
        task,
        key: format!("agent_message:{from}:{to}:{seq}"),
        priority: Priority::Medium,
        reason,
    };
    rules::enqueue(tx, new).map(|_| ())
}
