//! Manually entered prices: which one applies to a call, calls without one, and who may enter them.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules::Changes;
use features::connections::model::Wire;
use features::runs::model::Run;
use features::usage::model::Usage;
use kernel::{Outcome, PricedBy, Role, RunState, Timestamp};
use providers::catalog;
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, Setup, TestHq};
use support::model::{Tokens, Turn};
use support::office::Office;

const PAGE: &str = "/w/marlow-cargo/settings/usage/prices";
const TOKENS: Tokens = Tokens { input: 1_000, cache_read: 0, cache_write: 0, output: 100 };

async fn put(by: &Person, path: &str, body: Value) -> Value {
    let set = by.json("PUT", &format!("/api/v1/prices/{path}"), &body).await;
    assert_eq!(set.status, StatusCode::OK, "{path}: {}", set.text);
    set.json()
}

async fn call(office: &Office, ada: &Agent) -> Usage {
    office.model.push(Turn::text("Well.").usage(TOKENS));
    let run = office.say(ada, "Say something").await;
    office.ended(run).await;
    office.usage(run).pop().expect("a call")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_costs_what_holds_when_it_begins_and_keeps_that_for_ever() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    // An API client, because a browser session would have expired by the next day.
    let owner = office.hq.api().await;
    let billed = async || {
        let usage = call(&office, &ada).await;
        (usage.billed_micros, usage.priced_by)
    };
    assert_eq!(billed().await, (None, PricedBy::Nobody));
    let unmetered = owner.get("/api/v1/prices").await.json()["unmetered"].clone();
    assert_eq!((&unmetered[0]["model"], &unmetered[0]["calls"]), (&json!("mock"), &json!(1)));
    let page = office.hq.owner().get(PAGE).await;
    assert_eq!(page.texts("#all-prices .chip"), ["unmetered"], "{}", page.text);

    let dear = json!({ "input_micros": 3_000_000, "output_micros": 15_000_000 });
    let now = put(&owner, "any/mock", dear.clone()).await;
    assert_eq!((&now["state"], &now["connection"]), (&json!("holds"), &Value::Null));
    assert_eq!(billed().await, (Some(4_500), PricedBy::Person));
    assert_eq!(owner.get("/api/v1/prices").await.json()["unmetered"], json!([]));

    let tomorrow: Timestamp = office.hq.now() + Duration::from_secs(86_400);
    let dearer = json!({
        "begins_at": tomorrow, "input_micros": 6_000_000, "output_micros": 30_000_000,
    });
    assert_eq!(put(&owner, "any/Mock", dearer).await["state"], "begins later");
    assert_eq!(billed().await, (Some(4_500), PricedBy::Person), "that is tomorrow");
    office.move_to(tomorrow).await;
    assert_eq!(billed().await, (Some(9_000), PricedBy::Person));

    // Input is free at this connection; the output price is set for all connections.
    let here = put(&owner, "scripted/mock", json!({ "output_micros": 0 })).await;
    assert_eq!((&here["connection"], &here["input_micros"]), (&json!("scripted"), &Value::Null));
    assert_eq!(billed().await, (Some(6_000), PricedBy::Person));
    let entered = owner.get("/api/v1/prices").await.json()["entered"].clone();
    let states: Vec<_> =
        entered.as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["gave way", "holds", "holds"], "{entered}");

    let reset = async |path: &str| {
        owner.call("DELETE", &format!("/api/v1/prices/{path}")).await.json()["removed"].clone()
    };
    assert_eq!(reset("any/mock").await, 2);
    // The remaining price is incomplete.
    assert_eq!(billed().await, (None, PricedBy::Nobody));
    assert_eq!(reset("scripted/mock").await, 1);
    assert_eq!(reset("scripted/mock").await, 0);
    let mut kept = office.all::<Usage>();
    kept.sort_by_key(|usage| office.get::<Run>(usage.run.expect("a run")).number);
    let kept: Vec<_> = kept.iter().map(|usage| usage.billed_micros).collect();
    assert_eq!(kept, [None, Some(4_500), Some(4_500), Some(9_000), Some(6_000), None]);
    let changes = owner.get("/api/v1/changes?after=start&kinds=price.changed").await.json();
    assert_eq!(changes["items"].as_array().map(Vec::len), Some(5), "{changes}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_that_counted_wrong_is_forgotten() {
    let office = Office::open().await;
    office.price(100_000_000, 0).await;
    let ada = office.agent("Ada").await;
    office.limits(None, 0).await;
    let lie = Tokens { input: 200_000, cache_read: 0, cache_write: 0, output: 10 };
    office.model.push(Turn::text("Well.").usage(lie));
    let run = office.say(&ada, "Say something").await;
    office.ended(run).await;
    // From now on, calls of this model are estimated at eight times the tokens, whoever makes them.
    let owner = office.hq.owner();
    let learned = owner.get("/api/v1/prices").await.json()["counting"].clone();
    assert_eq!(learned[0]["model"], "mock", "{learned}");
    assert_eq!(
        (&learned[0]["tokens_per_1000_bytes"], &learned[0]["usual"]),
        (&json!(4_000), &json!(500))
    );
    let otto = office.agent("Otto").await;
    let limit = Changes { budget_micros: Some(Some(2_000_000)), ..Changes::default() };
    office.change(otto.id, limit).await;
    let run = office.say(&otto, "Hello?").await;
    office.in_state(run, RunState::Waiting).await;
    let page = owner.get(PAGE).await;
    assert!(page.text_of(".prices-counting").contains("8.0 times the usual"), "{}", page.text);
    office.model.push(Turn::text("As usual."));
    let connection = page.attr(".prices-counting input[name=connection]", "value");
    let form = [("model", "mock"), ("connection", connection.as_str())];
    owner.form(&format!("{PAGE}/counting"), &form).await;
    assert_eq!(office.ended(run).await.summary, "As usual.");
    let page = owner.get(PAGE).await;
    assert!(page.texts(".prices-counting").is_empty(), "{}", page.text);
    let again = owner.call("DELETE", "/api/v1/prices/scripted/mock/counting").await.json();
    assert_eq!(again["reset"], false);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_price_stays_that_of_the_catalogue() {
    let office = Office::with(Setup::default(), Wire::OpenaiChat, "gpt-4o").await;
    let ada = office.agent("Ada").await;
    let built_in = catalog::describe("gpt-4o");
    let usual = call(&office, &ada).await;
    let list = built_in.cost(&usual.tokens()).map(|micros| i64::try_from(micros).expect("small"));
    assert!(list.is_some() && usual.billed_micros == list && usual.list_micros == list);
    assert_eq!(usual.priced_by, PricedBy::Catalogue);
    put(&office.hq.owner(), "any/openai%2Fgpt-4o", json!({ "output_micros": 0 })).await;
    let own = call(&office, &ada).await;
    let input = built_in.price.expect("a price").input * 1_000 / 1_000_000;
    assert_eq!(own.billed_micros, Some(i64::try_from(input).expect("small")));
    assert_eq!((own.list_micros, own.priced_by), (list, PricedBy::Person));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_a_budget_goes_on_when_its_model_becomes_cheaper() {
    let office = Office::open().await;
    office.price(100_000_000, 100_000_000).await;
    let ada = office.agent("Ada").await;
    let limit = Changes { budget_micros: Some(Some(400_000)), ..Changes::default() };
    office.change(ada.id, limit).await;
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let cheap = json!({ "input_micros": 1_000_000, "output_micros": 1_000_000 });
    put(&office.hq.owner(), "scripted/mock", cheap).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_a_budget_goes_on_when_a_cheaper_price_begins() {
    let office = Office::open().await;
    office.price(100_000_000, 100_000_000).await;
    let ada = office.agent("Ada").await;
    let limit = Changes { budget_micros: Some(Some(400_000)), ..Changes::default() };
    office.change(ada.id, limit).await;
    let tomorrow: Timestamp = office.hq.now() + Duration::from_secs(86_400);
    let cheap = json!({
        "begins_at": tomorrow, "input_micros": 1_000_000, "output_micros": 1_000_000,
    });
    put(&office.hq.owner(), "scripted/mock", cheap).await;
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    assert!(office.model.requests().is_empty(), "that is tomorrow");
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    office.move_to(tomorrow).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_price_is_refused_beside_its_field() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    for (path, body, status, field) in [
        ("any/mock", json!({}), 422, Some("input_micros")),
        ("any/mock", json!({ "output_micros": 1 }), 422, Some("input_micros")),
        (
            "any/claude-sonnet-4-5",
            json!({ "output_micros": 10_000_000_001_u64 }),
            422,
            Some("output_micros"),
        ),
        ("any/claude-sonnet-4-5", json!({ "output_micros": -1 }), 422, Some("output_micros")),
        ("any/a%20b", json!({ "input_micros": 1, "output_micros": 1 }), 422, Some("model")),
        (
            "any/mock",
            json!({ "input_micros": 1, "output_micros": 1, "begins_at": "2099-01-01T00:00:00Z" }),
            422,
            Some("begins_at"),
        ),
        ("nowhere/mock", json!({ "input_micros": 1, "output_micros": 1 }), 404, None),
    ] {
        let wrong = owner.json("PUT", &format!("/api/v1/prices/{path}"), &body).await;
        assert_eq!(wrong.status.as_u16(), status, "{path} {body}: {}", wrong.text);
        if let Some(field) = field {
            assert_eq!(wrong.json()["errors"][0]["field"], field, "{path}: {}", wrong.text);
        }
    }
    for (fields, says, words) in [
        (vec![("model", "mock"), ("input", "x"), ("output", "1")], "#f-input-says", "dollars"),
        (vec![("model", "mock"), ("output", "1")], "#f-input-says", "both"),
        (vec![("model", "mock"), ("input", "1"), ("begins", "soon")], "#f-begins-says", "day"),
        (vec![("model", ""), ("input", "1"), ("output", "1")], "#f-model-says", "name"),
    ] {
        let page = owner.form(PAGE, &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        let said = page.text_of(says);
        assert!(said.contains(words), "{fields:?}: {said}");
    }
    let viewer = hq.another("admin", Some(Role::Viewer)).await;
    let page = viewer.get(PAGE).await;
    assert!(page.attrs("form.form", "action").is_empty(), "who may not enter one is not asked to");
    let set = [("model", "mock"), ("input", "1"), ("output", "2")];
    assert_eq!(viewer.form(PAGE, &set).await.status, StatusCode::FORBIDDEN);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_is_entered_and_taken_away_on_its_page() {
    let hq = TestHq::start().await;
    let owner = hq.owner();
    let set = [
        ("model", "Claude-Sonnet-4.5"),
        ("connection", "any"),
        ("input", "2.50"),
        ("cache_read", "0.075"),
        ("begins", "2026-01-01"),
    ];
    let set = owner.form(PAGE, &set).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text);
    let page = owner.get(PAGE).await;
    let rows = page.texts(".prices-own tbody tr");
    assert_eq!(rows.len(), 1, "{rows:?}");
    for word in
        ["claude-sonnet-4-5", "all connections", "1 Jan 2026", "$2.50", "$0.075", "built-in"]
    {
        assert!(rows[0].contains(word), "{word}: {rows:?}");
    }
    let past = page.attr(".prices-own a[aria-label^='History of the claude']", "href");
    let past = owner.get(&past).await;
    assert_eq!(past.status, StatusCode::OK, "{}", past.text);
    assert!(past.text_of("h1").contains("History"), "{}", past.text);
    let built_in = page.texts(".prices-built-in tbody tr");
    let own = built_in.iter().find(|row| row.contains("claude-sonnet-4-5")).expect("a row");
    assert!(own.contains("overridden"), "{own}");
    let which: Vec<(String, String)> = ["model", "connection", "begins_ms"]
        .into_iter()
        .map(|name| {
            let at = format!(".prices-own input[name={name}]");
            (name.to_owned(), page.attrs(&at, "value").pop().expect("a value"))
        })
        .collect();
    let which: Vec<(&str, &str)> =
        which.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let gone = owner.form(&format!("{PAGE}/remove"), &which).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text);
    assert!(owner.get(PAGE).await.texts(".prices-own tbody tr").is_empty());
    hq.finish().await;
}
