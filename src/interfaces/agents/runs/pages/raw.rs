//! Raw data of a run: single texts and pictures, and all of its events.

use askama::Template;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::runs::api::export::event_json;
use crate::runs::looking;
use app::Ws;
use features::runs::model::{Body, EventKind, Run, SessionEvent};
use features::runs::queries::steps;
use store::{ReadExt, StoreError};
use web::error::{Failure, PageError};
use web::extract::{Path, Path2, Query};
use web::file::{self, Show as InPlace};
use web::headers;
use web::html;
use web::session::Person;
use web::shell::Shell;
use web::time::RelTime;

use super::display::Look;
use super::show::find;

/// Size limit of a raw text, in bytes.
const MAX_RAW: u64 = 64 * 1024 * 1024;
/// Events per page.
const PAGE: usize = 100;

/// A raw event.
struct RawEvent {
    n: u32,
    kind: String,
    at: RelTime,
    json: String,
}

#[derive(Template)]
#[template(path = "runs/raw.html")]
struct Events {
    shell: Shell,
    name: String,
    href: String,
    export: String,
    /// Address of the first page, if it is not shown.
    first: Option<String>,
    events: Vec<RawEvent>,
    more: Option<String>,
}

/// Cursor: the last event of the previous page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Behind {
    after: Option<u32>,
}

/// `GET /runs/{name}/events`: all events of a run as JSON.
pub(super) async fn events(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    Query(behind): Query<Behind>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let href = ws.url(&format!("runs/{}", run.name()));
    let from = behind.after.map_or(run.first_event, |after| after.saturating_add(1));
    let (events, more) = ws.read(|snap| {
        let look = Look::new(snap, &ws, &who)?;
        let from = Run { first_event: run.first_event.max(from), ..run.clone() };
        let mut all = steps::events_of(snap, &from)?;
        let more = PAGE < all.len();
        all.truncate(PAGE);
        let events: Vec<RawEvent> = all
            .into_iter()
            .map(|event| {
                let (n, at) = (event.n, look.time(event.at));
                let json = event_json(&run, event);
                let kind = json["kind"].as_str().unwrap_or_default().replace('_', " ");
                RawEvent {
                    n,
                    kind,
                    at,
                    json: serde_json::to_string_pretty(&json).unwrap_or_default(),
                }
            })
            .collect();
        Ok::<_, StoreError>((events, more))
    })?;
    let last = events.last().map(|event| event.n);
    html::page(&Events {
        shell,
        name: run.name(),
        export: format!("{href}/export"),
        first: behind.after.map(|_| format!("{href}/events")),
        more: last.filter(|_| more).map(|last| format!("{href}/events?after={last}")),
        href,
        events,
    })
}

/// `GET /runs/{name}/steps/{n}/picture`: a picture of a result.
pub(in crate::runs) async fn picture(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let event = ws.read(|snap| snap.get::<SessionEvent>((run.session, n)))?;
    let event = event.filter(|event| event.run == Some(run.id));
    let Some(EventKind::Picture { id, .. }) = event.map(|event| event.kind) else {
        return Err(PageError::not_found("This picture"));
    };
    let name = format!("{}-step-{n}", run.name());
    file::serve(&ws, (&name, id), InPlace::InPlace, &headers).await
}

/// `GET /runs/{name}/steps/{n}/raw`: a full text, as a plain file that browsers do not execute.
pub(in crate::runs) async fn raw(
    ws: Ws,
    who: Person,
    Path2(name, n): Path2<String, u32>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let event = ws.read(|snap| snap.get::<SessionEvent>((run.session, n)))?;
    let event = event.filter(|event| event.run == Some(run.id));
    let body = match event.map(|event| event.kind) {
        Some(EventKind::Input { text, .. }) => Some(text),
        Some(EventKind::Assistant { parts, .. }) => Some(parts),
        Some(EventKind::ToolFinished { result, .. } | EventKind::Late { result, .. }) => {
            Some(result)
        }
        _ => None,
    };
    let bytes = match body {
        Some(Body::Inline(text)) => text.into_bytes(),
        Some(Body::Blob { id, .. }) => {
            let ws = ws.clone();
            let read = tokio::task::spawn_blocking(move || ws.blobs.get(id, MAX_RAW)).await;
            let read = read.map_err(|e| PageError(Failure::internal(e)))?;
            read.map_err(|e| PageError(Failure::internal(format!("blob {id}: {e}"))))?
        }
        None => return Err(PageError::not_found("This step")),
    };
    let mut response = bytes.into_response();
    let kept = response.headers_mut();
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    kept.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = format!("attachment; filename=\"{}-step-{n}.txt\"", run.name());
    let name = HeaderValue::try_from(name).map_err(|e| PageError(Failure::internal(e)))?;
    kept.insert(CONTENT_DISPOSITION, name);
    headers::secure(kept);
    Ok(response)
}
