//! The steps of a run as the task's page shows them.

use std::time::Duration;

use crate::features::runs::model::{CallStatus, EventKind, Run, SessionEvent};
use crate::kernel::RunState;
use crate::store::{KeyBuf, Range, Read, ReadExt, StoreError};

/// How many events of a run are looked at.
const MAX_EVENTS: usize = 2_000;

/// One tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number in the run.
    pub number: u32,
    /// Icon.
    pub glyph: &'static str,
    /// What was done, in words.
    pub words: &'static str,
    /// To what: a file, or the name of a tool without words of its own.
    pub what: String,
    /// How long it took, once it has ended.
    pub took: Option<Duration>,
    /// Whether it failed.
    pub failed: bool,
}

/// What a run did and cost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The tool calls, oldest first.
    pub steps: Vec<Step>,
    /// Tokens sent and received.
    pub tokens: u64,
    /// What it cost in micro-dollars; none when no price is known.
    pub micros: Option<i64>,
}

/// What a run did so far.
///
/// # Errors
/// When the store fails.
pub fn trace(read: &dyn Read, run: &Run) -> Result<Trace, StoreError> {
    let from = |n: u32| KeyBuf::of(&(run.session, n));
    let range = Range::between(from(run.first_event), from(u32::MAX)).limit(MAX_EVENTS);
    let mut trace = Trace::default();
    for event in read.list::<SessionEvent>(&range)? {
        if event.run == Some(run.id) {
            add(&mut trace, event);
        }
    }
    if run.state == RunState::Ended {
        for step in &mut trace.steps {
            step.failed |= step.took.is_none();
        }
    }
    Ok(trace)
}

fn add(trace: &mut Trace, event: SessionEvent) {
    match event.kind {
        EventKind::Assistant { input_tokens, output_tokens, billed_micros, .. } => {
            trace.tokens += input_tokens + output_tokens;
            if let Some(micros) = billed_micros {
                *trace.micros.get_or_insert(0) += micros;
            }
        }
        EventKind::ToolStarted { step, name, file, .. } => {
            let (glyph, words) = words(&name);
            let what = match file {
                Some(mark) => mark.path,
                None if words == "Called" => name,
                None => String::new(),
            };
            trace.steps.push(Step { number: step, glyph, words, what, took: None, failed: false });
        }
        EventKind::ToolFinished { step, name, status, millis, paths, .. } => {
            let took = Some(Duration::from_millis(millis));
            let failed = status != CallStatus::Ok;
            match trace.steps.iter_mut().find(|known| known.number == step) {
                Some(known) => (known.took, known.failed) = (took, failed),
                // Tools without an effect outside are noted when they end.
                None => {
                    let (glyph, words) = words(&name);
                    let what = match paths.into_iter().next() {
                        Some(path) => path,
                        None if words == "Called" => name,
                        None => String::new(),
                    };
                    trace.steps.push(Step { number: step, glyph, words, what, took, failed });
                }
            }
        }
        _ => {}
    }
}

/// An icon and words for a tool.
fn words(tool: &str) -> (&'static str, &'static str) {
    match tool {
        "task_get" => ("tasks", "Read the task"),
        "task_list" => ("list", "Looked through tasks"),
        "task_create" => ("plus", "Created a task"),
        "task_update" => ("edit", "Changed a task"),
        "task_complete" => ("done", "Completed a task"),
        "task_delegate" => ("users", "Delegated a task"),
        "comment_add" => ("comment", "Commented"),
        "deliverable_submit" => ("box", "Delivered work"),
        "deliverable_revise" => ("box", "Delivered a new version"),
        "agent_list" => ("agent", "Looked up colleagues"),
        "message_agent" => ("send", "Wrote to a colleague"),
        "progress" => ("flag", "Said how far it is"),
        "work_done" => ("check", "Finished the work"),
        "work_fail" => ("warn", "Gave the work back"),
        "work_snooze" => ("clock", "Put the work off"),
        "read" => ("file", "Read a file"),
        "list" => ("folder", "Listed files"),
        "search" => ("search", "Searched files"),
        "write" => ("edit", "Wrote"),
        "edit" => ("edit", "Edited"),
        "exec" => ("terminal", "Ran a command"),
        "web_fetch" => ("globe", "Opened a page"),
        _ => ("spark", "Called"),
    }
}
