//! Several conversations with one agent: parallel ones, sharing and unsharing, unread state per member, and what
//! remains after a member leaves.

use features::runs::model::{ReadMark, Session};
use features::workspace::queries;
use kernel::{AccountId, Role};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{OWNER, Person, TestHq};
use support::model::{Gate, ModelServer, Turn};
use support::work;

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const SESSIONS: &str = "/api/v1/agents/ada/sessions";
const BEGIN: &str = "/api/v1/agents/ada/sessions/begin";
const SAY: &str = "/api/v1/agents/ada/messages";

async fn scene() -> (TestHq, ModelServer) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    model.usually(Turn::text("I see."));
    (hq, model)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Sends a message to Ada and waits for the response; returns the conversation.
async fn say(hq: &TestHq, who: &Person, words: &str) -> String {
    let said = who.post(SAY, &json!({ "text": words })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    text(&said.json()["session"])
}

/// Sends a message in a conversation and waits for the response.
async fn say_in(hq: &TestHq, who: &Person, session: &str, words: &str) {
    let path = format!("/api/v1/sessions/{session}/messages");
    let said = who.post(&path, &json!({ "text": words })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
}

async fn share(who: &Person, session: &str, visibility: &str) {
    let path = format!("/api/v1/sessions/{session}");
    let done = who.json("PATCH", &path, &json!({ "visibility": visibility })).await;
    assert_eq!(done.json()["visibility"], visibility, "{}", done.text);
}

/// Unread counts in the side bar, in the list of agents, and in the list of conversations.
async fn unread(who: &Person) -> [Vec<String>; 3] {
    let agents = who.get("/w/marlow-cargo/agents").await;
    let all = who.get(&format!("{CHAT}/sessions")).await;
    [
        agents.texts("#nav a[href$='/agents/ada'] .count"),
        agents.texts("#fleet a.chip[href$='/agents/ada/chat']"),
        all.texts(".sessions a[data-unread] .count"),
    ]
}

fn none() -> [Vec<String>; 3] {
    [Vec::new(), Vec::new(), Vec::new()]
}

fn some(count: u32) -> [Vec<String>; 3] {
    [vec![count.to_string()], vec![format!("{count} unread")], vec![format!("{count} unread")]]
}

fn account(hq: &TestHq, name: &str) -> AccountId {
    let all = hq.ws().read(|snap| queries::members(snap)).expect("a readable store");
    all.iter().find(|one| one.name == name).expect("a member").account
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_stand_beside_each_other_and_go_on_after_a_restart() {
    let (mut hq, model) = scene().await;
    let api = hq.api().await;
    let first = say(&hq, &api, "About vans").await;
    let begun = api.post(BEGIN, &json!({ "name": "  Ships\n only " })).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text);
    let begun = begun.json();
    let second = text(&begun["id"]);
    assert_eq!(
        (&begun["name"], &begun["yours"], &begun["visibility"], &begun["unread"]),
        (&json!("Ships only"), &json!(false), &json!("private"), &json!(0))
    );
    let key = text(&begun["key"]);
    assert!(key.starts_with("agent:ada:dashboard:"), "{key}");
    say_in(&hq, &api, &second, "About ships").await;
    let last = model.last().text();
    assert!(last.contains("About ships") && !last.contains("About vans"), "{last}");

    // The page lists both, and shows and continues each.
    let page = hq.owner().get(CHAT).await;
    let beside = page.attrs(".sessions a", "href");
    assert_eq!(beside, [format!("{CHAT}?talk={second}"), CHAT.to_owned()], "the newest first");
    let page = hq.owner().get(&format!("{CHAT}?talk={second}")).await;
    assert_eq!(page.text_of(".talk-head b"), "Ships only");
    assert_eq!(page.text_of(".sessions a[aria-current] b"), "Ships only");
    assert!(page.text_of("#talk").contains("About ships"), "{}", page.text);
    let action = page.attr("form#say", "action");
    assert_eq!(action, format!("{CHAT}?talk={second}"));
    let form = [("body", "More of ships"), ("key", "1")];
    let said = hq.owner().form(&action, &form).await;
    assert_eq!(said.location(), Some(action.as_str()), "{}", said.text);
    hq.settle().await;
    assert!(model.last().text().contains("More of ships"));

    // A command applies to the conversation in which it is typed.
    let command = json!({ "text": "/rename Boats", "session": second });
    api.post("/api/v1/agents/ada/commands", &command).await;
    assert_eq!(api.get(&format!("/api/v1/sessions/{second}")).await.json()["title"], "Boats");

    hq.restart().await;
    let api = hq.api().await;
    say_in(&hq, &api, &second, "And on").await;
    let last = model.last().text();
    assert!(last.contains("About ships") && last.contains("And on"), "{last}");
    assert_eq!(say(&hq, &api, "Vans again").await, first, "one's own is as it was");

    // Restarted, archived, restored: the other conversation is unaffected.
    let anew = hq.owner().form(&format!("{CHAT}/new?talk={second}"), &[]).await;
    assert_eq!(anew.location(), Some(format!("{CHAT}?talk={second}").as_str()), "{}", anew.text);
    let page = hq.owner().get(&format!("{CHAT}?talk={second}")).await;
    assert!(!page.text_of("#talk").contains("About ships"), "{}", page.text_of("#talk"));
    let former = hq.owner().get(&format!("{CHAT}?session={second}")).await;
    assert!(former.text_of("#talk").contains("About ships"), "{}", former.text);
    let back = hq.owner().form(&format!("{CHAT}/sessions/{second}"), &[("act", "restore")]).await;
    assert_eq!(back.location(), Some(format!("{CHAT}?talk={second}").as_str()), "{}", back.text);
    assert_eq!(say(&hq, &api, "Still vans").await, first);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_conversations_of_one_person_work_at_once() {
    let (hq, model) = scene().await;
    let (api, gate) = (hq.api().await, Gate::new());
    model.push(Turn::text("Slowly.").behind(&gate));
    let slow = api.post(SAY, &json!({ "text": "Take your time" })).await.json();
    gate.reached().await;
    let second = text(&api.post(BEGIN, &json!({})).await.json()["id"]);
    let path = format!("/api/v1/sessions/{second}/messages");
    let quick = api.post(&path, &json!({ "text": "Quick one" })).await.json();
    assert_eq!(quick["outcome"], "started", "{quick}");
    model.asked(2).await;
    let waits = api.get(&format!("/api/v1/runs/{}", text(&slow["run"]))).await.json();
    assert_eq!(waits["state"], "running", "{waits}");
    gate.open();
    hq.settle().await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_button_begins_one_in_which_nothing_was_said_and_only_one() {
    let (hq, _model) = scene().await;
    let owner = hq.owner();
    let begin = format!("{CHAT}/begin");
    assert_eq!(owner.form(&begin, &[]).await.location(), Some(CHAT), "one's own is new yet");
    say(&hq, &hq.api().await, "About vans").await;
    let begun = owner.form(&begin, &[]).await;
    let place = begun.location().expect("another place").to_owned();
    assert!(place.starts_with(&format!("{CHAT}?talk=")), "{place}");
    let page = owner.get(&place).await;
    assert_eq!(page.text_of(".sessions a[aria-current] b"), "New conversation");
    assert_eq!(page.text_of(".empty h2"), "Chat with Ada");
    assert_eq!(owner.form(&begin, &[]).await.location(), Some(place.as_str()));
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    assert_eq!(viewer.form(&begin, &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(viewer.post(BEGIN, &json!({})).await.status, StatusCode::FORBIDDEN);
    let bad = hq.owner().post(BEGIN, &json!({ "title": "x" })).await;
    assert_eq!(bad.json()["errors"][0]["field"], "title", "{}", bad.text);
    let archived = hq.owner().post("/api/v1/agents/ada/archive", &json!({})).await;
    assert_eq!(archived.status, StatusCode::OK, "{}", archived.text);
    let refused = hq.owner().post(BEGIN, &json!({ "name": "Late" })).await;
    assert_eq!(refused.json()["code"], "agent_archived", "{}", refused.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_conversation_is_for_all_and_a_private_one_for_its_person() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let vera = hq.another("Vera", Some(Role::Viewer)).await;
    say(&hq, &api, "My own business").await;
    let second = text(&api.post(BEGIN, &json!({ "name": "Prices" })).await.json()["id"]);
    say_in(&hq, &api, &second, "What do vans cost?").await;
    let place = format!("{CHAT}?talk={second}");
    for who in [&jonas, &vera] {
        assert_eq!(who.get(&place).await.status, StatusCode::NOT_FOUND);
        let read = who.get(&format!("/api/v1/sessions/{second}/events")).await;
        assert_eq!(read.status, StatusCode::NOT_FOUND);
        assert_eq!(who.get(SESSIONS).await.json()["items"], json!([]));
    }
    let path = format!("/api/v1/sessions/{second}/messages");
    let refused = jonas.post(&path, &json!({ "text": "Me too" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);

    // Its owner shares it on the page.
    let act = format!("{CHAT}/sessions/{second}");
    let shared = hq.owner().form(&act, &[("act", "share")]).await;
    assert_eq!(shared.location(), Some(place.as_str()), "{}", shared.text);
    assert!(hq.owner().get(&place).await.text_of(".talk-head").contains("Shared"));
    let list = jonas.get(CHAT).await;
    assert!(list.text_of(".sessions").contains("Shared by others"), "{}", list.text);
    assert_eq!(list.attrs(".sessions a[href*='talk=']", "href"), [place.as_str()]);
    let page = jonas.get(&place).await;
    assert!(page.text_of("#talk").contains("What do vans cost?"), "{}", page.text);
    assert!(page.text_of(".talk-head").contains(&format!("of {}", OWNER.0)), "{}", page.text);
    let read = vera.get(&place).await;
    assert!(read.text_of("#talk").contains("What do vans cost?"));
    assert!(read.texts("form#say").is_empty(), "a viewer reads");
    let refused = vera.post(&path, &json!({ "text": "Me too" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);

    // Two authors are distinguished, in order, on the page and for the model.
    let gate = Gate::new();
    model.push(Turn::call("task_list", json!({})).behind(&gate));
    api.post(&path, &json!({ "text": "Look at the red ones" })).await;
    gate.reached().await;
    let steer = |text: &str| json!({ "text": text, "mode": "steer" });
    assert_eq!(jonas.post(&path, &steer("Blue ones, too")).await.status, 201);
    assert_eq!(api.post(&path, &steer("And green")).await.status, 201);
    gate.open();
    hq.settle().await;
    let told = model.last().text();
    let order = ["Look at the red ones", "Jonas says: Blue ones, too", "And green"];
    let places: Vec<_> = order.iter().map(|words| told.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {told}");
    let page = hq.owner().get(&place).await;
    assert!(page.texts("article.msg b").contains(&"Jonas".to_owned()), "{}", page.text);

    // Actions reserved for the owner stay so.
    for (verb, body) in [("archive", json!({})), ("reset", json!({}))] {
        let refused = jonas.post(&format!("/api/v1/sessions/{second}/{verb}"), &body).await;
        assert_eq!(refused.json()["code"], "session_shared", "{verb}: {}", refused.text);
    }
    let one = format!("/api/v1/sessions/{second}");
    let refused = jonas.json("PATCH", &one, &json!({ "visibility": "private" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    // No private content is revealed there: everybody reads the response.
    model
        .push(Turn::call("memory_search", json!({ "query": "business", "sources": ["sessions"] })));
    say_in(&hq, &api, &second, "What did I say before?").await;
    assert!(!model.last().text().contains("My own business"), "{}", model.last().text());

    share(&api, &second, "private").await;
    assert_eq!(jonas.get(&place).await.status, StatusCode::NOT_FOUND);
    let refused = jonas.post(&path, &json!({ "text": "Still here" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    let marks: Vec<ReadMark> = work::all(&hq);
    assert!(marks.iter().all(|mark| mark.member != account(&hq, "Jonas")), "{marks:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_meanwhile_is_counted_until_somebody_looks() {
    let (mut hq, model) = scene().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let session = say(&hq, &jonas, "What do vans cost?").await;
    assert_eq!(unread(&jonas).await, some(1));
    assert_eq!(unread(&hq.owner()).await, none(), "it is not hers");
    let mine = jonas.get(&format!("/api/v1/sessions/{session}")).await.json();
    assert_eq!(mine["unread"], 1, "{mine}");

    // Only the conversation itself counts as reading; the list does not.
    jonas.get(&format!("{CHAT}/sessions")).await;
    assert_eq!(unread(&jonas).await, some(1));
    let cursor = jonas.get("/w/marlow-cargo/").await.attr("body", "data-cursor");
    jonas.get(CHAT).await;
    assert_eq!(unread(&jonas).await, none());
    // Another page of this person gets an event and refreshes its side bar.
    let mut stream = jonas.stream(&format!("/w/marlow-cargo/events?after={cursor}")).await;
    let heard = stream.next_of("hq").await.json().to_string();
    assert!(heard.contains("read_marks"), "{heard}");
    let nav = jonas.get("/w/marlow-cargo/").await.attr("#nav", "hx-trigger");
    assert!(nav.contains("hq:read_marks"), "{nav}");

    // Questions and failed runs are unread, too; opening the conversation reads them.
    let ask = json!({ "question": "Which colour?", "options": [] });
    model.push(Turn::call("ask_person", ask));
    say(&hq, &jonas, "Order paint").await;
    assert_eq!(unread(&jonas).await, some(1));
    let talk = jonas.clone().htmx("chat-sessions").get(CHAT).await;
    assert!(talk.text.contains("data-unread"), "{}", talk.text);
    assert!(!jonas.clone().htmx("talk").get(CHAT).await.text.is_empty());
    assert_eq!(unread(&jonas).await, none());
    model.push(Turn::error(401, "authentication_error", "this key is refused"));
    say(&hq, &jonas, "Red").await;
    assert_eq!(unread(&jonas).await, some(1));

    hq.restart().await;
    let jonas = jonas.back_at(&hq);
    assert_eq!(unread(&jonas).await, some(1), "it is kept");
    let read = jonas.post(&format!("/api/v1/sessions/{session}/read"), &json!({})).await;
    assert_eq!(read.json()["unread"], 0, "{}", read.text);
    let foreign = hq.owner().post(&format!("/api/v1/sessions/{session}/read"), &json!({})).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{}", foreign.text);
    assert_eq!(unread(&jonas).await, none());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_shared_conversation_everybody_has_a_mark_of_their_own() {
    let (hq, _model) = scene().await;
    let api = hq.api().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let session = say(&hq, &api, "What do vans cost?").await;
    hq.owner().get(CHAT).await;
    share(&api, &session, "workspace").await;
    say_in(&hq, &api, &session, "And ships?").await;
    assert_eq!(unread(&jonas).await, none(), "who never looked takes no part");
    jonas.get(&format!("{CHAT}?talk={session}")).await;
    hq.owner().get(CHAT).await;
    say_in(&hq, &jonas, &session, "Bikes are cheaper").await;
    let mark = |who: AccountId| {
        let all: Vec<ReadMark> = work::all(&hq);
        all.into_iter().find(|mark| mark.member == who).map(|mark| mark.unread)
    };
    assert_eq!(mark(account(&hq, OWNER.0)), Some(2), "his words and the answer");
    assert_eq!(mark(account(&hq, "Jonas")), Some(1), "the answer alone");
    // Archived conversations have no unread state.
    api.post(&format!("/api/v1/sessions/{session}/archive"), &json!({})).await;
    assert_eq!((unread(&jonas).await, unread(&hq.owner()).await), (none(), none()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_the_workspace_may_look_and_that_is_noted_but_not_in_what_is_shared() {
    let (hq, _model) = scene().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let ida = hq.another("Ida", Some(Role::Admin)).await;
    say(&hq, &jonas, "Hello").await;
    let second = text(&jonas.post(BEGIN, &json!({ "name": "Plans" })).await.json()["id"]);
    say_in(&hq, &jonas, &second, "A secret plan").await;
    let looked = async || {
        let events = jonas.get(&format!("/api/v1/sessions/{second}/events")).await.json();
        let all = events["items"].as_array().expect("events").clone();
        all.into_iter().filter(|event| event["kind"] == "looked").count()
    };
    let page = ida.get(&format!("{CHAT}?talk={second}")).await;
    assert!(page.text_of(".talk-head").contains("Private"), "{}", page.text);
    assert!(page.texts("form#say").is_empty(), "she reads and does not write");
    assert_eq!(looked().await, 1);
    let own = jonas.get(&format!("{CHAT}?talk={second}")).await;
    assert!(own.text_of("#talk").contains("Ida looked at this conversation"), "{}", own.text);
    let marks: Vec<ReadMark> = work::all(&hq);
    assert!(marks.iter().all(|mark| mark.member != account(&hq, "Ida")), "{marks:?}");
    share(&jonas, &second, "workspace").await;
    hq.advance(std::time::Duration::from_secs(3_601)).await;
    ida.get(&format!("{CHAT}?talk={second}")).await;
    assert_eq!(looked().await, 1, "it is for everybody now");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_member_who_leaves_the_conversations_stay_and_the_marks_go() {
    let (hq, _model) = scene().await;
    let api = hq.api().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let private = say(&hq, &jonas, "My own plan").await;
    let session = say(&hq, &api, "What do vans cost?").await;
    share(&api, &session, "workspace").await;
    jonas.get(&format!("{CHAT}?talk={session}")).await;
    let id = account(&hq, "Jonas");
    let gone = hq.owner().call("DELETE", &format!("/api/v1/members/{id}")).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    let marks: Vec<ReadMark> = work::all(&hq);
    assert!(!marks.is_empty() && marks.iter().all(|mark| mark.member != id), "{marks:?}");
    say_in(&hq, &api, &session, "And now?").await;
    let marks: Vec<ReadMark> = work::all(&hq);
    assert!(marks.iter().all(|mark| mark.member != id), "{marks:?}");
    let vera = hq.another("Vera", Some(Role::Member)).await;
    assert_eq!(vera.get(&format!("{CHAT}?session={private}")).await.status, StatusCode::NOT_FOUND);
    let kept: Vec<Session> = work::all(&hq);
    assert!(kept.iter().any(|one| one.owner == Some(id) && one.is_private()));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_somebody_is_told_that_the_memory_of_an_agent_is_shared() {
    let (hq, _model) = scene().await;
    assert_eq!(hq.owner().get(CHAT).await.text_of("#chat-note"), "", "she is alone here");
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let note = jonas.get(CHAT).await.text_of("#chat-note");
    assert!(note.contains("memory is shared"), "{note}");
    say(&hq, &jonas, "Hello").await;
    assert_eq!(jonas.get(CHAT).await.text_of("#chat-note"), "");
    jonas.post(BEGIN, &json!({ "name": "Another" })).await;
    assert_eq!(jonas.get(CHAT).await.text_of("#chat-note"), "", "once");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_that_runs_went_on_after_a_restart() {
    let (mut hq, model) = scene().await;
    let (api, gate) = (hq.api().await, Gate::new());
    model.push(Turn::text("Slowly.").behind(&gate));
    api.post(SAY, &json!({ "text": "Take your time" })).await;
    gate.reached().await;
    hq.stop().await;
    gate.open();
    hq.start_again().await;
    hq.settle().await;
    let page = hq.owner().get("/w/marlow-cargo/").await;
    assert!(page.text.contains("after a restart"), "{}", page.text);
    let activity = hq.owner().get("/w/marlow-cargo/activity").await;
    assert!(activity.text_of(".feed").contains("1 run"), "{}", activity.text);
    hq.restart().await;
    hq.settle().await;
    let activity = hq.owner().get("/w/marlow-cargo/activity").await;
    let told = activity.texts(".feed li");
    let told = told.iter().filter(|line| line.contains("after a restart"));
    assert_eq!(told.count(), 1, "nothing was at work then");
    hq.finish().await;
}
