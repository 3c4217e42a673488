//! Encodes requests as the body of `POST /v1/messages`. Equal requests give equal bytes, because the provider's prompt
//! cache depends on them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::catalog::{Model, ThinkingKind};
use crate::ids;
use crate::model::{ChatRequest, Part, Role, SystemPart, ToolChoice, ToolDef};
use kernel::Thinking;

/// Minimum thinking budget that the provider accepts.
const BUDGET_LEAST: u32 = 1_024;
/// Output tokens reserved for the answer when a thinking budget is set.
const ANSWER_LEAST: u32 = 1_024;
/// Distance of the second cache mark in the conversation. The provider searches 20 blocks back for a cache entry.
const LOOKBACK: usize = 15;
/// Maximum number of cache marks per request.
const MARKS: usize = 4;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    stream: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Cow<'a, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Mark>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    None,
    Any,
    Tool { name: &'a str },
}

#[derive(Clone, Copy, Serialize)]
struct Mark {
    #[serde(rename = "type")]
    kind: &'static str,
}

const MARK: Mark = Mark { kind: "ephemeral" };

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    Document {
        source: Source<'a>,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
}

impl Block<'_> {
    fn mark(&mut self) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => *cache_control = Some(MARK),
            Self::Thinking { .. } | Self::RedactedThinking { .. } | Self::ToolUse { .. } => {}
        }
    }
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    media_type: &'a str,
    data: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Think {
    Enabled {
        budget_tokens: u32,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    BetweenTools,
    Disabled,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Value>,
}

/// Returns `true` for models that accept `output_config.format`: Claude 4.5 and later.
pub(super) fn has_formats(model: &str) -> bool {
    let Some(rest) = model.strip_prefix("claude-") else { return false };
    // "3-5-haiku-latest", "sonnet-4-5-20250929", "opus-5": a date is not a version.
    let numbers = rest.split('-').filter_map(|part| part.parse::<u32>().ok());
    let mut version = numbers.take_while(|number| *number < 1_000);
    match (version.next(), version.next()) {
        (Some(4), minor) => minor.is_some_and(|minor| 5 <= minor),
        (Some(major), _) => 5 <= major,
        (None, _) => false,
    }
}

#[derive(Serialize)]
struct User<'a> {
    user_id: &'a str,
}

/// The request body for a model.
pub(super) fn body(request: &ChatRequest, model: &Model) -> serde_json::Result<Vec<u8>> {
    let max_tokens = match model.vendor.as_str() {
        "" => request.max_output,
        _ => request.max_output.min(model.max_output),
    };
    let (thinking, mut output_config) = thinking(request, model, max_tokens);
    if let Some(schema) = request.format.as_ref().and_then(|format| format.schema.as_ref()) {
        let format = Some(json!({ "type": "json_schema", "schema": schema }));
        output_config.get_or_insert_default().format = format;
    }
    let thinks = !matches!(thinking, None | Some(Think::Disabled));
    let sampling = model.sampling && !thinks;
    let mut body = Body {
        model: &request.model,
        max_tokens,
        tools: tools(request),
        tool_choice: choice(request, model),
        system: request.system.iter().filter(|p| !p.text.trim().is_empty()).map(system).collect(),
        messages: turns(request),
        thinking,
        output_config,
        temperature: request.temperature.filter(|_| sampling).map(|t| t.min(1.0)),
        // Newer models accept only one of the two.
        top_p: request.top_p.filter(|_| sampling && request.temperature.is_none()),
        stop_sequences: &request.stop,
        metadata: request.metadata.user.as_deref().map(|user_id| User { user_id }),
        service_tier: request.fast.map(|fast| if fast { "auto" } else { "standard_only" }),
        stream: true,
    };
    if request.system.iter().any(|part| part.cache) {
        mark(&mut body, request);
    }
    serde_json::to_vec(&body)
}

fn tools<'a>(request: &'a ChatRequest) -> Vec<Tool<'a>> {
    let tool = |tool: &'a ToolDef| Tool {
        name: &tool.name,
        description: &tool.description,
        input_schema: arguments(&tool.schema),
        cache_control: None,
    };
    request.tools.iter().map(tool).collect()
}

/// The schema of a tool's arguments, which must name its type.
fn arguments(schema: &Value) -> Cow<'_, Value> {
    if schema.get("type").is_some_and(|kind| kind == "object") {
        return Cow::Borrowed(schema);
    }
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), json!("object"));
    Cow::Owned(Value::Object(schema))
}

fn system(part: &SystemPart) -> Block<'_> {
    Block::Text { text: &part.text, cache_control: None }
}

fn choice<'a>(request: &'a ChatRequest, model: &Model) -> Option<Choice<'a>> {
    if request.tools.is_empty() {
        return None;
    }
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(Choice::None),
        ToolChoice::Required | ToolChoice::Named(_) if !model.forced_tools => None,
        ToolChoice::Required => Some(Choice::Any),
        ToolChoice::Named(name) => Some(Choice::Tool { name }),
    }
}

/// A forced tool and thinking exclude each other. The tool wins, because the caller depends on it.
fn thinking(
    request: &ChatRequest,
    model: &Model,
    max_tokens: u32,
) -> (Option<Think>, Option<OutputConfig>) {
    let forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_))
        && model.forced_tools
        && !request.tools.is_empty();
    let level = model.effective(if forced { Thinking::None } else { request.thinking });
    let display = model.display.then_some("summarized");
    let adaptive = || (Some(Think::Adaptive { display }), effort(level));
    match (model.thinking, level) {
        (ThinkingKind::None, _)
        | (ThinkingKind::Budget | ThinkingKind::Adaptive, Thinking::None) => (None, None),
        (ThinkingKind::DefaultOn | ThinkingKind::Switch, Thinking::None) => {
            (Some(Think::Disabled), None)
        }
        (ThinkingKind::BetweenTools, Thinking::None) => (Some(Think::BetweenTools), None),
        (ThinkingKind::Budget | ThinkingKind::Switch | ThinkingKind::Effort, level) => {
            (budget(level, max_tokens).map(|budget_tokens| Think::Enabled { budget_tokens }), None)
        }
        (
            ThinkingKind::Adaptive
            | ThinkingKind::DefaultOn
            | ThinkingKind::BetweenTools
            | ThinkingKind::Always,
            _,
        ) => adaptive(),
    }
}

fn effort(level: Thinking) -> Option<OutputConfig> {
    let effort = match level {
        Thinking::None => return None,
        Thinking::Low => "low",
        Thinking::Medium => "medium",
        Thinking::High => "high",
        Thinking::Max => "max",
    };
    Some(OutputConfig { effort: Some(effort), format: None })
}

/// The budget must be below `max_tokens`, which is the reserved amount and is never raised.
fn budget(level: Thinking, max_tokens: u32) -> Option<u32> {
    let most = max_tokens.saturating_sub(ANSWER_LEAST);
    let wanted = match level {
        Thinking::None => return None,
        Thinking::Low => 4_096,
        Thinking::Medium => 10_240,
        Thinking::High => 20_480,
        Thinking::Max => most,
    };
    Some(wanted.min(most)).filter(|budget| BUDGET_LEAST <= *budget)
}

/// Merges adjacent messages of one role into one turn, with tool results first, as the provider requires. Omits
/// thinking signed by another model.
fn turns(request: &ChatRequest) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (at, message) in request.messages.iter().enumerate() {
        let of_another = request.of_others.contains(&at);
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let parts = message.parts.iter().filter(|part| !(of_another && is_thought(part)));
        let blocks: Vec<Block<'_>> = parts.filter_map(block).collect();
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => turns.push(Turn { role, content: blocks }),
        }
    }
    for turn in turns.iter_mut().filter(|t| t.role == "user") {
        turn.content.sort_by_key(|b| !matches!(b, Block::ToolResult { .. }));
    }
    turns
}

fn is_thought(part: &Part) -> bool {
    matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. })
}

/// The provider rejects empty texts and unsigned thinking, so they are omitted.
fn block(part: &Part) -> Option<Block<'_>> {
    Some(match part {
        Part::Text { text } if text.trim().is_empty() => return None,
        Part::Text { text } => Block::Text { text, cache_control: None },
        Part::Thinking { signature: None, .. } => return None,
        Part::Thinking { text, signature: Some(signature) } => {
            Block::Thinking { thinking: text, signature }
        }
        Part::RedactedThinking { data } => Block::RedactedThinking { data },
        Part::Opaque { .. } => return None,
        Part::ToolCall { id, name, arguments } => {
            Block::ToolUse { id: ids::at_most_64(id), name, input: input(arguments) }
        }
        Part::ToolResult { call_id, text, is_error } => Block::ToolResult {
            tool_use_id: ids::at_most_64(call_id),
            content: text,
            is_error: *is_error,
            cache_control: None,
        },
        Part::Image { media_type, data } => Block::Image {
            source: Source { kind: "base64", media_type, data: STANDARD.encode(data) },
            cache_control: None,
        },
        Part::File { media_type, name, data } => Block::Document {
            source: Source { kind: "base64", media_type, data: STANDARD.encode(data) },
            title: name,
            cache_control: None,
        },
    })
}

/// Arguments as the model wrote them. Anything but a JSON object is wrapped, because the provider accepts only objects.
fn input(arguments: &str) -> Box<RawValue> {
    let text = match arguments.trim() {
        "" => "{}".to_owned(),
        text => text.to_owned(),
    };
    if text.starts_with('{')
        && let Ok(raw) = RawValue::from_string(text)
    {
        return raw;
    }
    let wrapped = serde_json::json!({ "invalid_json": arguments }).to_string();
    RawValue::from_string(wrapped).expect("invariant: what serde_json wrote is JSON")
}

/// Sets cache marks: after the tools, the stable system prompt and the conversation, and at a point that the next call
/// can still find when many blocks are added at once.
fn mark(body: &mut Body<'_>, request: &ChatRequest) {
    let mut left = MARKS - 2;
    if let Some(tool) = body.tools.last_mut() {
        tool.cache_control = Some(MARK);
        left -= 1;
    }
    let stable: Vec<bool> =
        request.system.iter().filter(|p| !p.text.trim().is_empty()).map(|p| p.cache).collect();
    for (block, stable) in body.system.iter_mut().zip(stable).rev() {
        if stable && 0 < left {
            block.mark();
            left -= 1;
        }
    }
    let mut blocks = 0;
    let mut marked = 0;
    for turn in body.messages.iter_mut().rev() {
        let due = marked == 0 || (marked == 1 && LOOKBACK <= blocks);
        if turn.role == "user" && due {
            if let Some(last) = turn.content.last_mut() {
                last.mark();
            }
            marked += 1;
        }
        blocks += turn.content.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::model::{Cache, Message};

    fn encoded(request: &ChatRequest) -> Value {
        let model = catalog::describe(&request.model);
        serde_json::from_slice(&body(request, &model).expect("encodes")).expect("JSON")
    }

    fn tool(name: &str) -> ToolDef {
        ToolDef {
            name: name.into(),
            description: "Does it".into(),
            schema: json!({"type": "object"}),
        }
    }

    #[test]
    fn the_schema_of_a_tool_always_names_its_type() {
        let schema = json!({ "properties": { "a": {} } });
        let request = ChatRequest::new("claude-sonnet-4-5", 1_000)
            .message(Message::user("Look"))
            .tool(ToolDef { schema, ..tool("look") })
            .tool(ToolDef { schema: json!({}), ..tool("now") });
        let body = encoded(&request);
        let of = |n: usize| &body["tools"][n]["input_schema"];
        assert_eq!(*of(0), json!({ "type": "object", "properties": { "a": {} } }));
        assert_eq!(*of(1), json!({ "type": "object" }));
    }

    #[test]
    fn what_another_model_has_signed_is_left_out() {
        let thought = |by: &str| Part::Thinking { text: "hm".into(), signature: Some(by.into()) };
        let message = |by: &str| {
            let hidden = Part::RedactedThinking { data: format!("hidden {by}") };
            Message::assistant(vec![thought(by), hidden, Part::text(format!("said {by}"))])
        };
        let mut request = ChatRequest::new("claude-sonnet-4-5", 1_000)
            .message(Message::user("Look"))
            .message(message("theirs"))
            .message(Message::user("And now?"))
            .message(message("own"))
            .message(Message::user("Go on"));
        request.of_others.insert(1);
        let sent = encoded(&request)["messages"].clone();
        assert_eq!(sent[1]["content"], json!([{"type": "text", "text": "said theirs"}]));
        assert_eq!(sent[3]["content"][0]["signature"], "own");
        assert_eq!(sent[3]["content"][1]["data"], "hidden own");
    }

    #[test]
    fn a_conversation_with_tools_and_thinking_is_sent_back_as_it_came() {
        let request = ChatRequest::new("claude-sonnet-4-5", 16_000)
            .system("Rules", Cache::UpToHere)
            .system("Today", Cache::No)
            .tool(tool("read"))
            .message(Message::user("Look"))
            .message(Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: Some("sig".into()) },
                Part::Thinking { text: "cut".into(), signature: None },
                Part::RedactedThinking { data: "xyz".into() },
                Part::text(" "),
                Part::call("c1", "read", "{\"z\": 1, \"a\": 2}"),
                Part::call("c2", "read", "not json"),
            ]))
            .message(Message::user("Hurry"))
            .message(Message::results(vec![
                Part::result("c1", "A"),
                Part::failure("c2", "bad arguments"),
            ]));
        let bytes = body(&request, &catalog::describe(&request.model)).expect("encodes");
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.contains("{\"z\": 1, \"a\": 2}"), "arguments keep their order: {text}");
        let sent = encoded(&request);
        assert_eq!(
            sent["messages"],
            json!([
                {"role": "user", "content": [{"type": "text", "text": "Look"}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xyz"},
                    {"type": "tool_use", "id": "c1", "name": "read", "input": {"z": 1, "a": 2}},
                    {"type": "tool_use", "id": "c2", "name": "read", "input": {"invalid_json": "not json"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "A"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "bad arguments", "is_error": true},
                    {"type": "text", "text": "Hurry", "cache_control": {"type": "ephemeral"}},
                ]},
            ])
        );
        assert_eq!(sent["system"][0]["cache_control"], json!({"type": "ephemeral"}));
        assert_eq!(sent["system"][1], json!({"type": "text", "text": "Today"}));
        assert_eq!(sent["tools"][0]["cache_control"], json!({"type": "ephemeral"}));
        assert_eq!(sent["stream"], true);
    }

    #[test]
    fn a_long_conversation_has_at_most_four_marks() {
        let mut request = ChatRequest::new("claude-sonnet-4-5", 1_000)
            .system("A", Cache::UpToHere)
            .system("B", Cache::UpToHere)
            .tool(tool("read"));
        for n in 0..30 {
            request.messages.push(Message::user(format!("q{n}")));
            request.messages.push(Message::assistant(vec![Part::text("a")]));
        }
        request.messages.push(Message::user("last"));
        let sent = encoded(&request).to_string();
        assert_eq!(sent.matches("cache_control").count(), 4, "{sent}");
        let plain = ChatRequest::new("claude-sonnet-4-5", 1_000).message(Message::user("hi"));
        assert!(!encoded(&plain).to_string().contains("cache_control"));
    }

    #[test]
    fn sampling_is_told_within_what_the_provider_takes() {
        let ask = |temperature: Option<f32>, top_p: Option<f32>| {
            let new = ChatRequest::new("claude-sonnet-4-5", 1_000).message(Message::user("hi"));
            let sent = encoded(&ChatRequest { temperature, top_p, ..new });
            (sent["temperature"].clone(), sent["top_p"].clone())
        };
        assert_eq!(ask(Some(1.5), Some(0.5)), (json!(1.0), Value::Null));
        assert_eq!(ask(None, Some(0.5)), (Value::Null, json!(0.5)));
    }

    #[test]
    fn thinking_is_asked_for_in_the_models_own_way() {
        let ask = |model: &str, level: Thinking, max: u32| {
            let mut request = ChatRequest::new(model, max).message(Message::user("hi"));
            request.thinking = level;
            request.temperature = Some(0.5);
            let sent = encoded(&request);
            (
                sent["thinking"].clone(),
                sent["output_config"]["effort"].clone(),
                sent["temperature"].clone(),
            )
        };
        let high = json!({"type": "adaptive", "display": "summarized"});
        assert_eq!(
            ask("claude-sonnet-4-5", Thinking::Medium, 16_384),
            (json!({"type": "enabled", "budget_tokens": 10_240}), Value::Null, Value::Null)
        );
        assert_eq!(ask("claude-sonnet-4-5", Thinking::High, 8_192).0["budget_tokens"], 7_168);
        assert_eq!(
            ask("claude-sonnet-4-5", Thinking::Low, 1_500),
            (Value::Null, Value::Null, json!(0.5))
        );
        assert_eq!(
            ask("claude-opus-4-6", Thinking::High, 9_000),
            (json!({"type": "adaptive"}), json!("high"), Value::Null)
        );
        assert_eq!(
            ask("claude-opus-4-8", Thinking::None, 9_000),
            (Value::Null, Value::Null, Value::Null)
        );
        assert_eq!(ask("claude-sonnet-5", Thinking::None, 9_000).0, json!({"type": "disabled"}));
        assert_eq!(
            ask("claude-sonnet-5-5", Thinking::None, 9_000).0,
            json!({"type": "between_tools"})
        );
        assert_eq!(
            ask("claude-opus-5-5", Thinking::None, 9_000),
            (high.clone(), json!("low"), Value::Null)
        );
        assert_eq!(ask("claude-opus-5-5", Thinking::Max, 9_000), (high, json!("max"), Value::Null));
        assert_eq!(
            ask("claude-3-5-haiku", Thinking::Max, 9_000),
            (Value::Null, Value::Null, json!(0.5))
        );
    }

    #[test]
    fn a_forced_tool_switches_thinking_off_where_both_cannot_be() {
        let mut request = ChatRequest::new("claude-sonnet-5", 4_000)
            .tool(tool("read"))
            .message(Message::user("x"));
        request.thinking = Thinking::High;
        request.tool_choice = ToolChoice::Named("read".into());
        let sent = encoded(&request);
        assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "read"}));
        assert_eq!(sent["thinking"], json!({"type": "disabled"}));
        request.model = "claude-opus-5-5".into();
        let sent = encoded(&request);
        assert_eq!(sent["tool_choice"], Value::Null);
        assert_eq!(sent["output_config"]["effort"], "high");
    }

    #[test]
    fn a_picture_is_sent_as_base64() {
        let image = Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] };
        let request =
            ChatRequest::new("claude-sonnet-5", 4_000).message(Message::results(vec![image]));
        assert_eq!(
            encoded(&request)["messages"][0]["content"][0]["source"],
            json!({"type": "base64", "media_type": "image/png", "data": "AQID"})
        );
    }

    #[test]
    fn the_limit_of_the_model_is_kept() {
        let request =
            ChatRequest::new("claude-3-haiku-20240307", 16_384).message(Message::user("x"));
        assert_eq!(encoded(&request)["max_tokens"], 4_096);
        assert_eq!(encoded(&request)["model"], "claude-3-haiku-20240307");
    }
}
