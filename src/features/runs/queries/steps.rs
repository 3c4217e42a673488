//! Folds the session events of a run into the ordered steps that people follow.
//!
//! A model response becomes one step for its thinking, one for its text and one per tool call. A tool result joins
//! its call. A step's key derives from its event number, so its address never changes.

use crate::runs::model::{
    Attachment, BROKEN_OFF, Body, CallStatus, Compaction, EventKind, FileMark, LeftOut, PromptPart,
    Run, SessionEvent,
};
use kernel::{Actor, InputId, Outcome, RunId, Thinking, Timestamp, WaitFor};
use providers::model::Part;
use store::{Read, StoreError};

/// Events read per chunk.
const CHUNK: u32 = 256;
/// Maximum number of events after the end of a run that are searched for late tool results.
const AFTER: u32 = 1_000;
/// Maximum number of events of one run that a page reads.
const MOST: usize = 4_000;

/// Usage of one model response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
    /// Cost in micro-dollars; `None` if the price is unknown.
    pub micros: Option<i64>,
    /// Amount reserved before the call, in micro-dollars: the maximum possible cost.
    pub held: i64,
    /// Duration of the model call in milliseconds.
    pub millis: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Requested by the model, not begun.
    Planned,
    Running,
    Ended(CallStatus),
}

/// A tool call with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Call id assigned by the provider.
    pub call_id: String,
    /// Number of the call in the run from 1; 0 until the call begins.
    pub step: u32,
    pub name: String,
    /// Arguments as the model wrote them.
    pub arguments: String,
    pub state: CallState,
    /// The result and the number of its event.
    pub result: Option<(Body, u32)>,
    /// Changed files.
    pub paths: Vec<String>,
    /// The planned file change.
    pub file: Option<FileMark>,
    /// Event numbers of the pictures that belong to the result.
    pub pictures: Vec<u32>,
}

impl ToolCall {
    /// A call that the model requested and that has not begun.
    fn planned(call_id: String, name: String, arguments: String) -> Self {
        Self {
            call_id,
            step: 0,
            name,
            arguments,
            state: CallState::Planned,
            result: None,
            paths: Vec::new(),
            file: None,
            pictures: Vec::new(),
        }
    }
}

/// Kind and content of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message or the run card.
    Input {
        /// `None` for the run card and for an answer given on a page.
        input: Option<InputId>,
        text: Body,
        by: Actor,
        /// Whether the message arrived while the run was working.
        steered: bool,
        /// Whether the message answers a question of the run.
        answers: bool,
        attached: Vec<Attachment>,
    },
    /// The run began or resumed.
    Began {
        /// Counts from 1.
        attempt: u32,
        model: String,
        thinking: Thinking,
        /// Size of the first request in bytes.
        bytes: u32,
    },
    /// Thinking of the model.
    Thought(String),
    /// Text of the model.
    Said(String),
    Tool(Box<ToolCall>),
    Failed {
        /// Number of the model call.
        call: u32,
        /// Error class.
        class: String,
        message: String,
        /// Time of the next attempt.
        retry_at: Option<Timestamp>,
    },
    /// A message from HQ to the model.
    Notice(String),
    Waiting {
        waits_for: WaitFor,
        /// One sentence.
        detail: String,
        /// Deadline of the wait.
        until: Option<Timestamp>,
    },
    /// HQ stopped in the middle of the run.
    Interrupted(String),
    Committed {
        commit: String,
        /// Number of committed files.
        files: u32,
    },
    Ended {
        outcome: Outcome,
        /// In the agent's words.
        summary: String,
    },
    /// Another model or key answers from here on.
    Switched {
        /// The model that is used now.
        to: String,
        why: String,
    },
    /// The prompt, before the first message.
    Prompted(Vec<PromptPart>),
    /// An owner or admin viewed this private conversation.
    Looked(Actor),
    /// A tool finished after its run had been ended or requeued without the result.
    Late(Box<ToolCall>),
    /// From here on, models read a summary instead of the earlier messages.
    Compacted(Box<(String, Compaction)>),
    /// The compaction failed; the conversation is unchanged.
    NotCompacted(String),
    /// Files that were not committed because they contain a key.
    LeftOut(Vec<LeftOut>),
    /// Content that a compaction would have lost, written to a memory file.
    Remembered {
        path: String,
        /// The lines written.
        lines: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Address within the run: `s-<key>` on the page.
    pub key: String,
    /// Event number in the session.
    pub event: u32,
    pub run: Option<RunId>,
    /// Time of the event: the end of a response, the start of a call.
    pub at: Timestamp,
    /// Duration in milliseconds.
    pub millis: Option<u64>,
    /// Usage of the response; only on its first step.
    pub spent: Option<Spent>,
    /// Set if a response is incomplete, for example "was stopped".
    pub cut: Option<&'static str>,
    pub what: What,
}

/// The steps of a run or of part of a session.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// In event order.
    pub all: Vec<Step>,
    /// The pending model call: its number and start time.
    pub asking: Option<(u32, Timestamp)>,
    /// Amount reserved for the pending or the last model call, in micro-dollars.
    pub held: i64,
    /// Whether the pending or the next model call writes a summary.
    pub compacting: bool,
    /// The model of the last call.
    pub model: Option<String>,
    /// Total usage of all responses.
    pub used: Spent,
}

impl Steps {
    /// Folds events in order. Step keys count from `first`. `whole` reads a body that is not inline.
    pub fn fold(
        first: u32,
        events: Vec<SessionEvent>,
        whole: &dyn Fn(&Body) -> Option<String>,
    ) -> Self {
        let mut steps = Self::default();
        for event in events {
            steps.push(event, first, whole);
        }
        steps
    }

    fn push(&mut self, event: SessionEvent, first: u32, whole: &dyn Fn(&Body) -> Option<String>) {
        let SessionEvent { n, run, at, kind, .. } = event;
        let key = (n.saturating_sub(first) + 1).to_string();
        let (millis, spent, cut) = (None, None, None);
        let step = |what: What| Step { key, event: n, run, at, millis, spent, cut, what };
        let what = match kind {
            EventKind::Input { input, text, by, steered } => {
                What::Input { input, text, by, steered, answers: false, attached: Vec::new() }
            }
            EventKind::Answered { input, text, by } => {
                What::Input { input, text, by, steered: true, answers: true, attached: Vec::new() }
            }
            EventKind::Attached { input, files } => return self.attach(input, files),
            EventKind::RunStarted { attempt, model, thinking, request_bytes: bytes } => {
                What::Began { attempt, model, thinking, bytes }
            }
            EventKind::CallStarted { call, model, reserved_micros, .. } => {
                (self.asking, self.held) = (Some((call, at)), reserved_micros);
                self.model = Some(model);
                return;
            }
            EventKind::CallFailed { call, class, message, retry_at } => {
                self.asking = None;
                What::Failed { call, class, message, retry_at }
            }
            EventKind::Assistant {
                parts,
                input_tokens,
                output_tokens,
                billed_micros,
                millis,
                stop,
                ..
            } => {
                self.asking = None;
                let spent = Spent {
                    input: input_tokens,
                    output: output_tokens,
                    micros: billed_micros,
                    held: self.held,
                    millis,
                };
                let like = Step { cut: cut_off(&stop), ..step(What::Notice(String::new())) };
                self.answer(&like, parts_in(&parts, whole));
                self.book(n, spent);
                return;
            }
            EventKind::ToolStarted { step: number, call_id, name, file } => {
                return begun(self.call(&call_id, &name, step), number, at, file);
            }
            EventKind::FilesStarted { step: number, call_id, name, .. } => {
                return begun(self.call(&call_id, &name, step), number, at, None);
            }
            // The tool results already show these files.
            EventKind::FilesSeen { .. } => return,
            EventKind::Picture { call_id, .. } => return self.picture(&call_id, n),
            EventKind::ToolFinished { call_id, name, status, result, millis, paths, .. } => {
                let call = self.call(&call_id, &name, step);
                call.millis = Some(millis);
                if let What::Tool(tool) = &mut call.what {
                    tool.state = CallState::Ended(status);
                    (tool.result, tool.paths) = (Some((result, n)), paths);
                }
                return;
            }
            EventKind::Notice { text } => What::Notice(text),
            EventKind::Waiting { waits_for, detail, until } => {
                What::Waiting { waits_for, detail, until }
            }
            EventKind::Interrupted { what } => {
                (self.asking, self.compacting) = (None, false);
                What::Interrupted(what)
            }
            EventKind::Committed { commit, files } => What::Committed { commit, files },
            EventKind::RunEnded { outcome, summary } => {
                (self.asking, self.compacting) = (None, false);
                What::Ended { outcome, summary }
            }
            EventKind::ModelSwitched { to, why, .. } => What::Switched { to, why },
            EventKind::Remembered { path, lines } => What::Remembered { path, lines },
            EventKind::LeftOut { files } => What::LeftOut(files),
            EventKind::Prompted { parts } => What::Prompted(parts),
            EventKind::Looked { by } => What::Looked(by),
            EventKind::Late { call_id, name, status, result, paths, .. } => {
                let call = ToolCall { paths, ..self.late(call_id, name) };
                let (state, result) = (CallState::Ended(status), Some((result, n)));
                What::Late(Box::new(ToolCall { state, result, ..call }))
            }
            EventKind::CompactionStarted { .. } => {
                self.compacting = true;
                return;
            }
            EventKind::Compacted { summary, how } => {
                return self.compacted(step(What::Compacted(Box::new((summary, how)))));
            }
            EventKind::CompactionFailed { why } => {
                (self.asking, self.compacting) = (None, false);
                What::NotCompacted(why)
            }
        };
        self.all.push(step(what));
    }

    /// Adds files to the step of their message.
    fn attach(&mut self, of: InputId, files: Vec<Attachment>) {
        let slot = self.all.iter_mut().rev().find_map(|step| match &mut step.what {
            What::Input { input: Some(input), attached, .. } if *input == of => Some(attached),
            _ => None,
        });
        if let Some(attached) = slot {
            *attached = files;
        }
    }

    /// Adds a picture to the call that it belongs to.
    fn picture(&mut self, of: &str, event: u32) {
        let call = self.all.iter_mut().rev().find_map(|step| match &mut step.what {
            What::Tool(call) if call.call_id == of => Some(call),
            _ => None,
        });
        if let Some(call) = call {
            call.pictures.push(event);
        }
    }

    /// Adds a summary. Its tokens and time are booked like those of a response.
    fn compacted(&mut self, step: Step) {
        (self.asking, self.compacting) = (None, false);
        let What::Compacted(made) = &step.what else { return };
        let Compaction { input_tokens, output_tokens, billed_micros, millis, .. } = made.1;
        let spent = Spent {
            input: input_tokens,
            output: output_tokens,
            micros: billed_micros,
            held: self.held,
            millis,
        };
        let event = step.event;
        self.all.push(step);
        self.book(event, spent);
    }

    /// Adds one step for each non-empty part of a response.
    fn answer(&mut self, like: &Step, parts: Vec<Part>) {
        let mut count = 0;
        for part in parts {
            let what = match part {
                Part::Thinking { text, .. } if !text.trim().is_empty() => What::Thought(text),
                Part::Text { text } if !text.trim().is_empty() => What::Said(text),
                Part::ToolCall { id, name, arguments } => {
                    What::Tool(Box::new(ToolCall::planned(id, name, arguments)))
                }
                _ => continue,
            };
            count += 1;
            let key = match count {
                1 => like.key.clone(),
                _ => format!("{}-{count}", like.key),
            };
            self.all.push(Step { key, what, ..like.clone() });
        }
    }

    /// Books usage on the first step of the event's response. A tool step keeps its own duration.
    fn book(&mut self, event: u32, spent: Spent) {
        self.used.input += spent.input;
        self.used.output += spent.output;
        self.used.millis += spent.millis;
        if let Some(micros) = spent.micros {
            *self.used.micros.get_or_insert(0) += micros;
        }
        let Some(step) = self.all.iter_mut().find(|step| step.event == event) else { return };
        step.spent = Some(spent);
        if !matches!(step.what, What::Tool(_)) {
            step.millis = Some(spent.millis);
        }
    }

    /// Returns the open call with this id. Creates one if the request is outside the window.
    fn call(&mut self, call_id: &str, name: &str, step: impl FnOnce(What) -> Step) -> &mut Step {
        let open = |step: &Step| match &step.what {
            What::Tool(tool) => {
                tool.call_id == call_id && !matches!(tool.state, CallState::Ended(_))
            }
            _ => false,
        };
        let at = self.all.iter().rposition(open).unwrap_or_else(|| {
            let (call_id, name) = (call_id.to_owned(), name.to_owned());
            let call = ToolCall::planned(call_id, name, String::new());
            self.all.push(step(What::Tool(Box::new(call))));
            self.all.len() - 1
        });
        &mut self.all[at]
    }

    /// A late call, with its arguments if the request is known.
    fn late(&self, call_id: String, name: String) -> ToolCall {
        let given = |step: &Step| match &step.what {
            What::Tool(call) if call.call_id == call_id => Some(call.arguments.clone()),
            _ => None,
        };
        let arguments = self.all.iter().rev().find_map(given).unwrap_or_default();
        ToolCall::planned(call_id, name, arguments)
    }
}

/// The parts of a response; empty if the body cannot be read or parsed.
fn parts_in(body: &Body, whole: &dyn Fn(&Body) -> Option<String>) -> Vec<Part> {
    let text = match body {
        Body::Inline(text) => Some(text.clone()),
        Body::Blob { .. } => whole(body),
    };
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The events of a run, oldest first, up to a limit, plus late results.
pub fn events_of(tx: &dyn Read, run: &Run) -> Result<Vec<SessionEvent>, StoreError> {
    let mut out = Vec::new();
    let mut from = run.first_event;
    while out.len() < MOST {
        let chunk = super::events(tx, run.session, from, from.saturating_add(CHUNK))?;
        let more = u32::try_from(chunk.len()).unwrap_or(0) == CHUNK;
        for event in chunk.into_iter().filter(|event| event.run == Some(run.id)) {
            let over = matches!(event.kind, EventKind::RunEnded { .. });
            out.push(event);
            if over {
                add_late(tx, run, &mut out)?;
                return Ok(out);
            }
        }
        if !more {
            break;
        }
        from += CHUNK;
    }
    Ok(out)
}

/// Adds tool results that arrived after the end. A run with outcome `Done` waited for all its tools.
fn add_late(tx: &dyn Read, run: &Run, out: &mut Vec<SessionEvent>) -> Result<(), StoreError> {
    let end = out.last().map(|event| event.n + 1);
    let Some(from) = end.filter(|_| run.outcome != Some(Outcome::Done)) else { return Ok(()) };
    let after = super::events(tx, run.session, from, from.saturating_add(AFTER))?;
    out.extend(
        after.into_iter().filter(|event| {
            event.run == Some(run.id) && matches!(event.kind, EventKind::Late { .. })
        }),
    );
    Ok(())
}

/// Describes why a response is incomplete, from its stored stop reason.
fn cut_off(stop: &str) -> Option<&'static str> {
    match stop {
        "stopped" => Some("was stopped"),
        BROKEN_OFF => Some("was cut off"),
        _ => None,
    }
}

/// Marks a call as running since `at`.
fn begun(call: &mut Step, step: u32, at: Timestamp, file: Option<FileMark>) {
    if let What::Tool(tool) = &mut call.what {
        (tool.state, tool.step, tool.file) = (CallState::Running, step, file);
    }
    call.at = at;
}

#[cfg(test)]
mod tests {
    use super::{CallState, Steps, What};
    use crate::runs::model::{Body, CallStatus, EventKind, SessionEvent};
    use kernel::{RunId, SessionId, TypedId};
    use providers::model::Part;

    fn event(n: u32, kind: EventKind) -> SessionEvent {
        let at = kernel::time::from_ms(1_700_000_000_000 + i64::from(n));
        let (session, run) = (SessionId::from_bytes([1; 16]), RunId::from_bytes([2; 16]));
        SessionEvent { session, n, run: Some(run), at, kind }
    }

    fn assistant(parts: &[Part]) -> EventKind {
        EventKind::Assistant {
            call: 1,
            parts: Body::Inline(serde_json::to_string(parts).unwrap()),
            stop: "tool_use".into(),
            input_tokens: 10,
            output_tokens: 5,
            billed_micros: Some(7),
            millis: 40,
        }
    }

    fn finished(call: &str, text: &str) -> EventKind {
        EventKind::ToolFinished {
            step: 1,
            call_id: call.into(),
            name: "read".into(),
            status: CallStatus::Ok,
            result: Body::Inline(text.into()),
            millis: 3,
            paths: Vec::new(),
            seq: None,
        }
    }

    #[test]
    fn an_answer_becomes_steps_and_results_join_their_calls() {
        let parts = [
            Part::Thinking { text: "hm".into(), signature: None },
            Part::text("I look."),
            Part::call("a", "read", "{\"path\":\"x\"}"),
            Part::call("b", "read", "{\"path\":\"y\"}"),
        ];
        let events = vec![
            event(40, assistant(&parts)),
            event(41, finished("b", "second")),
            event(42, finished("a", "first")),
        ];
        let steps = Steps::fold(40, events, &|_| None);
        let keys: Vec<_> = steps.all.iter().map(|s| s.key.as_str()).collect();
        assert_eq!(keys, ["1", "1-2", "1-3", "1-4"]);
        assert_eq!(steps.all[0].millis, Some(40));
        assert!(steps.all[1].spent.is_none(), "an answer is counted once");
        assert_eq!((steps.used.input, steps.used.output, steps.used.micros), (10, 5, Some(7)));
        let What::Tool(tool) = &steps.all[2].what else { panic!("a call") };
        assert_eq!(tool.state, CallState::Ended(CallStatus::Ok));
        assert_eq!(tool.result.as_ref().unwrap().0.head(), "first");
        assert_eq!(tool.result.as_ref().unwrap().1, 42);
    }

    #[test]
    fn a_result_without_its_question_is_shown_too() {
        let steps = Steps::fold(0, vec![event(7, finished("z", "late"))], &|_| None);
        assert_eq!(steps.all.len(), 1);
        assert!(matches!(&steps.all[0].what, What::Tool(tool) if tool.name == "read"));
    }

    #[test]
    fn a_call_that_has_not_answered_is_known() {
        let started = EventKind::CallStarted {
            call: 3,
            provider: "practice".into(),
            model: "practice".into(),
            reserved_micros: 160_000,
        };
        let steps = Steps::fold(0, vec![event(1, started)], &|_| None);
        assert_eq!((steps.asking.map(|(call, _)| call), steps.held), (Some(3), 160_000));
        assert_eq!(steps.model.as_deref(), Some("practice"));
    }

    #[test]
    fn an_answer_that_was_stopped_says_so() {
        let note_of = |stop: &str| {
            let mut kind = assistant(&[Part::text("Half of")]);
            if let EventKind::Assistant { stop: how, .. } = &mut kind {
                *how = stop.to_owned();
            }
            Steps::fold(0, vec![event(1, kind)], &|_| None).all[0].cut
        };
        assert_eq!(note_of("stopped"), Some("was stopped"));
        assert_eq!(note_of("broken_off"), Some("was cut off"));
        assert_eq!(note_of("end"), None);
    }
}
