//! `/api/v1/contacts`, `organizations`, `collections` with their records, `fields` and `interactions`.

mod cells;
mod collections;
mod fields;
mod suggestions;
mod talks;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use app::Ws;
use entity::{Column, Entity, Names as _, Origin, Source};
use kernel::{Actor, Assignee, Can, Timestamp};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Path, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

use collections::{
    CollectionBody, CollectionView, Collections, change_collection, collections, make_collection,
    remove_collection, show_collection,
};
use talks::{Talks, talks};

pub(crate) use fields::schema;
pub(crate) use talks::{TalkBody, talk_view};
use uuid::Uuid;

use crate::cards::{CONTACT, ORGANIZATION};
use crate::columns;
use crate::cursor::{self, Paging};
use crate::error::CrmError;
use crate::list::{self, Around};
use crate::model::{CollectionId, NAME, Row, RowKind, Suggestion, SuggestionId};
use crate::names::{Known, person};
use crate::path_kind::PathKind;
use crate::queries;
use crate::rules::{self, Sent};

/// Default and maximum number of rows per page.
const PAGE: usize = 50;
const MOST: usize = 500;

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    let routes = book(Routes::new(), "/contacts", || of_many(&CONTACT));
    let routes = book(routes, "/organizations", || of_many(&ORGANIZATION));
    one(routes, "/records/{id}")
        .post(
            "/suggestions/{id}/{decision}",
            decide.needs(Can::Write).doc(|| {
                Doc::new("Accept (`take`) or dismiss (`drop`) an agent's suggestion")
                    .returns::<RowView>()
            }),
        )
        .merge(collection_routes())
        .merge(fields::routes())
        .merge(suggestions::routes())
        .merge(talks::routes())
        .merge(crate::convert::api::routes())
        .merge(crate::import::api::routes())
}

/// Routes of collections and their records.
fn collection_routes() -> Routes {
    Routes::new()
        .get(
            "/collections",
            collections
                .needs(Can::Read)
                .doc(|| Doc::new("Collections, by name").returns::<Collections>()),
        )
        .post(
            "/collections",
            make_collection.needs(Can::Write).doc(|| {
                Doc::new("Create a collection, a table with its own fields")
                    .body::<CollectionBody>()
                    .returns::<CollectionView>()
                    .status(201)
            }),
        )
        .get(
            "/collections/{id}",
            show_collection.needs(Can::Read).doc(|| {
                Doc::new("A collection with its fields, by name or ID").returns::<CollectionView>()
            }),
        )
        .patch(
            "/collections/{id}",
            change_collection.needs(Can::Write).doc(|| {
                Doc::new("Change a collection").body::<CollectionBody>().returns::<CollectionView>()
            }),
        )
        .delete(
            "/collections/{id}",
            remove_collection
                .needs(Can::Write)
                .doc(|| Doc::new("Delete a collection and its records")),
        )
        .get(
            "/collections/{id}/records",
            records.needs(Can::Read).doc(|| {
                Doc::new("A collection's records").query::<RecordListParams>().returns::<Rows>()
            }),
        )
        .patch("/collections/{id}/cells", cells::record_cells.needs(Can::Write).doc(cells::doc))
        .post(
            "/collections/{id}/records",
            add_record.needs(Can::Write).doc(|| {
                Doc::new("Create a record. Values are keyed by field")
                    .query::<By>()
                    .body::<Map<String, Value>>()
                    .returns::<RowView>()
                    .status(201)
            }),
        )
}

fn of_many(entity: &Entity) -> Doc {
    Doc::new(entity.many).query::<RecordListParams>().returns::<Rows>()
}

fn book(routes: Routes, at: &'static str, many: fn() -> Doc) -> Routes {
    let routes = routes.get(at, list.needs(Can::Read).doc(many)).post(
        at,
        create.needs(Can::Write).doc(|| {
            Doc::new("Create one. Values and `sources` are keyed by field")
                .query::<By>()
                .body::<Map<String, Value>>()
                .returns::<RowView>()
                .status(201)
        }),
    );
    let routes =
        routes.patch(format!("{at}/cells"), cells::cells.needs(Can::Write).doc(cells::doc));
    one(routes, format!("{at}/{{id}}").leak())
}

fn one(routes: Routes, at: &'static str) -> Routes {
    routes
        .get(
            at,
            show.needs(Can::Read).doc(|| {
                Doc::new("One with the origin of each value, by ID, name or email address")
                    .returns::<RowView>()
            }),
        )
        .patch(
            at,
            change.needs(Can::Write).doc(|| {
                Doc::new("Change values. Missing fields stay, `null` clears a value")
                    .if_match()
                    .body::<Map<String, Value>>()
                    .returns::<RowView>()
            }),
        )
        .delete(at, remove.needs(Can::Write).doc(|| Doc::new("Delete it. Can be undone")))
        .get(
            format!("{at}/interactions"),
            talks.needs(Can::Read).doc(|| {
                Doc::new(
                    "Interactions, newest \
                first",
                )
                .returns::<Talks>()
            }),
        )
        .post(
            format!("{at}/right"),
            right.needs(Can::Write).doc(|| {
                Doc::new("Confirm an agent's value").body::<RightBody>().returns::<RowView>()
            }),
        )
        .post(
            format!("{at}/back"),
            back.needs(Can::Write).doc(|| {
                Doc::new("Restore a field's previous value and its origin")
                    .body::<RightBody>()
                    .returns::<RowView>()
            }),
        )
}

/// Which rows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RecordListParams {
    /// Words and conditions: `stage:lead -tag:vip created:<7d rosa`.
    q: String,
    /// The key of a field, `created`, `updated` or `due`, with `-` in front from the largest.
    sort: String,
    /// The archived ones in place of the others.
    archived: bool,
    /// The keys of the fields to answer, with commas between; all that are filled when left out.
    fields: String,
    /// How many, at most 500.
    limit: Option<usize>,
    /// What the page before gave as `next`.
    cursor: Option<String>,
}

/// Rows of a page.
#[derive(Serialize, JsonSchema)]
struct Rows {
    items: Vec<RowView>,
    /// How many there are in all.
    total: usize,
    /// The cursor of the next page.
    next: Option<String>,
}

/// A contact, an organization or a record: its values by the keys of fields.
#[derive(Serialize, JsonSchema)]
struct RowView {
    id: String,
    #[serde(flatten)]
    values: Map<String, Value>,
    /// Where each value comes from: who, when, through what, on which grounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    origins: Option<Map<String, Value>>,
    /// What agents suggest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<Value>,
    #[schemars(with = "String")]
    created_at: Timestamp,
    #[schemars(with = "String")]
    updated_at: Timestamp,
    #[schemars(with = "Option<String>")]
    archived_at: Option<Timestamp>,
}

/// The origin of a value as JSON.
pub(crate) fn origin_json(origin: &Origin, known: &Known<'_>) -> Value {
    let mut value = json!({
        "by": known.people.actor_handle(origin.by),
        "kind": match origin.by {
            Actor::Person { .. } => "person",
            Actor::Agent { .. } => "agent",
            _ => "system",
        },
        "at": origin.at.to_string(),
    });
    if !origin.sources.is_empty() {
        value["sources"] = json!(origin.sources);
    }
    if let Some(account) = origin.right {
        value["called_right_by"] = json!(known.handle_of(Assignee::Person(account)));
    }
    if let Some(row) = origin.row {
        value["row"] = json!(row);
    }
    if let kernel::Cause::Import(import) = origin.cause {
        value["import"] = json!(import.to_string());
    }
    if let Some(run) = origin.by.run() {
        value["run"] = json!(run.to_string());
    }
    value
}

/// The values of a row as JSON.
pub(crate) fn values_json(row: &Row, columns: &[Column], known: &Known<'_>) -> Map<String, Value> {
    let filled = columns.iter().filter_map(|column| {
        let value = row.value(&column.key)?;
        Some((column.key.clone(), columns::json(column, value, known)))
    });
    filled.collect()
}

fn view(
    read: &dyn Read,
    (columns, known): (&[Column], &Known<'_>),
    row: &Row,
    whole: bool,
) -> Result<RowView, CrmError> {
    let suggestions =
        if whole { queries::suggestions(row.kind, read, row.id)? } else { Vec::new() };
    let suggested = |one: &Suggestion| {
        let column = columns.iter().find(|column| column.key == one.field);
        let value = one.value.as_ref().and_then(|value| Some(columns::json(column?, value, known)));
        json!({
            "id": one.id.to_string(),
            "field": one.field,
            "value": value,
            "by": known.people.actor_handle(one.by),
            "sources": one.sources,
        })
    };
    let origins = row.cells.iter().filter(|(_, cell)| cell.value.is_some());
    Ok(RowView {
        id: row.id.to_string(),
        values: values_json(row, columns, known),
        origins: whole.then(|| {
            origins.map(|(key, cell)| (key.clone(), origin_json(&cell.origin, known))).collect()
        }),
        suggestions: suggestions.iter().map(suggested).collect(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        archived_at: row.archived_at,
    })
}

/// A page of rows.
fn page(
    kind: &'static RowKind,
    ws: &Ws,
    who: &Person,
    collection: Option<CollectionId>,
    params: RecordListParams,
) -> Result<Rows, CrmError> {
    let zone = features::tasks::queries::due::zone(&who.zone);
    ws.read(|snap| {
        let home = kind.home(collection);
        let columns = columns::of(snap, home)?;
        let known = Known::new(snap, person(who.account))?;
        let seen = (ws.app.clock.now(), zone);
        let around = Around::new(snap, home, (&columns, &known), seen)?;
        let after = match params.cursor.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse().map_err(|()| cursor::unknown())?),
            None => None,
        };
        let limit = params.limit.unwrap_or(PAGE).clamp(1, MOST);
        let wish = list::ListRequest {
            q: params.q,
            sort: params.sort,
            collection,
            archived: params.archived,
            page: Some(Paging { after, limit }),
            ..list::ListRequest::default()
        };
        if let Some(wrong) = list::unsorted(&wish.sort, &columns) {
            return Err(CrmError::field("sort", wrong));
        }
        let found = list::find(kind, snap, &wish, &around)?.understood()?;
        let keys = params.fields.split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<&str> = keys.collect();
        let unknown = |key: &&&str| columns.iter().all(|column| column.key != **key);
        if let Some(odd) = keys.iter().find(unknown) {
            return Err(CrmError::field("fields", columns::unknown(odd, &columns)));
        }
        let rows = list::rows(kind, snap, &found.page(limit))?;
        let items = rows
            .iter()
            .map(|row| {
                let mut view = view(snap, (&columns, &known), row, false)?;
                let is_asked = |key: &str| key == NAME || keys.contains(&key);
                view.values.retain(|key, _| keys.is_empty() || is_asked(key));
                Ok::<_, CrmError>(view)
            })
            .collect::<Result<_, _>>()?;
        let next = found.next.map(|next| next.to_string());
        Ok(Rows { items, total: found.ids.len(), next })
    })
}

async fn list(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Query(params): Query<RecordListParams>,
) -> Result<Json<Rows>, ApiError> {
    let rows = ws.read_blocking(move |ws| page(kind, ws, &who, None, params)).await?;
    Ok(Json(rows))
}

async fn records(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(params): Query<RecordListParams>,
) -> Result<Json<Rows>, ApiError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    let rows =
        ws.read_blocking(move |ws| page(RowKind::RECORDS, ws, &who, Some(id), params)).await?;
    Ok(Json(rows))
}

fn with_etag(
    kind: &'static RowKind,
    ws: &Ws,
    who: &Person,
    id: Uuid,
) -> Result<Tagged<RowView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let (row, rev) = queries::get_rev(kind, snap, id)?;
        let columns = columns::of(snap, row.home())?;
        let known = Known::new(snap, person(who.account))?;
        Ok::<_, CrmError>((rev, view(snap, (&columns, &known), &row, true)?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<Tagged<RowView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(kind, snap, &name))?.id;
    with_etag(kind, &ws, &who, id)
}

/// What makes a row the same as one that is there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct By {
    /// The key of a field: the row with the same value in it is changed, and only when there is none one is made.
    by: Option<String>,
}

/// Splits a body into values and sources.
fn sent(mut body: Map<String, Value>) -> Result<(Sent, Option<bool>), CrmError> {
    let sources = match body.remove("sources") {
        Some(value) => {
            serde_json::from_value::<std::collections::BTreeMap<String, Vec<Source>>>(value)
                .map_err(|_| {
                    CrmError::field("sources", "Enter a list of {at, quote} for each field.")
                })?
        }
        None => std::collections::BTreeMap::new(),
    };
    let archived = match body.remove("archived") {
        Some(Value::Bool(archived)) => Some(archived),
        Some(_) => return Err(CrmError::field("archived", "Enter true or false.")),
        None => None,
    };
    Ok((Sent { values: body, sources, ..Sent::default() }, archived))
}

async fn create(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    once: Once,
    Query(by): Query<By>,
    Json(body): Json<Map<String, Value>>,
) -> Result<Tagged<RowView>, ApiError> {
    add(kind, (ws, who, once), (None, by), body).await
}

async fn add_record(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Query(by): Query<By>,
    Json(body): Json<Map<String, Value>>,
) -> Result<Tagged<RowView>, ApiError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    add(RowKind::RECORDS, (ws, who, once), (Some(id), by), body).await
}

async fn add(
    kind: &'static RowKind,
    (ws, who, once): (Ws, Person, Once),
    (collection, By { by }): (Option<CollectionId>, By),
    body: Map<String, Value>,
) -> Result<Tagged<RowView>, ApiError> {
    let (sent, _) = sent(body)?;
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let made = match &by {
            Some(by) => rules::upsert(kind, tx, (collection, by), &sent),
            None => rules::create(kind, tx, collection, &sent).map(|row| (row, true)),
        };
        made.map(|(row, is_new)| (row.id, is_new))
    });
    let (id, is_new) = ws.write(&who, made).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Tagged { status, ..with_etag(kind, &ws, &who, id)? })
}

async fn change(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(name): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> Result<Tagged<RowView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(kind, snap, &name))?.id;
    let (sent, archived) = sent(body)?;
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(kind, tx, id, rev)?;
        if archived == Some(false) {
            rules::set_archived(kind, tx, id, false)?;
        }
        if !sent.values.is_empty() {
            rules::change(kind, tx, id, &sent)?;
        }
        if archived == Some(true) {
            rules::set_archived(kind, tx, id, true)?;
        }
        Ok::<_, CrmError>(())
    });
    ws.write(&who, changed).await?;
    with_etag(kind, &ws, &who, id)
}

async fn remove(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = ws.read(|snap| queries::resolve(kind, snap, &name))?.id;
    ws.write(&who, move |tx| rules::remove(kind, tx, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which value.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RightBody {
    /// The key of the field.
    field: String,
}

async fn right(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(body): Json<RightBody>,
) -> Result<Tagged<RowView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(kind, snap, &name))?.id;
    ws.write(&who, move |tx| rules::call_right(kind, tx, id, &body.field)).await?;
    with_etag(kind, &ws, &who, id)
}

async fn back(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Json(RightBody { field }): Json<RightBody>,
) -> Result<Tagged<RowView>, ApiError> {
    let (row, before) = ws.read(|snap| {
        let row = queries::resolve(kind, snap, &name)?;
        let before = queries::cell_before(snap, ws.store.schema(), (&row, &field))?;
        Ok::<_, CrmError>((row, before))
    })?;
    let id = row.id;
    ws.write(&who, move |tx| {
        rules::put_back(kind, tx, (id, &field), (row.cells.get(&field), before))
    })
    .await?;
    with_etag(kind, &ws, &who, id)
}

async fn decide(
    ws: Ws,
    who: Person,
    Path2(id, decision): Path2<SuggestionId, String>,
) -> Result<Tagged<RowView>, ApiError> {
    let take = match decision.as_str() {
        "take" => true,
        "drop" => false,
        _ => return Err(CrmError::no("decision", &decision).into()),
    };
    let one: Option<Suggestion> = ws.read(|snap| snap.get(id)).map_err(CrmError::from)?;
    let kind = RowKind::of_table(one.map_or(0, |one| one.row.table));
    let row = ws.write(&who, move |tx| rules::decide(kind, tx, id, take)).await?;
    with_etag(kind, &ws, &who, row.id)
}
