//! Google's native Gemini protocol: streaming, tools with reduced schemas, signed thinking, images and documents.

mod decode;
mod encode;
mod schema;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::base::Server;
use super::catalog::{self, Model};
use super::embedding::{self, EmbedRequest, Embedded};
use super::error::{ErrorClass, ProviderError};
use super::media::{self, Carries};
use super::model::{Abilities, AnswerFormat, ChatRequest, ModelInfo, Reply, ToolDef};
use super::native_search::{self, SearchRequest, Searched, Searching};
use super::wire::Connection;
use super::{Provider, Sink, ids, known};
use net::message::{Method, Request};

/// Stable name, also stored with data that only this protocol understands.
const NAME: &str = "gemini";
/// Prefix of generated call ids.
const ID: char = 'g';

#[derive(Debug)]
pub struct Gemini {
    connection: Connection,
}

impl Gemini {
    /// A provider for a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let model = self.model(&request.model);
        let request = &*media::fit(request, &model, Carries::DOCUMENTS);
        let body = encode::body(request, &model).map_err(ProviderError::unwritable)?;
        let path =
            format!("/v1beta/models/{}:streamGenerateContent?alt=sse", plain(&request.model)?);
        let post = self.head(Method::Post, &path).body("application/json", body);
        let mut decoder = decode::Decoder::new(ids::next(request, ID));
        self.connection.ask(post, request, &mut decoder, sink).await
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, ProviderError> {
        let list = self.connection.get(self.head(Method::Get, "/v1beta/models?pageSize=1000"));
        let list = list.await?;
        let Some(data) = list.get("models").and_then(Value::as_array) else {
            return Err(ProviderError::garbage(
                "the server sent no list of models; check the base URL",
            ));
        };
        let mut models: Vec<ModelInfo> = data.iter().filter_map(|e| info(e, self)).collect();
        models.sort_by_cached_key(|m| (catalog::rank(&m.id), m.id.clone()));
        Ok(models)
    }

    fn head(&self, method: Method, path: &str) -> Request {
        let request = self.connection.request(method, path);
        match &self.connection.key {
            Some(key) => request.header("x-goog-api-key", key.reveal()),
            None => request,
        }
    }
}

/// A model id, validated for use in a URL.
fn plain(model: &str) -> Result<&str, ProviderError> {
    let id = model.strip_prefix("models/").unwrap_or(model);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if id.is_empty() || !id.bytes().all(fits) {
        let text = format!("\"{model}\" isn't a Gemini model");
        return Err(ProviderError {
            sent: false,
            ..ProviderError::new(ErrorClass::NotFoundModel, text)
        });
    }
    Ok(id)
}

fn info(entry: &Value, provider: &Gemini) -> Option<ModelInfo> {
    let id = entry.get("name")?.as_str()?;
    let id = id.strip_prefix("models/").unwrap_or(id);
    let methods = entry.get("supportedGenerationMethods").and_then(Value::as_array);
    let talks = methods.is_none_or(|all| all.iter().any(|m| m == "generateContent"));
    // Models for images and speech use the same method.
    let other = ["-image", "-tts", "embedding", "-audio", "-live", "veo", "imagen", "robotics"];
    if !talks || other.iter().any(|word| id.contains(word)) {
        return None;
    }
    let number =
        |key: &str| entry.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let known = known(&provider.model(id));
    Some(ModelInfo {
        id: id.to_owned(),
        name: entry.get("displayName").and_then(Value::as_str).unwrap_or(id).to_owned(),
        window: number("inputTokenLimit").or(known.window),
        max_output: number("outputTokenLimit").or(known.max_output),
        price: known.price,
        can: Abilities {
            thinking: entry.get("thinking").and_then(Value::as_bool).or(known.can.thinking),
            ..known.can
        },
    })
}

impl Provider for Gemini {
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
        async move {
            let model = format!("models/{}", plain(&request.model)?);
            let post = self.head(Method::Post, &format!("/v1beta/{model}:batchEmbedContents"));
            embedding::gemini(&self.connection, post, (request, &model)).await
        }
        .boxed()
    }

    fn searching(&self, model: &str) -> Option<Searching> {
        let is_offered = native_search::is_offered(self.connection.base.server, Server::Google);
        is_offered.then(|| native_search::of_gemini(model))
    }

    fn search<'a>(
        &'a self,
        request: &'a SearchRequest,
    ) -> BoxFuture<'a, Result<Searched, ProviderError>> {
        async move {
            let path = format!("/v1beta/models/{}:generateContent", plain(&request.model)?);
            let asked = (self.head(Method::Post, &path), native_search::gemini_body(request));
            let mut decoder = decode::Decoder::new(1);
            let read = native_search::gemini;
            native_search::ask(&self.connection, asked, request, &mut decoder, read).await
        }
        .boxed()
    }

    fn takes_documents(&self) -> bool {
        true
    }

    fn takes_format(&self, model: &str, _format: &AnswerFormat) -> bool {
        // Models before 3 support either a format or tools, and agents have tools.
        !["gemini-1", "gemini-2"].iter().any(|old| model.starts_with(old))
    }

    fn model(&self, id: &str) -> Model {
        catalog::describe(id).at(&self.connection.base)
    }

    fn unfit(&self, tool: &ToolDef) -> Option<String> {
        schema::clean(&tool.schema)
            .err()
            .map(|why| format!("Gemini doesn't support {}: {why}", tool.name))
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
    Box::new(decode::Decoder::new(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_lead_to_another_address() {
        assert_eq!(plain("models/gemini-3.8-flash").ok(), Some("gemini-3.8-flash"));
        for bad in ["", "a/b", "x?key=1", "../y", "a:b", "a b"] {
            assert_eq!(plain(bad).expect_err(bad).class, ErrorClass::NotFoundModel);
        }
    }
}
