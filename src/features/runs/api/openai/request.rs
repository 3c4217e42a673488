//! What a client asks: the request's fields, which agent is meant, and the conversation as one
//! input of a session.

use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernel::AccountId;
use crate::kernel::text::{MAX_TEXT, cut};

use crate::web::extract::{Misfit, object};

use super::error::ChatError;

/// The longest input that is made of a conversation, in bytes; the oldest messages give way.
const MAX_INPUT: usize = MAX_TEXT - 1024;

/// A request for an answer.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ChatRequest {
    /// `hq`, `hq/default` or `hq/<agent>`.
    #[serde(default)]
    pub model: String,
    /// The conversation, oldest first.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// Whether the answer comes piece by piece.
    #[serde(default)]
    pub stream: Option<bool>,
    /// What a stream says besides.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// Who asks: calls with the same word share a session, which remembers.
    #[serde(default)]
    pub user: Option<String>,
    /// How many answers; only one is given.
    #[serde(default)]
    pub n: Option<u32>,
    /// Refused: the agent uses its own tools.
    #[serde(default)]
    tools: Option<Value>,
    /// Refused, as `tools`.
    #[serde(default)]
    functions: Option<Value>,
    /// Refused unless it asks for text.
    #[serde(default)]
    response_format: Option<Value>,
    /// Refused when true.
    #[serde(default)]
    logprobs: Option<bool>,
    /// Not used: the agent's model works as it is set. Checked, 0 to 2.
    #[serde(default)]
    temperature: Option<f64>,
    /// Not used, as `temperature`. Checked, 0 to 1.
    #[serde(default)]
    top_p: Option<f64>,
    /// Not used: how much an agent may say is set on its page. Checked, at least 1.
    #[serde(default)]
    max_tokens: Option<u64>,
    /// Not used, as `max_tokens`.
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    /// Not used: the agent ends its answer itself. Checked, a text or up to four.
    #[serde(default)]
    stop: Option<Value>,
}

/// What a stream says besides the answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct StreamOptions {
    /// Ends the stream with a chunk that carries the usage.
    #[serde(default)]
    pub include_usage: Option<bool>,
}

/// One message of the conversation.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    role: String,
    /// Text, or a list of parts of type `text`.
    #[serde(default)]
    content: Value,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let request: Self = object(body).map_err(|Misfit { field, message }| {
            let field = if field.is_empty() { "body" } else { &field };
            ChatError::invalid(field, format!("the body is not a chat request: {message}"))
        })?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), ChatError> {
        let given = |value: &Option<Value>| match value {
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Null) | None => false,
            Some(_) => true,
        };
        for (name, value) in [("tools", &self.tools), ("functions", &self.functions)] {
            if given(value) {
                let text = format!(
                    "`{name}` of the caller are not supported: the agent works with its own \
                     tools. Leave `{name}` out."
                );
                return Err(ChatError::invalid(name, text));
            }
        }
        let form = self.response_format.as_ref().and_then(|form| form["type"].as_str());
        if form.is_some_and(|form| form != "text") {
            let text = "`response_format` is not supported; ask for the form in the message";
            return Err(ChatError::invalid("response_format", text));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(ChatError::invalid(
                "n",
                "one answer is given for each request: leave `n` out",
            ));
        }
        self.check_unused()?;
        if self.logprobs == Some(true) {
            return Err(ChatError::invalid(
                "logprobs",
                "`logprobs` are not known here: leave it out",
            ));
        }
        if self.messages.is_empty() {
            return Err(ChatError::invalid("messages", "`messages` is empty: say something first"));
        }
        Ok(())
    }

    /// What is taken so that programs work as they are, and not used, must still make sense.
    fn check_unused(&self) -> Result<(), ChatError> {
        let outside = |value: Option<f64>, most: f64| {
            value.is_some_and(|value| !(0.0..=most).contains(&value))
        };
        if outside(self.temperature, 2.0) {
            return Err(ChatError::invalid("temperature", "`temperature` is from 0 to 2"));
        }
        if outside(self.top_p, 1.0) {
            return Err(ChatError::invalid("top_p", "`top_p` is from 0 to 1"));
        }
        for (name, value) in
            [("max_tokens", self.max_tokens), ("max_completion_tokens", self.max_completion_tokens)]
        {
            if value == Some(0) {
                return Err(ChatError::invalid(name, format!("`{name}` is at least 1")));
            }
        }
        let sound = match &self.stop {
            None | Some(Value::Null | Value::String(_)) => true,
            Some(Value::Array(words)) => words.len() <= 4 && words.iter().all(Value::is_string),
            Some(_) => false,
        };
        match sound {
            true => Ok(()),
            false => Err(ChatError::invalid("stop", "`stop` is a text or a list of up to four")),
        }
    }

    /// Whether the answer comes piece by piece.
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether a stream ends with its usage.
    pub fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage) == Some(true)
    }

    /// The conversation as one input. A session that remembers gets what is new alone.
    ///
    /// # Errors
    /// When a message is not text, or nothing is said.
    pub fn input(&self, remembers: Remembers) -> Result<String, ChatError> {
        let mut said: Vec<(Speaker, String)> = Vec::with_capacity(self.messages.len());
        for (at, message) in self.messages.iter().enumerate() {
            said.push((Speaker::of(&message.role, at)?, text_of(&message.content, at)?));
        }
        let is_talk = |s: Speaker| matches!(s, Speaker::User | Speaker::Assistant | Speaker::Tool);
        let instructions = said.iter().filter(|(speaker, _)| !is_talk(*speaker));
        let instructions: Vec<&str> = instructions.map(|(_, text)| text.trim()).collect();
        let talk: Vec<&(Speaker, String)> = said.iter().filter(|(s, _)| is_talk(*s)).collect();
        let now_from = talk
            .iter()
            .rposition(|(speaker, _)| *speaker == Speaker::Assistant)
            .map_or(0, |at| at + 1);
        let now: Vec<&str> = talk[now_from..].iter().map(|(_, text)| text.trim()).collect();
        let now = now.join("\n\n");
        if now.is_empty() {
            let text = "the last message must be the user's and must say something";
            return Err(ChatError::invalid("messages", text));
        }
        let (instructions, before) = match remembers {
            Remembers::Everything => (String::new(), &talk[..0]),
            Remembers::Nothing => (instructions.join("\n\n"), &talk[..now_from]),
        };
        fold(&instructions, before, &now)
    }
}

/// What the session that a request goes to holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembers {
    /// It is new.
    Nothing,
    /// The conversation so far.
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

impl Speaker {
    fn of(role: &str, at: usize) -> Result<Self, ChatError> {
        Ok(match role {
            "system" | "developer" => Self::System,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            other => {
                let text = format!(
                    "\"{}\" is no role; use system, developer, user or assistant",
                    cut(other, 40)
                );
                return Err(ChatError::invalid(&format!("messages[{at}].role"), text));
            }
        })
    }

    fn label(self) -> &'static str {
        match self {
            Self::System => "Instructions",
            Self::User => "User",
            Self::Assistant => "Assistant",
            Self::Tool => "Result of a tool",
        }
    }
}

/// The text of a message: a text, a list of text parts, or nothing.
fn text_of(content: &Value, at: usize) -> Result<String, ChatError> {
    let param = format!("messages[{at}].content");
    let parts = match content {
        Value::Null => return Ok(String::new()),
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err(ChatError::invalid(&param, "content is a text or a list of parts")),
    };
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        let kind = part["type"].as_str().unwrap_or_default();
        let text = match kind {
            "text" | "input_text" | "output_text" => part["text"].as_str(),
            "refusal" => part["refusal"].as_str(),
            _ => None,
        };
        texts.push(text.ok_or_else(|| {
            let text =
                format!("parts of type \"{}\" are not supported, only \"text\"", cut(kind, 40));
            ChatError::invalid(&param, text)
        })?);
    }
    Ok(texts.join("\n"))
}

/// One input of a conversation that the session does not know.
fn fold(instructions: &str, before: &[&(Speaker, String)], now: &str) -> Result<String, ChatError> {
    if instructions.is_empty() && before.is_empty() {
        return checked(now.to_owned());
    }
    let mut out = String::new();
    if !instructions.is_empty() {
        out.push_str("# Instructions from the program that asks\n");
        out.push_str(instructions);
        out.push_str("\n\n");
    }
    let end = format!("# What is said now\n{now}");
    let room = MAX_INPUT.saturating_sub(out.len() + end.len() + 128);
    let mut kept = Vec::new();
    let mut used = 0;
    for (speaker, text) in before.iter().rev().filter(|(_, text)| !text.trim().is_empty()) {
        let line = format!("{}: {}\n\n", speaker.label(), text.trim());
        used += line.len();
        if room < used {
            break;
        }
        kept.push(line);
    }
    if !kept.is_empty() {
        out.push_str("# The conversation so far\n");
        let left_out = before.len() - kept.len();
        if 0 < left_out && room < used {
            out.push_str(&format!("[{left_out} earlier messages were left out]\n\n"));
        }
        out.extend(kept.iter().rev().map(String::as_str));
    }
    out.push_str(&end);
    checked(out)
}

fn checked(text: String) -> Result<String, ChatError> {
    if text.len() <= MAX_INPUT {
        return Ok(text);
    }
    let message = format!(
        "the message and its instructions have {} KB; at most {} KB are taken. Shorten it, or give \
         the agent a file.",
        text.len() / 1024,
        MAX_INPUT / 1024
    );
    let error = ChatError::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message);
    Err(ChatError { param: Some("messages".to_owned()), ..error })
}

/// Which agent a model's name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The workspace's first one.
    Default,
    /// The one with this slug or id.
    Named(String),
}

impl Target {
    /// Reads `hq`, `hq/default`, `hq/<agent>`, the same with `openclaw`, `openclaw:<agent>` and
    /// `agent:<agent>`.
    ///
    /// # Errors
    /// 404 for the name of another model.
    pub fn of(model: &str) -> Result<Self, ChatError> {
        let name = ["hq", "openclaw", "agent"].iter().find_map(|own| {
            let rest = model.trim().strip_prefix(own)?;
            match rest.strip_prefix(['/', ':']) {
                Some(name) => Some(name),
                None => (rest.is_empty() && *own != "agent").then_some("default"),
            }
        });
        match name {
            Some("default") => Ok(Self::Default),
            Some(name) if !name.is_empty() => Ok(Self::Named(name.to_owned())),
            _ => Err(unknown_model(model)),
        }
    }
}

/// There is no such model.
pub(super) fn unknown_model(model: &str) -> ChatError {
    let message = format!(
        "the model \"{}\" does not exist; use hq/default or hq/<agent>, as GET /v1/models lists \
         them",
        cut(model, 80)
    );
    let error = ChatError::new(StatusCode::NOT_FOUND, "model_not_found", message);
    ChatError { param: Some("model".to_owned()), ..error }
}

/// A word from a header, under our name or the peer's.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let find = |prefix: &str| headers.get(format!("{prefix}-{name}"))?.to_str().ok();
    find("x-hq").or_else(|| find("x-openclaw")).map(str::trim).filter(|word| !word.is_empty())
}

/// Which conversation a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thread {
    /// None: a session is made for this call alone.
    Single,
    /// The person's own conversation with the agent.
    Own,
    /// One that this person's calls share under a name.
    Shared(String),
}

impl Thread {
    /// Reads the session header and the field `user`.
    ///
    /// # Errors
    /// For a name that is reserved or cannot be one.
    pub fn of(key: Option<&str>, user: Option<&str>, by: AccountId) -> Result<Self, ChatError> {
        if let Some(key) = key {
            return Self::named(key, by);
        }
        match user.map(str::trim).filter(|user| !user.is_empty()) {
            Some(user) => Ok(Self::Shared(format!("openai-{}", digest(by, user)))),
            None => Ok(Self::Single),
        }
    }

    fn named(key: &str, by: AccountId) -> Result<Self, ChatError> {
        const PARAM: &str = "x-hq-session-key";
        if key == "main" || (key.starts_with("agent:") && key.ends_with(":main")) {
            return Ok(Self::Own);
        }
        let reserved = ["agent:", "subagent:", "cron:", "acp:", "hook:", "session:"];
        if reserved.iter().any(|start| key.starts_with(start)) {
            let text = "names that begin so are reserved; choose another one";
            return Err(ChatError::invalid(PARAM, text));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        if key.len() > 200 || !key.chars().all(plain) {
            let text = "a session's name has at most 200 letters, digits and -_.:/@";
            return Err(ChatError::invalid(PARAM, text));
        }
        Ok(Self::Shared(format!("key-{}", digest(by, key))))
    }
}

/// A name that no other person's calls can have.
fn digest(by: AccountId, name: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(by.to_string());
    hash.update(name);
    hex::encode(&hash.finalize()[..12])
}

#[cfg(test)]
mod tests {
    use super::{ChatRequest, Remembers, Target, Thread};
    use crate::kernel::{AccountId, TypedId};
    use serde_json::json;

    fn read(body: &serde_json::Value) -> Result<ChatRequest, super::ChatError> {
        ChatRequest::read(body.to_string().as_bytes())
    }

    fn input(messages: serde_json::Value, remembers: Remembers) -> String {
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        request.input(remembers).unwrap()
    }

    #[test]
    fn one_message_is_taken_as_it_is() {
        let one = json!([{ "role": "user", "content": "Hello" }]);
        assert_eq!(input(one, Remembers::Nothing), "Hello");
        let parts = json!([{ "role": "user", "content": [
            { "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }]);
        assert_eq!(input(parts, Remembers::Nothing), "a\nb");
    }

    #[test]
    fn instructions_and_history_are_told_apart_from_what_is_said_now() {
        let talk = json!([
            { "role": "system", "content": "Be short." },
            { "role": "user", "content": "Hi" },
            { "role": "assistant", "content": "Hello!" },
            { "role": "user", "content": "What is open?" },
        ]);
        let folded = input(talk.clone(), Remembers::Nothing);
        assert_eq!(
            folded,
            "# Instructions from the program that asks\nBe short.\n\n# The conversation so far\n\
             User: Hi\n\nAssistant: Hello!\n\n# What is said now\nWhat is open?"
        );
        assert_eq!(input(talk, Remembers::Everything), "What is open?");
    }

    #[test]
    fn a_long_history_loses_its_oldest_messages_first() {
        let long = "x".repeat(40_000);
        let talk = json!([
            { "role": "user", "content": format!("first {long}") },
            { "role": "assistant", "content": format!("second {long}") },
            { "role": "user", "content": "now" },
        ]);
        let folded = input(talk, Remembers::Nothing);
        assert!(folded.contains("second") && !folded.contains("first"));
        assert!(folded.contains("[1 earlier messages were left out]"));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let user = json!([{ "role": "user", "content": "Hi" }]);
        let refused = |extra: serde_json::Value| {
            let mut body = json!({ "model": "hq", "messages": user });
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            read(&body).err().and_then(|error| error.param)
        };
        assert_eq!(refused(json!({ "tools": [{ "type": "function" }] })), Some("tools".into()));
        assert_eq!(refused(json!({ "n": 2 })), Some("n".into()));
        assert_eq!(refused(json!({ "messages": [] })), Some("messages".into()));
        assert_eq!(refused(json!({ "tools": [], "temperature": 0.2 })), None);
        let image = json!([{ "role": "user", "content": [{ "type": "image_url" }] }]);
        let request = read(&json!({ "model": "hq", "messages": image })).unwrap();
        let error = request.input(Remembers::Nothing).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages[0].content"));
    }

    #[test]
    fn a_models_name_means_an_agent() {
        for name in ["hq", "hq/default", "openclaw", "openclaw/default", "openclaw:default"] {
            assert_eq!(Target::of(name).unwrap(), Target::Default, "{name}");
        }
        for name in ["hq/ada", "openclaw:ada", "agent:ada"] {
            assert_eq!(Target::of(name).unwrap(), Target::Named("ada".into()), "{name}");
        }
        for name in ["gpt-4o", "", "hqx", "agent"] {
            assert_eq!(Target::of(name).unwrap_err().status, 404, "{name}");
        }
    }

    #[test]
    fn a_name_keeps_a_session_and_reserved_ones_are_refused() {
        let by = AccountId::from_bytes([1; 16]);
        let other = AccountId::from_bytes([2; 16]);
        let of = |key, user| Thread::of(key, user, by).unwrap();
        assert_eq!(of(None, None), Thread::Single);
        assert_eq!(of(Some("agent:ada:main"), Some("x")), Thread::Own);
        assert_eq!(of(None, Some("x")), of(None, Some("x")));
        assert_ne!(of(None, Some("x")), Thread::of(None, Some("x"), other).unwrap());
        assert_eq!(Thread::of(Some("cron:1"), None, by).unwrap_err().status, 400);
        assert_eq!(Thread::of(Some("a b"), None, by).unwrap_err().status, 400);
    }
}
