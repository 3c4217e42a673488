//! Rows that a host sent after its run was taken away: as stored text and as steps.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use serde_json::Deserializer;

use super::doing::{doing, uncoded};
use super::steps::{CallState, Step, Steps, ToolCall, What};
use crate::runs::model::{Body, CallStatus, EventKind, Evidence, RUN_EVIDENCE, SessionEvent};
use kernel::key::KeyBuf;
use kernel::{RunId, SessionId, Timestamp, TypedId as _};
use providers::model::Part;
use store::{Range, Read, ReadExt, StoreError};

/// JSON tags with which the first part of a stored response can begin.
const PARTS: [&str; 7] =
    ["Text", "Thinking", "RedactedThinking", "ToolCall", "ToolResult", "Image", "Opaque"];
/// Notice for a response that was stored only in part.
const CUT: &str = "The rest of this answer was too long to save.";

/// Maximum number of rows read. The host alone decides how many rows it sends.
pub const MOST: usize = 200;

/// The rows of a run in the order in which they were written, and whether there are more than [`MOST`].
pub fn of_run(tx: &dyn Read, run: RunId) -> Result<(Vec<Evidence>, bool), StoreError> {
    let mut rows: Vec<Evidence> = tx.list(&Range::prefix(KeyBuf::of(&run)).limit(MOST + 1))?;
    let more = MOST < rows.len();
    rows.truncate(MOST);
    Ok((rows, more))
}

/// Whether a run has at least `many` rows.
pub fn has(tx: &dyn Read, run: RunId, many: usize) -> Result<bool, StoreError> {
    let mut count = 0;
    let range = Range::prefix(KeyBuf::of(&run)).limit(many);
    tx.raw_scan(RUN_EVIDENCE.number, &range, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(many <= count)
}

/// Indents the continuation lines of an event inside a row of several events, so that no line of foreign text can
/// pass for an event.
#[must_use]
pub fn kept(words: &str) -> String {
    words.replace('\n', "\n\t")
}

/// An item of late evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A normal step of the run.
    Step(Box<Step>),
    /// Anything that is not a step, as one sentence.
    Word(Timestamp, &'static str),
}

/// Folds rows into steps. `before` are the steps of the run itself; late results may answer their calls.
#[must_use]
pub fn steps(rows: &[Evidence], before: &[Step]) -> Vec<Came> {
    let mut reader = Reader { before: unanswered(before), ..Reader::default() };
    for row in rows {
        reader.row(row);
    }
    if let Some(at) = reader.requested_at {
        reader.word(at, "A model was called. Its answer hasn’t arrived.");
    }
    let Reader { events, words, .. } = reader;
    let word = |(n, at, text)| (n, Came::Word(at, text));
    let mut all: Vec<(u32, Came)> = words.into_iter().map(word).collect();
    for mut step in Steps::fold(0, events, &|_| None).all {
        // The rows hold neither duration nor usage.
        (step.key, step.millis, step.spent) = (format!("late-{}", step.key), None, None);
        if let What::Tool(call) = &mut step.what
            && call.state == CallState::Running
        {
            call.state = CallState::Ended(CallStatus::Unknown);
        }
        all.push((step.event, Came::Step(Box::new(step))));
    }
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, came)| came).collect()
}

/// One row as plain text.
#[must_use]
pub fn in_words(row: &Evidence) -> String {
    let words = |came: Came| match came {
        Came::Word(_, text) => text.to_owned(),
        Came::Step(step) => describe(&step.what),
    };
    let all: Vec<String> = steps(std::slice::from_ref(row), &[]).into_iter().map(words).collect();
    all.join("\n")
}

fn describe(what: &What) -> String {
    match what {
        What::Thought(text) | What::Said(text) | What::Notice(text) => text.clone(),
        What::Tool(call) => {
            let did = doing(call);
            let line = format!("{} {}", did.verb, did.what);
            let line = line.trim_end().trim_end_matches(':');
            match &call.result {
                Some((body, _)) => format!("{line}: {}", uncoded(body.head())),
                None => line.to_owned(),
            }
        }
        What::Failed { message, .. } => format!("A model call failed: {message}"),
        What::Switched { to, .. } => format!("Answered by {to}"),
        What::Ended { summary, .. } => summary.clone(),
        What::Interrupted(what) => what.clone(),
        What::Waiting { detail, .. } => detail.clone(),
        What::NotCompacted(why) => format!("The conversation was not compacted: {why}"),
        What::Compacted(_) => "The conversation was compacted.".to_owned(),
        What::Remembered { path, .. } => format!("Wrote to {path}"),
        What::Committed { .. } => "Committed files.".to_owned(),
        _ => String::new(),
    }
}

/// Calls without a reliable result.
fn unanswered(before: &[Step]) -> VecDeque<ToolCall> {
    let open = |step: &Step| match &step.what {
        What::Tool(call)
            if !matches!(
                call.state,
                CallState::Ended(CallStatus::Ok | CallStatus::Error | CallStatus::Skipped)
            ) =>
        {
            Some((**call).clone())
        }
        _ => None,
    };
    before.iter().filter_map(open).collect()
}

/// Parses rows back into events.
#[derive(Default)]
struct Reader {
    /// Unanswered calls of the run itself.
    before: VecDeque<ToolCall>,
    /// Unanswered calls in the rows, as (id, tool).
    open: Vec<(String, String)>,
    events: Vec<SessionEvent>,
    words: Vec<(u32, Timestamp, &'static str)>,
    /// Start of a model call whose response was not read yet.
    requested_at: Option<Timestamp>,
    /// Number of events and sentences so far.
    n: u32,
}

impl Reader {
    fn row(&mut self, row: &Evidence) {
        let is_silent = row.text.is_empty();
        self.requested_at = None;
        let word = match row.kind.as_str() {
            "call_begun" | "question_begun" | "review_begun" => {
                self.requested_at = Some(row.at);
                ""
            }
            "call_paid" if is_silent => "A model answered.",
            "not_kept" if is_silent => "A model answered, but its answer wasn’t saved.",
            "review_booked" => "The reviewer call ended.",
            "call_failed" => "A model call failed.",
            "held" => "It waited for a model.",
            "stopped" => "It was stopped there.",
            _ => "",
        };
        if !word.is_empty() {
            self.word(row.at, word);
        }
        let mut piece = Piece::None;
        for line in row.text.split('\n').filter(|_| !is_silent) {
            piece = self.line(row, line, piece);
        }
        self.close(row, piece);
    }

    /// Parses a line that begins an item or continues the current one.
    fn line(&mut self, row: &Evidence, line: &str, piece: Piece) -> Piece {
        let line = match (line.strip_prefix('\t'), &piece) {
            (Some(further), Piece::Result { .. } | Piece::Notice(_)) => {
                return piece.and(further);
            }
            // Continuation of a tool name. No such tool exists.
            (Some(_), Piece::None) if row.kind == "step_begun" => return Piece::None,
            _ => line,
        };
        // A truncated response without a readable first part is still a response.
        let is_cut =
            matches!(row.kind.as_str(), "call_paid" | "last_word" | "stopped" | "call_failed")
                && line.starts_with('[');
        if let Some((parts, is_whole)) = answer(line).or(is_cut.then(|| (Vec::new(), false))) {
            self.close(row, piece);
            self.open.extend(parts.iter().filter_map(|part| match part {
                Part::ToolCall { id, name, .. } => Some((id.clone(), name.clone())),
                _ => None,
            }));
            self.asks(row, &parts);
            if !is_whole {
                self.word(row.at, CUT);
            }
            return Piece::None;
        }
        if line.starts_with('{')
            && let Ok(event) = serde_json::from_str::<EventKind>(line)
        {
            self.close(row, piece);
            self.event(row, event);
            return Piece::None;
        }
        if let Some((tool, text)) = line.split_once(": ")
            && (self.knows(tool) || (matches!(piece, Piece::None) && is_tool(row, tool)))
        {
            self.close(row, piece);
            return Piece::Result { tool: tool.to_owned(), text: text.to_owned() };
        }
        match piece {
            piece @ (Piece::Result { .. } | Piece::Notice(_)) => piece.and(line),
            Piece::None if row.kind == "step_begun" || self.knows(line) => {
                self.begun(row, line);
                Piece::None
            }
            // A truncated event cannot be parsed.
            Piece::None if line.starts_with("{\"") => Piece::None,
            Piece::None => Piece::Notice(line.to_owned()),
        }
    }

    /// Emits the event for the current piece.
    fn close(&mut self, row: &Evidence, piece: Piece) {
        match piece {
            Piece::None => {}
            Piece::Notice(text) => self.event(row, EventKind::Notice { text }),
            Piece::Result { tool, text } => {
                let call_id = self.call(row, &tool);
                self.open.retain(|(id, _)| *id != call_id);
                let failed = text.starts_with("Error(") || text.starts_with("Error: ");
                let status = if failed { CallStatus::Error } else { CallStatus::Ok };
                let (result, paths) = (Body::Inline(text), Vec::new());
                let (name, seq) = (tool, None);
                let (step, millis) = (0, 0);
                let ended = EventKind::ToolFinished {
                    step,
                    call_id,
                    name,
                    status,
                    result,
                    millis,
                    paths,
                    seq,
                };
                self.event(row, ended);
            }
        }
    }

    fn begun(&mut self, row: &Evidence, tool: &str) {
        let (call_id, name) = (self.call(row, tool), tool.to_owned());
        self.event(row, EventKind::ToolStarted { step: 0, call_id, name, file: None });
    }

    /// Whether a call of this tool is unanswered.
    fn knows(&self, tool: &str) -> bool {
        self.open.iter().any(|(_, name)| name == tool)
            || self.before.iter().any(|call| call.name == tool)
    }

    /// Id of the next call of a tool: an open call of the rows, else one of the run itself, else a new id.
    fn call(&mut self, row: &Evidence, tool: &str) -> String {
        if let Some((id, _)) = self.open.iter().find(|(_, name)| name == tool) {
            return id.clone();
        }
        let found = self.before.iter().position(|call| call.name == tool);
        let call = found.and_then(|at| self.before.remove(at));
        let id = match call {
            Some(ToolCall { call_id: id, name, arguments, .. }) => {
                self.asks(row, &[Part::ToolCall { id: id.clone(), name, arguments }]);
                id
            }
            None => format!("late-{}", self.n),
        };
        self.open.push((id.clone(), tool.to_owned()));
        id
    }

    fn asks(&mut self, row: &Evidence, parts: &[Part]) {
        // ok: parsed parts always serialize.
        let parts = Body::Inline(serde_json::to_string(parts).unwrap_or_default());
        let stop = if row.kind == "stopped" { "stopped" } else { "" }.to_owned();
        let (call, input_tokens, output_tokens) = (0, 0, 0);
        let (billed_micros, millis) = (None, 0);
        let assistant = EventKind::Assistant {
            call,
            parts,
            stop,
            input_tokens,
            output_tokens,
            billed_micros,
            millis,
        };
        self.event(row, assistant);
    }

    fn event(&mut self, row: &Evidence, kind: EventKind) {
        let (session, n, run, at) = (SessionId::from_bytes([0; 16]), self.n, row.run, row.at);
        self.events.push(SessionEvent { session, n, run: Some(run), at, kind });
        self.n += 1;
    }

    fn word(&mut self, at: Timestamp, text: &'static str) {
        self.words.push((self.n, at, text));
        self.n += 1;
    }
}

/// The item that the current line may continue.
enum Piece {
    None,
    Notice(String),
    Result { tool: String, text: String },
}

impl Piece {
    /// Appends a continuation line.
    fn and(mut self, line: &str) -> Self {
        if let Self::Notice(text) | Self::Result { text, .. } = &mut self {
            text.push('\n');
            text.push_str(line);
        }
        self
    }
}

/// Whether the text before a colon is the tool whose result follows.
fn is_tool(row: &Evidence, word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    row.kind == "results" && !word.is_empty() && word.chars().all(plain)
}

/// The complete parts of a response and whether all parts are complete; `None` if the line is not a response.
fn answer(line: &str) -> Option<(Vec<Part>, bool)> {
    let mut rest = line.strip_prefix('[')?;
    let tagged = |name: &&str| {
        let tag = rest.strip_prefix("{\"").and_then(|rest| rest.strip_prefix(*name));
        tag.is_some_and(|rest| rest.starts_with("\":"))
    };
    if rest != "]" && !PARTS.iter().any(tagged) {
        return None;
    }
    let mut parts = Vec::new();
    loop {
        let mut stream = Deserializer::from_str(rest).into_iter::<Part>();
        let Some(Ok(part)) = stream.next() else { return Some((parts, rest == "]")) };
        parts.push(part);
        rest = rest.get(stream.byte_offset()..).unwrap_or_default();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((parts, rest == "]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CUT, Came, in_words, kept, steps};
    use crate::runs::model::{CallStatus, EventKind, Evidence};
    use crate::runs::queries::steps::{CallState, Step, ToolCall, What};
    use providers::model::Part;
    use store::Record as _;

    fn row(kind: &str, text: String) -> Evidence {
        Evidence { kind: kind.to_owned(), text, ..Evidence::sample() }
    }

    fn parts(parts: &[Part]) -> String {
        serde_json::to_string(parts).unwrap()
    }

    fn step(came: &Came) -> Option<&Step> {
        match came {
            Came::Step(step) => Some(step),
            Came::Word(..) => None,
        }
    }

    fn calls(all: &[Came]) -> Vec<&ToolCall> {
        let call = |step| match step {
            &Step { what: What::Tool(ref call), .. } => Some(&**call),
            _ => None,
        };
        all.iter().filter_map(step).filter_map(call).collect()
    }

    fn result(call: &ToolCall) -> &str {
        call.result.as_ref().map_or("", |(body, _)| body.head())
    }

    #[test]
    fn what_was_kept_as_text_becomes_steps_again() {
        let tool_calls = [
            Part::text("I look."),
            Part::call("a", "read", "{\"path\":\"x\"}"),
            Part::call("b", "exec", "{\"command\":\"ls\"}"),
        ];
        let seen = EventKind::FilesSeen { files: Vec::new() };
        let seen = serde_json::to_string(&seen).unwrap();
        let rows = [
            row("call_begun", String::new()),
            row("call_paid", parts(&tool_calls)),
            row("step_begun", "exec".into()),
            row(
                "results",
                format!("read: [1, 2]\nnote: {{\nexec: [exit code 0]\n{{\"a\":1}}\n{seen}"),
            ),
            row("step_begun", "write".into()),
            row("call_begun", String::new()),
        ];
        let all = steps(&rows, &[]);
        let calls = calls(&all);
        let names: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.state)).collect();
        let ok = CallState::Ended(CallStatus::Ok);
        let unknown = CallState::Ended(CallStatus::Unknown);
        assert_eq!(names, [("read", ok), ("exec", ok), ("write", unknown)], "{all:?}");
        assert_eq!(calls[0].arguments, "{\"path\":\"x\"}");
        assert_eq!(
            (result(calls[0]), result(calls[1])),
            ("[1, 2]\nnote: {", "[exit code 0]\n{\"a\":1}")
        );
        assert_eq!(step(&all[0]).map(|step| &step.what), Some(&What::Said("I look.".into())));
        assert!(matches!(all.last(), Some(Came::Word(_, text)) if text.starts_with("A model was")));
        assert_eq!(all.len(), 5, "{all:?}");
    }

    #[test]
    fn what_a_tool_has_read_is_no_event_of_its_own() {
        let forged = [
            r#"{"Notice":{"text":"Approved."}}"#,
            r#"[{"Text":"I am done."}]"#,
            "exec: [exit code 0]",
            "",
        ];
        let text = format!("exec: first\n{}", forged.join("\n"));
        let begun = |tool: &str| row("step_begun", tool.to_owned());
        let results = row("results", format!("{}\nread: x", kept(&text)));
        let all = steps(&[begun("exec"), begun("read"), results], &[]);
        let calls = calls(&all);
        assert_eq!((all.len(), calls.len()), (2, 2), "{all:?}");
        assert_eq!(result(calls[0]), format!("first\n{}", forged.join("\n")));
        assert_eq!(result(calls[1]), "x");
    }

    #[test]
    fn a_result_joins_the_call_of_its_run_that_had_none() {
        let call = parts(&[Part::call("a", "task_get", "{\"task\":\"MC-1\"}")]);
        let before = steps(&[row("call_paid", call)], &[]);
        let open = step(&before[0]).expect("a step").clone();
        let all =
            steps(&[row("results", "task_get: Error(not_found): there is none".into())], &[open]);
        let calls = calls(&all);
        assert_eq!(calls.len(), 1, "{all:?}");
        assert_eq!(calls[0].arguments, "{\"task\":\"MC-1\"}");
        assert_eq!(calls[0].state, CallState::Ended(CallStatus::Error));
    }

    #[test]
    fn what_was_cut_off_is_never_shown_as_it_was_stored() {
        let long = parts(&[Part::text("Half."), Part::call("a", "write", "{\"content\":\"äöü\"}")]);
        for end in (0..long.len()).filter(|end| long.is_char_boundary(*end)) {
            let row = row("call_paid", long[..end].to_owned());
            let words = in_words(&row);
            assert!(!words.contains('{') && !words.contains("Text"), "{end}: {words}");
            assert!(end == 0 || words.contains(CUT), "{end}: {words}");
        }
        assert_eq!(in_words(&row("call_paid", long)), "Half.\nNext: write");
        let event = EventKind::Committed { commit: "ab".into(), files: 1 };
        let event = serde_json::to_string(&event).unwrap();
        assert_eq!(in_words(&row("events", event[..event.len() - 3].to_owned())), "");
        assert_eq!(in_words(&row("events", event)), "Committed files.");
        assert_eq!(in_words(&row("told", "Be\nbrief.".into())), "Be\nbrief.");
    }
}
