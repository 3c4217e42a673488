//! Why there are no vectors.

use std::time::Duration;

use kernel::{Problem, ProblemKind};
use providers::error::ErrorClass;
use store::StoreError;

use crate::connections::rules::ConnectionError;

/// Why a connection gave no vectors.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// No such connection.
    #[error("there is no connection \"{0}\"")]
    NoConnection(String),
    /// Its provider has none.
    #[error(
        "\"{0}\" makes no vectors of texts; choose a connection to OpenAI or what follows it, Gemini or Ollama"
    )]
    MakesNone(String),
    /// No model was named.
    #[error("name the model that makes the vectors, as the server calls it")]
    NoModel,
    /// The vectors are of another length than those that were made before.
    #[error(
        "vectors have {found} numbers now where {wanted} are needed; choose the model again, so that all are made anew"
    )]
    Length {
        /// How many they have.
        found: usize,
        /// How many they should have.
        wanted: usize,
    },
    /// The provider failed.
    #[error("{said}")]
    Provider {
        /// What to do about it.
        class: ErrorClass,
        /// For people, without any key.
        said: String,
        /// How long the provider wants to be left alone.
        wait: Option<Duration>,
    },
    /// The connection cannot be used, or the budget does not allow it.
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
    /// How long the provider wants to be left alone.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Provider { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether waiting may help; else a person has to change something.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Provider { class, .. } => class.retryable(),
            Self::Store(_) | Self::Connection(ConnectionError::OverBudget) => true,
            _ => false,
        }
    }

    /// Whether the provider refuses these very texts, and may take others.
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
