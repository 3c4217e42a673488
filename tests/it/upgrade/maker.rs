//! Creates a data folder with every kind of record through actions of people, programs and agents. Used to create the
//! fixture of a format, with the last program that writes it.

use std::path::Path;
use std::process::Command;

use crypto::token::{Token, TokenKind};
use features::deliverables::model::Content;
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::files::rules::{self as files, NewFile};
use features::runs::model::Run;
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use features::usage::model::{Reservation, SeenRatio};
use features::users;
use features::users::model::Purpose;
use features::workspace::model::{Invite, InviteSecret, People};
use kernel::{Actor, Cause, Part, TaskId, Verdict};
use serde_json::json;
use store::schema::Kind;
use store::{Range, Read, Record, Store, StoreError};

use support::model::Turn;
use support::office::Office;

/// Creates everything and archives the data folder after a regular stop. Returns the kinds of records that are missing:
/// a fixture needs all.
pub async fn make(archive: &Path) -> Vec<String> {
    let mut office = Office::open().await;
    office.price(1_000_000, 2_000_000).await;
    agent_at_work(&office).await;
    people_at_work(&office).await;
    what_passes_quickly(&office).await;
    let mut missing = without_rows("workspace", &office.ws().store);
    missing.extend(without_rows("system", &office.hq.running().app.system));
    office.hq.stop().await;
    let data = office.hq.data();
    let packed = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--exclude=./lock", "--exclude=./hq.sock"])
        .arg("-czf")
        .arg(archive)
        .arg("-C")
        .arg(&data)
        .arg(".")
        .status();
    assert!(packed.is_ok_and(|status| status.success()), "tar packs the folder");
    missing
}

/// A run with a long result, files, a task that is returned, redone and approved; a conversation.
async fn agent_at_work(office: &Office) {
    let ada = office.agent("Ada").await;
    let long = "Offer A costs 100 a month, offer B 120.\n".repeat(1_000);
    let path = "notes/offers.md";
    let file = json!({ "kind": "file", "title": "Offers", "body": path, "note": "All of them" });
    let text = json!({ "kind": "text", "title": "Offers", "body": "# Offer A is cheaper" });
    let done = || {
        let summary = json!({ "summary": "Compared the offers.", "task_state": "in_review" });
        Turn::call("work_done", summary)
    };
    office.model.push(Turn::call("write", json!({ "path": path, "content": long })));
    office.model.push(Turn::call("read", json!({ "path": path })));
    office.model.push(Turn::call("deliverable_submit", file)).push(done());
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    office.model.push(Turn::call("deliverable_submit", text)).push(done());
    office.review(task.id, Verdict::ChangesRequested, "Say which is cheaper").await;
    office.worked(task.id, 2).await;
    office.review(task.id, Verdict::Approved, "").await;
    office.model.push(Turn::text("The first one."));
    let said = office.say(&ada, "Which one was it?").await;
    office.ended(said).await;
}

/// Tasks, comments, a request with an idempotency key, a deleted task with a file.
async fn people_at_work(office: &Office) {
    let api = office.hq.api().await;
    let keyed = api.clone().with("idempotency-key", "fixture-1");
    let made = keyed.post("/api/v1/tasks", &json!({ "title": "Zoë’s task 🚲" })).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let id: TaskId = made.json()["id"].as_str().expect("an id").parse().expect("an id");
    office.comment(id, "A first word").await;
    attached(office, id).await;
    file_on(office, id, "contract.pdf", b"%PDF-1.4 a contract").await;
    let gone = office.act(|tx| tasks::create(tx, NewTask::titled("Soon deleted"))).await;
    file_on(office, gone.id, "draft.txt", b"a draft that only an image remembers").await;
    office.act(move |tx| tx.delete::<Task>(gone.id)).await;
    // Records the use of its session.
    assert_eq!(office.hq.owner().get("/w/marlow-cargo/tasks").await.status.as_u16(), 200);
}

async fn attached(office: &Office, task: TaskId) {
    let blob = office.ws().blobs.put(b"a picture").expect("a blob");
    let name = "picture.png".to_owned();
    let new = NewFile { name, blob, size: 9, media: "application/octet-stream" };
    office.act(move |tx| files::attach(tx, task, new)).await;
}

async fn file_on(office: &Office, task: TaskId, name: &str, bytes: &[u8]) {
    let blob = office.ws().blobs.put(bytes).expect("a blob");
    let content = Content::File { name: name.to_owned(), blob, size: bytes.len() as u64 };
    let title = format!("The file {name}");
    let new = NewDelivery { task, title, content, note: String::new(), revises: None };
    office.act(move |tx| deliverables::submit(tx, new)).await;
}

/// Short-lived records: a budget reservation, an unused link.
async fn what_passes_quickly(office: &Office) {
    let run = office.all::<Run>().pop().expect("a run").id;
    office.act(move |tx| tx.put(&Reservation { run: Some(run), ..Reservation::sample() })).await;
    a_sample::<SeenRatio>(office).await;
    a_sample::<Invite>(office).await;
    a_sample::<InviteSecret>(office).await;
    a_sample::<People>(office).await;
    let token = Token::issue(TokenKind::Link);
    let owner = office.owner();
    let app = &office.hq.running().app;
    let given = app.system.write(Actor::System(Part::Cli), Cause::Setup, move |tx| {
        users::rules::give_link(tx, &token, Purpose::Reset(owner))
    });
    given.await.expect("a link");
}

async fn a_sample<R: Record + Send>(office: &Office) {
    if office.all::<R>().is_empty() {
        office.act(|tx| tx.put(&R::sample())).await;
    }
}

fn without_rows(which: &str, store: &Store) -> Vec<String> {
    let mut missing = Vec::new();
    for info in store.schema().tables() {
        if !matches!(info.kind, Kind::Record(_)) {
            continue;
        }
        let mut rows = 0;
        let read = store.read(|snap| {
            snap.raw_scan(info.number, &Range::all(), &mut |_, _| {
                rows += 1;
                std::ops::ControlFlow::Continue(())
            })
        });
        read.map_err(|error: StoreError| error.to_string()).expect("a readable store");
        if rows == 0 {
            missing.push(format!("{} in the {which} store", info.name));
        }
    }
    missing
}

/// Unpacks an archive into a folder.
pub fn unpack(archive: &Path, into: &Path) {
    std::fs::create_dir_all(into).expect("a folder");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar unpacks {}", archive.display());
}
