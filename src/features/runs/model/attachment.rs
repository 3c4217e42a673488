//! Files of messages.

use std::io;

use serde::{Deserialize, Serialize};
use store::{BlobId, Blobs};
use web::file::Kind;

/// Maximum number of files of one message.
pub const MAX_ATTACHED: usize = 8;
/// Additional files for API texts that are too long for a message.
pub const MAX_SPILLED: usize = 3;
/// Maximum total size of a message's files in bytes.
pub const MAX_ATTACHED_BYTES: u64 = 20 * 1024 * 1024;

/// Maximum length of a name within a path in bytes, counted from its end.
const LONG: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Display and download name.
    pub name: String,
    /// Detected from the content, such as `image/png`; for text as declared by the sender, such as `text/csv`.
    pub media_type: String,
    pub blob: BlobId,
    /// Length in bytes.
    pub len: u64,
}

impl Attachment {
    /// Stores a file and detects its type. Blocking.
    ///
    /// # Errors
    /// `StorageFull` when the disk is nearly full.
    pub fn put(blobs: &Blobs, name: String, bytes: &[u8]) -> io::Result<Self> {
        let media_type = media_type(&name, bytes).to_owned();
        Ok(Self { name, media_type, blob: blobs.put(bytes)?, len: bytes.len() as u64 })
    }

    #[must_use]
    pub fn is_picture(&self) -> bool {
        self.media_type.starts_with("image/")
    }

    /// Whether some models read the file as a document, page by page.
    #[must_use]
    pub fn is_document(&self) -> bool {
        self.media_type == "application/pdf"
    }

    /// Whether every model can read the file as text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.media_type.starts_with("text/")
            || matches!(
                self.media_type.as_str(),
                "application/json" | "application/xml" | "application/yaml"
            )
    }

    /// Path in the folder of the receiving agent.
    #[must_use]
    pub fn place(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = self.name.chars().map(plain).collect();
        let name = &name[name.len().saturating_sub(LONG)..];
        let mark: String = self.blob.to_string().chars().take(8).collect();
        format!("scratch/inbox/{mark}-{}", name.trim_start_matches('.'))
    }

    /// Text of a message that has only files.
    #[must_use]
    pub fn in_words(files: &[Self]) -> String {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        format!("[attached: {}]", names.join(", "))
    }
}

/// The media type by content; for text by the ending of the name.
#[must_use]
pub fn media_type(name: &str, bytes: &[u8]) -> &'static str {
    let kind = Kind::of(bytes);
    if kind != Kind::Other || bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return kind.media();
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "csv" => "text/csv",
        "md" | "markdown" => "text/markdown",
        "htm" | "html" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, media_type};
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

    #[test]
    fn what_a_file_is_its_bytes_say_and_of_text_its_name() {
        assert_eq!(media_type("a.csv", b"a,b"), "text/csv");
        assert_eq!(media_type("notes", "grün".as_bytes()), "text/plain");
        assert_eq!(media_type("a.csv", b"a\0b"), "application/octet-stream");
        assert_eq!(media_type("a.JSON", b"{}"), "application/json");
        assert_eq!(media_type("a.txt", &[0xff, 0xfe]), "application/octet-stream");
        assert_eq!(media_type("a.txt", b"%PDF-1.7"), "application/pdf");
    }
}
