//! Responses, Gemini and Ollama formats of the scripted model.

use serde_json::{Value, json};

use super::wire::{Tokens, call_id, parts, words};
use super::{Say, Turn};

fn item(say: &Say, id: &str, n: usize) -> Value {
    match say {
        Say::Text(text) => json!({
            "type": "message", "id": format!("msg_{n}"), "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
        Say::Thinking { text, signature } => json!({
            "type": "reasoning", "id": format!("rs_{n}"),
            "summary": [{ "type": "summary_text", "text": text }], "encrypted_content": signature,
        }),
        Say::Redacted(data) => json!({
            "type": "reasoning", "id": format!("rs_{n}"), "summary": [], "encrypted_content": data,
        }),
        Say::Call { id: own, name, arguments } => json!({
            "type": "function_call", "id": format!("fc_{n}"), "call_id": call_id(own, id, n),
            "name": name, "arguments": arguments, "status": "completed",
        }),
    }
}

fn responses_usage(tokens: Tokens) -> Value {
    let input = tokens.input + tokens.cache_read + tokens.cache_write;
    json!({
        "input_tokens": input, "output_tokens": tokens.output,
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write,
        },
        "output_tokens_details": { "reasoning_tokens": 0 },
    })
}

pub(super) fn responses_document(turn: &Turn, id: &str, model: &str) -> Value {
    let output: Vec<Value> =
        turn.says.iter().enumerate().map(|(n, say)| item(say, id, n)).collect();
    let status = match turn.stop.as_deref() {
        Some("length") => "incomplete",
        _ => "completed",
    };
    let why = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    json!({
        "id": id, "object": "response", "model": model, "status": status, "output": output,
        "incomplete_details": why, "usage": turn.usage.map(responses_usage),
    })
}

pub(super) fn responses_events(turn: &Turn, id: &str, model: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |mut data: Value| {
        data["sequence_number"] = json!(events.len());
        let name = data["type"].as_str().unwrap_or("").to_owned();
        events.push(format!("event: {name}\ndata: {data}\n\n"));
    };
    let begun = json!({ "id": id, "model": model, "status": "in_progress", "output": [] });
    push(json!({ "type": "response.created", "response": begun }));
    push(json!({ "type": "response.in_progress", "response": begun }));
    for (n, say) in turn.says.iter().enumerate() {
        let whole = item(say, id, n);
        let mut empty = whole.clone();
        for key in ["content", "summary"] {
            if empty.get(key).is_some() {
                empty[key] = json!([]);
            }
        }
        if empty.get("arguments").is_some() {
            empty["arguments"] = json!("");
        }
        push(json!({ "type": "response.output_item.added", "output_index": n, "item": empty }));
        let more =
            |kind: &str, piece: &str| json!({ "type": kind, "output_index": n, "delta": piece });
        match say {
            Say::Text(text) => {
                words(text).for_each(|w| push(more("response.output_text.delta", w)))
            }
            Say::Thinking { text, .. } => {
                words(text).for_each(|w| push(more("response.reasoning_summary_text.delta", w)))
            }
            Say::Redacted(_) => {}
            Say::Call { arguments, .. } => parts(arguments, 7)
                .iter()
                .for_each(|j| push(more("response.function_call_arguments.delta", j))),
        }
        let last = n + 1 == turn.says.len();
        if turn.is_whole() || !last {
            push(json!({ "type": "response.output_item.done", "output_index": n, "item": whole }));
        }
    }
    if turn.is_whole() {
        let response = responses_document(turn, id, model);
        let kind = if response["status"] == "incomplete" { "incomplete" } else { "completed" };
        push(json!({ "type": format!("response.{kind}"), "response": response }));
    }
    events
}

fn gemini_usage(tokens: Tokens) -> Value {
    let prompt = tokens.input + tokens.cache_read + tokens.cache_write;
    json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": tokens.cache_read,
        "candidatesTokenCount": tokens.output, "totalTokenCount": prompt + tokens.output,
    })
}

fn gemini_parts(say: &Say, id: &str, n: usize, split: fn(&str) -> Vec<&str>) -> Vec<Value> {
    match say {
        Say::Text(text) => split(text).into_iter().map(|w| json!({ "text": w })).collect(),
        Say::Thinking { text, .. } => {
            split(text).into_iter().map(|w| json!({ "text": w, "thought": true })).collect()
        }
        Say::Redacted(data) => vec![json!({ "text": "", "thoughtSignature": data })],
        Say::Call { id: own, name, arguments } => {
            let args: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            vec![
                json!({ "functionCall": { "id": call_id(own, id, n), "name": name, "args": args } }),
            ]
        }
    }
}

pub(super) fn gemini_document(turn: &Turn, id: &str, model: &str) -> Value {
    let said: Vec<Value> = turn
        .says
        .iter()
        .enumerate()
        .flat_map(|(n, say)| gemini_parts(say, id, n, |text| vec![text]))
        .collect();
    let stop = turn.stop.clone().unwrap_or_else(|| "STOP".to_owned());
    let mut document = json!({
        "candidates": [{ "content": { "role": "model", "parts": said }, "finishReason": stop, "index": 0 }],
        "modelVersion": model, "responseId": id,
    });
    if let Some(tokens) = turn.usage {
        document["usageMetadata"] = gemini_usage(tokens);
    }
    document
}

pub(super) fn gemini_events(turn: &Turn, id: &str, model: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |said: Value, stop: Option<String>, usage: Option<Value>| {
        let mut data = json!({
            "candidates": [{ "content": { "role": "model", "parts": [said] }, "index": 0 }],
            "modelVersion": model, "responseId": id,
        });
        if let Some(stop) = stop {
            data["candidates"][0]["finishReason"] = json!(stop);
        }
        if let Some(usage) = usage {
            data["usageMetadata"] = usage;
        }
        events.push(format!("data: {data}\r\n\r\n"));
    };
    for (n, say) in turn.says.iter().enumerate() {
        let said = gemini_parts(say, id, n, |text| words(text).collect());
        said.into_iter().for_each(|part| push(part, None, None));
    }
    if turn.is_whole() {
        let stop = turn.stop.clone().unwrap_or_else(|| "STOP".to_owned());
        push(json!({ "text": "" }), Some(stop), turn.usage.map(gemini_usage));
    }
    events
}

fn ollama_line(model: &str, message: Value) -> Value {
    json!({ "model": model, "created_at": "2026-11-20T12:00:00Z", "message": message, "done": false })
}

fn ollama_call(name: &str, arguments: &str) -> Value {
    let args: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
    json!({ "function": { "name": name, "arguments": args } })
}

fn ollama_end(turn: &Turn, line: &mut Value) {
    line["done"] = json!(true);
    line["done_reason"] = json!(turn.stop.clone().unwrap_or_else(|| "stop".to_owned()));
    if let Some(tokens) = turn.usage {
        line["prompt_eval_count"] = json!(tokens.input + tokens.cache_read + tokens.cache_write);
        line["eval_count"] = json!(tokens.output);
    }
}

pub(super) fn ollama_document(turn: &Turn, model: &str) -> Value {
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    for say in &turn.says {
        match say {
            Say::Text(more) => text.push_str(more),
            Say::Thinking { text: more, .. } => thought.push_str(more),
            Say::Redacted(_) => {}
            Say::Call { name, arguments, .. } => calls.push(ollama_call(name, arguments)),
        }
    }
    let message =
        json!({ "role": "assistant", "content": text, "thinking": thought, "tool_calls": calls });
    let mut line = ollama_line(model, message);
    ollama_end(turn, &mut line);
    line
}

pub(super) fn ollama_events(turn: &Turn, model: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |message: Value| events.push(format!("{}\n", ollama_line(model, message)));
    for say in &turn.says {
        let said = |key: &str, piece: &str| {
            let mut message = json!({ "role": "assistant", "content": "" });
            message[key] = json!(piece);
            message
        };
        match say {
            Say::Text(text) => words(text).for_each(|w| push(said("content", w))),
            Say::Thinking { text, .. } => words(text).for_each(|w| push(said("thinking", w))),
            Say::Redacted(_) => {}
            Say::Call { name, arguments, .. } => push(json!({
                "role": "assistant", "content": "", "tool_calls": [ollama_call(name, arguments)],
            })),
        }
    }
    if turn.is_whole() {
        let mut line = ollama_line(model, json!({ "role": "assistant", "content": "" }));
        ollama_end(turn, &mut line);
        events.push(format!("{line}\n"));
    }
    events
}
