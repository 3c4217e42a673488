//! Browser of an agent: bytes that a model reads to fill in a form, compared with two npm packages with the same
//! Chromium and page; clicks by ref compared with raw events; start compared with the bare program; snapshot of a large
//! page; memory of HQ; recovery after kills.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Html;
use browser::act::{Click, Point};
use browser::fleet::MOST_RUNNING;
use browser::launch::Browser;
use browser::page::Page;
use browser::setup::{PROGRAM, Setup};
use browser::snapshot::Want;
use sandbox::procfs::{self, Stat};
use sandbox::spawn::Spawner;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::load::{self, Client, Times, told};
use crate::model::Manner;
use crate::rows::{BINARY, Ready, figure, folder, id, unlimited};
use crate::{Figure, ms};
use support::program::{self, Program};
use support::wire;

/// Fields of the form.
const STEPS: usize = 10;
/// Clicks of each kind.
const CLICKS: usize = 100;
/// Starts of each kind.
const STARTS: usize = 7;
/// Elements of the large page, and number of snapshots.
const PARTS: usize = 1_000;
const LOOKS: usize = 30;
/// Additional browsers that are open at once.
const OPEN: usize = MOST_RUNNING - 1;
/// Kills of a browser.
const KILLS: usize = 3;
/// Runs Chromium with its pipes at the expected file descriptors.
const PLACE_PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
/// Time limit of a peer.
const PEER_WITHIN: Duration = Duration::from_secs(120);
/// Time limit for downloading the peers.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// The first agent as a model name.
const DEFAULT: &str = "hq/default";

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// The page with the form.
fn form() -> String {
    let field = |step: usize| format!("<p><label>Field {step} <input name=f{step}></label></p>");
    let fields: String = (1..=STEPS).map(field).collect();
    format!(
        "<!doctype html><title>Form</title><h1>Order</h1><form>{fields}<button>Send</button></form>"
    )
}

/// A page with many interactive elements.
fn many() -> String {
    let part = |n: usize| format!("<li><a href=/p{n}>Offer {n}</a> <button>Take {n}</button></li>");
    let parts: String = (1..=PARTS / 2).map(part).collect();
    format!("<!doctype html><title>Offers</title><h1>Offers</h1><ul>{parts}</ul>")
}

/// Starts a site with one page; returns its host.
async fn site(page: String) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told("a port"))?;
    let host = listener.local_addr().map_err(told("a port"))?.to_string();
    let pages = Router::new().fallback(move || {
        let page = page.clone();
        async move { Html(page) }
    });
    tokio::spawn(async move { axum::serve(listener, pages).await });
    Ok(host)
}

/// Settings of a browser in this folder, with the site as its proxy.
fn setup(folder: &Path, host: &str) -> Result<Setup, String> {
    let spawner = Spawner::new(BINARY.into()).map_err(told("the jail"))?;
    let mut setup = Setup::new(spawner, folder.join("browser"));
    setup.way_out = host.rsplit(':').next().and_then(|port| port.parse().ok());
    Ok(setup)
}

/// A browser without HQ that shows a page.
struct Shown {
    browser: Browser,
    page: Page,
    // Dropped last, after the browser has ended.
    _folder: TempDir,
}

impl Shown {
    async fn new(page: String) -> Result<Self, String> {
        let (host, folder) = (site(page).await?, folder()?);
        let browser = Browser::new(setup(folder.path(), &host)?);
        let page = browser.open("http://form.test/").await.map_err(told("the page"))?;
        Ok(Self { browser, page, _folder: folder })
    }
}

fn chromium() -> Result<(), String> {
    match Path::new(PROGRAM).is_file() {
        true => Ok(()),
        false => Err(format!("{PROGRAM} is missing; run `make setup`")),
    }
}

/// The field refs in a snapshot.
fn refs(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let at = line.find("[e")? + 1;
        Some(line[at..at + line[at..].find(']')?].to_owned())
    };
    text.lines().filter(|line| line.contains("Field ")).filter_map(of).collect()
}

/// Allows the first agent and these agents to open a site.
async fn browsing(hq: &Ready, host: &str, agents: &[String]) -> Result<Client, String> {
    let mut client = hq.client().await?;
    let reach = json!({ "opened": [host] });
    client.call("PUT", "/api/v1/reach", Some(&reach)).await?;
    for agent in agents.iter().chain([&hq.agent]) {
        let agent = format!("/api/v1/agents/{agent}");
        for (path, body) in [
            (format!("{agent}/mode"), json!({ "mode": "full" })),
            (format!("{agent}/browser"), json!({ "on": true })),
        ] {
            client.call("PUT", &path, Some(&body)).await?;
        }
    }
    Ok(client)
}

/// Result of a browser call by an agent, which is named as a model.
async fn acts(hq: &Ready, client: &mut Client, who: &str, call: Value) -> Result<String, String> {
    hq.model.be(Manner { calls: vec![("browser", call)], ..Manner::default() });
    let mut body = wire::chat("Go on", false);
    body["model"] = json!(who);
    client.call("POST", wire::CHAT, Some(&body)).await?;
    Ok(hq.model.tool().1)
}

/// An HQ whose first agent has the form open.
async fn opened() -> Result<(Ready, Client), String> {
    chromium()?;
    let host = site(form()).await?;
    let hq = Ready::start().await?;
    let mut client = browsing(&hq, &host, &[]).await?;
    let open = json!({ "action": "open", "url": format!("http://{host}/") });
    acts(&hq, &mut client, DEFAULT, open).await?;
    Ok((hq, client))
}

/// Bytes that a model reads with HQ's tool.
async fn ours(host: &str) -> Result<usize, String> {
    let hq = Ready::start().await?;
    let mut client = browsing(&hq, host, &[]).await?;
    let mut bytes = 0;
    let mut calls = vec![json!({ "action": "open", "url": format!("http://{host}/") })];
    let mut done = 0;
    while let Some(call) = calls.get(done).cloned() {
        let text = acts(&hq, &mut client, DEFAULT, call).await?;
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

/// Downloads the locked versions of the peers into a build folder.
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

/// Output of a program.
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

/// Bytes that a model reads with a peer, or why the peer is not available.
async fn theirs(peers: &Result<PathBuf, String>, name: &str, host: &str) -> Result<usize, String> {
    let mut node = Command::new("node");
    node.args(["peers.mjs", name, PROGRAM, &format!("http://{host}/")]);
    let printed = output(node.current_dir(peers.as_ref()?), PEER_WITHIN).await?;
    printed.lines().last().unwrap_or_default().parse().map_err(told("what it printed"))
}

/// Bytes that a model reads to fill in a form of ten fields.
pub fn form_of_ten(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let host = site(form()).await?;
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

/// A click by ref, compared with the same mouse events without a snapshot.
pub fn click(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let Shown { browser, page, _folder } = Shown::new(form()).await?;
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

/// Process and command line of the Chromium that a browser in this folder runs, if any.
fn chromium_of(folder: &Path) -> Option<(Stat, Vec<String>)> {
    let name = folder.file_name()?.to_string_lossy().into_owned();
    procfs::all().into_iter().filter(|one| !one.is_gone()).find_map(|one| {
        let line = std::fs::read(format!("/proc/{}/cmdline", one.pid)).ok()?;
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .filter(|word| !word.is_empty())
            .collect();
        let is_own = words.first().is_some_and(|first| first == PROGRAM)
            && words.iter().any(|word| word.contains(&name))
            && !words.iter().any(|word| word.starts_with("--type="));
        is_own.then_some((one, words))
    })
}

/// Time from the start of bare Chromium to its first response.
fn bare(words: &[String]) -> Result<Duration, String> {
    let folder = folder()?;
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let words = words.iter().map(|word| match word.starts_with("--user-data-dir=") {
        true => &profile,
        false => word,
    });
    let began = Instant::now();
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", PLACE_PIPES, "sh"])
        .args(words)
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(told("sh"))?;
    let (write, read) = (child.stdin.take(), child.stdout.take());
    let (mut write, read) = write.zip(read).ok_or("sh has no pipes")?;
    write
        .write_all(b"{\"id\":1,\"method\":\"Browser.getVersion\"}\0")
        .map_err(told("a question"))?;
    let (mut read, mut answer) = (BufReader::new(read), Vec::new());
    read.read_until(0, &mut answer).map_err(told("an answer"))?;
    let took = began.elapsed();
    write.write_all(b"{\"id\":2,\"method\":\"Browser.close\"}\0").map_err(told("an order"))?;
    // It ends with its pipes at the latest.
    drop((write, read));
    child.wait().map_err(told("its end"))?;
    match answer.windows(7).any(|part| part == b"product") {
        true => Ok(took),
        false => Err(format!("Chromium answers {}", String::from_utf8_lossy(&answer))),
    }
}

/// Time until a browser accepts calls, compared with bare Chromium, each with a new profile.
pub fn ready(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let host = site(form()).await?;
        let (mut ours, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let folder = folder()?;
            let browser = Browser::new(setup(folder.path(), &host)?);
            let began = Instant::now();
            browser.start().await.map_err(told("the browser"))?;
            ours.push(began.elapsed());
            let (_, words) = chromium_of(folder.path()).ok_or("no Chromium runs")?;
            browser.stop().await;
            let bare = tokio::task::spawn_blocking(move || bare(&words));
            alone.push(bare.await.map_err(told("a thread"))??);
        }
        let (ours, alone) = (load::share(ours)?.p50, load::share(alone)?.p50);
        let over = ours.saturating_sub(alone);
        let text = format!("{} over {}", ms(over), ms(alone));
        Ok(figure(text, over <= Duration::from_millis(60)))
    })
}

/// Snapshot of a large page: duration, and bytes that a model reads.
pub fn look(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let Shown { browser, page, _folder } = Shown::new(many()).await?;
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..LOOKS {
            let began = Instant::now();
            let seen = page.snapshot(&Want::default()).await.map_err(told("the page"))?;
            times.push(began.elapsed());
            bytes = bytes.max(seen.text.len());
            if seen.parts < PARTS {
                return Err(format!("{} parts were seen", seen.parts));
            }
        }
        browser.stop().await;
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, worst of {LOOKS} {}, {bytes} B", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(30) && bytes <= 10 * 1024))
    })
}

/// Memory of HQ per additional open browser.
pub fn memory(_: Times) -> Row {
    Box::pin(async {
        chromium()?;
        let host = site(form()).await?;
        let hq = Ready::start().await?;
        let mut program = hq.client().await?;
        let mut agents = Vec::new();
        for n in 0..OPEN {
            let body = wire::agent(&format!("Agent {n}"));
            agents.push(id(&program.json("POST", wire::AGENTS, Some(&body)).await?)?);
        }
        let mut client = browsing(&hq, &host, &agents).await?;
        let open = json!({ "action": "open", "url": format!("http://{host}/") });
        let seen = acts(&hq, &mut client, DEFAULT, open.clone()).await?;
        if refs(&seen).len() != STEPS {
            return Err(format!("the first browser says: {seen}"));
        }
        let before = program::pss_kib(hq.program.id());
        for n in 0..OPEN {
            let seen = acts(&hq, &mut client, &format!("hq/agent-{n}"), open.clone()).await?;
            if refs(&seen).len() != STEPS {
                return Err(format!("browser {n} says: {seen}"));
            }
        }
        let after = program::pss_kib(hq.program.id());
        let each = after.saturating_sub(before) as f64 * 1_024.0 / 1e6 / OPEN as f64;
        Ok(figure(format!("{each:.1} MB each"), each <= 3.0))
    })
}

/// Time from the kill of a browser to the agent's next result.
pub fn killed(_: Times) -> Row {
    Box::pin(async {
        let (hq, mut client) = opened().await?;
        let mut times = Vec::new();
        for _ in 0..KILLS {
            let (first, _) = chromium_of(hq.folder.path()).ok_or("no browser runs")?;
            kill(first.pid)?;
            let began = Instant::now();
            // The first snapshot may only report the crash.
            loop {
                let look = json!({ "action": "snapshot" });
                let seen = acts(&hq, &mut client, DEFAULT, look).await?;
                if refs(&seen).len() == STEPS {
                    break;
                }
                if Duration::from_secs(20) < began.elapsed() {
                    return Err(format!("after twenty seconds it says: {seen}"));
                }
            }
            times.push(began.elapsed());
        }
        let slowest = times.iter().max().copied().unwrap_or_default();
        let text = format!("{} (worst of {KILLS})", ms(slowest));
        Ok(figure(text, slowest <= Duration::from_secs(2)))
    })
}

fn kill(process: i32) -> Result<(), String> {
    let done = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
    match done.map_err(told("kill"))?.success() {
        true => Ok(()),
        false => Err(format!("process {process} is not to be killed")),
    }
}

/// All descendants of a process.
fn below(process: u32) -> Vec<Stat> {
    let all = procfs::all();
    let mut found: Vec<Stat> = Vec::new();
    let mut parents: Vec<i32> = i32::try_from(process).into_iter().collect();
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|one| one.parent == parent && !one.is_gone());
        for child in children {
            parents.push(child.pid);
            found.push(*child);
        }
    }
    found
}

/// Processes of an open browser a second after HQ was killed, and duration of the next start.
pub fn left(_: Times) -> Row {
    Box::pin(async {
        let (hq, _client) = opened().await?;
        let (first, _) = chromium_of(hq.folder.path()).ok_or("no browser runs")?;
        // Processes that have left their parent are still in the browser's session.
        let of_session = |one: &Stat| one.session == first.session && !one.is_gone();
        let mut before: Vec<Stat> = procfs::all().into_iter().filter(of_session).collect();
        before.extend(below(hq.program.id()));
        before.sort_unstable_by_key(|one| one.pid);
        before.dedup_by_key(|one| one.pid);
        let Ready { program, folder, .. } = hq;
        program.kill();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = procfs::all();
        let lives = |one: &&Stat| {
            let is_it = |other: &Stat| (other.pid, other.started) == (one.pid, one.started);
            now.iter().any(|other| is_it(other) && !other.is_gone())
        };
        let left = before.iter().filter(lives).count();
        let program = Program::start_with(&mut unlimited(folder.path()));
        let start = program.ready_after();
        let text = format!("{left} of {} left, start {}", before.len(), ms(start));
        Ok(figure(text, left == 0 && start <= Duration::from_secs(2)))
    })
}
