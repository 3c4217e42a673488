//! Messages sent again: edited, for another response, or withdrawn before they were read.

use features::agents::rules as agents;
use features::runs::model::{Branch, BranchWhy, Session};
use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::model::{Gate, ModelServer, Turn};
use support::work;

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const SAY: &str = "/api/v1/agents/ada/messages";

async fn scene() -> (TestHq, ModelServer, Person) {
    let (hq, model) = work::scene().await;
    let api = hq.api().await;
    (hq, model, api)
}

/// Sends a message and waits for the answer.
async fn say(hq: &TestHq, api: &Person, text: &str) -> Value {
    let said = api.post(SAY, &json!({ "text": text })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    said.json()
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_other_words_lets_the_conversation_go_on_from_there() {
    let (hq, model, api) = scene().await;
    let first = say(&hq, &api, "Which van is cheap?").await;
    model.push(Turn::call("task_create", json!({ "title": "Ask the dealer" })));
    model.push(Turn::text("I made a task."));
    let second = say(&hq, &api, "Write that down").await;
    let (session, message) = (word(&second, "session"), word(&second, "message"));

    // On the page: the field with the text, what stays, then the new branch.
    let page = hq.owner().get(CHAT).await;
    assert_eq!(page.texts(".mine a[href*='edit=']"), ["Edit", "Edit"]);
    let edit = hq.owner().get(&format!("{CHAT}?edit={message}")).await;
    assert_eq!(edit.text_of("#edit-body"), "Write that down");
    assert!(edit.text_of(".stays").contains("Ask the dealer"), "{}", edit.text_of(".stays"));
    let action = edit.attr(".mine form.edit", "action");
    let leaf = edit.attr(".mine form.edit input[name=leaf]", "value");
    let sent = hq.owner().form(&action, &[("body", "Write nothing down"), ("leaf", &leaf)]).await;
    assert_eq!(sent.location(), Some(CHAT), "{}", sent.text);
    hq.settle().await;
    let asked = model.last().text();
    assert!(asked.contains("Which van") && asked.contains("Write nothing down"), "{asked}");
    assert!(!asked.contains("Write that down"), "{asked}");
    assert!(asked.contains("You are back at this point"), "it is told what it did: {asked}");

    let page = hq.owner().get(CHAT).await;
    assert!(page.text_of("#talk").contains("Write nothing down"));
    assert!(!page.text_of("#talk").contains("Write that down"));
    assert_eq!(page.text_of(".mine .in-place").replace(['‹', '›'], ""), "2 of 2");
    let before = page.attr(".mine .in-place a", "href");
    let former = hq.owner().get(before.split('#').next().unwrap()).await;
    assert!(former.text_of("#talk").contains("I made a task."));
    assert_eq!(former.text_of(".mine .in-place").replace(['‹', '›'], ""), "1 of 2");
    assert!(former.texts(".mine a[href*='edit=']").is_empty(), "a former one does not change");
    let old = api.get(&format!("/api/v1/sessions/{session}")).await.json();
    assert_eq!((&old["state"], old["events"].as_u64() > Some(5)), (&json!("archived"), true));

    // The first message again, for another answer: a branch of the whole conversation.
    let again = format!("/api/v1/messages/{}/resend", word(&first, "message"));
    let sent = api.post(&again, &json!({})).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    hq.settle().await;
    assert_eq!(model.last().text().matches("Which van is cheap?").count(), 1);
    let asked = model.last().text();
    assert!(!asked.contains("Write nothing down") && !asked.contains("Write that down"), "{asked}");
    let made = work::all::<Branch>(&hq);
    assert!(made.len() == 2 && made.iter().all(|one| one.why == BranchWhy::Edit), "{made:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_one_message_stand_beside_each_other() {
    let (hq, model, api) = scene().await;
    let mut said = say(&hq, &api, "A word, please").await;
    for n in 0..3 {
        model.push(Turn::text(&format!("Word {n}.")));
        let resend = format!("/api/v1/messages/{}/resend", word(&said, "message"));
        let sent = api.post(&resend, &json!({})).await;
        assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
        hq.settle().await;
        said = sent.json();
    }
    let page = hq.owner().get(CHAT).await;
    assert_eq!(page.text_of(".mine .in-place").replace(['‹', '›'], ""), "4 of 4");
    assert!(
        page.text_of("#talk").contains("Word 2.") && !page.text_of("#talk").contains("Word 1.")
    );
    let parents: Vec<_> =
        work::all::<Branch>(&hq).into_iter().map(|branch| branch.parent).collect();
    assert!(parents.windows(2).all(|two| two[0] == two[1]), "they all share with the first");
    // Each is its own conversation: the second one continues, and the page shows it.
    let second = page.attr(".mine .in-place a", "href");
    let second = second.split("session=").nth(1).unwrap().split('#').next().unwrap().to_owned();
    let restore = api.post(&format!("/api/v1/sessions/{second}/restore"), &json!({})).await;
    assert_eq!(restore.status, StatusCode::OK, "{}", restore.text);
    say(&hq, &api, "Thank you").await;
    assert!(model.last().text().contains("Word 1.") && !model.last().text().contains("Word 2."));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_said_once_more_says_why() {
    let (hq, model, api) = scene().await;
    let said = say(&hq, &api, "Hello").await;
    let resend = format!("/api/v1/messages/{}/resend", word(&said, "message"));
    let amend = format!("/api/v1/messages/{}", word(&said, "message"));
    let code = |reply: support::hq::Reply| word(&reply.json(), "code").to_owned();
    assert_eq!(code(api.json("PATCH", &amend, &json!({ "text": "Hi" })).await), "message_read");
    let moved = json!({ "text": "Hi", "expected_leaf": "none" });
    assert_eq!(code(api.post(&resend, &moved).await), "conversation_moved");
    assert_eq!(code(api.post(&resend, &json!({ "text": " " })).await), "message_empty");
    let stranger = hq.another("Jonas", Some(Role::Member)).await;
    assert_eq!(stranger.post(&resend, &json!({})).await.status, StatusCode::NOT_FOUND);

    let gate = Gate::new();
    model.push(Turn::text("Slowly.").behind(&gate));
    api.post(SAY, &json!({ "text": "Take your time" })).await;
    gate.reached().await;
    assert_eq!(code(api.post(&resend, &json!({})).await), "session_busy");
    let page = hq.owner().get(CHAT).await;
    assert!(page.texts(".mine a[href*='edit=']").is_empty(), "not while it works");
    gate.open();
    hq.settle().await;
    let reset = format!("/api/v1/sessions/{}/reset", word(&said, "session"));
    api.post(&reset, &json!({})).await;
    assert_eq!(code(api.post(&resend, &json!({})).await), "session_former");
    assert!(work::all::<Branch>(&hq).is_empty());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_waits_is_changed_where_it_stands() {
    let (hq, model, api) = scene().await;
    let agent = hq.ws().read(|snap| features::agents::queries::by_slug(snap, "ada"));
    let (ws, who, id) = (hq.ws(), work::owner(&hq), agent.unwrap().expect("Ada").id);
    ws.write(&who, move |tx| agents::pause(tx, id)).await.unwrap();
    let said = api.post(SAY, &json!({ "text": "Red ones" })).await.json();
    let message = word(&said, "message");
    let resend = api.post(&format!("/api/v1/messages/{message}/resend"), &json!({})).await;
    assert_eq!(resend.json()["code"], "message_unread", "{}", resend.text);

    let page = hq.owner().get(&format!("{CHAT}?edit={message}")).await;
    let action = page.attr(".mine form.edit", "action");
    let sent = hq.owner().form(&action, &[("body", "Green ones")]).await;
    assert_eq!(sent.location(), Some(CHAT), "{}", sent.text);
    let shown = api.get(&format!("/api/v1/messages/{message}")).await.json();
    assert_eq!((&shown["text"], &shown["state"]), (&json!("Green ones"), &json!("waiting")));
    assert_eq!(work::run(&hq, "R-1").title, "Green ones");
    let amended = format!("/api/v1/messages/{message}");
    let amended = api.json("PATCH", &amended, &json!({ "text": "Blue ones" })).await;
    assert_eq!(amended.status, StatusCode::OK, "{}", amended.text);
    ws.write(&who, move |tx| agents::resume(tx, id)).await.unwrap();
    hq.settle().await;
    let asked = model.last().text();
    assert!(asked.contains("Blue ones") && !asked.contains("Red") && !asked.contains("Green"));
    assert_eq!(work::all::<Session>(&hq).len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_after_a_message_goes_back_when_that_is_wanted() {
    let (hq, model, api) = scene().await;
    let tasks = async || {
        let all = api.get("/api/v1/tasks").await.json();
        all["items"].as_array().expect("a list").len()
    };
    model.push(Turn::call("task_create", json!({ "title": "Ask the dealer" })));
    model.push(Turn::call("write", json!({ "path": "dealers.md", "content": "one\n" })));
    model.push(Turn::text("I made a task."));
    let first = say(&hq, &api, "Write that down").await;
    model.push(Turn::call("task_create", json!({ "title": "Ask another" })));
    model.push(Turn::text("And another."));
    say(&hq, &api, "And another one").await;
    assert_eq!(tasks().await, 2);

    let message = word(&first, "message");
    let edit = hq.owner().get(&format!("{CHAT}?edit={message}")).await;
    assert!(edit.text_of(".stays").contains("Ask another"), "{}", edit.text_of(".stays"));
    assert_eq!(edit.attrs(".mine form.edit input[name=undo][checked]", "value"), ["on"]);
    let action = edit.attr(".mine form.edit", "action");
    let leaf = edit.attr(".mine form.edit input[name=leaf]", "value");
    let old = [("body", "Hm"), ("leaf", "none"), ("undo", "on")];
    assert_eq!(hq.owner().form(&action, &old).await.status, StatusCode::CONFLICT);
    assert_eq!(tasks().await, 2, "nothing goes back for a page that is out of date");
    let form = [("body", "Write nothing down"), ("leaf", leaf.as_str()), ("undo", "on")];
    let sent = hq.owner().form(&action, &form).await;
    assert_eq!(sent.location(), Some(CHAT), "{}", sent.text);
    hq.settle().await;
    assert_eq!(tasks().await, 0, "both are taken back");
    let asked = model.last().text();
    assert!(asked.contains("Write nothing down") && asked.contains("were reverted"), "{asked}");

    // The same over the API.
    model.push(Turn::call("task_create", json!({ "title": "Once more" })));
    model.push(Turn::text("Made."));
    let said = say(&hq, &api, "Do it after all").await;
    assert_eq!(tasks().await, 1);
    let resend = format!("/api/v1/messages/{}/resend", word(&said, "message"));
    let sent = api.post(&resend, &json!({ "text": "Or not", "undo": true })).await;
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    hq.settle().await;
    assert_eq!(tasks().await, 0);
    hq.finish().await;
}
