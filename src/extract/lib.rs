//! Extraction of text: PDF, office documents, books, mails, web pages and plain text to Markdown, with page numbers
//! where the format has pages.
//!
//! Files are untrusted. Content decides about the format, declared sizes are never trusted, and work and memory stay
//! within [`Limits`]. Extraction runs in a child process without network and files ([`serve`]); nothing here opens,
//! sends or starts anything. A file without text, such as a scan, is a state, not an error.

mod html;
mod kind;
mod mail;
mod markdown;
mod office;
mod pdf;
mod refused;
mod apart;
mod serve;
mod sheets;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

pub use apart::{ARGUMENT, Apart, apart, install, main_child};
pub use kind::Kind;
pub use refused::Refused;
pub use serve::{Answer, Request, serve};
pub use sheet::encoding;

use markdown::Writer;

const MOST_NOTES: usize = 100;
/// In characters.
const LONGEST_TITLE: usize = 300;

/// Limits of one extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest file, in bytes.
    pub input: usize,
    /// Limit of characters over all parts.
    pub chars: usize,
    /// Limit of bytes that a packed file expands to.
    pub expanded: u64,
    /// Largest ratio of expanded to packed size, above [`Limits::base`].
    pub ratio: u64,
    /// Expansion that every packed file may reach, in bytes.
    pub base: u64,
    /// Limit of entries in a packed file.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input: 100 << 20,
            chars: 500_000,
            expanded: 200 << 20,
            ratio: 100,
            base: 32 << 20,
            entries: 10_000,
        }
    }
}

impl Limits {
    /// Bytes that a packed file of this size may expand to.
    fn expanded_of(&self, size: usize) -> u64 {
        let fair = (size as u64).saturating_mul(self.ratio);
        fair.max(self.base).min(self.expanded)
    }
}

/// What is known about a file besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'s> {
    pub name: &'s str,
    /// Label of the encoding that a person chose; used for text only.
    pub encoding: Option<&'s str>,
}

impl<'s> From<&'s str> for Source<'s> {
    /// A file of this name, with automatic detection of the encoding.
    fn from(name: &'s str) -> Self {
        Self { name, encoding: None }
    }
}

/// A piece of a file, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number of the page, slide or sheet, from 1; `None` if the format has none.
    pub page: Option<u32>,
    pub text: String,
}

/// Completeness of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Text,
    /// No text: an image, a scan or an empty file.
    NoText,
    /// Cut at the limit of characters.
    Cut,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    pub kind: Kind,
    /// Title in the file's metadata.
    pub title: Option<String>,
    /// In order; pages without text have no part.
    pub parts: Vec<Part>,
    /// Number of pages, slides or sheets, including those without text.
    pub pages: Option<u32>,
    pub state: State,
    /// Label of the detected or chosen encoding of a text; `None` for other files.
    pub encoding: Option<String>,
    /// Oddities for people, one sentence each.
    pub notes: Vec<String>,
    /// Why text is missing, for example damage. Not set for the limit of characters.
    pub missing: Option<String>,
}

/// Extracts the text of a file. May take seconds and much memory, so call it in a child process that can be killed.
///
/// # Errors
/// If the file is locked, damaged or exceeds the limits. Each error is one sentence for people.
pub fn extract<'s>(
    bytes: &[u8],
    source: impl Into<Source<'s>>,
    limits: &Limits,
) -> Result<Extracted, Refused> {
    let source = source.into();
    if bytes.len() > limits.input {
        return Err(Refused::TooLarge);
    }
    // A panic of a library counts as damage of the file.
    catch_unwind(AssertUnwindSafe(|| read(bytes, source, limits))).unwrap_or(Err(Refused::Damaged))
}

fn read<'l>(bytes: &[u8], source: Source<'l>, limits: &'l Limits) -> Result<Extracted, Refused> {
    let name = source.name;
    if kind::is_zip(bytes) {
        office::check_entries(bytes, limits)?;
    }
    let kind = Kind::of(bytes, name);
    // Chapters of a book declare their own encodings.
    let chosen = source.encoding.filter(|_| !kind.is_document());
    let mut found = Found { chosen, ..Found::new(kind, limits) };
    match kind {
        Kind::Pdf => pdf::read(bytes, &mut found)?,
        Kind::Docx => office::docx(bytes, &mut found)?,
        Kind::Pptx => office::pptx(bytes, &mut found)?,
        Kind::Odt | Kind::Odp => office::opendocument(bytes, &mut found)?,
        Kind::Epub => office::epub(bytes, &mut found)?,
        Kind::Xlsx | Kind::Xls | Kind::Ods => sheets::workbook(bytes, &mut found)?,
        Kind::Csv => sheets::csv(bytes, &mut found)?,
        Kind::Html => html::file(bytes, &mut found)?,
        Kind::Mail => mail::file(bytes, &mut found)?,
        Kind::Markdown | Kind::Json | Kind::Text => text::file(bytes, &mut found)?,
        Kind::Image => (),
        Kind::Other => found.notes.extend(kind::unread(bytes, name)?.map(str::to_owned)),
    }
    Ok(found.finish())
}

/// Result under construction, within the limits.
struct Found<'l> {
    kind: Kind,
    limits: &'l Limits,
    title: Option<String>,
    parts: Vec<Part>,
    pages: Option<u32>,
    notes: Vec<String>,
    missing: Option<String>,
    encoding: Option<String>,
    chosen: Option<&'l str>,
    left: usize,
    cut: bool,
}

impl<'l> Found<'l> {
    fn new(kind: Kind, limits: &'l Limits) -> Self {
        Self {
            kind,
            limits,
            title: None,
            parts: Vec::new(),
            pages: None,
            notes: Vec::new(),
            missing: None,
            encoding: None,
            chosen: None,
            left: limits.chars,
            cut: false,
        }
    }

    /// Whether the limit of characters was reached.
    fn is_full(&self) -> bool {
        self.cut
    }

    /// A writer with the remaining limit.
    fn writer(&self) -> Writer {
        Writer::new(self.left)
    }

    /// Adds a part up to the limit; empty parts are dropped.
    fn push(&mut self, page: Option<u32>, mut text: String) {
        if text.trim().is_empty() {
            return;
        }
        if self.left == 0 {
            self.cut = true;
            return;
        }
        if let Some((end, _)) = text.char_indices().nth(self.left) {
            text.truncate(end);
            self.cut = true;
            self.left = 0;
        } else {
            self.left -= text.chars().count();
        }
        self.parts.push(Part { page, text });
    }

    /// Adds a note, unless it exists.
    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Sets the title, unless it is blank.
    fn name(&mut self, title: &str) {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let title: String =
            title.chars().filter(|sign| !sign.is_control()).take(LONGEST_TITLE).collect();
        if !title.is_empty() {
            self.title = Some(title);
        }
    }

    fn finish(self) -> Extracted {
        let state = match (self.cut, self.parts.is_empty()) {
            (true, _) => State::Cut,
            (false, true) => State::NoText,
            (false, false) => State::Text,
        };
        let Self { kind, title, parts, pages, notes, encoding, missing, .. } = self;
        // A book has no encoding, although its chapters do.
        let encoding = encoding.filter(|_| !kind.is_document());
        Extracted { kind, title, parts, pages, state, encoding, notes, missing }
    }
}

#[cfg(test)]
mod tests;
