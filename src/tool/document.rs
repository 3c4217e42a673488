//! Text of documents: PDF, Word, PowerPoint, Excel, OpenDocument, EPUB. The text is untrusted content.

use extract::{Kind, Limits, Refused};

/// The words of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it is: "PDF", or "document".
    pub what: &'static str,
    /// How many pages, slides or sheets it has, as far as they were counted; 0 where it has none.
    pub pages: usize,
    /// What they say, an empty line between two pages; empty when nothing can be read.
    pub text: String,
}

impl Words {
    /// What it is with how many pages it has: "PDF of 3 pages".
    #[must_use]
    pub fn told(&self) -> String {
        match (self.what, self.pages) {
            (what, 0) => what.to_owned(),
            (what, pages) => format!("{what} of {pages} pages"),
        }
    }
}

/// Whether bytes are a document in whose words somebody can look, but for text itself.
#[must_use]
pub fn is_one(data: &[u8]) -> bool {
    Kind::of(data, "").is_document()
}

/// Reads a document, up to about `most` characters of text. It takes a moment for a large one.
///
/// # Errors
/// Says why it cannot be read.
pub fn words(data: &[u8], most: usize) -> Result<Words, &'static str> {
    let limits = Limits { chars: most, ..Limits::default() };
    let found = extract::apart(data, "".into(), &limits).map_err(|refused| match refused {
        Refused::Encrypted => "it is encrypted",
        Refused::TooLarge | Refused::Expands | Refused::TooManyEntries => "it is too large",
        Refused::Letters | Refused::Unfit(_) => "its letters are in no encoding that can be told",
        Refused::Unlisted => "it was not copied to its end",
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
