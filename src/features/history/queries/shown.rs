//! Field differences for the template `history/_fields.html`.

use crate::deliverables::queries::diff::Line;
use app::Ws;

use super::fields::FieldDiff;
use super::names::Word;

/// Text with an optional link.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    /// Link target, or empty.
    pub href: String,
}

impl Cell {
    #[must_use]
    pub fn of(ws: &Ws, word: Word) -> Self {
        let href = if word.path.is_empty() { String::new() } else { ws.url(&word.path) };
        Self { text: word.text, href }
    }
}

/// A changed field.
#[derive(Debug)]
pub struct FieldView {
    pub label: String,
    /// Former value, if any.
    pub before: Option<Cell>,
    pub after: Option<Cell>,
    /// Line diff of a long text.
    pub lines: Vec<Line>,
    /// `true` if the record was created or deleted.
    pub whole: bool,
}

impl FieldView {
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
