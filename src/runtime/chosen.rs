//! The model of a run, with somebody who answers.

use std::sync::Arc;

use crate::app::Ws;
use crate::features::connections::provider;
use crate::features::connections::queries::Choice;
use crate::features::runs::model::ModelSource;
use crate::kernel::{ConnectionId, Thinking};
use crate::providers::Provider;
use crate::providers::catalog::Model;

use super::EngineError;

/// Which model a run uses, and what is known of it.
#[derive(Clone)]
pub(super) struct Chosen {
    pub provider: Arc<dyn Provider>,
    pub connection: Option<ConnectionId>,
    pub model: String,
    pub source: ModelSource,
    pub thinking: Thinking,
    /// Window, limits and the price that counts.
    pub known: Model,
}

/// Connects to the provider of a choice.
pub(super) fn connect(ws: &Ws, choice: Choice) -> Result<Chosen, EngineError> {
    let Choice { connection, model, source, thinking, .. } = choice;
    let provider = provider::provider(ws, connection)?;
    let known = provider::known(ws, connection, &*provider, &model)?;
    Ok(Chosen { provider, connection, model, source, thinking, known })
}
