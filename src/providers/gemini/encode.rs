//! Encodes requests as the body of `streamGenerateContent`. Equal requests give equal bytes.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{ID, NAME, schema};
use crate::catalog::{Model, ThinkingKind};
use crate::ids;
use crate::model::{ChatRequest, Message, Part, Role, ToolChoice};
use kernel::Thinking;

/// Documented placeholder for a signature that is missing or from another provider.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";
/// Output tokens reserved for the answer when a thinking budget is set.
const ANSWER_LEAST: u32 = 1_024;

/// The request body for a model.
pub(super) fn body(request: &ChatRequest, model: &Model) -> serde_json::Result<Vec<u8>> {
    let mut body = Map::new();
    let system: Vec<Value> = request
        .system
        .iter()
        .filter(|part| !part.text.trim().is_empty())
        .map(|part| json!({ "text": part.text }))
        .collect();
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({ "parts": system }));
    }
    let tools = tools(request);
    if !tools.is_empty() {
        body.insert("toolConfig".to_owned(), json!({ "functionCallingConfig": choice(request) }));
        body.insert("tools".to_owned(), json!([{ "functionDeclarations": tools }]));
    }
    body.insert("contents".to_owned(), Value::Array(contents(request)));
    body.insert("generationConfig".to_owned(), generation(request, model));
    serde_json::to_vec(&body)
}

/// Tools that cannot be expressed are omitted; `Provider::unfit` gives the reason.
fn tools(request: &ChatRequest) -> Vec<Value> {
    let mut entries = Vec::new();
    for tool in &request.tools {
        let parameters = match schema::clean(&tool.schema) {
            Ok(parameters) => parameters,
            Err(why) => {
                tracing::warn!(tool = %tool.name, "a tool is not offered to Gemini: {why}");
                continue;
            }
        };
        let mut entry = json!({ "name": tool.name, "description": tool.description });
        if let Some(parameters) = parameters {
            entry["parameters"] = parameters;
        }
        entries.push(entry);
    }
    entries
}

fn choice(request: &ChatRequest) -> Value {
    match &request.tool_choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    }
}

fn generation(request: &ChatRequest, model: &Model) -> Value {
    let limit = match model.vendor.as_str() {
        "" => request.max_output,
        _ => request.max_output.min(model.max_output),
    };
    let mut config = json!({ "maxOutputTokens": limit });
    if let Some(temperature) = request.temperature.filter(|_| model.sampling) {
        config["temperature"] = json!(temperature);
    }
    if let Some(top_p) = request.top_p.filter(|_| model.sampling) {
        config["topP"] = json!(top_p);
    }
    if !request.stop.is_empty() {
        config["stopSequences"] = json!(request.stop);
    }
    if let Some(format) = &request.format {
        config["responseMimeType"] = json!("application/json");
        if let Some(schema) = &format.schema {
            config["responseJsonSchema"] = schema.clone();
        }
    }
    if let Some(thinking) = thinking(request.thinking, model, limit) {
        config["thinkingConfig"] = thinking;
    }
    config
}

/// Models up to 2.5 use a budget, later ones a level.
fn thinking(requested: Thinking, model: &Model, limit: u32) -> Option<Value> {
    if model.thinking == ThinkingKind::None {
        return None;
    }
    let level = model.effective(requested);
    if !model.id.starts_with("gemini-2.") {
        let word = model.effort(level)?;
        return Some(json!({ "includeThoughts": level != Thinking::None, "thinkingLevel": word }));
    }
    let most = if model.id.contains("flash") { 24_576 } else { 32_768 };
    let budget = match level {
        Thinking::None => 0,
        Thinking::Low => 4_096,
        Thinking::Medium => 10_240,
        Thinking::High => 20_480,
        Thinking::Max => most,
    };
    // The output limit includes thinking. A model that cannot stop thinking requires at least 128.
    let room = limit.saturating_sub(ANSWER_LEAST);
    let least = if level == Thinking::None { 0 } else { 128 };
    let budget = budget.min(room).max(least);
    Some(json!({ "includeThoughts": 0 < budget, "thinkingBudget": budget }))
}

/// Alternating turns that start with the user, as the protocol requires.
fn contents(request: &ChatRequest) -> Vec<Value> {
    let names: HashMap<&str, &str> = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match part {
            Part::ToolCall { id, name, .. } => Some((id.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let (role, parts) = match message.role {
            Role::User => ("user", user(message, &names)),
            Role::Assistant => ("model", assistant(message, &request.model)),
        };
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some((last, there)) if *last == role => there.extend(parts),
            _ => turns.push((role, parts)),
        }
    }
    if turns.first().is_none_or(|(role, _)| *role == "model") {
        turns.insert(0, ("user", vec![json!({ "text": "(the conversation continues)" })]));
    }
    for (_, parts) in turns.iter_mut().filter(|(role, _)| *role == "user") {
        parts.sort_by_key(|part| part.get("functionResponse").is_none());
    }
    turns.into_iter().map(|(role, parts)| json!({ "role": role, "parts": parts })).collect()
}

fn user(message: &Message, names: &HashMap<&str, &str>) -> Vec<Value> {
    let part = |part: &Part| {
        Some(match part {
            Part::Text { text } if !text.trim().is_empty() => json!({ "text": text }),
            Part::ToolResult { call_id, text, is_error } => {
                // A result whose call was removed from the conversation is dropped.
                let name = names.get(call_id.as_str())?;
                let key = if *is_error { "error" } else { "output" };
                let mut response = json!({ "name": name, "response": { key: text } });
                if ids::made(call_id, ID).is_none() {
                    response["id"] = json!(call_id);
                }
                json!({ "functionResponse": response })
            }
            Part::Image { media_type, data } | Part::File { media_type, data, .. } => json!({
                "inlineData": { "mimeType": media_type, "data": STANDARD.encode(data) }
            }),
            _ => return None,
        })
    };
    message.parts.iter().filter_map(part).collect()
}

fn assistant(message: &Message, model: &str) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    let mut thought: Option<&str> = None;
    for part in &message.parts {
        match part {
            Part::Text { text } if !text.trim().is_empty() => parts.push(json!({ "text": text })),
            Part::Thinking { text, .. } => thought = Some(text),
            Part::ToolCall { id, name, arguments } => {
                let mut call = json!({ "name": name, "args": args(arguments) });
                if ids::made(id, ID).is_none() {
                    call["id"] = json!(id);
                }
                parts.push(json!({ "functionCall": call }));
            }
            Part::Opaque { provider, model: whose, data } if provider == NAME && whose == model => {
                sign(&mut parts, thought.take(), data);
            }
            _ => {}
        }
        if !matches!(part, Part::Thinking { .. }) {
            thought = None;
        }
    }
    // The first call of a turn must be signed; later ones need not.
    let first = parts.iter_mut().find(|part| part.get("functionCall").is_some());
    if let Some(call) = first.filter(|call| call.get("thoughtSignature").is_none()) {
        call["thoughtSignature"] = json!(NO_SIGNATURE);
    }
    parts
}

/// Returns a signature on the part it came with.
fn sign(parts: &mut Vec<Value>, thought: Option<&str>, signature: &str) {
    match (thought, parts.last_mut()) {
        (Some(text), _) => {
            parts.push(json!({ "thought": true, "text": text, "thoughtSignature": signature }));
        }
        (None, Some(last)) => last["thoughtSignature"] = json!(signature),
        (None, None) => parts.push(json!({ "text": "", "thoughtSignature": signature })),
    }
}

/// Arguments must be an object; anything else is wrapped.
fn args(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        Err(_) if arguments.trim().is_empty() => json!({}),
        _ => json!({ "invalid_json": arguments }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use crate::model::{Cache, ToolDef};

    fn encoded(request: &ChatRequest) -> Value {
        let model = catalog::describe(&request.model);
        serde_json::from_slice(&body(request, &model).expect("encodes")).expect("JSON")
    }

    fn signed(model: &str, data: &str) -> Part {
        Part::Opaque { provider: NAME.into(), model: model.into(), data: data.into() }
    }

    #[test]
    fn a_conversation_has_the_documented_shape() {
        let request = ChatRequest::new("gemini-3.8-flash", 4_000)
            .system("Rules", Cache::UpToHere)
            .system("Today", Cache::No)
            .tool(ToolDef {
                name: "read".into(),
                description: "Reads".into(),
                schema: json!({"type": "object", "additionalProperties": false, "properties": {"p": {"type": "string"}}}),
            })
            .tool(ToolDef { name: "now".into(), description: "Time".into(), schema: json!({"type": "object"}) })
            .message(Message::user("Look"))
            .message(Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: None },
                Part::text("I look."),
                signed("gemini-3.8-flash", "AAAA"),
                Part::call("g1", "read", "{\"p\": \"a\"}"),
                signed("gemini-3.8-flash", "BBBB"),
                Part::call("own-2", "now", "oops"),
            ]))
            .message(Message::user("Hurry"))
            .message(Message::results(vec![
                Part::result("g1", "A"),
                Part::failure("own-2", "bad"),
                Part::result("gone", "nobody asked"),
                Part::Image { media_type: "image/png".into(), data: vec![1, 2, 3] },
            ]));
        assert_eq!(ids::next(&request, ID), 2);
        let sampled = ChatRequest { top_p: Some(0.5), ..request.clone() };
        let sampling = catalog::describe("gemini-3.8-flash").sampling;
        assert_eq!(
            encoded(&sampled)["generationConfig"]["topP"],
            if sampling { json!(0.5) } else { Value::Null }
        );
        assert_eq!(
            encoded(&request),
            json!({
                "systemInstruction": {"parts": [{"text": "Rules"}, {"text": "Today"}]},
                "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
                "tools": [{"functionDeclarations": [
                    {"name": "read", "description": "Reads",
                     "parameters": {"type": "object", "properties": {"p": {"type": "string"}}}},
                    {"name": "now", "description": "Time"},
                ]}],
                "contents": [
                    {"role": "user", "parts": [{"text": "Look"}]},
                    {"role": "model", "parts": [
                        {"text": "I look.", "thoughtSignature": "AAAA"},
                        {"functionCall": {"name": "read", "args": {"p": "a"}}, "thoughtSignature": "BBBB"},
                        {"functionCall": {"id": "own-2", "name": "now", "args": {"invalid_json": "oops"}}},
                    ]},
                    {"role": "user", "parts": [
                        {"functionResponse": {"name": "read", "response": {"output": "A"}}},
                        {"functionResponse": {"id": "own-2", "name": "now", "response": {"error": "bad"}}},
                        {"text": "Hurry"},
                        {"inlineData": {"mimeType": "image/png", "data": "AQID"}},
                    ]},
                ],
                "generationConfig": {
                    "maxOutputTokens": 4_000,
                    "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "low"},
                },
            })
        );
    }

    #[test]
    fn a_call_of_another_model_is_sent_with_the_word_for_no_signature() {
        let request = ChatRequest::new("gemini-3.8-flash", 4_000)
            .message(Message::assistant(vec![
                Part::Thinking { text: "hm".into(), signature: Some("anthropic's".into()) },
                Part::call("toolu_1", "read", "{}"),
                signed("gemini-2.5-pro", "old"),
                Part::call("toolu_2", "read", "{}"),
            ]))
            .message(Message::results(vec![
                Part::result("toolu_1", "a"),
                Part::result("toolu_2", "b"),
            ]));
        let sent = encoded(&request);
        assert_eq!(sent["contents"][0]["role"], "user", "a conversation begins with the user");
        let parts = &sent["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], NO_SIGNATURE);
        assert_eq!(parts[1]["thoughtSignature"], Value::Null);
        assert!(!sent.to_string().contains("anthropic's") && !sent.to_string().contains("old"));
    }

    #[test]
    fn thinking_is_asked_for_in_the_models_own_way() {
        let ask = |model: &str, level: Thinking, max: u32| {
            let mut request = ChatRequest::new(model, max).message(Message::user("hi"));
            request.thinking = level;
            encoded(&request)["generationConfig"]["thinkingConfig"].clone()
        };
        let budget = |n: u32| json!({"includeThoughts": 0 < n, "thinkingBudget": n});
        assert_eq!(ask("gemini-2.5-flash", Thinking::None, 16_384), budget(0));
        assert_eq!(ask("gemini-2.5-flash", Thinking::Medium, 16_384), budget(10_240));
        assert_eq!(ask("gemini-2.5-pro", Thinking::High, 8_192), budget(7_168));
        assert_eq!(ask("gemini-2.5-pro", Thinking::None, 600), budget(128));
        assert_eq!(ask("gemini-3.1-pro-preview", Thinking::High, 9_000)["thinkingLevel"], "high");
        assert_eq!(ask("somebody-else", Thinking::High, 9_000), Value::Null);
    }
}
