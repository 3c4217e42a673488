//! An answer that ended before it was whole: its words stay in the conversation.

use features::runs::model::{Body, EventKind};
use features::usage::rules::Spent;
use kernel::text::cut;
use providers::model::{Part, Received};

use super::turn::Turn;

/// The most that is kept of the words of an answer that ended before it was whole, in bytes.
const MAX_PIECE: usize = 128 * 1024;

impl Turn {
    /// The words of an answer that ended before it was whole, as a piece of the conversation: people read on where they
    /// were, and a model that goes on is shown where it ended. Nothing when there were none.
    pub(super) fn piece(
        &self,
        received: &Received,
        stop: &str,
        (call, millis, spent): (u32, u64, &Spent),
    ) -> Option<EventKind> {
        let words = received.text();
        let clean = self.talk.journal.ws.app.redactor.text(&words);
        let words = cut(&clean, MAX_PIECE);
        if words.trim().is_empty() {
            return None;
        }
        let parts = serde_json::to_string(&[Part::text(words)]).ok()?;
        Some(EventKind::Assistant {
            call,
            parts: Body::Inline(parts),
            stop: stop.to_owned(),
            // A provider has counted none of what a whole answer would have counted.
            input_tokens: 0,
            output_tokens: 0,
            billed_micros: spent.billed_micros,
            millis,
        })
    }
}
