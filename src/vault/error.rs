//! Errors of secrets.

use crypto::keyring::SealError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("there is no secret \"{0}\"")]
    NotFound(String),
    #[error("there is no agent \"{0}\"")]
    NoAgent(String),
    /// The variable is taken for the same agents.
    #[error("{key} already exists {place}; replace its value there, or choose another name")]
    Exists {
        key: String,
        /// "for all agents", "for Ada".
        place: String,
    },
    /// Not possible in the present state.
    #[error("{0}")]
    Refused(String),
    /// Invalid input.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    /// The stored value cannot be decrypted.
    #[error(transparent)]
    Unreadable(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VaultError {
    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    #[must_use]
    pub fn no(name: &str) -> Self {
        Self::NotFound(kernel::text::ellipsis(name.trim(), 60))
    }
}

impl From<TaskError> for VaultError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Problem for VaultError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "secret_not_found",
            Self::NoAgent(_) => "agent_not_found",
            Self::Exists { .. } => "secret_exists",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
            Self::Unreadable(_) => "secret_unreadable",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoAgent(_) => ProblemKind::NotFound,
            Self::Exists { .. } | Self::Refused(_) | Self::Unreadable(_) => ProblemKind::Conflict,
            Self::Invalid(_) => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) => fields.clone(),
            Self::Exists { .. } => vec![FieldError::new("key", self.to_string())],
            _ => Vec::new(),
        }
    }
}
