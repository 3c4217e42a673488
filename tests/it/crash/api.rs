//! HQ as the crash test speaks to it, at the address of one start of the program: what is asked, what is
//! answered, and that the program may go away at any moment, also right behind its own answer.

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

/// Something to be done. It is repeated until it is answered.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Sent,
    pub door: Door,
    pub again: Again,
    /// Refusals that are answers, too.
    pub or: &'static [u16],
    /// In which workspace.
    pub place: String,
}

#[derive(Clone, Debug)]
pub enum Sent {
    Nothing,
    Json(Value),
    File(Vec<u8>),
    Form(Vec<(&'static str, String)>),
    /// No request but a command of the program; `path` is left empty.
    Command(Vec<String>),
}

/// As whom.
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

/// What is done when no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same with the same key, which must give the same answer.
    Key,
    /// The same, which changes nothing when it had happened.
    Harmless,
    /// Its desk looks for what became of it.
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

    /// A form of a page, sent by the owner's browser unless another is named.
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

    /// These statuses are answers, too.
    pub fn or(mut self, statuses: &'static [u16]) -> Self {
        self.or = statuses;
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    /// The body, where it is JSON.
    pub json: Value,
    /// The cookie of a sign-in, where one was set.
    pub cookie: Option<String>,
    /// The entry that wrote the record, where it is tagged with that.
    pub rev: u64,
}

impl Answer {
    /// A field of the body that is a text.
    pub fn word(&self, field: &str) -> String {
        let found = self.json[field].as_str();
        found.unwrap_or_else(|| panic!("no `{field}` in {}", self.text)).to_owned()
    }
}

/// What became of a request.
pub enum Came {
    Answer(Answer),
    /// The program went away; what it had answered, if that could be read.
    Gone(Option<Answer>, String),
}

/// Springs behind so many answers.
pub struct Trap {
    left: AtomicI64,
    sprung: Notify,
}

impl Trap {
    /// One that springs behind the answer of this number.
    pub fn behind(answers: i64) -> Self {
        Self { left: AtomicI64::new(answers), sprung: Notify::new() }
    }

    /// One that never springs.
    pub fn none() -> Self {
        Self::behind(i64::MAX)
    }

    /// Waits for it.
    pub async fn sprung(&self) {
        self.sprung.notified().await;
    }

    /// Counts an answer; says whether it is the one.
    fn springs(&self) -> bool {
        let springs = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if springs {
            self.sprung.notify_one();
        }
        springs
    }
}

/// Who asks.
pub struct Keys {
    pub client: Client,
    pub token: String,
    /// The owner's browser; another one each time that they prove who they are.
    cookie: Mutex<String>,
}

impl Keys {
    pub fn new(token: String, cookie: String) -> Self {
        Self { client: Self::client(), token, cookie: Mutex::new(cookie) }
    }

    fn cookie(&self) -> String {
        self.cookie.lock().expect("no panic holds it").clone()
    }

    /// A client that does not wait for ever: the port of a program that was killed may soon be that of another
    /// test's server, which never answers.
    pub fn client() -> Client {
        let client = wire::client().timeout(Duration::from_secs(120));
        client.build().expect("a client without special settings")
    }
}

/// The program, since one start.
pub struct Api<'a> {
    pub keys: &'a Keys,
    pub base: String,
    pub data: &'a Path,
    pub trap: &'a Trap,
}

impl Api<'_> {
    /// Sends it once.
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
        // It is known to the program that this is on disk; that it is known here nobody promised.
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

    /// The owner proves who they are, in a program that nobody kills; their browser has another cookie then.
    pub async fn prove(&self, password: &str) {
        let proof = Ask::post("/api/v1/proof", json!({ "password": password }));
        let proved = self.made(proof.by(Door::Owner).again(Again::Harmless), "").await;
        let cookie = proved.cookie.expect("the cookie of a new session");
        *self.keys.cookie.lock().expect("no panic holds it") = cookie;
    }

    /// What a program that runs answers.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        match self.send(ask, "").await {
            Came::Answer(answer) => answer,
            Came::Gone(_, error) => panic!("{} {}: {error}", ask.method, ask.path),
        }
    }

    /// What stands there.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask(&Ask::get(path)).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json
    }

    /// The bytes that stand there.
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

    /// A list that has no pages.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().cloned().expect("a list of items")
    }
}

/// The workspace of the owner's browser and token.
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
    /// Does it, in a program that nobody kills.
    pub async fn made(&self, ask: Ask, key: &str) -> Answer {
        match self.send(&ask, key).await {
            Came::Answer(answer) if answer.status < 300 => answer,
            Came::Answer(answer) => panic!("{} {}: {}", ask.method, ask.path, answer.text),
            Came::Gone(_, error) => panic!("{} {}: {error}", ask.method, ask.path),
        }
    }
}
