//! Conversations: name, archive, restore, restart, search, and owners.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::TestHq;
use support::model::{Gate, Turn};
use support::work::scene;

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const SESSIONS: &str = "/api/v1/agents/ada/sessions";
const SAY: &str = "/api/v1/agents/ada/messages";

/// Sends a message, waits for the answer and returns the conversation's id.
async fn say(hq: &TestHq, text: &str) -> String {
    let said = hq.api().await.post(SAY, &json!({ "text": text })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    said.json()["session"].as_str().expect("a conversation").to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_called_by_its_first_words_until_it_is_named() {
    let (hq, _model) = scene().await;
    let api = hq.api().await;
    let id = say(&hq, "Which van is cheapest?").await;
    let one = format!("/api/v1/sessions/{id}");
    let shown = api.get(&one).await.json();
    assert_eq!(
        (&shown["title"], &shown["state"]),
        (&json!("Which van is cheapest?"), &json!("idle"))
    );
    assert_eq!((&shown["key"], &shown["name"]), (&json!("agent:ada:main"), &Value::Null));

    let named = api.json("PATCH", &one, &json!({ "name": "  Prices\n of vans " })).await;
    assert_eq!(named.json()["title"], "Prices of vans", "{}", named.text);
    let page = hq.owner().get(CHAT).await;
    assert_eq!(page.text_of(".talk-head b"), "Prices of vans");
    assert_eq!(page.text_of(".sessions a[aria-current] b"), "Prices of vans");
    let long = api.json("PATCH", &one, &json!({ "name": "x".repeat(500) })).await.json();
    assert_eq!(long["title"].as_str().map(|title| title.chars().count()), Some(120));
    let unnamed = api.json("PATCH", &one, &json!({ "name": " " })).await;
    assert_eq!(unnamed.json()["title"], "Which van is cheapest?");

    let rename = format!("{CHAT}/sessions/{id}");
    hq.owner().form(&rename, &[("act", "rename"), ("name", "Vans")]).await;
    assert_eq!(api.get(&one).await.json()["title"], "Vans");
    let stranger = hq.another("Jonas", Some(Role::Member)).await;
    let refused = stranger.json("PATCH", &one, &json!({ "name": "Mine" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    assert_eq!(stranger.form(&rename, &[("act", "archive")]).await.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_conversation_is_read_and_goes_on_when_it_is_wanted() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let first = say(&hq, "About vans").await;
    let archive = format!("/api/v1/sessions/{first}/archive");
    let gone = api.post(&archive, &json!({})).await.json();
    assert_eq!((&gone["state"], &gone["yours"]), (&json!("archived"), &json!(false)));
    assert!(api.post(&archive, &json!({})).await.json()["archived_at"].is_string(), "once more");
    assert_eq!(ids(&api.get(&format!("{SESSIONS}?archived=false")).await.json()), [""; 0]);

    // The next message begins another conversation; the first can still be read and found.
    let second = say(&hq, "About ships").await;
    assert_ne!(first, second);
    assert_eq!(ids(&api.get(&format!("{SESSIONS}?archived=true")).await.json()), [first.as_str()]);
    let page = hq.owner().get(&format!("{CHAT}?session={first}")).await;
    assert!(page.text_of("#talk").contains("About vans"));
    assert!(page.text_of(".say").contains("archived"), "{}", page.text_of(".say"));

    // While a run is working, no other conversation replaces it.
    let gate = Gate::new();
    model.push(Turn::text("Slowly.").behind(&gate));
    api.post(SAY, &json!({ "text": "Take your time" })).await;
    gate.reached().await;
    let busy = api.post(&format!("/api/v1/sessions/{first}/restore"), &json!({})).await;
    assert_eq!(busy.json()["code"], "session_busy", "{}", busy.text);
    gate.open();
    hq.settle().await;

    let form = format!("{CHAT}/sessions/{first}");
    let back = hq.owner().form(&form, &[("act", "restore")]).await;
    assert_eq!(back.location(), Some(CHAT), "{}", back.text);
    let now = ids(&api.get(&format!("{SESSIONS}?archived=false")).await.json());
    assert_eq!(now, [first.as_str()]);
    assert_eq!(say(&hq, "More of vans").await, first, "it goes on");
    assert!(model.last().text().contains("About vans") && !model.last().text().contains("ships"));

    let reset = api.post(&format!("/api/v1/sessions/{first}/reset"), &json!({})).await.json();
    assert_ne!(reset["id"], first.as_str());
    assert_eq!((&reset["key"], &reset["events"]), (&json!("agent:ada:main"), &json!(0)));
    let former = api.post(&format!("/api/v1/sessions/{first}/reset"), &json!({})).await;
    assert_eq!(former.json()["code"], "session_former", "{}", former.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_is_found_in_ones_own_conversations_alone() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    model.push(Turn::text("The **walrusword** is grey."));
    let first = say(&hq, "What colour is it?").await;
    api.post(&format!("/api/v1/sessions/{first}/reset"), &json!({})).await;
    say(&hq, "Another walrusword").await;
    let found = api.get(&format!("{SESSIONS}/search?q=walrusw")).await.json();
    assert_eq!(
        (found["items"].as_array().map(Vec::len), &found["complete"]),
        (Some(2), &json!(true))
    );
    let answer = found["items"].as_array().unwrap().iter().find(|one| one["by"] == "agent");
    let answer = answer.expect("the words of the agent");
    assert_eq!(
        (&answer["session"], &answer["title"]),
        (&json!(first), &json!("What colour is it?"))
    );

    let page = hq.owner().get(&format!("{CHAT}/sessions?q=walrusw")).await;
    let places = page.attrs(".passages a", "href");
    assert_eq!(places.len(), 2, "{}", page.text);
    for place in places {
        let (path, mark) = place.split_once('#').expect("a place");
        let shown = hq.owner().get(path).await;
        assert!(shown.text_of(&format!("#{mark}")).contains("walrusword"), "{place}");
    }
    let none = hq.owner().get(&format!("{CHAT}/sessions?q=unicorn")).await;
    assert!(none.text_of(".empty").contains("No results"));
    let all = hq.owner().get(&format!("{CHAT}/sessions")).await;
    assert_eq!(all.texts(".all-talks .sessions > a").len(), 2);
    assert_eq!(api.get(&format!("{SESSIONS}/search?q=%20")).await.json()["items"], json!([]));

    let stranger = hq.another("Jonas", Some(Role::Member)).await;
    let theirs = stranger.get(&format!("{SESSIONS}/search?q=walrusw")).await.json();
    assert_eq!(theirs["items"], json!([]), "{theirs}");
    let page = stranger.get(&format!("{CHAT}/sessions?q=walrusw")).await;
    assert!(!page.text.contains("grey"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_conversation_stops_what_works_in_the_old_one_and_takes_over_what_waits() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let first = say(&hq, "About vans").await;
    let asked = model.requests().len();
    model.push(Turn::silence());
    let slow = api.post(SAY, &json!({ "text": "Take your time" })).await.json();
    model.asked(asked + 1).await;
    let waits = api.post(SAY, &json!({ "text": "Then this", "mode": "followup" })).await.json();
    assert_eq!(waits["outcome"], "queued_followup", "{waits}");
    let anew = hq.owner().form(&format!("{CHAT}/new"), &[]).await;
    assert_eq!(anew.location(), Some(CHAT), "{}", anew.text);
    hq.settle().await;
    let run = api.get(&format!("/api/v1/runs/{}", slow["run"].as_str().unwrap())).await.json();
    assert_eq!(run["outcome"]["word"], "stopped", "{run}");
    let message = format!("/api/v1/messages/{}", waits["message"].as_str().unwrap());
    let message = api.get(&message).await.json();
    assert_eq!(message["state"], "read", "{message}");
    assert_ne!(message["session"], first.as_str());
    let last = model.last().text();
    assert!(last.contains("Then this") && !last.contains("About vans"), "{last}");

    // Archiving also stops the run; waiting messages are kept for their author.
    let asked = model.requests().len();
    model.push(Turn::silence());
    let slow = api.post(SAY, &json!({ "text": "Slowly once more" })).await.json();
    model.asked(asked + 1).await;
    let waits = api.post(SAY, &json!({ "text": "Never mind", "mode": "followup" })).await.json();
    let session = slow["session"].as_str().unwrap();
    let gone = api.post(&format!("/api/v1/sessions/{session}/archive"), &json!({})).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    hq.settle().await;
    let message = format!("/api/v1/messages/{}", waits["message"].as_str().unwrap());
    let message = api.get(&message).await.json();
    assert_eq!((&message["state"], &message["kept"]), (&json!("dropped"), &json!(true)));
    assert_eq!(model.requests().len(), asked + 1, "nothing begins by itself");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_private_conversation_nobody_else_speaks() {
    let (hq, model) = scene().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let ask = json!({ "question": "Which colour?", "options": ["red"] });
    model.push(Turn::call("ask_person", ask)).push(Turn::text("Red it is."));
    let said = jonas.post(SAY, &json!({ "text": "Order paint" })).await.json();
    hq.settle().await;
    let run = said["run"].as_str().expect("a run");
    let name = hq.api().await.get(&format!("/api/v1/runs/{run}")).await.json();
    let name = name["name"].as_str().expect("its name").to_owned();
    // An administrator of the workspace may view the run and stop it.
    let page = hq.owner().get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.texts("form.steer").is_empty() && page.texts(".asks form").is_empty());
    let api = hq.api().await;
    for (path, body) in
        [("messages", json!({ "text": "Blue" })), ("answer", json!({ "text": "Blue" }))]
    {
        let refused = api.post(&format!("/api/v1/runs/{name}/{path}"), &body).await;
        assert_eq!(refused.json()["code"], "session_private", "{path}: {}", refused.text);
    }
    let queue = format!("/api/v1/sessions/{}/queue", said["session"].as_str().unwrap());
    let refused = api.json("PUT", &queue, &json!({ "mode": "interrupt" })).await;
    assert_eq!(refused.json()["code"], "session_private", "{}", refused.text);
    let own = jonas.post(&format!("/api/v1/runs/{name}/answer"), &json!({ "text": "red" })).await;
    assert_eq!(own.status, StatusCode::OK, "{}", own.text);
    hq.settle().await;
    assert!(model.last().text().contains("Jonas answered: red"), "{}", model.last().text());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_steer_the_same_work_are_told_apart() {
    let (hq, model) = scene().await;
    let (api, gate) = (hq.api().await, Gate::new());
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    model.push(Turn::call("task_list", json!({})).behind(&gate));
    let task = json!({ "title": "Count the vans", "assignee": "ada" });
    assert_eq!(api.post("/api/v1/tasks", &task).await.status, StatusCode::CREATED);
    gate.reached().await;
    let said = "/api/v1/runs/R-1/messages";
    assert_eq!(api.post(said, &json!({ "text": "Only red ones" })).await.status, 201);
    assert_eq!(jonas.post(said, &json!({ "text": "Only blue ones" })).await.status, 201);
    gate.open();
    hq.settle().await;
    let read = model.requests()[1].text();
    let (one, two) = (read.find("says: Only red ones"), read.find("Jonas says: Only blue ones"));
    assert!(one.is_some() && one < two, "{read}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_somebody_elses_conversation_is_told_to_its_person() {
    let (hq, _model) = scene().await;
    let jonas = hq.another("Jonas", Some(Role::Member)).await;
    let said = jonas.post(SAY, &json!({ "text": "A secret plan" })).await.json();
    hq.settle().await;
    let session = said["session"].as_str().expect("a conversation");
    let looked = async || {
        let events = jonas.get(&format!("/api/v1/sessions/{session}/events")).await.json();
        let all = events["items"].as_array().expect("events").clone();
        all.into_iter().filter(|event| event["kind"] == "looked").count()
    };
    assert_eq!(looked().await, 0, "one's own look is none");
    let page = hq.owner().get(&format!("{CHAT}?session={session}")).await;
    assert!(page.text_of("#talk").contains("A secret plan"), "{}", page.text);
    hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    hq.api().await.get(&format!("/api/v1/sessions/{session}/events")).await;
    assert_eq!(looked().await, 1, "once an hour");
    let own = jonas.get(CHAT).await;
    assert!(own.text_of("#talk").contains("looked at this conversation"), "{}", own.text);
    hq.advance(std::time::Duration::from_secs(3_601)).await;
    hq.api().await.get("/api/v1/runs/R-1/steps").await;
    assert_eq!(looked().await, 2);
    // The conversation continues as before.
    let said = jonas.post(SAY, &json!({ "text": "And more" })).await;
    assert_eq!(said.json()["session"], session, "{}", said.text);
    hq.settle().await;
    assert!(!hq.owner().get(CHAT).await.text_of("#talk").contains("secret"));
    hq.finish().await;
}
