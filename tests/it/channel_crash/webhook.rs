//! A bridge as `docs/bridges.md` describes it: performs each key once, and repeats an event with the same id until HQ has
//! confirmed it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extracted;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kernel::time::{Clock as _, SystemClock};
use parking_lot::Mutex;
use serde_json::{Value, json};
use standins::gate::Gate;
use support::wire;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::{Arrived, Messenger, PEOPLE};
use crate::channels_webhook::sign;
use crate::crash::api::{Again, Api, Ask};

const ROOM: &str = "!room:example.org";
/// Pause before an event is sent again.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Bridge {
    url: String,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    posts: Gate,
    /// Changes with everything that happens.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Path at HQ, and the signing secret.
    path: String,
    secret: String,
    /// Where HQ is reachable.
    base: Option<String>,
    written: usize,
    /// What HQ has not confirmed.
    events: VecDeque<Event>,
    confirmed: usize,
    sent: Vec<Arrived>,
    /// Body and answer by key.
    performed: BTreeMap<String, (Value, Value)>,
    /// What HQ did wrong.
    faults: Vec<String>,
}

/// An event for HQ.
#[derive(Clone)]
struct Event {
    id: String,
    body: String,
    attempts: usize,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    async fn wait(&self, is: impl Fn(&State) -> bool) {
        let mut changed = self.changed.subscribe();
        while !is(&self.state.lock()) {
            // ok: the sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }
}

/// HQ calls.
async fn serve(
    Extracted(shared): Extracted<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let header = |name: &str| header(name).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let [id, at, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
    if signature != sign(&shared.state.lock().secret, &id, &at, &text) {
        shared.change(|state| state.faults.push(format!("a wrong signature: {text}")));
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let event: Value = serde_json::from_str(&text).unwrap_or_default();
    if event["type"] != "message" {
        return StatusCode::OK.into_response();
    }
    shared.posts.pass().await;
    shared.change(|state| state.perform(id, event)).to_string().into_response()
}

impl State {
    fn perform(&mut self, id: String, event: Value) -> Value {
        if let Some((first, answer)) = self.performed.get(&id) {
            if *first != event {
                self.faults.push(format!("{id} means two things: {first} and {event}"));
            }
            return answer.clone();
        }
        let data = &event["data"];
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        if text("key") != id {
            self.faults.push(format!("the key is not {id}: {event}"));
        }
        let message = format!("out-{}", self.sent.len());
        let answer = json!({ "message": message });
        self.sent.push(Arrived { chat: text("chat"), id: message, text: text("text") });
        self.performed.insert(id, (event, answer.clone()));
        answer
    }

    /// Takes note of HQ's answer to the first event. Returns `false` if it has to be sent again.
    fn note(&mut self, status: u16) -> bool {
        let Some(event) = self.events.front() else { return true };
        match status {
            202 => {}
            // Only a repeat may be known.
            200 if 1 < event.attempts => {}
            0 | 503 => return false,
            _ => self.faults.push(format!("{status} for {}", event.body)),
        }
        self.events.pop_front();
        self.confirmed += 1;
        true
    }

    /// The first event, and where it goes.
    fn next(&mut self) -> Option<(String, String, Event)> {
        let url = format!("{}{}", self.base.as_ref()?, self.path);
        let event = self.events.front_mut()?;
        event.attempts += 1;
        Some((url, self.secret.clone(), event.clone()))
    }
}

/// Sends one event after the other to HQ.
async fn deliver(shared: Arc<Shared>) {
    let client = wire::client().timeout(Duration::from_secs(10)).build().expect("a client");
    let mut pause = interval(PAUSE);
    let mut changed = shared.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let next = shared.state.lock().next();
        let Some((url, secret, event)) = next else {
            // ok: the sender lives as long as `shared`.
            let _ = changed.changed().await;
            continue;
        };
        let now = SystemClock.now().as_second().to_string();
        let signature = sign(&secret, &event.id, &now, &event.body);
        let request = client.post(url).header("webhook-id", event.id);
        let request = request.header("webhook-timestamp", now);
        let request = request.header("webhook-signature", signature).body(event.body).send();
        let status = request.await.map_or(0, |answer| answer.status().as_u16());
        if !shared.change(|state| state.note(status)) {
            pause.tick().await;
        }
    }
}

impl Messenger for Bridge {
    const NAME: &str = "Webhook";
    const IS_EXACT: bool = true;

    async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/hq", listener.local_addr().expect("a bound port"));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // ok: a test that lost its server fails by itself.
            let _ = axum::serve(listener, router).await;
        });
        let sender = tokio::spawn(deliver(Arc::clone(&shared)));
        Self { url, shared, tasks: [server, sender] }
    }

    fn connection(&self) -> Value {
        json!({ "kind": "webhook", "name": "Bridge", "api_base": self.url })
    }

    async fn connected(&self, api: &Api<'_>, channel: &str) {
        let asked = Ask::post(format!("/api/v1/channels/{channel}/secret"), json!({}));
        let made = api.made(asked.again(Again::Look), "").await;
        let (address, secret) = (made.word("address"), made.word("secret"));
        let at = address.find("/hooks/").expect("an address of a hook");
        self.shared.change(|state| {
            (state.path, state.secret) = (address[at..].to_owned(), secret);
        });
    }

    fn reach(&self, url: Option<&str>) {
        self.shared.change(|state| state.base = url.map(str::to_owned));
    }

    fn chat(who: usize, is_direct: bool) -> String {
        if is_direct { format!("!direct-{who}:example.org") } else { ROOM.to_owned() }
    }

    fn say(&self, who: usize, is_direct: bool, text: &str) -> String {
        self.shared.change(|state| {
            state.written += 1;
            let id = format!("${}", state.written);
            let title = if is_direct { "" } else { "Sales" };
            let body = json!({ "type": "message", "data": {
                "chat": Self::chat(who, is_direct), "title": title, "is_direct": is_direct,
                "id": id, "text": text,
                "sender": { "id": format!("@{who}:example.org"), "name": PEOPLE[who] },
            }});
            let event = format!("msg_{}", state.written);
            state.events.push_back(Event { id: event, body: body.to_string(), attempts: 0 });
            id
        })
    }

    fn arrived(&self) -> Vec<Arrived> {
        let state = self.shared.state.lock();
        assert!(state.faults.is_empty(), "{:#?}", state.faults);
        state.sent.clone()
    }

    fn waiting(&self) -> usize {
        self.shared.state.lock().events.len()
    }

    async fn taken(&self, more: usize) {
        let count = self.shared.state.lock().sent.len() + more;
        self.shared.wait(|state| count <= state.sent.len()).await;
    }

    async fn sending(&self) {
        self.shared.posts.close();
        self.shared.posts.wait_held().await;
    }

    fn release(&self) {
        self.shared.posts.open();
    }

    async fn heard(&self, more: usize) {
        let count = self.shared.state.lock().confirmed + more;
        self.shared.wait(|state| count <= state.confirmed).await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
