//! Provider-independent types of a conversation with a model. No wire format is visible here. Everything stored
//! (`Message`, `Part`, `Usage`, `Reply`) can be encoded by a codec that is not self-describing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use kernel::Thinking;

mod answer;

pub use answer::{Delta, Received, Reply, StopReason, Usage};

/// A request to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The provider's model id.
    pub model: String,
    /// System prompt, stable parts first.
    pub system: Vec<SystemPart>,
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// Indices of messages written by another model, whose signed thinking must not be sent.
    pub of_others: BTreeSet<usize>,
    /// Available tools, in an order that the caller keeps stable.
    pub tools: Vec<ToolDef>,
    /// Whether a tool must be called.
    pub tool_choice: ToolChoice,
    /// Maximum number of output tokens, including thinking.
    pub max_output: u32,
    /// Thinking level.
    pub thinking: Thinking,
    /// Whether to request priority service; `None` if not available.
    pub fast: Option<bool>,
    /// Sampling temperature; omitted if the model does not support it.
    pub temperature: Option<f32>,
    /// Nucleus sampling; omitted if the model does not support it.
    pub top_p: Option<f32>,
    /// Stop sequences.
    pub stop: Vec<String>,
    /// Required output format.
    pub format: Option<AnswerFormat>,
    /// Set if the server says that the model does not support images: placeholders in words are sent instead.
    pub blind: bool,
    /// Set if the model does not support tools: none are sent, and earlier calls are replaced with words.
    pub no_tools: bool,
    /// Hints for the provider that do not affect the answer.
    pub metadata: Metadata,
}

/// A JSON output format.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFormat {
    /// Format name: letters, digits, `-` and `_`.
    pub name: String,
    /// JSON schema; `None` for any JSON object.
    pub schema: Option<serde_json::Value>,
    /// Strict schema mode, if the caller sets it.
    pub strict: Option<bool>,
}

impl ChatRequest {
    /// A request with an empty conversation.
    #[must_use]
    pub fn new(model: impl Into<String>, max_output: u32) -> Self {
        Self {
            model: model.into(),
            system: Vec::new(),
            messages: Vec::new(),
            of_others: BTreeSet::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            max_output,
            thinking: Thinking::None,
            fast: None,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            format: None,
            blind: false,
            no_tools: false,
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

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: ToolDef) -> Self {
        self.tools.push(tool);
        self
    }

    /// Returns `true` if a tool of this name is available.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|t| t.name == tool)
    }
}

/// Whether the provider may cache the prompt up to and including a system part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The part changes between calls.
    No,
    /// Cache boundary: everything up to here is stable.
    UpToHere,
}

/// A part of the system prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemPart {
    pub text: String,
    /// Whether the prompt up to the end of this part is stable between calls.
    pub cache: bool,
}

/// Author of a message. Tool results are user messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A person, HQ, or a tool result.
    User,
    /// The model.
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    /// Content parts, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A user message with one text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::text(text)] }
    }

    /// A message of the model.
    #[must_use]
    pub fn assistant(parts: Vec<Part>) -> Self {
        Self { role: Role::Assistant, parts }
    }

    /// The message without thinking, for a provider or model that does not accept it back; `None` if nothing is left.
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

    /// A message with tool results.
    #[must_use]
    pub fn results(parts: Vec<Part>) -> Self {
        Self { role: Role::User, parts }
    }
}

/// A part of a message. Stored by position: append only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Plain text.
    Text { text: String },
    /// Thinking of the model. Sent back unchanged, and only with its signature.
    Thinking {
        /// Text, possibly summarized or empty.
        text: String,
        /// The provider's signature; `None` if the block was truncated or unsigned.
        signature: Option<String>,
    },
    /// Encrypted thinking. Sent back unchanged.
    RedactedThinking {
        /// The provider's data, as text.
        data: String,
    },
    ToolCall {
        /// Call id, referenced by the result.
        id: String,
        /// Tool name.
        name: String,
        /// Arguments exactly as the model wrote them; `{}` if there were none. Not always valid JSON.
        arguments: String,
    },
    /// Result of a tool call.
    ToolResult {
        call_id: String,
        text: String,
        /// Whether the tool failed.
        is_error: bool,
    },
    Image {
        /// Media type, such as `image/png`.
        media_type: String,
        /// File content.
        data: Vec<u8>,
    },
    /// Provider-specific data that must be sent back unchanged after the preceding part. Meaningless to other
    /// providers.
    Opaque {
        /// Stable name of the provider.
        provider: String,
        /// The requested model that produced it. Other models do not accept it.
        model: String,
        /// The provider's data.
        data: String,
    },
    /// A document, such as a PDF.
    File {
        /// Media type, such as `application/pdf`.
        media_type: String,
        name: String,
        /// File content.
        data: Vec<u8>,
    },
}

impl Part {
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

    #[must_use]
    pub fn result(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::ToolResult { call_id: call_id.into(), text: text.into(), is_error: false }
    }

    /// An error result.
    #[must_use]
    pub fn failure(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::ToolResult { call_id: call_id.into(), text: text.into(), is_error: true }
    }
}

/// A tool as shown to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolDef {
    pub name: String,
    pub description: String,
    /// JSON schema of its arguments, an object.
    pub schema: serde_json::Value,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool may be called.
    None,
    /// Some tool must be called. Ignored for models that cannot be forced.
    Required,
    /// This tool must be called. Ignored for models that cannot be forced.
    Named(String),
}

/// Hints for the provider that do not affect the answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Opaque id of the requester; never a name or an address.
    pub user: Option<String>,
    /// Opaque id of calls with a common prefix, for providers that route by it.
    pub cache_key: Option<String>,
}

/// A model offered by a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Model id to send.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Context window in tokens, if known.
    pub window: Option<u32>,
    /// Maximum number of output tokens per call, if known.
    pub max_output: Option<u32>,
    /// Price, if known; never zero for "unknown".
    pub price: Option<super::catalog::Price>,
    /// Abilities reported by the server.
    pub can: Abilities,
}

/// Abilities of a model; `None` if not reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// Supports tool calls.
    pub tools: Option<bool>,
    /// Supports images.
    pub vision: Option<bool>,
    /// Supports thinking.
    pub thinking: Option<bool>,
}

/// Result of a test call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The model that answered.
    pub model: String,
    /// From sending to the last byte, in milliseconds.
    pub millis: u64,
    /// The answer, shortened.
    pub answer: String,
    /// Token usage, if the server counts.
    pub usage: Option<Usage>,
}

/// Result of a test tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whether it called the tool with the given word.
    pub called: bool,
    /// Token usage, if the server counts.
    pub usage: Option<Usage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_can_be_left_out() {
        let thought = Part::Thinking { text: "hm".into(), signature: Some("s".into()) };
        let hidden = Part::RedactedThinking { data: "x".into() };
        let state = Part::Opaque { provider: "gemini".into(), model: "m".into(), data: "x".into() };
        let both = Message::assistant(vec![thought.clone(), hidden, Part::text("So"), state]);
        assert_eq!(both.without_thinking().map(|m| m.parts), Some(vec![Part::text("So")]));
        assert_eq!(Message::assistant(vec![thought]).without_thinking(), None);
    }
}
