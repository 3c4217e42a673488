//! A model on loopback that speaks the OpenAI API and answers at once, so that a turn costs what HQ
//! costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The running model.
pub struct Model {
    /// Its base URL, as a person would type it.
    pub url: String,
    /// Bytes of the body of the last request.
    pub asked: Arc<AtomicUsize>,
}

/// Starts the model on a free port; it ends with the runtime.
pub async fn start() -> Model {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    let router = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Model { url: format!("http://127.0.0.1:{port}/v1"), asked }
}

async fn models() -> Response {
    let one = json!({ "id": "mock", "object": "model", "created": 0, "owned_by": "mock" });
    json_answer(&json!({ "object": "list", "data": [one] }))
}

async fn chat(State(asked): State<Arc<AtomicUsize>>, body: Bytes) -> Response {
    asked.store(body.len(), Ordering::Relaxed);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let usage = json!({ "prompt_tokens": 900, "completion_tokens": 6, "total_tokens": 906 });
    if request["stream"] != true {
        let message = json!({ "role": "assistant", "content": "Two tasks are open." });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        return json_answer(&json!({
            "id": "c1", "object": "chat.completion", "created": 0, "model": "mock",
            "choices": [choice], "usage": usage,
        }));
    }
    let piece = |delta: Value, end: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
        json!({
            "id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "mock",
            "choices": [choice],
        })
    };
    let mut pieces = vec![piece(json!({ "role": "assistant", "content": "" }), Value::Null)];
    for word in ["Two", " tasks", " are", " open", "."] {
        pieces.push(piece(json!({ "content": word }), Value::Null));
    }
    pieces.push(piece(json!({}), json!("stop")));
    pieces.push(json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "mock",
        "choices": [], "usage": usage,
    }));
    let lines = pieces.iter().map(|piece| format!("data: {piece}\n\n"));
    let body: String = lines.chain(["data: [DONE]\n\n".to_owned()]).collect();
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
