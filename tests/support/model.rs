//! Scripted model on a loopback server: Anthropic Messages, Chat Completions, Responses, Gemini and Ollama, streaming
//! or not. It splits responses into chunks of any size, simulates provider failures, and records requests. Timing is
//! controlled by gates, never by waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod more;
mod serve;
mod turn;
mod wire;

use serve::{
    chat, gemini, gemini_models, messages, models, ollama, ollama_show, ollama_tags, responses,
};
use turn::{End, Say};
pub use turn::{Gate, Turn};
pub use wire::Tokens;

/// Stops on drop.
pub struct ModelServer {
    address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    inner: Mutex<Inner>,
    asked: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    turns: VecDeque<Turn>,
    script: Vec<Turn>,
    by: Option<fn(&Seen) -> Option<Turn>>,
    usual: Option<Turn>,
    seen: Vec<Seen>,
    models: Vec<String>,
    key: Option<String>,
    shows: Value,
}

/// Protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1beta/models/{model}:streamGenerateContent`.
    Gemini,
    /// `POST /api/chat`.
    Ollama,
}

impl Protocol {
    /// Number of the model's responses in a request.
    fn answers(self, body: &Value) -> usize {
        let key = match self {
            Self::Messages | Self::Chat | Self::Ollama => "messages",
            Self::Responses => "input",
            Self::Gemini => "contents",
        };
        let items = body[key].as_array().map_or(&[][..], Vec::as_slice);
        let said = |item: &Value| {
            let kind = item["type"].as_str().unwrap_or("");
            matches!(item["role"].as_str(), Some("assistant" | "model"))
                || matches!(kind, "function_call" | "reasoning")
        };
        // One response may be several consecutive items.
        let starts = |(n, item): (usize, &Value)| said(item) && (n == 0 || !said(&items[n - 1]));
        items.iter().enumerate().filter(|entry| starts(*entry)).count()
    }
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub protocol: Protocol,
    pub headers: HeaderMap,
    pub body: Value,
    /// Length of the body.
    pub bytes: usize,
    /// The unparsed body.
    pub raw: String,
}

impl Seen {
    /// The body as text, for searching.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// Names of the offered tools, in order.
    pub fn tools(&self) -> Vec<String> {
        let told = self.body["tools"][0]["functionDeclarations"].as_array();
        let tools = told.or(self.body["tools"].as_array()).cloned().unwrap_or_default();
        let name = |t: &Value| {
            t["name"].as_str().or(t["function"]["name"].as_str()).unwrap_or("").to_owned()
        };
        tools.iter().map(name).collect()
    }
}

impl ModelServer {
    /// A server on a free port with the model `mock` and no turns.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("a bound port"));
        let inner = Inner { models: vec!["mock".to_owned()], ..Inner::default() };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), asked: watch::Sender::new(0) });
        let app = Router::new()
            .route("/v1/messages", post(messages))
            .route("/v1/chat/completions", post(chat))
            .route("/v1/models", get(models))
            .route("/v1/responses", post(responses))
            .route("/v1beta/models/{action}", post(gemini))
            .route("/v1beta/models", get(gemini_models))
            .route("/api/chat", post(ollama))
            .route("/api/show", post(ollama_show))
            .route("/api/tags", get(ollama_tags))
            .with_state(shared.clone());
        let task =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, shared, task }
    }

    /// Base URL for Anthropic Messages.
    pub fn anthropic_url(&self) -> String {
        self.address.clone()
    }

    /// Base URL for Chat Completions.
    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.address)
    }

    /// Base URL for the protocols of Gemini and Ollama.
    pub fn own_url(&self) -> String {
        self.address.clone()
    }

    /// Response to `/api/show` for every model.
    pub fn shows(&self, answer: Value) -> &Self {
        self.inner(|inner| inner.shows = answer);
        self
    }

    /// Appends a turn to the queue.
    pub fn push(&self, turn: Turn) -> &Self {
        self.inner(|inner| inner.turns.push_back(turn));
        self
    }

    /// Turns by progress of the conversation, used when the queue is empty: the number of responses in the request
    /// selects the turn, so a repeated request gets the same response.
    pub fn follow(&self, script: Vec<Turn>) -> &Self {
        self.inner(|inner| inner.script = script);
        self
    }

    /// Turns by request, used when neither queue nor script applies.
    pub fn answering(&self, by: fn(&Seen) -> Option<Turn>) -> &Self {
        self.inner(|inner| inner.by = Some(by));
        self
    }

    /// Turn used when no other applies; without one, the response is 500.
    pub fn usually(&self, turn: Turn) -> &Self {
        self.inner(|inner| inner.usual = Some(turn));
        self
    }

    /// Models in the list.
    pub fn offer(&self, models: &[&str]) -> &Self {
        self.inner(|inner| inner.models = models.iter().map(|m| (*m).to_owned()).collect());
        self
    }

    /// Rejects requests without this key.
    pub fn require_key(&self, key: &str) -> &Self {
        self.inner(|inner| inner.key = Some(key.to_owned()));
        self
    }

    /// Requests for responses so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.inner(|inner| inner.seen.clone())
    }

    pub fn last(&self) -> Seen {
        self.requests().pop().expect("a request")
    }

    /// Number of unused turns in the queue.
    pub fn left(&self) -> usize {
        self.inner(|inner| inner.turns.len())
    }

    /// Waits until `count` requests have arrived in total.
    pub async fn asked(&self, count: usize) {
        let mut asked = self.shared.asked.subscribe();
        asked.wait_for(|n| count <= *n).await.expect("the server lives");
    }

    fn inner<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.shared.inner.lock().expect("nobody panics with it"))
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
