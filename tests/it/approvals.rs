//! What agents may do without asking, and calls that wait for a person's yes.

use std::time::Duration;

use features::agents::model::Agent;
use features::agents::rules as agents;
use features::comments::model::Comment;
use features::notifications::model::Recipient;
use features::notifications::sending::push;
use features::runs::model::{Place, Run};
use features::runs::queries::outside;
use features::trust::model::{Approval, What};
use features::trust::queries as trust;
use features::trust::rules::{self, NewPermission};
use kernel::{
    ApprovalAnswer, CallKind, Leave, NoticeKind, Risk, Role, RunId, RunState, TrustMode, WaitFor,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use support::model::Turn;
use support::office::Office;

const API: &str = "/api/v1/approvals";

/// An agent whose programs reach any host, and who asks.
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

/// What a run waits for a yes to.
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

/// The results of a run once it has ended.
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

    // The first answer counts.
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
async fn a_script_that_was_swapped_after_the_yes_is_asked_for_anew() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::write(folder.join("job.sh"), "echo good > out\n").expect("a script");
    office.model.push(runs("sh job.sh")).push(Turn::text("Done."));
    let run = office.say(&ada, "Run the job").await;
    let first = asked(&office, run).await;
    assert_eq!(first.plan.files[0].path, "job.sh");

    std::fs::write(folder.join("job.sh"), "echo bad > out\n").expect("another script");
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("job.sh has changed"), "{}", second.why);
    let closed: Approval = office.get(first.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Changed));
    assert_eq!(office.file(&ada, "out"), None);
    let second = asked(&office, run).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "out").as_deref(), Some("bad\n"));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_tool_that_an_update_has_changed_is_asked_for_anew() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let first = asked(&office, run).await;
    assert_ne!(first.definition, [0; 32]);
    let older = Approval { definition: [9; 32], ..first.clone() };
    office.act(move |tx| tx.put(&older)).await;
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("HQ was updated since the yes"), "{}", second.why);
    assert_eq!((second.definition, second.digest), (first.definition, first.digest));
    let closed: Approval = office.get(first.id);
    assert_eq!(closed.answer.map(|one| one.answer), Some(ApprovalAnswer::Changed));
    assert_eq!(office.file(&ada, "made"), None);

    // Of what was asked for before tools were looked at, the yes counts.
    let unknown = Approval { definition: [0; 32], ..asked(&office, run).await };
    office.act(move |tx| tx.put(&unknown)).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(run).await;
    assert!(office.file(&ada, "made").is_some());
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
    // The same once more is not asked for; another is.
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
    let (deny, allow) = (rule("exec", Leave::Deny), rule("exec", Leave::Allow));
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
            |item: &&Value| item["title"].as_str().is_some_and(|t| t.contains("still waits"));
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
async fn a_yes_is_bound_to_all_that_a_call_says_and_to_each_file_that_it_names() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::create_dir(folder.join("sub")).expect("a folder");
    for name in ["sub/deploy.sh", "inner.sh"] {
        std::fs::write(folder.join(name), "true\n").expect("a script");
    }
    let files = |one: &Approval| -> Vec<String> {
        one.plan.files.iter().map(|file| file.path.clone()).collect()
    };
    let with = json!({ "command": "touch a", "env": { "MODE": "it's" }, "background": true });
    let spaced = json!({ "command": "sh deploy.sh", "workdir": "sub " });
    let model = &office.model;
    model.push(runs("touch a")).push(Turn::call("exec", with)).push(runs("cd sub && sh deploy.sh"));
    model.push(runs("sh -c 'sh inner.sh'")).push(Turn::call("exec", spaced));
    model.push(runs("git status")).push(Turn::text("Done."));
    let run = office.say(&ada, "Go on").await;
    let first = asked(&office, run).await;
    answer(&office, &first, json!({ "answer": "run", "offer": 0 })).await;
    let mut last = first.id;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let next = office
            .until(
                "the next",
                |snap| Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != last)),
            )
            .await;
        last = next.id;
        assert_eq!(asked(&office, run).await.id, last);
        answer(&office, &next, json!({ "answer": "denied" })).await;
        seen.push(next);
    }
    office.ended(run).await;
    let more = &seen[0].plan.shown;
    assert_eq!(more, "MODE='it'\\''s'\ntouch a\n# goes on in the background");
    assert!(seen[0].offers.is_empty(), "a permission for the words is none for the rest");
    assert!(files(&seen[1]).contains(&"sub/deploy.sh".to_owned()), "{:?}", seen[1]);
    assert!(files(&seen[2]).contains(&"inner.sh".to_owned()), "{:?}", seen[2]);
    assert!(seen[3].plan.folder.ends_with("/sub"), "the folder in which it runs: {:?}", seen[3]);
    assert_eq!(files(&seen[3]), ["sub/deploy.sh"]);
    assert!(seen[4].offers.is_empty(), "git does what files say that the agent writes");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_host_is_refused_however_it_is_written() {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    office.trust(ada.id, TrustMode::Full).await;
    let what = What::Host { method: "POST".to_owned(), host: "denied.example.com".to_owned() };
    let rule = NewPermission {
        agent: Some(ada.id),
        run: None,
        tool: "http_request".to_owned(),
        what,
        leave: Leave::Deny,
        note: "Not there".to_owned(),
        expires_at: None,
    };
    office.act(move |tx| rules::permit(tx, rule)).await;
    for (url, method) in [
        ("https://denied.example.com/", "POST"),
        ("https://DENIED.example.com./", "post"),
        ("http://denied.example.com:8080/", " POST "),
    ] {
        let call = json!({ "url": url, "method": method, "body": "x" });
        office.model.push(Turn::call("http_request", call));
    }
    office.model.push(Turn::text("Done."));
    let run = office.say(&ada, "Post it").await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, text)| !ok && text.contains("Not there")), "{told:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_from_outside_makes_every_mode_ask_until_a_person_trusts_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Full).await;
    let owner = office.hq.owner();
    let heeds = format!("/api/v1/agents/{}/autonomy", ada.slug);
    let set = owner.json("PUT", &heeds, &json!({ "autonomous": false })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let reads = || Turn::call("contact_list", json!({}));
    let first = [runs("echo one"), reads(), runs("echo two"), runs("echo three")];
    for turn in first.into_iter().chain([Turn::text("Done.")]) {
        office.model.push(turn);
    }
    let run = office.say(&ada, "Look and go on").await;
    let approval = asked(&office, run).await;
    assert!(approval.plan.shown.contains("echo two"), "{approval:?}");
    assert!(approval.why.contains("contact_list in step 2"), "{}", approval.why);
    let name = office.ws().read(|snap| store::ReadExt::get::<Run>(snap, run)).expect("a store");
    let name = name.expect("the run").name();
    let page = owner.get(&format!("/w/marlow-cargo/runs/{name}")).await;
    assert!(page.text.contains("Trust what it has read"), "{}", page.text);
    let lifted = owner.call("DELETE", &format!("/api/v1/runs/{name}/outside")).await;
    assert_eq!(lifted.status, StatusCode::NO_CONTENT, "{}", lifted.text);
    answer(&office, &approval, json!({ "answer": "once" })).await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, _)| *ok) && told.len() == 4, "{told:?}");

    let set = owner.json("PUT", &heeds, &json!({ "autonomous": true })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    for turn in [reads(), runs("echo four"), Turn::text("Done.")] {
        office.model.push(turn);
    }
    let run = office.say(&ada, "And again").await;
    let told = results(&office, run).await;
    assert!(told.iter().all(|(_, ok, _)| *ok) && told.len() == 2, "{told:?}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_message_stand_on_one_card_and_each_has_its_own_answer() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let command = |line: &str| json!({ "command": line });
    let three = runs("touch a").and_call("exec", command("touch b"));
    office.model.push(three.and_call("exec", command("touch c"))).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch them").await;
    asked(&office, run).await;
    let all = office.ws().read(|snap| trust::all_waiting_of(snap, run)).expect("a store");
    let shown: Vec<&str> = all.iter().map(|one| one.plan.shown.as_str()).collect();
    assert_eq!(shown, ["touch a", "touch b", "touch c"]);
    let owner = office.hq.owner();
    for page in ["approvals", "runs/R-1", "agents/ada/chat"] {
        let page = owner.get(&format!("/w/marlow-cargo/{page}")).await;
        assert!(page.text.contains("uses exec 3 times"), "{}", page.text);
    }
    let page = owner.get("/w/marlow-cargo/approvals").await;
    assert_eq!(page.attrs("input[name=chosen]", "value").len(), 3, "{}", page.text);
    let path = format!("{API}/answers");
    let ids: Vec<String> = all.iter().map(|one| one.id.to_string()).collect();
    let (yes, no) = (json!({ "id": ids[0], "answer": "once" }), "Not b");
    let no = json!({ "id": ids[1], "answer": "denied", "note": no });
    let said = owner.json("POST", &path, &json!({ "answers": [yes, no] })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert_eq!(said.json()["items"][1], json!({ "id": ids[1], "refused": null }));

    // The rest waits on, and the first answer to each counts.
    assert_eq!(asked(&office, run).await.id, all[2].id);
    assert!(office.file(&ada, "a").is_some() && office.file(&ada, "b").is_none());
    let late = json!({ "answers": [{ "id": ids[0], "answer": "denied" }] });
    let late = owner.json("POST", &path, &late).await.json();
    let refused = late["items"][0]["refused"].as_str().expect("a reason").to_owned();
    assert!(refused.contains("answered already"), "{refused}");
    let none = owner.json("POST", &path, &json!({ "answers": [] })).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", none.text);
    let fields = [("answer", "chosen"), ("one", ids[2].as_str()), ("chosen", ids[2].as_str())];
    owner.form("/w/marlow-cargo/approvals", &fields).await;
    let told = results(&office, run).await;
    let went: Vec<bool> = told.iter().map(|(_, ok, _)| *ok).collect();
    assert_eq!(went, [true, false, true], "{told:?}");
    assert!(told[1].2.contains("Not b"), "{told:?}");
    assert!(office.file(&ada, "c").is_some());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_for_the_run_also_counts_for_what_stands_on_the_same_card() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let twice = runs("touch a").and_call("exec", json!({ "command": "touch a" }));
    office.model.push(twice).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch").await;
    let first = asked(&office, run).await;
    let all = office.ws().read(|snap| trust::all_waiting_of(snap, run)).expect("a store");
    assert_eq!(all.len(), 2);
    answer(&office, &first, json!({ "answer": "run", "offer": 0 })).await;
    let told = results(&office, run).await;
    assert!(told.len() == 2 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");
    let second: Approval = office.get(all[1].id);
    assert_eq!(second.answer.map(|one| one.answer), Some(ApprovalAnswer::Withdrawn));
    office.hq.finish().await;
}

/// What a browser is told of the call that waits.
fn pushed(office: &Office) -> Option<Value> {
    let rows: Vec<Recipient> = office.all();
    let asks = |row: &&Recipient| row.kind == NoticeKind::ApprovalRequested;
    let row = rows.iter().rfind(asks).expect("somebody is told");
    let (ws, now) = (office.ws(), office.hq.now());
    ws.read(|snap| push::told(&ws, snap, row, now)).expect("a store")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_from_a_push_message_that_says_nothing_of_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch quokka")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    assert_ne!(approval.risk, Risk::High);
    let told = pushed(&office).expect("a message");
    let body = format!("exec, {}", approval.risk.label().to_lowercase());
    assert_eq!(told["body"], json!(body));
    assert!(!told.to_string().contains("quokka"), "{told}");
    let text = |key: &str| told["answers"][key].as_str().expect("a word").to_owned();
    let (at, key) = (text("at"), text("key"));
    let browser = office.hq.owner().with("hx-request", "true");
    for (word, said) in [("allow", "Allowed once"), ("deny", "answered already")] {
        let fields = [("answer", word), ("how", "once"), ("once", key.as_str())];
        let reply = browser.form(&at, &fields).await;
        let trigger = reply.header("hx-trigger").unwrap_or_default().to_owned();
        assert!(trigger.contains(said), "{word}: {} {trigger} {}", reply.status, reply.text);
    }
    // The same press once more, because its answer was lost.
    let fields = [("answer", "allow"), ("how", "once"), ("once", key.as_str())];
    let again = browser.form(&at, &fields).await;
    assert!(again.header("hx-trigger").unwrap_or_default().contains("Allowed once"));
    office.ended(run).await;
    assert!(office.file(&ada, "quokka").is_some());
    assert_eq!(pushed(&office), None, "nothing waits any more");

    office.model.push(runs("rm -rf quokka")).push(Turn::text("Done."));
    let run = office.say(&ada, "Remove it").await;
    let approval = asked(&office, run).await;
    assert_eq!(approval.risk, Risk::High);
    assert_eq!(pushed(&office).expect("a message")["answers"], Value::Null);
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_words_from_outside_labels_who_reads_it_until_somebody_accepts_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Full).await;
    let (owner, api) = (office.hq.owner(), "/api/v1/agents/ada");
    let heeds = json!({ "autonomous": false });
    let set = owner.json("PUT", &format!("{api}/autonomy"), &heeds).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    let note = json!({ "text": "The quokka is paid first", "lasting": true });
    let reads = || Turn::call("contact_list", json!({}));
    let notes = Turn::call("memory_append", note);
    for turn in [reads(), notes, Turn::text("Done.")] {
        office.model.push(turn);
    }
    let run = office.say(&ada, "Look and note it").await;
    let told = results(&office, run).await;
    assert!(told.len() == 2 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");

    // Another conversation is not told at its start, and carries the label once it has looked.
    let looks = || Turn::call("memory_read", json!({}));
    let done = || Turn::call("work_done", json!({ "summary": "x", "task_state": "complete" }));
    let says = Turn::call("comment_add", json!({ "body": "The quokka was paid" }));
    for turn in [looks(), runs("echo two"), says, done()] {
        office.model.push(turn);
    }
    let task = office.task("Prices", &ada).await;
    let run = office.run_on(task.id).await;
    let approval = asked(&office, run).await;
    assert!(approval.why.contains("memory_read in step 1"), "{}", approval.why);
    let all = office.model.requests();
    let first = all.iter().find(|seen| seen.text().contains("# Run card")).expect("a card");
    assert!(!first.text().contains("quokka") && first.text().contains("waits for a person"));
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let comments: Vec<Comment> = office.all();
    let said = comments.iter().find(|one| one.body.contains("quokka")).expect("a comment");
    let place = Place::Comment(said.id);
    let marked = || office.ws().read(|snap| outside::is_written(snap, &place)).expect("a store");
    assert!(marked());

    // Somebody accepts it.
    let page = owner.get("/w/marlow-cargo/agents/ada/memory").await;
    assert!(page.text.contains("wrote here after it had read words from outside"), "{}", page.text);
    let body = json!({ "path": "MEMORY.md" });
    let accepted = owner.post(&format!("{api}/memory/accept"), &body).await;
    assert_eq!(accepted.status, StatusCode::NO_CONTENT, "{}", accepted.text);
    let again = owner.post(&format!("{api}/memory/accept"), &body).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{}", again.text);
    for turn in [looks(), runs("echo three"), done()] {
        office.model.push(turn);
    }
    let task = office.task("More prices", &ada).await;
    let run = office.run_on(task.id).await;
    let told = results(&office, run).await;
    assert!(told.len() == 3 && told.iter().all(|(_, ok, _)| *ok), "{told:?}");
    assert!(told[0].2.contains("quokka") && !told[0].2.contains("UNTRUSTED"), "{told:?}");

    // And what the other conversation has read is trusted, so what it said is too.
    let name = office.ws().read(|snap| store::ReadExt::get::<Run>(snap, approval.run));
    let name = name.expect("a store").expect("the run").name();
    let lifted = owner.call("DELETE", &format!("/api/v1/runs/{name}/outside")).await;
    assert_eq!(lifted.status, StatusCode::NO_CONTENT, "{}", lifted.text);
    assert!(!marked());
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_auto_the_reviewer_lets_a_plain_call_pass_and_leaves_the_rest_to_people() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.trust(ada.id, TrustMode::Auto).await;
    office.model.push(runs("touch a")).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch it").await;
    let first = asked(&office, run).await;
    answer(&office, &first, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    assert!(office.usage(run).iter().all(|one| one.kind != CallKind::Review), "nobody reviews");

    let (owner, path) = (office.hq.owner(), "/api/v1/policy/reviewer");
    let half = json!({ "connection": null, "model": "mock" });
    let half = owner.json("PUT", path, &half).await;
    assert_eq!(half.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", half.text);
    let chosen = json!({ "connection": office.connection.to_string(), "model": "mock" });
    let set = owner.json("PUT", path, &chosen).await;
    assert_eq!(set.json(), chosen);
    let page = owner.get("/w/marlow-cargo/settings/policy").await;
    assert!(page.text.contains("Save reviewer"), "{}", page.text);
    office.model.push(runs("touch b")).push(Turn::text("yes"));
    office.model.push(runs("touch c")).push(Turn::text("No, it is not plain."));
    office.model.push(runs("touch d && touch e")).push(Turn::text("Done."));
    let run = office.say(&ada, "Touch them").await;
    let second = asked(&office, run).await;
    assert_eq!(second.plan.shown, "touch c");
    assert!(office.file(&ada, "b").is_some());
    let all: Vec<Approval> = office.all();
    let passed = all.iter().find(|one| one.plan.shown == "touch b").expect("it is noted");
    let word = passed.answer.as_ref().map(|answer| answer.answer);
    assert_eq!(word, Some(ApprovalAnswer::Reviewed));
    assert!(passed.spent_at.is_some());
    answer(&office, &second, json!({ "answer": "denied" })).await;
    // Two commands are not shown to it.
    let third = asked(&office, run).await;
    assert_eq!(third.plan.shown, "touch d && touch e");
    answer(&office, &third, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let reviews = office.usage(run).iter().filter(|one| one.kind == CallKind::Review).count();
    assert_eq!(reviews, 2);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_called_by_what_it_would_do() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let request = json!({ "url": "https://mail.example/send", "method": "post", "body": "one" });
    office.model.push(Turn::call("http_request", request)).push(Turn::text("Done."));
    let run = office.say(&ada, "Send it").await;
    let sends = asked(&office, run).await;
    assert_eq!(sends.plan.shown, "POST https://mail.example/send\n\none");
    let review = async || office.hq.owner().get("/w/marlow-cargo/review").await.text;
    assert!(review().await.contains("POST https://mail.example/send"), "{}", review().await);
    answer(&office, &sends, json!({ "answer": "denied" })).await;
    office.ended(run).await;

    let write = json!({ "path": "SOUL.md", "content": "I am bold.\n" });
    office.model.push(Turn::call("write", write)).push(Turn::text("Done."));
    let run = office.say(&ada, "Be bold").await;
    let changes = asked(&office, run).await;
    assert_eq!(changes.plan.line(&changes.tool), "Changes to SOUL.md");
    let page = review().await;
    assert!(page.contains("Changes to SOUL.md") && !page.contains("--- a/SOUL.md"), "{page}");
    answer(&office, &changes, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let past = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(past.text.contains("Changes to SOUL.md"), "{}", past.text);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_asked_for_again_from_its_card() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    office.model.push(runs("touch made")).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Make it").await;
    let first = asked(&office, run).await;
    let path = format!("{API}/{}/again", first.id);
    let early = office.hq.owner().json("POST", &path, &json!({})).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", early.text);
    answer(&office, &first, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    let page = office.hq.owner().get("/w/marlow-cargo/approvals").await;
    assert!(page.text.contains(&format!("approvals/{}/again", first.id)), "{}", page.text);

    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let told = office.hq.owner().json("POST", &path, &json!({})).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    let second = office
        .until("another approval", |snap| {
            Ok(trust::open(snap, 10)?.into_iter().find(|one| one.id != first.id))
        })
        .await;
    assert_eq!(second.digest, first.digest, "the same call");
    let second = asked(&office, second.run).await;
    answer(&office, &second, json!({ "answer": "once" })).await;
    office.ended(second.run).await;
    assert_eq!(office.file(&ada, "made").as_deref(), Some(""));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_counts_for_the_value_that_a_secret_had_alone() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let owner = office.hq.owner();
    let key = json!({ "name": "Mail", "key": "MAIL_KEY", "value": "mail-key-1234", "hosts": ["mail.example"] });
    let made = owner.json("POST", "/api/v1/secrets", &key).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let request = json!({
        "url": "https://mail.example/send", "method": "POST",
        "headers": { "X-Key": "{{secret:MAIL_KEY}}" },
    });
    office.model.push(Turn::call("http_request", request)).push(Turn::text("I leave it."));
    let run = office.say(&ada, "Send it").await;
    let first = asked(&office, run).await;

    let body = json!({ "value": "mail-key-5678" });
    let path = "/api/v1/secrets/MAIL_KEY/value";
    let replaced = owner.json("PUT", path, &body).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    answer(&office, &first, json!({ "answer": "once" })).await;
    let second = office
        .until("another approval", |snap| {
            Ok(trust::waiting_of(snap, run)?.filter(|one| one.id != first.id))
        })
        .await;
    assert!(second.why.contains("has changed since the yes"), "{}", second.why);
    let second = asked(&office, run).await;
    answer(&office, &second, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_become_of_a_call_is_told_and_nothing_is_called() {
    let office = Office::open().await;
    asking(&office).await;
    let owner = office.hq.owner();
    let told = async |call: &str| {
        let told = owner.get(&format!("/api/v1/policy/explain?agent=ada&tool={call}")).await;
        (told.status, told.json())
    };
    assert_eq!(told("exec&command=ls+out").await.1["verdict"], json!("ask"));
    let request = "http_request&host=api.example.com";
    assert_eq!(told(request).await.1["verdict"], json!("allow"), "it only looks");
    assert_eq!(told(&format!("{request}&method=POST")).await.1["verdict"], json!("ask"));
    for wrong in ["no_such_tool", "http_request&command=ls", "exec&host=a.example", "browser"] {
        assert_eq!(told(wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let refuse = json!({ "agent": "ada", "tool": "exec", "leave": "deny", "note": "Not here" });
    let kept = owner.json("POST", "/api/v1/permissions", &refuse).await;
    assert_eq!(kept.status, StatusCode::CREATED, "{}", kept.text);
    let (_, refused) = told("exec&command=ls").await;
    assert_eq!((&refused["verdict"], &refused["rule"]), (&json!("deny"), &kept.json()["id"]));
    assert_eq!(refused["calls"], json!("Every call"));

    let place = "/w/marlow-cargo/agents/ada/behaviour/explain";
    let page = owner.get(&format!("{place}?tool=exec&command=ls")).await;
    assert!(page.text.contains("Refused") && page.text.contains("Not here"), "{}", page.text);
    let wrong = owner.get(&format!("{place}?tool=exec&host=a.example")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert!(wrong.text.contains("are told apart by host"), "{}", wrong.text);
    assert_eq!(owner.get(API).await.json()["items"], json!([]));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_beside_review_counts_what_waits_for_those_who_may_see_it() {
    let office = Office::open().await;
    let ada = asking(&office).await;
    let tom = office.hq.another("Tom", Some(Role::Member)).await;
    let nav = "/w/marlow-cargo/nav";
    let owner = office.hq.owner();
    let empty = owner.get(nav).await;
    assert!(!empty.text.contains("waiting:"), "{}", empty.text);
    office.model.push(runs("touch made")).push(Turn::text("Done."));
    let run = office.say(&ada, "Make it").await;
    let approval = asked(&office, run).await;
    let shown = owner.get(nav).await;
    assert!(
        shown.text.contains("<span class=\"vh\">, waiting: 1 approval</span>"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("hq:approvals from:body"), "the number hears of it");
    let toms = tom.get(nav).await;
    assert!(!toms.text.contains("waiting:"), "a private conversation: {}", toms.text);
    answer(&office, &approval, json!({ "answer": "once" })).await;
    office.ended(run).await;
    let after = owner.get(nav).await;
    assert!(!after.text.contains("waiting:"), "{}", after.text);
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
    let names = features::trust::tools::all().iter().map(|spec| spec.name);
    assert_eq!(names.filter(|name| name.contains("approv")).count(), 0, "no tool answers");

    office.model.push(Turn::text("I leave it."));
    answer(&office, &approval, json!({ "answer": "denied" })).await;
    office.ended(run).await;
    assert_eq!(office.file(&ada, "made"), None);
    office.hq.finish().await;
}
