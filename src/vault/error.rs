//! Why something about secrets is as it was.

use crypto::keyring::SealError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No such secret.
    #[error("there is no secret \"{0}\"")]
    NotFound(String),
    /// No such agent.
    #[error("there is no agent \"{0}\"")]
    NoAgent(String),
    /// The same name is in use for the same agents.
    #[error("{key} already exists {place}; replace its value there, or choose another name")]
    Exists {
        /// The variable.
        key: String,
        /// "for all agents", "for Ada".
        place: String,
    },
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// Something in the input is wrong.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    /// The stored value does not open.
    #[error(transparent)]
    Unreadable(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VaultError {
    /// One field is wrong.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// There is no such secret.
    #[must_use]
    pub fn no(said: &str) -> Self {
        Self::NotFound(kernel::text::ellipsis(said.trim(), 60))
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
