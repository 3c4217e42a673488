//! Links of tasks, in pages and API.

use kernel::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};

const API: &str = "/api/v1/tasks/MC-1/links";
const TASK: &str = "/w/marlow-cargo/tasks/MC-1";

async fn opened() -> (TestHq, Person) {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    for title in ["Prices", "Offer"] {
        let made = mira.post("/api/v1/tasks", &json!({ "title": title })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    (hq, mira)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_linked_to_addresses_and_records_and_says_what_leads_to_it() {
    let (hq, mira) = opened().await;
    let stream = mira.post("/api/v1/streams", &json!({ "name": "Launch" })).await;
    assert_eq!(stream.status, StatusCode::CREATED, "{}", stream.text);
    let wanted = [
        (json!({ "target": "https://example.com/a b", "label": "Price  list" }), "link"),
        (json!({ "target": "mc-2" }), "task"),
        (json!({ "target": "stream:Launch" }), "stream"),
    ];
    for (body, kind) in wanted {
        let made = mira.post(API, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        assert_eq!(made.json()["kind"], kind);
    }
    let all = mira.get(API).await.json();
    let of = |key: &str| -> Vec<Value> {
        all["items"].as_array().expect("a list").iter().map(|one| one[key].clone()).collect()
    };
    assert_eq!(of("label"), ["Price list", "", ""]);
    assert_eq!(of("name")[0], "https://example.com/a%20b");
    assert_eq!(of("path")[1], "tasks/MC-2");
    // An existing link is not created twice; a new label replaces the old one.
    let again = mira.post(API, &json!({ "target": "MC-2", "label": "The offer" })).await;
    assert_eq!(again.json()["id"], all["items"][1]["id"]);
    let page = mira.get(TASK).await;
    assert_eq!(page.texts("#task-links .linked a"), ["Price list", "The offer", "Launch"]);
    let other = mira.get("/w/marlow-cargo/tasks/MC-2").await;
    assert_eq!(other.texts("#task-links .linked a"), ["MC-1 Prices"]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_was_taken_away_comes_back() {
    let (hq, mira) = opened().await;
    let added = mira.form(&format!("{TASK}/links"), &[("target", "MC-2"), ("label", "")]).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);
    let page = mira.get(TASK).await;
    let remove = page.attr("#task-links .linked form", "action");
    let part = mira.clone().htmx("task-links");
    let gone = part.form(&remove, &[]).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    assert!(mira.get(TASK).await.texts(".linked a").is_empty());
    let told = gone.header("hx-trigger").expect("a toast").to_owned();
    let undo = told.split('"').find(|word| word.contains("/undo/entry/")).expect("a way back");
    mira.form(undo, &[]).await;
    assert_eq!(mira.get(TASK).await.texts(".linked a"), ["MC-2 Offer"]);
    let id = mira.get(API).await.json()["items"][0]["id"].as_str().expect("an id").to_owned();
    let viewer = hq.another("Vera", Some(Role::Viewer)).await;
    let refused = viewer.call("DELETE", &format!("/api/v1/links/{id}")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let gone = mira.call("DELETE", &format!("/api/v1/links/{id}")).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let lost = mira.call("DELETE", &format!("/api/v1/links/{id}")).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_linked_is_answered_with_the_reason() {
    let (hq, mira) = opened().await;
    for (target, says) in [
        ("", "Enter a link target"),
        ("MC-1", "A task can"),
        ("MC-99", "isn’t a URL or a record"),
        ("javascript:alert(1)", "isn’t a URL or a record"),
        ("https://user:pw@example.com", "Enter a full URL"),
        ("@nobody", "There is no agent"),
        ("stream:Nothing", "There is no stream"),
        ("file:x", "There is no file"),
    ] {
        let wrong = mira.post(API, &json!({ "target": target })).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{target}: {}", wrong.text);
        assert!(wrong.text.contains(says), "{target}: {}", wrong.text);
    }
    let long = json!({ "target": "MC-2", "label": "x".repeat(121) });
    assert_eq!(mira.post(API, &long).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    hq.finish().await;
}
