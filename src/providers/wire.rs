//! One call over HTTP: sends, watches the time, feeds the decoder, and tells apart an answer that is complete, one
//! that broke off, and one that never was an answer. What it reports holds no key.

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

/// The most bytes of an error's body that are looked at.
const ERROR_BODY: usize = 64 * 1024;
/// The most bytes of a list of models; a router's is several megabytes.
const LIST_BODY: u64 = 32 * 1024 * 1024;
/// For how long an answer of which nothing lacks is read on: to its end, so that its line serves the next request.
const AFTERWARDS: Duration = Duration::from_millis(100);
/// For how long a model may think before it says something: some do it in silence.
const THOUGHT: Duration = Duration::from_secs(600);

/// How the events of an answer are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `text/event-stream`, with events of at most so many bytes.
    Events(usize),
    /// One JSON document a line, of at most so many bytes.
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

    /// Names and texts of the events that a piece completes.
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

/// Turns what a server sends into deltas and a reply. It sees no bytes and no time.
pub(super) trait Decode: Send {
    /// How the events of an answer are told apart.
    fn framing(&self) -> Framing {
        Framing::Events(MAX_EVENT)
    }
    /// Takes one event of the stream.
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError>;
    /// Takes the body of a server that did not stream.
    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError>;
    /// Whether nothing more has to be read.
    fn ended(&self) -> bool;
    /// Whether the answer is complete, even if something may still follow.
    fn complete(&self) -> bool;
    /// Whether it is complete and its tokens have been counted, so that nothing is worth waiting for.
    fn settled(&self) -> bool {
        self.ended()
    }
    /// What arrived, for an answer that broke off.
    fn received(&mut self) -> Received;
    /// The answer; `asked` is the model that was asked for.
    fn reply(&mut self, asked: &str) -> Result<Reply, ProviderError>;
}

/// How long a call may wait and how large an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From sending to the beginning of the answer.
    pub header: Duration,
    /// From sending to the first word, thought or call. What only shows that the server lives does not count.
    pub first: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// From the moment at which an answer is complete, for what may still follow, such as usage.
    pub tail: Duration,
    /// The most bytes of one answer.
    pub total: u64,
}

impl Limits {
    /// For a server: a private one may first have to load its model.
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

/// Until when an answer has to begin.
#[derive(Clone, Copy)]
struct First {
    by: Instant,
    limit: Duration,
}

impl First {
    fn of(asked: &ChatRequest, limit: Duration) -> Self {
        let limit = match asked.thinking {
            Thinking::None => limit,
            _ => limit.max(THOUGHT),
        };
        Self { by: Instant::now() + limit, limit }
    }

    /// Waits for a piece of an answer that has not begun.
    async fn wait<T>(
        self,
        piece: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        timeout_at(self.by, piece).await.unwrap_or_else(|_| {
            let text = format!(
                "the model said nothing within {} s, though its server kept the line open",
                self.limit.as_secs()
            );
            Err(ProviderError::new(ErrorClass::Timeout, text))
        })
    }
}

/// What a provider needs to reach its server.
#[derive(Clone)]
pub struct Connection {
    /// Makes the requests.
    pub client: HttpClient,
    /// Tells how long a date in `Retry-After` is away.
    pub clock: Arc<dyn Clock>,
    /// The server.
    pub base: Base,
    /// The key, if the server wants one.
    pub key: Option<Key>,
    /// Waits and sizes.
    pub limits: Limits,
    /// The window that a person chose, for servers that have to be told how large it is.
    pub context: Option<u32>,
    /// What goes along with every request: whose account it is, who asks.
    pub headers: Vec<(String, String)>,
    /// What the server has taught.
    pub lessons: Lessons,
    /// What is left of what the account allows.
    pub gauge: Gauge,
}

impl Connection {
    /// A connection with the usual limits for its server.
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

    /// The same line at another address, with another key and headers.
    #[must_use]
    pub(super) fn signed(&self, base: Base, key: Key, headers: Vec<(String, String)>) -> Self {
        let limits = Limits::of(&base);
        Self { base, key: Some(key), headers, limits, ..self.clone() }
    }

    /// With other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With what others have learned of the server, who hear of what is learned here.
    #[must_use]
    pub fn lessons(mut self, lessons: Lessons) -> Self {
        self.lessons = lessons;
        self
    }

    /// With the place where it is kept what is left of what the account allows.
    #[must_use]
    pub fn gauge(mut self, gauge: Gauge) -> Self {
        self.gauge = gauge;
        self
    }

    /// With a window that a person chose.
    #[must_use]
    pub fn context(mut self, tokens: Option<u32>) -> Self {
        self.context = tokens;
        self
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn ask(
        &self,
        request: Request,
        asked: &ChatRequest,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
    ) -> Result<Reply, ProviderError> {
        let (begun, mut id) = (Instant::now(), None);
        let answer = self.exchange(request, asked, decoder, sink, &mut id).await;
        log_answer(asked, begun.elapsed(), id.as_deref(), &answer);
        answer
    }

    /// The same; `id` becomes what the server calls the request.
    async fn exchange(
        &self,
        request: Request,
        asked: &ChatRequest,
        decoder: &mut dyn Decode,
        sink: Sink<'_>,
        id: &mut Option<String>,
    ) -> Result<Reply, ProviderError> {
        let timeouts =
            Timeouts { headers: self.limits.header, idle: self.limits.idle, total: None };
        let request = request.timeouts(timeouts).max_body(self.limits.total);
        let first = First::of(asked, self.limits.first);
        let response = self.send(request).await?;
        *id = request_id(&response.headers);
        let result = match self.read(response, first, decoder, sink).await {
            Ok(()) => decoder.reply(&asked.model),
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

    /// Reads a small document.
    pub(super) async fn get(&self, request: Request) -> Result<Value, ProviderError> {
        let response = self.send(request.max_body(LIST_BODY)).await?;
        let bytes = response.body.bytes().await.map_err(|e| self.clean(unsent(e)))?;
        serde_json::from_slice(&bytes).map_err(|_| {
            ProviderError::garbage("the server's answer is no JSON; check the base URL")
        })
    }

    /// A request to a path of the server, trusted because a person gave the address.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let request = Request::new(Policy::Trusted, method, self.base.join(path));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends and gives the answer if it is a good one.
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        let response = self.client.request(request).await.map_err(|e| self.clean(unsent(e)))?;
        self.gauge.hear(&response.headers, self.clock.now());
        if response.is_success() {
            return Ok(response);
        }
        let (status, id) = (response.status, request_id(&response.headers));
        let headers = response.headers;
        // ok: the status says enough if the rest of the answer does not come
        let (body, _) =
            response.body.beginning(ERROR_BODY).await.unwrap_or_else(|_| (Vec::new(), Extent::Cut));
        let (code, message) = match status {
            300..=399 => (
                String::new(),
                "the server redirects; give its final address as base URL".to_owned(),
            ),
            _ => error_body(&body),
        };
        let wait = pause::asked(status, &headers, &body, self.clock.now());
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
        // Some servers leave out the empty line after their last event. What is cut in it does not count.
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

    /// The next piece. Once the answer is complete, it is waited for until `by`, and nothing that goes wrong counts.
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

    /// Takes the key out of what a server may have repeated.
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

/// One line of the log for each call, without a word of what was said in it: what a provider's support asks
/// for.
fn log_answer(
    asked: &ChatRequest,
    took: Duration,
    id: Option<&str>,
    answer: &Result<Reply, ProviderError>,
) {
    let (model, millis) = (asked.model.as_str(), took.as_millis());
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

/// No answer has begun.
fn unsent(error: NetError) -> ProviderError {
    let class = match &error {
        NetError::UnknownHost { .. }
        | NetError::Connect { .. }
        | NetError::Broken { .. }
        | NetError::Setup { .. } => ErrorClass::Network,
        NetError::Timeout { phase: Phase::Connect, .. } => ErrorClass::Network,
        NetError::Timeout { .. } => ErrorClass::Timeout,
        // The key is the only header that a person writes.
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

/// An answer that had begun breaks off.
fn broken(error: NetError) -> ProviderError {
    let class = match &error {
        NetError::Timeout { .. } => ErrorClass::Timeout,
        NetError::TooLarge { .. } => ErrorClass::Garbage,
        _ => ErrorClass::Interrupted,
    };
    tracing::info!(?error, "an answer broke off");
    ProviderError::new(class, error.to_string())
}

/// Code and message of an error's body, in the shapes that servers use.
fn error_body(body: &[u8]) -> (String, String) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        // A web page of some proxy says nothing to a person.
        let message = if text.starts_with('<') { "" } else { text };
        return (String::new(), message.to_owned());
    };
    // Google's compatible server wraps the object into a list.
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
    // A router passes on what the maker itself said.
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
