//! Decodes the chunks of `POST /chat/completions`, one at a time. A pure state machine that accepts what compatible
//! servers actually send: calls without index or id, repeated names, usage in any chunk, whole messages, errors in
//! between, a last chunk without `[DONE]`.

use serde::Deserialize;

use crate::error::ProviderError;
use crate::model::{Delta, Part, Received, Reply, StopReason, Usage};
use crate::numbers;
use crate::openai;
use crate::think_tags::{Piece, Splitter};
use crate::wire::Decode;

/// A partial answer.
pub(super) struct Decoder {
    parts: Vec<Part>,
    /// Per call: its index in the protocol and its position in `parts`.
    calls: Vec<Call>,
    tags: Option<Splitter>,
    usage: Option<Usage>,
    /// Whether tokens were counted at or after the end of the answer. Some servers count continuously.
    counted_last: bool,
    /// Whether it was served with priority.
    sooner: Option<bool>,
    response_id: Option<String>,
    model: Option<String>,
    started: bool,
    stop: Option<StopReason>,
    /// Whether the text is a refusal, whatever the finish reason.
    refused: bool,
    done: bool,
    received: Received,
}

struct Call {
    index: Option<u64>,
    id: Option<String>,
    part: usize,
}

#[derive(Default, Deserialize)]
struct Chunk {
    id: Option<String>,
    model: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    choices: Vec<Choice>,
    usage: Option<serde_json::Value>,
    service_tier: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
    /// Some servers put the error status next to its message.
    message: Option<String>,
    object: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(alias = "message", default, deserialize_with = "or_default")]
    delta: Said,
    finish_reason: Option<String>,
    error: Option<serde_json::Value>,
    usage: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct Said {
    content: Option<Content>,
    #[serde(alias = "reasoning_text")]
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    tool_calls: Vec<WireCall>,
    function_call: Option<Function>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    #[serde(default, deserialize_with = "or_default")]
    text: String,
    /// Mistral sends thinking as separate parts.
    thinking: Option<Content>,
}

impl Content {
    fn words(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        }
    }
}

#[derive(Deserialize)]
struct WireCall {
    index: Option<u64>,
    id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    function: Function,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Arguments>,
}

/// The protocol requires text; some servers send an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Arguments {
    Text(String),
    Value(serde_json::Value),
}

/// Treats `null` as the default value.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.is_empty() || self.done {
            return Ok(());
        }
        let first = out.len();
        let result = if data == "[DONE]" { self.finish(out) } else { self.chunk(name, data, out) };
        for delta in &out[first..] {
            self.received.push(delta);
        }
        result
    }

    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let first = out.len();
        let result = self.chunk("", body, out).and_then(|()| self.finish(out));
        for delta in &out[first..] {
            self.received.push(delta);
        }
        result
    }

    fn ended(&self) -> bool {
        self.done
    }

    fn complete(&self) -> bool {
        self.done || self.stop.is_some()
    }

    fn settled(&self) -> bool {
        self.done || self.counted_last
    }

    fn received(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    fn reply(&mut self, requested: &str) -> Result<Reply, ProviderError> {
        self.flush(&mut Vec::new());
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            if let Part::ToolCall { name, arguments, .. } = part {
                if name.is_empty() {
                    return Err(ProviderError::garbage("the model called a tool without a name"));
                }
                if arguments.trim().is_empty() {
                    *arguments = "{}".to_owned();
                }
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
    /// Creates a decoder. [`Tags::Split`] separates thinking tags at the start of the content from text.
    pub(super) fn new(tags: Tags) -> Self {
        Self {
            parts: Vec::new(),
            calls: Vec::new(),
            tags: (tags == Tags::Split).then(Splitter::default),
            usage: None,
            counted_last: false,
            sooner: None,
            response_id: None,
            model: None,
            started: false,
            stop: None,
            refused: false,
            done: false,
            received: Received::default(),
        }
    }

    fn finish(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        self.flush(out);
        if self.stop.is_none() && self.parts.is_empty() {
            return Err(ProviderError::garbage(
                "the server ended its answer without having begun it",
            ));
        }
        if self.refused {
            self.stop = Some(StopReason::Refusal);
        }
        self.done = true;
        Ok(())
    }

    fn chunk(&mut self, name: &str, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|e| ProviderError::unreadable("a piece of the answer", &e))?;
        if let Some(error) = chunk.error.as_ref().filter(|e| !e.is_null()) {
            return Err(failure(error));
        }
        if name == "error" || chunk.object.as_deref() == Some("error") {
            let message = chunk.message.unwrap_or_else(|| data.to_owned());
            return Err(ProviderError::in_stream("", &message));
        }
        if !self.started {
            self.started = true;
            self.response_id.clone_from(&chunk.id);
            self.model.clone_from(&chunk.model);
            out.push(Delta::Start { response_id: chunk.id, model: chunk.model });
        }
        self.sooner = openai::sooner(chunk.service_tier.as_ref()).or(self.sooner);
        for choice in chunk.choices {
            if choice.index == 0 {
                self.choice(choice, out)?;
            }
        }
        self.count(chunk.usage.as_ref(), out);
        Ok(())
    }

    fn choice(&mut self, choice: Choice, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        if let Some(error) = choice.error.as_ref().filter(|e| !e.is_null()) {
            return Err(failure(error));
        }
        let delta = choice.delta;
        // Some servers send both fields with the same text.
        if let Some(more) = delta.reasoning_content.or(delta.reasoning) {
            self.thinking(&more, out);
        }
        if let Some(more) = delta.content {
            let parts = match more {
                Content::Text(text) => vec![ContentPart { text, thinking: None }],
                Content::Parts(parts) => parts,
            };
            for part in parts {
                if let Some(thought) = part.thinking {
                    self.thinking(&thought.words(), out);
                }
                self.content(&part.text, out);
            }
        }
        if let Some(more) = delta.refusal.filter(|r| !r.is_empty()) {
            self.text(&more, out);
            self.refused = true;
        }
        for call in delta.tool_calls {
            self.call(call, out);
        }
        if let Some(function) = delta.function_call {
            self.call(WireCall { index: Some(0), id: None, function }, out);
        }
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("error") => {
                return Err(ProviderError::in_stream("error", "the model failed while answering"));
            }
            Some(_) if self.refused => self.stop = Some(StopReason::Refusal),
            Some(word) => self.stop = Some(stop_reason(word)),
        }
        self.count(choice.usage.as_ref(), out);
        Ok(())
    }

    fn content(&mut self, more: &str, out: &mut Vec<Delta>) {
        match &mut self.tags {
            None => self.text(more, out),
            Some(tags) => {
                let pieces = tags.push(more);
                self.pieces(pieces, out);
            }
        }
    }

    fn pieces(&mut self, pieces: Vec<Piece>, out: &mut Vec<Delta>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text(&text, out),
                Piece::Thinking(text) => self.thinking(&text, out),
            }
        }
    }

    fn flush(&mut self, out: &mut Vec<Delta>) {
        if let Some(mut tags) = self.tags.take() {
            let pieces = tags.finish();
            self.pieces(pieces, out);
        }
    }

    fn text(&mut self, more: &str, out: &mut Vec<Delta>) {
        if more.is_empty() {
            return;
        }
        out.push(Delta::Text(more.to_owned()));
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(more),
            _ => self.parts.push(Part::text(more)),
        }
    }

    fn thinking(&mut self, more: &str, out: &mut Vec<Delta>) {
        if more.is_empty() {
            return;
        }
        out.push(Delta::Thinking(more.to_owned()));
        match self.parts.last_mut() {
            Some(Part::Thinking { text, .. }) => text.push_str(more),
            _ => self.parts.push(Part::Thinking { text: more.to_owned(), signature: None }),
        }
    }

    fn call(&mut self, call: WireCall, out: &mut Vec<Delta>) {
        let id = call.id.filter(|id| !id.is_empty());
        let name = call.function.name.filter(|n| !n.is_empty());
        let more = match call.function.arguments {
            None => String::new(),
            Some(Arguments::Text(text)) => text,
            Some(Arguments::Value(serde_json::Value::Null)) => String::new(),
            Some(Arguments::Value(value)) => value.to_string(),
        };
        let known = self.calls.iter().rposition(|c| match (call.index, &id, &c.id) {
            // Some servers number every call 0, so only the id differs.
            (Some(index), Some(id), Some(known)) => c.index == Some(index) && id == known,
            (Some(index), _, _) => c.index == Some(index),
            (None, Some(id), known) => known.as_ref() == Some(id),
            (None, None, _) => name.is_none(),
        });
        let position = known.unwrap_or_else(|| {
            let made = format!(
                "{}-{}",
                self.response_id.as_deref().unwrap_or("call"),
                self.calls.len() + 1
            );
            let id_or_made = id.clone().unwrap_or(made);
            out.push(Delta::ToolCallStart {
                index: self.calls.len(),
                id: id_or_made.clone(),
                name: name.clone().unwrap_or_default(),
            });
            self.parts.push(Part::call(id_or_made, name.clone().unwrap_or_default(), ""));
            self.calls.push(Call { index: call.index, id, part: self.parts.len() - 1 });
            self.calls.len() - 1
        });
        let Some(Part::ToolCall { name: kept, arguments, .. }) =
            self.parts.get_mut(self.calls[position].part)
        else {
            return;
        };
        // A repeated name must not be appended.
        if kept.is_empty()
            && let Some(name) = name
        {
            *kept = name;
        }
        if !more.is_empty() {
            arguments.push_str(&more);
            out.push(Delta::ToolCallArgs { index: position, json: more });
        }
    }

    fn count(&mut self, counts: Option<&serde_json::Value>, out: &mut Vec<Delta>) {
        let Some(counts) = counts.filter(|counts| counts.is_object()) else { return };
        let number = |path: &[&str]| numbers::count(counts, path);
        let cached = number(&["prompt_tokens_details", "cached_tokens"]);
        // DeepSeek's field for cached input.
        let cache_read = cached.or_else(|| number(&["prompt_cache_hit_tokens"])).unwrap_or(0);
        let cache_write = number(&["prompt_tokens_details", "cache_write_tokens"]).unwrap_or(0);
        let prompt = number(&["prompt_tokens"]).unwrap_or(0);
        let usage = Usage {
            input: prompt.saturating_sub(cache_read).saturating_sub(cache_write),
            cache_read,
            cache_write,
            cache_write_1h: 0,
            output: number(&["completion_tokens"]).unwrap_or(0),
            reasoning: number(&["completion_tokens_details", "reasoning_tokens"]).unwrap_or(0),
        };
        self.counted_last |= self.stop.is_some() && usage.total() != 0;
        // Servers that do not count send zeros.
        usage.tell(&mut self.usage, out);
    }
}

/// Whether the content may contain thinking tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// The content is text.
    Keep,
    /// Tags at the start are split off.
    Split,
}

/// Converts the error object of a chunk, in its known formats.
fn failure(error: &serde_json::Value) -> ProviderError {
    let text = |key: &str| error.get(key).and_then(serde_json::Value::as_str).unwrap_or("");
    let status =
        error.get("code").and_then(serde_json::Value::as_u64).and_then(|c| u16::try_from(c).ok());
    let code = match text("code") {
        "" => text("type"),
        code => code,
    };
    let message = error.as_str().unwrap_or_else(|| text("message"));
    match status {
        Some(status @ 400..=599) => ProviderError::reported(status, code, message),
        _ => ProviderError::in_stream(code, message),
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "length" | "max_tokens" => StopReason::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" => StopReason::ToolUse,
        "content_filter" => StopReason::Refusal,
        "insufficient_system_resource" | "model_length" => StopReason::ContextFull,
        _ => StopReason::End,
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
