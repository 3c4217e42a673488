//! Error codes and HTTP status of this package's errors.

use kernel::problem::{FieldError, Problem, ProblemKind};

use super::keyring::SealError;
use super::master::KeyError;
use super::password::PasswordError;
use super::token::TokenError;

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
            Self::NotReplaced { .. } => "master_key_not_replaced",
            Self::Exposed { .. } => "master_key_exposed",
            Self::Unfit { .. } | Self::TooShort | Self::TooLong | Self::NotText | Self::NotRaw => {
                "master_key_invalid"
            }
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unreadable { .. } | Self::NotMade { .. } | Self::Exposed { .. } => {
                ProblemKind::Internal
            }
            Self::NotReplaced { .. } => ProblemKind::Unavailable,
            Self::Unfit { .. } | Self::TooShort | Self::TooLong | Self::NotText | Self::NotRaw => {
                ProblemKind::Invalid
            }
        }
    }
}

impl Problem for PasswordError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::Guessable => "password_guessable",
            Self::Personal => "password_personal",
            Self::PepperMissing => "password_key_missing",
            Self::BadHash => "password_unreadable",
            Self::NoMemory => "password_no_memory",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::TooShort | Self::TooLong | Self::Guessable | Self::Personal => {
                ProblemKind::Invalid
            }
            Self::PepperMissing | Self::NoMemory => ProblemKind::Unavailable,
            Self::BadHash => ProblemKind::Internal,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self.kind() {
            ProblemKind::Invalid => vec![FieldError::new("password", self.to_string())],
            _ => Vec::new(),
        }
    }
}

impl Problem for TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadFormat => "token_invalid",
            Self::Forged => "token_forged",
            Self::Expired => "token_expired",
        }
    }

    fn kind(&self) -> ProblemKind {
        ProblemKind::Unauthorized
    }
}
