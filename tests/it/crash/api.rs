//! HTTP client of the crash test, for one start of the program. The program may die at any moment, even right after its
//! own response.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use support::program::run;
use support::wire;

use super::dice::program;

/// A request, repeated until there is a response.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Sent,
    pub door: Door,
    pub again: Again,
    /// Error statuses that also count as responses.
    pub or: &'static [u16],
    /// Slug of the workspace.
    pub place: String,
}

#[derive(Clone, Debug)]
pub enum Sent {
    Nothing,
    Json(Value),
    File(Vec<u8>),
    Form(Vec<(&'static str, String)>),
    /// No request but a command of the program; `path` is empty.
    Command(Vec<String>),
}

/// Credentials of the request.
#[derive(Clone, Debug)]
pub enum Door {
    /// The owner's token.
    Token,
    /// The owner's browser.
    Owner,
    /// Another browser, by its cookie.
    Browser(String),
    Nobody,
}

/// What to do if there was no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Repeats it with the same idempotency key, which must give the same response.
    Key,
    /// Repeats it; that changes nothing if it had taken effect.
    Harmless,
    /// The desk checks whether it took effect.
    Look,
}

impl Ask {
    fn of(method: Method, path: String, body: Sent) -> Self {
        Self {
            method,
            path,
            body,
            door: Door::Token,
            again: Again::Key,
            or: &[],
            place: HOME.into(),
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path.into(), Sent::Nothing).again(Again::Harmless)
    }

    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::of(Method::POST, path.into(), Sent::Json(body))
    }

    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::of(Method::PATCH, path.into(), Sent::Json(body))
    }

    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self::of(Method::PUT, path.into(), Sent::Json(body))
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::of(Method::DELETE, path.into(), Sent::Nothing)
    }

    pub fn upload(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self::of(Method::POST, path.into(), Sent::File(bytes))
    }

    /// A form of a page, sent by the owner's browser by default.
    pub fn form(path: impl Into<String>, fields: &[(&'static str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let ask = Self::of(Method::POST, path.into(), Sent::Form(fields.collect()));
        ask.by(Door::Owner).again(Again::Harmless)
    }

    pub fn command(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        let ask = Self::of(Method::GET, String::new(), Sent::Command(arguments));
        ask.again(Again::Look)
    }

    pub fn by(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    pub fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// In another workspace.
    pub fn within(mut self, place: &str) -> Self {
        place.clone_into(&mut self.place);
        self.by(Door::Owner)
    }

    /// These statuses also count as responses.
    pub fn or(mut self, statuses: &'static [u16]) -> Self {
        self.or = statuses;
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    /// The body, if it is JSON.
    pub json: Value,
    /// The cookie of a sign-in, if one was set.
    pub cookie: Option<String>,
    /// Sequence number of the entry that wrote the record, from the `ETag` if there is one.
    pub rev: u64,
}

impl Answer {
    /// A text field of the body.
    pub fn word(&self, field: &str) -> String {
        let found = self.json[field].as_str();
        found.unwrap_or_else(|| panic!("no `{field}` in {}", self.text)).to_owned()
    }
}

/// Outcome of a request.
pub enum Came {
    Answer(Answer),
    /// The program ended; with its response if that could be read.
    Gone(Option<Answer>, String),
}

/// Fires after a number of responses.
pub struct Trap {
    left: AtomicI64,
    sprung: Notify,
}

impl Trap {
    /// A trap that fires after this many responses.
    pub fn behind(answers: i64) -> Self {
        Self { left: AtomicI64::new(answers), sprung: Notify::new() }
    }

    /// A trap that never fires.
    pub fn none() -> Self {
        Self::behind(i64::MAX)
    }

    /// Waits until the trap fires.
    pub async fn sprung(&self) {
        self.sprung.notified().await;
    }

    /// Counts a response; returns whether it fires the trap.
    fn springs(&self) -> bool {
        let springs = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if springs {
            self.sprung.notify_one();
        }
        springs
    }
}

/// Credentials.
pub struct Keys {
    pub client: Client,
    pub token: String,
    /// Cookie of the owner's browser; replaced after each reauthentication.
    cookie: Mutex<String>,
}

impl Keys {
    pub fn new(token: String, cookie: String) -> Self {
        Self { client: Self::client(), token, cookie: Mutex::new(cookie) }
    }

    fn cookie(&self) -> String {
        self.cookie.lock().expect("no panic holds it").clone()
    }

    /// A client with a timeout: the port of a killed program may soon belong to another test's server, which never
    /// answers.
    pub fn client() -> Client {
        let client = wire::client().timeout(Duration::from_secs(120));
        client.build().expect("a client without special settings")
    }
}

/// API of the running program, since one start.
pub struct Api<'a> {
    pub keys: &'a Keys,
    pub base: String,
    pub data: &'a Path,
    pub trap: &'a Trap,
}

impl Api<'_> {
    /// Sends the request once.
    pub async fn send(&self, ask: &Ask, key: &str) -> Came {
        if let Sent::Command(arguments) = &ask.body {
            return self.command(arguments).await;
        }
        let request = self.request(ask.method.clone(), &ask.path, &ask.door);
        let request = match (&ask.door, ask.path.starts_with("/api/")) {
            (Door::Owner | Door::Browser(_), true) => request.header("x-hq-workspace", &ask.place),
            _ => request,
        };
        let request = match ask.again {
            Again::Key => request.header("idempotency-key", key),
            Again::Harmless | Again::Look => request,
        };
        let request = match &ask.body {
            Sent::Nothing | Sent::Command(_) => request,
            Sent::Json(body) => request.json(body),
            Sent::File(bytes) => {
                request.header("content-type", "application/octet-stream").body(bytes.clone())
            }
            Sent::Form(fields) => {
                let body = serde_urlencoded::to_string(fields).expect("pairs of text");
                request.header("content-type", "application/x-www-form-urlencoded").body(body)
            }
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Came::Gone(None, error.to_string()),
        };
        // The program knows that the change is on disk; the client may still not receive the response.
        let thrown_away = self.trap.springs();
        match read(answer).await {
            Ok(answer) if thrown_away => Came::Gone(Some(answer), "thrown away".to_owned()),
            Ok(answer) => Came::Answer(answer),
            Err(error) => Came::Gone(None, error.to_string()),
        }
    }

    async fn command(&self, arguments: &[String]) -> Came {
        let (data, arguments) = (self.data.to_owned(), arguments.to_vec());
        let ran = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(program(), &data, &arguments)
        });
        let output = ran.await.expect("the command is run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() && !self.trap.springs() {
            true => Came::Answer(Answer { status: 200, text, ..Answer::default() }),
            false => Came::Gone(None, String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn request(&self, method: Method, path: &str, door: &Door) -> RequestBuilder {
        let request = self.keys.client.request(method, format!("{}{path}", self.base));
        let cookie = match door {
            Door::Token => return request.bearer_auth(&self.keys.token),
            Door::Owner => self.keys.cookie(),
            Door::Browser(cookie) => cookie.clone(),
            Door::Nobody => String::new(),
        };
        let request = request.header("cookie", cookie).header("origin", &self.base);
        request.header("sec-fetch-site", "same-origin").header("accept", "text/html")
    }

    /// Reauthenticates the owner, in a program that is not killed; the browser gets a new cookie.
    pub async fn prove(&self, password: &str) {
        let proof = Ask::post("/api/v1/proof", json!({ "password": password }));
        let proved = self.made(proof.by(Door::Owner).again(Again::Harmless), "").await;
        let cookie = proved.cookie.expect("the cookie of a new session");
        *self.keys.cookie.lock().expect("no panic holds it") = cookie;
    }

    /// Response of a running program.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        match self.send(ask, "").await {
            Came::Answer(answer) => answer,
            Came::Gone(_, error) => panic!("{} {}: {error}", ask.method, ask.path),
        }
    }

    /// Reads a path as JSON.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask(&Ask::get(path)).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json
    }

    /// Reads a path as bytes.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, path, &Door::Token).send().await;
        let answer = answer.expect("the program answers");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.bytes().await.expect("a whole file").to_vec()
    }

    /// A whole list, page by page.
    pub async fn items(&self, path: &str) -> Vec<Value> {
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

    /// A list without pages.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().cloned().expect("a list of items")
    }
}

/// Workspace of the owner's browser and token.
pub const HOME: &str = "marlow-cargo";

async fn read(answer: reqwest::Response) -> reqwest::Result<Answer> {
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let rev = header("etag").and_then(|tag| tag.trim_matches('"').parse().ok()).unwrap_or(0);
    let cookies = answer.headers().get_all("set-cookie").iter();
    let mut cookies = cookies.filter_map(|value| value.to_str().ok()?.split(';').next());
    let cookie = cookies.find(|pair| pair.starts_with("hq=")).map(str::to_owned);
    let text = answer.text().await?;
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, text, json, cookie, rev })
}

impl Api<'_> {
    /// Sends the request in a program that is not killed; it must succeed.
    pub async fn made(&self, ask: Ask, key: &str) -> Answer {
        match self.send(&ask, key).await {
            Came::Answer(answer) if answer.status < 300 => answer,
            Came::Answer(answer) => panic!("{} {}: {}", ask.method, ask.path, answer.text),
            Came::Gone(_, error) => panic!("{} {}: {error}", ask.method, ask.path),
        }
    }
}
