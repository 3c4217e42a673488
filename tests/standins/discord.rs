//! The part of Discord's API and gateway v10 that HQ uses, in memory, with faults on request.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kernel::time::{Clock, SystemClock};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gate::Gate;

mod gateway;

/// The only token that this server accepts.
pub const TOKEN: &str = "standin.discord.token";
pub const BOT: &str = "1000";
pub const APPLICATION: &str = "1001";
pub const GUILD: &str = "2000";

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);
const EPOCH_MS: i64 = 1_420_070_400_000;

/// A server on the loopback interface. Stops when dropped.
pub struct Discord {
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
    ids: u64,
    /// Guild (or none), kind and parent by channel.
    channels: BTreeMap<String, (Option<String>, u64, Option<String>)>,
    messages: Vec<Value>,
    /// What the bot did: method, path below the version, body.
    calls: Vec<(String, String, Value)>,
    faults: Vec<Fault>,
    /// What was dispatched in each session: sequence numbers start at 1.
    sessions: BTreeMap<String, Vec<(String, Value)>>,
    identified: u32,
    resumed: u32,
    flags: u64,
    /// Raised to end all connections with this code; 0 cuts them.
    ended: (u64, u16),
    /// Frames for all connections.
    frames: Vec<Value>,
    is_mute: bool,
    keeps_nonces: bool,
}

enum Fault {
    Status(u16, Value),
    /// The message is created, but the answer is lost.
    Cut,
}

impl Discord {
    pub async fn start() -> io::Result<Discord> {
        Discord::on(0).await
    }

    pub async fn on(port: u16) -> io::Result<Discord> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = State { flags: 1 << 19, keeps_nonces: true, ..State::default() };
        let (changed, _) = watch::channel(0);
        let (state, posts) = (Mutex::new(state), Gate::default());
        let shared = Arc::new(Shared { url: url.clone(), state, posts, changed });
        shared.channel("3000", Some(GUILD), 0, None);
        shared.channel("4000", None, 1, None);
        let router = Router::new()
            .route("/gateway", get(gateway::upgrade))
            .route("/gateway/", get(gateway::upgrade))
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // ok: a test that lost its server fails by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Discord { url, shared, server })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Adds a thread of a channel of the server.
    pub fn thread(&self, id: &str, parent: &str) {
        self.shared.channel(id, Some(GUILD), 11, Some(parent));
    }

    /// Adds a direct chat.
    pub fn direct(&self, id: &str) {
        self.shared.channel(id, None, 1, None);
    }

    /// A person writes; 3000 is a channel of a server, 4000 a direct chat. Returns the message's id.
    pub fn say(&self, channel: &str, user: &str, text: &str) -> String {
        self.say_with(channel, user, text, json!({}))
    }

    /// The same, with more or other fields.
    pub fn say_with(&self, channel: &str, user: &str, text: &str, more: Value) -> String {
        self.shared.change(|state| state.say(channel, user, text, more))
    }

    /// A person edits a message.
    pub fn edit(&self, id: &str, text: &str) {
        self.shared.change(|state| {
            let found = state.messages.iter_mut().find(|message| message["id"] == *id);
            let Some(message) = found else { return };
            message["content"] = text.into();
            message["edited_timestamp"] = now().into();
            let message = message.clone();
            state.dispatch("MESSAGE_UPDATE", message);
        });
    }

    /// A person presses a button. Returns the interaction's id.
    pub fn press(&self, channel: &str, message: &str, user: &str, data: &str) -> String {
        self.shared.change(|state| state.press(channel, message, user, data))
    }

    /// A person uses a slash command.
    pub fn command(&self, channel: &str, user: &str, name: &str, words: &str) -> String {
        let body = json!({
            "type": 2, "channel_id": channel,
            "data": {"name": name, "options": [{"name": "text", "type": 3, "value": words}]},
        });
        self.shared.change(|state| state.interact(body, user))
    }

    /// Messages of the bot, as they are now.
    pub fn sent(&self) -> Vec<Value> {
        self.shared.state.lock().sent()
    }

    pub async fn wait_sent(&self, count: usize) -> Vec<Value> {
        self.wait(|| Some(self.sent()).filter(|sent| count <= sent.len())).await
    }

    /// Calls of the bot whose path contains `part`: method, path, body.
    pub fn calls(&self, part: &str) -> Vec<(String, String, Value)> {
        let state = self.shared.state.lock();
        state.calls.iter().filter(|(_, path, _)| path.contains(part)).cloned().collect()
    }

    pub async fn wait_calls(&self, part: &str, count: usize) -> Vec<(String, String, Value)> {
        self.wait(|| Some(self.calls(part)).filter(|calls| count <= calls.len())).await
    }

    /// Waits until the bot has introduced itself so often: by Identify and by Resume.
    pub async fn wait_connected(&self, identified: u32, resumed: u32) {
        self.wait(|| {
            let state = self.shared.state.lock();
            (identified <= state.identified && resumed <= state.resumed).then_some(())
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
        timeout(PATIENCE, wait).await.expect("the bot did not do this in time")
    }

    /// Answers the next change or read of messages with an error.
    pub fn fail_next(&self, status: u16, body: Value) {
        self.shared.state.lock().faults.push(Fault::Status(status, body));
    }

    /// Creates the next message, but breaks the connection instead of answering.
    pub fn cut_next(&self) {
        self.shared.state.lock().faults.push(Fault::Cut);
    }

    /// Holds changes of messages back before their effect.
    pub fn posts(&self) -> &Gate {
        &self.shared.posts
    }

    /// Closes the gateway's connections with this code; 0 cuts them.
    pub fn close_with(&self, code: u16) {
        self.shared.change(|state| state.ended = (state.ended.0 + 1, code));
    }

    /// Sends a frame to all connections, for example `{"op": 7}`.
    pub fn frame(&self, frame: Value) {
        self.shared.change(|state| state.frames.push(frame));
    }

    /// Forgets all sessions: none can be resumed.
    pub fn forget_sessions(&self) {
        self.shared.state.lock().sessions.clear();
    }

    /// Stops or starts acknowledging heartbeats.
    pub fn mute(&self, is_mute: bool) {
        self.shared.state.lock().is_mute = is_mute;
    }

    /// Stops enforcing nonces, as Discord does after some minutes, and optionally stops returning them.
    pub fn forget_nonces(&self, returned_too: bool) {
        let mut state = self.shared.state.lock();
        state.keeps_nonces = false;
        for message in state.messages.iter_mut().filter(|_| returned_too) {
            message["nonce"] = Value::Null;
        }
    }

    /// The application's flags; `1 << 19` lets bots read messages.
    pub fn set_flags(&self, flags: u64) {
        self.shared.state.lock().flags = flags;
    }

    /// The bot is removed from the server.
    pub fn remove(&self) {
        self.shared.change(|state| state.dispatch("GUILD_DELETE", json!({"id": GUILD})));
    }
}

impl Drop for Discord {
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

    fn channel(&self, id: &str, guild: Option<&str>, kind: u64, parent: Option<&str>) {
        let channel = (guild.map(str::to_owned), kind, parent.map(str::to_owned));
        self.state.lock().channels.insert(id.to_owned(), channel);
    }
}

impl State {
    fn id(&mut self) -> String {
        self.ids += 1;
        let ms = (SystemClock.now_ms() - EPOCH_MS).unsigned_abs();
        ((ms << 22) + self.ids).to_string()
    }

    fn message(&mut self, channel: &str, author: &Value, text: &str) -> Value {
        json!({
            "id": self.id(), "channel_id": channel, "author": author, "content": text, "type": 0,
            "timestamp": now(), "edited_timestamp": null, "mentions": [], "mention_roles": [],
            "mention_everyone": false, "attachments": [], "embeds": [], "components": [],
            "tts": false, "pinned": false, "flags": 0,
        })
    }

    fn say(&mut self, channel: &str, user: &str, text: &str, more: Value) -> String {
        let mut message = self.message(channel, &person(user), text);
        merge(&mut message, more);
        let id = string(&message, "id");
        self.messages.push(message.clone());
        let guild = self.channels.get(channel).and_then(|channel| channel.0.clone());
        if let Some(guild) = guild {
            message["guild_id"] = guild.into();
            message["member"] = json!({
                "nick": null, "roles": [], "joined_at": now(), "deaf": false, "mute": false,
                "flags": 0,
            });
        }
        self.dispatch("MESSAGE_CREATE", message);
        id
    }

    fn press(&mut self, channel: &str, message: &str, user: &str, data: &str) -> String {
        let found = self.messages.iter().find(|known| known["id"] == *message).cloned();
        let body = json!({
            "type": 3, "channel_id": channel, "channel": self.shown(channel),
            "message": found.unwrap_or_else(|| json!({"id": message})),
            "data": {"custom_id": data, "component_type": 2},
        });
        self.interact(body, user)
    }

    fn interact(&mut self, mut body: Value, user: &str) -> String {
        let id = self.id();
        merge(
            &mut body,
            json!({
                "id": id, "application_id": APPLICATION, "token": format!("interaction-{id}"),
                "version": 1, "user": person(user), "entitlements": [], "locale": "en-US",
                "attachment_size_limit": 1 << 20, "authorizing_integration_owners": {},
            }),
        );
        self.dispatch("INTERACTION_CREATE", body);
        id
    }

    fn sent(&self) -> Vec<Value> {
        self.messages.iter().filter(|message| message["author"]["id"] == BOT).cloned().collect()
    }

    /// Control over HTTP, for clients in other languages: `POST /control/<what>` with JSON.
    fn control(&mut self, what: &str, params: &Value) -> (u16, Value) {
        let [channel, user, text, message] =
            ["channel", "user", "text", "message"].map(|name| string(params, name));
        match what {
            "say" => (200, self.say(&channel, &user, &text, json!({})).into()),
            "press" => (200, self.press(&channel, &message, &user, &text).into()),
            "close" => {
                let code = params["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                self.ended = (self.ended.0 + 1, code.unwrap_or_default());
                (200, Value::Null)
            }
            "sent" => (200, self.sent().into()),
            "calls" => (200, json!(self.calls)),
            _ => unknown(),
        }
    }

    fn dispatch(&mut self, kind: &str, data: Value) {
        for log in self.sessions.values_mut() {
            log.push((kind.to_owned(), data.clone()));
        }
    }

    fn shown(&self, id: &str) -> Option<Value> {
        let (guild, kind, parent) = self.channels.get(id)?;
        let name = if *kind == 1 { Value::Null } else { format!("room-{id}").into() };
        let mut channel = json!({"id": id, "type": kind, "name": name, "position": 0});
        channel["permission_overwrites"] = json!([]);
        if let Some(guild) = guild {
            channel["guild_id"] = guild.clone().into();
        } else {
            channel["recipients"] = json!([person("7")]);
        }
        if let Some(parent) = parent {
            channel["parent_id"] = parent.clone().into();
        }
        Some(channel)
    }

    fn guild(&self) -> Value {
        let of_guild = |is_thread: bool| -> Vec<Value> {
            let ids = self
                .channels
                .iter()
                .filter(|(_, (guild, kind, _))| guild.is_some() && (*kind == 11) == is_thread);
            ids.filter_map(|(id, _)| self.shown(id)).collect()
        };
        json!({
            "id": GUILD, "name": "Standin", "owner_id": "7", "unavailable": false, "large": false,
            "channels": of_guild(false), "threads": of_guild(true), "member_count": 2, "emojis": [],
            "members": [], "roles": [], "features": [], "presences": [], "voice_states": [],
            "stickers": [], "stage_instances": [], "guild_scheduled_events": [],
            "preferred_locale": "en-US", "system_channel_flags": 0, "verification_level": 0,
            "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0,
            "nsfw_level": 0, "premium_tier": 0, "premium_progress_bar_enabled": false,
            "joined_at": now(), "afk_timeout": 300,
        })
    }
}

async fn answer(Extracted(shared): Extracted<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/api/v10").unwrap_or_default().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Ok(bytes) = axum::body::to_bytes(body, 32 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Some(what) = parts.uri.path().strip_prefix("/control/") {
        let params: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (status, value) = shared.change(|state| state.control(what, &params));
        return reply(status, value);
    }
    let needs_token = !path.starts_with("/interactions") && !path.starts_with("/webhooks");
    let auth = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if needs_token && auth != Some(&format!("Bot {TOKEN}")) {
        return reply(401, json!({"message": "401: Unauthorized", "code": 0}));
    }
    let (body, file) = read_body(&parts.headers, bytes).await;
    let is_of_messages = path.contains("/messages");
    if is_of_messages && parts.method != Method::GET {
        shared.posts.pass().await;
    }
    let (status, value, is_cut) = shared.change(|state| {
        let method = parts.method.to_string();
        state.calls.push((method, path.clone(), body.clone()));
        let fault = (is_of_messages && !state.faults.is_empty()).then(|| state.faults.remove(0));
        if let Some(Fault::Status(status, value)) = fault {
            return (status, value, false);
        }
        let path: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (status, value) = act(state, &shared.url, &parts.method, &path, &query, body, file);
        (status, value, fault.is_some())
    });
    if is_cut {
        // Ends the connection's task, and with it the connection.
        std::panic::resume_unwind(Box::new("cut"));
    }
    reply(status, value)
}

fn act(
    state: &mut State,
    url: &str,
    method: &Method,
    path: &[&str],
    query: &str,
    body: Value,
    file: Option<Value>,
) -> (u16, Value) {
    match (method.as_str(), path) {
        ("GET", ["users", "@me"]) => (200, bot()),
        ("GET", ["applications" | "oauth2", ..]) => {
            let application = json!({
                "id": APPLICATION, "name": "Standin", "flags": state.flags, "description": "",
                "icon": null, "bot_public": true, "bot_require_code_grant": false,
                "verify_key": "00", "owner": person("7"), "team": null, "rpc_origins": [],
            });
            (200, application)
        }
        ("GET", ["gateway", ..]) => (
            200,
            json!({
                "url": format!("{}/gateway", url.replace("http", "ws")), "shards": 1,
                "session_start_limit": {
                    "total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1,
                },
            }),
        ),
        ("GET", ["guilds", _]) => (200, state.guild()),
        ("GET", ["channels", id]) => match state.shown(id) {
            Some(channel) => (200, channel),
            None => unknown(),
        },
        ("GET", ["channels", id, "messages"]) => {
            let param = |name: &str| -> Option<u64> {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(key, _)| *key == name)?.1.parse().ok()
            };
            let in_channel = state.messages.iter().filter(|message| message["channel_id"] == **id);
            let limit = usize::try_from(param("limit").unwrap_or(50)).unwrap_or(50);
            let mut page: Vec<Value> = match param("after") {
                Some(after) => {
                    let missed = in_channel.filter(|message| after < number(message));
                    missed.take(limit).cloned().collect()
                }
                None => {
                    let all: Vec<Value> = in_channel.cloned().collect();
                    all[all.len().saturating_sub(limit)..].to_vec()
                }
            };
            page.reverse();
            (200, page.into())
        }
        ("DELETE", ["channels", id, "messages", message]) => {
            let before = state.messages.len();
            let is_it = |one: &Value| one["channel_id"] == **id && one["id"] == **message;
            state.messages.retain(|one| !is_it(one));
            if before == state.messages.len() { unknown() } else { (204, Value::Null) }
        }
        ("POST", ["channels", id, "messages"]) if state.channels.contains_key(*id) => {
            (200, create(state, id, body, file))
        }
        ("PATCH", ["channels", _, "messages", id]) => {
            let found = state.messages.iter_mut().find(|message| message["id"] == **id);
            let Some(message) = found else { return unknown() };
            merge(message, body);
            message["edited_timestamp"] = now().into();
            (200, message.clone())
        }
        ("POST", ["channels", _, "typing"]) => (204, Value::Null),
        ("POST", ["interactions", id, ..])
            if query.contains("with_response=true") || query.contains("with_response=1") =>
        {
            let interaction = json!({"id": id, "type": 3, "response_message_loading": false});
            (200, json!({"interaction": interaction, "resource": {"type": body["type"]}}))
        }
        ("POST", ["interactions", ..]) => (204, Value::Null),
        ("POST", ["webhooks", ..]) => (200, state.message("3000", &bot(), "")),
        ("PUT", ["applications", _, "commands"]) => (200, body),
        _ => unknown(),
    }
}

/// Creates a message; one with a known nonce is returned instead.
fn create(state: &mut State, channel: &str, body: Value, file: Option<Value>) -> Value {
    let enforced = state.keeps_nonces && body["enforce_nonce"] == true;
    let known = state.messages.iter().find(|message| {
        enforced && message["channel_id"] == *channel && message["nonce"] == body["nonce"]
    });
    if let Some(known) = known {
        return known.clone();
    }
    let mut message = state.message(channel, &bot(), "");
    merge(&mut message, body);
    if let Some(file) = file {
        message["attachments"] = json!([file]);
    }
    state.messages.push(message.clone());
    let mut dispatched = message.clone();
    let guild = state.channels.get(channel).and_then(|channel| channel.0.clone());
    if let Some(guild) = guild {
        dispatched["guild_id"] = guild.into();
    }
    state.dispatch("MESSAGE_CREATE", dispatched);
    message
}

/// The JSON of a request, and its file.
async fn read_body(headers: &HeaderMap, bytes: Bytes) -> (Value, Option<Value>) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Ok(boundary) = multer::parse_boundary(kind.unwrap_or_default()) else {
        return (serde_json::from_slice(&bytes).unwrap_or_default(), None);
    };
    let (mut body, mut file) = (Value::Null, None);
    let mut form = multer::Multipart::new(Body::from(bytes).into_data_stream(), boundary);
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.file_name().map(str::to_owned);
        let kind = field.content_type().map(ToString::to_string);
        let content = field.bytes().await.unwrap_or_default();
        match name {
            Some(name) => {
                file = Some(json!({
                    "id": "1", "filename": name, "content_type": kind, "size": content.len(),
                    "url": "", "content": String::from_utf8_lossy(&content),
                }));
            }
            None => body = serde_json::from_slice(&content).unwrap_or_default(),
        }
    }
    (body, file)
}

fn reply(status: u16, value: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if value.is_null() {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn unknown() -> (u16, Value) {
    (404, json!({"message": "Unknown Channel", "code": 10003}))
}

fn bot() -> Value {
    json!({"id": BOT, "username": "standin", "global_name": null, "discriminator": "0000",
           "avatar": null, "bot": true})
}

/// A person; other bots have ids from 900 to 999.
fn person(id: &str) -> Value {
    let is_bot = id.len() == 3 && id.starts_with('9');
    json!({"id": id, "username": format!("user{id}"), "global_name": format!("User {id}"),
           "discriminator": "0", "avatar": null, "bot": is_bot})
}

fn now() -> String {
    SystemClock.now().to_string()
}

fn string(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn number(message: &Value) -> u64 {
    string(message, "id").parse().unwrap_or_default()
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
