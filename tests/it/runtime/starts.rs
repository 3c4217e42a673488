//! A program that dies repeatedly: it starts no work until a person has looked, and a run that kills it before its
//! first step is given up.

use std::fs;
use std::time::Duration;

use features::agents::rules as agents;
use features::runs::model::{Input, InputState, Run};
use features::runs::rules as runs;
use kernel::{Outcome, RunId, RunState};
use serde_json::json;
use store::{ReadExt as _, StoreError};

use support::model::{Gate, Turn};
use support::office::Office;

/// Sets the number of times that the program ended while the run was working.
async fn crashed_with(office: &Office, run: RunId, times: u32) {
    office
        .act(move |tx| {
            let mut run = tx.get::<Run>(run)?.expect("it is there");
            run.crashes = times;
            tx.put(&run)?;
            Ok::<_, StoreError>(())
        })
        .await;
}

/// Failed starts, this many seconds ago.
fn crashed(office: &Office, seconds: &[i64]) {
    let now = office.hq.now().as_millisecond();
    let lines: Vec<String> = seconds.iter().map(|ago| (now - ago * 1_000).to_string()).collect();
    fs::write(office.hq.data().join("starts"), lines.join("\n")).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_starts_that_ended_badly_nothing_begins_until_somebody_resumes() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("Too late.").behind(&gate));
    let run = office.say(&ada, "Hello?").await;
    gate.reached().await;
    crashed_with(&office, run, 2).await;
    office.hq.stop().await;
    gate.open();
    assert!(!office.hq.data().join("starts").exists(), "it ended well");
    crashed(&office, &[90, 60, 30]);
    office.hq.start_again().await;
    let asked = office.model.requests().len();
    office.hq.advance(Duration::from_secs(60)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Queued);
    assert_eq!(office.model.requests().len(), asked, "nothing is asked");

    let mira = office.hq.owner();
    let page = mira.get("/w/marlow-cargo/pause").await;
    assert!(page.text.contains("crashed several times"), "{}", page.text);
    assert!(page.text.contains("by Ada was running 2 times"), "{}", page.text);
    let list = mira.get("/w/marlow-cargo/runs").await;
    assert!(list.text.contains("HQ stopped unexpectedly several times"), "{}", list.text);
    let told = office.hq.api().await.get("/api/v1/pause").await.json();
    assert_eq!((&told["cause"], &told["suspects"]), (&json!("crashes"), &json!(["R-1"])), "{told}");

    office.model.push(Turn::text("Here again."));
    mira.form("/w/marlow-cargo/resume", &[]).await;
    let run = office.ended(run).await;
    assert_eq!((run.summary.as_str(), run.crashes), ("Here again.", 0));
    // After a regular stop, or long after crashes, work is not halted.
    office.hq.stop().await;
    crashed(&office, &[4_000, 3_000, 30, 20]);
    office.hq.start_again().await;
    office.model.push(Turn::text("Still here."));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Still here.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_the_program_before_it_begins_is_given_up() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    // Only this test resumes the run.
    office.act(move |tx| agents::pause(tx, id)).await;
    let run = office.say(&ada, "A very long story").await;
    for crashes in 1..=2 {
        office.act(move |tx| runs::take_up(tx, run)).await;
        office.hq.restart().await;
        let left = office.taken_up_after(run, crashes).await;
        assert_eq!((left.state, left.crashes), (RunState::Queued, crashes));
        assert!(!left.is_taken_up() && left.started_at.is_none());
    }
    // A run that was released again was not the cause.
    office.act(move |tx| runs::take_up(tx, run)).await;
    office.act(move |tx| runs::put_down(tx, run)).await;
    office.hq.restart().await;
    assert_eq!(office.get::<Run>(run).crashes, 2);
    office.act(move |tx| runs::take_up(tx, run)).await;
    office.hq.restart().await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::CrashLoop));
    // The message stays in the conversation, no further run starts for it, and a person may continue it.
    assert_eq!(office.all::<Run>().len(), 1);
    let said = office.all::<Input>().remove(0);
    assert_eq!(said.state, InputState::Consumed(run));
    let told = office.hq.api().await.get("/api/v1/runs/R-1").await.json();
    assert_eq!(told["goes_on"], "Resume", "{told}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_may_have_ended_the_program_are_tried_one_by_one() {
    let mut office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let mut runs = Vec::new();
    let before = Gate::new();
    for agent in [&ada, &otto] {
        office.model.push(Turn::text("Never heard.").behind(&before));
        let run = office.say(agent, "Hello?").await;
        office.in_state(run, RunState::Running).await;
        crashed_with(&office, run, 2).await;
        runs.push(run);
    }
    office.model.asked(2).await;
    office.hq.stop().await;
    let gate = Gate::new();
    office.model.push(Turn::text("It was not me.").behind(&gate));
    office.hq.start_again().await;
    gate.reached().await;
    assert_eq!(office.get::<Run>(runs[0]).state, RunState::Running);
    office.hq.advance(Duration::from_secs(70)).await;
    assert_eq!(office.get::<Run>(runs[1]).state, RunState::Queued, "it waits for its turn");
    office.model.push(Turn::text("Nor me."));
    gate.open();
    for (run, words) in runs.into_iter().zip(["It was not me.", "Nor me."]) {
        let run = office.ended(run).await;
        assert_eq!((run.summary.as_str(), run.crashes), (words, 0));
    }
    before.open();
    office.hq.finish().await;
}
