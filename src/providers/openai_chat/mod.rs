//! OpenAI-compatible Chat Completions: OpenAI, Ollama, LM Studio, vLLM, OpenRouter and others. Where servers
//! differ, `quirks` knows or learns.

mod decode;
mod encode;
mod quirks;
mod think_tags;

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;

use super::base::Server;
use super::catalog::{self, Model, Price};
use super::error::ProviderError;
use super::model::{ChatRequest, ModelInfo, Reply};
use super::wire::Connection;
use super::{Provider, Sink, known};
use crate::net::message::{Method, Request};
use decode::{Decoder, Tags};
use quirks::Quirks;

/// The most models of which a dialect is remembered.
const REMEMBERED: usize = 256;

/// Words in ids of models that hold no conversation.
const NO_CHAT: &[&str] = &[
    "embed",
    "whisper",
    "tts",
    "transcribe",
    "realtime",
    "moderation",
    "dall-e",
    "image",
    "sora",
    "rerank",
    "ocr",
    "davinci",
    "babbage",
    "-audio",
    "computer-use",
    "deep-research",
    "-live-",
];

/// The provider.
#[derive(Debug)]
pub struct OpenAiChat {
    connection: Connection,
    usual: Quirks,
    learned: Mutex<HashMap<String, Quirks>>,
}

impl OpenAiChat {
    /// A provider at a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let usual = Quirks::of(&connection.base);
        Self { connection, usual, learned: Mutex::new(HashMap::new()) }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let model = self.model(&request.model);
        let mut quirks = self.learned.lock().get(&request.model).copied().unwrap_or(self.usual);
        loop {
            let body = encode::body(request, &model, &quirks)?;
            let post = self.head(Method::Post, "chat/completions").body("application/json", body);
            let mut decoder =
                Decoder::new(if quirks.think_tags { Tags::Split } else { Tags::Keep });
            match self.connection.ask(post, &request.model, &mut decoder, sink).await {
                // Each point is learned once, so this ends.
                Err(error) if !error.has_content() && quirks.learn(&error) => {
                    self.remember(&request.model, quirks)
                }
                answer => return answer,
            }
        }
    }

    fn remember(&self, model: &str, quirks: Quirks) {
        let mut learned = self.learned.lock();
        if learned.len() < REMEMBERED || learned.contains_key(model) {
            learned.insert(model.to_owned(), quirks);
        }
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, ProviderError> {
        let list = self.connection.get(self.head(Method::Get, "models")).await?;
        // Some servers send the list alone, others below another name.
        let data = list
            .as_array()
            .or_else(|| ["data", "models"].iter().find_map(|key| list.get(key)?.as_array()));
        let Some(data) = data else {
            return Err(ProviderError::garbage(
                "the server sent no list of models; check the base URL",
            ));
        };
        let mut models: Vec<ModelInfo> = data.iter().filter_map(|entry| self.info(entry)).collect();
        if matches!(self.connection.base.server, Server::OpenAi | Server::Google | Server::Mistral)
        {
            models.retain(|m| !NO_CHAT.iter().any(|word| m.id.contains(word)));
        }
        models.sort_by_cached_key(|m| (catalog::rank(&m.id), m.id.clone()));
        Ok(models)
    }

    fn info(&self, entry: &Value) -> Option<ModelInfo> {
        let id = entry.get("id").or_else(|| entry.get("name"))?.as_str()?;
        let id = id.strip_prefix("models/").unwrap_or(id);
        let number = |value: Option<&Value>| {
            value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
        };
        let windows = ["context_length", "max_model_len", "context_window", "max_context_length"];
        let top = entry.get("top_provider");
        let known = known(&self.model(id));
        Some(ModelInfo {
            id: id.to_owned(),
            name: entry.get("name").and_then(Value::as_str).unwrap_or(&known.name).to_owned(),
            window: windows.iter().find_map(|key| number(entry.get(key))).or(known.window),
            max_output: number(top.and_then(|t| t.get("max_completion_tokens")))
                .or(known.max_output),
            price: entry.get("pricing").and_then(price).or(known.price),
        })
    }

    fn head(&self, method: Method, path: &str) -> Request {
        let request = self.connection.request(method, path);
        match (&self.connection.key, self.connection.base.server) {
            (Some(key), Server::Azure) => request.header("api-key", key.reveal()),
            (Some(key), _) => request.header("authorization", format!("Bearer {}", key.reveal())),
            (None, _) => request,
        }
    }
}

/// A router's prices: dollars for one token, as text.
fn price(pricing: &Value) -> Option<Price> {
    let micros = |key: &str| {
        let dollars: f64 = pricing.get(key)?.as_str()?.parse().ok()?;
        // A negative price means "it depends".
        let micros = (dollars * 1e12).round();
        (0.0..1e12).contains(&micros).then_some(micros as u64)
    };
    let (input, output) = (micros("prompt")?, micros("completion")?);
    Some(Price {
        input,
        output,
        cache_read: micros("input_cache_read").unwrap_or(input),
        cache_write: micros("input_cache_write").unwrap_or(input),
    })
}

impl Provider for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai_chat"
    }

    fn stream<'a>(
        &'a self,
        request: &'a ChatRequest,
        sink: Sink<'a>,
    ) -> BoxFuture<'a, Result<Reply, ProviderError>> {
        self.ask(request, sink).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ProviderError>> {
        self.list().boxed()
    }

    fn model(&self, id: &str) -> Model {
        catalog::describe(id).at(&self.connection.base)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_routers_prices_are_read_as_micro_dollars_for_a_million() {
        let read = price(
            &json!({"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}),
        );
        let want = Price {
            input: 3_000_000,
            cache_read: 300_000,
            cache_write: 3_000_000,
            output: 15_000_000,
        };
        assert_eq!(read, Some(want));
        assert_eq!(price(&json!({"prompt": "0", "completion": "0"})), Some(Price::default()));
        assert_eq!(price(&json!({"prompt": "-1", "completion": "-1"})), None);
        assert_eq!(price(&json!({})), None);
    }
}
