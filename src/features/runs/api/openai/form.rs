//! The form of an answer: what is said whole, and what is said piece by piece.

use serde_json::{Value, json};

use super::error::ChatError;
use super::turn::{Answer, Spent};

/// What every part of an answer says.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The run, after `chatcmpl_` or `resp_`.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub created: i64,
    /// The model as it was asked for.
    pub model: String,
}

/// How an answer is put into words for a client. What is given as text are server-sent events.
pub(super) trait Form: Send {
    /// The whole answer.
    fn whole(&self, answer: &Answer) -> Value;
    /// Before the first word.
    fn begin(&mut self) -> String;
    /// More words.
    fn more(&mut self, text: &str) -> String;
    /// After the last word.
    fn end(&mut self, answer: &Answer) -> String;
    /// There is no answer.
    fn failed(&mut self, error: &ChatError) -> String;
}

/// One server-sent event without a name.
pub(super) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Chat Completions.
pub(super) struct Chat {
    head: Head,
    /// Whether a stream ends with its usage.
    usage: bool,
}

impl Chat {
    /// Answers in this form.
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
        json!({
            "id": format!("chatcmpl_{id}"),
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": answer.text, "refusal": null },
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
        let mut out = self.delta(&json!({}), Some(answer.finish));
        if self.usage {
            let mut last = self.chunk(&json!([]));
            last["usage"] = Self::usage(answer.spent);
            out.push_str(&data(&last));
        }
        out
    }

    fn failed(&mut self, error: &ChatError) -> String {
        data(&error.body())
    }
}
