//! Why something about gateways is as it was.

use crypto::keyring::SealError;
use features::jobs::rules::JobError;
use features::notifications::rules::NotificationError;
use features::runs::rules::RunError;
use features::tasks::queries::error::TaskError;
use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No such gateway.
    #[error("there is no gateway \"{0}\"")]
    NotFound(String),
    /// No such agent.
    #[error("there is no agent \"{0}\"")]
    NoAgent(String),
    /// No such token.
    #[error("there is no such token")]
    NoToken,
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// Something in the input is wrong.
    #[error("{}", .0.iter().map(|f| f.message.as_str()).collect::<Vec<_>>().join(" "))]
    Invalid(Vec<FieldError>),
    /// The key of the workspace does not open.
    #[error("the workspace's key for gateways does not open with the present master key: {0}")]
    Unreadable(#[from] SealError),
    /// The key of the workspace is none.
    #[error("the workspace's key for gateways is damaged")]
    Damaged,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GatewayError {
    /// One field is wrong.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// There is no such gateway.
    #[must_use]
    pub fn no(said: &str) -> Self {
        Self::NotFound(kernel::text::ellipsis(said.trim(), 60))
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
            // A machine that is refused would take itself for revoked.
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
