//! What a model is writing right now: an answer as Markdown, all else as it comes.

use app::live::{BlockKind, Piece};
use kernel::RunId;
use store::Read;
use web::html::SafeHtml;

use super::display::Look;

/// The name under which a page hears that text of a run is worth drawing anew.
pub(super) const HEARD: &str = "text";

/// The block that is being written.
pub(super) struct Writing {
    pub run: RunId,
    pub step: u32,
    /// How much of it is drawn, in bytes: the stream goes on from there.
    pub at: usize,
    /// An answer as far as it came, rendered.
    pub html: SafeHtml,
    /// What is not rendered.
    pub text: String,
}

impl Writing {
    pub fn of(tx: &dyn Read, look: &Look<'_>, piece: Piece) -> Self {
        let Piece { run, step, kind, text, .. } = piece;
        let (at, html, text) = match kind {
            // Markdown drops blanks at the end: the stream has them, so that the next word does not stick to the last.
            BlockKind::Text => {
                let drawn = text.trim_end();
                (drawn.len(), look.md(tx, drawn), String::new())
            }
            BlockKind::Thinking | BlockKind::Output => (text.len(), SafeHtml::default(), text),
        };
        Self { run, step, at, html, text }
    }
}
