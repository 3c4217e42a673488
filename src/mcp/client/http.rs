//! Requests over HTTP. With streamable HTTP, each request is a POST of its own, answered by JSON or by a stream of events.
//! With HTTP+SSE of version 2024-11-05, all answers come over one stream, which then works like the one of a program.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use net::client::{Body, HttpClient, Response};
use net::error::NetError;
use net::guard::Hosts;
use net::message::{Headers, Method, Policy, Request, Timeouts};
use net::sse::SseParser;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::{Ask, MAX_MESSAGE, Notices, Patience};
use super::elicit::{Progress, Question};
use super::error::McpError;
use super::sse::{self, Events, Post, Posts};
use super::stdio::{Failures, Stdio};
use crate::wire::{Era, Id, META_VERSION, METHOD_NOT_FOUND, MODERN_VERSION, Message, RpcError};

/// Maximum size of all messages of a response together, in bytes.
const MAX_BODY: u64 = 8 * MAX_MESSAGE as u64;
/// Maximum size of the body of a failure.
const MAX_FAILURE: usize = 64 * 1024;
/// Time limit of messages without a result.
const NOTICE: Timeouts = Timeouts {
    headers: Duration::from_secs(5),
    idle: Duration::from_secs(5),
    total: Some(Duration::from_secs(5)),
};
/// Time limits of a message to a server that answers over a stream. Some accept a message only when they have carried it
/// out. The patience of the request decides.
const POST: Timeouts =
    Timeouts { headers: Duration::from_secs(3600), idle: Duration::from_secs(5), total: None };
/// Wait for the first event of a stream over which all answers come.
const FIRST_EVENT: Duration = Duration::from_secs(10);
/// How long such a stream may be silent. Dead connections are found by TCP.
const SILENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// Wait before an interrupted stream is resumed, unless the server names another one.
const RESUME: Duration = Duration::from_secs(1);
const MAX_RESUME: Duration = Duration::from_secs(30);
/// Attempts to resume a stream that brings nothing.
const MAX_RESUMES: u32 = 5;

#[derive(Clone, Debug, Default)]
struct State {
    /// Headers of the caller.
    headers: Headers,
    /// The era and version once they are known.
    version: Option<(Era, String)>,
    session: Option<String>,
    /// Number of sessions so far.
    generation: u64,
    /// A session is over and no new one has begun.
    is_lost: bool,
}

/// Where requests go, and may go.
#[derive(Clone)]
struct Address {
    url: String,
    policy: Policy,
    only: Hosts,
}

impl Address {
    fn request(&self, state: &State, method: Method) -> Request {
        let mut request = Request::new(self.policy, method, self.url.clone()).max_body(MAX_BODY);
        request.only = self.only.clone();
        request.headers = state.headers.clone();
        if let Some((Era::Legacy, version)) = &state.version {
            request.headers.set("mcp-protocol-version", version.clone());
        }
        if let Some(session) = &state.session {
            request.headers.set("mcp-session-id", session.clone());
        }
        request
    }
}

pub(super) struct Http {
    http: HttpClient,
    address: Address,
    state: Arc<Mutex<State>>,
    notices: Arc<Notices>,
    /// Over which all requests go once it is open.
    stream: OnceLock<Stdio>,
}

/// State of a response stream.
enum Stream {
    Done(Result<Value, RpcError>),
    /// Interrupted before the response.
    Cut,
}

impl Http {
    pub fn new(
        http: HttpClient,
        (url, headers): (String, Headers),
        (policy, only): (Policy, Hosts),
        notices: Arc<Notices>,
    ) -> Http {
        let state = Arc::new(Mutex::new(State { headers, ..State::default() }));
        let address = Address { url, policy, only };
        Http { http, address, state, notices, stream: OnceLock::new() }
    }

    pub fn set_headers(&self, headers: Headers) {
        self.state.lock().headers = headers;
    }

    /// Sets what follows from the connection's first answer.
    pub fn set_version(&self, era: Era, version: &str) {
        self.state.lock().version = Some((era, version.to_owned()));
    }

    /// Number of the current session; `None` without one.
    pub fn session(&self) -> Option<u64> {
        let state = self.state.lock();
        state.session.as_ref().map(|_| state.generation)
    }

    /// Whether the next request needs a new session.
    pub fn needs_session(&self) -> bool {
        self.state.lock().is_lost
    }

    pub fn forget_session(&self) {
        let mut state = self.state.lock();
        state.session = None;
        state.is_lost = true;
    }

    /// Whether nothing is known of the server yet.
    pub fn is_new(&self) -> bool {
        self.stream.get().is_none() && self.state.lock().version.is_none()
    }

    /// The stream over which all requests go, if it is open.
    pub fn shared_stream(&self) -> Option<&Stdio> {
        self.stream.get()
    }

    /// Opens the stream of version 2024-11-05. Returns `false` if the server offers none.
    pub async fn open_stream(&self) -> Result<bool, McpError> {
        let request = self
            .base(&self.state.lock(), Method::Get)
            .header("accept", "text/event-stream")
            .timeouts(Timeouts { headers: FIRST_EVENT, idle: SILENCE, total: None })
            // Each message has its own limit.
            .max_body(u64::MAX);
        let (endpoint, events) = match timeout(FIRST_EVENT, self.begin(request)).await {
            Ok(Ok(Some(begun))) => begun,
            Ok(Err(
                err @ (McpError::Unauthorized { .. }
                | McpError::Forbidden { .. }
                | McpError::Protocol { .. }),
            )) => return Err(err),
            // ok: the answer to the POST before says more
            Ok(Ok(None) | Err(_)) | Err(_) => return Ok(false),
        };
        let failures = Failures::default();
        let posts = Posts::new(self.poster(endpoint), Arc::clone(&failures));
        let stream = Stdio::new(Box::new(events), Box::new(posts), Arc::clone(&self.notices));
        self.stream.get_or_init(|| stream.with_failures(failures));
        Ok(true)
    }

    /// Reads the first event of the stream. Returns the address for messages, and the stream.
    async fn begin(&self, request: Request) -> Result<Option<(String, Events)>, McpError> {
        let response = self.http.request(request).await?;
        if !response.is_success() {
            return Err(failure(response, false).await);
        }
        if media_type(&response) != "text/event-stream" {
            return Ok(None);
        }
        let answered = response.url.clone();
        let Some((endpoint, events)) = sse::begin(response.body).await? else { return Ok(None) };
        let endpoint = sse::endpoint(&self.address.url, &answered, &endpoint)?;
        Ok(Some((endpoint, events)))
    }

    /// Sends messages to this address, with the headers of the moment.
    fn poster(&self, endpoint: String) -> Post {
        let address = Address { url: endpoint, ..self.address.clone() };
        let (http, state) = (self.http.clone(), Arc::clone(&self.state));
        Box::new(move |body: Vec<u8>| {
            let request = address
                .request(&state.lock(), Method::Post)
                .body("application/json", body)
                .header("accept", "application/json, text/event-stream")
                .timeouts(POST);
            Box::pin(deliver(http.clone(), request))
        })
    }

    pub async fn request(&self, ask: &Ask<'_>) -> Result<Value, McpError> {
        if let Some(stream) = self.stream.get() {
            return stream.request(ask).await;
        }
        if ask.cancel.is_cancelled() {
            return Err(McpError::Cancelled { was_sent: false });
        }
        let result = tokio::select! {
            biased;
            () = ask.cancel.cancelled() => Err(McpError::Cancelled { was_sent: true }),
            result = self.exchange(ask) => result,
        };
        let is_given_up =
            matches!(result, Err(McpError::Cancelled { .. } | McpError::Timeout { .. }));
        // In the modern era, the end of the response stream cancels the request.
        if is_given_up && self.is_legacy() && ask.method != "initialize" {
            let mut params = Map::new();
            params.insert("requestId".to_owned(), ask.id.into());
            let method = "notifications/cancelled".to_owned();
            // ok: the server may be away
            let _ = self.send(&Message::Notification { method, params }).await;
        }
        result
    }

    /// Sends a message that has no result.
    pub async fn send(&self, message: &Message) -> Result<(), McpError> {
        let request = self.post(message, None)?.timeouts(NOTICE);
        let response = self.http.request(request).await?;
        match response.is_success() {
            true => Ok(()),
            false => Err(failure(response, false).await),
        }
    }

    /// Ends the session.
    pub async fn close(&self) {
        let request = {
            let state = self.state.lock();
            if state.session.is_none() {
                return;
            }
            self.base(&state, Method::Delete).timeouts(NOTICE)
        };
        self.forget_session();
        // ok: servers may refuse this, and end sessions on their own
        let _ = timeout(Duration::from_secs(5), self.http.request(request)).await;
    }

    fn is_legacy(&self) -> bool {
        matches!(self.state.lock().version, Some((Era::Legacy, _)))
    }

    fn base(&self, state: &State, method: Method) -> Request {
        self.address.request(state, method)
    }

    fn post(&self, message: &Message, ask: Option<&Ask<'_>>) -> Result<Request, McpError> {
        let mut request = self.base(&self.state.lock(), Method::Post);
        let body = message.to_value().to_string();
        if MAX_MESSAGE < body.len() {
            let detail = "the arguments are too large".to_owned();
            return Err(McpError::Unsendable { detail });
        }
        request = request
            .body("application/json", body)
            .header("accept", "application/json, text/event-stream");
        let Some(ask) = ask else { return Ok(request) };
        if ask.method == "initialize" {
            request.headers.remove("mcp-protocol-version");
        } else if self.needs_session() {
            // Another caller has just lost the session.
            return Err(McpError::Status { status: 404, detail: String::new() });
        } else if is_modern(ask) {
            request.headers.set("mcp-protocol-version", MODERN_VERSION);
            request.headers.set("mcp-method", ask.method);
            for (name, value) in &ask.headers {
                request.headers.set(name, value.clone());
            }
        }
        Ok(request)
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<Value, McpError> {
        let mut patience = Patience::new(ask);
        let late = || McpError::Timeout { was_sent: true, limit: ask.limit };
        // The patience of the request decides.
        let wait = ask.longest + Duration::from_secs(1);
        let timeouts = Timeouts { headers: wait, idle: wait, total: None };
        let request = self.post(&ask.message(), Some(ask))?.timeouts(timeouts);
        // Another caller may replace the session during this request.
        let had_session = request.headers.get("mcp-session-id").is_some();
        let sent = timeout_at(patience.end(), self.http.request(request)).await;
        let response = sent.map_err(|_| late())??;
        if !response.is_success() {
            return Err(failure(response, had_session).await);
        }
        if ask.method == "initialize" {
            self.begin_session(&response)?;
        }
        let outcome = match media_type(&response).as_str() {
            "application/json" => {
                let body = timeout_at(patience.end(), read(response.body)).await;
                reply_of(&body.map_err(|_| late())??, ask.id)?
            }
            "text/event-stream" => self.stream(ask, &mut patience, response).await?,
            other => {
                let detail = match other {
                    "" => "the answer has no content".to_owned(),
                    "text/html" => "the address answers with a web page".to_owned(),
                    other => format!("the answer is of type {other}"),
                };
                return Err(McpError::Protocol { was_sent: true, detail });
            }
        };
        outcome.map_err(McpError::Rpc)
    }

    fn begin_session(&self, response: &Response) -> Result<(), McpError> {
        let session = response.headers.get("mcp-session-id").filter(|id| !id.is_empty());
        if session.is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_graphic())) {
            let detail = "its session id has forbidden characters".to_owned();
            return Err(McpError::Protocol { was_sent: false, detail });
        }
        let mut state = self.state.lock();
        state.session = session.map(str::to_owned);
        state.generation += 1;
        state.is_lost = false;
        Ok(())
    }

    /// Reads a stream up to the response, and resumes it where the legacy era allows that.
    async fn stream(
        &self,
        ask: &Ask<'_>,
        patience: &mut Patience,
        mut response: Response,
    ) -> Result<Result<Value, RpcError>, McpError> {
        let mut last_id = String::new();
        let mut resumes = 0;
        loop {
            let mut parser = SseParser::for_events_of(MAX_MESSAGE);
            let known = last_id.clone();
            match self.events(ask, patience, response.body, &mut parser).await? {
                Stream::Done(outcome) => return Ok(outcome),
                Stream::Cut if !parser.last_id().is_empty() => {
                    last_id = parser.last_id().to_owned();
                }
                Stream::Cut => {}
            }
            resumes = if last_id == known { resumes + 1 } else { 0 };
            if last_id.is_empty() || !self.is_legacy() || MAX_RESUMES < resumes {
                let detail = "the response ended early".to_owned();
                return Err(McpError::Closed { was_sent: true, detail });
            }
            sleep(parser.retry().unwrap_or(RESUME).min(MAX_RESUME)).await;
            let mut request = self
                .base(&self.state.lock(), Method::Get)
                .header("accept", "text/event-stream")
                .header("last-event-id", last_id.clone());
            let wait = ask.longest + Duration::from_secs(1);
            request.timeouts = Timeouts { headers: wait, idle: wait, total: None };
            let late = |_| McpError::Timeout { was_sent: true, limit: ask.limit };
            response =
                timeout_at(patience.end(), self.http.request(request)).await.map_err(late)??;
            if !response.is_success() {
                let detail = "the response ended early".to_owned();
                return Err(McpError::Closed { was_sent: true, detail });
            }
        }
    }

    async fn events(
        &self,
        ask: &Ask<'_>,
        patience: &mut Patience,
        mut body: Body,
        parser: &mut SseParser,
    ) -> Result<Stream, McpError> {
        loop {
            let late = |_| McpError::Timeout { was_sent: true, limit: ask.limit };
            let piece = match timeout_at(patience.end(), body.chunk()).await.map_err(late)? {
                Ok(Some(piece)) => piece,
                Ok(None) | Err(NetError::Broken { .. }) => break,
                Err(err) => return Err(too_large(err)),
            };
            let events = parser.push(&piece);
            let events = events.map_err(|_| McpError::TooLarge { limit: MAX_MESSAGE })?;
            for event in events {
                if let Some(outcome) = self.event(ask, patience, event.data.as_bytes()).await? {
                    return Ok(Stream::Done(outcome));
                }
            }
        }
        Ok(Stream::Cut)
    }

    /// Handles one event. Returns the response if it is one.
    async fn event(
        &self,
        ask: &Ask<'_>,
        patience: &mut Patience,
        data: &[u8],
    ) -> Result<Option<Result<Value, RpcError>>, McpError> {
        // The first event of a resumable stream is empty.
        if data.trim_ascii().is_empty() {
            return Ok(None);
        }
        let messages = Message::parse_all(data).unwrap_or_default();
        if messages.is_empty() {
            self.notices.skip();
        }
        for message in messages {
            match message {
                Message::Response { id, outcome } => {
                    if id.and_then(|id| id.number()) == Some(ask.id) {
                        return Ok(Some(outcome));
                    }
                }
                Message::Notification { method, params } if method == "notifications/progress" => {
                    let token = params.get("progressToken").and_then(Value::as_u64);
                    if let Some(elicit) = ask.elicit.filter(|_| token == Some(ask.id)) {
                        patience.extend();
                        elicit.progress(&Progress::from_params(&params));
                    }
                }
                Message::Notification { method, .. } => self.notices.notified(&method),
                Message::Request { id, method, params } => {
                    self.requested(ask, patience, (id, &method, &params)).await;
                }
            }
        }
        Ok(None)
    }

    /// Answers a request of the server. Only servers of the legacy era may send some.
    async fn requested(
        &self,
        ask: &Ask<'_>,
        patience: &mut Patience,
        (id, method, params): (Id, &str, &Map<String, Value>),
    ) {
        if !self.is_legacy() {
            return;
        }
        let outcome = match (method, ask.elicit) {
            ("ping", _) => Ok(json!({})),
            ("elicitation/create", Some(elicit)) => {
                let asked = Instant::now();
                let question = Question::from_params(params, false);
                let answer = elicit.answer(&question).await;
                patience.add(asked.elapsed());
                Ok(answer.result(&question))
            }
            (other, _) => Err(RpcError::new(METHOD_NOT_FOUND, format!("{other} isn't supported"))),
        };
        let response = Message::Response { id: Some(id), outcome };
        if let Err(err) = self.send(&response).await {
            tracing::debug!(error = %err, "An answer didn't reach an MCP server");
        }
    }
}

/// Sends a message whose answer comes over the stream.
async fn deliver(http: HttpClient, request: Request) -> Result<(), McpError> {
    let response = http.request(request).await?;
    if !response.is_success() {
        return Err(failure(response, true).await);
    }
    // ok: the body says nothing, and a connection is only used again after it
    let _ = response.body.beginning(MAX_FAILURE).await;
    Ok(())
}

/// The error of a response without success.
async fn failure(response: Response, had_session: bool) -> McpError {
    let all = response.headers.iter();
    let all = all.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    let all: Vec<&str> = all.map(|(_, value)| value).collect();
    let www_authenticate = (!all.is_empty()).then(|| all.join(", "));
    let status = response.status;
    match (status, &www_authenticate) {
        (401, _) => return McpError::Unauthorized { www_authenticate },
        (403, Some(_)) => return McpError::Forbidden { www_authenticate },
        _ => {}
    }
    let wait = Duration::from_secs(5);
    let body = match timeout(wait, response.body.beginning(MAX_FAILURE)).await {
        Ok(Ok((body, _))) => body,
        // ok: the status is known, only its explanation is not
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let messages = Message::parse_all(&body).unwrap_or_default();
    let error = messages.into_iter().find_map(|message| match message {
        Message::Response { outcome: Err(error), .. } => Some(error),
        _ => None,
    });
    match error {
        Some(error) if had_session && lost_session(status, &error) => {
            McpError::Status { status: 404, detail: error.message }
        }
        Some(error) => McpError::Rpc(error),
        None => McpError::Status { status, detail: String::new() },
    }
}

/// Requests of the modern era say so in their parameters.
fn is_modern(ask: &Ask<'_>) -> bool {
    ask.params.get("_meta").is_some_and(|meta| meta.get(META_VERSION).is_some())
}

/// Whether a server no longer knows the session. The protocol demands 404; servers that were restarted also answer 400.
fn lost_session(status: u16, error: &RpcError) -> bool {
    match status {
        404 => error.code != METHOD_NOT_FOUND,
        400 => error.code == -32000 && error.message.to_ascii_lowercase().contains("session"),
        _ => false,
    }
}

fn media_type(response: &Response) -> String {
    let stated = response.headers.get("content-type").unwrap_or_default();
    stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

async fn read(mut body: Body) -> Result<Vec<u8>, McpError> {
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await.map_err(too_large)? {
        if MAX_MESSAGE < all.len() + piece.len() {
            return Err(McpError::TooLarge { limit: MAX_MESSAGE });
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

fn too_large(err: NetError) -> McpError {
    match err {
        NetError::TooLarge { .. } => McpError::TooLarge { limit: MAX_BODY as usize },
        err => McpError::Net(err),
    }
}

fn reply_of(body: &[u8], id: u64) -> Result<Result<Value, RpcError>, McpError> {
    let broken = |detail: &str| McpError::Protocol { was_sent: true, detail: detail.to_owned() };
    let messages = Message::parse_all(body).ok_or_else(|| broken("the answer is not JSON"))?;
    for message in messages {
        if let Message::Response { id: found, outcome } = message {
            let is_ours = match (&found, &outcome) {
                // A server that could not read the id answers without one.
                (None, Err(_)) => true,
                (found, _) => found.as_ref().and_then(Id::number) == Some(id),
            };
            if is_ours {
                return Ok(outcome);
            }
        }
    }
    Err(broken("the answer has another id"))
}
