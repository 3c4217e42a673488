//! Decodes the lines of `POST /api/chat`, one at a time. A pure state machine: calls may come in any line and are all
//! kept, errors may come in any line, and the line with `done` is the last.

use serde::Deserialize;
use serde_json::Value;

use super::ID;
use crate::error::ProviderError;
use crate::model::{Delta, Part, Received, Reply, StopReason, Usage};
use crate::numbers;
use crate::think_tags::{Piece, Splitter};
use crate::wire::{Decode, Framing};

/// Maximum line size, in bytes. A call with a whole file in its arguments is one line.
const MOST: usize = 16 * 1024 * 1024;

/// A partial answer.
pub(super) struct Decoder {
    parts: Vec<Part>,
    calls: usize,
    /// Number of the next call.
    next_id: u32,
    tags: Splitter,
    usage: Option<Usage>,
    model: Option<String>,
    started: bool,
    stop: Option<StopReason>,
    received: Received,
}

#[derive(Deserialize)]
struct Line {
    model: Option<String>,
    message: Option<Said>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<Value>,
    eval_count: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    name: String,
    arguments: Option<Value>,
}

impl Decoder {
    /// A decoder that numbers calls from `next_id`.
    pub(super) fn new(next_id: u32) -> Self {
        Self {
            parts: Vec::new(),
            calls: 0,
            next_id,
            tags: Splitter::default(),
            usage: None,
            model: None,
            started: false,
            stop: None,
            received: Received::default(),
        }
    }

    fn line(&mut self, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let line: Line = serde_json::from_str(data)
            .map_err(|e| ProviderError::unreadable("a line of the answer", &e))?;
        if let Some(error) = line.error.filter(|error| !error.is_null()) {
            let message = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            return Err(ProviderError::in_stream("", &message));
        }
        if line.message.is_none() && !line.done {
            return Err(ProviderError::garbage("the server doesn't answer like Ollama"));
        }
        if !std::mem::replace(&mut self.started, true) {
            self.model.clone_from(&line.model);
            out.push(Delta::Start { response_id: None, model: line.model });
        }
        if let Some(message) = line.message {
            if let Some(more) = message.thinking {
                self.say(&more, true, out);
            }
            let pieces = self.tags.push(&message.content.unwrap_or_default());
            self.pieces(pieces, out);
            for call in message.tool_calls.unwrap_or_default() {
                self.call(call.function, out)?;
            }
        }
        if line.done {
            let pieces = self.tags.finish();
            self.pieces(pieces, out);
            self.count(line.prompt_eval_count, line.eval_count, out);
            self.stop = Some(match line.done_reason.as_deref() {
                Some("length") => StopReason::MaxTokens,
                _ => StopReason::End,
            });
        }
        Ok(())
    }

    fn pieces(&mut self, pieces: Vec<Piece>, out: &mut Vec<Delta>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.say(&text, false, out),
                Piece::Thinking(text) => self.say(&text, true, out),
            }
        }
    }

    fn say(&mut self, more: &str, thought: bool, out: &mut Vec<Delta>) {
        if more.is_empty() {
            return;
        }
        match (thought, self.parts.last_mut()) {
            (true, Some(Part::Thinking { text, .. })) | (false, Some(Part::Text { text })) => {
                text.push_str(more);
            }
            (true, _) => {
                self.parts.push(Part::Thinking { text: more.to_owned(), signature: None });
            }
            (false, _) => self.parts.push(Part::text(more)),
        }
        let more = more.to_owned();
        out.push(if thought { Delta::Thinking(more) } else { Delta::Text(more) });
    }

    fn call(&mut self, function: Function, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        if function.name.is_empty() {
            return Err(ProviderError::garbage("the model called a tool without a name"));
        }
        let id = format!("{ID}{}", self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let arguments = match function.arguments {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
        };
        let index = self.calls;
        self.calls += 1;
        out.push(Delta::ToolCallStart { index, id: id.clone(), name: function.name.clone() });
        out.push(Delta::ToolCallArgs { index, json: arguments.clone() });
        self.parts.push(Part::call(id, function.name, arguments));
        Ok(())
    }

    fn count(&mut self, input: Option<Value>, output: Option<Value>, out: &mut Vec<Delta>) {
        let number = |value: Option<Value>| value.and_then(|value| numbers::count(&value, &[]));
        let (input, output) = (number(input).unwrap_or(0), number(output).unwrap_or(0));
        let usage = Usage { input, output, ..Usage::default() };
        usage.tell(&mut self.usage, out);
    }
}

impl Decode for Decoder {
    fn framing(&self) -> Framing {
        Framing::Lines(MOST)
    }

    fn event(
        &mut self,
        _name: &str,
        data: &str,
        out: &mut Vec<Delta>,
    ) -> Result<(), ProviderError> {
        if self.complete() {
            return Ok(());
        }
        let first = out.len();
        let taken = self.line(data, out);
        for delta in &out[first..] {
            self.received.push(delta);
        }
        taken
    }

    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        self.event("", body, out)
    }

    fn ended(&self) -> bool {
        self.complete()
    }

    fn complete(&self) -> bool {
        self.stop.is_some()
    }

    fn received(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    fn reply(&mut self, requested: &str) -> Result<Reply, ProviderError> {
        let parts = std::mem::take(&mut self.parts);
        let stop = StopReason::of(self.stop, &parts);
        Ok(Reply {
            parts,
            usage: self.usage,
            stop,
            response_id: None,
            model: self.model.take().unwrap_or_else(|| requested.to_owned()),
            sooner: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorClass;

    fn run(lines: &[&str]) -> Result<(Reply, Vec<Delta>), ProviderError> {
        let mut decoder = Decoder::new(3);
        let mut out = Vec::new();
        for data in lines {
            decoder.event("", data, &mut out)?;
        }
        assert!(decoder.complete());
        Ok((decoder.reply("asked")?, out))
    }

    #[test]
    fn calls_of_every_line_are_kept() {
        let (reply, deltas) = run(&[
            r#"{"model":"qwen3:8b","message":{"role":"assistant","content":"","thinking":"Let me "},"done":false}"#,
            r#"{"model":"qwen3:8b","message":{"role":"assistant","content":"","thinking":"see"},"done":false}"#,
            r#"{"message":{"role":"assistant","content":"I look."},"done":false}"#,
            r#"{"message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"read","arguments":{"p":"ü"}}}]},"done":false}"#,
            r#"{"message":{"role":"assistant","content":"","tool_calls":[{"function":{"index":1,"name":"now","arguments":{}}}]},"done":false}"#,
            r#"{"message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":1,"prompt_eval_count":120,"eval_count":40}"#,
        ])
        .expect("an answer");
        assert_eq!(
            reply.parts,
            [
                Part::Thinking { text: "Let me see".into(), signature: None },
                Part::text("I look."),
                Part::call("o3", "read", "{\"p\":\"ü\"}"),
                Part::call("o4", "now", "{}"),
            ]
        );
        assert_eq!((reply.stop, reply.model.as_str()), (StopReason::ToolUse, "qwen3:8b"));
        assert_eq!(reply.usage, Some(Usage { input: 120, output: 40, ..Usage::default() }));
        assert_eq!(deltas.iter().filter(|d| matches!(d, Delta::ToolCallStart { .. })).count(), 2);
    }

    #[test]
    fn thinking_in_tags_and_the_limit_are_seen() {
        let (reply, _) = run(&[
            r#"{"message":{"content":"<think>a</th"},"done":false}"#,
            r#"{"message":{"content":"ink>b"},"done":false}"#,
            r#"{"message":{"content":""},"done":true,"done_reason":"length"}"#,
        ])
        .expect("an answer");
        assert_eq!(reply.parts[0], Part::Thinking { text: "a".into(), signature: None });
        assert_eq!((reply.text().as_str(), reply.stop), ("b", StopReason::MaxTokens));
    }

    #[test]
    fn an_error_in_the_middle_has_its_class() {
        for (line, class) in [
            (
                r#"{"error":"an error was encountered while running the model: CUDA error"}"#,
                ErrorClass::Server,
            ),
            (
                r#"{"error":"input length exceeds maximum context length"}"#,
                ErrorClass::ContextTooLong,
            ),
            (r#"{"hello":1}"#, ErrorClass::Garbage),
            ("not json", ErrorClass::Garbage),
            (r#"{"message":{"tool_calls":[{"function":{}}]},"done":false}"#, ErrorClass::Garbage),
        ] {
            let begun = r#"{"message":{"content":"Half"},"done":false}"#;
            assert_eq!(run(&[begun, line]).expect_err("an error").class, class, "{line}");
        }
    }
}
