//! Stopping the program while agents work: running steps may end, nothing starts, and the rest continues after the next
//! start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::cli_agents::{Terminal, out};
use support::model::{Gate, Turn};
use support::program::Program;
use support::wire;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
/// Longer than any test waits: a run that ends before has ended by itself.
const LONG: (&str, &str) = ("HQ_RUNS_END_WITHIN_SECS", "600");
/// Time limit for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

impl Terminal {
    async fn says(&self, agent: &str, text: &str) {
        self.post(&format!("{}/{agent}/messages", wire::AGENTS), &json!({ "text": text })).await;
    }

    async fn read(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("{}{path}", self.program.url()));
        let answer = request.bearer_auth(&self.token).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Asks the program to end, and waits until it starts no more work.
    async fn begins_to_end(&self) {
        self.program.ask_to_end();
        let (begun, ready) = (Instant::now(), format!("{}/readyz", self.program.url()));
        // No response also counts: the program has ended already.
        while reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(begun.elapsed() < PATIENCE, "it never said that it is about to end");
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its end, concurrently with the model's runtime, and starts it again. Asserts the number of model
    /// requests until then.
    async fn begins_again_after(mut self, asked: usize) -> Self {
        let work = move || {
            let begun = Instant::now();
            assert!(self.program.ended().success(), "{}", self.program.log());
            assert!(begun.elapsed() < PATIENCE, "it waited although nothing was under way");
            assert_eq!(self.model.requests().len(), asked, "nothing was begun");
            self.program = Program::start(Path::new(BINARY), self.folder.path());
            self
        };
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }

    /// Output of an ended run.
    async fn follow(&self, run: &str) -> String {
        out(&self.hq(&["runs", "follow", run]).await)
    }
}

/// A file with this name anywhere below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => (path.file_name()? == name).then_some(path),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_is_waited_for_and_its_calls_are_made_after_the_start() {
    let terminal = Terminal::with(&[LONG]).await;
    terminal.post(wire::AGENTS, &wire::agent("Bo")).await;
    let gate = Gate::new();
    let call = Turn::call("task_create", json!({ "title": "Call the printer" }));
    terminal.model.push(call.behind(&gate)).usually(Turn::text("Done."));
    terminal.says("ada", "Please ring them").await;
    gate.reached().await;
    terminal.begins_to_end().await;
    // A message sent now is kept; an API client that would wait for the answer is told to retry.
    terminal.says("bo", "Are you there?").await;
    let ask = reqwest::Client::new().post(format!("{}{}", terminal.program.url(), wire::CHAT));
    let ask = ask.bearer_auth(&terminal.token).json(&wire::chat("Hello", false));
    let refused = ask.send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], "stopping", "{refused}");
    gate.open();
    let terminal = terminal.begins_again_after(1).await;
    let followed = terminal.follow("R-1").await;
    assert!(followed.contains("> Done."), "{followed}");
    assert!(terminal.follow("R-2").await.contains("> Done."));
    let tasks = terminal.read(wire::TASKS).await;
    let made = tasks["items"].as_array().expect("tasks").iter();
    assert_eq!(made.filter(|task| task["title"] == "Call the printer").count(), 1, "{tasks}");
    // It continued with the answer that it had waited for.
    let requests = terminal.model.requests();
    let asked = requests.iter().filter(|seen| seen.text().contains("Please ring them")).count();
    assert_eq!(asked, 2, "nothing was asked twice");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_program_may_end_and_the_model_hears_of_it_after_the_start() {
    let terminal = Terminal::with(&[LONG]).await;
    let settings = format!("{}/api/v1/settings", terminal.program.url());
    let patch = reqwest::Client::new().patch(settings).bearer_auth(&terminal.token);
    let patched =
        patch.json(&json!({ "exec_without_jail": true })).send().await.expect("an answer");
    assert!(patched.status().is_success(), "{}", patched.status());
    let command = "touch has-begun; until [ -e may-end ]; do sleep 0.02; done; echo it went well";
    let call = Turn::call("exec", json!({ "command": command }));
    terminal.model.push(call).usually(Turn::text("Done."));
    terminal.says("ada", "Hello").await;
    let begun = Instant::now();
    let marker = loop {
        if let Some(found) = find(terminal.folder.path(), "has-begun") {
            break found;
        }
        assert!(begun.elapsed() < PATIENCE, "the program never began");
        tokio::task::yield_now().await;
    };
    terminal.begins_to_end().await;
    fs::write(marker.with_file_name("may-end"), "").expect("a file");
    let terminal = terminal.begins_again_after(1).await;
    let followed = terminal.follow("R-1").await;
    assert!(followed.contains("> Done."), "{followed}");
    assert!(terminal.model.last().text().contains("it went well"));
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_is_waited_for_is_cut_off_and_goes_on_after_the_start() {
    let terminal = Terminal::with(&[("HQ_RUNS_END_WITHIN_SECS", "1")]).await;
    terminal.model.push(Turn::silence()).usually(Turn::text("Done after all."));
    terminal.says("ada", "Hello").await;
    terminal.model.asked(1).await;
    terminal.begins_to_end().await;
    let terminal = terminal.begins_again_after(1).await;
    let followed = terminal.follow("R-1").await;
    assert!(followed.contains("> Done after all."), "{followed}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let terminal = Terminal::with(&[LONG]).await;
    terminal.model.push(Turn::silence()).usually(Turn::text("Done after all."));
    terminal.says("ada", "Hello").await;
    terminal.model.asked(1).await;
    terminal.begins_to_end().await;
    terminal.program.ask_to_end();
    let terminal = terminal.begins_again_after(1).await;
    assert!(terminal.follow("R-1").await.contains("> Done after all."));
    assert!(terminal.program.stop().success());
}
