//! Routines created by agents, and tasks created from templates.

use features::routines::model::Routine;
use features::routines::rules::{self as routines, RoutineError};
use features::routines::wish::RoutineRequest;
use kernel::cadence::ScheduleFields;
use kernel::{Actor, AgentId, CadenceKind, Cause, RunId, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::ReadExt as _;

use support::office::Office;

use super::{follow_up, made, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_makes_is_its_own_and_waits_for_a_person() {
    let office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let api = office.hq.api().await;
    let daily =
        ScheduleFields { cadence_type: Some(CadenceKind::Daily), ..ScheduleFields::default() };
    let wish = RoutineRequest {
        name: "My look".into(),
        schedule: Some(daily),
        ..RoutineRequest::default()
    };
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
    assert!(page.text.contains("Undo this run"));

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
