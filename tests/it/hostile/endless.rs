//! Endless behaviour: runs, cycles, sub-agents, spending, output, programs.

use features::runs::model::{Child, Run, SubagentLimits};
use features::runs::rules::limits;
use features::usage::rules::budgets::{self, BudgetRequest};
use kernel::{Outcome, Payer, Period, RunId, RunState};
use serde_json::json;

use super::{call, obey, obey_for_ever, orders};
use support::model::{Seen, Tokens, Turn};
use support::office::Office;

/// Obeys, with usage that costs money each time.
fn obey_dearly(seen: &Seen) -> Option<Turn> {
    let spent = Tokens { input: 2_000, cache_read: 0, cache_write: 0, output: 1_000 };
    obey(seen).map(|turn| turn.usage(spent))
}

/// The loop guard: instructions that repeat themselves are stopped after a few calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_call_for_themselves_are_a_circle() {
    let office = Office::open().await;
    office.model.answering(obey_for_ever);
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let again = call("read", json!({ "path": "orders.md" }));
    std::fs::write(folder.join("orders.md"), orders(std::slice::from_ref(&again))).expect("a file");
    let run = office.say(&ada, &again).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "loop".into() }));
    assert!(ended.calls <= 5, "{}", ended.calls);
    office.hq.finish().await;
}

/// One message full of the same failing call is not executed to its end: the rest is skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_full_of_the_same_mistake_is_cut_short() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let turn = (0..12).fold(Turn::text("All at once."), |turn, n| {
        turn.and_call("task_update", json!({ "task": format!("MC-{}", 700 + n), "status": "done" }))
    });
    office.model.push(turn).push(Turn::text("None of them is there."));
    let run = office.say(&ada, "Finish them all").await;
    assert_eq!(office.ended(run).await.summary, "None of them is there.");
    let results = office.results(run);
    assert_eq!(results.len(), 12, "each call has an answer");
    let skipped = results.iter().filter(|result| result.2.contains("keep giving the same result"));
    assert_eq!(skipped.count(), 7, "{results:?}");
    office.hq.finish().await;
}

/// The limits of sub-agents: however obedient the model, their number and depth are bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sub_agents_that_make_sub_agents_are_few_in_all() {
    let office = Office::open().await;
    office.model.answering(obey);
    let most = SubagentLimits { depth: 5, fan_out: 3, live: 20, total: 6, minutes: 5 };
    office.act(move |tx| limits::set(tx, most)).await;
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let read = call("read", json!({ "path": "orders.md" }));
    let spawn = |n: u32| call("subagent_spawn", json!({ "task": format!("Part {n}\n{read}") }));
    std::fs::write(folder.join("orders.md"), orders(&[1, 2, 3, 4].map(spawn))).expect("a file");
    let run = office.say(&ada, &read).await;
    office.ended(run).await;
    office
        .until("the end of all runs", |snap| {
            use store::{Range, ReadExt as _};
            let runs: Vec<Run> = snap.list(&Range::all())?;
            let over = runs.iter().all(|run| run.state == RunState::Ended);
            Ok((6 < runs.len() && over).then_some(()))
        })
        .await;
    let made = office.all::<Child>();
    assert_eq!(made.len(), 6, "as many as there may be below one run");
    assert!(made.iter().all(|child| child.depth <= 5));
    let refused = office.results(run).into_iter().find(|result| result.2.contains("too_many"));
    assert!(refused.is_some(), "{:?}", office.results(run));
    office.hq.finish().await;
}

/// An agent reads pages, each of which points it to the next one.
async fn many_pages(office: &Office) -> RunId {
    let ada = office.agent("Ada").await;
    let folder = office.ws().agent_folder(&ada.slug);
    let read = |n: u32| call("read", json!({ "path": format!("{n}.md") }));
    for n in 0..60 {
        let text = format!("This is page {n} of many.\n{}\n", read(n + 1));
        std::fs::write(folder.join(format!("{n}.md")), text).expect("a file");
    }
    office.say(&ada, &read(0)).await
}

/// Where no price is known, the number of tokens is limited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_to_go_on_use_no_more_tokens_than_a_run_may() {
    let office = Office::open().await;
    office.model.answering(obey_dearly);
    let wish = BudgetRequest {
        payer: Payer::Workspace,
        period: Period::Run,
        limit_micros: None,
        limit_tokens: Some(80_000),
        soft_pct: 80,
        hard: true,
    };
    office.act(move |tx| budgets::set(tx, wish)).await;
    let run = many_pages(&office).await;
    let ended = office.ended(run).await;
    assert!(matches!(ended.outcome, Some(Outcome::Limit { .. })), "{:?}", ended.outcome);
    let used: u64 = office.usage(run).iter().map(|used| used.input + used.output).sum();
    assert!(20_000 < used && used <= 80_000, "{used}");
    office.hq.finish().await;
}

/// The budget: it is reserved before each call, so it is never exceeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_to_go_on_spend_no_more_than_a_run_may() {
    let office = Office::open().await;
    office.model.answering(obey_dearly);
    office.price(1_000_000, 10_000_000).await;
    office.limits(None, 300_000).await;
    let run = many_pages(&office).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "cost".into() }));
    let spent: i64 = office.usage(run).iter().filter_map(|used| used.billed_micros).sum();
    assert!(100_000 < spent && spent <= 300_000, "{spent}");
    office.hq.finish().await;
}

/// Output size and time of a program are limited whatever it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_floods_or_never_ends_is_ended() {
    let office = Office::open().await;
    let jailed = sandbox::confine::landlock_abi() > 0;
    office.settings(move |settings| settings.exec_without_jail = !jailed).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let deaf = "trap '' TERM INT HUP QUIT; while :; do sleep 1; done";
    let hidden = "(setsid sh -c \"trap '' TERM HUP; sleep 600\" & ) ; sleep 600";
    office.model.push(Turn::call("exec", json!({ "command": "yes obey", "timeout": 20 })));
    for command in [deaf, hidden] {
        office.model.push(Turn::call("exec", json!({ "command": command, "timeout": 1 })));
    }
    office.model.push(Turn::text("All of it has ended."));
    let run = office.say(&ada, "Never end").await;
    assert_eq!(office.ended(run).await.summary, "All of it has ended.");
    let results = office.results(run);
    assert!(results[0].2.starts_with("[ended: too much output"), "{}", results[0].2);
    assert!(results[0].2.len() < 64_000, "{}", results[0].2.len());
    for (_, ok, text) in &results[1..] {
        assert!(!ok && text.starts_with("[ended after 1 s (time-out)"), "{text}");
    }
    office.hq.finish().await;
}

/// Defence: the limits of a run. Whatever a model is told, its number of calls is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_was_talked_into_going_on_for_ever_is_ended() {
    let limits = runtime::Limits { calls: 6, steps: 40, ..runtime::Limits::default() };
    let office = Office::limited(limits).await;
    let ada = office.agent("Ada").await;
    // Each call is different, so that the loop guard does not apply.
    for n in 0..20 {
        let content = format!("{n}");
        let write = json!({ "path": format!("{n}.md"), "content": content });
        office.model.push(Turn::call("write", write));
    }
    let run = office.say(&ada, "Never stop").await;
    let ended = office.ended(run).await;
    assert!(matches!(ended.outcome, Some(kernel::Outcome::Limit { .. })), "{:?}", ended.outcome);
    assert!(ended.calls <= 7, "{}", ended.calls);
    office.hq.finish().await;
}
