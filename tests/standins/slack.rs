//! The part of Slack's Web API and Socket Mode that HQ uses, in memory, with faults on request.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State as Extracted};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kernel::time::{Clock, SystemClock};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::form_urlencoded;

use crate::gate::Gate;

mod socket;

pub const APP_TOKEN: &str = "xapp-1-standin";
pub const BOT_TOKEN: &str = "xoxb-standin";
pub const BOT_USER: &str = "U0BOT";
pub const BOT: &str = "B0BOT";
/// What the app is granted.
pub const SCOPES: &str = "app_mentions:read,channels:history,chat:write,files:read,files:write,\
                          im:history,im:read,im:write,users:read";

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on the loopback interface. Stops when dropped.
pub struct Slack {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    url: String,
    state: Mutex<State>,
    posts: Gate,
    /// Changes with everything that happens.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    count: u64,
    scopes: String,
    /// Messages with their channel.
    messages: Vec<(String, Value)>,
    /// What the app called: method and parameters.
    calls: Vec<(String, Value)>,
    faults: Vec<Fault>,
    envelopes: Vec<Envelope>,
    /// Acknowledgements so far.
    acknowledged: usize,
    /// Connections that were ever opened, and those open now.
    opened: u64,
    open: BTreeSet<u64>,
    /// Connections up to this number are to go, for this reason; an empty one cuts them.
    leaving: (u64, String),
    /// Uploads: content and name.
    uploads: Vec<(String, String)>,
}

struct Envelope {
    value: Value,
    /// The connection that it was sent to last.
    sent_to: Option<u64>,
    attempts: u64,
    is_acknowledged: bool,
}

enum Fault {
    Answer {
        status: u16,
        error: String,
        retry_after: Option<u64>,
    },
    /// The message is posted, but the answer is lost.
    Cut,
}

impl Slack {
    pub async fn start() -> io::Result<Slack> {
        Slack::on(0).await
    }

    pub async fn on(port: u16) -> io::Result<Slack> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = State { scopes: SCOPES.to_owned(), ..State::default() };
        let (changed, _) = watch::channel(0);
        let (state, posts) = (Mutex::new(state), Gate::default());
        let shared = Arc::new(Shared { url: url.clone(), state, posts, changed });
        let router = Router::new()
            .route("/link", get(socket::upgrade))
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // ok: a test that lost its server fails by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Slack { url, shared, server })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A person writes; channels that begin with D are direct. Returns the message's time stamp.
    pub fn say(&self, channel: &str, user: &str, text: &str) -> String {
        self.say_with(channel, user, text, json!({}))
    }

    /// The same, with more or other fields, for example `thread_ts`.
    pub fn say_with(&self, channel: &str, user: &str, text: &str, more: Value) -> String {
        self.shared.change(|state| state.say(channel, user, text, more))
    }

    pub fn edit(&self, channel: &str, ts: &str, text: &str) {
        self.shared.change(|state| {
            let found = state.messages.iter_mut().find(|(_, message)| message["ts"] == *ts);
            let Some((_, message)) = found else { return };
            let before = message.clone();
            message["text"] = text.into();
            message["edited"] = json!({"user": before["user"], "ts": ts});
            let event = json!({
                "type": "message", "subtype": "message_changed", "message": message.clone(),
                "previous_message": before, "ts": "9", "hidden": true,
            });
            state.event(channel, event);
        });
    }

    /// The app joins a channel.
    pub fn join(&self, channel: &str) {
        self.shared.change(|state| {
            let event = json!({"type": "member_joined_channel", "user": BOT_USER});
            state.event(channel, event);
        });
    }

    pub fn press(&self, channel: &str, ts: &str, user: &str, value: &str) {
        self.shared.change(|state| state.press(channel, ts, user, value));
    }

    pub fn command(&self, channel: &str, user: &str, command: &str, words: &str) {
        self.shared.change(|state| {
            let trigger = format!("trigger-{}", state.ts());
            state.envelope(
                "slash_commands",
                json!({
                    "command": command, "text": words, "user_id": user, "channel_id": channel,
                    "trigger_id": trigger,
                }),
            );
        });
    }

    /// Messages of the app, as they are now.
    pub fn sent(&self) -> Vec<Value> {
        self.shared.state.lock().sent()
    }

    pub async fn wait_sent(&self, count: usize) -> Vec<Value> {
        self.wait(|| Some(self.sent()).filter(|sent| count <= sent.len())).await
    }

    /// Calls of a method.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.shared.state.lock();
        let calls = state.calls.iter().filter(|(name, _)| name == method);
        calls.map(|(_, params)| params.clone()).collect()
    }

    /// Waits until every envelope is acknowledged.
    pub async fn wait_acknowledged(&self) {
        self.wait(|| (self.waiting() == 0).then_some(())).await;
    }

    /// Number of envelopes that wait for an acknowledgement.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting()
    }

    /// Number of acknowledgements so far, also of repeats.
    pub fn acknowledged(&self) -> usize {
        self.shared.state.lock().acknowledged
    }

    /// Waits for `count` of [`Slack::acknowledged`].
    pub async fn wait_acknowledgements(&self, count: usize) {
        self.wait(|| (count <= self.acknowledged()).then_some(())).await;
    }

    /// Waits until this many connections were opened in all, and this many are open.
    pub async fn wait_connected(&self, opened: u64, open: usize) {
        self.wait(|| {
            let state = self.shared.state.lock();
            (opened <= state.opened && open == state.open.len()).then_some(())
        })
        .await;
    }

    async fn wait<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            loop {
                if let Some(found) = found() {
                    return found;
                }
                // ok: the sender lives as long as `self`.
                let _ = changed.changed().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the app did not do this in time")
    }

    /// Answers the next message or read of messages with an error.
    pub fn fail_next(&self, status: u16, error: &str, retry_after: Option<u64>) {
        let error = error.to_owned();
        self.shared.state.lock().faults.push(Fault::Answer { status, error, retry_after });
    }

    /// Posts the next message, but breaks the connection instead of answering.
    pub fn cut_next(&self) {
        self.shared.state.lock().faults.push(Fault::Cut);
    }

    /// Holds new messages of the app back before their effect.
    pub fn posts(&self) -> &Gate {
        &self.shared.posts
    }

    /// Announces the end of all connections: `warning`, `refresh_requested`, `link_disabled`.
    pub fn disconnect(&self, reason: &str) {
        self.shared.change(|state| state.leaving = (state.opened, reason.to_owned()));
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.disconnect("");
    }

    /// Sends all envelopes once more, acknowledged or not.
    pub fn repeat(&self) {
        self.shared.change(|state| {
            for envelope in &mut state.envelopes {
                (envelope.sent_to, envelope.is_acknowledged) = (None, false);
            }
        });
    }

    /// Loses all envelopes that wait, as Slack does after some time.
    pub fn forget_envelopes(&self) {
        self.shared.state.lock().envelopes.clear();
    }

    pub fn set_scopes(&self, scopes: &str) {
        scopes.clone_into(&mut self.shared.state.lock().scopes);
    }

    /// Contents and names of uploaded files.
    pub fn uploads(&self) -> Vec<(String, String)> {
        self.shared.state.lock().uploads.clone()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.send_modify(|count| *count += 1);
        result
    }
}

impl State {
    fn ts(&mut self) -> String {
        self.count += 1;
        format!("{}.{:06}", SystemClock.now_ms() / 1000, self.count)
    }

    fn say(&mut self, channel: &str, user: &str, text: &str, more: Value) -> String {
        let ts = self.ts();
        let mut message = json!({"type": "message", "user": user, "text": text, "ts": ts});
        merge(&mut message, more);
        self.messages.push((channel.to_owned(), message.clone()));
        let is_mention = text.contains(&format!("<@{BOT_USER}>"));
        self.event(channel, message.clone());
        if is_mention && !channel.starts_with('D') {
            message["type"] = "app_mention".into();
            self.event(channel, message);
        }
        ts
    }

    fn press(&mut self, channel: &str, ts: &str, user: &str, value: &str) {
        let trigger = format!("trigger-{}", self.ts());
        self.envelope(
            "interactive",
            json!({
                "type": "block_actions", "trigger_id": trigger, "team": {"id": "T0"},
                "user": {"id": user, "username": user.to_lowercase(), "name": user},
                "channel": {"id": channel}, "message": {"ts": ts},
                "container": {"type": "message", "message_ts": ts, "channel_id": channel},
                "actions": [{"type": "button", "action_id": "hq0", "block_id": "b",
                             "value": value, "action_ts": trigger}],
            }),
        );
    }

    fn sent(&self) -> Vec<Value> {
        let messages = self.messages.iter().map(|(_, message)| message);
        messages.filter(|message| message["user"] == BOT_USER).cloned().collect()
    }

    fn waiting(&self) -> usize {
        self.envelopes.iter().filter(|envelope| !envelope.is_acknowledged).count()
    }

    /// Control over HTTP, for clients in other languages: `POST /control/<what>` with JSON.
    fn control(&mut self, what: &str, params: &Value) -> Value {
        let param = |name: &str| params[name].as_str().unwrap_or_default();
        match what {
            "say" => self.say(param("channel"), param("user"), param("text"), json!({})).into(),
            "press" => {
                self.press(param("channel"), param("message"), param("user"), param("text"));
                Value::Null
            }
            "disconnect" => {
                self.leaving = (self.opened, param("reason").to_owned());
                Value::Null
            }
            "sent" => self.sent().into(),
            "waiting" => self.waiting().into(),
            _ => Value::Null,
        }
    }

    fn event(&mut self, channel: &str, mut event: Value) {
        event["channel"] = channel.into();
        if event["type"] == "message" {
            event["channel_type"] = if channel.starts_with('D') { "im" } else { "channel" }.into();
        }
        let id = format!("Ev{}", self.ts());
        let payload = json!({
            "type": "event_callback", "event": event, "event_id": id, "team_id": "T0",
            "api_app_id": "A0", "authorizations": [{"team_id": "T0", "user_id": BOT_USER}],
        });
        self.envelope("events_api", payload);
    }

    fn envelope(&mut self, kind: &str, payload: Value) {
        let id = format!("envelope-{}", self.ts());
        let value = json!({
            "type": kind, "envelope_id": id, "payload": payload, "accepts_response_payload": false,
        });
        let envelope = Envelope { value, sent_to: None, attempts: 0, is_acknowledged: false };
        self.envelopes.push(envelope);
    }
}

async fn answer(Extracted(shared): Extracted<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, 32 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let header = |name: header::HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let auth = header(header::AUTHORIZATION);
    let path = parts.uri.path();
    if let Some(name) = path.strip_prefix("/upload/") {
        let upload = (String::from_utf8_lossy(&bytes).into_owned(), name.to_owned());
        shared.change(|state| state.uploads.push(upload));
        return "OK".into_response();
    }
    if path.starts_with("/files/") {
        let is_known = auth == format!("Bearer {BOT_TOKEN}");
        return if is_known {
            "content".into_response()
        } else {
            StatusCode::FORBIDDEN.into_response()
        };
    }
    if let Some(what) = path.strip_prefix("/control/") {
        let params: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        return axum::Json(shared.change(|state| state.control(what, &params))).into_response();
    }
    let Some(method) = path.strip_prefix("/api/").map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let params = read_params(&header(header::CONTENT_TYPE), &bytes);
    let is_app = method == "apps.connections.open";
    if auth != format!("Bearer {}", if is_app { APP_TOKEN } else { BOT_TOKEN }) {
        return reply(200, json!({"ok": false, "error": "invalid_auth"}), "", None);
    }
    if method == "chat.postMessage" {
        shared.posts.pass().await;
    }
    let may_fail = method.starts_with("chat.post") || method.starts_with("conversations.h");
    let (fault, value, scopes) = shared.change(|state| {
        state.calls.push((method.clone(), params.clone()));
        let fault = (may_fail && !state.faults.is_empty()).then(|| state.faults.remove(0));
        let scopes = state.scopes.clone();
        if matches!(fault, Some(Fault::Answer { .. })) {
            return (fault, Value::Null, scopes);
        }
        let mut value = act(state, &shared.url, &method, &params);
        if value.get("error").is_none() {
            value["ok"] = true.into();
        }
        (fault, value, scopes)
    });
    match fault {
        Some(Fault::Answer { status, error, retry_after }) => {
            reply(status, json!({"ok": false, "error": error}), &scopes, retry_after)
        }
        // Ends the connection's task, and with it the connection.
        Some(Fault::Cut) => std::panic::resume_unwind(Box::new("cut")),
        None => reply(200, value, &scopes, None),
    }
}

fn act(state: &mut State, url: &str, method: &str, params: &Value) -> Value {
    let param = |name: &str| params[name].as_str().unwrap_or_default();
    match method {
        "auth.test" => json!({
            "url": url, "team": "Standin", "team_id": "T0", "user": "standin",
            "user_id": BOT_USER, "bot_id": BOT,
        }),
        "apps.connections.open" => json!({"url": format!("{}/link", url.replace("http", "ws"))}),
        "users.info" => {
            let id = param("user");
            json!({"user": {
                "id": id, "name": id.to_lowercase(), "is_bot": id == BOT_USER,
                "profile": {"display_name": format!("Person {id}")},
            }})
        }
        "conversations.info" => {
            json!({"channel": {"id": param("channel"), "name": param("channel").to_lowercase()}})
        }
        "conversations.history" | "conversations.replies" => read(state, method, params),
        "chat.postMessage" => {
            let ts = state.ts();
            let mut message = params.clone();
            merge(
                &mut message,
                json!({"type": "message", "user": BOT_USER, "bot_id": BOT, "ts": ts}),
            );
            let channel = param("channel").to_owned();
            state.messages.push((channel.clone(), message.clone()));
            state.event(&channel, message.clone());
            json!({"channel": channel, "ts": ts, "message": message})
        }
        "chat.update" => {
            let found =
                state.messages.iter_mut().find(|(_, message)| message["ts"] == params["ts"]);
            let Some((_, message)) = found else {
                return json!({"ok": false, "error": "message_not_found"});
            };
            merge(message, params.clone());
            json!({"channel": params["channel"], "ts": params["ts"], "text": params["text"]})
        }
        "chat.delete" => {
            let before = state.messages.len();
            state.messages.retain(|(_, message)| message["ts"] != params["ts"]);
            if state.messages.len() == before {
                return json!({"ok": false, "error": "message_not_found"});
            }
            json!({"channel": params["channel"], "ts": params["ts"]})
        }
        "chat.postEphemeral" => json!({"message_ts": state.ts()}),
        "files.getUploadURLExternal" => json!({
            "upload_url": format!("{url}/upload/{}", param("filename").replace(' ', "_")),
            "file_id": "F1",
        }),
        "files.completeUploadExternal" => json!({"files": params["files"]}),
        _ => json!({"ok": false, "error": "unknown_method"}),
    }
}

fn read(state: &State, method: &str, params: &Value) -> Value {
    let param = |name: &str| params[name].as_str().unwrap_or_default();
    let is_thread = method == "conversations.replies";
    let in_place = state.messages.iter().filter(|(channel, message)| {
        let thread = message["thread_ts"].as_str().unwrap_or_default();
        let ts = message["ts"].as_str().unwrap_or_default();
        let fits = match is_thread {
            true => thread == param("ts") || ts == param("ts"),
            false => thread.is_empty() || thread == ts,
        };
        channel == param("channel") && fits && param("oldest") < ts
    });
    let mut page: Vec<Value> = in_place.map(|(_, message)| message.clone()).collect();
    let limit = param("limit").parse().unwrap_or(100);
    let has_more = limit < page.len();
    // After `oldest` Slack begins there, and otherwise at the newest message. Channels show the newest first.
    if !is_thread && param("oldest").is_empty() {
        page.drain(..page.len().saturating_sub(limit));
    }
    page.truncate(limit);
    if !is_thread {
        page.reverse();
    }
    let is_complete = matches!(param("include_all_metadata"), "true" | "1");
    for message in page.iter_mut().filter(|_| !is_complete) {
        message["metadata"] = Value::Null;
    }
    json!({"messages": page, "has_more": has_more})
}

/// Parameters from JSON or a form, in which lists and objects are JSON.
fn read_params(kind: &str, bytes: &Bytes) -> Value {
    if kind.starts_with("application/json") {
        return serde_json::from_slice(bytes).unwrap_or_default();
    }
    let mut params = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        let parsed = serde_json::from_str(&value).ok();
        let parsed = parsed.filter(|value: &Value| value.is_array() || value.is_object());
        params.insert(name.into_owned(), parsed.unwrap_or_else(|| value.into_owned().into()));
    }
    params.into()
}

fn reply(status: u16, value: Value, scopes: &str, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (
        status,
        [("content-type", "application/json"), ("x-oauth-scopes", scopes)],
        value.to_string(),
    )
        .into_response();
    if let Some(wait) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
