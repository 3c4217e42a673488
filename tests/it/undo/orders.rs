//! Agents' files in an undo, while others undo the undo, runs are ended externally, and more files changed than one
//! record may name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use features::agents::model::Agent;
use features::history::model::{FileRevert, RevertState};
use features::runs::model::{EventKind, Run};
use features::runs::rules as runs;
use git::snapshot::Paths;
use git::{Author, Branch, Entry};
use kernel::{Cause, Outcome, RunId};
use serde_json::json;
use store::Range;
use store::ReadExt as _;

use super::{last_of, ok, preview, undo};
use support::hq::Person;
use support::model::{Gate, Turn};
use support::office::Office;

/// A run that writes one file and ends.
async fn wrote(office: &Office, agent: &Agent, path: &str) -> Run {
    let write = json!({ "path": path, "content": "by the run\n" });
    office.model.push(Turn::call("write", write));
    let done = json!({ "summary": "Done.", "task_state": "complete" });
    office.model.push(Turn::call("work_done", done));
    let task = office.task(path, agent).await;
    let run = office.worked(task.id, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Done), "{:?}", office.results(run.id));
    run
}

fn place(office: &Office, agent: &Agent, path: &str) -> PathBuf {
    office.ws().agent_folder(&agent.slug).join(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_leads_back_to_where_it_was_asked_for_unless_that_page_goes() {
    let office = Office::open().await;
    let (api, owner) = (office.hq.api().await, office.hq.owner());
    let made = ok(api.post("/api/v1/tasks", &json!({ "title": "One" })).await).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let body = json!({ "title": "Two" });
    ok(api.json("PATCH", &format!("/api/v1/tasks/{id}"), &body).await).await;
    let renamed = last_of(&api, "tasks", &id).await;
    let task = format!("/w/marlow-cargo/tasks/{}", made["key"].as_str().expect("a key"));
    let ask = async |seq: u64, task: &str| {
        let from = owner.clone().with("referer", &format!("http://hq.example{task}"));
        let page = from.get(&format!("/w/marlow-cargo/undo?entry={seq}")).await;
        let basis = page.attr("form.confirm-bar input[name=basis]", "value");
        let hidden = page.text.contains(&format!("name=\"from\" value=\"{task}\""));
        (seq.to_string(), basis, hidden)
    };
    let send = async |(seq, basis, _): &(String, String, bool), from: &str| {
        let typed = [("entry", seq.as_str()), ("basis", basis.as_str()), ("from", from)];
        let done = owner.form("/w/marlow-cargo/undo", &typed).await;
        done.location().unwrap_or_else(|| panic!("{}", done.text)).to_owned()
    };
    let asked = ask(renamed, &task).await;
    assert!(asked.2, "the preview keeps where it was opened");
    assert_eq!(send(&asked, &task).await, task);
    // The other task is unchanged, so that it is removed.
    let made = ok(api.post("/api/v1/tasks", &json!({ "title": "Three" })).await).await;
    let created = last_of(&api, "tasks", made["id"].as_str().expect("an id")).await;
    let other = format!("/w/marlow-cargo/tasks/{}", made["key"].as_str().expect("a key"));
    let asked = ask(created, &other).await;
    assert!(!asked.2, "the page of the task goes with it");
    let elsewhere = send(&asked, "//elsewhere.example/").await;
    assert!(elsewhere.starts_with("/w/marlow-cargo/history/entry/"), "{elsewhere}");
    office.hq.finish().await;
}

/// Undoes a run or an entry; returns the entry of the undo.
async fn undone(api: &Person, body: serde_json::Value) -> u64 {
    let done = ok(api.post("/api/v1/undo", &body).await).await;
    done["entry"].as_u64().expect("an entry")
}

fn orders(office: &Office, run: RunId) -> Vec<FileRevert> {
    let mut all = office.all::<FileRevert>();
    all.retain(|order| order.run == run);
    all
}

/// Waits until all orders meet the condition.
async fn all_are(office: &Office, what: &str, is: impl Fn(&FileRevert) -> bool) {
    office
        .until(what, |snap| {
            let all: Vec<FileRevert> = snap.list(&Range::all())?;
            Ok(all.iter().all(&is).then_some(()))
        })
        .await;
}

async fn settled(office: &Office) {
    all_are(office, "files to go back", |order| !order.is_open()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_is_undone_while_its_files_go_back_has_them_brought_back_afterwards() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let run = wrote(&office, &ada, "one.md").await;
    // The file is locked, so that the order is begun and waits.
    let held = office.ws().paths.hold(&place(&office, &ada, "one.md")).await;
    let first = undone(&api, json!({ "run": run.name() })).await;
    all_are(&office, "an order that was begun", |order| order.state == RevertState::Begun).await;
    let second = undone(&api, json!({ "entry": first })).await;
    let [away, back] = &orders(&office, run.id)[..] else { panic!("two orders") };
    assert_eq!((back.of, back.returns), (Some(away.id), true));
    drop(held);
    settled(&office).await;
    assert!(orders(&office, run.id).iter().all(|order| order.state == RevertState::Done));
    assert_eq!(office.file(&ada, "one.md").as_deref(), Some("by the run\n"));

    // Undone again: the file is removed, and the run has nothing left to undo.
    undone(&api, json!({ "entry": second })).await;
    settled(&office).await;
    assert_eq!(office.file(&ada, "one.md"), None);
    let seen = api.post("/api/v1/undo/preview", &json!({ "run": run.name() })).await.json();
    assert_eq!((&seen["files"], &seen["back"]), (&json!([]), &json!([])), "{seen}");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_not_begun_is_withdrawn_and_given_again() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let (one, two) = (wrote(&office, &ada, "one.md").await, wrote(&office, &ada, "two.md").await);
    let held = office.ws().paths.hold(&place(&office, &ada, "one.md")).await;
    undone(&api, json!({ "run": one.name() })).await;
    all_are(&office, "an order that was begun", |order| order.state == RevertState::Begun).await;
    let away = undone(&api, json!({ "run": two.name() })).await;
    let state = |office: &Office| orders(office, two.id).last().map(|order| order.state.clone());
    assert_eq!(state(&office), Some(RevertState::Queued));
    let back = undone(&api, json!({ "entry": away })).await;
    assert_eq!(state(&office), Some(RevertState::Cancelled));
    let seen = preview(&api, back).await;
    assert_eq!(seen["back"].as_array().map(Vec::len), Some(1), "the task: {seen}");
    undone(&api, json!({ "entry": back })).await;
    assert_eq!(state(&office), Some(RevertState::Queued));
    drop(held);
    settled(&office).await;
    let states: Vec<_> = orders(&office, two.id).into_iter().map(|order| order.state).collect();
    assert_eq!(states, [RevertState::Cancelled, RevertState::Done]);
    assert_eq!((office.file(&ada, "one.md"), office.file(&ada, "two.md")), (None, None));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_run_that_was_ended_from_outside_go_back_too() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let gate = Gate::new();
    let write = json!({ "path": "half.md", "content": "half\n" });
    office.model.push(Turn::call("write", write));
    office.model.push(Turn::text("Thinking.").behind(&gate));
    let task = office.task("Half", &ada).await;
    gate.reached().await;
    let run = office.run_on(task.id).await;
    let outcome = Outcome::Failed { code: "agent".into(), reason: "it did not answer".into() };
    office.act(move |tx| runs::force_end(tx, run, outcome, "")).await;
    let run: Run = office.get(run);
    let events = office.events(run.id);
    assert!(!events.iter().any(|kind| matches!(kind, EventKind::Committed { .. })));
    let seen = api.post("/api/v1/undo/preview", &json!({ "run": run.name() })).await.json();
    assert_eq!(seen["files"], json!(["half.md"]), "{seen}");
    let entry = undone(&api, json!({ "run": run.name() })).await;
    settled(&office).await;
    let order = orders(&office, run.id).pop().expect("an order");
    assert_eq!(
        (&order.state, &order.restored[..]),
        (&RevertState::Done, &["half.md".to_owned()][..])
    );
    assert_eq!(office.file(&ada, "half.md"), None);
    ok(undo(&api, entry).await).await;
    settled(&office).await;
    assert_eq!(office.file(&ada, "half.md").as_deref(), Some("half\n"));
    gate.open();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_files_than_a_record_may_name_go_back_in_slices_and_come_back() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let run = wrote(&office, &ada, "one.md").await;
    // As if a program of the run had created them.
    let folder = office.ws().agent_folder(&ada.slug);
    std::fs::create_dir(folder.join("many")).unwrap();
    let name = |n: usize| format!("many/{n:04}-{}.txt", "x".repeat(180));
    for n in 0..1_500 {
        std::fs::write(folder.join(name(n)), "made\n").unwrap();
    }
    let author = Author::new("Ada", "ada@agents.hq");
    let entry = Entry { author: &author, message: "Many\n\nRun: none", time: office.hq.now() };
    let branch = Branch::agent("ada").unwrap();
    let ws = office.ws();
    let all = Paths::AllBut(&|| Ok(BTreeSet::new()));
    let made = ws.repo().unwrap().commit_paths(&branch, &folder, all, &entry).unwrap();
    let commit = made.commit.expect("a commit").to_string();
    office.act(move |tx| note_commit(tx, run.id, commit)).await;

    let entry = undone(&api, json!({ "run": run.name() })).await;
    settled(&office).await;
    let all = orders(&office, run.id);
    assert!(5 <= all.len(), "{} slices", all.len());
    assert!(all.iter().all(|order| order.state == RevertState::Done && order.kept.is_empty()));
    assert_eq!(all.iter().map(|order| order.restored.len()).sum::<usize>(), 1_501);
    assert!(!folder.join(name(7)).exists() && !folder.join("one.md").exists());
    // No later run was blocked, and all files can be restored.
    let next = wrote(&office, &ada, "next.md").await;
    undone(&api, json!({ "run": next.name() })).await;
    undone(&api, json!({ "entry": entry })).await;
    settled(&office).await;
    assert!(!folder.join("next.md").exists());
    assert_eq!(std::fs::read_to_string(folder.join(name(1_499))).unwrap(), "made\n");
    assert_eq!(office.file(&ada, "one.md").as_deref(), Some("by the run\n"));
    office.hq.finish().await;
}

/// Adds a commit to the notes of a run.
fn note_commit(
    tx: &mut store::WriteTx<'_>,
    run: RunId,
    commit: String,
) -> Result<(), store::StoreError> {
    use features::runs::model::SessionEvent;
    let run = tx.get::<Run>(run)?.expect("the run");
    let mut events = features::runs::queries::events_of_run(tx, &run, usize::MAX)?;
    let last = events.pop().expect("events");
    let kind = EventKind::Committed { commit, files: 1_500 };
    tx.put(&SessionEvent { n: last.n + 1, kind, ..last })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_a_crash_cut_in_half_is_completed() {
    let office = Office::open().await;
    let api = office.hq.api().await;
    let ada = office.agent("Ada").await;
    let (one, two) = (wrote(&office, &ada, "one.md").await, wrote(&office, &ada, "two.md").await);
    undone(&api, json!({ "run": one.name() })).await;
    settled(&office).await;
    let done = orders(&office, one.id).pop().expect("an order");
    // The state after a crash that followed the commit, with another commit since.
    let begun = FileRevert {
        state: RevertState::Begun,
        commit: None,
        restored: Vec::new(),
        ended_at: None,
        ..done.clone()
    };
    let written = office.ws().write(&(done.by, Cause::Undo(1)), move |tx| tx.put(&begun)).await;
    written.unwrap_or_else(|error: store::StoreError| panic!("{error}"));
    settled(&office).await;
    let again = orders(&office, one.id).pop().expect("an order");
    assert_eq!(
        (again.state, again.commit, again.restored),
        (done.state.clone(), done.commit.clone(), done.restored.clone())
    );
    assert_eq!(office.file(&ada, "two.md").as_deref(), Some("by the run\n"));
    // An order whose undo was undone cannot be retried.
    let failed =
        FileRevert { state: RevertState::Failed("no room".into()), of: None, ..done.clone() };
    let later = FileRevert {
        id: kernel::TypedId::from_bytes([250; 16]),
        of: Some(done.id),
        ..done.clone()
    };
    let written = office
        .ws()
        .write(&(done.by, Cause::Undo(1)), move |tx| {
            tx.put(&failed)?;
            tx.put(&later)
        })
        .await;
    written.unwrap_or_else(|error: store::StoreError| panic!("{error}"));
    let mira = office.hq.owner();
    let path = format!("/w/marlow-cargo/undo/files/{}", done.id);
    let refused = mira.form(&path, &[]).await;
    assert_eq!(refused.status.as_u16(), 409, "{}", refused.text);
    assert_eq!(two.agent, ada.id);
    office.hq.finish().await;
}
