//! Provider for an account that a person signed in to. Before each call, the account supplies a valid token. If the
//! token is rejected anyway, it is refreshed once and the call repeated.

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

/// Access data of a call.
#[derive(Clone, Debug)]
pub struct Access {
    pub token: Key,
    /// The server; an account may have its own.
    pub base: Base,
    /// Headers, such as the account.
    pub headers: Vec<(String, String)>,
}

impl Access {
    /// Returns `true` if this is the token used.
    #[must_use]
    pub fn is_made_with(&self, token: &str) -> bool {
        self.token.reveal() == token
    }
}

/// A signed-in account.
pub trait Account: Send + Sync {
    /// Access data for a call now. A token about to expire is refreshed first.
    fn access(&self) -> BoxFuture<'_, Result<Access, ProviderError>>;

    /// The server rejected this token before its end: returns another one, or why there is none.
    fn refused<'a>(&'a self, access: &'a Access) -> BoxFuture<'a, Result<Access, ProviderError>>;
}

/// Protocols of an account's models that differ from the default.
#[derive(Debug)]
pub struct Ways(Learned<Wire>);

impl Default for Ways {
    fn default() -> Self {
        Self(Learned::new())
    }
}

/// A provider with its token.
type Made = (Key, Arc<dyn Provider>);

/// A provider that uses a signed-in account.
pub struct SignedIn {
    vendor: Vendor,
    line: Connection,
    account: Arc<dyn Account>,
    ways: Arc<Ways>,
    made: Mutex<HashMap<Wire, Made>>,
}

impl SignedIn {
    /// A provider over a connection, whose key and address the account supplies.
    #[must_use]
    pub fn new(
        vendor: Vendor,
        line: Connection,
        account: Arc<dyn Account>,
        ways: Arc<Ways>,
    ) -> Self {
        Self { vendor, line, account, ways, made: Mutex::default() }
    }

    /// The provider for this token. What was learned about models is retained.
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

/// Returns `true` if the token itself was rejected, before any content.
fn is_refused(error: &ProviderError) -> bool {
    error.status == Some(401) && !error.has_content()
}

/// Returns `true` if the server says that a model requires a protocol other than Chat Completions.
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
        let reported = |status, text: &str| ProviderError::reported(status, "", text);
        assert!(is_refused(&reported(401, "token expired")));
        assert!(!is_refused(&reported(403, "not for you")));
        let other = "model x is not accessible via the /chat/completions endpoint";
        assert!(is_other_way(&reported(400, other)));
        assert!(!is_other_way(&reported(500, other)) && !is_other_way(&reported(400, "bad")));
    }
}
