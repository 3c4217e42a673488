//! OpenAI Responses without server-side state: each request contains the whole conversation, including encrypted
//! thinking. Neither a crash nor another key can orphan a conversation.

mod decode;
mod encode;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::base::Server;
use super::catalog::{self, Model};
use super::embedding::{self, EmbedRequest, Embedded};
use super::error::ProviderError;
use super::learned::Learned;
use super::media::{self, Carries};
use super::model::{AnswerFormat, ChatRequest, ModelInfo, Reply};
use super::native_search::{self, SearchRequest, Searched, Searching};
use super::wire::Connection;
use super::{Provider, Sink, openai};
use decode::Decoder;
pub(super) use encode::Dialect;
use net::message::Method;

/// Stable name, also stored with data that only this protocol understands.
const NAME: &str = "openai_responses";

#[derive(Debug)]
pub struct OpenAiResponses {
    connection: Connection,
    usual: Dialect,
    learned: Learned<Dialect>,
}

impl OpenAiResponses {
    /// A provider for a server.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let usual = Dialect::of(connection.base.server);
        let learned = connection.lessons.responses.clone();
        Self { connection, usual, learned }
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let model = self.model(&request.model);
        let request = &*media::fit(request, &model, Carries::DOCUMENTS);
        let mut dialect = self.learned.of(&request.model).unwrap_or(self.usual);
        loop {
            let was = dialect;
            let body = encode::body(request, &model, dialect).map_err(ProviderError::unwritable)?;
            let post =
                openai::post(&self.connection, "responses", request).body("application/json", body);
            let mut decoder = Decoder::default();
            match self.connection.ask(post, request, &mut decoder, sink).await {
                // Each feature is learned once, so the loop ends. Without an output limit, the call may cost more than
                // expected, so the caller decides whether to make it.
                Err(error) if !error.has_content() && dialect.learn(&error) => {
                    self.learned.keep(&request.model, dialect);
                    if dialect.no_limit && !was.no_limit {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }
}

impl Provider for OpenAiResponses {
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
        openai::list(&self.connection).boxed()
    }

    fn searching(&self, _model: &str) -> Option<Searching> {
        let is_offered = native_search::is_offered(self.connection.base.server, Server::OpenAi);
        is_offered.then_some(native_search::FILTERED)
    }

    fn search<'a>(
        &'a self,
        request: &'a SearchRequest,
    ) -> BoxFuture<'a, Result<Searched, ProviderError>> {
        async move {
            let post = openai::head(&self.connection, Method::Post, "responses");
            let asked = (post, native_search::openai_body(request));
            let mut decoder = Decoder::default();
            let read = native_search::openai;
            native_search::ask(&self.connection, asked, request, &mut decoder, read).await
        }
        .boxed()
    }

    fn takes_documents(&self) -> bool {
        true
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

    fn takes_format(&self, _model: &str, _format: &AnswerFormat) -> bool {
        true
    }

    fn model(&self, id: &str) -> Model {
        catalog::describe(id).at(&self.connection.base)
    }

    /// A server that never accepts a limit is bounded by its subscription.
    fn heeds_limit(&self, model: &str) -> bool {
        self.usual.no_limit || !self.learned.of(model).is_some_and(|dialect| dialect.no_limit)
    }
}

/// An encoded request, for the tests of all protocols.
#[cfg(test)]
pub(super) fn encoded(request: &ChatRequest) -> Vec<u8> {
    encode::body(request, &catalog::describe(&request.model), Dialect::default())
        .expect("it can be written")
}

/// A decoder for the tests of all protocols.
#[cfg(test)]
pub(super) fn decoder() -> Box<dyn super::wire::Decode> {
    Box::new(Decoder::default())
}
