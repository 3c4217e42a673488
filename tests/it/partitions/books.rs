//! Compares results with the requests and the model's ledger: nothing is lost or duplicated.

use std::collections::BTreeSet;

use serde_json::Value;

use support::wire;

use super::pair::{Pair, until};
use super::script;

/// A piece of work and its results.
pub struct Work {
    /// Id of its task.
    pub task: String,
    pub agent: &'static str,
    /// Unique word that identifies it.
    pub word: String,
}

#[derive(Clone, Copy, Default)]
pub struct Found {
    /// Answers of the model that were used.
    pub answers: usize,
    /// Answers lost because of a kill.
    pub lost: usize,
    /// Programs whose outcome was unknown.
    pub unsure: usize,
}

impl Found {
    pub fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.lost += other.lost;
        self.unsure += other.unsure;
    }
}

/// Waits until no run works on it.
pub async fn at_rest(pair: &Pair, work: &Work) {
    let ended = async || {
        let runs = pair.runs(&work.task).await;
        !runs.is_empty() && runs.iter().all(|run| run["state"] == "ended")
    };
    until(&format!("the work on {} ends", work.word), ended).await;
}

/// Compares everything that a piece of work has left.
pub async fn compare(pair: &Pair, work: &Work) -> Found {
    let (api, word) = (pair.api(), &work.word);
    let task = api.get(&format!("{}/{}", wire::TASKS, work.task)).await;
    let runs = pair.runs(&work.task).await;
    assert_eq!(runs.len(), 1, "{word}: one run does it: {runs:#?}");
    let run = &runs[0];
    assert_eq!(run["outcome"]["word"], "done", "{word}: {run:#}");
    assert_eq!(task["status"], "done", "{word}: {task:#}");

    let events = events(pair, run["session"].as_str().expect("a session")).await;
    let unsure = calls(word, &events);
    let answers = answers(word, &events);
    let given = script::given(word);
    assert!(answers.is_subset(&given), "{word}: {answers:?} of {given:?}");
    let path = format!("/api/v1/usage/runs/{}", run["name"].as_str().expect("a name"));
    booked(word, &answers, &api.get(&path).await);

    let path = format!("{}/{}/comments", wire::TASKS, work.task);
    let made = api.items(&path).await;
    for comment in script::comments(word) {
        let times = made.iter().filter(|one| one["body"] == comment.as_str()).count();
        assert_eq!(times, 1, "{word}: `{comment}` in {made:#?}");
    }
    files(pair, work).await;
    Found { answers: answers.len(), lost: given.len() - answers.len(), unsure }
}

/// All events of a session: no number is missing or occurs twice.
async fn events(pair: &Pair, session: &str) -> Vec<Value> {
    let (api, path) = (pair.api(), format!("/api/v1/sessions/{session}"));
    let count = api.get(&path).await["events"].as_u64();
    let events = api.items(&format!("{path}/events")).await;
    assert_eq!(count, Some(events.len() as u64), "{path}: as many as it says");
    for (n, event) in (0..).zip(&events) {
        assert_eq!(event["n"].as_u64(), Some(n), "{path}: no gap before {event:#}");
    }
    events
}

/// Asserts that every call ended once and successfully; only a program's outcome may be unknown. Returns the number of
/// those.
fn calls(word: &str, events: &[Value]) -> usize {
    let mut ended = BTreeSet::new();
    let mut unsure = 0;
    for event in events.iter().filter(|event| event["kind"] == "tool_finished") {
        let id = event["call_id"].as_str().expect("an id");
        assert!(ended.insert(id), "{word}: {id} ended twice: {events:#?}");
        match event["status"].as_str() {
            Some("ok") => {}
            Some("unknown") if event["name"] == "exec" => unsure += 1,
            _ => panic!("{word}: {event:#}"),
        }
    }
    unsure
}

/// The model's answers in a session, each once.
fn answers(word: &str, events: &[Value]) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for event in events.iter().filter(|event| event["kind"] == "assistant") {
        let said = event["content"]["text"].as_str().unwrap_or_default();
        let number = script::number(said);
        let number = number.unwrap_or_else(|| panic!("{word}: no answer of ours: {event:#}"));
        assert!(found.insert(number), "{word}: answer {number} is there twice");
    }
    found
}

/// Asserts that every answer is booked once, as counted; other bookings are estimates for interrupted calls.
fn booked(word: &str, answers: &BTreeSet<u64>, usage: &Value) {
    let calls = usage["calls"].as_array().expect("a list");
    let counted = calls.iter().filter(|call| call["estimated"] == false);
    let mut booked: Vec<u64> = counted.filter_map(|call| call["output"].as_u64()).collect();
    booked.sort_unstable();
    assert!(booked.iter().eq(answers), "{word}: {answers:?} are booked as {booked:?}: {usage:#}");
}

/// Asserts that each line was written once and each file is complete, on the host and on the primary.
async fn files(pair: &Pair, work: &Work) {
    let (agent, word) = (work.agent, &work.word);
    let there = |path: &str| {
        let path = pair.file(agent, path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let is_once = |log: &str, line: &str| log.lines().filter(|one| *one == line).count() == 1;
    let log = there(script::LOG);
    for line in script::lines(word) {
        assert!(is_once(&log, &line), "{word}: `{line}` is there once:\n{log}");
    }
    let note = script::note(word);
    assert_eq!(&there(&note), word, "{note}");
    let is_home = async || {
        let log = pair.file_at_home(agent, script::LOG).await;
        let lines = script::lines(word);
        lines.iter().all(|line| is_once(&log, line))
            && pair.file_at_home(agent, &note).await == *word
    };
    until(&format!("the files of {word} come home, once"), is_home).await;
}
