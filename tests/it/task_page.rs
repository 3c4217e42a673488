//! What the page of a task and lists of tasks tell and offer beside what is in them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::hq::{Person, TestHq};

const TASKS: &str = "/w/marlow-cargo/tasks";

async fn make(api: &Person, body: Value) {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_came_and_went_are_named_and_long_histories_are_read_further() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    make(&api, json!({ "title": "Oil the chain" })).await;
    let page = format!("{TASKS}/MC-1");
    let changed = mira.form(&format!("{page}/labels"), &[("names", "bug, <idea>")]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text);
    let shown = mira.get(&page).await;
    let told = shown.texts("#task-time .event");
    let names = "added the labels <idea> and bug";
    assert!(told.iter().any(|line| line.contains(names)), "{told:?}");
    assert_eq!(shown.texts("#task-time > a").len(), 0, "nothing is before that");
    mira.form(&format!("{page}/labels"), &[("label", "-bug")]).await;
    let feed = mira.get("/w/marlow-cargo/activity").await.texts(".feed li .what");
    let names = "removed the label bug from";
    assert!(feed.iter().any(|line| line.contains(names)), "{feed:?}");

    for n in 0..201 {
        let to = if n % 2 == 0 { "low" } else { "high" };
        let set = mira.form(&format!("{page}/priority"), &[("priority", to)]).await;
        assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text);
    }
    let shown = mira.get(&page).await;
    assert!(!shown.text_of("#task-time").contains("created this task"));
    let earlier = shown.attr("#task-time > a", "hx-get");
    assert_eq!(earlier, format!("{page}?back=2&part=time"));
    let part = mira.clone().htmx("task-time").get(&earlier).await;
    assert!(part.text_of("#task-time").contains("created this task"), "{}", part.text);
    assert_eq!(part.texts("#task-time > a").len(), 0);
    // It stays as far back when it renews itself.
    assert_eq!(part.attr("#task-time", "hx-get"), format!("{page}?part=time&back=2"));
    hq.finish().await;
}
