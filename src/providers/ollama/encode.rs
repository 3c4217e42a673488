//! Encodes requests as the body of `POST /api/chat`.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::abilities::Shown;
use crate::model::{ChatRequest, Message, Part, Role, ToolChoice};
use kernel::Thinking;

/// How long the server keeps the model loaded after an answer.
const KEEP_ALIVE: &str = "15m";

/// The request body for a model; `set` is a context window chosen by a person.
pub(super) fn body(
    request: &ChatRequest,
    shown: Shown,
    set: Option<u32>,
) -> serde_json::Result<Vec<u8>> {
    let window = shown.window(set);
    let mut options = Map::new();
    options.insert("num_ctx".to_owned(), json!(window));
    options.insert("num_predict".to_owned(), json!(request.max_output.min(window)));
    if let Some(temperature) = request.temperature {
        options.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(top_p) = request.top_p {
        options.insert("top_p".to_owned(), json!(top_p));
    }
    if !request.stop.is_empty() {
        options.insert("stop".to_owned(), json!(request.stop));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model));
    body.insert("messages".to_owned(), Value::Array(messages(request)));
    // A model without tool support rejects the whole request if tools are included.
    let tools = shown.can.tools != Some(false) && request.tool_choice != ToolChoice::None;
    // The format applies to all output including calls. With tools, neither would work.
    let tools = tools && request.format.is_none();
    if let Some(format) = &request.format {
        body.insert("format".to_owned(), format.schema.clone().unwrap_or_else(|| json!("json")));
    }
    if tools && !request.tools.is_empty() {
        body.insert("tools".to_owned(), Value::Array(request.tools.iter().map(tool).collect()));
    }
    if let Some(think) = think(request.thinking, shown) {
        body.insert("think".to_owned(), think);
    }
    body.insert("options".to_owned(), Value::Object(options));
    body.insert("keep_alive".to_owned(), json!(KEEP_ALIVE));
    body.insert("stream".to_owned(), json!(true));
    serde_json::to_vec(&body)
}

fn tool(tool: &crate::model::ToolDef) -> Value {
    json!({ "type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": tool.schema,
    }})
}

fn think(level: Thinking, shown: Shown) -> Option<Value> {
    if shown.can.thinking != Some(true) {
        return None;
    }
    if !shown.levels {
        return Some(json!(level != Thinking::None));
    }
    // Such a model cannot disable thinking.
    Some(json!(match level {
        Thinking::None | Thinking::Low => "low",
        Thinking::Medium => "medium",
        Thinking::High | Thinking::Max => "high",
    }))
}

fn messages(request: &ChatRequest) -> Vec<Value> {
    let mut messages = Vec::new();
    let system: Vec<&str> = request
        .system
        .iter()
        .map(|part| part.text.as_str())
        .filter(|text| !text.trim().is_empty())
        .collect();
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    let names: HashMap<&str, &str> = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match part {
            Part::ToolCall { id, name, .. } => Some((id.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    for message in &request.messages {
        match message.role {
            Role::User => user(message, &names, &mut messages),
            Role::Assistant => messages.extend(assistant(message)),
        }
    }
    messages
}

/// Results precede other content, in the order of their calls.
fn user(message: &Message, names: &HashMap<&str, &str>, messages: &mut Vec<Value>) {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::ToolResult { call_id, text, is_error } => {
                let Some(name) = names.get(call_id.as_str()) else { continue };
                let text = if *is_error { format!("Error: {text}") } else { text.clone() };
                messages.push(json!({ "role": "tool", "tool_name": name, "content": text }));
            }
            Part::Text { text } if !text.trim().is_empty() => texts.push(text.as_str()),
            Part::Image { data, .. } => images.push(STANDARD.encode(data)),
            _ => {}
        }
    }
    if texts.is_empty() && images.is_empty() {
        return;
    }
    let mut entry = json!({ "role": "user", "content": texts.join("\n\n") });
    if !images.is_empty() {
        entry["images"] = json!(images);
    }
    messages.push(entry);
}

fn assistant(message: &Message) -> Option<Value> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in &message.parts {
        match part {
            Part::Text { text: more } => text.push_str(more),
            Part::ToolCall { name, arguments, .. } => {
                let args = match serde_json::from_str(arguments) {
                    Ok(Value::Object(map)) => Value::Object(map),
                    Err(_) if arguments.trim().is_empty() => json!({}),
                    _ => json!({ "invalid_json": arguments }),
                };
                calls.push(json!({ "function": { "name": name, "arguments": args } }));
            }
            _ => {}
        }
    }
    if text.trim().is_empty() && calls.is_empty() {
        return None;
    }
    let mut entry = json!({ "role": "assistant", "content": text });
    if !calls.is_empty() {
        entry["tool_calls"] = json!(calls);
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abilities, Cache, ToolDef};

    fn encoded(request: &ChatRequest, shown: Shown, set: Option<u32>) -> Value {
        serde_json::from_slice(&body(request, shown, set).expect("encodes")).expect("JSON")
    }

    fn conversation() -> ChatRequest {
        let mut request = ChatRequest::new("qwen3", 16_000)
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
                Part::text("I look."),
                Part::call("o1", "read", "{\"p\": 1}"),
                Part::call("o2", "read", "oops"),
            ]))
            .message(Message::results(vec![
                Part::result("o1", "A"),
                Part::failure("o2", "bad"),
                Part::result("gone", "nobody asked"),
                Part::text("Hurry"),
                Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] },
            ]));
        request.thinking = Thinking::High;
        request
    }

    #[test]
    fn a_conversation_has_the_documented_shape() {
        let can = Abilities { tools: Some(true), vision: Some(true), thinking: Some(true) };
        let shown = Shown { context: Some(8_192), can, ..Shown::default() };
        assert_eq!(
            encoded(&conversation(), shown, None),
            json!({
                "model": "qwen3",
                "messages": [
                    {"role": "system", "content": "Rules\n\nToday"},
                    {"role": "user", "content": "Look"},
                    {"role": "assistant", "content": "I look.", "tool_calls": [
                        {"function": {"name": "read", "arguments": {"p": 1}}},
                        {"function": {"name": "read", "arguments": {"invalid_json": "oops"}}},
                    ]},
                    {"role": "tool", "tool_name": "read", "content": "A"},
                    {"role": "tool", "tool_name": "read", "content": "Error: bad"},
                    {"role": "user", "content": "Hurry", "images": ["AQID"]},
                ],
                "tools": [{"type": "function", "function": {
                    "name": "read", "description": "Reads", "parameters": {"type": "object"},
                }}],
                "think": true,
                "options": {"num_ctx": 8_192, "num_predict": 8_192},
                "keep_alive": "15m",
                "stream": true,
            })
        );
    }

    #[test]
    fn a_model_is_asked_only_for_what_it_can_do() {
        let plain = encoded(&conversation(), Shown::default(), Some(4_096));
        assert_eq!((&plain["think"], &plain["options"]["num_ctx"]), (&Value::Null, &json!(4_096)));
        let sampled = ChatRequest { top_p: Some(0.5), ..conversation() };
        assert_eq!(encoded(&sampled, Shown::default(), None)["options"]["top_p"], 0.5);
        assert!(plain["tools"].is_array(), "an old server does not say what its models can do");
        let can = Abilities { tools: Some(false), vision: None, thinking: Some(true) };
        let levels = Shown { can, levels: true, ..Shown::default() };
        let sent = encoded(&conversation(), levels, None);
        assert_eq!((&sent["tools"], &sent["think"]), (&Value::Null, &json!("high")));
    }
}
