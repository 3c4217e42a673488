//! Encodes requests as the body of `POST /chat/completions`, adapted to the server's quirks.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::quirks::{MaxTokens, Quirks, Reasoning, Replay};
use crate::catalog::{ChatTools, Model, ThinkingKind};
use crate::error::{ErrorClass, ProviderError};
use crate::ids;
use crate::model::{ChatRequest, Message, Part, Role, SystemPart, ToolChoice, ToolDef};
use crate::openai;
use kernel::Thinking;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Cow<'a, Value>,
}

#[derive(Default, Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Pieces(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    ImageUrl {
        image_url: ImageUrl,
    },
}

#[derive(Serialize)]
struct Mark {
    #[serde(rename = "type")]
    kind: &'static str,
}

const MARK: Mark = Mark { kind: "ephemeral" };

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CallFunction<'a>,
}

#[derive(Serialize)]
struct CallFunction<'a> {
    name: &'a str,
    arguments: Cow<'a, str>,
}

/// The request body for a model.
pub(super) fn body(
    request: &ChatRequest,
    model: &Model,
    quirks: &Quirks,
) -> Result<Vec<u8>, ProviderError> {
    if quirks.maker && model.chat_tools == ChatTools::Never && !request.tools.is_empty() {
        return Err(ProviderError::new(
            ErrorClass::InvalidRequest,
            format!(
                "{} doesn't support tools through Chat Completions; choose another model for \
                 agents",
                request.model
            ),
        ));
    }
    let limit = match model.vendor.as_str() {
        "" => request.max_output,
        _ => request.max_output.min(model.max_output),
    };
    let mut body = Body {
        model: &request.model,
        messages: turns(request, quirks),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: choice(request),
        max_tokens: (quirks.max_tokens == MaxTokens::Legacy).then_some(limit),
        max_completion_tokens: (quirks.max_tokens == MaxTokens::Completion).then_some(limit),
        reasoning_effort: None,
        reasoning: None,
        thinking: None,
        temperature: request.temperature.filter(|_| model.sampling && quirks.temperature),
        top_p: request.top_p.filter(|_| model.sampling && quirks.temperature),
        stop: if quirks.stop && (model.sampling || !quirks.maker) { &request.stop } else { &[] },
        response_format: request.format.as_ref().map(openai::chat_format),
        user: request.metadata.user.as_deref().filter(|_| quirks.hints),
        prompt_cache_key: request.metadata.cache_key.as_deref().filter(|_| quirks.hints),
        service_tier: request.fast.map(openai::tier),
        stream: true,
        stream_options: quirks.stream_usage.then_some(StreamOptions { include_usage: true }),
    };
    think(&mut body, request, model, quirks);
    serde_json::to_vec(&body).map_err(ProviderError::unwritable)
}

fn think<'a>(body: &mut Body<'a>, request: &ChatRequest, model: &'a Model, quirks: &Quirks) {
    let tools = !request.tools.is_empty();
    let limited = quirks.tools_without_thinking
        || (quirks.maker && model.chat_tools == ChatTools::WithoutThinking);
    let level = if tools && limited { Thinking::None } else { model.effective(request.thinking) };
    match quirks.reasoning {
        Reasoning::Never => {}
        Reasoning::Known | Reasoning::Asked if tools && quirks.tools_without_thinking => {
            body.reasoning_effort = Some("none");
        }
        Reasoning::Known | Reasoning::Asked if model.thinking == ThinkingKind::Effort => {
            body.reasoning_effort = model.effort(level);
        }
        Reasoning::Asked => body.reasoning_effort = word(request.thinking),
        Reasoning::Known => {}
        Reasoning::Object => {
            // For most models behind a router, abilities are unknown. The router drops unsupported fields.
            let known = model.thinking != ThinkingKind::None;
            let requested = if known { level } else { request.thinking };
            body.reasoning = match word(requested) {
                Some(effort) => Some(json!({ "effort": effort })),
                None if known => Some(json!({ "effort": "none" })),
                None => None,
            };
        }
        Reasoning::Switch => {
            let on = model.effective(request.thinking) != Thinking::None;
            body.thinking = Some(json!({ "type": if on { "enabled" } else { "disabled" } }));
        }
    }
}

/// The effort word that most servers accept for a level.
fn word(level: Thinking) -> Option<&'static str> {
    match level {
        Thinking::None => None,
        Thinking::Low => Some("low"),
        Thinking::Medium => Some("medium"),
        Thinking::High => Some("high"),
        Thinking::Max => Some("xhigh"),
    }
}

fn tool(tool: &ToolDef) -> Tool<'_> {
    let has_properties = tool.schema.get("properties").is_some();
    let parameters = match &tool.schema {
        schema if has_properties => Cow::Borrowed(schema),
        schema => {
            // Several servers reject an object schema without properties.
            let mut schema = schema.as_object().cloned().unwrap_or_default();
            schema.entry("type").or_insert_with(|| json!("object"));
            schema.insert("properties".to_owned(), json!({}));
            Cow::Owned(Value::Object(schema))
        }
    };
    Tool {
        kind: "function",
        function: ToolFunction { name: &tool.name, description: &tool.description, parameters },
    }
}

fn choice(request: &ChatRequest) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(name) => {
            Some(json!({ "type": "function", "function": { "name": name } }))
        }
    }
}

fn turns<'a>(request: &'a ChatRequest, quirks: &Quirks) -> Vec<Turn<'a>> {
    let marks = quirks.cache_marks && request.model.starts_with("anthropic/");
    let mut turns = Vec::new();
    if let Some(content) = system(request, marks) {
        turns.push(Turn { role: "system", content: Some(content), ..Turn::default() });
    }
    let mut pending: Vec<&'a Part> = Vec::new();
    for message in &request.messages {
        match message.role {
            Role::User => {
                // Results precede other content, because they belong to the preceding calls.
                for part in &message.parts {
                    if let Part::ToolResult { call_id, text, is_error } = part {
                        turns.push(result(call_id, text, *is_error, quirks));
                    } else {
                        pending.push(part);
                    }
                }
            }
            Role::Assistant => {
                flush(&mut turns, &mut pending);
                turns.extend(assistant(message, quirks));
            }
        }
    }
    flush(&mut turns, &mut pending);
    if marks && let Some(last) = turns.iter_mut().rfind(|t| t.role == "user") {
        mark_last(last);
    }
    turns
}

fn system(request: &ChatRequest, marks: bool) -> Option<Content<'_>> {
    let parts: Vec<&SystemPart> =
        request.system.iter().filter(|p| !p.text.trim().is_empty()).collect();
    if marks {
        let last = parts.iter().rposition(|p| p.cache);
        let pieces = parts.iter().enumerate().map(|(n, part)| Piece::Text {
            text: &part.text,
            cache_control: (Some(n) == last).then_some(MARK),
        });
        return (!parts.is_empty()).then(|| Content::Pieces(pieces.collect()));
    }
    match parts.as_slice() {
        [] => None,
        [one] => Some(Content::Text(Cow::Borrowed(&one.text))),
        many => {
            let texts: Vec<&str> = many.iter().map(|p| p.text.as_str()).collect();
            Some(Content::Text(Cow::Owned(texts.join("\n\n"))))
        }
    }
}

/// Merges user messages since the last answer into one turn, because many servers require alternating turns.
fn flush<'a>(turns: &mut Vec<Turn<'a>>, pending: &mut Vec<&'a Part>) {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for part in pending.drain(..) {
        match part {
            Part::Text { text } if !text.trim().is_empty() => {
                pieces.push(Piece::Text { text, cache_control: None })
            }
            Part::Image { media_type, data } => pieces.push(Piece::ImageUrl {
                image_url: ImageUrl {
                    url: format!("data:{media_type};base64,{}", STANDARD.encode(data)),
                },
            }),
            _ => {}
        }
    }
    let only_text = pieces.iter().all(|p| matches!(p, Piece::Text { .. }));
    let content = match pieces.as_slice() {
        [] => return,
        [Piece::Text { text, .. }] => Content::Text(Cow::Borrowed(*text)),
        many if only_text => {
            let texts: Vec<&str> = many.iter().filter_map(Piece::text).collect();
            Content::Text(Cow::Owned(texts.join("\n\n")))
        }
        _ => Content::Pieces(pieces),
    };
    turns.push(Turn { role: "user", content: Some(content), ..Turn::default() });
}

impl<'a> Piece<'a> {
    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::ImageUrl { .. } => None,
        }
    }
}

fn result<'a>(call_id: &'a str, text: &'a str, is_error: bool, quirks: &Quirks) -> Turn<'a> {
    // The protocol has no error flag, so the text must say it.
    let is_marked =
        text.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    let text = if is_error && !is_marked {
        Cow::Owned(format!("Error: {text}"))
    } else {
        Cow::Borrowed(text)
    };
    Turn {
        role: "tool",
        content: Some(Content::Text(text)),
        tool_call_id: Some(call_id_for(call_id, quirks)),
        ..Turn::default()
    }
}

fn assistant<'a>(message: &'a Message, quirks: &Quirks) -> Option<Turn<'a>> {
    let mut texts: Vec<&'a str> = Vec::new();
    let mut turn = Turn { role: "assistant", ..Turn::default() };
    for part in &message.parts {
        match part {
            Part::Text { text } if !text.trim().is_empty() => texts.push(text),
            Part::Thinking { text, signature: None } => match quirks.replay {
                Some(Replay::Content) => turn.reasoning_content.push_str(text),
                Some(Replay::Plain) => turn.reasoning.push_str(text),
                None => {}
            },
            Part::ToolCall { id, name, arguments } => turn.tool_calls.push(Call {
                id: call_id_for(id, quirks),
                kind: "function",
                function: CallFunction { name, arguments: object_text(arguments) },
            }),
            _ => {}
        }
    }
    turn.content = match texts.as_slice() {
        [] if turn.tool_calls.is_empty() => return None,
        [] => None,
        [one] => Some(Content::Text(Cow::Borrowed(one))),
        many => Some(Content::Text(Cow::Owned(many.concat()))),
    };
    Some(turn)
}

/// Servers parse the arguments of earlier calls again, and some fail on anything but objects.
fn object_text(arguments: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(_)) => Cow::Borrowed(arguments),
        Err(_) if arguments.trim().is_empty() => Cow::Borrowed("{}"),
        _ => Cow::Owned(json!({ "invalid_json": arguments }).to_string()),
    }
}

/// Maximum length of a call id at OpenAI.
const LONGEST_ID: usize = 40;

/// Converts a call id: nine letters or digits where the server requires it, never too long. Deterministic.
fn call_id_for<'a>(id: &'a str, quirks: &Quirks) -> Cow<'a, str> {
    let is_short = id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    match quirks.short_ids {
        true if is_short => Cow::Borrowed(id),
        true => Cow::Owned(ids::letters(id, 9)),
        false if !id.is_empty() && id.len() <= LONGEST_ID => Cow::Borrowed(id),
        false => Cow::Owned(format!("call_{}", ids::letters(id, 24))),
    }
}

fn mark_last(turn: &mut Turn<'_>) {
    if let Some(Content::Text(Cow::Borrowed(text))) = turn.content {
        turn.content = Some(Content::Pieces(vec![Piece::Text { text, cache_control: None }]));
    }
    if let Some(Content::Pieces(pieces)) = &mut turn.content
        && let Some(Piece::Text { cache_control, .. }) = pieces.last_mut()
    {
        *cache_control = Some(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Wire, normalise};
    use crate::catalog;
    use crate::model::Cache;

    fn encoded(address: &str, request: &ChatRequest) -> Value {
        let quirks = Quirks::of(&normalise(Wire::OpenAiChat, address).expect("an address"));
        let body = body(request, &catalog::describe(&request.model), &quirks).expect("encodes");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn read_tool() -> ToolDef {
        ToolDef {
            name: "read".into(),
            description: "Reads".into(),
            schema: json!({"type": "object"}),
        }
    }

    #[test]
    fn a_conversation_with_tools_has_the_documented_shape() {
        let mut request = ChatRequest::new("gpt-5", 4_000)
            .system("Rules", Cache::UpToHere)
            .system("Today", Cache::No)
            .tool(read_tool())
            .message(Message::user("Look"))
            .message(Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: None },
                Part::call("c1", "read", "{\"p\": 1}"),
                Part::call("c2", "read", "oops"),
            ]))
            .message(Message::results(vec![Part::result("c1", "A"), Part::failure("c2", "bad")]))
            .message(Message::user("Hurry"))
            .message(Message::user("please"));
        request.metadata.cache_key = Some("k".into());
        request.temperature = Some(0.3);
        assert_eq!(
            encoded("", &request),
            json!({
                "model": "gpt-5",
                "messages": [
                    {"role": "system", "content": "Rules\n\nToday"},
                    {"role": "user", "content": "Look"},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{\"p\": 1}"}},
                        {"id": "c2", "type": "function",
                         "function": {"name": "read", "arguments": "{\"invalid_json\":\"oops\"}"}},
                    ]},
                    {"role": "tool", "content": "A", "tool_call_id": "c1"},
                    {"role": "tool", "content": "Error: bad", "tool_call_id": "c2"},
                    {"role": "user", "content": "Hurry\n\nplease"},
                ],
                "tools": [{"type": "function", "function": {
                    "name": "read", "description": "Reads", "parameters": {"type": "object", "properties": {}}}}],
                "max_completion_tokens": 4_000,
                "reasoning_effort": "minimal",
                "prompt_cache_key": "k",
                "stream": true,
                "stream_options": {"include_usage": true},
            })
        );
    }

    #[test]
    fn each_server_gets_its_dialect() {
        let mut request = ChatRequest::new("qwen3:8b", 500).message(Message::user("hi"));
        request.temperature = Some(0.5);
        let ollama = encoded("localhost:11434", &request);
        assert_eq!(
            ollama,
            json!({
                "model": "qwen3:8b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500,
                "temperature": 0.5, "stream": true, "stream_options": {"include_usage": true},
            })
        );
        let sampled = ChatRequest { top_p: Some(0.5), ..request.clone() };
        assert_eq!(encoded("localhost:11434", &sampled)["top_p"], 0.5);
        request.thinking = Thinking::High;
        assert_eq!(encoded("localhost:11434", &request)["reasoning_effort"], "high");
        assert_eq!(encoded("localhost:1234", &request)["reasoning_effort"], Value::Null);
        assert_eq!(encoded("openrouter.ai", &request)["reasoning"], json!({"effort": "high"}));
        request.model = "deepseek-flash".into();
        assert_eq!(encoded("api.deepseek.com", &request)["thinking"], json!({"type": "enabled"}));
        assert_eq!(encoded("api.mistral.ai", &request)["stream_options"], Value::Null);
    }

    #[test]
    fn new_models_of_the_maker_take_tools_only_without_thinking() {
        let mut request =
            ChatRequest::new("gpt-6-sol", 500).tool(read_tool()).message(Message::user("hi"));
        request.thinking = Thinking::High;
        assert_eq!(encoded("", &request)["reasoning_effort"], "none");
        assert_eq!(encoded("openrouter.ai", &request)["reasoning"], json!({"effort": "high"}));
        request.tools.clear();
        assert_eq!(encoded("", &request)["reasoning_effort"], "high");
        request.model = "gpt-6-astra".into();
        request.tools.push(read_tool());
        let quirks = Quirks::of(&normalise(Wire::OpenAiChat, "").expect("an address"));
        let refused =
            body(&request, &catalog::describe("gpt-6-astra"), &quirks).expect_err("not possible");
        assert_eq!(refused.class, ErrorClass::InvalidRequest);
    }

    #[test]
    fn thinking_is_sent_back_only_where_it_is_wanted() {
        let request = ChatRequest::new("deepseek-flash", 500).message(Message::user("hi")).message(
            Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: None },
                Part::call("some-long-id", "read", ""),
            ]),
        );
        assert_eq!(encoded("api.deepseek.com", &request)["messages"][1]["reasoning_content"], "hm");
        assert_eq!(encoded("openrouter.ai", &request)["messages"][1]["reasoning"], "hm");
        let mistral = encoded("api.mistral.ai", &request);
        assert_eq!(mistral["messages"][1]["reasoning"], Value::Null);
        let id = mistral["messages"][1]["tool_calls"][0]["id"].as_str().expect("an id");
        assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    }

    #[test]
    fn a_router_gets_cache_marks_for_the_maker_that_wants_them() {
        let request = ChatRequest::new("anthropic/claude-sonnet-5", 500)
            .system("Rules", Cache::UpToHere)
            .system("Today", Cache::No)
            .message(Message::user("hi"));
        let sent = encoded("openrouter.ai", &request);
        assert_eq!(
            sent["messages"][0]["content"][0]["cache_control"],
            json!({"type": "ephemeral"})
        );
        assert_eq!(sent["messages"][0]["content"][1]["cache_control"], Value::Null);
        assert_eq!(
            sent["messages"][1]["content"][0]["cache_control"],
            json!({"type": "ephemeral"})
        );
    }

    #[test]
    fn a_picture_is_a_data_url() {
        let parts = vec![
            Part::text("What?"),
            Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] },
        ];
        let request = ChatRequest::new("gpt-4o", 500).message(Message::results(parts));
        assert_eq!(
            encoded("", &request)["messages"][0]["content"],
            json!([
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}},
            ])
        );
    }
}
