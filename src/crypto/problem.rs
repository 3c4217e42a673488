//! What the errors of this module are called and how they answer at the edge.

use crate::kernel::problem::{Problem, ProblemKind};

use super::keyring::SealError;
use super::master::KeyError;

impl Problem for SealError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadFormat => "secret_bad_format",
            Self::KeyMissing { .. } => "secret_key_missing",
            Self::AuthFailed => "secret_unreadable",
            Self::NotText => "secret_not_text",
        }
    }

    fn kind(&self) -> ProblemKind {
        ProblemKind::Unavailable
    }
}

impl Problem for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "master_key_unreadable",
            Self::NotMade { .. } => "master_key_not_made",
            Self::Exposed { .. } => "master_key_exposed",
            Self::TooShort | Self::TooLong | Self::NotText | Self::NotRaw => "master_key_invalid",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unreadable { .. } | Self::NotMade { .. } | Self::Exposed { .. } => {
                ProblemKind::Internal
            }
            Self::TooShort | Self::TooLong | Self::NotText | Self::NotRaw => ProblemKind::Invalid,
        }
    }
}
