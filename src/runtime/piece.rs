//! Partial responses: their text stays in the conversation.

use features::runs::model::{Body, EventKind};
use features::usage::rules::Spent;
use kernel::text::cut;
use providers::model::{Part, Received};

use super::turn::Turn;

/// Most bytes of a partial response that are stored.
const MAX_PIECE: usize = 128 * 1024;

impl Turn {
    /// The text of a partial response as an event: people can read on, and a model that continues sees where it ended.
    /// `None` without text.
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
            // The provider has not counted the tokens of a partial response.
            input_tokens: 0,
            output_tokens: 0,
            billed_micros: spent.billed_micros,
            millis,
        })
    }
}
