//! Pausing all work or one agent, after the step or at once. Nothing is lost: runs continue from their last step.

use std::sync::Arc;
use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::inbox::model::Item;
use features::runs::model::{CallStatus, EventKind, HaltOf, Run, SESSION_EVENTS, SessionEvent};
use features::runs::rules as runs;
use features::tasks::model::{TASKS, Task};
use kernel::key;
use kernel::{AgentStatus, Event, HaltHow, ItemState, Outcome, RunState, SessionId};
use runtime::Limits;
use serde_json::json;
use store::Entry;

use support::model::{Gate, Turn};
use support::office::Office;

async fn pause(office: &Office, how: HaltHow) {
    office.act(move |tx| runs::halt::order(tx, HaltOf::Workspace, how)).await;
}

async fn resume(office: &Office) {
    assert!(office.act(|tx| runs::halt::lift(tx, HaltOf::Workspace)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_their_step_runs_stand_still_and_go_on_where_they_were() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let call = Turn::call("task_create", json!({ "title": "Call the printer" }));
    office.model.push(call.behind(&gate));
    let task = office.task("Ask for offers", &ada).await;
    gate.reached().await;
    let run = office.run_on(task.id).await;
    pause(&office, HaltHow::AfterStep).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Running, "it may finish its step");
    gate.open();
    let still = office.in_state(run, RunState::Queued).await;
    assert_eq!((still.calls, still.steps), (1, 0), "no tool was begun");
    assert_eq!(office.all::<Task>().len(), 1);
    // New work is kept, with the reason.
    let other = office.task("Another one", &ada).await;
    let held = office
        .until("the reason", move |snap| {
            let items = features::inbox::queries::open_of_task(snap, other.id)?;
            Ok(items.into_iter().next().and_then(|item: Item| item.held_reason))
        })
        .await;
    assert_eq!(held, "workspace_paused");
    let said = office.say(&ada, "Hello?").await;
    office.hq.advance(Duration::from_secs(30)).await;
    assert_eq!(office.get::<Run>(said).state, RunState::Queued);
    assert_eq!(office.model.requests().len(), 1);
    office.model.usually(Turn::call("work_fail", json!({ "reason": "enough" })));
    resume(&office).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.crashes, 0);
    office.ended(said).await;
    office.worked(other.id, 1).await;
    let made = office.all::<Task>().into_iter().filter(|task| task.title == "Call the printer");
    assert_eq!(made.count(), 1, "the tool that waited ran once");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn now_cuts_off_models_and_tools_and_lasts_over_a_restart() {
    let mut office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let mut runs = Vec::new();
    for n in 0..6 {
        let agent = office.agent_with(&format!("Agent {n}"), |new| new.exec = true).await;
        let turn = match n % 2 {
            0 => Turn::silence(),
            _ => Turn::call("exec", json!({ "command": "trap '' TERM; sleep 4712; sleep 4712" })),
        };
        office.model.push(turn);
        let task = office.task(&format!("Task {n}"), &agent).await;
        runs.push(office.run_on(task.id).await);
        office.model.asked(n + 1).await;
    }
    for (n, run) in runs.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
        let begun = |kind: &EventKind| matches!(kind, EventKind::ToolStarted { .. });
        assert!(n < 6);
        office.happened(*run, begun).await;
    }
    pause(&office, HaltHow::Now).await;
    for run in &runs {
        office.in_state(*run, RunState::Queued).await;
    }
    let asked = office.model.requests().len();
    // A start resumes runs in the order of their creation: this one is the last.
    let paused = office.agent("Bo").await.id;
    office.act(move |tx| agents::pause(tx, paused)).await;
    let bo = office.get::<Agent>(paused);
    let last = office.say(&bo, "Are you there?").await;
    office.act(move |tx| runs::take_up(tx, last)).await;
    office.hq.restart().await;
    office.taken_up_after(last, 1).await;
    office.hq.advance(Duration::from_secs(48 * 3600)).await;
    let states: Vec<RunState> = runs.iter().map(|run| office.get::<Run>(*run).state).collect();
    assert_eq!(states, [RunState::Queued; 6], "they are kept, however long it takes");
    assert_eq!(office.model.requests().len(), asked);
    office.model.usually(Turn::call("work_fail", json!({ "reason": "enough" })));
    resume(&office).await;
    for run in &runs {
        let run = office.ended(*run).await;
        assert!(matches!(run.outcome, Some(Outcome::Failed { .. })), "{:?}", run.outcome);
        assert_eq!(run.crashes, 0);
        let cut = office.events(run.id).into_iter().filter(|kind| {
            // Unknown if the halt came between the journal's entry and the start of the process.
            let cut = [CallStatus::Stopped, CallStatus::Error, CallStatus::Unknown];
            matches!(kind, EventKind::ToolFinished { name, status, .. } if name == "exec" && cut.contains(status))
        });
        let execs = office
            .events(run.id)
            .into_iter()
            .filter(|kind| matches!(kind, EventKind::ToolStarted { name, .. } if name == "exec"));
        assert_eq!(cut.count(), execs.count(), "what was cut off is told as such");
    }
    office.hq.finish().await;
}

/// Number of agents at work when the switch is set.
const MANY: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_stand_still_at_once_and_nothing_is_begun_behind_the_switch() {
    let office = Office::limited(Limits { active: MANY, ..Limits::default() }).await;
    let gate = Gate::new();
    let mut runs = Vec::new();
    for n in 0..MANY {
        let call = Turn::call("task_create", json!({ "title": format!("Task {n}") }));
        office.model.push(if n % 2 == 0 { call.behind(&gate) } else { Turn::silence() });
        let agent = office.agent(&format!("Agent {n}")).await;
        runs.push(office.say(&agent, "Begin").await);
    }
    office.model.asked(MANY).await;
    // Half of them continue from their answers at that very moment.
    office.model.answering(|seen| {
        let said = seen.body["messages"].as_array().map_or(0, Vec::len);
        Some(Turn::call("task_create", json!({ "title": format!("Task after {said} messages") })))
    });
    gate.open();
    office.model.asked(MANY + 3).await;
    pause(&office, HaltHow::Now).await;
    for run in &runs {
        office.in_state(*run, RunState::Queued).await;
    }
    let entries = office.ws().store.entries_after(0, usize::MAX).expect("the feed");
    let is_halt = |event: &Event| matches!(event, Event::WorkHalted { .. });
    let halt = entries.iter().position(|entry| entry.events.iter().any(is_halt)).expect("a halt");
    let (before, after) = entries.split_at(halt);
    let begun = |entries: &[Arc<Entry>]| {
        let changes = entries.iter().flat_map(|entry| &entry.changes);
        let steps = changes.filter(|change| change.table == SESSION_EVENTS.number);
        let keys = steps.filter_map(|change| key::decode::<(SessionId, u32)>(&change.key));
        let kinds = keys.map(|(session, n)| office.get::<SessionEvent>((session, n)).kind);
        let is_begun = |kind: &EventKind| {
            matches!(kind, EventKind::CallStarted { .. } | EventKind::ToolStarted { .. })
                || matches!(kind, EventKind::ToolFinished { status: CallStatus::Ok, .. })
        };
        kinds.filter(is_begun).count()
    };
    assert!(MANY + 3 <= begun(before), "all of them had begun");
    assert_eq!(begun(after), 0, "and nothing is begun behind it");
    let made = |entry: &Arc<Entry>| entry.changes.iter().any(|c| c.table == TASKS.number);
    assert!(!after.iter().any(made), "no task is made behind it");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_works_while_all_stands_still() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Hello?").await;
    office.model.asked(1).await;
    pause(&office, HaltHow::Now).await;
    office.in_state(run, RunState::Queued).await;
    office.stop(run).await;
    let run = office.ended(run).await;
    assert_eq!(run.outcome, Some(Outcome::Stopped { by: Some(office.owner()) }));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_paused_with_what_it_does_and_others_go_on() {
    let office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Hello?").await;
    office.model.asked(1).await;
    let id = ada.id;
    office.act(move |tx| runs::halt::order(tx, HaltOf::Agent(id), HaltHow::Now)).await;
    office.in_state(run, RunState::Queued).await;
    assert_eq!(office.get::<features::agents::model::Agent>(id).status, AgentStatus::Paused);
    office.model.push(Turn::text("Here."));
    let other = office.say(&otto, "And you?").await;
    assert_eq!(office.ended(other).await.summary, "Here.");
    office.model.push(Turn::text("Back."));
    office.act(move |tx| agents::resume(tx, id)).await;
    assert_eq!(office.ended(run).await.summary, "Back.");
    assert!(office.all::<features::runs::model::Halt>().is_empty());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_who_paused_it_and_programs_can_too() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let page = mira.get("/w/marlow-cargo/pause").await;
    assert!(page.text.contains("Pause everything"), "{}", page.text);
    mira.form("/w/marlow-cargo/pause", &[("how", "now")]).await;
    let page = mira.get("/w/marlow-cargo/tasks").await;
    let bar = page.text_of("#closed .banner");
    assert!(bar.contains("Mira Lindqvist paused all work"), "{bar}");
    let run = office.say(&ada, "Hello?").await;
    let name = office.get::<Run>(run).name();
    let page = mira.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text_of(".run-head .banner").contains("All work is paused"));
    let told = api.get("/api/v1/pause").await.json();
    assert_eq!((told["paused"].as_bool(), told["how"].as_str()), (Some(true), Some("now")));
    let viewer = office.hq.another("Vera", Some(kernel::Role::Viewer)).await;
    assert_eq!(viewer.form("/w/marlow-cargo/resume", &[]).await.status, 403);
    assert!(!viewer.get("/w/marlow-cargo/tasks").await.text_of("#closed").contains("Resume"));
    office.model.push(Turn::text("Hello."));
    let told = api.post("/api/v1/resume", &json!({})).await.json();
    assert_eq!(told["paused"].as_bool(), Some(false));
    assert_eq!(office.ended(run).await.summary, "Hello.");
    let bad = api.post("/api/v1/pause", &json!({ "how": "soon" })).await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    let halted = api.post("/api/v1/agents/ada/halt", &json!({ "how": "after_step" })).await;
    assert_eq!(halted.json()["paused"].as_bool(), Some(true));
    let items = office.items(ada.id);
    assert!(items.iter().all(|item| item.state != ItemState::Leased));
    // The API call waits for the stopped runs to end.
    let id = ada.id;
    office.act(move |tx| agents::resume(tx, id)).await;
    office.model.push(Turn::silence());
    let run = office.say(&ada, "Again?").await;
    office.model.asked(2).await;
    let name = office.get::<Run>(run).name();
    let stopped = api.post(&format!("/api/v1/runs/{name}/stop"), &json!({})).await.json();
    assert_eq!(stopped["outcome"]["word"], "stopped", "{stopped}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_folder_stands_still_until_somebody_says_that_it_is_the_live_one() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("Too late.").behind(&gate));
    let run = office.say(&ada, "Hello?").await;
    gate.reached().await;
    office.hq.stop().await;
    // As it looks after the folder was copied from elsewhere: another inode, another path.
    let place = office.hq.data().join("place");
    let noted = std::fs::read_to_string(&place).expect("it is noted");
    let mut lines: Vec<&str> = noted.lines().collect();
    lines[1] = "/srv/original";
    std::fs::write(place.with_extension("copy"), lines.join("\n")).expect("a file");
    std::fs::rename(place.with_extension("copy"), &place).expect("a name");
    gate.open();
    office.hq.start_again().await;
    let asked = office.model.requests().len();
    office.hq.advance(Duration::from_secs(60)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Queued);
    assert_eq!(office.model.requests().len(), asked, "nothing is asked");
    let page = office.hq.owner().get("/w/marlow-cargo/pause").await;
    assert!(page.text.contains("was restored, copied or imported"), "{}", page.text);
    office.model.push(Turn::text("Here again."));
    office.hq.owner().form("/w/marlow-cargo/resume", &[]).await;
    assert_eq!(office.ended(run).await.summary, "Here again.");
    // From now on this is the place of the folder.
    office.hq.restart().await;
    office.model.push(Turn::text("Still here."));
    let run = office.say(&ada, "And now?").await;
    assert_eq!(office.ended(run).await.summary, "Still here.");
    office.hq.finish().await;
}
