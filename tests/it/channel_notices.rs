//! Notifications on a messenger: to whom and when they go, once each, and what agents send themselves.

use std::time::Duration;

use channels::model::{Delivery, DeliveryState, PayloadKind};
use features::claims::model::ClaimCheck;
use kernel::{ClaimState, Role};
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

/// Runs Ada once from the web, with these calls of the model.
async fn run(scene: &Scene, calls: Vec<(&str, Value)>) -> String {
    for (tool, args) in calls {
        scene.model.push(Turn::call(tool, args));
    }
    scene.model.push(Turn::text("Done."));
    let said = scene.op("agents/ada/messages", json!({ "text": "Go on" })).await;
    assert_eq!(said.status, 201, "{}", said.text);
    scene.hq.settle().await;
    scene.model.last().text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_tells_its_person_comes_whole_and_by_its_own_bot() {
    let scene = scene().await;
    work::agent(&scene.hq, "Eve").await;
    scene.paired().await;
    let eve = scene.connect("eve", EVE).await;
    scene.hq.advance(Duration::from_secs(60)).await;
    scene.pair(&eve, EVE).await;
    let long = "All figures are in the folder. ".repeat(12);
    let text = format!("The report is ready\n\n{long}");
    run(&scene, vec![("notify_owner", json!({ "text": text }))]).await;
    scene.sent().await;
    let texts = scene.texts(ADA);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].starts_with("Ada: The report is ready"), "{texts:?}");
    assert!(texts[1].contains(long.trim()), "the notification is shorter: {texts:?}");
    let told = scene.api.get("/api/v1/notifications").await.json();
    assert_eq!(told["items"][0]["title"], "Ada: The report is ready", "{told}");

    // A second message within minutes joins the entry in HQ, and is sent nevertheless.
    run(&scene, vec![("notify_owner", json!({ "text": "One more thing" }))]).await;
    scene.sent().await;
    assert_eq!(scene.texts(ADA).len(), 3, "{:?}", scene.texts(ADA));
    let told = scene.api.get("/api/v1/notifications").await.json();
    assert_eq!(told["items"][0]["count"], 2, "{told}");

    // Without a chat of Ada's bot, the one that was used last.
    let off = scene.api.get("/api/v1/channels").await.json();
    let ada = off["items"].as_array().unwrap().iter().find(|one| one["bot_handle"] == "ada_bot");
    let path = format!("/api/v1/channels/{}", ada.unwrap()["id"].as_str().unwrap());
    let off = scene.api.json("PATCH", &path, &json!({ "is_enabled": false })).await;
    assert_eq!(off.status, 200, "{}", off.text);
    run(&scene, vec![("notify_owner", json!({ "text": "By another bot" }))]).await;
    scene.sent().await;
    assert!(scene.texts(EVE)[1].starts_with("Ada: By another bot"), "{:?}", scene.texts(EVE));

    let ways = json!({ "app": true, "push": false, "mail": false, "digest": false });
    let kinds = json!([{ "kind": "agent_suggestion", "ways": ways }]);
    let set = scene.api.json("PUT", CHOICES, &json!({ "kinds": kinds })).await;
    assert_eq!(set.status, 200, "{}", set.text);
    run(&scene, vec![("notify_owner", json!({ "text": "In HQ alone" }))]).await;
    scene.sent().await;
    assert_eq!(scene.texts(EVE).len(), 2, "{:?}", scene.texts(EVE));
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_writes_to_its_conversation_and_to_whom_people_let_in() {
    let scene = scene().await;
    let search = || ("tool_search", json!({ "query": "channel_send" }));
    let send = |to: &str| ("channel_send", json!({ "text": format!("For {to}"), "to": to }));
    let read = run(&scene, vec![search(), send("mira")]).await;
    assert!(!read.contains("channel_send: Send a message"), "{read}");
    assert!(read.contains("you have no channel"), "{read}");

    scene.paired().await;
    let (room, other) = (Chat::group(-100, "Sales"), Chat::group(-200, "Board"));
    let (chat, from) = (Chat::direct(42), User::new(42, "Bob", "bob"));
    for place in [&room, &other] {
        scene.telegram.say(ADA, place, &from, "Hello all");
    }
    let rooms = || work::all::<channels::model::Room>(&scene.hq);
    scene.until("rooms", || rooms().len() == 2).await;
    let sales = rooms().into_iter().find(|room| room.title == "Sales").unwrap().id;
    let path = format!("/api/v1/channel-rooms/{sales}");
    let allowed = scene.api.json("PATCH", &path, &json!({ "is_allowed": true })).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text);

    // Without `to`, it goes to the chat whose message is being answered.
    scene.model.push(Turn::call("channel_send", json!({ "text": "I look into it" })));
    scene.model.push(Turn::text("Three leads."));
    scene.telegram.say(ADA, &chat, &from, "How many leads?");
    scene.telegram.wait_sent(ADA, 3).await;
    scene.sent().await;
    assert_eq!(scene.texts(ADA)[1..], ["I look into it", "Three leads."]);
    let listed = scene.api.get("/api/v1/channel-deliveries").await.json();
    assert_eq!(listed["items"][1]["kind"], "agent", "{listed}");

    let read = run(&scene, vec![search(), send("mira"), send("Sales"), send("Nobody")]).await;
    scene.sent().await;
    let sent = scene.telegram.sent(ADA);
    let places: Vec<(i64, &str)> =
        sent[3..].iter().map(|one| (one.chat, one.text.as_str())).collect();
    assert_eq!(places, [(42, "For mira"), (-100, "For Sales")]);
    assert!(read.contains("channel_send: Send a message"), "{read}");
    assert!(read.contains("there is no paired person or allowed room"), "{read}");
    assert!(read.contains("Queued for Sales (Telegram, Ada)"), "{read}");

    // A room that is not allowed needs approval, and so does every other chat.
    scene.model.push(Turn::call("channel_send", json!({ "text": "For the board", "to": "Board" })));
    scene.model.push(Turn::text("Done."));
    let said = scene.op("agents/ada/messages", json!({ "text": "Tell the board" })).await;
    assert_eq!(said.status, 201, "{}", said.text);
    scene.telegram.wait_sent(ADA, 6).await;
    scene.sent().await;
    let card = scene.telegram.sent(ADA).pop().unwrap();
    assert!(card.text.contains("asks for approval"), "{card:?}");
    let data = card.reply_markup["inline_keyboard"][0][0]["callback_data"].as_str().unwrap();
    scene.telegram.press(ADA, &chat, &from, card.message_id, data);
    let is_there = || scene.telegram.sent(ADA).iter().any(|one| one.chat == -200);
    scene.until("the approved message", is_there).await;
    scene.sent().await;
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_gets_at_most_twenty_messages_an_hour() {
    let scene = scene().await;
    scene.paired().await;
    let send = |n: usize| ("channel_send", json!({ "text": format!("No. {n}"), "to": "mira" }));
    let read = run(&scene, (1..=10).map(send).collect()).await;
    assert!(!read.contains("within the last hour"), "{read}");
    let read = run(&scene, (11..=21).map(send).collect()).await;
    assert!(read.contains("20 messages went there within the last hour"), "{read}");
    scene.sent().await;
    assert_eq!(scene.texts(ADA).len(), 21, "{:?}", scene.texts(ADA));
    let notice = || vec![("notify_owner", json!({ "text": "Too much" }))];
    let read = run(&scene, notice()).await;
    assert!(read.contains("place_limit"), "{read}");
    let told = scene.api.get("/api/v1/notifications").await.json();
    assert_eq!(told["items"], json!([]), "what is refused is refused as a whole");
    scene.hq.advance(Duration::from_secs(3_601)).await;
    run(&scene, notice()).await;
    scene.sent().await;
    assert_eq!(scene.texts(ADA).len(), 22, "{:?}", scene.texts(ADA));
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_of_a_routine_goes_to_its_place_and_a_missing_place_fails_the_delivery_alone() {
    let scene = scene().await;
    let mira = scene.hq.owner();
    let news = |to: &str| {
        json!({
            "agent": "ada", "name": "Daily news", "instruction": "Sum up the news.",
            "schedule": { "cadence_type": "daily" }, "deliver_to": to,
        })
    };
    let refused = scene.op("routines", news("mira")).await;
    assert_eq!(refused.json()["errors"][0]["field"], "deliver_to", "{}", refused.text);
    let form = "/w/marlow-cargo/routines/new";
    assert_eq!(mira.get(form).await.attrs("select[name=deliver_to]", "name").len(), 0);

    scene.paired().await;
    let page = mira.get(form).await;
    let places = page.texts("select[name=deliver_to] option");
    assert_eq!(places, ["Nowhere", "Mira Lindqvist (Telegram, Ada)"]);
    let refused = scene.op("routines", news("Sales")).await;
    assert!(refused.text.contains("You can write to") || refused.status == 422, "{}", refused.text);
    let made = scene.op("routines", news("mira")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("routines/{}", made.json()["id"].as_str().unwrap());
    let fire = async || {
        let done = json!({ "summary": "Two new leads." });
        scene.model.push(Turn::call("work_done", done));
        let fired = scene.op(&format!("{path}/run"), json!({})).await;
        assert!(fired.status.is_success(), "{}", fired.text);
        scene.hq.settle().await;
        let runs = scene.api.get(&format!("/api/v1/{path}/runs")).await.json();
        assert_eq!(runs["items"][0]["state"], "done", "{runs:#}");
    };
    fire().await;
    scene.telegram.wait_sent(ADA, 2).await;
    scene.sent().await;
    assert_eq!(scene.texts(ADA)[1..], ["Two new leads."]);
    let page = mira.get(&format!("/w/marlow-cargo/{path}")).await;
    assert!(page.text.contains("Mira Lindqvist (Telegram, Ada)"), "{}", page.text);

    // Whoever is removed gets nothing more; the routine itself goes on.
    let people = scene.api.get("/api/v1/channel-people").await.json();
    let person = format!("/api/v1/channel-people/{}", people["items"][0]["id"].as_str().unwrap());
    let gone = scene.api.call("DELETE", &person).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    fire().await;
    scene.sent().await;
    let lost = scene.deliveries().pop().unwrap();
    assert_eq!(lost.state, DeliveryState::Failed, "{lost:?}");
    assert_eq!(lost.detail, "Mira Lindqvist (Telegram, Ada) isn’t connected any more.");
    assert_eq!(scene.texts(ADA).len(), 2, "{:?}", scene.texts(ADA));
    let told = scene.api.get("/api/v1/notifications").await.json();
    let title = "The result of the routine Daily news wasn’t sent";
    assert_eq!(told["items"][0]["title"], title, "{told}");
    // The form shows that, and a change of other settings keeps the place.
    let page = mira.get(&format!("/w/marlow-cargo/{path}/edit")).await;
    assert_eq!(page.texts("select[name=deliver_to] option[selected]"), ["No longer available"]);
    let mut same = scene.api.get(&format!("/api/v1/{path}")).await.json()["routine"].clone();
    same["name"] = json!("News");
    let saved = scene.api.json("PUT", &format!("/api/v1/{path}"), &same).await;
    assert!(saved.status.is_success(), "{}", saved.text);
    scene.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_supports_a_claim_once_the_messenger_has_accepted_it() {
    let scene = scene().await;
    scene.paired().await;
    scene.model.push(Turn::call("channel_send", json!({ "text": "Three leads", "to": "mira" })));
    let claims = json!([{ "text": "Told mira about three leads", "kind": "sent" }]);
    let done = json!({ "summary": "Told.", "task_state": "complete", "claims": claims });
    scene.model.push(Turn::call("work_done", done));
    let task = json!({ "title": "Tell Mira", "assignee": "ada" });
    let made = scene.api.post("/api/v1/tasks", &task).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let claim = || {
        let checks = work::all::<ClaimCheck>(&scene.hq);
        checks.first().map(|check| check.claims[0].clone())
    };
    let is_sent = || claim().is_some_and(|claim| claim.state == ClaimState::Supported);
    scene.until("the message", is_sent).await;
    assert_eq!(claim().expect("a claim").reason, "");
    scene.hq.finish().await;
}
