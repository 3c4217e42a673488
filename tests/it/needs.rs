//! Attention list: snooze, dismiss, restore, and decide in place.

use std::time::Duration;

use features::dashboard::queries::away;
use features::tasks::model::Task;
use kernel::{Outcome, Role, RunState, TaskStatus};
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::{Snap, StoreError};

use support::hq::{OWNER, Person, Reply, TestHq};
use support::model::Turn;
use support::office::Office;
use support::work;

const HOME: &str = "/w/marlow-cargo/";
const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(20);

/// What needs the caller's attention, from the API.
async fn needs(who: &Person) -> Value {
    who.get("/api/v1/needs").await.json()
}

/// The owner, signed in again: an unused session expires within days.
async fn signed_in(hq: &TestHq) -> Person {
    let owner = hq.nobody();
    owner.form("/login", &[("email", OWNER.1), ("password", OWNER.2), ("next", "")]).await;
    owner
}

fn first(needs: &Value) -> String {
    needs["items"][0]["id"].as_str().expect("a row").to_owned()
}

async fn put_off(who: &Person, id: &str, until: &str) -> Reply {
    who.post(&format!("/api/v1/needs/{id}/snooze"), &json!({ "until": until })).await
}

/// The toast text and other triggers sent to the page.
fn asked(reply: &Reply) -> &str {
    reply.header("hx-trigger").unwrap_or_default()
}

/// Waits until the store meets the condition.
async fn until(hq: &TestHq, what: &str, holds: impl Fn(&Snap<'_>) -> Result<bool, StoreError>) {
    let ws = hq.ws();
    let mut feed = ws.store.watch();
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        feed.borrow_and_update();
        if ws.read(&holds).expect("a read") {
            return;
        }
        let waited = tokio::time::timeout_at(end, feed.changed()).await;
        waited.unwrap_or_else(|_| panic!("{what}")).expect("the store is open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_dismissed_by_one_person_until_it_is_brought_back_or_fails_anew() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let browser = owner.clone().with("hx-request", "true");
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let task = office.task("Compare two offers", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::NoOutcome));
    let told = needs(&api).await;
    assert_eq!(
        (&told["count"], &told["items"][0]["kind"]),
        (&json!(1), &json!("Failed")),
        "{told}"
    );
    let id = first(&told);
    let page = owner.get(HOME).await;
    assert_eq!(page.attrs("#needs > ul > li", "id"), [format!("need-{id}")]);
    assert_eq!(page.attrs("#needs [data-row-key]", "data-row-key"), ["s", "e"]);

    let away = browser.form(&format!("{HOME}needs/{id}/dismiss"), &[]).await;
    assert!(asked(&away).contains("Dismissed"), "{}", asked(&away));
    assert!(asked(&away).contains(&format!("needs/{id}/restore")), "{}", asked(&away));
    let told = needs(&api).await;
    assert_eq!((&told["count"], &told["away"][0]["until"]), (&json!(0), &Value::Null), "{told}");
    assert!(owner.get(HOME).await.text_of("#needs").contains("All clear"));
    let other = jonas.get(HOME).await;
    assert_eq!(other.text_of("#needs .count"), "1", "it is away for one person alone");

    let back = api.post(&format!("/api/v1/needs/{id}/restore"), &json!({})).await;
    assert_eq!(first(&back.json()), id, "{}", back.text);
    let again = owner.form(&format!("{HOME}needs/{id}/dismiss"), &[]).await;
    assert_eq!(again.location(), Some(HOME), "without script it leads back");
    // It fails again: that is a new need.
    office.hq.advance(Duration::from_secs(60)).await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let item = office.items(ada.id)[0].id;
    let retry = format!("{HOME}inbox/{item}/retry");
    let said = browser.form(&retry, &[("from", "dashboard")]).await;
    assert!(said.status.is_success() && asked(&said).contains("starts"), "{}", asked(&said));
    office.worked(task.id, 2).await;
    let told = needs(&api).await;
    assert_ne!(first(&told), id, "{told}");
    // A finished task needs nobody and cannot be snoozed.
    office.act(move |tx| features::tasks::rules::set_status(tx, task.id, TaskStatus::Done)).await;
    let gone = put_off(&api, &id, "hour").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text);
    assert_eq!(gone.json()["code"], "need_not_found");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_off_comes_back_and_what_was_missed_is_opened_again() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    work::agent(&hq, "Ada").await;
    let late = json!({ "title": "Order the tyres", "due_at": "2026-11-20" });
    let made = api.post("/api/v1/tasks", &late).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let number = made.json()["number"].as_u64().expect("a number");
    hq.advance(24 * HOUR).await;
    let owner = signed_in(&hq).await;
    let id = first(&needs(&api).await);
    let refused = api.post(&format!("/api/v1/needs/{id}/dismiss"), &json!({})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (StatusCode::CONFLICT, &json!("need_waits"))
    );
    for until in ["never", "2001-01-01T00:00:00Z"] {
        let refused = put_off(&api, &id, until).await;
        assert_eq!(refused.json()["code"], "snooze_time", "{}", refused.text);
    }
    let done = put_off(&api, &id, "hour").await;
    assert_eq!(done.json()["title"], "Order the tyres", "{}", done.text);
    let page = owner.get(HOME).await;
    assert!(page.text_of("#needs").contains("All clear"), "{}", page.text_of("#needs"));
    assert!(page.text_of("#needs .later").contains("Order the tyres"), "{}", page.text);
    assert!(page.text_of("#brief").contains("Nothing needs you"), "{}", page.text_of("#brief"));
    // The snooze has ended: open pages learn of it because its row is deleted.
    hq.advance(HOUR).await;
    let account = owner_of(&hq);
    until(&hq, "it is away for ever", |snap| Ok(away::of(snap, account)?.is_empty())).await;
    assert_eq!(first(&needs(&api).await), id);

    hq.advance(5 * 24 * HOUR).await;
    let owner = signed_in(&hq).await;
    let is_missed = |task: &Task| task.status == TaskStatus::Missed;
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    let resolved = |snap: &Snap<'_>| features::tasks::queries::resolve(snap, &key).expect("a task");
    until(&hq, "it is never missed", |snap| Ok(is_missed(&resolved(snap)))).await;
    let page = owner.get(HOME).await;
    let row = page.text_of("#needs li");
    assert!(row.contains("Missed") && row.contains("Reopen"), "{row}");
    let days = page.attrs(&format!("#reopen-{number} button"), "value");
    let reopen = page.attr(&format!("#reopen-{number}"), "action");
    let back = owner.form(&reopen, &[("due", &days[0]), ("back", HOME)]).await;
    assert_eq!(back.location(), Some(HOME), "{} {}", back.status, back.text);
    assert_eq!(needs(&api).await["count"], 0);
    hq.finish().await;
}

fn owner_of(hq: &TestHq) -> kernel::AccountId {
    work::owner(hq).0.account().expect("a person")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_where_it_stands() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    let ada = office.agent("Ada").await;
    let args = json!({ "question": "Which logo?", "options": ["The blue one", "The red one"] });
    office.model.push(Turn::call("ask_person", args)).push(Turn::text("The blue one it is."));
    let run = office.say(&ada, "Choose a logo").await;
    office.in_state(run, RunState::Waiting).await;
    let page = owner.get(HOME).await;
    assert!(page.text_of("#needs li").contains("asked just now"), "{}", page.text_of("#needs li"));
    let answer = page.attrs("#needs .acts > form:not(.menu)", "hx-post");
    assert!(answer.iter().all(|to| to.ends_with("/answer")) && answer.len() == 2, "{answer:?}");
    let fields = [("body", "The blue one"), ("from", "dashboard")];
    let said = owner.form(&answer[0], &fields).await;
    assert_eq!(said.location(), Some(HOME), "without script it leads back");
    assert_eq!(office.ended(run).await.summary, "The blue one it is.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_asked_for_on_the_row_and_a_refusal_leaves_it_there() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    owner.form(&format!("{HOME}try"), &[]).await;
    hq.settle().await;
    let page = owner.get(HOME).await;
    let action = page.attr("#needs li > dialog form", "action");
    let version = page.attr("#needs li > dialog [name=version]", "value");
    let back = |note: &'static str| {
        let (owner, action) = (owner.clone().with("hx-request", "true"), action.clone());
        let version = version.clone();
        async move {
            let fields = [
                ("verdict", "changes_requested"),
                ("version", version.as_str()),
                ("note", note),
                ("from", "dashboard"),
            ];
            owner.form(&action, &fields).await
        }
    };
    let refused = back("").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(owner.get(HOME).await.text_of("#needs").contains("Review"), "the row stays");
    let sent = back("Shorter, please.").await;
    assert!(asked(&sent).contains("back with your note"), "{} {}", sent.status, sent.text);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_shows_who_is_in_trouble_before_who_rests_and_activity_goes_on() {
    let office = Office::open().await;
    let owner = office.hq.owner();
    for n in 0..13 {
        office.agent(&format!("Rest {n}")).await;
    }
    let last = office.agent("Zed").await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let task = office.task("Compare two offers", &last).await;
    office.worked(task.id, 1).await;
    let page = owner.get(HOME).await;
    let fleet = page.texts("#fleet li");
    assert_eq!(fleet.len(), 12);
    assert!(fleet[0].contains("Zed"), "{fleet:?}");
    assert_eq!(page.text_of("#fleet > .meta"), "and 2 more");

    assert_eq!(page.texts("#happened h3"), ["Today"]);
    let more = page.attr("#happened .pager a", "hx-get");
    let part = owner.clone().with("hx-request", "true").get(&more).await;
    assert!(!part.texts("li").is_empty() && !part.text.contains("<html"), "{}", part.text);
    assert!(part.texts("h3").is_empty(), "the day stands above already: {}", part.text);
    let had = format!("{HOME}?have=%7B%22happened%22:13%7D");
    let alone = owner.clone().htmx("happened").get(&had).await;
    assert!(10 < alone.texts("#happened li").len(), "what was added stays");
    office.hq.finish().await;
}
