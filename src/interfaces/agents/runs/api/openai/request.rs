//! Requests of the OpenAI Chat Completions API.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use features::runs::model::Demand;
use kernel::Thinking;

use super::content::Content;
use super::demand::{Wishes, thinking, within};
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
    /// Functions that the client carries out, beside the agent's own tools.
    #[serde(default)]
    tools: Option<Value>,
    /// Whether one of them has to be called: `auto`, `none`, `required` or one by name.
    #[serde(default)]
    tool_choice: Option<Value>,
    /// Whether several may be called at once.
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    /// Refused: `tools` took its place.
    #[serde(default)]
    functions: Option<Value>,
    /// The form of the answer: `text`, `json_object` or `json_schema`, where the agent's model can be held to it.
    #[serde(default)]
    response_format: Option<Value>,
    /// Refused when true.
    #[serde(default)]
    logprobs: Option<bool>,
    /// Sampling temperature, 0 to 2, for models that take one.
    #[serde(default)]
    temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1, for models that take it.
    #[serde(default)]
    top_p: Option<f64>,
    /// The most output tokens of one model call, never more than the agent is set to.
    #[serde(default)]
    max_tokens: Option<u64>,
    /// The same; it counts before `max_tokens`.
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    /// Texts that end the output: one, or up to four.
    #[serde(default)]
    stop: Option<Value>,
    /// How much the model thinks: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    #[serde(default)]
    reasoning_effort: Option<String>,
    /// Not used. Checked, -2 to 2.
    #[serde(default)]
    frequency_penalty: Option<f64>,
    /// Not used. Checked, -2 to 2.
    #[serde(default)]
    presence_penalty: Option<f64>,
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
    /// The calls that the model made then.
    #[serde(default)]
    tool_calls: Option<Vec<CallMade>>,
    /// The call whose result this is.
    #[serde(default)]
    tool_call_id: Option<String>,
}

/// A call that the model made.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CallMade {
    /// Its id.
    #[serde(default)]
    id: String,
    /// What was called.
    function: FunctionMade,
}

/// The function of a call.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FunctionMade {
    /// Its name.
    name: String,
    /// Its arguments as JSON text.
    #[serde(default)]
    arguments: String,
}

impl ChatRequest {
    /// Parses a request body.
    ///
    /// # Errors
    /// Names the invalid field.
    pub fn read(body: &[u8]) -> Result<Self, ChatError> {
        let request: Self = read(body)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), ChatError> {
        if self.functions.as_ref().is_some_and(|functions| !functions.is_null()) {
            let text = "`functions` isn't supported; use `tools`";
            return Err(ChatError::invalid("functions", text));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(ChatError::invalid("n", "each request gets one answer: omit `n`"));
        }
        within("frequency_penalty", self.frequency_penalty, 2.0)?;
        within("presence_penalty", self.presence_penalty, 2.0)?;
        if self.logprobs == Some(true) {
            return Err(ChatError::invalid("logprobs", "`logprobs` isn't supported: omit it"));
        }
        if self.messages.is_empty() {
            return Err(ChatError::invalid("messages", "`messages` is empty"));
        }
        Ok(())
    }

    /// The requested thinking level.
    ///
    /// # Errors
    /// The level is unknown.
    pub fn thinking(&self) -> Result<Option<Thinking>, ChatError> {
        thinking("reasoning_effort", self.reasoning_effort.as_deref())
    }

    /// The requested tools, limits and output format.
    ///
    /// # Errors
    /// Names the invalid field.
    pub fn demand(&self) -> Result<Option<Demand>, ChatError> {
        let limits = [
            ("max_completion_tokens", self.max_completion_tokens),
            ("max_tokens", self.max_tokens),
        ];
        let wishes = Wishes {
            tools: self.tools.as_ref(),
            choice: self.tool_choice.as_ref(),
            parallel: self.parallel_tool_calls,
            limits: &limits,
            temperature: self.temperature,
            top_p: self.top_p,
            stop: self.stop.as_ref(),
            form: self.response_format.as_ref().map(|form| ("response_format", form)),
        };
        wishes.demand()
    }

    /// Whether the client requests a stream.
    pub fn streams(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether a stream ends with a usage chunk.
    pub fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage) == Some(true)
    }

    /// The conversation.
    ///
    /// # Errors
    /// A part of a message is not supported.
    pub fn talk(&self) -> Result<Talk, ChatError> {
        let mut talk = Talk::new("messages");
        for (at, message) in self.messages.iter().enumerate() {
            let place = format!("messages[{at}]");
            let speaker = Speaker::of(&message.role, &place)?;
            let content = Content::of(&message.content, &format!("{place}.content"))?;
            match message.tool_call_id.as_deref().filter(|_| speaker == Speaker::Tool) {
                Some(call) => talk.give(call, content),
                None => talk.say(speaker, content),
            }
            for CallMade { id, function } in message.tool_calls.iter().flatten() {
                talk.called(id, &function.name, &function.arguments);
            }
        }
        Ok(talk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::Remembers;
    use super::ChatRequest;
    use features::runs::rules::{Earlier, EarlierCall};
    use serde_json::json;

    fn read(body: &serde_json::Value) -> Result<ChatRequest, super::ChatError> {
        ChatRequest::read(body.to_string().as_bytes())
    }

    fn input(messages: serde_json::Value, remembers: Remembers) -> String {
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        request.talk().unwrap().input(remembers).unwrap()
    }

    fn before(messages: &serde_json::Value) -> Vec<Earlier> {
        read(&json!({ "model": "hq", "messages": messages })).unwrap().talk().unwrap().before()
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
    fn what_was_said_before_keeps_its_roles_and_instructions_come_first() {
        let talk = json!([
            { "role": "system", "content": "Be short." },
            { "role": "user", "content": "Hi" },
            { "role": "assistant", "content": "Hello!" },
            { "role": "user", "content": "What is open?" },
        ]);
        assert_eq!(input(talk.clone(), Remembers::Nothing), "What is open?");
        let instructions = "# Instructions from the program that asks\nBe short.";
        assert_eq!(
            before(&talk),
            [
                Earlier::Instructions(instructions.into()),
                Earlier::Said("Hi".into()),
                Earlier::Answered { text: "Hello!".into(), calls: Vec::new() },
            ]
        );
        // The instructions of this request apply, whatever the session received before.
        assert_eq!(
            input(talk, Remembers::Everything),
            format!("{instructions}\n\n# Current message\nWhat is open?")
        );
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
        assert_eq!(talk.before()[0], Earlier::Said("What is this?\n[a picture]".into()));
        assert_eq!(talk.input(Remembers::Everything).unwrap(), "");
        assert_eq!(talk.take_files().len(), 1);
        assert!(talk.input(Remembers::Everything).is_err(), "nothing is left to say");
    }

    #[test]
    fn results_are_told_apart_from_words() {
        let messages = json!([
            { "role": "user", "content": "How warm is it?" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "a", "type": "function",
                "function": { "name": "get_weather", "arguments": "{\"city\":\"Rome\"}" } }] },
            { "role": "tool", "tool_call_id": "a", "content": "21" },
            { "role": "user", "content": "Be short" },
        ]);
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        let talk = request.talk().unwrap();
        assert_eq!(talk.results(), [("a".to_owned(), "21".to_owned())]);
        assert_eq!(talk.said_besides(), "Be short");
        let call = EarlierCall {
            id: "a".into(),
            name: "get_weather".into(),
            arguments: "{\"city\":\"Rome\"}".into(),
        };
        assert_eq!(
            talk.before(),
            [
                Earlier::Said("How warm is it?".into()),
                Earlier::Answered { text: String::new(), calls: vec![call] },
                Earlier::Result { call: "a".into(), text: "21".into() },
            ]
        );
        assert_eq!(talk.input(Remembers::Nothing).unwrap(), "Be short");
        let input = talk.input(Remembers::Everything).unwrap();
        assert_eq!(input, "Tool result: 21\n\nBe short");
    }

    #[test]
    fn what_providers_would_refuse_is_put_right() {
        let messages = json!([
            { "role": "user", "content": "Look" },
            { "role": "assistant", "tool_calls": [{ "id": "a b:c", "type": "function",
                "function": { "name": "look", "arguments": "not json" } }] },
            { "role": "tool", "tool_call_id": "a b:c", "content": "a heron" },
        ]);
        let before = before(&messages);
        let Earlier::Answered { calls, .. } = &before[1] else { panic!("{before:?}") };
        assert!(calls[0].id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{calls:?}");
        assert_eq!(calls[0].arguments, "{\"arguments\":\"not json\"}");
        assert_eq!(
            before[2],
            Earlier::Result { call: calls[0].id.clone(), text: "a heron".into() }
        );
        assert!(input(messages, Remembers::Nothing).contains("above; continue"));
    }

    #[test]
    fn messages_in_a_strange_order_are_put_right() {
        let call = |id: &str, name: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{}" } });
        let messages = json!([
            { "role": "assistant", "content": "Welcome." },
            { "role": "user", "content": "One" },
            { "role": "user", "content": "Two" },
            { "role": "tool", "tool_call_id": "gone", "content": "of nothing" },
            { "role": "assistant", "content": "" },
            { "role": "assistant", "content": null, "tool_calls": [call("", "a.b"), call("", "c")] },
            { "role": "tool", "tool_call_id": "", "content": "first" },
            { "role": "tool", "tool_call_id": "", "content": "second" },
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": " " },
            { "role": "assistant", "content": null, "tool_calls": [call("", "c")] },
            { "role": "tool", "tool_call_id": "other", "content": "not asked for" },
            { "role": "user", "content": "Go on" },
        ]);
        let before = before(&messages);
        let Earlier::Answered { calls: two, .. } = &before[5] else { panic!("{before:?}") };
        let Earlier::Answered { calls: one, .. } = &before[9] else { panic!("{before:?}") };
        let ids = [&two[0].id, &two[1].id, &one[0].id];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "each once: {ids:?}");
        assert_eq!(two[0].name, "a_b");
        let shown = |text: &str| Earlier::Said(text.into());
        let result =
            |at: usize, text: &str| Earlier::Result { call: two[at].id.clone(), text: text.into() };
        let begun = Earlier::Instructions("[The conversation begins with your message.]".into());
        let brief = "# Instructions from the program that asks\nBe brief.";
        let expected = [
            begun,
            Earlier::Answered { text: "Welcome.".into(), calls: Vec::new() },
            shown("One"),
            shown("Two"),
            shown("Tool result: of nothing"),
            before[5].clone(),
            result(0, "first"),
            result(1, "second"),
            Earlier::Instructions(brief.into()),
            before[9].clone(),
        ];
        assert_eq!(before, expected);
        assert_eq!(input(messages, Remembers::Nothing), "Tool result: not asked for\n\nGo on");
    }

    #[test]
    fn instructions_are_shown_alike_however_much_is_said_now() {
        let shown = |results: usize| {
            let call = |n: usize| {
                json!({ "id": format!("c{n}"), "type": "function",
                    "function": { "name": "look", "arguments": "{}" } })
            };
            let calls: Vec<_> = (0..results).map(call).collect();
            let mut messages = vec![
                json!({ "role": "system", "content": "x".repeat(20_000) }),
                json!({ "role": "user", "content": "Look" }),
            ];
            if 0 < results {
                messages.push(json!({ "role": "assistant", "tool_calls": calls }));
            }
            messages.extend((0..results).map(|n| {
                json!({ "role": "tool", "tool_call_id": format!("c{n}"), "content": "y".repeat(9_000) })
            }));
            let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
            let mut talk = request.talk().unwrap();
            talk.spill(Remembers::Nothing);
            (talk.before(), talk.take_files().len())
        };
        let (first, none) = shown(0);
        let (more, files) = shown(5);
        assert_eq!((first[0].clone(), none, files), (more[0].clone(), 0, 0));
        let Earlier::Result { text, .. } = more.last().unwrap() else { panic!("a result") };
        assert_eq!(text.len(), 9_000);
    }

    #[test]
    fn a_long_history_loses_its_oldest_messages_first() {
        let long = "x".repeat(14_000);
        let pair = |n: usize| {
            [
                json!({ "role": "user", "content": format!("question {n} {long}") }),
                json!({ "role": "assistant", "content": format!("answer {n}") }),
            ]
        };
        let mut all: Vec<_> = (0..100).flat_map(pair).collect();
        all.push(json!({ "role": "user", "content": "now" }));
        let request = read(&json!({ "model": "hq", "messages": all })).unwrap();
        let mut talk = request.talk().unwrap();
        talk.spill(Remembers::Nothing);
        let before = talk.before();
        let Earlier::Instructions(input) = &before[0] else { panic!("what is left out is told") };
        assert!(input.contains("earlier messages are left out here"), "{input}");
        assert!(input.contains("conversation.md"), "{input}");
        assert!(matches!(&before[1], Earlier::Said(text) if text.starts_with("question")));
        let last = Earlier::Answered { text: "answer 99".into(), calls: Vec::new() };
        assert_eq!(before.last(), Some(&last));
        assert!(120 < before.len() && before.len() < 130, "{}", before.len());
        // Messages are dropped in large steps, so that the next requests share a prefix.
        all.push(json!({ "role": "assistant", "content": "later" }));
        all.push(json!({ "role": "user", "content": "and now" }));
        let next = read(&json!({ "model": "hq", "messages": all })).unwrap();
        assert_eq!(next.talk().unwrap().before()[..before.len()], before);
        assert_eq!(talk.take_files().len(), 1, "all of it in one file");
    }

    #[test]
    fn what_is_too_long_for_a_message_comes_as_a_file_beside_it() {
        let long = "x".repeat(90_000);
        let messages = json!([
            { "role": "user", "content": format!("first {long} end of first") },
            { "role": "assistant", "content": "second" },
            { "role": "user", "content": format!("now {long} and that is all") },
        ]);
        let request = read(&json!({ "model": "hq", "messages": messages })).unwrap();
        let mut talk = request.talk().unwrap();
        talk.spill(Remembers::Nothing);
        let Earlier::Said(first) = &talk.before()[0] else { panic!("somebody said it") };
        assert!(first.starts_with("first xxx") && first.ends_with("end of first"));
        assert!(first.contains("the full text is in the file conversation.md"), "{first}");
        let input = talk.input(Remembers::Nothing).unwrap();
        assert!(input.contains("now xxx") && input.ends_with("and that is all"));
        assert!(input.contains("the full text is in the file message-3.md"));
        assert_eq!(talk.take_files().len(), 2);
        let mut talk = request.talk().unwrap();
        talk.spill(Remembers::Everything);
        assert_eq!(talk.take_files().len(), 1, "the session has what was said before");

        let message = json!({ "role": "user", "content": format!("one of many {long}") });
        let many = json!({ "model": "hq", "messages": vec![message; 12] });
        let mut talk = read(&many).unwrap().talk().unwrap();
        talk.spill(Remembers::Nothing);
        let input = talk.input(Remembers::Nothing).unwrap();
        assert_eq!(
            input.matches("the full text is in the file messages.md").count(),
            12,
            "{input}"
        );
        assert_eq!(talk.take_files().len(), 1, "all of them in one");

        let short = json!([{ "role": "user", "content": "Hi" }]);
        let request = read(&json!({ "model": "hq", "messages": short })).unwrap();
        let mut talk = request.talk().unwrap();
        talk.spill(Remembers::Nothing);
        assert_eq!(talk.input(Remembers::Nothing).unwrap(), "Hi");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let user = json!([{ "role": "user", "content": "Hi" }]);
        let refused = |extra: serde_json::Value| {
            let mut body = json!({ "model": "hq", "messages": user });
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            read(&body).err().and_then(|error| error.param)
        };
        assert_eq!(refused(json!({ "functions": [{ "name": "x" }] })), Some("functions".into()));
        assert_eq!(refused(json!({ "presence_penalty": 3 })), Some("presence_penalty".into()));
        assert_eq!(refused(json!({ "n": 2 })), Some("n".into()));
        assert_eq!(refused(json!({ "messages": [] })), Some("messages".into()));
        assert_eq!(refused(json!({ "tools": [], "temperature": 0.2 })), None);
        let sound = json!([{ "role": "user", "content": [{ "type": "input_audio" }] }]);
        let request = read(&json!({ "model": "hq", "messages": sound })).unwrap();
        let error = request.talk().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages[0].content[0]"));
    }
}
