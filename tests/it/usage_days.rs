//! Daily roll-up of model calls by a durable consumer: exactly once, in the workspace's days.

use std::path::Path;
use std::time::Duration;

use features::usage::model::Usage;
use features::usage::model::day::UsageDay;
use kernel::{Actor, AgentId, Cause, Part, Timestamp, TypedId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::consumers;
use store::consumer::{Standing, standing};
use store::doctor::{Diagnosis, diagnose, follow};
use store::{Range, ReadExt as _, Record as _, StoreError};

use support::hq::TestHq;
use support::program::run_json;

const BINARY: &str = env!("CARGO_BIN_EXE_hq");
const PAGE: &str = "/w/marlow-cargo/settings/usage";
const HEALTH: &str = "/w/marlow-cargo/settings/health";

fn now_of(hq: &TestHq) -> Standing {
    let all = consumers::all();
    standing(&hq.ws().store, &**all.named("usage-days").expect("it is registered")).expect("a read")
}

/// Waits until the consumer meets the condition.
async fn until(hq: &TestHq, is: impl Fn(&Standing) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is(&now_of(hq)) {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{:?}", now_of(hq)));
}

/// A call at this time by agent number `n`.
async fn call(hq: &TestHq, at: &str, n: u8, billed: Option<i64>) {
    let at: Timestamp = at.parse().expect("a moment");
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let ws = hq.ws();
    let booked = ws.write(&by, move |tx| {
        tx.put(&Usage {
            id: tx.new_id(),
            agent: Some(AgentId::from_bytes([n; 16])),
            run: None,
            task: None,
            connection: None,
            billed_micros: billed,
            at,
            ..Usage::sample()
        })?;
        Ok::<_, StoreError>(())
    });
    booked.await.expect("a call is booked");
}

fn kept(hq: &TestHq) -> Vec<UsageDay> {
    hq.ws().read(|snap| snap.list::<UsageDay>(&Range::all())).expect("a read")
}

async fn daily(hq: &TestHq, query: &str) -> Value {
    let reply = hq.owner().get(&format!("/api/v1/usage/daily?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

fn looked_at(hq: &TestHq) -> Diagnosis {
    let store = hq.ws().store.clone();
    let mut quiet = |_| std::ops::ControlFlow::Continue(());
    let mut found = diagnose(&store, &mut quiet).expect("a look");
    follow(&store, consumers::all().all(), &mut found).expect("a look at the consumers");
    found
}

async fn act(hq: &TestHq, word: &str) -> Value {
    let path = format!("/api/v1/consumers/usage-days/{word}");
    let reply = hq.owner().post(&path, &json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_become_days_of_the_workspace_and_a_new_zone_makes_them_anew() {
    let hq = TestHq::start().await;
    // Berlin's 20 November ends at 23:00 UTC.
    call(&hq, "2026-11-20T22:59:00Z", 1, Some(8_400)).await;
    call(&hq, "2026-11-20T22:59:30Z", 1, None).await;
    call(&hq, "2026-11-20T23:00:00Z", 1, Some(100)).await;
    call(&hq, "2026-11-20T23:30:00Z", 2, Some(200)).await;
    hq.counted().await;
    let days = kept(&hq);
    assert_eq!(days.len(), 3);
    assert_eq!(
        (days[0].sums.calls, days[0].sums.unpriced, days[0].sums.billed_micros),
        (2, 1, 8_400)
    );
    assert_eq!(days[0].sums.input, 2 * Usage::sample().input);
    let view = daily(&hq, "from=2026-11-20&to=2026-11-21").await;
    assert_eq!((view["zone"].clone(), view["behind"].clone()), (json!("Europe/Berlin"), json!(0)));
    let dates: Vec<_> =
        view["items"].as_array().expect("a list").iter().map(|i| &i["date"]).collect();
    assert_eq!(dates, ["2026-11-20", "2026-11-21", "2026-11-21"]);
    assert_eq!(looked_at(&hq).differences_count, 0);
    let first = daily(&hq, "from=2026-11-20&to=2026-11-21&limit=2").await;
    let rest =
        format!("from=2026-11-20&to=2026-11-21&after={}", first["next"].as_str().expect("more"));
    assert_eq!(daily(&hq, &rest).await["items"].as_array().map(Vec::len), Some(1));
    for (query, field) in
        [("from=yesterday", "from"), ("to=1", "to"), ("from=2026-11-02&to=2026-11-01", "from")]
    {
        let wrong = hq.owner().get(&format!("/api/v1/usage/daily?{query}")).await;
        assert_eq!(wrong.json()["errors"][0]["field"], field, "{}", wrong.text);
    }

    let body = json!({ "zone": "UTC" });
    assert_eq!(hq.owner().json("PATCH", "/api/v1/settings", &body).await.status, StatusCode::OK);
    hq.counted().await;
    let view = daily(&hq, "from=2026-11-20&to=2026-11-21").await;
    assert_eq!(view["zone"], "UTC");
    let calls: Vec<_> =
        view["items"].as_array().expect("a list").iter().map(|i| &i["calls"]).collect();
    assert_eq!(calls, [3, 1], "all on the 20th of UTC: {view}");
    assert_eq!(looked_at(&hq).differences_count, 0);

    let page = hq.owner().get(&format!("{PAGE}?month=2026-11&by=model")).await;
    assert!(page.text.contains("Calls by model") && page.text.contains("unmetered"));
    let csv = hq.owner().get(&format!("{PAGE}/days.csv?month=2026-11")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text.lines().count(), 3, "{}", csv.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_stands_still_is_made_up_for_and_an_entry_is_never_counted_twice() {
    let hq = TestHq::start().await;
    call(&hq, "2026-11-20T09:00:00Z", 1, Some(10)).await;
    hq.counted().await;
    assert_eq!(act(&hq, "pause").await["state"], "paused");
    call(&hq, "2026-11-20T10:00:00Z", 1, Some(20)).await;
    assert_eq!(kept(&hq)[0].sums.calls, 1, "it stands still");
    let view = daily(&hq, "from=2026-11-20&to=2026-11-20").await;
    assert_eq!((view["items"][0]["calls"].clone(), view["behind"].clone()), (json!(2), json!(0)));
    assert_eq!(looked_at(&hq).differences_count, 0, "compared as of where it stands");
    let back = hq.owner().post("/api/v1/consumers/usage-days/rewind", &json!({ "to": 0 })).await;
    assert_eq!(back.status, StatusCode::CONFLICT, "{}", back.text);
    assert!(back.text.contains("rebuild it instead"), "{}", back.text);
    assert!(!hq.owner().get(HEALTH).await.text.contains("id=\"to-usage-days\""));

    // A skipped entry is missing from the figures, which is shown, until it is retried.
    let mut seq = 0;
    while now_of(&hq).behind > 0 {
        seq = act(&hq, "skip").await["cursor"].as_u64().expect("a number");
        if now_of(&hq).dead.iter().any(|(dead, _)| *dead == seq) && !looked_at(&hq).is_sound() {
            break;
        }
    }
    let page = hq.owner().get(&format!("{PAGE}?month=2026-11&by=model")).await;
    assert!(page.text.contains("count "), "{}", page.text);
    let again = format!("/api/v1/dead-letters/usage-days/{seq}/retry");
    assert_eq!(hq.owner().post(&again, &json!({})).await.status, StatusCode::OK);
    assert_eq!(hq.owner().post(&again, &json!({})).await.status, StatusCode::CONFLICT);
    act(&hq, "resume").await;
    hq.counted().await;
    assert_eq!((kept(&hq)[0].sums.calls, kept(&hq)[0].sums.billed_micros), (2, 30));
    assert!(looked_at(&hq).is_sound());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_a_wrong_day_and_mends_it_by_a_rebuild_and_the_command_does_the_same() {
    let mut hq = TestHq::start().await;
    for n in 1..=3 {
        call(&hq, "2026-11-20T09:00:00Z", n, Some(i64::from(n))).await;
    }
    hq.counted().await;
    let right = kept(&hq);
    let spoil = |hq: &TestHq| {
        let (ws, mut wrong) = (hq.ws(), right[1].clone());
        wrong.sums.calls += 1;
        let gone = right[2].id();
        async move {
            let by = (Actor::System(Part::Timer), Cause::Timer);
            let spoilt = ws.write(&by, move |tx| {
                tx.put(&wrong)?;
                tx.delete::<UsageDay>(gone)
            });
            spoilt.await.expect("a write");
        }
    };
    spoil(&hq).await;
    let found = looked_at(&hq);
    assert_eq!(found.differences_count, 2, "{found:?}");
    assert!(found.differences.iter().all(|one| one.table == "usage-days"), "{found:?}");
    let begun = hq.owner().post("/api/v1/store/mend", &json!({})).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
    while hq.owner().get("/api/v1/store/mend").await.json()["ended"].is_null() {
        tokio::task::yield_now().await;
    }
    hq.counted().await;
    assert_eq!(kept(&hq), right);

    // The command on a stopped data folder requests the rebuild; the next start performs it.
    spoil(&hq).await;
    hq.stop().await;
    let binary = Path::new(BINARY);
    let report = support::program::run(binary, &hq.data(), &["doctor", "store", "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(report["workspace"]["differences_count"], 2, "{report}");
    let list = run_json(binary, &hq.data(), &["consumer", "rebuild", "usage-days"]);
    assert_eq!(list["items"][0]["state"], "rebuilding", "{list}");
    hq.start_again().await;
    hq.counted().await;
    assert_eq!(kept(&hq), right);
    assert!(looked_at(&hq).is_sound());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_life_of_the_store_does_not_count_its_calls_twice() {
    let mut hq = TestHq::start().await;
    for n in 1..=3 {
        call(&hq, "2026-11-20T09:00:00Z", 1, Some(i64::from(n))).await;
    }
    hq.counted().await;
    let right = kept(&hq);
    let store = hq.ws().store.clone();
    hq.stop().await;
    drop(store);
    // As after a restore: another incarnation, with the same rows.
    let db = crate::raw::open(hq.data().join("workspaces/marlow-cargo/hq.redb"));
    let txn = db.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&[u8], &[u8]>::new("t0006");
    let fresh = store::codec::encode(&42_u64).expect("a number");
    txn.open_table(meta).expect("a table").insert(&b"incarnation"[..], &*fresh).expect("a row");
    txn.commit().expect("a commit");
    drop(db);
    hq.start_again().await;
    until(&hq, |now| now.state.incarnation == 42).await;
    hq.counted().await;
    assert_eq!(kept(&hq), right);
    assert!(looked_at(&hq).is_sound());
    hq.finish().await;
}
