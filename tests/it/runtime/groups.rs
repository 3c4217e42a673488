//! Budgets of streams and routines: whose work waits, what continues meanwhile, and notices.

use features::runs::model::Run;
use features::streams::model::Stream;
use features::streams::rules::{self as streams, NewStream};
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use features::usage::model::budget::{BudgetNotice, BudgetWait};
use kernel::{Assignee, Outcome, Payer, RunState, WaitFor};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::Person;
use support::model::Turn;
use support::office::Office;

/// One hundred dollars per million tokens: the request alone is bounded at about half a dollar.
const DEAR: (i64, i64) = (100_000_000, 100_000_000);

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

/// Sets a limit in cents.
async fn limit(api: &Person, payer: &str, cents: i64) {
    let path = format!("/api/v1/budgets/{payer}/total");
    let set = api.json("PUT", &path, &json!({ "limit_micros": cents * 10_000 })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    assert_eq!(set.json()["payer"], payer.replace("%20", " "), "{}", set.text);
}

/// Names in a report, with their number of calls.
async fn calls(api: &Person, by: &str) -> Vec<(String, u64)> {
    let report = api.get(&format!("/api/v1/usage/report?by={by}")).await.json();
    let items = report["items"].as_array().expect("a list").iter();
    let one = |item: &Value| {
        let name = item["name"].as_str().expect("a name").to_owned();
        (name, item["sums"]["calls"].as_u64().expect("a number"))
    };
    let mut all: Vec<_> = items.map(one).collect();
    all.sort();
    all
}

fn named(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_stream_waits_for_its_budget_while_other_work_goes_on() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    let api = office.hq.owner();
    let stream: Stream =
        office.act(|tx| streams::create(tx, NewStream::called("Spring launch"))).await;
    limit(&api, "stream:Spring%20launch", 40).await;
    let new = NewTask {
        stream: Some(stream.id),
        assignee: Some(Assignee::Agent(ada.id)),
        ..NewTask::titled("Compare two offers")
    };
    let task = office.act(move |tx| tasks::create(tx, new)).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!((waiting.waits_for, waiting.until), (WaitFor::Budget, None));
    // Nothing is spent yet: the text gives the possible cost of the call, and does not say that the budget is used up.
    assert!(waiting.detail.starts_with("The next call can cost $"), "{}", waiting.detail);
    assert!(waiting.detail.contains(" is left (Spring launch's budget)"), "{}", waiting.detail);
    let page = api.get("/w/marlow-cargo/agents/ada").await.text_of("main");
    assert!(page.contains("Waiting for budget") && !page.contains("Over budget"), "{page}");
    assert_eq!(office.all::<BudgetWait>()[0].payer, Payer::Stream(stream.id));
    assert!(office.all::<BudgetNotice>()[0].reached);
    let told = api.get("/api/v1/notifications").await.text;
    let little =
        "The stream Spring launch doesn’t have enough left of its total budget for the next call";
    assert!(told.contains(little) && !told.contains("used up"), "{told}");

    office.model.push(done());
    let other = office.task("Water the plants", &ada).await;
    assert_eq!(office.worked(other.id, 1).await.outcome, Some(Outcome::Done));
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting);

    office.model.push(done());
    let path = "/api/v1/budgets/stream:spring%20launch/total/raise";
    assert_eq!(api.post(path, &json!({})).await.status, StatusCode::OK);
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert_eq!(office.usage(run)[0].stream(), Some(stream.id));
    assert_eq!(calls(&api, "stream").await, named(&[("No stream", 1), ("Spring launch", 1)]));
    let days = api.get("/api/v1/usage/days.csv").await.text;
    assert!(days.contains(",Spring launch,,"), "{days}");
    let every = api.get("/api/v1/usage/calls.csv").await.text;
    assert!(every.contains(",Spring launch,,R-"), "{every}");
    let page = api.get(&format!("/w/marlow-cargo/streams/{}", stream.id)).await;
    let shown = page.text_of("#stream-budget");
    assert!(shown.contains("of $2.40") && shown.contains("in total"), "{shown}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_of_a_routine_waits_for_its_budget_also_over_a_restart() {
    let mut office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    office.agent("Ada").await;
    let api = office.hq.api().await;
    let body = json!({
        "agent": "ada",
        "name": "Morning look",
        "instruction": "Look at what came in.",
        "schedule": { "cadence_type": "every_n_minutes", "interval_n": 30 },
        "task": { "title": "What came in" },
    });
    let made = api.post("/api/v1/routines", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let path = format!("/api/v1/routines/{}", made.json()["id"].as_str().expect("an id"));
    limit(&api, "routine:Morning%20look", 40).await;
    let body = json!({ "limit_micros": 1 });
    let wrong = api.json("PUT", "/api/v1/budgets/routine:Morning%20look/run", &body);
    assert_eq!(wrong.await.json()["errors"][0]["field"], "period");
    let fired = api.post(&format!("{path}/run"), &json!({})).await;
    assert_eq!(fired.status, StatusCode::OK, "{}", fired.text);
    let task = office.all::<Task>()[0].id;
    let run = office.run_on(task).await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert!(waiting.detail.contains("is left (Morning look's budget)"), "{}", waiting.detail);

    office.hq.restart().await;
    let api = api.back_at(&office.hq);
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting);
    let own = api.get("/api/v1/budgets?payer=routine:Morning%20look").await.json();
    assert_eq!((&own["items"][0]["waiting"], &own["items"][0]["state"]), (&json!(1), &json!("ok")));
    office.model.push(done());
    limit(&api, "routine:Morning%20look", 5_000).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let booked = api.get("/api/v1/budgets/routine:Morning%20look/total").await.json();
    let billed = office.usage(run)[0].billed_micros.expect("a price");
    assert_eq!(booked["spent_micros"], billed, "{booked}");
    assert_eq!(calls(&api, "routine").await, named(&[("Morning look", 1)]));

    // It is deleted, and what it paid remains in the report.
    assert_eq!(api.call("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(calls(&api, "routine").await, named(&[("Deleted routine", 1)]));
    let all = api.get("/api/v1/budgets").await;
    assert!(!all.text.contains("routine:"), "{}", all.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_only_warns_tells_when_it_is_used_up_and_work_goes_on() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    let api = office.hq.owner();
    let wish = json!({ "limit_micros": 1, "hard": false });
    let set = api.json("PUT", "/api/v1/budgets/agent:ada/month", &wish).await;
    assert!(set.status.is_success(), "{}", set.text);
    office.model.push(done());
    let task = office.task("Compare two offers", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));
    let told = api.get("/api/v1/notifications").await.text;
    assert!(told.contains("Ada has used up this month’s budget"), "{told}");
    assert!(told.contains("This budget only warns, so work continues."), "{told}");
    let lines = api.get("/w/marlow-cargo/activity").await.text_of("#activity");
    assert!(!lines.contains("used up") && lines.contains("to its limit"), "{lines}");
    office.hq.finish().await;
}
