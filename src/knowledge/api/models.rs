//! `/api/v1/meaning` and `/api/v1/embed`: models and state of semantic search.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use embed::{Model, Pooling, Terms};
use kernel::{Can, ConnectionId};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;
use web::upload;

use crate::error::KnowledgeError;
use crate::meaning;
use crate::meaning::far::{self, Able, Estimate};
use crate::meaning::models::{self, Line};
use crate::meaning::ready;
use crate::model::ModelAct;

const AGAIN_IS_THE_SAME: &str = "repeating it has no effect";
const NOTHING_KEPT: &str = "nothing is saved";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/meaning",
            list.needs(Can::Read)
                .doc(|| Doc::new("Semantic search models and progress").returns::<State>()),
        )
        .post(
            "/meaning",
            take_in.needs(Can::Admin).proved().doc(|| {
                Doc::new(
                    "Create a model from uploaded files and use it unless `use` is false. Unknown \
                        models need `terms` to confirm their hashes",
                )
                .body::<TakeIn>()
                .returns::<State>()
                .no_key(AGAIN_IS_THE_SAME)
            }),
        )
        .put(
            "/meaning/files/{name}",
            receive.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Upload a model file: config.json, tokenizer.json or model.safetensors as an \
                        application/octet-stream body",
                )
                .status(204)
            }),
        )
        .put(
            "/meaning/used",
            choose.needs(Can::Admin).doc(|| {
                Doc::new("Use a downloaded model, by ID or name; null for none")
                    .body::<Chosen>()
                    .returns::<State>()
            }),
        )
        .get(
            "/meaning/connections",
            connections.needs(Can::Read).doc(|| {
                Doc::new("Connections that can embed instead of the model on this machine")
                    .returns::<Connections>()
            }),
        )
        .get(
            "/meaning/price",
            price.needs(Can::Read).doc(|| {
                Doc::new(
                    "Estimated cost of embedding all passages of this workspace with a \
                    connection",
                )
                .query::<ByConnection>()
                .returns::<Price>()
            }),
        )
        .put(
            "/meaning/connection",
            choose_connection.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Use a connection for this workspace's vectors after a trial; null for the \
                        model on this machine. Choosing it again retries failures",
                )
                .body::<Connected>()
                .returns::<State>()
            }),
        )
        .post(
            "/meaning/models/{id}/download",
            download.needs(Can::Admin).doc(|| {
                Doc::new("Download a known model and use it")
                    .returns::<State>()
                    .status(202)
                    .no_key(AGAIN_IS_THE_SAME)
            }),
        )
        .delete(
            "/meaning/models/{id}",
            remove
                .needs(Can::Admin)
                .doc(|| Doc::new("Remove a model's files. It must not be in use").status(204)),
        )
        .post(
            "/embed",
            embed.needs(Can::Read).doc(|| {
                Doc::new("Embed a text with the model in use")
                    .body::<EmbedBody>()
                    .returns::<Embedded>()
                    .no_key(NOTHING_KEPT)
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct State {
    /// The id of the model in use.
    used: Option<String>,
    /// Who makes vectors in place of the model on this machine.
    connection: Option<ConnectedView>,
    /// Whether it is in memory.
    loaded: bool,
    /// Passages of this workspace that are found by meaning.
    passages: usize,
    /// Passages that are not found by meaning yet.
    waiting: usize,
    /// Whether search finds all that there is.
    ready: bool,
    /// Items that search leaves out, as HQ stumbles over them: dead letters of the consumers `vectors` and `search`.
    left_out: usize,
    /// The same in sentences, with what is missing.
    says: String,
    /// What vectors cost a day, in micro-dollars, as the mean of the last seven days; of a connection whose price is known.
    cost_a_day_micros: Option<i64>,
    /// What went wrong last, in a sentence.
    trouble: String,
    /// The model that is being downloaded.
    downloading: Option<Download>,
    items: Vec<ModelView>,
    /// A model whose hashes nobody has confirmed.
    unknown: Option<Unknown>,
}

/// A model behind a connection.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VectorConnection")]
struct ConnectedView {
    id: ConnectionId,
    name: String,
    model: String,
    dimensions: u32,
}

#[derive(Serialize, JsonSchema)]
struct Download {
    id: String,
    bytes: u64,
    of: u64,
}

#[derive(Serialize, JsonSchema)]
struct ModelView {
    id: String,
    name: String,
    /// Whether it is on this machine.
    here: bool,
    bytes: Option<u64>,
    used: bool,
    dimensions: usize,
    max_tokens: usize,
    /// Where it comes from.
    repository: Option<&'static str>,
    revision: Option<&'static str>,
    /// What its weights hash to.
    sha256: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Unknown {
    /// What config.json, tokenizer.json and model.safetensors hash to.
    sha256: [String; 3],
    dimensions: usize,
    /// Whether it lies in the folder of HQ_EMBED_MODEL_DIR, and was not sent.
    given: bool,
}

impl From<Line> for ModelView {
    fn from(line: Line) -> Self {
        let Model { files, .. } = &line.model;
        Self {
            here: line.bytes.is_some(),
            bytes: line.bytes,
            used: line.is_used,
            dimensions: line.model.dimensions(),
            max_tokens: line.model.max_tokens,
            repository: line.model.repository,
            revision: line.model.revision,
            sha256: files[2].sha256.map(hex::encode),
            name: line.model.name.into_owned(),
            id: line.model.id.into_owned(),
        }
    }
}

async fn list(ws: Ws) -> Result<Json<State>, ApiError> {
    Ok(Json(ws.read_blocking(state).await?))
}

fn state(ws: &Ws) -> Result<State, KnowledgeError> {
    let all = models::all(&ws.app)?;
    let coming = ws.app.meaning.coming();
    let ready = ready::of(ws)?;
    Ok(State {
        used: meaning::source(ws)?.map(|source| source.id()),
        connection: far::chosen(ws)?.map(|(maker, name)| ConnectedView {
            id: maker.connection,
            name,
            model: maker.model,
            dimensions: maker.dimensions,
        }),
        loaded: ws.app.meaning.is_loaded(),
        passages: ready.passages,
        waiting: ready.all - ready.passages,
        ready: ready.is_ready,
        left_out: ready.left_out,
        says: ready.says,
        cost_a_day_micros: ready.cost.and_then(|cost| cost.a_day),
        trouble: models::troubles(ws, &all).into_iter().next().unwrap_or_default(),
        downloading: (!coming.id.is_empty()).then_some(Download {
            id: coming.id,
            bytes: coming.have,
            of: coming.all,
        }),
        unknown: all.unknown.map(|(folder, given)| Unknown {
            sha256: folder.hashes.map(hex::encode),
            dimensions: folder.shape.width,
            given,
        }),
        items: all.lines.into_iter().map(ModelView::from).collect(),
    })
}

/// What a person says of a model that HQ does not know; its card tells.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TermsBody {
    name: String,
    /// How one vector is made of many: `mean` or `first`.
    #[schemars(with = "String")]
    pooling: Pooling,
    #[serde(default)]
    query_prefix: String,
    #[serde(default)]
    passage_prefix: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TakeIn {
    terms: Option<TermsBody>,
    /// The model in the folder of HQ_EMBED_MODEL_DIR, in place of the one that was sent.
    #[serde(default)]
    given: bool,
    /// Whether it is taken into use.
    #[serde(rename = "use", default = "yes")]
    is_used: bool,
}

fn yes() -> bool {
    true
}

async fn take_in(
    app: App,
    ws: Ws,
    who: Person,
    Json(body): Json<TakeIn>,
) -> Result<Json<State>, ApiError> {
    models::only_managers(&app, who.account)?;
    let terms = body.terms.map(|terms| Terms {
        name: terms.name,
        pooling: terms.pooling,
        query_prefix: terms.query_prefix,
        passage_prefix: terms.passage_prefix,
    });
    let made = ws.read_blocking(move |_| {
        let model = match (body.given, terms) {
            (true, Some(terms)) => models::confirm_given(&app, terms)?,
            (true, None) => {
                let words = "Enter the details from the model card.";
                return Err(KnowledgeError::field("terms", words));
            }
            (false, terms) => models::take_in(&app, terms)?,
        };
        if body.is_used { models::used(&app, model) } else { Ok(model) }
    });
    let act = if body.is_used { ModelAct::Used } else { ModelAct::Added };
    models::note(&ws, &who, act, &made.await?.id).await?;
    Ok(Json(ws.read_blocking(state).await?))
}

async fn receive(
    app: App,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    models::only_managers(&app, who.account)?;
    let (parts, body) = request.into_parts();
    let arrived = upload::body(&ws, (&parts.headers, body), &name, models::LARGEST).await?;
    ws.read_blocking(move |ws| models::receive_blob(ws, &name, arrived.blob)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Chosen {
    id: Option<String>,
}

async fn choose(
    app: App,
    ws: Ws,
    who: Person,
    Json(body): Json<Chosen>,
) -> Result<Json<State>, ApiError> {
    models::only_managers(&app, who.account)?;
    let name = body.id.unwrap_or_default();
    let id = ws.read_blocking(move |_| models::choose(&app, &name)).await?;
    let act = if id.is_empty() { ModelAct::Off } else { ModelAct::Used };
    models::note(&ws, &who, act, &id).await?;
    Ok(Json(ws.read_blocking(state).await?))
}

async fn download(
    app: App,
    ws: Ws,
    who: Person,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    models::only_managers(&app, who.account)?;
    models::fetch(&app, &id)?;
    models::note(&ws, &who, ModelAct::Fetched, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(ws.read_blocking(state).await?)).into_response())
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    models::only_managers(&app, who.account)?;
    let own = id.clone();
    ws.read_blocking(move |_| models::remove(&app, &own)).await?;
    models::note(&ws, &who, ModelAct::Removed, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmbedBody {
    input: String,
}

#[derive(Serialize, JsonSchema)]
struct Embedded {
    embedding: Vec<f32>,
    model: String,
    dimensions: usize,
}

async fn embed(ws: Ws, Json(body): Json<EmbedBody>) -> Result<Json<Embedded>, ApiError> {
    if body.input.trim().is_empty() {
        return Err(KnowledgeError::field("input", "Enter text to embed.").into());
    }
    let (model, embedding) = far::vector(&ws, body.input).await?;
    Ok(Json(Embedded { dimensions: embedding.len(), embedding, model }))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VectorConnections")]
struct Connections {
    items: Vec<AbleView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VectorConnectionOffer")]
struct AbleView {
    id: ConnectionId,
    name: String,
    /// Models of its server that make vectors; others may be there, too.
    models: &'static [&'static str],
}

async fn connections(ws: Ws) -> Result<Json<Connections>, ApiError> {
    let all = ws.read_blocking(far::able).await?;
    let view = |one: Able| AbleView { id: one.id, name: one.name, models: one.models };
    Ok(Json(Connections { items: all.into_iter().map(view).collect() }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VectorConnectionAsked")]
struct ByConnection {
    /// Its id or name.
    connection: String,
    /// The model, as its server calls it.
    model: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VectorPrice")]
struct Price {
    passages: usize,
    /// About how many.
    tokens: u64,
    /// About what they cost, in micro-dollars; none where no price is known.
    micros: Option<i64>,
    /// Whether nothing is paid by the token there.
    free: bool,
}

async fn price(ws: Ws, Query(params): Query<ByConnection>) -> Result<Json<Price>, ApiError> {
    let made =
        ws.read_blocking(move |ws| far::estimate(ws, &params.connection, &params.model)).await?;
    let Estimate { passages, tokens, micros, is_free, .. } = made;
    Ok(Json(Price { passages, tokens, micros, free: is_free }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VectorConnectionChoice")]
struct Connected {
    /// Its id or name; null for the model on this machine.
    connection: Option<String>,
    /// The model, as its server calls it.
    #[serde(default)]
    model: String,
}

async fn choose_connection(
    ws: Ws,
    who: Person,
    Json(body): Json<Connected>,
) -> Result<Json<State>, ApiError> {
    match &body.connection {
        Some(name) => far::choose(&ws, &who, (name, &body.model)).await?,
        None => far::choose_local(&ws, &who).await?,
    };
    Ok(Json(ws.read_blocking(state).await?))
}
