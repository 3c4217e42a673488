//! Language models behind one trait. Provider-independent types (`model`) form the boundary; wire formats stay inside.
//! A stream without its final event is an error, never an answer. A key is passed when a provider is created and is
//! never exposed. With sign-in (`oauth`), an account supplies a valid token for each call (`account`).

pub mod model;
pub mod error;
pub mod catalog;
pub mod bound;
pub mod embedding;
pub mod base;
pub mod wire;
pub mod anthropic;
pub mod openai_chat;
pub mod openai_responses;
pub mod gemini;
pub mod ollama;
pub mod practice;
pub mod oauth;
pub mod account;
pub mod quota;
pub mod native_search;

mod ids;
mod media;
mod learned;
mod numbers;
mod openai;
mod pause;
mod think_tags;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use anthropic::Anthropic;
use base::Wire;
use catalog::{Model, ThinkingKind};
use embedding::{EmbedRequest, Embedded};
use error::ProviderError;
use gemini::Gemini;
pub use learned::Lessons;
use model::{
    Abilities, AnswerFormat, ChatRequest, Delta, Echo, Message, ModelInfo, Probe, Reply, ToolDef,
};
use native_search::{SearchRequest, Searched, Searching};
use ollama::Ollama;
use openai_chat::OpenAiChat;
use openai_responses::OpenAiResponses;
use wire::Connection;

/// Receives deltas as they arrive. Must not block: it forwards to a buffer or a hub.
pub type Sink<'a> = &'a mut (dyn FnMut(Delta) + Send + 'a);

/// A model provider. Dropping a future cancels the call immediately.
pub trait Provider: Send + Sync {
    /// Stable name for logs and usage rows: `anthropic`, `openai_chat`, `gemini`, `practice`.
    fn name(&self) -> &'static str;

    /// Sends a request, passes every delta to the sink, and returns the whole answer after its final event. An
    /// interrupted call returns what had arrived in [`ProviderError::received`].
    fn stream<'a>(
        &'a self,
        request: &'a ChatRequest,
        sink: Sink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ProviderError>>;

    /// The models that the server offers now.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ProviderError>>;

    /// Limits, price and thinking of a model at this server, as far as known.
    fn model(&self, id: &str) -> Model;

    /// Returns `true` if the model respects output limits, as far as known. If not, a call may cost the model's maximum
    /// output.
    fn heeds_limit(&self, _model: &str) -> bool {
        true
    }

    /// Returns `true` if documents such as PDF files are supported for vision models.
    fn takes_documents(&self) -> bool {
        false
    }

    /// Returns `true` if a model supports this output format.
    fn takes_format(&self, _model: &str, _format: &AnswerFormat) -> bool {
        false
    }

    /// The reason why a tool cannot be sent to this provider. Such tools are omitted from requests, so that one invalid
    /// tool does not fail them.
    fn unfit(&self, _tool: &ToolDef) -> Option<String> {
        None
    }

    /// Returns `true` if embeddings are supported.
    fn embeds(&self) -> bool {
        false
    }

    /// Requests embeddings.
    fn embed<'a>(
        &'a self,
        _request: &'a EmbedRequest,
    ) -> BoxFuture<'a, Result<Embedded, ProviderError>> {
        let text = "this protocol doesn't support embeddings";
        let error = ProviderError::new(error::ErrorClass::InvalidRequest, text);
        async move { Err(ProviderError { sent: false, ..error }) }.boxed()
    }

    /// How the provider itself searches the web with a model; `None` if it does not, as far as known.
    fn searching(&self, _model: &str) -> Option<Searching> {
        None
    }

    fn search<'a>(
        &'a self,
        _request: &'a SearchRequest,
    ) -> BoxFuture<'a, Result<Searched, ProviderError>> {
        let text = "this protocol doesn't search the web";
        let error = ProviderError::new(error::ErrorClass::InvalidRequest, text);
        async move { Err(ProviderError { sent: false, ..error }) }.boxed()
    }

    /// Makes a small test call to check address, key and model. Without a model, the first one that the server offers
    /// is used.
    fn probe<'a>(&'a self, model: Option<&'a str>) -> BoxFuture<'a, Result<Probe, ProviderError>> {
        async move {
            let model = match model {
                Some(model) => model.to_owned(),
                None => first_model(&self.models().await?)?,
            };
            let request = probe_request(model);
            let begun = std::time::Instant::now();
            let reply = match self.stream(&request, &mut |_| {}).await {
                Err(_) if !self.heeds_limit(&request.model) => {
                    self.stream(&request, &mut |_| {}).await?
                }
                answer => answer?,
            };
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let answer = kernel::text::cut(reply.text().trim(), 200).to_owned();
            Ok(Probe { model: reply.model, millis, answer, usage: reply.usage })
        }
        .boxed()
    }

    /// Makes a test tool call with a word as its argument. Some servers list models that lose it.
    fn echo<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Echo, ProviderError>> {
        async move {
            let reply = self.stream(&echo_request(model), &mut |_| {}).await?;
            let called = reply.calls().any(|(_, name, arguments)| {
                let arguments = arguments.to_ascii_lowercase();
                name == ECHO && arguments.contains("word") && arguments.contains("ready")
            });
            Ok(Echo { called, usage: reply.usage })
        }
        .boxed()
    }
}

/// The tool used by the test.
const ECHO: &str = "echo";
/// Enough for a model that thinks before it writes a word.
const PROBE_OUTPUT: u32 = 1_024;

fn probe_request(model: String) -> ChatRequest {
    ChatRequest::new(model, PROBE_OUTPUT).message(Message::user("Answer with the one word: ready"))
}

fn echo_request(model: &str) -> ChatRequest {
    let tool = ToolDef {
        name: ECHO.to_owned(),
        description: "Says a word back".to_owned(),
        schema: serde_json::json!({
            "type": "object",
            "properties": { "word": { "type": "string" } },
            "required": ["word"],
        }),
    };
    let words = "Call the tool echo with the word ready. Say nothing else.";
    ChatRequest::new(model, PROBE_OUTPUT).tool(tool).message(Message::user(words))
}

/// The requests of a model test with their output limits: a one-word answer, which some servers are asked for twice,
/// and a tool call.
#[must_use]
pub fn trial(model: &str) -> [(bound::Size, u32); 3] {
    let word = bound::Size::of(&probe_request(model.to_owned()));
    let call = bound::Size::of(&echo_request(model));
    [word, word, call].map(|size| (size, PROBE_OUTPUT))
}

/// A provider for this wire format and connection.
#[must_use]
pub fn connect(wire: Wire, connection: Connection) -> Arc<dyn Provider> {
    match wire {
        Wire::Anthropic => Arc::new(Anthropic::new(connection)),
        Wire::OpenAiChat => Arc::new(OpenAiChat::new(connection)),
        Wire::OpenAiResponses => Arc::new(OpenAiResponses::new(connection)),
        Wire::Gemini => Arc::new(Gemini::new(connection)),
        Wire::Ollama => Arc::new(Ollama::new(connection)),
    }
}

/// Catalogue data of a model that a server lists.
fn known(model: &Model) -> ModelInfo {
    let is_described = !model.vendor.is_empty();
    ModelInfo {
        id: model.id.clone(),
        name: model.name.clone(),
        window: is_described.then_some(model.window),
        max_output: is_described.then_some(model.max_output),
        price: model.price,
        can: Abilities {
            tools: is_described.then_some(model.tools),
            vision: is_described.then_some(model.vision),
            thinking: is_described.then_some(model.thinking != ThinkingKind::None),
        },
    }
}

fn first_model(models: &[ModelInfo]) -> Result<String, ProviderError> {
    let first = catalog::to_begin_with(models).map(|m| m.id.clone());
    first.ok_or_else(|| {
        ProviderError::new(
            error::ErrorClass::NotFoundModel,
            "the server offers no models; install or enable one there",
        )
    })
}

/// An API key. Wiped from memory on drop; cannot be displayed.
#[derive(Clone)]
pub struct Key(Zeroizing<String>);

impl Key {
    /// A key as entered by a person; `None` if it is empty, as for local servers.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
#[path = "hygiene_tests.rs"]
mod hygiene;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = Key::new(" sk-secret ").expect("a key");
        assert_eq!(key.reveal(), "sk-secret");
        assert_eq!(format!("{key:?} {:#?}", Some(&key)).matches("secret").count(), 0);
        assert!(Key::new("  ").is_none());
    }
}
