//! `/api/v1/changes`: the feed as pages, long poll or resumable stream. `/api/v1/activity`: the same changes in words.

mod poll;
mod events;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use app::limits::Place;
use app::{App, Ws};
use features::cards;
use features::history::queries::readable::Looker;
use kernel::{AccountId, Can, ProblemKind};
use store::{Cursor, StoreError};
use web::error::{ApiError, Failure};
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::{Alive, Person};
use web::sse;

use poll::Poll;

use features::activity::feed::{self, Change, FeedRequest, Only, Part};

/// Default number of entries per response.
const LIMIT: usize = 100;
/// Maximum number of entries per response.
const MAX_LIMIT: usize = 500;
/// Maximum wait of a long poll, in seconds.
const MAX_WAIT: u64 = 30;

#[must_use]
pub fn routes() -> Routes {
    let snapshot = || {
        let about = "All rows you can read, table by table in key order. A page can have fewer \
                     than requested; the last one has no `next`. Keep the `cursor` of the first \
                     page: /api/v1/changes after it returns later changes";
        Doc::new(about).query::<SnapshotParams>().returns::<SnapshotDoc>()
    };
    Routes::new()
        .get("/snapshot", snapshot_page.needs(Can::Read).doc(snapshot))
        .get(
            "/changes",
            changes.needs(Can::Read).doc(|| {
                Doc::new(
                    "All changes, in order. A page ends early when it is large, and is empty \
                     when no match was found within a second: continue after its `next`. With \
                     `Accept: text/event-stream` a stream that can be resumed with `Last-Event-ID`",
                )
                .query::<ActivityParams>()
                .returns::<PageDoc>()
                .media("text/event-stream")
            }),
        )
        .merge(events::routes())
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActivityParams {
    /// The cursor of the last entry seen, or `start`. Absent: begin now.
    after: Option<String>,
    /// 1 to 500; of a stream, how many are looked at in one go.
    limit: Option<usize>,
    /// Wait up to so many seconds (at most 30) when there is nothing yet.
    wait: Option<u64>,
    /// `rows`: with the changed rows as they are now, each once in an answer.
    include: Option<String>,
    /// Only entries that changed a row of these tables, such as `tasks,comments`; other changes of
    /// such an entry are left out.
    tables: Option<String>,
    /// Only what these did: `person`, `agent`, `plugin`, `gateway`, `system`, or the id of an
    /// account or agent.
    actors: Option<String>,
    /// Only entries with these events, such as `task.created`; `task.*` is all of a noun.
    kinds: Option<String>,
}

/// A page of entries.
#[derive(Serialize)]
struct Page {
    items: Vec<Change>,
    /// Cursor for the next request's `after`.
    next: String,
}

/// A page of entries.
#[derive(JsonSchema)]
#[schemars(rename = "Changes")]
#[expect(dead_code, reason = "only its schema is used")]
struct PageDoc {
    /// `{seq, cursor, at, actor, cause, changes: [{table, id, op, row?}], events: [{name, data}]}`.
    /// In place of `row`: `row_at`, the entry of this answer where it stands; `withheld: true` when
    /// you may not read it; `left_out: true` when the entry is too large for its rows. An entry that is too large for
    /// all its changes or events says how many more there are in `changes_left_out` and `events_left_out`; the snapshot
    /// has the rows.
    items: Vec<serde_json::Value>,
    /// Give this back as `after`.
    next: String,
}

/// Parses the start cursor.
///
/// # Errors
/// 410 if the cursor belongs to another incarnation of the store, whose entries may be gone.
fn begin(ws: &Ws, field: &str, text: Option<&str>) -> Result<Cursor, ApiError> {
    let head = ws.store.head();
    let after = match text {
        None | Some("") => return Ok(head),
        Some("start") => return Ok(Cursor { seq: 0, ..head }),
        Some(text) => text.parse::<Cursor>(),
    };
    let after = after.map_err(|_| unreadable(field))?;
    if ws.store.knows(after)? { Ok(after) } else { Err(other_life("cursor", head)) }
}

/// The cursor predates a restore.
fn other_life(what: &str, head: Cursor) -> ApiError {
    let text = format!(
        "the {what} is from before a restore of this workspace; take a snapshot: read \
         /api/v1/snapshot to its end and continue after the cursor of its first page ({head} now)"
    );
    ApiError(Failure::new(ProblemKind::Gone, "unknown_incarnation", text))
}

fn unreadable(field: &str) -> ApiError {
    ApiError::invalid(field, "send a cursor exactly as you received it, like 3f2a….17, or `start`")
}

async fn changes(
    app: App,
    ws: Ws,
    who: Person,
    alive: Alive,
    headers: HeaderMap,
    Query(params): Query<ActivityParams>,
) -> Result<Response, ApiError> {
    let limit = params.limit.unwrap_or(LIMIT);
    if limit == 0 || MAX_LIMIT < limit {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {MAX_LIMIT} entries")));
    }
    let only = only(&ws, &params)?;
    let rows = match params.include.as_deref() {
        None | Some("") => false,
        Some("rows") => true,
        Some(_) => return Err(ApiError::invalid("include", "only `rows` can be included")),
    };
    let last = match headers.get("last-event-id").map(|value| value.to_str()) {
        None | Some(Ok("")) => None,
        Some(Ok(text)) => Some(begin(&ws, "Last-Event-ID", Some(text))?),
        Some(Err(_)) => return Err(unreadable("Last-Event-ID")),
    };
    let after = match last {
        Some(cursor) => cursor,
        None => begin(&ws, "after", params.after.as_deref())?,
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let places = web::sse::places(&ws, &who)?;
        let wish = FeedRequest { who: Looker::of(&who), limit, rows, only };
        let reader = Reader::new(ws, alive, (after, wish), places);
        return Ok(sse::respond(reader.frames()));
    }
    let wish = Arc::new(FeedRequest { who: Looker::of(&who), limit, rows, only });
    let wait = Duration::from_secs(params.wait.unwrap_or(0).min(MAX_WAIT));
    let mut poll = Poll::new(&app, &ws, &alive, wait);
    let mut after = after;
    loop {
        poll.mark_seen();
        let (items, next) = read(&ws, after, Arc::clone(&wish)).await?;
        after = next;
        // A client with a rare filter gets the cursor reached so far and continues from there.
        let is_behind = next.seq < ws.store.head().seq;
        if !items.is_empty() || poll.is_over(is_behind) {
            return Ok(Json(Page { items, next: next.to_string() }).into_response());
        }
        poll.more(is_behind).await?;
    }
}

/// One page of matching changes, and the cursor after everything scanned.
async fn read(
    ws: &Ws,
    after: Cursor,
    wish: Arc<FeedRequest>,
) -> Result<(Vec<Change>, Cursor), StoreError> {
    ws.read_blocking(move |ws| ws.read(|snap| feed::changes(snap, ws.store.schema(), after, &wish)))
        .await
}

/// Parses the filters.
fn only(ws: &Ws, params: &ActivityParams) -> Result<Only, ApiError> {
    let words = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let (tables, actors, kinds) =
        (words(&params.tables), words(&params.actors), words(&params.kinds));
    let known = |name: &String| ws.store.schema().named(name).is_some_and(|t| t.ops.is_some());
    if let Some(other) = tables.iter().find(|name| !known(name)) {
        return Err(ApiError::invalid("tables", format!("there is no table `{other}`")));
    }
    let kind = |word: &String| {
        let stem = word.strip_suffix('*').unwrap_or(word);
        cards::event_names().any(|name| match word.ends_with('*') {
            true => name.starts_with(stem),
            false => name == stem,
        })
    };
    if let Some(other) = kinds.iter().find(|word| !kind(word)) {
        let text = format!("unknown event `{other}`; try task.created or task.*");
        return Err(ApiError::invalid("kinds", text));
    }
    let kinds_of_actors = ["person", "agent", "plugin", "gateway", "system"];
    let actor = |word: &String| {
        kinds_of_actors.contains(&word.as_str()) || word.parse::<AccountId>().is_ok()
    };
    if let Some(other) = actors.iter().find(|word| !actor(word)) {
        let text = format!("unknown actor `{other}`; try person, agent, system or an id");
        return Err(ApiError::invalid("actors", text));
    }
    Ok(Only { tables, actors, kinds })
}

/// A stream of entries.
struct Reader {
    ws: Ws,
    alive: Alive,
    head: watch::Receiver<u64>,
    accounts: watch::Receiver<u64>,
    after: Cursor,
    wish: Arc<FeedRequest>,
    queue: VecDeque<Bytes>,
    end: Instant,
    _places: Vec<Place>,
}

impl Reader {
    fn new(ws: Ws, alive: Alive, (after, wish): (Cursor, FeedRequest), places: Vec<Place>) -> Self {
        Self {
            head: ws.store.watch(),
            accounts: ws.app.system.watch(),
            queue: VecDeque::from([sse::place(&after.to_string())]),
            end: Instant::now() + sse::LONGEST,
            _places: places,
            ws,
            alive,
            after,
            wish: Arc::new(wish),
        }
    }

    fn frames(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut this| async move {
            let frame = this.next().await?;
            Some((frame, this))
        })
    }

    /// Reads new entries; `None` if reading fails.
    async fn fill(&mut self) -> Option<()> {
        let found = read(&self.ws, self.after, Arc::clone(&self.wish)).await;
        let (found, next) =
            found.inspect_err(|error| tracing::warn!(%error, "a change stream ended")).ok()?;
        self.after = next;
        for change in found {
            let data = serde_json::to_value(&change).ok()?;
            self.queue.push_back(sse::frame("change", &change.cursor, &data));
        }
        Some(())
    }

    async fn next(&mut self) -> Option<Bytes> {
        let stopping = self.ws.app.stopping.clone();
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            if self.after.seq < *self.head.borrow_and_update() {
                // Re-check access before sending data.
                if !(self.alive.0)() {
                    return None;
                }
                self.fill().await?;
                if self.queue.is_empty() {
                    if self.end <= Instant::now() {
                        return None;
                    }
                    // No match, but the client learns the cursor reached.
                    self.queue.push_back(sse::place(&self.after.to_string()));
                }
                continue;
            }
            tokio::select! {
                () = stopping.cancelled() => return None,
                changed = self.head.changed() => changed.ok()?,
                changed = self.accounts.changed() => {
                    changed.ok()?;
                    if !(self.alive.0)() {
                        return None;
                    }
                }
                () = tokio::time::sleep(sse::BEAT) => {
                    if self.end <= Instant::now() || !(self.alive.0)() {
                        return None;
                    }
                    // Also sent if everything was filtered out, so that a reconnecting client does not scan it again.
                    self.queue.push_back(sse::place(&self.after.to_string()));
                }
            }
        }
    }
}

// ── The snapshot ──

/// Rows per snapshot page.
const SNAPSHOT: usize = 500;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnapshotParams {
    /// Only these tables, such as `tasks,comments`.
    tables: Option<String>,
    /// Go on behind this place, as it came in `next`.
    after: Option<String>,
    /// 1 to 500.
    limit: Option<usize>,
}

#[derive(Serialize)]
struct SnapshotPage {
    items: Vec<serde_json::Value>,
    next: Option<String>,
    cursor: String,
}

/// A page of a snapshot.
#[derive(JsonSchema)]
#[schemars(rename = "Snapshot")]
#[expect(dead_code, reason = "only its schema is used")]
struct SnapshotDoc {
    /// `{table, id, rev, row}`
    items: Vec<serde_json::Value>,
    /// Give this back as `after`.
    next: Option<String>,
    /// As of which entry these rows are.
    cursor: String,
}

async fn snapshot_page(
    ws: Ws,
    who: Person,
    Query(params): Query<SnapshotParams>,
) -> Result<Json<SnapshotPage>, ApiError> {
    let limit = params.limit.unwrap_or(SNAPSHOT);
    if limit == 0 || SNAPSHOT < limit {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {SNAPSHOT} rows")));
    }
    let tables: Vec<String> =
        params.tables.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
    let (schema, incarnation) = (ws.store.schema(), ws.store.incarnation());
    let from = match params.after.as_deref() {
        None | Some("") => (0, Vec::new()),
        Some(text) => match feed::snapshot_place(text) {
            Some((life, from)) if life == incarnation => from,
            Some(_) => return Err(other_life("place", ws.store.head())),
            None => {
                return Err(ApiError::invalid("after", "send `next` exactly as you received it"));
            }
        },
    };
    if let Some(other) = tables.iter().find(|name| schema.named(name).is_none()) {
        return Err(ApiError::invalid("tables", format!("there is no table `{other}`")));
    }
    let (looker, part) = (Looker::of(&who), Part { tables, from, limit });
    let page = ws.read_blocking(move |ws| {
        ws.read(|snap| feed::snapshot(snap, ws.store.schema(), looker, &part))
    });
    let page = page.await?;
    let cursor = Cursor { incarnation, seq: page.seq }.to_string();
    let next = page.next.map(|place| format!("{incarnation:x}.{place}"));
    Ok(Json(SnapshotPage { items: page.items, next, cursor }))
}
