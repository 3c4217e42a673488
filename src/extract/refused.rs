//! Reasons why a file was not read, each one sentence for people.

use kernel::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};

/// Text for a zip without its central directory, which is at the end of the file.
pub(crate) const UNLISTED: &str = "this file starts like an archive, but its table of contents is \
     missing: it is damaged or incomplete; save it again and upload that";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Larger than the limit.
    #[error("this file is too large to read; split it or remove what isn't needed")]
    TooLarge,
    /// Expands beyond the limit.
    #[error("this file unpacks to far more than its size suggests, so it wasn't read")]
    Expands,
    /// Too many entries in a packed file.
    #[error("this file contains more files than a document ever needs, so it wasn't read")]
    TooManyEntries,
    #[error("this file is password-protected; save a copy without a password and upload that")]
    Encrypted,
    #[error(
        "this file is damaged; open it in the program that created it, save it again and upload \
         that"
    )]
    Damaged,
    /// Starts like a zip but has no directory.
    #[error("{UNLISTED}")]
    Unlisted,
    /// An intact zip, but no document.
    #[error(
        "this is an archive, not the document its name suggests; save the document again, or \
         upload the files separately"
    )]
    NoDocument,
    /// Unknown encoding.
    #[error("this file's encoding couldn't be detected; save it as UTF-8 and upload it again")]
    Letters,
    /// The chosen encoding does not fit; with its label.
    #[error(
        "this text is not {}: too many characters are broken; choose another encoding",
        sheet::encoding::name(.0)
    )]
    Unfit(String),
    /// The child process gave no valid response.
    #[error("this file couldn't be read: the reader stopped early")]
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
