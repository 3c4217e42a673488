//! What can go wrong between home and host.

use kernel::{Problem, ProblemKind};
use store::StoreError;

/// Why nothing was made or laid.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row came that this host must not have, or that is not what it says.
    #[error("a row of {table} was refused: {why}")]
    Refused {
        /// The table, by its name or number.
        table: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A parcel was larger than any may be, or could not be read.
    #[error("what home sent cannot be read: {0}")]
    Unreadable(&'static str),
    /// Something between what is here and what came is missing.
    #[error("what home sent begins elsewhere than what is here ends; it has to be sent from there")]
    Gap,
}

impl Problem for MirrorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Refused { .. } => "mirror_refused",
            Self::Unreadable(_) => "mirror_unreadable",
            Self::Gap => "mirror_gap",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Refused { .. } => ProblemKind::Forbidden,
            Self::Unreadable(_) => ProblemKind::Invalid,
            Self::Gap => ProblemKind::Conflict,
        }
    }
}
