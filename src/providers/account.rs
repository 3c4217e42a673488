//! Somebody who answers through an account that a person signed in to. Before each call the account gives a token
//! that is good now; one that is refused in spite of that is renewed once, and the call made again.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::base::{Base, Wire};
use super::catalog::{self, Model};
use super::error::{ErrorClass, ProviderError};
use super::learned::Learned;
use super::model::{AnswerFormat, ChatRequest, ModelInfo, Reply};
use super::oauth::Vendor;
use super::wire::Connection;
use super::{Key, Provider, Sink, connect, openai};

/// What a call is made with.
#[derive(Clone, Debug)]
pub struct Access {
    pub token: Key,
    /// The server; an account may have one of its own.
    pub base: Base,
    /// What goes along: whose account it is, who asks.
    pub headers: Vec<(String, String)>,
}

impl Access {
    /// Whether this is its token.
    #[must_use]
    pub fn is_made_with(&self, token: &str) -> bool {
        self.token.reveal() == token
    }
}

/// An account that a person signed in to.
pub trait Account: Send + Sync {
    /// What a call is made with now; a token that is about to end is renewed first.
    fn access(&self) -> BoxFuture<'_, Result<Access, ProviderError>>;

    /// The server has refused this token before its time: another one, or why there is none.
    fn refused<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<Access, ProviderError>>;
}

/// Over which protocol models of an account answer, where it is not the usual one.
#[derive(Debug)]
pub struct Ways(Learned<Wire>);

impl Default for Ways {
    fn default() -> Self {
        Self(Learned::new())
    }
}

/// Somebody who answers with a token.
type Made = (Key, Arc<dyn Provider>);

/// The provider.
pub struct SignedIn {
    vendor: Vendor,
    line: Connection,
    account: Arc<dyn Account>,
    ways: Arc<Ways>,
    made: Mutex<HashMap<Wire, Made>>,
}

impl SignedIn {
    /// A provider over a line, whose key and address the account gives.
    #[must_use]
    pub fn new(
        vendor: Vendor,
        line: Connection,
        account: Arc<dyn Account>,
        ways: Arc<Ways>,
    ) -> Self {
        Self { vendor, line, account, ways, made: Mutex::default() }
    }

    /// Somebody who answers with this token; what was learned of its models stays with it.
    fn with(&self, wire: Wire, access: &Access) -> Arc<dyn Provider> {
        let mut made = self.made.lock();
        if let Some((key, provider)) = made.get(&wire)
            && key.reveal() == access.token.reveal()
        {
            return Arc::clone(provider);
        }
        let provider = connect(wire, self.line_of(access));
        made.insert(wire, (access.token.clone(), Arc::clone(&provider)));
        provider
    }

    fn line_of(&self, access: &Access) -> Connection {
        self.line.signed(access.base.clone(), access.token.clone(), access.headers.clone())
    }

    async fn ask(&self, request: &ChatRequest, sink: Sink<'_>) -> Result<Reply, ProviderError> {
        let access = self.account.access().await?;
        match self.ask_with(&access, request, &mut *sink).await {
            Err(error) if is_refused(&error) => {
                let access = self.account.refused(&access).await?;
                self.ask_with(&access, request, sink).await
            }
            answer => answer,
        }
    }

    async fn ask_with(
        &self,
        access: &Access,
        request: &ChatRequest,
        sink: Sink<'_>,
    ) -> Result<Reply, ProviderError> {
        let usual = self.vendor.wire();
        let wire = self.ways.0.of(&request.model).unwrap_or(usual);
        let provider = self.with(wire, access);
        match provider.stream(request, &mut *sink).await {
            Err(error) if wire == Wire::OpenAiChat && is_other_way(&error) => {
                self.ways.0.keep(&request.model, Wire::OpenAiResponses);
                let provider = self.with(Wire::OpenAiResponses, access);
                provider.stream(request, sink).await
            }
            answer => answer,
        }
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, ProviderError> {
        let access = self.account.access().await?;
        match self.list_with(&access).await {
            Err(error) if is_refused(&error) => {
                let access = self.account.refused(&access).await?;
                self.list_with(&access).await
            }
            answer => answer,
        }
    }

    async fn list_with(&self, access: &Access) -> Result<Vec<ModelInfo>, ProviderError> {
        let line = self.line_of(access);
        let list = openai::document(&line).await?;
        for model in openai::responses_only(&list) {
            self.ways.0.keep(&model, Wire::OpenAiResponses);
        }
        openai::read(&list, &line.base)
    }
}

/// Whether the token itself was refused, before anything was answered.
fn is_refused(error: &ProviderError) -> bool {
    error.status == Some(401) && !error.has_content()
}

/// Whether a server says that a model answers over another protocol than Chat Completions.
fn is_other_way(error: &ProviderError) -> bool {
    matches!(error.class, ErrorClass::InvalidRequest | ErrorClass::NotFoundModel)
        && error.message.contains("/chat/completions")
        && !error.has_content()
}

impl Provider for SignedIn {
    fn name(&self) -> &'static str {
        match self.vendor {
            Vendor::ChatGpt => "chatgpt",
            Vendor::Copilot => "copilot",
        }
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
        catalog::describe(id).at(&self.line.base)
    }

    fn takes_documents(&self) -> bool {
        self.vendor.wire() == Wire::OpenAiResponses
    }

    fn takes_format(&self, _model: &str, _format: &AnswerFormat) -> bool {
        true
    }

    fn heeds_limit(&self, model: &str) -> bool {
        self.made.lock().values().all(|(_, provider)| provider.heeds_limit(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_and_another_protocol_are_told_apart() {
        let said = |status, text: &str| ProviderError::reported(status, "", text);
        assert!(is_refused(&said(401, "token expired")));
        assert!(!is_refused(&said(403, "not for you")));
        let other = "model x is not accessible via the /chat/completions endpoint";
        assert!(is_other_way(&said(400, other)));
        assert!(!is_other_way(&said(500, other)) && !is_other_way(&said(400, "bad")));
    }
}
