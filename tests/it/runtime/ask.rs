//! Runs that wait for a person, a time, or the end of a task. They release their slot, do not time out, and survive
//! restarts.

use std::time::Duration;

use features::runs::model::{EventKind, Park, Run};
use features::runs::rules::{self as runs, RunError};
use features::tasks::rules as tasks;
use kernel::{Outcome, RunState, TaskStatus, WaitFor};
use serde_json::json;
use store::{Range, ReadExt as _, StoreError};

use support::model::Turn;
use support::office::Office;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn done() -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" }))
}

fn ask() -> Turn {
    let args =
        json!({ "question": "Which offer?", "options": ["The cheaper one", "The better one"] });
    Turn::call("ask_person", args)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_days_later_over_a_restart_and_the_agent_works_meanwhile() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(ask().and_call("task_create", json!({ "title": "After the answer" })));
    let task = office.task("Compare two offers", &ada).await;
    let run = office.run_on(task.id).await;
    let waiting = office.in_state(run, RunState::Waiting).await;
    assert_eq!(waiting.waiting.expect("a reason").waits_for, WaitFor::Question);
    // It has released its slot.
    office.model.push(Turn::call("work_fail", json!({ "reason": "enough" })));
    let other = office.task("Something else", &ada).await;
    office.worked(other.id, 1).await;
    let (mira, name) = (office.hq.owner(), office.get::<Run>(run).name());
    let page = mira.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text_of(".asks").contains("Which offer?"), "{}", page.text);
    let listed = office.hq.api().await.get("/api/v1/questions").await.json();
    assert_eq!(listed["items"][0]["options"][1], "The better one", "{listed}");
    office.hq.restart().await;
    // It is listed for people, and answered there.
    let mira = office.hq.owner();
    let task_page = format!("/w/marlow-cargo/tasks/MC-{}", task.number);
    for (page, place) in [
        (task_page.as_str(), "#task-asks"),
        ("/w/marlow-cargo/runs", "#run-questions"),
        ("/w/marlow-cargo/agents/ada/inbox", "#inbox"),
        ("/w/marlow-cargo/", "#needs"),
    ] {
        let page = mira.get(page).await;
        let words = page.text_of(place);
        assert!(words.contains("Which offer?") && words.contains("The better one"), "{words}");
        let to = page.attrs(&format!("{place} form"), "action");
        assert!(to.iter().any(|to| to.ends_with(&format!("/runs/{name}/answer"))), "{to:?}");
    }
    office.hq.advance(3 * DAY).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting, "it never ages");
    office.model.push(done());
    let by = office.owner();
    office.act(move |tx| runs::park::answer(tx, run, "The better one", by)).await;
    let ended = office.ended(run).await;
    assert_eq!((ended.outcome, ended.crashes), (Some(Outcome::Done), 0));
    let results = office.results(run);
    assert_eq!(results[0].0, "ask_person");
    assert!(results[0].2.contains("Mira Lindqvist answered: The better one"), "{results:?}");
    let made = office.all::<features::tasks::model::Task>().into_iter();
    assert_eq!(made.filter(|task| task.title == "After the answer").count(), 1);
    let late = office.try_act(move |tx| runs::park::answer(tx, run, "Too late", by)).await;
    assert!(matches!(late, Err(RunError::NoQuestion(_))), "{late:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_chat_the_next_message_is_the_answer_or_what_is_said_on_its_page() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(ask()).push(Turn::text("The better one it is.")).push(ask());
    let run = office.say(&ada, "Choose an offer").await;
    office.in_state(run, RunState::Waiting).await;
    assert_eq!(office.say(&ada, "The better one").await, run);
    assert_eq!(office.ended(run).await.summary, "The better one it is.");
    let second = office.say(&ada, "And again").await;
    office.in_state(second, RunState::Waiting).await;
    office.model.push(Turn::text("Chosen."));
    let (mira, name) = (office.hq.owner(), office.get::<Run>(second).name());
    mira.form(&format!("/w/marlow-cargo/runs/{name}/answer"), &[("body", "The cheaper one")]).await;
    assert_eq!(office.ended(second).await.summary, "Chosen.");
    assert!(office.results(second)[0].2.contains("The cheaper one"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_kept_whole_stands_in_the_conversation_and_is_found() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(ask()).push(Turn::text("I see."));
    let run = office.say(&ada, "Choose an offer").await;
    office.in_state(run, RunState::Waiting).await;
    let long = format!("The walrus offer. {}That is all of it.", "And so on. ".repeat(3_600));
    assert_eq!(office.say(&ada, &long).await, run);
    office.ended(run).await;
    let result = &office.results(run)[0].2;
    assert!(result.len() > 39_000 && result.ends_with("That is all of it."), "{}", result.len());
    let page = office.hq.owner().get("/w/marlow-cargo/agents/ada/chat").await;
    let mine = page.texts(".mine");
    assert_eq!(mine.len(), 2, "{mine:?}");
    assert!(mine[1].contains("The walrus offer."));
    let found = "/api/v1/agents/ada/sessions/search?q=walrus";
    let found = office.hq.api().await.get(found).await.json();
    assert!(found["items"].as_array().is_some_and(|items| !items.is_empty()), "{found}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_nobody_answers_in_time_is_given_up_over_a_restart_too() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    let args = json!({ "question": "Which offer?", "hours": 2 });
    office.model.push(Turn::call("ask_person", args));
    let run = office.say(&ada, "Choose an offer").await;
    office.in_state(run, RunState::Waiting).await;
    let listed = office.hq.api().await.get("/api/v1/questions").await.json();
    assert!(listed["items"][0]["until"].is_string(), "{listed}");
    office.hq.restart().await;
    office.hq.advance(Duration::from_secs(90 * 60)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting);
    office.model.push(Turn::text("I take the cheaper one."));
    office.hq.advance(Duration::from_secs(31 * 60)).await;
    assert_eq!(office.ended(run).await.summary, "I take the cheaper one.");
    let results = office.results(run);
    assert!(!results[0].1 && results[0].2.contains("no one answered in time"), "{results:?}");
    let listed = office.hq.api().await.get("/api/v1/questions").await.json();
    assert_eq!(listed["items"], json!([]));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_at_its_moment_or_when_the_task_that_it_waits_for_has_ended() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    office
        .model
        .push(Turn::call("wait_until", json!({ "minutes": 90, "reason": "the shop opens" })));
    let task = office.task("Call the shop", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    let page = office.hq.owner().get("/w/marlow-cargo/jobs?kind=timer").await;
    let timers = page.text_of("#jobs-now");
    assert!(timers.contains("Call the shop") && timers.contains("the shop opens"), "{timers}");
    // It continues by itself: nobody is asked to look at it.
    let home = office.hq.owner().get("/w/marlow-cargo/").await;
    assert!(!home.text_of("#needs").contains("Call the shop"), "{}", home.text_of("#needs"));
    office.hq.restart().await;
    office.hq.advance(Duration::from_secs(60 * 60)).await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting);
    office.model.push(done());
    office.hq.advance(Duration::from_secs(31 * 60)).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert_eq!(office.results(run)[0].2, "It is time.");

    let other = office.act(|tx| tasks::create(tx, tasks::NewTask::titled("Deliver"))).await;
    let wait = json!({ "task": other.id.to_string(), "reason": "the delivery" });
    office.model.push(Turn::call("wait_until", wait));
    let task = office.task("Write the invoice", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    office.model.push(done());
    let id = other.id;
    office.act(move |tx| tasks::set_status(tx, id, TaskStatus::Done)).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert_eq!(office.results(run)[0].2, "The task is now Done.");
    office.hq.finish().await;
}

fn wait() -> Turn {
    Turn::call("wait_until", json!({ "minutes": 90, "reason": "the shop opens" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_moment_goes_on_when_somebody_speaks_to_it() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(wait()).push(Turn::text("Here I am."));
    let run = office.say(&ada, "Call the shop").await;
    office.in_state(run, RunState::Waiting).await;
    assert_eq!(office.say(&ada, "Are you there?").await, run, "the same run reads it");
    assert_eq!(office.ended(run).await.summary, "Here I am.");
    assert_eq!(office.results(run)[0].2, "You got a message while you waited.");
    assert!(office.model.last().text().contains("Are you there?"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_lets_it_go_on_by_page_and_api_and_a_comment_does_not() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(wait());
    let task = office.task("Call the shop", &ada).await;
    let run = office.run_on(task.id).await;
    office.in_state(run, RunState::Waiting).await;
    office.comment(task.id, "It is closed today.").await;
    office.hq.settle().await;
    assert_eq!(office.get::<Run>(run).state, RunState::Waiting, "a comment is read later");
    let (mira, api) = (office.hq.owner(), office.hq.api().await);
    let at = |run: &Run, act: &str| format!("/w/marlow-cargo/runs/{}{act}", run.name());
    let waiting = office.get::<Run>(run);
    let page = mira.get(&at(&waiting, "")).await;
    let deeds = page.attrs(".banner form", "action");
    assert_eq!(deeds, [at(&waiting, "/go-on")], "{}", page.text);
    office.model.push(done());
    mira.form(&at(&waiting, "/go-on"), &[]).await;
    assert_eq!(office.ended(run).await.outcome, Some(Outcome::Done));
    assert_eq!(office.results(run)[0].2, "Mira Lindqvist wants you to continue now.");
    assert!(office.model.last().text().contains("It is closed today."));

    office.model.push(wait()).push(Turn::text("Going on."));
    let run = office.say(&ada, "Call the shop").await;
    let waiting = office.in_state(run, RunState::Waiting).await;
    let go_on = format!("/api/v1/runs/{}/go-on", waiting.name());
    let gone = api.post(&go_on, &json!({})).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    assert_eq!(office.ended(run).await.summary, "Going on.");
    let late = api.post(&go_on, &json!({})).await;
    assert_eq!((late.status.as_u16(), &late.json()["code"]), (409, &json!("no_wait")));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_task_that_is_archived_goes_on_and_says_which_it_is() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let other = office.act(|tx| tasks::create(tx, tasks::NewTask::titled("Deliver"))).await;
    let wait = json!({ "task": "MC-1", "reason": "the delivery" });
    office.model.push(Turn::call("wait_until", wait.clone())).push(Turn::text("I see."));
    let run = office.say(&ada, "Write the invoice after it").await;
    let waiting = office.in_state(run, RunState::Waiting).await.waiting.expect("a reason");
    assert_eq!(waiting.detail, "MC-1 to end: the delivery");
    assert!(waiting.until.is_some(), "it has an end in any case");
    let id = other.id;
    office.act(move |tx| tasks::archive(tx, id)).await;
    assert_eq!(office.ended(run).await.summary, "I see.");
    assert_eq!(office.results(run)[0].2, "The task was archived.");

    office.model.push(Turn::call("wait_until", wait)).push(Turn::text("At once."));
    let run = office.say(&ada, "And again").await;
    assert_eq!(office.ended(run).await.summary, "At once.");
    assert_eq!(office.results(run)[0].2, "The task is archived.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_task_that_is_not_there_any_more_is_woken() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.act(|tx| tasks::create(tx, tasks::NewTask::titled("Deliver"))).await;
    let wait = json!({ "task": "MC-1", "reason": "the delivery" });
    office.model.push(Turn::call("wait_until", wait)).push(Turn::text("I see."));
    let run = office.say(&ada, "Write the invoice after it").await;
    office.in_state(run, RunState::Waiting).await;
    // State left by deleting the task in an older version.
    office
        .act(move |tx| {
            let mut waits = tx.get::<Run>(run)?.expect("it is there");
            waits.waiting.as_mut().expect("a reason").until = None;
            tx.put(&waits)?;
            let parks: Vec<Park> = tx.list(&Range::all())?;
            for park in parks {
                tx.put(&Park { task: None, until: None, ..park })?;
            }
            Ok::<_, StoreError>(())
        })
        .await;
    office.hq.advance(Duration::from_secs(61)).await;
    assert_eq!(office.ended(run).await.summary, "I see.");
    assert_eq!(office.results(run)[0].2, "The task no longer exists.");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_questions_at_once_are_one_text_and_one_has_its_buttons() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let colour = json!({ "header": "Colour", "question": "Which one?", "options": [
        { "label": "Red", "description": "as before" }, { "label": "Blue" },
    ] });
    let days =
        json!({ "question": "Which days?", "options": ["Monday", "Friday"], "multiSelect": true });
    office.model.push(Turn::call("ask_user", json!({ "questions": [colour] })));
    office.model.push(Turn::call("ask_person", json!({ "questions": [colour, days] })));
    office.model.push(Turn::text("I see."));
    let run = office.say(&ada, "Order paint").await;
    office.in_state(run, RunState::Waiting).await;
    let api = office.hq.api().await;
    let listed = api.get("/api/v1/questions").await.json();
    let first = &listed["items"][0];
    assert_eq!(first["options"], json!(["Red", "Blue"]), "{listed}");
    assert_eq!(first["question"], "Colour: Which one?\n- Red: as before", "{listed}");
    let answer = format!("/api/v1/runs/{run}/answer");
    let given = api.post(&answer, &json!({ "text": "Red" })).await;
    assert!(given.status.is_success(), "{}", given.text);
    office.happened(run, |kind| matches!(kind, EventKind::Answered { .. })).await;
    let listed = office
        .until("the second question", |snap| {
            let all: Vec<Park> = snap.list(&Range::all())?;
            Ok(all.into_iter().find(|park| park.question.contains("2. ") && park.over_at.is_none()))
        })
        .await;
    let all = "1. Colour: Which one?\n- Red: as before\n- Blue\n\n2. Which days?\n- Monday\n- \
               Friday\n(choose one or more)";
    assert_eq!((listed.question.as_str(), listed.options.len()), (all, 0));
    let given = api.post(&answer, &json!({ "text": "Red, and Friday" })).await;
    assert!(given.status.is_success(), "{}", given.text);
    assert_eq!(office.ended(run).await.summary, "I see.");
    office.hq.finish().await;
}
