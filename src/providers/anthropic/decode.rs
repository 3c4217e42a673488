//! Decodes the event stream of `POST /v1/messages`, event by event. A pure state machine without I/O.

use serde::Deserialize;
use serde_json::Value;

use crate::error::ProviderError;
use crate::model::{Delta, Part, Received, Reply, StopReason, Usage};
use crate::numbers;
use crate::wire::Decode;

/// A partial answer.
#[derive(Default)]
pub(super) struct Decoder {
    blocks: Vec<Block>,
    calls: usize,
    usage: Option<Usage>,
    response_id: Option<String>,
    model: Option<String>,
    stop: Option<StopReason>,
    ended: bool,
    received: Received,
}

enum Block {
    Text(String),
    Thinking {
        text: String,
        signature: String,
        whole: bool,
    },
    Redacted(String),
    Call {
        index: usize,
        id: String,
        name: String,
        json: String,
        input: Option<String>,
    },
    /// An unknown kind, which is ignored.
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: usize,
        content_block: WireBlock,
    },
    ContentBlockDelta {
        index: usize,
        delta: WireDelta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: End,
        #[serde(default)]
        usage: Option<Value>,
    },
    MessageStop,
    Error {
        error: Failure,
    },
    /// Pings and future kinds.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireBlock {
    Text {
        #[serde(default)]
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
        #[serde(default)]
        signature: String,
    },
    RedactedThinking {
        #[serde(default)]
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireDelta {
    TextDelta {
        text: String,
    },
    ThinkingDelta {
        thinking: String,
    },
    SignatureDelta {
        signature: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

/// A complete message, as sent by servers that do not stream.
#[derive(Deserialize)]
struct Whole {
    id: Option<String>,
    model: Option<String>,
    content: Vec<WireBlock>,
    stop_reason: Option<String>,
    usage: Option<Value>,
}

impl Decode for Decoder {
    fn event(
        &mut self,
        _name: &str,
        data: &str,
        out: &mut Vec<Delta>,
    ) -> Result<(), ProviderError> {
        if data.trim().is_empty() {
            return Ok(());
        }
        let event: Event = serde_json::from_str(data)
            .map_err(|e| ProviderError::unreadable("an event of the stream", &e))?;
        let first = out.len();
        self.take(event, out)?;
        for delta in &out[first..] {
            self.received.push(delta);
        }
        Ok(())
    }

    fn whole(&mut self, body: &str, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let whole: Whole =
            serde_json::from_str(body).map_err(|e| ProviderError::unreadable("the answer", &e))?;
        let first = out.len();
        self.take(
            Event::MessageStart {
                message: Start { id: whole.id, model: whole.model, usage: whole.usage },
            },
            out,
        )?;
        for (index, content_block) in whole.content.into_iter().enumerate() {
            self.take(Event::ContentBlockStart { index, content_block }, out)?;
            self.take(Event::ContentBlockStop { index }, out)?;
        }
        self.take(
            Event::MessageDelta { delta: End { stop_reason: whole.stop_reason }, usage: None },
            out,
        )?;
        self.ended = true;
        for delta in &out[first..] {
            self.received.push(delta);
        }
        Ok(())
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
        let parts: Vec<Part> =
            std::mem::take(&mut self.blocks).into_iter().filter_map(part).collect();
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

impl Decoder {
    fn take(&mut self, event: Event, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        match event {
            Event::MessageStart { message } => {
                self.response_id.clone_from(&message.id);
                self.model.clone_from(&message.model);
                out.push(Delta::Start { response_id: message.id, model: message.model });
                self.count(message.usage, out);
            }
            Event::ContentBlockStart { index, content_block } => {
                self.start(index, content_block, out)?
            }
            Event::ContentBlockDelta { index, delta } => self.more(index, delta, out)?,
            Event::ContentBlockStop { index } => {
                if let Some(Block::Thinking { whole, .. }) = self.blocks.get_mut(index) {
                    *whole = true;
                }
            }
            Event::MessageDelta { delta, usage } => {
                self.count(usage, out);
                if let Some(reason) = delta.stop_reason {
                    self.stop = Some(stop_reason(&reason));
                }
            }
            Event::MessageStop => self.ended = true,
            Event::Error { error } => {
                return Err(ProviderError::in_stream(&error.kind, &error.message));
            }
            Event::Other => {}
        }
        Ok(())
    }

    fn start(
        &mut self,
        index: usize,
        block: WireBlock,
        out: &mut Vec<Delta>,
    ) -> Result<(), ProviderError> {
        if index != self.blocks.len() {
            return Err(ProviderError::garbage(format!(
                "block {index} of the stream comes out of order"
            )));
        }
        let block = match block {
            WireBlock::Text { text } => {
                if !text.is_empty() {
                    out.push(Delta::Text(text.clone()));
                }
                Block::Text(text)
            }
            WireBlock::Thinking { thinking, signature } => {
                if !thinking.is_empty() {
                    out.push(Delta::Thinking(thinking.clone()));
                }
                Block::Thinking { text: thinking, signature, whole: false }
            }
            WireBlock::RedactedThinking { data } => Block::Redacted(data),
            WireBlock::ToolUse { id, name, input } => {
                let index = self.calls;
                self.calls += 1;
                out.push(Delta::ToolCallStart { index, id: id.clone(), name: name.clone() });
                let input = input.as_object().filter(|o| !o.is_empty()).map(|_| input.to_string());
                if let Some(json) = &input {
                    out.push(Delta::ToolCallArgs { index, json: json.clone() });
                }
                Block::Call { index, id, name, json: String::new(), input }
            }
            WireBlock::Other => Block::Other,
        };
        self.blocks.push(block);
        Ok(())
    }

    fn more(
        &mut self,
        index: usize,
        delta: WireDelta,
        out: &mut Vec<Delta>,
    ) -> Result<(), ProviderError> {
        let Some(block) = self.blocks.get_mut(index) else {
            return Err(ProviderError::garbage(format!(
                "block {index} of the stream has no beginning"
            )));
        };
        match (block, delta) {
            (Block::Text(text), WireDelta::TextDelta { text: more }) => {
                text.push_str(&more);
                out.push(Delta::Text(more));
            }
            (Block::Thinking { text, .. }, WireDelta::ThinkingDelta { thinking: more }) => {
                text.push_str(&more);
                out.push(Delta::Thinking(more));
            }
            (Block::Thinking { signature, .. }, WireDelta::SignatureDelta { signature: more }) => {
                signature.push_str(&more);
            }
            (Block::Call { index, json, .. }, WireDelta::InputJsonDelta { partial_json }) => {
                json.push_str(&partial_json);
                if !partial_json.is_empty() {
                    out.push(Delta::ToolCallArgs { index: *index, json: partial_json });
                }
            }
            (_, WireDelta::Other) | (Block::Other, _) => {}
            _ => {
                return Err(ProviderError::garbage(format!(
                    "block {index} of the stream changes its kind"
                )));
            }
        }
        Ok(())
    }

    /// Counts are cumulative. Later events may omit unchanged counts.
    fn count(&mut self, counts: Option<Value>, out: &mut Vec<Delta>) {
        let Some(counts) = counts.filter(Value::is_object) else { return };
        let known = self.usage.unwrap_or_default();
        let or = |path: &[&str], known: u64| numbers::count(&counts, path).unwrap_or(known);
        let usage = Usage {
            input: or(&["input_tokens"], known.input),
            cache_read: or(&["cache_read_input_tokens"], known.cache_read),
            cache_write: or(&["cache_creation_input_tokens"], known.cache_write),
            cache_write_1h: or(
                &["cache_creation", "ephemeral_1h_input_tokens"],
                known.cache_write_1h,
            ),
            output: or(&["output_tokens"], known.output),
            reasoning: or(&["output_tokens_details", "thinking_tokens"], known.reasoning),
        };
        self.usage = Some(usage);
        out.push(Delta::Usage(usage));
    }
}

fn part(block: Block) -> Option<Part> {
    match block {
        Block::Text(text) if text.is_empty() => None,
        Block::Text(text) => Some(Part::Text { text }),
        // The signature is valid for the whole block only. The provider would reject the conversation otherwise.
        Block::Thinking { text, signature, whole } => {
            let signature = Some(signature).filter(|s| whole && !s.is_empty());
            (signature.is_some() || !text.is_empty()).then_some(Part::Thinking { text, signature })
        }
        Block::Redacted(data) => Some(Part::RedactedThinking { data }),
        Block::Call { id, name, json, input, .. } => {
            let written = Some(json).filter(|j| !j.trim().is_empty());
            let arguments = written.or(input).unwrap_or_else(|| "{}".to_owned());
            Some(Part::ToolCall { id, name, arguments })
        }
        Block::Other => None,
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence,
        "pause_turn" => StopReason::Pause,
        "refusal" => StopReason::Refusal,
        "model_context_window_exceeded" => StopReason::ContextFull,
        _ => StopReason::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorClass;

    fn run(events: &[&str]) -> Result<(Reply, Vec<Delta>), ProviderError> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for data in events {
            decoder.event("", data, &mut out)?;
        }
        assert!(decoder.ended());
        Ok((decoder.reply("asked")?, out))
    }

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":10,"cache_read_input_tokens":2000,"cache_creation_input_tokens":100,"output_tokens":1}}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    #[test]
    fn thinking_text_and_a_call_become_parts_in_order() {
        let (reply, deltas) = run(&[
            START,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"ab"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"cd"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"zz"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Grüß"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t1","name":"read","input":{}}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"pa"}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"th\":1}"}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"t2","name":"list","input":{}}}"#,
            r#"{"type":"content_block_stop","index":4}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":55}}"#,
            STOP,
        ])
        .expect("decodes");
        assert_eq!(
            reply.parts,
            [
                Part::Thinking { text: "Let me".into(), signature: Some("abcd".into()) },
                Part::RedactedThinking { data: "zz".into() },
                Part::text("Grüß"),
                Part::call("t1", "read", "{\"path\":1}"),
                Part::call("t2", "list", "{}"),
            ]
        );
        assert_eq!(
            reply.usage,
            Some(Usage {
                input: 10,
                cache_read: 2_000,
                cache_write: 100,
                output: 55,
                reasoning: 0,
                ..Usage::default()
            })
        );
        assert_eq!(
            (reply.stop, reply.response_id.as_deref()),
            (StopReason::ToolUse, Some("msg_1"))
        );
        assert_eq!(reply.model, "claude-x");
        assert!(deltas.contains(&Delta::ToolCallStart {
            index: 1,
            id: "t2".into(),
            name: "list".into()
        }));
        assert!(deltas.contains(&Delta::ToolCallArgs { index: 0, json: "th\":1}".into() }));
    }

    #[test]
    fn every_stop_reason_has_a_name() {
        for (word, stop) in [
            ("end_turn", StopReason::End),
            ("max_tokens", StopReason::MaxTokens),
            ("stop_sequence", StopReason::StopSequence),
            ("pause_turn", StopReason::Pause),
            ("refusal", StopReason::Refusal),
            ("model_context_window_exceeded", StopReason::ContextFull),
        ] {
            let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{word}"}}}}"#);
            assert_eq!(run(&[START, &end, STOP]).expect("decodes").0.stop, stop);
        }
    }

    #[test]
    fn an_error_in_the_stream_has_its_class_and_what_came_before_is_kept() {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for data in [
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hel"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
        ] {
            decoder.event("", data, &mut out).expect("decodes");
        }
        let error = decoder
            .event(
                "error",
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                &mut out,
            )
            .expect_err("an error event");
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Overloaded, "Overloaded"));
        assert!(!decoder.ended());
        assert_eq!(decoder.received().text(), "Hello");
    }

    #[test]
    fn events_that_make_no_sense_are_garbage() {
        for events in [
            vec!["{nonsense"],
            vec![
                START,
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}"#,
            ],
            vec![
                START,
                r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
            ],
            vec![
                START,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            ],
        ] {
            assert_eq!(run(&events).expect_err("garbage").class, ErrorClass::Garbage, "{events:?}");
        }
    }

    #[test]
    fn a_message_that_was_not_streamed_is_read_too() {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        decoder
            .whole(
                r#"{"id":"m","model":"c","content":[{"type":"text","text":"Hi"},{"type":"tool_use","id":"t","name":"n","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}"#,
                &mut out,
            )
            .expect("decodes");
        let reply = decoder.reply("asked").expect("complete");
        assert_eq!(reply.parts, [Part::text("Hi"), Part::call("t", "n", "{\"a\":1}")]);
        assert_eq!(reply.usage.map(|u| u.total()), Some(7));
        assert!(out.contains(&Delta::Text("Hi".into())));
    }
}
