//! Our own words for a conversation with a model. No provider's wire format is visible here, and everything
//! that is stored (`Message`, `Part`, `Usage`, `Reply`) can be written by a codec that is not self-describing.

use serde::{Deserialize, Serialize};

use crate::kernel::Thinking;

/// What is sent to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The provider's id of the model.
    pub model: String,
    /// The system prompt, stable parts first.
    pub system: Vec<SystemPart>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools on offer, in an order that the caller keeps stable.
    pub tools: Vec<ToolDef>,
    /// Whether a tool has to be called.
    pub tool_choice: ToolChoice,
    /// The most output tokens, thinking included.
    pub max_output: u32,
    /// How much the model thinks first.
    pub thinking: Thinking,
    /// Sampling temperature; left out where the model takes none.
    pub temperature: Option<f32>,
    /// Nucleus sampling; left out where the model takes none.
    pub top_p: Option<f32>,
    /// Texts that end the output.
    pub stop: Vec<String>,
    /// Set when the server says that the model sees no pictures: words stand in their place, then.
    pub blind: bool,
    /// What helps the provider but changes no answer.
    pub metadata: Metadata,
}

impl ChatRequest {
    /// A request with nothing said yet.
    #[must_use]
    pub fn new(model: impl Into<String>, max_output: u32) -> Self {
        Self {
            model: model.into(),
            system: Vec::new(),
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            max_output,
            thinking: Thinking::None,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            blind: false,
            metadata: Metadata::default(),
        }
    }

    /// Adds a part to the system prompt.
    #[must_use]
    pub fn system(mut self, text: impl Into<String>, cache: Cache) -> Self {
        self.system.push(SystemPart { text: text.into(), cache: cache == Cache::UpToHere });
        self
    }

    /// Adds a message.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Offers a tool.
    #[must_use]
    pub fn tool(mut self, tool: ToolDef) -> Self {
        self.tools.push(tool);
        self
    }

    /// Whether a tool of this name is on offer.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|t| t.name == tool)
    }
}

/// Whether a provider may keep the prompt up to and with a system part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// It changes from call to call.
    No,
    /// Everything before it and it stay the same: a cache boundary.
    UpToHere,
}

/// A part of the system prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPart {
    /// The text.
    pub text: String,
    /// Whether the prompt up to the end of this part stays the same between calls.
    pub cache: bool,
}

/// Who speaks. What tools answered is a user's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The person, the program, or a tool's result.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A user's message of one text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::text(text)] }
    }

    /// A model's message.
    #[must_use]
    pub fn assistant(parts: Vec<Part>) -> Self {
        Self { role: Role::Assistant, parts }
    }

    /// The message without thinking, for a provider or model that does not take it back. Nothing if nothing is
    /// left.
    #[must_use]
    pub fn without_thinking(mut self) -> Option<Self> {
        self.parts.retain(|p| {
            !matches!(
                p,
                Part::Thinking { .. } | Part::RedactedThinking { .. } | Part::Opaque { .. }
            )
        });
        (!self.parts.is_empty()).then_some(self)
    }

    /// Results of tools.
    #[must_use]
    pub fn results(parts: Vec<Part>) -> Self {
        Self { role: Role::User, parts }
    }
}

/// A piece of a message. Stored by position: only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Words.
    Text {
        /// The text.
        text: String,
    },
    /// What the model thought. Sent back unchanged, and only with its signature.
    Thinking {
        /// The text, perhaps a summary, perhaps empty.
        text: String,
        /// The provider's proof that the text is its own; absent where the block was cut or none was given.
        signature: Option<String>,
    },
    /// Thinking that only the provider can read. Sent back unchanged.
    RedactedThinking {
        /// The provider's bytes, as text.
        data: String,
    },
    /// The model calls a tool.
    ToolCall {
        /// The id that the result refers to.
        id: String,
        /// The tool.
        name: String,
        /// The arguments exactly as the model wrote them; `{}` when it wrote none. Not always valid JSON.
        arguments: String,
    },
    /// What a tool answered.
    ToolResult {
        /// The call.
        call_id: String,
        /// The answer.
        text: String,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// A picture.
    Image {
        /// Such as `image/png`.
        media_type: String,
        /// The file's bytes.
        data: Vec<u8>,
    },
    /// What a provider has to get back beside the part before it, unchanged. It means nothing to any other.
    Opaque {
        /// Whose it is: the provider's stable word.
        provider: String,
        /// The model that wrote it, as it was asked for; no other takes it.
        model: String,
        /// The provider's own text.
        data: String,
    },
    /// A document, such as a PDF.
    File {
        /// Such as `application/pdf`.
        media_type: String,
        /// Its name.
        name: String,
        /// Its bytes.
        data: Vec<u8>,
    },
}

impl Part {
    /// Words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A call with its arguments as JSON text.
    #[must_use]
    pub fn call(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self::ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    /// A result.
    #[must_use]
    pub fn result(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::ToolResult { call_id: call_id.into(), text: text.into(), is_error: false }
    }

    /// A result that is an error.
    #[must_use]
    pub fn failure(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::ToolResult { call_id: call_id.into(), text: text.into(), is_error: true }
    }
}

/// A tool as a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDef {
    /// The name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of its arguments, an object.
    pub schema: serde_json::Value,
}

/// Whether a tool has to be called.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None may be called.
    None,
    /// One has to be called. A model that cannot be forced is left to decide.
    Required,
    /// This one has to be called. A model that cannot be forced is left to decide.
    Named(String),
}

/// What helps the provider but changes no answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// An opaque id of who asks; never a name or an address.
    pub user: Option<String>,
    /// The same for calls that share a prefix, for providers that route by it.
    pub cache_key: Option<String>,
}

/// Tokens of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Input that came from no cache and went into none.
    pub input: u64,
    /// Input read from the provider's cache.
    pub cache_read: u64,
    /// Input written to the provider's cache.
    pub cache_write: u64,
    /// The part of `cache_write` that is kept for an hour, which costs more.
    pub cache_write_1h: u64,
    /// Output, thinking included.
    pub output: u64,
    /// The part of `output` that was thinking, where the provider says so.
    pub reasoning: u64,
}

impl Usage {
    /// Everything that was sent.
    #[must_use]
    pub fn input_total(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// Tells of these tokens when they are news; servers that do not count say nothing, or zero.
    pub(super) fn tell(self, known: &mut Option<Self>, out: &mut Vec<Delta>) {
        if self.total() != 0 && *known != Some(self) {
            *known = Some(self);
            out.push(Delta::Usage(self));
        }
    }

    /// Both sums together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cache_write_1h = self.cache_write_1h.saturating_add(other.cache_write_1h);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

/// Why a model stopped. Stored by position: only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// It was done.
    End,
    /// It wants tools to be called.
    ToolUse,
    /// The output limit was reached.
    MaxTokens,
    /// One of the stop texts came.
    StopSequence,
    /// The provider or the model declined.
    Refusal,
    /// The provider paused a long turn; sending the conversation again as it is goes on.
    Pause,
    /// The context window is full.
    ContextFull,
}

impl StopReason {
    /// What an answer ended with. Many servers say "stop", or nothing, although they called tools.
    #[must_use]
    pub fn of(said: Option<Self>, parts: &[Part]) -> Self {
        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
        match said {
            Some(Self::End) | None if calls => Self::ToolUse,
            Some(stop) => stop,
            None => Self::End,
        }
    }
}

/// What arrives while a model answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The answer has begun.
    Start {
        /// The provider's id of the answer, if it gives one.
        response_id: Option<String>,
        /// The model that answers, if the provider says so.
        model: Option<String>,
    },
    /// More text.
    Text(String),
    /// More thinking.
    Thinking(String),
    /// A tool call begins.
    ToolCallStart {
        /// The position among the calls of this answer.
        index: usize,
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of a call's arguments.
    ToolCallArgs {
        /// The position among the calls of this answer.
        index: usize,
        /// A piece of JSON text.
        json: String,
    },
    /// Usage as known so far; it replaces what was said before.
    Usage(Usage),
}

impl Delta {
    /// Whether this is content, after which a call must not be repeated without saying so.
    #[must_use]
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Start { .. } | Self::Usage(_))
    }
}

/// A whole answer: the stream had its final event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the model said, in order.
    pub parts: Vec<Part>,
    /// Tokens; absent where the server does not count.
    pub usage: Option<Usage>,
    /// Why it stopped.
    pub stop: StopReason,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// The model that answered, which may be more exact than the one asked for.
    pub model: String,
}

impl Reply {
    /// All text, joined.
    #[must_use]
    pub fn text(&self) -> String {
        join_text(&self.parts)
    }

    /// The calls, in order: id, tool, arguments.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall { id, name, arguments } => {
                Some((id.as_str(), name.as_str(), arguments.as_str()))
            }
            _ => None,
        })
    }
}

/// What had arrived when a call broke off. Its tool calls are never complete and must not be run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Received {
    /// Text, thinking without signature, and calls as far as they came.
    pub parts: Vec<Part>,
    /// Usage as far as the provider told it.
    pub usage: Option<Usage>,
    /// Bytes of text, thinking and arguments, for an estimate of what will be billed.
    pub bytes: u64,
}

impl Received {
    /// Whether anything came that a person may have seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds what just came. A caller that stops a stream keeps one of these beside its sink.
    pub fn push(&mut self, delta: &Delta) {
        match delta {
            Delta::Start { .. } => {}
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::Text(more) => {
                self.count(more);
                match self.parts.last_mut() {
                    Some(Part::Text { text }) => text.push_str(more),
                    _ => self.parts.push(Part::text(more.as_str())),
                }
            }
            Delta::Thinking(more) => {
                self.count(more);
                match self.parts.last_mut() {
                    Some(Part::Thinking { text, .. }) => text.push_str(more),
                    _ => self.parts.push(Part::Thinking { text: more.clone(), signature: None }),
                }
            }
            Delta::ToolCallStart { id, name, .. } => {
                self.count(name);
                self.parts.push(Part::call(id.as_str(), name.as_str(), ""));
            }
            Delta::ToolCallArgs { index, json } => {
                self.count(json);
                let call = self.parts.iter_mut().filter_map(|part| match part {
                    Part::ToolCall { arguments, .. } => Some(arguments),
                    _ => None,
                });
                if let Some(arguments) = call.into_iter().nth(*index) {
                    arguments.push_str(json);
                }
            }
        }
    }

    /// All text, joined.
    #[must_use]
    pub fn text(&self) -> String {
        join_text(&self.parts)
    }

    fn count(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
    }
}

/// A model that a server offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The id to send.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The context window in tokens, if known.
    pub window: Option<u32>,
    /// The most output tokens of one call, if known.
    pub max_output: Option<u32>,
    /// What it costs, if known; never zero for "unknown".
    pub price: Option<super::catalog::Price>,
    /// What it can do, as far as the server says.
    pub can: Abilities,
}

/// What a server says of a model's abilities; nothing where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// Whether it calls tools.
    pub tools: Option<bool>,
    /// Whether it sees pictures.
    pub vision: Option<bool>,
    /// Whether it thinks first.
    pub thinking: Option<bool>,
}

/// What a test of a connection found out by really calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The model that answered.
    pub model: String,
    /// From sending to the last byte.
    pub millis: u64,
    /// What it said, cut short.
    pub answer: String,
    /// Tokens, if the server counts.
    pub usage: Option<Usage>,
}

fn join_text(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        if let Part::Text { text } = part {
            out.push_str(text);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_kept_in_order_and_counted() {
        let mut received = Received::default();
        for delta in [
            Delta::Start { response_id: None, model: None },
            Delta::Thinking("hm".into()),
            Delta::Text("Hel".into()),
            Delta::Text("lo".into()),
            Delta::ToolCallStart { index: 0, id: "a".into(), name: "read".into() },
            Delta::ToolCallStart { index: 1, id: "b".into(), name: "list".into() },
            Delta::ToolCallArgs { index: 1, json: "{}".into() },
            Delta::ToolCallArgs { index: 0, json: "{\"p".into() },
        ] {
            received.push(&delta);
        }
        assert_eq!(received.text(), "Hello");
        assert_eq!(received.parts[2], Part::call("a", "read", "{\"p"));
        assert_eq!(received.parts[3], Part::call("b", "list", "{}"));
        assert_eq!(received.bytes, 2 + 5 + 4 + 4 + 2 + 3);
        assert!(!received.is_empty());
    }

    #[test]
    fn thinking_can_be_left_out() {
        let thought = Part::Thinking { text: "hm".into(), signature: Some("s".into()) };
        let hidden = Part::RedactedThinking { data: "x".into() };
        let state = Part::Opaque { provider: "gemini".into(), model: "m".into(), data: "x".into() };
        let both = Message::assistant(vec![thought.clone(), hidden, Part::text("So"), state]);
        assert_eq!(both.without_thinking().map(|m| m.parts), Some(vec![Part::text("So")]));
        assert_eq!(Message::assistant(vec![thought]).without_thinking(), None);
    }

    #[test]
    fn usage_adds_up_without_overflow() {
        let mut sum = Usage { input: u64::MAX - 1, ..Usage::default() };
        sum += Usage {
            input: 5,
            cache_read: 1,
            cache_write: 2,
            output: 3,
            reasoning: 1,
            ..Usage::default()
        };
        assert_eq!(sum.input, u64::MAX);
        assert_eq!(sum.output, 3);
        assert_eq!(sum.total(), u64::MAX);
    }
}
