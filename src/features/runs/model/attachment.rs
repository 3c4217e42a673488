//! Files that come with what is said.

use serde::{Deserialize, Serialize};

use store::BlobId;

/// How many files one message may have.
pub const MAX_ATTACHED: usize = 8;
/// How many more there may be of what a program says at too great length for a message.
pub const MAX_SPILLED: usize = 3;
/// The most that the files of one message have together, in bytes.
pub const MAX_ATTACHED_BYTES: u64 = 20 * 1024 * 1024;

/// How much of a name stands in a path, in bytes, from its end.
const LONG: usize = 100;

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

    /// Where it lies in the folder of the agent that it was sent to.
    #[must_use]
    pub fn place(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = self.name.chars().map(plain).collect();
        let name = &name[name.len().saturating_sub(LONG)..];
        let mark: String = self.blob.to_string().chars().take(8).collect();
        format!("scratch/inbox/{mark}-{}", name.trim_start_matches('.'))
    }

    /// What stands for a message that is nothing but files.
    #[must_use]
    pub fn in_words(files: &[Self]) -> String {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        format!("[attached: {}]", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::Attachment;
    use store::BlobId;

    #[test]
    fn a_file_lies_at_a_path_that_leads_nowhere_else() {
        let file = |name: &str| Attachment {
            name: name.into(),
            media_type: "text/plain".into(),
            blob: BlobId::of(b"x"),
            len: 1,
        };
        let mark: String = BlobId::of(b"x").to_string().chars().take(8).collect();
        assert_eq!(file("Plan ü.pdf").place(), format!("scratch/inbox/{mark}-Plan__.pdf"));
        assert_eq!(file("../../x").place(), format!("scratch/inbox/{mark}-_.._x"));
        let long = file(&format!("{}.csv", "a".repeat(400))).place();
        assert!(long.len() < 140 && long.ends_with("a.csv"), "{long}");
    }
}
