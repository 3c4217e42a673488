//! Why a file was not read, as one sentence for people.

use kernel::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// What is said of a zip without the list of its parts, which stands at its end.
pub(crate) const UNLISTED: &str = "this file begins like a packed file, but the list of what is packed into it is \
     missing: it is damaged or was not copied to its end; copy or save it again and send that";

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// More bytes than a file may have.
    #[error("this file is too large to be read; split it, or leave out what is not needed")]
    TooLarge,
    /// It grows without measure when it is unpacked.
    #[error(
        "this file holds far more than its size suggests once it is unpacked, so it was not read"
    )]
    Expands,
    /// A packed file of too many files.
    #[error(
        "there are more files packed into this one than a document ever needs, so it was not read"
    )]
    TooManyEntries,
    /// It stands behind a password.
    #[error("this file is protected by a password; save a copy without one and send that")]
    Encrypted,
    /// It is broken.
    #[error(
        "this file is damaged; open it in the program that made it, save it again and send that"
    )]
    Damaged,
    /// It begins as a zip does, and is none.
    #[error("{UNLISTED}")]
    Unlisted,
    /// It is packed and whole, but no document.
    #[error(
        "this is a packed file, but not the document that its name says; save the document again, or send by \
         itself what is packed into it"
    )]
    NoDocument,
    /// Its letters are in no encoding that can be told.
    #[error(
        "the letters of this file are in no encoding that can be told; save it as UTF-8 and send that"
    )]
    Letters,
    /// The encoding that somebody chose does not fit: its label.
    #[error(
        "this text is not {}: too many letters are broken; choose another encoding",
        sheet::encoding::name(.0)
    )]
    Unfit(String),
    /// The reader has not answered, or not so that it could be understood.
    #[error("this file could not be read: its reader stopped before it was done")]
    NoAnswer,
}

impl Problem for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "file_too_large",
            Self::Expands => "file_inflates",
            Self::TooManyEntries => "too_many_entries",
            Self::Encrypted => "file_locked",
            Self::Damaged => "file_damaged",
            Self::Unlisted => "file_incomplete",
            Self::NoDocument => "not_the_document",
            Self::Letters => "encoding_unknown",
            Self::Unfit(_) => "encoding_unfit",
            Self::NoAnswer => "reader_stopped",
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::TooLarge | Self::Expands | Self::TooManyEntries => ProblemKind::TooLarge,
            Self::Encrypted
            | Self::Damaged
            | Self::Unlisted
            | Self::NoDocument
            | Self::Letters
            | Self::Unfit(_)
            | Self::NoAnswer => ProblemKind::Invalid,
        }
    }
}
