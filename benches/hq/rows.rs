//! Measurements of the table's rows.

use std::path::Path;
use std::pin::Pin;

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{self, Client, Times, told};
use crate::{Figure, model, ms};
use support::browse::Browser;
use support::program::{self, Program};
use support::wire;

pub const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const SPAN: Duration = Duration::from_secs(5);

/// Measures one row; gets the cost of an fsync.
pub type Measure = fn(Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// An HQ that is set up, with a mock model as its default connection and an agent.
pub struct Ready {
    pub program: Program,
    pub model: model::Model,
    pub token: String,
    pub agent: String,
    pub browser: Browser,
    pub workspace: String,
    // Dropped last, after the program has ended.
    pub folder: TempDir,
}

pub fn binary(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let bytes = std::fs::metadata(BINARY).map_err(told("the binary"))?.len();
        Ok(figure(format!("{:.1} MB", megabytes(bytes)), bytes <= 45_000_000))
    })
}

pub fn start(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        serving()?;
        let mut times = Vec::new();
        for _ in 0..9 {
            let folder = folder()?;
            let program = Program::start(Path::new(BINARY), folder.path());
            let began = Instant::now();
            let mut client = Client::connect(program.url(), nobody()).await?;
            client.call("GET", "/healthz", None).await?;
            times.push(program.ready_after() + began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        Ok(figure(format!("{} (worst of 9: {})", ms(p50), ms(p99)), p50.as_millis() <= 100))
    })
}

pub fn memory(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        serving()?;
        let folder = folder()?;
        let program = Program::start(Path::new(BINARY), folder.path());
        let mut client = Client::connect(program.url(), nobody()).await?;
        client.call("GET", "/setup", None).await?;
        // The promise refers to half a minute after the first response.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let bytes = program::pss_kib(program.id()) * 1024;
        Ok(figure(format!("{:.1} MB", megabytes(bytes)), bytes <= 30_000_000))
    })
}

pub fn prompt(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        hq.client().await?.call("POST", wire::CHAT, Some(&wire::chat("Hello", false))).await?;
        let bytes = hq.model.asked();
        Ok(figure(format!("{:.1} KB", bytes as f64 / 1024.0), bytes <= 12 * 1024))
    })
}

pub fn turn_alone(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let load = turns(1).await?;
        let Times { p50, p99 } = load.times;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(5)))
    })
}

pub fn turn_crowd(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let load = turns(16).await?;
        let text = format!("{:.0}/s, p99 {}", load.rate, ms(load.times.p99));
        Ok(figure(text, load.rate >= 500.0))
    })
}

pub fn assign_alone(fsync: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async move {
        let load = assignments(1).await?;
        let Times { p50, p99 } = load.times;
        let limit = fsync.p50.mul_f64(1.3) + Duration::from_micros(600);
        let text = format!("p50 {}, p99 {} (limit {})", ms(p50), ms(p99), ms(limit));
        Ok(figure(text, p50 <= limit))
    })
}

pub fn assign_crowd(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let load = assignments(64).await?;
        let text = format!("{:.0}/s, p99 {}", load.rate, ms(load.times.p99));
        Ok(figure(text, load.rate >= 4_000.0))
    })
}

pub fn streams(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let path = format!("/w/{}/events", hq.workspace);
        let (send, mut arrived) = tokio::sync::mpsc::channel(1_024);
        for _ in 0..100 {
            let mut page = hq.person().await?;
            let mut body = page.send("GET", &path, None).await?.into_body();
            let send = send.clone();
            tokio::spawn(async move {
                while let Some(Ok(frame)) = body.frame().await {
                    let changed = frame.data_ref().is_some_and(|bytes| has_change(bytes));
                    if changed && send.send(Instant::now()).await.is_err() {
                        return;
                    }
                }
                drop(page);
            });
        }
        let mut writer = hq.client().await?;
        let mut times = Vec::new();
        // Changes within 100 ms are batched intentionally; these are not.
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        for count in 0..40 {
            tick.tick().await;
            while arrived.try_recv().is_ok() {}
            let began = Instant::now();
            let body = wire::task(&format!("seen {count}"), None);
            writer.call("POST", wire::TASKS, Some(&body)).await?;
            for _ in 0..100 {
                let next = tokio::time::timeout(Duration::from_secs(2), arrived.recv()).await;
                let next = next.map_err(told("a page heard nothing"))?;
                times.push(next.ok_or("the streams ended")?.duration_since(began));
            }
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {} (with the write itself)", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(10)))
    })
}

pub fn assets(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let hq = Ready::start().await?;
        let page = hq.browser.open("/").await;
        let quoted = page.text.split('"').filter(|text| text.starts_with("/s/"));
        let mut paths: Vec<&str> = quoted.filter_map(|text| text.split('#').next()).collect();
        paths.sort_unstable();
        paths.dedup();
        if paths.is_empty() {
            return Err("the dashboard names no asset; run `make assets` first".to_owned());
        }
        let mut sum = 0;
        for path in &paths {
            let packed = ("accept-encoding", "gzip".to_owned());
            let mut client = Client::connect(hq.program.url(), packed).await?;
            let answer = client.send("GET", path, None).await?;
            let kind = answer.headers().get("content-encoding").cloned();
            let bytes = answer.into_body().collect().await.map_err(told(path))?.to_bytes().len();
            if kind.is_none_or(|kind| kind != "gzip") && bytes > 1_024 {
                return Err(format!("{path} is not sent compressed"));
            }
            sum += bytes;
        }
        let text = format!("{:.1} KB in {} files", sum as f64 / 1024.0, paths.len());
        Ok(figure(text, sum <= 85 * 1024))
    })
}

async fn turns(clients: usize) -> Result<load::Load, String> {
    let hq = Ready::start().await?;
    let body = wire::chat("What is open?", false);
    load::repeat(hq.clients(clients).await?, SPAN, async |client, _, _| {
        client.call("POST", wire::CHAT, Some(&body)).await.map(drop)
    })
    .await
}

/// Each action assigns a task to the other agent, which creates an inbox item, events and history.
pub async fn assignments(clients: usize) -> Result<load::Load, String> {
    let hq = Ready::start().await?;
    let mut first = hq.client().await?;
    // Paused agents, so that the write is measured and not the runs.
    let mut agents = vec![hq.agent.clone()];
    let other = first.json("POST", wire::AGENTS, Some(&wire::agent("Otto"))).await?;
    agents.push(id(&other)?);
    for agent in &agents {
        first.call("POST", &format!("{}/{agent}/pause", wire::AGENTS), Some(&json!({}))).await?;
    }
    let mut tasks = Vec::new();
    for number in 0..clients {
        let body = wire::task(&format!("task {number}"), None);
        let made = first.json("POST", wire::TASKS, Some(&body)).await?;
        tasks.push(format!("{}/{}", wire::TASKS, id(&made)?));
    }
    load::repeat(hq.clients(clients).await?, SPAN, async |client, number, count| {
        let body = wire::assign(&agents[count % 2]);
        client.call("PATCH", &tasks[number], Some(&body)).await.map(drop)
    })
    .await
}

impl Ready {
    /// Sets it up in a new folder, without rate limits.
    pub async fn start() -> Result<Self, String> {
        Self::start_with(&[]).await
    }

    /// The same with additional settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self, String> {
        serving()?;
        let folder = folder()?;
        let model = model::start().await;
        let mut command = unlimited(folder.path());
        command.envs(settings.iter().copied());
        let mut program = Program::start_with(&mut command);
        let browser = Browser::new(program.url());
        let page = browser.set_up(&program.setup_link()).await;
        let workspace = page.url.path().split('/').nth(2).unwrap_or_default().to_owned();
        let made = program::run_json(
            Path::new(BINARY),
            folder.path(),
            &["token", "create", "--name", "bench"],
        );
        let token = made["token"].as_str().ok_or("`hq token create` printed no token")?.to_owned();
        let mut ready =
            Self { program, model, token, agent: String::new(), browser, workspace, folder };
        let mut client = ready.client().await?;
        let connection = wire::connection(&ready.model.url);
        client.call("POST", wire::CONNECTIONS, Some(&connection)).await?;
        let agent = client.json("POST", wire::AGENTS, Some(&wire::agent("Ada"))).await?;
        ready.agent = id(&agent)?;
        Ok(ready)
    }

    /// A connection with the API token.
    pub async fn client(&self) -> Result<Client, String> {
        Client::connect(self.program.url(), bearer(&self.token)).await
    }

    /// A connection with the browser session.
    pub async fn person(&self) -> Result<Client, String> {
        Client::connect(self.program.url(), ("cookie", self.browser.cookie_header())).await
    }

    pub async fn clients(&self, number: usize) -> Result<Vec<Client>, String> {
        let mut all = Vec::new();
        for _ in 0..number {
            all.push(self.client().await?);
        }
        Ok(all)
    }
}

/// The program without limits of requests and streams.
pub fn unlimited(data: &Path) -> std::process::Command {
    let mut command = program::command(Path::new(BINARY), data, &["serve"]);
    for name in ["API_PER_MINUTE", "STREAMS_PER_SIGN_IN", "STREAMS_PER_WORKSPACE"] {
        command.env(format!("HQ_LIMITS_{name}"), "0");
    }
    command
}

/// Whether the program can serve; checked before a row starts it.
fn serving() -> Result<(), String> {
    let output = program::run(Path::new(BINARY), Path::new("."), &["serve", "--help"]);
    match output.status.success() && !output.stdout.is_empty() {
        true => Ok(()),
        false => Err("the program has no `serve` yet".to_owned()),
    }
}

/// A folder on the build's disk.
pub fn folder() -> Result<TempDir, String> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(told("a data folder"))
}

/// Whether the stream data contains a change event.
pub fn has_change(bytes: &[u8]) -> bool {
    bytes.windows(9).any(|window| window == b"event: hq")
}

pub fn id(record: &Value) -> Result<String, String> {
    record["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no id in {record}"))
}

/// Authorization header for a token.
pub fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

fn nobody() -> (&'static str, String) {
    ("accept", "*/*".to_owned())
}

/// Text of a row, and whether its promise is kept.
pub fn figure(text: String, kept: bool) -> Figure {
    Figure { text, kept }
}

/// Difference of the medians, with a text that has the times of both.
pub fn more(these: Times, others: Times) -> (Duration, String) {
    let more = these.p50.saturating_sub(others.p50);
    let text = format!(
        "{} more (p50 {} : {}, p99 {} : {})",
        ms(more),
        ms(these.p50),
        ms(others.p50),
        ms(these.p99),
        ms(others.p99)
    );
    (more, text)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
