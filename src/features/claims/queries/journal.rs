//! The finished calls of a run and its sub-agents, from their session events.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::check::{Call, Content, Touched};
use super::sends;
use crate::jobs::model::{Job, JobOutcome};
use crate::jobs::queries as jobs;
use crate::runs::model::{CallStatus, EventKind, FileMark, Run, SessionEvent};
use crate::runs::queries::{self as runs, children};
use crate::trust::queries::places::SEND;
use kernel::text::ellipsis;
use kernel::{AgentId, RunId, Timestamp};
use providers::model::Part;
use store::{Read, ReadExt as _, StoreError};

/// Maximum number of runs that are searched.
const MAX_RUNS: usize = 100;
/// Maximum number of an agent's jobs that are searched.
const MAX_JOBS: usize = 200;
/// Characters of a result that are kept.
const MAX_RESULT: usize = 2_048;
/// Tools that write a file of the agent.
const WRITERS: &[&str] =
    &["apply_patch", "browser_download", "edit", "memory_append", "memory_replace", "write"];
/// Tools that read one.
const READERS: &[&str] = &["memory_read", "read"];
/// Start of a result of `exec`: how the program ended.
const CODE: &str = "[exit code ";

/// The finished calls of a run and its sub-agents, in order within each run; the run itself comes last.
pub fn calls(read: &dyn Read, run: &Run) -> Result<Vec<Call>, StoreError> {
    let mut runs = vec![run.clone()];
    let mut at = 0;
    while at < runs.len() && runs.len() < MAX_RUNS {
        for child in children::of_parent(read, runs[at].id)? {
            runs.extend(read.get::<Run>(child.run)?);
        }
        at += 1;
    }
    let mut all = Vec::new();
    for one in runs.iter().rev() {
        let events = runs::events_of_run(read, one, usize::MAX)?;
        all.extend(Walk::new(one, one.id == run.id).all(events).sent(read, one.id)?);
    }
    let mut jobs = BTreeMap::new();
    for call in all.iter_mut().filter(|call| is_left_running(call)) {
        let jobs = match jobs.entry(call.agent) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(jobs::of_agent(read, call.agent, MAX_JOBS)?),
        };
        let own = runs.iter().find(|one| one.number == call.run);
        let is_meant = |job: &&Job| own.is_some_and(|own| own.id == job.run);
        let job = jobs.iter().find(|job| is_meant(job) && job.step == call.step);
        settle(call, job);
    }
    Ok(all)
}

fn is_left_running(call: &Call) -> bool {
    call.tool == "exec" && call.status == CallStatus::Ok && call.exit.is_none()
}

/// Takes the outcome of a program that outlived its call from its job.
fn settle(call: &mut Call, job: Option<&Job>) {
    match job.and_then(|job| job.outcome.as_ref()) {
        Some(JobOutcome::Exited(code)) => call.exit = Some(*code),
        Some(_) => call.status = CallStatus::Error,
        None => {}
    }
}

/// A requested call of a response.
struct RequestedCall {
    id: String,
    key: String,
    arguments: String,
}

/// Folds the events of one run into calls.
struct Walk {
    run: u32,
    /// Position and end of each call that may have queued a message.
    ended: Vec<(usize, Timestamp)>,
    agent: AgentId,
    is_own: bool,
    first: u32,
    asked: Vec<RequestedCall>,
    begun: BTreeMap<String, Vec<FileMark>>,
    calls: Vec<Call>,
}

impl Walk {
    fn new(run: &Run, is_own: bool) -> Self {
        Self {
            run: run.number,
            ended: Vec::new(),
            agent: run.agent,
            is_own,
            first: run.first_event,
            asked: Vec::new(),
            begun: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    fn all(mut self, events: Vec<SessionEvent>) -> Self {
        for event in events {
            self.push(event);
        }
        self
    }

    /// The calls, with the state of their messages.
    fn sent(mut self, read: &dyn Read, run: RunId) -> Result<Vec<Call>, StoreError> {
        if self.ended.is_empty() {
            return Ok(self.calls);
        }
        let sending = sends::of_run(read, run)?;
        for (at, time) in self.ended {
            if let Some(call) = self.calls.get_mut(at) {
                call.sending = sending.get(&time).cloned();
            }
        }
        Ok(self.calls)
    }

    fn push(&mut self, event: SessionEvent) {
        match event.kind {
            EventKind::Assistant { parts, .. } => {
                // ok: parts that this version cannot read contain no calls.
                let parts = serde_json::from_str(parts.head()).unwrap_or_default();
                let key = (event.n.saturating_sub(self.first) + 1).to_string();
                self.asked = requested(parts, &key);
            }
            EventKind::ToolStarted { call_id, file, .. } => {
                self.begun.insert(call_id, file.into_iter().collect());
            }
            EventKind::FilesStarted { call_id, files, .. } => {
                self.begun.insert(call_id, files);
            }
            EventKind::ToolFinished { step, call_id, name, status, result, paths, .. } => {
                let marks = self.begun.remove(&call_id).unwrap_or_default();
                let at = self.asked.iter().position(|asked| asked.id == call_id);
                let asked = at.map(|at| self.asked.remove(at));
                let (key, arguments) = asked.map_or_else(Default::default, |asked| {
                    // ok: arguments that are no object name nothing.
                    let arguments = serde_json::from_str::<Map<String, Value>>(&asked.arguments);
                    (asked.key, arguments.unwrap_or_default())
                });
                let result = ellipsis(result.head(), MAX_RESULT);
                let exit = if name == "exec" { exit_code(&result) } else { None };
                let files = touched((&name, &arguments, status), &marks, paths);
                if name == SEND && status == CallStatus::Ok {
                    self.ended.push((self.calls.len(), event.at));
                }
                self.calls.push(Call {
                    run: self.run,
                    agent: self.agent,
                    is_own: self.is_own,
                    step,
                    key,
                    tool: name,
                    arguments,
                    status,
                    result,
                    exit,
                    files,
                    sending: None,
                });
            }
            EventKind::FilesSeen { files } => {
                for file in files {
                    self.seen(file.path, file.hash);
                }
            }
            _ => {}
        }
    }

    /// Adds a file version to the call that read it.
    fn seen(&mut self, path: String, hash: [u8; 32]) {
        let content = Content::Hash(hash);
        let read = self.calls.iter_mut().rev().find(|call| {
            READERS.contains(&call.tool.as_str())
                && super::text::is_same_path(call.text("path"), &path)
        });
        if let Some(call) = read {
            call.files.retain(|file| file.path != path);
            call.files.push(Touched { path, content, is_written: false });
        }
    }
}

/// The calls of a response, with their addresses on the page: one step for each part that is shown.
fn requested(parts: Vec<Part>, key: &str) -> Vec<RequestedCall> {
    let (mut asked, mut shown) = (Vec::new(), 0);
    for part in parts {
        match &part {
            Part::Thinking { text, .. } | Part::Text { text } if !text.trim().is_empty() => {}
            Part::ToolCall { .. } => {}
            _ => continue,
        }
        shown += 1;
        if let Part::ToolCall { id, arguments, .. } = part {
            let key = if shown == 1 { key.to_owned() } else { format!("{key}-{shown}") };
            asked.push(RequestedCall { id, key, arguments });
        }
    }
    asked
}

/// The files of a call: planned ones with their content, those that a program changed, or for a call that failed early
/// the one that it was given.
fn touched(
    (name, arguments, status): (&str, &Map<String, Value>, CallStatus),
    marks: &[FileMark],
    paths: Vec<String>,
) -> Vec<Touched> {
    let planned = marks.iter().map(|mark| Touched {
        path: mark.path.clone(),
        content: mark.after.map_or(Content::Deleted, Content::Hash),
        is_written: true,
    });
    let mut files: Vec<Touched> = planned.collect();
    for path in paths {
        if !files.iter().any(|file| file.path == path) {
            files.push(Touched { path, content: Content::Unknown, is_written: true });
        }
    }
    let is_written = WRITERS.contains(&name);
    let given = arguments.get("path").and_then(Value::as_str).unwrap_or_default();
    let is_tool = is_written || READERS.contains(&name);
    if files.is_empty() && is_tool && status != CallStatus::Ok && !given.is_empty() {
        files.push(Touched { path: given.to_owned(), content: Content::Unknown, is_written });
    }
    files
}

/// The exit code in a result of `exec`. It precedes everything that the program printed.
fn exit_code(result: &str) -> Option<i32> {
    let rest = result.strip_prefix(CODE)?;
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::exit_code;

    #[test]
    fn only_the_first_line_of_a_result_has_an_exit_code() {
        assert_eq!(exit_code("[exit code 101]\ntest failed"), Some(101));
        assert_eq!(exit_code("[exit code 0; 12 repetitive lines are left out]\nok"), Some(0));
        assert_eq!(exit_code("[running as program 3]\n[exit code 0]"), None);
        assert_eq!(exit_code("[ended by signal 9]\n[exit code 0]"), None);
    }
}
