//! Routines in pages, API and tools: schedules, events, manual starts.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

mod forms; // forms of routines
mod makers; // routines created by agents, and tasks created from templates

const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the resource at a path matches.
pub async fn until(hq: &TestHq, api: &Person, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
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

/// Creates a routine over the API; returns its path.
pub async fn made(api: &Person, body: &Value) -> String {
    let made = api.post("/api/v1/routines", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    format!("/api/v1/routines/{id}")
}

fn half_hourly(name: &str) -> Value {
    json!({
        "agent": "ada",
        "name": name,
        "instruction": "Look at what came in.",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
    })
}

/// Creates a template of two tasks with placeholders for event fields.
async fn follow_up(api: &Person) {
    let template = json!({
        "name": "Follow-up",
        "items": [
            { "ref": "ask", "title": "Ask about {title}", "description": "It is {new}, {not_this}." },
            { "ref": "note", "title": "Note it", "priority": "high", "blocked_by": ["ask"],
              "assignee_role": "scribe" },
        ],
    });
    let made = api.post("/api/v1/task-templates", &template).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_wakes_its_agent_at_its_time_once_also_after_a_restart() {
    let mut office = Office::open().await;
    office.agent("Ada").await;
    office.model.push(Turn::call("work_done", json!({ "summary": "Nothing came in." })));
    let api = office.hq.api().await;
    let mut body = half_hourly("Inbox check");
    body["model"] = json!("mock-2");
    let path = made(&api, &body).await;
    let routine = api.get(&path).await.json();
    assert_eq!(routine["state"], "ready");
    assert_eq!(routine["next_at"], "2026-11-20T12:30:00Z");
    assert_eq!(routine["sentence"], "Every 30 minutes");

    office.hq.advance(30 * MINUTE).await;
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["state"] == "done").await;
    assert_eq!(past["items"].as_array().expect("a list").len(), 1);
    assert_eq!(past["items"][0]["by"], "schedule");
    assert!(past["items"][0]["run"].is_string(), "it leads to its run: {past:#}");
    let asked = office.model.requests().remove(0);
    assert!(asked.text().contains("Look at what came in."), "{}", asked.text());
    assert!(asked.text().contains("mock-2"), "the routine's model answers");

    office.hq.restart().await;
    let api = api.back_at(&office.hq);
    let again = api.get(&runs).await.json();
    assert_eq!(again["items"].as_array().expect("a list").len(), 1, "it fired once");
    let page = office.hq.owner().get("/w/marlow-cargo/routines").await;
    assert!(page.text.contains("Inbox check") && page.text.contains("Every 30 minutes"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_fires_with_its_conditions_and_its_words_are_quoted() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.push(Turn::call("work_done", json!({ "summary": "Thanked." })));
    let api = office.hq.api().await;
    let body = json!({
        "agent": "ada",
        "name": "After work",
        "instruction": "Thank for {title}, which is {new} now.",
        "event": { "when": "task.status", "all": [
            { "field": "new", "value": "done" },
            { "any": [
                { "field": "priority", "value": "urgent" },
                { "field": "title", "op": "contains", "value": "offer" },
            ] },
        ] },
    });
    let path = made(&api, &body).await;
    for (title, status) in
        [("Compare offers", "done"), ("Compare offers", "blocked"), ("Rest", "done")]
    {
        let task = api.post("/api/v1/tasks", &json!({ "title": title })).await.json();
        let key = task["key"].as_str().expect("a key").to_owned();
        let address = format!("/api/v1/tasks/{key}");
        let moved = api.json("PATCH", &address, &json!({ "status": status })).await;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);
    }
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["by"] == "event").await;
    assert_eq!(past["items"].as_array().expect("a list").len(), 1, "{past:#}");
    assert!(past["items"][0]["subject"].as_str().expect("words").contains("Compare offers"));

    let tried = api.post(&format!("{path}/test"), &json!({ "record": "MC-3" })).await.json();
    assert_eq!(tried["fires"], false, "it is no offer: {tried:#}");
    let tried = api.post(&format!("{path}/test"), &json!({ "record": "MC-1" })).await.json();
    assert_eq!(tried["fires"], true, "{tried:#}");
    let words = tried["instruction"].as_str().expect("words");
    assert!(words.starts_with("Thank for [title], which is [new] now."), "{words}");
    assert!(
        words.contains("EXTERNAL_UNTRUSTED_CONTENT") && words.contains("[title] Compare offers")
    );
    let nobody = api.post(&format!("{path}/test"), &json!({ "record": "MC-99" })).await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nobody.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_to_a_value_fires_once_and_not_with_later_edits() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.usually(Turn::call("work_done", json!({ "summary": "Noted." })));
    let api = office.hq.api().await;
    let field = api.post("/api/v1/fields?of=contacts", &json!({ "label": "Plan" })).await;
    assert_eq!(field.status, StatusCode::CREATED, "{}", field.text);
    let waits = |name: &str, field: &str, value: &str| {
        let all = json!([{ "field": field, "op": "changes_to", "value": value }]);
        json!({
            "agent": "ada", "name": name, "instruction": "Note it.",
            "event": { "when": "contact.changed", "all": all },
        })
    };
    let won = made(&api, &waits("Won", "stage", "won")).await;
    let gold = made(&api, &waits("Gold", "own:plan", "gold")).await;
    let form = "/w/marlow-cargo/routines/new?when=event&event=contact.changed";
    let form = office.hq.owner().get(form).await.text;
    assert!(form.contains(r#"value="own:plan""#), "the form offers fields of people's own");
    let last = made(&api, &waits("Moved", "location", "Riga")).await;
    let contact = api.post("/api/v1/contacts", &json!({ "name": "Rosa" })).await;
    let id = contact.json()["id"].as_str().expect("an id").to_owned();
    for change in [
        json!({ "stage": "won" }),
        json!({ "company": "Marlow" }),
        json!({ "plan": "gold" }),
        json!({ "email": "rosa@example.com" }),
        json!({ "plan": "silver" }),
        json!({ "location": "Riga" }),
    ] {
        let changed = api.json("PATCH", &format!("/api/v1/contacts/{id}"), &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{change} {}", changed.text);
    }
    // The routine of the last change has run, so all earlier ones were processed.
    for path in [last, won, gold] {
        let runs = format!("{path}/runs");
        let past = until(&office.hq, &api, &runs, |past| past["items"][0]["by"] == "event").await;
        assert_eq!(past["items"].as_array().map(Vec::len), Some(1), "{past:#}");
    }
    let wrong = json!({
        "agent": "ada", "name": "Wrong", "instruction": "x",
        "event": { "when": "task.status", "all": [{ "field": "new", "op": "changes_to", "value": "done" }] },
    });
    let refused = api.post("/api/v1/routines", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_says_its_words_and_its_next_five_times_by_the_clock_of_who_asks() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let mut body = half_hourly("Odd Mondays");
    body["schedule"] = json!({ "cron": "0 9 */2 * 1", "timezone": "America/New_York" });
    let routine = api.get(&made(&api, &body).await).await.json();
    let said = routine["sentence"].as_str().expect("words");
    assert!(said.starts_with("At 09:00, ") && said.contains("also Monday"), "{said}");
    let next = routine["next"].as_array().expect("times");
    assert_eq!(next.len(), 5, "{next:?}");
    let first: Timestamp = next[0].as_str().expect("a time").parse().expect("a moment");
    assert_eq!(first, "2026-11-23T14:00:00Z".parse::<Timestamp>().expect("a moment"));
    let series = json!({
        "title": "Water the plants",
        "schedule": { "cadence_type": "daily", "time_of_day": "09:00", "timezone": "America/New_York" },
        "ends_after_count": 3,
    });
    let series = api.post("/api/v1/series", &series).await.json();
    let next = series["next"].as_array().expect("dates");
    assert_eq!(next.len(), 3, "no more than it makes: {series:#}");
    let zone = office.hq.owner().get("/api/v1/me").await.json();
    assert!(
        next[0].as_str().is_some_and(|at| at.contains('T') && !at.ends_with('Z')),
        "{zone} {next:?}"
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_or_all_stand_still_and_one_runs_by_hand() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let path = made(&api, &half_hourly("Look")).await;
    let paused = api.post(&format!("{path}/pause"), &json!({})).await.json();
    assert_eq!((&paused["state"], &paused["next_at"]), (&json!("paused"), &Value::Null));
    api.post(&format!("{path}/resume"), &json!({})).await;
    let rules = api.json("PATCH", "/api/v1/routines/rules", &json!({ "paused": true })).await;
    assert_eq!(rules.status, StatusCode::OK, "{}", rules.text);
    assert_eq!(api.get(&path).await.json()["next_at"], Value::Null);
    office.hq.advance(45 * MINUTE).await;
    api.json("PATCH", "/api/v1/routines/rules", &json!({ "paused": false })).await;
    let goes_on = api.get(&path).await.json();
    assert_eq!(goes_on["next_at"], "2026-11-20T13:00:00Z", "what passed is not made up for");
    assert_eq!(goes_on["runs"], 0);

    // A routine that creates a task needs no model.
    let mut body = half_hourly("Make it");
    body["task"] = json!({ "title": "Water the plants", "unassigned": true, "due_days": 1 });
    let path = made(&api, &body).await;
    let fired = api.post(&format!("{path}/run"), &json!({})).await;
    assert_eq!(fired.status, StatusCode::OK, "{}", fired.text);
    let fired = fired.json();
    assert_eq!((&fired["by"], &fired["task"]), (&json!("manual"), &json!("MC-1")));
    let task = api.get("/api/v1/tasks/MC-1").await.json();
    assert_eq!(task["title"], "Water the plants");
    let gone = api.call("DELETE", &path).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(api.get("/api/v1/tasks/MC-1").await.status, StatusCode::OK, "what it began stays");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_can_be_waited_for_and_conditions_are_checked_by_type() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let events = api.get("/api/v1/routines/events").await.json();
    let all = events["items"].as_array().expect("events");
    assert!(100 < all.len(), "{} events", all.len());
    let one = all.iter().find(|one| one["event"] == "stream.changed").expect("of streams");
    let fields = one["fields"].as_array().expect("fields");
    let former = fields.iter().find(|field| field["name"] == "old_title").expect("what it was");
    assert_eq!(former["type"], "text");
    let page = office.hq.owner().get("/w/marlow-cargo/routines/events").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let mut found = 0;
    for group in page.attrs("[role=group] a", "href") {
        let page = office.hq.owner().get(&group).await;
        assert_eq!(page.status, StatusCode::OK, "{group}: {}", page.text);
        found += usize::from(page.text.contains("When a stream changes"));
    }
    assert_eq!(found, 1, "it stands in one group");
    let part = "/w/marlow-cargo/routines/fields?when=event&event=stream.changed";
    let part = office.hq.owner().get(part).await;
    assert!(part.text.contains("the former name") && !part.text.contains("the task’s title"));

    let mut body = json!({
        "agent": "ada",
        "name": "New names",
        "event": { "when": "stream.changed", "all": [{ "field": "title", "op": "greater", "value": "a" }] },
        "task": { "title": "{old_title} is {title} now", "unassigned": true },
    });
    for (field, op, value, says) in [
        ("title", "greater", "a", "be greater or less"),
        ("target_date", "less", "soon", "a day such as"),
        ("view:none-such", "greater", "3", "no saved view"),
        ("old_name", "is", "x", "old_title"),
    ] {
        body["event"]["all"] = json!([{ "field": field, "op": op, "value": value }]);
        let refused = api.post("/api/v1/routines", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.text);
        assert!(refused.text.contains(says), "{field}: {}", refused.text);
    }
    body["event"]["all"] = json!([
        { "field": "changed", "op": "contains", "value": "title" },
        { "field": "old_title", "value": "Launch" },
        { "field": "view:open", "op": "less", "value": "5" },
    ]);
    let path = made(&api, &body).await;
    let stream = api.post("/api/v1/streams", &json!({ "name": "Launch" })).await.json();
    let at = format!("/api/v1/streams/{}", stream["id"].as_str().expect("an id"));
    let goal = api.json("PATCH", &at, &json!({ "goal": "Fly." })).await;
    assert_eq!(goal.status, StatusCode::OK, "{}", goal.text);
    let named = api.json("PATCH", &at, &json!({ "name": "Liftoff" })).await;
    assert_eq!(named.status, StatusCode::OK, "{}", named.text);
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["task"].is_string()).await;
    assert_eq!(past["items"].as_array().map(Vec::len), Some(1), "{past:#}");
    let task = api.get("/api/v1/tasks/MC-1").await.json();
    assert_eq!(task["title"], "Launch is Liftoff now");
    let page = office.hq.owner().get(&path.replace("/api/v1", "/w/marlow-cargo")).await;
    assert!(page.text.contains("the number of tasks in the view open is less than 5"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_of_somebodys_own_fires_nothing_and_is_not_there_to_be_tried() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.push(Turn::call("work_done", json!({ "summary": "Noted." })));
    let api = office.hq.api().await;
    let body = json!({
        "agent": "ada",
        "name": "New views",
        "instruction": "Note {title}.",
        "event": { "when": "view.created" },
    });
    let path = made(&api, &body).await;
    for (name, shared) in [("Mine alone", false), ("Ours", true)] {
        let view = api.post("/api/v1/views", &json!({ "name": name, "shared": shared })).await;
        assert_eq!(view.status, StatusCode::CREATED, "{}", view.text);
    }
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["by"] == "event").await;
    assert_eq!(past["items"].as_array().expect("a list").len(), 1, "{past:#}");
    assert_eq!(past["items"][0]["subject"], "Ours", "{past:#}");
    let tried = api.post(&format!("{path}/test"), &json!({ "record": "Ours" })).await.json();
    assert_eq!(tried["fires"], true, "{tried:#}");
    let hidden = api.post(&format!("{path}/test"), &json!({ "record": "Mine alone" })).await;
    assert_eq!(hidden.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", hidden.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_fires_within_its_delay_and_says_so_wherever_it_is_shown() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.push(Turn::call("work_done", json!({ "summary": "Nothing came in." })));
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let mut body = half_hourly("Look");
    body["jitter_secs"] = json!(1_800);
    let refused = api.post("/api/v1/routines", &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["field"], "jitter_secs");
    body["jitter_secs"] = json!(1_200);
    let path = made(&api, &body).await;
    let routine = api.get(&path).await.json();
    assert_eq!(routine["next_at"], "2026-11-20T12:30:00Z");
    let at = |name: &str| -> Timestamp {
        routine[name].as_str().expect("a moment").parse().expect("a moment")
    };
    let delay = at("fires_at").duration_since(at("next_at"));
    assert!(delay.is_positive() && delay.as_secs() < 1_200, "{delay}");
    assert_eq!(routine["sentence"], "Every 30 minutes, within 20 min after");
    let page = owner.get(&path.replace("/api/v1", "/w/marlow-cargo")).await;
    assert!(page.text.contains("within 20 min after"), "{}", page.text);
    let preview =
        "/w/marlow-cargo/routines/preview?when=schedule&cadence_type=daily&jitter_secs=90";
    assert!(owner.get(preview).await.text.contains("within 1 min 30 s after"));
    let tried = api.post(&format!("{path}/test"), &json!({})).await.json();
    assert_eq!(tried["within"], "20 min", "{tried:#}");

    office.hq.advance(30 * MINUTE).await;
    office.hq.settle().await;
    let runs = format!("{path}/runs");
    assert_eq!(api.get(&runs).await.json()["items"], json!([]), "its delay is not over");
    office.hq.advance(20 * MINUTE).await;
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["state"] == "done").await;
    assert_eq!(past["items"].as_array().map(Vec::len), Some(1), "{past:#}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_moment_is_put_away_when_it_is_done_and_can_still_be_read() {
    let office = Office::open().await;
    office.agent("Ada").await;
    office.model.push(Turn::call("work_done", json!({ "summary": "Rang." })));
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let body = json!({
        "agent": "ada", "name": "Ring the bell", "instruction": "Ring.", "delete_when_done": true,
        "schedule": { "cadence_type": "once", "at": "2026-11-20T12:30:00Z" },
    });
    let mut daily = body.clone();
    daily["schedule"] = json!({ "cadence_type": "daily" });
    let refused = api.post("/api/v1/routines", &daily).await;
    assert_eq!(refused.json()["errors"][0]["field"], "delete_when_done", "{}", refused.text);
    let path = made(&api, &body).await;
    let count = async |query: &str| {
        let all = api.get(&format!("/api/v1/routines{query}")).await.json();
        all["items"].as_array().map(Vec::len)
    };
    assert_eq!((count("").await, count("?done=true").await), (Some(1), Some(0)));
    office.hq.advance(30 * MINUTE).await;
    let done = until(&office.hq, &api, &path, |one| one["done_at"].is_string()).await;
    assert_eq!(done["state"], "done");
    assert_eq!((count("").await, count("?done=true").await), (Some(0), Some(1)));
    assert_eq!(count("?done=true&agent=ada").await, Some(1));
    let past = api.get(&format!("{path}/runs")).await.json();
    assert_eq!(past["items"][0]["state"], "done", "{past:#}");
    let list = owner.get("/w/marlow-cargo/routines").await;
    assert!(!list.text.contains("Ring the bell") && list.text.contains("kind=done"));
    let list = owner.get("/w/marlow-cargo/routines?kind=done").await;
    assert!(list.text.contains("Ring the bell") && !list.text.contains("Resume Ring"));
    let page = owner.get(&path.replace("/api/v1", "/w/marlow-cargo")).await;
    assert!(page.text.contains("Done and archived since"), "{}", page.text);
    let told = owner.get("/w/marlow-cargo/activity").await;
    assert!(told.text.contains("archived the routine"), "{}", told.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_goes_on_in_the_conversation_that_it_chose() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let asked = async |session: &str| {
        for said in ["First look.", "Second look."] {
            office.model.push(Turn::call("work_done", json!({ "summary": said })));
        }
        let mut body = half_hourly(session);
        body["session"] = json!(session);
        let path = made(&api, &body).await;
        let before = office.model.requests().len();
        for n in 0..2 {
            let fired = api.post(&format!("{path}/run"), &json!({})).await;
            assert_eq!(fired.status, StatusCode::OK, "{}", fired.text);
            let runs = format!("{path}/runs");
            until(&office.hq, &api, &runs, |past| past["items"][0]["state"] == "done").await;
            assert_eq!(office.model.requests().len(), before + n + 1);
        }
        let again = office.model.requests().pop().expect("the second run asked");
        again.text().contains("First look.")
    };
    assert!(!asked("isolated").await, "a new one knows nothing of the one before");
    assert!(asked("main").await, "that of all work goes on");
    office.hq.finish().await;
}
