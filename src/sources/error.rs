//! Errors of sources.

use connect::ConnectorError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use knowledge::error::KnowledgeError;
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no {what} \"{said}\"")]
    NotFound {
        /// Noun in the singular.
        what: &'static str,
        said: String,
    },
    /// Not possible in the present state.
    #[error("{0}")]
    Refused(String),
    /// The content changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// Invalid input.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SourceError {
    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    #[must_use]
    pub fn no(what: &'static str, name: &str) -> Self {
        Self::NotFound { what, said: kernel::text::ellipsis(name, 60) }
    }
}

impl From<TaskError> for SourceError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<ConnectorError> for SourceError {
    fn from(fault: ConnectorError) -> Self {
        match fault {
            ConnectorError::Conflict(why) => Self::Conflict(why),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Problem for SourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "source_not_found",
            Self::Refused(_) => "refused",
            Self::Conflict(_) => "source_conflict",
            Self::Invalid(_) => "invalid",
            Self::Knowledge(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound { .. } => ProblemKind::NotFound,
            Self::Refused(_) | Self::Conflict(_) => ProblemKind::Conflict,
            Self::Invalid(_) => ProblemKind::Invalid,
            Self::Knowledge(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::Knowledge(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}
