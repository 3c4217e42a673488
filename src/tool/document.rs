//! Extracts text from documents: PDF, Word, PowerPoint, Excel, OpenDocument, EPUB. The text is untrusted content.

use extract::{Kind, Limits, Refused};

/// Text of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Document type: "PDF", or "document".
    pub what: &'static str,
    /// Number of pages, slides or sheets, as far as counted; 0 if there are none.
    pub pages: usize,
    /// The text, with an empty line between pages; empty if nothing is readable.
    pub text: String,
}

impl Words {
    /// Type and page count: "PDF of 3 pages".
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.what, self.pages) {
            (what, 0) => what.to_owned(),
            (what, pages) => format!("{what} of {pages} pages"),
        }
    }
}

/// Returns `true` if the data is a document with extractable text. Plain text does not count.
#[must_use]
pub fn is_one(data: &[u8]) -> bool {
    Kind::of(data, "").is_document()
}

/// Reads a document, up to about `most` characters of text. Slow for large documents; blocking.
///
/// # Errors
/// Why the document cannot be read.
pub fn words(data: &[u8], most: usize) -> Result<Words, &'static str> {
    let limits = Limits { chars: most, ..Limits::default() };
    let found = extract::apart(data, "".into(), &limits).map_err(|refused| match refused {
        Refused::Encrypted => "it is encrypted",
        Refused::TooLarge | Refused::Expands | Refused::TooManyEntries => "it is too large",
        Refused::Letters | Refused::Unfit(_) => "its encoding can't be detected",
        Refused::Unlisted => "it is incomplete",
        Refused::NoDocument => "there is no document in it",
        Refused::Damaged | Refused::NoAnswer => "it is damaged",
    })?;
    let text: Vec<&str> = found.parts.iter().map(|part| part.text.trim()).collect();
    Ok(Words {
        what: if found.kind == Kind::Pdf { "PDF" } else { "document" },
        pages: found.pages.and_then(|pages| usize::try_from(pages).ok()).unwrap_or(0),
        text: text.join("\n\n"),
    })
}
