//! All writes of sessions, runs and inputs: talk, the life of a run, and the [`Pen`] with which the
//! engine appends, which is the fence.

pub mod forget;
mod input;
mod life;
mod pen;
pub mod talk;

use crate::kernel::{AgentId, FieldError, Problem, ProblemKind, SessionId};
use crate::store::StoreError;

pub use crate::features::agents::queries::held;
pub use input::{
    MAX_INPUTS, NewInput, Queued, SessionSpec, drop_comments, open_session, queue, reset_session,
    steer, withdraw,
};
pub use life::{
    MAX_CRASHES, RunSpec, begin, force_end, make_item_run, recover, request_stop, wake,
};
pub use pen::{Pause, Pen};

/// What a rule of runs refuses.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No such run.
    #[error("run {0} does not exist")]
    NotFound(String),
    /// No such session.
    #[error("session {0} does not exist")]
    NoSession(SessionId),
    /// No such agent.
    #[error("agent {0} does not exist")]
    NoAgent(AgentId),
    /// The agent is archived.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// It has ended.
    #[error("{0} has ended already")]
    Ended(String),
    /// Somebody else writes this session now.
    #[error("this run is not the one that writes its session any more")]
    Fenced,
    /// A run works in the conversation.
    #[error("a run works in this conversation; stop it or wait for its end")]
    Busy,
    /// The text is empty.
    #[error("write something first")]
    Empty,
    /// The text is too long.
    #[error("a message has at most 64 KB; this one has {0} KB")]
    TooLong(usize),
    /// Too many messages wait.
    #[error("{MAX_INPUTS} messages wait already; stop the run or wait")]
    QueueFull,
    /// The message was read.
    #[error("the agent has read this message already")]
    Consumed,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "run_not_found",
            Self::NoSession(_) => "session_not_found",
            Self::NoAgent(_) => "agent_not_found",
            Self::Archived(_) => "agent_archived",
            Self::Ended(_) => "run_ended",
            Self::Fenced => "run_fenced",
            Self::Busy => "session_busy",
            Self::Empty => "message_empty",
            Self::TooLong(_) => "message_too_long",
            Self::QueueFull => "queue_full",
            Self::Consumed => "message_read",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoSession(_) | Self::NoAgent(_) => ProblemKind::NotFound,
            Self::Archived(_) | Self::Ended(_) | Self::Fenced | Self::Busy | Self::Consumed => {
                ProblemKind::Conflict
            }
            Self::Empty => ProblemKind::Invalid,
            Self::TooLong(_) => ProblemKind::TooLarge,
            Self::QueueFull => ProblemKind::Limited,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong(_) => vec![FieldError::new("body", self.to_string())],
            _ => Vec::new(),
        }
    }
}
