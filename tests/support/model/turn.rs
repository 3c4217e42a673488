//! What the scripted model says: one answer, what happens in it and behind it, and the gates that hold it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::Tokens;

/// A place in an answer at which the server waits until the test lets it go on.
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

    /// Lets the server go on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until the server stands at the gate.
    pub async fn reached(&self) {
        self.reached.subscribe().wait_for(|r| *r).await.expect("the gate lives");
    }

    pub(super) async fn pass(&self) {
        self.reached.send_replace(true);
        self.open.subscribe().wait_for(|o| *o).await.expect("the gate lives");
    }
}

/// One thing in an answer.
#[derive(Clone)]
pub(super) enum Say {
    Text(String),
    Thinking { text: String, signature: String },
    Redacted(String),
    Call { id: Option<String>, name: String, arguments: String },
}

/// What happens after the content.
#[derive(Clone)]
pub(super) enum End {
    /// The final event.
    Whole,
    /// The answer ends as if it were done, without its final event.
    Cut,
    /// The connection breaks.
    Broken,
    /// The final event but for the mark that ends a stream of Chat Completions; the connection stays.
    Open,
    /// Nothing more comes, the connection stays.
    Stalled,
    /// An error event.
    Error { code: String, message: String },
}

/// One answer.
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

/// What is sent in place of an answer.
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

    /// Is whole, and keeps the connection without the mark that nothing more comes.
    pub fn open(mut self) -> Self {
        self.end = End::Open;
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

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.end, End::Whole | End::Open)
    }

    pub(super) fn calls(&self) -> bool {
        self.says.iter().any(|s| matches!(s, Say::Call { .. }))
    }
}
