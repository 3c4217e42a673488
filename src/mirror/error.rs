//! Errors of replication.

use kernel::{Problem, ProblemKind};
use store::StoreError;

/// Why no parcel was made or applied.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The parcel contains a row that this host must not have, or an invalid row.
    #[error("a row of {table} was refused: {why}")]
    Refused {
        /// Name or number of the table.
        table: String,
        /// The reason.
        why: &'static str,
    },
    /// A parcel is too large or invalid.
    #[error("the data from HQ can't be read: {0}")]
    Unreadable(&'static str),
    /// Data between the mirror's position and the parcel is missing.
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
