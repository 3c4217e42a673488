//! API routes of sources, `/api/v1/sources`.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use app::{App, Ws};
use connect::{About, Reads};
use kernel::{Can, Timestamp};
use knowledge::model::{FolderId, KnowledgeId};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::extract::{self, Json, Path, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use crate::error::SourceError;
use crate::model::{Counts, Entry, EntryState, Run, RunState, Source, Status, Why};
use crate::queries;
use crate::reach;
use crate::rules::{self, Leaves, NewSource, Patch};

/// Items per page, and syncs shown.
const PAGE: usize = 200;
const RUNS: usize = 50;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/sources",
            list.needs(Can::Read).doc(|| Doc::new("Knowledge sources").returns::<Sources>()),
        )
        .post(
            "/sources",
            make.needs(Can::Admin).doc(|| {
                Doc::new("Add a source. The first sync starts right away")
                    .body::<NewBody>()
                    .returns::<SourceView>()
                    .status(201)
            }),
        )
        .get(
            "/sources/connectors",
            connectors
                .needs(Can::Read)
                .doc(|| Doc::new("Connectors and their fields").returns::<Connectors>()),
        )
        .post(
            "/sources/look",
            preview.needs(Can::Admin).doc(|| {
                Doc::new("Check that a source is readable before adding it")
                    .body::<LookBody>()
                    .returns::<LookView>()
            }),
        )
        .get(
            "/sources/{id}",
            show.needs(Can::Read).doc(|| {
                Doc::new(
                    "A source with its recent syncs, by ID or \
                    name",
                )
                .returns::<Whole>()
            }),
        )
        .patch(
            "/sources/{id}",
            change
                .needs(Can::Admin)
                .doc(|| Doc::new("Change a source").body::<ChangeBody>().returns::<SourceView>()),
        )
        .delete(
            "/sources/{id}",
            remove.needs(Can::Admin).doc(|| {
                Doc::new(
                    "Remove a source. `items` decides on its items: `keep`, `archive` or \
                    `delete`",
                )
                .query::<Removed>()
                .status(204)
            }),
        )
        .get(
            "/sources/{id}/items",
            items.needs(Can::Read).doc(|| {
                Doc::new(
                    "A source's \
                    items",
                )
                .query::<DocumentListParams>()
                .returns::<Items>()
            }),
        )
        .post(
            "/sources/{id}/sync",
            sync.needs(Can::Write).doc(|| {
                Doc::new("Sync a source now. `item` is always fetched")
                    .query::<Synced>()
                    .returns::<SourceView>()
                    .status(202)
            }),
        )
        .post(
            "/sources/{id}/answer",
            answer.needs(Can::Admin).doc(|| {
                Doc::new("Decide on a sync that would remove many items")
                    .body::<AnswerBody>()
                    .returns::<SourceView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Sources {
    items: Vec<SourceView>,
}

/// A source.
#[derive(Serialize, JsonSchema)]
struct SourceView {
    id: String,
    name: String,
    /// The id of its connector.
    connector: String,
    reads: Reads,
    status: Status,
    paused: bool,
    /// Whether agents may write to it.
    writable: bool,
    interval_hours: u32,
    /// Where its new items lie.
    folder: Option<FolderId>,
    /// How many items it has.
    items: usize,
    /// What people should know, in sentences.
    message: String,
    /// How many items a sync would take away, and waits for a yes.
    asks: u32,
    /// Syncs that failed in a row.
    failures: u32,
    /// Whether it is being synced.
    running: bool,
    #[schemars(with = "Option<String>")]
    synced_at: Option<Timestamp>,
    /// None while it waits for a person.
    #[schemars(with = "Option<String>")]
    next_sync_at: Option<Timestamp>,
}

/// A source with its last syncs.
#[derive(Serialize, JsonSchema)]
struct Whole {
    #[serde(flatten)]
    source: SourceView,
    /// Newest first.
    syncs: Vec<RunView>,
}

/// A sync.
#[derive(Serialize, JsonSchema)]
struct RunView {
    n: u32,
    state: RunState,
    why: Why,
    #[serde(flatten)]
    counts: Counts,
    message: String,
    #[schemars(with = "String")]
    began_at: Timestamp,
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
}

fn view(read: &dyn Read, one: Source) -> Result<SourceView, SourceError> {
    let standing = queries::standing(read, one.id, one.created_at)?;
    let last = queries::runs(read, one.id, 1)?.pop();
    Ok(SourceView {
        id: one.id.to_string(),
        items: queries::count(read, one.id)?,
        next_sync_at: standing.due(one.paused).map(|at| at.max(standing.next_at)),
        name: one.name,
        connector: one.provider,
        reads: one.reads,
        status: standing.status,
        paused: one.paused,
        writable: one.writable,
        interval_hours: one.interval_hours,
        folder: one.folder,
        message: standing.message,
        asks: standing.asks,
        failures: standing.failures,
        running: last.is_some_and(|run| run.state == RunState::Running),
        synced_at: standing.synced_at,
    })
}

fn run_view(run: Run) -> RunView {
    RunView {
        n: run.n,
        state: run.state,
        why: run.why,
        counts: run.counts,
        message: run.message,
        began_at: run.began_at,
        ended_at: run.ended_at,
    }
}

async fn list(ws: Ws) -> Result<Json<Sources>, ApiError> {
    let items = ws.read_blocking(|ws| {
        ws.read(|snap| {
            let all = queries::sources(snap)?.into_iter();
            all.map(|one| view(snap, one)).collect::<Result<Vec<_>, SourceError>>()
        })
    });
    Ok(Json(Sources { items: items.await? }))
}

async fn show(ws: Ws, Path(name): Path<String>) -> Result<Json<Whole>, ApiError> {
    let whole = ws.read(|snap| {
        let one = queries::source(snap, &name)?;
        let runs = queries::runs(snap, one.id, RUNS)?;
        let syncs = runs.into_iter().map(run_view).collect();
        Ok::<_, SourceError>(Whole { source: view(snap, one)?, syncs })
    })?;
    Ok(Json(whole))
}

#[derive(Serialize, JsonSchema)]
struct Connectors {
    /// As their manifests say.
    items: Vec<Value>,
    /// What is wrong with other manifests.
    refused: Vec<String>,
    /// The folders below which folders may be read.
    folders: Vec<String>,
}

async fn connectors(app: App, ws: Ws) -> Result<Json<Connectors>, ApiError> {
    let catalog = ws.read_blocking(|ws| Ok::<_, SourceError>(reach::catalog(&ws.app))).await?;
    let json = |one: &connect::Manifest| serde_json::to_value(one).unwrap_or_default();
    let folders = app.config.source_folders.iter().map(|one| one.display().to_string());
    Ok(Json(Connectors {
        items: catalog.manifests.iter().map(json).collect(),
        refused: catalog.refused,
        folders: folders.collect(),
    }))
}

/// Something that could be read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LookBody {
    connector: String,
    reads: Reads,
}

#[derive(Serialize, JsonSchema)]
struct LookView {
    name: String,
    says: String,
}

async fn preview(ws: Ws, Json(body): Json<LookBody>) -> Result<Json<LookView>, ApiError> {
    let About { name, says } = looked(&ws, &body.connector, &body.reads).await?;
    Ok(Json(LookView { name, says }))
}

/// Preview of what a source would read.
pub(crate) async fn looked(ws: &Ws, connector: &str, reads: &Reads) -> Result<About, SourceError> {
    let manifest = manifest(ws, connector).await?;
    let reads = manifest.settle(reads);
    if let Some((key, message)) = manifest.wrong(&reads) {
        return Err(SourceError::field(&key, message));
    }
    let first = manifest.reads.iter().find(|field| field.required);
    let key = first.map_or("connector", |field| field.key.as_str());
    let looked = match reach::opened(&ws.app, &manifest, &reads) {
        Ok(reached) => reached.connector.validate().await,
        Err(fault) => Err(fault),
    };
    looked.map_err(|fault| SourceError::field(key, fault.to_string()))
}

pub(crate) async fn manifest(ws: &Ws, id: &str) -> Result<connect::Manifest, SourceError> {
    let id = id.to_owned();
    ws.read_blocking(move |ws| {
        let found = reach::catalog(&ws.app).get(&id).cloned();
        found.ok_or_else(|| SourceError::no("connector", &id))
    })
    .await
}

/// A source to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    /// The id of its connector.
    connector: String,
    /// What it is called; as it calls itself when absent.
    name: Option<String>,
    reads: Reads,
    interval_hours: Option<u32>,
    writable: Option<bool>,
    /// The folder's id, name or path.
    folder: Option<String>,
}

async fn make(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, Json<SourceView>), ApiError> {
    let about = looked(&ws, &body.connector, &body.reads).await?;
    let manifest = manifest(&ws, &body.connector).await?;
    let folder = folder_of(&ws, body.folder.as_deref())?;
    let new = NewSource {
        name: body.name.unwrap_or(about.name),
        manifest,
        reads: body.reads,
        patch: Patch {
            interval_hours: body.interval_hours,
            writable: body.writable,
            folder,
            ..Patch::default()
        },
    };
    let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|one| one.id));
    let id = ws.write(&who, make).await?;
    let view = ws.read(|snap| view(snap, queries::source_by_id(snap, id)?))?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Resolves a folder; an empty name means no folder, `None` no change.
pub(crate) fn folder_of(
    ws: &Ws,
    name: Option<&str>,
) -> Result<Option<Option<FolderId>>, SourceError> {
    let Some(name) = name else { return Ok(None) };
    let found = ws.read(|snap| knowledge::queries::folder_given(snap, Some(name.trim())))?;
    Ok(Some(found))
}

/// What a source is to be; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    /// All of what is read; what tells one source from another stays.
    reads: Option<Reads>,
    interval_hours: Option<u32>,
    paused: Option<bool>,
    writable: Option<bool>,
    /// The folder's id, name or path; empty or null for none.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    folder: Option<Option<String>>,
}

async fn change(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    extract::Patch(body): extract::Patch<ChangeBody>,
) -> Result<Json<SourceView>, ApiError> {
    let one = ws.read(|snap| queries::source(snap, &name))?;
    let reads = match body.reads {
        Some(reads) => Some((manifest(&ws, &one.provider).await?, reads)),
        None => None,
    };
    let folder = body.folder.map(Option::unwrap_or_default);
    let patch = Patch {
        name: body.name,
        reads,
        interval_hours: body.interval_hours,
        paused: body.paused,
        writable: body.writable,
        folder: folder_of(&ws, folder.as_deref())?,
    };
    let one = ws.write(&who, move |tx| rules::change(tx, one.id, patch)).await?;
    Ok(Json(ws.read(|snap| view(snap, one))?))
}

/// What becomes of the items.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Removed {
    items: Option<Leaves>,
}

async fn remove(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<Removed>,
) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::source(snap, &name))?.id;
    let leaves = params.items.unwrap_or(Leaves::Keep);
    ws.write(&who, move |tx| rules::remove(tx, id, leaves)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which item is fetched in any case.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Synced {
    item: Option<KnowledgeId>,
}

async fn sync(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<Synced>,
) -> Result<(StatusCode, Json<SourceView>), ApiError> {
    let id = ws.read(|snap| queries::source(snap, &name))?.id;
    let one = ws.write(&who, move |tx| rules::sync_now(tx, id, params.item)).await?;
    Ok((StatusCode::ACCEPTED, Json(ws.read(|snap| view(snap, one))?)))
}

/// Whether the items go.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// Whether the items that are gone there go here, too; otherwise they stay for good.
    take_away: bool,
}

async fn answer(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<AnswerBody>,
) -> Result<Json<SourceView>, ApiError> {
    let one = ws.read(|snap| queries::source(snap, &name))?;
    let id = one.id;
    ws.write(&who, move |tx| rules::answer(tx, id, body.take_away)).await?;
    Ok(Json(ws.read(|snap| view(snap, one))?))
}

/// Which items.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DocumentListParams {
    /// `next` of the answer before.
    cursor: String,
}

#[derive(Serialize, JsonSchema)]
struct Items {
    items: Vec<ItemView>,
    next: Option<String>,
}

/// An item of a source.
#[derive(Serialize, JsonSchema)]
struct ItemView {
    id: KnowledgeId,
    title: String,
    place: String,
    address: String,
    /// `stale`, `synced`, `error`, `missing` or `source_deleted`.
    state: &'static str,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
    /// The hash of what lies there, as a write names it.
    hash: String,
    #[schemars(with = "String")]
    synced_at: Timestamp,
    archived: bool,
}

fn item_view(read: &dyn Read, entry: Entry) -> Result<ItemView, SourceError> {
    let item: Option<knowledge::model::Item> = read.get(entry.item)?;
    let (state, problem) = match entry.state {
        EntryState::Stale => ("stale", String::new()),
        EntryState::Synced => ("synced", String::new()),
        EntryState::Failed(why) => ("error", why),
        EntryState::Missing(_) => ("missing", String::new()),
        EntryState::Gone => ("source_deleted", String::new()),
    };
    Ok(ItemView {
        id: entry.item,
        title: item.as_ref().map(|item| item.title.clone()).unwrap_or_default(),
        archived: item.is_some_and(|item| item.archived_at.is_some()),
        hash: hex::encode(entry.hash),
        place: entry.place,
        address: entry.address,
        state,
        problem,
        synced_at: entry.synced_at,
    })
}

/// Decodes a cursor into the place of an item.
fn place_of(cursor: &str) -> Result<String, SourceError> {
    let place = store::cursor_key(cursor).and_then(|key| String::from_utf8(key).ok());
    let words = "Use the cursor of the previous page unchanged.";
    place.ok_or_else(|| SourceError::field("cursor", words))
}

async fn items(
    ws: Ws,
    Path(name): Path<String>,
    Query(params): Query<DocumentListParams>,
) -> Result<Json<Items>, ApiError> {
    let after = match params.cursor.as_str() {
        "" => None,
        text => Some(place_of(text)?),
    };
    let items = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let one = queries::source(snap, &name)?;
            let mut entries = queries::entries(snap, one.id)?;
            entries.sort_by(|a, b| a.place.cmp(&b.place));
            if let Some(after) = &after {
                entries.retain(|entry| *after < entry.place);
            }
            let more = PAGE < entries.len();
            entries.truncate(PAGE);
            let last = entries.last().filter(|_| more);
            let next = last.map(|entry| store::key_cursor(entry.place.as_bytes()));
            let items = entries.into_iter().map(|entry| item_view(snap, entry));
            let items = items.collect::<Result<Vec<_>, SourceError>>()?;
            Ok::<_, SourceError>(Items { items, next })
        })
    });
    Ok(Json(items.await?))
}
