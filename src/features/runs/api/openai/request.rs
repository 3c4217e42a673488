//! What a client asks in the form of Chat Completions.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::content::Content;
use super::error::{ChatError, read};
use super::talk::{Speaker, Talk};

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
    /// Text, or a list of parts of type `text`, `image_url` and `file`.
    #[serde(default)]
    content: Value,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let request: Self = read(body)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), ChatError> {
        no_tools("tools", self.tools.as_ref())?;
        no_tools("functions", self.functions.as_ref())?;
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
        within("temperature", self.temperature, 2.0)?;
        within("top_p", self.top_p, 1.0)?;
        at_least_one("max_tokens", self.max_tokens)?;
        at_least_one("max_completion_tokens", self.max_completion_tokens)?;
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

    /// The conversation.
    ///
    /// # Errors
    /// When a part of a message cannot be taken.
    pub fn talk(&self) -> Result<Talk, ChatError> {
        let mut talk = Talk::new("messages");
        for (at, message) in self.messages.iter().enumerate() {
            let place = format!("messages[{at}]");
            let speaker = Speaker::of(&message.role, &place)?;
            talk.say(speaker, Content::of(&message.content, &format!("{place}.content"))?);
        }
        Ok(talk)
    }
}

/// Tools of the caller are refused by name: the agent works with its own.
///
/// # Errors
/// When there are any.
pub(super) fn no_tools(name: &str, value: Option<&Value>) -> Result<(), ChatError> {
    let given = match value {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    if !given {
        return Ok(());
    }
    let text = format!(
        "`{name}` of the caller are not supported: the agent works with its own tools. Leave \
         `{name}` out."
    );
    Err(ChatError::invalid(name, text))
}

/// A number that is taken and not used must still make sense.
///
/// # Errors
/// When it is not from 0 to `most`.
pub(super) fn within(name: &str, value: Option<f64>, most: f64) -> Result<(), ChatError> {
    match value {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(ChatError::invalid(name, format!("`{name}` is from 0 to {most}")))
        }
        _ => Ok(()),
    }
}

/// As [`within`], for a number of tokens.
///
/// # Errors
/// When it is 0.
pub(super) fn at_least_one(name: &str, value: Option<u64>) -> Result<(), ChatError> {
    match value {
        Some(0) => Err(ChatError::invalid(name, format!("`{name}` is at least 1"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::Remembers;
    use super::ChatRequest;
    use serde_json::json;

    fn read(body: &serde_json::Value) -> Result<ChatRequest, super::ChatError> {
        ChatRequest::read(body.to_string().as_bytes())
    }

    fn input(messages: serde_json::Value, remembers: Remembers) -> String {
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        request.talk().unwrap().input(remembers).unwrap()
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
    fn pictures_of_what_is_said_now_are_taken_and_older_ones_are_words() {
        let picture = |text: &str| {
            json!([
                { "type": "text", "text": text },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } },
            ])
        };
        let messages = json!([
            { "role": "user", "content": picture("What is this?") },
            { "role": "assistant", "content": "A heron." },
            { "role": "user", "content": picture("") },
        ]);
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        let mut talk = request.talk().unwrap();
        let folded = talk.input(Remembers::Nothing).unwrap();
        assert!(folded.contains("User: What is this?\n[a picture]"), "{folded}");
        assert_eq!(talk.input(Remembers::Everything).unwrap(), "");
        assert_eq!(talk.take_files().len(), 1);
        assert!(talk.input(Remembers::Everything).is_err(), "nothing is left to say");
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
        let sound = json!([{ "role": "user", "content": [{ "type": "input_audio" }] }]);
        let request = read(&json!({ "model": "hq", "messages": sound })).unwrap();
        let error = request.talk().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages[0].content[0]"));
    }
}
