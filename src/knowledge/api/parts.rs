//! Parts of an item in answers: passages of it, and its file.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cut::Quote;
use crate::model::{FileBody, Reading, ReadingState};

/// A passage that fits.
#[derive(Serialize, JsonSchema)]
pub(super) struct PassageView {
    n: u32,
    text: String,
    section: String,
    page: Option<u32>,
    /// Its bytes in the text.
    from: usize,
    to: usize,
}

impl PassageView {
    pub(super) fn of(quote: &Quote) -> Self {
        Self {
            n: quote.n,
            text: quote.text.clone(),
            section: quote.section.clone(),
            page: quote.page,
            from: quote.range.start,
            to: quote.range.end,
        }
    }
}

/// A file, and how far the reading of it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct FileView {
    name: String,
    /// In bytes.
    size: u64,
    media: String,
    sha256: String,
    /// `waiting`, `done`, `no_text` or `failed`.
    reading: &'static str,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
    pages: Option<u32>,
    /// Whether only its beginning was read.
    cut: bool,
}

impl FileView {
    pub(super) fn of(file: FileBody, reading: Option<&Reading>) -> Self {
        let (reads, problem) = match reading.map(|one| &one.state) {
            Some(ReadingState::Done) => ("done", String::new()),
            Some(ReadingState::NoText) => ("no_text", String::new()),
            Some(ReadingState::Failed(why)) => ("failed", why.clone()),
            Some(ReadingState::Waiting) | None => ("waiting", String::new()),
        };
        Self {
            name: file.name,
            size: file.size,
            media: file.media,
            sha256: file.blob.to_string(),
            reading: reads,
            problem,
            pages: reading.and_then(|one| one.pages),
            cut: reading.is_some_and(|one| one.cut),
        }
    }
}
