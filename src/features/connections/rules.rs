//! All writes of connections. Keys arrive sealed: this module never sees one in plain text.

use crate::workspace::model::Settings;
use crypto::keyring::SealError;
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{AgentId, ConnectionId, Event, FieldError, Problem, ProblemKind, ReservationId};
use providers::base::{self, BaseError};
use providers::error::ErrorClass;
use providers::oauth::Client;
use store::{ReadExt, StoreError, WriteTx};

use super::cooldown::Candidate;
use super::model::{BY_NAME, Connection, ConnectionKey, ListedModel, Offer, Tested, Wire};
use super::queries::{self, PRACTICE};

pub mod paid;
pub mod removal;
pub mod sign_in;
pub mod turns;
pub mod vectors;

pub use paid::Spent;
use turns::Failure;

/// Maximum length of a name.
const MAX_NAME: usize = 60;
/// Maximum length of a model id.
const MAX_MODEL: usize = 200;
/// Maximum number of listed models per provider: a router lists hundreds.
const MAX_MODELS: usize = 1_000;
/// Maximum price: ten thousand dollars per million tokens.
const MAX_PRICE: i64 = 10_000_000_000;

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("connection {0} does not exist")]
    NotFound(ConnectionId),
    /// The replacement is the connection itself or has no model.
    #[error("this connection can't be the replacement; choose one that has a model")]
    BadReplacement,
    #[error("enter a name of 1 to {MAX_NAME} characters")]
    BadName,
    #[error("there is already a connection called \"{0}\"; choose another name")]
    NameTaken(String),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("this provider needs a key; create one on its website")]
    KeyMissing,
    /// The key clearly belongs to another provider: the key's, and the chosen one.
    #[error("this looks like a key from {0}; enter one from {1}")]
    KeyOfAnother(&'static str, &'static str),
    /// The address has another origin than the one the key was entered for.
    #[error("the address is a different server; enter the key again to send it there")]
    KeyAgain,
    #[error("enter a model ID of 1 to {MAX_MODEL} characters without spaces")]
    BadModel,
    #[error("enter a price between $0 and $10,000 per million tokens")]
    BadPrice,
    /// The stored key cannot be opened with the current master key.
    #[error("{0}")]
    Unreadable(#[from] SealError),
    #[error("the workspace is not set up yet")]
    NoWorkspace,
    #[error("the workspace's budget is used up or too low for this call")]
    OverBudget,
    #[error("agent {0} does not exist")]
    NoAgent(AgentId),
    #[error("a connection can have at most ten keys; remove one first")]
    TooManyKeys,
    #[error("enter a window of at least 4096 tokens")]
    BadWindow,
    /// Invalid part of a sign-in client: field and message.
    #[error("{1}")]
    BadClient(&'static str, String),
    /// The connection uses a key.
    #[error("this connection uses a key, not a sign-in")]
    NoSignIn,
    /// The connection uses an account.
    #[error("this connection uses a sign-in, not keys")]
    NoKeys,
    #[error("no sign-in is in progress; start one")]
    NoLogin,
    /// The maker does not support this flow.
    #[error("this provider doesn't support this way to sign in")]
    NoFlow,
    #[error("choose at most eight fallback models")]
    TooManyModels,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for ConnectionError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "connection_not_found",
            Self::BadName => "name_invalid",
            Self::NameTaken(_) => "name_taken",
            Self::Base(_) => "address_invalid",
            Self::KeyMissing | Self::KeyAgain => "key_missing",
            Self::KeyOfAnother(..) => "key_invalid",
            Self::BadModel => "model_invalid",
            Self::BadReplacement => "replacement_invalid",
            Self::BadPrice => "price_invalid",
            Self::Unreadable(_) => "key_unreadable",
            Self::NoWorkspace => "workspace_not_set_up",
            Self::OverBudget => "over_budget",
            Self::NoAgent(_) => "agent_not_found",
            Self::TooManyKeys => "too_many_keys",
            Self::TooManyModels => "too_many_models",
            Self::BadWindow => "window_invalid",
            Self::BadClient(..) => "sign_in_invalid",
            Self::NoSignIn => "no_sign_in",
            Self::NoKeys => "no_keys",
            Self::NoLogin => "no_login",
            Self::NoFlow => "flow_invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) | Self::NoAgent(_) => ProblemKind::NotFound,
            Self::NameTaken(_)
            | Self::Unreadable(_)
            | Self::NoWorkspace
            | Self::OverBudget
            | Self::NoSignIn
            | Self::NoKeys
            | Self::NoLogin => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
            _ => ProblemKind::Invalid,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::BadName | Self::NameTaken(_) => "name",
            Self::Base(_) => "base_url",
            Self::KeyMissing | Self::KeyAgain | Self::KeyOfAnother(..) | Self::Unreadable(_) => {
                "key"
            }
            Self::BadModel => "default_model",
            Self::BadReplacement => "replacement",
            Self::BadPrice => "price",
            Self::TooManyKeys => "more_key",
            Self::TooManyModels => "models",
            Self::BadWindow => "window",
            Self::BadClient(field, _) => field,
            _ => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}

/// A sealed key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The envelope.
    pub sealed: String,
    /// Id of the master key that sealed it.
    pub key_id: String,
    /// Last characters of the key.
    pub hint: String,
}

/// Request for a connection.
#[derive(Clone, Debug)]
pub struct NewConnection {
    pub name: String,
    pub wire: Wire,
    /// As typed; empty for the maker's own address.
    pub base_url: String,
    pub key: Option<NewKey>,
    pub default_model: Option<String>,
}

/// Adds a connection.
///
/// # Errors
/// If the name, address, key or model is invalid.
pub fn create(tx: &mut WriteTx<'_>, new: NewConnection) -> Result<ConnectionId, ConnectionError> {
    let name = good_name(tx, &new.name, None)?;
    let base = base::normalise(new.wire.into(), &new.base_url)?;
    if new.key.is_none() && queries::needs_key(&base, new.wire) {
        return Err(ConnectionError::KeyMissing);
    }
    let now = tx.now();
    let connection = Connection {
        id: tx.new_id(),
        name,
        wire: new.wire,
        base_url: base.url,
        default_model: good_model(new.default_model)?,
        models: Vec::new(),
        key_hint: new.key.as_ref().map(|key| key.hint.clone()),
        tested: None,
        price: None,
        created_at: now,
        updated_at: now,
        sign_in: None,
    };
    tx.put(&connection)?;
    if let Some(key) = new.key {
        put_key(tx, connection.id, key)?;
    }
    tx.emit(Event::ConnectionChanged { connection: connection.id });
    Ok(connection.id)
}

fn put_key(tx: &mut WriteTx<'_>, id: ConnectionId, key: NewKey) -> Result<(), ConnectionError> {
    tx.put(&ConnectionKey { connection: id, sealed: key.sealed, key_id: key.key_id })?;
    Ok(())
}

/// Change of a connection's key.
#[derive(Clone, Debug, Default)]
pub enum KeyChange {
    #[default]
    Keep,
    Replace(NewKey),
    Remove,
}

/// Changed fields; `None` keeps the stored value.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    /// As typed.
    pub base_url: Option<String>,
    pub key: KeyChange,
    /// `Some(None)` for none.
    pub default_model: Option<Option<String>>,
    /// Micro-dollars per million tokens, input and output; `Some(None)` for unknown.
    pub price: Option<Option<(i64, i64)>>,
    pub client: Option<Client>,
}

/// Changes a connection. A new address or key discards the last test.
///
/// # Errors
/// If the name, address, key, model or price is invalid; `Stale` if `rev` is not the current revision.
pub fn update(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    rev: Option<u64>,
    changes: Changes,
) -> Result<Connection, ConnectionError> {
    let (mut connection, present) =
        tx.get_rev::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    if rev.is_some_and(|rev| rev != present) {
        return Err(StoreError::Stale.into());
    }
    let before = connection.clone();
    if let Some(name) = changes.name {
        connection.name = good_name(tx, &name, Some(id))?;
    }
    let new_key = !matches!(changes.key, KeyChange::Keep);
    if connection.sign_in.is_some() && new_key {
        return Err(ConnectionError::NoKeys);
    }
    if let Some(client) = changes.client {
        let known = connection.sign_in.as_ref().ok_or(ConnectionError::NoSignIn)?;
        connection.sign_in = Some(sign_in::good_client(client, known.vendor)?);
    }
    if let Some(url) = changes.base_url {
        connection.base_url = queries::base_at(&connection, &url)?.url;
        let moved = origin(&connection.base_url) != origin(&before.base_url);
        if moved && before.key_hint.is_some() && matches!(changes.key, KeyChange::Keep) {
            return Err(ConnectionError::KeyAgain);
        }
    }
    if let Some(model) = changes.default_model {
        connection.default_model = good_model(model)?;
    }
    if let Some(price) = changes.price {
        connection.price = good_price(price)?;
    }
    match changes.key {
        KeyChange::Keep => {}
        KeyChange::Replace(key) => {
            connection.key_hint = Some(key.hint.clone());
            put_key(tx, id, key)?;
        }
        KeyChange::Remove => {
            connection.key_hint = None;
            tx.delete::<ConnectionKey>(id)?;
        }
    }
    if new_key || connection.base_url != before.base_url || connection.sign_in != before.sign_in {
        connection.tested = None;
    }
    if connection.base_url != before.base_url {
        turns::forget_failures(tx, id, None)?;
    } else if new_key {
        turns::forget_failures(tx, id, Some(0))?;
    }
    if sign_in::place(&connection) != sign_in::place(&before) {
        // Tokens for the old addresses are discarded.
        sign_in::forget(tx, id)?;
    }
    if connection != before || new_key {
        connection.updated_at = tx.now();
        tx.put(&connection)?;
        tx.emit(Event::ConnectionChanged { connection: id });
    }
    Ok(connection)
}

/// Scheme, host and port of a base URL. A key is never sent to another origin without confirmation.
fn origin(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    let end = url[rest..].find('/').map_or(url.len(), |at| rest + at);
    &url[..end]
}

/// Model list of a provider.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Ids and names.
    pub models: Vec<ListedModel>,
    /// Properties of each model.
    pub offers: Vec<Offer>,
}

/// Result of a test.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whether a real call was answered.
    pub ok: bool,
    pub message: String,
    /// `None` if the provider did not list its models.
    pub models: Option<Listed>,
    /// The model that answered.
    pub model: Option<String>,
    /// Reservation and usage of the call; `None` if no call was made.
    pub spent: Option<(ReservationId, Spent)>,
    pub class: Option<ErrorClass>,
    /// Response time in milliseconds.
    pub millis: Option<u64>,
}

/// Side effect of a test on the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// The connection became the workspace's default, because there was none.
    BecameDefault,
}

/// Stores the result of a test. The first connection that passes becomes the workspace's default, unless a person
/// chose practice. Later ones never change the default.
///
/// # Errors
/// `NotFound` if the connection was removed meanwhile.
pub fn note_test(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    found: Found,
) -> Result<Effect, ConnectionError> {
    let mut connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let message = ellipsis(found.message.trim(), 500);
    connection.tested = Some(Tested { at: tx.now(), ok: found.ok, message });
    if let Some(Listed { mut models, offers }) = found.models {
        models.truncate(MAX_MODELS);
        connection.models = models;
        turns::keep_offers(tx, id, offers)?;
    }
    if found.ok {
        let model = found.model.clone().unwrap_or_default();
        turns::note_success(tx, &Candidate { connection: Some(id), slot: 0, model })?;
    }
    if let Some(class @ (ErrorClass::Auth | ErrorClass::AuthPermanent)) = found.class {
        let who = Candidate { connection: Some(id), slot: 0, model: String::new() };
        let message = found.message.clone();
        turns::note_failure(tx, &who, Failure { class, message, asked: None })?;
    }
    if found.ok && connection.default_model.is_none() {
        connection.default_model = queries::first_model(&connection).or(found.model);
    }
    tx.put(&connection)?;
    if let Some((held, spent)) = found.spent {
        paid::settle(tx, &connection, held, spent)?;
    }
    tx.emit(Event::ConnectionChanged { connection: id });
    let Some(settings) = tx.get::<Settings>(())?.filter(|s| found.ok && s.default_model.is_none())
    else {
        return Ok(Effect::None);
    };
    let Some(model) = connection.default_model else { return Ok(Effect::None) };
    tx.put(&Settings { default_connection: Some(id), default_model: Some(model), ..settings })?;
    Ok(Effect::BecameDefault)
}

/// Stores the model list of a provider.
///
/// # Errors
/// `NotFound` if the connection was removed meanwhile.
pub fn set_models(
    tx: &mut WriteTx<'_>,
    id: ConnectionId,
    Listed { mut models, offers }: Listed,
) -> Result<Connection, ConnectionError> {
    let mut connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    turns::keep_offers(tx, id, offers)?;
    models.truncate(MAX_MODELS);
    if connection.models != models {
        connection.models = models;
        connection.updated_at = tx.now();
        tx.put(&connection)?;
        tx.emit(Event::ConnectionChanged { connection: id });
    }
    Ok(connection)
}

/// Sets the default model of agents without their own; no connection means practice.
///
/// # Errors
/// `NotFound` if the connection does not exist, `BadModel` for an invalid model.
pub fn set_default(
    tx: &mut WriteTx<'_>,
    connection: Option<ConnectionId>,
    model: &str,
) -> Result<(), ConnectionError> {
    let mut settings = tx.get::<Settings>(())?.ok_or(ConnectionError::NoWorkspace)?;
    let model = good_model(Some(model.to_owned()))?.ok_or(ConnectionError::BadModel)?;
    match connection {
        Some(id) => {
            tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        }
        None if model == PRACTICE => {}
        None => return Err(ConnectionError::BadModel),
    }
    settings.default_connection = connection;
    settings.default_model = Some(model);
    tx.put(&settings)?;
    Ok(())
}

/// Makes a connection the default, with its own first choice of model.
///
/// # Errors
/// `BadModel` if it has no model.
pub fn make_default(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let model = queries::first_model(&connection).ok_or(ConnectionError::BadModel)?;
    set_default(tx, Some(id), &model)
}

/// Keeps agents without their own model on practice even if a connection works, until a person decides otherwise. No
/// effect if the workspace uses another connection.
pub fn stay_on_practice(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let settings = tx.get::<Settings>(())?;
    match settings.and_then(|settings| settings.default_connection) {
        Some(other) if other != id => Ok(()),
        None if queries::chose_practice(tx)? => Ok(()),
        _ => set_default(tx, None, PRACTICE),
    }
}

/// Reverts the choice of practice: the next connection that passes a test becomes the default.
pub fn leave_practice(tx: &mut WriteTx<'_>) -> Result<(), ConnectionError> {
    if queries::chose_practice(tx)?
        && let Some(settings) = tx.get::<Settings>(())?
    {
        tx.put(&Settings { default_model: None, ..settings })?;
    }
    Ok(())
}

fn good_name(
    tx: &WriteTx<'_>,
    name: &str,
    own: Option<ConnectionId>,
) -> Result<String, ConnectionError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(ConnectionError::BadName);
    }
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    let other = tx.find::<Connection>(BY_NAME, &key)?.is_some_and(|c| Some(c.id) != own);
    if other || queries::handle(name) == PRACTICE {
        return Err(ConnectionError::NameTaken(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn good_model(model: Option<String>) -> Result<Option<String>, ConnectionError> {
    let Some(model) = model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty())
    else {
        return Ok(None);
    };
    if model.len() > MAX_MODEL || model.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(ConnectionError::BadModel);
    }
    Ok(Some(model))
}

fn good_price(price: Option<(i64, i64)>) -> Result<Option<(i64, i64)>, ConnectionError> {
    let fits = |micros: i64| (0..=MAX_PRICE).contains(&micros);
    match price {
        Some((input, output)) if !fits(input) || !fits(output) => Err(ConnectionError::BadPrice),
        other => Ok(other),
    }
}
