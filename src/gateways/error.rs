//! Errors of gateways.

use crypto::keyring::SealError;
use features::jobs::rules::JobError;
use features::notifications::rules::NotificationError;
use features::runs::rules::RunError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("there is no gateway \"{0}\"")]
    NotFound(String),
    #[error("there is no agent \"{0}\"")]
    NoAgent(String),
    #[error("this token doesn't exist")]
    NoToken,
    /// Not possible in the present state.
    #[error("{0}")]
    Refused(String),
    /// Invalid input.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    /// The workspace's key cannot be decrypted.
    #[error("the workspace's gateway key can't be opened with the current master key: {0}")]
    Unreadable(#[from] SealError),
    /// The workspace's key is malformed.
    #[error("the workspace's gateway key is damaged")]
    Damaged,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GatewayError {
    /// An error of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    #[must_use]
    pub fn no(name: &str) -> Self {
        Self::NotFound(kernel::text::ellipsis(name.trim(), 60))
    }
}

impl From<TaskError> for GatewayError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<RunError> for GatewayError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<NotificationError> for GatewayError {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::Store(error) => Self::Store(error),
            // A refusal would make the machine believe that it is revoked.
            other => Self::Store(StoreError::Failed(other.to_string())),
        }
    }
}

impl From<JobError> for GatewayError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => Self::Store(error),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Problem for GatewayError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "gateway_not_found",
            Self::NoAgent(_) => "agent_not_found",
            Self::NoToken => "gateway_token_not_found",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
            Self::Unreadable(_) | Self::Damaged => "gateway_key_unreadable",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoAgent(_) | Self::NoToken => ProblemKind::NotFound,
            Self::Refused(_) | Self::Unreadable(_) | Self::Damaged => ProblemKind::Conflict,
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
