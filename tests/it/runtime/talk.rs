//! Messages to an agent: when they are read, and their cost on disk.

use features::agents::rules::{self as agents, Changes, ModelChoice};
use features::connections::model::Wire;
use features::inbox::model::Item;
use features::runs::model::{EventKind, Input, InputState, ModelSource, Run, Session};
use features::runs::queries;
use features::runs::rules::RunError;
use features::tasks::model::Task;
use kernel::{ItemKind, Outcome, RunState, RunTrigger, SessionId, TaskId, Thinking};
use runtime::Limits;
use serde_json::json;
use store::{Range, ReadExt as _, Record as _, StoreError};

use support::hq::Setup;
use support::model::{Gate, Turn};
use support::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_without_tools_is_three_commits() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("Two tasks are open."));
    // The first message creates the conversation.
    let first = office.say(&ada, "Hello").await;
    office.ended(first).await;

    let before = office.ws().store.head().seq;
    let run = office.say(&ada, "How many tasks are open?").await;
    let run = office.ended(run).await;
    assert_eq!(office.ws().store.head().seq - before, 3);
    assert_eq!((run.outcome, run.trigger), (Some(Outcome::Done), RunTrigger::Chat));
    assert_eq!(run.summary, "Two tasks are open.");
    assert!(office.model.last().text().contains("Two tasks are open."), "the first answer is told");
    let usage = office.usage(run.id);
    assert_eq!((usage.len(), usage[0].input, usage[0].output), (1, 100, 20));
    assert!(office.get::<Session>(run.session).active_run.is_none());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_with_one_tool_that_looks_or_writes_is_six_commits() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("Hello."));
    let first = office.say(&ada, "Hello").await;
    office.ended(first).await;
    for call in [
        Turn::call("task_list", json!({})),
        Turn::call("task_create", json!({ "title": "Call the printer" })),
    ] {
        office.model.push(call).push(Turn::text("Done."));
        let before = office.ws().store.head().seq;
        let run = office.say(&ada, "Do it").await;
        let run = office.ended(run).await;
        assert_eq!(office.ws().store.head().seq - before, 6);
        let steps = office
            .events(run.id)
            .into_iter()
            .filter(|kind| matches!(kind, EventKind::ToolFinished { .. }));
        assert_eq!(steps.count(), 1);
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_while_the_agent_works_is_heard_before_the_next_call() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::call("task_create", json!({ "title": "Wrong" })).behind(&gate));
    office.model.push(Turn::text("Then not."));
    let run = office.say(&ada, "Make a task").await;
    gate.reached().await;
    assert_eq!(office.say(&ada, "No, leave it").await, run, "the same run hears it");
    gate.open();
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.calls), (Some(Outcome::Done), 2));
    assert_eq!(
        office.results(run),
        [("task_create".to_owned(), false, "Skipped because of a queued user message.".to_owned())]
    );
    assert!(office.all::<Task>().is_empty());
    assert!(office.model.last().text().contains("No, leave it"));
    let states: Vec<InputState> = office.all::<Input>().into_iter().map(|i| i.state).collect();
    assert_eq!(states, [InputState::Consumed(run), InputState::Consumed(run)]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_during_the_last_word_is_answered_by_the_same_run() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("Four.").behind(&gate)).push(Turn::text("And five."));
    let run = office.say(&ada, "Two and two?").await;
    gate.reached().await;
    office.say(&ada, "And one more?").await;
    gate.open();
    let ended = office.ended(run).await;
    assert_eq!((ended.calls, ended.summary.as_str()), (2, "And five."));
    assert_eq!(office.all::<Run>().len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_to_a_run_that_was_stopped_is_answered_by_the_next() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence()).push(Turn::text("Five."));
    let first = office.say(&ada, "Two and two?").await;
    office.model.asked(1).await;
    office.say(&ada, "No: two and three?").await;
    office.stop(first).await;
    office.ended(first).await;
    let second = office
        .until("the next run", |snap| {
            let runs: Vec<Run> = snap.list(&Range::all())?;
            Ok(runs.into_iter().find(|run| run.id != first).map(|run| run.id))
        })
        .await;
    assert_eq!(office.ended(second).await.summary, "Five.");
    assert!(office.model.last().text().contains("two and three"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_messages_at_once_are_both_read_in_order() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::text("Yes."));
    let (one, two) = tokio::join!(office.say(&ada, "First?"), office.say(&ada, "Second?"));
    office.ended(one).await;
    office.ended(two).await;
    office.hq.settle().await;
    let inputs = office.all::<Input>();
    assert!(inputs.iter().all(|i| matches!(i.state, InputState::Consumed(_))), "{inputs:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_than_twenty_messages_the_oldest_are_told_in_one_line() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate)).push(Turn::text("All."));
    let run = office.say(&ada, "Begin").await;
    gate.reached().await;
    for n in 0..22 {
        office.say(&ada, &format!("Message {n} of many")).await;
    }
    gate.open();
    office.ended(run).await;
    let said = office.model.last().text();
    assert!((0..22).all(|n| said.contains(&format!("Message {n} of many"))), "{said}");
    assert!(said.contains("2 earlier messages didn't fit"), "{said}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_work_side_by_side_and_chat_while_they_work() {
    let office = Office::open().await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let gate = Gate::new();
    for _ in 0..2 {
        let call = Turn::call("work_fail", json!({ "reason": "enough" }));
        office.model.push(call.behind(&gate));
    }
    let first = office.task("First", &ada).await;
    office.model.asked(1).await;
    let second = office.task("Second", &ada).await;
    let other = office.task("Other", &otto).await;
    office.model.asked(2).await;
    // One background run per agent; other agents are unaffected.
    assert!(office.runs_on(second.id).is_empty());
    assert_eq!(office.runs_on(other.id).len(), 1);
    office.model.push(Turn::text("I am at it."));
    let chat = office.say(&ada, "How far are you?").await;
    assert_eq!(office.ended(chat).await.summary, "I am at it.");
    assert_eq!(office.get::<Run>(office.run_on(first.id).await).state, RunState::Running);
    office.model.push(Turn::call("work_fail", json!({ "reason": "enough" })));
    gate.open();
    for task in [first.id, second.id, other.id] {
        office.worked(task, 1).await;
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_works_on_no_more_runs_than_it_may() {
    let office = Office::limited(Limits { active: 1, ..Limits::default() }).await;
    let (ada, otto) = (office.agent("Ada").await, office.agent("Otto").await);
    let gate = Gate::new();
    office.model.push(Turn::text("One.").behind(&gate)).push(Turn::text("Two."));
    let first = office.say(&ada, "One?").await;
    gate.reached().await;
    let second = office.say(&otto, "Two?").await;
    // Stopping a run that waits for a slot needs no slot.
    let third = office.say(&ada, "One more?").await;
    assert_eq!((third, office.get::<Run>(second).state), (first, RunState::Queued));
    office.model.push(Turn::text("Three."));
    gate.open();
    office.ended(first).await;
    office.ended(second).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_agent_answers_when_it_is_resumed_and_an_archived_one_not_at_all() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    let run = office.say(&ada, "Hello?").await;
    office.hq.advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Queued);
    office.model.push(Turn::text("Back again."));
    office.act(move |tx| agents::resume(tx, id)).await;
    assert_eq!(office.ended(run).await.summary, "Back again.");

    office.act(move |tx| agents::archive(tx, id)).await;
    let refused = office.try_say(&ada, "Hello?").await.expect_err("it is archived");
    assert!(matches!(refused, RunError::Archived(_)), "{refused}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_on_the_task_that_is_worked_on_is_read_and_starts_nothing_more() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done.clone()).behind(&gate));
    office.model.push(Turn::call("work_done", done));
    let task = office.task("Compare two offers", &ada).await;
    gate.reached().await;
    office.comment(task.id, "Take the cheaper one.").await;
    gate.open();
    let run = office.worked(task.id, 1).await;
    assert_eq!((run.outcome, run.calls), (Some(Outcome::Done), 2));
    let said = office.model.last().text();
    assert!(said.contains("New comment on the task by Mira Lindqvist"), "{said}");
    assert!(said.contains("Take the cheaper one."), "{said}");
    assert_eq!(office.items(ada.id).len(), 1, "no item beside the assignment");
    office.hq.settle().await;
    assert_eq!(office.runs_on(task.id).len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_that_a_stopped_run_has_not_read_becomes_work() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::silence());
    let task = office.task("Compare two offers", &ada).await;
    office.model.asked(1).await;
    office.comment(task.id, "Take the cheaper one.").await;
    office.model.push(Turn::call("comment_add", json!({ "body": "I will." })));
    office.model.push(Turn::text("Answered."));
    let run = office.run_on(task.id).await;
    office.stop(run).await;
    let second = office.worked(task.id, 2).await;
    assert_eq!(second.outcome, Some(Outcome::Done));
    let item = office.get::<Item>(second.item.expect("an item"));
    assert_eq!((item.kind, item.depth), (ItemKind::TaskComment, 0));
    assert_eq!(item.reasons[0].person, Some(office.owner()));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_chosen_while_a_run_works_counts_from_its_next_call() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let otto = office.agent_on("Otto", "another").await;
    office.model.push(Turn::call("task_list", json!({})).behind(&gate));
    office.model.push(Turn::text("Nothing to do.").for_model("better"));
    let run = office.say(&ada, "What is there to do?").await;
    gate.reached().await;
    let model = ModelChoice { connection: Some(office.connection), model: Some("better".into()) };
    office.change(ada.id, Changes { model: Some(model), ..Changes::default() }).await;
    // Runs apply the choice in order: messages sent after it and answered were read after it.
    office.model.push(Turn::text("Yes.").for_model("another"));
    office.ended(office.say(&otto, "Are you there?").await).await;
    gate.open();
    office.ended(run).await;
    let asked: Vec<_> = office.model.requests().iter().map(|r| r.body["model"].clone()).collect();
    assert_eq!(asked, ["mock", "another", "better"]);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_conversation_stays_in_the_list_however_many_tasks_come_after_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I will not forget."));
    let run = office.ended(office.say(&ada, "Remember the zebra").await).await;
    let (agent, own) = (ada.id, run.session);
    office
        .act::<_, StoreError>(move |tx| {
            for n in 0..1_000_u32 {
                let (id, at): (SessionId, _) = (tx.new_id(), tx.now());
                let kind = if n % 2 == 0 { "task" } else { "task:subagent" };
                let task: Option<TaskId> = Some(tx.new_id());
                let key = format!("agent:ada:{kind}:{id}");
                let session = Session { id, agent, key, task, owner: None, ..Session::sample() };
                let (created_at, last_at) = (at, at);
                tx.put(&Session { created_at, last_at, active_run: None, events: 0, ..session })?;
            }
            Ok(())
        })
        .await;
    let by = office.owner();
    let listed = office.ws().read(|snap| queries::talk::listed(snap, agent, by, 30));
    let listed = listed.expect("a readable store");
    assert_eq!(listed.len(), 30);
    assert!(listed.iter().any(|session| session.id == own));
    assert!(!listed.iter().any(|session| session.key.contains(":subagent:")));
    let chat = office.hq.owner().get("/w/marlow-cargo/agents/ada/chat").await;
    assert!(chat.text_of("#chat-sessions").contains("New conversation"), "{}", chat.text);
    let found = "/api/v1/agents/ada/sessions/search?q=zebra";
    let found = office.hq.api().await.get(found).await.json();
    assert!(found["items"].as_array().is_some_and(|items| !items.is_empty()), "{found}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_chose_how_much_is_thought_stands_in_the_run() {
    let office = Office::with(Setup::default(), Wire::Anthropic, "claude-3-5-haiku").await;
    let ada = office.agent_with("Ada", |new| new.thinking = Some(Thinking::High)).await;
    office.model.usually(Turn::text("I see."));
    let run = office.say(&ada, "Hello").await;
    let run = office.ended(run).await;
    assert_eq!((run.thinking, run.thinking_source), (Thinking::High, Some(ModelSource::Agent)));
    let told = office.hq.api().await.get(&format!("/api/v1/runs/{}", run.name())).await.json();
    assert_eq!((&told["thinking"], &told["thinking_source"]), (&json!("high"), &json!("agent")));
    let page = office.hq.owner().get(&format!("/w/marlow-cargo/runs/{}", run.name())).await;
    let rail = page.text_of("#run-rail");
    assert!(rail.contains("high, chosen by the agent; used none"), "{rail}");
    office.hq.finish().await;
}
