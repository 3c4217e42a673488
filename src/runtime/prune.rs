//! Pruning of old tool results: first the middle of long ones is removed, then everything but a reference. The results
//! stay in the session, and the model is told how to read one again.
//!
//! Nothing changes while the provider has the prompt in its cache, unless the savings clearly exceed the cost of
//! caching it anew. The decision is stored with the session, so that the next run sends the same bytes.

use jiff::SignedDuration;

use features::runs::model::{Context, EventKind, SessionEvent};
use kernel::Timestamp;
use kernel::text::cut;

use super::EngineError;
use super::command::orders::Pruned;
use super::context::Shown;
use super::port::Port;
use super::turn::Turn;

/// How long providers cache a prompt.
const CACHED: SignedDuration = SignedDuration::from_mins(5);
/// No pruning below this share of the context window, in percent.
const SOME: u64 = 30;
/// From this share on whole results are removed, whether cached or not, in percent.
const MUCH: u64 = 50;
/// Shorter results stay as they are, in bytes.
const LONG: usize = 4_000;
/// Bytes that stay at each end of a longer one.
const ENDS: usize = 1_500;
/// Whole results are removed only if this many bytes can be.
const WORTH_CLEARING: usize = 50_000;
/// Minimum savings while the prompt is cached, in percent of the window.
const WORTH: u64 = 10;
/// The results of this many newest responses stay.
const TURNS: usize = 3;

/// How much of a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Whole,
    Trimmed,
    Cleared,
}

impl Level {
    /// The level of the result in event `n`.
    pub(super) fn of(context: &Context, n: u32) -> Self {
        if n < context.cleared {
            Self::Cleared
        } else if n < context.trimmed {
            Self::Trimmed
        } else {
            Self::Whole
        }
    }

    /// The replacement of a result; `None` if it is shown whole.
    pub(super) fn short(self, name: &str, text: &str) -> Option<String> {
        let cleared = format!("[Old result cleared; read it again with path \"{name}\"]");
        match self {
            Self::Whole => None,
            Self::Cleared if text.len() <= cleared.len() => None,
            Self::Cleared => Some(cleared),
            Self::Trimmed if text.len() <= LONG => None,
            Self::Trimmed => {
                let head = cut(text, ENDS);
                let mut from = text.len() - ENDS;
                while !text.is_char_boundary(from) {
                    from += 1;
                }
                let gone = from - head.len();
                let tail = &text[from..];
                Some(format!("{head}\n[… {gone} bytes; read all with path \"{name}\" …]\n{tail}"))
            }
        }
    }

    fn bytes(self, text: &str) -> usize {
        self.short("result:00000.000", text).map_or(text.len(), |short| short.len())
    }
}

/// The events before which results are shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    trimmed: u32,
    cleared: u32,
}

/// How full the context window is.
#[derive(Clone, Copy, Debug)]
struct Fill {
    used: u64,
    window: u64,
    /// The provider's cache has expired.
    cold: bool,
}

impl Fill {
    fn is_above(self, percent: u64) -> bool {
        self.window * percent / 100 <= self.used
    }
}

/// Computes what to shorten; `None` if it is not worth it.
fn plan(events: &[SessionEvent], context: &Context, fill: Fill) -> Option<Plan> {
    if !fill.is_above(SOME) {
        return None;
    }
    let answers = events.iter().filter(|e| matches!(e.kind, EventKind::Assistant { .. }));
    let edge = answers.rev().nth(TURNS - 1)?.n;
    let results = || {
        events.iter().filter(|event| event.n < edge).filter_map(|event| match &event.kind {
            EventKind::ToolFinished { result, .. } => Some((event.n, result.head())),
            _ => None,
        })
    };
    let saved = |level: Level| -> usize {
        results()
            .map(|(n, text)| Level::of(context, n).bytes(text).saturating_sub(level.bytes(text)))
            .sum()
    };
    let trims = saved(Level::Trimmed);
    let left = fill.used.saturating_sub(super::history::tokens_of(trims));
    let after = Fill { used: left, ..fill };
    let can_clear: usize = results()
        .filter(|(n, _)| context.cleared <= *n)
        .map(|(_, text)| Level::Trimmed.bytes(text))
        .sum();
    let clears = after.is_above(MUCH) && WORTH_CLEARING <= can_clear;
    let all = if clears { saved(Level::Cleared) } else { trims };
    let worth = match fill.cold {
        true => 0 < all,
        false => fill.is_above(MUCH) && fill.window * WORTH / 100 <= super::history::tokens_of(all),
    };
    worth.then_some(Plan { trimmed: edge, cleared: if clears { edge } else { 0 } })
}

/// The time of the last response.
fn last_answer(events: &[SessionEvent]) -> Option<Timestamp> {
    let answers = events.iter().rev().filter(|e| matches!(e.kind, EventKind::Assistant { .. }));
    answers.map(|event| event.at).next()
}

impl Turn {
    /// Before a call: shortens old results if necessary.
    pub(super) async fn prune(&mut self) -> Result<(), EngineError> {
        // The next step reloads the run.
        if self.is_behind() {
            return Ok(());
        }
        let window = u64::from(self.chooser.chosen.known.window);
        let used = self.used();
        if used < self.talk.pruned_below || used < window * SOME / 100 {
            return Ok(());
        }
        // Check again after the conversation has grown by 2 %.
        self.talk.pruned_below = used + window / 50;
        let (session, run, ws) =
            (self.setting.session, self.talk.journal.run, self.talk.journal.ws.clone());
        let shown = ws.read(|snap| Shown::read(snap, session, run))?;
        let now = ws.app.clock.now();
        let cold = last_answer(&shown.events).is_none_or(|at| CACHED < now.duration_since(at));
        let Some(plan) = plan(&shown.events, &shown.context, Fill { used, window, cold }) else {
            return Ok(());
        };
        // Pruning is not worth waiting for the link.
        if ws.upstream.as_ref().is_some_and(|up| !up.is_linked()) {
            return Ok(());
        }
        let (actor, cause) = (self.talk.journal.actor(), self.talk.journal.cause());
        let pruned = Pruned { session, trimmed: plan.trimmed, cleared: plan.cleared };
        ws.order((actor, cause), pruned).await?;
        self.look_again()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fill, Level, Plan, plan};
    use features::runs::model::{Body, CallStatus, Context, EventKind, SessionEvent};
    use kernel::{SessionId, TypedId};

    fn event(n: u32, kind: EventKind) -> SessionEvent {
        let session = SessionId::from_bytes([1; 16]);
        SessionEvent { session, n, run: None, at: kernel::time::from_ms(0), kind }
    }

    /// Responses, each with a result of this many bytes.
    fn events(count: u32, bytes: usize) -> Vec<SessionEvent> {
        let mut all = Vec::new();
        for n in 0..count {
            all.push(event(
                2 * n,
                EventKind::Assistant {
                    call: n,
                    parts: Body::Inline("[]".into()),
                    stop: String::new(),
                    input_tokens: 0,
                    output_tokens: 0,
                    billed_micros: None,
                    millis: 0,
                },
            ));
            all.push(event(
                2 * n + 1,
                EventKind::ToolFinished {
                    step: n,
                    call_id: String::new(),
                    name: "read".into(),
                    status: CallStatus::Ok,
                    result: Body::Inline("x".repeat(bytes)),
                    millis: 0,
                    paths: Vec::new(),
                    seq: None,
                },
            ));
        }
        all
    }

    fn whole() -> Context {
        Context::whole(SessionId::from_bytes([1; 16]))
    }

    #[test]
    fn long_results_lose_their_middle_and_say_how_to_read_it() {
        let text = format!("{}{}{}", "a".repeat(2_000), "b".repeat(4_000), "c".repeat(2_000));
        let short = Level::Trimmed.short("result:7.3", &text).unwrap();
        assert!(short.len() < 3_200 && short.starts_with("aaa") && short.ends_with("ccc"));
        assert!(short.contains("result:7.3") && short.contains("5000 bytes"));
        assert_eq!(Level::Trimmed.short("result:7.3", "short"), None);
        let cleared = Level::Cleared.short("result:7.3", &text).unwrap();
        assert!(cleared.len() < 80 && cleared.contains("result:7.3"));
        let wide = "ä".repeat(3_000);
        assert!(Level::Trimmed.short("r", &wide).is_some());
    }

    #[test]
    fn nothing_goes_below_a_third_or_while_the_cache_is_warm() {
        let events = events(10, 10_000);
        let fill = |used, cold| Fill { used, window: 100_000, cold };
        assert_eq!(plan(&events, &whole(), fill(29_000, true)), None);
        assert_eq!(plan(&events, &whole(), fill(40_000, false)), None);
        // The newest three responses keep their results.
        let trimmed = Some(Plan { trimmed: 14, cleared: 0 });
        assert_eq!(plan(&events, &whole(), fill(40_000, true)), trimmed);
        assert_eq!(plan(&events, &whole(), fill(60_000, false)), trimmed);
    }

    #[test]
    fn whole_results_go_when_much_is_left() {
        let events = events(40, 3_000);
        let fill = Fill { used: 60_000, window: 100_000, cold: false };
        assert_eq!(plan(&events, &whole(), fill), Some(Plan { trimmed: 74, cleared: 74 }));
        let done = Context { trimmed: 74, cleared: 74, ..whole() };
        assert_eq!(plan(&events, &done, fill), None, "what is done is not done again");
    }
}
