//! Overdue tasks: one notice per date to the right people, and another one some days later.

use std::time::Duration;

use features::inbox::model::Item;
use features::tasks::model::Task;
use kernel::{ItemKind, Role, TaskStatus};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Range, ReadExt as _};

use support::hq::{OWNER, Person, TestHq};

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a task meets the condition.
async fn until(hq: &TestHq, key: &str, what: &str, holds: impl Fn(&Task) -> bool) -> Task {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        feed.borrow_and_update();
        let found = ws.read(|snap| features::tasks::queries::resolve(snap, key));
        let task = found.expect("the task");
        if holds(&task) {
            return task;
        }
        let waited = tokio::time::timeout_at(end, feed.changed()).await;
        waited.unwrap_or_else(|_| panic!("{what}: {task:#?}")).expect("the store is open");
    }
}

async fn task(api: &Person, body: Value) -> String {
    let made = api.post("/api/v1/tasks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["key"].as_str().expect("a key").to_owned()
}

/// Number of items of this kind, in all states.
fn items(hq: &TestHq, kind: ItemKind) -> usize {
    let all = hq.ws().read(|snap| snap.list::<Item>(&Range::all())).expect("a read");
    all.iter().filter(|item| item.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_is_at_is_missed_three_days_later_and_reopened_with_a_date() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let lost = task(&api, json!({ "title": "Lost", "due_at": "2026-11-20" })).await;
    let begun = json!({ "title": "Begun", "due_at": "2026-11-20", "status": "in_progress" });
    let begun = task(&api, begun).await;
    let blocked = json!({ "title": "Waits", "due_at": "2026-11-20", "status": "blocked" });
    let blocked = task(&api, blocked).await;
    let (late, moved) = (lost.clone(), begun.clone());
    // The day is over in Berlin, and nothing counts as missed yet.
    hq.advance(12 * HOUR).await;
    hq.advance(60 * HOUR).await;
    assert_eq!(until(&hq, &late, "overdue", |_| true).await.status, TaskStatus::Todo);
    // A person changes one of them.
    let change = json!({ "priority": "high" });
    api.json("PATCH", &format!("/api/v1/tasks/{moved}"), &change).await;
    hq.advance(24 * HOUR).await;
    let missed = until(&hq, &lost, "missed", |task| task.status == TaskStatus::Missed).await;
    assert_eq!(missed.before_missed, Some(TaskStatus::Todo));
    assert_eq!(until(&hq, &begun, "begun", |_| true).await.status, TaskStatus::InProgress);
    assert_eq!(until(&hq, &blocked, "blocked", |_| true).await.status, TaskStatus::Blocked);

    let path = format!("/api/v1/tasks/{lost}/reopen");
    let past = api.post(&path, &json!({ "due_at": "2026-11-21" })).await;
    assert_eq!(past.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", past.text);
    let open = api.post(&path, &json!({ "due_at": "2026-12-01" })).await.json();
    assert_eq!(open["status"], "todo");
    assert_eq!(open["due_at"].as_str().map(|at| &at[..10]), Some("2026-12-01"));
    let again = api.post(&path, &json!({ "due_at": "2026-12-02" })).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);

    // On the next day, if so configured.
    let rules = json!({ "missed_after_days": 0 });
    let changed = api.json("PATCH", "/api/v1/settings/tasks", &rules).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let soon = task(&api, json!({ "title": "Soon", "due_at": "2026-11-24" })).await;
    hq.advance(24 * HOUR).await;
    until(&hq, &soon, "the next day", |task| task.status == TaskStatus::Missed).await;
    let page = format!("/w/marlow-cargo/tasks/{soon}");
    // An owner's unused session expires within days.
    let mira = hq.nobody();
    mira.form("/login", &[("email", OWNER.1), ("password", OWNER.2), ("next", "")]).await;
    let shown = mira.get(&page).await;
    assert!(shown.text.contains("missed its due date"), "{}", shown.text);
    let reopened = mira.form(&format!("{page}/reopen"), &[("due", "2026-12-24")]).await;
    assert_eq!(reopened.status, StatusCode::SEE_OTHER, "{}", reopened.text);
    until(&hq, &soon, "reopened", |task| task.status == TaskStatus::Todo).await;
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_hear_of_a_due_date_once() {
    let mut hq = TestHq::start().await;
    let api = hq.api().await;
    let due = json!({ "title": "Call back", "assignee": "me", "due_at": "2026-11-20" });
    let key = task(&api, due).await;
    hq.advance(12 * HOUR).await;
    let told = |hq: &TestHq| {
        let entries = hq.ws().store.entries_after(0, usize::MAX).expect("the feed");
        let events = entries.iter().flat_map(|entry| entry.events.iter());
        let about = events.filter(|event| match event {
            kernel::Event::NoticeGiven { notice } => notice.kind == kernel::NoticeKind::TaskOverdue,
            _ => false,
        });
        about.count()
    };
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let heard = tokio::time::timeout(PATIENCE, async {
        while told(&hq) == 0 {
            feed.changed().await.expect("the store is open");
        }
    });
    heard.await.expect("it is told in time");
    drop((feed, ws));
    hq.advance(2 * HOUR).await;
    hq.restart().await;
    let api = api.back_at(&hq);
    assert_eq!(told(&hq), 1, "once for this date");
    assert_eq!(items(&hq, ItemKind::TaskOverdue), 0, "it is no agent's");
    let later = json!({ "due_at": "2026-11-21" });
    api.json("PATCH", &format!("/api/v1/tasks/{key}"), &later).await;
    hq.advance(24 * HOUR).await;
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let heard = tokio::time::timeout(PATIENCE, async {
        while told(&hq) < 2 {
            feed.changed().await.expect("the store is open");
        }
    });
    heard.await.expect("another date is told of anew");
    drop((feed, ws));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_chooses_the_rules_for_tasks_on_a_page() {
    const RULES: &str = "/w/marlow-cargo/settings/tasks";
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let page = owner.get(RULES).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.attr("input[name=delegation][checked]", "value"), "reports", "as usual");
    assert_eq!(page.attr("#f-missed_after_days", "value"), "3");
    assert!(page.attrs(".history-fold a", "href").is_empty(), "nobody has chosen anything yet");

    let wrong = [("delegation", "upwards"), ("missed_after_days", "soon")];
    let refused = owner.form(RULES, &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("Choose one of the options."), "{}", refused.text);
    assert!(refused.text.contains("Enter a whole number of days"), "all that is wrong at once");
    assert_eq!(refused.attr("#f-missed_after_days", "value"), "soon", "what was typed stays");
    let far = owner.form(RULES, &[("delegation", "line"), ("missed_after_days", "366")]).await;
    assert_eq!(far.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(far.text.contains("Use 0 to 365 days"), "{}", far.text);

    let saved = owner.form(RULES, &[("delegation", "line"), ("missed_after_days", "7")]).await;
    assert_eq!(saved.location(), Some(RULES), "{}", saved.text);
    let now = hq.api().await.get("/api/v1/settings/tasks").await.json();
    assert_eq!(now, json!({ "missed_after_days": 7, "delegation": "line" }));
    let page = owner.get(RULES).await;
    assert_eq!(page.attr("input[name=delegation][checked]", "value"), "line");
    let history = page.attr(".history-fold a", "href");
    assert_eq!(owner.get(&history).await.status, StatusCode::OK);

    let member = hq.another("Jonas", Some(Role::Member)).await;
    let theirs = member.get(RULES).await;
    assert!(
        theirs.text.contains("Everyone below it") && !theirs.text.contains("name=\"delegation\"")
    );
    let refused = member.form(RULES, &[("delegation", "open"), ("missed_after_days", "1")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    hq.finish().await;
}
