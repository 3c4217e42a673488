//! Agent commands: list, chat, follow and stop, for agents on this machine and on another one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use support::browse::Browser;
use support::model::{Gate, ModelServer, Tokens, Turn};
use support::program::{Program, command, run, run_json};
use support::wire;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

/// The running program, and commands against it.
pub struct Terminal {
    pub folder: tempfile::TempDir,
    pub program: Program,
    pub model: ModelServer,
    /// API token of the owner.
    pub token: String,
}

impl Terminal {
    /// The program with the agent Ada and a scripted model.
    async fn open() -> Self {
        Self::with(&[]).await
    }

    /// The same with additional settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (binary, data) = (Path::new(BINARY), folder.path());
        let model = ModelServer::start().await;
        let mut serve = command(binary, data, &["serve"]);
        let mut program = Program::start_with(serve.envs(settings.iter().copied()));
        Browser::new(program.url()).set_up(&program.setup_link()).await;
        let made = run_json(binary, data, &["token", "create", "--name", "terminal"]);
        let token = made["token"].as_str().expect("a token").to_owned();
        let terminal = Self { folder, program, model, token };
        terminal.post(wire::CONNECTIONS, &wire::connection(&terminal.model.openai_url())).await;
        terminal.post(wire::AGENTS, &wire::agent("Ada")).await;
        terminal
    }

    /// A POST request that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new().post(format!("{}{path}", self.program.url()));
        let sent = request.bearer_auth(&self.token).json(body).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{path}: {}", sent.status());
        sent.json().await.expect("JSON")
    }

    /// Runs a command on a blocking thread: the model responds on the runtime.
    pub async fn hq(&self, arguments: &[&str]) -> Output {
        let data = self.folder.path().to_owned();
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let work = move || {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(Path::new(BINARY), &data, &words)
        };
        tokio::task::spawn_blocking(work).await.expect("no panic")
    }
}

/// Output of a command that must succeed.
pub fn out(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_say_at_the_terminal_whether_they_are_used() {
    let terminal = Terminal::open().await;
    out(&terminal.hq(&["policy", "allow", "read", "--agent", "ada"]).await);
    let before = out(&terminal.hq(&["policy", "show", "ada"]).await);
    assert!(before.contains("not used yet"), "{before}");
    let reads = serde_json::json!({ "path": "SOUL.md" });
    terminal.model.push(Turn::call("read", reads)).push(Turn::text("Read."));
    out(&terminal.hq(&["agent", "run", "ada", "Read it"]).await);
    let after = out(&terminal.hq(&["policy", "show", "ada"]).await);
    assert!(after.contains("1 in 30 days, last 20"), "{after}");
    let drafts = out(&terminal.hq(&["agent", "drafts", "list"]).await);
    assert!(drafts.contains("No drafts."), "{drafts}");
    refused(&terminal.hq(&["agent", "drafts", "accept", "ada", "SOUL.md"]).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_begun_again_compared_and_exported() {
    let terminal = Terminal::open().await;
    terminal.model.push(Turn::text("Three tasks are open."));
    out(&terminal.hq(&["agent", "run", "ada", "What is open?"]).await);
    terminal.model.push(Turn::text("Four tasks are open."));
    let fork = ["runs", "fork", "R-1", "--model", "other", "--thinking", "low", "--json"];
    let made: Value = serde_json::from_str(&out(&terminal.hq(&fork).await)).expect("JSON");
    assert_eq!((&made["name"], &made["of"]), (&"R-2".into(), &"R-1".into()), "{made}");
    let followed = out(&terminal.hq(&["runs", "follow", "R-2"]).await);
    assert!(followed.contains("> Four tasks are open."), "{followed}");
    assert_eq!(terminal.model.last().body["model"], "other");
    terminal.model.push(Turn::text("Five tasks are open."));
    let retry = out(&terminal.hq(&["runs", "retry", "R-1"]).await);
    assert!(retry.starts_with("R-3 runs R-1 again from the start."), "{retry}");
    out(&terminal.hq(&["runs", "follow", "R-3"]).await);
    let compared = out(&terminal.hq(&["runs", "compare", "R-1", "R-2"]).await);
    assert_eq!(compared.lines().count(), 2, "{compared}");
    assert!(compared.starts_with("R-1") && compared.contains("other"), "{compared}");
    let export = out(&terminal.hq(&["runs", "export", "R-3"]).await);
    let lines: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["name"], &lines[0]["again_of"]["name"]), (&"R-3".into(), &"R-1".into()));
    assert_eq!(lines[lines.len() - 1]["kind"], "run_ended");
    let context = out(&terminal.hq(&["runs", "context", "R-3"]).await);
    assert!(context.contains(" tokens, ") && context.contains("SOUL.md"), "{context}");
    let complete = refused(&terminal.hq(&["runs", "continue", "R-3"]).await, 1);
    assert!(complete.contains("is finished"), "{complete}");
    let unknown = refused(&terminal.hq(&["runs", "retry", "R-1", "--from", "99"]).await, 1);
    assert!(unknown.contains("no step 99"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_asked_and_its_run_is_looked_at() {
    let terminal = Terminal::open().await;
    terminal.model.push(Turn::text("Three tasks are open."));
    let answer = terminal.hq(&["agent", "run", "ada", "What", "is", "open?"]).await;
    assert_eq!(out(&answer), "Three tasks are open.\n");
    assert!(terminal.model.last().text().contains("What is open?"));

    terminal.model.push(Turn::text("None now."));
    let asked = ["agent", "run", "ada", "And now?", "--session", "desk", "--json"];
    let told: Value = serde_json::from_str(&out(&terminal.hq(&asked).await)).expect("JSON");
    assert_eq!((&told["ok"], &told["final"]), (&true.into(), &"None now.".into()), "{told}");
    assert!(told["usage"]["total"].as_u64() > Some(0), "{told}");
    assert!(told["usage"]["cacheWrite"].is_u64() && told["provider"].is_string(), "{told}");
    assert_eq!(told["payloads"], serde_json::json!([{ "text": "None now." }]));
    assert_eq!(told["toolSummary"]["tools"], serde_json::json!([]));
    assert_eq!(told["run"], "R-2");

    let list = out(&terminal.hq(&["runs", "list", "--agent", "ada"]).await);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.starts_with("R-2") && list.contains("done"), "{list}");
    let show = out(&terminal.hq(&["runs", "show", "R-1"]).await);
    assert!(show.contains("> Three tasks are open.") && show.contains("= done"), "{show}");
    assert!(show.contains("chosen by the ") && show.contains("(API)"), "{show}");
    assert!(show.contains(" tokens: "), "{show}");
    let agents = out(&terminal.hq(&["agent", "list"]).await);
    assert!(agents.contains("ada") && agents.contains("Ada"), "{agents}");
    let sessions = out(&terminal.hq(&["agent", "sessions", "ada", "--json"]).await);
    assert!(sessions.starts_with(['{', '[']), "{sessions}");
    let listed: Value = serde_json::from_str(&sessions).expect("JSON");
    let id = listed["items"][0]["id"].as_str().expect("a conversation").to_owned();
    let named = out(&terminal.hq(&["agent", "session", "rename", &id, "Open", "work"]).await);
    assert!(named.contains("Open work"), "{named}");
    let found = out(&terminal.hq(&["agent", "sessions", "ada", "--search", "none"]).await);
    assert!(found.contains(&id) && found.contains("None now."), "{found}");
    let archived = out(&terminal.hq(&["agent", "session", "archive", &id]).await);
    assert!(archived.contains("is archived"), "{archived}");
    let former = out(&terminal.hq(&["agent", "sessions", "ada", "--archived"]).await);
    assert!(former.contains(&id) && former.contains("Open work"), "{former}");
    let restored = out(&terminal.hq(&["agent", "session", "restore", &id]).await);
    assert!(restored.contains("is restored"), "{restored}");
    let now = out(&terminal.hq(&["agent", "sessions", "ada", "--archived"]).await);
    assert!(!now.contains(&id), "{now}");
    let begun = out(&terminal.hq(&["agent", "session", "begin", "ada", "Ships", "--json"]).await);
    let begun: Value = serde_json::from_str(&begun).expect("JSON");
    assert_eq!((&begun["title"], &begun["visibility"]), (&"Ships".into(), &"private".into()));
    let beside = begun["id"].as_str().expect("an id");
    let shared = out(&terminal.hq(&["agent", "session", "share", beside]).await);
    assert!(shared.contains("the whole workspace"), "{shared}");
    let private = out(&terminal.hq(&["agent", "session", "unshare", beside]).await);
    assert!(private.contains("is private"), "{private}");

    // On another machine, with a token; and unsupported commands.
    let other = tempfile::tempdir().expect("another folder");
    let (url, token) = (terminal.program.url().to_owned(), terminal.token.clone());
    terminal.model.push(Turn::text("From afar."));
    let place = other.path().to_owned();
    let far = move || {
        let there = ["--url", &url, "--token", &token];
        let hq = |with: &[&str]| run(Path::new(BINARY), &place, &[with, &there].concat());
        let said = hq(&["agent", "run", "ada", "Hello"]);
        (said, hq(&["agent", "session", "rename", &id, "Named", "afar"]))
    };
    let (said, named) = tokio::task::spawn_blocking(far).await.expect("no panic");
    assert_eq!(out(&said), "From afar.\n");
    assert!(out(&named).contains("Renamed to Named afar."), "{}", out(&named));
    let nobody = refused(&terminal.hq(&["agent", "run", "eve", "Hello"]).await, 1);
    assert!(nobody.contains("hq/eve") && nobody.contains("does not exist"), "{nobody}");
    let unknown = refused(&terminal.hq(&["runs", "show", "R-99"]).await, 1);
    assert!(unknown.contains("not found"), "{unknown}");
    assert_eq!(run(Path::new(BINARY), other.path(), &["runs", "list"]).status.code(), Some(3));
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_much_is_thought_and_what_fails_is_told_at_the_terminal() {
    let terminal = Terminal::open().await;
    terminal.model.push(Turn::text("After some thought."));
    let deep = ["agent", "run", "ada", "Why?", "--thinking", "high", "--json"];
    let told: Value = serde_json::from_str(&out(&terminal.hq(&deep).await)).expect("JSON");
    let path = format!("/api/v1/runs/{}", told["run"].as_str().expect("a run"));
    let request = reqwest::Client::new().get(format!("{}{path}", terminal.program.url()));
    let run = request.bearer_auth(&terminal.token).send().await.expect("an answer");
    let run: Value = run.json().await.expect("JSON");
    assert_eq!(run["thinking"], "high", "{run}");
    let strange = ["agent", "run", "ada", "Why?", "--thinking", "huge"];
    let strange = refused(&terminal.hq(&strange).await, 1);
    assert!(strange.contains("isn't an effort"), "{strange}");

    // A timeout has an exit code of its own.
    terminal.model.usually(Turn::silence());
    let slow = ["agent", "run", "ada", "Slowly", "--timeout", "1"];
    let late = refused(&terminal.hq(&slow).await, 2);
    assert!(late.contains("no answer within 1 second"), "{late}");
    let late = terminal.hq(&[&slow[..], &["--json"]].concat()).await;
    assert_eq!(late.status.code(), Some(2), "{late:?}");
    let told: Value = serde_json::from_slice(&late.stdout).expect("JSON");
    assert_eq!((&told["ok"], &told["status"]), (&false.into(), &"timeout".into()), "{told}");
    assert_eq!(told["error"]["kind"], "timeout");
    let nobody = terminal.hq(&["agent", "run", "eve", "Hello", "--json"]).await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    let told: Value = serde_json::from_slice(&nobody.stdout).expect("JSON");
    assert_eq!(told["error"]["kind"], "model_not_found", "{told}");

    let none = out(&terminal.hq(&["jobs", "list"]).await);
    assert_eq!(none, "No programs.\n");
    let empty = out(&terminal.hq(&["jobs", "list", "--running", "--json"]).await);
    let empty: Value = serde_json::from_str(&empty).expect("JSON");
    assert_eq!(empty["items"], serde_json::json!([]));
    for verb in [["jobs", "show", "7"], ["jobs", "follow", "7"], ["jobs", "stop", "7"]] {
        let nothing = terminal.hq(&[&verb[..], &["--json"]].concat()).await;
        assert!(refused(&nothing, 1).contains("not found"), "{nothing:?}");
        let told: Value = serde_json::from_slice(&nothing.stdout).expect("JSON");
        let words = told["error"]["message"].as_str().expect("words");
        assert!(told["ok"] == false && words.contains("not found"), "{told}");
    }
    let nothing = refused(&terminal.hq(&["jobs", "write", "7", "yes"]).await, 1);
    assert!(nothing.contains("not found"), "{nothing}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_followed_to_its_end_and_stopped_from_the_terminal() {
    let terminal = Terminal::open().await;
    let gate = Gate::new();
    terminal.model.push(Turn::text("A slow word and more").pausing(1, &gate));
    let say = format!("{}/ada/messages", wire::AGENTS);
    terminal.post(&say, &serde_json::json!({ "text": "Slowly" })).await;
    gate.reached().await;
    let mut follow = command(Path::new(BINARY), terminal.folder.path(), &["runs", "follow", "R-1"]);
    let follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stopped = out(&terminal.hq(&["agent", "stop", "--all"]).await);
    assert!(stopped.contains("is paused"), "{stopped}");
    let agents = out(&terminal.hq(&["agent", "list"]).await);
    assert!(agents.contains("paused with all work") && !agents.contains("ready"), "{agents}");
    assert!(agents.contains("hq agent resume --all"), "{agents}");
    let status = out(&terminal.hq(&["status"]).await);
    assert!(status.contains("1 agent ") && status.contains("resume --all"), "{status}");
    let paused = out(&terminal.hq(&["runs", "list", "--state", "ended"]).await);
    assert!(!paused.contains("done"), "{paused}");
    let asked = refused(&terminal.hq(&["agent", "run", "ada", "Hello"]).await, 1);
    assert!(asked.contains("all work is paused"), "{asked}");
    let one = out(&terminal.hq(&["agent", "resume", "ada"]).await);
    assert!(one.contains("resume --all"), "{one}");
    terminal.model.usually(Turn::text("Done after all."));
    out(&terminal.hq(&["agent", "resume", "--all"]).await);
    let status = out(&terminal.hq(&["status"]).await);
    assert!(!status.contains("resume --all"), "{status}");
    let followed = tokio::task::spawn_blocking(move || follow.wait_with_output()).await;
    let followed = followed.expect("no panic").expect("it ended");
    let told = out(&followed);
    assert!(told.contains("< ") && told.contains("> Done after all."), "{told}");
    gate.open();
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_made_and_tokens_withdrawn_at_the_terminal() {
    let terminal = Terminal::open().await;
    let made = ["agent", "create", "Otto Zed", "--about", "Counts vans", "--no-exec"];
    let made = out(&terminal.hq(&made).await);
    assert!(
        made.contains("Created Otto Zed. To ask it something: `hq agent run otto-zed"),
        "{made}"
    );
    let list = out(&terminal.hq(&["agent", "list"]).await);
    assert!(list.contains("otto-zed") && list.contains("ready"), "{list}");
    let again = ["agent", "create", "Otto", "--slug", "otto-zed"];
    assert!(!refused(&terminal.hq(&again).await, 1).is_empty());

    let spare = out(&terminal.hq(&["token", "create", "--name", "spare", "--json"]).await);
    let spare: Value = serde_json::from_str(&spare).expect("JSON");
    let secret = spare["token"].as_str().expect("a token").to_owned();
    let listed = out(&terminal.hq(&["token", "list"]).await);
    assert!(listed.contains("spare") && listed.contains("never used"), "{listed}");
    assert!(!listed.contains(&secret), "{listed}");
    let line = listed.lines().find(|line| line.contains("spare")).expect("a line");
    let id = line.split_whitespace().next().expect("an id").to_owned();
    let me = format!("{}/api/v1/me", terminal.program.url());
    let status = async || {
        let asked = reqwest::Client::new().get(&me).bearer_auth(&secret).send().await;
        asked.expect("an answer").status().as_u16()
    };
    assert_eq!(status().await, 200);
    let gone = out(&terminal.hq(&["token", "revoke", &id]).await);
    assert!(gone.contains("Revoked spare"), "{gone}");
    assert_eq!(status().await, 401);
    let listed = out(&terminal.hq(&["token", "list"]).await);
    assert!(!listed.contains("spare") && listed.contains("terminal"), "{listed}");
    let nobody = terminal.hq(&["token", "revoke", "00000000-0000-7000-8000-000000000000"]).await;
    assert!(!refused(&nobody, 1).is_empty());
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_at_the_terminal_is_that_of_the_page() {
    let terminal = Terminal::open().await;
    terminal.model.push(Turn::text("Good day."));
    terminal.model.push(Turn::text("Heron, you said."));
    terminal.model.push(Turn::text("Still heron."));
    let mut chat = command(Path::new(BINARY), terminal.folder.path(), &["agent", "chat", "ada"]);
    chat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = chat.spawn().expect("it starts");
    let mut input = chat.stdin.take().expect("a piped input");
    let lines = b"The word is heron.\nWhich word?\n/hlep\n/rename Desk\n/think low And now?\n\n";
    input.write_all(lines).expect("it reads");
    drop(input);
    let ended = tokio::task::spawn_blocking(move || chat.wait_with_output()).await;
    let ended = ended.expect("no panic").expect("it ended");
    let wrong = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(wrong.contains("similar: /help"), "{wrong}");
    let told = out(&ended);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        ["Good day.", "Heron, you said.", "It is called “Desk”.", "Still heron."],
        "{told}"
    );
    let asked = terminal.model.last().text();
    assert!(asked.contains("The word is heron.") && asked.contains("And now?"), "{asked}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_short_has_an_exit_code_of_its_own() {
    let terminal = Terminal::open().await;
    terminal.model.push(Turn::text("One, two,").stop("length"));
    let cut = terminal.hq(&["agent", "run", "ada", "Count"]).await;
    assert!(refused(&cut, 4).contains("cut short"), "{cut:?}");
    assert_eq!(String::from_utf8_lossy(&cut.stdout), "One, two,\n");
    terminal.model.push(Turn::text("One, two,").stop("length"));
    let cut = terminal.hq(&["agent", "run", "ada", "Count", "--json"]).await;
    assert_eq!(cut.status.code(), Some(4), "{cut:?}");
    let told: Value = serde_json::from_slice(&cut.stdout).expect("JSON");
    assert_eq!((&told["ok"], &told["status"]), (&false.into(), &"incomplete".into()), "{told}");
    assert_eq!(told["error"]["kind"], "max_output_tokens", "{told}");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_at_the_terminal_says_what_its_run_waits_for() {
    let terminal = Terminal::open().await;
    let question = serde_json::json!({ "question": "Which colour?" });
    terminal.model.push(Turn::call("ask_person", question)).push(Turn::text("Red, then."));
    let mut chat = command(Path::new(BINARY), terminal.folder.path(), &["agent", "chat", "ada"]);
    chat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut chat = chat.spawn().expect("it starts");
    let mut input = chat.stdin.take().expect("a piped input");
    input.write_all(b"/think low Order paint\n\n").expect("it reads");
    drop(input);
    let mut errors = BufReader::new(chat.stderr.take().expect("piped errors"));
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        let read = errors.read_line(&mut line);
        // The command may print more, so the pipe must stay open.
        read.map(|_| (line, errors))
    });
    let (waits, errors) = first.await.expect("no panic").expect("a line");
    assert!(waits.contains("R-1: ") && waits.contains("/answer R-1"), "{waits}");
    let answer = serde_json::json!({ "text": "/answer R-1 red" });
    terminal.post(&format!("{}/ada/commands", wire::AGENTS), &answer).await;
    let ended = tokio::task::spawn_blocking(move || chat.wait_with_output()).await;
    let ended = ended.expect("no panic").expect("it ended");
    assert_eq!(out(&ended), "Red, then.\n");
    drop(errors);
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_calls_cost_and_may_cost_is_told_at_the_terminal() {
    let terminal = Terminal::open().await;
    let tokens = Tokens { input: 1_000, cache_read: 0, cache_write: 0, output: 100 };
    terminal.model.push(Turn::text("Well.").usage(tokens));
    out(&terminal.hq(&["agent", "run", "ada", "Hello"]).await);
    let usage = out(&terminal.hq(&["usage", "--range", "today"]).await);
    assert!(usage.contains("$0.00 billed") && usage.contains("1 call is unmetered"), "{usage}");
    let price = serde_json::json!({ "input_micros": 3_000_000, "output_micros": 15_000_000 });
    let put =
        reqwest::Client::new().put(format!("{}/api/v1/prices/any/mock", terminal.program.url()));
    let put = put.bearer_auth(&terminal.token).json(&price).send().await.expect("an answer");
    assert!(put.status().is_success(), "{}", put.status());
    terminal.model.push(Turn::text("Well.").usage(tokens));
    out(&terminal.hq(&["agent", "run", "ada", "Again"]).await);
    let usage = out(&terminal.hq(&["usage", "--by", "model"]).await);
    let lines: Vec<&str> = usage.lines().collect();
    assert!(lines[0].contains("$0.0045 billed") && lines[0].contains("forecast"), "{usage}");
    assert!(lines[3].starts_with("mock") && lines[3].contains("1 unmetered"), "{usage}");
    for (by, none) in [("stream", "No stream"), ("routine", "No routine")] {
        let usage = out(&terminal.hq(&["usage", "--by", by]).await);
        assert!(usage.lines().any(|line| line.starts_with(none)), "{usage}");
    }
    let json: Value =
        serde_json::from_str(&out(&terminal.hq(&["usage", "--json"]).await)).expect("JSON");
    assert_eq!((&json["items"][0]["name"], &json["total"]["calls"]), (&"Ada".into(), &2.into()));
    let days = out(&terminal.hq(&["usage", "--csv"]).await);
    // A day may have ended between the two calls.
    assert!(days.starts_with("date,agent,") && (2..=3).contains(&days.lines().count()), "{days}");
    let calls = out(&terminal.hq(&["usage", "--range", "7", "--csv", "calls"]).await);
    assert!(calls.starts_with("at,date,") && calls.lines().count() == 3, "{calls}");
    refused(&terminal.hq(&["usage", "--by", "hour"]).await, 2);
    let wrong = refused(&terminal.hq(&["usage", "--from", "soon"]).await, 1);
    assert!(wrong.contains("Write the day as"), "{wrong}");

    let set = ["budget", "set", "agent:ada", "month", "--limit", "0.001", "--warn", "70"];
    let set = out(&terminal.hq(&set).await);
    assert!(set.starts_with("agent:ada") && set.contains("$0.0045 of $0.0010"), "{set}");
    assert!(set.trim_end().ends_with("reached"), "{set}");
    let raised = out(&terminal.hq(&["budget", "raise", "agent:ada", "month"]).await);
    assert!(raised.contains("of $2.00") && raised.contains("ok"), "{raised}");
    let tokens = ["budget", "set", "workspace", "day", "--tokens", "2000000", "--soft"];
    assert!(out(&terminal.hq(&tokens).await).contains("tokens"));
    let list = out(&terminal.hq(&["budget", "list"]).await);
    assert!(list.lines().any(|line| line.starts_with("workspace") && line.ends_with("only warns")));
    let own = out(&terminal.hq(&["budget", "list", "agent:ada"]).await);
    assert_eq!(own.lines().count(), 1, "{own}");
    let gone = out(&terminal.hq(&["budget", "clear", "agent:ada", "month"]).await);
    assert!(gone.contains("removed"), "{gone}");
    let again = out(&terminal.hq(&["budget", "clear", "agent:ada", "month"]).await);
    assert!(again.contains("no such budget"), "{again}");
    refused(&terminal.hq(&["budget", "set", "agent:ada", "month"]).await, 2);
    let price = ["prices", "set", "some-model", "--input", "3", "--output", "15.50"];
    let price = out(&terminal.hq(&price).await);
    assert!(price.contains("$3 sent, $15.50 received"), "{price}");
    let prices = out(&terminal.hq(&["prices", "list"]).await);
    assert!(prices.contains("some-model") && prices.contains("holds"), "{prices}");
    let usual = out(&terminal.hq(&["prices", "reset", "some-model"]).await);
    assert!(usual.contains("normal already"), "{usual}");
    let gone = out(&terminal.hq(&["prices", "remove", "some-model"]).await);
    assert!(gone.contains("1 price is removed"), "{gone}");
    let nobody = refused(&terminal.hq(&["budget", "raise", "agent:eve", "month"]).await, 1);
    assert!(nobody.contains("not found"), "{nobody}");

    let (url, token) = (terminal.program.url().to_owned(), terminal.token.clone());
    let other = tempfile::tempdir().expect("another folder");
    let place = other.path().to_owned();
    let far = move || {
        let set = [
            "budget",
            "set",
            "agent:ada",
            "week",
            "--limit",
            "5",
            "--url",
            &url,
            "--token",
            &token,
        ];
        let set = run(Path::new(BINARY), &place, &set);
        let clear = ["budget", "clear", "agent:ada", "week", "--url", &url, "--token", &token];
        (set, run(Path::new(BINARY), &place, &clear))
    };
    let (set, clear) = tokio::task::spawn_blocking(far).await.expect("no panic");
    assert!(out(&set).contains("of $5"));
    assert!(out(&clear).contains("removed"));
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_and_whether_who_offers_them_answers_are_told_at_the_terminal() {
    let terminal = Terminal::open().await;
    terminal.model.offer(&["gpt-5.2", "mock"]).usually(Turn::text("ready"));
    let before = refused(&terminal.hq(&["models", "status", "--check"]).await, 1);
    assert_eq!(before, "", "a finding is no complaint");
    let before = out(&terminal.hq(&["models", "status"]).await);
    assert!(before.starts_with("Mock") && before.contains("not_tested"), "{before}");
    let asked = terminal.model.requests().len();
    let probed = out(&terminal.hq(&["models", "status", "--probe", "--check"]).await);
    assert!(probed.contains(" ok ") && probed.contains(" ms"), "{probed}");
    assert!(asked < terminal.model.requests().len(), "it was really asked");

    let list = out(&terminal.hq(&["models", "list"]).await);
    let line = |name: &str| {
        let found = list.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("{name}: {list}")).to_owned()
    };
    assert!(line("mock/gpt-5.2 ").contains("$"), "{list}");
    let default = line("mock/mock ");
    assert!(default.ends_with("(default)") && default.contains("price unknown"), "{list}");
    assert!(line("practice").contains("free"), "{list}");
    let some = ["models", "list", "--provider", "mock", "--search", "GPT", "--json"];
    let some: Value = serde_json::from_str(&out(&terminal.hq(&some).await)).expect("JSON");
    assert_eq!(some["items"].as_array().map(Vec::len), Some(1), "{some}");
    let one = &some["items"][0];
    assert_eq!((&one["id"], &one["route"]), (&"gpt-5.2".into(), &"api".into()));
    assert!(one["price"]["input"].is_u64() && one["window"].is_u64(), "{one}");

    let set = out(&terminal.hq(&["models", "set", "gpt-5.2"]).await);
    assert!(set.starts_with("gpt-5.2 is the default model"), "{set}");
    let wrong = refused(&terminal.hq(&["models", "set", "nobody/knows"]).await, 1);
    assert!(wrong.contains("there is no model nobody/knows"), "{wrong}");
    let none = out(&terminal.hq(&["models", "fallbacks"]).await);
    assert!(none.starts_with("No fallback models"), "{none}");
    let some = out(&terminal.hq(&["models", "fallbacks", "mock/mock", "practice"]).await);
    assert_eq!(some.lines().collect::<Vec<_>>(), ["mock/mock", "practice"]);
    let own = ["models", "fallbacks", "--agent", "ada", "mock/gpt-5.2"];
    assert_eq!(out(&terminal.hq(&own).await).trim_end(), "mock/gpt-5.2");
    let none = out(&terminal.hq(&["models", "fallbacks", "--none"]).await);
    assert!(none.starts_with("No fallback models"), "{none}");
    let set = out(&terminal.hq(&["models", "set", "mock/mock"]).await);
    assert!(set.starts_with("mock/mock is"), "{set}");

    let status = out(&terminal.hq(&["status"]).await);
    assert!(status.contains("Mock (api): ok") && status.contains("$0.00 today"), "{status}");
    terminal.model.require_key("another");
    let status = out(&terminal.hq(&["status", "--probe"]).await);
    assert!(status.contains("Mock (api): auth (auth)"), "{status}");
    let status = refused(&terminal.hq(&["models", "status", "--check"]).await, 1);
    assert_eq!(status, "");
    assert!(terminal.program.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_of_an_agent_is_looked_at_and_used_at_the_terminal() {
    let terminal = Terminal::open().await;
    let status = terminal.hq(&["browser", "status", "ada"]).await;
    assert_eq!(out(&status).lines().next(), Some("off, not running"));
    let tabs = terminal.hq(&["browser", "tabs", "ada"]).await;
    assert_eq!(out(&tabs), "No tab is open.\n");
    let act = terminal.hq(&["browser", "act", "ada", "click", "e1"]).await;
    let why = String::from_utf8_lossy(&act.stderr).into_owned();
    assert!(act.status.code() == Some(1) && why.contains("browser is off"), "{why}");
    let batch = terminal.hq(&["browser", "batch", "ada", r#"[{"kind": "reload"}]"#]).await;
    let why = String::from_utf8_lossy(&batch.stderr).into_owned();
    assert!(batch.status.code() == Some(1) && why.contains("browser is off"), "{why}");
    let batch = terminal.hq(&["browser", "batch", "ada", "click e1"]).await;
    let why = String::from_utf8_lossy(&batch.stderr).into_owned();
    assert!(batch.status.code() == Some(2) && why.contains("valid JSON"), "{why}");
    let unsure = terminal.hq(&["browser", "reset", "ada"]).await;
    assert_eq!(unsure.status.code(), Some(2));
    let reset = terminal.hq(&["browser", "reset", "ada", "--yes"]).await;
    assert_eq!(out(&reset), "Reset the browser.\n");
    assert!(terminal.program.stop().success());
}
