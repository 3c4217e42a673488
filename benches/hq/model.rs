//! Mock model on loopback with the OpenAI API, so that a turn costs what HQ costs. Answers at once, or as a row
//! configures it.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::load::told;

pub struct Model {
    pub url: String,
    shared: Arc<Shared>,
}

/// Behaviour of the model.
#[derive(Clone, Default)]
pub struct Manner {
    /// Delay before the first token.
    pub wait: Duration,
    /// Tool calls in one response before any text.
    pub calls: Vec<(&'static str, Value)>,
    /// Number of timestamps sent instead of text, 5 ms apart.
    pub stamps: usize,
    /// Answers `item-7` in the unanswered messages with `re-7`.
    pub numbers: bool,
}

struct Shared {
    /// Length of the last request's body.
    asked: AtomicUsize,
    manner: Mutex<Manner>,
    /// Times of the latest requests.
    heard: watch::Sender<VecDeque<Instant>>,
    /// Time of the last tool calls, in microseconds since 1970, and the result of the last one.
    tool: Mutex<(u128, String)>,
    /// Time at which the last response was ready.
    answered: Mutex<Option<Instant>>,
    /// Numbers that were answered.
    numbers: watch::Sender<BTreeSet<usize>>,
}

/// Starts the model on a free port; it ends with the runtime.
pub async fn start() -> Model {
    let shared = Arc::new(Shared {
        asked: AtomicUsize::new(0),
        manner: Mutex::new(Manner::default()),
        heard: watch::Sender::default(),
        tool: Mutex::default(),
        answered: Mutex::default(),
        numbers: watch::Sender::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    let router = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Model { url: format!("http://127.0.0.1:{port}/v1"), shared }
}

impl Model {
    /// Length of the last request's body.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Changes the behaviour.
    pub fn be(&self, manner: Manner) {
        *self.shared.manner.lock().expect("no holder panics") = manner;
    }

    /// Time of the last tool calls, in microseconds since 1970, and the result of the last one.
    pub fn tool(&self) -> (u128, String) {
        self.shared.tool.lock().expect("no holder panics").clone()
    }

    /// Time at which the last response was ready to be sent.
    pub fn answered(&self) -> Option<Instant> {
        *self.shared.answered.lock().expect("no holder panics")
    }

    /// Waits until so many numbers were answered.
    pub async fn has_answered(&self, count: usize) -> Result<(), String> {
        let mut numbers = self.shared.numbers.subscribe();
        let all = numbers.wait_for(|numbers| count <= numbers.len());
        let all = tokio::time::timeout(Duration::from_secs(60), all).await;
        all.map_err(|_| "not every message reached the model")?.map_err(told("the model"))?;
        Ok(())
    }

    /// Clears the recorded requests; then waits for the next one and returns its time.
    pub fn next_request(&self) -> impl Future<Output = Result<Instant, String>> + use<> {
        self.shared.heard.send_modify(VecDeque::clear);
        let mut heard = self.shared.heard.subscribe();
        async move {
            let first = heard.wait_for(|heard| !heard.is_empty());
            let heard = tokio::time::timeout(Duration::from_secs(20), first).await;
            let heard = heard.map_err(|_| "the model was not asked")?;
            let heard = heard.map_err(|_| "the model ended")?;
            heard.front().copied().ok_or_else(|| "the model was not asked".to_owned())
        }
    }
}

/// Timestamp in microseconds since 1970.
pub fn now_us() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros())
}

async fn models() -> Response {
    let one = json!({ "id": "mock", "object": "model", "created": 0, "owned_by": "mock" });
    json_answer(&json!({ "object": "list", "data": [one] }))
}

async fn chat(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.heard.send_modify(|heard| {
        heard.truncate(1_000);
        heard.push_back(Instant::now());
    });
    shared.asked.store(body.len(), Ordering::Relaxed);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let manner = shared.manner.lock().expect("no holder panics").clone();
    if !manner.wait.is_zero() {
        tokio::time::sleep(manner.wait).await;
    }
    let last = request["messages"].as_array().and_then(|all| all.last()).cloned();
    let calls = match last {
        Some(message) if message["role"] != "tool" => manner.calls,
        Some(result) => {
            let text = result["content"].as_str().unwrap_or_default().to_owned();
            shared.tool.lock().expect("no holder panics").1 = text;
            Vec::new()
        }
        None => Vec::new(),
    };
    if !calls.is_empty() {
        shared.tool.lock().expect("no holder panics").0 = now_us();
    }
    let usage = json!({ "prompt_tokens": 900, "completion_tokens": 6, "total_tokens": 906 });
    if request["stream"] != true {
        let message = json!({ "role": "assistant", "content": "Two tasks are open." });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        return json_answer(&json!({
            "id": "c1", "object": "chat.completion", "created": 0, "model": "mock",
            "choices": [choice], "usage": usage,
        }));
    }
    let mut pieces = vec![piece(&json!({ "role": "assistant", "content": "" }), None)];
    let calls: Vec<Value> = calls.iter().enumerate().map(called).collect();
    let end = if calls.is_empty() { "stop" } else { "tool_calls" };
    let numbers = if manner.numbers { numbers(&request) } else { Vec::new() };
    if !numbers.is_empty() {
        let text: Vec<String> = numbers.iter().map(|number| format!("re-{number}")).collect();
        pieces.push(piece(&json!({ "content": text.join(" ") }), None));
        shared.numbers.send_modify(|all| all.extend(numbers));
    } else if calls.is_empty() && manner.stamps == 0 {
        let words = ["Two", " tasks", " are", " open", "."];
        pieces.extend(words.iter().map(|word| piece(&json!({ "content": word }), None)));
    }
    pieces.extend(calls.iter().map(|call| piece(&json!({ "tool_calls": [call] }), None)));
    let mut tail = vec![piece(&json!({}), Some(end))];
    tail.push(line(&json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "mock",
        "choices": [], "usage": usage,
    })));
    tail.push("data: [DONE]\n\n".to_owned());
    let body = if calls.is_empty() && 0 < manner.stamps {
        stamped(pieces.concat(), manner.stamps, tail.concat())
    } else {
        Body::from(pieces.concat() + &tail.concat())
    };
    *shared.answered.lock().expect("no holder panics") = Some(Instant::now());
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Numbers behind `item-` in the messages since the last answer.
fn numbers(request: &Value) -> Vec<usize> {
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let unanswered = messages.iter().rev().take_while(|message| message["role"] != "assistant");
    let texts = unanswered.filter(|message| message["role"] == "user").map(Value::to_string);
    let mut texts: Vec<String> = texts.collect();
    texts.reverse();
    texts.iter().flat_map(|text| numbers_after(text, "item-")).collect()
}

/// Numbers that follow this word in a text.
pub fn numbers_after(text: &str, word: &str) -> Vec<usize> {
    let number = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    text.split(word).skip(1).filter_map(number).collect()
}

/// Timestamps as separate chunks.
fn stamped(head: String, count: usize, tail: String) -> Body {
    let all = stream::unfold((head, 0, tail), move |(head, n, tail)| async move {
        if !head.is_empty() {
            return Some((Ok::<_, Infallible>(head), (String::new(), n, tail)));
        }
        if n < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let text = format!("@{}@ ", now_us());
            return Some((Ok(piece(&json!({ "content": text }), None)), (head, n + 1, tail)));
        }
        let left = !tail.is_empty();
        left.then(|| (Ok(tail), (head, n, String::new())))
    });
    Body::from_stream(all)
}

fn called((n, (name, arguments)): (usize, &(&str, Value))) -> Value {
    json!({
        "index": n, "id": format!("call_{n}"), "type": "function",
        "function": { "name": name, "arguments": arguments.to_string() },
    })
}

fn piece(delta: &Value, end: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
    line(&json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "mock",
        "choices": [choice],
    }))
}

fn line(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
