//! Due dates with a time of day: entered in forms, shown, and overdue at their time.

use std::time::Duration;

use kernel::{Event, NoticeKind};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Reply, TestHq};
use support::work;

const TASKS: &str = "/w/marlow-cargo/tasks";
const PATIENCE: Duration = Duration::from_secs(20);

async fn make(api: &Person, body: Value) -> String {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["key"].as_str().expect("a key").to_owned()
}

/// When a task is due, and whether that has a time of day.
async fn due(api: &Person, task: &str) -> (Option<String>, bool) {
    let task = api.get(&format!("/api/v1/tasks/{task}")).await.json();
    let has_time = task["due_has_time"].as_bool().expect("a word");
    (task["due_at"].as_str().map(str::to_owned), has_time)
}

fn moment(text: &str) -> (Option<String>, bool) {
    (Some(text.to_owned()), true)
}

fn day(text: &str) -> (Option<String>, bool) {
    (Some(text.to_owned()), false)
}

/// Contents of the due fields of a task's page.
fn fields(page: &Reply) -> (String, String) {
    (page.attr("#due-day", "value"), page.attr("#due-time", "value"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sets_a_time_of_day_and_takes_it_away() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let form = [("title", "Call the bank"), ("due", "2026-11-24"), ("due_time", "14:30")];
    let made = mira.form(TASKS, &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-24T13:30:00Z"), "by the clock in Berlin");
    let at = format!("{TASKS}/MC-1");
    let page = mira.get(&at).await;
    assert_eq!(fields(&page), ("24 Nov 2026".to_owned(), "14:30".to_owned()));
    assert!(page.text_of("#task-props").contains("Tuesday, 14:30"), "{}", page.text);

    let set = |fields: &'static [(&'static str, &'static str)]| {
        let (mira, path) = (mira.clone(), format!("{at}/due"));
        async move { mira.form(&path, fields).await }
    };
    set(&[("due", "2026-11-24"), ("due_time", "14:30")]).await;
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-24T13:30:00Z"), "saved as it was shown");
    set(&[("due", "tomorrow")]).await;
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-21T13:30:00Z"), "another day");
    set(&[("due", "2026-11-21"), ("due_time", "09:00")]).await;
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-21T08:00:00Z"), "another time");
    set(&[("due", "21 Nov"), ("due_time", "9:15 pm")]).await;
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-21T20:15:00Z"), "as people write it");
    assert_eq!(mira.get(&at).await.attr("#due-time", "value"), "21:15");
    set(&[("due", "2026-11-21"), ("due_time", "9")]).await;
    assert_eq!(due(&api, "MC-1").await, moment("2026-11-21T08:00:00Z"));
    let repeats = mira.get(&format!("{TASKS}/new?replaces=MC-1")).await;
    assert_eq!(repeats.attr("#f-due_at_time", "value"), "09:00", "also when it is to repeat");
    set(&[("due", "2026-11-21"), ("due_time", "")]).await;
    assert_eq!(due(&api, "MC-1").await, day("2026-11-21T22:59:59Z"), "the whole day again");
    set(&[("due", "2026-11-21"), ("due_time", "09:00")]).await;
    set(&[("due", "none")]).await;
    assert_eq!(due(&api, "MC-1").await, (None, false), "no date, no time");
    set(&[("due", "today")]).await;
    assert_eq!(due(&api, "MC-1").await, day("2026-11-20T22:59:59Z"), "the time is gone for good");
    let page = mira.get(&at).await;
    assert_eq!(fields(&page), ("20 Nov 2026".to_owned(), String::new()));
    let told = page.text_of("#task-time");
    for fact in [
        "moved the due date from 24 Nov, 14:30 to 21 Nov, 14:30",
        "moved the due date from 21 Nov, 09:00 to 21 Nov",
        "removed the due date",
    ] {
        assert!(told.contains(fact), "{fact}: {told}");
    }

    // In the ways a person types it, and as the field shows it.
    for typed in ["24 Nov 2026", "tue", "Nov 24", "24.11."] {
        let form = [("title", typed), ("due", typed), ("start", "21 nov")];
        let made = mira.form(TASKS, &form).await;
        let place = made.location().expect("the task's page").to_owned();
        let task = place.rsplit('/').next().expect("a key").to_owned();
        assert_eq!(due(&api, &task).await, day("2026-11-24T22:59:59Z"), "{typed}");
        let page = mira.get(&place).await;
        assert_eq!(page.attr("#start-day", "value"), "21 Nov 2026", "{typed}");
    }
    let refused = mira.form(TASKS, &[("title", "When"), ("due", "3/4")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "in March, or in April");
    assert_eq!(refused.attr("#f-due", "value"), "3/4", "what was typed stays");
    assert!(refused.text_of("#f-due-says").contains("Write it as 20 Nov"), "{}", refused.text);

    let wrong = set(&[("due", "2026-11-21"), ("due_time", "25:00")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let form = [("title", "No day"), ("due", ""), ("due_time", "10:00")];
    let wrong = mira.form(TASKS, &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.text_of("#f-due-says").is_empty(), "a time needs a day");
    assert_eq!(wrong.attr("#f-due_time", "value"), "10:00", "what was typed stays");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_a_task_by_day_keeps_its_time_of_day() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let timed = json!({ "title": "Timed", "due_at": "2026-11-24T14:30:00+01:00" });
    let timed = make(&api, timed).await;
    let whole = make(&api, json!({ "title": "Whole", "due_at": "2026-11-24" })).await;
    let part = mira.clone().htmx("tasks-month");
    // As sent by dragging and by the keys of calendar, timeline and board.
    let moved = part.form(&format!("{TASKS}/{timed}/move"), &[("due", "2026-11-26")]).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);
    assert_eq!(due(&api, &timed).await, moment("2026-11-26T13:30:00Z"));
    part.form(&format!("{TASKS}/{timed}/move"), &[("due", "2027-07-01")]).await;
    assert_eq!(due(&api, &timed).await, moment("2027-07-01T12:30:00Z"), "by the clock in summer");

    let both = format!("{timed},{whole}");
    let bulk = format!("{TASKS}/bulk");
    let changed = part.form(&bulk, &[("tasks", both.as_str()), ("due", "2026-12-03")]).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(due(&api, &timed).await, moment("2026-12-03T13:30:00Z"));
    assert_eq!(due(&api, &whole).await, day("2026-12-03T22:59:59Z"), "each its own");
    let own = [("tasks", both.as_str()), ("due", "2026-12-04"), ("due_time", "")];
    part.form(&bulk, &own).await;
    assert_eq!(due(&api, &timed).await, moment("2026-12-04T13:30:00Z"), "no time was chosen");
    assert_eq!(due(&api, &whole).await, day("2026-12-04T22:59:59Z"));
    let other = [("tasks", both.as_str()), ("due", "2026-12-04"), ("due_time", "09:00")];
    part.form(&bulk, &other).await;
    for task in [&timed, &whole] {
        assert_eq!(due(&api, task).await, moment("2026-12-04T08:00:00Z"), "one time for all");
    }
    part.form(&bulk, &[("tasks", both.as_str()), ("due", "none")]).await;
    assert_eq!(due(&api, &timed).await, (None, false));

    // An API client is explicit: a date means the whole day.
    let path = format!("/api/v1/tasks/{timed}");
    api.json("PATCH", &path, &json!({ "due_at": "2026-12-05T09:00:00Z" })).await;
    api.json("PATCH", &path, &json!({ "due_at": "2026-12-06" })).await;
    assert_eq!(due(&api, &timed).await, day("2026-12-06T22:59:59Z"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_layout_shows_the_time_of_day() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let body = json!({ "title": "Call the bank", "due_at": "2026-11-24T13:30:00Z" });
    make(&api, body).await;
    make(&api, json!({ "title": "Whole day", "due_at": "2026-11-25" })).await;
    let list = mira.get(&format!("{TASKS}?sort=due")).await;
    assert_eq!(list.texts(".rows .due"), ["Tuesday, 14:30", "Wednesday"]);
    assert_eq!(list.attrs(".rows .due", "datetime"), ["2026-11-24T14:30", "2026-11-25"]);
    let board = mira.get(&format!("{TASKS}?layout=board&sort=due")).await;
    assert_eq!(board.texts(".tile .due"), ["Tuesday, 14:30", "Wednesday"]);
    let calendar = mira.get(&format!("{TASKS}?layout=calendar&month=2026-11")).await;
    assert_eq!(calendar.texts(".due-pill time"), ["14:30"]);
    let timeline = mira.get(&format!("{TASKS}?layout=timeline&sort=due")).await;
    let dates = ["20 Nov to 24 Nov, 14:30", "20 Nov to 25 Nov"];
    assert_eq!(timeline.texts(".names .meta"), dates);
    // The date is shown once, and a name longer than its bar is placed after it.
    let plants = make(&api, json!({ "title": "Water the plants", "due_at": "2026-11-20" })).await;
    let timeline = mira.get(&format!("{TASKS}?layout=timeline&sort=due")).await;
    assert_eq!(timeline.texts(".names .meta")[0], "20 Nov");
    assert!(timeline.texts(".span > [data-after]").contains(&plants));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_overdue_everywhere_when_its_moment_comes() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    work::agent(&hq, "Ada").await;
    let call = json!({ "title": "Call back", "assignee": "me", "due_at": "2026-11-20T12:30:00Z" });
    make(&api, call).await;
    make(&api, json!({ "title": "Some time today", "due_at": "2026-11-20" })).await;
    let done = json!({ "title": "Over", "due_at": "2026-11-20T12:10:00Z", "status": "done" });
    make(&api, done).await;
    let found = |query: &'static str| {
        let api = api.clone();
        async move {
            let list = api.get(&format!("/api/v1/tasks?{query}")).await.json();
            let items = list["items"].as_array().cloned().unwrap_or_default();
            items.iter().map(|task| task["title"].to_string()).collect::<Vec<_>>()
        }
    };
    let page = |query: &'static str| {
        let mira = mira.clone();
        async move { mira.get(&format!("{TASKS}?{query}")).await }
    };
    assert_eq!(found("q=is:overdue").await, [""; 0]);
    let groups = page("q=is:open&layout=board&group=due").await.texts(".board h2");
    assert_eq!(groups, ["Today"], "nothing has passed");

    let told = || {
        let entries = hq.ws().store.entries_after(0, usize::MAX).expect("the feed");
        let events = entries.iter().flat_map(|entry| entry.events.iter());
        let told = |event: &&Event| match event {
            Event::NoticeGiven { notice } => notice.kind == NoticeKind::TaskOverdue,
            _ => false,
        };
        events.filter(told).count()
    };
    assert_eq!(told(), 0);
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    // Up to the exact moment.
    hq.advance(Duration::from_secs(30 * 60)).await;
    let heard = tokio::time::timeout(PATIENCE, async {
        while told() == 0 {
            feed.changed().await.expect("the store is open");
        }
    });
    heard.await.expect("it is told in time");
    assert_eq!(told(), 1, "of one task");
    drop((feed, ws));

    assert_eq!(found("q=is:overdue").await, ["\"Call back\""]);
    assert_eq!(found("due=overdue").await, ["\"Call back\""]);
    assert_eq!(found("q=-is:overdue+due:today+is:open").await, ["\"Some time today\""]);
    let board = page("q=is:open&layout=board&group=due").await;
    assert_eq!(board.texts(".board h2"), ["Overdue", "Today"]);
    assert_eq!(board.texts(".tile .due[data-tone=danger]"), ["Today, 13:30"]);
    let list = page("q=is:open&group=due").await;
    assert_eq!(list.attrs(".group", "data-of"), ["overdue", "today"]);
    let calendar = page("layout=calendar&month=2026-11").await;
    assert_eq!(calendar.texts(".due-pill[data-late] time"), ["13:30"]);
    let home = mira.get("/w/marlow-cargo/").await;
    assert!(home.text_of("#needs").contains("was due 20 Nov, 13:30"), "{}", home.text_of("#needs"));

    // A past appointment is not overdue, and has its own group once its day is over.
    hq.advance(Duration::from_secs(12 * 3600)).await;
    let both = ["\"Call back\"", "\"Some time today\""];
    let mut late = found("q=is:overdue").await;
    late.sort_unstable();
    assert_eq!(late, both);
    let list = page("q=due:any&group=due").await;
    assert_eq!(list.attrs(".group", "data-of"), ["overdue", "earlier"]);
    hq.finish().await;
}
