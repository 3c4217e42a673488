//! Decodes the event stream of `POST /responses`, event by event. A pure state machine: pieces are shown as they
//! arrive, but the answer consists of what `output_item.done` and the final event contain.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::NAME;
use crate::error::ProviderError;
use crate::model::{Delta, Part, Received, Reply, StopReason, Usage};
use crate::numbers;
use crate::openai;
use crate::wire::{Decode, Framing};

/// Maximum event size, in bytes. The final event repeats the whole answer, including encrypted thinking.
const MOST: usize = 16 * 1024 * 1024;

/// A partial answer.
#[derive(Default)]
pub(super) struct Decoder {
    items: BTreeMap<usize, Item>,
    calls: usize,
    usage: Option<Usage>,
    /// Whether it was served with priority.
    sooner: Option<bool>,
    response_id: Option<String>,
    model: Option<String>,
    started: bool,
    stop: Option<StopReason>,
    ended: bool,
    received: Received,
}

/// An item of the answer.
#[derive(Default)]
struct Item {
    /// Index among the calls, if it is a call.
    call: Option<usize>,
    /// Whether any of it was shown.
    shown: bool,
    /// Whether a piece of its thinking was shown.
    thought: bool,
    /// The provider's final version, once complete.
    done: Option<Value>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    output_index: Option<usize>,
    summary_index: Option<u64>,
    delta: Option<Value>,
    arguments: Option<String>,
    item: Option<Value>,
    response: Option<Value>,
    error: Option<Value>,
    code: Option<Value>,
    message: Option<String>,
}

impl Decode for Decoder {
    fn framing(&self) -> Framing {
        Framing::Events(MOST)
    }

    fn event(&mut self, name: &str, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.is_empty() || data == "[DONE]" || self.ended {
            return Ok(());
        }
        let mut event: Event = serde_json::from_str(data)
            .map_err(|e| ProviderError::unreadable("an event of the stream", &e))?;
        if event.kind.is_empty() {
            name.clone_into(&mut event.kind);
        }
        let first = out.len();
        let taken = self.take(event, out);
        for delta in &out[first..] {
            self.received.push(delta);
        }
        taken
    }

    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let response: Value =
            serde_json::from_str(body).map_err(|e| ProviderError::unreadable("the answer", &e))?;
        if response.get("output").and_then(Value::as_array).is_none() {
            return Err(ProviderError::garbage("the answer isn't a response; check the base URL"));
        }
        let first = out.len();
        let taken = self.end(&response, out);
        for delta in &out[first..] {
            self.received.push(delta);
        }
        taken
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn complete(&self) -> bool {
        self.ended
    }

    fn received(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    fn reply(&mut self, requested: &str) -> Result<Reply, ProviderError> {
        let mut parts = Vec::new();
        for item in std::mem::take(&mut self.items).into_values() {
            if let Some(done) = item.done {
                say(&done, requested, &mut parts)?;
            }
        }
        let stop = StopReason::of(self.stop, &parts);
        Ok(Reply {
            parts,
            usage: self.usage,
            stop,
            response_id: self.response_id.take(),
            model: self.model.take().unwrap_or_else(|| requested.to_owned()),
            sooner: self.sooner,
        })
    }
}

impl Decoder {
    fn take(&mut self, event: Event, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let at = event.output_index.unwrap_or(0);
        let delta = event.delta.as_ref().and_then(Value::as_str).unwrap_or("");
        match event.kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(event.response.as_ref(), out);
            }
            "response.output_item.added" => self.added(at, event.item.as_ref(), out),
            "response.output_text.delta" => self.text(at, delta, out),
            "response.refusal.delta" => {
                self.stop = Some(StopReason::Refusal);
                self.text(at, delta, out);
            }
            "response.function_call_arguments.delta" => self.arguments(at, delta, out),
            "response.function_call_arguments.done" => {
                let whole = event.arguments.unwrap_or_default();
                self.arguments_at_once(at, &whole, out);
            }
            "response.reasoning_summary_part.added" => {
                let item = self.items.entry(at).or_default();
                if item.thought && event.summary_index.is_some_and(|n| 0 < n) {
                    out.push(Delta::Thinking("\n\n".to_owned()));
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thinking(at, delta, out);
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.done(at, item, out)?;
                }
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                let response = event.response.unwrap_or_default();
                return self.end(&response, out);
            }
            "response.failed" | "response.cancelled" => {
                let error = event.response.as_ref().and_then(|r| r.get("error"));
                return Err(failure(error.or(event.error.as_ref())));
            }
            "error" => {
                let reported = json!({ "code": event.code, "message": event.message });
                return Err(failure(event.error.as_ref().or(Some(&reported))));
            }
            // Confirmations and future kinds.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, response: Option<&Value>, out: &mut Vec<Delta>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let text = |key: &str| Some(response?.get(key)?.as_str()?.to_owned());
        (self.response_id, self.model) = (text("id"), text("model"));
        out.push(Delta::Start { response_id: self.response_id.clone(), model: self.model.clone() });
    }

    fn added(&mut self, at: usize, item: Option<&Value>, out: &mut Vec<Delta>) {
        self.start(None, out);
        let Some(item) = item.filter(|item| kind(item) == "function_call") else { return };
        self.begin_call(at, item, out);
    }

    fn begin_call(&mut self, at: usize, item: &Value, out: &mut Vec<Delta>) -> usize {
        let slot = self.items.entry(at).or_default();
        if let Some(index) = slot.call {
            return index;
        }
        let index = self.calls;
        (slot.call, self.calls) = (Some(index), index + 1);
        out.push(Delta::ToolCallStart {
            index,
            id: call_id(item, at),
            name: text_of(item, "name").to_owned(),
        });
        index
    }

    fn text(&mut self, at: usize, more: &str, out: &mut Vec<Delta>) {
        if !more.is_empty() {
            self.items.entry(at).or_default().shown = true;
            out.push(Delta::Text(more.to_owned()));
        }
    }

    fn thinking(&mut self, at: usize, more: &str, out: &mut Vec<Delta>) {
        if !more.is_empty() {
            let item = self.items.entry(at).or_default();
            (item.shown, item.thought) = (true, true);
            out.push(Delta::Thinking(more.to_owned()));
        }
    }

    fn arguments(&mut self, at: usize, more: &str, out: &mut Vec<Delta>) {
        let Some(item) = self.items.get_mut(&at) else { return };
        if let Some(index) = item.call.filter(|_| !more.is_empty()) {
            item.shown = true;
            out.push(Delta::ToolCallArgs { index, json: more.to_owned() });
        }
    }

    /// For servers that send a call's arguments in one piece.
    fn arguments_at_once(&mut self, at: usize, whole: &str, out: &mut Vec<Delta>) {
        if self.items.get(&at).is_some_and(|item| !item.shown) {
            self.arguments(at, whole, out);
        }
    }

    /// Completes an item and shows what was not shown in pieces.
    fn done(&mut self, at: usize, item: Value, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        self.start(None, out);
        match kind(&item) {
            "function_call" => {
                if text_of(&item, "name").is_empty() {
                    return Err(ProviderError::garbage("the model called a tool without a name"));
                }
                self.begin_call(at, &item, out);
                self.arguments_at_once(at, text_of(&item, "arguments"), out);
            }
            "message" => {
                for (text, refused) in words(&item) {
                    if refused {
                        self.stop = Some(StopReason::Refusal);
                    }
                    if self.items.get(&at).is_none_or(|known| !known.shown) {
                        out.push(Delta::Text(text.to_owned()));
                    }
                }
            }
            "reasoning" if self.items.get(&at).is_none_or(|known| !known.shown) => {
                let thought = thought(&item);
                self.thinking(at, &thought, out);
            }
            _ => {}
        }
        self.items.entry(at).or_default().done = Some(item);
        Ok(())
    }

    /// Handles the final event, including items that were missing in the stream.
    fn end(&mut self, response: &Value, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        self.start(Some(response), out);
        let status = text_of(response, "status");
        if matches!(status, "failed" | "cancelled") {
            return Err(failure(response.get("error")));
        }
        let output = response.get("output").and_then(Value::as_array);
        for (at, item) in output.into_iter().flatten().enumerate() {
            if self.items.get(&at).is_none_or(|known| known.done.is_none()) {
                self.done(at, item.clone(), out)?;
            }
        }
        if let Some(model) = response.get("model").and_then(Value::as_str) {
            self.model = Some(model.to_owned());
        }
        self.sooner = openai::sooner(response.get("service_tier"));
        self.count(response.get("usage"), out);
        if status == "incomplete" {
            let why = response.get("incomplete_details").and_then(|d| d.get("reason"));
            self.stop = Some(match why.and_then(Value::as_str) {
                Some("content_filter") => StopReason::Refusal,
                _ => StopReason::MaxTokens,
            });
        }
        self.ended = true;
        Ok(())
    }

    fn count(&mut self, counts: Option<&Value>, out: &mut Vec<Delta>) {
        let Some(counts) = counts.filter(|counts| counts.is_object()) else { return };
        let number = |path: &[&str]| numbers::count(counts, path).unwrap_or(0);
        let cache_read = number(&["input_tokens_details", "cached_tokens"]);
        let cache_write = number(&["input_tokens_details", "cache_write_tokens"]);
        let input = number(&["input_tokens"]);
        let usage = Usage {
            input: input.saturating_sub(cache_read).saturating_sub(cache_write),
            cache_read,
            cache_write,
            cache_write_1h: 0,
            output: number(&["output_tokens"]),
            reasoning: number(&["output_tokens_details", "reasoning_tokens"]),
        };
        usage.tell(&mut self.usage, out);
    }
}

fn kind(item: &Value) -> &str {
    text_of(item, "type")
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The call id, or a generated one if the server sends none.
fn call_id(item: &Value, at: usize) -> String {
    let given = [text_of(item, "call_id"), text_of(item, "id")];
    let given = given.into_iter().find(|id| !id.is_empty());
    given.map_or_else(|| format!("call_{at}"), str::to_owned)
}

/// The texts of a message, and whether each is a refusal.
fn words(item: &Value) -> impl Iterator<Item = (&str, bool)> {
    let content = item.get("content").and_then(Value::as_array);
    content.into_iter().flatten().filter_map(|piece| match kind(piece) {
        "output_text" | "text" => Some((text_of(piece, "text"), false)),
        "refusal" => Some((text_of(piece, "refusal"), true)),
        _ => None,
    })
}

/// The readable part of a thinking item: its summary, else its text.
fn thought(item: &Value) -> String {
    let texts = |key: &str| -> Vec<&str> {
        let list = item.get(key).and_then(Value::as_array).into_iter().flatten();
        list.map(|piece| text_of(piece, "text")).filter(|text| !text.is_empty()).collect()
    };
    let summary = texts("summary");
    if summary.is_empty() { texts("content").concat() } else { summary.join("\n\n") }
}

/// Adds an item to the answer.
fn say(item: &Value, requested: &str, parts: &mut Vec<Part>) -> Result<(), ProviderError> {
    let own = |data: Value| Part::Opaque {
        provider: NAME.to_owned(),
        model: requested.to_owned(),
        data: data.to_string(),
    };
    match kind(item) {
        "message" => {
            let text: String = words(item).map(|(text, _)| text).collect();
            if text.is_empty() {
                return Ok(());
            }
            parts.push(Part::Text { text });
            if let Some(phase) = item.get("phase").filter(|phase| phase.is_string()) {
                parts.push(own(json!({ "phase": phase })));
            }
        }
        // Truncated by the output limit; its meaning is unknown.
        "function_call" if text_of(item, "status") == "incomplete" => {}
        "function_call" => {
            let name = text_of(item, "name");
            if name.is_empty() {
                return Err(ProviderError::garbage("the model called a tool without a name"));
            }
            let arguments = Some(text_of(item, "arguments")).filter(|text| !text.trim().is_empty());
            let calls = parts.iter().filter(|part| matches!(part, Part::ToolCall { .. })).count();
            parts.push(Part::call(call_id(item, calls), name, arguments.unwrap_or("{}")));
        }
        "reasoning" => {
            let text = thought(item);
            if !text.is_empty() {
                parts.push(Part::Thinking { text, signature: None });
            }
            // Without its encrypted content, the provider would look it up in a store that is not used.
            if item.get("encrypted_content").is_some_and(Value::is_string) {
                let summary = item.get("summary").cloned().unwrap_or_else(|| json!([]));
                parts.push(own(json!({
                    "type": "reasoning", "id": item.get("id"), "summary": summary,
                    "encrypted_content": item["encrypted_content"],
                })));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Converts the error object of an event.
fn failure(error: Option<&Value>) -> ProviderError {
    let Some(error) = error.filter(|error| !error.is_null()) else {
        return ProviderError::in_stream("", "the provider stopped without a reason");
    };
    let code = match text_of(error, "code") {
        "" => text_of(error, "type"),
        code => code,
    };
    ProviderError::in_stream(code, error.as_str().unwrap_or_else(|| text_of(error, "message")))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
