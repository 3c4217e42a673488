//! Runs repeated from a step of another: replacing it, or beside it with another model.

use std::time::Duration;

use axum::http::StatusCode;
use features::inbox::model::Item;
use features::runs::model::{Branch, EventKind, Run, Session};
use features::runs::rules as runs;
use features::tasks::model::Task;
use kernel::{ItemState, Outcome, Role, RunId, RunState, TaskStatus, Thinking};
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

fn write(path: &str) -> Turn {
    Turn::call("write", json!({ "path": path, "content": "one\n" }))
}

fn done(state: &str) -> Turn {
    Turn::call("work_done", json!({ "summary": "Done.", "task_state": state }))
}

/// The step of a run's answer with this number, as counted on its page.
fn step(office: &Office, run: RunId, answer: usize) -> String {
    let events = office.events(run);
    let mut answers =
        events.iter().enumerate().filter(|(_, kind)| matches!(kind, EventKind::Assistant { .. }));
    let (at, _) = answers.nth(answer).expect("an answer");
    (at + 1).to_string()
}

fn run_of(office: &Office, made: &Value) -> RunId {
    let all = office.all::<Run>();
    let name = made["name"].as_str().expect("a name");
    all.into_iter().find(|run| run.name() == name).expect("a run").id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_goes_on_from_a_step_once_what_came_after_it_was_undone() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let side = Turn::call("task_create", json!({ "title": "On the side" }))
        .and_call("write", json!({ "path": "late.md", "content": "two\n" }));
    office.model.push(write("early.md")).push(side).push(done("complete"));
    let task = office.task("Plan the move", &ada).await;
    let first = office.worked(task.id, 1).await;
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);

    let api = office.hq.api().await;
    let from = step(&office, first.id, 1);
    let seen = api.get(&format!("/api/v1/runs/R-1/retry?from={from}")).await.json();
    assert_eq!(seen["files"], json!(["late.md"]), "{seen}");
    assert!(seen["back"].to_string().contains("On the side"), "{seen}");
    let refused = api.post("/api/v1/runs/R-1/retry", &json!({ "from": from })).await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (StatusCode::CONFLICT, Some("task_closed"))
    );

    office.model.push(done("complete"));
    let wish = json!({ "from": format!("s-{from}"), "undo": true, "basis": seen["basis"] });
    let made = api.post("/api/v1/runs/R-1/retry", &wish).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    assert_eq!((made["of"].as_str(), made["why"].as_str()), (Some("R-1"), Some("retry")));
    let second = office.ended(run_of(&office, &made)).await;
    assert_eq!((second.outcome, second.calls), (Some(Outcome::Done), 1));

    // The model saw what came before the step, and nothing that came after.
    let asked = office.model.last().text();
    assert!(asked.contains("early.md") && asked.contains("Plan the move"), "{asked}");
    assert!(!asked.contains("On the side") && !asked.contains("late.md"), "{asked}");
    assert!(asked.contains("were reverted"), "{asked}");
    assert_eq!(office.results(second.id).len(), 1, "nothing was done again");
    assert_eq!(office.file(&ada, "early.md").as_deref(), Some("one\n"));
    assert_eq!(office.file(&ada, "late.md"), None);
    assert!(office.all::<Task>().iter().all(|task| task.title != "On the side"));

    // The conversation continues in the branch; the old one stays readable.
    let (old, new) = (office.get::<Session>(first.session), office.get::<Session>(second.session));
    assert_eq!((old.key.as_str(), old.archived_at.is_some()), (new.key.as_str(), true));
    let branch: Branch = office.get(second.session);
    assert_eq!((branch.of, branch.step.map(|step| step.to_string())), (first.id, Some(from)));
    assert_eq!(office.get::<Item>(second.item.expect("work")).state, ItemState::Done);
    assert_eq!(office.get::<Task>(task.id).status, TaskStatus::Done);
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-1").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_waits_until_the_first_has_ended_and_holds_nobody_up() {
    let mut office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::call("ask_person", json!({ "question": "Which one?" })));
    let task = office.task("Choose a van", &ada).await;
    let first = office.run_on(task.id).await;
    office.in_state(first, RunState::Waiting).await;

    let api = office.hq.api().await;
    let live = api.post("/api/v1/runs/R-1/retry", &json!({})).await;
    assert_eq!(live.json()["code"], "run_live", "{}", live.text);
    let wish = json!({ "model": "other", "thinking": "high" });
    let made = api.post("/api/v1/runs/R-1/fork", &wish).await.json();
    assert!(made["waits"].as_str().is_some_and(|why| why.contains("R-1")), "{made}");
    let second = run_of(&office, &made);
    let page = office.hq.owner().get("/w/marlow-cargo/runs/R-2").await;
    assert!(page.text_of("#run-head").contains("Waiting for R-1 to end"), "{}", page.text);
    let list = office.hq.owner().get("/w/marlow-cargo/runs").await;
    assert!(list.text_of(".runs-list").contains("Waiting for R-1 to end"), "{}", list.text);
    office.model.push(done("complete"));
    let other = office.task("Something else", &ada).await;
    office.worked(other.id, 1).await;
    assert_eq!(office.get::<Run>(second).state, RunState::Queued);

    // A run does not expire while it waits for its turn.
    let hours = Duration::from_secs(20 * 3600);
    office.hq.advance(hours).await;
    // A request now keeps the session valid.
    office.hq.owner().get("/w/marlow-cargo/runs").await;
    office.hq.stop().await;
    office.hq.advance_unnoticed(hours);
    office.hq.start_again().await;
    assert_eq!(office.get::<Run>(second).state, RunState::Queued);
    office.model.push(Turn::call("work_fail", json!({ "reason": "None fits." })));
    office.model.push(done("complete"));
    let by = office.owner();
    office.act(move |tx| runs::park::answer(tx, first, "None", by)).await;
    let second = office.ended(second).await;
    assert_eq!(second.outcome, Some(Outcome::Done));
    assert_eq!((second.model.as_str(), second.thinking), ("other", Thinking::High));
    assert_eq!(office.model.last().body["model"], "other");
    let ended = office.get::<Run>(first);
    assert!(matches!(ended.outcome, Some(Outcome::Failed { .. })), "the first is as it was");
    assert!(office.get::<Session>(ended.session).archived_at.is_none());

    // Both side by side, in whichever order they are named.
    let (api, mira) = (office.hq.api().await, office.hq.owner());
    let both = api.get("/api/v1/runs/compare?a=R-2&b=R-1").await.json();
    assert_eq!((both["a"]["run"].as_str(), both["why"].as_str()), (Some("R-1"), Some("fork")));
    assert_eq!((&both["from"], &both["a"]["outcome"]), (&Value::Null, &json!("failed")), "{both}");
    assert_eq!((&both["b"]["model"], &both["b"]["calls"]), (&json!("other"), &json!(1)), "{both}");
    assert!(both["a"]["turns"][0].to_string().contains("Which one?"), "{both}");
    let page = mira.get("/w/marlow-cargo/runs/compare?a=R-1&b=R-2").await;
    let shown = page.text_of("#compare");
    assert!(shown.contains("other") && shown.contains("Which one?"), "{shown}");
    let same = mira.get("/w/marlow-cargo/runs/compare?a=R-1&b=R-1").await;
    assert_eq!(same.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", same.text);
    let kin = mira.get("/w/marlow-cargo/runs/R-1").await.text_of(".kin");
    assert!(kin.contains("Forked from the beginning as R-2"), "{kin}");
    let told = api.get("/api/v1/runs/R-2").await.json();
    assert_eq!(told["again_of"]["name"], "R-1", "{told}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_is_answered_anew_and_goes_on_from_there() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("Answer one.")).push(Turn::text("Answer two."));
    let first = office.say(&ada, "Say something").await;
    office.ended(first).await;
    let second = office.say(&ada, "Say more").await;
    office.ended(second).await;

    let api = office.hq.api().await.with("idempotency-key", "once");
    office.model.push(Turn::text("Answer three."));
    let made = api.post("/api/v1/runs/R-2/retry", &json!({})).await.json();
    let repeated = api.post("/api/v1/runs/R-2/retry", &json!({})).await.json();
    assert_eq!(made["name"], repeated["name"], "{repeated}");
    let third = office.ended(run_of(&office, &made)).await;
    assert_eq!(third.summary, "Answer three.");
    let asked = office.model.last().text();
    assert!(asked.contains("Answer one.") && asked.contains("Say more"), "{asked}");
    assert!(!asked.contains("Answer two."), "{asked}");

    office.model.push(Turn::text("Answer four."));
    let fourth = office.say(&ada, "And now").await;
    assert_eq!(office.ended(fourth).await.session, third.session);
    let asked = office.model.last().text();
    assert!(asked.contains("Say something") && asked.contains("Answer three."), "{asked}");
    assert!(!asked.contains("Answer two."), "{asked}");
    let chat = office.hq.owner().get("/w/marlow-cargo/agents/ada/chat").await;
    let talk = chat.text_of("#talk");
    assert!(talk.contains("Answer one.") && talk.contains("Answer four."), "{talk}");
    assert!(!talk.contains("Answer two."), "{talk}");
    let asked =
        office.hq.api().await.post("/api/v1/runs/R-2/retry", &json!({ "from": "99" })).await;
    assert_eq!(asked.json()["code"], "step_not_found", "{}", asked.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_what_goes_back_and_what_stays() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(write("early.md")).push(write("late.md"));
    office.model.push(Turn::call("work_fail", json!({ "reason": "No." })));
    let task = office.task("Plan the move", &ada).await;
    let first = office.worked(task.id, 1).await;
    let (mira, from) = (office.hq.owner(), step(&office, first.id, 1));
    let base = "/w/marlow-cargo/runs/R-1";
    let page = mira.get(&format!("{base}/retry?from={from}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text_of(".again").contains("late.md"), "{}", page.text);
    assert!(!page.text_of(".again").contains("early.md"), "it was there before the step");
    let basis = page.attr("input[name=basis]", "value");
    office.model.push(done("complete"));
    let fields = [("from", from.as_str()), ("undo", "on"), ("basis", &basis)];
    let sent = mira.form(&format!("{base}/retry"), &fields).await;
    assert!(sent.location().is_some_and(|to| to.ends_with("/runs/R-2")), "{}", sent.text);
    office.worked(task.id, 2).await;
    assert_eq!(office.file(&ada, "late.md"), None);
    let fork = mira.get(&format!("{base}/fork")).await;
    assert!(fork.text.contains("from the beginning"), "{}", fork.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_offers_what_can_be_done_about_its_run_that_failed() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.model.push(write("early.md")).push(Turn::error(400, "invalid_request_error", "No"));
    let task = office.task("Plan the move", &ada).await;
    office.worked(task.id, 1).await;
    let (mira, at) = (office.hq.owner(), "/w/marlow-cargo/tasks/MC-1");
    let page = mira.get(at).await;
    assert_eq!(page.texts("#task-run header button"), ["Retry"]);
    let undo = page.attrs("#task-run header a", "href");
    assert_eq!(undo, ["/w/marlow-cargo/undo?run=R-1"]);
    assert_eq!(mira.get(&undo[0]).await.status, StatusCode::OK);
    let viewer = office.hq.another("Vera", Some(Role::Viewer)).await;
    let seen = viewer.get(at).await;
    assert_eq!(seen.texts("#task-run header").len(), 1, "{}", seen.text);
    assert_eq!(seen.texts("#task-run header button, #task-run header a").len(), 0);

    let forms = page.attrs("#task-run header form", "action");
    let retry = forms.iter().find(|to| to.ends_with("/retry")).expect("where it is tried again");
    office.model.push(done("complete"));
    let sent = mira.clone().htmx("task-run").form(retry, &[("from", "task")]).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    let told = sent.header("hx-trigger").expect("what is said");
    assert!(told.contains("as soon as") && told.contains("hq:inbox"), "{told}");
    office.worked(task.id, 2).await;
    let part = mira.clone().htmx("task-run").get(&format!("{at}?part=run")).await;
    assert_eq!(part.texts("header button, header a").len(), 0, "{}", part.text);
    // Submitted from an old page without script, it redirects back to the task.
    let late = mira.form(retry, &[("from", "task")]).await;
    assert_eq!(late.location(), Some(at), "{}", late.text);
    office.hq.finish().await;
}
