//! `/api/v1/changes`: the feed for programs, as pages, as a long poll, or as a stream that resumes.

use std::collections::VecDeque;
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

use crate::app::limits::Place;
use crate::app::{App, Ws};
use crate::kernel::{Can, ProblemKind};
use crate::store::{Cursor, StoreError};
use crate::web::error::{ApiError, Failure};
use crate::web::extract::{Json, Query};
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::{Alive, Person};
use crate::web::sse;

use super::pages::places;
use super::queries::{self, Change};

/// Entries of one answer, unless asked for fewer.
const LIMIT: usize = 100;
/// The most.
const MAX_LIMIT: usize = 500;
/// The longest wait of a long poll.
const MAX_WAIT: u64 = 30;

/// Routes below `/api/v1`.
#[must_use]
pub fn routes() -> Routes {
    Routes::new().get(
        "/changes",
        changes.needs(Can::Read).doc(|| {
            Doc::new(
                "Everything that changed, in order. With `Accept: text/event-stream` a stream that \
                 can be resumed by `Last-Event-ID`",
            )
            .query::<Asked>()
            .returns::<PageDoc>()
            .media("text/event-stream")
        }),
    )
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The cursor of the last entry seen, or `start`. Absent: begin now.
    after: Option<String>,
    /// 1 to 500.
    limit: Option<usize>,
    /// Wait up to so many seconds (at most 30) when there is nothing yet.
    wait: Option<u64>,
    /// `rows`: with the changed rows as they are now.
    include: Option<String>,
}

/// A page of entries.
#[derive(Serialize)]
struct Page {
    items: Vec<Change>,
    /// Give this back as `after`.
    next: String,
}

/// A page of entries.
#[derive(JsonSchema)]
#[schemars(rename = "Changes")]
#[expect(dead_code, reason = "only its schema is used")]
struct PageDoc {
    /// `{seq, cursor, at, actor, cause, changes: [{table, id, op, row?}], events: [{name, data}]}`
    items: Vec<serde_json::Value>,
    /// Give this back as `after`.
    next: String,
}

/// Where to begin.
///
/// # Errors
/// 410 when the place belongs to another life of the store: what was there may be gone.
fn begin(ws: &Ws, field: &str, text: Option<&str>) -> Result<Cursor, ApiError> {
    let head = ws.store.head();
    let after = match text {
        None | Some("") => return Ok(head),
        Some("start") => return Ok(Cursor { seq: 0, ..head }),
        Some(text) => text.parse::<Cursor>(),
    };
    let after = after.map_err(|_| unreadable(field))?;
    if after.incarnation != head.incarnation || head.seq < after.seq {
        let text = format!(
            "the cursor belongs to another life of this workspace; take a snapshot: read \
             everything again and go on after {head}"
        );
        return Err(ApiError(Failure::new(ProblemKind::Gone, "unknown_incarnation", text)));
    }
    Ok(after)
}

fn unreadable(field: &str) -> ApiError {
    ApiError::invalid(field, "give back a cursor as it came, like 3f2a….17, or `start`")
}

async fn changes(
    app: App,
    ws: Ws,
    who: Person,
    alive: Alive,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let limit = asked.limit.unwrap_or(LIMIT);
    if limit == 0 || MAX_LIMIT < limit {
        return Err(ApiError::invalid("limit", format!("ask for 1 to {MAX_LIMIT} entries")));
    }
    let with_rows = match asked.include.as_deref() {
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
        None => begin(&ws, "after", asked.after.as_deref())?,
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let places = places(&app, &ws, &who)?;
        let reader = Reader::new(ws, alive, after, with_rows, places);
        return Ok(sse::respond(reader.frames()));
    }
    let wait = Duration::from_secs(asked.wait.unwrap_or(0).min(MAX_WAIT));
    let mut head = ws.store.watch();
    if *head.borrow_and_update() <= after.seq && !wait.is_zero() {
        tokio::select! {
            _ = head.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = app.stopping.cancelled() => {}
        }
    }
    let items = read(&ws, after, limit, with_rows)?;
    let next = items.last().map_or(after, |last| Cursor { seq: last.seq, ..after });
    Ok(Json(Page { items, next: next.to_string() }).into_response())
}

fn read(ws: &Ws, after: Cursor, limit: usize, rows: bool) -> Result<Vec<Change>, StoreError> {
    ws.read(|snap| queries::changes(snap, ws.store.schema(), after, limit, rows))
}

/// A stream of entries.
struct Reader {
    ws: Ws,
    alive: Alive,
    head: watch::Receiver<u64>,
    accounts: watch::Receiver<u64>,
    after: Cursor,
    with_rows: bool,
    queue: VecDeque<Bytes>,
    end: Instant,
    _places: Vec<Place>,
}

impl Reader {
    fn new(ws: Ws, alive: Alive, after: Cursor, with_rows: bool, places: Vec<Place>) -> Self {
        Self {
            head: ws.store.watch(),
            accounts: ws.app.system.watch(),
            queue: VecDeque::from([sse::place(&after.to_string())]),
            end: Instant::now() + sse::LONGEST,
            _places: places,
            ws,
            alive,
            after,
            with_rows,
        }
    }

    fn frames(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut this| async move {
            let frame = this.next().await?;
            Some((frame, this))
        })
    }

    /// Reads what is new; none when the disk fails.
    fn fill(&mut self) -> Option<()> {
        let found = read(&self.ws, self.after, LIMIT, self.with_rows);
        let found =
            found.inspect_err(|error| tracing::warn!(%error, "a change stream ended")).ok()?;
        for change in found {
            self.after.seq = change.seq;
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
                // Rights are asked for again before anything is handed out.
                if !(self.alive.0)() {
                    return None;
                }
                self.fill()?;
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
                    self.queue.push_back(sse::beat());
                }
            }
        }
    }
}
