//! Errors of contacts, organizations and collections.

use features::links::queries::LinkError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// There is no such record.
    #[error("there is no {what} \"{said}\"")]
    NotFound {
        /// The noun.
        what: &'static str,
        /// The requested id or name.
        said: String,
    },
    /// The record is archived.
    #[error("\"{0}\" is archived; restore it first")]
    Archived(String),
    /// The operation is not possible at present.
    #[error("{0}")]
    Refused(String),
    /// The input is invalid.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CrmError {
    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// The error for a missing record.
    #[must_use]
    pub fn no(what: &'static str, name: &str) -> Self {
        Self::NotFound { what, said: kernel::text::ellipsis(name, 60) }
    }
}

impl From<TaskError> for CrmError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<LinkError> for CrmError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Store(error) => Self::Store(error),
            LinkError::Task(error) => error.into(),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Problem for CrmError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "record_not_found",
            Self::Archived(_) => "record_archived",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound { .. } => ProblemKind::NotFound,
            Self::Archived(_) | Self::Refused(_) => ProblemKind::Conflict,
            Self::Invalid(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }
}
