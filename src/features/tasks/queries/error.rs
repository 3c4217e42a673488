//! What reads and writes of tasks answer when they refuse.

use super::checks::MAX_DEPTH;
use crate::kernel::{FieldError, Problem, ProblemKind};
use crate::store::StoreError;

/// Why a task is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// No such task.
    #[error("there is no task \"{0}\"; use a number such as {1}-1 from the list of tasks")]
    NotFound(String, String),
    /// No such series.
    #[error("there is no such series; look at the list of recurring tasks")]
    NoSeries,
    /// It is out of the way.
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// Something in the input is wrong.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    /// Nobody of that name.
    #[error("nobody here is called \"{name}\"{hint}")]
    UnknownAssignee {
        /// What was given.
        name: String,
        /// Who is meant perhaps.
        hint: String,
    },
    /// The agent takes no work.
    #[error("{0} is archived and takes no work; choose another agent")]
    ArchivedAgent(String),
    /// A task below itself.
    #[error("a task cannot be a part of itself or of one of its parts; choose another parent")]
    Cycle,
    /// Too many levels.
    #[error("tasks go at most {MAX_DEPTH} levels deep; choose a parent further up")]
    TooDeep,
    /// Something is still open.
    #[error("{task} cannot be completed yet: {why}")]
    NotComplete {
        /// Its name.
        task: String,
        /// What is open and what to do.
        why: String,
    },
    /// An agent that gives a task to itself.
    #[error("a task is delegated to somebody else; use task_create for a part of your own")]
    OwnDelegate,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for TaskError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(..) => "task_not_found",
            Self::NoSeries => "series_not_found",
            Self::Archived(_) => "task_archived",
            Self::Invalid(_) => "invalid",
            Self::UnknownAssignee { .. } => "unknown_assignee",
            Self::ArchivedAgent(_) => "agent_archived",
            Self::Cycle => "task_cycle",
            Self::TooDeep => "task_too_deep",
            Self::NotComplete { .. } => "task_not_complete",
            Self::OwnDelegate => "own_delegate",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(..) | Self::NoSeries => ProblemKind::NotFound,
            Self::Archived(_) | Self::NotComplete { .. } => ProblemKind::Conflict,
            Self::Invalid(_)
            | Self::UnknownAssignee { .. }
            | Self::ArchivedAgent(_)
            | Self::Cycle
            | Self::TooDeep
            | Self::OwnDelegate => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::UnknownAssignee { .. } | Self::ArchivedAgent(_) => {
                vec![FieldError::new("assignee", self.to_string())]
            }
            Self::Cycle | Self::TooDeep => vec![FieldError::new("parent", self.to_string())],
            _ => Vec::new(),
        }
    }
}

impl TaskError {
    /// One wrong field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}
