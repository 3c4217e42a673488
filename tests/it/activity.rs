//! Activity page and API: filters by actor, kind, record, time, and origin of the action.

use std::time::Duration;

use features::activity::model::Visit;
use features::activity::rules;
use features::notifications::model::sending::{Delivery, Out};
use features::tasks::model::Task;
use futures_util::future::join_all;
use kernel::{Actor, Cause, NotificationId, Part, Role, TypedId as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Lane, Range, ReadExt as _, StoreError, WriteTx};

use support::hq::{Person, TestHq};
use support::model::{ModelServer, Turn};
use support::work;

const PAGE: &str = "/w/marlow-cargo/activity";
const API: &str = "/api/v1/activity";
const MINUTE: Duration = Duration::from_secs(60);

async fn lines(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("{PAGE}?{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.texts(".feed li .what")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_narrowed_by_who_what_where_and_when() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    mira.post("/api/v1/tasks", &json!({ "title": "Prices" })).await;
    tom.post("/api/v1/tasks", &json!({ "title": "Florists" })).await;
    hq.advance(Duration::from_secs(20 * 3_600)).await;
    mira.post("/api/v1/tasks/MC-2/comments", &json!({ "body": "Good" })).await;
    let of_tom = lines(&mira, "by=tom").await;
    assert!(of_tom.iter().all(|line| line.contains("Tom")), "{of_tom:?}");
    assert!(of_tom.iter().any(|line| line.contains("Florists")), "{of_tom:?}");
    let comments = lines(&mira, "event=comment.added").await;
    assert_eq!(comments.len(), 1, "{comments:?}");
    let of_task = lines(&mira, "record=MC-2").await;
    assert!(!of_task.is_empty(), "{of_task:?}");
    assert!(of_task.iter().all(|line| line.contains("MC-2")), "{of_task:?}");
    let late = lines(&mira, "from=2026-11-21").await;
    assert!(late.iter().all(|line| !line.contains("Prices")), "{late:?}");
    assert_eq!(lines(&mira, "from=21%20Nov").await, late, "a day as people write it");
    let unclear = mira.get(&format!("{PAGE}?from=someday")).await;
    assert!(unclear.text_of("#f-from-says").contains("Write the day as"), "{}", unclear.text);
    assert_eq!(unclear.attr("#f-from", "value"), "someday", "what was typed stays");
    assert!(!lines(&mira, "to=2026-11-20&record=MC-1").await.is_empty());
    // An invalid filter gives an error, and no entries are shown.
    let wrong = mira.get(&format!("{PAGE}?record=MC-99&event=no.such")).await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(!wrong.texts(".error").is_empty(), "{}", wrong.text);
    hq.finish().await;
}

/// Writes entries that cause no notices.
async fn note(hq: &TestHq, times: u32) {
    let (ws, member) = (hq.ws(), work::owner(hq).0.account().expect("a person"));
    let by = (Actor::System(Part::Consumer), Cause::Timer);
    for piece in 0..times.div_ceil(250) {
        let each = (0..250).map(|n| {
            let row = NotificationId::from_bytes([1; 16]);
            let due_at = hq.now() + Duration::from_secs(86_400);
            let delivery = Delivery {
                member,
                out: Out::Mail,
                row,
                rows: vec![row],
                due_at,
                tries: piece * 250 + n,
                last_error: None,
                gave_up_at: None,
            };
            ws.store.write_in(Lane::Second, by.0, by.1, move |tx| tx.put(&delivery))
        });
        let written: Result<Vec<()>, StoreError> = join_all(each).await.into_iter().collect();
        written.expect("a store that can be written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_found_behind_thousands_of_entries_that_nobody_is_told_of() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    task(&mira, "Prices").await;
    note(&hq, 3_000).await;
    // One request may end before the entry, and then says so; following pages reach it.
    for start in ["", "?area=work", "?by=people", "?event=task.created"] {
        let mut path = format!("{PAGE}{start}");
        let lines = loop {
            let page = mira.get(&path).await;
            let lines = page.texts(".feed li .what");
            if !lines.is_empty() {
                break lines;
            }
            assert!(!page.text.contains("Nothing here yet"), "{path}: {}", page.text);
            assert!(page.text.contains("Search further"), "{path}: {}", page.text);
            path = page.attr(".pager a", "href");
        };
        assert!(lines.iter().any(|line| line.contains("Prices")), "{start}: {lines:?}");
    }
    let mut query = "area=work".to_owned();
    let told = loop {
        let page = read(&mira, &query).await;
        if !texts(&page).is_empty() {
            break texts(&page);
        }
        query = format!("area=work&before={}", page["next"].as_str().expect("there is more"));
    };
    assert!(told[0].contains("Prices"), "{told:?}");
    hq.finish().await;
}

async fn read(person: &Person, query: &str) -> Value {
    let reply = person.get(&format!("{API}?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
    reply.json()
}

fn texts(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a list").iter();
    items.map(|item| item["text"].as_str().expect("words").to_owned()).collect()
}

async fn task(person: &Person, title: &str) {
    let made = person.post("/api/v1/tasks", &json!({ "title": title })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_read_what_happened_page_by_page_and_wait_for_more() {
    let hq = TestHq::start().await;
    let (mira, vera) = (hq.owner(), hq.another("Vera", Some(Role::Viewer)).await);
    task(&mira, "Prices").await;
    task(&mira, "Florists").await;
    let page = read(&mira, "event=task.*&by=me").await;
    let told = ["Mira Lindqvist created MC-2 Florists", "Mira Lindqvist created MC-1 Prices"];
    assert_eq!(texts(&page), told);
    let newest = &page["items"][0];
    assert_eq!((&newest["who"]["handle"], &newest["cause"]), (&json!("mira"), &json!("request")));
    assert_eq!(newest["said"][0]["url"], "/w/marlow-cargo/tasks/MC-2");
    assert_eq!(newest["events"][0], "task.created");
    assert_eq!((&newest["undo"]["possible"], &newest["via"]), (&json!(true), &Value::Null));
    // Links lead to existing pages.
    for place in [&newest["url"], &newest["undo"]["url"]] {
        let page = mira.get(place.as_str().expect("an address")).await;
        assert_eq!(page.status, StatusCode::OK, "{place}: {}", page.text);
    }
    let seen = read(&vera, "event=task.created").await;
    assert_eq!(texts(&seen).len(), 2);
    assert_eq!(seen["items"][0]["undo"]["possible"], false, "a viewer undoes nothing");
    assert!(seen["items"][0]["undo"]["why"].is_string());

    let one = read(&mira, "event=task.created&limit=1").await;
    assert_eq!(texts(&one), told[..1]);
    let next = one["next"].as_str().expect("there is more");
    assert_eq!(texts(&read(&mira, &format!("event=task.created&before={next}")).await), told[1..]);
    let cursor = one["cursor"].as_str().expect("a place").to_owned();
    assert_eq!(texts(&read(&mira, &format!("after={cursor}")).await), [""; 0]);
    let waits = format!("event=task.created&wait=20&after={cursor}");
    let (heard, ()) = tokio::join!(read(&mira, &waits), task(&mira, "Vans"));
    assert_eq!(texts(&heard), ["Mira Lindqvist created MC-3 Vans"]);
    assert_eq!(heard["next"], Value::Null);
    let from_start = read(&mira, "after=start&event=task.created").await;
    assert!(texts(&from_start)[0].contains("MC-1"), "oldest first: {from_start}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_named_and_what_is_private_is_not_there() {
    let (hq, model) = (TestHq::start().await, ModelServer::start().await);
    let (mira, vera) = (hq.owner(), hq.another("Vera", Some(Role::Viewer)).await);
    for (query, field) in [
        ("limit=0", "limit"),
        ("area=nowhere", "area"),
        ("by=nobodyhere", "by"),
        ("event=no.such", "event"),
        ("event=task.created,no.*", "event"),
        ("record=MC-99", "record"),
        ("cause=luck", "cause"),
        ("run=R-9", "run"),
        ("routine=Nothing", "routine"),
        ("from=soon", "from"),
        ("before=x", "before"),
        ("after=x", "after"),
        ("wait=3", "wait"),
    ] {
        let wrong = mira.get(&format!("{API}?{query}")).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {}", wrong.text);
        assert_eq!(wrong.json()["errors"][0]["field"], field, "{query}: {}", wrong.text);
    }
    let head = read(&mira, "limit=1").await["cursor"].as_str().expect("a place").to_owned();
    let both = mira.get(&format!("{API}?before={head}&after={head}")).await;
    assert_eq!(both.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", both.text);

    // Queries do not reveal the owner of a run's private conversation.
    work::connect(&hq, &model).await;
    work::agent(&hq, "Ada").await;
    model.push(Turn::text("I got your message"));
    let said = mira.form("/w/marlow-cargo/agents/ada/chat", &[("body", "Between us")]).await;
    assert!(said.status.is_redirection(), "{}", said.text);
    hq.settle().await;
    for query in ["run=R-1", "record=R-1"] {
        read(&mira, query).await;
        let refused = vera.get(&format!("{API}?{query}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        let page = vera.get(&format!("{PAGE}?{query}")).await;
        assert!(!page.texts(".error").is_empty(), "{}", page.text);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_without_an_event_are_told_and_what_a_routine_did_leads_to_it() {
    let hq = TestHq::start().await;
    let mira = hq.owner();
    work::agent(&hq, "Ada").await;
    task(&mira, "Prices").await;
    let said = mira.post("/api/v1/tasks/MC-1/comments", &json!({ "body": "Good" })).await.json();
    let comment = format!("/api/v1/comments/{}", said["id"].as_str().expect("an id"));
    let changed = mira.json("PATCH", &comment, &json!({ "body": "Better" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let page = read(&mira, "by=me&limit=1").await;
    assert!(texts(&page)[0].contains("updated Comment on MC-1"), "{page}");
    assert_eq!(page["items"][0]["undo"]["possible"], true, "{page}");
    let url = page["items"][0]["said"][0]["url"].as_str().expect("an address");
    assert!(url.starts_with("/w/marlow-cargo/tasks/MC-1"), "{url}");

    let routine = json!({
        "agent": "ada", "name": "Plants", "instruction": "With a can.",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
        "task": { "title": "Water the plants", "unassigned": true },
    });
    let made = mira.post("/api/v1/routines", &routine).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    hq.advance(31 * MINUTE).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    // Read from the store: the API has a rate limit.
    let ws = hq.ws();
    let is_made = || {
        let all = ws.read(|snap| snap.list::<Task>(&Range::all())).expect("tasks");
        all.iter().any(|task| task.title == "Water the plants")
    };
    while !is_made() {
        assert!(tokio::time::Instant::now() < end, "the routine did not fire");
        tokio::task::yield_now().await;
    }
    drop(ws);
    let fired = read(&mira, "routine=plants").await;
    assert!(texts(&fired).iter().any(|text| text.contains("Water the plants")), "{fired}");
    let via = &fired["items"][0]["via"];
    assert_eq!((&via["kind"], &via["name"]), (&json!("routine"), &json!("Plants")), "{fired}");
    assert_eq!(mira.get(via["url"].as_str().expect("an address")).await.status, StatusCode::OK);
    assert_eq!(fired["items"][0]["undo"]["possible"], false, "HQ did it by itself");
    assert!(!lines(&mira, "routine=Plants").await.is_empty());
    assert!(lines(&mira, "cause=undo").await.is_empty());
    hq.finish().await;
}

/// Start of the summary on a person's dashboard; `None` without a summary.
async fn told(person: &Person) -> Option<String> {
    let page = person.get("/w/marlow-cargo/").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.texts("#since p").into_iter().next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_is_told_what_happened_meanwhile_until_they_put_it_away() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    mira.post("/api/v1/agents", &json!({ "name": "Ada" })).await;
    for title in ["Prices", "Florists", "Open"] {
        tom.post("/api/v1/tasks", &json!({ "title": title })).await;
    }
    let before = hq.ws().store.head().seq;
    let by = work::owner(&hq);
    let account = by.0.account().expect("a person");
    let come = move |tx: &mut WriteTx<'_>| rules::come(tx, account);
    hq.ws().write(&by, come).await.expect("noted");
    assert_eq!(hq.ws().store.head().seq, before, "a visit is nothing that happened");
    assert_eq!(told(&mira).await, None, "nobody was away");
    hq.advance(5 * 60 * MINUTE).await;
    assert_eq!(told(&mira).await, None, "nothing has happened");
    for name in ["MC-1", "MC-2"] {
        let (path, body) = (format!("/api/v1/tasks/{name}"), json!({ "status": "done" }));
        assert_eq!(tom.json("PATCH", &path, &body).await.status, StatusCode::OK);
    }
    let said = told(&mira).await.expect("a sentence");
    assert!(said.starts_with("Since ") && said.contains("2 tasks done"), "{said}");
    let page = mira.get("/w/marlow-cargo/").await;
    let list = mira.get(&page.attr("#since p a", "href")).await;
    assert!(list.text.contains("Prices") && list.text.contains("Florists"), "{}", list.text);
    assert!(!list.text.contains("no date"), "the list understands what it is asked");

    // It stays during the visit, which a page's live stream starts, until it is dismissed.
    let before = work::all::<Visit>(&hq);
    let _stream = mira.stream("/w/marlow-cargo/events").await;
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while work::all::<Visit>(&hq) == before {
        assert!(tokio::time::Instant::now() < end, "the visit is not noted");
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&mira).await, Some(said));
    let away = mira.form("/w/marlow-cargo/visits/away", &[]).await;
    assert_eq!(away.location(), Some("/w/marlow-cargo/"), "{}", away.text);
    assert_eq!(told(&mira).await, None);
    assert_eq!(told(&tom).await, None, "who was never away is told nothing");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_runs_begins_where_it_is_asked_to() {
    let hq = TestHq::start().await;
    let page = hq.owner().get("/w/marlow-cargo/runs?state=failed&since=2026-11-20T09:00:00Z").await;
    assert!(page.text.contains("Ended since"), "{}", page.text);
    assert!(page.text.contains("20 November, 10:00"), "{}", page.text);
    hq.finish().await;
}
