//! Files that come with what is said.

use serde::{Deserialize, Serialize};

use crate::store::BlobId;

/// How many files one message may have.
pub const MAX_ATTACHED: usize = 8;
/// The most that the files of one message have together, in bytes.
pub const MAX_ATTACHED_BYTES: u64 = 20 * 1024 * 1024;

/// A file that came with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name, as it may be shown and saved.
    pub name: String,
    /// What its bytes say it is, such as `image/png`; for text what its sender says, such as
    /// `text/csv`.
    pub media_type: String,
    /// Its content.
    pub blob: BlobId,
    /// Its length in bytes.
    pub len: u64,
}

impl Attachment {
    /// Whether it is a picture.
    #[must_use]
    pub fn is_picture(&self) -> bool {
        self.media_type.starts_with("image/")
    }

    /// Whether it is a document that some models read page by page.
    #[must_use]
    pub fn is_document(&self) -> bool {
        self.media_type == "application/pdf"
    }

    /// Whether its words can be read by every model.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.media_type.starts_with("text/")
            || matches!(
                self.media_type.as_str(),
                "application/json" | "application/xml" | "application/yaml"
            )
    }

    /// What stands for a message that is nothing but files.
    #[must_use]
    pub fn in_words(files: &[Self]) -> String {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        format!("[attached: {}]", names.join(", "))
    }
}
