//! Interrupted runs continue where they stopped: after a limit, after a stop.

use axum::http::StatusCode;
use features::inbox::model::Item;
use features::runs::model::Run;
use features::usage::model::budget::Budget;
use features::usage::rules::budgets::{self, BudgetRequest};
use kernel::{ItemState, Outcome, Payer, Period, RunId};
use serde_json::{Value, json};

use support::model::{Gate, Tokens, Turn};
use support::office::Office;

/// One hundred dollars per million tokens.
const DEAR: (i64, i64) = (100_000_000, 100_000_000);
const TWO: i64 = 2_000_000;

fn run_of(office: &Office, made: &Value) -> RunId {
    let name = made["name"].as_str().expect("a name");
    office.all::<Run>().into_iter().find(|run| run.name() == name).expect("a run").id
}

/// Uses up the run's budget, then answers with the state of its work.
fn spend(office: &Office) {
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 11_000 };
    office.model.push(Turn::call("task_list", json!({})).usage(spent));
    office.model.push(Turn::text("Two of three offers are compared."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_cost_too_much_goes_on_with_as_much_again() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, TWO).await;
    let ada = office.agent("Ada").await;
    spend(&office);
    let task = office.task("Compare three offers", &ada).await;
    let first = office.worked(task.id, 1).await;
    assert_eq!(first.outcome, Some(Outcome::Limit { which: "cost".into() }));
    let own = BudgetRequest {
        payer: Payer::Run(first.id),
        period: Period::Total,
        limit_micros: Some(TWO),
        limit_tokens: None,
        soft_pct: 80,
        hard: true,
    };
    office.act(move |tx| budgets::set(tx, own)).await;

    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    assert!(page.text_of("#run-head").contains("Continue with another $2"), "{}", page.text);
    let actions = page.attrs("form", "action");
    assert!(actions.contains(&"/w/marlow-cargo/runs/R-1/continue".to_owned()), "{actions:?}");
    assert_eq!(page.attr("form.steer", "action"), "/w/marlow-cargo/runs/R-1/continue");
    assert!(page.text_of("#run-head").contains("limit $2.00"), "{}", page.text);
    let home = office.hq.owner().get("/w/marlow-cargo/").await;
    assert!(home.text.contains("Continue with another $2"), "{}", home.text);
    let api = office.hq.api().await;
    let told = api.get("/api/v1/runs/R-1").await.json();
    assert_eq!(told["goes_on"], "Continue with another $2", "{told}");

    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    let wish = json!({ "text": "The third one is in offers.md." });
    let made = api.post("/api/v1/runs/R-1/continue", &wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    assert_eq!(made["of"], "R-1");
    let second = office.ended(run_of(&office, &made)).await;
    assert_eq!((second.outcome, second.session), (Some(Outcome::Done), first.session));
    let asked = office.model.last().text();
    for words in
        ["Two of three offers are compared.", "another $2", "The third one is in offers.md"]
    {
        assert!(asked.contains(words), "{words}: {asked}");
    }
    // It continues the same work with its own limit.
    assert_eq!(second.item, first.item);
    assert_eq!(office.get::<Item>(second.item.expect("work")).state, ItemState::Done);
    let limit: Budget = office.get((Payer::Run(second.id), Period::Total));
    assert_eq!(limit.limit_micros, Some(TWO));

    // Only once: the first run was continued already, the second is complete.
    for (run, code) in [("R-1", "run_overtaken"), ("R-2", "run_complete")] {
        let refused = api.post(&format!("/api/v1/runs/{run}/continue"), &json!({})).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert_eq!(refused.json()["code"], code);
    }
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    assert!(!page.text_of("#run-head").contains("Continue"), "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_goes_on_from_its_page() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, TWO).await;
    let ada = office.agent("Ada").await;
    spend(&office);
    let first = office.say(&ada, "Compare them").await;
    office.ended(first).await;
    let mira = office.hq.owner();
    let chat = mira.get("/w/marlow-cargo/agents/ada/chat").await;
    assert!(chat.text_of("#talk").contains("Continue with another $2"), "{}", chat.text);
    office.model.push(Turn::text("All three are compared."));
    let form = [("back", "chat")];
    // Submitting twice changes nothing.
    for _ in 0..2 {
        let sent = mira.form("/w/marlow-cargo/runs/R-1/continue", &form).await;
        assert_eq!(sent.location(), Some("/w/marlow-cargo/agents/ada/chat"), "{}", sent.text);
    }
    let second = office.all::<Run>().into_iter().find(|run| run.number == 2).expect("a run");
    assert_eq!(office.ended(second.id).await.summary, "All three are compared.");
    let chat = mira.get("/w/marlow-cargo/agents/ada/chat").await;
    assert!(!chat.text_of("#talk").contains("Continue with"), "{}", chat.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_tokens_is_called_so_and_a_stopped_run_goes_on() {
    let office = Office::open().await;
    office.price(0, 0).await;
    let ada = office.agent("Ada").await;
    let each = BudgetRequest {
        payer: Payer::Workspace,
        period: Period::Run,
        limit_micros: None,
        limit_tokens: Some(40_000),
        soft_pct: 80,
        hard: true,
    };
    office.act(move |tx| budgets::set(tx, each)).await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 31_000 };
    office.model.push(Turn::call("task_list", json!({})).usage(spent));
    office.model.push(Turn::text("Half of it is done."));
    let first = office.say(&ada, "Begin").await;
    let first = office.ended(first).await;
    assert_eq!(first.outcome, Some(Outcome::Limit { which: "tokens".into() }));
    let api = office.hq.api().await;
    let told = api.get("/api/v1/runs/R-1").await.json();
    assert_eq!(told["goes_on"], "Continue with another 40,000 tokens", "{told}");

    let gate = Gate::new();
    office.model.push(Turn::text("Never said.").behind(&gate));
    let made = api.post("/api/v1/runs/R-1/continue", &json!({})).await.json();
    let second = run_of(&office, &made);
    gate.reached().await;
    let live = api.post("/api/v1/runs/R-2/continue", &json!({})).await;
    assert_eq!(live.json()["code"], "run_live", "{}", live.text);
    office.stop(second).await;
    office.ended(second).await;
    let told = api.get("/api/v1/runs/R-2").await.json();
    assert_eq!(told["goes_on"], "Continue", "{told}");
    office.model.push(Turn::text("All of it is done."));
    let made = api.post("/api/v1/runs/R-2/continue", &json!({})).await.json();
    assert_eq!(office.ended(run_of(&office, &made)).await.summary, "All of it is done.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_that_failed_on_its_way_goes_on_without_being_asked_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::error(400, "invalid_request_error", "no such field"));
    let first = office.ended(office.say(&ada, "Count the tasks").await).await;
    assert!(matches!(first.outcome, Some(Outcome::Failed { .. })), "{:?}", first.outcome);
    let api = office.hq.api().await;
    let told = api.get("/api/v1/runs/R-1").await.json();
    assert_eq!(told["goes_on"], Value::Null, "it did nothing: {told}");
    office.model.push(Turn::call("task_list", json!({})));
    office.model.push(Turn::error(400, "invalid_request_error", "no such field"));
    let second = office.say(&ada, "Count them now").await;
    office.ended(second).await;
    office.model.push(Turn::text("There are none."));
    let made = api.post("/api/v1/runs/R-2/continue", &json!({})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let third = office.ended(run_of(&office, &made.json())).await;
    assert_eq!((third.summary.as_str(), third.steps), ("There are none.", 0));
    let asked = office.model.last().text();
    assert_eq!(asked.matches("Count them now").count(), 1, "{asked}");
    office.hq.finish().await;
}
