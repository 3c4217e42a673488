//! Encodes requests as the body of `POST /responses`. Equal requests give equal bytes, because the provider's prompt
//! cache depends on them.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::NAME;
use crate::base::Server;
use crate::catalog::{Model, ThinkingKind};
use crate::error::{ErrorClass, ProviderError};
use crate::ids;
use crate::model::{ChatRequest, Message, Part, Role, ToolChoice, ToolDef};
use crate::openai;
use kernel::Thinking;

/// Minimum output limit that the provider accepts.
const OUTPUT_LEAST: u32 = 16;

/// Features that a server has rejected for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    no_reasoning: bool,
    no_summary: bool,
    no_sealed: bool,
    no_temperature: bool,
    no_hints: bool,
    pub(super) no_limit: bool,
    needs_instructions: bool,
}

/// Instructions for servers that require some when there are none.
const NOTHING_SAID: &str = "Answer what you are asked.";

impl Dialect {
    /// What is known about a server.
    pub(super) fn of(server: Server) -> Self {
        match server {
            // Output is limited by the subscription, and instructions are mandatory.
            Server::ChatGpt => Self {
                no_limit: true,
                no_temperature: true,
                needs_instructions: true,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Disables the feature that a rejection complains about. Returns `false` if there is none, or if it was disabled
    /// already.
    pub(super) fn learn(&mut self, error: &ProviderError) -> bool {
        if error.class != ErrorClass::InvalidRequest {
            return false;
        }
        let message = error.message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
        let first = |point: &mut bool| !std::mem::replace(point, true);
        if has(&["reasoning summar", "reasoning.summary"]) {
            return first(&mut self.no_summary);
        }
        if has(&["encrypted content is not supported", "'include'", "reasoning.encrypted_content"])
        {
            return first(&mut self.no_sealed);
        }
        if has(&["reasoning"]) {
            return first(&mut self.no_reasoning);
        }
        if has(&["temperature", "top_p"]) {
            return first(&mut self.no_temperature);
        }
        if has(&["prompt_cache_key", "safety_identifier", "'user'"]) {
            return first(&mut self.no_hints);
        }
        let refused =
            has(&["unsupported", "not supported", "unknown", "unrecognized", "not allowed"]);
        if refused && has(&["max_output_tokens"]) {
            return first(&mut self.no_limit);
        }
        false
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    include: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    effort: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'static str>,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: Cow<'a, Value>,
    /// Schemas are strict unless disabled explicitly.
    strict: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        role: &'static str,
        content: Vec<Content<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
    },
    FunctionCall {
        call_id: Cow<'a, str>,
        name: &'a str,
        arguments: &'a str,
    },
    FunctionCallOutput {
        call_id: Cow<'a, str>,
        output: Cow<'a, str>,
    },
    /// A provider-specific item, returned unchanged.
    #[serde(untagged)]
    Own(Value),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    InputText { text: &'a str },
    InputImage { image_url: String },
    InputFile { filename: &'a str, file_data: String },
    OutputText { text: &'a str },
}

/// The request body for a model.
pub(super) fn body(
    request: &ChatRequest,
    model: &Model,
    dialect: Dialect,
) -> serde_json::Result<Vec<u8>> {
    let limit = match model.vendor.as_str() {
        "" => request.max_output,
        _ => request.max_output.min(model.max_output),
    };
    let reasoning = reasoning(request, model, dialect);
    let sealed = model.thinking == ThinkingKind::Effort && !dialect.no_sealed;
    let hints = !dialect.no_hints;
    let mut instructions = system(request, Stays::Yes);
    if dialect.needs_instructions && instructions.is_empty() {
        instructions = Cow::Borrowed(NOTHING_SAID);
    }
    let sampling = model.sampling && !dialect.no_temperature;
    serde_json::to_vec(&Body {
        model: &request.model,
        instructions,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: choice(request),
        input: input(request),
        reasoning,
        max_output_tokens: (!dialect.no_limit).then_some(limit.max(OUTPUT_LEAST)),
        temperature: request.temperature.filter(|_| sampling),
        top_p: request.top_p.filter(|_| sampling),
        text: request.format.as_ref().map(|format| json!({ "format": openai::format(format) })),
        include: if sealed { &["reasoning.encrypted_content"] } else { &[] },
        prompt_cache_key: request.metadata.cache_key.as_deref().filter(|_| hints),
        safety_identifier: request.metadata.user.as_deref().filter(|_| hints),
        service_tier: request.fast.map(openai::tier),
        store: false,
        stream: true,
    })
}

fn reasoning<'a>(
    request: &ChatRequest,
    model: &'a Model,
    dialect: Dialect,
) -> Option<Reasoning<'a>> {
    if model.thinking != ThinkingKind::Effort || dialect.no_reasoning {
        return None;
    }
    let level = model.effective(request.thinking);
    let effort = model.effort(level)?;
    let summary = (level != Thinking::None && !dialect.no_summary).then_some("auto");
    Some(Reasoning { effort, summary })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

/// The system prompt up to the cache boundary, or the part after it.
fn system(request: &ChatRequest, stays: Stays) -> Cow<'_, str> {
    let boundary = request.system.iter().rposition(|part| part.cache).map_or(0, |at| at + 1);
    let (stable, changing) = request.system.split_at(boundary);
    let parts = if stays == Stays::Yes { stable } else { changing };
    let texts: Vec<&str> =
        parts.iter().map(|p| p.text.as_str()).filter(|t| !t.trim().is_empty()).collect();
    match texts.as_slice() {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.join("\n\n")),
    }
}

fn tool(tool: &ToolDef) -> Tool<'_> {
    let parameters = match tool.schema.get("properties") {
        Some(_) => Cow::Borrowed(&tool.schema),
        None => {
            let mut schema = tool.schema.as_object().cloned().unwrap_or_default();
            schema.entry("type").or_insert_with(|| json!("object"));
            schema.insert("properties".to_owned(), json!({}));
            Cow::Owned(Value::Object(schema))
        }
    };
    Tool {
        kind: "function",
        name: &tool.name,
        description: &tool.description,
        parameters,
        strict: false,
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
        ToolChoice::Named(name) => Some(json!({ "type": "function", "name": name })),
    }
}

fn input(request: &ChatRequest) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let changing = system(request, Stays::No);
    if !changing.is_empty() {
        // Without a cache boundary, the text is owned only if it was joined from several parts.
        items.push(match changing {
            Cow::Borrowed(text) => Item::Message {
                role: "developer",
                content: vec![Content::InputText { text }],
                phase: None,
            },
            Cow::Owned(text) => Item::Own(json!({
                "type": "message", "role": "developer",
                "content": [{ "type": "input_text", "text": text }],
            })),
        });
    }
    for message in &request.messages {
        match message.role {
            Role::User => user(message, &mut items),
            Role::Assistant => assistant(message, &request.model, &mut items),
        }
    }
    items
}

/// Results precede other content, because they belong to the preceding calls.
fn user<'a>(message: &'a Message, items: &mut Vec<Item<'a>>) {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolResult { call_id, text, is_error } => {
                items.push(Item::FunctionCallOutput {
                    call_id: ids::at_most_64(call_id),
                    output: result(text, *is_error),
                });
            }
            Part::Text { text } if !text.trim().is_empty() => {
                content.push(Content::InputText { text });
            }
            Part::Image { media_type, data } => {
                content.push(Content::InputImage { image_url: data_url(media_type, data) });
            }
            Part::File { media_type, name, data } => content
                .push(Content::InputFile { filename: name, file_data: data_url(media_type, data) }),
            _ => {}
        }
    }
    if !content.is_empty() {
        items.push(Item::Message { role: "user", content, phase: None });
    }
}

fn data_url(media_type: &str, data: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(data))
}

/// The protocol has no error flag, so the text must say it.
fn result(text: &str, is_error: bool) -> Cow<'_, str> {
    let is_marked =
        text.trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
    if is_error && !is_marked { Cow::Owned(format!("Error: {text}")) } else { Cow::Borrowed(text) }
}

/// Thinking items directly precede what they led to, and go only to the model that produced them. The provider rejects
/// anything else.
fn assistant<'a>(message: &'a Message, model: &str, items: &mut Vec<Item<'a>>) {
    let mut thoughts: Vec<Item<'a>> = Vec::new();
    for (at, part) in message.parts.iter().enumerate() {
        match part {
            Part::Opaque { provider, model: whose, data } if provider == NAME && whose == model => {
                if let Some(item) = thought(data) {
                    thoughts.push(Item::Own(item));
                }
            }
            Part::Text { text } if !text.trim().is_empty() => {
                items.append(&mut thoughts);
                items.push(Item::Message {
                    role: "assistant",
                    content: vec![Content::OutputText { text }],
                    phase: phase(message.parts.get(at + 1), model),
                });
            }
            Part::ToolCall { id, name, arguments } => {
                items.append(&mut thoughts);
                items.push(Item::FunctionCall {
                    call_id: ids::at_most_64(id),
                    name,
                    arguments: if arguments.trim().is_empty() { "{}" } else { arguments },
                });
            }
            _ => {}
        }
    }
}

/// Parses a stored thinking item; `None` for other stored items.
fn thought(data: &str) -> Option<Value> {
    // ok: an unreadable item is omitted, as any thinking may be
    let item: Value = serde_json::from_str(data).ok()?;
    (item.get("type")? == "reasoning").then_some(item)
}

/// The phase of a text in an answer, if the model reported it.
fn phase(after: Option<&Part>, model: &str) -> Option<String> {
    let Some(Part::Opaque { provider, model: whose, data }) = after else { return None };
    if provider != NAME || whose != model {
        return None;
    }
    let item: Value = serde_json::from_str(data).ok()?; // ok: omitted like any other hint
    Some(item.get("phase")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::model::Cache;

    fn encoded(request: &ChatRequest, dialect: Dialect) -> Value {
        let model = catalog::describe(&request.model);
        serde_json::from_slice(&body(request, &model, dialect).expect("encodes")).expect("JSON")
    }

    fn own(model: &str, data: Value) -> Part {
        Part::Opaque { provider: NAME.into(), model: model.into(), data: data.to_string() }
    }

    fn conversation(model: &str) -> ChatRequest {
        let thought =
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"});
        let lonely =
            json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "y"});
        let mut request = ChatRequest::new(model, 4_000)
            .system("Rules", Cache::UpToHere)
            .system("Today", Cache::No)
            .tool(ToolDef {
                name: "read".into(),
                description: "Reads".into(),
                schema: json!({"type": "object"}),
            })
            .message(Message::user("Look"))
            .message(Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: None },
                own("gpt-5", thought),
                Part::text("I look."),
                own("gpt-5", json!({"phase": "commentary"})),
                Part::call("c1", "read", "{\"p\": 1}"),
                Part::call("x".repeat(70), "read", " "),
                own("gpt-5", lonely),
            ]))
            .message(Message::results(vec![
                Part::result("c1", "A"),
                Part::failure("x".repeat(70), "bad"),
                Part::text("Hurry"),
                Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] },
            ]));
        request.thinking = Thinking::Medium;
        request.metadata.cache_key = Some("k".into());
        request.temperature = Some(0.3);
        request
    }

    #[test]
    fn a_conversation_has_the_documented_shape() {
        let long = ids::at_most_64(&"x".repeat(70)).into_owned();
        assert_eq!(
            encoded(&conversation("gpt-5"), Dialect::default()),
            json!({
                "model": "gpt-5",
                "instructions": "Rules",
                "tools": [{"type": "function", "name": "read", "description": "Reads",
                    "parameters": {"type": "object", "properties": {}}, "strict": false}],
                "input": [
                    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Today"}]},
                    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}]},
                    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                    {"type": "message", "role": "assistant", "phase": "commentary",
                        "content": [{"type": "output_text", "text": "I look."}]},
                    {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{\"p\": 1}"},
                    {"type": "function_call", "call_id": long, "name": "read", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "A"},
                    {"type": "function_call_output", "call_id": long, "output": "Error: bad"},
                    {"type": "message", "role": "user", "content": [
                        {"type": "input_text", "text": "Hurry"},
                        {"type": "input_image", "image_url": "data:image/png;base64,AQID"},
                    ]},
                ],
                "reasoning": {"effort": "medium", "summary": "auto"},
                "max_output_tokens": 4_000,
                "include": ["reasoning.encrypted_content"],
                "prompt_cache_key": "k",
                "store": false,
                "stream": true,
            })
        );
    }

    #[test]
    fn another_model_gets_no_thinking_of_the_first() {
        let sent = encoded(&conversation("gpt-4o"), Dialect::default());
        let text = sent.to_string();
        assert!(!text.contains("rs_1") && !text.contains("commentary"), "{text}");
        assert_eq!((&sent["reasoning"], &sent["include"]), (&Value::Null, &Value::Null));
        assert!(sent["temperature"].is_number());
        let sampled = ChatRequest { top_p: Some(0.5), ..conversation("gpt-4o") };
        assert_eq!(encoded(&sampled, Dialect::default())["top_p"], 0.5);
    }

    #[test]
    fn what_a_server_refuses_is_left_out_once() {
        let mut dialect = Dialect::default();
        let refused = |text: &str| ProviderError::reported(400, "invalid_request_error", text);
        let summary =
            refused("Your organization must be verified to generate reasoning summaries.");
        assert!(dialect.learn(&summary) && !dialect.learn(&summary));
        assert!(dialect.learn(&refused("Encrypted content is not supported with this model.")));
        assert!(dialect.learn(&refused(
            "Unsupported parameter: 'reasoning.effort' is not supported with this model."
        )));
        assert!(dialect.learn(&refused("Unsupported parameter: 'temperature'")));
        assert!(dialect.learn(&refused("Unknown parameter: 'prompt_cache_key'")));
        assert!(dialect.learn(&refused("Unsupported parameter: max_output_tokens")));
        assert!(!dialect.learn(&refused("input must not be empty")));
        let sent = encoded(&conversation("gpt-5"), dialect);
        for left_out in
            ["reasoning", "include", "temperature", "prompt_cache_key", "max_output_tokens"]
        {
            assert_eq!(sent[left_out], Value::Null, "{left_out}");
        }
    }

    #[test]
    fn a_subscription_is_asked_as_it_wants_to_be() {
        let request = ChatRequest { temperature: Some(0.5), ..ChatRequest::new("gpt-4o", 10) };
        let sent = encoded(&request, Dialect::of(Server::ChatGpt));
        assert_eq!(sent["instructions"], NOTHING_SAID);
        assert_eq!(
            (&sent["max_output_tokens"], &sent["temperature"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!((&sent["store"], &sent["stream"]), (&json!(false), &json!(true)));
        let request = request.system("Rules", Cache::UpToHere);
        assert_eq!(encoded(&request, Dialect::of(Server::ChatGpt))["instructions"], "Rules");
    }

    #[test]
    fn a_prompt_without_a_boundary_is_all_said_by_the_developer() {
        let request = ChatRequest::new("gpt-4o", 10)
            .system("A", Cache::No)
            .system("B", Cache::No)
            .message(Message::user("x"));
        let sent = encoded(&request, Dialect::default());
        assert_eq!(sent["instructions"], Value::Null);
        assert_eq!(sent["input"][0]["content"][0]["text"], "A\n\nB");
        assert_eq!(sent["max_output_tokens"], 16);
    }
}
