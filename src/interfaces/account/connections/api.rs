//! The connections API. Keys are write-only.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::workspace::model::Settings;
use kernel::{Can, ConnectionId};
use providers::catalog;
use providers::error::ErrorClass;
use store::{Read, ReadExt, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

mod models;
mod sign_in;
mod turns;

use features::connections::checks;
use features::connections::logins::Leaving;
use features::connections::model::{Connection, ListedModel, Wire};
use features::connections::provider::{forget_key, seal_key, watch_key};
use features::connections::queries::standing::status_of;
use features::connections::queries::uses::{Use, UseKind};
use features::connections::queries::{self, PRACTICE, PRACTICE_LABEL, eligible, turns as reads};
use features::connections::rules::{
    self, Changes, ConnectionError, Effect, KeyChange, NewConnection,
};

#[must_use]
pub fn routes() -> Routes {
    let one = "/connections/{id}";
    Routes::new()
        .get(
            "/connections",
            list.needs(Can::Read).doc(|| {
                Doc::new(
                    "Provider connections, the built-in practice provider and the default model",
                )
                .returns::<Listing>()
            }),
        )
        .post(
            "/connections",
            create.needs(Can::Admin).doc(|| {
                Doc::new("Add a connection").body::<NewBody>().returns::<View>().status(201)
            }),
        )
        .get(
            one,
            get.needs(Can::Read).doc(|| Doc::new("A connection with its models").returns::<View>()),
        )
        .patch(
            one,
            patch.needs(Can::Admin).doc(|| {
                Doc::new("Change a connection").if_match().body::<PatchBody>().returns::<View>()
            }),
        )
        .delete(
            one,
            delete.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Remove a connection and its key. Everything that uses it moves to the \
                replacement",
                )
                .query::<Removal>()
                .status(204)
            }),
        )
        .get(
            "/connections/{id}/uses",
            uses.needs(Can::Read).doc(|| {
                Doc::new("The agents, routines and settings that use a connection")
                    .returns::<Uses>()
            }),
        )
        .post(
            "/connections/{id}/test",
            test.needs(Can::Admin).doc(|| {
                Doc::new("Test a connection with a real call and save the result")
                    .no_key("each call asks the provider again")
                    .returns::<TestView>()
            }),
        )
        .post(
            "/connections/{id}/models",
            refresh.needs(Can::Admin).doc(|| {
                Doc::new("Refresh the list of models")
                    .no_key("each call asks the provider again")
                    .returns::<View>()
            }),
        )
        .merge(models::routes())
        .merge(turns::routes())
        .merge(sign_in::routes())
        .put(
            "/connections/default",
            set_default.needs(Can::Admin).doc(|| {
                Doc::new("Set the default model for agents without their own")
                    .body::<DefaultBody>()
                    .returns::<DefaultView>()
            }),
        )
}

/// A connection as the API shows it.
#[derive(Serialize, JsonSchema)]
struct View {
    id: ConnectionId,
    name: String,
    kind: Kind,
    /// Empty for those who do not manage connections.
    base_url: String,
    default_model: Option<String>,
    /// The last characters of the key, for those who manage connections.
    key_hint: Option<String>,
    tested: Option<TestedView>,
    models: Vec<ModelView>,
    /// Numbers of its keys, in the order in which they are used.
    keys: Vec<u32>,
    /// Who is left alone after a failure.
    resting: Vec<turns::RestView>,
    /// Price of a million tokens in micro-dollars where the catalogue has none.
    price: Option<PriceView>,
    /// On which way calls are paid: `api`, `subscription` or `own`.
    route: &'static str,
    /// Whether it can be used.
    eligible: bool,
    /// Why not: `missing_credential`, `expired`, `invalid_expires`, `unresolved_ref`, `ineligible_profile` or
    /// `no_model`.
    reason: Option<&'static str>,
    /// The account that somebody signs in to, for those who manage connections.
    account: Option<sign_in::AccountView>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize, JsonSchema)]
struct TestedView {
    at: String,
    ok: bool,
    message: String,
}

#[derive(Serialize, JsonSchema)]
struct ModelView {
    id: String,
    name: String,
    /// The window in tokens, if known.
    window: Option<u32>,
    /// The most tokens of one answer, if known.
    max_output: Option<u32>,
    tools: bool,
    vision: bool,
    /// The thinking levels that can be chosen.
    thinking: Vec<&'static str>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PriceView {
    input: i64,
    output: i64,
}

#[derive(Serialize, JsonSchema)]
struct DefaultView {
    /// None means practice.
    connection: Option<ConnectionId>,
    model: String,
}

#[derive(Serialize, JsonSchema)]
struct Practice {
    name: &'static str,
    model: &'static str,
    built_in: bool,
}

#[derive(Serialize, JsonSchema)]
struct Listing {
    items: Vec<View>,
    practice: Practice,
    default: DefaultView,
}

#[derive(Serialize, JsonSchema)]
struct TestView {
    ok: bool,
    /// `ok`, `auth`, `rate_limit`, `billing`, `timeout`, `format`, `no_model` or `unknown`.
    status: &'static str,
    /// A stable word for why it is not `ok`.
    reason: Option<&'static str>,
    /// How long the model took to answer, in milliseconds.
    millis: Option<u64>,
    message: String,
    /// Whether this made it the workspace's default, which had none.
    became_default: bool,
    connection: View,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    kind: Kind,
    /// As a person would type it; empty for the maker's own server.
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    api_key: String,
    default_model: Option<String>,
    /// Whether agents without a model of their own use it from now on; when left out, once it works and they have none.
    is_default: Option<bool>,
    /// Whether it is tested at once, which asks its model for one word; yes when left out.
    #[serde(default = "yes")]
    test: bool,
}

fn yes() -> bool {
    true
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions and all that speak it.
    Openai,
    /// OpenAI Responses.
    OpenaiResponses,
    /// Gemini's own protocol.
    Gemini,
    /// Ollama's own protocol.
    Ollama,
}

impl From<Kind> for Wire {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Anthropic => Self::Anthropic,
            Kind::Openai => Self::OpenaiChat,
            Kind::OpenaiResponses => Self::OpenaiResponses,
            Kind::Gemini => Self::Gemini,
            Kind::Ollama => Self::Ollama,
        }
    }
}

impl From<Wire> for Kind {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Anthropic => Self::Anthropic,
            Wire::OpenaiChat => Self::Openai,
            Wire::OpenaiResponses => Self::OpenaiResponses,
            Wire::Gemini => Self::Gemini,
            Wire::Ollama => Self::Ollama,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PatchBody {
    name: Option<String>,
    base_url: Option<String>,
    /// Another key; an empty text or null removes it.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    api_key: Option<Option<String>>,
    /// An empty text or null leaves the choice to HQ.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    default_model: Option<Option<String>>,
    /// Null when it is not known.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<PriceView>")]
    price: Option<Option<PriceView>>,
    /// Whether agents without a model of their own use it from now on; when left out, once it works and a person has not
    /// said that they stay with practice.
    is_default: Option<bool>,
    /// Whether another key or address is tested at once; yes when left out.
    #[serde(default = "yes")]
    test: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DefaultBody {
    /// None means practice.
    connection: Option<ConnectionId>,
    model: String,
}

fn view(ws: &Ws, tx: &dyn Read, connection: Connection) -> Result<View, ConnectionError> {
    let reason = eligible::why_not(tx, &connection, &ws.app.keyring, ws.app.clock.now())?;
    Ok(View {
        route: queries::route(&connection).word(),
        eligible: reason.is_none(),
        reason: reason.map(|reason| reason.word()),
        account: sign_in::account(tx, &connection)?,
        keys: reads::slots(tx, connection.id)?,
        resting: turns::resting(tx, connection.id)?,
        models: models(tx, &connection)?,
        id: connection.id,
        name: connection.name,
        kind: connection.wire.into(),
        base_url: connection.base_url,
        default_model: connection.default_model,
        key_hint: connection.key_hint,
        tested: connection.tested.map(|tested| TestedView {
            at: tested.at.to_string(),
            ok: tested.ok,
            message: tested.message,
        }),
        price: connection.price.map(|(input, output)| PriceView { input, output }),
        created_at: connection.created_at.to_string(),
        updated_at: connection.updated_at.to_string(),
    })
}

fn models(tx: &dyn Read, connection: &Connection) -> Result<Vec<ModelView>, ConnectionError> {
    let base = queries::base_of(connection)?;
    let mut offers = reads::offers(tx, connection.id)?;
    let view = |listed: &ListedModel| {
        let known = catalog::describe(&listed.id).at(&base);
        let is_known = !known.vendor.is_empty();
        let offer = offers.remove(&listed.id);
        let says = |number: Option<u32>, known: u32| number.or(is_known.then_some(known));
        let window = says(offer.as_ref().and_then(|o| o.window), known.window);
        let max_output = says(offer.as_ref().and_then(|o| o.max_output), known.max_output);
        let known = match &offer {
            Some(offer) => known.with_info(offer),
            None => known,
        };
        ModelView {
            id: listed.id.clone(),
            name: listed.name.clone(),
            window,
            max_output,
            tools: known.tools,
            vision: known.vision,
            thinking: known.levels().into_iter().map(|level| level.word()).collect(),
        }
    };
    Ok(connection.models.iter().map(view).collect())
}

fn default_of(tx: &dyn Read) -> Result<DefaultView, ConnectionError> {
    let settings = tx.get::<Settings>(())?;
    let connection = settings.as_ref().and_then(|s| s.default_connection);
    let model = settings.and_then(|s| s.default_model);
    Ok(DefaultView { connection, model: model.unwrap_or_else(|| PRACTICE.to_owned()) })
}

/// Hides the address, the key hint and the account from those who do not manage connections.
fn for_reader(view: View, who: &Person) -> View {
    match who.access.may(Can::Admin) {
        true => view,
        false => {
            View { base_url: String::new(), key_hint: None, tested: None, account: None, ..view }
        }
    }
}

async fn list(ws: Ws, who: Person) -> Result<Json<Listing>, ApiError> {
    let listing = ws.read(|snap| {
        Ok::<_, ConnectionError>(Listing {
            items: queries::all(snap)?
                .into_iter()
                .map(|connection| Ok(for_reader(view(&ws, snap, connection)?, &who)))
                .collect::<Result<_, ConnectionError>>()?,
            practice: Practice { name: PRACTICE_LABEL, model: PRACTICE, built_in: true },
            default: default_of(snap)?,
        })
    })?;
    Ok(Json(listing))
}

fn found(ws: &Ws, id: ConnectionId) -> Result<(u64, View), ApiError> {
    Ok(ws.read(|snap| {
        let found = snap.get_rev::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        Ok::<_, ConnectionError>((found.1, view(ws, snap, found.0)?))
    })?)
}

fn with_etag(ws: &Ws, id: ConnectionId) -> Result<Tagged<View>, ApiError> {
    let (rev, view) = found(ws, id)?;
    Ok(Tagged::ok(rev, view))
}

async fn get(ws: Ws, who: Person, Path(id): Path<ConnectionId>) -> Result<Tagged<View>, ApiError> {
    let (rev, view) = found(&ws, id)?;
    Ok(Tagged::ok(rev, for_reader(view, &who)))
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<View>, ApiError> {
    let new = NewConnection {
        name: body.name,
        wire: body.kind.into(),
        base_url: body.base_url,
        key: seal_key(&ws.app, &body.api_key),
        default_model: body.default_model,
    };
    let made = once.run(move |tx| {
        let id = rules::create(tx, new)?;
        match body.is_default {
            Some(is_default) => wish(tx, id, is_default)?,
            // The request says nothing about the default, so an earlier choice of the practice provider does not apply.
            None => rules::leave_practice(tx)?,
        }
        Ok::<_, ConnectionError>(id)
    });
    let id = ws.write(&who, made).await?;
    if !body.api_key.trim().is_empty() {
        watch_key(&ws.app, id, &body.api_key);
    }
    if body.test {
        try_out(&ws, &who, id).await?;
    }
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

/// Sets whether agents without a model of their own use this connection.
fn wish(tx: &mut WriteTx<'_>, id: ConnectionId, is_default: bool) -> Result<(), ConnectionError> {
    match is_default {
        true => rules::make_default(tx, id),
        false => rules::stay_on_practice(tx, id),
    }
}

async fn patch(
    ws: Ws,
    who: Person,
    once: Once,
    if_match: IfMatch,
    Path(id): Path<ConnectionId>,
    Patch(body): Patch<PatchBody>,
) -> Result<Tagged<View>, ApiError> {
    let api_key = body.api_key.map(Option::unwrap_or_default);
    let changes = Changes {
        name: body.name,
        base_url: body.base_url,
        key: match &api_key {
            None => KeyChange::Keep,
            Some(key) => seal_key(&ws.app, key).map_or(KeyChange::Remove, KeyChange::Replace),
        },
        default_model: body.default_model,
        price: body.price.map(|price| price.map(|price| (price.input, price.output))),
        client: None,
    };
    let write = once.run(move |tx| {
        let changed = rules::update(tx, id, if_match.0, changes)?;
        if let Some(is_default) = body.is_default {
            wish(tx, id, is_default)?;
        }
        Ok::<_, ConnectionError>(changed)
    });
    let changed = ws.write(&who, write).await?;
    match api_key.as_deref().map(str::trim) {
        Some("") => forget_key(&ws.app, id),
        Some(key) => {
            watch_key(&ws.app, id, key);
        }
        None => {}
    }
    if body.test && changed.tested.is_none() {
        try_out(&ws, &who, id).await?;
    }
    with_etag(&ws, id)
}

/// Tests a saved connection and stores the result. Without budget for the call, the connection stays untested.
async fn try_out(ws: &Ws, who: &Person, id: ConnectionId) -> Result<(), ConnectionError> {
    match checks::test(ws, who, id).await {
        Ok(_) | Err(ConnectionError::OverBudget) => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Removal {
    /// The connection that agents, routines and settings use from then on: with the same model where it lists it, else
    /// with its default model. Without it they use what the workspace uses.
    replacement: Option<ConnectionId>,
}

#[derive(Serialize, JsonSchema)]
struct Uses {
    items: Vec<UseView>,
}

#[derive(Serialize, JsonSchema)]
struct UseView {
    kind: UseKind,
    /// Of the agent or routine; "Workspace" for a setting.
    name: String,
    /// Its page.
    href: String,
}

async fn uses(ws: Ws, Path(id): Path<ConnectionId>) -> Result<Json<Uses>, ApiError> {
    let found = ws.read(|snap| {
        snap.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
        Ok::<_, ConnectionError>(queries::uses::of(snap, id)?)
    })?;
    let view = |one: Use| UseView { kind: one.kind, name: one.name, href: ws.url(&one.path) };
    Ok(Json(Uses { items: found.into_iter().map(view).collect() }))
}

async fn delete(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ConnectionId>,
    Query(wanted): Query<Removal>,
) -> Result<Response, ApiError> {
    let leaving = Leaving::of(&ws, id);
    let to = wanted.replacement;
    ws.write(&who, once.run(move |tx| rules::removal::delete(tx, id, to))).await?;
    forget_key(&ws.app, id);
    if let Some(leaving) = leaving {
        leaving.tell(&ws);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn test(
    ws: Ws,
    who: Person,
    Path(id): Path<ConnectionId>,
) -> Result<Json<TestView>, ApiError> {
    let checked = checks::test(&ws, &who, id).await?;
    Ok(Json(TestView {
        ok: checked.tested.ok,
        status: checked.class.map_or(if checked.tested.ok { "ok" } else { "unknown" }, status_of),
        reason: checked.class.map(ErrorClass::word),
        millis: checked.millis,
        message: checked.tested.message,
        became_default: checked.effect == Effect::BecameDefault,
        connection: ws.read(|snap| view(&ws, snap, checked.connection))?,
    }))
}

async fn refresh(
    ws: Ws,
    who: Person,
    Path(id): Path<ConnectionId>,
) -> Result<Tagged<View>, ApiError> {
    checks::refresh_models(&ws, &who, id).await?;
    with_etag(&ws, id)
}

async fn set_default(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<DefaultBody>,
) -> Result<Json<DefaultView>, ApiError> {
    let DefaultBody { connection, model } = body;
    let set = once.run(move |tx| rules::set_default(tx, connection, &model).map(drop));
    ws.write(&who, set).await?;
    Ok(Json(ws.read(|snap| default_of(snap))?))
}
