//! Fields that only record a change are undone with the change, never alone.

use std::time::Duration;

use features::agents::model::Agent;
use features::runs::model::Run;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask, TaskPatch};
use kernel::{Actor, Cause, Outcome, Priority, TaskId};
use serde_json::json;

use super::ok;
use support::model::Turn;
use support::office::Office;

/// A task change as a step of a run.
async fn step(office: &Office, agent: &Agent, run: &mut Run, task: TaskId, patch: TaskPatch) {
    run.calls += 1;
    let own = run.clone();
    let by = (Actor::Agent { agent: agent.id, run: run.id }, Cause::Step(run.id, run.calls));
    let ws = office.ws();
    let changed = ws.write(&by, move |tx| {
        tx.put(&own)?;
        tasks::update(tx, task, patch).map(drop)?;
        Ok::<_, TaskError>(())
    });
    changed.await.expect("a step");
    office.hq.advance(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_which_nothing_but_the_time_of_its_change_would_go_back_stays() {
    let office = Office::open().await;
    let agent = office.agent("Ada").await;
    office.model.push(Turn::text("Done."));
    let run = office.say(&agent, "Begin").await;
    let mut run = office.ended(run).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let task = office.act(|tx| tasks::create(tx, NewTask::titled("First"))).await;
    let before = task.priority;
    assert_ne!(before, Priority::Urgent);

    let titled = |title: &str| TaskPatch { title: Some(title.into()), ..TaskPatch::default() };
    let priority = |priority| TaskPatch { priority: Some(priority), ..TaskPatch::default() };
    step(&office, &agent, &mut run, task.id, titled("Own")).await;
    let theirs = titled("Theirs");
    let id = task.id;
    office.act(move |tx| tasks::update(tx, id, theirs)).await;
    office.hq.advance(Duration::from_secs(1)).await;
    step(&office, &agent, &mut run, task.id, priority(Priority::Urgent)).await;
    step(&office, &agent, &mut run, task.id, priority(before)).await;

    // Another member wrote the title, and the priority is unchanged: only `updated_at` was last written by the run.
    let api = office.hq.api().await;
    let ask = json!({ "run": run.name() });
    let seen = ok(api.post("/api/v1/undo/preview", &ask).await).await;
    assert_eq!((&seen["back_count"], &seen["kept_count"]), (&json!(0), &json!(1)), "{seen}");
    assert_eq!(seen["kept"][0]["code"], "changed", "{seen}");
    assert_eq!(office.get::<Task>(task.id).title, "Theirs");
    office.hq.finish().await;
}
