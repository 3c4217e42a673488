//! OpenAI-compatible API with the official clients for Python and Node.

use std::path::Path;
use std::process::Command;

use kernel::Outcome;
use serde_json::json;

use support::hq::TestHq;
use support::model::{Gate, ModelServer, Seen, Turn};
use support::wire::PROXIES;
use support::work;

/// The picture that the clients send, as the model receives it.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgpub3QgYSByZWFsIG9uZQ==";

/// Runs an official client's scenario.
async fn play(hq: &TestHq, mut client: Command, story: &'static str) {
    let program = hq.token(&["read", "chat"]).await;
    let bearer = program.header("authorization");
    let token = bearer.strip_prefix("Bearer ").expect("a bearer token").to_owned();
    client.arg(story).env("HQ_URL", hq.url()).env("HQ_TOKEN", token);
    for proxy in PROXIES {
        client.env_remove(proxy);
    }
    let output = tokio::task::spawn_blocking(move || client.output()).await;
    let output = output.expect("no panic").expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}: {told}");
}

fn python() -> Command {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../venv/bin/python");
    assert!(python.exists(), "the official client is missing; run `make setup`");
    let mut client = Command::new(python);
    client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openai_client.py"));
    client
}

fn node() -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web-tests");
    let there = folder.join("node_modules/openai").exists();
    assert!(there, "the official client is missing; run `make setup`");
    let mut client = Command::new("node");
    client.arg(folder.join("openai.mjs"));
    client
}

/// HQ with Ada, who answers through a scripted model.
async fn ready() -> (TestHq, ModelServer) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    (hq, model)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_openai_client_is_content() {
    let (hq, model) = ready().await;
    model.usually(Turn::text("Three tasks are open."));
    play(&hq, python(), "talk").await;
    let asked = model.last().text();
    let remembers = asked.contains("The word is heron.") && asked.contains("What was the word?");
    assert!(remembers, "calls with one `user` share a session: {asked}");
    let asked: Vec<String> = model.requests().into_iter().map(|seen| seen.text()).collect();
    for (words, file) in [("What is this?", "mango,3"), ("And this?", "# Plums")] {
        let seen = asked
            .iter()
            .any(|text| text.contains(words) && text.contains(file) && text.contains(PICTURE));
        assert!(seen, "{words} comes with its picture and {file}");
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_node_client_is_content() {
    let (hq, model) = ready().await;
    model.usually(Turn::text("Three tasks are open."));
    play(&hq, node(), "talk").await;
    let pictures = model.requests().iter().filter(|seen| seen.text().contains(PICTURE)).count();
    assert_eq!(pictures, 2, "in either form");
    let asked = model.requests().into_iter().map(|seen| seen.text());
    let follows = |text: String| text.contains("heron") && text.contains("What was the word?");
    assert!(asked.into_iter().any(follows), "a response that follows another knows what was said");
    hq.finish().await;
}

/// Calls the weather tool for two cities, then answers where it is warmer.
fn warmer(seen: &Seen) -> Option<Turn> {
    let knows = seen.text().contains(r#""role":"tool""#);
    let city = |city: &str| json!({ "city": city });
    Some(match knows {
        true => Turn::text("Rome is warmer."),
        false => Turn::call("get_weather", city("Rome")).and_call("get_weather", city("Oslo")),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_clients_carry_out_tools_of_their_own() {
    let (hq, model) = ready().await;
    model.answering(warmer);
    play(&hq, python(), "tools").await;
    play(&hq, node(), "tools").await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_openai_client_stops_a_run_by_hanging_up() {
    let (hq, model) = ready().await;
    let gate = Gate::new();
    model.push(Turn::text("Slow words that go on").pausing(2, &gate));
    play(&hq, python(), "leave").await;
    hq.settle().await;
    let stopped = work::run(&hq, "R-1");
    assert!(matches!(stopped.outcome, Some(Outcome::Stopped { .. })), "{:?}", stopped.outcome);
    gate.open();
    hq.finish().await;
}
