//! Usage reports for any days, by agent, model, task, source, kind or day: page, API and spreadsheet exports.

use features::usage::model::Usage;
use features::usage::model::day::DayZone;
use features::usage::model::source::UsageSource;
use kernel::{Actor, AgentId, CallKind, Cause, Part, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::consumers;
use store::doctor::{diagnose, follow};
use store::{Range, ReadExt as _, Record as _, StoreError};

use support::hq::TestHq;
use support::model::{Tokens, Turn};
use support::office::Office;

const PAGE: &str = "/w/marlow-cargo/settings/usage";

async fn report(hq: &TestHq, query: &str) -> Value {
    let reply = hq.owner().get(&format!("/api/v1/usage/report?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
    reply.json()
}

/// Names with the number of calls and the billed amount.
fn lines(report: &Value) -> Vec<(String, u64, i64)> {
    let items = report["items"].as_array().expect("a list").iter();
    let line = |item: &Value| {
        let sums = &item["sums"];
        let name = item["name"].as_str().expect("a name").to_owned();
        (name, sums["calls"].as_u64().expect("n"), sums["billed_micros"].as_i64().expect("n"))
    };
    items.map(line).collect()
}

fn named(lines: &[(&str, u64, i64)]) -> Vec<(String, u64, i64)> {
    lines.iter().map(|(name, calls, billed)| ((*name).to_owned(), *calls, *billed)).collect()
}

/// Books calls at the present time, unchanged.
async fn book(hq: &TestHq, calls: Vec<Usage>) {
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let ws = hq.ws();
    let booked = ws.write(&by, move |tx| {
        for call in calls {
            tx.put(&Usage { id: tx.new_id(), at: tx.now(), ..call })?;
        }
        Ok::<_, StoreError>(())
    });
    booked.await.expect("calls are booked");
}

/// A call without run, task and connection.
fn call() -> Usage {
    let agent = Some(AgentId::from_bytes([9; 16]));
    Usage { agent, run: None, task: None, connection: None, ..Usage::sample() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_summed_up_by_what_is_asked_for() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let tokens = Tokens { input: 1_000, cache_read: 0, cache_write: 0, output: 100 };
    office.model.push(Turn::text("Well.").usage(tokens));
    let run = office.say(&ada, "Say something").await;
    office.ended(run).await;
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    for _ in 0..2 {
        office.model.push(Turn::call("work_done", done.clone()).usage(tokens));
    }
    let task = office.task("Compare two offers", &otto).await;
    office.worked(task.id, 1).await;
    let other = office.task("Compare two more", &ada).await;
    office.worked(other.id, 1).await;
    let hq = &office.hq;

    let by_agent = report(hq, "").await;
    assert_eq!(lines(&by_agent), named(&[("Ada", 2, 9_000), ("Otto", 1, 4_500)]));
    assert_eq!((&by_agent["by"], &by_agent["from"]), (&json!("agent"), &json!("2026-11-01")));
    let total = &by_agent["total"];
    assert_eq!((&total["calls"], &total["billed_micros"]), (&json!(3), &json!(13_500)));
    assert_eq!((&total["list_micros"], &total["input"]), (&json!(13_500), &json!(3_000)));
    // Twenty of thirty days have begun.
    assert_eq!(by_agent["forecast_micros"], 13_500 * 30 / 20);
    let source = lines(&report(hq, "by=source&range=today").await);
    assert_eq!(source, named(&[("Work", 2, 9_000), ("Chat", 1, 4_500)]));
    let kind = lines(&report(hq, "by=kind&range=7").await);
    assert_eq!(kind, named(&[("Step", 3, 13_500)]));
    let tasks = lines(&report(hq, "by=task&range=30").await);
    assert_eq!(tasks.len(), 3);
    for name in ["No task", "MC-1 Compare two offers", "MC-2 Compare two more"] {
        assert!(tasks.contains(&(name.to_owned(), 1, 4_500)), "{name}: {tasks:?}");
    }
    assert_eq!(lines(&report(hq, "by=model&range=90").await), named(&[("mock", 3, 13_500)]));
    let days = report(hq, "by=day&from=2026-11-20&to=2026-11-20").await;
    assert_eq!(lines(&days), named(&[("Fri 20 Nov 2026", 3, 13_500)]));
    assert_eq!(days["items"][0]["key"], "2026-11-20");
    let before = report(hq, "month=2026-10").await;
    assert_eq!((lines(&before).len(), &before["forecast_micros"]), (0, &Value::Null));
    for (query, field) in
        [("by=hour", "by"), ("range=8", "range"), ("from=soon", "from"), ("month=13", "month")]
    {
        let wrong = hq.owner().get(&format!("/api/v1/usage/report?{query}")).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {}", wrong.text);
        assert_eq!(wrong.json()["errors"][0]["field"], field, "{}", wrong.text);
    }

    let page = hq.owner().get(&format!("{PAGE}?by=task&range=30")).await;
    let rows = page.texts(".usage-lines tbody tr");
    assert!(rows.len() == 3 && page.texts(".usage-lines tfoot").len() == 1, "{rows:?}");
    let links = page.attrs(".usage-lines a", "href");
    assert!(links.contains(&"/w/marlow-cargo/tasks/MC-1".to_owned()), "{links:?}");
    assert_eq!(page.texts("svg.chart g.col").len(), 30);
    assert_eq!(page.texts(".legend li").len(), 3, "three tasks, each in its colour");
    assert!(page.text.contains("This month at this pace"));
    let page = hq.owner().get(&format!("{PAGE}?from=2026-11-20&to=2026-11-19")).await;
    assert!(page.text_of("#f-from-says").contains("before the end"), "{}", page.text);
    let page = hq.owner().get(&format!("{PAGE}?from=someday")).await;
    assert!(page.text_of("#f-from-says").contains("Write the day as"), "{}", page.text);
    assert_eq!(page.attr("#f-from", "value"), "someday", "what was typed stays");
    let page = hq.owner().get(&format!("{PAGE}?from=20%20Nov&to=today")).await;
    assert!(page.texts("#f-from-says.error").is_empty(), "{}", page.text);
    let page = hq.owner().get(&format!("{PAGE}?range=8")).await;
    assert!(page.text_of(".banner:not([hidden])").contains("Choose today"), "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_subscription_pays_is_drawn_by_its_list_price_or_its_tokens() {
    let hq = TestHq::start().await;
    book(&hq, vec![Usage { billed_micros: Some(0), ..call() }]).await;
    hq.counted().await;
    let mira = hq.owner();
    let page = mira.get(PAGE).await;
    assert!(page.text.contains("Nothing billed for"), "{}", page.text);
    assert!(page.text.contains("At list prices"), "{}", page.text);
    assert!(page.texts(".legend li").is_empty());
    let links = page.attrs("a", "href");
    assert!(links.iter().any(|link| link.contains("by=agent") && link.ends_with("&of=list")));

    let page = mira.get(&format!("{PAGE}?range=30&by=model&of=list")).await;
    assert_eq!(page.text_of("#by-day"), "List price by day");
    let legend = page.texts(".legend li");
    assert!(legend.len() == 1 && legend[0].contains("$0.0091"), "{legend:?}");
    // The links to other ranges keep the chart's layout.
    let links = page.attrs("a", "href");
    assert!(links.iter().any(|link| link.ends_with("range=7&by=model&of=list")), "{links:?}");
    assert!(links.iter().any(|link| link.ends_with("range=30&by=model")), "{links:?}");
    assert_eq!(page.attrs("input[name=of]", "value"), ["list"]);
    let page = mira.get(&format!("{PAGE}?range=30&by=day&of=tokens")).await;
    let legend = page.texts(".legend li");
    assert!(legend.len() == 1 && legend[0].ends_with("tokens"), "{legend:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_hold_every_call_once_and_no_formula() {
    let hq = TestHq::start().await;
    let many = |n: u32| Usage { call: n, ..call() };
    for part in 0..3 {
        book(&hq, (1..=400).map(|n| many(part * 400 + n)).collect()).await;
    }
    let odd = Usage { model: "=cmd|' /C calc'!A0".to_owned(), billed_micros: None, ..call() };
    book(&hq, vec![odd]).await;
    let owner = hq.owner();
    let day = "from=2026-11-20&to=2026-11-20";
    let calls = owner.get(&format!("{PAGE}/calls.csv?{day}")).await;
    assert_eq!(calls.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        calls.header("content-disposition"),
        Some("attachment; filename=\"marlow-cargo-calls-2026-11-20-to-2026-11-20.csv\"")
    );
    let lines: Vec<Vec<&str>> = calls.text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 1_201);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{}", calls.text);
    let at = |name: &str| lines[0].iter().position(|head| *head == name).expect("a column");
    let (number, model, billed) = (at("call"), at("model"), at("billed_usd"));
    let numbers: Vec<u32> =
        lines[1..=1_200].iter().map(|line| line[number].parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=1_200).collect::<Vec<_>>(), "in order, none twice");
    assert_eq!(lines[1][billed], "0.008400");
    assert_eq!((lines[1_201][model], lines[1_201][billed]), ("'=cmd|' /C calc'!A0", ""));

    let days = owner.get(&format!("/api/v1/usage/days.csv?{day}")).await;
    assert_eq!(days.text.lines().count(), 3, "two models: {}", days.text);
    assert!(days.text.contains(",'=cmd|' /C calc'!A0,1,1,"), "{}", days.text);
    let none = owner.get("/api/v1/usage/calls.csv?month=2026-10").await;
    assert_eq!(none.text.lines().count(), 1, "{}", none.text);
    let wrong = owner.get("/api/v1/usage/calls.csv?range=8").await;
    assert_eq!(wrong.json()["errors"][0]["field"], "range", "{}", wrong.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_of_an_older_program_get_their_sources_with_the_next_call() {
    let hq = TestHq::start().await;
    let test = Usage { kind: CallKind::Test, agent: None, ..call() };
    book(&hq, vec![call(), test.clone()]).await;
    hq.counted().await;
    // As stored by a version without sources.
    let by = (Actor::System(Part::Timer), Cause::Timer);
    let ws = hq.ws();
    let older = ws.write(&by, |tx| {
        let rows: Vec<UsageSource> = tx.list(&Range::all())?;
        assert_eq!(rows.len(), 2);
        for row in rows {
            tx.delete::<UsageSource>(row.id())?;
        }
        let zone = tx.get::<DayZone>(())?.expect("it is kept");
        tx.put(&DayZone { format: 1, ..zone })?;
        Ok::<_, StoreError>(())
    });
    older.await.expect("written");
    let differs = |hq: &TestHq| {
        let store = hq.ws().store.clone();
        let mut quiet = |_| std::ops::ControlFlow::Continue(());
        let mut found = diagnose(&store, &mut quiet).expect("a look");
        follow(&store, consumers::all().all(), &mut found).expect("a look at the consumers");
        found.differences_count
    };
    assert_eq!(differs(&hq), 0, "an older folder is no broken one");
    assert_ne!(report(&hq, "by=source").await["behind"], 0);
    book(&hq, vec![test]).await;
    hq.counted().await;
    let sources = lines(&report(&hq, "by=source").await);
    assert_eq!(sources, named(&[("Connection tests", 2, 16_800), ("Other", 1, 8_400)]));
    assert_eq!(differs(&hq), 0);
    hq.finish().await;
}
