//! Fast pages: scrolled-in rows stay, pages are prefetched, and changes of a list name its rows.

use reqwest::StatusCode;
use serde_json::json;

use support::hq::TestHq;

const TASKS: &str = "/w/marlow-cargo/tasks";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_was_scrolled_further_renews_itself_with_as_many_rows() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    for n in 0..60 {
        let made = api.post("/api/v1/tasks", &json!({ "title": format!("Row {n}") })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    let part = mira.clone().htmx("tasks-list");
    for (have, rows, pagers) in [
        ("", 50, 1),
        ("%7B%22todo%22%3A55%7D", 55, 1),
        ("%7B%22todo%22%3A60%7D", 60, 0),
        ("%7B%22todo%22%3A999999999%7D", 60, 0),
        ("%7B%22todo%22%3A3%7D", 50, 1),
        ("%7B%22done%22%3A70%7D", 50, 1),
        ("nonsense", 50, 1),
    ] {
        let list = part.get(&format!("{TASKS}?have={have}")).await;
        assert_eq!(list.status, StatusCode::OK, "{}", list.text);
        let shown = (list.texts(".row .title").len(), list.texts(".pager").len());
        assert_eq!(shown, (rows, pagers), "{have}");
    }
    let page = mira.get("/w/marlow-cargo/activity").await;
    let usual = page.texts("#activity li").len();
    let more = part.get("/w/marlow-cargo/activity?have=%7B%22%22%3A60%7D").await;
    assert_eq!((usual, more.texts("#activity li").len()), (50, 60));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_fetched_ahead_leaves_the_message_for_whoever_opens_it() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let rules = hq.nobody().get("/ahead.json").await;
    assert_eq!(rules.header("content-type"), Some("application/speculationrules+json"));
    assert_eq!(rules.json()["prefetch"][0]["where"]["selector_matches"], "a[data-ahead]");
    let page = mira.get(TASKS).await;
    assert_eq!(page.header("speculation-rules"), Some("\"/ahead.json\""));

    mira.form(TASKS, &[("title", "Sweep the yard")]).await;
    let said = mira.form(&format!("{TASKS}/MC-1/archive"), &[]).await;
    assert_eq!(said.status, StatusCode::SEE_OTHER, "{}", said.text);
    let ahead = mira.clone().with("sec-purpose", "prefetch").get(TASKS).await;
    assert_eq!(ahead.status, StatusCode::OK);
    assert_eq!(mira.get(TASKS).await.texts("#toasts p"), ["Archived MC-1"]);
    assert_eq!(mira.get(TASKS).await.texts("#toasts p").len(), 0, "said once");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_say_which_part_shows_which_field_and_choices_how_a_row_will_show_them() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    api.post("/api/v1/labels", &json!({ "name": "bug", "colour": "c1" })).await;
    api.post("/api/v1/tasks", &json!({ "title": "Oil the chain" })).await;
    let page = mira.get(TASKS).await;
    let shown = page.attrs(".row[data-record='MC-1'] [data-shows]", "data-shows");
    assert_eq!(shown, ["priority", "status", "label", "due", "assignee"]);
    let hidden = page.attrs(".row [data-shows][hidden]", "data-shows");
    assert_eq!(hidden, ["label", "due"], "they are there for what may come");
    let says = page.attrs("#bulk-due button", "data-says");
    assert_eq!(says, ["Today", "Tomorrow", "27 Nov", ""], "a Friday in a week is a date");
    assert_eq!(page.attrs("#bulk-due button", "data-tone")[..2], ["warn", "neutral"]);
    assert_eq!(page.attrs("#bulk-label button", "data-colour"), ["red"]);
    let verbs = page.attrs("#bulk [data-verb]", "data-verb");
    assert_eq!(verbs[..4], ["Set status", "Assign to", "Set priority", "Set due date"]);
    assert_eq!(verbs[4..], ["Add label", "Remove label"], "there are no streams");
    assert!(page.texts("#bulk-assignee .avatar").len() >= 2, "nobody and Mira have faces");

    let bar = mira.clone().htmx("bulk");
    let wrong = [("tasks", "MC-1"), ("status", "nonsense")];
    let refused = bar.form(&format!("{TASKS}/bulk"), &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let events = refused.header("hx-trigger").expect("what is said");
    assert!(events.contains("nonsense") && events.contains("danger"), "{events}");

    let viewer = hq.another("Vera", Some(kernel::Role::Viewer)).await;
    let theirs = viewer.get(TASKS).await;
    assert_eq!(theirs.texts("[data-record], [data-guess], #row-menu").len(), 0);
    hq.finish().await;
}
