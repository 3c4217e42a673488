//! Recurring tasks over HTTP, with an advancing clock.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the resource at a path matches.
async fn until(hq: &TestHq, api: &Person, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        feed.borrow_and_update();
        let found = api.get(path).await.json();
        if holds(&found) {
            return found;
        }
        let waited = tokio::time::timeout_at(end, feed.changed()).await;
        waited.unwrap_or_else(|_| panic!("{path}: {found:#}")).expect("the store is open");
    }
}

fn total(count: u64) -> impl Fn(&Value) -> bool {
    move |series| series["tasks"]["total"] == count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recurring_task_comes_at_its_time_also_after_a_restart() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let body = json!({
        "title": "Check the chargers",
        "assignee": "me",
        "schedule": { "cadence_type": "weekdays", "time_of_day": "09:00" },
    });
    let made = api.post("/api/v1/series", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let series = made.json();
    assert_eq!(series["words"], "Weekdays at 9:00, Europe/Berlin");
    assert_eq!(series["next_occurrence_at"], "2026-11-23T08:00:00Z", "Monday");
    assert_eq!(series["state"], "active");
    let path = format!("/api/v1/series/{}", series["id"].as_str().expect("an id"));

    hq.advance(67 * HOUR).await;
    assert_eq!(api.get(&path).await.json()["tasks"]["total"], 0, "it is an hour too early");
    hq.advance(HOUR).await;
    let first = until(&hq, &api, &path, total(1)).await;
    assert_eq!(first["next_occurrence_at"], "2026-11-24T08:00:00Z");
    let turns = api.get(&format!("{path}/occurrences")).await.json();
    let key = turns["items"][0]["task"].as_str().expect("a task").to_owned();
    let task = api.get(&format!("/api/v1/tasks/{key}")).await.json();
    assert_eq!(task["title"], "Check the chargers");
    assert_eq!(task["assignee"]["kind"], "person");
    assert_eq!(task["due_at"], "2026-11-23T22:59:59Z");

    // Three turns are missed: only the newest task is created, once.
    hq.stop().await;
    hq.advance_unnoticed(72 * HOUR);
    hq.start_again().await;
    let api = api.back_at(&hq);
    until(&hq, &api, &path, total(2)).await;
    let turns = api.get(&format!("{path}/occurrences")).await.json();
    assert_eq!(turns["items"][0]["occurrence_at"], "2026-11-26T08:00:00Z");
    assert_eq!(turns["items"][0]["catchup_skipped"], 2);
    assert_eq!(turns["items"][1]["status"], "missed");
    hq.restart().await;
    let api = api.back_at(&hq);
    assert_eq!(api.get(&path).await.json()["tasks"]["total"], 2);

    let paused = api.post(&format!("{path}/pause"), &json!({})).await.json();
    assert_eq!(
        (paused["state"].as_str(), &paused["next_occurrence_at"]),
        (Some("paused"), &Value::Null)
    );
    let resumed = api.post(&format!("{path}/resume"), &json!({})).await.json();
    assert_eq!(resumed["next_occurrence_at"], "2026-11-27T08:00:00Z");
    let early = api.post(&format!("{path}/spawn"), &json!({})).await;
    assert_eq!(early.status, StatusCode::CREATED, "{}", early.text);
    let gone = api.json("DELETE", &path, &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get(&format!("/api/v1/tasks/{key}")).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_series_is_named_by_field() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let refused = |schedule: Value| {
        let body = json!({ "title": "Check", "schedule": schedule });
        let api = api.clone();
        async move {
            let reply = api.post("/api/v1/series", &body).await;
            assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.text);
            let errors = reply.json()["errors"].as_array().cloned().unwrap_or_default();
            errors.iter().map(|e| e["field"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
        }
    };
    let zone = json!({ "cadence_type": "daily", "timezone": "Mars/Base", "time_of_day": "noon" });
    assert_eq!(refused(zone).await, ["schedule.timezone", "schedule.time_of_day"]);
    let often = json!({ "cadence_type": "every_n_minutes", "interval_n": 5 });
    assert_eq!(refused(often).await, ["schedule.cadence_type"]);
    let never = json!({ "cadence_type": "cron", "cron": "0 0 30 2 *" });
    assert_eq!(refused(never).await, ["schedule.cron"]);
    let preview = json!({ "cadence_type": "every_n_days", "interval_n": 3 });
    let preview = api.post("/api/v1/schedules/preview", &preview).await.json();
    assert_eq!(preview["words"], "Every 3 days at 9:00, Europe/Berlin");
    assert_eq!(preview["next"].as_array().map(Vec::len), Some(5));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_makes_changes_pauses_and_deletes_a_series_in_the_browser() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    let form = [
        ("title", "Write the report"),
        ("priority", "high"),
        ("cadence_type", "weekly"),
        ("day_1", "on"),
        ("day_5", "on"),
        ("time_of_day", "10:30"),
        ("timezone", "Europe/Berlin"),
    ];
    let made = mira.form("/w/marlow-cargo/tasks", &form).await;
    let page = made.location().expect("its page").to_owned();
    assert!(page.starts_with("/w/marlow-cargo/tasks/recurring/"), "{page}");
    let shown = mira.get(&page).await;
    assert_eq!(shown.text_of("h1"), "Write the report");
    assert!(shown.text.contains("Weekly on Monday and Friday at 10:30, Europe/Berlin"));
    let list = mira.get("/w/marlow-cargo/tasks/recurring").await;
    assert_eq!(list.texts(".recurring .title"), ["Write the report"]);
    assert!(list.text.contains("Weekly · MF"), "{}", list.text);

    // Errors keep all typed input.
    let bad = [("title", "Write it all"), ("cadence_type", "daily"), ("timezone", "Nowhere/Here")];
    let refused = mira.form(&page, &bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.attr("#f-title", "value"), "Write it all");
    assert!(
        refused.text.contains("there is no time zone")
            || refused.text.contains("There is no time zone")
    );

    let change = [("title", "Write it all"), ("cadence_type", "daily"), ("interval_n", "2")];
    let saved = mira.form(&page, &change).await;
    assert_eq!(saved.location(), Some(page.as_str()), "{}", saved.text);
    assert!(mira.get(&page).await.text.contains("Every 2 days at 9:00"));

    let spawned = mira.form(&format!("{page}/spawn"), &[]).await;
    let task = spawned.location().expect("the task").to_owned();
    let shown = mira.get(&task).await;
    assert!(shown.text.contains(&page), "the task leads to its series");
    // This one and all that follow.
    let edit = [("title", "Write all of it"), ("description", "In ink."), ("scope", "following")];
    mira.form(&task, &edit).await;
    assert_eq!(mira.get(&page).await.text_of("h1"), "Write all of it");
    let just = [("title", "Write none of it"), ("description", ""), ("scope", "this")];
    mira.form(&task, &just).await;
    assert_eq!(mira.get(&page).await.text_of("h1"), "Write all of it");

    mira.form(&format!("{page}/pause"), &[]).await;
    assert!(mira.get(&page).await.text.contains("Paused"));
    mira.form(&format!("{page}/resume"), &[]).await;
    let gone = mira.form(&format!("{page}/delete"), &[]).await;
    assert_eq!(gone.location(), Some("/w/marlow-cargo/tasks/recurring"));
    assert_eq!(mira.get(&page).await.status, StatusCode::NOT_FOUND);
    assert_eq!(mira.get(&task).await.status, StatusCode::OK);
    // An existing task becomes recurring: the series replaces it.
    mira.form("/w/marlow-cargo/tasks", &[("title", "Water the plants")]).await;
    let again = mira.get("/w/marlow-cargo/tasks/new?replaces=MC-2").await;
    assert_eq!(again.attr("#f-title", "value"), "Water the plants", "{}", again.text);
    let fields =
        [("title", "Water the plants"), ("cadence_type", "weekdays"), ("replaces", "MC-2")];
    let made = mira.form("/w/marlow-cargo/tasks", &fields).await;
    assert!(made.location().is_some_and(|to| to.contains("/recurring/")), "{}", made.text);
    assert!(mira.get("/w/marlow-cargo/tasks/MC-2").await.text.contains("is archived"));
    let preview = "/w/marlow-cargo/tasks/recurring/preview?cadence_type=weekdays";
    assert!(
        mira.get(preview).await.text.contains("Weekdays at 9:00, Europe/Berlin. Next: Mon 23 Nov")
    );
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_and_all_that_follow_holds_for_every_field() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let body = json!({
        "title": "Check the chargers",
        "schedule": { "cadence_type": "daily", "time_of_day": "09:00" },
        "due_after": { "days": 1, "time": "17:00" },
    });
    let made = api.post("/api/v1/series", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let path = format!("/api/v1/series/{}", made.json()["id"].as_str().expect("an id"));
    assert_eq!(made.json()["due_after"], json!({ "days": 1, "time": "17:00" }));
    let spawn = format!("{path}/spawn");
    let task = api.post(&spawn, &json!({})).await.json();
    assert_eq!(task["due_at"], "2026-11-22T16:00:00Z", "at a time of the day after: {task:#}");
    let key = task["key"].as_str().expect("a key").to_owned();
    let at = format!("/api/v1/tasks/{key}");

    let change = json!({
        "priority": "urgent", "labels": ["Yard"], "assignee": "me", "description": "All four.",
        "due_at": "2026-11-24", "thinking": "low", "model": "mock-2", "scope": "following",
    });
    let changed = api.json("PATCH", &at, &change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let series = api.get(&path).await.json();
    assert_eq!(
        (&series["priority"], &series["labels"], &series["description"]),
        (&json!("urgent"), &json!(["Yard"]), &json!("All four."))
    );
    assert_eq!((&series["thinking"], &series["model"]), (&json!("low"), &json!("mock-2")));
    assert_eq!(series["assignee"]["kind"], "person");
    assert_eq!(series["due_after"], json!({ "days": 3, "time": null }));

    // A change of one task is shown on its page, with a button to apply it to all following ones.
    let just = json!({ "priority": "low", "title": "Check them", "scope": "this" });
    api.json("PATCH", &at, &just).await;
    assert_eq!(api.get(&path).await.json()["priority"], "urgent");
    let page = format!("/w/marlow-cargo/tasks/{key}");
    let shown = mira.get(&page).await;
    assert!(shown.text.contains("Differs from the series: title, priority."), "{}", shown.text);
    let followed = mira.form(&format!("{page}/following"), &[]).await;
    assert_eq!(followed.status, StatusCode::SEE_OTHER, "{}", followed.text);
    let series = api.get(&path).await.json();
    assert_eq!((&series["priority"], &series["title"]), (&json!("low"), &json!("Check them")));
    assert!(!mira.get(&page).await.text.contains("Differs from the series"));
    let next = api.post(&spawn, &json!({})).await.json();
    assert_eq!((&next["title"], &next["labels"][0]), (&json!("Check them"), &json!("Yard")));
    assert_eq!(next["due_at"], "2026-11-25T22:59:59Z", "three days after its day, at its end");

    let nothing = json!({ "status": "done", "scope": "following" });
    let refused = api.json("PATCH", &at, &nothing).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let early = json!({ "due_at": "2026-11-01", "scope": "following" });
    let refused = api.json("PATCH", &at, &early).await;
    assert!(refused.text.contains("before the task's day"), "{}", refused.text);
    let never = api.json("PATCH", &path, &json!({ "due_after": null })).await.json();
    assert_eq!(never["due_after"], Value::Null);
    let wrong = api.json("PATCH", &path, &json!({ "due_after": { "time": "noon" } })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_of_a_series_has_its_stream_and_labels() {
    let hq = TestHq::start().await;
    let (mira, api) = (hq.owner(), hq.api().await);
    let mut streams = Vec::new();
    for name in ["Launch", "Yard"] {
        let made = api.post("/api/v1/streams", &json!({ "name": name })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        streams.push(made.json()["id"].as_str().expect("an id").to_owned());
    }
    let body = json!({
        "title": "Check the chargers",
        "stream": "Launch",
        "labels": ["power", "weekly walk"],
        "schedule": { "cadence_type": "daily" },
    });
    let made = api.post("/api/v1/series", &body).await.json();
    let id = made["id"].as_str().expect("an id");
    let (path, page) =
        (format!("/api/v1/series/{id}"), format!("/w/marlow-cargo/tasks/recurring/{id}"));
    let shown = mira.get(&page).await;
    assert_eq!(shown.attr("#f-stream option[selected]", "value"), streams[0], "{}", shown.text);
    assert_eq!(shown.attr("#f-labels", "value"), "power, weekly walk");

    let form = |stream: &str, labels: &str| {
        [
            ("title", "Check the chargers".to_owned()),
            ("cadence_type", "daily".to_owned()),
            ("stream", stream.to_owned()),
            ("labels", labels.to_owned()),
        ]
    };
    let send = async |stream: &str, labels: &str| {
        let form = form(stream, labels);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, text)| (*name, &**text)).collect();
        mira.form(&page, &form).await
    };
    let saved = send(&streams[1], " power, gate ,, Power").await;
    assert_eq!(saved.location(), Some(page.as_str()), "{}", saved.text);
    let series = api.get(&path).await.json();
    assert_eq!(
        (&series["stream"], &series["labels"]),
        (&json!(streams[1]), &json!(["power", "gate"]))
    );
    let task = api.post(&format!("{path}/spawn"), &json!({})).await.json();
    let key = task["key"].as_str().expect("a key");
    let found = api.get("/api/v1/tasks?q=stream:Yard+label:gate").await.json();
    assert_eq!(found["items"][0]["key"], key, "{found:#}");

    // Errors are shown at their field, with the typed input.
    let refused = send("no such stream", "power, gate").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("here is no stream"), "{}", refused.text);
    assert_eq!(refused.attr("#f-labels", "value"), "power, gate");

    // A stream archived meanwhile stays selected until another is chosen.
    let archived = json!({ "archived": true });
    let gone = api.json("PATCH", &format!("/api/v1/streams/{}", streams[1]), &archived).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let shown = mira.get(&page).await;
    assert_eq!(shown.attr("#f-stream option[selected]", "value"), streams[1], "{}", shown.text);
    let saved = send(&streams[1], "").await;
    assert_eq!(saved.location(), Some(page.as_str()), "{}", saved.text);
    let series = api.get(&path).await.json();
    assert_eq!((&series["stream"], &series["labels"]), (&json!(streams[1]), &json!([])));
    let saved = send("", "").await;
    assert_eq!(saved.location(), Some(page.as_str()), "{}", saved.text);
    assert_eq!(api.get(&path).await.json()["stream"], Value::Null);
    hq.finish().await;
}
