//! Unmodified clients of the messengers against the stand-ins. Only then do the stand-ins prove something about HQ.

use std::path::{Path, PathBuf};
use std::time::Duration;

use standins::discord::Discord;
use standins::slack::Slack;
use standins::telegram::Telegram;
use tokio::process::Command;
use tokio::time::timeout;

/// Most time of one client, with its start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A script under the Python that has the clients of `tests/requirements.txt`.
async fn python(script: &str, url: &str) {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../venv");
    let python = venv.join("bin/python");
    assert!(python.exists(), "no Python in {}; run `make setup`", venv.display());
    play(Command::new(python), script, url).await;
}

/// A script under node, with the packages of `web-tests`.
async fn node(package: &str, script: &str, url: &str) {
    let folder: PathBuf = here().join("../../web-tests");
    let there = folder.join("node_modules").join(package).exists();
    assert!(there, "{package} is missing in web-tests/node_modules; run `make setup`");
    let mut node = Command::new("node");
    node.current_dir(folder);
    play(node, script, url).await;
}

/// Runs a client's script, which says "ok" at the end.
async fn play(mut client: Command, script: &str, url: &str) {
    client.arg(here().join("clients").join(script)).arg(url).kill_on_drop(true);
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        client.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    let output = timeout(PATIENCE, client.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{script} did not end"));
    let output = output.unwrap_or_else(|error| panic!("{script} did not start: {error}"));
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_ok = output.status.success() && stdout.trim_end().lines().last() == Some("ok");
    assert!(is_ok, "{script} ({}): {stdout}\n{stderr}", output.status);
}

#[tokio::test]
async fn python_telegram_bot_accepts_the_telegram_server() {
    python("telegram_ptb.py", Telegram::start().await.url()).await;
}

#[tokio::test]
async fn grammy_accepts_the_telegram_server() {
    node("grammy", "telegram_grammy.mjs", Telegram::start().await.url()).await;
}

#[tokio::test]
async fn discord_py_accepts_the_discord_server() {
    python("discord_py.py", Discord::start().await.unwrap().url()).await;
}

#[tokio::test]
async fn discord_js_accepts_the_discord_server() {
    node("discord.js", "discord_js.mjs", Discord::start().await.unwrap().url()).await;
}

#[tokio::test]
async fn slack_sdk_accepts_the_slack_server() {
    python("slack_sdk_socket.py", Slack::start().await.unwrap().url()).await;
}

#[tokio::test]
async fn bolt_accepts_the_slack_server() {
    node("@slack/bolt", "slack_bolt.mjs", Slack::start().await.unwrap().url()).await;
}
