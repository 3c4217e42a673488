//! Budgets of tasks, days and tokens: who waits, who does not, and how the wait ends.

use features::connections::model::Wire;
use features::runs::model::EventKind;
use features::tasks::rules::{self as tasks, NewTask};
use features::usage::model::budget::{Budget, BudgetNotice, BudgetWait};
use features::usage::rules::budgets::{self, BudgetRequest};
use kernel::{Assignee, CallEnd, CallKind, Outcome, Payer, Period, Route, RunState, WaitFor};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Setup, TestHq};
use support::model::{Tokens, Turn};
use support::office::Office;

/// One hundred dollars per million tokens: the request alone is bounded at about half a dollar.
const DEAR: (i64, i64) = (100_000_000, 100_000_000);

fn wish(payer: Payer, period: Period) -> BudgetRequest {
    BudgetRequest {
        payer,
        period,
        limit_micros: None,
        limit_tokens: None,
        soft_pct: 80,
        hard: true,
    }
}

fn cents(wish: BudgetRequest, cents: i64) -> BudgetRequest {
    BudgetRequest { limit_micros: Some(cents * 10_000), ..wish }
}

async fn set(office: &Office, wish: BudgetRequest) {
    office.act(move |tx| budgets::set(tx, wish)).await;
}

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_the_budget_of_its_task_while_its_agent_does_other_work() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    // The run is stopped before it begins: no agent has taken it.
    let task = office.act(|tx| tasks::create(tx, NewTask::titled("Compare two offers"))).await;
    let own = wish(Payer::Task(task.id), Period::Total);
    set(&office, cents(own, 40)).await;
    let (id, to) = (task.id, Some(Assignee::Agent(ada.id)));
    office.act(move |tx| tasks::assign(tx, id, to)).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!((waiting.waits_for, waiting.until), (WaitFor::Budget, None));
    let name = format!("MC-{}'s budget", task.number);
    assert!(waiting.detail.contains(&format!("is left ({name})")), "{}", waiting.detail);
    assert!(waiting.detail.ends_with("when the budget is raised"), "{}", waiting.detail);
    assert_eq!(office.all::<BudgetWait>().len(), 1);
    let told = office.all::<BudgetNotice>();
    assert!(told.len() == 1 && told[0].reached, "{told:?}");

    office.model.push(done());
    let other = office.task("Water the plants", &ada).await;
    assert_eq!(office.worked(other.id, 1).await.outcome, Some(Outcome::Done));
    assert_eq!(office.get::<features::runs::model::Run>(run).state, RunState::Waiting);

    office.model.push(done());
    set(&office, cents(own, 5_000)).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert!(office.all::<BudgetWait>().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_tokens_binds_what_costs_nothing_and_ends_with_its_day() {
    let office = Office::open().await;
    office.price(0, 0).await;
    let ada = office.agent("Ada").await;
    let day = wish(Payer::Agent(ada.id), Period::Day);
    set(&office, BudgetRequest { limit_tokens: Some(30_000), ..day }).await;
    let tokens = Tokens { input: 4_000, cache_read: 0, cache_write: 0, output: 22_000 };
    office.model.push(Turn::text("That was long.").usage(tokens));
    let first = office.say(&ada, "Begin").await;
    office.ended(first).await;
    let usage = &office.usage(first)[0];
    assert_eq!(
        (usage.kind, usage.end, usage.route),
        (CallKind::Step, CallEnd::Answered, Route::Api)
    );
    assert_eq!(usage.billed_micros, Some(0));
    let told = office.all::<BudgetNotice>();
    assert!(told.len() == 1 && !told[0].reached, "a warning at 80 percent: {told:?}");
    let second = office.say(&ada, "Go on").await;
    let waiting =
        office.in_state(second, RunState::Waiting).await.waiting.expect("what it waits for");
    assert!(waiting.detail.contains("4,000 of 30,000 are left"), "{}", waiting.detail);
    office.model.push(Turn::text("A new day."));
    office.move_to(waiting.until.expect("the next midnight")).await;
    assert_eq!(office.ended(second).await.summary, "A new day.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_set_read_and_remove_budgets() {
    let hq = TestHq::start().await;
    let api = hq.owner();
    let set = |path: &'static str, body: Value| {
        let api = hq.owner();
        async move { api.json("PUT", &format!("/api/v1/budgets/{path}"), &body).await }
    };
    let month = set("workspace/month", json!({ "limit_micros": 40_000_000, "soft_pct": 50 })).await;
    assert_eq!(month.status, StatusCode::OK, "{}", month.text);
    let month = month.json();
    assert_eq!((&month["limit_micros"], &month["soft_pct"]), (&json!(40_000_000), &json!(50)));
    assert_eq!((&month["state"], &month["hard"]), (&json!("ok"), &json!(true)));
    // The same limit through the older interface, from before budgets had their own records.
    let limits = api.get("/api/v1/usage/limits").await.json();
    assert_eq!(limits["month_micros"], 40_000_000);
    let tokens = set("workspace/day", json!({ "limit_tokens": 1_000_000, "hard": false })).await;
    assert_eq!(tokens.json()["spent_tokens"], 0, "{}", tokens.text);
    let list = api.get("/api/v1/budgets").await.json();
    let periods: Vec<_> =
        list["items"].as_array().expect("a list").iter().map(|b| &b["period"]).collect();
    assert_eq!(periods, ["day", "month", "run"]);
    for (path, body, status, field) in [
        ("agent:nobody/month", json!({ "limit_micros": 1 }), 404, None),
        ("nonsense/month", json!({ "limit_micros": 1 }), 404, None),
        ("workspace/year", json!({ "limit_micros": 1 }), 422, Some("period")),
        ("workspace/day", json!({}), 422, Some("limit_micros")),
        ("workspace/day", json!({ "limit_micros": -5 }), 422, Some("limit")),
        ("workspace/day", json!({ "limit_micros": 5, "soft_pct": 101 }), 422, Some("soft_pct")),
        ("workspace/day", json!({ "limit": 5 }), 422, Some("limit")),
    ] {
        let wrong = set(path, body).await;
        assert_eq!(wrong.status.as_u16(), status, "{path}: {}", wrong.text);
        if let Some(field) = field {
            assert_eq!(wrong.json()["errors"][0]["field"], field, "{path}: {}", wrong.text);
        }
    }
    assert_eq!(api.get("/api/v1/budgets/workspace/week").await.status, StatusCode::NOT_FOUND);
    let gone = api.call("DELETE", "/api/v1/budgets/workspace/day").await;
    assert_eq!(gone.json()["removed"], true);
    assert_eq!(api.call("DELETE", "/api/v1/budgets/workspace/day").await.json()["removed"], false);
    let rows = hq.ws().read(|s| store::ReadExt::list::<Budget>(s, &store::Range::all()));
    let rows = rows.expect("a readable store");
    assert_eq!(rows.len(), 1, "only what the settings cannot say has a row: {rows:?}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_budget_is_raised_by_a_little_and_what_it_held_goes_on() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    set(&office, cents(wish(Payer::Agent(ada.id), Period::Month), 500)).await;
    let tokens = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 60_000 };
    office.model.push(Turn::text("That was dear.").usage(tokens));
    let first = office.say(&ada, "Begin").await;
    office.ended(first).await;
    let task = office.task("Compare two offers", &ada).await;
    let held = || office.items(ada.id).into_iter().find_map(|item| item.held_reason);
    assert_eq!(office.until("the item says why", |_| Ok(held())).await, "over_budget");
    let api = office.hq.owner();
    let page = || api.get("/w/marlow-cargo/settings/usage/budgets");
    assert!(page().await.text.contains("Continue with $2"));

    office.model.push(done());
    let path = "/api/v1/budgets/agent:ada/month/raise";
    let raised = api.post(path, &json!({})).await;
    assert_eq!(raised.status, StatusCode::OK, "{}", raised.text);
    let raised = raised.json();
    // Two dollars above the spending, which was above the limit.
    assert_eq!(
        (&raised["spent_micros"], &raised["limit_micros"]),
        (&json!(6_010_000), &json!(8_010_000))
    );
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));
    assert!(!page().await.text.contains("Continue with $2"));
    // A budget with room is not raised.
    assert_eq!(api.post(path, &json!({})).await.json()["limit_micros"], 8_010_000);
    let none = api.post("/api/v1/budgets/agent:ada/day/raise", &json!({})).await;
    assert_eq!(
        (none.status, &none.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("budget_not_found"))
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_too_small_for_the_next_call_is_raised_until_it_can_pay_it() {
    let office = Office::open().await;
    // The next call needs more than the usual increase.
    office.price(DEAR.0 * 5, DEAR.1 * 5).await;
    let ada = office.agent("Ada").await;
    office.limits(None, 0).await;
    set(&office, cents(wish(Payer::Agent(ada.id), Period::Month), 40)).await;
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    let needed = office.all::<BudgetWait>()[0].micros;
    assert!(2_000_000 < needed, "{needed}");
    office.model.push(done());
    let api = office.hq.owner();
    let raised = api.post("/api/v1/budgets/agent:ada/month/raise", &json!({})).await.json();
    assert_eq!(raised["limit_micros"], 400_000 + needed, "{raised}");
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_has_a_budget_in_all_and_no_other() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("Well."));
    let run = office.say(&ada, "Say something").await;
    let name = office.ended(run).await.name();
    let owner = office.hq.owner();
    let page = "/w/marlow-cargo/settings/usage/budgets";
    let set = |period: &'static str| {
        let (owner, name) = (owner.clone(), name.clone());
        async move {
            let fields =
                [("payer", "run"), ("task", name.as_str()), ("period", period), ("money", "5")];
            owner.form(page, &fields).await
        }
    };
    let month = set("month").await;
    assert_eq!(month.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(month.text_of("#f-period-says").contains("one total budget"), "{}", month.text);
    assert_eq!(set("total").await.status, StatusCode::SEE_OTHER);
    let own = owner.get(&format!("/api/v1/budgets?payer=run:{name}")).await.json();
    assert_eq!(own["items"][0]["limit_micros"], 5_000_000, "{own}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_server_takes_no_output_limit_all_that_the_model_can_say_is_held_back() {
    let office = Office::with(Setup::default(), Wire::OpenaiResponses, "mock").await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let refused =
        Turn::error(400, "unsupported_parameter", "Unsupported parameter: max_output_tokens");
    let long = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 32_000 };
    office.model.push(refused).push(Turn::text("A long answer.").usage(long));
    let run = office.ended(office.say(&ada, "Tell me all").await).await;
    assert_eq!(run.summary, "A long answer.", "{run:?}");
    let seen = office.model.requests();
    let limits = seen.iter().map(|seen| !seen.body["max_output_tokens"].is_null());
    assert_eq!(limits.collect::<Vec<_>>(), [true, false]);
    let events = office.events(run.id).into_iter();
    let held = events.filter_map(|kind| match kind {
        EventKind::CallStarted { reserved_micros, .. } => Some(reserved_micros),
        _ => None,
    });
    let (held, usage) = (held.collect::<Vec<_>>(), office.usage(run.id));
    let billed = usage[1].billed_micros.expect("a price");
    assert!(held[0] < billed && billed <= held[1], "{held:?} {billed}");

    // A budget that cannot pay for the whole call blocks it; nobody is notified again.
    set(&office, cents(wish(Payer::Agent(ada.id), Period::Month), 78)).await;
    let run = office.say(&ada, "And again?").await;
    office.in_state(run, RunState::Waiting).await;
    assert_eq!(office.model.requests().len(), 2);
    office.hq.finish().await;
}
