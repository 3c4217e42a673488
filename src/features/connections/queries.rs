//! Reads of connections, and which model wins.

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

/// The name of the built-in provider, in lists and as a model's id.
pub const PRACTICE: &str = practice::MODEL;
/// What people read in its place.
pub const PRACTICE_LABEL: &str = "Practice · no AI";

/// Whether agents without a model of their own use practice.
pub fn on_practice(tx: &dyn Read) -> Result<bool, StoreError> {
    let settings = tx.get::<Settings>(())?;
    Ok(settings.is_none_or(|settings| settings.default_connection.is_none()))
}

/// Whether a person chose that, so that a connection that works does not change it.
pub fn chose_practice(tx: &dyn Read) -> Result<bool, StoreError> {
    let chosen = tx.get::<Settings>(())?.is_some_and(|settings| settings.default_model.is_some());
    Ok(chosen && on_practice(tx)?)
}

/// All connections by name; practice is not among them.
pub fn all(tx: &dyn Read) -> Result<Vec<Connection>, StoreError> {
    tx.scan(BY_NAME, &Range::all())
}

/// A connection by its name, without regard to case.
pub fn by_name(tx: &dyn Read, name: &str) -> Result<Option<Connection>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    tx.find(BY_NAME, &key)
}

/// The sealed key of a connection.
pub fn key(tx: &dyn Read, id: ConnectionId) -> Result<Option<ConnectionKey>, StoreError> {
    tx.get(id)
}

/// What is asked for: who may choose a model, from the strongest word to the weakest.
#[derive(Clone, Copy)]
pub struct ModelRequest<'a> {
    /// A model for this message alone.
    pub message: Option<&'a str>,
    /// The task that is worked on.
    pub task: Option<&'a Task>,
    pub agent: &'a Agent,
}

/// Which model a run uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// The model, as the provider calls it.
    pub model: String,
    /// Who chose it.
    pub source: ModelSource,
    /// How much it thinks.
    pub thinking: Thinking,
    /// Who chose that.
    pub thinking_source: ModelSource,
}

/// Which model wins: the message, else the task, else the agent, else the workspace, else practice.
/// Model and thinking are decided each on its own.
pub fn resolve(tx: &dyn Read, asked: ModelRequest<'_>) -> Result<Choice, StoreError> {
    let settings = tx.get::<Settings>(())?;
    let default = settings.as_ref().and_then(|settings| settings.default_connection);
    let (connection, model, source) = pick_model(tx, asked, settings.as_ref(), default)?;
    let (thinking, thinking_source) =
        match (asked.task.and_then(|t| t.thinking), asked.agent.thinking) {
            (Some(level), _) => (level, ModelSource::Task),
            (None, Some(level)) => (level, ModelSource::Agent),
            (None, None) => match tx.get::<UsualThinking>(())? {
                Some(usual) => (usual.level, ModelSource::Workspace),
                None => (Thinking::None, ModelSource::Fallback),
            },
        };
    Ok(Choice { connection, model, source, thinking, thinking_source })
}

/// The model of agents that have none of their own, in words.
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
    asked: ModelRequest<'_>,
    settings: Option<&Settings>,
    default: Option<ConnectionId>,
) -> Result<Picked, StoreError> {
    let agent = asked.agent;
    let near = [agent.connection, default];
    let named = [
        (asked.message, ModelSource::Message),
        (asked.task.and_then(|task| task.model.as_deref()), ModelSource::Task),
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

/// The model that a connection uses when nobody chose one.
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

/// Which connection a model's name means: `name/model` names it, else the nearest one that lists
/// the model, else any that does, else the nearest at all.
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

/// What a connection is called in front of a model: `anthropic/claude-sonnet-5`.
#[must_use]
pub fn handle(name: &str) -> String {
    kernel::text::slug(name, 40)
}

/// What is known of a model as a connection bills it: a price that a person entered counts where
/// the catalogue has none, and a model that people run themselves costs nothing by the token.
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

/// Whether models behind it run on people's own machines, where nothing is paid by the token.
#[must_use]
pub fn is_own(connection: &Connection) -> bool {
    base_of(connection).is_ok_and(|base| {
        base.private && matches!(base.server, Server::Ollama | Server::LmStudio | Server::Vllm)
    })
}

/// On which way a provider is paid for calls of a connection.
#[must_use]
pub fn route(connection: &Connection) -> Route {
    match &connection.sign_in {
        Some(_) => Route::Subscription,
        None if is_own(connection) => Route::Own,
        None => Route::Api,
    }
}

/// Whether a maker's own server answers nobody without a key.
#[must_use]
pub fn needs_key(base: &Base, wire: Wire) -> bool {
    match base.server {
        Server::Anthropic => true,
        Server::OpenAi => wire == Wire::OpenaiResponses,
        Server::Google => wire == Wire::Gemini,
        _ => false,
    }
}

/// The server of a connection.
///
/// # Errors
/// Its address cannot be used.
pub fn base_of(connection: &Connection) -> Result<Base, BaseError> {
    base_at(connection, &connection.base_url)
}

/// The server that a connection would have at an address as typed.
///
/// # Errors
/// The address cannot be used.
pub fn base_at(connection: &Connection, typed: &str) -> Result<Base, BaseError> {
    match &connection.sign_in {
        Some(client) => client.vendor.base(typed),
        None => base::normalise(connection.wire.into(), typed),
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

/// A model that a person can choose: with its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The connection; none for practice.
    pub connection: Option<ConnectionId>,
    /// What people call the connection.
    pub connection_name: String,
    /// The model's id on the wire.
    pub model: String,
    /// The model's name for people.
    pub name: String,
    /// On which way it is paid, where the list has more than one.
    pub way: Option<Route>,
}

impl Pick {
    /// What people read of it: the connection, the model, and on which way it is paid where that may be asked.
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

    /// What a form sends for it: `<connection>/<model>`; see [`Pick::parse`].
    #[must_use]
    pub fn value(&self) -> String {
        match self.connection {
            Some(id) => format!("{id}/{}", self.model),
            None => PRACTICE.to_owned(),
        }
    }

    /// Reads what a form sent: connection and model.
    #[must_use]
    pub fn parse(value: &str) -> Option<(Option<ConnectionId>, String)> {
        if value == PRACTICE {
            return Some((None, PRACTICE.to_owned()));
        }
        let (id, model) = value.split_once('/')?;
        Some((Some(id.parse().ok()?), model.to_owned())).filter(|(_, model)| !model.is_empty())
    }
}

/// All models that can be chosen: those of the connections, the known ones first, then practice.
pub fn picks(tx: &dyn Read) -> Result<Vec<Pick>, StoreError> {
    let mut picks = Vec::new();
    let mut connections = all(tx)?;
    // Where a subscription pays for some, each says on which way it is paid, and those come first.
    let told = connections.iter().any(|connection| connection.sign_in.is_some());
    connections.sort_by_key(|connection| connection.sign_in.is_none());
    for connection in connections {
        let way = told.then(|| route(&connection));
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
