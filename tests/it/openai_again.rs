//! Repeated requests below `/v1`: with an idempotency key, after a broken connection, around a kill.

use std::path::Path;

use kernel::{Outcome, RunState};
use serde_json::{Value, json};

use crate::cli_agents::Terminal;
use support::hq::{Events, Message};
use support::model::{Gate, Turn};
use support::program::Program;
use support::{wire, work};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const RESPONSES: &str = "/v1/responses";

/// Id and text of a streamed answer.
async fn told(mut stream: Events) -> (Value, String) {
    let (mut id, mut text) = (Value::Null, String::new());
    while let Some(Message { data, .. }) = stream.next().await
        && data != "[DONE]"
    {
        let chunk: Value = serde_json::from_str(&data).expect("a chunk");
        id = chunk["id"].clone();
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    (id, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_with_its_key_joins_the_run_and_has_its_answer_afterwards() {
    let (hq, model, program) = work::with_program().await;
    let gate = Gate::new();
    model.push(Turn::text("One two three").pausing(2, &gate));
    let body = wire::chat("Count", true);
    let keyed = program.clone().with("idempotency-key", "count");
    let mut first = keyed.post_stream(wire::CHAT, &body).await;
    first.next().await.expect("the role");
    gate.reached().await;
    drop(first);
    let second = keyed.post_stream(wire::CHAT, &body).await;
    gate.open();
    let joined = told(second).await;
    assert_eq!(joined.1, "One two three");
    let run = work::run(&hq, "R-1");
    assert_eq!((run.state, run.outcome), (RunState::Ended, Some(Outcome::Done)));
    let later = told(keyed.post_stream(wire::CHAT, &body).await).await;
    assert_eq!(later, joined);
    assert_eq!(model.requests().len(), 1, "it was asked once");

    let other = keyed.post(wire::CHAT, &wire::chat("Count again", true)).await;
    assert_eq!(other.status, 409, "{}", other.text);
    assert_eq!(other.json()["error"]["code"], "idempotency_conflict");

    // The other format is another route with its own idempotency keys.
    model.push(Turn::text("Once."));
    let asked = json!({ "model": "hq/ada", "input": "How often?" });
    let whole = keyed.post(RESPONSES, &asked).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    assert_eq!(keyed.post(RESPONSES, &asked).await.json(), whole.json());
    assert_eq!(model.requests().len(), 2);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_under_a_key_stays_one_and_asks_for_no_further_try() {
    let (hq, model, program) = work::with_program().await;
    model.push(Turn::error(401, "invalid_api_key", "wrong key"));
    let keyed = program.clone().with("idempotency-key", "k");
    let body = wire::chat("Hello", false);
    for _ in 0..2 {
        let failed = keyed.post(wire::CHAT, &body).await;
        assert_eq!(failed.status, 502, "{}", failed.text);
        assert_eq!(failed.header("x-should-retry"), Some("false"));
    }
    assert_eq!(model.requests().len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_question_may_have_a_key() {
    let (hq, model, program) = work::with_program().await;
    model.usually(Turn::text("Noted."));
    let keyed = program.clone().with("idempotency-key", "large");
    let body = wire::chat(&"heron ".repeat(300_000), false);
    let first = keyed.post(wire::CHAT, &body).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(keyed.post(wire::CHAT, &body).await.json(), first.json());
    assert_eq!(model.requests().len(), 1);
    let other = keyed.post(wire::CHAT, &wire::chat(&"crane ".repeat(300_000), false)).await;
    assert_eq!(other.status, 409, "{}", other.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_tools_are_given_once_with_their_key() {
    let (hq, model, program) = work::with_program().await;
    model
        .push(Turn::call("get_weather", json!({ "city": "Rome" })))
        .push(Turn::text("21 degrees."));
    let tool = json!({
        "type": "function", "name": "get_weather", "parameters": { "type": "object" },
    });
    let asked = json!({ "model": "hq/ada", "input": "How warm is it?", "tools": [tool] });
    let first = program.post(RESPONSES, &asked).await.json();
    let result = json!({
        "type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "21",
    });
    let next = json!({
        "model": "hq/ada", "previous_response_id": first["id"], "input": [result],
    });
    let keyed = program.clone().with("idempotency-key", "results");
    let answer = keyed.post(RESPONSES, &next).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["output"][0]["content"][0]["text"], "21 degrees.");
    assert_eq!(keyed.post(RESPONSES, &next).await.json(), answer.json());
    assert_eq!(model.requests().len(), 2);
    hq.finish().await;
}

/// The runs, newest first: name and outcome.
async fn runs(url: &str, token: &str) -> Vec<(String, String)> {
    let request = reqwest::Client::new().get(format!("{url}/api/v1/runs")).bearer_auth(token);
    let list: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().expect("runs").iter();
    items.map(|run| (word(&run["name"]), word(&run["outcome"]["word"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_a_call_without_a_key_is_stopped_and_one_with_a_key_goes_on() {
    let Terminal { folder, program, model, token } = Terminal::with(&[]).await;
    let url = program.url().to_owned();
    let ask = |url: &str, text: &str, key: Option<&str>| {
        let request = reqwest::Client::new().post(format!("{url}{}", wire::CHAT));
        let request = request.bearer_auth(&token).json(&wire::chat(text, false));
        match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    };
    let gates = [Gate::new(), Gate::new()];
    gates.iter().for_each(|gate| {
        model.push(Turn::text("Too late.").behind(gate));
    });
    let plain = tokio::spawn(ask(&url, "Without", None).send());
    gates[0].reached().await;
    let keyed = tokio::spawn(ask(&url, "With", Some("k")).send());
    gates[1].reached().await;
    program.kill();
    assert!(plain.await.expect("no panic").is_err());
    assert!(keyed.await.expect("no panic").is_err());

    model.usually(Turn::text("Here."));
    let program = Program::start(Path::new(BINARY), folder.path());
    let url = program.url().to_owned();
    let answer = ask(&url, "With", Some("k")).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "Here.", "{answer}");
    let ended = [("R-2", "done"), ("R-1", "stopped")];
    let ended = ended.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!(runs(&url, &token).await, ended);
    assert_eq!(model.requests().len(), 3, "nothing was asked again for the first");

    // The same request without a key counts as a new request.
    let again = ask(&url, "Without", None).send().await.expect("an answer");
    assert!(again.status().is_success(), "{}", again.status());
    assert_eq!(runs(&url, &token).await[0], ("R-3".to_owned(), "done".to_owned()));
    assert!(program.stop().success());
}
