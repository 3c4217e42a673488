//! Routines as people, programs and agents meet them: at a time, after an event, by hand.

use std::time::Duration;

use features::routines::model::Routine;
use features::routines::rules::{self as routines, RoutineError};
use features::routines::wish::Wish;
use jiff::Timestamp;
use kernel::cadence::ScheduleFields;
use kernel::{Actor, AgentId, CadenceKind, Cause, RunId, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::ReadExt as _;

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until what stands at an address is as it should be.
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

/// A routine that was made over the API: its address.
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
async fn what_cannot_be_is_named_and_nothing_that_was_typed_is_lost() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let wrong = json!({
        "agent": "ada",
        "name": "Wrong",
        "event": { "when": "task.stats" },
    });
    let refused = api.post("/api/v1/routines", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("task.status"), "it names the nearest: {}", refused.text);
    let mut often = half_hourly("Often");
    often["schedule"]["interval_n"] = json!(1);
    let each_minute = made(&api, &often).await;
    assert_eq!(api.get(&each_minute).await.json()["sentence"], "Every minute");
    let asked = "/w/marlow-cargo/routines/preview?when=schedule&cadence_type=every_n_minutes&interval_n=1&agent=ada";
    let told = office.hq.owner().get(asked).await.text;
    assert!(told.contains(". 1,440 times a day; Ada begins at most 30 items an hour"), "{told}");

    let owner = office.hq.owner();
    let form = owner.get("/w/marlow-cargo/routines/new").await;
    let example = form.attrs("#f-interval_n", "placeholder");
    assert!(example.is_empty(), "what is left empty is 15 minutes: {example:?}");
    assert!(form.text.contains("Minutes; 15 if left empty."), "{}", form.text);
    let fields = [
        ("name", "Thank everybody"),
        ("agent", "ada"),
        ("when", "event"),
        ("event", "task.created"),
        ("c1_field", "verdict"),
        ("c1_op", "is"),
        ("c1_value", "approved"),
        ("instruction", "Say thank you to {actor}."),
    ];
    let page = owner.form("/w/marlow-cargo/routines", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("has no field"), "{}", page.text);
    assert!(
        page.text.contains("Thank everybody") && page.text.contains("Say thank you to {actor}.")
    );
    let mended =
        fields.map(|(name, value)| if name == "c1_field" { (name, "") } else { (name, value) });
    let made = owner.form("/w/marlow-cargo/routines", &mended).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let shown = owner.get(made.location().expect("its page")).await;
    assert!(shown.text.contains("When a task is created"), "{}", shown.text);
    let edit = format!("{}/edit", made.location().expect("its page"));
    assert!(owner.get(&edit).await.text.contains("Say thank you to {actor}."));

    // Days and times are typed as people write them.
    let once = |at: &'static str| {
        let quiet = [("quiet_from", "10 pm"), ("quiet_until", "630"), ("starts_on", "fri")];
        let own = [("name", "Once"), ("agent", "ada"), ("instruction", "Look.")];
        [&own[..], &[("when", "schedule"), ("cadence_type", "once"), ("at", at)], &quiet].concat()
    };
    let refused = owner.form("/w/marlow-cargo/routines", &once("24 Dec")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "a time is missing");
    assert!(refused.text_of("#f-at-says").contains("Write the day and the time"));
    assert_eq!(refused.attr("#f-at", "value"), "24 Dec", "what was typed stays");
    let made = owner.form("/w/marlow-cargo/routines", &once("24 Dec, 6:15 pm")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let edit = owner.get(&format!("{}/edit", made.location().expect("its page"))).await;
    assert_eq!(edit.attr("#f-at", "value"), "24 Dec 2026, 18:15");
    assert_eq!(edit.attr("#f-quiet_from", "value"), "22:00");
    assert_eq!(edit.attr("#f-quiet_until", "value"), "06:30");
    assert_eq!(edit.attr("#f-starts_on", "value"), "27 Nov 2026");
    let preview = "/w/marlow-cargo/routines/preview?when=schedule&cadence_type=weekdays";
    assert!(owner.get(preview).await.text.contains("Every weekday at 9:00"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_makes_is_its_own_and_waits_for_a_person() {
    let office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let api = office.hq.api().await;
    let daily =
        ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
    let wish = Wish { name: "My look".into(), schedule: Some(daily), ..Wish::default() };
    let by = |agent: AgentId| {
        let run = RunId::from_bytes([9; 16]);
        (Actor::Agent { agent, run }, Cause::Step(run, 1))
    };
    let (ws, as_ada, as_otto) = (office.ws(), by(ada.id), by(otto.id));
    let (ada, own) = (ada.id, wish.clone());
    let saved = ws.write(&as_ada, move |tx| routines::save(tx, None, ada, &own)).await;
    let routine = saved.expect("its own");
    assert!(routine.asks && !routine.is_on());
    let id = routine.id;
    let refused = [
        ws.write(&as_otto, move |tx| routines::save(tx, None, ada, &wish).map(drop)).await,
        ws.write(&as_otto, move |tx| routines::delete(tx, id)).await,
        ws.write(&as_ada, move |tx| routines::approve(tx, id).map(drop)).await,
    ];
    for one in refused {
        assert!(matches!(one, Err(RoutineError::NotOwned)), "{one:?}");
    }

    let path = format!("/api/v1/routines/{id}");
    let waits = api.get(&path).await.json();
    assert_eq!((&waits["state"], &waits["next_at"]), (&json!("waiting"), &Value::Null));
    let page = office.hq.owner().get("/w/marlow-cargo/routines").await;
    assert!(page.text.contains("Activate"), "a person sees it");
    let approved = api.post(&format!("{path}/approve"), &json!({})).await.json();
    assert_eq!(approved["state"], "ready");
    assert!(approved["next_at"].is_string());
    let kept = ws.read(|snap| snap.get::<Routine>(id)).expect("a read");
    assert!(kept.expect("the routine").is_on());
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

    // One that makes a task needs no model.
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

/// Makes a template of two tasks that name fields of an event.
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
async fn a_template_is_made_once_with_values_and_goes_back_as_one() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    follow_up(&api).await;
    let mut body = json!({
        "agent": "ada",
        "name": "After work",
        "instruction": "What follows {title}.",
        "event": { "when": "task.status", "all": [{ "field": "new", "value": "done" }] },
        "task": { "title": "After {title}", "unassigned": true, "template": "nothing such" },
    });
    let refused = api.post("/api/v1/routines", &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["field"], "task.template");
    body["task"]["template"] = json!("follow-up");
    body["task"]["roles"] = json!({ "nobody": "me" });
    let refused = api.post("/api/v1/routines", &body).await;
    assert!(refused.text.contains("it has: scribe"), "{}", refused.text);
    body["task"]["roles"] = json!({});
    let path = made(&api, &body).await;

    let task = api.post("/api/v1/tasks", &json!({ "title": "Compare offers" })).await.json();
    assert_eq!(task["key"], "MC-1");
    let tried = api.post(&format!("{path}/test"), &json!({ "record": "MC-1" })).await.json();
    assert_eq!(tried["title"], "After Compare offers", "{tried:#}");
    assert_eq!(tried["tasks"][0]["title"], "Ask about Compare offers");
    assert_eq!(
        (&tried["tasks"][1]["step"], &tried["tasks"][1]["after"][0]),
        (&json!(2), &json!("Ask about Compare offers"))
    );
    assert!(tried["warnings"][0].as_str().is_some_and(|said| said.contains("scribe")), "{tried:#}");
    let all = api.get("/api/v1/tasks").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1), "a test makes nothing");

    let done = json!({ "status": "done" });
    api.json("PATCH", "/api/v1/tasks/MC-1", &done).await;
    let runs = format!("{path}/runs");
    let past = until(&office.hq, &api, &runs, |past| past["items"][0]["task"].is_string()).await;
    let fired = &past["items"][0];
    assert_eq!((&fired["task"], &fired["tasks"]), (&json!("MC-2"), &json!(["MC-3", "MC-4"])));
    assert!(fired["why"].as_str().is_some_and(|why| why.contains("scribe")), "{fired:#}");
    let ask = api.get("/api/v1/tasks/MC-3").await.json();
    assert_eq!(ask["title"], "Ask about Compare offers");
    let said = ask["description"].as_str().expect("words");
    assert!(said.starts_with("It is [new], {not_this}."), "{said}");
    assert!(said.contains("[new] done"), "{said}");
    let page = office.hq.owner().get(&path.replace("/api/v1", "/w/marlow-cargo")).await;
    assert!(page.text.contains("MC-2") && page.text.contains("with 2 parts"), "{}", page.text);
    assert!(page.text.contains("Undo what it did"));

    let gone = api.call("DELETE", "/api/v1/task-templates/follow-up").await;
    assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", gone.text);
    assert!(gone.text.contains("After work"), "it says what needs it: {}", gone.text);

    let entry = fired["entry"].as_u64().expect("an entry");
    let undo = format!("/w/marlow-cargo/undo/entry/{entry}");
    let undone = office.hq.owner().form(&undo, &[]).await;
    assert_eq!(undone.status, StatusCode::SEE_OTHER, "{}", undone.text);
    for key in ["MC-2", "MC-3", "MC-4"] {
        let found = api.get(&format!("/api/v1/tasks/{key}")).await;
        assert_eq!(found.status, StatusCode::NOT_FOUND, "{key} went with it");
    }
    office.hq.settle().await;
    let again = api.get(&runs).await.json();
    assert_eq!(
        again["items"],
        json!([]),
        "its line went with what it made, and it does not fire again"
    );
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
    assert!(page.text.contains("When a stream changes"), "{}", page.text);
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
        ("title", "greater", "a", "neither greater nor less"),
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
async fn the_form_makes_a_routine_with_a_template_and_shows_it_again() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    follow_up(&api).await;
    let template = api.get("/api/v1/task-templates/follow-up").await.json();
    let id = template["id"].as_str().expect("an id").to_owned();
    let owner = office.hq.owner();
    let roles = owner.get(&format!("/w/marlow-cargo/routines/roles?template={id}")).await;
    assert_eq!(roles.attr("input[name=role_name_0]", "value"), "scribe", "{}", roles.text);
    let preview =
        format!("/w/marlow-cargo/routines/preview?when=schedule&action=task&template={id}");
    let preview = owner.get(&preview).await;
    assert!(preview.text.contains("It has 2 subtasks: Ask about {title}"), "{}", preview.text);
    let fields = [
        ("name", "Weekly round"),
        ("agent", "ada"),
        ("when", "schedule"),
        ("cadence_type", "weekly"),
        ("day_1", "on"),
        ("action", "task"),
        ("template", id.as_str()),
        ("role_name_0", "scribe"),
        ("role_0", "ada"),
        ("task_unassigned", "on"),
    ];
    let made = owner.form("/w/marlow-cargo/routines", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let at = made.location().expect("its page").to_owned();
    let shown = owner.get(&at).await;
    assert!(
        shown.text.contains("the task “Weekly round” is created, with the tasks of a template")
    );
    let edit = owner.get(&format!("{at}/edit")).await;
    assert_eq!(edit.attr("#f-template option[selected]", "value"), id);
    assert_eq!(edit.attr("#f-role_0 option[selected]", "value"), "ada", "{}", edit.text);
    let ran = owner.form(&format!("{at}/run"), &[]).await;
    assert_eq!(ran.status, StatusCode::SEE_OTHER, "{}", ran.text);
    let note = api.get("/api/v1/tasks/MC-3").await.json();
    assert_eq!((&note["title"], &note["assignee"]["kind"]), (&json!("Note it"), &json!("agent")));
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

/// The fields of a form as a browser sends them.
fn sent(page: &str) -> Vec<(String, String)> {
    use scraper::{Html, Selector};
    let page = Html::parse_document(page);
    let select = |text: &str| Selector::parse(text).expect("a selector");
    let (fields, chosen) = (
        "form.fires input[name], form.fires select[name], form.fires textarea[name]",
        select("option[selected]"),
    );
    let mut sent = Vec::new();
    for field in page.select(&select(fields)) {
        let attr = |name| field.value().attr(name);
        let value = match field.value().name() {
            "select" => {
                let first = field.select(&select("option")).next();
                let option = field.select(&chosen).next().or(first);
                option.and_then(|one| one.value().attr("value")).unwrap_or_default().to_owned()
            }
            "textarea" => field.text().collect::<String>().trim_start_matches('\n').to_owned(),
            _ if attr("type") == Some("checkbox") && attr("checked").is_none() => continue,
            _ => attr("value").unwrap_or("on").to_owned(),
        };
        sent.push((attr("name").expect("a name").to_owned(), value));
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_that_is_saved_as_it_was_shown_stays_as_it_is() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let is = |field: &str, value: &str| json!({ "field": field, "op": "is", "value": value });
    let all: Vec<Value> = ["urgent", "high", "medium", "low"]
        .map(|value| json!({ "field": "priority", "op": "is_not", "value": value }))
        .into_iter()
        .chain([
            json!({ "field": "title", "op": "contains", "value": "bike" }),
            json!({ "any": [is("title", "a"), is("title", "b"), is("title", "c"), is("title", "d")] }),
        ])
        .collect();
    let quiet =
        json!({ "days": [6, 7], "from": "20:00", "until": "07:00", "timezone": "Asia/Tokyo" });
    let timed = json!({
        "agent": "ada", "name": "Every other week", "instruction": "Look.", "quiet_hours": quiet,
        "jitter_secs": 90, "session": "main",
        "schedule": {
            "cadence_type": "weekly", "interval_n": 2, "days_of_week": [3], "time_of_day": "09:30",
            "timezone": "Europe/Berlin", "starts_on": "2026-11-04",
        },
    });
    let event = json!({
        "agent": "ada", "name": "On a task", "instruction": "Look.", "quiet_hours": quiet,
        "event": { "when": "task.created", "all": all },
    });
    let once = json!({
        "agent": "ada", "name": "On the day", "instruction": "Look.", "delete_when_done": true,
        "schedule": { "cadence_type": "once", "at": "2026-12-24T18:00:00Z" },
    });
    for body in [timed, event, once] {
        let made = api.post("/api/v1/routines", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/routines/{id}");
        let kept = |json: Value| {
            let routine = &json["routine"];
            assert!(routine["name"].is_string(), "{json:#}");
            routine.clone()
        };
        let before = kept(api.get(&path).await.json());
        let page = owner.get(&format!("/w/marlow-cargo/routines/{id}/edit")).await;
        let fields = sent(&page.text);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let saved = owner.form(&format!("/w/marlow-cargo/routines/{id}"), &fields).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
        let after = kept(api.get(&path).await.json());
        assert_eq!(before, after, "{fields:?}");
    }
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
