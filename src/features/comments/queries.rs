//! Reads of comments.

use super::model::{self, Comment};
use crate::features::agents::model::Agent;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::people::assignee_of;
use crate::features::tasks::queries::scene::Scene;
use crate::features::tasks::queries::standing;
use crate::features::workspace::model::Settings;
use crate::kernel::{
    Actor, AgentStatus, Can, CommentId, FieldError, Problem, ProblemKind, RunState, TaskId,
};
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};
use crate::web::html::SafeHtml;
use crate::web::live::Live;
use crate::web::parts::Face;
use crate::web::session::Access;
use crate::web::time::RelTime;

/// Why a comment is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CommentError {
    /// No such comment.
    #[error("this comment does not exist any more")]
    NotFound,
    /// Nothing in it.
    #[error("Write something first.")]
    Empty,
    /// Too long.
    #[error("A comment has at most 64 KB of text; deliver a long text as a deliverable.")]
    TooLong,
    /// Somebody else's.
    #[error("only its author can change a comment; write a new one")]
    NotYours,
    /// Somebody else's, and not for this one to remove.
    #[error("only its author or an admin can take a comment away or bring it back")]
    NotYoursToRemove,
    /// The task cannot be commented on.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// The task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for CommentError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "comment_not_found",
            Self::Empty => "comment_empty",
            Self::TooLong => "comment_too_long",
            Self::NotYours | Self::NotYoursToRemove => "comment_not_yours",
            Self::Archived(_) => "task_archived",
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound => ProblemKind::NotFound,
            Self::Empty | Self::TooLong => ProblemKind::Invalid,
            Self::NotYours | Self::NotYoursToRemove => ProblemKind::Forbidden,
            Self::Archived(_) => ProblemKind::Conflict,
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong => vec![FieldError::new("body", self.to_string())],
            _ => Vec::new(),
        }
    }
}

/// Whether somebody wrote a comment: the same account by any way in, or the same agent in any run.
#[must_use]
pub fn is_by(comment: &Comment, who: Actor) -> bool {
    match (comment.author, who) {
        (Actor::Person { account: a, .. }, Actor::Person { account: b, .. }) => a == b,
        (Actor::Agent { agent: a, .. }, Actor::Agent { agent: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// Whose comments somebody may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Their own.
    Own,
    /// Those of agents too.
    Agents,
    /// All.
    All,
}

impl Power {
    /// What goes with these rights: who administers a workspace removes any comment, who looks after
    /// its agents removes theirs.
    #[must_use]
    pub fn of(access: Access) -> Self {
        match (access.may(Can::Admin), access.may(Can::Agents)) {
            (true, _) => Self::All,
            (false, true) => Self::Agents,
            (false, false) => Self::Own,
        }
    }

    /// Whether this one may be removed.
    ///
    /// # Errors
    /// `NotYoursToRemove` when not.
    pub fn check(self, comment: &Comment, by: Actor) -> Result<(), CommentError> {
        let theirs = match self {
            Self::Own => false,
            Self::Agents => comment.author.agent().is_some(),
            Self::All => true,
        };
        match theirs || is_by(comment, by) {
            true => Ok(()),
            false => Err(CommentError::NotYoursToRemove),
        }
    }
}

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
    /// What a second press of the button is known by.
    pub key: i64,
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
        key: scene.today.now.as_millisecond(),
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
    /// Where it stands what it said before; empty when it was never changed.
    pub edited: String,
    /// Whether the task's agent was left alone.
    pub note_only: bool,
    /// Where its author changes it; empty for others.
    pub edit: String,
    /// Where it is removed; empty for who may not.
    pub remove: String,
}

/// A comment on a page.
#[must_use]
pub fn view(scene: &Scene, read: &dyn Read, task: &Task, comment: Comment) -> CommentView {
    let own = assignee_of(comment.author) == scene.myself() && scene.may_write;
    let removes =
        own || scene.may_write && Power::of(scene.access).check(&comment, scene.actor).is_ok();
    let base = format!("{}/comments/{}", scene.href(task), comment.id);
    CommentView {
        key: format!("c-{}", comment.id),
        face: scene.people.actor(comment.author),
        at: scene.time(comment.created_at),
        body: scene.md(read, &comment.body),
        edited: match comment.edited_at {
            Some(_) => scene.ws.url(&format!("history/comments/{}", comment.id)),
            None => String::new(),
        },
        note_only: comment.note_only,
        edit: if own { format!("{base}/edit") } else { String::new() },
        remove: if removes { format!("{base}/delete") } else { String::new() },
    }
}
