//! Our own words for a conversation with a model. No provider's wire format is visible here, and everything
//! that is stored (`Message`, `Part`, `Usage`, `Reply`) can be written by a codec that is not self-describing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use kernel::Thinking;

mod answer;

pub use answer::{Delta, Received, Reply, StopReason, Usage};

/// What is sent to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The provider's id of the model.
    pub model: String,
    /// The system prompt, stable parts first.
    pub system: Vec<SystemPart>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Which of the messages another model has written, by their places: what that one signed goes to no
    /// other.
    pub of_others: BTreeSet<usize>,
    /// The tools on offer, in an order that the caller keeps stable.
    pub tools: Vec<ToolDef>,
    /// Whether a tool has to be called.
    pub tool_choice: ToolChoice,
    /// The most output tokens, thinking included.
    pub max_output: u32,
    /// How much the model thinks first.
    pub thinking: Thinking,
    /// Whether it is to be answered sooner than others; nothing is said of it where there is no such way.
    pub fast: Option<bool>,
    /// Sampling temperature; left out where the model takes none.
    pub temperature: Option<f32>,
    /// Nucleus sampling; left out where the model takes none.
    pub top_p: Option<f32>,
    /// Texts that end the output.
    pub stop: Vec<String>,
    /// The form that the words of the answer must have.
    pub format: Option<AnswerFormat>,
    /// Set when the server says that the model sees no pictures: words stand in their place, then.
    pub blind: bool,
    /// Set when the model takes no tools: none are sent, and words stand in the place of former calls, then.
    pub no_tools: bool,
    /// What helps the provider but changes no answer.
    pub metadata: Metadata,
}

/// The form that the words of an answer must have: JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFormat {
    /// What the form is called, in letters, digits, `-` and `_`.
    pub name: String,
    /// The JSON schema that it follows; none for any JSON object.
    pub schema: Option<serde_json::Value>,
    /// Whether the schema is followed to the letter, where the caller says so.
    pub strict: Option<bool>,
}

impl ChatRequest {
    /// A request with nothing said yet.
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
    Text { text: String },
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

/// What came of asking a model for a call of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whether it called the tool with what it was told.
    pub called: bool,
    /// Tokens, if the server counts.
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
