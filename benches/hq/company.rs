//! A company of 100,000 tasks, created by `hq demo --seed large`: its pages and larger actions. Created once for all
//! rows of this file.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::TempDir;

use demo::{EMAIL, PASSWORD};

use crate::load::{self, Client, Load, Times, told};
use crate::rows::{BINARY, bearer, figure, folder, has_change, id, unlimited};
use crate::{Figure, ms};
use support::browse::Browser;
use support::program::{self, Program};
use support::wire;

/// Duration of repeated requests.
const SPAN: Duration = Duration::from_secs(4);
/// Measurements per action.
const ACTS: usize = 25;
/// Tasks changed together.
const MANY: usize = 500;
/// Tasks of the template, and dependencies between them.
const ITEMS: usize = 50;
const WAITS: usize = 80;
/// Input of the palette, key by key.
const TYPED: [&str; 10] =
    ["p", "pr", "pri", "price", "price%20p", "prcie", "brake", "harbour%20depot", "TB-4711", "zzz"];

/// The company and its running program.
struct Company {
    url: String,
    program: Mutex<Program>,
    token: String,
    cookie: String,
    // Dropped last, after the program has ended.
    _folder: TempDir,
}

static COMPANY: Mutex<Option<Arc<Company>>> = Mutex::new(None);

/// The company, created on first use.
async fn company() -> Result<Arc<Company>, String> {
    if let Some(company) = &*COMPANY.lock().unwrap_or_else(PoisonError::into_inner) {
        return Ok(Arc::clone(company));
    }
    let folder = folder()?;
    let data = folder.path().join("data");
    program::run_json(Path::new(BINARY), &data, &["demo", "--seed", "large"]);
    let program = Program::start_with(&mut unlimited(&data));
    let token = ["token", "create", "--name", "bench", "--email", EMAIL];
    let made = program::run_json(Path::new(BINARY), &data, &token);
    let token = made["token"].as_str().ok_or("`hq token create` printed no token")?.to_owned();
    let url = program.url().to_owned();
    let browser = Browser::new(&url);
    let form = browser.open("/login").await.form("Sign in");
    let page = browser.submit(form.fill("Email", EMAIL).fill("Password", PASSWORD)).await;
    if !page.status.is_success() {
        return Err(format!("signing in is answered with {}", page.status));
    }
    let cookie = browser.cookie_header();
    let company =
        Arc::new(Company { url, program: Mutex::new(program), token, cookie, _folder: folder });
    *COMPANY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&company));
    Ok(company)
}

/// Stops the program and deletes its folder.
pub fn close() {
    COMPANY.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl Company {
    async fn person(&self) -> Result<Client, String> {
        Client::connect(&self.url, ("cookie", self.cookie.clone())).await
    }

    async fn program(&self) -> Result<Client, String> {
        Client::connect(&self.url, bearer(&self.token)).await
    }

    fn path(rest: &str) -> String {
        format!("/w/tidewater-bikes/{rest}")
    }
}

/// Row of pages, requested in turn.
async fn pages(paths: &[&str], promise: Duration) -> Result<Figure, String> {
    let company = company().await?;
    let client = company.person().await?;
    let paths: Vec<String> = paths.iter().map(|path| Company::path(path)).collect();
    let Load { times: Times { p50, p99 }, .. } =
        load::repeat(vec![client], SPAN, async |client, _, count| {
            client.call("GET", &paths[count % paths.len()], None).await.map(drop)
        })
        .await?;
    Ok(figure(format!("p50 {}, p99 {}", ms(p50), ms(p99)), p99 <= promise))
}

pub fn list(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(pages(
        &["tasks", "tasks?sort=due", "tasks?q=is:open+stream:fleet"],
        Duration::from_millis(10),
    ))
}

pub fn activity(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(pages(&["activity"], Duration::from_millis(25)))
}

pub fn audit(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(pages(&["settings/audit"], Duration::from_millis(25)))
}

/// Memory a minute after many people opened pages at once.
pub fn burst(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    /// Concurrent visitors.
    const VISITORS: usize = 200;
    Box::pin(async {
        let company = company().await?;
        let process = company.program.lock().unwrap_or_else(PoisonError::into_inner).id();
        let mut clients = Vec::new();
        for _ in 0..VISITORS {
            clients.push(company.person().await?);
        }
        let paths = ["tasks", "contacts", "activity", "settings/audit", ""].map(Company::path);
        load::repeat(clients, SPAN, async |client, _, count| {
            client.call("GET", &paths[count % paths.len()], None).await.map(drop)
        })
        .await?;
        let mb = |kib: u64| kib as f64 * 1_024.0 / 1e6;
        let most = mb(program::pss_kib(process));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let after = mb(program::pss_kib(process));
        Ok(figure(format!("{after:.0} MB (at its end {most:.0} MB)"), after <= 200.0))
    })
}

pub fn board(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &["tasks?layout=board", "tasks?layout=board&group=priority"];
    Box::pin(pages(paths, Duration::from_millis(10)))
}

pub fn filter(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    let paths = &[
        "tasks?q=assignee:me+is:open",
        "tasks?q=status:blocked+priority:high",
        "tasks?q=label:customer+-status:done",
        "tasks?q=due:%3C7d+is:open",
        "tasks?q=price+page",
    ];
    Box::pin(pages(paths, Duration::from_millis(10)))
}

pub fn palette(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let company = company().await?;
        // The first search starts the indexing.
        let mut program = company.program().await?;
        let began = Instant::now();
        while program.json("GET", "/api/v1/search?q=price", None).await?["complete"] != true {
            if Duration::from_secs(180) < began.elapsed() {
                return Err("the index is not whole after three minutes".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let paths: Vec<String> = TYPED.iter().map(|typed| format!("palette?q={typed}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        pages(&paths, Duration::from_millis(50)).await
    })
}

pub fn bulk(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let company = company().await?;
        let mut program = company.program().await?;
        let tasks = newest(&mut program, MANY).await?;
        let mut times = Vec::new();
        for count in 0..ACTS {
            let priority = if count % 2 == 0 { "low" } else { "high" };
            let body = json!({ "tasks": tasks, "priority": priority });
            let began = Instant::now();
            program.call("POST", "/api/v1/tasks/bulk", Some(&body)).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, worst of {ACTS} {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(300)))
    })
}

/// Reads of single tasks over `POST /mcp`.
pub fn mcp(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let company = company().await?;
        let mut program = company.program().await?;
        let tasks = newest(&mut program, MANY).await?;
        let mut times = Vec::new();
        for task in &tasks {
            let call = json!({ "name": "task_get", "arguments": { "task": task } });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call });
            let began = Instant::now();
            let answer = program.json("POST", "/mcp", Some(&body)).await?;
            times.push(began.elapsed());
            if answer["result"]["structuredContent"]["id"] != task.as_str() {
                return Err(format!("no task: {answer}"));
            }
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, p99 {}", ms(p50), ms(p99));
        Ok(figure(text, p50 <= Duration::from_millis(3)))
    })
}

/// Ids of open tasks.
async fn newest(program: &mut Client, count: usize) -> Result<Vec<String>, String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    while ids.len() < count {
        let path = format!("{}?limit=100&status=open&sort=created{after}", wire::TASKS);
        let page = program.json("GET", &path, None).await?;
        let items = page["items"].as_array().ok_or("a page without items")?;
        ids.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
        let next = page["next"].as_str().ok_or_else(|| format!("only {} are open", ids.len()))?;
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        after = format!("&after={next}");
    }
    ids.truncate(count);
    Ok(ids)
}

/// A template in which each task depends on the previous one, and some on another one, too.
fn template() -> Value {
    let mut left = WAITS;
    let items: Vec<Value> = (0..ITEMS)
        .map(|n| {
            let near = [1, 7].into_iter().filter(|back| *back <= n);
            let waits: Vec<String> =
                near.take(left).map(|back| format!("step-{}", n - back)).collect();
            left -= waits.len();
            json!({ "ref": format!("step-{n}"), "title": format!("Step {n}"), "blocked_by": waits })
        })
        .collect();
    json!({ "name": "Fifty steps", "items": items })
}

pub fn spawn(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let company = company().await?;
        let mut program = company.program().await?;
        let made = program.json("POST", "/api/v1/task-templates", Some(&template())).await?;
        let path = format!("/api/v1/task-templates/{}/spawn", id(&made)?);
        let mut times = Vec::new();
        for _ in 0..ACTS {
            let began = Instant::now();
            program.call("POST", &path, Some(&json!({}))).await?;
            times.push(began.elapsed());
        }
        let Times { p50, p99 } = load::share(times)?;
        let text = format!("p50 {}, worst of {ACTS} {}", ms(p50), ms(p99));
        Ok(figure(text, p99 <= Duration::from_millis(50)))
    })
}

pub fn seen(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let company = company().await?;
        let mut program = company.program().await?;
        let tasks = newest(&mut program, ACTS).await?;
        let mut page = company.person().await?;
        let mut stream = page.send("GET", &Company::path("events"), None).await?.into_body();
        let mut reader = company.person().await?;
        let (mut heard, mut shown) = (Vec::new(), Vec::new());
        for task in tasks {
            // Changes within 100 ms are batched intentionally; these are not.
            quiet(&mut stream, Duration::from_millis(250)).await?;
            let (path, began) = (format!("{}/{task}", wire::TASKS), Instant::now());
            let body = json!({ "status": "in_progress" });
            let (changed, told) =
                tokio::join!(program.call("PATCH", &path, Some(&body)), next(&mut stream));
            changed?;
            // Without a change there is no event.
            let Some(at) = told? else { continue };
            heard.push(at.duration_since(began));
            // The request that an open page then sends.
            reader.call("GET", &Company::path("tasks?q=is:open"), None).await?;
            shown.push(began.elapsed());
        }
        let (heard, shown) = (load::share(heard)?, load::share(shown)?);
        let text = format!(
            "heard p50 {}, list there p50 {}, worst {}",
            ms(heard.p50),
            ms(shown.p50),
            ms(shown.p99)
        );
        Ok(figure(text, shown.p99 <= Duration::from_millis(50)))
    })
}

/// Time of the stream's next change event; `None` if there is none.
async fn next(stream: &mut Incoming) -> Result<Option<Instant>, String> {
    let first = async {
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(told("a stream"))?;
            if frame.data_ref().is_some_and(|bytes| has_change(bytes)) {
                return Ok(Instant::now());
            }
        }
        Err("the stream ended".to_owned())
    };
    match tokio::time::timeout(Duration::from_secs(1), first).await {
        Ok(told) => told.map(Some),
        Err(_) => Ok(None),
    }
}

/// Reads a stream until it is silent for `span`.
async fn quiet(stream: &mut Incoming, span: Duration) -> Result<(), String> {
    while let Ok(frame) = tokio::time::timeout(span, stream.frame()).await {
        frame.ok_or("the stream ended")?.map_err(told("a stream"))?;
    }
    Ok(())
}
