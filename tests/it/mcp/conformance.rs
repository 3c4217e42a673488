//! The client scenarios of the protocol's conformance suite. The suite plays servers and authorization servers, HQ is the client:
//! each server is added, signed in to, approved and called over HQ's API.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use support::hq::{Person, Setup};
use support::wire::PROXIES;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use url::Url;

use super::{SERVERS, TOOLS};

/// Most time of all scenarios of a version, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// Scenarios that HQ fails, and why.
const FAILS: [(&str, &str, &[&str]); 2] = [
    (
        "elicitation-sep1034-client-defaults",
        "the calls of the test are a person's own, which decline; only runs of agents ask people",
        &["2025-11-25"],
    ),
    (
        "auth/basic-cimd",
        "HQ registers with issuers that don't name themselves in answers: all share the address of its client document",
        &["2025-11-25", "2026-07-28"],
    ),
];

#[derive(Deserialize)]
struct Ask {
    scenario: String,
    url: String,
    context: Value,
}

struct Driver {
    owner: Person,
    asked: AtomicUsize,
}

/// Arguments that fit a schema.
fn arguments(schema: &Value) -> Value {
    if let Some(value) = schema.get("default").or_else(|| schema.get("const")) {
        return value.clone();
    }
    if let Some([first, ..]) = schema["enum"].as_array().map(Vec::as_slice) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(5),
        Some("boolean") => json!(true),
        Some("array") => json!([arguments(&schema["items"])]),
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, field)| (name.clone(), arguments(field)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => json!("test"),
    }
}

impl Driver {
    async fn test(&self, server: &str) -> String {
        self.owner.post(&format!("{server}/test"), &json!({})).await.text
    }

    async fn wants_sign_in(&self, server: &str) -> bool {
        self.owner.get(server).await.json()["state"].to_string().contains("sign_in")
    }

    async fn approve(&self, server: &str) -> String {
        self.owner.post(&format!("{server}/approve"), &json!({ "all": true })).await.text
    }

    /// Opens the private host that a refusal names. Authorization servers of the suite have ports of their own.
    async fn open(&self, server: &str, refusal: &str) -> bool {
        let port =
            refusal.split_once("port ").and_then(|(_, rest)| rest.split_once(" of localhost"));
        let Some((port, _)) = port else { return false };
        let shown = self.owner.get(server).await;
        let mut hosts = shown.json()["open_hosts"].as_array().expect("hosts").clone();
        hosts.push(json!(format!("localhost:{port}")));
        let owner = self.owner.clone().with("if-match", shown.header("etag").expect("a tag"));
        let opened = owner.json("PATCH", server, &json!({ "open_hosts": hosts })).await;
        assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
        self.approve(server).await;
        true
    }

    /// The person agrees at the authorization server and comes back.
    async fn sign_in(&self, server: &str) -> String {
        let owner = &self.owner;
        let begin = async || owner.post(&format!("{server}/sign-in"), &json!({})).await;
        let mut begun = begin().await;
        for _ in 0..3 {
            if begun.status == StatusCode::OK || !self.open(server, &begun.text).await {
                break;
            }
            self.test(server).await;
            begun = begin().await;
        }
        if begun.status != StatusCode::OK {
            return begun.text;
        }
        let client = support::wire::client().build().expect("a client");
        let url = begun.json()["url"].as_str().expect("an address").to_owned();
        let sent = client.get(url).send().await.expect("an answer");
        let Some(back) = sent.headers().get("location") else {
            return format!("the authorization server answers {}", sent.status());
        };
        let back = Url::parse(back.to_str().expect("an address")).expect("an address");
        let back = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let led = owner.get(&back).await;
        let Some(page) = led.location().map(str::to_owned) else { return led.text };
        owner.form_of(&page).await.text
    }

    /// Adds a server, signs in, approves its tools, calls each of them and removes the server. Returns all answers.
    async fn play(&self, ask: Ask) -> String {
        let owner = &self.owner;
        let name = format!("c{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let host = Url::parse(&ask.url).expect("an address");
        let host = host[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let body = json!({ "name": name, "url": ask.url, "open_hosts": [host] });
        let made = owner.post(SERVERS, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let server = format!("{SERVERS}/{name}");
        if ask.context.get("client_id").is_some() {
            let client = json!({ "client_id": ask.context["client_id"],
                "client_secret": ask.context["client_secret"] });
            let set = owner.post(&format!("{server}/client"), &client).await;
            assert_eq!(set.status, StatusCode::OK, "{}", set.text);
        }
        let mut seen = vec![self.test(&server).await];
        for _ in 0..2 {
            if ask.scenario.starts_with("auth/") && self.wants_sign_in(&server).await {
                seen.push(self.sign_in(&server).await);
                seen.push(self.test(&server).await);
            }
        }
        seen.push(self.approve(&server).await);
        let listed = owner.get(&format!("{TOOLS}?limit=100")).await.json();
        let tools = listed["items"].as_array().expect("tools").clone();
        for tool in tools.iter().filter(|tool| tool["server_name"] == name) {
            let path = format!("{TOOLS}/{}", tool["name"].as_str().expect("a name"));
            let shown = owner.get(&path).await.json();
            let mut given = arguments(&shown["arguments"]);
            for call in ask.context["toolCalls"].as_array().into_iter().flatten() {
                if call["name"] == tool["tool"] {
                    given = call["arguments"].clone();
                }
            }
            let call = json!({ "tool": tool["tool"], "arguments": given.to_string() });
            for _ in 0..3 {
                let called = owner.post(&format!("{server}/call"), &call).await;
                seen.push(format!("{call}: {}", called.text));
                if !self.wants_sign_in(&server).await {
                    break;
                }
                seen.push(self.sign_in(&server).await);
            }
        }
        owner.call("DELETE", &server).await;
        seen.join("\n")
    }
}

async fn used(State(driver): State<Arc<Driver>>, Json(ask): Json<Ask>) -> String {
    driver.play(ask).await
}

async fn conforms(version: &str) {
    let public = "https://hq.example.com".to_owned();
    let setup = Setup::default().config(move |config| config.public_url = Some(public.clone()));
    let hq = setup.start().await;
    hq.prove().await;
    let driver = Arc::new(Driver { owner: hq.owner(), asked: AtomicUsize::new(0) });
    let router = Router::new().route("/", post(used)).with_state(Arc::clone(&driver));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("tests/it/mcp/conformance");
    let suite = here.join("web-tests/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    assert!(suite.exists(), "no {}; run `make setup`", suite.display());
    // HQ's answers in each scenario remain there after the test.
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("conformance-{version}"));
    // ok: the first run has no results to remove
    let _ = std::fs::remove_dir_all(&results);
    std::fs::create_dir_all(&results).expect("a folder");
    let expected = FAILS.iter().filter(|(_, _, versions)| versions.contains(&version));
    let expected: String = expected.map(|(name, ..)| format!("  - {name}\n")).collect();
    let baseline = results.join("expected.yaml");
    std::fs::write(&baseline, format!("client:\n{expected}")).expect("a file");
    let mut suite_run = Command::new("node");
    suite_run.arg("--import").arg(folder.join("node20.mjs")).arg(suite).arg("client");
    suite_run.arg("--command").arg(format!("node {}", folder.join("client.mjs").display()));
    suite_run.args(["--requirements", version, "--timeout", "60000"]);
    suite_run.arg("--output-dir").arg(&results).env("DRIVER", format!("http://{address}/"));
    for proxy in PROXIES {
        suite_run.env_remove(proxy);
    }
    suite_run.arg("--expected-failures").arg(&baseline);
    let output = timeout(PATIENCE, suite_run.kill_on_drop(true).output()).await;
    let output = output.expect("the suite ends").expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serving.abort();
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hq_is_a_conforming_client_of_2025_11_25() {
    conforms("2025-11-25").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hq_is_a_conforming_client_of_2026_07_28() {
    conforms("2026-07-28").await;
}
