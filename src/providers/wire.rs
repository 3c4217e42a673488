//! Performs one call over HTTP: sends it, enforces time limits, feeds the decoder, and distinguishes complete,
//! interrupted and invalid answers. Reports contain no key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::base::Base;
use super::error::{ErrorClass, ProviderError};
use super::model::{ChatRequest, Delta, Received, Reply};
use super::quota::Gauge;
use super::{Key, Lessons, Sink, pause};
use kernel::{Clock, Thinking};
use net::client::{Body, Extent, HttpClient, Response};
use net::error::{NetError, Phase};
use net::lines::LineParser;
use net::message::{Headers, Method, Policy, Request, Timeouts};
use net::sse::{MAX_EVENT, SseParser};

/// Maximum number of bytes of an error body to read.
const ERROR_BODY: usize = 64 * 1024;
/// Maximum size of a model list, in bytes. A router's list has several megabytes.
const LIST_BODY: u64 = 32 * 1024 * 1024;
/// How long a complete answer is read on, so that its connection can be reused.
const AFTERWARDS: Duration = Duration::from_millis(100);
/// Minimum time limit to the first output of a thinking model: some think in silence.
const THOUGHT: Duration = Duration::from_secs(600);

/// Framing of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `text/event-stream`, with a maximum event size in bytes.
    Events(usize),
    /// One JSON document per line, with a maximum line size in bytes.
    Lines(usize),
}

enum Frames {
    Events(SseParser),
    Lines(LineParser),
}

impl Frames {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Events(most) => Self::Events(SseParser::for_events_of(most)),
            Framing::Lines(most) => Self::Lines(LineParser::new(most)),
        }
    }

    /// Names and data of the events that a chunk completes.
    fn push(&mut self, piece: &[u8]) -> Result<Vec<(String, String)>, ProviderError> {
        let too_large = |error: &dyn std::fmt::Display| ProviderError::garbage(error.to_string());
        match self {
            Self::Events(parser) => {
                let events = parser.push(piece).map_err(|e| too_large(&e))?;
                Ok(events.into_iter().map(|event| (event.name, event.data)).collect())
            }
            Self::Lines(parser) => {
                let lines = parser.push(piece).map_err(|e| too_large(&e))?;
                Ok(lines.into_iter().map(|line| (String::new(), line)).collect())
            }
        }
    }

    fn finish(self) -> Option<(String, String)> {
        match self {
            Self::Events(parser) => parser.finish().map(|event| (event.name, event.data)),
            Self::Lines(parser) => parser.finish().map(|line| (String::new(), line)),
        }
    }
}

/// Decodes a server's events into deltas and a reply. Does no I/O and has no notion of time.
pub(super) trait Decode: Send {
    /// Framing of the answer.
    fn framing(&self) -> Framing {
        Framing::Events(MAX_EVENT)
    }
    /// Handles one event of the stream.
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError>;
    /// Handles the body of a server that does not stream.
    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError>;
    /// Returns `true` if nothing more needs to be read.
    fn ended(&self) -> bool;
    /// Returns `true` if the answer is complete, even if something may still follow.
    fn complete(&self) -> bool;
    /// Returns `true` if the answer is complete with its token counts, so that waiting has no benefit.
    fn settled(&self) -> bool {
        self.ended()
    }
    /// What arrived of an interrupted answer.
    fn received(&mut self) -> Received;
    /// The answer to a request for the model `requested`.
    fn reply(&mut self, requested: &str) -> Result<Reply, ProviderError>;
}

/// Time and size limits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From sending to the response headers.
    pub header: Duration,
    /// From sending to the first text, thinking or call. Keep-alives do not count.
    pub first: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// After a complete answer, for trailing data such as usage.
    pub tail: Duration,
    /// Maximum size of an answer, in bytes.
    pub total: u64,
}

impl Limits {
    /// The limits for a server. A private one may have to load its model first.
    #[must_use]
    pub fn of(base: &Base) -> Self {
        let patient = |public: u64| Duration::from_secs(if base.private { 300 } else { public });
        Self {
            header: patient(120),
            first: patient(120),
            idle: patient(120),
            tail: Duration::from_secs(1),
            total: 64 * 1024 * 1024,
        }
    }
}

/// Deadline of the first output.
#[derive(Clone, Copy)]
struct First {
    by: Instant,
    limit: Duration,
}

impl First {
    fn of(chat: &ChatRequest, limit: Duration) -> Self {
        let limit = match chat.thinking {
            Thinking::None => limit,
            _ => limit.max(THOUGHT),
        };
        Self { by: Instant::now() + limit, limit }
    }

    /// Waits for a piece before the first output.
    async fn wait<T>(
        self,
        piece: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        timeout_at(self.by, piece).await.unwrap_or_else(|_| {
            let text = format!(
                "the model sent nothing within {} s, though its server kept the connection open",
                self.limit.as_secs()
            );
            Err(ProviderError::new(ErrorClass::Timeout, text))
        })
    }
}

/// Access to a provider's server.
#[derive(Clone)]
pub struct Connection {
    pub client: HttpClient,
    /// Clock for dates in `Retry-After`.
    pub clock: Arc<dyn Clock>,
    /// The server.
    pub base: Base,
    /// API key, if the server requires one.
    pub key: Option<Key>,
    /// Time and size limits.
    pub limits: Limits,
    /// Context window chosen by a person, for servers that must be told its size.
    pub context: Option<u32>,
    /// Headers of every request, such as the account.
    pub headers: Vec<(String, String)>,
    /// What was learned about the server.
    pub lessons: Lessons,
    /// Remaining quota of the account.
    pub gauge: Gauge,
}

impl Connection {
    /// A connection with the default limits for its server.
    #[must_use]
    pub fn new(client: HttpClient, clock: Arc<dyn Clock>, base: Base, key: Option<Key>) -> Self {
        let limits = Limits::of(&base);
        Self {
            client,
            clock,
            base,
            key,
            limits,
            context: None,
            headers: Vec::new(),
            lessons: Lessons::default(),
            gauge: Gauge::default(),
        }
    }

    /// The same connection with another address, key and headers.
    #[must_use]
    pub(super) fn signed(&self, base: Base, key: Key, headers: Vec<(String, String)>) -> Self {
        let limits = Limits::of(&base);
        Self { base, key: Some(key), headers, limits, ..self.clone() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Shares learned behaviour with other connections to the server.
    #[must_use]
    pub fn lessons(mut self, lessons: Lessons) -> Self {
        self.lessons = lessons;
        self
    }

    /// Sets where the remaining quota is recorded.
    #[must_use]
    pub fn gauge(mut self, gauge: Gauge) -> Self {
        self.gauge = gauge;
        self
    }

    /// Sets a context window chosen by a person.
    #[must_use]
    pub fn context(mut self, tokens: Option<u32>) -> Self {
        self.context = tokens;
        self
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(
        &self,
        request: Request,
        chat: &ChatRequest,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
    ) -> Result<Reply, ProviderError> {
        let (begun, mut id) = (Instant::now(), None);
        let answer = self.exchange(request, chat, decoder, sink, &mut id).await;
        log_answer(chat, begun.elapsed(), id.as_deref(), &answer);
        answer
    }

    /// The same; `id` is set to the server's request id.
    async fn exchange(
        &self,
        request: Request,
        chat: &ChatRequest,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
        id: &mut Option<String>,
    ) -> Result<Reply, ProviderError> {
        let timeouts =
            Timeouts { headers: self.limits.header, idle: self.limits.idle, total: None };
        let request = request.timeouts(timeouts).max_body(self.limits.total);
        let first = First::of(chat, self.limits.first);
        let response = self.send(request).await?;
        *id = request_id(&response.headers);
        let result = match self.read(response, first, decoder, sink).await {
            Ok(()) => decoder.reply(&chat.model),
            Err(error) => Err(error),
        };
        result.map_err(|error| {
            let error = error.with_received(decoder.received());
            self.clean(ProviderError {
                request_id: error.request_id.clone().or_else(|| id.clone()),
                ..error
            })
        })
    }

    /// Reads a small JSON document.
    pub(super) async fn get(&self, request: Request) -> Result<Value, ProviderError> {
        let response = self.send(request.max_body(LIST_BODY)).await?;
        let bytes = response.body.bytes().await.map_err(|e| self.clean(unsent(e)))?;
        serde_json::from_slice(&bytes).map_err(|_| {
            ProviderError::garbage("the server's answer isn't JSON; check the base URL")
        })
    }

    /// A request to a path of the server. Trusted, because a person entered the address.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let request = Request::new(Policy::Trusted, method, self.base.join(path));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends a request and returns the response if it is successful.
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        let response = self.client.request(request).await.map_err(|e| self.clean(unsent(e)))?;
        self.gauge.hear(&response.headers, self.clock.now());
        if response.is_success() {
            return Ok(response);
        }
        let (status, id) = (response.status, request_id(&response.headers));
        let headers = response.headers;
        // ok: the status is sufficient if the body cannot be read
        let (body, _) =
            response.body.beginning(ERROR_BODY).await.unwrap_or_else(|_| (Vec::new(), Extent::Cut));
        let (code, message) = match status {
            300..=399 => (
                String::new(),
                "the server redirects; use its final address as the base URL".to_owned(),
            ),
            _ => error_body(&body),
        };
        let wait = pause::requested(status, &headers, &body, self.clock.now());
        let error = ProviderError::reported(status, &code, &message).with_retry_after(wait);
        Err(self.clean(ProviderError { request_id: id, ..error }))
    }

    async fn read(
        &self,
        response: Response,
        first: First,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
    ) -> Result<(), ProviderError> {
        let kind = response.headers.get("content-type").unwrap_or("").to_ascii_lowercase();
        if kind.contains("html") {
            return Err(ProviderError::garbage(
                "the server answered with a web page; check the base URL",
            ));
        }
        let framing = decoder.framing();
        if kind.contains("json") && matches!(framing, Framing::Events(_)) {
            let bytes = response.body.bytes().await.map_err(broken)?;
            let mut out = Vec::new();
            let read = decoder.whole(&String::from_utf8_lossy(&bytes), &mut out);
            out.into_iter().for_each(sink);
            return read;
        }
        self.read_events(response.body, first, decoder, sink).await
    }

    async fn read_events(
        &self,
        mut body: Body,
        first: First,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
    ) -> Result<(), ProviderError> {
        let mut parser = Frames::of(decoder.framing());
        let (mut out, mut begun) = (Vec::new(), false);
        let (mut complete_at, mut settled_at) = (None, None);
        loop {
            if decoder.complete() {
                complete_at.get_or_insert_with(Instant::now);
            }
            if decoder.settled() {
                settled_at.get_or_insert_with(Instant::now);
            }
            let by = [(complete_at, self.limits.tail), (settled_at, AFTERWARDS)];
            let by = by.into_iter().filter_map(|(at, wait)| Some(at? + wait)).min();
            let piece = self.piece(&mut body, by);
            let piece = match begun {
                true => piece.await?,
                false => first.wait(piece).await?,
            };
            let Some(piece) = piece else { break };
            for (name, data) in parser.push(&piece)? {
                let read = decoder.event(&name, &data, &mut out);
                begun |= out.iter().any(Delta::is_content);
                out.drain(..).for_each(&mut *sink);
                read?;
                if decoder.ended() {
                    return Ok(());
                }
            }
        }
        // Some servers omit the empty line after their last event. A truncated event is ignored.
        if let Some((name, data)) = parser.finish()
            && decoder.event(&name, &data, &mut out).is_ok()
        {
            out.into_iter().for_each(sink);
        }
        if decoder.complete() {
            return Ok(());
        }
        Err(ProviderError::interrupted("the answer ended before its final event"))
    }

    /// The next piece. After a complete answer, waits until `by` and ignores errors.
    async fn piece(
        &self,
        body: &mut Body,
        by: Option<Instant>,
    ) -> Result<Option<bytes::Bytes>, ProviderError> {
        let Some(by) = by else { return body.chunk().await.map_err(broken) };
        match timeout_at(by, body.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// Removes the key from messages in which the server may have repeated it.
    fn clean(&self, mut error: ProviderError) -> ProviderError {
        if let Some(key) = &self.key {
            error.message = error.message.replace(key.reveal(), "…");
        }
        error
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("base", &self.base)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Logs one line per call without any content, with the data that a provider's support asks for.
fn log_answer(
    chat: &ChatRequest,
    took: Duration,
    id: Option<&str>,
    answer: &Result<Reply, ProviderError>,
) {
    let (model, millis) = (chat.model.as_str(), took.as_millis());
    match answer {
        Ok(reply) => {
            let tokens = reply.usage.unwrap_or_default();
            let (input, output) = (tokens.input_total(), tokens.output);
            tracing::info!(model, millis, request.id = id, input, output, "a model answered");
        }
        Err(error) => {
            let (id, class) = (error.request_id.as_deref().or(id), error.class.word());
            let status = error.status;
            tracing::info!(model, millis, request.id = id, class, status, "a model did not answer");
        }
    }
}

fn request_id(headers: &Headers) -> Option<String> {
    let id = headers.get("request-id").or_else(|| headers.get("x-request-id"))?;
    Some(kernel::text::cut(id, 100).to_owned())
}

/// Error before an answer has started.
fn unsent(error: NetError) -> ProviderError {
    let class = match &error {
        NetError::UnknownHost { .. }
        | NetError::Connect { .. }
        | NetError::Broken { .. }
        | NetError::Setup { .. } => ErrorClass::Network,
        NetError::Timeout { phase: Phase::Connect, .. } => ErrorClass::Network,
        NetError::Timeout { .. } => ErrorClass::Timeout,
        // The key is the only header that a person enters.
        NetError::BadHeader { .. } => ErrorClass::Auth,
        NetError::Refused(_) => ErrorClass::InvalidRequest,
        NetError::TooLarge { .. } | NetError::Redirects { .. } => ErrorClass::Garbage,
    };
    let sent = match &error {
        NetError::Broken { .. } | NetError::TooLarge { .. } | NetError::Redirects { .. } => true,
        NetError::Timeout { phase, .. } => *phase != Phase::Connect,
        _ => false,
    };
    ProviderError { sent, ..ProviderError::new(class, error.to_string()) }
}

/// Error after an answer has started.
fn broken(error: NetError) -> ProviderError {
    let class = match &error {
        NetError::Timeout { .. } => ErrorClass::Timeout,
        NetError::TooLarge { .. } => ErrorClass::Garbage,
        _ => ErrorClass::Interrupted,
    };
    tracing::info!(?error, "an answer broke off");
    ProviderError::new(class, error.to_string())
}

/// Code and message of an error body, in the known formats.
fn error_body(body: &[u8]) -> (String, String) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        // An HTML page of a proxy is useless to people.
        let message = if text.starts_with('<') { "" } else { text };
        return (String::new(), message.to_owned());
    };
    // Google's compatible server wraps the object in a list.
    let json = json.get(0).unwrap_or(&json);
    let error = json.get("error").unwrap_or(json);
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let code = text("code").or_else(|| text("type")).or_else(|| text("status")).unwrap_or("");
    let message = match (error.as_str(), text("message")) {
        (Some(message), _) | (None, Some(message)) => message.to_owned(),
        (None, None) => {
            json.get("detail").map_or_else(String::new, |detail| match detail.as_str() {
                Some(text) => text.to_owned(),
                None => detail.to_string(),
            })
        }
    };
    // A router passes on the vendor's own message.
    let passed = error.get("metadata").and_then(|metadata| metadata.get("raw")?.as_str());
    let message = passed.map_or_else(|| message.clone(), |own| format!("{message}: {own}"));
    (code.to_owned(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_shape() {
        for (body, code, message) in [
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}"#,
                "overloaded_error",
                "Busy",
            ),
            (
                r#"{"error":{"message":"No","type":"x","code":"invalid_api_key"}}"#,
                "invalid_api_key",
                "No",
            ),
            (r#"{"error":{"message":"No","type":"x","code":null}}"#, "x", "No"),
            (r#"{"error":"model 'a' not found"}"#, "", "model 'a' not found"),
            (
                r#"{"object":"error","message":"too long","type":"BadRequestError"}"#,
                "BadRequestError",
                "too long",
            ),
            (r#"{"detail":"Not Found"}"#, "", "Not Found"),
            (
                r#"{"detail":[{"loc":["body","stream_options"]}]}"#,
                "",
                r#"[{"loc":["body","stream_options"]}]"#,
            ),
            (
                r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
                "INVALID_ARGUMENT",
                "bad",
            ),
            ("<html>502</html>", "", ""),
            ("upstream gone", "", "upstream gone"),
            ("", "", ""),
        ] {
            assert_eq!(
                error_body(body.as_bytes()),
                (code.to_owned(), message.to_owned()),
                "{body}"
            );
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod recorded;
