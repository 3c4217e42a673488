//! Ollama's native protocol. The same server's compatible endpoint loses tool calls and truncates the conversation to a
//! small window. The server reports context window and abilities of a model.

mod abilities;
mod decode;
mod encode;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use super::catalog::{self, Model};
use super::embedding::{self, EmbedRequest, Embedded};
use super::error::{ErrorClass, ProviderError};
use super::learned::Learned;
use super::media::{self, Carries};
use super::model::{AnswerFormat, ChatRequest, ModelInfo, Reply};
use super::wire::Connection;
use super::{Provider, Sink, ids};
pub(super) use abilities::Shown;
use net::message::{Method, Request};

/// Stable name.
const NAME: &str = "ollama";
/// Prefix of generated call ids: the protocol has none.
const ID: char = 'o';
/// Maximum number of concurrent ability queries.
const AT_ONCE: usize = 8;
/// Maximum number of models to query.
const MOST: usize = 200;

#[derive(Debug)]
pub struct Ollama {
    connection: Connection,
    shown: Learned<Shown>,
}

impl Ollama {
    /// A provider for a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let shown = connection.lessons.ollama.clone();
        Self { connection, shown }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let shown = self.shown(&request.model).await?;
        let model = self.model(&request.model);
        let request = &*media::fit(request, &model, Carries::PICTURES);
        let body = encode::body(request, shown, self.connection.context)
            .map_err(ProviderError::unwritable)?;
        let post = self.head(Method::Post, "/api/chat").body("application/json", body);
        let mut decoder = decode::Decoder::new(ids::next(request, ID));
        let answer = self.connection.ask(post, request, &mut decoder, sink).await;
        answer.map_err(|error| with_hint(error, &request.model))
    }

    /// The server's description of a model, requested once and shared by all runs.
    async fn shown(&self, model: &str) -> Result<Shown, ProviderError> {
        if let Some(known) = self.shown.of(model) {
            return Ok(known);
        }
        let body = json!({ "model": model }).to_string();
        let post = self.head(Method::Post, "/api/show").body("application/json", body);
        let shown = match self.connection.get(post).await {
            Ok(answer) => abilities::read(&answer),
            Err(error) if error.class == ErrorClass::NotFoundModel => {
                return Err(with_hint(error, model));
            }
            // Old servers and gateways do not support this request; the model may still work.
            Err(error) if matches!(error.status, Some(400..=499)) => Shown::default(),
            Err(error) => return Err(error),
        };
        self.shown.keep(model, shown);
        Ok(shown)
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, ProviderError> {
        let list = self.connection.get(self.head(Method::Get, "/api/tags")).await?;
        let Some(entries) = list.get("models").and_then(Value::as_array) else {
            return Err(ProviderError::garbage(
                "the server sent no list of models; is it Ollama? Check the address",
            ));
        };
        let name = |entry: &Value| {
            let name = entry.get("model").or_else(|| entry.get("name"))?;
            Some(name.as_str()?.to_owned())
        };
        let names: Vec<String> = entries.iter().filter_map(name).take(MOST).collect();
        let mut models = Vec::new();
        for some in names.chunks(AT_ONCE) {
            let shown = join_all(some.iter().map(|name| self.shown(name))).await;
            for (name, shown) in some.iter().zip(shown) {
                // A model that cannot be described now may still be available when it is used.
                models.push(self.info(name, shown.unwrap_or_default()));
            }
        }
        models.retain(|model| !model.id.contains("embed"));
        models.sort_by_cached_key(|m| (catalog::rank(&m.id), m.id.clone()));
        Ok(models)
    }

    fn info(&self, name: &str, shown: Shown) -> ModelInfo {
        let window = shown.window(self.connection.context);
        ModelInfo {
            id: name.to_owned(),
            name: name.to_owned(),
            window: shown.context.map(|_| window),
            max_output: None,
            price: None,
            can: shown.can,
        }
    }

    fn head(&self, method: Method, path: &str) -> Request {
        let request = self.connection.request(method, path);
        match &self.connection.key {
            Some(key) => request.header("authorization", format!("Bearer {}", key.reveal())),
            None => request,
        }
    }
}

fn with_hint(error: ProviderError, model: &str) -> ProviderError {
    if error.class != ErrorClass::NotFoundModel {
        return error;
    }
    let message = format!("{}; download it there with: ollama pull {model}", error.message);
    ProviderError { message, ..error }
}

impl Provider for Ollama {
    fn name(&self) -> &'static str {
        NAME
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

    fn embeds(&self) -> bool {
        true
    }

    fn embed<'a>(
        &'a self,
        request: &'a EmbedRequest,
    ) -> BoxFuture<'a, Result<Embedded, ProviderError>> {
        let post = self.head(Method::Post, "/api/embed");
        async move {
            let answer = embedding::ollama(&self.connection, post, request).await;
            answer.map_err(|error| with_hint(error, &request.model))
        }
        .boxed()
    }

    fn takes_format(&self, _model: &str, _format: &AnswerFormat) -> bool {
        true
    }

    fn model(&self, id: &str) -> Model {
        let model = catalog::describe(id).at(&self.connection.base);
        match self.shown.of(id) {
            Some(shown) => model.with_info(&self.info(id, shown)),
            None => model,
        }
    }
}

/// An encoded request, for the tests of all protocols.
#[cfg(test)]
pub(super) fn encoded(request: &ChatRequest) -> Vec<u8> {
    encode::body(request, Shown::default(), None).expect("it can be written")
}

/// A decoder for the tests of all protocols.
#[cfg(test)]
pub(super) fn decoder() -> Box<dyn super::wire::Decode> {
    Box::new(decode::Decoder::new(1))
}
