//! Messages and Chat Completions formats of the scripted model: stream events and documents.

use serde_json::{Value, json};

use super::{End, Protocol, Say, Turn};

/// Token usage of a turn.
#[derive(Clone, Copy)]
pub struct Tokens {
    /// Uncached input.
    pub input: u64,
    /// Cache reads.
    pub cache_read: u64,
    /// Cache writes.
    pub cache_write: u64,
    pub output: u64,
}

/// An error in each protocol's format.
pub(super) fn error(protocol: Protocol, code: &str, message: &str) -> Value {
    match protocol {
        Protocol::Messages => {
            json!({ "type": "error", "error": { "type": code, "message": message } })
        }
        Protocol::Chat | Protocol::Responses => {
            json!({ "error": { "message": message, "type": code, "param": null, "code": code } })
        }
        Protocol::Gemini => json!({ "error": { "message": message, "status": code } }),
        Protocol::Ollama => json!({ "error": message }),
    }
}

pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// Splits a text into chunks of `size` characters.
pub(super) fn parts(text: &str, size: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(size).map(|c| c.iter().collect()).collect()
}

pub(super) fn call_id(id: &Option<String>, answer: &str, n: usize) -> String {
    id.clone().unwrap_or_else(|| format!("{answer}-call-{n}"))
}

fn messages_usage(tokens: Option<Tokens>, output: u64) -> Value {
    match tokens {
        None => json!({}),
        Some(t) => json!({
            "input_tokens": t.input, "cache_read_input_tokens": t.cache_read,
            "cache_creation_input_tokens": t.cache_write, "output_tokens": output,
        }),
    }
}

fn messages_stop(turn: &Turn) -> String {
    turn.stop
        .clone()
        .unwrap_or_else(|| if turn.calls() { "tool_use" } else { "end_turn" }.to_owned())
}

pub(super) fn messages_events(turn: &Turn, id: &str, model: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |data: Value| {
        let name = data["type"].as_str().unwrap_or("").to_owned();
        events.push(format!("event: {name}\ndata: {data}\n\n"));
    };
    push(json!({ "type": "message_start", "message": {
        "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "usage": messages_usage(turn.usage, 1),
    }}));
    push(json!({ "type": "ping" }));
    for (index, say) in turn.says.iter().enumerate() {
        let delta =
            |delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        let start = |block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
        match say {
            Say::Text(text) => {
                push(start(json!({ "type": "text", "text": "" })));
                words(text).for_each(|w| push(delta(json!({ "type": "text_delta", "text": w }))));
            }
            Say::Thinking { text, signature } => {
                push(start(json!({ "type": "thinking", "thinking": "", "signature": "" })));
                words(text)
                    .for_each(|w| push(delta(json!({ "type": "thinking_delta", "thinking": w }))));
                let half = parts(signature, signature.len().div_ceil(2).max(1));
                half.iter().for_each(|s| {
                    push(delta(json!({ "type": "signature_delta", "signature": s })))
                });
            }
            Say::Redacted(data) => {
                push(start(json!({ "type": "redacted_thinking", "data": data })))
            }
            Say::Call { id: own, name, arguments } => {
                let id = call_id(own, id, index);
                push(start(json!({ "type": "tool_use", "id": id, "name": name, "input": {} })));
                let json = parts(arguments, 7);
                json.iter().for_each(|j| {
                    push(delta(json!({ "type": "input_json_delta", "partial_json": j })))
                });
            }
        }
        push(json!({ "type": "content_block_stop", "index": index }));
    }
    if turn.is_whole() {
        push(json!({
            "type": "message_delta",
            "delta": { "stop_reason": messages_stop(turn), "stop_sequence": null },
            "usage": turn.usage.map_or(json!({}), |t| json!({ "output_tokens": t.output })),
        }));
        push(json!({ "type": "message_stop" }));
    }
    events
}

pub(super) fn messages_document(turn: &Turn, id: &str, model: &str) -> Value {
    let block = |(n, say): (usize, &Say)| match say {
        Say::Text(text) => json!({ "type": "text", "text": text }),
        Say::Thinking { text, signature } => {
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        Say::Redacted(data) => json!({ "type": "redacted_thinking", "data": data }),
        Say::Call { id: own, name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({ "type": "tool_use", "id": call_id(own, id, n), "name": name, "input": input })
        }
    };
    let content: Vec<Value> = turn.says.iter().enumerate().map(block).collect();
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": messages_stop(turn), "stop_sequence": null,
        "usage": messages_usage(turn.usage, turn.usage.map_or(0, |t| t.output)),
    })
}

fn chat_usage(tokens: Tokens) -> Value {
    let prompt = tokens.input + tokens.cache_read + tokens.cache_write;
    json!({
        "prompt_tokens": prompt, "completion_tokens": tokens.output, "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": { "cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write },
    })
}

fn chat_stop(turn: &Turn) -> String {
    turn.stop.clone().unwrap_or_else(|| if turn.calls() { "tool_calls" } else { "stop" }.to_owned())
}

pub(super) fn chat_events(turn: &Turn, id: &str, model: &str, counts: bool) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |delta: Value, stop: Option<String>| {
        let data = json!({
            "id": id, "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": stop }],
        });
        events.push(format!("data: {data}\n\n"));
    };
    push(json!({ "role": "assistant", "content": "" }), None);
    let mut calls = 0;
    for say in &turn.says {
        match say {
            Say::Text(text) => words(text).for_each(|w| push(json!({ "content": w }), None)),
            Say::Thinking { text, .. } => {
                words(text).for_each(|w| push(json!({ "reasoning_content": w }), None))
            }
            Say::Redacted(_) => {}
            Say::Call { id: own, name, arguments } => {
                let first = json!({
                    "index": calls, "id": call_id(own, id, calls), "type": "function",
                    "function": { "name": name, "arguments": "" },
                });
                push(json!({ "tool_calls": [first] }), None);
                for json in parts(arguments, 7) {
                    let more = json!({ "index": calls, "function": { "arguments": json } });
                    push(json!({ "tool_calls": [more] }), None);
                }
                calls += 1;
            }
        }
    }
    if turn.is_whole() {
        push(json!({}), Some(chat_stop(turn)));
        if let (Some(tokens), true) = (turn.usage, counts) {
            let data = json!({
                "id": id, "object": "chat.completion.chunk", "created": 0, "model": model, "choices": [],
                "usage": chat_usage(tokens),
            });
            events.push(format!("data: {data}\n\n"));
        }
        if matches!(turn.end, End::Whole) {
            events.push("data: [DONE]\n\n".to_owned());
        }
    }
    events
}

pub(super) fn chat_document(turn: &Turn, id: &str, model: &str) -> Value {
    let mut message = json!({ "role": "assistant", "content": null });
    let mut calls = Vec::new();
    for say in &turn.says {
        match say {
            Say::Text(text) => {
                let before = message["content"].as_str().unwrap_or("").to_owned();
                message["content"] = json!(before + text);
            }
            Say::Thinking { text, .. } => message["reasoning_content"] = json!(text),
            Say::Redacted(_) => {}
            Say::Call { id: own, name, arguments } => calls.push(json!({
                "id": call_id(own, id, calls.len()), "type": "function",
                "function": { "name": name, "arguments": arguments },
            })),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let mut document = json!({
        "id": id, "object": "chat.completion", "created": 0, "model": model,
        "choices": [{ "index": 0, "message": message, "finish_reason": chat_stop(turn) }],
    });
    if let Some(tokens) = turn.usage {
        document["usage"] = chat_usage(tokens);
    }
    document
}
