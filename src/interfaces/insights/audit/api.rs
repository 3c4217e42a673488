//! `/api/v1/audit`: search, export, verification, redaction, retention.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use app::jobs::JobState;
use app::{App, Ws};
use kernel::{Can, Timestamp};
use store::verify::Depth;
use store::{Entry, Schema, Store, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Json, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::{Alive, Person};

use features::activity::queries as activity;
use features::audit::model::Keeping;
use features::audit::queries::{self, AuditParams, AuditQuery, Reach, Source, Values};
use features::audit::rules::{self, AuditError};

/// Default number of entries per response.
const LIMIT: usize = 50;
/// Maximum number of entries per response.
const MAX_LIMIT: usize = 200;
/// Entries per chunk of an export.
const PIECE: usize = 500;

#[must_use]
pub fn routes() -> Routes {
    let search = || {
        let about = "Audit entries, newest first. `searched` says how far back the search went; \
                     continue with `next`";
        Doc::new(about).query::<AuditParams>().returns::<PageDoc>()
    };
    let export = || {
        Doc::new("All audit entries, oldest first, as JSON Lines")
            .query::<AuditParams>()
            .media("application/jsonl")
    };
    let verify = || {
        Doc::new("Start verifying the audit; includes accounts for admins of all workspaces")
            .status(202)
            .no_key("it starts at most once")
    };
    let state = || Doc::new("Status of the last verification").returns::<JobDoc>();
    let redact = || {
        Doc::new("Permanently remove all former versions of a record; the current record stays")
            .body::<RedactBody>()
            .returns::<Redacted>()
            .no_key("a repeat removes nothing more")
    };
    let keeping = || Doc::new("How long former versions are kept").returns::<KeepingView>();
    let keep = || {
        Doc::new("Set how long former versions are kept")
            .body::<KeepingView>()
            .returns::<KeepingView>()
    };
    Routes::new()
        .get("/audit", list.needs(Can::Admin).doc(search))
        .get("/audit/export", send.needs(Can::Admin).doc(export))
        .post("/audit/verify", begin.needs(Can::Admin).doc(verify))
        .get("/audit/verify", stand.needs(Can::Admin).doc(state))
        .post("/audit/redact", redact_one.needs(Can::Admin).proved().doc(redact))
        .get("/audit/retention", show_keeping.needs(Can::Admin).doc(keeping))
        .put("/audit/retention", set_keeping.needs(Can::Admin).doc(keep))
}

/// A response ends after about this many bytes.
const ENOUGH: usize = 256 << 10;
/// Maximum number of changes, and of events, shown per entry.
const MOST_OF_ENTRY: usize = 100;

/// How far a search came.
#[derive(Serialize, JsonSchema)]
struct Searched {
    /// Entries that were looked at.
    entries: u64,
    /// The time of the oldest of them.
    #[schemars(with = "Option<String>")]
    back_to: Option<Timestamp>,
    /// Whether nothing older is left.
    complete: bool,
}

#[derive(Serialize)]
struct PageView {
    items: Vec<Value>,
    next: Option<String>,
    searched: Searched,
}

/// A page of entries.
#[derive(JsonSchema)]
#[schemars(rename = "Audit")]
#[expect(dead_code, reason = "only its schema is used")]
struct PageDoc {
    /// `{seq, cursor, at, actor, cause, changes: [{table, id, op, before_rev, hash, taken}], hidden,
    /// events, previous, hash}`; `taken` is `retention` or `redaction` when the version before is not
    /// kept any more, `hidden` counts changes that are about workspaces of others. Changes of accounts have
    /// `fields`, what differs: `{field, label, before, after}`. Of a large entry `changes_left_out` and `events_left_out`
    /// say how many more there are; the export has all of them.
    items: Vec<Value>,
    /// Give this back as `before`.
    next: Option<String>,
    /// How far back was looked.
    searched: Searched,
}

async fn list(
    ws: Ws,
    who: Person,
    Query(params): Query<AuditParams>,
) -> Result<Json<PageView>, ApiError> {
    let params = params.tidy();
    let limit = params.limit.unwrap_or(LIMIT);
    if limit == 0 || MAX_LIMIT < limit {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {MAX_LIMIT} entries")));
    }
    Ok(Json(ws.read_blocking(move |ws| found(ws, &who, &params, limit)).await?))
}

/// Searches for entries. May be slow, so it runs on a blocking thread.
fn found(
    ws: &Ws,
    who: &Person,
    params: &AuditParams,
    limit: usize,
) -> Result<PageView, AuditError> {
    let wish = AuditQuery::new(ws, params, (Some(who.account), &who.time_zone()))?.through(who.via);
    let store = store_of(ws, wish.source);
    let (found, incarnation) = (wish.search(ws, limit)?, store.incarnation());
    let items = store.read(|snap| {
        let (schema, all) = (store.schema(), found.entries.iter());
        let listed = all.map(|entry| queries::as_json_now(snap, schema, incarnation, entry));
        let mut items = listed.collect::<Result<Vec<_>, StoreError>>()?;
        if wish.source == Source::Accounts {
            ws.read(|names| {
                let values = Values::new(ws, names, (snap, schema), &wish)?;
                let entries = found.entries.iter().zip(&mut items);
                entries
                    .into_iter()
                    .try_for_each(|(entry, item)| tell_values(&values, schema, entry, item))
            })?;
        }
        Ok::<_, StoreError>(items)
    })?;
    let cursor = |seq| store::Cursor { incarnation, seq }.to_string();
    let (items, is_cut) = within_limits(items);
    let last = found.entries.get(items.len().saturating_sub(1)).map(|entry| entry.seq);
    let next = if is_cut { last } else { found.next };
    Ok(PageView {
        items,
        next: next.map(cursor),
        searched: Searched {
            entries: found.looked,
            back_to: found.reached.map(|(_, at)| kernel::time::from_ms(at)),
            complete: next.is_none(),
        },
    })
}

/// The first entries that fit into a response, each with its first changes and events, and whether there were more.
fn within_limits(items: Vec<Value>) -> (Vec<Value>, bool) {
    let (mut size, all) = (0, items.len());
    let mut kept = Vec::with_capacity(all);
    for mut item in items {
        for (name, left_out) in [("changes", "changes_left_out"), ("events", "events_left_out")] {
            let Some(list) = item[name].as_array_mut() else { continue };
            let more = list.len().saturating_sub(MOST_OF_ENTRY);
            list.truncate(MOST_OF_ENTRY);
            if 0 < more {
                item[left_out] = json!(more);
            }
        }
        size += activity::weight(&item);
        if ENOUGH < size && !kept.is_empty() {
            break;
        }
        kept.push(item);
    }
    let is_cut = kept.len() < all;
    (kept, is_cut)
}

/// Adds the changed values to an entry, as far as the reader may see them.
fn tell_values(
    values: &Values<'_>,
    schema: &Schema,
    entry: &Entry,
    item: &mut Value,
) -> Result<(), StoreError> {
    let changes = entry.changes.iter().filter(|change| schema.table(change.table).is_some());
    for (change, row) in changes.zip(item["changes"].as_array_mut().into_iter().flatten()) {
        let fields = values.changed(entry.seq, change)?.into_iter().map(|field| {
            let (before, after) = field.raw;
            json!({ "field": field.name, "label": field.label, "before": before, "after": after })
        });
        row["fields"] = fields.collect();
    }
    Ok(())
}

fn store_of(ws: &Ws, source: Source) -> &Store {
    match source {
        Source::Workspace => &ws.store,
        Source::Accounts => &ws.app.system,
    }
}

// ── Export ──

async fn send(
    ws: Ws,
    who: Person,
    alive: Alive,
    Query(params): Query<AuditParams>,
) -> Result<Response, ApiError> {
    Ok(export(ws, who, alive, params).await?)
}

/// Streams all matching entries as JSON Lines, oldest first. Each chunk reads its own short snapshot.
///
/// # Errors
/// The filter is invalid.
pub(super) async fn export(
    ws: Ws,
    who: Person,
    alive: Alive,
    params: AuditParams,
) -> Result<Response, PageError> {
    let params = params.tidy();
    let wish = ws.read_blocking(move |ws| {
        let wish = AuditQuery::new(ws, &params, (Some(who.account), &who.time_zone()))?;
        Ok::<_, AuditError>(wish.through(who.via))
    });
    let wish = wish.await?;
    let name = match wish.source {
        Source::Workspace => format!("{}-audit.jsonl", ws.slug),
        Source::Accounts => format!("{}-accounts.jsonl", ws.slug),
    };
    let lines = lines(ws, wish, alive);
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn lines(
    ws: Ws,
    wish: AuditQuery,
    alive: Alive,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let (until, wish) = (store_of(&ws, wish.source).head().seq, Arc::new(wish));
    let pieces = stream::unfold((ws, wish, alive, 0), move |(ws, wish, alive, after)| async move {
        if until <= after {
            return None;
        }
        // Re-check access before sending more data. An aborted stream tells the client that the export is incomplete.
        if !(alive.0)() {
            return Some((Err(StoreError::CalledOff), (ws, wish, alive, until)));
        }
        let own = Arc::clone(&wish);
        match ws.read_blocking(move |ws| queries::export_piece(ws, &own, after, PIECE)).await {
            Ok((text, last)) => {
                let after = last.unwrap_or(until);
                Some((Ok(Bytes::from(text)), (ws, wish, alive, after)))
            }
            Err(error) => Some((Err(error), (ws, wish, alive, until))),
        }
    });
    pieces.filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty())))
}

// ── Verification ──

/// How a long piece of work stands.
#[derive(JsonSchema)]
#[schemars(rename = "Job")]
#[expect(dead_code, reason = "only its schema is used")]
struct JobDoc {
    began: String,
    ended: Option<String>,
    /// What is being done.
    what: String,
    done: u64,
    /// 0 when that is not known.
    total: u64,
    /// What came of it.
    result: Option<Value>,
    error: Option<String>,
}

async fn begin(app: App, ws: Ws, who: Person) -> Result<Response, ApiError> {
    let reach = Reach::of(&app, who.account)?;
    queries::begin_verify(&ws, Depth::There, reach)?;
    let state = app.jobs.state(&ws.slug, queries::VERIFY).map(|state| reach.sees(state));
    Ok((StatusCode::ACCEPTED, axum::Json(state)).into_response())
}

async fn stand(app: App, ws: Ws, who: Person) -> Result<Json<JobState>, ApiError> {
    let reach = Reach::of(&app, who.account)?;
    let state = app.jobs.state(&ws.slug, queries::VERIFY).map(|state| reach.sees(state));
    Ok(Json(state.ok_or_else(|| ApiError::not_found("A verification since the last start"))?))
}

// ── Redaction and retention ──

/// Which record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RedactBody {
    /// The table, such as `tasks`; for who administers every workspace also one of the accounts, such as
    /// `accounts`.
    table: String,
    /// The id.
    id: String,
}

/// What was removed.
#[derive(Serialize, JsonSchema)]
struct Redacted {
    /// Former versions that are gone.
    removed: usize,
}

async fn redact_one(
    app: App,
    ws: Ws,
    who: Person,
    Json(body): Json<RedactBody>,
) -> Result<Json<Redacted>, ApiError> {
    let store = queries::store_with(&ws, Reach::of(&app, who.account)?, &body.table);
    let removed = queries::redact(store, &who, &body.table, &body.id).await?;
    Ok(Json(Redacted { removed }))
}

/// How long former versions are kept.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepingView {
    /// Former versions older than so many days go.
    days: u16,
    /// Above so many MB the oldest go; `null` sets no limit.
    megabytes: Option<u32>,
}

impl From<Keeping> for KeepingView {
    fn from(keeping: Keeping) -> Self {
        Self { days: keeping.days, megabytes: keeping.megabytes }
    }
}

async fn show_keeping(ws: Ws) -> Result<Json<KeepingView>, ApiError> {
    let keeping = ws.read_blocking(|ws| ws.read(|snap| queries::keeping(snap)));
    Ok(Json(keeping.await?.into()))
}

async fn set_keeping(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<KeepingView>,
) -> Result<Json<KeepingView>, ApiError> {
    let keeping = Keeping { days: body.days, megabytes: body.megabytes };
    let kept = ws.write(&who, once.run(move |tx| rules::keep(tx, keeping))).await?;
    Ok(Json(kept.into()))
}
