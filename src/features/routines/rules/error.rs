//! Errors of routine writes.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RoutineError {
    #[error("there is no routine {0}")]
    NotFound(String),
    /// The routine belongs to another agent.
    #[error("this routine isn't yours; agents can only change their own")]
    NotOwned,
    #[error("there is no agent {0}")]
    NoAgent(String),
    #[error("{0} is archived; choose another agent")]
    ArchivedAgent(String),
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error("an agent can have at most {0} routines; delete one first")]
    TooMany(usize),
    /// There is no record to test the routine with.
    #[error("there is no {0} to test with")]
    NoRecord(String),
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
