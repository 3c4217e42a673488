//! The part of the Telegram Bot API that HQ uses, in memory, with faults on request.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

mod control;
mod methods;
mod params;

pub use methods::Sent;
use methods::{Bot, Refused, Reply};
use params::{Params, int};

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Bot API server on the loopback interface. Stops when dropped.
pub struct Telegram {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A chat as Telegram describes it.
#[derive(Clone, Debug)]
pub struct Chat(pub Value);

/// A person or bot as Telegram describes it.
#[derive(Clone, Debug)]
pub struct User(pub Value);

impl Chat {
    /// The direct chat with a person; its id is that of the person.
    pub fn direct(id: i64) -> Chat {
        Chat(json!({"id": id, "type": "private"}))
    }

    pub fn group(id: i64, title: &str) -> Chat {
        Chat(json!({"id": id, "type": "supergroup", "title": title}))
    }
}

impl User {
    pub fn new(id: i64, name: &str, handle: &str) -> User {
        User(json!({"id": id, "is_bot": false, "first_name": name, "username": handle}))
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    bots: BTreeMap<String, Bot>,
    planned: Vec<(String, Plan)>,
    held: BTreeSet<String>,
    /// Methods that are held in one chat.
    held_in: BTreeSet<(String, i64)>,
    /// Fixed time of messages in seconds since 1970.
    now: Option<i64>,
}

/// What happens to the next call of a method.
enum Plan {
    Fail(Refused),
    Cut { after_effect: bool },
}

impl Telegram {
    pub async fn start() -> Telegram {
        Telegram::on(0).await.expect("invariant: a free port exists")
    }

    /// Starts on a given port.
    pub async fn on(port: u16) -> io::Result<Telegram> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // ok: a stopped server is noticed by its clients.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Telegram { url, shared, server })
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates a bot.
    pub fn bot(&self, token: &str, id: i64, name: &str, handle: &str) {
        self.shared.change(|state| {
            state.bots.insert(token.to_owned(), Bot::new(id, name, handle));
        });
    }

    /// A person writes to the bot. Returns the id of the update.
    pub fn say(&self, token: &str, chat: &Chat, from: &User, text: &str) -> i64 {
        self.on_bot(token, |bot, now| bot.say(chat, from, text, now))
    }

    /// Queues an update, to which only the id is added; a message also gets a missing id and date.
    pub fn say_with(&self, token: &str, update: Value) -> i64 {
        self.on_bot(token, |bot, now| bot.queue(update, now))
    }

    /// A person presses a button.
    pub fn press(&self, token: &str, chat: &Chat, from: &User, message: i64, data: &str) -> i64 {
        self.on_bot(token, |bot, now| bot.press(chat, from, message, data, now))
    }

    /// A group becomes a supergroup with another id.
    pub fn migrate(&self, token: &str, from: i64, to: i64) -> i64 {
        self.on_bot(token, |bot, now| bot.migrate(from, to, now))
    }

    /// A file that the bot can download.
    pub fn file(&self, token: &str, id: &str, bytes: &[u8]) {
        self.on_bot(token, |bot, _| bot.files.insert(id.to_owned(), bytes.to_vec()));
    }

    /// Messages, edits and answers to presses so far.
    pub fn sent(&self, token: &str) -> Vec<Sent> {
        self.on_bot(token, |bot, _| bot.sent.clone())
    }

    /// Waits for `count` of [`Telegram::sent`].
    pub async fn wait_sent(&self, token: &str, count: usize) -> Vec<Sent> {
        self.until(token, |bot| (count <= bot.sent.len()).then(|| bot.sent.clone())).await
    }

    /// Waits for the draft of a chat that satisfies a condition. Returns its id.
    pub async fn wait_draft(&self, token: &str, chat: i64, is: impl Fn(&str) -> bool) -> i64 {
        let found = |bot: &Bot| {
            let mut own = bot.drafts.iter().filter(|(of, ..)| *of == chat);
            own.find(|(.., text)| is(text)).map(|(_, id, _)| *id)
        };
        self.until(token, |bot| found(bot)).await
    }

    /// Waits for `count` calls of a method, including refused, cut and held ones.
    pub async fn wait_called(&self, token: &str, method: &str, count: usize) {
        self.until(token, |bot| (count <= bot.called(method)).then_some(())).await;
    }

    /// Waits until the bot's program has acknowledged all updates.
    pub async fn wait_acknowledged(&self, token: &str) {
        self.until(token, |bot| bot.updates.is_empty().then_some(())).await;
    }

    /// Number of updates that the bot's program has not acknowledged.
    pub fn waiting(&self, token: &str) -> usize {
        self.shared.on_bot_quietly(token, |bot| bot.updates.len()).unwrap_or_default()
    }

    /// How often a method was called.
    pub fn called(&self, token: &str, method: &str) -> usize {
        self.on_bot(token, |bot, _| bot.called(method))
    }

    /// Refuses the next call of a method.
    pub fn fail_next(
        &self,
        method: &str,
        status: u16,
        description: &str,
        retry_after: Option<u64>,
    ) {
        let mut refused = Refused::new(status, description);
        refused.parameters = retry_after.map(|secs| json!({"retry_after": secs}));
        self.plan(method, Plan::Fail(refused));
    }

    /// Drops the connection of the next call of a method, before or after its effect.
    pub fn cut_next(&self, method: &str, after_effect: bool) {
        self.plan(method, Plan::Cut { after_effect });
    }

    /// Lets calls of a method wait before their effect.
    pub fn hold(&self, method: &str) {
        self.shared.change(|state| state.held.insert(method.to_owned()));
    }

    /// Ends [`Telegram::hold`].
    pub fn release(&self, method: &str) {
        self.shared.change(|state| state.held.remove(method));
    }

    /// Lets calls of a method for one chat wait before their effect.
    pub fn hold_in(&self, method: &str, chat: i64) {
        self.shared.change(|state| state.held_in.insert((method.to_owned(), chat)));
    }

    /// Ends [`Telegram::hold_in`].
    pub fn release_in(&self, method: &str, chat: i64) {
        self.shared.change(|state| state.held_in.remove(&(method.to_owned(), chat)));
    }

    /// Makes the token invalid.
    pub fn revoke(&self, token: &str) {
        self.on_bot(token, |bot, _| bot.is_revoked = true);
    }

    /// Sets a webhook; an empty URL removes it.
    pub fn webhook(&self, token: &str, url: &str) {
        self.on_bot(token, |bot, _| url.clone_into(&mut bot.webhook));
    }

    /// Sets the time of new messages, in seconds since 1970. Without it, the system's.
    pub fn at(&self, secs: i64) {
        self.shared.change(|state| state.now = Some(secs));
    }

    fn plan(&self, method: &str, plan: Plan) {
        self.shared.change(|state| state.planned.push((method.to_owned(), plan)));
    }

    fn on_bot<T>(&self, token: &str, act: impl FnOnce(&mut Bot, i64) -> T) -> T {
        let found = self.shared.on_bot(token, act);
        found.unwrap_or_else(|| panic!("no bot with this token; call `bot` first"))
    }

    async fn until<T>(&self, token: &str, ready: impl Fn(&Bot) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if let Some(found) = self.shared.on_bot_quietly(token, |bot| ready(bot)).flatten() {
                    return found;
                }
                changed.await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("nothing more came; sent so far: {:#?}", self.sent(token)),
        }
    }
}

impl Drop for Telegram {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = act(&mut self.lock());
        self.changed.notify_waiters();
        done
    }

    fn on_bot<T>(&self, token: &str, act: impl FnOnce(&mut Bot, i64) -> T) -> Option<T> {
        self.change(|state| {
            let now = state.now.unwrap_or_else(methods::system_secs);
            state.bots.get_mut(token).map(|bot| act(bot, now))
        })
    }

    fn on_bot_quietly<T>(&self, token: &str, look: impl FnOnce(&Bot) -> T) -> Option<T> {
        self.lock().bots.get(token).map(look)
    }

    /// Notes a call, and waits while its method is held.
    async fn enter(&self, token: &str, method: &str, params: &Params) -> Option<Plan> {
        self.on_bot(token, |bot, _| bot.calls.push(method.to_owned()));
        let place = (method.to_owned(), int(params, "chat_id").unwrap_or_default());
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.held.contains(method) && !state.held_in.contains(&place) {
                    let next = state.planned.iter().position(|(of, _)| of == method)?;
                    return Some(state.planned.remove(next).1);
                }
            }
            changed.await;
        }
    }

    /// `getUpdates`: a later poll ends this one.
    async fn poll(&self, token: &str, params: &Params) -> Reply {
        let begun = self.on_bot(token, |bot, _| {
            bot.live()?;
            bot.acknowledge(params);
            bot.polls += 1;
            Ok(bot.polls)
        });
        let mine = begun.ok_or_else(Refused::unauthorized)??;
        let limit = int(params, "limit").unwrap_or(100).clamp(1, 100);
        let secs = int(params, "timeout").unwrap_or(0).clamp(0, 50);
        let end = Instant::now() + Duration::from_secs(secs.unsigned_abs());
        loop {
            let changed = self.changed.notified();
            let found = self.on_bot_quietly(token, |bot| bot.ready(mine, limit));
            let found = found.ok_or_else(Refused::unauthorized)??;
            if !found.is_empty() || timeout_at(end, changed).await.is_err() {
                return Ok(Value::Array(found));
            }
        }
    }
}

async fn serve(Extracted(shared): Extracted<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().replace("%3A", ":");
    let params = match params::read(request).await {
        Ok(params) => params,
        Err(reason) => return answer(Err(Refused::new(400, &format!("Bad Request: {reason}")))),
    };
    if let Some(what) = path.strip_prefix("/control/") {
        return control::serve(&shared, what, &params).await;
    }
    if let Some((token, file)) = path.strip_prefix("/file/bot").and_then(|it| it.split_once('/')) {
        let id = file.trim_start_matches("files/");
        let bytes = shared.on_bot_quietly(token, |bot| bot.files.get(id).cloned()).flatten();
        return bytes.map_or_else(|| answer(Err(Refused::missing())), |it| raw(it.into()));
    }
    let Some((token, method)) = path.strip_prefix("/bot").and_then(|it| it.split_once('/')) else {
        return answer(Err(Refused::missing()));
    };
    let plan = shared.enter(token, method, &params).await;
    match plan {
        Some(Plan::Fail(refused)) => return answer(Err(refused)),
        Some(Plan::Cut { after_effect: false }) => cut(),
        Some(Plan::Cut { after_effect: true }) | None => {}
    }
    let reply = if method == "getUpdates" {
        shared.poll(token, &params).await
    } else {
        let done = shared.on_bot(token, |bot, now| bot.perform(method, &params, now));
        done.unwrap_or_else(|| Err(Refused::unauthorized()))
    };
    if plan.is_some() {
        cut();
    }
    answer(reply)
}

/// Drops the connection without an answer: the panic ends its task, without a message.
fn cut() -> ! {
    std::panic::resume_unwind(Box::new("cut"))
}

fn raw(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from(bytes)).into_response()
}

fn answer(reply: Reply) -> Response {
    let (status, body) = match reply {
        Ok(result) => (200, json!({"ok": true, "result": result})),
        Err(refused) => {
            let Refused { status, description, parameters } = refused;
            let mut body = json!({"ok": false, "error_code": status, "description": description});
            if let Some(parameters) = parameters {
                body["parameters"] = parameters;
            }
            (status, body)
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
