//! Messages during a run: steer, afterwards, collect, interrupt; too many of them; what their author sees.

use std::time::Duration;

use features::runs::model::{EventKind, Input, InputState, QueueOf, QueueRequest, Run};
use features::runs::queries::queue as reading;
use features::runs::rules::{self as runs, RunError};
use kernel::{DropPolicy, InputId, Outcome, Placed, QueueMode, RunId, RunState};
use serde_json::json;
use store::{Range, ReadExt as _};

use support::model::{Gate, Turn};
use support::office::Office;

/// Waits for a run other than the known ones, oldest first.
async fn next_run(office: &Office, known: &[RunId]) -> RunId {
    let known = known.to_vec();
    office
        .until("the next run", move |snap| {
            let runs: Vec<Run> = snap.list(&Range::all())?;
            Ok(runs.into_iter().map(|run| run.id).find(|id| !known.contains(id)))
        })
        .await
}

/// Messages that a run read.
fn read_by(office: &Office, run: RunId) -> Vec<String> {
    let inputs = office.events(run).into_iter().filter_map(|kind| match kind {
        EventKind::Input { text, .. } => Some(text.head().to_owned()),
        _ => None,
    });
    inputs.collect()
}

fn state(office: &Office, id: InputId) -> InputState {
    office.get::<Input>(id).state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_afterwards_get_turns_of_their_own_in_order() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::call("task_create", json!({ "title": "Kept" })).behind(&gate));
    office.model.push(Turn::text("Made.")).push(Turn::text("Two.")).push(Turn::text("Three."));
    let first = office.say(&ada, "One").await;
    gate.reached().await;
    let two = office.send(&ada, "Two", Some(QueueMode::Followup)).await;
    let three = office.send(&ada, "Three", Some(QueueMode::Followup)).await;
    assert_eq!((two.placed, two.before, two.run), (Placed::Followup, 0, first));
    assert_eq!((three.placed, three.before), (Placed::Followup, 1));
    gate.open();
    let one = office.ended(first).await;
    assert_eq!((one.calls, one.summary.as_str()), (2, "Made."), "nobody disturbs it");
    let second = office.ended(next_run(&office, &[first]).await).await;
    let third = office.ended(next_run(&office, &[first, second.id]).await).await;
    assert_eq!(
        (read_by(&office, second.id), second.summary.as_str()),
        (vec!["Two".into()], "Two.")
    );
    assert_eq!(read_by(&office, third.id), ["Three"]);
    assert_eq!(state(&office, two.message), InputState::Consumed(second.id));
    assert_eq!(state(&office, three.message), InputState::Consumed(third.id));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collected_messages_share_a_turn_once_it_is_quiet() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate)).push(Turn::text("All of it."));
    let first = office.say(&ada, "One").await;
    gate.reached().await;
    for text in ["Two", "Three"] {
        let sent = office.send(&ada, text, Some(QueueMode::Collect)).await;
        assert_eq!((sent.placed, sent.run), (Placed::Collect, first));
    }
    gate.open();
    office.ended(first).await;
    let second = next_run(&office, &[first]).await;
    let waiting = office.in_state(second, RunState::Waiting).await;
    assert_eq!(waiting.started_at, None);
    // Another one joins it, and the pause restarts.
    office.hq.advance(Duration::from_millis(400)).await;
    let four = office.send(&ada, "Four", Some(QueueMode::Collect)).await;
    assert_eq!((four.placed, four.run), (Placed::Collect, second));
    office.hq.advance(Duration::from_millis(400)).await;
    assert_eq!(office.get::<Run>(second).state, RunState::Waiting);
    office.hq.advance(Duration::from_millis(101)).await;
    assert_eq!(office.ended(second).await.summary, "All of it.");
    assert_eq!(read_by(&office, second), ["Two", "Three", "Four"]);
    assert_eq!(office.all::<Run>().len(), 2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_stops_the_run_and_comes_before_what_waits() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence()).push(Turn::text("At once.")).push(Turn::text("Later."));
    let first = office.say(&ada, "Slow").await;
    office.model.asked(1).await;
    office.send(&ada, "Waits", Some(QueueMode::Followup)).await;
    let now = office.send(&ada, "Stop! Do this", Some(QueueMode::Interrupt)).await;
    assert_eq!(now.placed, Placed::Interrupted);
    let stopped = office.ended(first).await;
    assert_eq!(stopped.outcome, Some(Outcome::Stopped { by: Some(office.owner()) }));
    let second = office.ended(next_run(&office, &[first]).await).await;
    assert_eq!(read_by(&office, second.id), ["Stop! Do this"]);
    let third = office.ended(next_run(&office, &[first, second.id]).await).await;
    assert_eq!(
        (read_by(&office, third.id), third.summary.as_str()),
        (vec!["Waits".into()], "Later.")
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_of_a_run_that_has_not_begun_takes_its_place() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let first = office.send(&ada, "First", None).await;
    let now = office.send(&ada, "This instead", Some(QueueMode::Interrupt)).await;
    assert_eq!((now.run, now.placed), (first.run, Placed::Interrupted));
    assert_eq!(state(&office, first.message), InputState::Accepted);
    office.model.push(Turn::text("This.")).push(Turn::text("First."));
    office.act(move |tx| features::agents::rules::resume(tx, id)).await;
    assert_eq!(office.ended(first.run).await.summary, "This.");
    let second = office.ended(next_run(&office, &[first.run]).await).await;
    assert_eq!(
        (read_by(&office, second.id), second.summary.as_str()),
        (vec!["First".into()], "First.")
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_messages_are_told_in_a_line_and_can_be_brought_back() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate));
    office.model.usually(Turn::text("Well."));
    let first = office.say(&ada, "Begin").await;
    gate.reached().await;
    let wish = QueueRequest { cap: Some(2), ..QueueRequest::default() };
    let session = office.get::<Run>(first).session;
    office.act(move |tx| runs::queue::choose(tx, QueueOf::Session(session), wish)).await;
    let mut sent = Vec::new();
    for n in 1..=4 {
        let text = format!("Message {n}\nwith a second line");
        sent.push(office.send(&ada, &text, Some(QueueMode::Followup)).await.message);
    }
    let states: Vec<InputState> = sent.iter().map(|id| state(&office, *id)).collect();
    let (gone, open) = (InputState::Overflowed, InputState::Accepted);
    assert_eq!(states, [gone.clone(), gone, open.clone(), open]);
    // Its author restores the second one: the third has to be dropped.
    let (by, two) = (office.owner(), sent[1]);
    let back = office.act(move |tx| runs::queue::bring_back(tx, two, by)).await;
    assert_eq!((back.message, back.placed), (two, Placed::Followup));
    assert_eq!(state(&office, sent[2]), InputState::Overflowed);
    let again = office.try_act(move |tx| runs::queue::bring_back(tx, two, by)).await;
    assert!(matches!(again, Err(RunError::NotDropped)), "{again:?}");
    gate.open();
    office.ended(first).await;
    let second = office.ended(next_run(&office, &[first]).await).await;
    assert_eq!(read_by(&office, second.id), ["Message 2\nwith a second line"]);
    let told = office.model.requests()[1].text();
    assert!(told.contains("2 earlier messages didn't fit"), "{told}");
    assert!(told.contains("- Mira Lindqvist: Message 1 with a second line"), "{told}");
    office.hq.settle().await;
    assert!(matches!(state(&office, sent[0]), InputState::Dropped(_)));
    let kept = office.ws().read(|snap| reading::dropped(snap, session)).expect("readable");
    assert_eq!(kept.iter().map(|input| input.id).collect::<Vec<_>>(), [sent[0], sent[2]]);
    // Restored while idle: it is answered.
    let one = sent[0];
    let back = office.act(move |tx| runs::queue::bring_back(tx, one, by)).await;
    assert_eq!(back.placed, Placed::Started);
    assert_eq!(
        read_by(&office, office.ended(back.run).await.id)[0],
        "Message 1\nwith a second line"
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_may_be_refused_and_the_oldest_may_go_without_a_word() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate));
    office.model.usually(Turn::text("Well."));
    let first = office.say(&ada, "Begin").await;
    gate.reached().await;
    let id = ada.id;
    let choose = |drop| QueueRequest { cap: Some(1), drop: Some(drop), ..QueueRequest::default() };
    let refuse = choose(DropPolicy::New);
    office.act(move |tx| runs::queue::choose(tx, QueueOf::Agent(id), refuse)).await;
    let one = office.send(&ada, "One", Some(QueueMode::Followup)).await;
    let refused = office.try_say(&ada, "Two").await.expect_err("it is full");
    assert!(matches!(refused, RunError::QueueFull(1)), "{refused}");
    let old = choose(DropPolicy::Old);
    office.act(move |tx| runs::queue::choose(tx, QueueOf::Agent(id), old)).await;
    office.send(&ada, "Three", Some(QueueMode::Followup)).await;
    assert_eq!(
        state(&office, one.message),
        InputState::Dropped("too many messages were queued".to_owned())
    );
    gate.open();
    office.ended(first).await;
    office.hq.settle().await;
    assert!(!office.model.last().text().contains("didn't fit"));
    // Invalid values give an error.
    let bad = QueueRequest { cap: Some(0), ..QueueRequest::default() };
    let bad = office.try_act(move |tx| runs::queue::choose(tx, QueueOf::Agent(id), bad)).await;
    assert!(matches!(bad, Err(RunError::BadCap)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_conversation_takes_what_waits_along() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("One.")).push(Turn::text("Two."));
    let first = office.say(&ada, "One").await;
    office.ended(first).await;
    let session = office.get::<Run>(first).session;
    let by = office.owner();
    // An unread report of HQ, and a dropped message.
    office.act(move |tx| runs::tell(tx, session, "[A job has ended.]", runs::Wake::Later)).await;
    office.act(move |tx| runs::sessions::reset(tx, session, by).map(drop)).await;
    let inputs = office.all::<Input>();
    let word = inputs.iter().find(|input| input.text.starts_with("[A job")).expect("the word");
    assert!(matches!(word.state, InputState::Dropped(_)), "{:?}", word.state);
    let second = office.say(&ada, "Two").await;
    let second = office.ended(second).await;
    assert_ne!(second.session, session);
    assert!(!office.model.last().text().contains("A job has ended"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_asks_for_is_told_where_it_went() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let api = office.hq.api().await;
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate));
    office.model.usually(Turn::text("Well."));
    let url = format!("/api/v1/agents/{}/messages", ada.slug);
    let first = api.post(&url, &json!({ "text": "One" })).await.json();
    assert_eq!(first["outcome"], "started");
    gate.reached().await;
    let (choice, agent) = (json!({ "mode": "collect", "debounce_ms": 0 }), &ada.slug);
    let set = api.json("PUT", &format!("/api/v1/agents/{agent}/queue"), &choice).await;
    assert_eq!(set.json()["mode"], "collect");
    let second = api.post(&url, &json!({ "text": "Two" })).await.json();
    assert_eq!(second["outcome"], "queued_collect");
    let third = api.post(&url, &json!({ "text": "Three", "mode": "followup" })).await.json();
    assert_eq!(
        (third["outcome"].as_str(), third["before"].as_u64()),
        (Some("queued_followup"), Some(1))
    );
    let session = first["session"].as_str().expect("a session");
    let shown = api.get(&format!("/api/v1/sessions/{session}")).await.json();
    assert_eq!(shown["waiting"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!(
        (shown["queue"]["mode"].as_str(), shown["queue"]["chosen_by"].as_str()),
        (Some("collect"), Some("agent"))
    );
    let gone = third["message"].as_str().expect("a message");
    api.post(&format!("/api/v1/messages/{gone}/cancel"), &json!({})).await;
    let told = api.get(&format!("/api/v1/messages/{gone}")).await.json();
    assert_eq!(told["state"], "cancelled");
    let bad =
        api.json("PUT", &format!("/api/v1/sessions/{session}/queue"), &json!({ "cap": 0 })).await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    gate.open();
    office.hq.settle().await;
    let told = api.get(&format!("/api/v1/messages/{}", second["message"].as_str().unwrap())).await;
    assert_eq!(told.json()["state"], "read");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_what_waits_and_what_was_dropped() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let mira = office.hq.owner();
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate));
    office.model.usually(Turn::text("Well."));
    let run = office.say(&ada, "One").await;
    gate.reached().await;
    let chat = format!("/w/marlow-cargo/agents/{}/chat", ada.slug);
    mira.form(&format!("{chat}/queue"), &[("mode", "followup")]).await;
    mira.form(&chat, &[("body", "For afterwards")]).await;
    mira.form(&chat, &[("body", "Right now"), ("mode", "steer")]).await;
    let page = mira.get(&chat).await;
    let notes = page.texts(".mine[data-queued] .meta");
    assert!(notes[0].contains("Queued for its own turn"), "{notes:?}");
    assert!(notes[1].contains("Read at the next step"), "{notes:?}");
    let name = office.get::<Run>(run).name();
    let page = mira.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert_eq!(page.texts("#run-queue li").len(), 2, "{}", page.text);
    let remove = page.attrs("#run-queue form", "action");
    mira.form(&remove[0], &[("act", "cancel")]).await;
    assert_eq!(
        mira.get(&format!("/w/marlow-cargo/runs/{name}")).await.texts("#run-queue li").len(),
        1
    );
    let bad =
        mira.form(&format!("/w/marlow-cargo/agents/{}/queue", ada.slug), &[("cap", "lots")]).await;
    assert!(bad.location().is_some());
    let page = mira.get(&format!("/w/marlow-cargo/agents/{}/settings", ada.slug)).await;
    assert!(page.text.contains("Messages while it works"));
    gate.open();
    office.hq.settle().await;
    office.hq.finish().await;
}
