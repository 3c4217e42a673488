//! Turns of the scripted model: content, end, and gates that block the server.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::Tokens;

/// A point in a response at which the server waits for the test.
#[derive(Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            open: Arc::new(watch::Sender::new(false)),
            reached: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets the server continue.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until the server has reached the gate.
    pub async fn reached(&self) {
        self.reached.subscribe().wait_for(|r| *r).await.expect("the gate lives");
    }

    pub(super) async fn pass(&self) {
        self.reached.send_replace(true);
        self.open.subscribe().wait_for(|o| *o).await.expect("the gate lives");
    }
}

/// A part of a response.
#[derive(Clone)]
pub(super) enum Say {
    Text(String),
    Thinking { text: String, signature: String },
    Redacted(String),
    Call { id: Option<String>, name: String, arguments: String },
}

/// How a response ends.
#[derive(Clone)]
pub(super) enum End {
    /// With the final event.
    Whole,
    /// Normally, but without the final event.
    Cut,
    /// The connection breaks.
    Broken,
    /// With the final event but without the end mark of Chat Completions streams; the connection stays open.
    Open,
    /// Nothing more is sent; the connection stays open.
    Stalled,
    /// With an error event.
    Error { code: String, message: String },
}

/// A response.
#[derive(Clone)]
pub struct Turn {
    pub(super) model: Option<String>,
    pub(super) says: Vec<Say>,
    pub(super) usage: Option<Tokens>,
    pub(super) stop: Option<String>,
    pub(super) end: End,
    pub(super) gate: Option<Gate>,
    pub(super) middle: Option<(usize, Gate)>,
    pub(super) piece: Option<usize>,
    pub(super) stream: bool,
    pub(super) instead: Option<Instead>,
}

/// A response without content.
#[derive(Clone)]
pub(super) enum Instead {
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

    /// Text, then the end.
    pub fn text(text: &str) -> Self {
        Self::empty().and_text(text)
    }

    pub fn call(name: &str, arguments: Value) -> Self {
        Self::empty().and_call(name, arguments)
    }

    /// Starts with thinking.
    pub fn thinking(text: &str, signature: &str) -> Self {
        Self::empty().and(Say::Thinking { text: text.to_owned(), signature: signature.to_owned() })
    }

    /// An HTTP error.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self::instead(Instead::Error { status, code, message, headers: Vec::new() })
    }

    /// Status 200 with this body.
    pub fn raw(content_type: &str, body: &str) -> Self {
        Self::instead(Instead::Raw { kind: content_type.to_owned(), body: body.to_owned() })
    }

    /// An invalid stream.
    pub fn garbage() -> Self {
        Self::raw("text/event-stream", "data: {\"certainly\": not json\n\n")
    }

    /// Never answers.
    pub fn silence() -> Self {
        Self::instead(Instead::Silence)
    }

    /// Adds text.
    pub fn and_text(self, text: &str) -> Self {
        self.and(Say::Text(text.to_owned()))
    }

    /// Adds a tool call.
    pub fn and_call(self, name: &str, arguments: Value) -> Self {
        self.and_call_as(None, name, &arguments.to_string())
    }

    /// Adds a tool call with an explicit id and arguments that need not be JSON.
    pub fn and_call_as(self, id: Option<&str>, name: &str, arguments: &str) -> Self {
        self.and(Say::Call {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    /// Adds encrypted thinking.
    pub fn and_redacted(self, data: &str) -> Self {
        self.and(Say::Redacted(data.to_owned()))
    }

    fn and(mut self, say: Say) -> Self {
        self.says.push(say);
        self
    }

    /// Used for requests with this model only.
    pub fn for_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Sets the token usage.
    pub fn usage(mut self, tokens: Tokens) -> Self {
        self.usage = Some(tokens);
        self
    }

    /// Omits the token usage.
    pub fn no_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// Sets the stop reason, in the protocol's own term.
    pub fn stop(mut self, word: &str) -> Self {
        self.stop = Some(word.to_owned());
        self
    }

    /// Sends chunks of this many bytes, even within characters.
    pub fn in_pieces(mut self, bytes: usize) -> Self {
        self.piece = Some(bytes);
        self
    }

    /// Sends one document although a stream was requested.
    pub fn whole(mut self) -> Self {
        self.stream = false;
        self
    }

    /// Waits at a gate before the response.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Waits at a gate after this many events.
    pub fn pausing(mut self, events: usize, gate: &Gate) -> Self {
        self.middle = Some((events, gate.clone()));
        self
    }

    /// Ends without the final event.
    pub fn cut(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Breaks the connection instead of the final event.
    pub fn broken(mut self) -> Self {
        self.end = End::Broken;
        self
    }

    /// Sends the final event but keeps the connection open without an end mark.
    pub fn open(mut self) -> Self {
        self.end = End::Open;
        self
    }

    /// Stalls instead of the final event, with the connection open.
    pub fn stalled(mut self) -> Self {
        self.end = End::Stalled;
        self
    }

    /// Sends an error event instead of the final event.
    pub fn failing(mut self, code: &str, message: &str) -> Self {
        self.end = End::Error { code: code.to_owned(), message: message.to_owned() };
        self
    }

    /// Adds a header to an error response.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(Instead::Error { headers, .. }) = &mut self.instead {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.end, End::Whole | End::Open)
    }

    pub(super) fn calls(&self) -> bool {
        self.says.iter().any(|s| matches!(s, Say::Call { .. }))
    }
}
