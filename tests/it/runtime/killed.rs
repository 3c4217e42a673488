//! `kill -9` of the real program while an agent writes memory, fetches a page, waits for a time or uses a background
//! program: reads are repeated, writes happen once.

use std::collections::BTreeMap;
use std::time::Duration;

use features::agents::model::ReachOf;
use features::agents::rules::reach;
use features::runs::model::{CallStatus, EventKind, Run};
use jiff::SignedDuration;
use kernel::time::SystemClock;
use kernel::{Clock as _, Outcome, RunId};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::crash::{Stage, there};
use support::model::Turn;
use support::office::Office;

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// Tools that a run called, with their status and result; each call ends once.
fn ends(office: &Office, run: RunId) -> Vec<(String, CallStatus, String)> {
    let (mut ends, mut calls) = (Vec::new(), BTreeMap::<String, usize>::new());
    for kind in office.events(run) {
        if let EventKind::ToolFinished { call_id, name, status, result, .. } = kind {
            *calls.entry(call_id).or_default() += 1;
            ends.push((name, status, result.head().to_owned()));
        }
    }
    assert!(calls.values().all(|count| *count == 1), "{calls:?}");
    ends
}

fn was_done(run: &Run) {
    assert_eq!(run.outcome, Some(Outcome::Done), "{run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_into_memory_stands_there_once() {
    for seed in 0..3_u64 {
        let mut stage = Stage::set().await;
        stage.office.model.follow(vec![
            Turn::call(
                "memory_append",
                json!({ "text": "The harbour opens at six", "lasting": true }),
            ),
            Turn::call("memory_replace", json!({ "old": "six", "new": "seven" })),
            Turn::call("memory_append", json!({ "text": "The gate is new", "lasting": true })),
            Turn::call("memory_search", json!({ "query": "harbour" })),
            Turn::call("memory_read", json!({ "path": "MEMORY.md" })),
            done(),
        ]);
        for kill in 0..2_u64 {
            let asked = stage.office.model.requests().len();
            let program = stage.start();
            let moment =
                tokio::time::timeout(Duration::from_secs(2), stage.office.model.asked(asked + 1));
            if moment.await.is_ok() {
                let millis = (seed * 23 + kill * 41) % 70;
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            program.kill();
        }
        let run = stage.look().await;
        was_done(&run);
        let ends = ends(&stage.office, run.id);
        let names: Vec<&str> = ends.iter().map(|(name, ..)| name.as_str()).collect();
        let [append, replace] = ["memory_append", "memory_replace"];
        let expected = [append, replace, append, "memory_search", "memory_read", "work_done"];
        assert_eq!(names, expected, "seed {seed}");
        assert!(ends.iter().all(|(_, status, _)| *status == CallStatus::Ok), "{ends:?}");
        assert!(ends[3].2.contains("opens at seven"), "seed {seed}: {}", ends[3].2);
        assert_eq!(
            stage.office.file(&stage.ada, "MEMORY.md").as_deref(),
            Some("# Memory\n\n- The harbour opens at seven\n- The gate is new\n"),
            "seed {seed}"
        );
        stage.office.hq.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_was_being_fetched_is_fetched_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (came, mut visits) = watch::channel(0_usize);
    let site = tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (mut visitor, _) = listener.accept().await.expect("a visitor");
            let mut head = [0; 4_096];
            let read = visitor.read(&mut head).await.expect("a request");
            assert!(head[..read].starts_with(b"GET /times "), "{:?}", &head[..read]);
            came.send_modify(|count| *count += 1);
            if *came.borrow() == 1 {
                // The first connection is never answered.
                silent.push(visitor);
                continue;
            }
            let text = "The harbour opens at six.";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{text}",
                text.len()
            );
            visitor.write_all(answer.as_bytes()).await.expect("it listens");
        }
    });
    let office = Office::open().await;
    let opened = vec![format!("127.0.0.1:{port}")];
    office.act(move |tx| reach::set(tx, ReachOf::Workspace, &opened)).await;
    let mut stage = Stage::set_in(office, "Look up the times").await;
    let fetch = json!({ "url": format!("http://127.0.0.1:{port}/times") });
    stage.office.model.follow(vec![Turn::call("web_fetch", fetch), done()]);
    let program = stage.start();
    visits.wait_for(|count| *count == 1).await.expect("the site lives");
    program.kill();
    let run = stage.look().await;
    was_done(&run);
    let ends = ends(&stage.office, run.id);
    assert_eq!((ends[0].0.as_str(), ends[0].1), ("web_fetch", CallStatus::Ok), "{ends:?}");
    assert!(ends[0].2.contains("The harbour opens at six."), "{}", ends[0].2);
    assert_eq!(*visits.borrow(), 2);
    site.abort();
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_goes_on_after_kills_and_ends_once() {
    let mut stage = Stage::set().await;
    let until = SystemClock.now() + SignedDuration::from_secs(4);
    let wait = json!({ "until": until.to_string(), "reason": "the shop opens" });
    stage.office.model.follow(vec![Turn::call("wait_until", wait), done()]);
    // While the wait begins, and during it.
    for millis in [20, 600] {
        let program = stage.start();
        stage.office.model.asked(1).await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        program.kill();
    }
    let program = stage.start();
    let is_over = async {
        let mut asked = 1;
        loop {
            stage.office.model.asked(asked).await;
            if stage.office.model.requests()[asked - 1].text().contains("It is time.") {
                return;
            }
            asked += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_over).await.expect("the wait ends");
    // A regular stop lets running work end.
    assert!(tokio::task::spawn_blocking(move || program.stop()).await.expect("no panic").success());
    let run = stage.look().await;
    was_done(&run);
    let ends = ends(&stage.office, run.id);
    let waits: Vec<_> = ends.iter().filter(|(name, ..)| name == "wait_until").collect();
    assert_eq!(waits.len(), 1, "{ends:?}");
    assert_eq!((waits[0].1, waits[0].2.as_str()), (CallStatus::Ok, "It is time."));
    stage.office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_was_told_it_is_not_told_twice() {
    let mut stage = Stage::set().await;
    let command = "touch begun; while read line; do echo $line >> log.txt; touch got; done";
    stage.office.model.follow(vec![
        Turn::call("exec", json!({ "command": command, "background": true })),
        Turn::call("process", json!({ "action": "write", "id": 1, "data": "yes\n" })),
        Turn::call("process", json!({ "action": "poll", "id": 1 })),
        done(),
        done(),
    ]);
    let program = stage.start();
    there(&stage.file("got")).await;
    program.kill();
    let run = stage.look().await;
    was_done(&run);
    assert_eq!(stage.office.file(&stage.ada, "log.txt").as_deref(), Some("yes\n"));
    let ends = ends(&stage.office, run.id);
    let written = ends.iter().filter(|(name, ..)| name == "process").collect::<Vec<_>>();
    assert!(!written.is_empty() && written.len() <= 2, "{ends:?}");
    // Either the result was written, or the outcome is unknown.
    assert!(matches!(written[0].1, CallStatus::Ok | CallStatus::Unknown), "{ends:?}");
    stage.office.hq.finish().await;
}
