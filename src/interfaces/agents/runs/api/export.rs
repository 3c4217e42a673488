//! A run as JSON Lines: its header, then all events in full.

use axum::body::{Body as Answer, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use futures_util::stream::{self, Stream};
use serde_json::Value;

use crate::runs::looking;
use app::Ws;
use features::runs::model::{Body, EventKind, Run, Session, SessionEvent};
use features::runs::queries;
use store::{BlobId, ReadExt, StoreError};
use web::error::{Failure, PageError};
use web::extract::Path;
use web::session::{Alive, Person};

use super::super::pages::find;
use super::view::{RunOut, StepOut};

/// Number of events read at once.
const PIECE: u32 = 64;
/// Size limit of a text that is included in full, in bytes.
const WHOLE: u64 = 1024 * 1024;

/// Progress of an export.
enum Place {
    Head(Value),
    From(u32),
    End,
}

/// `GET /runs/{name}/export`
pub(in crate::runs) async fn export(
    ws: Ws,
    who: Person,
    alive: Alive,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let run = find(&ws, &who, &name)?;
    looking::note(&ws, &who, run.session).await?;
    let (head, until) = ws.read(|snap| {
        let until = snap.get::<Session>(run.session)?.map_or(0, |session| session.events);
        Ok::<_, StoreError>((RunOut::of(&ws, snap, &run, who.account)?, until))
    })?;
    let mut head = serde_json::to_value(&head).map_err(|e| PageError(Failure::internal(e)))?;
    head["kind"] = Value::from("run");
    let name = format!("attachment; filename=\"{}.jsonl\"", run.name());
    let mut response = Response::new(Answer::from_stream(lines(ws, run, alive, head, until)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    let name = HeaderValue::try_from(name).map_err(|e| PageError(Failure::internal(e)))?;
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

fn lines(
    ws: Ws,
    run: Run,
    alive: Alive,
    head: Value,
    until: u32,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let begun = (ws, run, alive, Place::Head(head));
    stream::unfold(begun, move |(ws, run, alive, place)| async move {
        let from = match place {
            Place::Head(head) => {
                let text = ws.app.redactor.text(&head.to_string()).into_owned();
                let next = Place::From(run.first_event);
                return Some((Ok(Bytes::from(text + "\n")), (ws, run, alive, next)));
            }
            Place::From(from) => from,
            Place::End => return None,
        };
        // Re-check access before sending more data.
        if until <= from || !(alive.0)() {
            return None;
        }
        let own = run.clone();
        match ws.read_blocking(move |ws| piece(ws, &own, from, until)).await {
            Ok((text, true)) => Some((Ok(text), (ws, run, alive, Place::End))),
            Ok((text, false)) => {
                let next = Place::From(from.saturating_add(PIECE));
                Some((Ok(text), (ws, run, alive, next)))
            }
            Err(error) => Some((Err(error), (ws, run, alive, Place::End))),
        }
    })
}

/// The lines of some events, and whether the run ended among them.
fn piece(ws: &Ws, run: &Run, from: u32, until: u32) -> Result<(Bytes, bool), StoreError> {
    let to = from.saturating_add(PIECE).min(until);
    let events = ws.read(|snap| queries::events(snap, run.session, from, to))?;
    let (mut text, mut over) = (String::new(), false);
    for event in events.into_iter().filter(|event| event.run == Some(run.id)) {
        over = matches!(event.kind, EventKind::RunEnded { .. });
        let long = long_text(&event.kind);
        let mut line = event_json(run, event);
        if let Some(whole) = long.and_then(|id| ws.blobs.get(id, WHOLE).ok()) {
            line["content"]["text"] = Value::from(String::from_utf8_lossy(&whole).into_owned());
            line["content"]["shortened"] = Value::from(false);
        }
        text.push_str(&ws.app.redactor.text(&line.to_string()));
        text.push('\n');
        if over {
            break;
        }
    }
    Ok((Bytes::from(text), over))
}

/// The blob of an event's text, if it is not inline.
fn long_text(kind: &EventKind) -> Option<BlobId> {
    match kind {
        EventKind::Input { text: Body::Blob { id, .. }, .. }
        | EventKind::Assistant { parts: Body::Blob { id, .. }, .. }
        | EventKind::ToolFinished { result: Body::Blob { id, .. }, .. } => Some(*id),
        _ => None,
    }
}

/// An event in API format, with the number of its step on the run's page.
pub(in crate::runs) fn event_json(run: &Run, event: SessionEvent) -> Value {
    let step = event.n.saturating_sub(run.first_event) + 1;
    let mut line = serde_json::to_value(StepOut::of(event)).unwrap_or_default();
    line["step"] = Value::from(step);
    line
}
