//! The practice provider, without AI. It follows a script so that new users see the whole loop without a key: it plans,
//! uses real tools, submits a text and responds to a review. It is stateless, free, and labels all its output as
//! practice.

mod card;
mod script;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::bound::Size;
use super::catalog::{self, Model};
use super::error::ProviderError;
use super::model::{ChatRequest, Delta, ModelInfo, Part, Reply, StopReason, Usage};
use super::{Provider, Sink, known};
use kernel::Thinking;

/// Id of its only model.
pub const MODEL: &str = "practice";
/// Pause between two words while a person watches.
pub const WORD_PAUSE: Duration = Duration::from_millis(15);

#[derive(Clone, Copy, Debug)]
pub struct Practice {
    pause: Duration,
}

impl Practice {
    /// A provider with a pause between two pieces; zero for none.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { pause }
    }

    async fn answer(&self, request: &ChatRequest, sink: Sink<'_>) -> Reply {
        let turn = script::next(request);
        let calls = request
            .messages
            .iter()
            .flat_map(|m| &m.parts)
            .filter(|p| matches!(p, Part::ToolCall { .. }));
        let id = format!("practice-{}", calls.count() + 1);
        let mut parts = Vec::new();
        let mut bytes = 0;
        sink(Delta::Start { response_id: None, model: Some(MODEL.to_owned()) });
        if request.thinking != Thinking::None {
            for word in turn.thinking.split_inclusive(' ') {
                self.emit(sink, Delta::Thinking(word.to_owned())).await;
            }
            bytes += turn.thinking.len();
            parts.push(Part::Thinking { text: turn.thinking.to_owned(), signature: None });
        }
        let thought = bytes;
        for word in turn.text.split_inclusive([' ', '\n']) {
            self.emit(sink, Delta::Text(word.to_owned())).await;
        }
        bytes += turn.text.len();
        parts.push(Part::text(turn.text));
        let stop = match turn.call {
            None => StopReason::End,
            Some((name, args)) => {
                let arguments = args.to_string();
                self.emit(
                    sink,
                    Delta::ToolCallStart { index: 0, id: id.clone(), name: name.clone() },
                )
                .await;
                for json in arguments.split_inclusive(' ') {
                    self.emit(sink, Delta::ToolCallArgs { index: 0, json: json.to_owned() }).await;
                }
                bytes += name.len() + arguments.len();
                parts.push(Part::call(id, name, arguments));
                StopReason::ToolUse
            }
        };
        let usage = Usage {
            input: tokens(Size::of(request).bytes),
            output: tokens(bytes as u64),
            reasoning: tokens(thought as u64),
            ..Usage::default()
        };
        sink(Delta::Usage(usage));
        Reply {
            parts,
            usage: Some(usage),
            stop,
            response_id: None,
            model: MODEL.to_owned(),
            sooner: None,
        }
    }

    async fn emit(&self, sink: &mut (dyn FnMut(Delta) + Send), delta: Delta) {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        sink(delta);
    }
}

/// A plausible token count for display.
fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

impl Provider for Practice {
    fn name(&self) -> &'static str {
        "practice"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ChatRequest,
        sink: Sink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ProviderError>> {
        async move { Ok(self.answer(request, sink).await) }.boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ProviderError>> {
        let model = self.model(MODEL);
        let info = known(&model);
        async move { Ok(vec![info]) }.boxed()
    }

    fn model(&self, _id: &str) -> Model {
        catalog::describe(MODEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, Received};

    #[tokio::test]
    async fn it_streams_word_by_word_and_costs_nothing() {
        let practice = Practice::new(Duration::ZERO);
        let request = ChatRequest::new(MODEL, 1_000).message(Message::user("Hello"));
        let mut received = Received::default();
        let mut pieces = 0;
        let mut sink = |delta: Delta| {
            pieces += 1;
            received.push(&delta);
        };
        let reply = practice.stream(&request, &mut sink).await.expect("practice does not fail");
        assert!(20 < pieces);
        assert_eq!(reply.text(), received.text());
        assert_eq!(reply.stop, StopReason::End);
        let usage = reply.usage.expect("it counts");
        assert!(0 < usage.output);
        assert_eq!(practice.model("anything").cost(&usage), Some(0));
        let models = practice.models().await.expect("practice does not fail");
        assert_eq!(models[0].name, "Practice (no AI)");
    }
}
