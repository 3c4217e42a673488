//! Response formats, whole and streamed.

use serde_json::{Value, json};

use kernel::text::cut;

use super::activity::ToolSeen;
use super::error::ChatError;
use super::turn::{Answer, ClientCall, Spent};

/// The common part of a response.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The run and the response's position in it, without the prefix `chatcmpl_` or `resp_`.
    pub id: String,
    /// Start of the response, in Unix seconds.
    pub created: i64,
    /// The model name as requested.
    pub model: String,
}

/// Formats a response for a client. Methods that return text return server-sent events.
pub(super) trait Form: Send {
    /// The whole response.
    fn whole(&self, answer: &Answer) -> Value;
    /// Before the first text.
    fn begin(&mut self) -> String;
    /// Further text.
    fn more(&mut self, text: &str) -> String;
    /// After the last text.
    fn end(&mut self, answer: &Answer) -> String;
    /// One of the agent's own tools was called or has returned.
    fn tool(&mut self, _seen: &ToolSeen) -> String {
        String::new()
    }
    /// The response failed.
    fn failed(&mut self, error: &ChatError) -> String;
}

/// Size of an arguments chunk, in bytes.
const PIECE: usize = 256;

/// Splits call arguments into chunks.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let piece = cut(text, PIECE);
        text = &text[piece.len()..];
        (!piece.is_empty()).then_some(piece)
    })
}

/// A server-sent event without a name.
pub(super) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Chat Completions.
pub(super) struct Chat {
    head: Head,
    /// Whether a stream ends with a usage chunk.
    usage: bool,
}

impl Chat {
    pub fn new(head: Head, usage: bool) -> Self {
        Self { head, usage }
    }

    fn chunk(&self, choices: &Value) -> Value {
        let Head { id, created, model } = &self.head;
        json!({
            "id": format!("chatcmpl_{id}"), "object": "chat.completion.chunk", "created": created,
            "model": model, "choices": choices,
        })
    }

    fn delta(&self, delta: &Value, finish: Option<&str>) -> String {
        data(&self.chunk(&json!([{ "index": 0, "delta": delta, "finish_reason": finish }])))
    }

    /// A tool call: its header, then its arguments in chunks.
    fn call(&self, index: usize, call: &ClientCall) -> String {
        let ClientCall { id, name, arguments } = call;
        let one = |call: &Value| self.delta(&json!({ "tool_calls": [call] }), None);
        let mut out = one(&json!({
            "index": index, "id": id, "type": "function",
            "function": { "name": name, "arguments": "" },
        }));
        for piece in pieces(arguments) {
            out.push_str(&one(&json!({ "index": index, "function": { "arguments": piece } })));
        }
        out
    }

    fn usage(spent: Spent) -> Value {
        let Spent { input, cached, output, reasoning } = spent;
        json!({
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
            "prompt_tokens_details": { "cached_tokens": cached },
            "completion_tokens_details": { "reasoning_tokens": reasoning },
        })
    }
}

impl Form for Chat {
    fn whole(&self, answer: &Answer) -> Value {
        let Head { id, created, model } = &self.head;
        let mut message = json!({ "role": "assistant", "content": answer.text, "refusal": null });
        if !answer.calls.is_empty() {
            let call = |ClientCall { id, name, arguments }: &ClientCall| {
                let function = json!({ "name": name, "arguments": arguments });
                json!({ "id": id, "type": "function", "function": function })
            };
            message["tool_calls"] = answer.calls.iter().map(call).collect();
            if answer.text.is_empty() {
                message["content"] = Value::Null;
            }
        }
        json!({
            "id": format!("chatcmpl_{id}"),
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": answer.finish,
            }],
            "usage": Self::usage(answer.spent),
        })
    }

    fn begin(&mut self) -> String {
        self.delta(&json!({ "role": "assistant", "content": "" }), None)
    }

    fn more(&mut self, text: &str) -> String {
        self.delta(&json!({ "content": text }), None)
    }

    fn end(&mut self, answer: &Answer) -> String {
        let calls = answer.calls.iter().enumerate();
        let mut out: String = calls.map(|(index, call)| self.call(index, call)).collect();
        out.push_str(&self.delta(&json!({}), Some(answer.finish)));
        if self.usage {
            let mut last = self.chunk(&json!([]));
            last["usage"] = Self::usage(answer.spent);
            out.push_str(&data(&last));
        }
        out
    }

    fn tool(&mut self, seen: &ToolSeen) -> String {
        let ToolSeen { call, name, status } = seen;
        let mut chunks = self.chunk(&json!([]));
        chunks["object"] = "hq.tool".into();
        chunks["tool"] = json!({ "call_id": call, "name": name, "status": status });
        data(&chunks)
    }

    fn failed(&mut self, error: &ChatError) -> String {
        data(&error.body())
    }
}
