//! Failures are notified, and settled ones marked as read for all recipients.

use std::time::Duration;

use features::agents::rules as agents;
use features::inbox::model::Item;
use features::notifications::queries;
use features::notifications::rules::{self as notifications, NotificationError};
use features::tasks::model::Task;
use features::trust::queries as trust;
use kernel::{
    About, Actor, AgentId, Cause, Notice, NoticeKind, Outcome, Part, Role, RunState, TaskStatus,
    TrustMode, Verdict,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

use super::API;

/// A person's notifications of a kind.
async fn of_kind(person: &Person, kind: NoticeKind) -> Vec<Value> {
    let items = person.get(API).await.json()["items"].as_array().expect("a list").clone();
    items.into_iter().filter(|one| one["kind"] == kind.word()).collect()
}

/// Whether there is at least one, and all of them are read.
async fn is_read(person: &Person, kind: NoticeKind) -> bool {
    let all = of_kind(person, kind).await;
    !all.is_empty() && all.iter().all(|one| one["read_at"].is_string())
}

async fn unread_of(person: &Person, kind: NoticeKind) -> usize {
    of_kind(person, kind).await.iter().filter(|one| one["read_at"].is_null()).count()
}

/// A person opens a page of the workspace; its script says so.
async fn open(person: &Person, path: &str) {
    let form = [("path", path)];
    let said = person.clone().htmx("bell").form(&format!("{}/opened", super::LIST), &form).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
}

/// A task of an agent that another member follows before the work begins.
async fn followed(office: &Office, agent: AgentId, jonas: &Person) -> Task {
    office.act(move |tx| agents::pause(tx, agent)).await;
    let ada = office.get::<features::agents::model::Agent>(agent);
    let task = office.task("Compare two offers", &ada).await;
    let on = jonas.call("PUT", &format!("/api/v1/tasks/MC-{}/watch", task.number)).await;
    assert_eq!(on.status, StatusCode::OK, "{}", on.text);
    task
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_without_an_outcome_is_told_and_read_for_all_when_it_is_tried_again() {
    let office = Office::open().await;
    let (owner, api) = (office.hq.owner(), office.hq.api().await);
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let ada = office.agent("Ada").await;
    office.model.push(Turn::text("I give up.")).push(Turn::text("I do."));
    let (task, id) = (followed(&office, ada.id, &jonas).await, ada.id);
    office.act(move |tx| agents::resume(tx, id)).await;
    assert_eq!(office.worked(task.id, 1).await.outcome, Some(Outcome::NoOutcome));
    for person in [&owner, &jonas] {
        let told = of_kind(person, NoticeKind::WorkFailed).await;
        assert_eq!(told.len(), 1, "{told:?}");
        let title = "Ada ended without a result on MC-1 \u{201c}Compare two offers\u{201d}";
        assert_eq!(told[0]["title"], title);
        assert!(told[0]["body"].as_str().is_some_and(|b| b.contains("without reporting a result")));
        assert_eq!((&told[0]["group"], &told[0]["read_at"]), (&json!("system"), &Value::Null));
    }
    // The same word everywhere: the inbox, its filter and the item report a failure.
    let failed = api.get("/api/v1/inbox?state=failed").await.json();
    assert_eq!(failed["items"][0]["state"], "failed", "{failed}");

    office.act(move |tx| agents::pause(tx, id)).await;
    let item = office.all::<Item>().pop().expect("an item").id;
    let again = owner.call("POST", &format!("/api/v1/inbox/{item}/retry")).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    for person in [&owner, &jonas] {
        assert!(is_read(person, NoticeKind::WorkFailed).await, "whoever tries it, all are done");
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_and_a_review_are_read_for_all() {
    let office = Office::open().await;
    office.settings(|settings| settings.exec_without_jail = true).await;
    let owner = office.hq.owner();
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    let ada = office.change(ada.id, on).await;
    office.trust(ada.id, TrustMode::Ask).await;
    let hand_in = json!({ "kind": "text", "title": "Offers", "body": "A is cheaper." });
    office
        .model
        .push(Turn::call("exec", json!({ "command": "touch made" })))
        .push(Turn::call("deliverable_submit", hand_in))
        .push(Turn::call(
            "work_done",
            json!({ "summary": "Compared.", "task_state": "in_review" }),
        ));
    let (task, id) = (followed(&office, ada.id, &jonas).await, ada.id);
    office.act(move |tx| agents::resume(tx, id)).await;
    let run = office
        .until("it asks", |snap| {
            let all = trust::open(snap, 10)?;
            Ok(all.into_iter().next())
        })
        .await;
    office.in_state(run.run, RunState::Waiting).await;
    for person in [&owner, &jonas] {
        assert_eq!(unread_of(person, NoticeKind::ApprovalRequested).await, 1);
    }
    let path = format!("/api/v1/approvals/{}/answer", run.id);
    let said = owner.json("POST", &path, &json!({ "answer": "once" })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    for person in [&owner, &jonas] {
        assert!(is_read(person, NoticeKind::ApprovalRequested).await);
    }
    office.ended(run.run).await;
    for person in [&owner, &jonas] {
        assert_eq!(unread_of(person, NoticeKind::DeliverableSubmitted).await, 1);
    }
    office.review(task.id, Verdict::Approved, "").await;
    for person in [&owner, &jonas] {
        assert!(is_read(person, NoticeKind::DeliverableSubmitted).await);
    }
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_task_settles_what_was_told_of_it() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    super::task(&mira, json!({ "title": "Prices", "assignee": "tom" })).await;
    let set = async |status: TaskStatus| {
        let body = json!({ "status": status.word() });
        let set = mira.json("PATCH", "/api/v1/tasks/MC-1", &body).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    };
    set(TaskStatus::Blocked).await;
    assert_eq!(unread_of(&tom, NoticeKind::TaskBlocked).await, 1);
    set(TaskStatus::Done).await;
    assert!(is_read(&tom, NoticeKind::TaskBlocked).await);
    assert_eq!(unread_of(&tom, NoticeKind::TaskCompleted).await, 1, "that is news");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_opens_or_answers_is_read_for_that_person_only() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    let vera = hq.another("Vera", Some(Role::Member)).await;
    super::task(&mira, json!({ "title": "Prices" })).await;
    super::task(&mira, json!({ "title": "Racks" })).await;
    super::comment(&mira, "MC-1", "@tom and @vera please look").await;
    super::comment(&mira, "MC-2", "@tom please look").await;
    assert_eq!(unread_of(&tom, NoticeKind::Mention).await, 2);
    open(&tom, "settings").await;
    open(&tom, "tasks/MC-9").await;
    assert_eq!(unread_of(&tom, NoticeKind::Mention).await, 2, "another page handles nothing");
    open(&tom, "tasks/MC-1").await;
    assert_eq!(unread_of(&tom, NoticeKind::Mention).await, 1);
    assert_eq!(unread_of(&vera, NoticeKind::Mention).await, 1, "Vera has not seen it");
    // An answer handles the other one.
    super::comment(&tom, "MC-2", "On it").await;
    assert!(is_read(&tom, NoticeKind::Mention).await);
    assert_eq!(super::unread(&tom).await, 0);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_unread_notifications_is_at_the_bell_only() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    super::task(&mira, json!({ "title": "Prices", "assignee": "tom" })).await;
    let page = tom.get("/w/marlow-cargo/").await;
    assert_eq!(page.attr("#bell", "data-unread"), "1");
    assert_eq!(page.texts("#nav a[href$='/notifications'] .count"), [""; 0]);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_task_handles_its_state_and_a_comment_what_was_said() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    super::task(&mira, json!({ "title": "Prices", "assignee": "tom" })).await;
    super::comment(&mira, "MC-1", "@tom please look").await;
    super::comment(&mira, "MC-1", "Soon").await;
    // A card that is dragged, or a script with Tom's token, shows that he knows the task, not that he has read it all.
    let body = json!({ "status": TaskStatus::InProgress.word() });
    let set = tom.json("PATCH", "/api/v1/tasks/MC-1", &body).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    assert!(is_read(&tom, NoticeKind::TaskAssigned).await);
    for kind in [NoticeKind::Mention, NoticeKind::Comment] {
        assert_eq!(unread_of(&tom, kind).await, 1, "{}", kind.word());
    }
    super::comment(&tom, "MC-1", "On it").await;
    for kind in [NoticeKind::Mention, NoticeKind::Comment] {
        assert!(is_read(&tom, kind).await, "{}", kind.word());
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_handles_a_mention_under_hundreds_of_newer_notifications() {
    let hq = TestHq::start().await;
    let (mira, tom) = (hq.owner(), hq.another("Tom", Some(Role::Member)).await);
    super::task(&mira, json!({ "title": "Prices" })).await;
    super::comment(&mira, "MC-1", "@tom please look").await;
    hq.advance(Duration::from_secs(60)).await;
    let to = super::account(&hq, "tom");
    let told = hq.ws().write(&(Actor::System(Part::Setup), Cause::Setup), move |tx| {
        for _ in 0..301 {
            let about = About::Stream(tx.new_id());
            let notice = Notice::new(NoticeKind::System, about, "A stream").only().to(to);
            notifications::notify(tx, notice)?;
        }
        Ok::<_, NotificationError>(())
    });
    told.await.expect("notifications");
    let ws = hq.ws();
    let unread = || {
        let me = (to, ws.app.clock.now());
        ws.read(|snap| queries::unread(snap, me, queries::ALL)).expect("a number")
    };
    assert_eq!(unread(), 302);
    super::comment(&tom, "MC-1", "On it").await;
    assert_eq!(unread(), 301);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_page_of_the_failed_run_or_of_its_agent_handles_a_failure() {
    let office = Office::open().await;
    let jonas = office.hq.another("Jonas", Some(Role::Member)).await;
    let ada = office.agent("Ada").await;
    office
        .model
        .push(Turn::call("work_done", json!({ "summary": "Done.", "task_state": "complete" })))
        .push(Turn::text("I give up."))
        .push(Turn::text("I do."));
    let (task, id) = (followed(&office, ada.id, &jonas).await, ada.id);
    office.act(move |tx| agents::resume(tx, id)).await;
    let good = office.worked(task.id, 1).await;
    assert_eq!(good.outcome, Some(Outcome::Done));
    office.comment(task.id, "@ada and the delivery?").await;
    let bad = office.worked(task.id, 2).await;
    assert_eq!(bad.outcome, Some(Outcome::NoOutcome));
    assert_eq!(unread_of(&jonas, NoticeKind::WorkFailed).await, 1);
    open(&jonas, &format!("runs/{}", good.name())).await;
    assert_eq!(unread_of(&jonas, NoticeKind::WorkFailed).await, 1, "that run went well");
    open(&jonas, &format!("runs/{}", bad.name())).await;
    assert!(is_read(&jonas, NoticeKind::WorkFailed).await);

    let to = super::account(&office.hq, "jonas");
    let kinds = [NoticeKind::AgentStalled, NoticeKind::AgentSuggestion];
    office
        .act(move |tx| {
            for kind in kinds {
                let notice = Notice::new(kind, About::Agent(id), "Ada").only().to(to);
                notifications::notify(tx, notice)?;
            }
            Ok::<_, NotificationError>(())
        })
        .await;
    open(&jonas, &format!("agents/{}/chat", ada.slug)).await;
    for kind in kinds {
        assert_eq!(unread_of(&jonas, kind).await, 1, "{}", kind.word());
    }
    open(&jonas, &format!("agents/{}", ada.slug)).await;
    assert!(is_read(&jonas, NoticeKind::AgentStalled).await);
    assert_eq!(
        unread_of(&jonas, NoticeKind::AgentSuggestion).await,
        1,
        "its page does not show that"
    );
    office.hq.finish().await;
}
