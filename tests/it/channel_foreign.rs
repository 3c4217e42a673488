//! Channels with programs that were not written for HQ: another Telegram server, Matrix's server behind the bridge of the
//! manual, and libraries for signed webhooks.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use channels::model::{ChannelState, Delivery, State as Connection};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::hq::{Person, Setup, TestHq};
use support::model::{ModelServer, Turn};
use support::{wire, work};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi";

/// A program of other people, killed on drop.
struct Foreign {
    name: String,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
    _child: Child,
}

impl Foreign {
    fn start(command: &mut Command) -> Self {
        for proxy in wire::PROXIES {
            command.env_remove(proxy);
        }
        let name = format!("{:?}", command.as_std());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take().unwrap();
        Self { name, lines, input, _child: child }
    }

    /// The next line that it prints.
    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} prints nothing", self.name));
        line.unwrap().unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// Writes a line to its standard input; returns the line that it prints then.
    async fn told(&mut self, line: &str) -> Value {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        serde_json::from_str(&self.line().await).unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has the packages of `tests/requirements.txt`.
fn python() -> Command {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../venv/bin/python");
    assert!(python.exists(), "no Python in {}; run `make setup`", python.display());
    Command::new(python)
}

/// Node with the packages of `web-tests`.
fn node() -> Command {
    let mut node = Command::new("node");
    node.current_dir(root().join("web-tests"));
    node
}

fn script(name: &str) -> PathBuf {
    root().join("tests/standins/clients").join(name)
}

/// Waits until a condition of the store is met.
async fn until(hq: &TestHq, what: &str, is: impl Fn() -> bool) {
    let mut feed = hq.ws().store.watch();
    let waited = timeout(PATIENCE, async {
        loop {
            feed.borrow_and_update();
            if is() {
                return;
            }
            feed.changed().await.expect("an open store");
        }
    });
    assert!(waited.await.is_ok(), "{what}: {:?}", work::all::<Delivery>(hq));
}

/// Connects a channel and waits until it is online; returns its id.
async fn connect(hq: &TestHq, api: &Person, body: Value) -> String {
    let made = op(api, "channels/connect", body).await;
    let states = || work::all::<ChannelState>(hq);
    if made["kind"] != "webhook" {
        until(hq, "online", || states().iter().any(|one| one.state == Connection::Online)).await;
    }
    made["id"].as_str().unwrap().to_owned()
}

async fn op(api: &Person, path: &str, body: Value) -> Value {
    let done = api.post(&format!("/api/v1/{path}"), &body).await;
    assert_eq!(done.status, 200, "{path}: {}", done.text);
    done.json()
}

/// Waits until nothing is queued or being sent.
async fn all_sent(hq: &TestHq) {
    hq.settle().await;
    let is_open = |one: &Delivery| one.state.is_open();
    until(hq, "sent", || !work::all::<Delivery>(hq).iter().any(is_open)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_telegram_server_is_served_although_it_lacks_methods() {
    let mut telegram = Foreign::start(node().arg(script("telegram_test_api.mjs")).arg(TOKEN));
    let base = telegram.line().await;
    let (hq, model) = work::scene().await;
    let api = hq.api().await;
    let body = json!({ "kind": "telegram", "agent": "ada", "token": TOKEN, "api_base": base });
    let channel = connect(&hq, &api, body).await;
    let link = op(&api, &format!("channels/{channel}/pair"), json!({})).await;
    let code = link["link"].as_str().unwrap().split_once("?start=").unwrap().1.to_owned();

    let said = telegram.told(&format!("/start {code}")).await;
    assert!(said[0]["text"].as_str().unwrap().starts_with("You’re connected as"), "{said}");
    model.push(Turn::text("**Three** leads."));
    let said = telegram.told("How many leads?").await;
    assert_eq!(said[1]["text"], "Three leads.", "{said}");
    assert_eq!(said[1]["entities"][0]["type"], "bold", "{said}");
    // This server repeats nothing, so that what arrives twice was sent twice.
    all_sent(&hq).await;
    let said = telegram.told("").await;
    assert_eq!(said.as_array().unwrap().len(), 2, "{said}");
    let state = work::all::<ChannelState>(&hq).remove(0);
    assert_eq!((state.state, state.detail.as_str()), (Connection::Online, ""));
    hq.finish().await;
}

/// An HQ with the agent Ada, whose clock is that of foreign programs.
async fn scene_of_today() -> (TestHq, ModelServer, Person) {
    let (hq, model) = (Setup::default().real_time().start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    let api = hq.api().await;
    (hq, model, api)
}

/// A webhook channel to this address: its id, HQ's address and the secret.
async fn bridged(hq: &TestHq, api: &Person, url: &str) -> (String, String, String) {
    let body = json!({ "kind": "webhook", "agent": "ada", "name": "Bridge", "api_base": url });
    let channel = connect(hq, api, body).await;
    let made = op(api, &format!("channels/{channel}/secret"), json!({})).await;
    let (address, secret) = (made["address"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let path = &address[address.find("/hooks/").unwrap()..];
    (channel, format!("{}{path}", hq.url()), secret.to_owned())
}

/// A person at a Matrix server.
struct Matrix {
    http: reqwest::Client,
    base: String,
    token: String,
    room: String,
    since: Option<String>,
    /// Texts of the agent, in order.
    heard: Vec<String>,
}

const ADA: &str = "@ada:example.org";

impl Matrix {
    async fn join(base: &str, name: &str) -> Self {
        let http = wire::client().build().unwrap();
        let (base, token) = (format!("{base}/_matrix/client/v3/"), String::new());
        let mut person =
            Self { http, base, token, room: String::new(), since: None, heard: Vec::new() };
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": name, "password": "a secret of a test", "auth": auth });
        let made = person.call("POST", "register", &body).await;
        person.token = made["access_token"].as_str().unwrap().to_owned();
        person
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        // A new account must not send a token.
        let request = match self.token.as_str() {
            "" => request,
            token => request.bearer_auth(token),
        };
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn say(&self, id: &str, text: &str) {
        let path = format!("rooms/{}/send/m.room.message/{id}", self.room);
        self.call("PUT", &path, &json!({ "msgtype": "m.text", "body": text })).await;
    }

    /// Waits for so many messages of the agent; with none to wait for, reads what is there.
    async fn hears(&mut self, count: usize) -> &[String] {
        let waited = timeout(PATIENCE, async {
            loop {
                let wait = if self.heard.len() < count { 10_000 } else { 0 };
                let since = self.since.iter().map(|since| format!("&since={since}"));
                let path = format!("sync?timeout={wait}{}", since.collect::<String>());
                let news = self.call("GET", &path, &Value::Null).await;
                self.since = news["next_batch"].as_str().map(str::to_owned);
                let events = &news["rooms"]["join"][&self.room]["timeline"]["events"];
                let events = events.as_array().cloned().unwrap_or_default();
                let is_text =
                    |event: &&Value| event["type"] == "m.room.message" && event["sender"] == ADA;
                let texts = events.iter().filter(is_text);
                let texts = texts.map(|event| event["content"]["body"].as_str().unwrap());
                self.heard.extend(texts.map(str::to_owned));
                if wait == 0 {
                    return;
                }
            }
        });
        assert!(waited.await.is_ok(), "no more than this came: {:?}", self.heard);
        &self.heard
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_in_a_matrix_room_is_answered_by_the_bridge_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let mut synapse = Foreign::start(python().arg(script("matrix_server.py")).arg(folder.path()));
    let (hq, model, api) = scene_of_today().await;
    // HQ has to know the bridge's address before it makes the secret that the bridge needs to start. On a loopback address
    // of this test's own, the port is free.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let listens = format!("127.{}.{b}.{c}:8009", 64 + a % 64);
    let (_, address, secret) = bridged(&hq, &api, &format!("http://{listens}/")).await;
    let base = synapse.line().await;
    let ada = Matrix::join(&base, "ada").await;
    let mut bridge = python();
    bridge.arg(root().join("examples/bridges/matrix.py"));
    bridge.args(["--homeserver", &base, "--hq", &address, "--listen", &listens, "--state"]);
    bridge.arg(folder.path().join("matrix.json"));
    let mut bridge =
        Foreign::start(bridge.env("HQ_SECRET", secret).env("MATRIX_TOKEN", &ada.token));
    assert_eq!(bridge.line().await, format!("{ADA} is online"));

    let mut bob = Matrix::join(&base, "bob").await;
    let body = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [ADA] });
    let room = bob.call("POST", "createRoom", &body).await;
    bob.room = room["room_id"].as_str().unwrap().to_owned();
    bob.say("1", "Delete everything").await;
    let texts = bob.hears(1).await;
    assert!(texts[0].starts_with("I don’t know you yet."), "{texts:?}");
    let code = texts[0].split('`').nth(1).unwrap();
    let body = json!({ "code": code, "as": "guest" });
    let approved = op(&api, "channel-people/approve-code", body).await;
    assert_eq!((&approved["access"], &approved["name"]), (&json!("guest"), &json!("bob")));
    bob.hears(2).await;
    model.push(Turn::text("**Three** leads."));
    bob.say("2", "How many leads?").await;
    assert_eq!(bob.hears(3).await[2], "**Three** leads.");
    assert!(!model.last().text().contains("Delete everything"));
    all_sent(&hq).await;
    assert_eq!(bob.hears(0).await.len(), 3, "{:?}", bob.heard);
    hq.finish().await;
}

type Posts = Arc<Mutex<Vec<Value>>>;

async fn post(State(posts): State<Posts>, headers: HeaderMap, body: String) -> &'static str {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), text(name).into())).collect();
    posts.lock().push(json!({ "headers": headers, "body": body }));
    "{}"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libraries_of_standard_webhooks_verify_and_sign_like_hq() {
    let (hq, _model, api) = scene_of_today().await;
    let posts = Posts::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(post).with_state(Arc::clone(&posts));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (channel, address, secret) = bridged(&hq, &api, &url).await;
    op(&api, &format!("channels/{channel}/probe"), json!({})).await;
    let received = posts.lock().pop().expect("a ping");
    assert!(received["body"].as_str().unwrap().contains("ping"), "{received}");

    let http = wire::client().build().unwrap();
    for (n, mut library) in [node(), python()].into_iter().enumerate() {
        library.arg(script(["webhooks.mjs", "webhooks.py"][n]));
        let body = json!({ "type": "message", "data": {
            "chat": "!direct", "id": format!("${n}"), "is_direct": true, "text": "Hello",
            "sender": { "id": "@bob:example.org", "name": "Bob" },
        }});
        let sent = json!({ "id": format!("msg_{n}"), "body": body.to_string() });
        let mut given = json!({ "secret": secret, "received": received, "sent": sent });
        let headers = run(&mut library, &given).await.expect("HQ's signature is valid");
        let send = async |body: String| {
            let mut request = http.post(&address).body(body);
            for (name, value) in headers.as_object().unwrap() {
                request = request.header(name, value.as_str().unwrap());
            }
            request.send().await.unwrap().status()
        };
        assert_eq!(send(body.to_string().replace("Hello", "Bye")).await, 401);
        assert_eq!(send(body.to_string()).await, 202);
        given["received"]["body"] = json!("{}");
        assert_eq!(run(&mut library, &given).await, None, "another body is refused");
    }
    hq.finish().await;
}

/// Runs a program with this JSON as its input. Returns its output, or `None` if it fails.
async fn run(command: &mut Command, input: &Value) -> Option<Value> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}
