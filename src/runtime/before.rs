//! State of a run from before it was interrupted: the calls of the loop guard, and the limit of which the model was
//! notified. Both are read from the run's events, so that a resumed run is neither warned again nor given fresh limits.

use std::collections::HashMap;

use features::runs::model::{CallStatus, EventKind, SessionEvent};
use providers::model::Part;
use tool::registry::Entry;
use tool::{AnyTool, Effect, Toolset};

use super::client::Client;
use super::ending::LimitReached;
use super::guard::{BLOCKED, Guard, Seen, without_warning};
use super::toolbox::Call;

/// State of a run from before an interruption.
#[derive(Default)]
pub(super) struct Before {
    /// The loop guard.
    pub guard: Guard,
    /// The last limit of which the model was notified.
    pub notified_limit: Option<&'static str>,
}

impl Before {
    /// Reads the state from the events of a run, oldest first.
    pub(super) fn of<'e>(
        events: impl Iterator<Item = &'e SessionEvent>,
        tools: &Toolset,
        client: Option<&Client>,
    ) -> Self {
        let (mut before, mut open) = (Self::default(), HashMap::new());
        for event in events {
            match &event.kind {
                EventKind::Assistant { parts, .. } => {
                    // ok: an unreadable response has no calls.
                    let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
                    let calls = parts.iter().filter_map(|part| match part {
                        Part::ToolCall { id, name, arguments } => {
                            Some(Call::of((id, name, arguments)))
                        }
                        _ => None,
                    });
                    let ours = |call: &Call| !client.is_some_and(|client| client.has(&call.name));
                    open = calls.filter(ours).map(|call| (call.id.clone(), call)).collect();
                }
                EventKind::ToolFinished { call_id, status, result, .. } => {
                    if let Some(call) = open.remove(call_id) {
                        before.made(&call, *status, result.head(), tools.get(&call.name));
                    }
                }
                EventKind::Notice { text } => {
                    before.notified_limit = LimitReached::named_in(text).or(before.notified_limit);
                }
                _ => {}
            }
        }
        before
    }

    /// Replays a call and its result to the guard.
    fn made(&mut self, call: &Call, status: CallStatus, text: &str, entry: Option<&Entry>) {
        if status == CallStatus::Skipped {
            return;
        }
        self.guard.before(&call.name, &call.arguments);
        if matches!(status, CallStatus::Ok | CallStatus::Error) && text != BLOCKED {
            let is_error = status == CallStatus::Error;
            let seen = Seen {
                text: without_warning(text),
                is_error,
                unknown: entry.is_none(),
                changes: entry.is_some_and(changes),
            };
            self.guard.after(&call.name, &call.arguments, &seen);
        }
    }

    /// A run that was notified of a loop has one more call, as before.
    pub(super) fn wrap_up(&self) -> Option<LimitReached> {
        let limit = self.notified_limit.filter(|which| *which == "loop").map(LimitReached::new);
        limit.map(|limit| limit.notified_before(self.notified_limit))
    }
}

/// Returns `true` if a tool makes a lasting change.
pub(super) fn changes(entry: &Entry) -> bool {
    !matches!(entry.tool, AnyTool::Read(_)) && entry.spec.effect != Effect::Control
}

#[cfg(test)]
mod tests {
    use super::Before;
    use crate::ending::LimitReached;
    use crate::guard::Advice;
    use features::runs::model::{Body, CallStatus, EventKind, SessionEvent};
    use providers::model::Part;
    use store::Record;
    use tool::Toolset;

    fn event(kind: EventKind) -> SessionEvent {
        SessionEvent { kind, ..SessionEvent::sample() }
    }

    fn made(id: &str, text: &str) -> [SessionEvent; 2] {
        let call = Part::call(id, "read", r#"{"path":"a"}"#);
        let answer = EventKind::Assistant {
            call: 1,
            parts: Body::Inline(serde_json::to_string(&[call]).unwrap()),
            stop: "tool_use".into(),
            input_tokens: 0,
            output_tokens: 0,
            billed_micros: None,
            millis: 0,
        };
        let result = EventKind::ToolFinished {
            step: 1,
            call_id: id.into(),
            name: "read".into(),
            status: CallStatus::Error,
            result: Body::Inline(text.into()),
            millis: 1,
            paths: Vec::new(),
            seq: None,
        };
        [event(answer), event(result)]
    }

    #[test]
    fn calls_that_were_made_before_count_on() {
        let results = [
            "Error(x): no",
            "Error(x): no\n[You made this same call before, and nothing has changed since.]",
        ];
        let events: Vec<_> =
            results.iter().zip(["a", "b"]).flat_map(|(text, id)| made(id, text)).collect();
        let of = |events: &[SessionEvent]| Before::of(events.iter(), &Toolset::default(), None);
        let same = |before: &mut Before| before.guard.before("read", r#"{ "path": "a" }"#);
        assert_eq!(same(&mut of(&events[..2])), Advice::Go);
        assert_eq!(same(&mut of(&events)), Advice::Block, "the third with one result");
        assert_eq!(of(&events).notified_limit, None);
    }

    #[test]
    fn a_limit_that_was_told_is_not_told_anew() {
        let notice = |which| LimitReached::new(which).notice().unwrap();
        let events =
            ["calls", "loop"].map(|which| event(EventKind::Notice { text: notice(which) }));
        let of = |events: &[SessionEvent]| Before::of(events.iter(), &Toolset::default(), None);
        let calls = of(&events[..1]);
        assert_eq!((calls.notified_limit, calls.wrap_up().is_none()), (Some("calls"), true));
        assert_eq!(LimitReached::new("calls").notified_before(calls.notified_limit).notice(), None);
        assert!(LimitReached::new("time").notified_before(calls.notified_limit).notice().is_some());
        let mut circles = of(&events).wrap_up().expect("it ends");
        assert_eq!((circles.which, circles.notice()), ("loop", None));
    }
}
