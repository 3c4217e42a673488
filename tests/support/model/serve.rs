//! Server of the scripted model: selects the turn for a request and sends its bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use futures_util::stream;
use serde_json::{Value, json};

use super::more::{
    gemini_document, gemini_events, ollama_document, ollama_events, responses_document,
    responses_events,
};
use super::turn::{End, Gate, Instead, Turn};
use super::wire::{chat_document, chat_events, error, messages_document, messages_events};
use super::{Inner, Protocol, Seen, Shared};

pub(super) async fn messages(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(Protocol::Messages, &state, headers, &body).await
}

pub(super) async fn chat(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(Protocol::Chat, &state, headers, &body).await
}

pub(super) async fn responses(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(Protocol::Responses, &state, headers, &body).await
}

pub(super) async fn ollama(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    answer(Protocol::Ollama, &state, headers, &body).await
}

/// Gemini has the model in the URL; it is copied to the body, where the other protocols have it.
pub(super) async fn gemini(
    state: State<Arc<Shared>>,
    Path(action): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (model, verb) = action.split_once(':').expect("a model and a verb");
    assert_eq!(verb, "streamGenerateContent");
    let mut json: Value = serde_json::from_slice(&body).expect("a request is JSON");
    json["model"] = json!(model);
    json["stream"] = json!(true);
    let raw = String::from_utf8_lossy(&body).into_owned();
    answer_to(Protocol::Gemini, &state, headers, json, raw).await
}

pub(super) async fn gemini_models(state: State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    let inner = state.inner.lock().expect("nobody panics with it");
    if !may(&inner, &headers) {
        return refused();
    }
    let entry = |id: &String| {
        json!({
            "name": format!("models/{id}"), "displayName": format!("Model {id}"),
            "supportedGenerationMethods": ["generateContent"],
        })
    };
    let models: Vec<Value> = inner.models.iter().map(entry).collect();
    document(200, &json!({ "models": models }))
}

pub(super) async fn ollama_tags(state: State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    let inner = state.inner.lock().expect("nobody panics with it");
    if !may(&inner, &headers) {
        return refused();
    }
    let models: Vec<Value> =
        inner.models.iter().map(|id| json!({ "name": id, "model": id })).collect();
    document(200, &json!({ "models": models }))
}

pub(super) async fn ollama_show(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let inner = state.inner.lock().expect("nobody panics with it");
    if !may(&inner, &headers) {
        return refused();
    }
    let asked: Value = serde_json::from_slice(&body).expect("a request is JSON");
    let asked = asked["model"].as_str().unwrap_or("");
    if !inner.models.iter().any(|model| model == asked) {
        let text = format!("model '{asked}' not found");
        return document(404, &json!({ "error": text }));
    }
    document(200, &inner.shows)
}

pub(super) async fn models(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    _uri: Uri,
) -> Response<Body> {
    let inner = state.inner.lock().expect("nobody panics with it");
    if !may(&inner, &headers) {
        return refused();
    }
    let anthropic = headers.contains_key("anthropic-version");
    let entry = |id: &String| match anthropic {
        true => json!({ "type": "model", "id": id, "display_name": format!("Model {id}") }),
        false => json!({ "object": "model", "id": id, "owned_by": "tests" }),
    };
    let data: Vec<Value> = inner.models.iter().map(entry).collect();
    document(200, &json!({ "object": "list", "data": data, "has_more": false }))
}

async fn answer(
    protocol: Protocol,
    shared: &Shared,
    headers: HeaderMap,
    body: &[u8],
) -> Response<Body> {
    let raw = String::from_utf8_lossy(body).into_owned();
    let body: Value = serde_json::from_slice(body).expect("a request is JSON");
    answer_to(protocol, shared, headers, body, raw).await
}

async fn answer_to(
    protocol: Protocol,
    shared: &Shared,
    headers: HeaderMap,
    body: Value,
    raw: String,
) -> Response<Body> {
    let bytes = raw.len();
    let answers = protocol.answers(&body);
    let streams = body["stream"].as_bool().unwrap_or(false);
    let counts = protocol != Protocol::Chat || body["stream_options"]["include_usage"] == true;
    let asked = body["model"].as_str().unwrap_or("").to_owned();
    let (turn, number) = {
        let mut inner = shared.inner.lock().expect("nobody panics with it");
        let allowed = may(&inner, &headers);
        inner.seen.push(Seen { protocol, headers, body, bytes, raw });
        shared.asked.send_replace(inner.seen.len());
        if !allowed {
            return refused();
        }
        let fits = |t: &Turn| t.model.as_ref().is_none_or(|m| *m == asked);
        let at = inner.turns.iter().position(fits);
        let pushed = at.and_then(|at| inner.turns.remove(at));
        let scripted = || inner.script.get(answers).cloned();
        let by = || inner.by.and_then(|by| by(inner.seen.last()?));
        let turn = pushed.or_else(scripted).or_else(by).or_else(|| inner.usual.clone());
        (turn, inner.seen.len())
    };
    let Some(turn) = turn else {
        return document(
            500,
            &error(protocol, "api_error", "the test has no turn for this request"),
        );
    };
    if let Some(gate) = &turn.gate {
        gate.pass().await;
    }
    match &turn.instead {
        Some(Instead::Silence) => std::future::pending().await,
        Some(Instead::Error { status, code, message, headers }) => {
            let mut said = error(protocol, code, message);
            if protocol == Protocol::Gemini {
                said["error"]["code"] = json!(status);
            }
            let mut response = document(*status, &said);
            for (name, value) in headers {
                let name: axum::http::HeaderName = name.parse().expect("a header's name");
                response.headers_mut().insert(name, value.parse().expect("a header's value"));
            }
            return response;
        }
        Some(Instead::Raw { kind, body }) => return typed(200, kind, Body::from(body.clone())),
        None => {}
    }
    let id = format!("answer-{number}");
    let events = match protocol {
        Protocol::Messages => messages_events(&turn, &id, &asked),
        Protocol::Chat => chat_events(&turn, &id, &asked, counts),
        Protocol::Responses => responses_events(&turn, &id, &asked),
        Protocol::Gemini => gemini_events(&turn, &id, &asked),
        Protocol::Ollama => ollama_events(&turn, &asked),
    };
    if streams && turn.stream {
        let kind = match protocol {
            Protocol::Ollama => "application/x-ndjson",
            _ => "text/event-stream; charset=utf-8",
        };
        return typed(200, kind, streamed(&turn, events, protocol));
    }
    let document_of = match protocol {
        Protocol::Messages => messages_document(&turn, &id, &asked),
        Protocol::Chat => chat_document(&turn, &id, &asked),
        Protocol::Responses => responses_document(&turn, &id, &asked),
        Protocol::Gemini => gemini_document(&turn, &id, &asked),
        Protocol::Ollama => ollama_document(&turn, &asked),
    };
    document(200, &document_of)
}

fn may(inner: &Inner, headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    match &inner.key {
        None => true,
        Some(key) => {
            header("x-api-key") == Some(key)
                || header("x-goog-api-key") == Some(key)
                || header("authorization") == Some(&format!("Bearer {key}"))
        }
    }
}

fn refused() -> Response<Body> {
    document(401, &error(Protocol::Messages, "authentication_error", "invalid x-api-key"))
}

fn document(status: u16, body: &Value) -> Response<Body> {
    typed(status, "application/json", Body::from(body.to_string()))
}

fn typed(status: u16, kind: &str, body: Body) -> Response<Body> {
    let status = StatusCode::from_u16(status).expect("a status");
    Response::builder().status(status).header("content-type", kind).body(body).expect("a response")
}

/// A step of sending a body.
enum Step {
    Bytes(Bytes),
    Gate(Gate),
    Break,
    Stall,
}

fn streamed(turn: &Turn, events: Vec<String>, protocol: Protocol) -> Body {
    let mut steps = VecDeque::new();
    let mut pending = Vec::new();
    for (n, event) in events.iter().enumerate() {
        if let Some((at, gate)) = &turn.middle
            && *at == n
        {
            pieces(&mut steps, &mut pending, turn.piece);
            steps.push_back(Step::Gate(gate.clone()));
        }
        pending.extend_from_slice(event.as_bytes());
        if turn.piece.is_none() {
            pieces(&mut steps, &mut pending, None);
        }
    }
    if let End::Error { code, message } = &turn.end {
        let data = error(protocol, code, message);
        let event = match protocol {
            Protocol::Messages => format!("event: error\ndata: {data}\n\n"),
            Protocol::Responses => {
                let data = json!({ "type": "error", "code": code, "message": message });
                format!("event: error\ndata: {data}\n\n")
            }
            Protocol::Chat | Protocol::Gemini => format!("data: {data}\n\n"),
            Protocol::Ollama => format!("{data}\n"),
        };
        pending.extend_from_slice(event.as_bytes());
    }
    pieces(&mut steps, &mut pending, turn.piece);
    match turn.end {
        End::Broken => steps.push_back(Step::Break),
        End::Stalled | End::Open => steps.push_back(Step::Stall),
        End::Whole | End::Cut | End::Error { .. } => {}
    }
    Body::from_stream(stream::unfold(steps, |mut steps| async move {
        loop {
            // Sends the pending bytes before the next step.
            tokio::task::yield_now().await;
            match steps.pop_front()? {
                Step::Bytes(bytes) => return Some((Ok::<_, io::Error>(bytes), steps)),
                Step::Gate(gate) => gate.pass().await,
                Step::Break => return Some((Err(io::Error::other("cut by the test")), steps)),
                Step::Stall => std::future::pending().await,
            }
        }
    }))
}

fn pieces(steps: &mut VecDeque<Step>, pending: &mut Vec<u8>, size: Option<usize>) {
    let bytes = std::mem::take(pending);
    let size = size.unwrap_or(bytes.len()).max(1);
    steps.extend(bytes.chunks(size).map(|piece| Step::Bytes(Bytes::copy_from_slice(piece))));
}
