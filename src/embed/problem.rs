//! Errors of models and embedding, each one sentence for people.

use kernel::problem::{Problem, ProblemKind};

/// Why a folder is not usable as a model. HQ works without one: text search works, semantic search does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this build of HQ can't embed text; use one with the feature `embed`")]
    Unavailable,
    #[error("the embedding threads can't be started: {reason}")]
    Threads {
        /// Error of the system.
        reason: String,
    },
    #[error("the model's file {file} is missing")]
    Missing {
        /// One of the three files of a model.
        file: &'static str,
    },
    #[error("the model's file {file} can't be read: {reason}")]
    Unreadable {
        /// One of the three files of a model.
        file: &'static str,
        reason: String,
    },
    #[error("the file {file} has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        file: &'static str,
        /// In bytes.
        size: u64,
        limit: u64,
    },
    /// The hash of a file differs from the confirmed one.
    #[error("the file {file} isn't the confirmed one: its SHA-256 is {found}")]
    OtherHash {
        file: &'static str,
        /// SHA-256 in hex.
        found: String,
    },
    /// An unknown model with unconfirmed hashes.
    #[error(
        "HQ doesn't know this model; compare the SHA-256 of model.safetensors, {found}, with its \
         model card, and confirm it"
    )]
    Unconfirmed {
        /// SHA-256 of the weights in hex.
        found: String,
    },
    /// Invalid configuration or unsupported network.
    #[error("the file config.json is unsuitable: {reason}")]
    Config {
        /// Parser error, or the unsupported value.
        reason: String,
    },
    /// The tokenizer is invalid or does not fit the network.
    #[error("the file tokenizer.json is unsuitable: {reason}")]
    Tokenizer {
        /// Parser error, or the mismatch.
        reason: String,
    },
    /// Weights in a format that can run code.
    #[error("the file {file} is a pickle, which could run code; get the model as safetensors")]
    Pickle {
        /// Name in the folder.
        file: &'static str,
    },
    #[error("the file model.safetensors is damaged: {reason}; get a new copy")]
    Weights {
        /// What is malformed.
        reason: String,
    },
    /// A tensor does not match the configuration.
    #[error("the file model.safetensors is unsuitable: the tensor {tensor} {fault}")]
    Tensor {
        tensor: String,
        /// The rest of a sentence that starts with the tensor.
        fault: String,
    },
}

impl Problem for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable => "embedding_unavailable",
            Self::Threads { .. } => "embedding_threads",
            Self::Missing { .. } => "model_file_missing",
            Self::Unreadable { .. } => "model_file_unreadable",
            Self::TooLarge { .. } => "model_file_too_large",
            Self::OtherHash { .. } => "model_file_changed",
            Self::Unconfirmed { .. } => "model_unconfirmed",
            Self::Config { .. } => "model_config_unfit",
            Self::Tokenizer { .. } => "model_tokenizer_unfit",
            Self::Pickle { .. } => "model_is_a_pickle",
            Self::Weights { .. } => "model_weights_damaged",
            Self::Tensor { .. } => "model_weights_unfit",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unavailable => ProblemKind::Unavailable,
            Self::Missing { .. } => ProblemKind::NotFound,
            Self::Unconfirmed { .. } => ProblemKind::Conflict,
            Self::Threads { .. } | Self::Unreadable { .. } => ProblemKind::Internal,
            Self::TooLarge { .. } => ProblemKind::TooLarge,
            _ => ProblemKind::Invalid,
        }
    }
}

/// Why a text has no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    #[error("the text can't be tokenized: {reason}")]
    Tokens {
        /// Error of the tokenizer.
        reason: String,
    },
    #[error("the text can't be embedded: {reason}")]
    Compute {
        /// Error of the network.
        reason: String,
    },
    /// The result is not finite.
    #[error("the model returns no finite vector for this text; choose another model")]
    NotFinite,
}

impl Problem for EmbedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Tokens { .. } => "text_without_tokens",
            Self::Compute { .. } => "embedding_failed",
            Self::NotFinite => "vector_not_finite",
        }
    }

    fn kind(&self) -> ProblemKind {
        ProblemKind::Internal
    }
}
