//! A scripted model behind a real loopback server. It speaks Anthropic Messages, Chat Completions, Responses,
//! Gemini's and Ollama's own protocol, streaming and not, cuts its answers into pieces of any size, fails in every way that providers fail, and keeps what it
//! was asked. Time is given by gates that a test opens, never by waiting.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod more;
mod wire;

use more::{
    gemini_document, gemini_events, ollama_document, ollama_events, responses_document,
    responses_events,
};
pub use wire::Tokens;
use wire::{chat_document, chat_events, error, messages_document, messages_events};

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
    /// Its protocol.
    pub protocol: Protocol,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
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

    /// A header.
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

/// A place in an answer at which the server waits until the test lets it go on.
#[derive(Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            open: Arc::new(watch::Sender::new(false)),
            reached: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets the server go on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until the server stands at the gate.
    pub async fn reached(&self) {
        self.reached.subscribe().wait_for(|r| *r).await.expect("the gate lives");
    }

    async fn pass(&self) {
        self.reached.send_replace(true);
        self.open.subscribe().wait_for(|o| *o).await.expect("the gate lives");
    }
}

/// One thing in an answer.
#[derive(Clone)]
enum Say {
    Text(String),
    Thinking { text: String, signature: String },
    Redacted(String),
    Call { id: Option<String>, name: String, arguments: String },
}

/// What happens after the content.
#[derive(Clone)]
enum End {
    /// The final event.
    Whole,
    /// The answer ends as if it were done, without its final event.
    Cut,
    /// The connection breaks.
    Broken,
    /// Nothing more comes, the connection stays.
    Stalled,
    /// An error event.
    Error { code: String, message: String },
}

/// One answer.
#[derive(Clone)]
pub struct Turn {
    model: Option<String>,
    says: Vec<Say>,
    usage: Option<Tokens>,
    stop: Option<String>,
    end: End,
    gate: Option<Gate>,
    middle: Option<(usize, Gate)>,
    piece: Option<usize>,
    stream: bool,
    instead: Option<Instead>,
}

/// What is sent in place of an answer.
#[derive(Clone)]
enum Instead {
    Error { status: u16, code: String, message: String, headers: Vec<(String, String)> },
    Raw { kind: String, body: String },
    Silence,
}

impl Turn {
    fn empty() -> Self {
        Self {
            model: None,
            says: Vec::new(),
            usage: Some(Tokens { input: 100, cache_read: 0, cache_write: 0, output: 20 }),
            stop: None,
            end: End::Whole,
            gate: None,
            middle: None,
            piece: None,
            stream: true,
            instead: None,
        }
    }

    fn instead(what: Instead) -> Self {
        Self { instead: Some(what), ..Self::empty() }
    }

    /// Says something and ends.
    pub fn text(text: &str) -> Self {
        Self::empty().and_text(text)
    }

    /// Calls a tool.
    pub fn call(name: &str, arguments: Value) -> Self {
        Self::empty().and_call(name, arguments)
    }

    /// Begins by thinking.
    pub fn thinking(text: &str, signature: &str) -> Self {
        Self::empty().and(Say::Thinking { text: text.to_owned(), signature: signature.to_owned() })
    }

    /// An error answer.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self::instead(Instead::Error { status, code, message, headers: Vec::new() })
    }

    /// 200 with this body.
    pub fn raw(content_type: &str, body: &str) -> Self {
        Self::instead(Instead::Raw { kind: content_type.to_owned(), body: body.to_owned() })
    }

    /// A stream of nonsense.
    pub fn garbage() -> Self {
        Self::raw("text/event-stream", "data: {\"certainly\": not json\n\n")
    }

    /// Takes the request and never answers.
    pub fn silence() -> Self {
        Self::instead(Instead::Silence)
    }

    /// Says more.
    pub fn and_text(self, text: &str) -> Self {
        self.and(Say::Text(text.to_owned()))
    }

    /// Calls another tool.
    pub fn and_call(self, name: &str, arguments: Value) -> Self {
        self.and_call_as(None, name, &arguments.to_string())
    }

    /// Calls a tool with an id of its own and arguments that need not be JSON.
    pub fn and_call_as(self, id: Option<&str>, name: &str, arguments: &str) -> Self {
        self.and(Say::Call {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    /// Adds thinking that only the provider can read.
    pub fn and_redacted(self, data: &str) -> Self {
        self.and(Say::Redacted(data.to_owned()))
    }

    fn and(mut self, say: Say) -> Self {
        self.says.push(say);
        self
    }

    /// Only for requests for this model.
    pub fn for_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// With these tokens.
    pub fn usage(mut self, tokens: Tokens) -> Self {
        self.usage = Some(tokens);
        self
    }

    /// Without a word about tokens.
    pub fn no_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// With this stop reason, in the protocol's own word.
    pub fn stop(mut self, word: &str) -> Self {
        self.stop = Some(word.to_owned());
        self
    }

    /// In pieces of so many bytes, also within a character.
    pub fn in_pieces(mut self, bytes: usize) -> Self {
        self.piece = Some(bytes);
        self
    }

    /// As a whole document although a stream was asked for.
    pub fn whole(mut self) -> Self {
        self.stream = false;
        self
    }

    /// Waits at a gate before the answer begins.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Waits at a gate after so many events.
    pub fn pausing(mut self, events: usize, gate: &Gate) -> Self {
        self.middle = Some((events, gate.clone()));
        self
    }

    /// Ends without its final event.
    pub fn cut(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Breaks the connection in place of the final event.
    pub fn broken(mut self) -> Self {
        self.end = End::Broken;
        self
    }

    /// Says nothing more in place of the final event, and keeps the connection.
    pub fn stalled(mut self) -> Self {
        self.end = End::Stalled;
        self
    }

    /// Sends an error in place of the final event.
    pub fn failing(mut self, code: &str, message: &str) -> Self {
        self.end = End::Error { code: code.to_owned(), message: message.to_owned() };
        self
    }

    /// With a header more; for errors.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(Instead::Error { headers, .. }) = &mut self.instead {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    fn calls(&self) -> bool {
        self.says.iter().any(|s| matches!(s, Say::Call { .. }))
    }
}

async fn messages(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    answer(Protocol::Messages, &state, headers, &body).await
}

async fn chat(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    answer(Protocol::Chat, &state, headers, &body).await
}

async fn responses(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    answer(Protocol::Responses, &state, headers, &body).await
}

async fn ollama(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    answer(Protocol::Ollama, &state, headers, &body).await
}

/// The model stands in the address; it is put into the body, where the other protocols have it.
async fn gemini(
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

async fn gemini_models(state: State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
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

async fn ollama_tags(state: State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    let inner = state.inner.lock().expect("nobody panics with it");
    if !may(&inner, &headers) {
        return refused();
    }
    let models: Vec<Value> =
        inner.models.iter().map(|id| json!({ "name": id, "model": id })).collect();
    document(200, &json!({ "models": models }))
}

async fn ollama_show(state: State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
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

async fn models(state: State<Arc<Shared>>, headers: HeaderMap, _uri: Uri) -> Response<Body> {
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

/// A step of a body.
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
        End::Stalled => steps.push_back(Step::Stall),
        End::Whole | End::Cut | End::Error { .. } => {}
    }
    Body::from_stream(stream::unfold(steps, |mut steps| async move {
        loop {
            // What was given so far leaves the machine before the next step.
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
