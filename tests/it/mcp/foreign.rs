//! Servers and a client that others wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::hq::TestHq;
use support::wire::PROXIES;
use tokio::process::Command;
use tokio::time::timeout;

use super::{SERVERS, Scene, scene};

/// Most time of a client, with its start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python with the packages of `tests/requirements.txt`.
fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder").join("venv");
    assert!(venv.exists(), "no Python in {}; run `make setup`", venv.display());
    venv.join("bin/python")
}

impl Scene {
    async fn adds(&self, name: &str, command: &[&str], read: &[&Path]) {
        let body = json!({ "name": name, "command": command, "read": read });
        let made = self.owner.post(SERVERS, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let tested = self.owner.post(&format!("{SERVERS}/{name}/test"), &json!({})).await;
        assert_eq!(tested.status, StatusCode::OK, "{}", tested.text);
        let said = tested.json()["message"].as_str().expect("a message").to_owned();
        assert!(said.contains("tool"), "{said}");
    }

    async fn result_of(&self, name: &str, tool: &str, arguments: &Value) -> String {
        let approved = json!({ "reads": [tool] });
        let done = self.owner.post(&format!("{SERVERS}/{name}/approve"), &approved).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        let body = json!({ "tool": tool, "arguments": arguments.to_string() });
        let called = self.owner.post(&format!("{SERVERS}/{name}/call"), &body).await;
        assert_eq!(called.status, StatusCode::OK, "{}", called.text);
        called.json()["message"].as_str().expect("a text").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filesystem_server_of_npm_reads_a_file_in_the_jail() {
    let scene = scene().await;
    let modules = repository().join("web-tests/node_modules");
    let server = modules.join("@modelcontextprotocol/server-filesystem/dist/index.js");
    assert!(server.exists(), "no {}; run `make setup`", server.display());
    let (server, folder) = (server.to_str().unwrap(), scene.folder.path());
    let command = ["node", server, folder.to_str().unwrap()];
    scene.adds("papers", &command, &[folder, &modules]).await;
    let path = folder.join("hello.txt");
    let read = scene.result_of("papers", "read_text_file", &json!({ "path": path })).await;
    assert!(read.contains("The anchor is in hall 7."), "{read}");
    // Outside its folders, and also outside of what the jail shows.
    let read = scene.result_of("papers", "read_text_file", &json!({ "path": "/etc/passwd" })).await;
    assert!(read.contains("denied"), "{read}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_the_python_library_speaks_the_newest_era() {
    let scene = scene().await;
    let script = scene.folder.path().join("letters.py");
    fs::write(&script, include_str!("foreign_server.py")).unwrap();
    let python = python();
    let venv = python.parent().and_then(Path::parent).expect("a folder").canonicalize().unwrap();
    let command = [venv.join("bin/python"), script];
    let command = [command[0].to_str().unwrap(), command[1].to_str().unwrap()];
    // The interpreter that the links of the environment lead to.
    let program = python.canonicalize().unwrap();
    let prefix = program.parent().and_then(Path::parent).expect("a folder");
    scene.adds("library", &command, &[scene.folder.path(), &venv, prefix]).await;
    let counted = scene.result_of("library", "letters", &json!({ "text": "hall 7" })).await;
    assert!(counted.contains('4'), "{counted}");
    let shown = scene.owner.get(&format!("{SERVERS}/library")).await.json();
    assert_eq!(shown["era"], "modern", "{shown}");
    scene.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_creates_tasks_in_both_eras() {
    let hq = TestHq::start().await;
    hq.prove().await;
    let body = json!({ "name": "Foreign", "scopes": ["read", "write"], "days": 30 });
    let made = hq.owner().post("/api/v1/tokens", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    for mode in ["auto", "legacy"] {
        let mut client = Command::new(python());
        client.arg(repository().join("tests/it/mcp/foreign_client.py"));
        client.arg(format!("{}/mcp", hq.url())).arg(mode).env("HQ_TOKEN", &token);
        for proxy in PROXIES {
            client.env_remove(proxy);
        }
        let output = timeout(PATIENCE, client.kill_on_drop(true).output()).await;
        let output = output.expect("the client ends").expect("the client starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.trim() == "ok", "{mode}: {text}\n{errors}");
    }
    hq.finish().await;
}
