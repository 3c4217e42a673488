//! Background programs of agents: output, input, end, loss, and how people see them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use features::agents::model::Agent;
use features::connections::model::Wire;
use features::jobs::model::{Job, JobOutcome};
use features::runs::model::{EventKind, Input, InputState};
use features::workspace::model::Member;
use kernel::{Outcome, Role, RunState};
use serde_json::{Value, json};
use store::{Faults, Range, ReadExt as _};

use super::crash::there;
use support::hq::{Person, Setup};
use support::model::{Gate, Turn};
use support::office::{KEY, Office};

/// Longest wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

async fn office() -> (Office, Agent) {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    (office, ada)
}

/// Waits until the newest job matches.
async fn job(office: &Office, is: impl Fn(&Job) -> bool) -> Job {
    office
        .until("a job", |snap| {
            let jobs: Vec<Job> = snap.list(&Range::all())?;
            Ok(jobs.into_iter().max_by_key(|job| job.number).filter(|job| is(job)))
        })
        .await
}

/// Waits until a conversation has received this message and has answered it.
async fn told(office: &Office, words: &str) -> Input {
    let (input, run) = office
        .until("the word of its end", |snap| {
            let inputs: Vec<Input> = snap.list(&Range::all())?;
            Ok(inputs.into_iter().find_map(|input| match input.state {
                InputState::Consumed(run) if input.text.contains(words) => Some((input, run)),
                _ => None,
            }))
        })
        .await;
    office.ended(run).await;
    input
}

fn output(office: &Office, job: &Job) -> String {
    let kept = job.output.as_ref().expect("it wrote something");
    let bytes = office.ws().blobs.get(kept.id, 1 << 30).expect("it is kept");
    assert_eq!(bytes.len() as u64, kept.len);
    String::from_utf8(bytes).expect("text")
}

/// Number of processes with this word in their command line.
fn processes_of(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    all.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|part| part == word.as_bytes())
    })
    .count()
}

async fn gone(word: &str) {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + PATIENCE;
    while processes_of(word) > 0 {
        assert!(Instant::now() < end, "the program lives");
        tick.tick().await;
    }
}

/// Waits until a program's output contains these words; returns the job's view.
async fn wrote(api: &Person, job: u32, words: &str) -> Value {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + PATIENCE;
    loop {
        let told = api.get(&format!("/api/v1/jobs/{job}/output")).await.json();
        if told["text"].as_str().is_some_and(|text| !text.is_empty() && text.contains(words)) {
            return told;
        }
        assert!(Instant::now() < end, "{told}");
        tick.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_left_running_is_followed_written_to_and_its_end_is_told() {
    let (office, ada) = office().await;
    let command = "echo ready; while read line; do echo got $line; done; echo over";
    office.model.push(Turn::call("exec", json!({ "command": command, "background": true })));
    office.model.push(Turn::call("process", json!({ "action": "list" })));
    let write = json!({ "action": "write", "id": 1, "data": "hello\n" });
    office.model.push(Turn::call("process", write));
    office.model.push(Turn::call("process", json!({ "action": "poll", "id": 1 })));
    office.model.push(Turn::call("process", json!({ "action": "write", "id": 1, "eof": true })));
    office.model.usually(Turn::text("Done."));
    let run = office.say(&ada, "Talk to it").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.starts_with("[running as program 1;"), "{results:?}");
    // The running time is real time.
    let listed = &results[1].2;
    assert!(listed.starts_with("1: running, ") && listed.contains(" s: echo ready"), "{listed}");
    assert_eq!(results[2].2, "written, 6 bytes");
    assert!(results[3].1 && results[3].2.starts_with("[running]\n"), "{results:?}");
    let ended = job(&office, |job| !job.is_running()).await;
    assert_eq!((ended.outcome.clone(), ended.number), (Some(JobOutcome::Exited(0)), 1));
    assert_eq!(output(&office, &ended), "ready\ngot hello\nover\n");
    // Whether a run is active or not, the conversation is notified once.
    let told = told(&office, "[Program 1 has ended after").await;
    assert!(told.text.contains("exit code 0") && told.text.contains("over"), "{}", told.text);
    assert!(office.model.last().text().contains("[Program 1 has ended after"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_its_program_ends_the_wait_of_a_run() {
    let (office, ada) = office().await;
    let command = "while [ ! -e go ]; do sleep 0.05; done; echo over";
    office.model.push(Turn::call("exec", json!({ "command": command, "background": true })));
    let wait = json!({ "minutes": 90, "reason": "the program" });
    office.model.push(Turn::call("wait_until", wait)).push(Turn::text("It is over."));
    let run = office.say(&ada, "Wait for it").await;
    office.in_state(run, RunState::Waiting).await;
    std::fs::write(office.ws().agent_folder(&ada.slug).join("go"), "").expect("a file");
    assert_eq!(office.ended(run).await.summary, "It is over.");
    assert_eq!(office.results(run)[1].2, "One of your programs has ended.");
    assert!(office.model.last().text().contains("[Program 1 has ended after"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_told_of_the_line_that_it_waits_for() {
    let (office, ada) = office().await;
    let command = "echo starting; while read line; do echo \"level: $line\"; done; sleep 4733";
    office.model.push(Turn::call("exec", json!({ "command": command, "background": true })));
    let wrong = json!({ "action": "watch", "id": 1, "pattern": "(" });
    let watch = json!({ "action": "watch", "id": 1, "pattern": "level: (high|low)" });
    office.model.push(Turn::call("process", wrong).and_call("process", watch));
    let write = json!({ "action": "write", "id": 1, "data": "fine\nhigh\nlow\n" });
    office.model.push(Turn::call("process", write));
    office.model.usually(Turn::text("I wait for it."));
    let run = office.say(&ada, "Watch it").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(!results[1].1 && results[1].2.contains("invalid_args"), "{results:?}");
    assert!(results[2].1, "{results:?}");
    let told = told(&office, "[Program 1 wrote: ").await;
    assert_eq!(told.text, "[Program 1 wrote: level: high]", "the first that fits, and it alone");
    let kill = json!({ "action": "kill", "id": 1 });
    office.model.push(Turn::call("process", kill)).push(Turn::text("It is ended."));
    let run = office.say(&ada, "End it").await;
    office.ended(run).await;
    job(&office, |job| !job.is_running()).await;
    gone("4733").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_takes_long_goes_on_as_a_job_and_ends_with_its_stopped_run() {
    let (office, ada) = office().await;
    let command = "echo begun; sleep 4721";
    // Long enough for a slow machine to start a shell.
    office.model.push(Turn::call("exec", json!({ "command": command, "yieldMs": 3_000 })));
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Wait for it").await;
    office.model.asked(2).await;
    let results = office.results(run);
    assert!(results[0].1 && results[0].2.ends_with("begun\n"), "{results:?}");
    let write = job(&office, |job| job.is_running()).await;
    assert_eq!((write.run, write.command.as_str()), (run, command));
    office.stop(run).await;
    office.ended(run).await;
    let ended = job(&office, |job| !job.is_running()).await;
    assert_eq!(ended.outcome, Some(JobOutcome::Stopped));
    assert_eq!(output(&office, &ended), "begun\n");
    gone("4721").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ninth_program_is_refused_and_ended_and_each_has_its_time() {
    let (office, ada) = office().await;
    let exec = |command: &str| json!({ "command": command, "background": true });
    let turn =
        (0..9).fold(Turn::text("Many."), |turn, _| turn.and_call("exec", exec("exec sleep 4722")));
    office.model.push(turn);
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Start many").await;
    office.model.asked(2).await;
    // The ends of these programs start runs of their own.
    office.model.usually(Turn::text("Done."));
    let results = office.results(run);
    assert!(results[..8].iter().all(|(_, ok, _)| *ok), "{results:?}");
    assert!(results[8].2.starts_with("Error(unavailable): 8 of your programs are already running"));
    assert!(processes_of("4722") <= 9);
    office.stop(run).await;
    office.ended(run).await;
    gone("4722").await;
    // A program counts until its end is recorded.
    office
        .until("an end of each", |snap| {
            let jobs: Vec<Job> = snap.list(&Range::all())?;
            Ok(jobs.iter().all(|job| !job.is_running()).then_some(()))
        })
        .await;
    let limited = json!({ "command": "sleep 4723", "background": true, "timeoutSeconds": 4 });
    let mut results;
    // Ends of the others are delivered meanwhile, and messages precede a call.
    for _ in 0..9 {
        office.model.push(Turn::call("exec", limited.clone()));
        let run = office.say(&ada, "One with a limit").await;
        office.ended(run).await;
        results = office.results(run);
        if !results.iter().any(|(_, _, text)| text.starts_with("Skipped")) {
            break;
        }
    }
    let ended = job(&office, |job| job.number > 8 && !job.is_running()).await;
    assert_eq!(ended.outcome, Some(JobOutcome::TimedOut));
    gone("4723").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_lost_with_the_program_and_what_it_wrote_is_not() {
    let (mut office, ada) = office().await;
    let command = "echo before; touch begun; sleep 4724";
    office.model.push(Turn::call("exec", json!({ "command": command, "yieldMs": 500 })));
    office.model.usually(Turn::text("Done."));
    let run = office.say(&ada, "Leave it").await;
    office.ended(run).await;
    there(&office.ws().agent_folder(&ada.slug).join("begun")).await;
    office.hq.restart().await;
    let lost = job(&office, |job| !job.is_running()).await;
    assert_eq!(lost.outcome, Some(JobOutcome::Lost));
    assert_eq!(output(&office, &lost), "before\n");
    gone("4724").await;
    told(&office, "lost: HQ or its machine stopped").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_what_a_job_writes_and_stop_it_by_page_and_api() {
    let (office, ada) = office().await;
    // A secret in the output of a program is masked everywhere.
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::write(folder.join("key.txt"), KEY).expect("a file");
    let exec =
        |word: &str| json!({ "command": format!("cat key.txt; sleep {word}"), "yieldMs": 300 });
    let gate = Gate::new();
    office.model.push(Turn::call("exec", exec("4725")).and_call("exec", exec("4726")));
    office.model.push(Turn::text("Both run.").pausing(0, &gate));
    office.model.usually(Turn::text("I see."));
    let run = office.say(&ada, "Run two").await;
    gate.reached().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let list = owner.get("/w/marlow-cargo/jobs").await;
    assert_eq!(list.texts("#jobs .row .title").len(), 2, "{}", list.text);
    assert!(list.text.contains("cat key.txt; sleep 4726"), "{}", list.text);
    let going = list.texts("#jobs-now .line .title");
    assert_eq!(going.len(), 2, "{}", list.text);
    assert!(!list.text.contains(KEY), "{}", list.text);
    let none = owner.get("/w/marlow-cargo/jobs?kind=subagent").await;
    assert!(none.text_of("#jobs-now").contains("Nothing is running"), "{}", none.text);
    let now = api.get("/api/v1/jobs/now").await.json();
    // The order of their starts is random.
    let items = now["items"].as_array().expect("a list");
    let mut told: Vec<_> = items.iter().map(|item| (&item["kind"], item["job"].as_u64())).collect();
    told.sort_by_key(|(_, job)| *job);
    assert_eq!(told, [(&json!("program"), Some(1)), (&json!("program"), Some(2))]);
    let page = owner.get("/w/marlow-cargo/jobs/2").await;
    assert!(page.text_of("h1").contains("Program 2"), "{}", page.text);
    assert!(!page.text.contains(KEY), "{}", page.text);
    assert!(page.text.contains("every 1s"), "it follows by itself while it runs");
    wrote(&api, 2, "").await;
    assert_eq!(owner.form("/w/marlow-cargo/jobs/2/stop", &[]).await.status, 303);
    let all = api.get("/api/v1/jobs?limit=1").await.json();
    assert_eq!(all["items"][0]["number"], 2, "{all}");
    assert!(all["next"].is_string(), "{all}");
    let told = wrote(&api, 1, "").await;
    assert!(told["text"].as_str().is_some_and(|text| !text.contains(KEY)), "{told}");
    assert_eq!(told["next"], KEY.len() as u64);
    assert_eq!(api.call("POST", "/api/v1/jobs/1/stop").await.status, 200);
    assert_eq!(api.get("/api/v1/jobs/99").await.status, 404);
    for number in [1, 2] {
        let ended = office
            .until("its end", |snap| {
                let jobs: Vec<Job> = snap.list(&Range::all())?;
                Ok(jobs.into_iter().find(|job| job.number == number && !job.is_running()))
            })
            .await;
        assert_eq!(ended.outcome, Some(JobOutcome::Stopped));
        assert!(!output(&office, &ended).contains(KEY));
    }
    let again = api.call("POST", "/api/v1/jobs/1/stop").await;
    assert_eq!(again.status, 409);
    assert_eq!(again.json()["code"], "job_ended");
    gate.open();
    office.ended(run).await;
    let ended = owner.get("/w/marlow-cargo/jobs/1").await;
    assert!(ended.text.contains("Stopped") && !ended.text.contains("every 1s"), "{}", ended.text);
    gone("4725").await;
    gone("4726").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_types_what_a_program_reads() {
    let (office, ada) = office().await;
    let command = "while read line; do echo got $line; done; echo over; sleep 4727";
    office.model.push(Turn::call("exec", json!({ "command": command, "background": true })));
    let deaf = json!({ "command": "sleep 4728", "yieldMs": 300 });
    office.model.push(Turn::call("exec", deaf));
    office.model.usually(Turn::text("They run."));
    let run = office.say(&ada, "Run two").await;
    office.ended(run).await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    // Input by page, as a line; a double submission is written once.
    let path = "/w/marlow-cargo/jobs/1";
    let page = owner.get(path).await;
    let key = page.attr("#job-line input[name=key]", "value");
    for _ in 0..2 {
        let sent = owner.form(&format!("{path}/input"), &[("line", "vans"), ("key", &key)]).await;
        assert_eq!(sent.location(), Some(path), "{}", sent.text);
    }
    // Input by API, unchanged.
    let input = "/api/v1/jobs/1/input";
    let sent = api.post(input, &json!({ "text": "red\nblue\n" })).await;
    assert_eq!((sent.status.as_u16(), sent.json()["written"].as_u64()), (200, Some(9)));
    wrote(&api, 1, "got vans\ngot red\ngot blue\n").await;
    let empty = api.post(input, &json!({ "text": "" })).await;
    assert_eq!((empty.status.as_u16(), &empty.json()["code"]), (422, &json!("no_input")));
    let long = api.post(input, &json!({ "text": "x".repeat(70_000) })).await;
    assert_eq!((long.status.as_u16(), &long.json()["code"]), (413, &json!("too_large")));
    // The audit has who wrote, and how much.
    let told = owner.get("/w/marlow-cargo/activity").await;
    assert!(told.text.contains("sent input to a program in"), "{}", told.text);
    // A program that does not read input has no input form, and says so.
    let deaf = owner.get("/w/marlow-cargo/jobs/2").await;
    assert!(deaf.texts("#job-line form").is_empty(), "{}", deaf.text);
    let refused = api.post("/api/v1/jobs/2/input", &json!({ "text": "a\n" })).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (409, &json!("job_reads_nothing"))
    );
    // End of its input.
    let ended = owner.form(&format!("{path}/input"), &[("end", "1")]).await;
    assert_eq!(ended.location(), Some(path), "{}", ended.text);
    wrote(&api, 1, "over").await;
    assert!(owner.get(path).await.texts("#job-line form").is_empty(), "it reads nothing more");
    // After its end, typed input is not lost.
    owner.form(&format!("{path}/stop"), &[]).await;
    office
        .until("its end", |snap| {
            let jobs: Vec<Job> = snap.list(&Range::all())?;
            Ok(jobs.into_iter().find(|job| job.number == 1 && !job.is_running()))
        })
        .await;
    let late = owner.form(&format!("{path}/input"), &[("line", "too late")]).await;
    assert_eq!(late.status.as_u16(), 409);
    let words = late.text_of("#job-line");
    let ended = words.contains("Program 1 has already ended.");
    assert!(ended && words.contains("too late"), "{words}");
    owner.form("/w/marlow-cargo/jobs/2/stop", &[]).await;
    gone("4727").await;
    gone("4728").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_the_background_is_cut_and_what_another_agent_runs_stays_its_own() {
    let (office, ada) = office().await;
    let bob = office.agent_with("Bob", |new| new.exec = true).await;
    let flood = json!({ "command": "sleep 1; yes flood", "background": true });
    office.model.push(Turn::call("exec", flood));
    office.model.usually(Turn::text("Done."));
    let run = office.say(&ada, "Flood it").await;
    office.ended(run).await;
    // Its descendants may outlive it for a moment.
    let ended = job(&office, |job| !job.goes_on()).await;
    assert_eq!(ended.outcome, Some(JobOutcome::TooMuchOutput));
    assert!(output(&office, &ended).len() <= 17 << 20);
    told(&office, "ended: too much output").await;
    office.model.push(Turn::call("process", json!({ "action": "log", "id": 1 })));
    let run = office.say(&bob, "Read what Ada runs").await;
    office.ended(run).await;
    let told = office.results(run).remove(0);
    assert!(!told.1 && told.2.contains("Error(not_found): you have no program 1"), "{}", told.2);
    office.model.push(
        Turn::call("process", json!({ "action": "log", "id": 1, "limit": 2 }))
            .and_call("process", json!({ "action": "log", "id": 1, "offset": 900_000, "limit": 1 }))
            .and_call("process", json!({ "action": "clear", "id": 1 }))
            .and_call("process", json!({ "action": "list" }))
            .and_call("process", json!({ "action": "kill", "id": 1 })),
    );
    let run = office.say(&ada, "Tidy up").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[0].2.starts_with("flood\nflo"), "{}", results[0].2);
    assert!(results[1].2.starts_with("flood\n[lines 900000 to 900000 of "), "{}", results[1].2);
    assert_eq!(results[3].2, "no programs");
    assert!(!results[4].1 && results[4].2.contains("program 1 has already ended"), "{results:?}");
    // The folder is removed after the row with the end.
    let folders = || std::fs::read_dir(office.ws().jobs_folder()).map_or(0, Iterator::count);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + PATIENCE;
    while folders() > 0 {
        assert!(Instant::now() < end, "what is kept lies in a blob");
        tick.tick().await;
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_says_where_a_program_runs_and_what_it_knows() {
    let (office, ada) = office().await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::create_dir_all(folder.join("sub")).expect("a folder");
    let exec = |more: Value| {
        let mut call = json!({ "command": "basename $PWD; echo $WORD" });
        for (name, value) in more.as_object().expect("an object") {
            call[name] = value.clone();
        }
        call
    };
    office.model.push(
        Turn::call("exec", exec(json!({ "workdir": "sub", "env": { "WORD": "yes" } })))
            .and_call("exec", exec(json!({ "workdir": "../.." })))
            .and_call("exec", exec(json!({ "cwd": "none" })))
            .and_call("exec", exec(json!({ "env": { "PATH": "/tmp" } })))
            .and_call("exec", exec(json!({ "env": { "LD_PRELOAD": "x.so" } })))
            .and_call("exec", exec(json!({ "pty": true }))),
    );
    // Invalid commands give an error, and the run continues.
    office.model.push(
        Turn::call("exec", json!({ "command": "echo \0" }))
            .and_call("exec", json!({ "command": format!("echo {}", "x".repeat(120 * 1024)) })),
    );
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Run it").await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results[0].2, "[exit code 0]\nsub\nyes\n");
    assert!(results[1].2.contains("Error(denied)"), "{}", results[1].2);
    assert!(results[1].2.contains("; programs run in /"), "{}", results[1].2);
    assert!(results[2].2.contains("there is no folder none in your folder /"), "{}", results[2].2);
    assert!(results[3].2.contains("you can't set the variable PATH"), "{}", results[3].2);
    assert!(results[4].2.contains("LD_PRELOAD"), "{}", results[4].2);
    assert!(results[5].2.contains("unknown argument \"pty\""), "{}", results[5].2);
    let begun = office
        .events(run)
        .into_iter()
        .filter(|kind| matches!(kind, EventKind::ToolFinished { name, .. } if name == "exec"));
    assert_eq!(begun.count(), 8);
    assert!(results[6].2.contains("Error(invalid_args): command: contains a zero byte"));
    assert!(results[7].2.contains("Error(too_large)"), "{}", results[7].2);
    office.hq.finish().await;
}

/// A disk that a test fills, with a count of rejected writes.
#[derive(Default)]
struct Disk {
    is_full: AtomicBool,
    refused: AtomicUsize,
}

impl Faults for Disk {
    fn free_space(&self, _: &Path) -> std::io::Result<u64> {
        if !self.is_full.load(Ordering::SeqCst) {
            return Ok(50 << 30);
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Ok(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_wrote_outlasts_a_disk_that_is_full_when_it_ends() {
    let disk = Arc::new(Disk::default());
    let setup = Setup::default().faults(Arc::clone(&disk) as Arc<dyn Faults>);
    let office = Office::with(setup, Wire::OpenaiChat, "mock").await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let command = "until test -e go; do sleep 0.05; done; echo kept; sleep 0.4823";
    office.model.push(Turn::call("exec", json!({ "command": command, "background": true })));
    office.model.usually(Turn::text("I see."));
    office.ended(office.say(&ada, "Wait for it").await).await;
    disk.is_full.store(true, Ordering::SeqCst);
    // Free space is checked once per second.
    let by = office.owner();
    let rename = |n: u32| {
        office.try_act(move |tx| {
            let mut member = tx.get::<Member>(by)?.expect("the owner");
            member.handle = format!("mira-{n}");
            tx.put(&member)
        })
    };
    for n in 0.. {
        if rename(n).await.is_err() {
            break;
        }
    }
    std::fs::write(office.ws().agent_folder(&ada.slug).join("go"), "").expect("a file");
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let end = Instant::now() + PATIENCE;
    let begun = disk.refused.load(Ordering::SeqCst);
    while disk.refused.load(Ordering::SeqCst) < begun + 2 {
        assert!(Instant::now() < end, "it is tried again and again");
        tick.tick().await;
    }
    assert!(job(&office, |_| true).await.is_running());
    disk.is_full.store(false, Ordering::SeqCst);
    let ended = job(&office, |job| !job.is_running()).await;
    assert_eq!(ended.outcome, Some(JobOutcome::Exited(0)));
    assert_eq!(output(&office, &ended), "kept\n");
    told(&office, "[Program 1 has ended after").await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hq_itself_does_is_shown_to_those_who_see_to_it() {
    const PAGE: &str = "/w/marlow-cargo/jobs";
    let office = Office::open().await;
    let (app, now) = (office.ws().app.clone(), office.hq.now());
    let held = app.backups.take("a backup", now).expect("nothing else is at work");
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let shown = mira.get(PAGE).await.text_of("#jobs-now");
    assert!(shown.contains("A backup") && shown.contains("Comparing"), "{shown}");
    let told = api.get("/api/v1/jobs/now").await.json();
    assert_eq!((&told["upkeep"][0]["kind"], &told["items"]), (&json!("backups"), &json!([])));
    let vera = office.hq.another("Vera", Some(Role::Viewer)).await;
    let hers = vera.get(PAGE).await.text_of("#jobs-now");
    assert!(hers.contains("Nothing is running: no"), "{hers}");
    drop(held);
    let shown = mira.get(PAGE).await.text_of("#jobs-now");
    assert!(shown.contains("Nothing is running: no"), "{shown}");
    assert_eq!(api.get("/api/v1/jobs/now").await.json()["upkeep"], json!([]));
    office.hq.finish().await;
}
