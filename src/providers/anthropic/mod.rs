//! Anthropic Messages with an API key: streaming, tools, signed thinking, images, prompt caching. Also for compatible
//! servers.

mod decode;
mod encode;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::base::Server;
use super::catalog::{self, Model};
use super::error::ProviderError;
use super::media::{self, Carries};
use super::model::{Abilities, AnswerFormat, ChatRequest, ModelInfo, Reply};
use super::native_search::{self, SearchRequest, Searched, Searching};
use super::wire::Connection;
use super::{Provider, Sink, known};
use net::message::{Method, Request};

/// Protocol version.
const VERSION: &str = "2023-06-01";

#[derive(Debug)]
pub struct Anthropic {
    connection: Connection,
}

impl Anthropic {
    /// A provider for a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let model = self.model(&request.model);
        let request = &*media::fit(request, &model, Carries::SMALL_PICTURES);
        let body = encode::body(request, &model).map_err(ProviderError::unwritable)?;
        let post = self.head(Method::Post, "/v1/messages").body("application/json", body);
        self.connection.ask(post, request, &mut decode::Decoder::default(), sink).await
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, ProviderError> {
        let list = self.connection.get(self.head(Method::Get, "/v1/models?limit=1000")).await?;
        let Some(data) = list.get("data").and_then(Value::as_array) else {
            return Err(ProviderError::garbage(
                "the server sent no list of models; check the base URL",
            ));
        };
        Ok(data.iter().filter_map(|entry| info(entry, self)).collect())
    }

    fn head(&self, method: Method, path: &str) -> Request {
        let request = self.connection.request(method, path).header("anthropic-version", VERSION);
        match &self.connection.key {
            Some(key) => request.header("x-api-key", key.reveal()),
            None => request,
        }
    }
}

fn info(entry: &Value, provider: &Anthropic) -> Option<ModelInfo> {
    let id = entry.get("id")?.as_str()?;
    let number =
        |key: &str| entry.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let name = entry.get("display_name").and_then(Value::as_str).unwrap_or(id);
    let can = |what: &str| entry.get("capabilities")?.get(what)?.get("supported")?.as_bool();
    let known = known(&provider.model(id));
    Some(ModelInfo {
        id: id.to_owned(),
        name: name.to_owned(),
        window: number("max_input_tokens").or(known.window),
        max_output: number("max_tokens").or(known.max_output),
        price: known.price,
        can: Abilities {
            tools: known.can.tools,
            vision: can("image_input").or(known.can.vision),
            thinking: can("thinking").or(known.can.thinking),
        },
    })
}

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
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

    fn searching(&self, _model: &str) -> Option<Searching> {
        let is_offered = native_search::is_offered(self.connection.base.server, Server::Anthropic);
        is_offered.then_some(native_search::FILTERED)
    }

    fn search<'a>(
        &'a self,
        request: &'a SearchRequest,
    ) -> BoxFuture<'a, Result<Searched, ProviderError>> {
        async move {
            let post = self.head(Method::Post, "/v1/messages");
            let asked = (post, native_search::anthropic_body(request));
            let mut decoder = decode::Decoder::default();
            let read = native_search::anthropic;
            native_search::ask(&self.connection, asked, request, &mut decoder, read).await
        }
        .boxed()
    }

    fn takes_documents(&self) -> bool {
        true
    }

    fn takes_format(&self, model: &str, format: &AnswerFormat) -> bool {
        format.schema.is_some() && encode::has_formats(model)
    }

    fn model(&self, id: &str) -> Model {
        catalog::describe(id).at(&self.connection.base)
    }
}

/// An encoded request, for the tests of all protocols.
#[cfg(test)]
pub(super) fn encoded(request: &ChatRequest) -> Vec<u8> {
    encode::body(request, &catalog::describe(&request.model)).expect("it can be written")
}

/// A decoder for the tests of all protocols.
#[cfg(test)]
pub(super) fn decoder() -> Box<dyn super::wire::Decode> {
    Box::new(decode::Decoder::default())
}
