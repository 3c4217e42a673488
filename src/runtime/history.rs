//! The conversation as a model sees it, folded from the session's events.
//!
//! Rebuilt for each run and then kept up to date with what the run appends. Each assistant message
//! is followed by one message with the results of all its calls: a call without a result, left by
//! a crash or a stop, is answered with an error, so that no provider ever sees a dangling call.

use crate::features::runs::model::{Body, CallStatus, EventKind};
use crate::providers::model::{Message, Part, Role};

/// Folds events into messages.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Message>,
    /// Calls of the last assistant message that have no result yet.
    open: Vec<String>,
}

impl History {
    /// The messages so far, complete for a call.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let mut closed = self.clone();
        closed.close("this call was not carried out");
        closed.messages
    }

    /// How many bytes the messages have, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().flat_map(|m| &m.parts).map(part_bytes).sum()
    }

    /// Takes in one event.
    pub fn push(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Input { text, .. } => self.say(text.head()),
            EventKind::Notice { text } => self.say(text),
            EventKind::Assistant { parts, .. } => self.assistant(parts),
            EventKind::ToolFinished { call_id, status, result, .. } => {
                self.result(call_id, *status, result.head());
            }
            EventKind::RunEnded { .. } => self.close("the run ended before this call was made"),
            EventKind::RunStarted { .. }
            | EventKind::CallStarted { .. }
            | EventKind::CallFailed { .. }
            | EventKind::ToolStarted { .. }
            | EventKind::Waiting { .. }
            | EventKind::Interrupted { .. }
            | EventKind::Committed { .. } => {}
        }
    }

    fn say(&mut self, text: &str) {
        self.close("a message came first");
        self.user(Part::text(text));
    }

    fn user(&mut self, part: Part) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User => last.parts.push(part),
            _ => self.messages.push(Message { role: Role::User, parts: vec![part] }),
        }
    }

    fn assistant(&mut self, parts: &Body) {
        self.close("this call was not carried out");
        let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
        self.open = parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolCall { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect();
        if !parts.is_empty() {
            self.messages.push(Message::assistant(parts));
        }
    }

    fn result(&mut self, call_id: &str, status: CallStatus, text: &str) {
        let Some(at) = self.open.iter().position(|open| open == call_id) else { return };
        self.open.remove(at);
        let text = if text.is_empty() { "(no output)" } else { text };
        self.user(match status {
            CallStatus::Ok => Part::result(call_id, text),
            _ => Part::failure(call_id, text),
        });
    }

    /// Answers calls that have no result.
    fn close(&mut self, why: &str) {
        for call in std::mem::take(&mut self.open) {
            self.user(Part::failure(call, why));
        }
    }

    /// Drops the oldest exchanges until at most `max` bytes are left, at a place where a person or
    /// a run card speaks, and says so.
    pub fn cut_to(&mut self, max: usize) {
        let mut bytes = self.bytes();
        if bytes <= max {
            return;
        }
        let mut from = 0;
        for (at, message) in self.messages.iter().enumerate() {
            let begins = message.role == Role::User
                && message.parts.iter().any(|p| matches!(p, Part::Text { .. }));
            if begins && at > 0 {
                from = at;
                if bytes <= max {
                    break;
                }
            }
            bytes -= message.parts.iter().map(part_bytes).sum::<usize>();
        }
        if from > 0 {
            self.messages.drain(..from);
            // Results whose calls were left out would dangle.
            self.messages[0].parts.retain(|p| !matches!(p, Part::ToolResult { .. }));
            self.messages[0].parts.insert(
                0,
                Part::text("[Earlier parts of this conversation were left out; your files and the task hold what matters.]"),
            );
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::ToolResult { text, .. } => text.len(),
        Part::Thinking { text, signature } => {
            text.len() + signature.as_ref().map_or(0, String::len)
        }
        Part::RedactedThinking { data } => data.len(),
        Part::ToolCall { arguments, .. } => arguments.len() + 64,
        Part::Image { data, .. } => data.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::features::runs::model::{Body, CallStatus, EventKind};
    use crate::kernel::{Actor, Part as Of};
    use crate::providers::model::{Part, Role};

    fn input(text: &str) -> EventKind {
        EventKind::Input {
            input: None,
            text: Body::Inline(text.into()),
            by: Actor::System(Of::Engine),
            steered: false,
        }
    }

    fn assistant(parts: &[Part]) -> EventKind {
        EventKind::Assistant {
            call: 1,
            parts: Body::Inline(serde_json::to_string(parts).unwrap()),
            stop: "tool_use".into(),
            input_tokens: 0,
            output_tokens: 0,
            billed_micros: None,
            millis: 0,
        }
    }

    fn result(id: &str) -> EventKind {
        EventKind::ToolFinished {
            step: 1,
            call_id: id.into(),
            name: "read".into(),
            status: CallStatus::Ok,
            result: Body::Inline("text".into()),
            millis: 1,
            paths: Vec::new(),
            seq: None,
        }
    }

    #[test]
    fn every_call_has_a_result_before_the_next_message() {
        let mut history = History::default();
        history.push(&input("go"));
        history.push(&assistant(&[Part::call("a", "read", "{}"), Part::call("b", "read", "{}")]));
        history.push(&result("b"));
        history.push(&input("stop that"));
        let messages = history.messages();
        assert_eq!(messages.len(), 3);
        let kinds: Vec<bool> =
            messages[2].parts.iter().map(|p| matches!(p, Part::ToolResult { .. })).collect();
        assert_eq!(kinds, [true, true, false]);
    }

    #[test]
    fn a_result_for_an_unknown_call_is_left_out() {
        let mut history = History::default();
        history.push(&input("go"));
        history.push(&result("never-called"));
        assert_eq!(history.messages().len(), 1);
    }

    #[test]
    fn cutting_begins_where_somebody_speaks() {
        let mut history = History::default();
        for n in 0..20 {
            history.push(&input(&format!("{n} {}", "x".repeat(1000))));
            history.push(&assistant(&[Part::call(format!("c{n}"), "read", "{}")]));
            history.push(&result(&format!("c{n}")));
        }
        history.cut_to(5_000);
        let messages = history.messages();
        assert!(history.bytes() < 7_000);
        assert_eq!(messages[0].role, Role::User);
        assert!(messages[0].parts.iter().all(|p| matches!(p, Part::Text { .. })));
    }
}
