//! Stop: within a second, whatever the run does; nothing remains, and nothing restarts by itself.

use std::time::{Duration, Instant};

use features::agents::rules as agents;
use features::runs::model::{CallStatus, EventKind, Input, InputState, Run};
use features::runs::rules::{self as runs, RunError};
use features::usage::model::Reservation;
use kernel::{ItemState, Outcome, Role, RunId, RunState, TaskStatus};
use runtime::Limits;
use serde_json::json;

use support::model::{Gate, Turn};
use support::office::Office;

async fn stopped(office: &Office, run: RunId) -> Run {
    office.stop(run).await;
    let run = office.ended(run).await;
    assert_eq!(run.outcome, Some(Outcome::Stopped { by: Some(office.owner()) }));
    let held = office.all::<Reservation>().into_iter().filter(|held| held.run == Some(run.id));
    assert_eq!(held.filter(|held| held.release_at.is_none()).count(), 0);
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_stopped_while_the_model_speaks() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let words = "One two three four five six seven eight nine ten.";
    office.model.push(Turn::text(words).pausing(5, &gate));
    let task = office.task("Count", &ada).await;
    gate.reached().await;
    let run = office.run_on(task.id).await;
    stopped(&office, run).await;
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.last_error.as_deref()), (ItemState::Failed, Some("stopped")));
    assert_eq!(item.not_before, None, "it is not tried again by itself");
    assert_eq!(office.get::<features::tasks::model::Task>(task.id).status, TaskStatus::InProgress);
    let page = office.hq.owner().get("/w/marlow-cargo/tasks/MC-1").await;
    assert_eq!(page.texts(".banner .acts button"), ["Continue", "Retry", "Reassign"]);
    // The call did not fail.
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await.text_of("main");
    assert!(page.contains("Stopped while it was answering."), "{page}");
    assert!(!page.contains("The model call failed"), "{page}");
    // The received part may be billed.
    let usage = office.usage(run);
    assert_eq!((usage.len(), usage[0].estimated), (1, true));
    assert!(office.ws().live.block(run).is_none());
    gate.open();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_stopped_while_the_model_says_nothing_and_a_second_time_changes_nothing() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Hello?").await;
    office.model.asked(1).await;
    stopped(&office, run).await;
    let again = office.try_act(move |tx| runs::request_stop(tx, run, None)).await;
    assert!(matches!(again, Err(RunError::Ended(_))));
    let ends =
        office.events(run).into_iter().filter(|kind| matches!(kind, EventKind::RunEnded { .. }));
    assert_eq!(ends.count(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ignores_the_request_to_end_is_gone_with_its_run() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let command = "trap '' TERM; echo begun > begun.txt; while true; do sleep 4711; done";
    office
        .model
        .push(Turn::call("exec", json!({ "command": command })).and_call("task_list", json!({})));
    let task = office.task("Wait for ever", &ada).await;
    let run = office.run_on(task.id).await;
    office.happened(run, |kind| matches!(kind, EventKind::ToolStarted { .. })).await;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while office.file(&ada, "begun.txt").is_none() {
        tick.tick().await;
    }
    stopped(&office, run).await;
    let statuses: Vec<CallStatus> = office
        .events(run)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::ToolFinished { status, .. } => Some(status),
            _ => None,
        })
        .collect();
    assert_eq!(statuses.len(), 2, "no call is left without an end");
    assert!(matches!(statuses[0], CallStatus::Stopped | CallStatus::Error), "{statuses:?}");
    assert_eq!(statuses[1], CallStatus::Skipped);
    let end = Instant::now() + Duration::from_secs(20);
    while processes_of("4711") > 0 {
        assert!(Instant::now() < end, "the program lives");
        tick.tick().await;
    }
    office.hq.finish().await;
}

/// Number of processes with this word in their command line.
fn processes_of(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("a list of processes");
    let lines = all.flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|b| *b == 0).any(|part| part == word.as_bytes())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_stopped_while_it_waits_for_a_slot_for_its_next_try_and_for_money() {
    let office = Office::limited(Limits { active: 1, ..Limits::default() }).await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    // Waiting for a slot.
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate));
    let first = office.say(&ada, "One?").await;
    gate.reached().await;
    let second = office.say(&otto, "Two?").await;
    assert_eq!(office.get::<Run>(second).state, RunState::Queued);
    stopped(&office, second).await;
    let inputs = office.all::<Input>().into_iter().filter(|input| input.agent == otto.id);
    let states: Vec<InputState> = inputs.map(|input| input.state).collect();
    let [InputState::Dropped(why)] = states.as_slice() else {
        panic!("it does not come back as another run: {states:?}")
    };
    assert_eq!(why, "it was stopped first");
    gate.open();
    office.ended(first).await;
    // Waiting for its next attempt.
    office.model.push(Turn::error(529, "overloaded_error", "Busy").header("retry-after", "30"));
    let third = office.say(&ada, "Three?").await;
    office.happened(third, |kind| matches!(kind, EventKind::CallFailed { .. })).await;
    stopped(&office, third).await;
    // Waiting for budget.
    office.price(100_000_000, 100_000_000).await;
    let poor = agents::Changes { budget_micros: Some(Some(10_000)), ..agents::Changes::default() };
    office.change(ada.id, poor).await;
    let fourth = office.say(&ada, "Four?").await;
    office.in_state(fourth, RunState::Waiting).await;
    stopped(&office, fourth).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archiving_an_agent_stops_what_it_does() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence()).push(Turn::silence());
    let task = office.task("Count", &ada).await;
    let chat = office.say(&ada, "Hello?").await;
    office.model.asked(2).await;
    let id = ada.id;
    office.act(move |tx| agents::archive(tx, id)).await;
    office.ended(chat).await;
    office.worked(task.id, 1).await;
    let item = office.items(id).pop().expect("an item");
    assert_eq!(
        (item.state, item.last_error.as_deref()),
        (ItemState::Cancelled, Some("agent archived"))
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_the_program_leaves_the_run_to_its_next_start() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Hello?").await;
    office.model.asked(1).await;
    office.hq.stop().await;
    office.model.push(Turn::text("Here I am."));
    office.hq.start_again().await;
    let run = office.ended(run).await;
    assert_eq!((run.outcome, run.summary.as_str()), (Some(Outcome::Done), "Here I am."));
    assert_eq!((run.attempt, run.crashes), (2, 0), "an orderly end is no crash");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tool_answers_when_its_run_was_given_up_is_kept_in_the_log_and_read_by_no_model() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    // Nothing else writes the file meanwhile; the tool hangs and ignores cancellation.
    let held = office.ws().paths.hold(&office.ws().agent_folder(&ada.slug).join("late.md")).await;
    let write = json!({ "path": "late.md", "content": "It came after all.\n" });
    office.model.push(Turn::call("write", write));
    let run = office.say(&ada, "Write it down").await;
    office.happened(run, |kind| matches!(kind, EventKind::ToolStarted { .. })).await;
    stopped(&office, run).await;
    let given_up = office.events(run);
    drop(held);
    office.happened(run, |kind| matches!(kind, EventKind::Late { .. })).await;
    let events = office.events(run);
    assert_eq!(events[..given_up.len()], given_up, "what was written stays as it was");
    let [EventKind::Late { name, status, result, paths, .. }] = &events[given_up.len()..] else {
        panic!("one late answer: {events:?}")
    };
    assert_eq!(
        (name.as_str(), *status, paths.as_slice()),
        ("write", CallStatus::Ok, &["late.md".to_owned()][..])
    );
    let said = result.head().to_owned();
    assert_eq!(office.file(&ada, "late.md").as_deref(), Some("It came after all.\n"));
    assert_eq!(office.get::<Run>(run).outcome, Some(Outcome::Stopped { by: Some(office.owner()) }));

    // After a restart the event is there once, and people see it.
    office.hq.stop().await;
    office.hq.start_again().await;
    assert_eq!(office.events(run), events);
    let page = format!("/w/marlow-cargo/runs/R-{}", office.get::<Run>(run).number);
    let page = office.hq.owner().get(&page).await;
    assert!(page.text.contains("This came too late. The agent hasn’t read it."), "{}", page.text);
    let shown = page.text_of("#run-steps");
    assert!(shown.contains("It came after all."), "as any other call is shown: {shown}");

    office.model.push(Turn::text("I do not know."));
    let next = office.say(&ada, "Is it there?").await;
    office.ended(next).await;
    let asked = office.model.requests().pop().expect("a request").body.to_string();
    assert!(asked.contains("the run ended before this was answered"), "{asked}");
    assert!(!asked.contains(&said), "{said}: {asked}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_stopped_from_the_list_the_dashboard_and_the_palette_by_whom_it_concerns() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let mira = office.hq.owner();
    let vera = office.hq.another("Vera", Some(Role::Viewer)).await;
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let places = [
        ("runs", "#runs .stop", "action"),
        ("", "#fleet .stop", "action"),
        ("palette?q=stop%20count", "[data-post]", "data-post"),
        ("palette?q=%3Estop%20ada", "[data-post]", "data-post"),
    ]
    .map(|(path, part, name)| (format!("/w/marlow-cargo/{path}"), part, name));
    for (number, (page, part, name)) in (1..).zip(&places) {
        office.model.push(Turn::silence());
        let task = office.task("Count the vans", &ada).await;
        let run = office.run_on(task.id).await;
        office.model.asked(number).await;
        assert!(vera.get(page).await.attrs(part, name).is_empty(), "a viewer: {page}");
        let here = jonas.get(page).await;
        assert_eq!(here.attrs(part, name).len(), 1, "{page}: {}", here.text);
        let href = here.attr(part, name);
        assert_eq!(href, format!("/w/marlow-cargo/runs/R-{number}/stop"), "{page}");
        assert_eq!(vera.form(&href, &[]).await.status, 403);
        let told = mira.clone().htmx("runs").form(&href, &[]).await;
        assert!(told.header("hx-trigger").expect("a toast").contains("Stopping"), "{page}");
        assert_eq!(
            office.ended(run).await.outcome,
            Some(Outcome::Stopped { by: Some(office.owner()) })
        );
        assert!(mira.get(page).await.attrs(part, name).is_empty(), "{page}");
    }

    // Another member cannot stop a run of a private conversation.
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Count the vans").await;
    office.model.asked(places.len() + 1).await;
    for (page, part, name) in &places {
        assert!(jonas.get(page).await.attrs(part, name).is_empty(), "{page}");
        assert_eq!(mira.get(page).await.attrs(part, name).len(), 1, "{page}");
    }
    stopped(&office, run).await;
    office.hq.finish().await;
}
