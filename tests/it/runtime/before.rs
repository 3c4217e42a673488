//! State before a pause still counts after it: announced limits, and repeated calls.

use features::runs::model::EventKind;
use kernel::Outcome;
use runtime::Limits;
use serde_json::json;

use support::model::Turn;
use support::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_told_of_its_limit_is_not_told_anew_after_a_restart() {
    let mut office = Office::limited(Limits { calls: 1, ..Limits::default() }).await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("task_list", json!({}))).push(Turn::silence());
    office.model.push(Turn::text("Half of it is done."));
    let run = office.say(&ada, "Do all of it").await;
    office.model.asked(2).await;
    office.hq.restart().await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "calls".into() }));
    assert_eq!(ended.summary, "Half of it is done.");
    let told = office.events(run).into_iter().filter(|kind| {
        matches!(kind, EventKind::Notice { text } if text.contains("this run's limit (calls)"))
    });
    assert_eq!(told.count(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_come_to_nothing_new_are_counted_on_after_a_restart() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let same = || Turn::call("read", json!({ "path": "SOUL.md" }));
    office.model.push(same()).push(same()).push(Turn::silence());
    office.model.push(same()).push(same()).push(Turn::text("I get no further."));
    let run = office.say(&ada, "Go on and on").await;
    office.model.asked(3).await;
    office.hq.restart().await;
    let ended = office.ended(run).await;
    let results = office.results(run);
    assert!(results[1].2.contains("same call before"), "{results:?}");
    assert!(results[2].2.starts_with("Error(loop)"), "{results:?}");
    assert_eq!(results.len(), 4, "{results:?}");
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "loop".into() }));
    assert_eq!(ended.summary, "I get no further.");
    office.hq.finish().await;
}
