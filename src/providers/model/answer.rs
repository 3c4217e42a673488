//! Answers of a model: deltas and the complete reply.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Part;

/// Token usage of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Uncached input.
    pub input: u64,
    /// Input read from the provider's cache.
    pub cache_read: u64,
    /// Input written to the provider's cache.
    pub cache_write: u64,
    /// Part of `cache_write` that is cached for an hour, which costs more.
    pub cache_write_1h: u64,
    /// Output, including thinking.
    pub output: u64,
    /// Part of `output` that was thinking, if the provider reports it.
    pub reasoning: u64,
}

impl Usage {
    /// All input tokens.
    #[must_use]
    pub fn input_total(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// Emits the usage if it is new. Servers that do not count send nothing or zero.
    pub(crate) fn tell(self, known: &mut Option<Self>, out: &mut Vec<Delta>) {
        if self.total() != 0 && *known != Some(self) {
            *known = Some(self);
            out.push(Delta::Usage(self));
        }
    }

    /// All input and output tokens.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cache_write_1h = self.cache_write_1h.saturating_add(other.cache_write_1h);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

/// Why a model stopped. Stored by position: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// The answer is finished.
    End,
    /// The model requests tool calls.
    ToolUse,
    /// The output limit was reached.
    MaxTokens,
    /// A stop sequence occurred.
    StopSequence,
    /// The provider or the model refused.
    Refusal,
    /// The provider paused a long turn; resend the conversation unchanged to continue.
    Pause,
    /// The context window is full.
    ContextFull,
}

impl StopReason {
    /// The actual stop reason. Many servers report "stop", or nothing, despite tool calls.
    #[must_use]
    pub fn of(reported: Option<Self>, parts: &[Part]) -> Self {
        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
        match reported {
            Some(Self::End) | None if calls => Self::ToolUse,
            Some(stop) => stop,
            None => Self::End,
        }
    }
}

/// An event while a model answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The answer has started.
    Start {
        /// The provider's id of the answer, if any.
        response_id: Option<String>,
        /// The answering model, if reported.
        model: Option<String>,
    },
    /// More text.
    Text(String),
    /// More thinking.
    Thinking(String),
    ToolCallStart {
        /// Index among the calls of this answer.
        index: usize,
        /// Call id.
        id: String,
        /// Tool name.
        name: String,
    },
    /// More arguments of a call.
    ToolCallArgs {
        /// Index among the calls of this answer.
        index: usize,
        /// A fragment of JSON text.
        json: String,
    },
    /// Usage so far; replaces earlier reports.
    Usage(Usage),
}

impl Delta {
    /// Returns `true` for content, after which a call must not be repeated silently.
    #[must_use]
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::Start { .. } | Self::Usage(_))
    }
}

/// A complete answer, including its final event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Content parts, in order.
    pub parts: Vec<Part>,
    /// Token usage; `None` if the server does not count.
    pub usage: Option<Usage>,
    pub stop: StopReason,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// The answering model, possibly more precise than the requested one.
    pub model: String,
    /// Whether it was served and billed with priority, if reported.
    pub sooner: Option<bool>,
}

impl Reply {
    /// The joined text.
    #[must_use]
    pub fn text(&self) -> String {
        join_text(&self.parts)
    }

    /// The calls, in order: id, tool, arguments.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall { id, name, arguments } => {
                Some((id.as_str(), name.as_str(), arguments.as_str()))
            }
            _ => None,
        })
    }

    /// Makes call ids unique within the conversation, because results refer to them. Some servers repeat ids, and some
    /// restart numbering in each answer.
    pub fn tell_calls_apart(&mut self, is_known: impl Fn(&str) -> bool) {
        let mut seen = BTreeSet::new();
        for part in &mut self.parts {
            let Part::ToolCall { id, .. } = part else { continue };
            let free = |id: &str| !seen.contains(id) && !is_known(id);
            if !free(id) {
                let others = (2_u32..).map(|n| format!("{id}-{n}"));
                if let Some(other) = others.into_iter().find(|other| free(other)) {
                    *id = other;
                }
            }
            seen.insert(id.clone());
        }
    }
}

/// What had arrived when a call was interrupted. Its tool calls are incomplete and must not be executed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Received {
    /// Text, thinking without signature, and calls as far as received.
    pub parts: Vec<Part>,
    /// Usage, as far as reported.
    pub usage: Option<Usage>,
    /// Bytes of text, thinking and arguments, to estimate the bill.
    pub bytes: u64,
}

impl Received {
    /// Returns `true` if nothing arrived that a person may have seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a delta. A caller that stops a stream maintains one of these itself.
    pub fn push(&mut self, delta: &Delta) {
        match delta {
            Delta::Start { .. } => {}
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::Text(more) => {
                self.count(more);
                match self.parts.last_mut() {
                    Some(Part::Text { text }) => text.push_str(more),
                    _ => self.parts.push(Part::text(more.as_str())),
                }
            }
            Delta::Thinking(more) => {
                self.count(more);
                match self.parts.last_mut() {
                    Some(Part::Thinking { text, .. }) => text.push_str(more),
                    _ => self.parts.push(Part::Thinking { text: more.clone(), signature: None }),
                }
            }
            Delta::ToolCallStart { id, name, .. } => {
                self.count(name);
                self.parts.push(Part::call(id.as_str(), name.as_str(), ""));
            }
            Delta::ToolCallArgs { index, json } => {
                self.count(json);
                let call = self.parts.iter_mut().filter_map(|part| match part {
                    Part::ToolCall { arguments, .. } => Some(arguments),
                    _ => None,
                });
                if let Some(arguments) = call.into_iter().nth(*index) {
                    arguments.push_str(json);
                }
            }
        }
    }

    /// The joined text.
    #[must_use]
    pub fn text(&self) -> String {
        join_text(&self.parts)
    }

    fn count(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
    }
}

fn join_text(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        if let Part::Text { text } = part {
            out.push_str(text);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_kept_in_order_and_counted() {
        let mut received = Received::default();
        for delta in [
            Delta::Start { response_id: None, model: None },
            Delta::Thinking("hm".into()),
            Delta::Text("Hel".into()),
            Delta::Text("lo".into()),
            Delta::ToolCallStart { index: 0, id: "a".into(), name: "read".into() },
            Delta::ToolCallStart { index: 1, id: "b".into(), name: "list".into() },
            Delta::ToolCallArgs { index: 1, json: "{}".into() },
            Delta::ToolCallArgs { index: 0, json: "{\"p".into() },
        ] {
            received.push(&delta);
        }
        assert_eq!(received.text(), "Hello");
        assert_eq!(received.parts[2], Part::call("a", "read", "{\"p"));
        assert_eq!(received.parts[3], Part::call("b", "list", "{}"));
        assert_eq!(received.bytes, 2 + 5 + 4 + 4 + 2 + 3);
        assert!(!received.is_empty());
    }

    #[test]
    fn calls_with_one_id_are_told_apart() {
        let call = |id: &str| Part::call(id, "read", "{}");
        let mut reply = Reply {
            parts: vec![call("a"), Part::text("and"), call("a"), call("b"), call("a-2")],
            usage: None,
            stop: StopReason::ToolUse,
            response_id: None,
            model: String::new(),
            sooner: None,
        };
        reply.tell_calls_apart(|id| id == "b" || id == "b-2");
        let ids: Vec<_> = reply.calls().map(|(id, _, _)| id.to_owned()).collect();
        assert_eq!(ids, ["a", "a-2", "b-3", "a-2-2"]);
    }

    #[test]
    fn usage_adds_up_without_overflow() {
        let mut sum = Usage { input: u64::MAX - 1, ..Usage::default() };
        sum += Usage {
            input: 5,
            cache_read: 1,
            cache_write: 2,
            output: 3,
            reasoning: 1,
            ..Usage::default()
        };
        assert_eq!(sum.input, u64::MAX);
        assert_eq!(sum.output, 3);
        assert_eq!(sum.total(), u64::MAX);
    }
}
