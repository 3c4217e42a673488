//! Conversations as wholes: named, archived, brought back, begun anew, and searched; whose they are.

use hq::kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::hq::TestHq;
use crate::support::model::{Gate, ModelServer, Turn};
use crate::support::work;

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const SESSIONS: &str = "/api/v1/agents/ada/sessions";
const SAY: &str = "/api/v1/agents/ada/messages";

async fn scene() -> (TestHq, ModelServer) {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    model.usually(Turn::text("I see."));
    (hq, model)
}

/// Says something and waits for the answer; gives the conversation.
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

    // What is said next begins another; the first one can be read and found.
    let second = say(&hq, "About ships").await;
    assert_ne!(first, second);
    assert_eq!(ids(&api.get(&format!("{SESSIONS}?archived=true")).await.json()), [first.as_str()]);
    let page = hq.owner().get(&format!("{CHAT}?session={first}")).await;
    assert!(page.text_of("#talk").contains("About vans"));
    assert!(page.text_of(".say").contains("archived"), "{}", page.text_of(".say"));

    // While a run works, neither goes anywhere.
    let gate = Gate::new();
    model.push(Turn::text("Slowly.").behind(&gate));
    api.post(SAY, &json!({ "text": "Take your time" })).await;
    gate.reached().await;
    for path in [format!("{second}/archive"), format!("{second}/reset"), format!("{first}/restore")]
    {
        let busy = api.post(&format!("/api/v1/sessions/{path}"), &json!({})).await;
        assert_eq!(busy.json()["code"], "session_busy", "{path}: {}", busy.text);
    }
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
    assert!(none.text_of(".empty").contains("Nothing was found"));
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
