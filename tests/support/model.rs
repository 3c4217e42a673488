//! A scripted model behind a real loopback server. It speaks Anthropic Messages, Chat Completions, Responses,
//! Gemini's and Ollama's own protocol, streaming and not, cuts its answers into pieces of any size, fails in every way that providers fail, and keeps what it
//! was asked. Time is given by gates that a test opens, never by waiting.

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

/// The server. Dropping it ends it.
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

/// The protocol that a request came in.
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
    /// How many answers of the model a request holds.
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
        // One answer may be several items in a row.
        let starts = |(n, item): (usize, &Value)| said(item) && (n == 0 || !said(&items[n - 1]));
        items.iter().enumerate().filter(|entry| starts(*entry)).count()
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub protocol: Protocol,
    pub headers: HeaderMap,
    pub body: Value,
    /// How many bytes its body had.
    pub bytes: usize,
    /// Its body as it came.
    pub raw: String,
}

impl Seen {
    /// All of the body as text, to look for words in it.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// The names of the tools on offer, in order.
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
    /// A server on a free port that knows the model `mock` and has nothing to say yet.
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

    /// The base URL for Anthropic Messages.
    pub fn anthropic_url(&self) -> String {
        self.address.clone()
    }

    /// The base URL for Chat Completions.
    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.address)
    }

    /// The base URL for Gemini's and Ollama's own protocols.
    pub fn own_url(&self) -> String {
        self.address.clone()
    }

    /// What `/api/show` tells of every model.
    pub fn shows(&self, answer: Value) -> &Self {
        self.inner(|inner| inner.shows = answer);
        self
    }

    /// What is said next, after all that was pushed before.
    pub fn push(&self, turn: Turn) -> &Self {
        self.inner(|inner| inner.turns.push_back(turn));
        self
    }

    /// What is said by how far the conversation has come, when nothing was pushed: as many answers as the
    /// request holds, so that a call that is made again gets the same answer.
    pub fn follow(&self, script: Vec<Turn>) -> &Self {
        self.inner(|inner| inner.script = script);
        self
    }

    /// What is said by the request alone, when nothing was pushed or scripted.
    pub fn answering(&self, by: fn(&Seen) -> Option<Turn>) -> &Self {
        self.inner(|inner| inner.by = Some(by));
        self
    }

    /// What is said when nothing else is left. Without it the answer is 500.
    pub fn usually(&self, turn: Turn) -> &Self {
        self.inner(|inner| inner.usual = Some(turn));
        self
    }

    /// The models of the list.
    pub fn offer(&self, models: &[&str]) -> &Self {
        self.inner(|inner| inner.models = models.iter().map(|m| (*m).to_owned()).collect());
        self
    }

    /// Every request without this key is refused.
    pub fn require_key(&self, key: &str) -> &Self {
        self.inner(|inner| inner.key = Some(key.to_owned()));
        self
    }

    /// The requests for answers so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.inner(|inner| inner.seen.clone())
    }

    /// The newest request.
    pub fn last(&self) -> Seen {
        self.requests().pop().expect("a request")
    }

    /// How many turns nobody has asked for.
    pub fn left(&self) -> usize {
        self.inner(|inner| inner.turns.len())
    }

    /// Waits until so many requests have come in all.
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
