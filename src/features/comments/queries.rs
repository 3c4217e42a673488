//! Reads of comments.

use super::model::{self, Comment};
use crate::features::agents::model::Agent;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::people::assignee_of;
use crate::features::tasks::queries::scene::Scene;
use crate::features::tasks::queries::standing;
use crate::features::workspace::model::Settings;
use crate::kernel::{AgentStatus, CommentId, RunState, TaskId};
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};
use crate::web::html::SafeHtml;
use crate::web::live::Live;
use crate::web::parts::Face;
use crate::web::time::RelTime;

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

/// Refuses when a comment has changed since the caller read it.
///
/// # Errors
/// `Stale`.
pub fn expect_rev(read: &dyn Read, id: CommentId, rev: Option<u64>) -> Result<(), StoreError> {
    let now = read.get_rev::<Comment>(id)?.map(|(_, rev)| rev);
    if rev.is_none() || now.is_none() || rev == now { Ok(()) } else { Err(StoreError::Stale) }
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

/// Where people write a comment.
#[derive(Clone, Debug, Default)]
pub struct Composer {
    /// Where it is sent; empty when nothing can be written.
    pub action: String,
    /// How the line about whom it reaches renews itself.
    pub live: Live,
    /// What will happen.
    pub reach: String,
    /// The agent that would hear of it.
    pub agent: Option<String>,
    /// What was typed.
    pub body: String,
    /// Whether it is for people only.
    pub note_only: bool,
    /// What is wrong with it, or empty.
    pub error: String,
}

/// The composer of a task's page.
///
/// # Errors
/// When the store fails.
pub fn composer(scene: &Scene, read: &dyn Read, task: &Task) -> Result<Composer, TaskError> {
    let reaches = reach(read, task)?;
    let base = scene.href(task);
    let usable = scene.may_write && task.archived_at.is_none();
    let live = Live::new(format!("{base}/reach")).record("tasks", task.id);
    Ok(Composer {
        action: if usable { format!("{base}/comment") } else { String::new() },
        live: live.table("inbox").table("agents"),
        reach: reaches.text,
        agent: reaches.agent,
        ..Composer::default()
    })
}

/// A comment on a page.
#[derive(Clone, Debug)]
pub struct CommentView {
    /// The id of its element.
    pub key: String,
    /// Who.
    pub face: Face,
    /// When.
    pub at: RelTime,
    /// The words.
    pub body: SafeHtml,
    /// Whether it was changed later.
    pub edited: bool,
    /// Whether the task's agent was left alone.
    pub note_only: bool,
    /// Where its author changes it; empty for others.
    pub edit: String,
    /// Where its author removes it; empty for others.
    pub remove: String,
}

/// A comment on a page.
#[must_use]
pub fn view(scene: &Scene, read: &dyn Read, task: &Task, comment: Comment) -> CommentView {
    let own = assignee_of(comment.author) == scene.myself() && scene.may_write;
    let base = format!("{}/comments/{}", scene.href(task), comment.id);
    CommentView {
        key: format!("c-{}", comment.id),
        face: scene.people.actor(comment.author),
        at: scene.time(comment.created_at),
        body: scene.md(read, &comment.body),
        edited: comment.edited_at.is_some(),
        note_only: comment.note_only,
        edit: if own { format!("{base}/edit") } else { String::new() },
        remove: if own { format!("{base}/delete") } else { String::new() },
    }
}
