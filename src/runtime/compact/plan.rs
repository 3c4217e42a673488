//! Which part of a conversation is summarised, and which part stays.
//!
//! A cut never separates a call from its result: a response of the model and its results form one group, and groups
//! stay whole.

use std::collections::HashSet;

use crate::history::{People, tokens_of, tokens_of_file};
use features::runs::model::{Attachment, CallStatus, EventKind, SessionEvent};
use kernel::RunId;
use providers::model::Part;

/// Number of the newest responses that stay, if they fit.
const TURNS: usize = 3;
/// Placeholder for a picture in a summary.
const PICTURE: &str = "[a picture]";

/// How much of the conversation stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Tokens of the newest part.
    pub tokens: u64,
    /// Most tokens that the newest responses may have together.
    pub most: u64,
    /// Minimum tokens worth summarising.
    pub worth: u64,
    /// Ratio of the provider's token count to the estimate, in thousandths.
    pub scale: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    Person,
    Agent,
    /// A tool call of the agent.
    Call,
    /// The result of a tool.
    Tool,
    /// HQ, or an earlier run.
    Hq,
}

/// One message, call or result.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub who: Speaker,
    pub text: String,
    /// The agent's final answer to a request.
    pub answers: bool,
    /// Number of responses after it in the removed part.
    pub age: usize,
}

/// The part of the conversation to summarise.
#[derive(Debug)]
pub(super) struct Plan {
    /// The first event that stays.
    pub first_kept: u32,
    pub pieces: Vec<Piece>,
    /// The card of the present run, if it is in the removed part.
    pub card: Option<String>,
}

struct Group {
    /// The index of its first event.
    at: usize,
    tokens: u64,
    /// The group is a response with the results of its calls.
    answer: bool,
}

impl Plan {
    /// Returns `None` if too little would be removed.
    pub(super) fn of(
        events: &[SessionEvent],
        run: RunId,
        keep: Keep,
        people: &People,
    ) -> Option<Self> {
        let mut groups = groups(events);
        groups.iter_mut().for_each(|group| group.tokens = group.tokens * keep.scale / 1_000);
        let first = first_kept(&groups, keep);
        let gone: u64 = groups[..first].iter().map(|group| group.tokens).sum();
        if first == 0 || gone < keep.worth {
            return None;
        }
        let end = groups[first].at;
        let (mut pieces, mut card) = (Vec::new(), None);
        for event in &events[..end] {
            tell(event, (run, people), &mut pieces, &mut card);
        }
        let mut age = 0;
        for piece in pieces.iter_mut().rev() {
            piece.age = age;
            age += usize::from(piece.who == Speaker::Agent);
        }
        Some(Self { first_kept: events[end].n, pieces, card })
    }

    /// All texts, for masking secrets.
    pub(super) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        self.pieces.iter_mut().map(|piece| &mut piece.text).chain(&mut self.card)
    }
}

/// The index of the first group that stays.
fn first_kept(groups: &[Group], keep: Keep) -> usize {
    let (mut tokens, mut answers) = (0, 0);
    for (at, group) in groups.iter().enumerate().rev() {
        tokens += group.tokens;
        answers += usize::from(group.answer);
        let newest = answers <= TURNS && tokens <= keep.most;
        if at + 1 < groups.len() && keep.tokens < tokens && !newest {
            return with_question(groups, at + 1, tokens - group.tokens, keep.most);
        }
    }
    0
}

/// Keeps a response together with its question, if that fits.
fn with_question(groups: &[Group], mut first: usize, mut tokens: u64, most: u64) -> usize {
    while groups[first].answer && 0 < first && !groups[first - 1].answer {
        tokens += groups[first - 1].tokens;
        if most < tokens {
            break;
        }
        first -= 1;
    }
    first
}

fn groups(events: &[SessionEvent]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: HashSet<String> = HashSet::new();
    for (at, event) in events.iter().enumerate() {
        let (tokens, begins, answer) = match &event.kind {
            EventKind::Input { text, .. } => (tokens_of(text.head().len()), open.is_empty(), false),
            EventKind::Notice { text } => (tokens_of(text.len()), false, false),
            EventKind::Attached { files, .. } => {
                (files.iter().map(tokens_of_file).sum(), false, false)
            }
            EventKind::Assistant { parts, .. } => {
                let answer = parts_of(parts.head());
                open = answer.iter().filter_map(call_id).collect();
                (tokens_of(parts.head().len()), true, true)
            }
            EventKind::ToolFinished { call_id, result, .. } => {
                open.remove(call_id);
                (tokens_of(result.head().len()), false, false)
            }
            // Calls that were open when a run ended get no result any more.
            EventKind::RunEnded { .. } => {
                open.clear();
                (0, false, false)
            }
            _ => (0, false, false),
        };
        match groups.last_mut() {
            Some(group) if !begins => group.tokens += tokens,
            _ => groups.push(Group { at, tokens, answer }),
        }
    }
    groups
}

fn parts_of(json: &str) -> Vec<Part> {
    // ok: parts that this version cannot read are skipped.
    serde_json::from_str(json).unwrap_or_default()
}

fn call_id(part: &Part) -> Option<String> {
    match part {
        Part::ToolCall { id, .. } => Some(id.clone()),
        _ => None,
    }
}

fn tell(
    event: &SessionEvent,
    (run, people): (RunId, &People),
    pieces: &mut Vec<Piece>,
    card: &mut Option<String>,
) {
    let mut say = |who: Speaker, text: &str| {
        pieces.push(Piece { who, text: text.to_owned(), answers: false, age: 0 });
    };
    match &event.kind {
        EventKind::Input { input: None, text, .. } if event.run == Some(run) => {
            *card = Some(text.head().to_owned());
        }
        EventKind::Input { input, text, by, .. } => {
            let person = input.is_some() && by.account().is_some();
            let who = if person { Speaker::Person } else { Speaker::Hq };
            say(who, &people.attribute(*by, text.head()));
        }
        EventKind::Notice { text } => say(Speaker::Hq, text),
        EventKind::Assistant { parts, .. } => {
            let answer = parts_of(parts.head());
            let calls = answer.iter().any(|part| matches!(part, Part::ToolCall { .. }));
            for part in answer {
                match part {
                    Part::Text { text } if !text.trim().is_empty() => {
                        let who = Speaker::Agent;
                        pieces.push(Piece { who, text, answers: !calls, age: 0 });
                    }
                    Part::ToolCall { name, arguments, .. } => {
                        let text = format!("{name} {arguments}");
                        let who = Speaker::Call;
                        pieces.push(Piece { who, text, answers: false, age: 0 });
                    }
                    _ => {}
                }
            }
        }
        EventKind::ToolFinished { name, status, result, .. } => {
            let how = match status {
                CallStatus::Ok => "",
                CallStatus::Error => " failed",
                CallStatus::Timeout => " took too long",
                CallStatus::Stopped => " was stopped",
                CallStatus::Skipped => " was skipped",
                CallStatus::Unknown => " was cut off",
            };
            say(Speaker::Tool, &format!("{name}{how}: {}", result.head()));
        }
        EventKind::Picture { .. } => say(Speaker::Tool, PICTURE),
        EventKind::Attached { files, .. } => say(Speaker::Person, &Attachment::in_words(files)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Keep, People, Plan, Speaker};
    use features::runs::model::{Body, CallStatus, EventKind, SessionEvent};
    use kernel::{AccountId, Actor, InputId, RunId, SessionId, TypedId, Via};
    use providers::model::Part;

    const RUN: [u8; 16] = [8; 16];

    fn event(n: u32, kind: EventKind) -> SessionEvent {
        let (session, run) = (SessionId::from_bytes([1; 16]), Some(RunId::from_bytes(RUN)));
        SessionEvent { session, n, run, at: kernel::time::from_ms(0), kind }
    }

    fn message(n: u32, text: &str) -> SessionEvent {
        let account = AccountId::from_bytes([3; 16]);
        let by = Actor::Person { account, via: Via::Socket { uid: 0 } };
        let input = Some(InputId::from_bytes([4; 16]));
        event(n, EventKind::Input { input, text: Body::Inline(text.into()), by, steered: false })
    }

    fn answer(n: u32, parts: &[Part]) -> SessionEvent {
        let parts = Body::Inline(serde_json::to_string(parts).unwrap());
        let kind = EventKind::Assistant {
            call: n,
            parts,
            stop: "end".into(),
            input_tokens: 0,
            output_tokens: 0,
            billed_micros: None,
            millis: 0,
        };
        event(n, kind)
    }

    fn result(n: u32, id: &str, text: &str) -> SessionEvent {
        let kind = EventKind::ToolFinished {
            step: n,
            call_id: id.into(),
            name: "read".into(),
            status: CallStatus::Ok,
            result: Body::Inline(text.into()),
            millis: 0,
            paths: Vec::new(),
            seq: None,
        };
        event(n, kind)
    }

    fn long() -> String {
        "word ".repeat(400)
    }

    /// Questions, each with a call, its result and an answer.
    fn talk(count: u32) -> Vec<SessionEvent> {
        let mut events = Vec::new();
        for n in 0..count {
            let id = format!("c{n}");
            events.push(message(4 * n, &format!("question {n} {}", long())));
            events.push(answer(4 * n + 1, &[Part::call(&id, "read", "{}")]));
            events.push(result(4 * n + 2, &id, &long()));
            events.push(answer(4 * n + 3, &[Part::text(format!("answer {n}"))]));
        }
        events
    }

    #[test]
    fn the_newest_part_stays_and_a_call_keeps_its_result() {
        let events = talk(10);
        let run = RunId::from_bytes(RUN);
        for tokens in (200..6_000).step_by(100) {
            let keep = Keep { tokens, most: 2_000, worth: 100, scale: 1_000 };
            let Some(plan) = Plan::of(&events, run, keep, &People::default()) else { continue };
            let first = events.iter().find(|e| e.n == plan.first_kept).unwrap();
            let begins =
                matches!(first.kind, EventKind::Input { .. } | EventKind::Assistant { .. });
            assert!(begins, "{tokens}: {:?}", first.kind);
            let calls = plan.pieces.iter().filter(|p| p.who == Speaker::Call).count();
            let results = plan.pieces.iter().filter(|p| p.who == Speaker::Tool).count();
            assert_eq!(calls, results, "{tokens}");
        }
    }

    #[test]
    fn three_answers_stay_even_when_they_are_long() {
        let events = talk(10);
        let run = RunId::from_bytes(RUN);
        let keep = Keep { tokens: 10, most: 50_000, worth: 100, scale: 1_000 };
        let plan = Plan::of(&events, run, keep, &People::default()).unwrap();
        let kept = events.iter().filter(|event| plan.first_kept <= event.n);
        let answers = kept.filter(|e| matches!(e.kind, EventKind::Assistant { .. })).count();
        assert_eq!(answers, 3);
    }

    #[test]
    fn who_said_what_is_kept_where_several_speak() {
        let names = [(AccountId::from_bytes([3; 16]), "Jonas".to_owned())].into_iter().collect();
        let people = People { owner: Some(AccountId::from_bytes([5; 16])), names };
        let run = RunId::from_bytes(RUN);
        let keep = Keep { tokens: 10, most: 50_000, worth: 100, scale: 1_000 };
        let plan = Plan::of(&talk(10), run, keep, &people).unwrap();
        let spoken: Vec<_> = plan.pieces.iter().filter(|p| p.who == Speaker::Person).collect();
        assert!(!spoken.is_empty() && spoken.iter().all(|p| p.text.starts_with("Jonas says: ")));
    }

    #[test]
    fn a_short_conversation_is_left_alone() {
        let events = talk(2);
        let keep = Keep { tokens: 20_000, most: 20_000, worth: 100, scale: 1_000 };
        assert!(Plan::of(&events, RunId::from_bytes(RUN), keep, &People::default()).is_none());
        assert!(Plan::of(&[], RunId::from_bytes(RUN), keep, &People::default()).is_none());
    }
}
