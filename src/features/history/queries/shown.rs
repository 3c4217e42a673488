//! What differs, as pages show it: `templates/history/_fields.html`.

use crate::deliverables::queries::diff::Line;
use app::Ws;

use super::fields::FieldDiff;
use super::names::Word;

/// Words that may be a link.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The words.
    pub text: String,
    /// Where they lead, or empty.
    pub href: String,
}

impl Cell {
    /// A word of this workspace.
    #[must_use]
    pub fn of(ws: &Ws, word: Word) -> Self {
        let href = if word.path.is_empty() { String::new() } else { ws.url(&word.path) };
        Self { text: word.text, href }
    }
}

/// A field that differs.
#[derive(Debug)]
pub struct FieldView {
    /// What people call it.
    pub label: String,
    /// What it was; none when there was nothing.
    pub before: Option<Cell>,
    pub after: Option<Cell>,
    /// The lines of a long text.
    pub lines: Vec<Line>,
    /// Whether the whole record came or went.
    pub whole: bool,
}

impl FieldView {
    /// Fields of a record of this workspace.
    #[must_use]
    pub fn all(ws: &Ws, fields: Vec<FieldDiff>) -> Vec<Self> {
        let views = fields.into_iter().map(|field| Self {
            label: field.label,
            before: field.before.map(|word| Cell::of(ws, word)),
            after: field.after.map(|word| Cell::of(ws, word)),
            lines: field.lines,
            whole: field.whole,
        });
        views.collect()
    }
}
