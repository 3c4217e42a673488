//! Errors of master key rotation.

use crypto::master::KeyError;
use kernel::{Problem, ProblemKind};
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The person does not administer all workspaces.
    #[error(
        "the master key encrypts the secrets of every workspace of this HQ; you must administer \
            all of them to change it"
    )]
    NotAll,
    #[error("the master key is already being replaced; wait until everything is re-encrypted")]
    UnderWay,
    /// The new key was lost before it was put in place.
    #[error("the new master key {0} is gone; start again")]
    Lost(String),
    #[error("{0} isn't a former master key on this server")]
    NoFormer(String),
    /// What still needs the key.
    #[error("the former master key {0} is still needed: {1}")]
    Needed(String, String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for RotationError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAll => "master_key_not_all",
            Self::UnderWay => "under_way",
            Self::Lost(_) => "master_key_lost",
            Self::NoFormer(_) => "master_key_not_found",
            Self::Needed(..) => "master_key_needed",
            Self::Key(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotAll => ProblemKind::Forbidden,
            Self::UnderWay | Self::Lost(_) | Self::Needed(..) => ProblemKind::Conflict,
            Self::NoFormer(_) => ProblemKind::NotFound,
            Self::Key(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
