//! Clock jumps of years in both directions: nothing is lost or happens twice, and times recorded under another clock
//! block nobody.

use std::ops::ControlFlow;
use std::time::Duration;

use features::runs::model::{EventKind, Run};
use features::users;
use features::workspace::model::Settings;
use kernel::{Actor, Cause, Outcome, Part, RunState};
use reqwest::StatusCode;
use serde_json::json;
use store::ReadExt as _;
use store::doctor;
use store::verify::verify;

use support::hq::{OWNER, TestHq};
use support::model::{Gate, Turn};
use support::office::Office;

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);
/// Time limit for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONG: Duration = Duration::from_secs(400 * 86_400);

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// Signs in at the present time.
async fn signed_in(hq: &TestHq) -> support::hq::Person {
    let person = hq.nobody();
    let form = [("email", OWNER.1), ("password", OWNER.2), ("next", "")];
    let reply = person.form("/login", &form).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_work_and_the_history_stays_whole_while_the_clock_jumps() {
    let mut office = Office::open().await;
    office.model.usually(done());
    let ada = office.agent("Ada").await;
    let mut tasks = Vec::new();
    let jumps = [None, Some((true, LONG)), Some((false, 2 * LONG)), Some((true, LONG))];
    for (n, jump) in jumps.into_iter().enumerate() {
        match jump {
            None => {}
            Some((true, by)) => office.hq.advance(by).await,
            Some((false, by)) => office.hq.set_back(by).await,
        }
        // Also after a restart, which reads all times again.
        for when in ["before", "after"] {
            let task = office.task(&format!("By clock {n}, {when} a restart"), &ada).await;
            let run = office.worked(task.id, 1).await;
            assert_eq!(run.outcome, Some(Outcome::Done), "by clock {n}, {when} a restart");
            tasks.push(task.id);
            if when == "before" {
                office.hq.restart().await;
            }
        }
    }
    office.hq.settle().await;
    let runs = office.all::<Run>();
    for task in tasks {
        let of: Vec<_> = runs.iter().filter(|run| run.task == Some(task)).collect();
        assert!(of.len() == 1 && of[0].state == RunState::Ended, "{of:#?}");
    }
    let store = &office.ws().store;
    let report = verify(store, &mut |_| ControlFlow::Continue(())).expect("it can be read");
    assert!(report.is_sound(), "{:#?}", report.faults);
    let entries = store.entries_after(0, usize::MAX).expect("the feed");
    let gaps = entries.iter().zip(1..).filter(|(entry, seq)| entry.seq != *seq);
    assert_eq!(gaps.count(), 0, "the feed is numbered without gaps");
    let went_back = entries.windows(2).filter(|two| two[1].at < two[0].at).count();
    assert!(0 < went_back, "after a start the entries have the moments of the new clock");
    let looked = doctor::diagnose(store, &mut |_| ControlFlow::Continue(())).expect("it is read");
    assert!(looked.is_sound(), "{looked:#?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_neither_ends_a_run_nor_gives_it_more_time() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gates = [Gate::new(), Gate::new()];
    for gate in &gates {
        office.model.push(Turn::call("task_list", json!({})).behind(gate));
    }
    office.model.push(Turn::text("It took too long."));
    let run = office.say(&ada, "Take your time").await;
    gates[0].reached().await;
    office.hq.jump(5 * HOUR).await;
    gates[0].open();
    // The model is asked once more, although no time has passed.
    gates[1].reached().await;
    office.hq.set_back(LONG).await;
    office.hq.advance(2 * HOUR + Duration::from_secs(60)).await;
    gates[1].open();
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "time".into() }));
    assert_eq!(ended.worked_ms, (2 * 3600 + 60) * 1000, "what passed while it worked");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_and_a_sign_in_live_as_long_as_the_clock_says() {
    const PATH: &str = "/api/v1/tasks";
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.token(&["read"]).await);
    assert_eq!(api.get(PATH).await.status, StatusCode::OK);
    hq.set_back(LONG).await;
    for who in [&owner, &api] {
        assert_eq!(who.get(PATH).await.status, StatusCode::OK, "nobody is sent away by that");
    }
    assert_eq!(signed_in(&hq).await.get(PATH).await.status, StatusCode::OK);
    hq.advance(LONG + 31 * DAY).await;
    for who in [&owner, &api] {
        assert_eq!(who.get(PATH).await.status, StatusCode::UNAUTHORIZED);
    }
    let now = signed_in(&hq).await;
    assert_eq!(now.get(PATH).await.status, StatusCode::OK);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_every_hour_goes_on_when_the_clock_was_set_back() {
    let hq = TestHq::start().await;
    let began = hq.now();
    hq.set_back(LONG).await;
    // As after a kill between the two stores: the hourly task catches up.
    let ws = hq.ws();
    let renamed = ws.write(&BY, |tx| {
        let mut settings: Settings = tx.get(())?.expect("a workspace");
        settings.name = "Marlow Freight".to_owned();
        tx.put(&settings)
    });
    renamed.await.expect("a name");
    let system = &hq.running().app.system;
    let is_noted = || {
        let rows = system.read(|snap| users::queries::workspaces(snap)).expect("the list");
        rows.iter().any(|row| row.label == "Marlow Freight")
    };
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let begun = tokio::time::Instant::now();
    while !is_noted() {
        assert!(begun.elapsed() < PATIENCE, "what is done every hour is done no more");
        hq.advance(HOUR).await;
        tick.tick().await;
    }
    assert!(hq.now() + LONG / 2 < began, "long before the old clock's next hour");
    drop(ws);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_before_a_second_try_is_no_longer_when_the_clock_is_set_back() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::error(500, "api_error", "oh no")).push(Turn::text("Here."));
    let run = office.say(&ada, "Hello?").await;
    office.happened(run, |kind| matches!(kind, EventKind::CallFailed { .. })).await;
    office.hq.set_back(30 * DAY).await;
    let again = office.model.asked(2);
    tokio::pin!(again);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let begun = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = &mut again => break,
            _ = tick.tick() => office.hq.advance(Duration::from_secs(5)).await,
        }
        assert!(begun.elapsed() < PATIENCE, "it is not tried again");
    }
    assert_eq!(office.ended(run).await.summary, "Here.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_moment_goes_on_at_it_once_whatever_the_clock_did_before() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let wait = json!({ "minutes": 90, "reason": "the shop opens" });
    let gate = Gate::new();
    office.model.push(Turn::call("wait_until", wait)).push(done().behind(&gate));
    let task = office.task("Call the shop", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    office.hq.set_back(DAY).await;
    office.hq.advance(DAY + HOUR).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting, "it is not yet time");
    office.hq.advance(LONG).await;
    gate.reached().await;
    office.hq.set_back(LONG).await;
    gate.open();
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.crashes), (Some(Outcome::Done), 0));
    assert_eq!(office.model.requests().len(), 2, "it went on once");
    office.hq.finish().await;
}
