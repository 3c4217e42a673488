//! A whole HQ in the test's own process: real port, temporary folder, a clock that tests move. People
//! and programs speak HTTP to it, as they do in life.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hq::app::Ws;
use hq::app::consumers::Consumers;
use hq::config::Config;
use hq::crypto::token::{Token, TokenKind};
use hq::features::users::model::Account;
use hq::features::users::rules::NewSignIn;
use hq::features::workspace::model::Member;
use hq::features::{inbox, runs, users};
use hq::kernel::id::SeededIds;
use hq::kernel::time::ManualClock;
use hq::kernel::{Actor, Cause, Clock as _, Part, Role, Timestamp};
use hq::net::client::ClientParts;
use hq::runtime::Limits;
use hq::server::listen::Patience;
use hq::server::{self, Parts, Running};
use hq::store::{Faults, NoFaults};
use parking_lot::Mutex;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// The owner of every test's HQ.
pub const OWNER: (&str, &str, &str) =
    ("Mira Lindqvist", "mira@marlow.example", "a bicycle bell in the fog");
/// Where the tests' time begins: a Friday noon.
const NOON: &str = "2026-11-20T12:00:00Z";

/// A change of the settings.
type Change = Box<dyn Fn(&mut Config) + Send>;

/// Puts something into a data folder before the server starts.
type Fill = Box<dyn FnOnce(&Path) + Send>;

/// How a test's HQ differs from the usual one.
#[derive(Default)]
pub struct Setup {
    config: Vec<Change>,
    http: Option<ClientParts>,
    patience: Patience,
    runs: Limits,
    consumers: Option<Box<dyn Fn() -> Consumers + Send + Sync>>,
    faults: Option<Arc<dyn Faults>>,
    data: Option<Fill>,
}

impl Setup {
    /// With other settings.
    #[must_use]
    pub fn config(mut self, change: impl Fn(&mut Config) + Send + 'static) -> Self {
        self.config.push(Box::new(change));
        self
    }

    /// With a data folder that is there already.
    #[must_use]
    pub fn data(mut self, fill: impl FnOnce(&Path) + Send + 'static) -> Self {
        self.data = Some(Box::new(fill));
        self
    }

    /// With another way to the outside: a resolver, exceptions of the guard.
    #[must_use]
    pub fn http(mut self, parts: ClientParts) -> Self {
        self.http = Some(parts);
        self
    }

    /// With another patience with slow clients.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// With other limits of runs.
    #[must_use]
    pub fn runs(mut self, limits: Limits) -> Self {
        self.runs = limits;
        self
    }

    /// With consumers of the test's own.
    #[must_use]
    pub fn consumers(mut self, make: impl Fn() -> Consumers + Send + Sync + 'static) -> Self {
        self.consumers = Some(Box::new(make));
        self
    }

    /// On a disk of the test's own.
    #[must_use]
    pub fn faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// Starts it; nobody owns it yet.
    pub async fn unowned(mut self) -> TestHq {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(fill) = self.data.take() {
            fill(&folder.path().join("data"));
        }
        let clock = Arc::new(ManualClock::at(NOON.parse().expect("a moment")));
        let mut hq = TestHq { folder, clock, running: None, owner: None, setup: self, starts: 0 };
        hq.start_server().await;
        hq
    }

    /// Starts it and sets it up: Mira owns the workspace Marlow Cargo.
    pub async fn start(self) -> TestHq {
        let mut hq = self.unowned().await;
        let page = hq.nobody();
        let link = hq.running().setup_link.clone().expect("nobody owns it yet");
        let token = link.split_once("token=").expect("a token in the link").1;
        let (name, email, password) = OWNER;
        let form = [
            ("token", token),
            ("name", name),
            ("email", email),
            ("password", password),
            ("workspace", "Marlow Cargo"),
            ("zone", "Europe/Berlin"),
        ];
        let reply = page.form("/setup", &form).await;
        assert_eq!(reply.location(), Some("/w/marlow-cargo/"), "{}", reply.text);
        hq.owner = Some(page);
        hq
    }
}

/// A started HQ.
pub struct TestHq {
    folder: TempDir,
    clock: Arc<ManualClock>,
    running: Option<Running>,
    owner: Option<Person>,
    setup: Setup,
    starts: u64,
}

impl TestHq {
    /// The usual one: set up, Mira signed in.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    async fn start_server(&mut self) {
        let mut config = Config::for_folder(&self.data());
        self.setup.config.iter().for_each(|change| change(&mut config));
        self.starts += 1;
        let parts = Parts {
            clock: self.clock.clone(),
            ids: Arc::new(SeededIds::new(7 * self.starts)),
            jail_program: PathBuf::from(env!("CARGO_BIN_EXE_hq")),
            runs: self.setup.runs,
            http: self.setup.http.take().unwrap_or_default(),
            patience: self.setup.patience,
            consumers: self
                .setup
                .consumers
                .as_ref()
                .map_or_else(hq::server::consumers::all, |make| make()),
            faults: self.setup.faults.clone().unwrap_or_else(|| Arc::new(NoFaults)),
            ..Parts::default()
        };
        self.running = Some(server::start(config, parts).await.expect("HQ starts"));
    }

    /// Stops it and starts it again on the same folder; sign-ins go on.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops it; its folder stays for another program.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        assert!(running.stop().await, "all tasks end in time");
    }

    /// Starts it again after a stop.
    pub async fn start_again(&mut self) {
        self.start_server().await;
        let base = self.url();
        if let Some(owner) = &mut self.owner {
            owner.base = base;
        }
    }

    /// Stops it: nothing may be left running.
    pub async fn finish(mut self) {
        let running = self.running.take().expect("it runs");
        assert!(running.stop().await, "all tasks end in time");
    }

    /// Stops it, and looks at what it leaves before its folder goes.
    pub async fn finish_keeping(mut self, look: impl FnOnce()) {
        self.stop().await;
        look();
    }

    /// The running server.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.running().address)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The workspace.
    pub fn ws(&self) -> Ws {
        self.running().app.workspaces.read().first().expect("a workspace").clone()
    }

    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Mira at her browser.
    pub fn owner(&self) -> Person {
        self.owner.clone().expect("it is set up")
    }

    /// A browser that has never been here.
    pub fn nobody(&self) -> Person {
        Person::new(self.url())
    }

    /// A program with a new token of Mira's that may do these things.
    pub async fn token(&self, scopes: &[&str]) -> Person {
        let body = serde_json::json!({ "name": "Test", "scopes": scopes, "days": 30 });
        let mut made = self.owner().post("/api/v1/tokens", &body).await;
        if made.status == StatusCode::FORBIDDEN {
            self.prove().await;
            made = self.owner().post("/api/v1/tokens", &body).await;
        }
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let token = made.json()["token"].as_str().expect("a token").to_owned();
        self.nobody().with("authorization", &format!("Bearer {token}"))
    }

    /// Mira proves that it is still she.
    pub async fn prove(&self) {
        let body = serde_json::json!({ "password": OWNER.2 });
        let proved = self.owner().post("/api/v1/proof", &body).await;
        assert_eq!(proved.status, StatusCode::OK, "{}", proved.text);
    }

    /// A program with a token that may do everything a token may.
    pub async fn api(&self) -> Person {
        self.token(&["read", "write", "chat", "review", "agents", "admin"]).await
    }

    /// The browser of another account, which belongs to the workspace if a role is given.
    pub async fn another(&self, name: &str, role: Option<Role>) -> Person {
        let running = self.running();
        let cookie = Token::issue(TokenKind::SignIn);
        let (hash, called) = (cookie.hash(), name.to_owned());
        let made = running.app.system.write(Actor::System(Part::Setup), Cause::Setup, move |tx| {
            let email = format!("{}@marlow.example", called.to_lowercase());
            let account = Account {
                id: tx.new_id(),
                email,
                name: called,
                zone: None,
                created_at: tx.now(),
                disabled_at: None,
            };
            tx.put(&account)?;
            let new = NewSignIn { hash, address: "test".into(), agent: "test".into() };
            users::rules::sign_in(tx, account.id, new)?;
            Ok::<_, users::rules::UsersError>(account)
        });
        let account = made.await.expect("an account");
        if let Some(role) = role {
            let by = (Actor::System(Part::Setup), Cause::Setup);
            let put = move |tx: &mut hq::store::WriteTx<'_>| {
                tx.put(&Member {
                    account: account.id,
                    name: account.name.clone(),
                    handle: account.name.to_lowercase(),
                    email: account.email,
                    role,
                    created_at: tx.now(),
                    left_at: None,
                })
            };
            self.ws().write(&by, put).await.expect("a member");
        }
        let person = self.nobody();
        person.keep(&format!("hq={}", cookie.reveal()));
        person
    }

    /// Moves the clock; what waits for it looks again.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance_ms(i64::try_from(by.as_millis()).expect("a short time"));
        self.running().app.clock_moved.notify_waiters();
        tokio::task::yield_now().await;
    }

    /// Moves the clock; nothing that waits for it looks again.
    pub fn advance_unnoticed(&self, by: Duration) {
        self.clock.advance_ms(i64::try_from(by.as_millis()).expect("a short time"));
    }

    /// Waits until no agent works and no work is due.
    pub async fn settle(&self) {
        let ws = self.ws();
        let mut feed = ws.store.watch();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            feed.borrow_and_update();
            if self.is_at_rest(&ws) {
                return;
            }
            let waited = tokio::time::timeout_at(end, feed.changed()).await;
            waited.expect("agents come to rest in time").expect("the store is open");
        }
    }

    fn is_at_rest(&self, ws: &Ws) -> bool {
        let now = self.now();
        let quiet: Result<bool, hq::store::StoreError> = ws.read(|snap| {
            let live = runs::queries::live(snap)?;
            let busy = live.iter().any(|run| run.state != hq::kernel::RunState::Waiting);
            Ok(!busy && inbox::queries::due(snap, now, 1)?.is_empty())
        });
        quiet.expect("the store can be read")
    }
}

/// Somebody who speaks HTTP: a browser without script that keeps its cookies, or a program.
#[derive(Clone)]
pub struct Person {
    client: Client,
    base: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    headers: HeaderMap,
}

impl Person {
    fn new(base: String) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            client: client.build().expect("a client without special settings"),
            base,
            cookies: Arc::default(),
            headers: HeaderMap::new(),
        }
    }

    /// The same person at a server that was started again.
    #[must_use]
    pub fn back_at(&self, hq: &TestHq) -> Self {
        Self { base: hq.url(), ..self.clone() }
    }

    /// The same with a header on every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        self.headers.insert(name, HeaderValue::try_from(value).expect("a header's value"));
        self
    }

    /// The same, with requests as htmx sends them, for the region with this id.
    #[must_use]
    pub fn htmx(self, target: &str) -> Self {
        self.with("hx-request", "true")
            .with("hx-request-type", "partial")
            .with("hx-target", &format!("div#{target}"))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// Sends a form as a page of ours does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = serde_urlencoded::to_string(fields).expect("pairs of text");
        let kind = "application/x-www-form-urlencoded";
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(Method::POST, path, Some((kind, body.into()))).await
    }

    /// Sends a form as another site would make a browser do it, or with any other headers.
    pub async fn form_as(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = serde_urlencoded::to_string(fields).expect("pairs of text");
        let kind = "application/x-www-form-urlencoded";
        self.send(Method::POST, path, Some((kind, body.into()))).await
    }

    /// Sends any method without a body.
    pub async fn call(&self, method: &str, path: &str) -> Reply {
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method.parse().expect("a method"), path, None).await
    }

    /// Sends JSON.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let method = method.parse().expect("a method");
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method, path, Some(("application/json", body.to_string().into()))).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.json("POST", path, body).await
    }

    /// Opens a stream of events.
    pub async fn stream(&self, path: &str) -> Events {
        let request = self.client.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("cookie", self.cookie()).header("accept", "text/event-stream");
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        Events { answer, rest: String::new() }
    }

    /// Posts JSON and opens the stream of events that answers.
    pub async fn post_stream(&self, path: &str, body: &Value) -> Events {
        let request =
            self.client.post(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK, "POST {path}");
        Events { answer, rest: String::new() }
    }

    /// Sends bytes of some kind.
    pub async fn bytes(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Reply {
        let own = self.clone().with("sec-fetch-site", "same-origin");
        own.send(method.parse().expect("a method"), path, Some((kind, body.into()))).await
    }

    /// Sends bytes in pieces, without saying how many there are.
    pub async fn streamed(&self, path: &str, kind: &str, pieces: Vec<Vec<u8>>) -> Reply {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        self.send(Method::POST, path, Some((kind, body))).await
    }

    /// Sends the beginning of something and then nothing more.
    pub async fn stuck(&self, path: &str, kind: &str, start: Vec<u8>) -> Reply {
        use futures_util::StreamExt as _;
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(start)]);
        let body = reqwest::Body::wrap_stream(first.chain(futures_util::stream::pending()));
        self.send(Method::POST, path, Some((kind, body))).await
    }

    /// Reads what is no text.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}{path}", self.base)).headers(self.headers.clone());
        let answer = request.header("cookie", self.cookie()).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.bytes().await.expect("a body").to_vec()
    }

    /// Posts what is no text; gives status and answer.
    pub async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> (u16, String) {
        let request =
            self.client.post(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.header("content-type", "application/octet-stream").body(bytes);
        let answer = request.send().await.expect("the server answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, reqwest::Body)>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.headers(self.headers.clone());
        let cookie = self.cookie();
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        let answer = request.send().await.expect("the server answers");
        for cookie in answer.headers().get_all("set-cookie") {
            self.keep(cookie.to_str().expect("a cookie of plain characters"));
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        Reply { status, headers, text: answer.text().await.expect("a whole answer") }
    }

    /// A header that it sends with every request.
    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().expect("plain characters").to_owned()
    }

    /// What it sends as `Cookie`.
    pub fn cookie(&self) -> String {
        let cookies = self.cookies.lock();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
        let mut cookies = self.cookies.lock();
        if attributes.to_ascii_lowercase().contains("max-age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub text: String,
}

impl Reply {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Where it leads.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {} {}", self.status, self.text))
    }

    /// The words of each element that this selector finds.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let document = Html::parse_document(&self.text);
        document.select(&css(selector)).map(words).collect()
    }

    /// The words of the first element that this selector finds.
    pub fn text_of(&self, selector: &str) -> String {
        let first = self.texts(selector).into_iter().next();
        first.unwrap_or_else(|| panic!("no `{selector}` in {} {}", self.status, self.text))
    }

    /// An attribute of each element that this selector finds.
    pub fn attrs(&self, selector: &str, name: &str) -> Vec<String> {
        let document = Html::parse_document(&self.text);
        let selector = css(selector);
        let found = document.select(&selector);
        found.filter_map(|one| one.attr(name).map(str::to_owned)).collect()
    }

    /// An attribute of the first element that this selector finds.
    pub fn attr(&self, selector: &str, name: &str) -> String {
        let first = self.attrs(selector, name).into_iter().next();
        first.unwrap_or_else(|| panic!("no `{selector}` with {name} in {}", self.text))
    }
}

fn css(selector: &str) -> Selector {
    Selector::parse(selector).expect("a selector written in a test")
}

fn words(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One message of an event stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub event: String,
    /// Its id.
    pub id: String,
    /// Its data.
    pub data: String,
}

impl Message {
    /// Its data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON data")
    }
}

/// An open event stream.
pub struct Events {
    answer: reqwest::Response,
    rest: String,
}

impl Events {
    /// The next message, without comments; nothing when the stream has ended.
    pub async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.message());
        next.await.expect("a message in time")
    }

    /// The id in the frame that opens the stream.
    pub async fn place(&mut self) -> String {
        loop {
            if let Some((head, tail)) = self.rest.split_once("\n\n") {
                let id = head.lines().find_map(|line| line.strip_prefix("id: "));
                let id = id.expect("the stream begins with its place").to_owned();
                self.rest = tail.to_owned();
                return id;
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let piece = piece.expect("a frame in time").expect("a stream").expect("a frame");
            self.rest.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    /// The next message of this kind.
    pub async fn next_of(&mut self, event: &str) -> Message {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if message.event == event {
                return message;
            }
        }
    }

    async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((head, tail)) = self.rest.split_once("\n\n") {
                let message = parse(head);
                self.rest = tail.to_owned();
                if let Some(message) = message {
                    return Some(message);
                }
                continue;
            }
            let piece = self.answer.chunk().await.ok()??;
            self.rest.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }
}

fn parse(text: &str) -> Option<Message> {
    let mut message = Message::default();
    for line in text.lines().filter(|line| !line.starts_with(':')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut message.event),
            "id" => value.clone_into(&mut message.id),
            "data" => message.data.push_str(value),
            _ => {}
        }
    }
    (!message.event.is_empty() || !message.data.is_empty()).then_some(message)
}

/// Everything below a folder as one string of bytes, to look for what must not be there.
pub fn everything_in(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                all.extend(std::fs::read(path).expect("a readable file"));
            }
        }
    }
    all
}
