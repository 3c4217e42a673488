//! Nightly store maintenance: a file with much unused space is compacted while people continue to work.

use std::ops::ControlFlow;
use std::time::Duration;

use features::runs::model::{EventKind, SessionEvent};
use kernel::{Actor, Cause, Part, SessionId, TypedId as _};
use reqwest::StatusCode;
use serde_json::json;
use server::timers;
use store::StoreError;
use store::stats::last_compaction;
use store::verify::verify;

use support::hq::TestHq;

const BY: (Actor, Cause) = (Actor::System(Part::Setup), Cause::Setup);
const FORGETS: (Actor, Cause) = (Actor::System(Part::Timer), Cause::Retention);
const HOUR: Duration = Duration::from_secs(3600);
const MEGABYTE: u64 = 1024 * 1024;

/// Makes a file above the minimum size with almost no live data: many records were written and deleted, except the
/// last, which keeps the file from being truncated there.
async fn waste(hq: &TestHq) {
    const PIECES: u32 = 24;
    const EACH: u32 = 50;
    const KEPT: u32 = 10;
    let (ws, session) = (hq.ws(), SessionId::from_bytes([12; 16]));
    for piece in 0..PIECES {
        let said = ws.write(&BY, move |tx| {
            let text = "x".repeat(240 * 1024);
            for n in piece * EACH..(piece + 1) * EACH {
                let kind = EventKind::Notice { text: text.clone() };
                tx.put(&SessionEvent { session, n, run: None, at: tx.now(), kind })?;
            }
            Ok::<_, StoreError>(())
        });
        said.await.expect("it is kept");
    }
    let gone = ws.write(&FORGETS, move |tx| {
        for n in 0..PIECES * EACH - KEPT {
            tx.delete::<SessionEvent>((session, n))?;
        }
        Ok::<_, StoreError>(())
    });
    gone.await.expect("it is forgotten");
    assert!(256 * MEGABYTE < ws.store.file_size().1, "{:?}", ws.store.file_size());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wasteful_store_is_made_smaller_at_three_at_night_while_people_go_on() {
    let mut hq = TestHq::start().await;
    waste(&hq).await;
    let (ws, mira) = (hq.ws(), hq.owner());
    let size = || ws.store.file_size().1;
    let compacted = || last_compaction(&ws.store).expect("a readable store");
    let large = size();
    let sweep = || timers::sweep(&hq.running().app);

    // 1 p.m. in Berlin, then 2 a.m.
    for hours in [0, 13] {
        hq.advance_unnoticed(HOUR * hours);
        sweep().await;
        assert!(large <= size() && compacted().is_none(), "not in the hours of work");
    }
    hq.advance_unnoticed(HOUR);
    let write = async {
        let mut made = 0;
        while made < 20 {
            let body = json!({ "title": format!("Task {made}") });
            let answer = mira.post("/api/v1/tasks", &body).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
            made += 1;
        }
    };
    tokio::join!(sweep(), write);
    assert!(size() < 64 * MEGABYTE, "{} bytes", size());
    let done = compacted().expect("it is noted");
    assert!(large <= done.before && done.after < 64 * MEGABYTE, "{done:?}");

    // Only once.
    sweep().await;
    assert_eq!(compacted(), Some(done));
    let report = verify(&ws.store, &mut |_| ControlFlow::Continue(())).expect("it can be read");
    assert!(report.is_sound(), "{:#?}", report.faults);
    drop(ws);
    hq.restart().await;
    let list = hq.owner().get("/api/v1/tasks?limit=100").await.json();
    let kept = list["items"].as_array().map(Vec::len);
    assert_eq!(kept, Some(20), "{list}");
    hq.finish().await;
}
