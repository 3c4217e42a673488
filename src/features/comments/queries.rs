//! Reads of comments.

pub mod show;

use jiff::SignedDuration;

use super::model::{self, Comment, Reaction};
use crate::agents::model::Agent;
use crate::agents::queries as agents;
use crate::places::Place;
use crate::tasks::model::Task;
use crate::tasks::queries::error::TaskError;
use crate::tasks::queries::standing;
use crate::workspace::model::Settings;
use kernel::key::KeyBuf;
use kernel::{
    Actor, AgentId, AgentStatus, Assignee, Can, CommentId, FieldError, Problem, ProblemKind,
    ReactionKind, RunState, TaskId, Timestamp, TypedId as _,
};
use store::{BlobId, Range, Read, ReadExt, StoreError};
use web::session::Access;

#[derive(Debug, thiserror::Error)]
pub enum CommentError {
    #[error("this comment no longer exists")]
    NotFound,
    #[error("Write something first.")]
    Empty,
    #[error("Comments can have at most 64 KB. Deliver longer texts as a deliverable.")]
    TooLong,
    #[error("only the author can edit a comment; write a new one")]
    NotYours,
    /// The actor may not remove this comment.
    #[error("only the author or an admin can delete or restore a comment")]
    NotYoursToRemove,
    /// The comment has changed since it was read. Contains the current text.
    #[error("this comment changed while you were editing; its current version is below")]
    Changed(String),
    #[error("this reaction isn't available; use one of: {}", reactions())]
    NoReaction,
    /// The subject is archived.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error(transparent)]
    Task(#[from] TaskError),
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
            Self::Changed(_) => "comment_changed",
            Self::NoReaction => "reaction_unknown",
            Self::Archived(_) => "task_archived",
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound => ProblemKind::NotFound,
            Self::Empty | Self::TooLong | Self::NoReaction => ProblemKind::Invalid,
            Self::NotYours | Self::NotYoursToRemove => ProblemKind::Forbidden,
            Self::Archived(_) | Self::Changed(_) => ProblemKind::Conflict,
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong => vec![FieldError::new("body", self.to_string())],
            Self::NoReaction => vec![FieldError::new("reaction", self.to_string())],
            _ => Vec::new(),
        }
    }
}

fn reactions() -> String {
    ReactionKind::ALL.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

/// Parses a reaction from a word or emoji.
///
/// # Errors
/// If it is unknown.
pub fn reaction_named(text: &str) -> Result<ReactionKind, CommentError> {
    ReactionKind::read(text).ok_or(CommentError::NoReaction)
}

/// Short hash of a comment's text.
#[must_use]
pub fn mark(body: &str) -> String {
    BlobId::of(body.as_bytes()).to_string()[..16].to_owned()
}

/// Returns `true` if `who` is the comment's author: the same account through any channel, or the same agent in any run.
#[must_use]
pub fn is_by(comment: &Comment, who: Actor) -> bool {
    match (comment.author, who) {
        (Actor::Person { account: a, .. }, Actor::Person { account: b, .. }) => a == b,
        (Actor::Agent { agent: a, .. }, Actor::Agent { agent: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// Whose comments an actor may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    Own,
    /// Also those of agents.
    Agents,
    All,
}

impl Power {
    /// Power of these permissions: admins may remove every comment, and those who manage agents may remove agents'
    /// comments.
    #[must_use]
    pub fn of(access: Access) -> Self {
        match (access.may(Can::Admin), access.may(Can::Agents)) {
            (true, _) => Self::All,
            (false, true) => Self::Agents,
            (false, false) => Self::Own,
        }
    }

    /// Checks the removal of a comment.
    ///
    /// # Errors
    /// `NotYoursToRemove`.
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

/// Comments on a task, oldest first.
pub fn of_task(read: &dyn Read, task: TaskId) -> Result<Vec<Comment>, StoreError> {
    of(read, Place::Task(task))
}

/// Comments on a subject, oldest first.
pub fn of(read: &dyn Read, place: Place) -> Result<Vec<Comment>, StoreError> {
    read.scan(model::BY_TASK, &Range::prefix(place.key()))
}

/// Maximum number of agent comments per subject and hour that may mention other agents.
const AGENT_MENTIONS: usize = 10;

/// The mentioned agents that are informed: all, or none if agents have mentioned each other on this subject too often
/// within the last hour. Ends loops between agents.
pub fn called<'m>(
    read: &dyn Read,
    now: Timestamp,
    comment: &Comment,
    mentions: &'m [AgentId],
) -> Result<&'m [AgentId], StoreError> {
    if mentions.is_empty() || comment.author.agent().is_none() {
        return Ok(mentions);
    }
    let range = Range::prefix(comment.on.key()).reverse().limit(100);
    let last: Vec<Comment> = read.scan(model::BY_TASK, &range)?;
    let hour_ago = now - SignedDuration::from_hours(1);
    let calls = last.iter().filter(|comment| {
        let lately = comment.created_at > hour_ago;
        lately && comment.author.agent().is_some() && !comment.mentions.is_empty()
    });
    Ok(if calls.count() <= AGENT_MENTIONS { mentions } else { &[] })
}

/// The comment, if it is on this subject.
pub fn in_place(
    read: &dyn Read,
    place: Place,
    id: CommentId,
) -> Result<Option<Comment>, StoreError> {
    Ok(read.get::<Comment>(id)?.filter(|comment| comment.on == place))
}

/// Fails if the comment changed since revision `rev`.
///
/// # Errors
/// `Stale`.
pub fn check_rev(read: &dyn Read, id: CommentId, rev: Option<u64>) -> Result<(), StoreError> {
    let now = read.get_rev::<Comment>(id)?.map(|(_, rev)| rev);
    if rev.is_none() || now.is_none() || rev == now { Ok(()) } else { Err(StoreError::Stale) }
}

/// Replies to a comment, oldest first.
pub fn answers(read: &dyn Read, first: CommentId) -> Result<Vec<Comment>, StoreError> {
    read.scan(model::BY_PARENT, &Range::prefix(KeyBuf::of(&first)))
}

/// Finds a comment on a subject by id, or by the short id that tools show.
pub fn meant(read: &dyn Read, place: Place, text: &str) -> Result<Comment, CommentError> {
    let text = text.trim().trim_start_matches("c-");
    if let Ok(id) = text.parse::<CommentId>() {
        return in_place(read, place, id)?.ok_or(CommentError::NotFound);
    }
    let fits = |comment: &Comment| comment.id.short() == text;
    of(read, place)?.into_iter().rev().find(fits).ok_or(CommentError::NotFound)
}

pub fn reaction(
    read: &dyn Read,
    comment: CommentId,
    kind: ReactionKind,
    by: Assignee,
) -> Result<Option<Reaction>, StoreError> {
    let key = KeyBuf::of(&comment).with(&(kind as u8)).with(&by);
    read.find::<Reaction>(model::BY_COMMENT, &key)
}

/// Reactions to a comment by kind, with their authors.
pub fn reactions_to(
    read: &dyn Read,
    comment: CommentId,
) -> Result<Vec<(ReactionKind, Vec<Assignee>)>, StoreError> {
    let mut kinds: Vec<(ReactionKind, Vec<Assignee>)> = Vec::new();
    for one in read.scan::<Reaction>(model::BY_COMMENT, &Range::prefix(KeyBuf::of(&comment)))? {
        match kinds.last_mut() {
            Some((kind, who)) if *kind == one.kind => who.push(one.by),
            _ => kinds.push((one.kind, vec![one.by])),
        }
    }
    Ok(kinds)
}

/// Effect of a person's comment without a mention, for the composer.
pub fn reach(read: &dyn Read, task: &Task) -> Result<Reaches, StoreError> {
    let agent = match task.assignee.and_then(|who| who.agent()) {
        Some(id) => read.get::<Agent>(id)?.filter(|agent| agent.archived_at.is_none()),
        None => None,
    };
    let on = read.get::<Settings>(())?.is_none_or(|s| s.comments_reach_assignee);
    let Some(agent) = agent.filter(|_| on && task.status.is_open()) else {
        let closed = !task.status.is_open() && task.assignee.is_some_and(|a| a.agent().is_some());
        return Ok(match closed {
            true => {
                let text = "This task is closed. Only an @mention notifies an agent.";
                Reaches { agent: None, text: text.to_owned() }
            }
            false => Reaches::nobody(),
        });
    };
    let runs = standing::newest_runs(read, task.id, 3)?;
    let is = |state| runs.iter().any(|run| run.agent == agent.id && run.state == state);
    let name = agents::called(read, &agent)?;
    let text = if is(RunState::Running) {
        format!("{name} reads this at the next step")
    } else if is(RunState::Waiting) {
        format!("{name} reads this when the run continues")
    } else if agent.status == AgentStatus::Paused {
        format!("{name} is paused and reads this when resumed")
    } else {
        format!("{name} will act on this")
    };
    Ok(Reaches { agent: Some(name), text })
}

/// Who is informed of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaches {
    /// The agent that is informed without a mention.
    pub agent: Option<String>,
    /// In words.
    pub text: String,
}

impl Reaches {
    /// No agent without a mention.
    #[must_use]
    pub fn nobody() -> Self {
        let text = "No agent will be notified. Mention one with @ to assign work.";
        Self { agent: None, text: text.to_owned() }
    }
}
