//! Reads of connections, and the choice of model.

use crate::agents::model::Agent;
use crate::runs::model::ModelSource;
use crate::tasks::model::Task;
use crate::workspace::model::Settings;
use kernel::key::KeyBuf;
use kernel::{ConnectionId, Route, Thinking};
use providers::base::{self, Base, BaseError, Server};
use providers::catalog::{self, Model, Price};
use providers::model::{Abilities, ModelInfo};
use providers::practice;
use store::{Range, Read, ReadExt, StoreError};

use super::model::{BY_NAME, Connection, ConnectionKey, UsualThinking, Wire};

pub mod eligible;
pub mod fitting;
pub mod named;
pub mod offered;
pub mod standing;
pub mod turns;
pub mod uses;
pub mod vectors;

pub use super::provider::{format_of, with_key};

/// Name and model id of the built-in practice provider.
pub const PRACTICE: &str = practice::MODEL;
/// Display name of the practice provider.
pub const PRACTICE_LABEL: &str = "Practice · no AI";

/// Whether agents without their own model use practice.
pub fn on_practice(tx: &dyn Read) -> Result<bool, StoreError> {
    let settings = tx.get::<Settings>(())?;
    Ok(settings.is_none_or(|settings| settings.default_connection.is_none()))
}

/// Whether a person chose practice, so that a working connection does not change the default.
pub fn chose_practice(tx: &dyn Read) -> Result<bool, StoreError> {
    let chosen = tx.get::<Settings>(())?.is_some_and(|settings| settings.default_model.is_some());
    Ok(chosen && on_practice(tx)?)
}

/// All connections by name, without practice.
pub fn all(tx: &dyn Read) -> Result<Vec<Connection>, StoreError> {
    tx.scan(BY_NAME, &Range::all())
}

/// Finds a connection by name, case-insensitive.
pub fn by_name(tx: &dyn Read, name: &str) -> Result<Option<Connection>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    tx.find(BY_NAME, &key)
}

/// The sealed key of a connection.
pub fn key(tx: &dyn Read, id: ConnectionId) -> Result<Option<ConnectionKey>, StoreError> {
    tx.get(id)
}

/// Inputs to the choice of model, highest priority first.
#[derive(Clone, Copy)]
pub struct ModelRequest<'a> {
    /// Model for this message only.
    pub message: Option<&'a str>,
    pub task: Option<&'a Task>,
    pub agent: &'a Agent,
}

/// The chosen model of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// Model id of the provider.
    pub model: String,
    pub source: ModelSource,
    pub thinking: Thinking,
    pub thinking_source: ModelSource,
}

/// Chooses the model: message, else task, agent, workspace, practice. Model and thinking level are chosen
/// independently.
pub fn resolve(tx: &dyn Read, request: ModelRequest<'_>) -> Result<Choice, StoreError> {
    let settings = tx.get::<Settings>(())?;
    let default = settings.as_ref().and_then(|settings| settings.default_connection);
    let (connection, model, source) = pick_model(tx, request, settings.as_ref(), default)?;
    let (thinking, thinking_source) =
        match (request.task.and_then(|t| t.thinking), request.agent.thinking) {
            (Some(level), _) => (level, ModelSource::Task),
            (None, Some(level)) => (level, ModelSource::Agent),
            (None, None) => match tx.get::<UsualThinking>(())? {
                Some(usual) => (usual.level, ModelSource::Workspace),
                None => (Thinking::None, ModelSource::Fallback),
            },
        };
    Ok(Choice { connection, model, source, thinking, thinking_source })
}

/// Display name of the default model.
pub fn resolve_default(tx: &dyn Read) -> Result<String, StoreError> {
    let settings = tx.get::<Settings>(())?;
    let connection = match settings.as_ref().and_then(|settings| settings.default_connection) {
        Some(id) => tx.get::<Connection>(id)?,
        None => None,
    };
    let chosen = settings.and_then(|settings| settings.default_model);
    let model = connection.as_ref().and_then(|c| chosen.or_else(|| first_model(c)));
    Ok(model.unwrap_or_else(|| PRACTICE_LABEL.to_owned()))
}

type Picked = (Option<ConnectionId>, String, ModelSource);

fn pick_model(
    tx: &dyn Read,
    request: ModelRequest<'_>,
    settings: Option<&Settings>,
    default: Option<ConnectionId>,
) -> Result<Picked, StoreError> {
    let agent = request.agent;
    let near = [agent.connection, default];
    let named = [
        (request.message, ModelSource::Message),
        (request.task.and_then(|task| task.model.as_deref()), ModelSource::Task),
    ];
    for (model, source) in named {
        if let Some(model) = model.map(str::trim).filter(|model| !model.is_empty()) {
            let (connection, model) = locate(tx, model, near)?;
            return Ok((connection, model, source));
        }
    }
    match (agent.connection, agent.model.as_deref()) {
        (Some(connection), Some(model)) => {
            return Ok((Some(connection), model.to_owned(), ModelSource::Agent));
        }
        (Some(id), None) => {
            if let Some(model) = tx.get::<Connection>(id)?.and_then(|c| first_model(&c)) {
                return Ok((Some(id), model, ModelSource::Agent));
            }
        }
        (None, Some(model)) => {
            let (connection, model) = locate(tx, model, near)?;
            return Ok((connection, model, ModelSource::Agent));
        }
        (None, None) => {}
    }
    if let Some(id) = default
        && let Some(connection) = tx.get::<Connection>(id)?
    {
        let chosen = settings.and_then(|settings| settings.default_model.clone());
        if let Some(model) = chosen.or_else(|| first_model(&connection)) {
            return Ok((Some(id), model, ModelSource::Workspace));
        }
    }
    Ok((None, PRACTICE.to_owned(), ModelSource::Fallback))
}

/// The model of a connection that is used without another choice.
#[must_use]
pub fn first_model(connection: &Connection) -> Option<String> {
    if let Some(model) = &connection.default_model {
        return Some(model.clone());
    }
    let infos: Vec<ModelInfo> = connection.models.iter().map(as_info).collect();
    catalog::to_begin_with(&infos).map(|model| model.id.clone())
}

fn as_info(listed: &super::model::ListedModel) -> ModelInfo {
    ModelInfo {
        id: listed.id.clone(),
        name: listed.name.clone(),
        window: None,
        max_output: None,
        price: None,
        can: Abilities::default(),
    }
}

/// Resolves a model name to a connection: `name/model` names it; else the nearest one that lists the model, any that
/// lists it, or the nearest.
pub fn locate(
    tx: &dyn Read,
    model: &str,
    near: [Option<ConnectionId>; 2],
) -> Result<(Option<ConnectionId>, String), StoreError> {
    if model == PRACTICE || model.strip_prefix("practice/").is_some_and(|rest| rest == PRACTICE) {
        return Ok((None, PRACTICE.to_owned()));
    }
    let all = all(tx)?;
    if let Some((name, rest)) = model.split_once('/') {
        let same = |c: &&Connection| handle(&c.name) == name.to_lowercase();
        if let Some(connection) = all.iter().find(same) {
            return Ok((Some(connection.id), rest.to_owned()));
        }
    }
    let lists = |c: &Connection| {
        c.default_model.as_deref() == Some(model) || c.models.iter().any(|m| m.id == model)
    };
    let near: Vec<&Connection> =
        near.iter().flatten().filter_map(|id| all.iter().find(|c| c.id == *id)).collect();
    let best = near.iter().copied().find(|c| lists(c)).or_else(|| all.iter().find(|c| lists(c)));
    let best = best.or_else(|| near.first().copied()).or_else(|| all.first());
    Ok(match best {
        Some(connection) => (Some(connection.id), model.to_owned()),
        None => (None, PRACTICE.to_owned()),
    })
}

/// Prefix of a connection in model names: `anthropic/claude-sonnet-5`.
#[must_use]
pub fn handle(name: &str) -> String {
    kernel::text::slug(name, 40)
}

/// The model as a connection bills it. A price entered at the connection applies if the catalogue has none.
/// Self-hosted models are free.
#[must_use]
pub fn priced(connection: Option<&Connection>, model: Model) -> Model {
    let Some(connection) = connection else { return model };
    if model.price.is_some() {
        return model;
    }
    let entered = connection.price.map(|(input, output)| {
        let input = u64::try_from(input).unwrap_or(0);
        let output = u64::try_from(output).unwrap_or(0);
        Price { input, cache_read: input, cache_write: input, output }
    });
    let price = entered.or_else(|| is_own(connection).then(Price::default));
    Model { price, ..model }
}

/// Whether the connection is self-hosted, so that tokens are free.
#[must_use]
pub fn is_own(connection: &Connection) -> bool {
    base_of(connection).is_ok_and(|base| {
        base.private && matches!(base.server, Server::Ollama | Server::LmStudio | Server::Vllm)
    })
}

/// Payment route of a connection.
#[must_use]
pub fn route(connection: &Connection) -> Route {
    match &connection.sign_in {
        Some(_) => Route::Subscription,
        None if is_own(connection) => Route::Own,
        None => Route::Api,
    }
}

/// Whether the maker's own server requires a key.
#[must_use]
pub fn needs_key(base: &Base, wire: Wire) -> bool {
    match base.server {
        Server::Anthropic
        | Server::OpenRouter
        | Server::DeepSeek
        | Server::Groq
        | Server::Mistral
        | Server::XAi => true,
        Server::OpenAi => wire == Wire::OpenaiResponses,
        Server::Google => wire == Wire::Gemini,
        _ => false,
    }
}

/// The server of a connection.
///
/// # Errors
/// If its address is invalid.
pub fn base_of(connection: &Connection) -> Result<Base, BaseError> {
    base_at(connection, &connection.base_url)
}

/// The server that a connection would have at this address, as typed.
///
/// # Errors
/// If the address is invalid.
pub fn base_at(connection: &Connection, url: &str) -> Result<Base, BaseError> {
    match &connection.sign_in {
        Some(client) => client.vendor.base(url),
        None => base::normalise(connection.wire.into(), url),
    }
}

impl From<Wire> for base::Wire {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Anthropic => Self::Anthropic,
            Wire::OpenaiChat => Self::OpenAiChat,
            Wire::OpenaiResponses => Self::OpenAiResponses,
            Wire::Gemini => Self::Gemini,
            Wire::Ollama => Self::Ollama,
        }
    }
}

/// A model to choose, with its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// `None` for the practice model.
    pub connection: Option<ConnectionId>,
    /// Display name of the connection.
    pub connection_name: String,
    /// Model id of the provider.
    pub model: String,
    /// Display name of the model.
    pub name: String,
    /// Payment route, if the list has more than one.
    pub way: Option<Route>,
}

impl Pick {
    /// Display text: connection, model and, if shown, payment route.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.connection, self.way) {
            (None, _) => PRACTICE_LABEL.to_owned(),
            (Some(_), None) => format!("{} · {}", self.connection_name, self.model),
            (Some(_), Some(way)) => {
                format!("{} · {} · {}", self.connection_name, self.model, way.label())
            }
        }
    }

    /// Form value: `<connection>/<model>`; see [`Pick::parse`].
    #[must_use]
    pub fn value(&self) -> String {
        match self.connection {
            Some(id) => format!("{id}/{}", self.model),
            None => PRACTICE.to_owned(),
        }
    }

    /// Parses a form value to connection and model.
    #[must_use]
    pub fn parse(value: &str) -> Option<(Option<ConnectionId>, String)> {
        if value == PRACTICE {
            return Some((None, PRACTICE.to_owned()));
        }
        let (id, model) = value.split_once('/')?;
        Some((Some(id.parse().ok()?), model.to_owned())).filter(|(_, model)| !model.is_empty())
    }
}

/// All models to choose from: those of connections, known ones first, then practice.
pub fn picks(tx: &dyn Read) -> Result<Vec<Pick>, StoreError> {
    let mut picks = Vec::new();
    let mut connections = all(tx)?;
    // If any connection is a subscription, each model shows its payment route, and subscriptions come first.
    let signs_in = connections.iter().any(|connection| connection.sign_in.is_some());
    connections.sort_by_key(|connection| connection.sign_in.is_none());
    for connection in connections {
        let way = signs_in.then(|| route(&connection));
        let mut models = connection.models.clone();
        if let Some(id) = &connection.default_model
            && !models.iter().any(|model| model.id == *id)
        {
            models.push(super::model::ListedModel { id: id.clone(), name: id.clone() });
        }
        models.sort_by_key(|model| catalog::rank(&model.id));
        picks.extend(models.into_iter().map(|model| Pick {
            connection: Some(connection.id),
            connection_name: connection.name.clone(),
            model: model.id,
            name: model.name,
            way,
        }));
    }
    picks.push(Pick {
        connection: None,
        connection_name: PRACTICE_LABEL.to_owned(),
        model: PRACTICE.to_owned(),
        name: PRACTICE_LABEL.to_owned(),
        way: None,
    });
    Ok(picks)
}
