//! Failover when the chosen model does not respond: another key, another model, limited waits, and models that are
//! never replaced.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules::{Changes, ModelChoice};
use features::connections::model::{ConnectionKey, Cooldown, Named, Wire};
use features::connections::provider::seal_key;
use features::connections::rules::turns;
use features::connections::rules::{self as connections, ConnectionError, NewConnection};
use features::runs::model::{EventKind, ModelSource, Run};
use kernel::{CallEnd, ConnectionId, Outcome, RunId, RunState, TypedId as _, WaitFor};
use serde_json::json;
use store::{ReadExt as _, StoreError};

use support::hq::Setup;
use support::model::{ModelServer, Turn};
use support::office::{KEY, Office};

mod probes; // probes of connections in cooldown
mod rests; // durations of cooldowns, and what waits for them

/// Another model server, with a connection.
pub(super) async fn second(office: &Office, model: &str) -> (ModelServer, ConnectionId) {
    second_called(office, "Second", model).await
}

async fn second_called(office: &Office, name: &str, model: &str) -> (ModelServer, ConnectionId) {
    let server = ModelServer::start().await;
    server.offer(&[model]);
    let new = NewConnection {
        name: name.to_owned(),
        wire: Wire::Anthropic,
        base_url: server.anthropic_url(),
        key: seal_key(&office.ws().app, "sk-second-0123456789"),
        default_model: Some(model.to_owned()),
    };
    let id = office.act::<_, ConnectionError>(move |tx| connections::create(tx, new)).await;
    (server, id)
}

pub(super) fn named(connection: ConnectionId, model: &str) -> Named {
    Named { connection: Some(connection), model: model.to_owned() }
}

pub(super) async fn fall_back(office: &Office, agent: Option<&Agent>, models: Vec<Named>) {
    let agent = agent.map(|agent| agent.id);
    office.act::<_, ConnectionError>(move |tx| turns::set_fallbacks(tx, agent, models)).await;
}

/// Replacements of models in the run's timeline.
pub(super) fn switches(office: &Office, run: RunId) -> Vec<(String, String)> {
    let events = office.events(run).into_iter();
    let switched = |kind| match kind {
        EventKind::ModelSwitched { from, to, .. } => Some((from, to)),
        _ => None,
    };
    events.filter_map(switched).collect()
}

fn resting(office: &Office) -> Vec<(u32, Option<String>, &'static str, u32)> {
    let all = office.all::<Cooldown>().into_iter();
    all.map(|rest| (rest.slot, rest.model, rest.class.word(), rest.failures)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_of_the_list_answers_and_the_run_says_why() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    let limited = || Turn::error(429, "rate_limit_error", "Slow down");
    office.model.push(limited());
    other.push(Turn::call("task_list", json!({}))).push(Turn::text("Nothing to do."));
    let run = office.say(&ada, "What is there to do?").await;
    let ended = office.ended(run).await;
    assert_eq!(ended.summary, "Nothing to do.");
    assert_eq!(
        (ended.model.as_str(), ended.model_source),
        ("mock", ModelSource::Workspace),
        "what was chosen stays"
    );
    assert_eq!(
        switches(&office, run),
        [("mock (Scripted)".to_owned(), "spare (Second)".to_owned())]
    );
    assert_eq!(
        (office.model.requests().len(), other.requests().len()),
        (1, 2),
        "it stays with who answers"
    );
    let usage = office.usage(run);
    let ends: Vec<_> = usage.iter().map(|u| (u.connection == Some(id), u.end)).collect();
    let answered = (true, CallEnd::Answered);
    assert_eq!(ends, [(false, CallEnd::Refused), answered, answered], "{usage:?}");
    assert!(usage[1..].iter().all(|u| u.provider == "anthropic"), "{usage:?}");
    assert_eq!(usage[0].billed_micros, Some(0), "what was refused costs nothing");
    assert_eq!(resting(&office), [(0, Some("mock".to_owned()), "rate_limit", 1)]);
    let api = office.hq.token(&["read"]).await;
    let told = api.get(&format!("/api/v1/runs/{}", ended.name())).await.json();
    assert_eq!((&told["model"], &told["model_source"]), (&json!("mock"), &json!("workspace")));
    let used = &told["used"];
    let who = ["model", "provider", "connection_name", "route"].map(|name| used[name].clone());
    assert_eq!(who, ["spare", "anthropic", "Second", "api"].map(|word| json!(word)), "{used}");
    let sent: u64 = usage.iter().map(|call| call.input).sum();
    let received: u64 = usage.iter().map(|call| call.output).sum();
    let tokens = &used["tokens"];
    assert_eq!((&tokens["input"], &tokens["output"]), (&json!(sent), &json!(received)), "{used}");
    let listed = api.get("/api/v1/runs").await.json();
    let listed = &listed["items"][0];
    assert_eq!((&listed["model_source"], &listed["used"]), (&json!("workspace"), &json!(null)));
    let page = office.hq.owner().get(&format!("/w/marlow-cargo/runs/{}", ended.name())).await;
    assert!(page.text.contains("Answered by spare (Second)"), "{}", page.text);
    let page = office.hq.owner().get("/w/marlow-cargo/settings/connections").await;
    assert!(page.text.contains("Retry now"), "{}", page.text);

    // During its cooldown, the next run skips it; afterwards it comes first again.
    other.push(Turn::text("Still nothing."));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Still nothing.");
    assert_eq!(office.model.requests().len(), 1);
    office.hq.advance(Duration::from_secs(31)).await;
    office.model.push(Turn::text("Back."));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Back.");
    assert!(resting(&office).is_empty(), "success clears what was counted");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_its_own_model_falls_back_on_the_workspace_list_unless_it_has_its_own() {
    let office = Office::open().await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    other.usually(Turn::text("I am somebody else."));
    office.model.usually(Turn::error(402, "insufficient_quota", "No credit"));
    let ada = office.agent_on("Ada", "mock").await;
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!((run.summary.as_str(), other.requests().len()), ("I am somebody else.", 1));

    // An empty list of its own: the agent's model is never replaced.
    let api = office.hq.api().await;
    let (path, set) = ("/api/v1/connections/fallbacks", json!({ "agent": ada.id, "models": [] }));
    let set = api.json("PUT", path, &set).await.json();
    assert_eq!((&set["own"], &set["models"]), (&json!(true), &json!([])), "{set}");
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert!(
        matches!(&run.outcome, Some(Outcome::Failed { code, .. }) if code == "billing"),
        "{run:?}"
    );
    assert_eq!(other.requests().len(), 1);

    // A non-empty list of its own.
    let (third, third_id) = second_called(&office, "Third", "third").await;
    third.usually(Turn::text("I am the third."));
    fall_back(&office, Some(&ada), vec![named(third_id, "third")]).await;
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!(run.summary, "I am the third.");

    // Without one, the workspace's list applies again.
    let set = api.json("PUT", path, &json!({ "agent": ada.id })).await.json();
    assert_eq!((&set["own"], &set["models"][0]["model"]), (&json!(false), &json!("spare")));
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!(run.summary, "I am somebody else.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_failure_goes_on_or_ends_as_it_should() {
    for (status, code, message, goes_on) in [
        (401, "invalid_api_key", "No", true),
        (401, "account_deactivated", "No", true),
        (402, "insufficient_quota", "No", true),
        (404, "model_not_found", "No", true),
        (429, "rate_limit_error", "No", true),
        (529, "overloaded_error", "No", true),
        (400, "invalid_request_error", "messages are bad", false),
        (400, "context_length_exceeded", "too long", false),
        (400, "content_policy_violation", "No", false),
    ] {
        let office = Office::open().await;
        let ada = office.agent("Ada").await;
        let (other, id) = second(&office, "spare").await;
        fall_back(&office, None, vec![named(id, "spare")]).await;
        other.usually(Turn::text("Here."));
        office.model.push(Turn::error(status, code, message));
        let run = office.ended(office.say(&ada, "Hello?").await).await;
        assert_eq!(run.summary == "Here.", goes_on, "{code} {run:?}");
        assert_eq!(office.all::<Cooldown>().len(), usize::from(goes_on), "{code}");
        assert_eq!(office.model.requests().len(), 1, "{code}: each is asked once");
        office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_connection_are_used_in_turn() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let spare = "sk-spare-9876543210abcdef";
    let sealed = seal_key(&office.ws().app, spare).expect("a key");
    let id = office.connection;
    let slot = office.act::<_, ConnectionError>(move |tx| turns::add_key(tx, id, sealed)).await;
    assert_eq!(slot, 1);
    office.model.require_key(spare).push(Turn::text("With the second key."));
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(office.ended(run).await.summary, "With the second key.");
    let seen = office.model.requests();
    let used: Vec<&str> = seen.iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(used, [format!("Bearer {KEY}"), format!("Bearer {spare}")]);
    assert_eq!(resting(&office), [(0, None, "auth", 1)], "the key rests for every model");
    let told = switches(&office, run);
    assert_eq!(told[0].1, "mock (Scripted, key 2)");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_only_a_person_can_mend_ends_the_run_with_all_reasons() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.push(Turn::error(402, "insufficient_quota", "No credit"));
    other.push(Turn::error(401, "authentication_error", "Bad key"));
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    let Some(Outcome::Failed { code, reason }) = &run.outcome else { panic!("{run:?}") };
    assert_eq!(code, "auth");
    assert!(
        reason.contains("mock (Scripted) has no credit left")
            && reason.contains("spare (Second) rejected the key"),
        "{reason}"
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_broke_off_or_is_empty_is_given_by_the_next_of_the_list() {
    for (turns, class, asked) in [
        (vec![Turn::text("Half of an").cut(), Turn::text("Half of an").cut()], "interrupted", 2),
        // Overload is not waited for.
        (vec![Turn::text("Half").failing("overloaded_error", "Overloaded")], "overloaded", 1),
        (vec![Turn::text(""), Turn::text("")], "empty_answer", 2),
    ] {
        let office = Office::open().await;
        let ada = office.agent("Ada").await;
        let (other, id) = second(&office, "spare").await;
        fall_back(&office, None, vec![named(id, "spare")]).await;
        other.push(Turn::text("The whole."));
        for turn in turns {
            office.model.push(turn);
        }
        let run = office.say(&ada, "Hello?").await;
        if class == "interrupted" {
            office.pass_retry(run, 1).await;
        }
        let ended = office.ended(run).await;
        assert_eq!(ended.summary, "The whole.", "{class} {ended:?}");
        assert_eq!((office.model.requests().len(), other.requests().len()), (asked, 1), "{class}");
        assert!(!other.last().text().contains("Half"), "{}", other.last().text());
        assert_eq!(resting(&office), [(0, Some("mock".to_owned()), class, 1)]);
        assert_eq!(office.usage(run).len(), asked + 1, "{class}: each try is booked");
        office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_which_nobody_says_a_word_ends_the_run_with_that() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.usually(Turn::text(""));
    other.usually(Turn::text(" "));
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    let Some(Outcome::Failed { code, reason }) = &run.outcome else { panic!("{run:?}") };
    assert_eq!(code, "empty_answer");
    let each = [
        "mock (Scripted) returned an empty answer",
        "spare (Second) returned an empty \
        answer",
    ];
    assert!(each.iter().all(|one| reason.contains(one)), "{reason}");
    assert_eq!((office.model.requests().len(), other.requests().len()), (2, 2));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_vanished_does_not_take_its_connection_with_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = office.connection;
    fall_back(&office, None, vec![named(id, "older")]).await;
    office.model.push(Turn::error(404, "model_not_found", "The model mock does not exist"));
    office.model.push(Turn::text("The older one."));
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!(run.summary, "The older one.");
    assert_eq!(office.model.last().body["model"], "older");
    assert_eq!(resting(&office), [(0, Some("mock".to_owned()), "model_not_found", 1)]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gemini_ollama_and_responses_do_the_work_of_a_task() {
    for wire in [Wire::OpenaiResponses, Wire::Gemini, Wire::Ollama] {
        let office = Office::with(Setup::default(), wire, "mock").await;
        let ada = office.agent("Ada").await;
        office.model.push(Turn::thinking("I look first.", "c2ln").and_call("task_get", json!({})));
        office.model.push(Turn::call("write", json!({ "path": "notes.md", "content": "Grüße" })));
        office
            .model
            .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
        let task = office.task("Compare two offers", &ada).await;
        let run = office.worked(task.id, 1).await;
        assert_eq!(run.outcome, Some(Outcome::Done), "{wire:?} {run:?}");
        assert_eq!(office.file(&ada, "notes.md").as_deref(), Some("Grüße"), "{wire:?}");
        let calls: Vec<Run> = office.runs_on(task.id);
        assert_eq!((calls.len(), run.calls, run.steps), (1, 3, 3), "{wire:?}");
        office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_a_budget_while_another_answers_is_not_woken_for_nothing() {
    let office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.model.push(Turn::error(429, "rate_limit_error", "Later").header("retry-after", "86000"));
    other.push(Turn::call("ask_person", json!({ "question": "Which offer?" })));
    let run = office.say(&ada, "Choose an offer").await;
    office.in_state(run, RunState::Waiting).await;
    let limit = |micros| Changes { budget_micros: Some(Some(micros)), ..Changes::default() };
    office.change(ada.id, limit(1)).await;
    office.say(&ada, "The cheaper one").await;
    let waits = |run: &Run| {
        run.waiting.as_ref().is_some_and(|waiting| waiting.waits_for == WaitFor::Budget)
    };
    office
        .until("a wait for the budget", |snap| Ok(snap.get::<Run>(run)?.filter(|run| waits(run))))
        .await;
    let begun = || {
        let events = office.events(run).into_iter();
        events.filter(|kind| matches!(kind, EventKind::RunStarted { .. })).count()
    };
    assert_eq!(office.get::<Run>(run).model, "mock", "what was chosen");
    // After many checks it still waits.
    for _ in 0..5 {
        office.hq.advance(Duration::from_secs(60)).await;
        other.push(Turn::text("Yes."));
        office.ended(office.say(&otto, "Are you there?").await).await;
    }
    assert!(waits(&office.get::<Run>(run)));
    assert_eq!(begun(), 2, "at first, and after the answer");
    other.push(Turn::text("Chosen."));
    office.change(ada.id, limit(900_000_000)).await;
    assert_eq!(office.ended(run).await.summary, "Chosen.");
    assert_eq!(begun(), 3);
    office.hq.finish().await;
}

/// Makes the key of a connection unreadable, as after a restore with another master key.
async fn spoil(office: &Office, connection: ConnectionId) {
    office
        .act::<_, StoreError>(move |tx| {
            let mut key = tx.get::<ConnectionKey>(connection)?.expect("a key");
            key.sealed = "hq1:nonsense".to_owned();
            tx.put(&key)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_open_is_as_good_as_none_wherever_it_stands_in_the_list() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    spoil(&office, office.connection).await;
    // Without fallbacks, the run ends with the reason.
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert!(
        matches!(&run.outcome, Some(Outcome::Failed { code, .. }) if code == "key_unreadable"),
        "{run:?}"
    );
    // With fallbacks, another model responds.
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    other.usually(Turn::text("Here."));
    let run = office.ended(office.say(&ada, "Hello?").await).await;
    assert_eq!(run.summary, "Here.", "{run:?}");
    let told = ("mock (Scripted)".to_owned(), "spare (Second)".to_owned());
    assert_eq!(switches(&office, run.id), [told]);
    assert_eq!(resting(&office), [(0, None, "auth", 1)]);
    let page = office.hq.owner().get(&format!("/w/marlow-cargo/runs/{}", run.name())).await;
    assert!(page.text.contains("mock (Scripted) could not be used"), "{}", page.text);
    assert!(office.model.requests().is_empty());

    // In the middle of the list, after another one has failed.
    let (third, last) = second_called(&office, "Third", "third").await;
    fall_back(&office, Some(&ada), vec![named(office.connection, "mock"), named(last, "third")])
        .await;
    let wish = ModelChoice { connection: Some(id), model: Some("spare".to_owned()) };
    office.change(ada.id, Changes { model: Some(wish), ..Changes::default() }).await;
    office.hq.advance(Duration::from_secs(3_600 * 3)).await;
    other.push(Turn::error(529, "overloaded_error", "Busy"));
    third.push(Turn::text("The third."));
    let run = office.ended(office.say(&ada, "And now?").await).await;
    assert_eq!(run.summary, "The third.", "{run:?}");
    let told = ("spare (Second)".to_owned(), "third (Third)".to_owned());
    assert_eq!(switches(&office, run.id), [told]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_or_key_that_makes_no_sense_is_refused() {
    let office = Office::open().await;
    let gone = ConnectionId::from_bytes([9; 16]);
    let refused = office
        .try_act::<_, ConnectionError>(move |tx| {
            turns::set_fallbacks(tx, None, vec![named(gone, "x")])
        })
        .await;
    assert!(matches!(refused, Err(ConnectionError::NotFound(_))), "{refused:?}");
    let id = office.connection;
    let many = (0..9).map(|n| named(id, &format!("m{n}"))).collect();
    let refused =
        office.try_act::<_, ConnectionError>(move |tx| turns::set_fallbacks(tx, None, many)).await;
    assert!(matches!(refused, Err(ConnectionError::TooManyModels)), "{refused:?}");
    let twice = vec![named(id, "a"), named(id, "a")];
    fall_back(&office, None, twice).await;
    let kept =
        office.ws().read(|snap| features::connections::queries::turns::fallbacks(snap, None));
    assert_eq!(kept.expect("a list").models.len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_passes_over_a_model_that_takes_no_tools() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (other, id) = second(&office, "spare").await;
    fall_back(&office, None, vec![named(id, "spare")]).await;
    office.takes_no_tools("mock").await;
    other.push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{run:?}");
    assert_eq!((office.model.requests().len(), switches(&office, run.id).len()), (0, 1));
    office.hq.finish().await;
}
