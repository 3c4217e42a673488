//! Cooldowns after failures: which connection, how long, and what waits for them.

use std::time::Duration;

use features::connections::cooldown::Candidate;
use features::connections::model::Cooldown;
use features::connections::provider::seal_key;
use features::connections::rules::turns::{self, Failure};
use features::connections::rules::{self as connections, ConnectionError, Found, KeyChange};
use features::runs::model::{EventKind, Run};
use kernel::{Outcome, RunState, WaitFor};
use providers::error::ErrorClass;
use runtime::Limits;
use serde_json::json;
use store::StoreError;

use support::model::Turn;
use support::office::Office;

use super::{fall_back, named, resting, second};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rests_survive_a_restart() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    other.usually(Turn::text("Here."));
    office.model.push(Turn::error(429, "rate_limit_error", "Later").header("retry-after", "3600"));
    let run = office.say(&ada, "Hello?").await;
    office.ended(run).await;
    office.hq.restart().await;
    office.hq.advance(Duration::from_secs(3_000)).await;
    let run = office.say(&ada, "Hello again?").await;
    assert_eq!(office.ended(run).await.summary, "Here.");
    assert_eq!((office.model.requests().len(), other.requests().len()), (1, 2));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_whole_list_rests_waits_and_goes_on_by_itself() {
    let office = Office::limited(Limits { active: 1, ..Limits::default() }).await;
    let (ada, grace) = (office.agent("Ada").await, office.agent_on("Grace", "another").await);
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let later = |s: &str| Turn::error(429, "rate_limit_error", "Later").header("retry-after", s);
    office.model.push(later("900"));
    other.push(later("600"));
    let run = office.say(&ada, "Hello?").await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!(waiting.waits_for, WaitFor::Provider);
    let until = waiting.until.expect("a time");
    assert_eq!(until.duration_since(office.hq.now()).as_secs(), 600, "the one that is back first");
    // The resting run has returned its slot: another run works meanwhile.
    office.model.push(Turn::text("I am strict."));
    let strict = office.say(&grace, "Hello?").await;
    assert_eq!(office.ended(strict).await.summary, "I am strict.");
    other.push(Turn::text("Back by itself."));
    office.move_to(until).await;
    assert_eq!(office.ended(run).await.summary, "Back by itself.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_waits_for_as_long_as_the_only_provider_asks_for() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let later = Turn::error(429, "rate_limit_error", "Later").header("retry-after", "3600");
    office.model.push(later);
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!(waiting.waits_for, WaitFor::Provider);
    let until = waiting.until.expect("a time");
    assert_eq!(until.duration_since(office.hq.now()).as_secs(), 3_600);
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done));
    office.move_to(until).await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, office.runs_on(task.id).len()), (Some(Outcome::Done), 1));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_told_at_once_that_everybody_rests() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let later = || Turn::error(429, "rate_limit_error", "Later").header("retry-after", "600");
    office.model.push(later());
    other.push(later());
    let program = office.hq.token(&["read", "chat"]).await;
    let asked = json!({
        "model": "hq/ada", "messages": [{ "role": "user", "content": "Hello?" }],
    });
    let reply = program.post("/v1/chat/completions", &asked).await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert_eq!(reply.json()["error"]["type"], "service_unavailable");
    assert_eq!(reply.header("retry-after"), Some("600"), "and when");
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let run = office.all::<Run>().pop().expect("a run");
    let ended = office.ended(run.id).await;
    assert!(matches!(ended.outcome, Some(Outcome::Stopped { .. })), "{:?}", ended.outcome);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_rest_of_all_is_waited_for_and_a_person_can_end_a_long_one() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let busy = || Turn::error(529, "overloaded_error", "Busy");
    office.model.push(busy()).push(Turn::text("Here again."));
    other.push(busy());
    let run = office.say(&ada, "Hello?").await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    let until = waiting.until.expect("a time");
    assert_eq!(until.duration_since(office.hq.now()).as_secs(), 30);
    office.hq.advance(Duration::from_millis(30_002)).await;
    assert_eq!(office.ended(run).await.summary, "Here again.");

    let later = || Turn::error(429, "rate_limit_error", "Later").header("retry-after", "7200");
    office.model.push(later()).push(Turn::text("At once."));
    other.push(later());
    let run = office.say(&ada, "And now?").await;
    office.in_state(run, RunState::Waiting).await;
    let id = office.connection;
    office.act::<_, ConnectionError>(move |tx| turns::retry_now(tx, id)).await;
    assert_eq!(office.ended(run).await.summary, "At once.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rests_grow_with_failures_and_are_forgotten_with_time() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    other.usually(Turn::text("Here."));
    office.model.usually(Turn::error(529, "overloaded_error", "Busy"));
    for (wait, seconds, failures) in
        [(0, 30, 1), (31, 60, 2), (61, 300, 3), (301, 300, 4), (4_000, 30, 1)]
    {
        office.hq.advance(Duration::from_secs(wait)).await;
        let run = office.say(&ada, "Hello?").await;
        office.ended(run).await;
        let rest = office.all::<Cooldown>().pop().expect("a rest");
        let length = rest.until.duration_since(office.hq.now()).as_secs();
        assert_eq!((length, rest.failures), (seconds, failures));
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_that_is_just_longer_than_a_pause_is_no_crash() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let later = || Turn::error(429, "rate_limit_error", "Later").header("retry-after", "61");
    office.model.push(later()).push(Turn::text("Here again."));
    other.push(later());
    let run = office.say(&ada, "Hello?").await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    let otto = office.agent_on("Otto", "another").await;
    office.model.push(Turn::text("Yes."));
    office.ended(office.say(&otto, "Are you there?").await).await;
    office.move_to(waiting.until.expect("a time")).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Done), "{ended:?}");
    let events = office.events(run);
    let cut_off = events.iter().any(|kind| matches!(kind, EventKind::Interrupted { .. }));
    assert!(!cut_off && ended.crashes == 0, "{events:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_and_a_passed_test_end_the_rest_of_the_old_one() {
    let office = Office::open().await;
    let id = office.connection;
    let who = |slot, model: &str| Candidate { connection: Some(id), slot, model: model.to_owned() };
    let failed = |who: Candidate, class| {
        let failure = Failure { class, message: "No".to_owned(), asked: None };
        office.act::<_, StoreError>(move |tx| turns::note_failure(tx, &who, failure))
    };
    failed(who(0, "mock"), ErrorClass::AuthPermanent).await;
    failed(who(1, "mock"), ErrorClass::Billing).await;
    failed(who(0, "mock"), ErrorClass::Server).await;
    let key = seal_key(&office.ws().app, "sk-new-0123456789abcdef").expect("a key");
    let changes =
        connections::Changes { key: KeyChange::Replace(key), ..connections::Changes::default() };
    office.act(move |tx| connections::update(tx, id, None, changes)).await;
    assert_eq!(resting(&office), [(1, None, "billing", 1)], "another key's are its own");
    for class in [ErrorClass::Auth, ErrorClass::Server] {
        failed(who(0, "mock"), class).await;
    }
    failed(who(0, "older"), ErrorClass::NotFoundModel).await;
    let found = Found {
        ok: true,
        message: "ready".to_owned(),
        models: None,
        model: Some("mock".to_owned()),
        spent: None,
        class: None,
        millis: None,
    };
    office.act(move |tx| connections::note_test(tx, id, found)).await;
    let left: Vec<_> = resting(&office).into_iter().map(|rest| (rest.0, rest.2)).collect();
    assert_eq!(left, [(0, "model_not_found"), (1, "billing")]);
    let all = connections::Changes {
        base_url: Some("http://127.0.0.1:9/v1".to_owned()),
        key: KeyChange::Remove,
        ..connections::Changes::default()
    };
    office.act(move |tx| connections::update(tx, id, None, all)).await;
    assert!(resting(&office).is_empty(), "another server has not failed");
    office.hq.finish().await;
}
