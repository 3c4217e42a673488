//! Automatic restart of conversations, and retention of old ones.

use features::runs::model::{Run, Session, SessionEvent};
use features::runs::rules::forget;
use features::tasks::model::Task;
use jiff::SignedDuration;
use kernel::{Actor, Cause, Part, SessionId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::timers;
use std::time::Duration;
use store::StoreError;

use support::hq::{Person, TestHq};
use support::work::{all, scene};

const CHAT: &str = "/w/marlow-cargo/agents/ada/chat";
const RULES: &str = "/api/v1/conversation-rules";
const HOUR: u64 = 60 * 60;

async fn say(hq: &TestHq, api: &Person, text: &str) -> String {
    let said = api.post("/api/v1/agents/ada/messages", &json!({ "text": text })).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.text);
    hq.settle().await;
    said.json()["session"].as_str().expect("a conversation").to_owned()
}

async fn hours(hq: &TestHq, hours: u64) {
    hq.advance(Duration::from_secs(hours * HOUR)).await;
    hq.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_begins_anew_after_a_rest_or_a_day_when_somebody_chose_so() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let first = say(&hq, &api, "About vans").await;
    hours(&hq, 10).await;
    assert_eq!(say(&hq, &api, "Still vans").await, first, "nobody chose otherwise");

    let mira = hq.owner();
    let form =
        [("idle_minutes", "90"), ("daily_hour", "24"), ("parts_days", ""), ("steps_days", "")];
    mira.form("/w/marlow-cargo/settings/conversations", &form).await;
    let rules = api.get(RULES).await.json();
    assert_eq!(
        (&rules["idle_minutes"], &rules["daily_hour"], &rules["parts_days"]),
        (&json!(90), &Value::Null, &json!(30))
    );
    let page = mira.get("/w/marlow-cargo/settings/general").await;
    assert_eq!(page.attr("#f-idle_minutes", "value"), "90");
    hours(&hq, 1).await;
    assert_eq!(say(&hq, &api, "And their price").await, first);
    hours(&hq, 2).await;
    let page = mira.get(CHAT).await;
    assert!(page.text_of("#chat-note").contains("starts a new conversation"), "{}", page.text);
    let second = say(&hq, &api, "About ships").await;
    assert_ne!(second, first);
    assert!(!model.last().text().contains("vans"));
    let old = api.get(&format!("/api/v1/sessions/{first}")).await.json();
    assert_eq!(old["state"], "archived", "it can still be read");

    // An agent may have its own rules.
    let own = "/api/v1/agents/ada/conversation-rules";
    let chosen = api.json("PUT", own, &json!({ "idle_minutes": 0, "daily_hour": 4 })).await.json();
    assert_eq!((&chosen["idle_minutes"], &chosen["daily_hour"]), (&Value::Null, &json!(4)));
    hours(&hq, 24).await;
    let third = say(&hq, &api, "A new day").await;
    assert_ne!(third, second);
    assert_eq!(say(&hq, &api, "The same day").await, third);
    let wrong = api.json("PUT", RULES, &json!({ "daily_hour": 25 })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert!(wrong.text.contains("from 0 to 24"), "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_finished_work_go_after_their_time_and_what_people_said_stays() {
    let (hq, model) = scene().await;
    let api = hq.api().await;
    let talk = say(&hq, &api, "About vans").await;
    for title in ["Count the vans", "Paint the vans"] {
        let task = json!({ "title": title, "assignee": "ada" });
        assert_eq!(api.post("/api/v1/tasks", &task).await.status, StatusCode::CREATED);
        hq.settle().await;
    }
    let put = api.json("PUT", RULES, &json!({ "steps_days": 2 })).await;
    assert_eq!(put.json()["steps_days"], 2, "{}", put.text);
    let kept = |hq: &TestHq| -> Vec<(bool, bool)> {
        let events = all::<SessionEvent>(hq);
        let sessions = all::<Session>(hq).into_iter();
        let view = sessions.map(|session| {
            let any = events.iter().any(|event| event.session == session.id);
            (session.owner.is_some(), any)
        });
        view.collect()
    };
    // Neither run reported an outcome; a person closes one of the tasks.
    let done = api.json("PATCH", "/api/v1/tasks/MC-1", &json!({ "status": "done" })).await;
    assert_eq!(done.json()["status"], "done", "{}", done.text);
    // The failed work is retried meanwhile.
    hours(&hq, 24).await;
    timers::sweep(&hq.running().app).await;
    assert!(kept(&hq).iter().all(|(_, any)| *any), "{:?}", kept(&hq));
    hours(&hq, 24).await;
    hours(&hq, 3 * 24).await;
    let runs = all::<Run>(&hq).len();
    timers::sweep(&hq.running().app).await;
    let of = |number: u32| {
        let tasks = all::<Task>(&hq).into_iter().find(|task| task.number == number);
        let task = tasks.expect("a task").id;
        let session = all::<Session>(&hq).into_iter().find(|one| one.task == Some(task));
        session.expect("its conversation")
    };
    let (done, open) = (of(1), of(2));
    let steps =
        |id: SessionId| all::<SessionEvent>(&hq).iter().filter(|event| event.session == id).count();
    assert_eq!(steps(done.id), 0, "{done:?}");
    assert!(0 < steps(open.id), "the open task keeps its steps: {open:?}");
    assert_eq!(all::<Run>(&hq).len(), runs, "runs stay with what came of them");
    let first = api.get("/api/v1/runs/R-2").await.json();
    assert_eq!(first["state"], "ended", "{first}");
    let left = api.get("/api/v1/runs/R-2/steps").await.json();
    assert_eq!(left["items"], json!([]), "{left}");
    assert_eq!(say(&hq, &api, "And now?").await, talk, "what people said stays");
    assert!(model.last().text().contains("About vans"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_too_many_sub_agents_of_the_past_keeps_the_newest() {
    let (hq, _) = scene().await;
    let api = hq.api().await;
    let talk = say(&hq, &api, "About vans").await;
    let sample = all::<Session>(&hq).pop().expect("a conversation");
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let ws = hq.ws();
    let made = ws.write(&by, move |tx| {
        for n in 0..forget::MOST + 3 {
            let (id, rest) = (tx.new_id(), i64::try_from(n).expect("a small number"));
            let key = format!("agent:ada:subagent:{id}");
            let last_at = sample.last_at - SignedDuration::from_secs(rest);
            let (owner, active_run) = (None, None);
            tx.put(&Session { id, key, owner, active_run, last_at, leaf: None, ..sample.clone() })?;
        }
        Ok::<_, StoreError>(())
    });
    made.await.expect("they are kept");
    let left = |hq: &TestHq| {
        let mut all = all::<Session>(hq);
        all.retain(|session| session.key.contains(":subagent:"));
        all.sort_by_key(|session| session.last_at);
        (all.len(), all[0].last_at)
    };
    let (_, oldest) = left(&hq);
    timers::sweep(&hq.running().app).await;
    assert_eq!(left(&hq).0, forget::MOST + 3, "what somebody may still ask for stays");
    hours(&hq, 25).await;
    timers::sweep(&hq.running().app).await;
    assert_eq!(left(&hq), (forget::MOST, oldest + SignedDuration::from_secs(3)));
    assert_eq!(say(&hq, &api, "And now?").await, talk, "what people said stays");
    hq.finish().await;
}
