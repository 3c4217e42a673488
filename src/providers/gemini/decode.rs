//! Decodes the chunks of `streamGenerateContent`, one at a time. A pure state machine: calls arrive complete, a
//! signature belongs to the part it came with, the finish reason marks the end.

use serde::Deserialize;
use serde_json::Value;

use super::{ID, NAME};
use crate::error::ProviderError;
use crate::model::{Delta, Part, Received, Reply, StopReason, Usage};
use crate::numbers;
use crate::wire::{Decode, Framing};

/// Maximum event size, in bytes: a chunk may contain an image.
const MOST: usize = 16 * 1024 * 1024;

/// A partial answer.
pub(super) struct Decoder {
    parts: Vec<Part>,
    calls: usize,
    /// Number of the next call without an id.
    next_id: u32,
    usage: Option<Usage>,
    response_id: Option<String>,
    model: Option<String>,
    started: bool,
    stop: Option<StopReason>,
    received: Received,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Value>,
    model_version: Option<String>,
    response_id: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: u64,
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<WirePart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePart {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    function_call: Option<Call>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    #[serde(default)]
    name: String,
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

impl Decoder {
    /// A decoder that numbers calls without ids from `next_id`.
    pub(super) fn new(next_id: u32) -> Self {
        Self {
            parts: Vec::new(),
            calls: 0,
            next_id,
            usage: None,
            response_id: None,
            model: None,
            started: false,
            stop: None,
            received: Received::default(),
        }
    }

    fn chunk(&mut self, data: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|e| ProviderError::unreadable("part of the answer", &e))?;
        if let Some(error) = chunk.error.as_ref().filter(|e| !e.is_null()) {
            return Err(failure(error));
        }
        if !std::mem::replace(&mut self.started, true) {
            out.push(Delta::Start {
                response_id: chunk.response_id.clone(),
                model: chunk.model_version.clone(),
            });
        }
        self.response_id = self.response_id.take().or(chunk.response_id);
        self.model = self.model.take().or(chunk.model_version);
        if chunk.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.stop = Some(StopReason::Refusal);
        }
        self.count(chunk.usage_metadata.as_ref(), out);
        for candidate in chunk.candidates.into_iter().flatten().filter(|c| c.index == 0) {
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                self.part(part, out)?;
            }
            if let Some(reason) = candidate.finish_reason {
                self.stop = stop_reason(&reason, candidate.finish_message.as_deref())?;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: WirePart, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        if let Some(call) = part.function_call {
            self.call(call, out)?;
        } else if let Some(text) = part.text.filter(|text| !text.is_empty()) {
            self.say(text, part.thought, out);
        }
        if let Some(data) = part.thought_signature.filter(|s| is_base64(s)) {
            self.parts.push(Part::Opaque { provider: NAME.to_owned(), model: String::new(), data });
        }
        Ok(())
    }

    fn say(&mut self, more: String, thought: bool, out: &mut Vec<Delta>) {
        match (thought, self.parts.last_mut()) {
            (true, Some(Part::Thinking { text, .. })) | (false, Some(Part::Text { text })) => {
                text.push_str(&more);
            }
            (true, _) => {
                self.parts.push(Part::Thinking { text: more.clone(), signature: None });
            }
            (false, _) => self.parts.push(Part::text(more.as_str())),
        }
        out.push(if thought { Delta::Thinking(more) } else { Delta::Text(more) });
    }

    fn call(&mut self, call: Call, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        if call.name.is_empty() {
            return Err(ProviderError::garbage("the model called a tool without a name"));
        }
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let id = format!("{ID}{}", self.next_id);
            self.next_id = self.next_id.saturating_add(1);
            id
        });
        let arguments = match call.args {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(args) => args.to_string(),
        };
        let index = self.calls;
        self.calls += 1;
        out.push(Delta::ToolCallStart { index, id: id.clone(), name: call.name.clone() });
        out.push(Delta::ToolCallArgs { index, json: arguments.clone() });
        self.parts.push(Part::call(id, call.name, arguments));
        Ok(())
    }

    /// Counts are cumulative.
    fn count(&mut self, counts: Option<&Value>, out: &mut Vec<Delta>) {
        let Some(counts) = counts.filter(|counts| counts.is_object()) else { return };
        let number = |name: &str| numbers::count(counts, &[name]).unwrap_or(0);
        let (cached, thought) = (number("cachedContentTokenCount"), number("thoughtsTokenCount"));
        let prompt = number("promptTokenCount").saturating_add(number("toolUsePromptTokenCount"));
        let usage = Usage {
            input: prompt.saturating_sub(cached),
            cache_read: cached,
            cache_write: 0,
            cache_write_1h: 0,
            output: number("candidatesTokenCount").saturating_add(thought),
            reasoning: thought,
        };
        usage.tell(&mut self.usage, out);
    }
}

impl Decode for Decoder {
    fn framing(&self) -> Framing {
        Framing::Events(MOST)
    }

    fn event(
        &mut self,
        _name: &str,
        data: &str,
        out: &mut Vec<Delta>,
    ) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let first = out.len();
        let taken = self.chunk(data, out);
        for delta in &out[first..] {
            self.received.push(delta);
        }
        taken
    }

    /// A server that does not stream sends one answer, or a list of all chunks.
    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let json: Value =
            serde_json::from_str(body).map_err(|e| ProviderError::unreadable("the answer", &e))?;
        match json {
            Value::Array(chunks) => {
                for chunk in chunks {
                    self.event("", &chunk.to_string(), out)?;
                }
            }
            _ => self.event("", body, out)?,
        }
        if self.complete() {
            return Ok(());
        }
        Err(ProviderError::garbage("the answer has no end; check the base URL"))
    }

    /// Usage may follow the finish reason, so only the end of the stream is the end.
    fn ended(&self) -> bool {
        false
    }

    fn complete(&self) -> bool {
        self.stop.is_some()
    }

    fn settled(&self) -> bool {
        // Counts are cumulative in every chunk, including the last.
        self.stop.is_some() && self.usage.is_some()
    }

    fn received(&mut self) -> Received {
        std::mem::take(&mut self.received)
    }

    fn reply(&mut self, requested: &str) -> Result<Reply, ProviderError> {
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            if let Part::Opaque { model, .. } = part {
                requested.clone_into(model);
            }
        }
        let stop = StopReason::of(self.stop, &parts);
        Ok(Reply {
            parts,
            usage: self.usage,
            stop,
            response_id: self.response_id.take(),
            model: self.model.take().unwrap_or_else(|| requested.to_owned()),
            sooner: None,
        })
    }
}

fn is_base64(signature: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
    !signature.is_empty() && signature.bytes().all(fits)
}

fn stop_reason(word: &str, message: Option<&str>) -> Result<Option<StopReason>, ProviderError> {
    Ok(match word {
        "" | "FINISH_REASON_UNSPECIFIED" => None,
        "MAX_TOKENS" => Some(StopReason::MaxTokens),
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "IMAGE_SAFETY" => Some(StopReason::Refusal),
        // Worth a retry: nothing of the call arrived.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => {
            let words = message.unwrap_or("the model wrote an invalid tool call");
            return Err(ProviderError::garbage(format!("{words} ({word})")));
        }
        _ => Some(StopReason::End),
    })
}

fn failure(error: &Value) -> ProviderError {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or("");
    let status = error.get("code").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    match status {
        Some(status @ 400..=599) => ProviderError {
            sent: true,
            ..ProviderError::reported(status, text("status"), text("message"))
        },
        _ => ProviderError::in_stream(text("status"), text("message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorClass;

    fn run(chunks: &[&str]) -> Result<(Reply, Vec<Delta>), ProviderError> {
        let mut decoder = Decoder::new(4);
        let mut out = Vec::new();
        for data in chunks {
            decoder.event("", data, &mut out)?;
        }
        assert!(decoder.complete());
        Ok((decoder.reply("gemini-x")?, out))
    }

    fn signature(data: &str) -> Part {
        Part::Opaque { provider: NAME.into(), model: "gemini-x".into(), data: data.into() }
    }

    #[test]
    fn thinking_text_calls_and_signatures_become_parts_in_order() {
        let (reply, deltas) = run(&[
            r#"{"candidates":[{"content":{"role":"model","parts":[{"thought":true,"text":"Let me "}]},"index":0}],"modelVersion":"gemini-x-001","responseId":"r1","usageMetadata":{"promptTokenCount":2010,"totalTokenCount":2010}}"#,
            r#"{"candidates":[{"content":{"parts":[{"thought":true,"text":"see"},{"text":"Grü"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"ße"},{"text":"","thoughtSignature":"QUJD"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"read","args":{"p":"ü"}},"thoughtSignature":"REVG"},{"functionCall":{"id":"own","name":"now"}}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2010,"cachedContentTokenCount":2000,"candidatesTokenCount":20,"thoughtsTokenCount":30}}"#,
        ])
        .expect("an answer");
        assert_eq!(
            reply.parts,
            [
                Part::Thinking { text: "Let me see".into(), signature: None },
                Part::text("Grüße"),
                signature("QUJD"),
                Part::call("g4", "read", "{\"p\":\"ü\"}"),
                signature("REVG"),
                Part::call("own", "now", "{}"),
            ]
        );
        let usage = Usage {
            input: 10,
            cache_read: 2_000,
            cache_write: 0,
            output: 50,
            reasoning: 30,
            ..Usage::default()
        };
        assert_eq!((reply.stop, reply.usage), (StopReason::ToolUse, Some(usage)));
        assert_eq!(
            (reply.model.as_str(), reply.response_id.as_deref()),
            ("gemini-x-001", Some("r1"))
        );
        assert!(deltas.contains(&Delta::ToolCallStart {
            index: 1,
            id: "own".into(),
            name: "now".into()
        }));
    }

    #[test]
    fn reasons_to_finish_are_told_apart() {
        for (word, stop) in [
            ("STOP", StopReason::End),
            ("MAX_TOKENS", StopReason::MaxTokens),
            ("SAFETY", StopReason::Refusal),
            ("SPII", StopReason::Refusal),
            ("SOMETHING_NEW", StopReason::End),
        ] {
            let chunk = format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"finishReason":"{word}"}}]}}"#
            );
            assert_eq!(run(&[&chunk]).expect("an answer").0.stop, stop, "{word}");
        }
        let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#;
        assert_eq!(run(&[blocked]).expect("an answer").0.stop, StopReason::Refusal);
        let malformed = r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed function call: read("}]}"#;
        let error = run(&[malformed]).expect_err("no answer");
        assert!(error.class == ErrorClass::Garbage && error.retryable(), "{error}");
    }

    #[test]
    fn errors_in_the_stream_have_their_class() {
        for (code, status, class) in [
            (429, "RESOURCE_EXHAUSTED", ErrorClass::RateLimit),
            (503, "UNAVAILABLE", ErrorClass::Overloaded),
            (500, "INTERNAL", ErrorClass::Server),
            (504, "DEADLINE_EXCEEDED", ErrorClass::Timeout),
            (400, "INVALID_ARGUMENT", ErrorClass::InvalidRequest),
            (401, "UNAUTHENTICATED", ErrorClass::Auth),
            (403, "PERMISSION_DENIED", ErrorClass::Auth),
        ] {
            let chunk =
                format!(r#"{{"error":{{"code":{code},"status":"{status}","message":"no"}}}}"#);
            let error = run(&[&chunk]).expect_err("an error");
            assert_eq!((error.class, error.sent), (class, true), "{status}");
        }
        assert_eq!(run(&["{\"candidates\": 7}"]).expect_err("an error").class, ErrorClass::Garbage);
    }

    #[test]
    fn a_signature_that_is_none_is_left_out() {
        let (reply, _) = run(&[
            r#"{"candidates":[{"content":{"parts":[{"text":"x","thoughtSignature":"<bad>"}]},"finishReason":"STOP"}]}"#,
        ])
        .expect("an answer");
        assert_eq!(reply.parts, [Part::text("x")]);
    }
}
