//! Bridges by signed webhooks, against one in this process: connecting, receiving once, answering, decisions.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::model::{Card, Delivery, DeliveryState, Message};
use hmac::{Hmac, KeyInit as _, Mac as _};
use kernel::TypedId as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use support::hq::{Person, Reply, TestHq};
use support::model::{ModelServer, Turn};
use support::work;

/// What the bridge got: headers and body.
#[derive(Clone)]
struct Post {
    id: String,
    timestamp: String,
    signature: String,
    text: String,
}

impl Post {
    fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

#[derive(Default)]
struct Bridge {
    posts: Mutex<Vec<Post>>,
    /// Statuses of the next answers.
    planned: Mutex<Vec<u16>>,
}

async fn serve(State(bridge): State<Arc<Bridge>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let post = Post {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        text: String::from_utf8(body.to_vec()).unwrap(),
    };
    if post.body()["type"] == "typing" {
        return StatusCode::OK.into_response();
    }
    let mut posts = bridge.posts.lock();
    posts.push(post);
    match bridge.planned.lock().pop() {
        Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
        None => json!({ "message": format!("out-{}", posts.len()) }).to_string().into_response(),
    }
}

pub fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

struct Scene {
    hq: TestHq,
    model: ModelServer,
    bridge: Arc<Bridge>,
    api: Person,
    channel: String,
    path: String,
    secret: String,
}

/// Ada is online behind a bridge.
async fn scene() -> Scene {
    let (hq, model) = work::scene().await;
    let bridge = Arc::new(Bridge::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hq", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(Arc::clone(&bridge));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let api = hq.api().await;
    let body = json!({ "kind": "webhook", "agent": "ada", "name": "Matrix", "api_base": url });
    let made = api.post("/api/v1/channels/connect", &body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let channel = made.json()["id"].as_str().unwrap().to_owned();
    let mut scene =
        Scene { hq, model, bridge, api, channel, path: String::new(), secret: String::new() };
    scene.new_secret().await;
    let is_online = || {
        let states: Vec<channels::model::ChannelState> = work::all(&scene.hq);
        states.iter().any(|one| one.state == channels::model::State::Online)
    };
    scene.until("online", is_online).await;
    scene
}

fn said(id: &str, text: &str) -> Value {
    json!({ "type": "message", "data": {
        "chat": "!direct", "id": id, "is_direct": true, "text": text,
        "sender": { "id": "@bob:example.org", "name": "Bob" },
    }})
}

impl Scene {
    async fn new_secret(&mut self) -> Value {
        let made = self.op(&format!("channels/{}/secret", self.channel), json!({})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let made = made.json();
        let address = made["address"].as_str().unwrap();
        self.path = address[address.find("/hooks/").unwrap()..].to_owned();
        assert_eq!(self.path.len(), "/hooks/channels/".len() + 32, "{made}");
        self.secret = made["secret"].as_str().unwrap().to_owned();
        made
    }

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
        let deliveries: Vec<Delivery> = work::all(&self.hq);
        assert!(waited.await.is_ok(), "{what}: {deliveries:?}");
    }

    async fn call(&self, id: &str, timestamp: i64, signature: &str, body: &str) -> Reply {
        let signed = self.signed(id, timestamp, signature);
        signed.bytes("POST", &self.path, "application/json", body.as_bytes().to_vec()).await
    }

    fn signed(&self, id: &str, timestamp: i64, signature: &str) -> Person {
        let caller = self.hq.nobody().with("webhook-id", id);
        let caller = caller.with("webhook-timestamp", &timestamp.to_string());
        caller.with("webhook-signature", signature)
    }

    /// The bridge sends an event with files, each with a name and content.
    async fn send_files(&self, event: &Value, files: &[(&str, &str)]) -> Reply {
        let mut body =
            format!("--edge\r\ncontent-disposition: form-data; name=\"event\"\r\n\r\n{event}\r\n");
        for (name, content) in files {
            body.push_str(&format!(
                "--edge\r\ncontent-disposition: form-data; name=\"file\"; \
                 filename=\"{name}\"\r\n\r\n{content}\r\n"
            ));
        }
        body.push_str("--edge--\r\n");
        let now = self.hq.now().as_second();
        let signature = sign(&self.secret, "msg_1", &now.to_string(), &body);
        let form = "multipart/form-data; boundary=edge";
        let signed = self.signed("msg_1", now, &signature);
        signed.bytes("POST", &self.path, form, body.into_bytes()).await
    }

    /// The bridge sends an event, signed now.
    async fn send(&self, event: &Value) -> Reply {
        let (now, body) = (self.hq.now().as_second(), event.to_string());
        let signature = sign(&self.secret, "msg_1", &now.to_string(), &body);
        self.call("msg_1", now, &signature, &body).await
    }

    fn posts(&self) -> Vec<Post> {
        self.bridge.posts.lock().clone()
    }

    /// Waits until nothing is queued, and returns the texts that the bridge got.
    async fn texts(&self) -> Vec<String> {
        self.hq.settle().await;
        let is_done = || work::all::<Delivery>(&self.hq).iter().all(|one| !one.state.is_open());
        self.until("sent", is_done).await;
        let text = |post: &Post| post.body()["data"]["text"].as_str().map(str::to_owned);
        self.posts().iter().filter_map(text).collect()
    }

    /// The owner pairs their account behind the bridge by link.
    async fn paired(&self) {
        let made = self.op(&format!("channels/{}/pair", self.channel), json!({})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let link = made.json()["link"].as_str().unwrap().to_owned();
        let sent = self.send(&said("$pair", &link)).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let texts = self.texts().await;
        assert!(texts[0].starts_with("You’re connected as"), "{texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_is_heard_with_a_fresh_signature_only_and_each_message_once() {
    let mut scene = scene().await;
    let (now, text) = (scene.hq.now().as_second(), said("$1", "Hello").to_string());
    let sign_at = |at: i64| sign(&scene.secret, "msg_1", &at.to_string(), &text);
    let wrong =
        sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "msg_1", &now.to_string(), &text);
    for (at, signature) in [(now, wrong), (now - 301, sign_at(now - 301)), (now, String::new())] {
        let refused = scene.call("msg_1", at, &signature, &text).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
        assert_eq!(refused.json()["code"], "bad_signature");
    }
    assert!(work::all::<Message>(&scene.hq).is_empty());
    let list = format!("v1,AAAA {}", sign_at(now - 300));
    assert_eq!(scene.call("msg_1", now - 300, &list, &text).await.status, 202);
    let again = scene.send(&said("$1", "Hello")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(work::all::<Message>(&scene.hq).len(), 1);

    let mut event = said("$2", "Hello");
    event["data"]["sender"] = json!({ "name": "Bob" });
    let invalid = scene.send(&event).await;
    assert_eq!(invalid.status, 422, "{}", invalid.text);
    assert_eq!(invalid.json()["errors"][0]["field"], "data.sender.id", "{}", invalid.text);
    let large = scene.send(&said("$3", &"x".repeat(1 << 20))).await;
    assert_eq!(large.status, 413, "{}", large.text);

    // A new secret replaces the old one; neither is stored in clear.
    let old = scene.secret.clone();
    scene.new_secret().await;
    assert_ne!(old, scene.secret);
    let stale = sign(&old, "msg_1", &now.to_string(), &text);
    assert_eq!(scene.call("msg_1", now, &stale, &text).await.status, 401);
    assert_eq!(scene.send(&said("$1", "Hello")).await.status, 200);
    for path in ["channels", "secrets"] {
        let listed = scene.api.get(&format!("/api/v1/{path}")).await.text;
        assert!(!listed.contains(&scene.secret) && !listed.contains(&old), "{listed}");
    }
    let off = json!({ "is_enabled": false });
    let path = format!("/api/v1/channels/{}", scene.channel);
    assert_eq!(scene.api.json("PATCH", &path, &off).await.status, 200);
    assert_eq!(scene.send(&said("$4", "Hello")).await.status, 503);
    scene.path = "/hooks/channels/00000000000000000000000000000000".to_owned();
    let unknown = scene.send(&said("$5", "Hello")).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["code"].as_str()),
        (404, Some("unknown_hook"))
    );
    let secret = scene.secret.clone();
    let hq = scene.hq;
    let folder = hq.data();
    hq.finish_keeping(|| {
        let all = support::hq::everything_in(&folder);
        for one in [&old, &secret] {
            let key = one.strip_prefix("whsec_").unwrap().as_bytes();
            assert!(!all.windows(key.len()).any(|part| part == key), "a secret is stored");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_signed_and_a_repeat_keeps_its_id() {
    let scene = scene().await;
    assert_eq!(scene.send(&said("$0", "Delete everything")).await.status, 202);
    let texts = scene.texts().await;
    assert!(texts[0].starts_with("I don’t know you yet."), "{texts:?}");
    let code = texts[0].split_once('`').unwrap().1[..9].to_owned();
    let body = json!({ "code": code, "as": "guest" });
    let approved = scene.op("channel-people/approve-code", body).await;
    assert_eq!(approved.json()["access"], "guest", "{}", approved.text);
    let before = scene.texts().await.len();

    scene.bridge.planned.lock().extend([503, 503]);
    scene.model.push(Turn::text("**Three** leads."));
    assert_eq!(scene.send(&said("$1", "How many leads?")).await.status, 202);
    for _ in 0..2 {
        let waits = || {
            let all: Vec<Delivery> = work::all(&scene.hq);
            all.iter().any(|one| one.state == DeliveryState::Queued && one.due_at > scene.hq.now())
        };
        scene.until("a pause", waits).await;
        scene.hq.advance(Duration::from_secs(10)).await;
    }
    let texts = scene.texts().await;
    assert_eq!(texts[before..], ["**Three** leads.", "**Three** leads.", "**Three** leads."]);
    let posts = scene.posts();
    let last = posts.last().unwrap();
    assert!(posts[posts.len() - 3..].iter().all(|one| one.id == last.id));
    assert_eq!(last.signature, sign(&scene.secret, &last.id, &last.timestamp, &last.text));
    let body = last.body();
    assert_eq!((&body["type"], &body["data"]["key"]), (&json!("message"), &json!(last.id)));
    assert_eq!(body["data"]["chat"], "!direct", "{body}");
    let sent = work::all::<Delivery>(&scene.hq).pop().unwrap();
    assert_eq!(sent.provider_id, format!("out-{}", posts.len()), "{sent:?}");

    // What the bridge refuses is not repeated.
    scene.bridge.planned.lock().push(400);
    scene.model.push(Turn::text("Four."));
    assert_eq!(scene.send(&said("$2", "And now?")).await.status, 202);
    scene.texts().await;
    let failed = work::all::<Delivery>(&scene.hq).pop().unwrap();
    assert_eq!(failed.state, DeliveryState::Failed, "{failed:?}");
    let probed = scene.op(&format!("channels/{}/probe", scene.channel), json!({})).await;
    assert_eq!(probed.status, 200, "{}", probed.text);
    assert_eq!(scene.posts().last().unwrap().body()["type"], "ping");
    scene.hq.finish().await;
}

/// The owner writes to Ada in HQ.
async fn ask_on_page(scene: &Scene, text: &str) {
    let said = scene.op("agents/ada/messages", json!({ "text": text })).await;
    assert_eq!(said.status, 201, "{}", said.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_by_a_bridge_are_off_until_an_owner_allows_them() {
    let scene = scene().await;
    scene.paired().await;
    let ask = json!({ "question": "Red or blue?", "options": ["Red", "Blue"] });
    scene.model.push(Turn::call("ask_person", ask.clone()));
    let owner = scene.hq.owner();
    ask_on_page(&scene, "Paint").await;
    scene.hq.settle().await;
    assert!(work::all::<Card>(&scene.hq).is_empty());
    assert_eq!(scene.send(&said("$1", "/approve")).await.status, 202);
    let texts = scene.texts().await;
    assert_eq!(texts.last().unwrap(), "Decisions aren’t possible here. Please decide in HQ.");

    // A token may not allow them, even an owner's.
    let path = format!("channels/{}/allow-decisions", scene.channel);
    assert_eq!(scene.op(&path, json!({ "allowed": true })).await.status, 403);
    let form = format!("/w/marlow-cargo/settings/{path}");
    let allowed = owner.form(&form, &[("allowed", "true")]).await;
    assert!(!allowed.status.is_client_error(), "{}", allowed.text);
    let shown = scene.api.get(&format!("/api/v1/channels/{}", scene.channel)).await;
    assert_eq!(shown.json()["may_decide"], true, "{}", shown.text);

    assert_eq!(scene.send(&said("$2", "/stop")).await.status, 202);
    scene.texts().await;
    scene.model.push(Turn::call("ask_person", ask));
    ask_on_page(&scene, "Paint again").await;
    scene.until("a card", || !work::all::<Card>(&scene.hq).is_empty()).await;
    scene.texts().await;
    let posts = scene.posts();
    let card = posts.last().unwrap().body();
    let button = &card["data"]["buttons"][1];
    assert_eq!(button["label"], "Blue", "{card}");
    let press = |sender: &str| {
        json!({ "type": "press", "data": {
            "id": format!("press-{sender}"), "chat": "!direct",
            "message": format!("out-{}", posts.len()),
            "sender": { "id": sender, "name": "Bob" }, "data": button["data"],
        }})
    };
    // A stranger, and the person while decisions are off.
    assert_eq!(scene.send(&press("@mallory:example.org")).await.status, 202);
    owner.form(&form, &[]).await;
    assert_eq!(scene.send(&press("@bob:example.org")).await.status, 202);
    let texts = scene.texts().await;
    assert_eq!(texts.last().unwrap(), "Decisions aren’t possible here. Please decide in HQ.");
    assert!(work::all::<Card>(&scene.hq)[0].outcome.is_none());
    owner.form(&form, &[("allowed", "true")]).await;
    scene.model.push(Turn::text("Blue it is."));
    assert_eq!(scene.send(&press("@bob:example.org")).await.status, 202);
    scene.until("a decision", || work::all::<Card>(&scene.hq)[0].outcome.is_some()).await;
    scene.texts().await;
    let kinds: Vec<Value> = scene.posts().iter().map(|post| post.body()["type"].clone()).collect();
    assert!(kinds.contains(&json!("pressed")) && kinds.contains(&json!("edit")), "{kinds:?}");
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_bridge_reach_the_agent_and_can_be_attached_to_a_task() {
    let scene = scene().await;
    let mut event = said("$1", "Read this");
    event["data"]["voice_secs"] = json!(7);
    scene.paired().await;
    // Nothing of a stranger is kept.
    let mut other = event.clone();
    other["data"]["chat"] = json!("!eve");
    other["data"]["sender"] = json!({ "id": "@eve:example.org", "name": "Eve" });
    let stranger = scene.send_files(&other, &[("plan.txt", "the plan")]).await;
    assert_eq!(stranger.status, 202, "{}", stranger.text);
    assert!(work::all::<Message>(&scene.hq).iter().all(|one| !one.text.contains("plan")));
    scene.texts().await;
    event["data"]["id"] = json!("$2");
    scene.model.push(Turn::text("A fine plan."));
    let files = [("note.ogg", "OggS"), ("../plan.txt", "the plan")];
    let taken = scene.send_files(&event, &files).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    assert_eq!(scene.send_files(&event, &files).await.status, 200);
    assert_eq!(scene.texts().await.last().unwrap(), "A fine plan.");
    let message = work::all::<Message>(&scene.hq).pop().unwrap();
    assert_eq!(message.text, "Read this\n\n(voice message, 7 s)\n(plan.txt)");
    assert!(scene.model.last().text().contains("the plan"), "{}", scene.model.last().text());

    let task = scene.op("tasks", json!({ "title": "Plan the launch" })).await;
    assert_eq!(task.status, 201, "{}", task.text);
    let path = format!("channel-messages/{}/attach", message.id);
    let wrong = scene.op(&path, json!({ "task": "no such task" })).await;
    assert_eq!(wrong.json()["errors"][0]["field"], "task", "{}", wrong.text);
    let attached = scene.op(&path, json!({ "task": task.json()["key"] })).await;
    assert_eq!(attached.status, 200, "{}", attached.text);
    assert_eq!(attached.json()["files"], json!(["note.ogg", "plan.txt"]), "{}", attached.text);
    let on_task: Vec<features::files::model::TaskFile> = work::all(&scene.hq);
    let names: Vec<&str> = on_task.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["note.ogg", "plan.txt"]);

    let broken = scene.send_files(&json!("no event"), &[]).await;
    assert_eq!(broken.status, 422, "{}", broken.text);
    let many = vec![("a.txt", "a"); 33];
    assert_eq!(scene.send_files(&said("$3", "Hi"), &many).await.status, 422);
    let large = "x".repeat(22 << 20);
    let refused = scene.send_files(&said("$4", "Hi"), &[("a.txt", &large)]).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_reports_what_became_of_a_message() {
    let scene = scene().await;
    scene.paired().await;
    let sent = work::all::<Delivery>(&scene.hq).pop().unwrap();
    assert_eq!((sent.state, sent.receipt), (DeliveryState::Sent, None));
    let key = sent.id.uuid().simple().to_string();
    let receipt = |key: &str, state: &str| json!({ "type": "receipt", "data": { "key": key, "state": state, "detail": "no signal" } });
    for (state, status) in [("delivered", 202), ("delivered", 200), ("read", 202), ("failed", 200)]
    {
        let reply = scene.send(&receipt(&key, state)).await;
        assert_eq!(reply.status, status, "{state}: {}", reply.text);
    }
    let shown = scene.api.get("/api/v1/channel-deliveries").await.json();
    assert_eq!(shown["items"][0]["receipt"], "read", "{shown}");
    let unknown = scene.send(&receipt(&"0".repeat(32), "read")).await;
    assert_eq!(unknown.json()["errors"][0]["field"], "data.key", "{}", unknown.text);

    // What could not be delivered can be sent again.
    let test = scene.op(&format!("channels/{}/test", scene.channel), json!({})).await;
    assert_eq!(test.status, 200, "{}", test.text);
    scene.texts().await;
    let second = work::all::<Delivery>(&scene.hq).pop().unwrap();
    let failed = receipt(&second.id.uuid().simple().to_string(), "failed");
    assert_eq!(scene.send(&failed).await.status, 202);
    let failed = work::all::<Delivery>(&scene.hq).pop().unwrap();
    assert_eq!(failed.state, DeliveryState::Failed);
    assert_eq!(failed.detail, "The bridge could not deliver it: no signal");
    let path = format!("channel-deliveries/{}/resend", second.id);
    assert_eq!(scene.op(&path, json!({})).await.status, 200);
    scene.texts().await;
    let resent = work::all::<Delivery>(&scene.hq).pop().unwrap();
    assert_eq!((resent.state, resent.receipt), (DeliveryState::Sent, None));
    scene.hq.finish().await;
}
