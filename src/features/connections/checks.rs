//! Real calls to a provider: the connection test and the model list.

use std::time::Duration;

use crate::usage::queries::budgets;
use app::{Who, Ws};
use crypto::redact::Spot;
use kernel::{CallEnd, CallKind, ConnectionId, Payer, Problem, ProblemKind, Timestamp};
use providers::Provider;
use providers::error::{ErrorClass, ProviderError};
use providers::model::{Echo, ModelInfo, Probe, Usage};
use store::{Read, ReadExt, StoreError};
use web::format;

use super::model::{Connection, ListedModel, Offer, Tested};
use super::provider::provider;
use super::queries;
use super::rules::{self, ConnectionError, Effect, Found, Listed, Spent, paid};

/// Timeout of a test: a private server may first have to load its model.
const PATIENCE: Duration = Duration::from_secs(90);
/// Timeout of the check for tool calls.
const ECHO: Duration = Duration::from_secs(30);

/// Note for a model that did not call the offered tool.
const NO_CALL: &str = ", but didn't call a tool when asked, so agents might not work with it";
/// Note for a model whose server rejects tools.
const NO_TOOLS: &str = ", but doesn't support tools, so it can chat but not do work";
/// The same notes in tests that an earlier version stored.
const STORED: [&str; 2] = [", but called no tool when it was asked to", ", but takes no tools"];

/// Whether the tested model called no tool.
#[must_use]
pub fn only_talks(tested: &Tested) -> bool {
    let mut notes = [NO_CALL, NO_TOOLS].into_iter().chain(STORED);
    tested.ok && notes.any(|note| tested.message.contains(note))
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("{0}")]
    Provider(String),
}

impl Problem for CheckError {
    fn code(&self) -> &'static str {
        match self {
            Self::Connection(error) => error.code(),
            Self::Provider(_) => "provider_failed",
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Provider(_) => ProblemKind::Upstream,
        }
    }
}

/// Result of a test.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The stored part.
    pub tested: Tested,
    pub effect: Effect,
    /// The connection after the test.
    pub connection: Connection,
    pub class: Option<ErrorClass>,
    /// Response time in milliseconds.
    pub millis: Option<u64>,
}

/// Whether the workspace's budget is used up, so that calls outside of runs are not made either.
pub(super) fn is_spent(tx: &dyn Read, now: Timestamp) -> Result<bool, StoreError> {
    let all = budgets::standings(tx, &[Payer::Workspace], now)?;
    Ok(all.iter().any(|one| one.budget.hard && one.is_used_up()))
}

/// Tests a connection: requests the model list and one short answer, and stores the result. The maximum cost is
/// reserved before.
///
/// # Errors
/// `NotFound` if the connection does not exist; `OverBudget` if the budget cannot pay the call. An error of the
/// provider is part of the result, not an error.
pub async fn test(ws: &Ws, who: &impl Who, id: ConnectionId) -> Result<Checked, ConnectionError> {
    let stored = stored(ws, id)?;
    if ws.read(|snap| is_spent(snap, ws.app.clock.now()))? {
        return Err(ConnectionError::OverBudget);
    }
    // The server may have changed since.
    ws.app.accounts.of(id).forget_lessons();
    let provider = match provider(ws, Some(id)) {
        Ok(provider) => provider,
        // A key that cannot be opened is a valid test result.
        Err(error @ ConnectionError::Unreadable(_)) => {
            let found = failed(&error.to_string(), ErrorClass::Auth, None);
            return keep(ws, who, id, found).await;
        }
        Err(error) => return Err(error),
    };
    let patience = PATIENCE + ECHO;
    let until = tokio::time::Instant::now() + patience;
    let slow = || {
        let text = format!("no answer within {} s; is the server up?", patience.as_secs());
        failed(&text, ErrorClass::Timeout, None)
    };
    let listed = tokio::time::timeout_at(until, first(provider.as_ref(), &stored)).await;
    let (models, model) = match listed.unwrap_or_else(|_| Err(Box::new(slow()))) {
        Ok(listed) => listed,
        Err(found) => return keep(ws, who, id, *found).await,
    };
    let call = about_to_ask(provider.as_ref(), &stored, &model);
    let (asking, heeds) = (call.clone(), provider.heeds_limit(&model));
    let held = ws.write(who, move |tx| paid::hold(tx, id, &asking, heeds)).await?;
    let answer = ask(provider.as_ref(), &stored, models, &model);
    let answer = tokio::time::timeout_at(until, answer).await;
    let (found, spent) = answer.unwrap_or_else(|_| (slow(), None));
    let spent = spent.unwrap_or_else(|| ended(call, found.class));
    keep(ws, who, id, Found { spent: Some((held, spent)), ..found }).await
}

async fn keep(
    ws: &Ws,
    who: &impl Who,
    id: ConnectionId,
    found: Found,
) -> Result<Checked, ConnectionError> {
    let message = ws.app.redactor.masked(Spot::Errors, &found.message).into_owned();
    let found = Found { message, ..found };
    let (class, millis) = (found.class, found.millis);
    ws.write(who, move |tx| {
        let effect = rules::note_test(tx, id, found)?;
        let connection = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        let tested = connection.tested.clone().ok_or(ConnectionError::NotFound(id))?;
        Ok(Checked { tested, effect, connection, class, millis })
    })
    .await
}

fn failed(message: &str, class: ErrorClass, models: Option<Listed>) -> Found {
    Found {
        ok: false,
        message: message.to_owned(),
        models,
        model: None,
        spent: None,
        class: Some(class),
        millis: None,
    }
}

/// The provider's models and the one to call, or why none can be called.
async fn first(
    provider: &dyn Provider,
    stored: &Connection,
) -> Result<(Option<Listed>, String), Box<Found>> {
    // Some servers have no model list; only their answer counts.
    let listed = provider.models().await;
    if let Err(error) = &listed
        && matches!(
            error.class,
            ErrorClass::Auth
                | ErrorClass::AuthPermanent
                | ErrorClass::SignIn
                | ErrorClass::Network
                | ErrorClass::Billing
        )
    {
        return Err(Box::new(failed(&words(error), error.class, None)));
    }
    let models = listed.ok().map(|models| list(&models));
    let with_list = Connection {
        models: models.as_ref().map_or_else(|| stored.models.clone(), |list| list.models.clone()),
        ..stored.clone()
    };
    match queries::first_model(&with_list) {
        Some(model) => Ok((models, model)),
        None => {
            let text = "the server offers no models; enter one below or install one on the server";
            Err(Box::new(failed(text, ErrorClass::NotFoundModel, models)))
        }
    }
}

/// Asks a model for one word and a tool call. Returns the result, and the usage if the model answered.
async fn ask(
    provider: &dyn Provider,
    stored: &Connection,
    mut models: Option<Listed>,
    model: &str,
) -> (Found, Option<Spent>) {
    match provider.probe(Some(model)).await {
        Ok(mut probe) => {
            let tools = tools(provider, &mut models, model).await;
            let message = format!("{}{}", answered(&probe, model), tools.words());
            probe.usage = match (probe.usage, tools.usage()) {
                (Some(mut usage), Some(more)) => {
                    usage += more;
                    Some(usage)
                }
                (one, other) => one.or(other),
            };
            let millis = Some(probe.millis);
            let spent = spent(provider, stored, probe, model);
            let model = Some(model.to_owned());
            let found =
                Found { ok: true, message, models, model, spent: None, class: None, millis };
            (found, Some(spent))
        }
        Err(error) => (failed(&words(&error), error.class, models), None),
    }
}

/// Whether a model calls tools. Without them it can only chat.
enum Tools {
    /// The result of the check.
    Asked(Echo),
    /// The server rejects tools.
    None,
    /// The check failed.
    Unknown(String),
}

impl Tools {
    fn words(&self) -> String {
        match self {
            Self::Asked(Echo { called: true, .. }) => " and calls tools".to_owned(),
            Self::Asked(_) => NO_CALL.to_owned(),
            Self::None => NO_TOOLS.to_owned(),
            Self::Unknown(why) => format!("; couldn't check whether it calls tools: {why}"),
        }
    }

    fn usage(&self) -> Option<Usage> {
        match self {
            Self::Asked(echo) => echo.usage,
            Self::None | Self::Unknown(_) => None,
        }
    }
}

/// Checks whether a model calls tools, and stores the result in the model list.
async fn tools(provider: &dyn Provider, models: &mut Option<Listed>, model: &str) -> Tools {
    let mut offers = models.iter_mut().flat_map(|listed| &mut listed.offers);
    let mut offer = offers.find(|offer| offer.id == model);
    if offer.as_ref().is_some_and(|offer| offer.tools == Some(false)) {
        return Tools::None;
    }
    let (known, tools) = match tokio::time::timeout(ECHO, provider.echo(model)).await {
        Ok(Ok(echo)) => (echo.called.then_some(true), Tools::Asked(echo)),
        Ok(Err(error)) if refuses_tools(&error) => (Some(false), Tools::None),
        Ok(Err(error)) => (None, Tools::Unknown(words(&error))),
        Err(_) => (None, Tools::Unknown("it took too long".to_owned())),
    };
    if let (Some(offer), Some(known)) = (&mut offer, known) {
        offer.tools = Some(known);
    }
    tools
}

fn refuses_tools(error: &ProviderError) -> bool {
    let message = error.message.to_lowercase();
    error.class == ErrorClass::InvalidRequest
        && (message.contains("tool") || message.contains("function"))
}

/// Usage of a call that was not made yet.
pub(super) fn about_to_ask(provider: &dyn Provider, stored: &Connection, requested: &str) -> Spent {
    let known = queries::priced(Some(stored), provider.model(requested));
    let (model, requested) = (requested.to_owned(), requested.to_owned());
    let (provider, end) = (provider.name(), CallEnd::Refused);
    Spent { kind: CallKind::Test, provider, requested, model, tokens: None, known, end }
}

pub(super) fn spent(
    provider: &dyn Provider,
    stored: &Connection,
    probe: Probe,
    requested: &str,
) -> Spent {
    let (tokens, end) = (probe.usage, CallEnd::Answered);
    let call = Spent { tokens, end, ..about_to_ask(provider, stored, requested) };
    if probe.model.is_empty() { call } else { Spent { model: probe.model, ..call } }
}

/// Usage of a failed call. A call that broke off may have had a cost.
#[must_use]
pub fn ended(call: Spent, class: Option<ErrorClass>) -> Spent {
    let end = match class {
        Some(ErrorClass::Timeout | ErrorClass::Interrupted | ErrorClass::Garbage) => {
            CallEnd::CutOff
        }
        _ => CallEnd::Refused,
    };
    Spent { end, ..call }
}

fn answered(probe: &Probe, requested: &str) -> String {
    let took = format::duration(Duration::from_millis(probe.millis));
    let model = if probe.model.is_empty() { requested } else { &probe.model };
    format!("{model} answered in {took}")
}

/// What happened, what helps, and the provider's message.
fn words(error: &ProviderError) -> String {
    let status = error.status.map_or_else(String::new, |status| format!(" ({status})"));
    let own = error.message.trim();
    let advice = error.class.advice();
    if own.is_empty() {
        format!("{advice}{status}")
    } else {
        format!("{advice} Response{status}: {own}")
    }
}

fn list(models: &[ModelInfo]) -> Listed {
    let listed = models.iter().map(|m| ListedModel { id: m.id.clone(), name: m.name.clone() });
    let offer = |model: &ModelInfo| Offer {
        id: model.id.clone(),
        window: model.window,
        max_output: model.max_output,
        tools: model.can.tools,
        vision: model.can.vision,
        thinking: model.can.thinking,
        price: model.price.map(|p| [p.input, p.cache_read, p.cache_write, p.output]),
    };
    Listed { models: listed.collect(), offers: models.iter().map(offer).collect() }
}

fn stored(ws: &Ws, id: ConnectionId) -> Result<Connection, ConnectionError> {
    ws.read(|snap| snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id)))
}

/// Reloads the model list.
///
/// # Errors
/// If the provider does not return a list.
pub async fn refresh_models(
    ws: &Ws,
    who: &impl Who,
    id: ConnectionId,
) -> Result<Connection, CheckError> {
    // A reload asks for the current state, so discard what was learned.
    ws.app.accounts.of(id).forget_lessons();
    let provider = provider(ws, Some(id))?;
    let listed = match tokio::time::timeout(PATIENCE, provider.models()).await {
        Ok(Ok(models)) => list(&models),
        Ok(Err(error)) => {
            let text = words(&error);
            return Err(CheckError::Provider(
                ws.app.redactor.masked(Spot::Errors, &text).into_owned(),
            ));
        }
        Err(_) => return Err(CheckError::Provider("no answer in time; try again".to_owned())),
    };
    let changed = ws.write(who, move |tx| rules::set_models(tx, id, listed)).await;
    changed.map_err(CheckError::from)
}
