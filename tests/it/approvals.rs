//! Trust modes of agents, and calls that wait for an approval.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::runs::model::Run;
use features::trust::model::{Approval, What};
use features::trust::queries as trust;
use features::trust::rules::{self, NewPermission};
use kernel::{AccessDecision, ApprovalAnswer, RunId, RunState, TrustMode, WaitFor};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

mod bound; // what an approval is bound to
mod cards; // the cards on which calls wait for approval
mod egress; // data in addresses and headers of requests after reading external content
mod labels; // labels of data read and written after external content
mod passed_on; // external content that one agent passes on to another
mod printed; // output and files of programs after external content or with network access

const API: &str = "/api/v1/approvals";

/// An agent whose programs may reach any host, with approval required.
async fn asking(office: &Office) -> Agent {
    office.settings(|settings| settings.exec_without_jail = true).await;
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    let ada = office.change(ada.id, on).await;
    office.trust(ada.id, TrustMode::Ask).await;
    ada
}

fn runs(command: &str) -> Turn {
    Turn::call("exec", json!({ "command": command }))
}

/// The approval that a run waits for.
async fn asked(office: &Office, run: RunId) -> Approval {
    let waiting: Run = office.in_state(run, RunState::Waiting).await;
    let waits_for = waiting.waiting.map(|waiting| waiting.waits_for);
    assert_eq!(waits_for, Some(WaitFor::Approval));
    let approval = office.ws().read(|snap| trust::waiting_of(snap, run)).expect("a store");
    approval.expect("an approval")
}

async fn answer(office: &Office, approval: &Approval, body: Value) {
    let path = format!("{API}/{}/answer", approval.id);
    let said = office.hq.owner().json("POST", &path, &body).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
}

/// The results of a run, once it has ended.
async fn results(office: &Office, run: RunId) -> Vec<(String, bool, String)> {
    office.ended(run).await;
    office.results(run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_reaches_any_host_waits_for_a_yes_over_a_restart_and_runs_once() {
    let mut office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("echo one >> log")).push(Turn::text("Done."));
    let run = office.say(&ada, "Write it down").await;
    let approval = asked(&office, run).await;
    assert_eq!((approval.tool.as_str(), approval.plan.shown.as_str()), ("exec", "echo one >> log"));
    assert!(approval.offers.is_empty(), "what writes into a file is asked for each time");
    assert_eq!(office.file(&ada, "log"), None);

    office.hq.restart().await;
    let again = asked(&office, run).await;
    assert_eq!(again.id, approval.id);
    answer(&office, &approval, json!({ "answer": "once" })).await;
    let results = results(&office, run).await;
    assert!(results.len() == 1 && results[0].1, "{results:?}");
    assert_eq!(office.file(&ada, "log").as_deref(), Some("one\n"));

    // Only the first answer counts.
    let path = format!("{API}/{}/answer", approval.id);
    let late = office.hq.owner().json("POST", &path, &json!({ "answer": "denied" })).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    let spent: Approval = office.get(approval.id);
    assert!(spent.spent_at.is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_reaches_the_model_with_its_note_and_the_run_goes_on() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    answer(&office, &approval, json!({ "answer": "denied", "note": "Not on a Thursday" })).await;
    let results = results(&office, run).await;
    assert!(results[0].2.starts_with("Error(approval_denied)"), "{results:?}");
    assert!(results[0].2.contains("Not on a Thursday") && !results[0].1, "{results:?}");
    assert_eq!(office.file(&ada, "made"), None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_for_the_run_or_for_always_counts_for_the_same_and_for_nothing_wider() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let model = &office.model;
    model.push(runs("touch a")).push(runs("touch a")).push(runs("touch b")).push(Turn::text("."));
    let run = office.say(&ada, "Touch").await;
    let first = asked(&office, run).await;
    assert!(!first.offers.is_empty());
    answer(&office, &first, json!({ "answer": "run", "offer": 0 })).await;
    // The same call is not asked about again; a different one is.
    let other = office
        .until("the other", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.plan.shown == "touch b"))
        })
        .await;
    let other = {
        drop(other);
        asked(&office, run).await
    };
    answer(&office, &other, json!({ "answer": "always", "offer": 0 })).await;
    office.ended(run).await;
    assert_eq!(office.results(run).len(), 3);
    let kept = office.ws().read(|snap| trust::kept(snap, Some(ada.id))).expect("a store");
    assert_eq!(kept.len(), 1, "what counted for the run has gone with it: {kept:?}");

    model.push(runs("touch b")).push(runs("touch a")).push(Turn::text("Done."));
    let later = office.say(&ada, "Again").await;
    let again = asked(&office, later).await;
    assert_eq!(again.plan.shown, "touch a");
    answer(&office, &again, json!({ "answer": "denied" })).await;
    office.ended(later).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_wins_over_every_yes_and_a_locked_agent_only_looks() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let rule = |tool: &str, leave| NewPermission {
        agent: None,
        run: None,
        tool: tool.to_owned(),
        what: What::All,
        leave,
        note: "Nobody deletes here".to_owned(),
        expires_at: None,
    };
    office.trust(ada.id, TrustMode::Full).await;
    let (deny, allow) = (rule("exec", AccessDecision::Deny), rule("exec", AccessDecision::Allow));
    office.act(move |tx| rules::permit(tx, allow)).await;
    office.act(move |tx| rules::permit(tx, deny)).await;
    office.model.push(runs("true")).push(Turn::text("Done."));
    let run = office.say(&ada, "Run").await;
    let told = results(&office, run).await;
    assert!(told[0].2.contains("Nobody deletes here"), "{told:?}");

    office.trust(ada.id, TrustMode::Locked).await;
    let write = Turn::call("write", json!({ "path": "a.md", "content": "x" }));
    let look = Turn::call("search", json!({ "query": "x" }));
    office.model.push(write).push(look).push(Turn::text("Done."));
    let run = office.say(&ada, "Write").await;
    let told = results(&office, run).await;
    assert!(told[0].2.contains("locked") && !told[0].1, "{told:?}");
    assert!(told[1].1, "{told:?}");
    assert_eq!(office.file(&ada, "a.md"), None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_days_and_a_stop_withdraws_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made"));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    assert_eq!(approval.until, None, "in the background it waits for days");
    let approves = office.hq.token(&["read", "approvals"]).await;
    office.hq.advance(Duration::from_secs(72 * 3600)).await;
    assert_eq!(asked(&office, run).await.id, approval.id);
    office.stop(run).await;
    office.ended(run).await;
    let closed: Approval = office.get(approval.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Withdrawn));
    let path = format!("{API}/{}/answer", approval.id);
    let late = approves.json("POST", &path, &json!({ "answer": "once" })).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert_eq!(office.file(&ada, "made"), None);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_reminded_after_an_hour_and_then_once_a_day() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made"));
    let run = office.say(&ada, "Make it").await;
    asked(&office, run).await;
    let (app, api) = (office.hq.running().app.clone(), office.hq.api().await);
    let reminders = async |hours: u64| {
        office.hq.advance_unnoticed(Duration::from_secs(hours * 3_600));
        server::timers::sweep(&app).await;
        let all = api.get("/api/v1/notifications").await.json();
        let items = all["items"].as_array().expect("items").clone();
        let waits =
            |item: &&Value| item["title"].as_str().is_some_and(|t| t.contains("still waiting"));
        items.iter().filter(waits).count()
    };
    assert_eq!(reminders(0).await, 0);
    assert_eq!(reminders(1).await, 1);
    assert_eq!(reminders(2).await, 1);
    assert_eq!(reminders(22).await, 2);
    office.stop(run).await;
    office.ended(run).await;
    assert_eq!(reminders(48).await, 2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_people_with_the_right_answer_and_a_page_shows_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make <b>it</b>").await;
    let approval = asked(&office, run).await;
    let path = format!("{API}/{}/answer", approval.id);
    let yes = json!({ "answer": "once" });
    let writes = office.hq.token(&["read", "write", "chat"]).await;
    assert_eq!(writes.json("POST", &path, &yes).await.status, StatusCode::FORBIDDEN);
    let approves = office.hq.token(&["read", "approvals"]).await;
    let always = json!({ "answer": "always", "offer": 0 });
    assert_eq!(approves.json("POST", &path, &always).await.status, StatusCode::FORBIDDEN);

    let owner = office.hq.owner();
    for page in ["approvals", "review", "runs/R-1", "agents/ada", "agents/ada/behaviour"] {
        let shown = owner.get(&format!("/w/marlow-cargo/{page}")).await;
        assert_eq!(shown.status, StatusCode::OK, "{page}: {}", shown.text);
        if page != "agents/ada/behaviour" {
            assert!(shown.text.contains("touch made"), "{page}: {}", shown.text);
        }
    }
    let listed = owner.get(API).await.json();
    assert_eq!(listed["items"][0]["id"], json!(approval.id.to_string()), "{listed}");
    assert_eq!(approves.json("POST", &path, &yes).await.status, StatusCode::OK);
    office.ended(run).await;
    assert!(office.file(&ada, "made").is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_answers_at_once_one_counts_and_the_same_call_once_more_is_asked_for_anew() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let command = json!({ "command": "echo one >> log" }).to_string();
    let call = || Turn::text("Now.").and_call_as(Some("call_7"), "exec", &command);
    office.model.push(call()).push(call()).push(Turn::text("Done."));
    let run = office.say(&ada, "Write it down").await;
    let first = asked(&office, run).await;
    let path = format!("{API}/{}/answer", first.id);
    let (owner, yes) = (office.hq.owner(), json!({ "answer": "once" }));
    let (left, right) =
        tokio::join!(owner.json("POST", &path, &yes), owner.json("POST", &path, &yes));
    let mut said = [left.status, right.status];
    said.sort_unstable();
    assert_eq!(said, [StatusCode::OK, StatusCode::CONFLICT], "{}{}", left.text, right.text);

    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert_ne!(second.call_id, first.call_id, "a provider's id that comes twice is no yes");
    assert_eq!(office.file(&ada, "log").as_deref(), Some("one\n"));
    let late = owner.json("POST", &path, &yes).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    asked(&office, run).await;
    answer(&office, &second, json!({ "answer": "denied" })).await;
    let results = results(&office, run).await;
    assert_eq!(results.iter().map(|one| one.1).collect::<Vec<_>>(), [true, false], "{results:?}");
    assert_eq!(office.file(&ada, "log").as_deref(), Some("one\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_of_an_approval_in_the_words_of_an_agent_answers_nothing() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let bob = office.agent("Bob").await;
    let call =
        Turn::text("/approve first once").and_call("exec", json!({ "command": "touch made" }));
    office.model.push(call);
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;

    let words = format!("/approve {} once", approval.id);
    let answers = json!({ "id": approval.id.to_string(), "answer": "once" });
    office.model.push(Turn::call("approval_answer", answers));
    office.model.push(Turn::call("write", json!({ "path": "note.md", "content": words })));
    office.model.push(Turn::text(&words));
    let other = office.say(&bob, "Help Ada").await;
    let told = results(&office, other).await;
    assert!(!told[0].1 && told[0].2.contains("not_found"), "{told:?}");
    let stands: Approval = office.get(approval.id);
    assert_eq!(stands.answer, None);
    assert_eq!(office.file(&ada, "made"), None);
    let names = features::trust::tools::all().iter().map(|spec| &spec.name);
    assert_eq!(names.filter(|name| name.contains("approv")).count(), 0, "no tool answers");

    office.model.push(Turn::text("I leave it."));
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "made"), None);
    office.hq.finish().await;
}
