//! What agents reach beyond HQ: MCP servers, web search, skill packages. The server is a small Python program in the
//! jail, the engine a loopback server with SearXNG's JSON, the package a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use sandbox::procfs;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::held::at_rest;
use crate::load::{self, Client, Times, told};
use crate::model::Manner;
use crate::rows::{Ready, bearer, figure, folder, more, unlimited};
use crate::{Figure, ms};
use support::program::Program;
use support::wire;

const SERVERS: &str = "/api/v1/mcp-servers";
const SKILLS: &str = "/api/v1/skills";
/// The interpreter of the server, the same for HQ and for its peer.
const PYTHON: &str = "/usr/bin/python3";
/// Measured calls of a server, and those before them.
const CALLS: usize = 400;
const WARM: usize = 50;
/// Five servers by name.
const FIVE: [&str; 5] = ["tracker", "ledger", "mailroom", "warehouse", "website"];
/// Tools of each of them where tools are searched, and where the prompt is measured.
const FOUND: usize = 100;
const SHOWN: usize = 40;
/// Searches for tools.
const FINDS: usize = 200;
/// Idle servers, and tools of each.
const IDLE: usize = 20;
const EACH: usize = 10;
/// Searches of the web. Each is sent twice, and a person may send a hundred per day.
const SEARCHES: usize = 45;
/// Results of a search.
const RESULTS: usize = 10;
/// Files of a package, and packages.
const FILES: usize = 2_000;
const PACKAGES: usize = 3;
/// Longest wait for an answer of the peer.
const PATIENCE: Duration = Duration::from_secs(20);

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// A folder with the server's program. HQ's own data are elsewhere, because no server may read them.
struct Shelf {
    path: PathBuf,
    // Deletes it.
    _folder: TempDir,
}

impl Shelf {
    fn new() -> Result<Self, String> {
        if !Path::new(PYTHON).is_file() {
            return Err(format!("{PYTHON} is missing"));
        }
        let folder = folder()?;
        // Folders of servers are entered without links.
        let path = fs::canonicalize(folder.path()).map_err(told("a folder"))?;
        let shelf = Self { path, _folder: folder };
        fs::write(shelf.script(), include_str!("reach/server.py")).map_err(told("a script"))?;
        Ok(shelf)
    }

    fn script(&self) -> String {
        self.path.join("server.py").display().to_string()
    }

    /// The command of a server with these tools; the first one is `echo`.
    fn command(&self, word: &str, tools: usize) -> [String; 4] {
        [PYTHON.to_owned(), self.script(), word.to_owned(), tools.to_string()]
    }

    /// Adds a server and approves its tools: `echo` as one that reads, the others as acting.
    async fn add(&self, person: &mut Client, name: &str, tools: usize) -> Result<(), String> {
        let command = self.command(name, tools);
        let body = json!({ "name": name, "command": command, "read": [self.path] });
        person.call("POST", SERVERS, Some(&body)).await?;
        let at = format!("{SERVERS}/{name}");
        let tested = person.json("POST", &format!("{at}/test"), Some(&json!({}))).await?;
        let message = tested["message"].as_str().unwrap_or_default();
        // A test of a server that does not answer succeeds, too.
        if !message.contains("answers and has") {
            return Err(format!("the server {name}: {message}"));
        }
        let approval = json!({ "reads": ["echo"], "all": true });
        person.call("POST", &format!("{at}/approve"), Some(&approval)).await.map(drop)
    }

    /// Number of processes of its servers.
    fn running(&self) -> usize {
        let script = self.script();
        let is_one = |pid: i32| {
            // ok: a process that ended meanwhile is none of them.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&script)
        };
        procfs::numbers().into_iter().filter(|pid| is_one(*pid)).count()
    }
}

/// A call of `echo` with a text, as the API takes it.
fn echo(text: &str) -> Value {
    json!({ "tool": "echo", "arguments": json!({ "text": text }).to_string() })
}

/// The npm client with a server of its own.
struct Peer {
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    // Killed when it is dropped; its server then ends with its input.
    _child: Child,
}

impl Peer {
    fn start(shelf: &Shelf) -> Result<Self, String> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("web-tests/node_modules");
        let client = modules.join("@modelcontextprotocol/sdk/dist/esm/client");
        if !client.join("stdio.js").is_file() {
            return Err(format!("{} is missing; run `make setup`", client.display()));
        }
        let script = shelf.path.join("peer.mjs");
        fs::write(&script, include_str!("reach/peer.mjs")).map_err(told("a script"))?;
        let mut command = Command::new("node");
        command.arg(script).arg(client).args(shelf.command("peer", 1));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(told("node"))?;
        let input = child.stdin.take().ok_or("node has no input")?;
        let output = child.stdout.take().ok_or("node has no output")?;
        Ok(Self { input, lines: BufReader::new(output).lines(), _child: child })
    }

    /// Duration of a call, by the peer's own clock.
    async fn call(&mut self, text: &str) -> Result<Duration, String> {
        let line = format!("{text}\n");
        self.input.write_all(line.as_bytes()).await.map_err(told("node"))?;
        let next = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = next.map_err(told("node"))?.map_err(told("node"))?.ok_or("node ended")?;
        let millis = line.parse::<f64>().map_err(told("node"))?;
        Ok(Duration::from_secs_f64(millis / 1_000.0))
    }
}

/// A call of a warm server through the API, without what the API itself costs (a request for the server's log), compared
/// with a call by the npm client of the same program. In turn, so that all three meet the same machine.
pub fn stdio(_: Times) -> Row {
    Box::pin(async {
        let shelf = Shelf::new()?;
        let mut peer = Peer::start(&shelf)?;
        let hq = Ready::start().await?;
        shelf.add(&mut hq.person().await?, "echo", 1).await?;
        let mut client = hq.client().await?;
        let [call, log] = ["call", "log"].map(|op| format!("{SERVERS}/echo/{op}"));
        let (mut calls, mut logs, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..WARM + CALLS {
            let text = format!("call {n}");
            let body = echo(&text);
            let began = Instant::now();
            let answer = client.json("POST", &call, Some(&body)).await?;
            let called = began.elapsed();
            if answer["message"] != text.as_str() {
                return Err(format!("echo answers {answer}"));
            }
            let began = Instant::now();
            client.call("POST", &log, Some(&json!({}))).await?;
            let logged = began.elapsed();
            let peered = peer.call(&text).await?;
            if WARM <= n {
                calls.push(called);
                logs.push(logged);
                theirs.push(peered);
            }
        }
        let [calls, logs, theirs] = [load::share(calls)?, load::share(logs)?, load::share(theirs)?];
        let ours = calls.p50.saturating_sub(logs.p50);
        let ratio = ours.as_secs_f64() / theirs.p50.as_secs_f64();
        let text = format!(
            "{ratio:.2} ({} : {}), p50 with the API {}, p99 {} : {}",
            ms(ours),
            ms(theirs.p50),
            ms(calls.p50),
            ms(calls.p99),
            ms(theirs.p99)
        );
        Ok(figure(text, ratio <= 1.2))
    })
}

/// Searches for tools by an agent, one per turn: durations of the turns, and of the searches by the runs' own records,
/// which omit parts of milliseconds.
async fn finds(hq: &Ready) -> Result<(Times, Times), String> {
    let verbs = ["list", "create", "update", "delete", "search", "export"];
    let nouns = ["issue", "invoices", "contact", "labels", "page", "orders", "shipment"];
    let mut client = hq.client().await?;
    let (mut turns, mut searches) = (Vec::new(), Vec::new());
    for n in 0..FINDS {
        let query = format!("{} {}", verbs[n % verbs.len()], nouns[n % nouns.len()]);
        let search = ("tool_search", json!({ "query": query }));
        hq.model.be(Manner { calls: vec![search], ..Manner::default() });
        let began = Instant::now();
        client.call("POST", wire::CHAT, Some(&wire::chat("Go on", false))).await?;
        turns.push(began.elapsed());
        hq.rest(&mut client).await?;
        let runs = client.json("GET", "/api/v1/runs?limit=1", None).await?;
        let run = runs["items"][0]["name"].as_str().ok_or("no run")?;
        let steps = client.json("GET", &format!("/api/v1/runs/{run}/steps"), None).await?;
        let steps = steps["items"].as_array().ok_or("a run without steps")?;
        let is_search =
            |step: &&Value| step["kind"] == "tool_finished" && step["name"] == "tool_search";
        let millis = steps.iter().find(is_search).and_then(|step| step["millis"].as_u64());
        searches.push(Duration::from_millis(millis.ok_or("a run without a search")?));
    }
    Ok((load::share(turns)?, load::share(searches)?))
}

/// `tool_search` among the tools of five servers; and how much longer its turn takes than without servers.
pub fn find(_: Times) -> Row {
    Box::pin(async {
        let shelf = Shelf::new()?;
        let hq = Ready::start().await?;
        let (turns_before, _) = finds(&hq).await?;
        let mut person = hq.person().await?;
        for name in FIVE {
            shelf.add(&mut person, name, FOUND).await?;
        }
        let (turns, searches) = finds(&hq).await?;
        let (_, result) = hq.model.tool();
        if !FIVE.iter().any(|name| result.contains(&format!("{name}__"))) {
            return Err(format!("no tool of a server is found: {result}"));
        }
        // A record of 4 ms is of less than 5 ms.
        let p99 = searches.p99 + Duration::from_millis(1);
        let (_, turns) = more(turns, turns_before);
        let tools = FIVE.len() * FOUND;
        let text = format!("p99 below {} ms, {tools} tools; turn {turns}", p99.as_millis());
        Ok(figure(text, p99 <= Duration::from_millis(5)))
    })
}

/// Bytes of the first request of an agent that has these servers.
async fn request(shelf: &Shelf, servers: &[&str]) -> Result<usize, String> {
    let hq = Ready::start().await?;
    let mut person = hq.person().await?;
    for name in servers {
        shelf.add(&mut person, name, SHOWN).await?;
    }
    hq.client().await?.call("POST", wire::CHAT, Some(&wire::chat("Hello", false))).await?;
    Ok(hq.model.asked())
}

/// Growth of an agent's request by five servers with 200 tools.
pub fn prompt(_: Times) -> Row {
    Box::pin(async {
        let shelf = Shelf::new()?;
        let none = request(&shelf, &[]).await?;
        let all = request(&shelf, &FIVE).await?;
        let more = all.saturating_sub(none);
        if more == 0 {
            return Err("the request does not name the servers".to_owned());
        }
        let text = format!("{more} B more than {:.1} KB", none as f64 / 1024.0);
        Ok(figure(text, more <= 300))
    })
}

/// Starts the program, which answers a message. Returns it with its memory at rest, in KiB.
async fn rested(data: &Path, token: &str) -> Result<(Program, u64), String> {
    let program = Program::start_with(&mut unlimited(data));
    let mut client = Client::connect(program.url(), bearer(token)).await?;
    client.call("POST", wire::CHAT, Some(&wire::chat("Hello", false))).await?;
    let memory = at_rest(&program).await;
    Ok((program, memory))
}

/// Memory and processes of servers that were used before the last start, half a minute after a turn of an agent that
/// has their tools.
pub fn idle(_: Times) -> Row {
    Box::pin(async {
        let shelf = Shelf::new()?;
        let Ready { program, token, browser, folder, .. } = Ready::start().await?;
        program.stop();
        let (program, none) = rested(folder.path(), &token).await?;
        let cookie = ("cookie", browser.cookie_header());
        let mut person = Client::connect(program.url(), cookie).await?;
        for n in 0..IDLE {
            let name = format!("server-{n}");
            shelf.add(&mut person, &name, EACH).await?;
            person.call("POST", &format!("{SERVERS}/{name}/call"), Some(&echo("Hello"))).await?;
        }
        let busy = shelf.running();
        if busy < IDLE {
            return Err(format!("only {busy} of {IDLE} servers run after a call"));
        }
        program.stop();
        let (program, all) = rested(folder.path(), &token).await?;
        let left = shelf.running();
        program.stop();
        let more = all.saturating_sub(none) as f64 * 1_024.0 / 1e6;
        let text = format!("{more:.1} MB more, {left} processes ({busy} after calls)");
        Ok(figure(text, more <= 2.0 && left == 0))
    })
}

/// Starts a search engine that answers at once; returns its address.
async fn engine() -> Result<String, String> {
    let result = |n: usize| {
        json!({
            "title": format!("Prices of cargo bikes, part {n}"),
            "url": format!("https://example.com/prices/{n}"),
            "content": "What a cargo bike costs, by maker and by load. ".repeat(5),
        })
    };
    let results: Vec<Value> = (0..RESULTS).map(result).collect();
    let answer = json!({ "results": results, "unresponsive_engines": [] }).to_string();
    let answered = move || {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told("a port"))?;
    let address = listener.local_addr().map_err(told("a port"))?;
    let router = Router::new().route("/search", get(answered));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

/// A search through the API compared with a request to the engine, and the same search again.
pub fn web(fsync: Times) -> Row {
    Box::pin(async move {
        let engine = engine().await?;
        let hq = Ready::start().await?;
        let body = json!({
            "name": "Own", "kind": "searxng", "address": engine, "may_cache": true,
        });
        hq.person().await?.call("POST", "/api/v1/search-engines", Some(&body)).await?;
        let mut client = hq.client().await?;
        let accepts = ("accept", "application/json".to_owned());
        let mut direct = Client::connect(&engine, accepts).await?;
        let (mut bare, mut fresh, mut cached) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..SEARCHES {
            bare.push(direct.timed(&format!("/search?q=price+of+bike+{n}&format=json")).await?);
            let body = json!({ "query": format!("price of bike {n}"), "count": RESULTS });
            for (is_cached, times) in [(false, &mut fresh), (true, &mut cached)] {
                let began = Instant::now();
                let found = client.json("POST", "/api/v1/web/search", Some(&body)).await?;
                times.push(began.elapsed());
                if found["cached"] != is_cached || found["count"] != RESULTS {
                    return Err(format!("a search is answered with {found}"));
                }
            }
        }
        let (beyond, text) = more(load::share(fresh)?, load::share(bare)?);
        let cached = load::share(cached)?.p50;
        // The API counts each search of a person, which is a commit.
        let text = format!("{text}, cached p50 {} (fsync {})", ms(cached), ms(fsync.p50));
        let kept = beyond <= Duration::from_millis(5) && cached <= Duration::from_millis(1);
        Ok(figure(text, kept))
    })
}

/// Writes a package of 2,000 files with 2 KB each.
fn package(folder: &Path, name: &str) -> Result<(), String> {
    let written = |at: PathBuf, text: String| fs::write(at, text).map_err(told("a file"));
    let about = "Look up parts of bikes, their prices and their makers";
    let text = format!("---\nname: {name}\ndescription: {about}\n---\nRead the list you need.\n");
    fs::create_dir(folder).map_err(told("a folder"))?;
    written(folder.join("SKILL.md"), text)?;
    for n in 1..FILES {
        let part = folder.join(format!("part-{}", n / 100));
        fs::create_dir_all(&part).map_err(told("a folder"))?;
        let line = format!("- Part {n} of {name}: fits all frames, made of steel, in stock.\n");
        written(part.join(format!("list-{n}.md")), line.repeat(2_000 / line.len()))?;
    }
    Ok(())
}

/// Installation and approval of large packages.
pub fn install(_: Times) -> Row {
    Box::pin(async {
        let place = folder()?;
        let top = fs::canonicalize(place.path()).map_err(told("a folder"))?;
        let hq = Ready::start().await?;
        let mut person = hq.person().await?;
        let (mut slowest, mut approved) = (Duration::ZERO, Duration::ZERO);
        for n in 0..PACKAGES {
            let name = format!("parts-{n}");
            let folder = top.join(&name);
            package(&folder, &name)?;
            let began = Instant::now();
            let body = json!({ "source": folder });
            let made = person.json("POST", &format!("{SKILLS}/install"), Some(&body)).await?;
            slowest = slowest.max(began.elapsed());
            let began = Instant::now();
            let body = json!({ "hash": made["hash"] });
            let path = format!("{SKILLS}/{name}/approve");
            let active = person.json("POST", &path, Some(&body)).await?;
            approved = approved.max(began.elapsed());
            if active["state"] != "active" {
                return Err(format!("an approved package is {}", active["state"]));
            }
        }
        let text = format!("{} (worst of {PACKAGES}), approval {}", ms(slowest), ms(approved));
        Ok(figure(text, slowest + approved <= Duration::from_secs(3)))
    })
}
