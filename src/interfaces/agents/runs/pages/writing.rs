//! The block that a model is streaming: a response as Markdown, other output as plain text.

use app::live::{BlockKind, Piece};
use kernel::RunId;
use store::Read;
use web::html::SafeHtml;

use super::display::Look;

/// Name of the stream event that makes a page render a run's text again.
pub(super) const HEARD: &str = "text";

/// The block that is being streamed.
pub(super) struct Writing {
    pub run: RunId,
    pub step: u32,
    /// Number of rendered bytes; the stream continues from there.
    pub at: usize,
    /// The rendered part of a response.
    pub html: SafeHtml,
    /// Text that is not rendered.
    pub text: String,
}

impl Writing {
    pub fn of(tx: &dyn Read, look: &Look<'_>, piece: Piece) -> Self {
        let Piece { run, step, kind, text, .. } = piece;
        let (at, html, text) = match kind {
            // Markdown drops trailing blanks. They stay in the stream, so that the next word does not join the last
            // one.
            BlockKind::Text => {
                let drawn = text.trim_end();
                (drawn.len(), look.md(tx, drawn), String::new())
            }
            BlockKind::Thinking | BlockKind::Output => (text.len(), SafeHtml::default(), text),
        };
        Self { run, step, at, html, text }
    }
}
