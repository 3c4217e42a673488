//! Notifications on a messenger: to whom and when they go, once each, and what agents send themselves.

use std::time::Duration;

use channels::model::{Delivery, DeliveryState, PayloadKind};
use kernel::Role;
use serde_json::{Value, json};
use standins::telegram::{Chat, Telegram, User};
use support::hq::{Person, Reply, TestHq};
use support::model::{ModelServer, Turn};
use support::work;

/// Bots of Ada and Eve.
const ADA: &str = "700100200:AAaaBBbbCCccDDddEEeeFFffGGggHHhhIIi";
const EVE: &str = "700100201:ZZzzYYyyXXxxWWwwVVvvUUuuTTttSSssRRr";
const SETTINGS: &str = "/w/marlow-cargo/settings/notifications";
const CHOICES: &str = "/api/v1/notification-choices";

struct Scene {
    hq: TestHq,
    model: ModelServer,
    telegram: Telegram,
    api: Person,
}

/// HQ with Ada on Telegram. Nobody is paired yet.
async fn scene() -> Scene {
    let (hq, model) = work::scene().await;
    let telegram = Telegram::start().await;
    telegram.at(hq.now().as_second());
    telegram.bot(ADA, 7001, "Ada", "ada_bot");
    telegram.bot(EVE, 7002, "Eve", "eve_bot");
    let api = hq.api().await;
    Scene { hq, model, telegram, api }
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
        assert!(waited.await.is_ok(), "{what}: {:?}", self.deliveries());
    }

    fn deliveries(&self) -> Vec<Delivery> {
        work::all(&self.hq)
    }

    fn notices(&self) -> Vec<Delivery> {
        let mut all = self.deliveries();
        all.retain(|one| one.payload.kind() == PayloadKind::Notification);
        all
    }

    fn texts(&self, token: &str) -> Vec<String> {
        self.telegram.sent(token).into_iter().map(|sent| sent.text).collect()
    }

    /// Waits until nothing is queued or being sent.
    async fn sent(&self) {
        self.hq.settle().await;
        let is_done = || self.deliveries().iter().all(|one| !one.state.is_open());
        self.until("sent", is_done).await;
    }

    /// Connects a bot of an agent. Returns the channel.
    async fn connect(&self, agent: &str, token: &str) -> String {
        let body = json!({
            "kind": "telegram", "agent": agent, "token": token, "api_base": self.telegram.url(),
        });
        let made = self.op("channels/connect", body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        self.telegram.wait_called(token, "getUpdates", 1).await;
        made.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The owner pairs their Telegram account with a bot.
    async fn pair(&self, channel: &str, token: &str) {
        let made = self.op(&format!("channels/{channel}/pair"), json!({})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let link = made.json()["link"].as_str().expect("a link").to_owned();
        let code = link.split_once("?start=").expect("a code").1.to_owned();
        let (chat, from) = (Chat::direct(42), User::new(42, "Bob", "bob"));
        let before = self.telegram.sent(token).len();
        self.telegram.say(token, &chat, &from, &format!("/start {code}"));
        self.telegram.wait_sent(token, before + 1).await;
        self.sent().await;
    }

    async fn paired(&self) -> String {
        let channel = self.connect("ada", ADA).await;
        self.pair(&channel, ADA).await;
        channel
    }

    /// The owner wants these groups on the channel, besides the app.
    async fn wants(&self, groups: &[&str]) {
        let ways =
            json!({ "app": true, "push": false, "mail": false, "digest": false, "channel": true });
        let groups: Vec<Value> =
            groups.iter().map(|group| json!({ "group": group, "ways": ways })).collect();
        let set = self.api.json("PUT", CHOICES, &json!({ "groups": groups })).await;
        assert_eq!(set.status, 200, "{}", set.text);
    }
}

/// Tom, who mentions the owner in comments on his task.
async fn tom(hq: &TestHq) -> Person {
    let tom = hq.another("Tom", Some(Role::Member)).await;
    work::made(&tom, "tasks", json!({ "title": "Prices" })).await;
    tom
}

async fn mention(tom: &Person, words: &str) {
    let body = json!({ "body": format!("@mira {words}") });
    let made = tom.post("/api/v1/tasks/MC-1/comments", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wanted_notification_goes_to_the_direct_chat_once() {
    let scene = scene().await;
    let mira = scene.hq.owner();
    let tom = tom(&scene.hq).await;
    let page = mira.get(SETTINGS).await;
    assert_eq!(page.attr("#no-chat a", "href"), "/w/marlow-cargo/settings/channels");
    assert!(!page.texts("table.ways th").contains(&"Channel".to_owned()), "{}", page.text);
    scene.wants(&["comments"]).await;
    mention(&tom, "nobody is paired").await;
    scene.hq.settle().await;
    assert_eq!(scene.deliveries().len(), 0, "nobody is paired");

    scene.paired().await;
    let page = mira.get(SETTINGS).await;
    assert!(page.texts("table.ways th").contains(&"Channel".to_owned()), "{}", page.text);
    assert_eq!(page.attrs("input[name='comments.channel'][checked]", "name").len(), 1);
    assert_eq!(page.attrs("#no-chat", "id").len(), 0);

    scene.hq.advance(Duration::from_secs(3_600)).await;
    mention(&tom, "please look").await;
    // As with mail, what is merged into an entry is not sent again.
    mention(&tom, "once more").await;
    scene.telegram.wait_sent(ADA, 2).await;
    scene.sent().await;
    let sent = scene.telegram.sent(ADA);
    assert_eq!(sent.len(), 2, "{sent:?}");
    let text = &sent[1].text;
    assert!(text.starts_with("Tom mentioned you on MC-1 “Prices”"), "{text}");
    assert!(text.contains("please look") && text.ends_with("Open in HQ"), "{text}");
    let link = &sent[1].entities[1]["url"];
    assert!(
        link.as_str().is_some_and(|url| url.ends_with("/w/marlow-cargo/tasks/MC-1")),
        "{sent:?}"
    );
    let listed = scene.api.get("/api/v1/channel-deliveries").await.json();
    assert_eq!(listed["items"][0]["kind"], "notification", "{listed}");
    let page = mira.get("/w/marlow-cargo/settings/channel-deliveries").await;
    assert!(page.text.contains("Notification"), "{}", page.text);

    // Without the switch, and for one's own acts, nothing is sent.
    let form = [("channels", "on"), ("comments.app", "on")];
    let rev = mira.get(SETTINGS).await.attr("#choices input[name=rev]", "value");
    let form: Vec<(&str, &str)> = form.into_iter().chain([("rev", rev.as_str())]).collect();
    let saved = mira.form(SETTINGS, &form).await;
    assert!(saved.status.is_redirection(), "{}", saved.text);
    let choices = mira.get(CHOICES).await.json();
    assert_eq!(choices["groups"]["comments"]["channel"], false, "{choices}");
    scene.hq.advance(Duration::from_secs(3_600)).await;
    mention(&tom, "unheard").await;
    scene.sent().await;
    assert_eq!(scene.texts(ADA).len(), 2, "{:?}", scene.texts(ADA));
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_asked_for_by_its_card_alone() {
    let scene = scene().await;
    scene.paired().await;
    scene.wants(&["questions", "reviews"]).await;
    let ask = json!({ "question": "Red or blue?", "options": ["Red", "Blue"] });
    scene.model.push(Turn::call("ask_person", ask)).push(Turn::text("Blue it is."));
    let said = scene.op("agents/ada/messages", json!({ "text": "Which colour?" })).await;
    assert_eq!(said.status, 201, "{}", said.text);
    scene.telegram.wait_sent(ADA, 2).await;
    scene.sent().await;
    let sent = scene.telegram.sent(ADA);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[1].reply_markup["inline_keyboard"].is_array(), "{sent:?}");
    assert_eq!(scene.notices().len(), 0, "{:?}", scene.notices());
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_that_was_read_first_is_not_sent() {
    let scene = scene().await;
    let mira = scene.hq.owner();
    let tom = tom(&scene.hq).await;
    scene.paired().await;
    scene.wants(&["comments"]).await;
    scene.telegram.fail_next("sendMessage", 429, "Too Many Requests: retry after 30", Some(30));
    mention(&tom, "please look").await;
    let waits = || scene.notices().iter().any(|one| one.due_at > scene.hq.now());
    scene.until("the wait", waits).await;
    let read = mira.post("/api/v1/notifications/read-all", &json!({})).await;
    assert_eq!(read.status, 200, "{}", read.text);
    scene.hq.advance(Duration::from_secs(31)).await;
    scene.sent().await;
    let states: Vec<DeliveryState> = scene.notices().iter().map(|one| one.state).collect();
    assert_eq!(states, [DeliveryState::Suppressed]);
    assert_eq!(scene.texts(ADA).len(), 1, "{:?}", scene.texts(ADA));
    scene.hq.finish().await;
}
