//! Sub-agents: limits, results delivered exactly once, stops with their parents; also across kills.

use std::time::Duration;

use features::agents::model::Agent;
use features::runs::model::{Child, EventKind, Run, Session};
use features::runs::rules as runs;
use features::tasks::model::Task;
use features::usage::model::Usage;
use features::usage::queries::budgets;
use kernel::{ItemKind, Outcome, Payer, Role, RunId, RunState, RunTrigger, Thinking, WaitFor};
use reqwest::StatusCode;
use serde_json::json;

use super::crash::Stage;
use support::model::{Seen, Turn};
use support::office::Office;

fn spawn(task: &str, name: &str) -> Turn {
    Turn::call("subagent_spawn", json!({ "task": task, "name": name }))
}

fn two(first: &str, second: &str) -> Turn {
    spawn(first, "one").and_call("subagent_spawn", json!({ "task": second, "name": "two" }))
}

fn wait() -> Turn {
    Turn::call("subagent_wait", json!({}))
}

fn done(state: &str) -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": state }))
}

/// The model follows the first message of each conversation, step by step.
fn answer(seen: &Seen) -> Option<Turn> {
    let messages = seen.body["messages"].as_array()?;
    let first = messages.iter().find(|message| message["role"] == "user")?;
    let first = first["content"].to_string();
    let word = first.split("please ").nth(1)?;
    let word = word.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let step = messages.iter().filter(|message| message["role"] == "assistant").count();
    let last = messages.last()?["content"].to_string();
    Some(match (word, step) {
        // Parents.
        ("pair", 0) => two("please say", "please repeat"),
        ("asker", 0) => spawn("please ask", "asker"),
        ("askers", 0) => two("please ask", "please ask"),
        ("detach", 0) => spawn("please ask", ""),
        ("detach", 1) => Turn::text("I go on without it."),
        ("detach", _) => Turn::text(&format!("Heard of it: {}", last.contains("A person said"))),
        ("leave", 0) => spawn("please ask", ""),
        ("leave", 1) => done("leave"),
        ("leave", _) => done("complete"),
        ("failing", 0) => spawn("please fail", "one"),
        ("hanging", 0) => spawn("please hang", ""),
        // Different arguments: the guard rejects repeated equal calls.
        ("many", 0) => (0..5).fold(spawn("please ask", ""), |turn, n| {
            turn.and_call("subagent_spawn", json!({ "task": format!("please ask {n}") }))
        }),
        ("deep", 0) => spawn("please spawn", ""),
        ("rich", 0) => Turn::call("subagent_spawn", json!({ "task": "please say", "budget": 50 })),
        ("writer", 0) => spawn("please write", ""),
        ("maker", 0) => spawn("please make", ""),
        ("thinker", 0) => {
            let args = json!({ "task": "please say", "model": "other", "thinking": "high" });
            Turn::call("subagent_spawn", args)
        }
        ("twins", 0) => two("please say", "please repeat"),
        ("lengthy", 0) => spawn("please recite", ""),
        ("lengthy", 1) => wait(),
        ("lengthy", 2) => {
            Turn::call("read", json!({ "path": "result:R-2", "offset": 555, "limit": 1 }))
        }
        ("peek", 0) => Turn::call("read", json!({ "path": "result:R-2" })),
        ("many" | "rich" | "lengthy" | "peek", _) => Turn::text("That is all."),
        (
            "pair" | "asker" | "askers" | "failing" | "hanging" | "deep" | "writer" | "thinker"
            | "maker" | "twins",
            1,
        ) => wait(),
        ("twins", _) => done("complete"),
        (
            "pair" | "asker" | "askers" | "failing" | "hanging" | "deep" | "writer" | "thinker"
            | "maker",
            _,
        ) => Turn::text("All is there."),
        // Sub-agents.
        ("say", _) => Turn::text("This was said."),
        ("repeat", _) => Turn::text("This was repeated."),
        ("recite", _) => {
            let lines = (1..=1_000).map(|n| format!("This is verse {n} of it.\n"));
            Turn::text(&lines.collect::<String>())
        }
        ("ask", 0) => Turn::call("ask_person", json!({ "question": "Which one?" })),
        ("ask", _) => Turn::text("A person said which one."),
        ("fail", _) => Turn::text(""),
        ("hang", _) => Turn::silence(),
        ("spawn", 0) => spawn("please say", ""),
        ("write", 0) => Turn::call("write", json!({ "path": "notes.md", "content": "mine\n" }))
            .and_call("write", json!({ "path": "work/r-2/notes.md", "content": "mine\n" }))
            .and_call("memory_append", json!({ "text": "Remember me." })),
        ("make", 0) => Turn::call("task_create", json!({ "title": "Made below" })),
        ("spawn" | "write" | "make", _) => Turn::text("That is how far I came."),
        _ => return None,
    })
}

async fn office() -> (Office, Agent) {
    let office = Office::open().await;
    office.model.answering(answer);
    let ada = office.agent("Ada").await;
    (office, ada)
}

/// The sub-agents, oldest first.
fn children(office: &Office) -> Vec<(Child, Run)> {
    let mut all: Vec<_> = office
        .all::<Child>()
        .into_iter()
        .map(|child| {
            let run = office.get::<Run>(child.run);
            (child, run)
        })
        .collect();
    all.sort_by_key(|(_, run)| run.number);
    all
}

/// Waits until the first sub-agent is in this state.
async fn child(office: &Office, state: RunState) -> RunId {
    use store::{Range, ReadExt as _};
    let found = office.until("a sub-agent", |snap| {
        let mut all = snap.list::<Run>(&Range::all())?;
        all.retain(|run| run.trigger == RunTrigger::Child);
        all.sort_by_key(|run| run.number);
        Ok(all.into_iter().find(|run| run.state == state).map(|run| run.id))
    });
    found.await
}

async fn reply(office: &Office, run: RunId) {
    let by = office.owner();
    office.act(move |tx| runs::park::answer(tx, run, "The second", by)).await;
}

/// Everything that a run was told: messages and results of calls.
fn log(office: &Office, run: RunId) -> String {
    let told = office.events(run).into_iter().filter_map(|kind| match kind {
        EventKind::Input { text, .. } => Some(text.head().to_owned()),
        EventKind::ToolFinished { result, .. } => Some(result.head().to_owned()),
        _ => None,
    });
    told.collect::<Vec<_>>().join("\n")
}

/// What the waiting call told the parent.
fn told(office: &Office, run: RunId) -> String {
    let waited = office.results(run).into_iter().filter(|(name, ..)| name == "subagent_wait");
    let waited: Vec<_> = waited.collect();
    assert_eq!(waited.len(), 1, "{waited:?}");
    waited[0].2.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_of_a_run_offers_what_its_sub_agents_did() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please maker").await;
    office.ended(run).await;
    let made = |task: &Task| task.title == "Made below";
    assert!(office.all::<Task>().iter().any(made), "{}", log(&office, run));

    let owner = office.hq.owner();
    let seen = owner.post("/api/v1/undo/preview", &json!({ "run": "R-1" })).await.json();
    assert_eq!(seen["caused"][0]["run"], "R-2", "{seen}");
    let page = owner.get("/w/marlow-cargo/undo?run=R-1").await;
    assert!(page.text.contains("undo?run=R-1&#38;with=R-2"), "{}", page.text);
    let both = json!({ "run": "R-1", "with": ["R-2"] });
    let undone = owner.post("/api/v1/undo", &both).await;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
    assert!(!office.all::<Task>().iter().any(made));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sub_agents_work_side_by_side_and_their_parent_has_both_answers() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please pair").await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.summary.as_str()), (Some(Outcome::Done), "All is there."));
    let log = log(&office, run);
    for words in ["Sub-agent R-2 (one) has ended: done", "This was said.", "This was repeated."] {
        assert_eq!(log.matches(words).count(), 1, "{log}");
    }
    let made = children(&office);
    assert_eq!(made.len(), 2);
    for (child, below) in &made {
        assert_eq!((child.parent, child.root, child.depth), (run, run, 1));
        assert!(!child.may_spawn && child.ended_at.is_some());
        assert_eq!(below.outcome, Some(Outcome::Done));
        assert!(office.get::<Session>(below.session).archived_at.is_some());
        let payers: Vec<Payer> =
            office.usage(below.id).into_iter().flat_map(|used| used.payers).collect();
        assert!(payers.contains(&Payer::Run(run)) && payers.contains(&Payer::Run(below.id)));
    }
    // Tools for managing sub-agents are offered after the first one, and never to sub-agents.
    let requests = office.model.requests();
    let parts: Vec<&Seen> =
        requests.iter().filter(|seen| seen.text().contains("[Subagent Task")).collect();
    assert_eq!(parts.len(), 2);
    for part in parts {
        let tools = part.tools();
        assert!(tools.iter().all(|name| !name.starts_with("subagent_")), "{tools:?}");
        assert!(!part.text().contains("<IDENTITY.md>") && part.text().contains("sub-agent"));
        assert!(part.bytes < 12 * 1024, "{}", part.bytes);
    }
    let last = requests.last().expect("requests").tools();
    assert!(last.contains(&"subagent_wait".to_owned()), "{last:?}");

    // In the API.
    let api = office.hq.api().await;
    let up = api.get("/api/v1/runs/R-1").await.json();
    assert_eq!((&up["parent"], &up["children"][0]["name"]), (&json!(null), &json!("R-2")));
    assert_eq!(
        (&up["children"][1]["label"], &up["children"][1]["outcome"]),
        (&json!("two"), &json!("done"))
    );
    let below = api.get("/api/v1/runs/R-3").await.json();
    assert_eq!((&below["parent"], &below["trigger"]), (&json!(run.to_string()), &json!("child")));
    let mira = office.hq.owner();
    let page = mira.get("/w/marlow-cargo/runs/R-1").await;
    let listed = page.text_of(".subagents");
    assert!(listed.contains("R-2 one") && listed.contains("Done"), "{listed}");
    // Each is shown with its steps at the call that created it.
    let nested = page.texts(".trace .nest");
    assert_eq!(nested.len(), 2, "{nested:?}");
    assert!(nested[0].contains("R-2 one") && nested[0].contains("This was said."), "{nested:?}");
    assert!(nested[1].contains("R-3 two") && nested[1].contains("Done"), "{nested:?}");
    let page = mira.get("/w/marlow-cargo/runs/R-2").await;
    assert!(page.text_of("#run-head").contains("Parent run: R-1"));
    let chat = mira.get("/w/marlow-cargo/agents/ada/chat").await;
    assert!(!chat.text.contains("Subagent Task"), "a sub-agent's is no conversation of a person's");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_told_in_part_and_read_as_a_whole_by_who_asked_for_it() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please lengthy").await;
    office.ended(run).await;
    let text = told(&office, run);
    assert!(text.contains("verse 1 of") && text.contains("verse 1000 of"), "{text}");
    assert!(!text.contains("verse 555 of") && text.contains("path \"result:R-2\""), "{text}");
    let read = office.results(run).pop().expect("a result");
    assert!(read.1 && read.2.starts_with("This is verse 555 of it.\n[lines 555"), "{read:?}");
    let otto = office.agent("Otto").await;
    let run = office.say(&otto, "please peek").await;
    office.ended(run).await;
    let peeked = office.results(run).remove(0);
    assert!(
        !peeked.1
            && peeked.2.contains(
                "you have no answer from a sub-agent \
        R-2"
            ),
        "{peeked:?}"
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_waits_holds_no_slot_and_goes_on_over_a_restart() {
    let (mut office, ada) = office().await;
    let task = office.task("please asker", &ada).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await;
    let reason = waiting.waiting.clone().expect("a reason");
    assert_eq!((reason.waits_for, reason.detail.as_str()), (WaitFor::Child, "R-2 (asker)"));
    assert!(waiting.keeps_agent_busy(), "its folder has one writer");
    let below = child(&office, RunState::Waiting).await;
    // A sub-agent's question can be answered on its parent's page, too.
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    assert!(page.text_of(".nest .asks").contains("Which one?"), "{}", page.text_of(".trace"));
    office.hq.restart().await;
    office.hq.advance(Duration::from_secs(3 * 24 * 3600)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting, "it never ages");
    reply(&office, below).await;
    office.ended(run).await;
    assert!(told(&office, run).contains("A person said which one."));
    // Its time is drawn below that of its parent and links to its steps. (The owner's session ends after a day without
    // a request.)
    let ben = office.hq.another("Ben", Some(Role::Member)).await;
    let page = ben.get("/w/marlow-cargo/runs/R-1").await;
    assert_eq!(page.texts(".where .lane").len(), 2, "{}", page.text_of("#run-head"));
    let pieces = page.attrs(".where .lane + .lane a", "href");
    let own = "/w/marlow-cargo/runs/R-2";
    assert!(!pieces.is_empty() && pieces.iter().all(|to| to.starts_with(&format!("{own}#s-"))));
    assert_eq!(page.attr(".lane-legend + .lane-legend a", "href"), own);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_a_person_ends_the_wait_and_nothing_is_heard_twice() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please asker").await;
    office.in_state(run, RunState::Waiting).await;
    let below = child(&office, RunState::Waiting).await;
    assert_eq!(office.say(&ada, "How far are you?").await, run);
    office.ended(run).await;
    let text = told(&office, run);
    assert!(
        text.contains(
            "You got a \
        message"
        ) && text.contains("R-2 (asker) is waiting"),
        "{text}"
    );
    // The sub-agent continues, and the conversation is notified of its end.
    reply(&office, below).await;
    office.ended(below).await;
    let heard = child_heard(&office).await;
    assert_eq!(office.ended(heard).await.trigger, RunTrigger::Chat);
    let inputs = office.events(heard).into_iter().filter(|kind| {
        matches!(kind, EventKind::Input { text, .. } if text.head().contains("A person said"))
    });
    assert_eq!(inputs.count(), 1);
    office.hq.finish().await;
}

/// Waits for the run that a sub-agent's end has started.
async fn child_heard(office: &Office) -> RunId {
    use store::{Range, ReadExt as _};
    let found = office.until("a run that hears of it", |snap| {
        let all = snap.list::<Run>(&Range::all())?;
        Ok(all.into_iter().find(|run| run.title.starts_with("Sub-agent")).map(|run| run.id))
    });
    found.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_without_waiting_hears_of_the_end_in_the_same_conversation() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please detach").await;
    assert_eq!(office.ended(run).await.summary, "I go on without it.");
    let below = child(&office, RunState::Waiting).await;
    reply(&office, below).await;
    let heard = child_heard(&office).await;
    assert_eq!(office.ended(heard).await.summary, "Heard of it: true");

    // A task reported as done for now is resumed.
    let task = office.task("please leave", &ada).await;
    let first = office.run_on(task.id).await;
    assert_eq!(office.ended(first).await.outcome, Some(Outcome::Done));
    let below = child(&office, RunState::Waiting).await;
    reply(&office, below).await;
    office
        .until("the task's end", |snap| {
            use store::ReadExt as _;
            let task = snap.get::<features::tasks::model::Task>(task.id)?;
            Ok(task.filter(|task| !task.status.is_open()))
        })
        .await;
    let items = office.items(ada.id);
    let back = items.iter().filter(|item| item.kind == ItemKind::DelegationResult);
    assert_eq!(back.count(), 1, "{items:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_ends_the_wait_for_all() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please askers").await;
    office.in_state(run, RunState::Waiting).await;
    let first = children(&office)[0].1.id;
    office.stop(office.in_state(first, RunState::Waiting).await.id).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let text = told(&office, run);
    assert!(text.contains("R-2 (one) has ended: stopped"), "{text}");
    assert!(text.contains("R-3 (two) is "), "{text}");
    assert!(children(&office)[1].1.is_live(), "it goes on");

    // A sub-agent without a response has failed, and its parent gets the reason.
    let otto = office.agent("Otto").await;
    let run = office.say(&otto, "please failing").await;
    office.ended(run).await;
    let log = log(&office, run);
    assert!(log.contains("(one) has ended: failed"), "{log}");
    assert!(log.contains("returned an empty answer twice"), "{log}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_branch_only_so_wide_and_so_deep_and_write_only_where_they_may() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please many").await;
    office.ended(run).await;
    let results = office.results(run);
    assert_eq!(results.iter().filter(|result| result.1).count(), 5, "{results:?}");
    assert!(
        !results[5].1
            && results[5].2.contains(
                "5 sub-agents are already \
        running"
            ),
        "{results:?}"
    );
    // Archiving the agent ends all of its sub-agents.
    let id = ada.id;
    office.act(move |tx| features::agents::rules::archive(tx, id)).await;
    for (_, below) in children(&office) {
        office.ended(below.id).await;
    }

    let otto = office.agent("Otto").await;
    let deep = office.say(&otto, "please deep").await;
    office.ended(deep).await;
    let (_, below) = children(&office).pop().expect("one was made");
    let refused = office.results(below.id);
    assert!(!refused[0].1 && refused[0].2.contains("Error(denied)"), "{refused:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_agent_writes_in_its_own_folder_and_keeps_no_memory() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please writer").await;
    office.ended(run).await;
    let (_, below) = children(&office).pop().expect("one was made");
    let wrote: Vec<bool> = office.results(below.id).into_iter().map(|result| result.1).collect();
    assert_eq!(wrote, [false, true, false]);
    assert_eq!(office.file(&ada, "notes.md"), None);
    assert_eq!(office.file(&ada, "work/r-2/notes.md").as_deref(), Some("mine\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_and_thinking_are_those_that_were_asked_for() {
    let (office, ada) = office().await;
    office.model.offer(&["mock", "other"]);
    let run = office.say(&ada, "please thinker").await;
    office.ended(run).await;
    let (_, below) = children(&office).pop().expect("one was made");
    assert_eq!((below.model.as_str(), below.thinking), ("other", Thinking::High));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_a_run_stops_what_it_has_made() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please hanging").await;
    office.in_state(run, RunState::Waiting).await;
    let below = child(&office, RunState::Running).await;
    office.stop(run).await;
    let by = Some(office.owner());
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Stopped { by }));
    assert_eq!(office.ended(below).await.outcome, Some(Outcome::Stopped { by }));
    office.hq.settle().await;
    assert_eq!(office.all::<Run>().len(), 2, "nobody is told of it");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_hears_that_a_person_stopped_its_sub_agent() {
    let (office, ada) = office().await;
    let run = office.say(&ada, "please hanging").await;
    office.in_state(run, RunState::Waiting).await;
    let below = child(&office, RunState::Running).await;
    office.stop(below).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert!(told(&office, run).contains("has ended: stopped"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sub_agent_has_a_part_of_what_its_parent_has_left() {
    let (office, ada) = office().await;
    office.price(1_000_000, 1_000_000).await;
    office.limits(None, 2_000_000).await;
    let run = office.say(&ada, "please askers").await;
    office.in_state(run, RunState::Waiting).await;
    let made = children(&office);
    let shares: Vec<i64> = made.iter().filter_map(|(child, _)| child.limit_micros).collect();
    assert_eq!(shares.len(), 2);
    assert!(450_000 < shares[0] && shares[0] <= 500_000, "{shares:?}");
    assert!(shares[1] <= shares[0] * 3 / 4 + 1, "what the first has is set aside: {shares:?}");
    // The remaining budget returns, and their spending counts for the parent.
    for (_, below) in made {
        reply(&office, office.in_state(below.id, RunState::Waiting).await.id).await;
    }
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    let spent =
        office.all::<Usage>().into_iter().filter_map(|used| used.billed_micros).sum::<i64>();
    let ws = office.ws();
    let now = office.hq.now();
    let left = ws.read(|snap| budgets::left_of_run(snap, ada.id, run, now)).expect("readable");
    assert_eq!(left.micros, u64::try_from(2_000_000 - spent).ok());

    let otto = office.agent("Otto").await;
    let rich = office.say(&otto, "please rich").await;
    office.ended(rich).await;
    let results = office.results(rich);
    assert!(results[0].2.contains("Error(over_budget)"), "{results:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sub_agents_survive_kills_at_any_moment_and_are_heard_once() {
    for seed in 0..5_u64 {
        let mut stage = Stage::set_for("please twins").await;
        stage.office.model.answering(answer);
        // A third kill within the same call would end the sub-agent for crashing the program.
        for kill in 0..2_u64 {
            let asked = stage.office.model.requests().len();
            let program = stage.start();
            // The time of the kill is the point of this test: after any call, up to a tenth of a second later.
            let call = asked + 1 + usize::try_from((seed + kill) % 3).expect("small");
            let moment =
                tokio::time::timeout(Duration::from_secs(2), stage.office.model.asked(call));
            if moment.await.is_ok() {
                let micros = (seed * 41 + kill * 67) % 100 * 1_000;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            program.kill();
        }
        stage.office.hq.start_again().await;
        let office = &stage.office;
        let run = office.run_on(stage.task.id).await;
        assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done), "seed {seed}");
        let made = children(office);
        let names: Vec<&str> = made.iter().map(|(child, _)| child.name.as_str()).collect();
        assert_eq!(names, ["one", "two"], "seed {seed}");
        assert!(made.iter().all(|(child, _)| child.ended_at.is_some()));
        // Each result occurs once in the parent's log: as a result, or as a message.
        let log = log(office, run);
        for words in ["This was said.", "This was repeated."] {
            assert_eq!(log.matches(words).count(), 1, "seed {seed}: {log}");
        }
        for (_, below) in &made {
            let begun = office.events(below.id).into_iter();
            let calls = begun.filter(|kind| matches!(kind, EventKind::CallStarted { .. })).count();
            assert_eq!(office.usage(below.id).len(), calls, "seed {seed}");
        }
        stage.office.hq.finish().await;
    }
}
