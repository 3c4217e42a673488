//! OpenAI-compatible Chat Completions: OpenAI, Ollama, LM Studio, vLLM, OpenRouter and others. `quirks` handles the
//! differences between servers.

mod decode;
mod encode;
mod quirks;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::base::Server;
use super::catalog::{self, Model};
use super::embedding::{self, EmbedRequest, Embedded};
use super::error::ProviderError;
use super::learned::Learned;
use super::media::{self, Carries};
use super::model::{AnswerFormat, ChatRequest, ModelInfo, Reply};
use super::wire::Connection;
use super::{Provider, Sink, openai};
use decode::{Decoder, Tags};
use net::message::Method;
pub(super) use quirks::Quirks;

#[derive(Debug)]
pub struct OpenAiChat {
    connection: Connection,
    usual: Quirks,
    learned: Learned<Quirks>,
}

impl OpenAiChat {
    /// A provider for a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let usual = Quirks::of(&connection.base);
        let learned = connection.lessons.chat.clone();
        Self { connection, usual, learned }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let model = self.model(&request.model);
        let request = &*media::fit(request, &model, Carries::PICTURES);
        let mut quirks = self.learned.of(&request.model).unwrap_or(self.usual);
        loop {
            let body = encode::body(request, &model, &quirks)?;
            let post = openai::post(&self.connection, "chat/completions", request)
                .body("application/json", body);
            let mut decoder =
                Decoder::new(if quirks.think_tags { Tags::Split } else { Tags::Keep });
            match self.connection.ask(post, request, &mut decoder, sink).await {
                // Each feature is learned once, so the loop ends.
                Err(error) if !error.has_content() && quirks.learn(&error) => {
                    self.learned.keep(&request.model, quirks)
                }
                answer => return answer,
            }
        }
    }
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
        openai::list(&self.connection).boxed()
    }

    fn embeds(&self) -> bool {
        true
    }

    fn embed<'a>(
        &'a self,
        request: &'a EmbedRequest,
    ) -> BoxFuture<'a, Result<Embedded, ProviderError>> {
        let post = openai::head(&self.connection, Method::Post, "embeddings");
        embedding::openai(&self.connection, post, request).boxed()
    }

    fn takes_format(&self, _model: &str, format: &AnswerFormat) -> bool {
        match self.connection.base.server {
            // They support JSON, but no schemas.
            Server::DeepSeek | Server::Moonshot => format.schema.is_none(),
            _ => true,
        }
    }

    fn model(&self, id: &str) -> Model {
        catalog::describe(id).at(&self.connection.base)
    }
}

/// An encoded request, for the tests of all protocols.
#[cfg(test)]
pub(super) fn encoded(request: &ChatRequest) -> Vec<u8> {
    let base = super::base::normalise(super::base::Wire::OpenAiChat, "api.mistral.ai");
    let quirks = Quirks::of(&base.expect("an address"));
    encode::body(request, &catalog::describe(&request.model), &quirks).expect("it can be written")
}

/// A decoder for the tests of all protocols.
#[cfg(test)]
pub(super) fn decoder() -> Box<dyn super::wire::Decode> {
    Box::new(Decoder::new(Tags::Split))
}
