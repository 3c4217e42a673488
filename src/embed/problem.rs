//! Why there is no model or no vector, as one sentence for people.

use kernel::problem::{Problem, ProblemKind};

/// Why a folder is not used as a model. HQ runs on without one: words are still found, meanings are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The program was built without the feature `embed`.
    #[error("this build of HQ cannot embed text; use one with the feature `embed`")]
    Unavailable,
    /// The system gives no threads.
    #[error("the threads that embed text cannot be started: {reason}")]
    Threads {
        /// What the system said.
        reason: String,
    },
    /// A file that a model needs is not there.
    #[error("the file {file} of the model is missing")]
    Missing {
        /// Its name.
        file: &'static str,
    },
    /// The disk did not give a file.
    #[error("the file {file} of the model cannot be read: {reason}")]
    Unreadable {
        /// Its name.
        file: &'static str,
        /// What the system said.
        reason: String,
    },
    /// A file with more bytes than it may have.
    #[error("the file {file} has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its name.
        file: &'static str,
        /// How many bytes it has.
        size: u64,
        /// How many it may have.
        limit: u64,
    },
    /// A file that is another one than was confirmed.
    #[error("the file {file} is not the one that was confirmed: its SHA-256 is {found}")]
    OtherHash {
        /// Its name.
        file: &'static str,
        /// What it hashes to.
        found: String,
    },
    /// A model that HQ does not know, whose hashes nobody has confirmed.
    #[error(
        "HQ does not know this model; compare the SHA-256 of model.safetensors, {found}, with its card, and confirm it"
    )]
    Unconfirmed {
        /// What the weights hash to.
        found: String,
    },
    /// A configuration that is none, or of another kind of network.
    #[error("the file config.json does not fit: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// A tokenizer that is none, or does not fit the network.
    #[error("the file tokenizer.json does not fit: {reason}")]
    Tokenizer {
        /// What is wrong with it.
        reason: String,
    },
    /// Weights in a format that can run code.
    #[error("the file {file} is a pickle, which could run a program; get the model as safetensors")]
    Pickle {
        /// Its name.
        file: &'static str,
    },
    /// A file of weights that is none.
    #[error("the file model.safetensors is damaged: {reason}; get a fresh copy of it")]
    Weights {
        /// What is wrong with it.
        reason: String,
    },
    /// One tensor of the weights that is not what the configuration asks for.
    #[error("the file model.safetensors does not fit: the tensor {tensor} {fault}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it, as the rest of a sentence.
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
    /// The tokenizer does not take it.
    #[error("the text cannot be cut into tokens: {reason}")]
    Tokens {
        /// What the tokenizer said.
        reason: String,
    },
    /// The arithmetic failed.
    #[error("the text cannot be embedded: {reason}")]
    Compute {
        /// What failed.
        reason: String,
    },
    /// The weights blew up on this text.
    #[error("the model gives no finite vector for this text; choose another model")]
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
