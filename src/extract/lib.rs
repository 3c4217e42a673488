//! Files to text: PDF, office documents, books, mails, pages and plain texts as Markdown, with page numbers where there are
//! pages.
//!
//! A file is foreign: its bytes decide what it is, each size that it claims is counted instead, and all work and
//! memory stay within [`Limits`]. It runs in a child without network or files ([`serve`]), so nothing here opens,
//! sends or starts anything. A file without text, such as a scan, is a state and not a failure.

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

/// The most notes on one file.
const MOST_NOTES: usize = 100;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 300;

/// What a file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest file, in bytes.
    pub input: usize,
    /// The most characters of all parts together.
    pub chars: usize,
    /// The most that a packed file is expanded to, in bytes.
    pub expanded: u64,
    /// How many times its size a packed file may expand to, beyond [`Limits::base`].
    pub ratio: u64,
    /// To what any packed file may expand, in bytes.
    pub base: u64,
    /// The most files in a packed file.
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
    /// To how many bytes a packed file of this size may expand.
    fn expanded_of(&self, size: usize) -> u64 {
        let fair = (size as u64).saturating_mul(self.ratio);
        fair.max(self.base).min(self.expanded)
    }
}

/// What is known of a file beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'s> {
    pub name: &'s str,
    /// The label of the encoding that somebody chose; only a text has one.
    pub encoding: Option<&'s str>,
}

impl<'s> From<&'s str> for Source<'s> {
    /// A file of this name; the encoding of a text is found.
    fn from(name: &'s str) -> Self {
        Self { name, encoding: None }
    }
}

/// A piece of a file, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The page, slide or sheet that it is, from 1; `None` where the format has none.
    pub page: Option<u32>,
    /// What stands on it.
    pub text: String,
}

/// How much of the text of a file there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Text,
    /// There is none in it: it is a picture, a scan or empty.
    NoText,
    /// Its beginning; the rest is more than a text may have.
    Cut,
}

/// What was read out of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    pub kind: Kind,
    /// The title that it gives itself.
    pub title: Option<String>,
    /// Its text in order; a page without text has no part.
    pub parts: Vec<Part>,
    /// How many pages, slides or sheets it has, with text or without.
    pub pages: Option<u32>,
    /// How much of its text this is.
    pub state: State,
    /// The label of the encoding of a text; none of other files.
    pub encoding: Option<String>,
    /// What was odd, for people: one sentence each.
    pub notes: Vec<String>,
    /// Why a part of its text is missing, such as damage; no limit of the text is meant by it.
    pub missing: Option<String>,
}

/// Reads a file. It may take seconds and much memory, so it belongs into a child that can be ended.
///
/// # Errors
/// If it is locked, broken or more than the limits allow; each error is one sentence for people.
pub fn extract<'s>(
    bytes: &[u8],
    source: impl Into<Source<'s>>,
    limits: &Limits,
) -> Result<Extracted, Refused> {
    let source = source.into();
    if bytes.len() > limits.input {
        return Err(Refused::TooLarge);
    }
    // A panic of a library is a fault of the file, not the end of whoever asked.
    catch_unwind(AssertUnwindSafe(|| read(bytes, source, limits))).unwrap_or(Err(Refused::Damaged))
}

fn read<'l>(bytes: &[u8], source: Source<'l>, limits: &'l Limits) -> Result<Extracted, Refused> {
    let name = source.name;
    if kind::is_zip(bytes) {
        office::check_entries(bytes, limits)?;
    }
    let kind = Kind::of(bytes, name);
    // The chapters of a book name their own encodings.
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

/// What was found so far, within the limits.
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

    /// Whether nothing more is wanted.
    fn is_full(&self) -> bool {
        self.cut
    }

    /// A writer of what may still be added.
    fn writer(&self) -> Writer {
        Writer::new(self.left)
    }

    /// Adds a part, unless it is empty, up to the limit.
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

    /// Tells people what was odd, once.
    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes a title, unless it is blank.
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
        // The chapters of a book are texts, but the book is none.
        let encoding = encoding.filter(|_| !kind.is_document());
        Extracted { kind, title, parts, pages, state, encoding, notes, missing }
    }
}

#[cfg(test)]
mod tests;
