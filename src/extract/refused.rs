//! Reasons why a file was not read, each one sentence for people.

use kernel::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// Text for a zip without its central directory, which is at the end of the file.
pub(crate) const UNLISTED: &str = "this file begins like a packed file, but the list of what is packed into it is \
     missing: it is damaged or was not copied to its end; copy or save it again and send that";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Larger than the limit.
    #[error("this file is too large to be read; split it, or leave out what is not needed")]
    TooLarge,
    /// Expands beyond the limit.
    #[error(
        "this file holds far more than its size suggests once it is unpacked, so it was not read"
    )]
    Expands,
    /// Too many entries in a packed file.
    #[error(
        "there are more files packed into this one than a document ever needs, so it was not read"
    )]
    TooManyEntries,
    #[error("this file is protected by a password; save a copy without one and send that")]
    Encrypted,
    #[error(
        "this file is damaged; open it in the program that made it, save it again and send that"
    )]
    Damaged,
    /// Starts like a zip but has no directory.
    #[error("{UNLISTED}")]
    Unlisted,
    /// An intact zip, but no document.
    #[error(
        "this is an archive, not the document that its name suggests; save the document again, or upload the \
         packed files"
    )]
    NoDocument,
    /// Unknown encoding.
    #[error("this file's encoding couldn't be detected; save it as UTF-8 and upload it again")]
    Letters,
    /// The chosen encoding does not fit; with its label.
    #[error(
        "this text is not {}: too many letters are broken; choose another encoding",
        sheet::encoding::name(.0)
    )]
    Unfit(String),
    /// The child process gave no valid response.
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
