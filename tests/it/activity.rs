//! The activity page: narrowed by who, what, to which record and when, and through what it was done.

use std::time::Duration;

use hq::kernel::Role;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::hq::{Person, TestHq};

const PAGE: &str = "/w/marlow-cargo/activity";

async fn lines(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("{PAGE}?{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.texts(".feed li .what")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_narrowed_by_who_what_where_and_when() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    mira.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    tom.post("/api/v1/tasks", &json!({ "title": "Florists" })).await;
    hq.advance(Duration::from_secs(20 * 3_600)).await;
    mira.post("/api/v1/tasks/MC-2/comments", &json!({ "body": "Good" })).await;
    let of_tom = lines(&mira, "by=tom").await;
    assert!(of_tom.iter().all(|line| line.contains("Tom")), "{of_tom:?}");
    assert!(of_tom.iter().any(|line| line.contains("Florists")), "{of_tom:?}");
    let comments = lines(&mira, "event=comment.added").await;
    assert_eq!(comments.len(), 1, "{comments:?}");
    let of_task = lines(&mira, "record=MC-2").await;
    assert!(!of_task.is_empty(), "{of_task:?}");
    assert!(of_task.iter().all(|line| line.contains("MC-2")), "{of_task:?}");
    let late = lines(&mira, "from=2026-11-21").await;
    assert!(late.iter().all(|line| !line.contains("Prices")), "{late:?}");
    assert!(!lines(&mira, "to=2026-11-20&record=MC-1").await.is_empty());
    // What cannot be understood is said, and nothing is shown in its place.
    let wrong = mira.get(&format!("{PAGE}?record=MC-99&event=no.such")).await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(!wrong.texts(".error").is_empty(), "{}", wrong.text);
    hq.finish().await;
}
