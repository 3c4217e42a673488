//! Responses truncated at the output limit, missing final text, calls with equal ids.

use std::collections::BTreeSet;

use features::runs::model::{EventKind, Run};
use kernel::{ItemState, Outcome};
use runtime::Limits;
use serde_json::json;

use support::model::Turn;
use support::office::Office;

fn limit_of_calls(run: &Run) -> bool {
    run.outcome == Some(Outcome::Limit { which: "calls".into() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_ends_the_run_also_when_its_last_word_fails_or_is_empty() {
    let office = Office::limited(Limits { calls: 1, ..Limits::default() }).await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("read", json!({ "path": "SOUL.md" })));
    office.model.push(Turn::error(400, "invalid_request_error", "not like this"));
    let task = office.task("Read everything", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert!(limit_of_calls(&run), "{:?}", run.outcome);
    assert!(run.summary.starts_with("It reached its limit (calls) after "), "{}", run.summary);
    assert!(run.summary.contains("Not like this."), "{}", run.summary);
    // The limit is used up: there is no automatic retry.
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.last_error.as_deref()), (ItemState::Failed, Some("limit: calls")));

    office.model.push(Turn::call("read", json!({ "path": "SOUL.md" })));
    office.model.push(Turn::text(" "));
    let run = office.say(&ada, "Once more").await;
    let ended = office.ended(run).await;
    assert!(limit_of_calls(&ended), "{:?}", ended.outcome);
    assert!(ended.summary.contains("The model gave no closing message."), "{}", ended.summary);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_off_is_gone_on_with_twice() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("One, two, ").stop("length"));
    office.model.push(Turn::text("three."));
    let run = office.say(&ada, "Count").await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.calls), (Some(Outcome::Done), 2));
    assert_eq!(ended.summary, "One, two, three.");
    assert!(office.model.last().text().contains("Continue exactly where it stopped"));

    for word in ["a ", "b ", "c "] {
        office.model.push(Turn::text(word).stop("length"));
    }
    let run = office.say(&ada, "Go on for ever").await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.calls), (Some(Outcome::Done), 3));
    assert_eq!(ended.summary.trim(), "a b c");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_whose_call_was_cut_off_is_told_so() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let half = r#"{"path":"long.md","content":"It began"#;
    office.model.push(Turn::text("").and_call_as(None, "write", half).stop("length"));
    office.model.push(Turn::text("I see."));
    let run = office.say(&ada, "Write a novel").await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "long.md"), None);
    let told = office.model.last().text();
    assert!(told.contains("Write long files in several calls"), "{told}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_one_id_are_each_carried_out_and_answered() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let title = |n: u32| json!({ "title": format!("Task {n}") }).to_string();
    for from in [1, 3] {
        let twice = Turn::text("Now.")
            .and_call_as(Some("call_0"), "task_create", &title(from))
            .and_call_as(Some("call_0"), "task_create", &title(from + 1));
        office.model.push(twice);
    }
    office.model.push(Turn::text("Made."));
    let run = office.say(&ada, "Make four tasks").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert_eq!(office.all::<features::tasks::model::Task>().len(), 4);
    let finished = office.events(run).into_iter().filter_map(|kind| match kind {
        EventKind::ToolFinished { call_id, .. } => Some(call_id),
        _ => None,
    });
    let ids: Vec<_> = finished.collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (4, 4), "{ids:?}");
    office.hq.finish().await;
}
