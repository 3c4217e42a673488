//! `hq replica` as the real program beside a real primary: joins, replicates, continues after kills of either side, and
//! leaves. Unauthorized joins get a reason.

mod copies;
mod unsent;

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use app::troubles::Trouble;
use crypto::token::{Token, TokenKind};
use gateways::identity::identity;
use gateways::model::Gateway;
use gateways::rules::{self, NewToken};
use kernel::id::SystemIds;
use kernel::time::{ManualClock, SystemClock};
use kernel::{Clock, GatewayId};
use replica::{Ending, Join, Pace, Parts, Replica};
use serde_json::{Value, json};
use store::{Faults, NoFaults};
use tempfile::TempDir;

use support::browse::Browser;
use support::hq::{Setup, TestHq, everything_in};
use support::program::{Program, command, pss_kib, run, run_json};
use support::work;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
/// Public address of the primary; machines join it manually.
const PUBLIC: &str = "http://10.0.0.7:8080";
/// Longest wait for an expected event: a pause between two links is at most a minute.
const PATIENCE: Duration = Duration::from_secs(70);

/// Waits until a condition holds.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so() {
            tick.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// A primary that other machines may join.
struct Home {
    folder: TempDir,
    program: Option<Program>,
    /// Its address, stable across restarts.
    url: String,
    token: String,
}

impl Home {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (binary, data) = (Path::new(BINARY), folder.path().to_owned());
        let address = support::free_address();
        let mut program = Program::start(binary, &data);
        Browser::new(program.url()).set_up(&program.setup_link()).await;
        let made = run_json(binary, &data, &["token", "create", "--name", "test"]);
        let token = made["token"].as_str().expect("a token").to_owned();
        assert!(program.stop().success());
        let mut home = Self { folder, program: None, url: format!("http://{address}"), token };
        home.begin();
        home
    }

    fn begin(&mut self) {
        let mut serve = command(Path::new(BINARY), self.folder.path(), &["serve"]);
        let listen = self.url.trim_start_matches("http://");
        serve.env("HQ_LISTEN", listen).env("HQ_PUBLIC_URL", PUBLIC);
        self.program = Some(Program::start_with(&mut serve));
    }

    /// Kills it like a power failure.
    fn kill(&mut self) {
        self.program.take().expect("it runs").kill();
    }

    fn hq(&self, arguments: &[&str]) -> Value {
        run_json(Path::new(BINARY), self.folder.path(), arguments)
    }

    /// Creates a page of knowledge, which every host has.
    async fn page(&self, title: &str) {
        let body = json!({ "title": title, "text": "The bell rings twice.", "scope": "workspace" });
        let request = reqwest::Client::new().post(format!("{}/api/v1/knowledge", self.url));
        let sent = request.bearer_auth(&self.token).json(&body).send().await.expect("an answer");
        let (status, text) = (sent.status(), sent.text().await.expect("words"));
        assert!(status.is_success(), "{text}");
    }

    /// A new token, and the fingerprint of the workspace.
    fn invite(&self, label: &str) -> (String, String) {
        let made = self.hq(&["gateway", "add", label, "--labels", "gpu"]);
        let word = |name: &str| made[name].as_str().expect("a word").to_owned();
        (word("secret"), word("fingerprint"))
    }

    fn gateway(&self, slug: &str) -> Value {
        self.hq(&["gateway", "show", slug])
    }
}

/// Number of knowledge pages on a machine.
fn pages(status: &Value) -> u64 {
    status["rows"]["knowledge_items"].as_u64().unwrap_or(0)
}

/// A joining machine.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path(), own).expect("its mode is changed");
        Self { folder }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn token_file(&self, token: &str) -> PathBuf {
        let path = self.data().join("join.token");
        std::fs::write(&path, format!("{token}\n")).expect("written");
        path
    }

    /// The command that the join script runs.
    fn joins(&self, home: &str, (token, print): (&str, &str)) -> Command {
        let file = self.token_file(token);
        let file = file.to_str().expect("a name of letters");
        let words = [
            "replica",
            "--join",
            home,
            "--fingerprint",
            print,
            "--token-file",
            file,
            "--labels",
            "ssd",
        ];
        command(Path::new(BINARY), self.data(), &words)
    }

    fn again(&self) -> Program {
        Program::start_with(&mut command(Path::new(BINARY), self.data(), &["replica"]))
    }

    fn status(&self) -> Value {
        run_json(Path::new(BINARY), self.data(), &["replica", "status"])
    }

    /// Waits until it is linked and complete, with a matching number of knowledge pages.
    async fn has(&self, wanted: impl Fn(u64) -> bool) -> Value {
        let mut status = Value::Null;
        until("what it may have never came", || {
            status = self.status();
            status["linked"] == true && status["whole"] == true && wanted(pages(&status))
        })
        .await;
        status
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_joins_has_what_it_may_and_goes_on_after_kills_of_either_side() {
    let mut home = Home::start().await;
    let machine = Machine::new();
    home.page("Bells").await;
    let (token, print) = home.invite("Workshop GPU");
    let host = Program::start_with(&mut machine.joins(&home.url, (&token, &print)));
    let first = machine.has(|pages| 1 <= pages).await;
    let base = pages(&first);
    assert_eq!(
        (&first["label"], &first["home_fingerprint"]),
        (&json!("Workshop GPU"), &json!(print))
    );
    assert!(first["rows"].get("connection_keys").is_none(), "{first}");
    until("it never was ready", || {
        let one = home.gateway("workshop-gpu");
        one["health"] == "healthy" && one["status"] == "ready"
    })
    .await;
    let labels = home.gateway("workshop-gpu")["labels"].clone();
    assert_eq!(labels, json!(["gpu", "ssd"]));
    assert!(!machine.data().join("join.token").exists(), "used up");
    let kept = everything_in(machine.data());
    assert!(!kept.windows(token.len()).any(|part| part == token.as_bytes()), "kept nowhere");
    if !cfg!(debug_assertions) {
        let kib = pss_kib(host.id());
        assert!(kib <= 20 * 1024, "{kib} KiB");
    }

    // Writes on the primary are pushed.
    home.page("Wheels").await;
    let second = machine.has(|pages| pages == base + 1).await;
    assert!(first["seq"].as_u64() < second["seq"].as_u64(), "{second}");

    // The host is killed; later writes arrive once, and earlier ones are not repeated.
    host.kill();
    home.page("Tyres").await;
    let tries = run(Path::new(BINARY), machine.data(), &["replica", "connect"]);
    assert_eq!(tries.status.code(), Some(3), "{}", said(&tries));
    let stopped = run(Path::new(BINARY), machine.data(), &["replica", "status", "--json"]);
    assert_eq!(stopped.status.code(), Some(3), "{}", said(&stopped));
    let told: Value = serde_json::from_slice(&stopped.stdout).expect("a status");
    assert_eq!((&told["running"], &told["label"]), (&json!(false), &json!("Workshop GPU")));
    assert!(
        second["seq"].as_u64() <= told["seq"].as_u64(),
        "what was acknowledged is kept: {told}"
    );
    let host = machine.again();
    let third = machine.has(|pages| pages == base + 2).await;
    let life = |status: &Value| {
        let cursor = status["cursor"].as_str().expect("a cursor");
        cursor.split_once('.').expect("two parts").0.to_owned()
    };
    assert_eq!(life(&first), life(&third), "no snapshot anew");

    // The primary is killed; the host reports since when and why, and relinks by itself.
    home.kill();
    until("it never was cut off", || machine.status()["linked"] == false).await;
    assert!(machine.status()["why"].as_str().is_some_and(|why| !why.is_empty()));
    let wrong = run(Path::new(BINARY), machine.data(), &["replica", "doctor"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    assert!(said(&wrong).contains("Disconnected since"), "{}", said(&wrong));
    home.begin();
    home.page("Lamps").await;
    let tries = run(Path::new(BINARY), machine.data(), &["replica", "connect"]);
    assert!(tries.status.success(), "{}", said(&tries));
    let fourth = machine.has(|pages| pages == base + 3).await;
    let why = || home.gateway("workshop-gpu")["link"]["broke_why"].clone();
    until("home never hears why there was no link", || {
        why().as_str().is_some_and(|why| !why.is_empty())
    })
    .await;
    let shown = run(Path::new(BINARY), home.folder.path(), &["gateway", "show", "workshop-gpu"]);
    assert!(said(&shown).contains("last connection lost: "), "{}", said(&shown));
    assert_eq!(life(&first), life(&fourth), "no snapshot anew");
    let right = run(Path::new(BINARY), machine.data(), &["replica", "doctor"]);
    assert!(right.status.success(), "{}", said(&right));
    assert!(said(&right).contains("Connected to http://127.0.0.1"), "{}", said(&right));

    // A normal stop announces itself: no alarm.
    assert!(host.stop().success());
    until("its goodbye was not heard", || home.gateway("workshop-gpu")["health"] == "sleeping")
        .await;
    assert!(!machine.data().join("hq.sock").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_right_to_join_is_told_why_and_goes_away() {
    let home = Home::start().await;
    let (token, print) = home.invite("GPU");
    let refused = |mut joins: Command, code: i32, words: &str| {
        let output = joins.stdin(Stdio::null()).output().expect("it begins");
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    };
    let machine = Machine::new();
    let other = "0000-1111-2222-3333-4444-5555-6666-7777";
    refused(machine.joins(&home.url, (&token, other)), 1, other);
    refused(machine.joins(&home.url, ("hq_gw_wrong", &print)), 1, "This token");
    refused(machine.joins("ftp://home", (&token, &print)), 1, "isn't the address of a workspace");
    // The token is still valid, for one machine; the same machine may use it again.
    let host = Program::start_with(&mut machine.joins(&home.url, (&token, &print)));
    until("it never joined", || machine.status()["linked"] == true).await;
    refused(Machine::new().joins(&home.url, (&token, &print)), 1, "Another machine has used");
    refused(machine.joins(&home.url, (&token, &print)), 2, "in use");
    host.kill();
    // A folder is bound to its workspace: a command of another workspace does not change that.
    refused(machine.joins(&home.url, (&token, other)), 2, "hq replica leave");
    let host = Program::start_with(&mut machine.joins(&home.url, (&token, &print)));
    until("it did not come back", || machine.status()["linked"] == true).await;
    drop(host);

    let bare = |data: &Path, words: &str| {
        let output = run(Path::new(BINARY), data, &["replica"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    };
    bare(Machine::new().data(), "hasn't joined a workspace");
    bare(home.folder.path(), "contains an HQ of its own");
    let exposed = machine.data().join("replica.key");
    std::fs::set_permissions(&exposed, Permissions::from_mode(0o644)).expect("its mode is changed");
    bare(machine.data(), "chmod 600");
    let doctor = run(Path::new(BINARY), machine.data(), &["replica", "doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(said(&doctor).contains("Others can read"), "{}", said(&doctor));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_leaves_says_goodbye_and_keeps_nothing() {
    let home = Home::start().await;
    home.page("Bells").await;
    let machine = Machine::new();
    let (token, print) = home.invite("GPU");
    let mut host = Program::start_with(&mut machine.joins(&home.url, (&token, &print)));
    machine.has(|pages| 1 <= pages).await;
    let left = run(Path::new(BINARY), machine.data(), &["replica", "leave"]);
    assert!(left.status.success(), "{}", said(&left));
    assert!(host.ended().success(), "{}", host.log());
    until("its goodbye was not heard", || home.gateway("gpu")["health"] == "sleeping").await;
    let nothing = |machine: &Machine| {
        for name in ["replica.key", "replica.toml", "replica.redb", "agents", "hq.sock"] {
            assert!(!machine.data().join(name).exists(), "{name}");
        }
    };
    nothing(&machine);

    // The same without a running program, and without a reachable primary.
    for (label, is_there) in [("NAS", true), ("Yard", false)] {
        let machine = Machine::new();
        let (token, print) = home.invite(label);
        let host = Program::start_with(&mut machine.joins(&home.url, (&token, &print)));
        machine.has(|pages| 1 <= pages).await;
        host.kill();
        if !is_there {
            let notes = machine.data().join("replica.toml");
            let text = std::fs::read_to_string(&notes).expect("notes");
            let away = text.replace(&home.url, "http://127.0.0.1:9");
            std::fs::write(&notes, away).expect("written");
        }
        let left = run(Path::new(BINARY), machine.data(), &["replica", "leave"]);
        assert!(left.status.success(), "{}", said(&left));
        assert_eq!(said(&left).contains("wasn't notified"), !is_there, "{}", said(&left));
        nothing(&machine);
    }
}

/// A disk whose free space the test sets.
struct Room(Arc<AtomicU64>);

impl Faults for Room {
    fn free_space(&self, _: &Path) -> std::io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    fn space(&self, folder: &Path) -> std::io::Result<(u64, u64)> {
        Ok((self.free_space(folder)?, u64::MAX))
    }
}

/// A host in this process with an invitation.
async fn invited(
    hq: &TestHq,
    machine: &Machine,
    clock: Arc<dyn Clock>,
    faults: Arc<dyn Faults>,
) -> Replica {
    let token = Token::issue(TokenKind::Gateway);
    let new = NewToken {
        public: token.id().to_owned(),
        hash: token.hash(),
        label: "GPU".to_owned(),
        labels: Vec::new(),
        minutes: None,
    };
    hq.ws().write(&work::owner(hq), move |tx| rules::mint(tx, new)).await.expect("a token");
    let print = identity(&hq.ws()).await.expect("a key").public().fingerprint();
    let join = Join {
        home: Some(hq.url()),
        fingerprint: Some(print),
        token: Some(replica::Token::Given(token.reveal().to_owned().into())),
        labels: Vec::new(),
    };
    let parts = Parts {
        schema: server::schema::workspace,
        clock,
        ids: Arc::new(SystemIds::default()),
        faults,
        pace: Pace::default(),
        begin: None,
    };
    Replica::open(machine.data(), join, parts).expect("it is opened")
}

/// Problems of a primary's machines, as far as it knows.
fn troubles(hq: &TestHq) -> Vec<Trouble> {
    let (ws, all): (_, Vec<Gateway>) = (hq.ws(), work::all(hq));
    all.iter().flat_map(|one| ws.app.hosts.troubles(ws.id, one.id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_waits_links_at_once_when_it_is_told_to() {
    let hq = TestHq::start().await;
    let machine = Machine::new();
    let host = invited(&hq, &machine, Arc::new(SystemClock), Arc::new(NoFaults)).await;
    let runs = host.clone();
    let running = tokio::spawn(async move { runs.run().await });
    let status = || host.status(true).expect("a status");
    until("it never has all", || status().whole).await;
    let id = work::all::<Gateway>(&hq)[0].id;
    let decide = |body: fn(&mut store::WriteTx<'_>, GatewayId) -> _| {
        let (ws, by) = (hq.ws(), work::owner(&hq));
        async move { ws.write(&by, move |tx| body(tx, id)).await.expect("it is done") }
    };
    decide(rules::revoke).await;
    let code = || status().code.unwrap_or_default();
    until("it never hears of it", || code() == "gateway_revoked").await;
    decide(rules::remove).await;
    // It would retry after five minutes only, longer than this test waits.
    until("it does not ask at once", || {
        host.connect();
        code() == "unknown_gateway"
    })
    .await;
    host.end(Ending::Stopping);
    running.await.expect("no panic").expect("it was let in");
    host.close();
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_clock_is_a_year_off_is_let_in_and_says_so() {
    let hq = TestHq::start().await;
    let year = jiff::SignedDuration::from_hours(365 * 24);
    for (its, way) in [(hq.now() + year, "ahead of"), (hq.now() - year, "behind")] {
        let (machine, clock) = (Machine::new(), Arc::new(ManualClock::at(its)));
        let host = invited(&hq, &machine, clock, Arc::new(NoFaults)).await;
        let runs = host.clone();
        let running = tokio::spawn(async move { runs.run().await });
        until("it never has all", || host.status(true).expect("a status").whole).await;
        let found = host.doctor(true).await;
        let clock = found.iter().find(|one| one.what == "clock").expect("it is looked at");
        assert!(!clock.ok && clock.told.contains(way), "{clock:?}");
        if way == "ahead of" {
            let is_told = |one: &Trouble| matches!(one, Trouble::Clock(ms) if 0 < *ms);
            until("home is never told", || troubles(&hq).iter().any(is_told)).await;
        }
        // The primary uses its own clock.
        let gateways: Vec<Gateway> = work::all(&hq);
        let newest = gateways.iter().filter_map(|one| one.hello_at).max();
        assert!(newest.is_some_and(|at| at <= hq.now()), "{way}: {newest:?}");
        host.end(Ending::Stopping);
        running.await.expect("no panic").expect("it was let in");
        host.close();
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_whose_disk_is_full_says_so_waits_and_misses_nothing() {
    let hq = TestHq::start().await;
    let body = json!({ "title": "Bells", "text": "They ring twice.", "scope": "workspace" });
    let made = hq.owner().post("/api/v1/knowledge", &body).await;
    assert!(made.status.is_success(), "{}", made.text);
    let (machine, free) = (Machine::new(), Arc::new(AtomicU64::new(0)));
    let faults = Arc::new(Room(Arc::clone(&free)));
    let host = invited(&hq, &machine, Arc::new(SystemClock), faults).await;
    let runs = host.clone();
    let running = tokio::spawn(async move { runs.run().await });
    let status = || host.status(true).expect("a status");
    until("its trouble is never told", || {
        status().trouble.is_some_and(|trouble| trouble.contains("nearly full"))
    })
    .await;
    let held_up = status();
    assert!(held_up.linked && !held_up.whole && held_up.rows.is_empty(), "{held_up:?}");
    until("home is never told", || troubles(&hq).contains(&Trouble::DiskFull)).await;
    free.store(u64::MAX, Ordering::SeqCst);
    until("it does not go on", || status().whole).await;
    let whole = status();
    assert_eq!(whole.trouble, None);
    assert!(0 < whole.rows["knowledge_items"], "{whole:?}");
    host.end(Ending::Stopping);
    let ended = running.await.expect("no panic").expect("it was let in");
    assert_eq!(ended, Ending::Stopping);
    host.close();
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_of_the_script_starts_this_very_command() {
    let setup = Setup::default().config(|config| {
        config.public_url = Some("https://hq.example.com".to_owned());
    });
    let hq = setup.start().await;
    let script = hq.nobody().get("/join").await.text;
    let words = ["-s", "--", "--token", "hq_gw_x", "--fingerprint", "7K3M-AAAA", "--labels"];
    let mut shell = Command::new("dash")
        .args(words)
        .args(["gpu,a=b", "--data", "/nowhere/gw", "--dry-run"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut input = shell.stdin.take().expect("a pipe");
    input.write_all(script.as_bytes()).expect("it reads");
    drop(input);
    let output = shell.wait_with_output().expect("an end");
    let dry = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{dry}");
    // Without systemd it prints the command only.
    let line = dry.lines().find(|line| line.contains("hq replica --join")).expect("a command");
    let (_, arguments) = line.split_once("hq replica ").expect("its arguments");
    assert!(
        arguments.starts_with("--join https://hq.example.com --fingerprint 7K3M-AAAA"),
        "{line}"
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    // Unknown arguments are rejected before help is printed.
    let folder = tempfile::tempdir().expect("a folder");
    let known = [&["replica"][..], &arguments, &["--help"]].concat();
    let help = run(Path::new(BINARY), folder.path(), &known);
    assert!(help.status.success(), "{}", said(&help));
    let unknown = [&["replica", "--what"][..], &arguments, &["--help"]].concat();
    assert_eq!(run(Path::new(BINARY), folder.path(), &unknown).status.code(), Some(2));
    hq.finish().await;
}
