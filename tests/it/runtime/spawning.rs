//! Start of sub-agents: their context, their agent, their limits, and the workspace's settings.

use std::time::Duration;

use axum::http::StatusCode;
use features::agents::model::Agent;
use features::agents::rules as agents;
use features::runs::model::{Child, Run, SubagentLimits};
use features::runs::rules::limits;
use features::usage::queries::budgets;
use kernel::{Outcome, Payer, RunId};
use serde_json::{Value, json};

use support::model::{Gate, Seen, Turn};
use support::office::Office;

fn spawn(args: Value) -> Turn {
    Turn::call("subagent_spawn", args)
}

fn wait() -> Turn {
    Turn::call("subagent_wait", json!({}))
}

/// Each agent follows its last instruction, step by step.
fn answer(seen: &Seen) -> Option<Turn> {
    let messages = seen.body["messages"].as_array()?;
    let at = messages.iter().rposition(|message| message["role"] == "user")?;
    let said = messages[at]["content"].to_string();
    let word = said.rsplit("please ").next()?;
    let word = word.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let step = messages[at..].iter().filter(|message| message["role"] == "assistant").count();
    Some(match (word, step) {
        ("remember", _) => Turn::text("I will."),
        ("search", 0) => Turn::call("memory_search", json!({ "query": "remember zanzibar" })),
        ("search", _) => Turn::text("Found."),
        ("fork", 0) => spawn(json!({ "task": "please tell", "context": "fork" })),
        ("ask", 0) => spawn(json!({ "task": "please tell" })),
        ("hand", 0) => spawn(json!({ "task": "please run", "agent": "otto" })),
        ("share", 0) => {
            spawn(json!({ "task": "please tell", "agent": "@otto", "context": "fork" }))
        }
        ("many", 0) => (0..3).fold(Turn::text("Now."), |turn, n| {
            turn.and_call("subagent_spawn", json!({ "task": format!("please stay, {n}") }))
        }),
        ("fork" | "ask" | "hand" | "share", 1) => wait(),
        ("fork" | "ask" | "hand" | "share" | "many", _) => Turn::text("All is there."),
        // Sub-agents.
        ("tell", _) if seen.text().contains("zanzibar") => Turn::text("The word is zanzibar."),
        ("tell", _) => Turn::text("I know no word."),
        ("stay", _) => Turn::call("ask_person", json!({ "question": "What now?" })),
        ("run", 0) => Turn::call("exec", json!({ "command": "echo ran" }))
            .and_call("write", json!({ "path": "work/r-2/notes.md", "content": "mine\n" })),
        ("run", _) => Turn::text("That is how far I came."),
        _ => return None,
    })
}

/// The sub-agents, oldest first.
fn children(office: &Office) -> Vec<(Child, Run)> {
    let all = office.all::<Child>().into_iter();
    let mut all: Vec<_> = all.map(|child| (office.get::<Run>(child.run), child)).collect();
    all.sort_by_key(|(run, _)| run.number);
    all.into_iter().map(|(run, child)| (child, run)).collect()
}

/// Result of the call that waited.
fn told(office: &Office, run: RunId) -> String {
    let waited = office.results(run).into_iter().find(|(name, ..)| name == "subagent_wait");
    waited.expect("it waited").2
}

async fn office() -> (Office, Agent) {
    let office = Office::open().await;
    office.model.answering(answer);
    let ada = office.agent("Ada").await;
    (office, ada)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_agent_begins_with_the_conversation_when_that_is_asked_for() {
    let (office, ada) = office().await;
    let first = office.say(&ada, "please remember zanzibar").await;
    office.ended(first).await;
    let fork = office.say(&ada, "please fork").await;
    assert_eq!(office.ended(fork).await.outcome, Some(Outcome::Done));
    assert!(told(&office, fork).contains("The word is zanzibar."), "{}", told(&office, fork));
    let ask = office.say(&ada, "please ask").await;
    office.ended(ask).await;
    assert!(told(&office, ask).contains("I know no word."), "{}", told(&office, ask));
    let made = children(&office);
    assert_eq!(made.iter().map(|(child, _)| child.forked).collect::<Vec<_>>(), [true, false]);
    // The copy ends before the answer with the call: every call in it has a result.
    let asked = office.model.requests();
    let forked = asked.iter().find(|seen| seen.text().contains("The conversation above is what"));
    let messages = forked.expect("it was asked").body["messages"].clone();
    let messages = messages.as_array().expect("messages");
    assert!(messages.iter().all(|message| message["tool_calls"].is_null()), "{messages:?}");
    let words: Vec<_> = messages.iter().map(|message| message["role"].clone()).collect();
    assert_eq!(words[words.len() - 3..], ["user", "assistant", "user"]);
    // Its own log begins with its task; the run's page shows only what it did itself.
    let (_, below) = &made[0];
    assert!(!format!("{:?}", office.events(below.id)).contains("remember zanzibar"));
    // A text that both have is found once.
    let search = office.say(&ada, "please search").await;
    office.ended(search).await;
    let found = office.results(search).remove(0);
    assert_eq!(found.2.matches("please remember zanzibar").count(), 1, "{}", found.2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_does_it_with_no_more_rights_than_who_asks_and_both_pay() {
    let (office, ada) = office().await;
    office.price(1_000_000, 1_000_000).await;
    office.limits(None, 2_000_000).await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let otto = office.agent_with("Otto", |new| new.exec = true).await;
    let run = office.say(&ada, "please hand").await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let (child, below) = children(&office).pop().expect("one was made");
    assert_eq!((below.agent, child.may_exec), (otto.id, false));
    let did: Vec<bool> = office.results(below.id).into_iter().map(|result| result.1).collect();
    assert_eq!(did, [false, true], "{:?}", office.results(below.id));
    assert_eq!(office.file(&otto, "work/r-2/notes.md").as_deref(), Some("mine\n"));
    assert_eq!(office.file(&ada, "work/r-2/notes.md"), None);
    let asked = office.model.requests();
    let its = asked.iter().find(|seen| seen.text().contains("[Subagent Task"));
    assert!(!its.expect("it was asked").tools().contains(&"exec".to_owned()));
    // The sub-agent is billed, and the parent run's budget is reduced by the same amount.
    let used = office.usage(below.id);
    assert!(used.iter().all(|used| used.agent == Some(otto.id)));
    assert!(used.iter().all(|used| used.payers.contains(&Payer::Run(run))), "{used:?}");
    let spent = |run| office.usage(run).iter().filter_map(|used| used.billed_micros).sum::<i64>();
    let (ws, now) = (office.ws(), office.hq.now());
    let left = ws.read(|snap| budgets::left_of_run(snap, ada.id, run, now)).expect("readable");
    assert_eq!(left.micros, u64::try_from(2_000_000 - spent(run) - spent(below.id)).ok());
    // A conversation stays with its agent.
    let share = office.say(&ada, "please share").await;
    office.ended(share).await;
    let refused = office.results(share).remove(0);
    assert!(!refused.1 && refused.2.contains("Error(fork_of_other)"), "{refused:?}");
    // A paused agent gets no new work.
    let id = otto.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    let again = office.say(&ada, "please hand").await;
    office.ended(again).await;
    let refused = office.results(again).remove(0);
    assert!(!refused.1 && refused.2.contains("Otto isn't working now"), "{refused:?}");
    assert_eq!(children(&office).len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_choose_how_runs_branch_and_that_survives_a_restart() {
    let (mut office, ada) = office().await;
    let owner = office.hq.owner();
    let usual = owner.get("/api/v1/subagent-limits").await.json();
    let expected = json!({ "depth": 1, "fan_out": 16, "live": 5, "total": 16, "minutes": 120 });
    assert_eq!(usual, expected);
    let set = owner.json("PUT", "/api/v1/subagent-limits", &json!({ "live": 1 })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let wrong = owner.json("PUT", "/api/v1/subagent-limits", &json!({ "depth": 6 })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert_eq!(wrong.json()["errors"][0]["field"], "depth", "{}", wrong.text);
    office.hq.restart().await;
    assert_eq!(office.all::<SubagentLimits>().len(), 1);
    let run = office.say(&ada, "please many").await;
    office.ended(run).await;
    let refused = office.results(run);
    let at_once = |text: &str| text.contains("1 sub-agents are already running, the maximum");
    assert!(refused[0].1 && !refused[1].1 && at_once(&refused[1].2), "{refused:?}");

    // The form has the same five numbers.
    let form = [("depth", "1"), ("fan_out", "2"), ("live", "9"), ("total", ""), ("minutes", "30")];
    let saved = office.hq.owner().form("/w/marlow-cargo/settings/subagents", &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let page = office.hq.owner().get("/w/marlow-cargo/settings/general").await;
    assert_eq!(page.attr("input[name=fan_out]", "value"), "2");
    let run = office.say(&ada, "please many").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[1].1 && !results[2].1, "{results:?}");
    assert!(results[2].2.contains("this run has created 2 sub-agents"), "{results:?}");
    office
        .act(|tx| limits::set(tx, SubagentLimits { total: 1, ..SubagentLimits::default() }))
        .await;
    let run = office.say(&ada, "please many").await;
    office.ended(run).await;
    let results = office.results(run);
    assert!(results[1].2.contains("1 sub-agents were created below one run"), "{results:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_agent_works_no_longer_than_it_may_over_a_restart_too() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let limits_of = |minutes| SubagentLimits { minutes, ..SubagentLimits::default() };
    office.act(move |tx| limits::set(tx, limits_of(5))).await;
    let gate = Gate::new();
    let task = json!({ "task": "Look around", "minutes": 60 });
    office.model.push(spawn(task).and_call("subagent_wait", json!({})));
    office.model.push(Turn::call("task_get", json!({ "task": "MC-1" })).behind(&gate));
    let run = office.say(&ada, "Have it looked at").await;
    gate.reached().await;
    let (child, below) = children(&office).pop().expect("one was made");
    assert_eq!(child.minutes, Some(5), "no longer than the workspace allows");
    office.hq.advance(Duration::from_secs(4 * 60)).await;
    // Its work counts on after a restart, which also repeats the call.
    let again = Gate::new();
    office.model.push(Turn::call("task_get", json!({ "task": "MC-1" })).behind(&again));
    office.model.push(Turn::text("I have seen the half of it."));
    office.model.push(Turn::text("So it took too long."));
    office.hq.restart().await;
    gate.open();
    again.reached().await;
    office.hq.advance(Duration::from_secs(2 * 60)).await;
    again.open();
    let ended = office.ended(below.id).await;
    assert_eq!(ended.outcome, Some(Outcome::Limit { which: "time".into() }));
    assert_eq!(office.ended(run).await.summary, "So it took too long.");
    let told = told(&office, run);
    assert!(told.contains("I have seen the half of it."), "{told}");
    office.hq.finish().await;
}
