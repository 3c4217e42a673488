//! Failing providers: each failure has a visible result and correct bookings.

use std::time::Duration;

use features::agents::rules::{Changes, ModelChoice};
use features::connections::model::{ConnectionKey, Wire};
use features::runs::model::{EventKind, Input, InputState, Run};
use features::usage::model::{Reservation, Usage};
use kernel::{CallEnd, Outcome, RunId, RunState, WaitFor};
use runtime::Limits;
use serde_json::json;
use store::ReadExt as _;

use support::hq::Setup;
use support::model::Turn;
use support::office::{KEY, Office};

/// Error class of a failed run, and its failed calls: class, and whether they were retried.
async fn failed(office: &Office, run: RunId) -> (String, Vec<(String, bool)>) {
    let run = office.ended(run).await;
    let Some(Outcome::Failed { code, reason }) = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(!reason.is_empty());
    let calls = office.events(run.id).into_iter().filter_map(|kind| match kind {
        EventKind::CallFailed { class, retry_at, .. } => Some((class, retry_at.is_some())),
        _ => None,
    });
    (code, calls.collect())
}

fn again(class: &str, tries: usize) -> Vec<(String, bool)> {
    (1..=tries).map(|n| (class.to_owned(), n < tries)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_is_tried_three_times_and_costs_nothing() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/v1", gone.local_addr().expect("an address"));
    drop(gone);
    let connection = office.connection;
    let changes = features::connections::rules::Changes {
        base_url: Some(address),
        key: features::connections::rules::KeyChange::Remove,
        ..Default::default()
    };
    office.act(move |tx| features::connections::rules::update(tx, connection, None, changes)).await;
    let run = office.say(&ada, "Hello?").await;
    office.pass_retry(run, 1).await;
    office.pass_retry(run, 2).await;
    assert_eq!(failed(&office, run).await, ("network".to_owned(), again("network", 3)));
    assert_eq!(refused(&office, run), 3);
    office.hq.finish().await;
}

/// Number of rejected calls of a run. They are recorded at no cost.
fn refused(office: &Office, run: RunId) -> usize {
    let usage = office.usage(run);
    let free = |one: &Usage| one.end == CallEnd::Refused && one.billed_micros == Some(0);
    assert!(usage.iter().all(free) && office.all::<Reservation>().is_empty(), "{usage:?}");
    usage.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_try_would_not_change_is_not_tried_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    for (status, code, class) in [
        (401, "invalid_api_key", "auth"),
        (402, "insufficient_quota", "billing"),
        (404, "model_not_found", "model_not_found"),
        (400, "invalid_request_error", "invalid_request"),
        (400, "content_policy_violation", "content_refused"),
    ] {
        office.model.push(Turn::error(status, code, "No"));
        let run = office.say(&ada, "Hello?").await;
        assert_eq!(failed(&office, run).await, (class.to_owned(), again(class, 1)));
        assert_eq!(refused(&office, run), 1);
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_ends_the_work_and_is_not_shown() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let words = format!("Incorrect API key provided: {KEY}. Find yours at the provider.");
    office.model.push(Turn::error(401, "invalid_api_key", &words));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    let Some(Outcome::Failed { code, reason }) = run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(code, "auth");
    assert!(reason.contains("Enter a different key") && !reason.contains(KEY), "{reason}");
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!(item.not_before, None, "a person has to act first");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_asks_for_patience_gets_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::error(429, "rate_limit_error", "Slow down").header("retry-after", "7"));
    office.model.push(Turn::error(529, "overloaded_error", "Busy")).push(Turn::text("Now."));
    let run = office.say(&ada, "Hello?").await;
    let now = office.hq.now();
    let first = office.happened(run, |kind| matches!(kind, EventKind::CallFailed { .. })).await;
    let EventKind::CallFailed { class, retry_at: Some(at), .. } = first else {
        panic!("{first:?}")
    };
    assert_eq!((class.as_str(), at.duration_since(now).as_secs()), ("rate_limit", 7));
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!((waiting.waits_for, waiting.until), (WaitFor::Provider, Some(at)));
    office.pass_retry(run, 1).await;
    office.pass_retry(run, 2).await;
    let run = office.ended(run).await;
    assert_eq!((run.summary.as_str(), run.attempt), ("Now.", 1), "it kept its task");
    // A delay beyond a person's patience is reported at once.
    office.model.push(Turn::error(429, "rate_limit_error", "Later").header("retry-after", "3600"));
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(failed(&office, run).await, ("rate_limit".to_owned(), again("rate_limit", 1)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_was_one_is_asked_for_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let nothing = || Turn::raw("text/event-stream", "");
    for (turn, class) in [
        (Turn::error(500, "api_error", "Broken"), "server_error"),
        (Turn::garbage(), "garbage"),
        (nothing(), "interrupted"),
        (
            Turn::raw(
                "text/event-stream",
                "data: {\"error\":{\"message\":\"Overloaded\",\"code\":502}}\n\n",
            ),
            "overloaded",
        ),
    ] {
        office.model.push(turn).push(Turn::text("At last."));
        let run = office.say(&ada, "Hello?").await;
        office.pass_retry(run, 1).await;
        assert_eq!(office.ended(run).await.summary, "At last.", "{class}");
        let failure =
            office.happened(run, |kind| matches!(kind, EventKind::CallFailed { .. })).await;
        let EventKind::CallFailed { class: told, .. } = failure else { panic!("{failure:?}") };
        assert_eq!(told, class);
    }
    office.model.usually(Turn::garbage());
    let run = office.say(&ada, "Hello?").await;
    office.pass_retry(run, 1).await;
    office.pass_retry(run, 2).await;
    assert_eq!(failed(&office, run).await, ("garbage".to_owned(), again("garbage", 3)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_is_asked_for_anew_and_every_try_is_booked() {
    for wire in
        [Wire::Anthropic, Wire::OpenaiChat, Wire::OpenaiResponses, Wire::Gemini, Wire::Ollama]
    {
        let office = Office::with(Setup::default(), wire, "mock").await;
        office.price(3_000_000, 15_000_000).await;
        let ada = office.agent("Ada").await;
        let write =
            |turn: Turn| turn.and_call("write", json!({ "path": "notes.md", "content": "Grüße" }));
        office.model.push(write(Turn::text("Half of an")).cut());
        office.model.push(write(Turn::text("Half more")).failing("overloaded_error", "Overloaded"));
        office.model.push(write(Turn::text("I write it down."))).push(Turn::text("It is written."));
        let run = office.say(&ada, "Write it down").await;
        office.pass_retry(run, 1).await;
        office.pass_retry(run, 2).await;
        assert_eq!(office.ended(run).await.summary, "It is written.", "{wire:?}");
        let events = office.events(run);
        let parts: Vec<&str> = events
            .iter()
            .filter_map(|kind| match kind {
                EventKind::Assistant { parts, stop, .. } if stop == "broken_off" => {
                    Some(parts.head())
                }
                _ => None,
            })
            .collect();
        assert!(
            matches!(parts[..], [one, two] if one.contains("Half of an") && two.contains("Half more")),
            "what was shown is kept: {wire:?} {parts:?}"
        );
        assert_eq!(office.results(run).len(), 1, "the call was carried out once: {wire:?}");
        let requests = office.model.requests();
        assert_eq!(requests.len(), 4);
        assert!(
            requests.iter().all(|seen| !seen.text().contains("Half")),
            "whoever is asked anew begins anew: {wire:?}"
        );
        let usage = office.usage(run);
        assert_eq!(usage.len(), 4, "{wire:?} {usage:?}");
        assert!(usage.iter().all(|one| one.billed_micros.is_some_and(|micros| 0 < micros)));
        office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_each_time_ends_the_run_with_its_words() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    for (turn, class) in [
        (Turn::text("Half of an").cut(), "interrupted"),
        (Turn::text("Half of an").broken(), "interrupted"),
        (
            Turn::text("Half of an").failing("server_error", "The server had an error"),
            "server_error",
        ),
    ] {
        office.model.push(turn.clone()).push(turn.clone()).push(turn);
        let run = office.say(&ada, "Hello?").await;
        office.pass_retry(run, 1).await;
        office.pass_retry(run, 2).await;
        assert_eq!(failed(&office, run).await, (class.to_owned(), again(class, 3)));
        let piece = office.events(run).into_iter().find_map(|kind| match kind {
            EventKind::Assistant { parts, stop, .. } => Some((parts.head().to_owned(), stop)),
            _ => None,
        });
        let (words, stop) = piece.expect("the words that came are kept");
        assert!(words.contains("Half of") && stop == "broken_off", "{words} {stop}");
        let name = office.get::<Run>(run).name();
        let told = office.hq.owner().get(&format!("/api/v1/runs/{name}")).await.json();
        assert_eq!(told["goes_on"], "Continue", "{told}");
        let why = told["outcome"].to_string();
        assert!(!why.contains("connection to") && !why.contains("final event"), "{told}");
        let usage = office.usage(run);
        assert_eq!((usage.len(), usage[0].estimated), (3, true), "{class}");
        assert!(0 < usage[0].billed_micros.expect("a price is known"));
        assert!(usage[0].model == "mock" && usage[0].connection == Some(office.connection));
    }
    // The rest stays reserved for a while: the provider may still be generating.
    assert_eq!(office.all::<Reservation>().len(), 9);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_never_answers_is_given_up() {
    let limits = Limits { answer: Duration::from_millis(600), ..Limits::default() };
    let office = Office::limited(limits).await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::silence());
    let run = office.say(&ada, "Hello?").await;
    office.pass_retry(run, 1).await;
    office.pass_retry(run, 2).await;
    assert_eq!(failed(&office, run).await, ("timeout".to_owned(), again("timeout", 3)));
    assert_eq!(office.usage(run).len(), 3, "nobody knows what was billed");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_all_the_time_there_is_is_not_asked_for_again() {
    // Half of the response has to arrive within it.
    let limits = Limits { answer: Duration::from_secs(3), ..Limits::default() };
    let office = Office::limited(limits).await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("Half of an").stalled());
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(failed(&office, run).await, ("timeout".to_owned(), again("timeout", 1)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_too_long_is_made_shorter() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let too_long =
        || Turn::error(400, "context_length_exceeded", "maximum context length is 8192 tokens");
    // If nothing can be left out, the run ends.
    office.model.push(too_long());
    let run = office.say(&ada, "Hello?").await;
    assert_eq!(failed(&office, run).await.0, "context_too_long");

    office.model.push(Turn::text("Long.")).push(Turn::text("Longer."));
    for _ in 0..2 {
        let run = office.say(&ada, &"words and more words ".repeat(1_000)).await;
        office.ended(run).await;
    }
    // No complete summary is available, so an extract is used.
    office.model.push(too_long());
    let refused = Turn::error(400, "invalid_request_error", "not like this");
    office.model.push(refused).push(Turn::text("Short."));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Short.");
    let requests = office.model.requests();
    let [.., before, _, after] = requests.as_slice() else { panic!("three requests") };
    assert!(after.bytes < before.bytes * 3 / 4, "{} {}", before.bytes, after.bytes);
    assert!(after.text().contains("This summarizes the older parts of this conversation"));
    assert!(after.text().contains("And now?"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thinking_that_is_not_taken_back_is_left_out() {
    let office = Office::with(Setup::default(), Wire::Anthropic, "claude-sonnet-4-5").await;
    let ada = office.agent("Ada").await;
    office
        .model
        .push(Turn::thinking("Hm.", "signed").and_call("task_list", json!({ "assignee": "any" })));
    office.model.push(Turn::error(
        400,
        "invalid_request_error",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ));
    office.model.push(Turn::text("Nothing to do."));
    let run = office.say(&ada, "What is there to do?").await;
    assert_eq!(office.ended(run).await.summary, "Nothing to do.");
    let requests = office.model.requests();
    assert!(requests[1].text().contains("\"signature\""), "{}", requests[1].text());
    assert!(!requests[2].text().contains("\"signature\""), "{}", requests[2].text());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_has_signed_goes_to_no_other_and_comes_back_to_it() {
    let office = Office::with(Setup::default(), Wire::Anthropic, "claude-sonnet-4-5").await;
    let ada = office.agent("Ada").await;
    let (connection, id) = (Some(office.connection), ada.id);
    let use_model = async |model: &str| {
        let model = Some(ModelChoice { connection, model: Some(model.to_owned()) });
        office.change(id, Changes { model, ..Changes::default() }).await;
    };
    let says = async |thought: &str, signature: &str| {
        office.model.push(Turn::thinking(thought, signature).and_text("Yes."));
        let run = office.say(&ada, "Is it?").await;
        assert_eq!(office.ended(run).await.summary, "Yes.");
        office.model.last().text()
    };
    says("Hm.", "signed-by-sonnet").await;
    use_model("claude-opus-4-5").await;
    let asked = says("Ah.", "signed-by-opus").await;
    assert!(asked.contains("Yes.") && !asked.contains("signed-by-sonnet"), "{asked}");
    use_model("claude-sonnet-4-5").await;
    let asked = says("So.", "signed-again").await;
    assert!(asked.contains("signed-by-sonnet") && !asked.contains("signed-by-opus"), "{asked}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_shown_as_one() {
    let office = Office::with(Setup::default(), Wire::Anthropic, "claude-sonnet-4-5").await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I cannot help with that.").stop("refusal"));
    let task = office.task("Do something bad", &ada).await;
    let run = office.worked(task.id, 1).await;
    let Some(Outcome::Failed { code, reason }) = run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(code, "content_refused");
    assert!(reason.contains("I cannot help with that."), "{reason}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_even_be_begun_is_answered_once_with_why() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let connection = office.connection;
    // The folder was restored with another master key.
    let swap = move |tx: &mut store::WriteTx<'_>| {
        let mut key = tx.get::<ConnectionKey>(connection)?.expect("its key");
        key.sealed = "enc:v1:bm9ib2R5IGhhcyB0aGUga2V5IGZvciB0aGlz".to_owned();
        tx.put(&key)
    };
    office.act::<(), store::StoreError>(swap).await;
    let run = office.say(&ada, "Hello?").await;
    let run = office.ended(run).await;
    let Some(Outcome::Failed { code, reason }) = &run.outcome else { panic!("{run:?}") };
    assert_eq!(code, "key_unreadable", "{reason}");
    office.hq.settle().await;
    assert_eq!(office.all::<Run>().len(), 1, "it is not made again and again");
    let left: Vec<InputState> = office.all::<Input>().into_iter().map(|i| i.state).collect();
    assert_eq!(left, [InputState::Dropped(reason.clone())]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_takes_no_tools_talks_and_does_no_work() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("task_list", json!({ "assignee": "any" })));
    office.model.push(Turn::text("There is nothing."));
    let run = office.say(&ada, "What is there to do?").await;
    assert_eq!(office.ended(run).await.summary, "There is nothing.");
    assert!(!office.model.last().tools().is_empty());

    office.takes_no_tools("mock").await;
    office.model.push(Turn::text("Well, thank you."));
    let run = office.say(&ada, "How are you?").await;
    assert_eq!(office.ended(run).await.summary, "Well, thank you.");
    let asked = office.model.last();
    assert!(asked.tools().is_empty() && asked.body["tool_choice"].is_null(), "{}", asked.text());
    assert!(asked.text().contains("[tool task_list was called"), "{}", asked.text());
    assert!(!asked.text().contains("tool_call_id"), "{}", asked.text());

    let before = office.model.requests().len();
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    let Some(Outcome::Failed { code, reason }) = run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(code, "no_tools");
    assert!(
        reason.contains("mock doesn't support tools") && reason.contains("choose another"),
        "{reason}"
    );
    assert_eq!(office.model.requests().len(), before, "it was not asked");
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!(item.not_before, None, "a person has to act first");
    office.hq.finish().await;
}
