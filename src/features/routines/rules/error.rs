//! What rules of routines refuse.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

/// Why a routine is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RoutineError {
    /// No such routine.
    #[error("there is no routine {0}")]
    NotFound(String),
    /// That of another agent.
    #[error("this is no routine of yours; an agent changes its own only")]
    NotOwned,
    /// No such agent.
    #[error("there is no agent {0}")]
    NoAgent(String),
    /// The agent is out of the way.
    #[error("{0} is archived; choose another agent")]
    ArchivedAgent(String),
    /// Something in the input is wrong.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error("an agent has at most {0} routines; delete one first")]
    TooMany(usize),
    /// There is no such record to try it with.
    #[error("there is no {0} that this could be tried with")]
    NoRecord(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for RoutineError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "routine_not_found",
            Self::NotOwned => "not_owned",
            Self::NoAgent(_) => "agent_not_found",
            Self::ArchivedAgent(_) => "agent_archived",
            Self::Invalid(_) => "invalid",
            Self::TooMany(_) => "too_many_routines",
            Self::NoRecord(_) => "no_record",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::NotOwned => ProblemKind::Forbidden,
            Self::NoAgent(_) | Self::ArchivedAgent(_) | Self::Invalid(_) | Self::NoRecord(_) => {
                ProblemKind::Invalid
            }
            Self::TooMany(_) => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::NoAgent(_) | Self::ArchivedAgent(_) => {
                vec![FieldError::new("agent", self.to_string())]
            }
            Self::NoRecord(_) => vec![FieldError::new("record", self.to_string())],
            _ => Vec::new(),
        }
    }
}
