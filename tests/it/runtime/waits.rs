//! Tasks with blockers: when they start, and what the agent is told.

use features::inbox::model::Item;
use features::streams::rules::{self as streams, NewStream, StreamPatch};
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask, relations};
use kernel::{Assignee, ItemKind, Outcome, RelationKind, TaskStatus};
use serde_json::json;

use support::model::Turn;
use support::office::Office;

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// A task of Ada's in a stream with a goal, blocked by another task.
async fn scene(office: &Office, whose: Assignee) -> (Task, Task) {
    office
        .act(move |tx| -> Result<(Task, Task), features::tasks::queries::error::TaskError> {
            let stream = streams::create(tx, NewStream::called("Launch")).expect("a stream");
            let goal = Some("Sell 200 bikes".to_owned());
            let patch = StreamPatch { goal, ..StreamPatch::default() };
            streams::update(tx, stream.id, patch).expect("a goal");
            let first = tasks::create(tx, NewTask::titled("Ask for prices"))?;
            let new = NewTask { stream: Some(stream.id), ..NewTask::titled("Compare prices") };
            let task = tasks::create(tx, new)?;
            relations::relate(tx, task.id, RelationKind::BlockedBy, first.id)?;
            let task = tasks::assign(tx, task.id, Some(whose))?;
            Ok((first, task))
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_begun_when_the_last_one_is_done_that_it_waits_for() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (first, task) = scene(&office, Assignee::Agent(ada.id)).await;
    office.hq.settle().await;
    assert!(office.runs_on(task.id).is_empty(), "nothing is begun while it waits");

    office.model.push(done());
    office.act(move |tx| tasks::set_status(tx, first.id, TaskStatus::Done)).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    // The waiting assignment was started, with one more reason.
    let item = office.get::<Item>(run.item.expect("an item"));
    assert_eq!((item.kind, item.reasons.len()), (ItemKind::TaskAssignment, 2));
    assert_eq!(office.items(ada.id).len(), 1);
    let said = office.model.requests()[0].body.to_string();
    assert!(said.contains("Stream: Launch") && said.contains("Sell 200 bikes"), "{said}");
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_lets_it_begin_before_and_the_agent_is_told_what_it_waits_for() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (_, task) = scene(&office, Assignee::Agent(ada.id)).await;
    office.hq.settle().await;
    office.model.push(done());
    let api = office.hq.api().await;
    let begun = api.post("/api/v1/tasks/MC-2/start", &json!({})).await;
    assert!(begun.status.is_success(), "{}", begun.text);
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let item = office.get::<Item>(run.item.expect("an item"));
    assert_eq!(item.kind, ItemKind::StartNow);
    let said = office.model.requests()[0].body.to_string();
    assert!(said.contains("Waits for: MC-1"), "{said}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_marks_ties_and_groups_with_its_tools() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.act(|tx| tasks::create(tx, NewTask::titled("The whole"))).await;
    let new = json!({ "title": "A part", "tags": ["price", "offer"] });
    office.model.push(Turn::call("task_create", new));
    let change = json!({
        "task": "MC-1", "labels": ["+Price"], "blocked_by": ["+MC-2"], "relates_to": "MC-2",
    });
    office.model.push(Turn::call("task_update", change));
    let back = json!({ "task": "MC-1", "labels": ["-price"], "blocked_by": "-MC-2" });
    office.model.push(Turn::call("task_update", back));
    office.model.push(Turn::call("task_get", json!({ "task": "MC-1" })));
    office.model.push(Turn::text("They are marked."));
    let run = office.say(&ada, "Mark them").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results.iter().all(|(_, ok, _)| *ok), "{results:?}");
    let shown = &results.iter().find(|(name, ..)| name == "task_get").expect("a result").2;
    assert!(shown.contains("relates_to") && !shown.contains("waits_for"), "{shown}");
    let all: Vec<Task> = office.all();
    let labels = office
        .ws()
        .read(|snap| features::tasks::queries::labels::of(snap, all[1].id))
        .expect("a read");
    let names: Vec<_> = labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["offer", "price"]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_ends_as_blocked_only_by_something_that_will_end() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let first = office.act(|tx| tasks::create(tx, NewTask::titled("Ask for prices"))).await;
    let blocked =
        || Turn::call("work_done", json!({ "summary": "Waits.", "task_state": "blocked" }));
    office.model.push(blocked());
    let status = json!({ "task": "MC-2", "status": "blocked" });
    office.model.push(Turn::call("task_update", status));
    office.model.push(Turn::call("work_done", json!({ "summary": "Waits." })));
    let by = json!({ "task": "MC-2", "blocked_by": ["+MC-1"] });
    office.model.push(Turn::call("task_update", by)).push(blocked());
    let task = office.task("Compare prices", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let results = office.results(run.id);
    let refused: Vec<&str> = results.iter().filter(|r| !r.1).map(|r| r.2.as_str()).collect();
    assert_eq!(refused.len(), 2, "{results:?}");
    assert!(
        refused[0].contains("task_escalate") && refused[0].contains("work_fail"),
        "{refused:?}"
    );
    assert!(refused[1].contains("task_state_missing"), "also when it says so by its status");
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Blocked);

    office.model.push(done());
    office.act(move |tx| tasks::set_status(tx, first.id, TaskStatus::Done)).await;
    assert_eq!(office.worked(task.id, 2).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_ends_as_blocked_once_somebody_above_is_asked() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let help = json!({ "reason": "I have no phone number." });
    office.model.push(Turn::call("task_escalate", help));
    let blocked = json!({ "summary": "Waits.", "task_state": "blocked" });
    office.model.push(Turn::call("work_done", blocked));
    let task = office.task("Ask the shops", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!((run.outcome, run.calls), (Some(Outcome::Done), 2));
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Blocked);
    office.hq.finish().await;
}
