//! What the browser of an agent costs: how much a model reads to fill a form, beside two peers from npm with the same
//! Chromium and page, and what a click by its ref takes over one that is sent as it is.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Html;
use browser::act::{Click, Point};
use browser::launch::Browser;
use browser::setup::{PROGRAM, Setup};
use browser::snapshot::Want;
use sandbox::spawn::Spawner;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::load::{self, Times, told};
use crate::model::Manner;
use crate::rows::{BINARY, Ready, figure, folder};
use crate::{Figure, ms};
use support::wire;

/// Fields of the form.
const STEPS: usize = 10;
/// Clicks of each kind.
const CLICKS: usize = 100;
/// How long a peer may take.
const PEER_WITHIN: Duration = Duration::from_secs(120);
/// How long the peers may take to come.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// The page with the form.
fn form() -> String {
    let field = |step: usize| format!("<p><label>Field {step} <input name=f{step}></label></p>");
    let fields: String = (1..=STEPS).map(field).collect();
    format!(
        "<!doctype html><title>Form</title><h1>Order</h1><form>{fields}<button>Send</button></form>"
    )
}

/// A site with that page; answers its host.
async fn site() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told("a port"))?;
    let host = listener.local_addr().map_err(told("a port"))?.to_string();
    let pages = Router::new().fallback(|| async { Html(form()) });
    tokio::spawn(async move { axum::serve(listener, pages).await });
    Ok(host)
}

fn chromium() -> Result<(), String> {
    match Path::new(PROGRAM).is_file() {
        true => Ok(()),
        false => Err(format!("{PROGRAM} is missing; run `make setup`")),
    }
}

/// The refs of fields in what a page shows.
fn refs(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let at = line.find("[e")? + 1;
        Some(line[at..at + line[at..].find(']')?].to_owned())
    };
    text.lines().filter(|line| line.contains("Field ")).filter_map(of).collect()
}

/// What a model reads of HQ's tool.
async fn ours(host: &str) -> Result<usize, String> {
    let hq = Ready::start().await?;
    let mut client = hq.client().await?;
    let agent = format!("/api/v1/agents/{}", hq.agent);
    for (path, body) in [
        ("/api/v1/reach".to_owned(), json!({ "opened": [host] })),
        (format!("{agent}/mode"), json!({ "mode": "full" })),
        (format!("{agent}/browser"), json!({ "on": true })),
    ] {
        client.call("PUT", &path, Some(&body)).await?;
    }
    let mut bytes = 0;
    let mut calls = vec![json!({ "action": "open", "url": format!("http://{host}/") })];
    let mut done = 0;
    while let Some(call) = calls.get(done).cloned() {
        hq.model.be(Manner { calls: vec![("browser", call)], ..Manner::default() });
        client.call("POST", wire::CHAT, Some(&wire::chat("Go on", false))).await?;
        let (_, text) = hq.model.tool();
        bytes += text.len();
        if done == 0 {
            let fields = refs(&text);
            if fields.len() != STEPS {
                return Err(format!("{} fields in: {text}", fields.len()));
            }
            let fill = |(step, part): (usize, &String)| json!({ "action": "fill", "ref": part, "text": format!("Value {}", step + 1) });
            calls.extend(fields.iter().enumerate().map(fill));
        } else if !text.contains("Value") {
            return Err(format!("it was not filled in: {text}"));
        }
        done += 1;
    }
    Ok(bytes)
}

/// The peers as they are locked, fetched into a folder of the build.
async fn fetched() -> Result<PathBuf, String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/browser");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-peers");
    std::fs::create_dir_all(&to).map_err(told("the peers"))?;
    for name in ["package.json", "package-lock.json", "peers.mjs"] {
        std::fs::copy(from.join(name), to.join(name)).map_err(told(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    output(npm.current_dir(&to), FETCHED_WITHIN).await?;
    Ok(to)
}

/// What a program prints.
async fn output(command: &mut Command, within: Duration) -> Result<String, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(within, command.output()).await;
    let output = ended.map_err(|_elapsed| "it takes too long".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => Err(said(&output.stderr).lines().next().unwrap_or("it failed").to_owned()),
    }
}

/// What a model reads of a peer; why not, where it cannot be had here.
async fn theirs(peers: &Result<PathBuf, String>, name: &str, host: &str) -> Result<usize, String> {
    let mut node = Command::new("node");
    node.args(["peers.mjs", name, PROGRAM, &format!("http://{host}/")]);
    let printed = output(node.current_dir(peers.as_ref()?), PEER_WITHIN).await?;
    printed.lines().last().unwrap_or_default().parse().map_err(told("what it printed"))
}

/// Bytes that a model reads to fill a form of ten fields.
pub fn form_of_ten(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let host = site().await?;
        let ours = ours(&host).await?;
        let peers = fetched().await;
        let of_agent_browser = theirs(&peers, "agent-browser", &host).await;
        let of_playwright = theirs(&peers, "playwright", &host).await;
        let words = |name: &str, bytes: &Result<usize, String>| match bytes {
            Ok(bytes) => format!("{name} {bytes} B"),
            Err(why) => format!("{name} not to be had ({why})"),
        };
        let text = format!(
            "{ours} B; {}; {}",
            words("agent-browser", &of_agent_browser),
            words("@playwright/mcp", &of_playwright)
        );
        Ok(figure(text, of_agent_browser.map_or(true, |bytes| ours * 2 <= bytes)))
    })
}

/// A click by its ref, over the same events of the mouse without a look.
pub fn click(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let host = site().await?;
        let port = host.rsplit(':').next().and_then(|port| port.parse().ok());
        let folder = folder()?;
        let spawner = Spawner::new(BINARY.into()).map_err(told("the jail"))?;
        let mut setup = Setup::new(spawner, folder.path().join("browser"));
        setup.way_out = port;
        let browser = Browser::new(setup);
        let page = browser.open("http://form.test/").await.map_err(told("the page"))?;
        let seen = page.snapshot(&Want::default()).await.map_err(told("the page"))?;
        let first = refs(&seen.text).into_iter().next().ok_or("no field in the page")?;
        let part = browser::refs::parse(&first).map_err(told("a ref"))?;
        let at = page.run_script(
            Some(part),
            "(({ x, y, width, height }) => [x + width / 2, y + height / 2])(this.getBoundingClientRect())",
            Duration::from_secs(5),
        );
        let at: Value = serde_json::from_str(&at.await.map_err(told("its place"))?)
            .map_err(told("its place"))?;
        let place = |n: usize| at[n].as_f64().unwrap_or_default();
        let at = Point { x: place(0), y: place(1) };
        let (mut by_ref, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..CLICKS {
            let began = Instant::now();
            page.click(part, Click::default()).await.map_err(told("a click"))?;
            by_ref.push(began.elapsed());
            let began = Instant::now();
            page.click_at(at, Click::default()).await.map_err(told("a click"))?;
            raw.push(began.elapsed());
        }
        browser.stop().await;
        let (by_ref, raw) = (load::share(by_ref)?.p50, load::share(raw)?.p50);
        let over = by_ref.saturating_sub(raw);
        let kept = by_ref <= Duration::from_millis(25) && over <= Duration::from_millis(2);
        Ok(figure(format!("{}, {} over {} of raw CDP", ms(by_ref), ms(over), ms(raw)), kept))
    })
}
