//! Budgets: reservation before a call, settlement after it, waiting when they are used up.

use features::agents::rules::{Changes, ModelChoice};
use features::inbox::model::Item;
use features::runs::model::{EventKind, Run};
use features::usage::model::{Reservation, Usage};
use features::usage::queries;
use kernel::{CallEnd, CallKind, ItemState, Outcome, Payer, RunState, WaitFor};
use serde_json::json;

use support::model::{Gate, Tokens, Turn};
use support::office::Office;

/// 100 dollars per million tokens: the request alone is limited to about half a dollar; a response and a final message
/// need the same again.
const DEAR: (i64, i64) = (100_000_000, 100_000_000);

fn cents(cents: i64) -> i64 {
    cents * 10_000
}

fn budget(limit: i64) -> Changes {
    Changes { budget_micros: Some(Some(limit)), ..Changes::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_booked_and_the_sums_are_right() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let tokens = Tokens { input: 1_000, cache_read: 200, cache_write: 0, output: 100 };
    office.model.push(Turn::call("task_list", json!({})).usage(tokens));
    office.model.push(Turn::text("Nothing.").usage(tokens));
    let run = office.say(&ada, "What is there to do?").await;
    office.ended(run).await;
    let usage = office.usage(run);
    let billed: Vec<Option<i64>> = usage.iter().map(|one| one.billed_micros).collect();
    assert_eq!(billed, [Some(5_100), Some(5_100)]);
    assert_eq!((usage[1].call, usage[1].cache_read, usage[1].estimated), (2, 200, false));
    let now = office.hq.now();
    let sums = office.ws().read(|snap| {
        Ok::<_, store::StoreError>((
            queries::run_cost(snap, run)?,
            queries::agent_month(snap, ada.id, now)?,
            queries::month_total(snap, now)?,
        ))
    });
    assert_eq!(sums.expect("a readable store"), (10_200, 10_200, 10_200));
    assert!(office.all::<Reservation>().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_a_budget_and_goes_on_when_it_is_raised() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    let ada = office.agent("Ada").await;
    office.change(ada.id, budget(cents(40))).await;
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("what it waits for");
    assert_eq!(waiting.waits_for, WaitFor::Budget);
    assert!(waiting.detail.contains("Ada's budget this month"), "{}", waiting.detail);
    assert!(office.model.requests().is_empty(), "nothing was asked");

    // A budget that still is too small changes nothing and causes no repeated attempts.
    let before = office.ws().store.head().seq;
    office.change(ada.id, budget(cents(60))).await;
    office.hq.advance(std::time::Duration::from_secs(60)).await;
    let other = office.agent("Otto").await;
    assert_eq!(office.get::<Run>(run).attempt, 1);
    let written = office.ws().store.entries_after(before, 100).expect("entries");
    assert!(written.iter().all(|entry| entry.actor.run().is_none()), "{written:?}");

    // Others continue meanwhile; the agent itself has released its slot.
    office.model.push(Turn::text("Yes."));
    let chat = office.say(&other, "Are you there?").await;
    office.ended(chat).await;

    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    office.change(ada.id, budget(cents(5_000))).await;
    let run = office.ended(run).await;
    assert_eq!((run.outcome, run.attempt), (Some(Outcome::Done), 2));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_until_the_workspace_has_a_new_month() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(Some(cents(270)), 0).await;
    let ada = office.agent("Ada").await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 20_000 };
    office.model.push(Turn::text("That was dear.").usage(spent));
    let first = office.say(&ada, "Begin").await;
    office.ended(first).await;
    let second = office.say(&ada, "Go on").await;
    let waiting =
        office.in_state(second, RunState::Waiting).await.waiting.expect("what it waits for");
    assert!(waiting.detail.contains("the workspace's budget this month"), "{}", waiting.detail);
    office.model.push(Turn::text("A new month."));
    office.move_to(waiting.until.expect("the first of the next month")).await;
    assert_eq!(office.ended(second).await.summary, "A new month.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_what_another_holds_back_goes_on_by_itself() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(Some(cents(200)), 0).await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate)).push(Turn::text("Two."));
    let first = office.say(&ada, "One?").await;
    gate.reached().await;
    let second = office.say(&otto, "Two?").await;
    office.in_state(second, RunState::Waiting).await;
    gate.open();
    office.ended(first).await;
    assert_eq!(office.ended(second).await.summary, "Two.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_may_cost_ends_it_with_a_last_word() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, cents(200)).await;
    let ada = office.agent("Ada").await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 11_000 };
    office.model.push(Turn::call("task_list", json!({})).usage(spent));
    office.model.push(Turn::text("I have listed the tasks; nothing else is done."));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Limit { which: "cost".into() }));
    assert_eq!(run.summary, "I have listed the tasks; nothing else is done.");
    let cost = office.ws().read(|snap| queries::run_cost(snap, run.id)).expect("a readable store");
    assert!(cost <= cents(200), "{cost}");
    assert_eq!(office.items(ada.id)[0].last_error.as_deref(), Some("limit: cost"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_even_pay_a_last_word_ends_without_one() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, cents(10)).await;
    let ada = office.agent("Ada").await;
    let run = office.say(&ada, "Hello?").await;
    let run = office.ended(run).await;
    assert_eq!(run.outcome, Some(Outcome::Limit { which: "cost".into() }));
    assert!(run.summary.contains("the limit per run"), "{}", run.summary);
    assert!(office.model.requests().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_money_begins_nothing_and_its_items_say_why() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 60_000 };
    office.model.push(Turn::text("That was dear.").usage(spent));
    office.change(ada.id, budget(cents(500))).await;
    let first = office.say(&ada, "Begin").await;
    office.ended(first).await;
    let task = office.task("Compare two offers", &ada).await;
    let item = office
        .until("a held item", |snap| {
            let items: Vec<Item> = store::ReadExt::list(snap, &store::Range::all())?;
            Ok(items.into_iter().find(|item| item.held_reason.is_some()))
        })
        .await;
    assert_eq!(
        (item.state, item.held_reason.as_deref()),
        (ItemState::Pending, Some("over_budget"))
    );
    assert!(office.runs_on(task.id).is_empty());
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    office.change(ada.id, budget(cents(5_000))).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_a_price_still_meets_a_limit() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.change(ada.id, budget(cents(5))).await;
    let run = office.say(&ada, "Hello?").await;
    office.in_state(run, RunState::Waiting).await;
    // Without a limit nothing is counted, and no cost is claimed.
    let none = Changes { budget_micros: Some(None), ..Changes::default() };
    office.model.push(Turn::text("Hello."));
    office.change(ada.id, none).await;
    office.ended(run).await;
    assert_eq!(office.usage(run)[0].billed_micros, None);
    let events = office.events(run);
    let waits = events.iter().filter(|kind| matches!(kind, EventKind::Waiting { .. })).count();
    assert_eq!(waits, 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cheaper_model_ends_the_wait_for_a_budget() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    let ada = office.agent("Ada").await;
    office.change(ada.id, budget(cents(40))).await;
    let first = office.task("Compare two offers", &ada).await;
    let second = office.task("Compare two more", &ada).await;
    let run = office.run_on(first.id).await;
    office.in_state(run, RunState::Waiting).await;
    // Other waiting work does not start: it could not be paid either.
    let held = || office.items(ada.id).into_iter().find_map(|item| item.held_reason);
    let reason = office.until("what waits says why", |_| Ok(held())).await;
    assert_eq!(reason, "over_budget");
    assert!(office.runs_on(second.id).is_empty());
    for _ in 0..2 {
        office
            .model
            .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })));
    }
    let cheap =
        ModelChoice { connection: Some(office.connection), model: Some("claude-haiku-4-5".into()) };
    office.change(ada.id, Changes { model: Some(cheap), ..Changes::default() }).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    office.worked(second.id, 1).await;
    let dear = office.model.requests().iter().filter(|seen| seen.body["model"] == "mock").count();
    assert_eq!(dear, 0, "the dear model was never asked");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_long_to_be_kept_is_paid_and_the_model_is_told() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    let ada = office.agent("Ada").await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 15_000 };
    let long = || Turn::text(&"many-words-".repeat(30_000)).usage(spent);
    office.model.push(long()).push(Turn::text("In short: yes."));
    let run = office.ended(office.say(&ada, "Tell me all").await).await;
    assert_eq!((run.outcome, run.summary.as_str()), (Some(Outcome::Done), "In short: yes."));
    let booked = |run| {
        let usage = office.usage(run).into_iter();
        usage.map(|one| (one.end, one.output, one.billed_micros, one.estimated)).collect::<Vec<_>>()
    };
    assert_eq!(booked(run.id)[0], (CallEnd::Answered, 15_000, Some(225_300), false));
    assert!(office.model.last().text().contains("split a long file into several calls"));

    // The second time in a row, the run ends and is not repeated automatically.
    office.model.push(long()).push(long());
    let task = office.task("Tell me all", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert!(
        matches!(&run.outcome, Some(Outcome::Failed { code, .. }) if code == "answer_too_long"),
        "{run:?}"
    );
    assert!(booked(run.id).iter().all(|one| one.1 == 15_000), "{:?}", booked(run.id));
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.not_before), (ItemState::Failed, None));
    assert!(office.all::<Reservation>().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_switched_off_is_asked_once_for_an_item() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::error(401, "account_deactivated", "Gone"));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.not_before), (ItemState::Failed, None), "{:?}", item.last_error);
    office.hq.advance(std::time::Duration::from_secs(3_600)).await;
    assert_eq!((office.runs_on(task.id).len(), office.model.requests().len()), (1, 1));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_counts_beyond_all_measure_ends_what_it_may_cost() {
    let office = Office::open().await;
    office.price(3_000_000, 15_000_000).await;
    office.limits(None, 0).await;
    let ada = office.agent("Ada").await;
    office.change(ada.id, budget(cents(500))).await;
    let most = 4_000_000_000_000_000_000;
    let tokens = Tokens { input: most, cache_read: 0, cache_write: 0, output: most };
    office.model.push(Turn::text("Honestly.").usage(tokens));
    let run = office.say(&ada, "What did that cost?").await;
    office.ended(run).await;
    let usage = &office.usage(run)[0];
    assert_eq!((usage.input, usage.output), (1_000_000_000_000, 1_000_000_000_000));
    assert_eq!(usage.billed_micros, Some(10_000_000_000_000), "as much as can be believed");
    let now = office.hq.now();
    let month = office.ws().read(|snap| queries::month_total(snap, now));
    assert_eq!(month.expect("a readable store"), 10_000_000_000_000);
    let task = office.task("Compare two offers", &ada).await;
    let held = || office.items(ada.id).into_iter().find_map(|item| item.held_reason);
    let reason = office.until("what waits says why", |_| Ok(held())).await;
    assert_eq!(reason, "over_budget");
    assert!(office.runs_on(task.id).is_empty() && office.model.requests().len() == 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_is_tested_when_the_budget_is_used_up() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    let ada = office.agent("Ada").await;
    let spent = Tokens { input: 100, cache_read: 0, cache_write: 0, output: 20_000 };
    office.model.push(Turn::text("That was dear.").usage(spent));
    office.ended(office.say(&ada, "Begin").await).await;
    office.limits(Some(1), 0).await;
    let asked = office.model.requests().len();
    let api = office.hq.api().await;
    let path = format!("/api/v1/connections/{}/test", office.connection);
    let refused = api.call("POST", &path).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text);
    assert_eq!(refused.json()["code"], "over_budget");
    assert!(refused.text.contains("the workspace's budget is used up"), "{}", refused.text);
    assert_eq!(office.model.requests().len(), asked, "it was not asked");
    office.limits(None, 0).await;
    office.model.usually(Turn::text("ready"));
    let tested = api.call("POST", &path).await.json();
    assert_eq!(tested["ok"], true, "{tested}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_a_connection_holds_back_what_it_may_cost_and_is_booked_however_it_ends() {
    let office = Office::open().await;
    office.price(DEAR.0, DEAR.1).await;
    let api = office.hq.api().await;
    let path = format!("/api/v1/connections/{}/test", office.connection);
    // Nothing is spent yet, but less is left than the call may cost.
    office.limits(Some(cents(1)), 0).await;
    let asked = office.model.requests().len();
    let refused = api.call("POST", &path).await;
    assert_eq!(refused.json()["code"], "over_budget", "{}", refused.text);
    assert_eq!(office.model.requests().len(), asked, "it was not asked");
    assert!(office.all::<Reservation>().is_empty() && office.all::<Usage>().is_empty());

    office.limits(Some(cents(10_000)), 0).await;
    let gate = Gate::new();
    office.model.push(Turn::text("ready").behind(&gate));
    office.model.usually(Turn::text("ready"));
    let looked = async {
        gate.reached().await;
        let held = office.all::<Reservation>();
        gate.open();
        held
    };
    let (tested, held) = tokio::join!(api.call("POST", &path), looked);
    assert_eq!(tested.json()["ok"], true, "{}", tested.text);
    let [held] = held.as_slice() else { panic!("one is held back: {held:?}") };
    assert_eq!((held.run, held.agent, held.kind), (None, None, CallKind::Test));
    assert_eq!(held.payers, [Payer::Workspace]);
    assert!(held.release_at.is_some(), "a crash leaves nothing held back for good");
    assert!(office.all::<Reservation>().is_empty());
    let booked = office.all::<Usage>();
    assert_eq!(booked.iter().map(|one| one.end).collect::<Vec<_>>(), [CallEnd::Answered]);
    let billed = booked[0].billed_micros.expect("a price");
    assert!(0 < billed && billed <= held.micros, "{billed} of {}", held.micros);

    // The attempt is recorded.
    office.model.push(Turn::error(429, "rate_limit_error", "slow down"));
    let failed = api.call("POST", &path).await.json();
    assert_eq!(failed["ok"], false, "{failed}");
    assert!(office.all::<Reservation>().is_empty());
    let refused: Vec<Usage> =
        office.all::<Usage>().into_iter().filter(|one| one.end == CallEnd::Refused).collect();
    let [refused] = refused.as_slice() else { panic!("one was refused: {refused:?}") };
    assert_eq!((refused.kind, refused.billed_micros), (CallKind::Test, Some(0)));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_says_that_each_run_may_cost_limits_a_model_without_a_price() {
    const BUDGETS: &str = "/w/marlow-cargo/settings/usage/budgets";
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let owner = office.hq.owner();
    let note = "doesn’t apply to models without a price";
    // The default limit of two dollars counts as not chosen.
    office.model.push(Turn::text("Hello."));
    let first = office.say(&ada, "Hello?").await;
    assert_eq!(office.ended(first).await.outcome, Some(Outcome::Done));
    assert_eq!(office.usage(first)[0].billed_micros, None);
    let page = format!("/w/marlow-cargo/runs/R-{}", office.get::<Run>(first).number);
    assert!(owner.get(&page).await.text.contains("its limit doesn’t apply until one is set"));
    assert!(owner.get(BUDGETS).await.text.contains(note));
    // A person chooses another amount, and then the same again.
    let api = office.hq.api().await;
    for micros in [50_000, 2_000_000, 50_000] {
        let body = json!({ "run_cap_micros": micros });
        let set = api.json("PATCH", "/api/v1/settings", &body).await;
        assert_eq!(set.status, reqwest::StatusCode::OK, "{}", set.text);
        assert!(!owner.get(BUDGETS).await.text.contains(note), "{micros}");
    }
    let second = office.say(&ada, "And now?").await;
    let ended = office.ended(second).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "cost".into() }));
    assert!(ended.summary.contains("the limit per run"), "{}", ended.summary);
    assert_eq!(office.model.requests().len(), 1, "nothing more was asked");
    office.hq.finish().await;
}
