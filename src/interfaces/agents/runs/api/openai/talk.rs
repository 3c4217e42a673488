//! A conversation as an API client sends it: the earlier messages, and the new ones as one input of a session. Also
//! selects the agent and the session.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use features::runs::model::{MAX_SPILLED, SessionEvent};
use features::runs::rules::client::MAX_INLINE;
use features::runs::rules::{Earlier, EarlierCall, MAX_EARLIER};
use kernel::text::{MAX_TEXT, cut, head_tail};
use kernel::{AccountId, RunId};

use super::content::{Content, Given};
use super::error::ChatError;

/// Longest input made of the new messages, in bytes.
const MAX_INPUT: usize = MAX_TEXT - 1024;
/// How much of a new message is inlined, in bytes; the same as for earlier messages.
const INLINE: usize = MAX_EARLIER;
/// Limits on the earlier messages that a model receives: their number, and their size in bytes. The oldest are dropped.
const MOST_BEFORE: usize = 500;
const MOST_BYTES: usize = 1024 * 1024;
/// Input text for a run that receives only tool results.
const GO_ON: &str = "The results of your calls are above; continue.";
/// Placed before a conversation that begins with an assistant message: providers require a user message first.
const BEGAN: &str = "[The conversation begins with your message.]";
/// File with the earlier messages, if the model does not receive all of them.
const CONVERSATION: &str = "conversation.md";
/// File with all long messages, if there are many.
const MESSAGES: &str = "messages.md";

/// The messages, oldest first.
#[derive(Debug)]
pub(super) struct Talk {
    /// The request field that holds the messages, for errors.
    param: &'static str,
    messages: Vec<Said>,
    /// How often each call id occurred, by the client's id.
    times: HashMap<String, usize>,
    /// The calls of the last assistant message without a result, by the client's id.
    open: HashMap<String, VecDeque<String>>,
}

#[derive(Debug)]
struct Said {
    who: Speaker,
    content: Content,
    /// The client's id of the call whose result this is.
    result_of: Option<String>,
    /// Our id of the call in the last assistant message that this answers.
    answers: Option<String>,
    /// The tool calls of an assistant message.
    calls: Vec<EarlierCall>,
}

impl Said {
    fn new(who: Speaker, content: Content) -> Self {
        Self { who, content, result_of: None, answers: None, calls: Vec::new() }
    }

    /// Bytes of this message that a model receives.
    fn bytes(&self) -> usize {
        let calls = self.calls.iter().map(|call| call.arguments.len());
        self.content.text.len().min(INLINE) + calls.sum::<usize>()
    }
}

impl Talk {
    pub fn new(param: &'static str) -> Self {
        Self { param, messages: Vec::new(), times: HashMap::new(), open: HashMap::new() }
    }

    /// Creates a conversation that begins with instructions, if there are any.
    pub fn with_instructions(param: &'static str, instructions: Option<&str>) -> Self {
        let instructions = instructions.map(str::trim).filter(|text| !text.is_empty());
        let mut talk = Self::new(param);
        if let Some(text) = instructions {
            talk.say(Speaker::System, Content::text(text));
        }
        talk
    }

    /// Appends a message.
    pub fn say(&mut self, who: Speaker, content: Content) {
        self.open.clear();
        self.messages.push(Said::new(who, content));
    }

    /// Appends the result of a client tool call. A result without a matching call in the last assistant message becomes
    /// text, because every provider would reject it.
    pub fn give(&mut self, call: &str, content: Content) {
        let own = sound_id(call);
        let answers = self.open.get_mut(&own).and_then(VecDeque::pop_front);
        if answers.is_none() {
            self.open.clear();
        }
        let message = Said::new(Speaker::Tool, content);
        self.messages.push(Said { result_of: Some(own), answers, ..message });
    }

    /// Adds an earlier tool call to the last assistant message. Providers require unique ids, so a repeated id is
    /// replaced.
    pub fn called(&mut self, id: &str, name: &str, arguments: &str) {
        if self.messages.last().is_none_or(|last| last.who != Speaker::Assistant) {
            self.say(Speaker::Assistant, Content::text(""));
        }
        let own = sound_id(id);
        let times = self.times.entry(own.clone()).or_default();
        let id = match *times {
            0 => own.clone(),
            n => sound_id(&format!("{own} {n}")),
        };
        *times += 1;
        self.open.entry(own).or_default().push_back(id.clone());
        let (name, arguments) = (sound_name(name), sound_arguments(arguments));
        let call = EarlierCall { id, name, arguments };
        if let Some(last) = self.messages.last_mut() {
            last.calls.push(call);
        }
    }

    /// The leading new tool results, as call id and text. Stops at the first other message, except system messages.
    pub fn results(&self) -> Vec<(String, String)> {
        let now = self.messages[self.now_from()..].iter();
        let given = now
            .filter(|message| message.who != Speaker::System)
            .map_while(|message| Some((message.result_of.clone()?, message.content.text.clone())));
        given.collect()
    }

    /// The text of the new user messages, without tool results.
    pub fn said_besides(&self) -> String {
        let now = self.messages[self.now_from()..].iter();
        let words = now
            .filter(|message| message.who == Speaker::User)
            .map(|message| message.content.text.trim());
        words.collect::<Vec<_>>().join("\n\n").trim().to_owned()
    }

    /// Index of the first new message: the one after the last assistant message.
    fn now_from(&self) -> usize {
        let last = self.messages.iter().rposition(|message| message.who == Speaker::Assistant);
        last.map_or(0, |at| at + 1)
    }

    /// Takes the pictures and files of the new messages. The model already received those of earlier messages.
    pub fn take_files(&mut self) -> Vec<Given> {
        let from = self.now_from();
        let now = self.messages[from..].iter_mut();
        now.flat_map(|message| std::mem::take(&mut message.content.files)).collect()
    }

    /// Moves text that is too long for one message into files, so that nothing is lost: the earlier conversation as a
    /// whole, and each long new message. The message keeps its beginning and end.
    pub fn spill(&mut self, remembers: Remembers) {
        let (from, is_new) = (self.now_from(), remembers == Remembers::Nothing);
        let is_before = |at: usize, message: &Said| {
            is_new && message.who != Speaker::System && (at < from || message.answers.is_some())
        };
        let mut files = Vec::new();
        let all = || self.messages.iter().enumerate();
        let before =
            || all().filter(|(at, message)| is_before(*at, message)).map(|(_, message)| message);
        if is_new && (0 < self.shown_from() || before().any(Said::is_cut)) {
            files.push(Given::text(CONVERSATION, before().map(Said::line).collect()));
        }
        let listed = || {
            all().filter(|(at, message)| {
                message.who == Speaker::System || (from <= *at && !is_before(*at, message))
            })
        };
        let (instructions, now): (Vec<_>, Vec<_>) =
            listed().partition(|(_, message)| message.who == Speaker::System);
        // New messages do not affect how a conversation's instructions are shown.
        let most = |who: Speaker| match who {
            _ if !is_new => INLINE / (instructions.len() + now.len()).max(1),
            Speaker::System => INLINE / instructions.len().max(1),
            _ => INLINE / now.len().max(1),
        };
        let long: Vec<(usize, usize)> = listed()
            .map(|(at, message)| (at, most(message.who)))
            .filter(|(at, most)| *most < self.messages[*at].content.text.len())
            .collect();
        // More separate files do not fit beside the conversation, so they are combined into one.
        let bundled = MAX_SPILLED <= long.len();
        let mut bundle = String::new();
        for (at, most) in long {
            let name = match bundled {
                true => MESSAGES.to_owned(),
                false => format!("message-{}.md", at + 1),
            };
            let marker = format!("\n\n[… shortened; the full text is in the file {name} …]\n\n");
            let text = &mut self.messages[at].content.text;
            let shown = head_tail(text, most, &marker);
            let whole = std::mem::replace(text, shown);
            if bundled {
                // ok: writing to a String cannot fail.
                let _ = write!(bundle, "## Message {}\n\n{whole}\n\n", at + 1);
            } else {
                files.push(Given::text(&name, whole));
            }
        }
        if bundled {
            files.push(Given::text(MESSAGES, bundle));
        }
        if let Some(last) = self.messages.last_mut() {
            last.content.files.extend(files);
        }
    }

    /// The new messages as one input. A session with history gets the instructions in the input, since they apply to
    /// this request. A new session gets them first, through [`Talk::before`].
    ///
    /// # Errors
    /// The input is empty or too long.
    pub fn input(&self, remembers: Remembers) -> Result<String, ChatError> {
        let is_new = remembers == Remembers::Nothing;
        let now = self.messages[self.now_from()..]
            .iter()
            .filter(|message| message.who != Speaker::System);
        let has_files = now.clone().any(|message| !message.content.files.is_empty());
        let has_results = is_new && now.clone().any(|message| message.answers.is_some());
        let now: Vec<Cow<'_, str>> = now
            .filter(|message| !is_new || message.answers.is_none())
            .map(Said::told_now)
            .collect();
        let now = match now.join("\n\n").trim() {
            "" if has_results => GO_ON.to_owned(),
            "" if !has_files => {
                let text = "the last message must be from the user and can't be empty";
                return Err(ChatError::invalid(self.param, text));
            }
            now => now.to_owned(),
        };
        let instructions = instructions_in(&self.messages);
        let text = match is_new || instructions.is_empty() {
            true => now,
            false => {
                let instructions = SessionEvent::as_instructions(&instructions);
                format!("{instructions}\n\n# Current message\n{now}")
            }
        };
        checked(self.param, text)
    }

    /// Index of the first earlier message that a model receives; always a user message. Messages are dropped in steps
    /// of half the limit, so that consecutive requests share a prefix.
    fn shown_from(&self) -> usize {
        let before = &self.messages[..self.now_from()];
        let over = |all: usize, most: usize| {
            all.saturating_sub(most).div_ceil(most / 2).saturating_mul(most / 2)
        };
        let bytes = over(before.iter().map(Said::bytes).sum(), MOST_BYTES);
        let count = over(before.len(), MOST_BEFORE);
        if bytes == 0 && count == 0 {
            return 0;
        }
        let mut gone = 0;
        for (at, message) in before.iter().enumerate() {
            if message.who == Speaker::User && bytes <= gone && count <= at {
                return at;
            }
            gone += message.bytes();
        }
        before.len()
    }

    /// The earlier messages and the new tool results, for a new session. The leading instructions come first, so that
    /// requests of one conversation share a prefix. Later instructions keep their place.
    pub fn before(&self) -> Vec<Earlier> {
        let (now, from) = (self.now_from(), self.shown_from());
        let is_system = |message: &&Said| message.who == Speaker::System;
        let first = self.messages.iter().take_while(is_system).count().max(from);
        let mut all = Vec::new();
        let instructions = instructions_in(&self.messages[..first]);
        if !instructions.is_empty() {
            all.push(Earlier::Instructions(SessionEvent::as_instructions(&instructions)));
        }
        let left_out = self.messages[..first].iter().filter(|message| !is_system(message)).count();
        if 0 < left_out {
            let text = format!(
                "[{left_out} earlier messages are left out here; the full conversation is in the \
                 file {CONVERSATION}]"
            );
            all.push(Earlier::Instructions(text));
        }
        let shown = self.messages.iter().enumerate().skip(first).filter(|(at, message)| {
            *at < now || message.who == Speaker::System || message.answers.is_some()
        });
        let shown = shown.map(|(_, message)| message.earlier()).filter(|one| !one.is_blank());
        let mut shown = shown.peekable();
        if left_out == 0 && matches!(shown.peek(), Some(Earlier::Answered { .. })) {
            all.push(Earlier::Instructions(BEGAN.to_owned()));
        }
        all.extend(shown);
        all
    }
}

fn instructions_in(messages: &[Said]) -> String {
    let all = messages.iter().filter(|message| message.who == Speaker::System);
    all.map(|message| message.content.text.trim())
        .collect::<Vec<_>>()
        .join("\n\n")
        .trim()
        .to_owned()
}

impl Said {
    /// The text of this message as part of the input.
    fn told_now(&self) -> Cow<'_, str> {
        let text = self.content.text.trim();
        match self.who {
            Speaker::Tool => Cow::Owned(format!("{}: {text}", Speaker::Tool.label())),
            _ => Cow::Borrowed(text),
        }
    }

    /// The message with its original role.
    fn earlier(&self) -> Earlier {
        if self.who == Speaker::System {
            let text = self.content.text.trim();
            return match text {
                "" => Earlier::Instructions(String::new()),
                text => Earlier::Instructions(SessionEvent::as_instructions(text)),
            };
        }
        let mut text = self.content.describe();
        if INLINE < text.len() {
            let marker = format!("\n[… the full text is in the file {CONVERSATION} …]\n");
            text = head_tail(&text, INLINE - marker.len(), &marker);
        }
        match (self.who, &self.answers) {
            (Speaker::Assistant, _) => Earlier::Answered { text, calls: self.calls.clone() },
            (_, Some(call)) => Earlier::Result { call: call.clone(), text },
            (Speaker::Tool, None) => Earlier::Said(format!("{}: {text}", Speaker::Tool.label())),
            _ => Earlier::Said(text),
        }
    }

    /// Whether a model receives only the beginning and the end.
    fn is_cut(&self) -> bool {
        INLINE < self.content.text.len()
    }

    /// The message as the conversation file shows it.
    fn line(&self) -> String {
        let calls =
            self.calls.iter().map(|call| format!("\n[called {}({})]", call.name, call.arguments));
        format!(
            "{}: {}{}\n\n",
            self.who.label(),
            self.content.describe().trim(),
            calls.collect::<String>()
        )
    }
}

/// A call id that every provider accepts: letters, digits, `-` and `_`, at most 64 characters.
fn sound_id(id: &str) -> String {
    let is_sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !id.is_empty() && id.len() <= 64 && id.chars().all(is_sound) {
        true => id.to_owned(),
        false => format!("call_{}", hex::encode(&Sha256::digest(id)[..12])),
    }
}

/// A tool name that every provider accepts.
fn sound_name(name: &str) -> String {
    let is_sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name: String = name.chars().take(64).map(|c| if is_sound(c) { c } else { '_' }).collect();
    if name.is_empty() { "tool".to_owned() } else { name }
}

/// Call arguments that every provider accepts: a JSON object.
fn sound_arguments(arguments: &str) -> String {
    let is_object =
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments).is_ok();
    match is_object && arguments.len() <= MAX_INLINE {
        true => arguments.to_owned(),
        false => serde_json::json!({ "arguments": cut(arguments, 2_000) }).to_string(),
    }
}

/// What the target session already contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembers {
    /// A new session.
    Nothing,
    /// A session with the conversation so far.
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

impl Speaker {
    /// Parses a role; `place` is the path of the field.
    ///
    /// # Errors
    /// The role is unknown.
    pub fn of(role: &str, place: &str) -> Result<Self, ChatError> {
        Ok(match role {
            "system" | "developer" => Self::System,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" | "function" => Self::Tool,
            other => {
                let text = format!(
                    "\"{}\" isn't a role; use system, developer, user or assistant",
                    cut(other, 40)
                );
                return Err(ChatError::invalid(&format!("{place}.role"), text));
            }
        })
    }

    fn label(self) -> &'static str {
        match self {
            Self::System => "Instructions",
            Self::User => "User",
            Self::Assistant => "Assistant",
            Self::Tool => "Tool result",
        }
    }
}

fn checked(param: &str, text: String) -> Result<String, ChatError> {
    if text.len() <= MAX_INPUT {
        return Ok(text);
    }
    let message = format!(
        "the message and its instructions have {} KB, and the limit is {} KB. Shorten it, or give \
         the agent a file.",
        text.len() / 1024,
        MAX_INPUT / 1024
    );
    let error = ChatError::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message);
    Err(ChatError { param: Some(param.to_owned()), ..error })
}

/// The agent that a model name selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The workspace's first agent.
    Default,
    /// The agent with this slug or id.
    Named(String),
}

impl Target {
    /// Parses `hq`, `hq/default`, `hq/<agent>`, the same with `openclaw`, `openclaw:<agent>` and `agent:<agent>`.
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

pub(super) fn unknown_model(model: &str) -> ChatError {
    let message = format!(
        "the model \"{}\" does not exist; use hq/default or hq/<agent>, as listed by GET \
         /v1/models or `hq agent list`",
        cut(model, 80)
    );
    let error = ChatError::new(StatusCode::NOT_FOUND, "model_not_found", message);
    ChatError { param: Some("model".to_owned()), ..error }
}

/// The value of a header under our prefix or OpenClaw's.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let find = |prefix: &str| headers.get(format!("{prefix}-{name}"))?.to_str().ok();
    find("x-hq").or_else(|| find("x-openclaw")).map(str::trim).filter(|word| !word.is_empty())
}

/// The session that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thread {
    /// A new session for this call only.
    Single,
    /// The person's own conversation with the agent.
    Own,
    /// A session that this person's calls share under a name.
    Shared(String),
    /// The session in which this run answered.
    After(RunId),
}

impl Thread {
    /// Parses the session header and the field `user`.
    ///
    /// # Errors
    /// The name is reserved or invalid.
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
            let text = "names that begin like this are reserved; choose another one";
            return Err(ChatError::invalid(PARAM, text));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        if key.len() > 200 || !key.chars().all(plain) {
            let text = "a session's name can have at most 200 letters, digits and -_.:/@";
            return Err(ChatError::invalid(PARAM, text));
        }
        Ok(Self::Shared(format!("key-{}", digest(by, key))))
    }
}

/// A session name that no other person's calls can produce.
fn digest(by: AccountId, name: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(by.to_string());
    hash.update(name);
    hex::encode(&hash.finalize()[..12])
}

#[cfg(test)]
mod tests {
    use super::{Content, Remembers, Speaker, Talk, Target, Thread};
    use kernel::{AccountId, TypedId};

    #[test]
    fn instructions_of_a_question_are_told_although_the_session_knows_the_rest() {
        let mut talk = Talk::with_instructions("input", Some(" Be short. "));
        talk.say(Speaker::User, Content::text("And now?"));
        let input = talk.input(Remembers::Everything).unwrap();
        assert!(input.contains("Be short.") && input.ends_with("And now?"), "{input}");
        let empty = Talk::with_instructions("input", None).input(Remembers::Nothing);
        assert_eq!(empty.unwrap_err().param.as_deref(), Some("input"));
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
