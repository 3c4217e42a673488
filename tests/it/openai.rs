//! The OpenAI-compatible API, judged by the official Python client.

use std::path::Path;
use std::process::Command;

use crate::support::browse::Browser;
use crate::support::program::{Program, run_json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_openai_client_is_content() {
    let (binary, folder) = (Path::new(env!("CARGO_BIN_EXE_hq")), tempfile::tempdir());
    let folder = folder.expect("a temporary folder");
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../venv/bin/python");
    assert!(python.exists(), "the official client is missing; run `make setup`");

    let mut program = Program::start(binary, folder.path());
    let browser = Browser::new(program.url());
    browser.set_up(&program.setup_link()).await;
    let made = run_json(binary, folder.path(), &["token", "create", "--name", "openai"]);
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openai_client.py"))
        .env("HQ_URL", program.url())
        .env("HQ_TOKEN", made["token"].as_str().expect("a token"))
        .output()
        .expect("Python starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\nlog of the program:\n{}", program.log());
}
