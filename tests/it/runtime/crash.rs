//! `kill -9` of the real program during runs, at critical and random moments: each run continues by itself, and nothing
//! in the workspace is done twice or lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::comments::model::Comment;
use features::jobs::model::{Job, JobOutcome};
use features::runs::model::{CallStatus, EventKind, Run};
use features::tasks::model::Task;
use features::usage::model::{Reservation, Usage};
use kernel::id::SystemIds;
use kernel::time::SystemClock;
use kernel::{Actor, Cause, Clock as _, ItemState, Outcome, Part, RunState};
use serde_json::json;
use store::{NoFaults, Options, Store};

use support::model::{Gate, Turn};
use support::office::Office;
use support::program::Program;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");

/// An office whose agent has a task waiting for the real program.
pub(crate) struct Stage {
    pub office: Office,
    pub ada: Agent,
    pub task: Task,
}

impl Stage {
    pub async fn set() -> Self {
        Self::set_for("Compare two offers").await
    }

    /// With a task of this title.
    pub async fn set_for(title: &str) -> Self {
        Self::set_in(Office::open().await, title).await
    }

    /// In this office.
    pub async fn set_in(office: Office, title: &str) -> Self {
        office.settings(|settings| settings.exec_without_jail = true).await;
        let ada = office.agent_with("Ada", |new| new.exec = true).await;
        Self::set_with(office, ada, title).await
    }

    /// In this office, with this agent.
    pub async fn set_with(mut office: Office, ada: Agent, title: &str) -> Self {
        // Paused, so that nothing starts here; resumed while no program runs.
        let id = ada.id;
        office.act(move |tx| agents::pause(tx, id)).await;
        let task = office.task(title, &ada).await;
        office.hq.stop().await;
        let store = Store::open(Options {
            path: office.hq.data().join("workspaces/marlow-cargo/hq.redb"),
            schema: server::schema::workspace(),
            cache: 4 << 20,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
            reactor: None,
            faults: Arc::new(NoFaults),
        })
        .expect("the server has let go of it");
        let by = (Actor::System(Part::Setup), Cause::Setup);
        let resumed = store.write(by.0, by.1, move |tx| agents::resume(tx, id)).await;
        resumed.expect("it was paused");
        store.close();
        Self { office, ada, task }
    }

    pub fn start(&self) -> Program {
        Program::start(Path::new(BINARY), &self.office.hq.data())
    }

    pub fn file(&self, path: &str) -> PathBuf {
        let folder = self.office.hq.data().join("workspaces/marlow-cargo/agents");
        folder.join(&self.ada.slug).join("files").join(path)
    }

    /// Restarts the server in this process after the kills; the run has ended.
    pub async fn look(&mut self) -> Run {
        self.office.hq.start_again().await;
        self.office.worked(self.task.id, 1).await
    }
}

pub(crate) async fn there(path: &Path) {
    until(path, true).await;
}

async fn gone(path: &Path) {
    until(path, false).await;
}

/// Polls, since there are no external events; each check reads one file.
async fn until(path: &Path, is_there: bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let seen = async {
        while path.exists() != is_there {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the file comes or goes");
}

/// Two files that are written together or not at all.
const PATCH: &str =
    "*** Begin Patch\n*** Add File: a.md\n+one\n*** Add File: b/c.md\n+two\n*** End Patch";

fn script() -> Vec<Turn> {
    vec![
        Turn::call("task_create", json!({ "title": "Made by the run" })),
        Turn::call("write", json!({ "path": "notes.md", "content": "first\n" })),
        Turn::call("comment_add", json!({ "body": "Half way." }))
            .and_call("edit", json!({ "path": "notes.md", "old": "first", "new": "second" })),
        Turn::call("apply_patch", json!({ "input": PATCH })),
        Turn::call("exec", json!({ "command": "echo line >> log.txt" })),
        Turn::call(
            "deliverable_submit",
            json!({ "kind": "text", "title": "Offers", "body": "A." }),
        )
        .and_call("work_done", json!({ "summary": "Done.", "task_state": "in_review" })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_kills_at_random_moments() {
    for seed in 0..6_u64 {
        let mut stage = Stage::set().await;
        stage.office.model.follow(script());
        // A third kill before a completed step would end the run for crashing the program, and a slow machine completes
        // none in time.
        for kill in 0..2_u64 {
            let asked = stage.office.model.requests().len();
            let program = stage.start();
            // The time of the kill is the point of this test: from the first call on, up to a tenth of a second.
            let moment =
                tokio::time::timeout(Duration::from_secs(2), stage.office.model.asked(asked + 1));
            if moment.await.is_ok() {
                let micros = (seed * 37 + kill * 61) % 100 * 1_000;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            program.kill();
        }
        let run = stage.look().await;
        assert_eq!(run.outcome, Some(Outcome::Done), "seed {seed}");
        let office = &stage.office;
        let mut tasks = office.all::<Task>();
        tasks.sort_by_key(|task| task.number);
        let titles: Vec<String> = tasks.into_iter().map(|task| task.title).collect();
        assert_eq!(titles, ["Compare two offers", "Made by the run"], "seed {seed}");
        assert_eq!(office.all::<Comment>().len(), 1, "seed {seed}");
        let pieces = office.delivered(stage.task.id);
        assert_eq!((pieces.len(), pieces[0].versions), (1, 1), "seed {seed}");
        assert_eq!(office.file(&stage.ada, "notes.md").as_deref(), Some("second\n"), "seed {seed}");
        for (path, text) in [("a.md", "one\n"), ("b/c.md", "two\n")] {
            assert_eq!(office.file(&stage.ada, path).as_deref(), Some(text), "seed {seed}");
        }
        // A program never runs twice: its line is there once, or the model was told that the outcome is unknown.
        let lines = office.file(&stage.ada, "log.txt").map_or(0, |text| text.lines().count());
        let unknown = office.events(run.id).iter().any(|kind| {
            matches!(kind, EventKind::ToolFinished { status: CallStatus::Unknown, .. })
        });
        assert!(lines == 1 || (lines == 0 && unknown), "seed {seed}: {lines} {unknown}");
        // Each call has one end, each model call is booked once, and no reservation stays permanently.
        let mut calls = std::collections::BTreeMap::<String, usize>::new();
        for kind in office.events(run.id) {
            if let EventKind::ToolFinished { call_id, .. } = kind {
                *calls.entry(call_id).or_default() += 1;
            }
        }
        assert_eq!(calls.len(), 8, "seed {seed}: {calls:?}");
        assert!(calls.values().all(|count| *count == 1), "seed {seed}: {calls:?}");
        let started = office
            .events(run.id)
            .into_iter()
            .filter(|kind| matches!(kind, EventKind::CallStarted { .. }));
        assert_eq!(office.all::<Usage>().len(), started.count(), "seed {seed}");
        assert!(office.all::<Reservation>().iter().all(|held| held.release_at.is_some()));
        stage.office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_was_running_is_ended_and_never_run_again() {
    let mut stage = Stage::set().await;
    let command = "echo once >> log.txt; echo so far; touch begun; sleep 31415 & sleep 31415";
    stage.office.model.follow(vec![
        Turn::call("exec", json!({ "command": command })),
        Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })),
    ]);
    let program = stage.start();
    there(&stage.file("begun")).await;
    program.kill();
    let run = stage.look().await;
    assert_eq!((run.outcome.clone(), run.attempt), (Some(Outcome::Done), 2));
    let office = &stage.office;
    let (status, text) = office
        .events(run.id)
        .into_iter()
        .find_map(|kind| match kind {
            EventKind::ToolFinished { name, status, result, .. } if name == "exec" => {
                Some((status, result.head().to_owned()))
            }
            _ => None,
        })
        .expect("a result");
    assert_eq!(status, CallStatus::Unknown);
    assert!(text.contains("may or may not have happened") && text.contains("so far"), "{text}");
    assert_eq!(office.file(&stage.ada, "log.txt").as_deref(), Some("once\n"));
    let sleeping = std::fs::read_dir("/proc").expect("processes").flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|part| part == b"31415")
    });
    assert_eq!(sleeping.count(), 0, "nothing of it is left");
    // Its changes are in the branch although its end was lost.
    let branch = git::Branch::agent(&stage.ada.slug).expect("a branch");
    let at = git::history::At::Branch(branch);
    let kept = office.ws().repo().expect("a repository").read_file(&at, "log.txt");
    assert!(kept.expect("readable").is_some());
    assert_eq!(jobs(&stage), 0, "what it had written is in the result");
    stage.office.hq.finish().await;
}

/// Number of job folders.
fn jobs(stage: &Stage) -> usize {
    std::fs::read_dir(stage.office.ws().jobs_folder()).expect("a folder").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_hq_each_time_is_given_up_after_three_crashes() {
    let mut stage = Stage::set().await;
    let script = (1..=4).map(|n| {
        let command = format!("touch begun-{n}; sleep 31416");
        Turn::call("exec", json!({ "command": command }))
    });
    stage.office.model.follow(script.collect());
    for n in 1..=3 {
        let program = stage.start();
        there(&stage.file(&format!("begun-{n}"))).await;
        program.kill();
    }
    let run = stage.look().await;
    assert_eq!((run.outcome, run.state), (Some(Outcome::CrashLoop), RunState::Ended));
    assert_eq!(stage.office.model.requests().len(), 3, "nothing was asked a fourth time");
    gone(&stage.office.ws().jobs_folder().join(format!("{}-3", run.id))).await;
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_step_that_is_cut_off_with_hq_is_no_crash_of_its_run() {
    let mut stage = Stage::set().await;
    let mut script: Vec<Turn> = (1..=4)
        .map(|n| Turn::call("exec", json!({ "command": format!("touch begun-{n}; sleep 31416") })))
        .collect();
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    script.push(Turn::call("work_done", done));
    stage.office.model.follow(script);
    let alive = stage.office.hq.data().join("workspaces/marlow-cargo/alive");
    for n in 1..=4 {
        let program = stage.start();
        there(&stage.file(&format!("begun-{n}"))).await;
        there(&alive).await;
        program.kill();
        // Simulates a longer running time.
        let later = SystemClock.now().as_millisecond() + 120_000;
        std::fs::write(&alive, later.to_string()).expect("the sign of life");
    }
    let run = stage.look().await;
    assert_eq!((run.outcome, run.crashes), (Some(Outcome::Done), 0));
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_cut_off_is_made_again_and_booked_as_estimated() {
    let mut stage = Stage::set().await;
    let gate = Gate::new();
    stage.office.model.push(Turn::text("I was about to say").pausing(4, &gate));
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    stage.office.model.follow(vec![Turn::call("work_done", done)]);
    let program = stage.start();
    gate.reached().await;
    program.kill();
    gate.open();
    let run = stage.look().await;
    assert_eq!((run.outcome.clone(), run.calls, run.attempt), (Some(Outcome::Done), 2, 2));
    let usage = stage.office.usage(run.id);
    assert_eq!(usage.iter().map(|one| one.estimated).collect::<Vec<_>>(), [true, false]);
    let words = format!("{:?}", stage.office.model.last().body["messages"]);
    assert!(!words.contains("about to say"), "what was never whole is not told: {words}");
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_never_gets_further_is_given_up_after_three_crashes() {
    let mut stage = Stage::set().await;
    stage.office.model.usually(Turn::silence());
    for kill in 1..=3 {
        let program = stage.start();
        stage.office.model.asked(kill).await;
        program.kill();
    }
    let run = stage.look().await;
    assert_eq!((run.outcome, run.state), (Some(Outcome::CrashLoop), RunState::Ended));
    let item = stage.office.items(stage.ada.id).pop().expect("an item");
    assert_eq!((item.state, item.last_error.as_deref()), (ItemState::Failed, Some("crash_loop")));
    assert_eq!(stage.office.model.requests().len(), 3, "nothing was asked a fourth time");
    assert!(stage.office.all::<Reservation>().iter().all(|held| held.release_at.is_some()));
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_left_running_is_lost_with_hq_and_its_session_hears_of_it() {
    let mut stage = Stage::set().await;
    let command = "echo so far; touch begun; sleep 31417";
    stage.office.model.follow(vec![
        Turn::call("exec", json!({ "command": command, "background": true })),
        Turn::silence(),
    ]);
    let program = stage.start();
    there(&stage.file("begun")).await;
    stage.office.model.asked(2).await;
    program.kill();
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    stage.office.model.follow(vec![
        Turn::call("exec", json!({ "command": command })),
        Turn::call("work_done", done.clone()),
        Turn::call("work_done", done),
    ]);
    let run = stage.look().await;
    assert_eq!((run.outcome.clone(), run.attempt), (Some(Outcome::Done), 2));
    let office = &stage.office;
    let job = office.all::<Job>().pop().expect("its record");
    assert_eq!(job.outcome, Some(JobOutcome::Lost));
    assert_eq!(job.tail, "so far\n");
    assert!(office.model.last().text().contains("[Program 1 has ended after"), "it was told");
    let sleeping = std::fs::read_dir("/proc").expect("processes").flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|part| part == b"31417")
    });
    assert_eq!(sleeping.count(), 0, "nothing of it is left");
    assert_eq!(jobs(&stage), 0, "what it had written is kept in a blob");
    stage.office.hq.finish().await;
}
