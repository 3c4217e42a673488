//! Routines that wait for task changes while a person types: the page stores the text at each pause, and the routine
//! starts once, after the typing has ended.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::routines::{made, until};
use support::hq::{Person, TestHq};
use support::office::Office;

const MINUTE: Duration = Duration::from_secs(60);
const TASK: &str = "/api/v1/tasks/MC-1";

/// A routine that creates a task for each task change, and the task `Offer`.
async fn ready(office: &Office, api: &Person) -> String {
    office.agent("Ada").await;
    let body = json!({
        "agent": "ada",
        "name": "After changes",
        "instruction": "Look at {title}.",
        "event": { "when": "task.changed" },
        "task": { "title": "{changed}: {old_title} to {title}", "unassigned": true },
    });
    let path = made(api, &body).await;
    let task = api.post("/api/v1/tasks", &json!({ "title": "Offer" })).await;
    assert_eq!(task.status, StatusCode::CREATED, "{}", task.text);
    path
}

async fn patch(api: &Person, body: Value) {
    let saved = api.json("PATCH", TASK, &body).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
}

/// Changes text, and waits until the routine has processed that: it fires in ten minutes.
async fn write(hq: &TestHq, api: &Person, path: &str, body: Value) {
    patch(api, body).await;
    let due = (hq.now() + SignedDuration::from_mins(10)).to_string();
    let waits = |routine: &Value| {
        let at = routine["writing"][0]["fires_at"].as_str();
        at.is_some_and(|at| at[..16] == due[..16])
    };
    let routine = until(hq, api, path, waits).await;
    assert_eq!(routine["writing"].as_array().map(Vec::len), Some(1), "{routine:#}");
    assert_eq!(routine["writing"][0]["task"], "MC-1");
}

fn count(past: &Value) -> usize {
    past["items"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_fires_once_ten_minutes_after_the_last_word_also_over_a_restart() {
    let mut office = Office::open().await;
    let api = office.hq.api().await;
    let path = ready(&office, &api).await;
    write(&office.hq, &api, &path, json!({ "title": "Offer for" })).await;
    office.hq.advance(4 * MINUTE).await;
    write(&office.hq, &api, &path, json!({ "description": "Two vans." })).await;
    office.hq.advance(4 * MINUTE).await;
    write(&office.hq, &api, &path, json!({ "title": "Offer for Jana" })).await;
    let runs = format!("{path}/runs");
    assert_eq!(count(&api.get(&runs).await.json()), 0, "all of it waits");
    let page = office.hq.owner().get(&path.replace("/api/v1", "/w/marlow-cargo")).await;
    assert!(page.text.contains("unless the text changes again"), "{}", page.text);
    assert!(page.text.contains("Offer for Jana") && page.text.contains("tasks/MC-1"));

    // Any other change fires at once.
    patch(&api, json!({ "status": "blocked" })).await;
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["task"].is_string()).await;
    assert_eq!((count(&past), &past["items"][0]["task"]), (1, &json!("MC-2")), "{past:#}");
    let made = api.get("/api/v1/tasks/MC-2").await.json();
    assert_eq!(made["title"], "status: Offer for Jana to Offer for Jana");

    office.hq.restart().await;
    let api = api.back_at(&office.hq);
    let routine = api.get(&path).await.json();
    assert_eq!(routine["writing"][0]["task"], "MC-1", "{routine:#}");
    office.hq.advance(9 * MINUTE).await;
    assert_eq!(count(&api.get(&runs).await.json()), 1, "not yet");
    office.hq.advance(MINUTE).await;
    let past = until(&office.hq, &api, &runs, |past| count(past) == 2).await;
    assert_eq!(past["items"][0]["about"], "MC-1", "{past:#}");
    let made = api.get("/api/v1/tasks/MC-3").await.json();
    assert_eq!(made["title"], "title, description: Offer to Offer for Jana");
    let routine = api.get(&path).await.json();
    assert_eq!(routine["writing"], json!([]), "{routine:#}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_that_is_paused_waits_for_nobodys_words() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let path = ready(&office, &api).await;
    write(&office.hq, &api, &path, json!({ "title": "Offer for Jana" })).await;
    let paused = api.post(&format!("{path}/pause"), &json!({})).await.json();
    assert_eq!(paused["writing"], json!([]), "{paused:#}");
    api.post(&format!("{path}/resume"), &json!({})).await;
    office.hq.advance(20 * MINUTE).await;
    patch(&api, json!({ "status": "blocked" })).await;
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["task"].is_string()).await;
    assert_eq!(count(&past), 1, "{past:#}");
    let made = api.get("/api/v1/tasks/MC-2").await.json();
    assert_eq!(made["title"], "status: Offer for Jana to Offer for Jana");
    office.hq.finish().await;
}
