//! All writes of sessions, runs and inputs: messages, the lifecycle of runs, and the [`RunWriter`] with which the
//! engine appends and which fences out older writers.

pub mod retry;
pub mod aside;
pub mod back;
pub mod run_limits;
pub mod children;
pub mod client;
pub mod context;
mod dropped;
mod earlier;
pub mod evidence;
pub mod forget;
mod fork;
mod grant;
pub mod preferences;
pub mod halt;
mod input;
mod life;
pub mod limits;
pub mod link;
pub mod marks;
pub mod onward;
pub mod taint;
pub mod park;
mod run_writer;
pub mod queue;
pub mod resend;
pub mod sessions;
pub mod talk;

use crate::runs::model::{MAX_ATTACHED, MAX_ATTACHED_BYTES, MAX_CAP, MAX_DEBOUNCE_MS};
use kernel::{AgentId, FieldError, Problem, ProblemKind, SessionId};
use store::StoreError;

pub use crate::runs::queries::halt::held;
pub use earlier::{Earlier, EarlierCall, MAX_EARLIER};
pub use input::{SessionSpec, Wake, drop_comments, open_session, reword, steer, tell};
pub use life::{
    MAX_CRASHES, RunSpec, asked_by_routine, begin, force_end, keep_late, make_item_run, put_down,
    recover, recover_away, request_stop, take_up, taken_up, wake,
};
pub use queue::{NewInput, Sent, queue, withdraw};
pub use run_writer::{Asks, Pause, RunWriter};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("run {0} does not exist")]
    NotFound(String),
    #[error("session {0} does not exist")]
    NoSession(SessionId),
    #[error("agent {0} does not exist")]
    NoAgent(AgentId),
    #[error("{0} is archived; restore it first")]
    Archived(String),
    #[error("{0} has already ended")]
    Ended(String),
    /// Another writer has the session.
    #[error("this run no longer owns its session")]
    Fenced,
    #[error("a run is working in this conversation; stop it or wait until it ends")]
    Busy,
    /// The conversation has no messages.
    #[error("this conversation has no messages yet")]
    Silent,
    /// The conversation is archived.
    #[error("this is a former conversation; it is read-only")]
    Former,
    /// Another person's private conversation.
    #[error("this conversation is private; only its owner can write in it")]
    Private,
    /// Only the owner may do this.
    #[error("this conversation is shared; only its owner can do that")]
    NotYours,
    /// Another person has the current conversation under this key.
    #[error("another conversation has replaced this one")]
    Taken,
    /// The conversation has messages that the sender has not seen.
    #[error("this conversation has new messages; read them, then send yours")]
    Moved,
    #[error("write something first")]
    Empty,
    /// Size in KB.
    #[error("a message can have at most 64 KB; this one has {0} KB")]
    TooLong(usize),
    #[error("a message can have at most {MAX_ATTACHED} files")]
    TooManyFiles,
    /// Total size of the files.
    #[error("the files of a message can have at most {} MB in total", MAX_ATTACHED_BYTES >> 20)]
    FilesTooLarge,
    #[error("{0} messages are already queued; stop the run or wait")]
    QueueFull(usize),
    /// Debounce out of range.
    #[error("use a pause of at most {} minutes", MAX_DEBOUNCE_MS / 60_000)]
    BadPause,
    /// Cap out of range.
    #[error("use a queue limit of 1 to {MAX_CAP} messages")]
    BadCap,
    /// The run waits for no answer.
    #[error("{0} has no open question; it may already have been answered")]
    NoQuestion(String),
    /// The answer does not fit the form of an MCP server.
    #[error("{0}")]
    BadAnswer(String),
    /// The run waits for no time and no task.
    #[error("{0} isn't waiting for a time or a task")]
    NoWait(String),
    /// The run waits for no tool results of an API client.
    #[error("{0} isn't waiting for tool results")]
    NoCalls(String),
    #[error("the call {0} has no result; send one for each call")]
    MissingResult(String),
    #[error("this message wasn't dropped, or was already resent")]
    NotDropped,
    #[error("the agent has already read this message")]
    Consumed,
    #[error("the agent hasn't read this message yet; edit or withdraw it in the queue")]
    Unread,
    /// Too many levels of sub-agents.
    #[error("sub-agents can be nested at most {0} levels deep; do this yourself")]
    TooDeep(u8),
    /// Too many live sub-agents in one conversation.
    #[error("{0} sub-agents are already running, the maximum; wait for one with subagent_wait")]
    TooManyChildren(usize),
    /// Too many sub-agents below the root run.
    #[error("{0} sub-agents were created below one run, the maximum; do the rest yourself")]
    TooManyBelow(usize),
    /// Too many sub-agents of one run.
    #[error("this run has created {0} sub-agents, the maximum; do the rest yourself")]
    TooManyMade(u32),
    #[error("{name} must be a number from {least} to {most}")]
    BadLimit { name: &'static str, least: u32, most: u32 },
    /// The parent's conversation is too long to copy.
    #[error("this conversation is too long to pass on; put what it needs in the task")]
    ForkTooLong,
    /// A sub-agent with another agent cannot copy the conversation.
    #[error("another agent can't start with your conversation; put what it needs in the task")]
    ForkOfOther,
    /// The agent is not ready to work.
    #[error("{0} isn't working now; ask another agent, or do it yourself")]
    NotReady(String),
    /// Invalid or taken name of a sub-agent.
    #[error(
        "use a name of 1 to 64 characters (a-z, 0-9, _ and -) that starts with a letter and that \
         no other running sub-agent has"
    )]
    ChildName,
    /// A sub-agent's run cannot be retried by itself.
    #[error("{0} is part of {1}; retry that run")]
    Part(String, String),
    #[error("{0} hasn't started; there is no step to retry from")]
    NotBegun(String),
    /// Unknown step, or no model call follows it.
    #[error("{0} has no step {1} to retry from")]
    NoStep(String, String),
    /// No connection offers the model.
    #[error("there is no connection for the model {0}; add one under Settings, Connections")]
    NoModel(String),
    #[error("{0} hasn't ended; stop it first, or fork it")]
    Live(String),
    /// The run was not interrupted.
    #[error("{0} is finished; send a message to continue")]
    CameToEnd(String),
    /// The conversation has later runs.
    #[error("the conversation continued after {0}; continue the latest run")]
    Overtaken(String),
    /// The run's item or task was deleted.
    #[error("{0}'s work no longer exists")]
    WorkGone(String),
    #[error("{0}'s task is {1}; reopen it first")]
    TaskClosed(String, &'static str),
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
            Self::Silent => "session_empty",
            Self::Former => "session_former",
            Self::Private => "session_private",
            Self::NotYours => "session_shared",
            Self::Taken => "session_taken",
            Self::Moved => "conversation_moved",
            Self::Empty => "message_empty",
            Self::TooLong(_) => "message_too_long",
            Self::TooManyFiles => "too_many_files",
            Self::FilesTooLarge => "files_too_large",
            Self::QueueFull(_) => "queue_full",
            Self::BadPause => "queue_pause",
            Self::BadCap => "queue_cap",
            Self::NoQuestion(_) => "no_question",
            Self::BadAnswer(_) => "bad_answer",
            Self::NoWait(_) => "no_wait",
            Self::NoCalls(_) => "no_open_calls",
            Self::MissingResult(_) => "missing_result",
            Self::NotDropped => "message_not_dropped",
            Self::Consumed => "message_read",
            Self::Unread => "message_unread",
            Self::TooDeep(_) => "subagent_too_deep",
            Self::TooManyChildren(_) => "too_many_subagents",
            Self::TooManyBelow(_) => "too_many_below",
            Self::TooManyMade(_) => "too_many_made",
            Self::BadLimit { .. } => "subagent_limit",
            Self::ForkTooLong => "fork_too_long",
            Self::ForkOfOther => "fork_of_other",
            Self::NotReady(_) => "agent_not_ready",
            Self::ChildName => "subagent_name",
            Self::Part(..) => "run_is_part",
            Self::NotBegun(_) => "run_not_begun",
            Self::NoStep(..) => "step_not_found",
            Self::Live(_) => "run_live",
            Self::CameToEnd(_) => "run_complete",
            Self::Overtaken(_) => "run_overtaken",
            Self::NoModel(_) => "model_not_found",
            Self::WorkGone(_) => "work_gone",
            Self::TaskClosed(..) => "task_closed",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Private | Self::NotYours => ProblemKind::Forbidden,
            Self::NotFound(_) | Self::NoSession(_) | Self::NoAgent(_) => ProblemKind::NotFound,
            Self::Archived(_)
            | Self::Ended(_)
            | Self::Fenced
            | Self::Busy
            | Self::Consumed
            | Self::Unread
            | Self::Silent
            | Self::Former
            | Self::Taken
            | Self::Moved
            | Self::NoQuestion(_)
            | Self::NoWait(_)
            | Self::Part(..)
            | Self::NotBegun(_)
            | Self::Live(_)
            | Self::CameToEnd(_)
            | Self::Overtaken(_)
            | Self::WorkGone(_)
            | Self::TaskClosed(..)
            | Self::NotReady(_)
            | Self::NoCalls(_)
            | Self::NotDropped => ProblemKind::Conflict,
            Self::Empty
            | Self::BadAnswer(_)
            | Self::MissingResult(_)
            | Self::BadPause
            | Self::BadCap
            | Self::BadLimit { .. }
            | Self::ChildName
            | Self::ForkOfOther
            | Self::NoModel(_)
            | Self::TooManyFiles
            | Self::NoStep(..) => ProblemKind::Invalid,
            Self::TooLong(_) | Self::FilesTooLarge | Self::ForkTooLong => ProblemKind::TooLarge,
            Self::QueueFull(_)
            | Self::TooDeep(_)
            | Self::TooManyMade(_)
            | Self::TooManyChildren(_)
            | Self::TooManyBelow(_) => ProblemKind::Limited,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Empty | Self::TooLong(_) | Self::BadAnswer(_) => {
                vec![FieldError::new("body", self.to_string())]
            }
            Self::TooManyFiles | Self::FilesTooLarge => {
                vec![FieldError::new("files", self.to_string())]
            }
            Self::BadPause => vec![FieldError::new("debounce_ms", self.to_string())],
            Self::BadCap => vec![FieldError::new("cap", self.to_string())],
            Self::NoModel(_) => vec![FieldError::new("model", self.to_string())],
            Self::NoStep(..) => vec![FieldError::new("from", self.to_string())],
            Self::BadLimit { name, .. } => vec![FieldError::new(*name, self.to_string())],
            _ => Vec::new(),
        }
    }
}
