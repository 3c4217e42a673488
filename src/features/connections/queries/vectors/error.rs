//! Errors of embedding requests.

use std::time::Duration;

use kernel::{Problem, ProblemKind};
use providers::error::ErrorClass;
use store::StoreError;

use crate::connections::rules::ConnectionError;

#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    #[error("there is no connection \"{0}\"")]
    NoConnection(String),
    /// The provider has no embeddings.
    #[error(
        "\"{0}\" can't create vectors; choose an OpenAI-compatible, Gemini or Ollama connection"
    )]
    MakesNone(String),
    #[error("enter the server's name of the model that creates the vectors")]
    NoModel,
    /// The vector length differs from that of the stored vectors.
    #[error(
        "vectors now have {found} dimensions instead of {wanted}; choose the model again to \
            recreate all of them"
    )]
    Length {
        /// Length of the new vectors.
        found: usize,
        wanted: usize,
    },
    #[error("{message}")]
    Provider {
        class: ErrorClass,
        /// Display message without any key.
        message: String,
        /// Pause requested by the provider.
        wait: Option<Duration>,
    },
    /// The connection is unusable or the budget is insufficient.
    #[error(transparent)]
    Connection(ConnectionError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ConnectionError> for VectorError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Store(error) => Self::Store(error),
            other => Self::Connection(other),
        }
    }
}

impl VectorError {
    /// Pause requested by the provider.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Provider { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether waiting may help; otherwise a person has to act.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Provider { class, .. } => class.retryable(),
            Self::Store(_) | Self::Connection(ConnectionError::OverBudget) => true,
            _ => false,
        }
    }

    /// Whether the provider refuses these particular texts.
    #[must_use]
    pub fn is_of_texts(&self) -> bool {
        let Self::Provider { class, .. } = self else { return false };
        matches!(
            class,
            ErrorClass::InvalidRequest | ErrorClass::ContextTooLong | ErrorClass::ContentRefused
        )
    }
}

impl Problem for VectorError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoConnection(_) => "connection_not_found",
            Self::MakesNone(_) => "connection_without_vectors",
            Self::NoModel => "model_missing",
            Self::Length { .. } => "vector_length",
            Self::Provider { class, .. } => class.word(),
            Self::Connection(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoConnection(_) => ProblemKind::NotFound,
            Self::MakesNone(_) | Self::NoModel => ProblemKind::Invalid,
            Self::Length { .. } => ProblemKind::Conflict,
            Self::Provider { class: ErrorClass::RateLimit, .. } => ProblemKind::Limited,
            Self::Provider { .. } => ProblemKind::Upstream,
            Self::Connection(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
