//! Work: an assignment becomes an item, the item a run, and the run a result for review.

use features::agents::rules as agents;
use features::inbox::model::Item;
use features::runs::model::{EventKind, Run};
use features::runs::rules as runs;
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, TaskPatch};
use git::Branch;
use git::history::{At, LogQuery};
use kernel::{Assignee, DeliverableState, ItemKind, ItemState, Outcome, TaskStatus, Verdict};
use serde_json::json;
use store::{Range, ReadExt as _};

use support::model::{Gate, Turn};
use support::office::Office;

fn deliver(text: &str) -> Turn {
    let arguments = json!({ "kind": "text", "title": "Offers", "body": text });
    Turn::call("deliverable_submit", arguments)
}

fn done(state: &str) -> Turn {
    Turn::call("work_done", json!({ "summary": "Compared the offers.", "task_state": state }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_goes_from_task_to_delivered_work() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    office.model.push(Turn::text("I look first.").and_call("task_get", json!({})).behind(&gate));
    office
        .model
        .push(Turn::call("write", json!({ "path": "notes/offers.md", "content": "# Offers\n" })));
    office.model.push(deliver("Offer A is cheaper."));
    office.model.push(done("in_review"));

    let task = office.task("Compare two offers", &ada).await;
    assert_eq!(task.status, TaskStatus::Todo);
    gate.reached().await;
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::InProgress, "it has begun");
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!(item.state, ItemState::Leased);
    gate.open();

    let run = office.worked(task.id, 1).await;
    assert_eq!((run.outcome, run.calls, run.steps), (Some(Outcome::Done), 4, 4));
    assert_eq!(run.summary, "Compared the offers.");
    assert_eq!(office.get::<Item>(item.id).state, ItemState::Done);
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::InProgress);
    let piece = office.delivered(task.id).pop().expect("delivered work");
    assert_eq!((piece.state, piece.versions), (DeliverableState::InReview, 1));

    // The run card was the first message, and each result was sent to the model.
    let requests = office.model.requests();
    assert!(requests[0].text().contains("Compare two offers"), "{}", requests[0].text());
    assert!(requests[1].text().contains("\"role\":\"tool\""), "{}", requests[1].text());
    assert!(requests[2].text().contains("created notes/offers.md"));

    // Its files are one commit on its branch, with task and run in the message.
    let ws = office.ws();
    let branch = Branch::agent(&ada.slug).expect("a branch");
    let log = ws
        .repo()
        .expect("a repository")
        .log(&branch, &LogQuery { limit: 5, ..LogQuery::default() })
        .expect("a log");
    assert!(log[0].message.starts_with("MC-1: Compare two offers"), "{}", log[0].message);
    assert!(log[0].message.contains("Run: R-1"), "{}", log[0].message);
    let file = ws.repo().expect("a repository").read_file(&At::Branch(branch), "notes/offers.md");
    assert_eq!(file.expect("a readable file").expect("it is there").bytes, b"# Offers\n");
    let commits = office
        .events(run.id)
        .into_iter()
        .filter(|kind| matches!(kind, EventKind::Committed { files: 1, .. }));
    assert_eq!(commits.count(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_was_sent_back_comes_back_as_the_next_version() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(deliver("Too short.")).push(done("in_review"));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;

    office.model.push(deliver("Longer, with prices.")).push(done("in_review"));
    office.review(task.id, Verdict::ChangesRequested, "Prices are missing").await;
    office.worked(task.id, 2).await;
    assert!(office.model.requests()[2].text().contains("Prices are missing"));
    let piece = office.delivered(task.id).pop().expect("delivered work");
    assert_eq!((piece.versions, piece.state), (2, DeliverableState::InReview));

    office.review(task.id, Verdict::Approved, "").await;
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    assert_eq!(office.runs_on(task.id).len(), 2, "approval wakes nobody");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn practice_answers_a_review_with_a_second_version() {
    let office = Office::open().await;
    office.act(|tx| features::connections::rules::set_default(tx, None, "practice")).await;
    let ada = office.agent("Ada").await;
    let task = office.task("Write a welcome note", &ada).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));
    office.review(task.id, Verdict::ChangesRequested, "Shorter, please").await;
    assert_eq!(office.worked(task.id, 2).await.outcome, Some(Outcome::Done));
    let piece = office.delivered(task.id).pop().expect("delivered work");
    assert_eq!((piece.versions, piece.state), (2, DeliverableState::InReview));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_may_not_end_so_that_its_task_falls_asleep() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    for state in ["leave", "in_review", "handed_over", "blocked"] {
        office.model.push(done(state));
    }
    office.model.push(deliver("Offer A."));
    office.model.push(done("complete"));
    office.model.push(done("in_review"));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    let results = office.results(run.id);
    let refusals: Vec<&str> = results.iter().filter(|r| !r.1).map(|r| r.2.as_str()).collect();
    assert_eq!(refusals.len(), 5, "{results:?}");
    assert!(refusals[0].contains("task_state"), "{refusals:?}");
    assert!(refusals[1].contains("deliverable_submit"), "{refusals:?}");
    assert!(refusals[2].contains("still assigned to you"), "{refusals:?}");
    assert!(refusals[3].contains("task_update with blocked_by"), "{refusals:?}");
    assert!(refusals[4].contains("still needs review"), "{refusals:?}");
    assert_eq!(run.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_writes_meanwhile_is_not_lost_by_what_an_agent_writes() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let describe = |text: &str| Turn::call("task_update", json!({ "description": text }));
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    office.model.push(describe("one\ntwo\nthree"));
    office.model.push(describe("one\ntwo\nTHREE").behind(&gates[0]));
    office.model.push(describe("Ada's one\ntwo\nTHREE").behind(&gates[1]));
    let id = office.task("Describe it", &ada).await.id;
    let mira_writes = async |text: &str| {
        let description = Some(text.to_owned());
        let patch = TaskPatch { description, ..TaskPatch::default() };
        office.act(move |tx| tasks::update(tx, id, patch)).await;
    };
    gates[0].reached().await;
    mira_writes("ONE\ntwo\nthree").await;
    gates[0].open();
    gates[1].reached().await;
    assert_eq!(office.get::<Task>(id).description, "ONE\ntwo\nTHREE", "both stay");
    mira_writes("Mira's one\ntwo\nTHREE").await;
    let rev = office.ws().read(|snap| snap.get_rev::<Task>(id)).unwrap().expect("it is there").1;
    let with = |rev: u64, text: &str| {
        Turn::call("task_update", json!({ "description": text, "rev": rev }))
    };
    office.model.push(with(rev + 1_000, "From nowhere."));
    office.model.push(with(rev, "Ada's one\ntwo\nTHREE").behind(&gates[2]));
    gates[1].open();
    gates[2].reached().await;
    assert_eq!(office.get::<Task>(id).description, "Mira's one\ntwo\nTHREE", "nothing is lost");
    let run = office.run_on(id).await;
    let refused: Vec<_> = office.results(run).into_iter().filter(|result| !result.1).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].2.contains("Mira's one") && refused[0].2.contains(&rev.to_string()));
    assert!(refused[1].2.contains(&format!("its rev is {rev}")), "{refused:?}");
    office.model.push(done("complete"));
    gates[2].open();
    office.worked(id, 1).await;
    assert_eq!(office.get::<Task>(id).description, "Ada's one\ntwo\nTHREE");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_needs_no_review_completes_its_task() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(done("complete"));
    let task = office.task("Water the plants", &ada).await;
    office.worked(task.id, 1).await;
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_cannot_be_done_blocks_its_task_and_is_not_tried_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("work_fail", json!({ "reason": "The offers are missing." })));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert!(matches!(run.outcome, Some(Outcome::Failed { code, .. }) if code == "agent"));
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Blocked);
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.not_before), (ItemState::Failed, None));
    assert_eq!(item.last_error.as_deref(), Some("The offers are missing."));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_was_snoozed_goes_on_at_its_time() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("work_snooze", json!({ "minutes": 90, "reason": "waits" })));
    let task = office.task("Ask again after lunch", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert!(matches!(run.outcome, Some(Outcome::Snoozed { .. })), "{:?}", run.outcome);
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.attempts), (ItemState::Pending, 0), "waiting is no failed try");
    office.model.push(done("complete"));
    office.move_to(item.not_before.expect("a moment")).await;
    assert_eq!(office.worked(task.id, 2).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_without_a_word_is_reminded_once_and_then_shown_to_a_person() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I think it is fine.")).push(Turn::text("It really is."));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::NoOutcome));
    assert!(office.model.last().text().contains("Call work_done or work_fail now"));
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!((item.state, item.last_error.as_deref()), (ItemState::Failed, Some("no_outcome")));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_would_leave_the_task_asleep_is_reminded_of_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("write", json!({ "path": "a.md", "content": "a" })));
    office.model.push(Turn::text("Done.")).push(done("complete"));
    let task = office.task("Write it down", &ada).await;
    let run = office.worked(task.id, 1).await;
    assert!(office.model.last().text().contains("nothing would ever continue this task"));
    assert_eq!((run.outcome, run.calls), (Some(Outcome::Done), 3));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_work_is_tried_again_after_30_s_2_min_and_10_min_and_then_given_up() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.usually(Turn::error(500, "api_error", "The provider is broken"));
    let task = office.task("Compare two offers", &ada).await;
    for (attempt, seconds) in [(1, 30), (2, 120), (3, 600), (4, 0)] {
        let number = u32::try_from(attempt).expect("small");
        let run = office
            .until("the next run", |snap| {
                let runs: Vec<Run> = snap.list(&Range::all())?;
                Ok(runs.into_iter().find(|run| run.number == number).map(|run| run.id))
            })
            .await;
        office.pass_retry(run, 1).await;
        office.pass_retry(run, 2).await;
        let run = office.ended(run).await;
        assert!(
            matches!(run.outcome, Some(Outcome::Failed { code, .. }) if code == "server_error")
        );
        let item = office.items(ada.id).pop().expect("an item");
        if attempt == 4 {
            assert_eq!((item.state, item.not_before), (ItemState::DeadLetter, None));
            break;
        }
        let ended = run.ended_at.expect("it has ended");
        let pause = item.not_before.expect("another try").duration_since(ended).as_secs();
        assert_eq!((item.state, pause), (ItemState::Failed, seconds));
        office.move_to(item.not_before.expect("another try")).await;
    }
    // A person retries it.
    office.model.push(done("complete"));
    let item = office.items(ada.id).pop().expect("an item").id;
    office.act(move |tx| features::inbox::rules::retry(tx, item)).await;
    assert_eq!(office.worked(task.id, 5).await.outcome, Some(Outcome::Done));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_paused_begins_nothing_and_its_items_say_why() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| features::agents::rules::pause(tx, id)).await;
    let task = office.task("Compare two offers", &ada).await;
    office.comment(task.id, "The second one is in your mail.").await;
    office.comment(task.id, "And it is in French.").await;
    let items = office
        .until("both items held", |snap| {
            let items: Vec<Item> = snap.list(&Range::all())?;
            let held = items.iter().all(|i| i.held_reason.as_deref() == Some("agent_paused"));
            Ok((items.len() == 2 && held).then_some(items))
        })
        .await;
    assert_eq!(items.iter().map(|item| item.reasons.len()).max(), Some(2), "comments have joined");
    assert!(office.runs_on(task.id).is_empty());

    office.model.push(done("complete"));
    office.act(move |tx| features::agents::rules::resume(tx, id)).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done));
    let card = office.model.last().text();
    assert!(card.contains("in your mail") && card.contains("in French"), "{card}");
    // The task is closed: the other item is obsolete.
    let open = office.items(id).into_iter().filter(Item::is_open).count();
    assert_eq!(open, 0);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_given_to_somebody_else_leaves_nothing_running_at_the_first() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    let gate = Gate::new();
    office.model.push(Turn::text("Slowly.").for_model("for-ada").behind(&gate));
    office.model.push(done("complete").for_model("for-otto"));
    let task = office.task("Compare two offers", &ada).await;
    gate.reached().await;
    let (id, to) = (task.id, Some(Assignee::Agent(otto.id)));
    office.act(move |tx| features::tasks::rules::assign(tx, id, to)).await;

    let first = office.worked(task.id, 1).await;
    assert_eq!(first.outcome, Some(Outcome::Stopped { by: Some(office.owner()) }));
    let item = office.items(ada.id).pop().expect("an item");
    assert_eq!(
        (item.state, item.last_error.as_deref()),
        (ItemState::Cancelled, Some("reassigned"))
    );
    let second = office.worked(task.id, 2).await;
    assert_eq!((second.agent, second.outcome), (otto.id, Some(Outcome::Done)));
    let kinds: Vec<ItemKind> = office.items(otto.id).iter().map(|item| item.kind).collect();
    assert_eq!(kinds, [ItemKind::TaskReassignment]);
    gate.open();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_delegates_hears_of_the_end() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    office.under(&otto, &ada).await;
    let part = json!({ "to": "otto", "title": "Ask for prices", "description": "Two offers." });
    office.model.push(Turn::call("task_delegate", part).for_model("for-ada"));
    office.model.push(done("leave").for_model("for-ada"));
    let gate = Gate::new();
    office.model.push(done("complete").for_model("for-otto").behind(&gate));
    let task = office.task("Compare two offers", &ada).await;
    // A task with an open subtask does not become dormant.
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::Done));

    office.model.push(done("complete").for_model("for-ada"));
    gate.open();
    let second = office.worked(task.id, 2).await;
    assert_eq!((second.agent, second.outcome), (ada.id, Some(Outcome::Done)));
    let item = office.get::<Item>(second.item.expect("an item"));
    assert_eq!(item.kind, ItemKind::DelegationResult);
    assert!(item.reasons[0].summary.contains("\"Ask for prices\" is"), "{:?}", item.reasons);
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    assert_eq!(office.items(otto.id).len(), 1);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_only_write_to_each_other_come_to_an_end() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    office.agent_on("Otto", "for-otto").await;
    let gate = Gate::new();
    let turns = [("for-ada", "otto"), ("for-otto", "ada")].repeat(3);
    for (n, (model, to)) in turns.into_iter().enumerate() {
        let message = json!({ "agent": to, "text": "And what do you think?" });
        let message = Turn::call("message_agent", message).for_model(model);
        // Otto replies after the conversation is over: each of Ada's turns is for one run only.
        office.model.push(if n == 1 { message.behind(&gate) } else { message });
        office.model.push(Turn::text("I have asked.").for_model(model));
    }
    office.model.usually(Turn::call("work_done", json!({ "summary": "Enough." })));
    let run = office.say(&ada, "Ask Otto what he thinks").await;
    office.ended(run).await;
    gate.open();
    office.hq.settle().await;
    let refused: Vec<String> = office
        .all::<Run>()
        .into_iter()
        .flat_map(|run| office.results(run.id))
        .filter(|(_, ok, _)| !ok)
        .map(|(_, _, text)| text)
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("been passed between"), "{refused:?}");
    assert_eq!(office.all::<Item>().iter().map(|item| item.depth).max(), Some(5));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_given_away_one_after_the_other_as_often_as_it_takes() {
    let office = Office::open().await;
    let ada = office.agent_on("Ada", "for-ada").await;
    let otto = office.agent_on("Otto", "for-otto").await;
    office.under(&otto, &ada).await;
    for part in 0..5 {
        let part =
            json!({ "to": "otto", "title": format!("Part {part}"), "description": "Do it." });
        office.model.push(Turn::call("task_delegate", part).for_model("for-ada"));
        office.model.push(done("leave").for_model("for-ada"));
        office.model.push(done("complete").for_model("for-otto"));
    }
    office.model.push(done("complete").for_model("for-ada"));
    let task = office.task("Write a book", &ada).await;
    assert_eq!(office.worked(task.id, 6).await.outcome, Some(Outcome::Done));
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    assert_eq!(office.items(otto.id).len(), 5);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_task_is_gone_is_taken_up_again() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let id = ada.id;
    office.act(move |tx| agents::pause(tx, id)).await;
    let run = office.say(&ada, "Hello?").await;
    // State after a failure to record a run's end: it counts as running, and nothing works.
    let lost = move |tx: &mut store::WriteTx<'_>| runs::begin(tx, run)?.save(tx).map(|_| ());
    office.act::<(), runs::RunError>(lost).await;
    office.model.push(Turn::text("Here I am."));
    office.act(move |tx| agents::resume(tx, id)).await;
    let run = office.ended(run).await;
    assert_eq!((run.summary.as_str(), run.attempt), ("Here I am.", 2));

    office.act(move |tx| agents::pause(tx, id)).await;
    let run = office.say(&ada, "And now?").await;
    office.act::<(), runs::RunError>(move |tx| runs::begin(tx, run)?.save(tx).map(|_| ())).await;
    office.stop(run).await;
    assert!(matches!(office.ended(run).await.outcome, Some(Outcome::Stopped { .. })));
    office.hq.finish().await;
}
