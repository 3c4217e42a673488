//! Model usage of a run, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use features::runs::queries::used::{self, Used};
use kernel::{ConnectionId, Route, RunId};
use providers::model::Usage as Tokens;
use store::{Read, StoreError};

/// Tokens by kind.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokensOut {
    /// Sent, neither read from the provider's cache nor written to it.
    input: u64,
    /// Sent, and read from the provider's cache.
    cache_read: u64,
    /// Sent, and written to the provider's cache.
    cache_write: u64,
    /// Received.
    output: u64,
    /// Of those, thinking; none where the provider counts none.
    reasoning: Option<u64>,
    /// Sent and received.
    total: u64,
}

impl TokensOut {
    fn of(tokens: &Tokens) -> Self {
        Self {
            input: tokens.input,
            cache_read: tokens.cache_read,
            cache_write: tokens.cache_write,
            output: tokens.output,
            reasoning: Some(tokens.reasoning).filter(|reasoning| *reasoning != 0),
            total: tokens.total(),
        }
    }
}

/// What the model calls of a run have used.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UsedOut {
    /// The model that answered last: another than the run's `model` when that one failed, or when a router
    /// chose. The one that was asked last when none has answered.
    model: String,
    /// Its provider.
    provider: String,
    /// The connection over which it was asked; none for practice.
    connection: Option<ConnectionId>,
    /// What that connection is called; none when it is no longer there.
    connection_name: Option<String>,
    /// On which way its provider was paid.
    route: Route,
    /// The tokens of all calls of the run, also of those for summaries; without its sub-agents.
    tokens: TokensOut,
}

impl UsedOut {
    /// `None` before the first call has ended.
    pub fn of(tx: &dyn Read, run: RunId) -> Result<Option<Self>, StoreError> {
        Ok(used::of_run(tx, run)?.map(|used| {
            let Used { model, provider, connection, connection_name, route, tokens } = used;
            let tokens = TokensOut::of(&tokens);
            Self { model, provider, connection, connection_name, route, tokens }
        }))
    }
}
