//! Sign-in at the terminal, with the real program.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use support::browse::Browser;
use support::maker::Maker;
use support::model::{ModelServer, Turn};
use support::program::{Program, run, run_json};

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

/// Runs a command without blocking the runtime, which also serves the provider.
async fn hq(data: &Path, arguments: &[&str]) -> Output {
    let data = data.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let work = move || {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(Path::new(BINARY), &data, &words)
    };
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

fn words(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_at_the_terminal_and_doctor_says_why_not_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (binary, data) = (Path::new(BINARY), folder.path());
    let (maker, model) = (Maker::start().await, ModelServer::start().await);
    model.offer(&["gpt-5.2"]).usually(Turn::text("ready"));
    let mut program = Program::start(binary, data);
    Browser::new(program.url()).set_up(&program.setup_link()).await;
    let token = run_json(binary, data, &["token", "create", "--name", "terminal"]);
    let token = token["token"].as_str().expect("a token").to_owned();
    let url = format!("{}/api/v1/connections/accounts", program.url());
    let body = maker.account("Plan", "chatgpt", &model.openai_url());
    let made = reqwest::Client::new().post(url).bearer_auth(&token).json(&body);
    assert!(made.send().await.expect("an answer").status().is_success());

    let listed = hq(data, &["connection", "list"]).await;
    assert!(words(&listed).contains("subscription"), "{}", words(&listed));
    let sick = hq(data, &["doctor", "connections"]).await;
    assert!(!sick.status.success(), "doctor ends with 1");
    assert!(words(&sick).contains("missing_credential"), "{}", words(&sick));

    let begun = hq(data, &["--json", "connection", "login", "plan", "--no-wait"]).await;
    let begun: Value = serde_json::from_slice(&begun.stdout).expect("JSON");
    assert_eq!(begun["state"], json!("waiting"));
    let back = maker.sign_in(begun["url"].as_str().expect("an address"), "code-1");
    let wrong = hq(data, &["connection", "login", "plan", "--answer", "two words"]).await;
    assert!(
        !wrong.status.success() && words(&wrong).contains("isn't an address or a code"),
        "{}",
        words(&wrong)
    );
    let done = hq(data, &["connection", "login", "plan", "--answer", &back]).await;
    assert!(done.status.success() && words(&done).contains("Signed in to"), "{}", words(&done));
    let well = hq(data, &["doctor", "connections"]).await;
    assert!(well.status.success(), "{}", words(&well));

    let out = hq(data, &["connection", "sign-out", "plan"]).await;
    assert!(out.status.success(), "{}", words(&out));
    let nobody = hq(data, &["connection", "login", "nobody"]).await;
    assert!(!nobody.status.success() && words(&nobody).contains("no connection"));
    assert!(program.stop().success());
}
