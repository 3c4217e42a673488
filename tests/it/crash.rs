//! Kills the real program at random moments while people write and agents run, and compares what it
//! finds afterwards with a ledger kept out here. What was acknowledged must be there once; what was
//! cut off is repeated with the same key and must then be there once, too; every run must end with
//! the effects of a run that nobody disturbed.
//!
//! `HQ_CRASH_N` kills (200), `HQ_CRASH_SEED` repeats the choices of another time.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hq::kernel::id::SystemIds;
use hq::kernel::time::SystemClock;
use hq::server::schema;
use hq::store::{NoFaults, Options, Store};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::store::check;
use crate::support::browse::Browser;
use crate::support::program::{Program, run_json};
use crate::support::wire;

const WRITERS: u64 = 4;
const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PATIENCE: Duration = Duration::from_secs(60);

/// Choices that a seed repeats (splitmix64).
struct Dice(u64);

/// The API as one token sees it, at the address of one start of the program.
struct Api<'a> {
    client: &'a Client,
    base: String,
    token: &'a str,
}

/// What a writer wants done; it is repeated with the same key until it is acknowledged.
#[derive(Clone)]
struct Act {
    key: String,
    path: String,
    body: Sent,
    effect: Effect,
}

/// What is sent.
#[derive(Clone)]
enum Sent {
    Json(Value),
    File(Vec<u8>),
}

#[derive(Clone)]
enum Effect {
    Task { title: String, for_agent: bool },
    Comment { task: usize, text: String },
    File { task: usize, name: String, bytes: Vec<u8> },
    Piece { task: usize, title: String },
}

/// A task that was acknowledged, and what must be on it.
struct Known {
    id: String,
    title: String,
    for_agent: bool,
    comments: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    pieces: Vec<String>,
}

/// One writer with its part of the ledger. It does one thing after the other.
struct Writer {
    number: u64,
    dice: Dice,
    acts: usize,
    pending: Option<Act>,
    known: Vec<Known>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let kills: u64 = setting("HQ_CRASH_N").unwrap_or(200);
    let seed: u64 = setting("HQ_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(kills));
    say(&format!("{kills} kills, HQ_CRASH_SEED={seed}"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let client = Client::new();

    let mut program = Program::start(Path::new(BINARY), folder.path());
    let token = first_boot(&mut program, folder.path()).await;
    let api = Api { client: &client, base: program.url().to_owned(), token: &token };
    let agent =
        api.post(wire::AGENTS, "agent", &Sent::Json(wire::agent("Ada"))).await.expect("an agent");
    let agent = agent["slug"].as_str().expect("a slug").to_owned();
    let body = Sent::Json(wire::task("undisturbed", Some(&agent)));
    let control = api.post(wire::TASKS, "control", &body).await.expect("a task");
    let control = api.finished(control["id"].as_str().expect("an id")).await;

    let mut dice = Dice(seed);
    let mut writers: Vec<_> = (0..WRITERS).map(|n| Writer::new(n, Dice(seed ^ (n + 1)))).collect();
    for kill in 1..=kills {
        let api = Api { client: &client, base: program.url().to_owned(), token: &token };
        // Not a wait for something: the moment of the kill is what the seed chooses.
        let moment = Duration::from_micros(dice.below(400_000));
        let killer = async {
            tokio::time::sleep(moment).await;
            program.kill();
        };
        tokio::join!(killer, join_all(writers.iter_mut().map(|w| w.write(&api, &agent))));
        if kill % 20 == 0 {
            all_fits(folder.path());
        }
        program = Program::start(Path::new(BINARY), folder.path());
        let api = Api { client: &client, base: program.url().to_owned(), token: &token };
        let latest = if kill % 20 == 0 || kill == kills { usize::MAX } else { 3 };
        for writer in &mut writers {
            writer.settle(&api).await;
            writer.check(&api, latest).await;
        }
    }

    let api = Api { client: &client, base: program.url().to_owned(), token: &token };
    let listed = api.titles().await;
    let (mut tasks, mut comments, mut files, mut pieces, mut runs) = (0, 0, 0, 0, 0);
    for known in writers.iter().flat_map(|writer| &writer.known) {
        assert_eq!(listed.get(&known.title), Some(&1), "`{}` must be listed once", known.title);
        tasks += 1;
        comments += known.comments.len();
        files += known.files.len();
        pieces += known.pieces.len();
        if known.for_agent {
            let found = api.finished(&known.id).await;
            let others = found.0 - known.comments.len();
            assert_eq!((others, found.1), control, "effects of the run on `{}`", known.title);
            runs += 1;
        }
    }
    assert_eq!(listed.len(), tasks + 1, "no task that nobody made");
    assert!(program.stop().success(), "the program ends well after all kills");
    all_fits(folder.path());
    say(&format!(
        "{kills} kills, {tasks} tasks, {comments} comments, {files} files, {pieces} pieces of work, \
         {runs} runs, all as told (HQ_CRASH_SEED={seed})"
    ));
}

/// Whether everything in the stores fits: indexes and sums a rebuild, rows and images the chain of
/// heads. Looks at copies, so that the program finds its files as the kill left them.
fn all_fits(data: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = vec![(data.join("system.redb"), schema::system())];
    for entry in std::fs::read_dir(data.join("workspaces")).expect("the workspaces") {
        files.push((entry.expect("an entry").path().join("hq.redb"), schema::workspace()));
    }
    for (n, (file, schema)) in files.into_iter().enumerate() {
        let path = folder.path().join(n.to_string());
        std::fs::copy(&file, &path).expect("a copy");
        let options = Options {
            path,
            schema,
            cache: 4 << 20,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
            reactor: None,
            faults: Arc::new(NoFaults),
        };
        check::all_fits(&Store::open(options).expect("it opens"));
    }
}

/// Sets HQ up as a newcomer does and makes a token with the command.
async fn first_boot(program: &mut Program, data: &Path) -> String {
    Browser::new(program.url()).set_up(&program.setup_link()).await;
    let made = run_json(Path::new(BINARY), data, &["token", "create", "--name", "crash"]);
    made["token"].as_str().expect("a token").to_owned()
}

impl Writer {
    fn new(number: u64, dice: Dice) -> Self {
        Self { number, dice, acts: 0, pending: None, known: Vec::new() }
    }

    /// Writes until the program is gone.
    async fn write(&mut self, api: &Api<'_>, agent: &str) {
        loop {
            let act = self.pending.take().unwrap_or_else(|| self.choose(agent));
            self.pending = Some(act.clone());
            match api.post(&act.path, &act.key, &act.body).await {
                Some(answer) => self.acknowledged(act, &answer),
                None => return,
            }
        }
    }

    /// Repeats what was cut off.
    async fn settle(&mut self, api: &Api<'_>) {
        if let Some(act) = self.pending.take() {
            let answer = api.post(&act.path, &act.key, &act.body).await;
            self.acknowledged(act, &answer.expect("a program that was just started answers"));
        }
    }

    fn choose(&mut self, agent: &str) -> Act {
        self.acts += 1;
        let name = format!("{}-{}", self.number, self.acts);
        let key = format!("crash-{name}");
        if !self.known.is_empty() && self.dice.below(2) == 0 {
            let task = usize::try_from(self.dice.below(self.known.len() as u64)).expect("small");
            return self.on_task(task, &name, key);
        }
        let (title, for_agent) = (format!("task {name}"), self.dice.below(4) == 0);
        let body = Sent::Json(wire::task(&title, for_agent.then_some(agent)));
        Act { key, path: wire::TASKS.to_owned(), body, effect: Effect::Task { title, for_agent } }
    }

    /// Something on a task that is there: a comment, a file, a piece of work.
    fn on_task(&mut self, task: usize, name: &str, key: String) -> Act {
        let on = format!("{}/{}", wire::TASKS, self.known[task].id);
        match self.dice.below(4) {
            0 => {
                let len = usize::try_from(self.dice.below(200_000)).expect("small");
                // Some are the same as others: their content is kept once.
                let bytes = [name.as_bytes()[0]].repeat(len + 1);
                let path = format!("{on}/files?name=file-{name}");
                let name = format!("file-{name}");
                let effect = Effect::File { task, name, bytes: bytes.clone() };
                Act { key, path, body: Sent::File(bytes), effect }
            }
            // An agent that finds other work than its own may do something else with it.
            1 if !self.known[task].for_agent => {
                let title = format!("piece {name}");
                let body = Sent::Json(json!({ "title": title, "text": "What was made" }));
                let path = format!("{on}/deliverables");
                Act { key, path, body, effect: Effect::Piece { task, title } }
            }
            _ => {
                let text = format!("comment {name}");
                let body = Sent::Json(json!({ "body": text, "note_only": true }));
                let path = format!("{on}/comments");
                Act { key, path, body, effect: Effect::Comment { task, text } }
            }
        }
    }

    fn acknowledged(&mut self, act: Act, answer: &Value) {
        self.pending = None;
        match act.effect {
            Effect::Comment { task, text } => self.known[task].comments.push(text),
            Effect::File { task, name, bytes } => self.known[task].files.push((name, bytes)),
            Effect::Piece { task, title } => self.known[task].pieces.push(title),
            Effect::Task { title, for_agent } => {
                let id = answer["id"].as_str().expect("an id").to_owned();
                let (comments, files, pieces) = (Vec::new(), Vec::new(), Vec::new());
                self.known.push(Known { id, title, for_agent, comments, files, pieces });
            }
        }
    }

    /// Compares the latest tasks with the ledger.
    async fn check(&self, api: &Api<'_>, latest: usize) {
        for known in self.known.iter().rev().take(latest) {
            let path = format!("{}/{}", wire::TASKS, known.id);
            let task = api.get(&path).await;
            assert_eq!(task["title"], known.title.as_str(), "{path}");
            let comments = api.items(&format!("{path}/comments")).await;
            for text in &known.comments {
                let times = comments.iter().filter(|one| one["body"] == text.as_str()).count();
                assert_eq!(times, 1, "`{text}` on {path}");
            }
            let files = api.items(&format!("{path}/files")).await;
            assert_eq!(files.len(), known.files.len(), "files on {path}");
            for (name, bytes) in &known.files {
                let file = files.iter().find(|one| one["name"] == name.as_str());
                let id = file.unwrap_or_else(|| panic!("no `{name}` on {path}"))["id"].as_str();
                let content = api.bytes(&format!("/api/v1/files/{}", id.expect("an id"))).await;
                assert!(content == *bytes, "`{name}` on {path} is what was sent");
            }
            if !known.for_agent {
                let made = api.items(&format!("{path}/deliverables")).await;
                let titles: Vec<_> = made.iter().filter_map(|one| one["title"].as_str()).collect();
                assert_eq!(titles, known.pieces, "work on {path}");
            }
        }
    }
}

impl Api<'_> {
    /// Posts; nothing if the program went away. Any answer but a success is a fault.
    async fn post(&self, path: &str, key: &str, body: &Sent) -> Option<Value> {
        let request = self.client.request(Method::POST, format!("{}{path}", self.base));
        let request = request.bearer_auth(self.token).header("idempotency-key", key);
        let request = match body {
            Sent::Json(body) => request.json(body),
            Sent::File(bytes) => {
                request.header("content-type", "application/octet-stream").body(bytes.clone())
            }
        };
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let text = answer.text().await.ok()?;
        assert!(status.is_success(), "POST {path} answers {status}: {text}");
        Some(serde_json::from_str(&text).expect("an answer in JSON"))
    }

    async fn bytes(&self, path: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(self.token);
        let answer = request.send().await.expect("the program answers");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.bytes().await.expect("a whole file").to_vec()
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(self.token);
        let answer = request.send().await.expect("the program answers");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.json().await.expect("an answer in JSON")
    }

    /// A whole list, page by page.
    async fn items(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let mut page = self.get(&format!("{path}{joint}limit=100{cursor}")).await;
            all.append(page["items"].as_array_mut().expect("a list of items"));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// How often each title is listed.
    async fn titles(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for task in self.items(wire::TASKS).await {
            *counts.entry(task["title"].as_str().expect("a title").to_owned()).or_default() += 1;
        }
        counts
    }

    /// Waits until the task's runs have ended; how many comments and pieces of work are on it.
    async fn finished(&self, task: &str) -> (usize, usize) {
        let path = format!("{}/{task}", wire::TASKS);
        let ended = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                let runs = self.items(&format!("/api/v1/runs?task={task}")).await;
                let live = runs.iter().any(|run| run["state"] != "ended");
                let pieces = self.items(&format!("{path}/deliverables")).await.len();
                if !runs.is_empty() && !live && pieces > 0 {
                    return (self.items(&format!("{path}/comments")).await.len(), pieces);
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, ended).await;
        found.unwrap_or_else(|_| panic!("the work on {path} did not end"))
    }
}

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[expect(clippy::disallowed_methods, reason = "how long and with which seed is told from outside")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty())?.parse().ok()
}

#[expect(clippy::print_stdout, reason = "the seed and the result are what `make crash` is for")]
fn say(what: &str) {
    println!("crash: {what}");
}
