//! The API of fallbacks: additional keys, fallback lists, cooldowns.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::connections::model::{Cooldown, Named};
use features::connections::provider::{forget_spare, seal_key, watch_spare};
use features::connections::queries::turns as reads;
use features::connections::rules::{ConnectionError, turns};
use kernel::{AgentId, Can, ConnectionId};
use store::{Read, WriteTx};
use web::error::ApiError;
use web::extract::{Json, Path, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/connections/fallbacks",
            list.needs(Can::Read).doc(|| {
                Doc::new("Fallback models of an agent or the workspace")
                    .query::<Whose>()
                    .returns::<Fallbacks>()
            }),
        )
        .put(
            "/connections/fallbacks",
            set.needs(Can::Admin)
                .doc(|| Doc::new("Set fallback models").body::<SetBody>().returns::<Fallbacks>()),
        )
        .post(
            "/connections/{id}/keys",
            add_key.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Add a key that is used when the keys before it are rejected or rate-limited",
                )
                .body::<KeyBody>()
                .returns::<KeyView>()
                .status(201)
            }),
        )
        .delete(
            "/connections/{id}/keys/{slot}",
            remove_key.needs(Can::Admin).doc(|| Doc::new("Remove an additional key").status(204)),
        )
        .delete(
            "/connections/{id}/rests",
            retry_now.needs(Can::Admin).doc(|| {
                Doc::new("Retry a connection now that is paused after failures").status(204)
            }),
        )
}

/// Somebody who is left alone after a failure.
#[derive(Serialize, JsonSchema)]
pub(super) struct RestView {
    /// The number of the key.
    key: u32,
    /// The model; none when the key rests for every model.
    model: Option<String>,
    class: &'static str,
    message: String,
    failures: u32,
    until: String,
}

/// Failures of a connection, including those with an expired cooldown.
pub(super) fn resting(tx: &dyn Read, id: ConnectionId) -> Result<Vec<RestView>, ConnectionError> {
    let all = reads::failures_of(tx, id)?.into_iter();
    let view = |rest: Cooldown| RestView {
        key: rest.slot,
        model: rest.model,
        class: rest.class.word(),
        message: rest.message,
        failures: rest.failures,
        until: rest.until.to_string(),
    };
    Ok(all.map(view).collect())
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModelName {
    /// None means practice.
    connection: Option<ConnectionId>,
    model: String,
}

#[derive(Serialize, JsonSchema)]
struct Fallbacks {
    agent: Option<AgentId>,
    /// Whether an agent has a list of its own; without one the workspace's counts, and stands here.
    own: bool,
    models: Vec<ModelName>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetBody {
    /// Whose list; none for the workspace's.
    agent: Option<AgentId>,
    /// In order; an empty list for nobody. Left out or null, an agent falls back on the workspace's list.
    #[serde(default)]
    models: Option<Vec<ModelName>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    api_key: String,
}

#[derive(Serialize, JsonSchema)]
struct KeyView {
    /// Its number in the connection.
    key: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// Whose list; none for the workspace's.
    agent: Option<AgentId>,
}

fn fallbacks(ws: &Ws, agent: Option<AgentId>) -> Result<Json<Fallbacks>, ApiError> {
    let list = ws.read(|snap| reads::fallbacks(snap, agent))?;
    let name = |n: Named| ModelName { connection: n.connection, model: n.model };
    let models = list.models.into_iter().map(name).collect();
    Ok(Json(Fallbacks { agent, own: list.is_own, models }))
}

async fn list(ws: Ws, Query(whose): Query<Whose>) -> Result<Json<Fallbacks>, ApiError> {
    fallbacks(&ws, whose.agent)
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<SetBody>,
) -> Result<Json<Fallbacks>, ApiError> {
    let SetBody { agent, models } = body;
    let named = |m: ModelName| Named { connection: m.connection, model: m.model };
    let models = models.map(|models| models.into_iter().map(named).collect());
    let set = move |tx: &mut WriteTx<'_>| match (agent, models) {
        (Some(agent), None) => turns::follow_fallbacks(tx, agent),
        (agent, models) => turns::set_fallbacks(tx, agent, models.unwrap_or_default()),
    };
    ws.write(&who, once.run(set)).await?;
    fallbacks(&ws, agent)
}

async fn add_key(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ConnectionId>,
    Json(body): Json<KeyBody>,
) -> Result<Response, ApiError> {
    let key = seal_key(&ws.app, &body.api_key).ok_or(ConnectionError::KeyMissing)?;
    let slot = ws.write(&who, once.run(move |tx| turns::add_key(tx, id, key))).await?;
    watch_spare(&ws.app, id, slot, &body.api_key);
    Ok((StatusCode::CREATED, Json(KeyView { key: slot })).into_response())
}

async fn remove_key(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(id, slot): Path2<ConnectionId, u32>,
) -> Result<Response, ApiError> {
    ws.write(&who, once.run(move |tx| turns::remove_key(tx, id, slot))).await?;
    forget_spare(&ws.app, id, slot);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn retry_now(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<ConnectionId>,
) -> Result<Response, ApiError> {
    ws.write(&who, once.run(move |tx| turns::retry_now(tx, id).map(drop))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
