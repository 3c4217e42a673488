//! Limits of what strangers and guests cause on a channel, and how their texts are read; over a bridge in this process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use channels::model::{ChannelState, Delivery, Message, State as Connection};
use features::runs::model::Input;
use kernel::{QueueMode, Thinking};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::hq::{Person, Reply, TestHq};
use support::model::{ModelServer, Turn};
use support::work;

use crate::channels_webhook::sign;

type Texts = Arc<Mutex<Vec<String>>>;

async fn serve(State(texts): State<Texts>, body: Bytes) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap();
    if let Some(text) = body["data"]["text"].as_str() {
        texts.lock().push(text.to_owned());
    }
    json!({ "message": format!("out-{}", texts.lock().len()) }).to_string()
}

struct Scene {
    hq: TestHq,
    model: ModelServer,
    texts: Texts,
    api: Person,
    channel: String,
    path: String,
    secret: String,
}

/// Ada is online behind a bridge.
async fn scene() -> Scene {
    let (hq, model) = work::scene().await;
    let texts = Texts::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hq", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(Arc::clone(&texts));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let api = hq.api().await;
    let body = json!({ "kind": "webhook", "agent": "ada", "name": "Matrix", "api_base": url });
    let made = api.post("/api/v1/channels/connect", &body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let channel = made.json()["id"].as_str().unwrap().to_owned();
    let made = api.post(&format!("/api/v1/channels/{channel}/secret"), &json!({})).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    let address = made["address"].as_str().unwrap();
    let path = address[address.find("/hooks/").unwrap()..].to_owned();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let scene = Scene { hq, model, texts, api, channel, path, secret };
    let is_online =
        || work::all::<ChannelState>(&scene.hq).iter().any(|one| one.state == Connection::Online);
    scene.until("online", is_online).await;
    scene
}

fn said(id: &str, text: &str) -> Value {
    json!({ "type": "message", "data": {
        "chat": "!direct", "id": id, "is_direct": true, "text": text,
        "sender": { "id": "@bob:example.org", "name": "Bob" },
    }})
}

/// A message of a room.
fn said_in_room(id: &str, text: &str) -> Value {
    let mut event = said(id, text);
    event["data"]["chat"] = json!("!room");
    event["data"]["is_direct"] = json!(false);
    event
}

impl Scene {
    async fn op(&self, path: &str, body: Value) -> Reply {
        self.api.post(&format!("/api/v1/{path}"), &body).await
    }

    async fn until(&self, what: &str, is: impl Fn() -> bool) {
        let mut feed = self.hq.ws().store.watch();
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                feed.borrow_and_update();
                if is() {
                    return;
                }
                feed.changed().await.expect("an open store");
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", work::all::<Delivery>(&self.hq));
    }

    async fn post(&self, kind: &str, body: String) {
        let now = self.hq.now().as_second().to_string();
        let signature = sign(&self.secret, "msg_1", &now, &body);
        let caller = self.hq.nobody().with("webhook-id", "msg_1");
        let caller = caller.with("webhook-timestamp", &now).with("webhook-signature", &signature);
        let reply = caller.bytes("POST", &self.path, kind, body.into_bytes()).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
    }

    /// The bridge sends an event; returns the verdict on it.
    async fn send(&self, event: &Value) -> String {
        self.post("application/json", event.to_string()).await;
        work::all::<Message>(&self.hq).pop().unwrap().verdict
    }

    /// Waits until nothing is queued, and returns the texts that the bridge got.
    async fn texts(&self) -> Vec<String> {
        self.hq.settle().await;
        let is_done = || work::all::<Delivery>(&self.hq).iter().all(|one| !one.state.is_open());
        self.until("sent", is_done).await;
        self.texts.lock().clone()
    }

    /// The line that connects the owner's account.
    async fn link(&self) -> String {
        let made = self.op(&format!("channels/{}/pair", self.channel), json!({})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        made.json()["link"].as_str().unwrap().to_owned()
    }

    /// Bob may write as a guest.
    async fn let_in_as_guest(&self) {
        self.send(&said("$guest", "Hello")).await;
        let people: Vec<channels::model::Person> = work::all(&self.hq);
        let path = format!("channel-people/{}/approve", people[0].id);
        let approved = self.op(&path, json!({ "as": "guest" })).await;
        assert_eq!(approved.json()["access"], "guest", "{}", approved.text);
    }

    fn last_input(&self) -> Input {
        work::all::<Input>(&self.hq).pop().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_links_are_answered_once_an_hour_and_after_five_none_is_looked_up() {
    let scene = scene().await;
    let link = scene.link().await;
    for n in 0..5 {
        let verdict = scene.send(&said(&format!("${n}"), "/start AAAAAAAA")).await;
        assert!(verdict.starts_with("wrong or used link"), "{verdict}");
    }
    assert_eq!(scene.send(&said("$5", &link)).await, "wrong or used link");
    let texts = scene.texts().await;
    assert!(texts.len() == 1 && texts[0].contains("no longer valid"), "{texts:?}");
    // Another sender is not affected, and an hour later neither is this one.
    let mut other = said("$6", &link);
    other["data"]["chat"] = json!("!eve");
    other["data"]["sender"] = json!({ "id": "@eve:example.org", "name": "Eve" });
    assert_eq!(scene.send(&other).await, "connected by link");
    scene.hq.advance(Duration::from_secs(3601)).await;
    let link = scene.link().await;
    assert_eq!(scene.send(&said("$7", &link)).await, "connected by link");
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_on_late_messages_and_decisions_come_once_an_hour() {
    let scene = scene().await;
    let link = scene.link().await;
    assert_eq!(scene.send(&said("$0", &link)).await, "connected by link");
    let before = scene.texts().await.len();
    let late = (scene.hq.now() - jiff::SignedDuration::from_hours(3)).to_string();
    for id in ["$1", "$2"] {
        let mut event = said(id, "Are you awake?");
        event["data"]["sent_at"] = json!(late);
        scene.send(&event).await;
    }
    for id in ["$3", "$4"] {
        scene.send(&said(id, "/approve")).await;
    }
    let texts = scene.texts().await;
    assert_eq!(texts.len(), before + 2, "{texts:?}");
    assert!(texts[before].starts_with("I was offline"), "{texts:?}");
    assert!(texts[before + 1].starts_with("Decisions aren’t possible here"), "{texts:?}");
    // A date of the far future is accepted.
    let mut event = said("$5", "Hello");
    event["data"]["sent_at"] = json!("9999-12-30T21:00:00Z");
    scene.send(&event).await;
    assert_eq!(scene.last_input().text, "Hello");
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_before_text_apply_for_members_and_are_plain_text_of_guests() {
    let scene = scene().await;
    scene.let_in_as_guest().await;
    for (n, text) in
        ["/steer hello", "/think high Why?", "/stop", "/status", "/stauts"].iter().enumerate()
    {
        scene.model.push(Turn::text("Yes."));
        scene.send(&said(&format!("$g{n}"), text)).await;
        scene.texts().await;
        let input = scene.last_input();
        assert_eq!((input.text.as_str(), input.thinking), (*text, None));
    }
    let link = scene.link().await;
    assert_eq!(scene.send(&said("$0", &link)).await, "connected by link");
    scene.model.push(Turn::text("Yes."));
    scene.send(&said("$1", "/think high Why?")).await;
    scene.texts().await;
    let input = scene.last_input();
    assert_eq!((input.text.as_str(), input.thinking), ("Why?", Some(Thinking::High)));
    scene.model.push(Turn::text("Yes."));
    scene.send(&said("$2", "/steer hello")).await;
    scene.texts().await;
    let input = scene.last_input();
    assert_eq!((input.text.as_str(), input.mode), ("hello", QueueMode::Steer));
    scene.model.push(Turn::text("Yes."));
    scene.send(&said("$3", "/model another Why?")).await;
    scene.texts().await;
    let input = scene.last_input();
    assert_eq!((input.text.as_str(), input.model.as_deref()), ("Why?", Some("another")));
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_room_over_its_budget_are_not_kept() {
    let scene = scene().await;
    scene.send(&said_in_room("$0", "Hello")).await;
    let rooms = scene.api.get("/api/v1/channel-rooms").await.json();
    let path = format!("/api/v1/channel-rooms/{}", rooms["items"][0]["id"].as_str().unwrap());
    let change = json!({ "is_allowed": true, "budget_micros": 0 });
    let changed = scene.api.json("PATCH", &path, &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let event = said_in_room("$1", "Ada, read this");
    let form = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"event\"\r\n\r\n{event}\r\n--edge\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"plan.txt\"\r\n\r\nthe plan\r\n\
         --edge--\r\n"
    );
    scene.post("multipart/form-data; boundary=edge", form).await;
    let last = work::all::<Message>(&scene.hq).pop().unwrap();
    assert_eq!(last.verdict, "daily limit", "{last:?}");
    assert_eq!(last.text, "Ada, read this\n\n(plan.txt, was not received)");
    scene.hq.finish().await;
}
