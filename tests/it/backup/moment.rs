//! Restore to a moment between two backups: tracked records have exactly their values of that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup::{Manifest, Meter, Repository, make};
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::rules::{self as tasks, NewTask, TaskPatch};
use git::history::{At, LogQuery};
use git::{AgentsRepo, Branch};
use kernel::{Actor, Cause, Part, Timestamp, Verdict};
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Restored, Which, restore};
use server::schema;
use store::consumer;
use store::{Class, Range, Read as _, ReadExt as _, Store, StoreError, WriteTx, keep};

use super::{back_up, repository, source};
use crate::store::{check, opened};
use support::hq::{Person, TestHq};
use support::model::Turn;
use support::office::Office;

type Rows = BTreeMap<(&'static str, Vec<u8>), String>;

/// Every tracked row of a store as JSON.
fn tracked(store: &Store) -> Rows {
    let mut rows = Rows::new();
    let read = store.read(|snap| {
        for info in store.schema().tables() {
            let (Some(Class::Tracked), Some(ops)) = (info.class(), &info.ops) else { continue };
            snap.raw_scan(info.number, &Range::all(), &mut |key, row| {
                let json = (ops.json)(row).expect("a row").to_string();
                rows.insert((info.name, key.to_vec()), json);
                ControlFlow::Continue(())
            })?;
        }
        Ok::<_, StoreError>(())
    });
    read.expect("rows");
    rows
}

/// The response stored for a key, or `fresh` if there is none.
fn answer(tx: &mut WriteTx<'_>, key: &str, fresh: u32) -> Result<u32, StoreError> {
    tx.once("tests", key, [7; 32], |_| Ok(fresh))
}

fn back_to(repo: &Repository, at: Timestamp, into: &Path) -> Result<Restored, String> {
    let wish = RestoreRequest {
        data: into.to_owned(),
        backup: Which::At(at),
        workspace: None,
        mode: Mode::IntoEmpty,
        key_file: into.join("master.key"),
    };
    let restored = tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default()));
    restored.map_err(|error| error.to_string())
}

/// Work of every kind, by people and an agent.
async fn work(office: &Office, name: &str) {
    let ada = office.agent(name).await;
    let text = json!({ "kind": "text", "title": "Offers", "body": format!("# By {name}") });
    let done = json!({ "summary": "Compared the offers.", "task_state": "in_review" });
    office.model.push(Turn::call("deliverable_submit", text)).push(Turn::call("work_done", done));
    let task = office.task(&format!("Compare offers with {name}"), &ada).await;
    office.worked(task.id, 1).await;
    office.review(task.id, Verdict::Approved, "Good").await;
    office.comment(task.id, "A word").await;
    let gone = office.act(|tx| tasks::create(tx, NewTask::titled("Soon deleted"))).await;
    office.comment(gone.id, "A word on it").await;
    let id = gone.id;
    office.act(move |tx| tx.delete::<Task>(id)).await;
    office.hq.settle().await;
}

async fn many(office: &Office, count: usize) {
    for piece in 0..count.div_ceil(250) {
        office
            .act(move |tx| {
                for n in 0..250 {
                    tasks::create(tx, NewTask::titled(format!("Load {piece} {n}")))?;
                }
                Ok::<_, TaskError>(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracked_records_are_exactly_what_they_were_at_a_moment_between_two_backups() {
    let office = Office::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(&folder.path().join("backups"), None);
    back_up(&office.hq, &repo);
    work(&office, "Ada").await;
    let titles = office.all::<Task>();
    let (kept, deleted) =
        (titles[0].id, office.act(|tx| tasks::create(tx, NewTask::titled("Here"))).await.id);
    assert_eq!(office.act(|tx| answer(tx, "early", 1)).await, 1);
    office.hq.advance(Duration::from_secs(60)).await;
    office.hq.settle().await;
    let system = office.hq.running().app.system.clone();
    let (then, accounts) = (tracked(&office.ws().store), tracked(&system));
    let moment = office.hq.now();
    office.hq.advance(Duration::from_secs(60)).await;

    // Later activity: changes, deletions, a second agent with runs, more than one slice.
    work(&office, "Bob").await;
    let patch = TaskPatch { title: Some("Renamed".to_owned()), ..TaskPatch::default() };
    office.act(move |tx| tasks::update(tx, kept, patch)).await;
    office.act(move |tx| tx.delete::<Task>(deleted)).await;
    many(&office, 4_000).await;
    assert_eq!(office.act(|tx| answer(tx, "late", 1)).await, 1);
    office.hq.api().await;
    office.hq.settle().await;
    let later = tracked(&office.ws().store);
    assert_ne!(then, later);
    assert!(accounts.len() < tracked(&system).len(), "a token is new");
    office.hq.advance(Duration::from_secs(60)).await;
    back_up(&office.hq, &repo);
    drop(system);

    let into = folder.path().join("then");
    let restored = back_to(&repo, moment, &into).expect("restored");
    assert_eq!(restored.moment, Some(moment));
    let notes = restored.notes.join("\n");
    assert!(notes.contains("entries reverted"), "{notes}");
    assert!(notes.contains("restored the files of "), "{notes}");
    let store = opened(&into.join("workspaces/marlow-cargo/hq.redb"), schema::workspace());
    let now = tracked(&store);
    for (key, row) in &then {
        assert_eq!(now.get(key), Some(row), "{}: {notes}", key.0);
    }
    let more: Vec<_> = now.keys().filter(|key| !then.contains_key(*key)).map(|key| key.0).collect();
    assert_eq!(more, Vec::<&str>::new(), "{notes}");
    check::all_fits(&store);
    for number in 1..1_000 {
        let state = store.read(|snap| consumer::state(snap, number)).expect("a state");
        assert_ne!(state.incarnation, store.incarnation(), "consumer {number} begins anew");
    }
    // Requests of that time are not repeated; reverted ones run again.
    let again = |key: &'static str| {
        let (by, cause) = (Actor::System(Part::Timer), Cause::Timer);
        let asked = move |tx: &mut WriteTx<'_>| answer(tx, key, 2);
        tokio::task::block_in_place(|| store.write_blocking(by, cause, asked))
    };
    assert_eq!(again("early").expect("an answer"), 1);
    assert_eq!(again("late").expect("an answer"), 2);
    store.close();
    let store = opened(&into.join("system.redb"), schema::system());
    assert_eq!(tracked(&store), accounts);
    check::all_fits(&store);
    store.close();
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_whose_images_are_gone_is_refused_with_the_backups_near_it() {
    let office = Office::open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(&folder.path().join("backups"), None);
    let task = office.act(|tx| tasks::create(tx, NewTask::titled("One"))).await;
    let first = back_up(&office.hq, &repo);
    office.hq.advance(Duration::from_secs(60)).await;
    let moment = office.hq.now();
    office.hq.advance(Duration::from_secs(60)).await;
    let patch = TaskPatch { title: Some("Two".to_owned()), ..TaskPatch::default() };
    let id = task.id;
    office.act(move |tx| tasks::update(tx, id, patch)).await;
    let store = office.ws().store.clone();
    let head = store.head().seq;
    let dropped = keep::drop_until(&store, Actor::System(Part::Timer), head).await;
    assert!(dropped.expect("images go") > 0);
    let second = back_up(&office.hq, &repo);
    let into = folder.path().join("then");
    let refused = back_to(&repo, moment, &into).expect_err("it is not kept");
    for words in ["no longer stored", first.id.as_str(), second.id.as_str(), "--at"] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let left: Vec<_> = std::fs::read_dir(&into).expect("a folder").flatten().collect();
    assert!(left.iter().all(|one| one.file_name() == "lock"), "{left:?}");
    // The moments of the backups themselves are available; before the first one there is nothing.
    back_to(&repo, first.taken_at, &into).expect("exactly then");
    let late = back_to(
        &repo,
        office.hq.now() + jiff::SignedDuration::from_hours(1),
        &folder.path().join("late"),
    );
    let late = late.expect_err("no backup is that new");
    assert!(late.contains("there is no backup from") && late.contains(&second.id), "{late}");
    office.hq.finish().await;
}

/// Preview of a restore to a moment.
fn looked(repo: &Repository, at: Timestamp, data: &Path, workspace: Option<&str>) -> Restored {
    let wish = RestoreRequest {
        data: data.to_owned(),
        backup: Which::At(at),
        workspace: workspace.map(str::to_owned),
        mode: Mode::DryRun,
        key_file: data.join("master.key"),
    };
    let looked = tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default()));
    looked.expect("it could be restored")
}

/// Names of the chunks of parts.
fn pieces<'p>(parts: impl Iterator<Item = &'p backup::Part>) -> BTreeSet<String> {
    parts.flat_map(|part| part.all_chunks()).map(|piece| piece.0.clone()).collect()
}

/// Path of a chunk that only backup `n` uses, in its first workspace.
fn own_piece(place: &Path, all: &[Manifest], n: usize) -> PathBuf {
    let others = all.iter().filter(|one| one.id != all[n].id);
    let others: BTreeSet<String> = others.flat_map(|one| pieces(one.parts.iter())).collect();
    let own = pieces(all[n].parts_of(Some("marlow-cargo")));
    let name = own.difference(&others).next().expect("it has one");
    place.join("chunks").join(&name[..2]).join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_is_reached_from_the_first_backup_that_holds_what_is_asked_for_and_is_whole() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let made = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let folder = tempfile::tempdir().expect("a folder");
    let (place, into) = (folder.path().join("backups"), folder.path().join("then"));
    let repo = repository(&place, None);
    hq.advance(Duration::from_secs(60)).await;
    let moment = hq.now();
    let mut all = Vec::new();
    for n in 0..4 {
        hq.advance(Duration::from_secs(60)).await;
        let task = api.post("/api/v1/tasks", &json!({ "title": format!("Later {n}") })).await;
        assert_eq!(task.status, 201, "{}", task.text);
        let mut from = source(&hq);
        // The first one lacks a workspace.
        from.workspaces.retain(|ws| 0 < n || ws.slug != "northwind");
        all.push(make(&repo, &from, &Meter::default()).expect("a backup"));
    }
    assert_eq!(all[0].missing, ["northwind"]);
    assert!(all[1..].iter().all(Manifest::is_complete));
    // The second one lacks a chunk, and in the third one a byte is wrong.
    fs::remove_file(own_piece(&place, &all, 1)).expect("a piece");
    let damaged = own_piece(&place, &all, 2);
    let mut bytes = fs::read(&damaged).expect("a piece");
    bytes[40] ^= 1;
    fs::write(&damaged, bytes).expect("a piece");

    // A single workspace comes from the first backup that has it: what others lack is irrelevant.
    let first = looked(&repo, moment, &into, Some("marlow-cargo"));
    assert_eq!((first.backup, first.notes), (all[0].id.clone(), Vec::new()));
    let north = looked(&repo, moment, &into, Some("northwind"));
    assert_eq!((&north.backup, north.moment), (&all[1].id, Some(moment)));
    let notes = north.notes.join("\n");
    assert!(notes.contains(&all[0].id) && notes.contains("it lacks northwind"), "{notes}");

    // The whole HQ comes from the fourth, once a check has found the damage of the third; then at once.
    for _ in 0..2 {
        let whole = looked(&repo, moment, &into, None);
        assert_eq!((&whole.backup, whole.moment), (&all[3].id, Some(moment)));
        let notes = whole.notes.join("\n");
        for one in &all[..3] {
            let words = format!("the backup {} is closer to that time", one.id);
            assert!(notes.contains(&words), "{words}: {notes}");
        }
        assert!(notes.contains("some of its parts are missing"), "{notes}");
    }
    let restored = back_to(&repo, moment, &into).expect("restored");
    assert_eq!((restored.backup, restored.moment), (all[3].id.clone(), Some(moment)));
    assert_eq!(restored.workspaces, ["marlow-cargo", "northwind"]);
    let store = opened(&into.join("workspaces/marlow-cargo/hq.redb"), schema::workspace());
    let left = store.read(|snap| snap.list::<Task>(&Range::all())).expect("rows");
    assert_eq!(left, Vec::<Task>::new(), "they are younger than the moment");
    store.close();
    hq.finish().await;
}

/// Changes the memory of an agent, as a person does.
async fn remember(api: &Person, slug: &str, text: &str) {
    let url = format!("/api/v1/agents/{slug}/memory/note");
    let note = api.get(&format!("{url}?path=MEMORY.md")).await.json();
    let body = json!({ "path": "MEMORY.md", "text": text, "hash": note["hash"] });
    let done = api.json("PUT", &url, &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
}

/// Memory of an agent in a data folder.
fn remembered(data: &Path, slug: &str) -> String {
    let file = format!("workspaces/marlow-cargo/agents/{slug}/files/MEMORY.md");
    fs::read_to_string(data.join(file)).expect("a file")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_files_go_back_to_the_moment_and_later_versions_stay_in_their_history() {
    let office = Office::open().await;
    let (folder, api) = (tempfile::tempdir().expect("a folder"), office.hq.api().await);
    let repo = repository(&folder.path().join("backups"), None);
    for name in ["Ada", "Cleo"] {
        office.agent(name).await;
    }
    remember(&api, "ada", "Mira likes tea\n").await;
    office.hq.advance(Duration::from_secs(60)).await;
    let moment = office.hq.now();
    office.hq.advance(Duration::from_secs(60)).await;
    remember(&api, "ada", "Mira likes coffee\n").await;
    let draft = office.ws().agent_folder("ada").join("draft.md");
    fs::write(draft, "in no commit yet").expect("a file");
    office.agent("Bob").await;
    office.hq.advance(Duration::from_secs(60)).await;
    back_up(&office.hq, &repo);

    let into = folder.path().join("then");
    let restored = back_to(&repo, moment, &into).expect("restored");
    let told = serde_json::to_value(&restored).expect("JSON");
    assert_eq!(told["agents_put_back"], 1, "{told}");
    let notes = restored.notes.join("\n");
    assert!(notes.contains("restored the files of 1 of 2 agents"), "{notes}");
    let workspace = into.join("workspaces/marlow-cargo");
    assert_eq!(remembered(&into, "ada"), "Mira likes tea\n");
    assert!(!workspace.join("agents/ada/files/draft.md").exists());
    // An agent created later is not listed, and its folder does no harm.
    assert!(workspace.join("agents/bob/files/SOUL.md").is_file());

    let git = AgentsRepo::open_or_init(&workspace.join("agents.git")).expect("a repository");
    let log = |slug| {
        let branch = Branch::agent(slug).expect("a branch");
        git.log(&branch, &LogQuery { limit: 3, ..LogQuery::default() }).expect("a history")
    };
    let ada = log("ada");
    let subjects: Vec<_> = ada.iter().filter_map(|one| one.message.lines().next()).collect();
    let back = format!("Restore the files of {moment}");
    let keep = format!("Keep what was not committed before the restore to {moment}");
    assert_eq!(subjects, [&*back, &*keep, "memory: Change MEMORY.md manually"]);
    let kept = |path| git.read_file(&At::Commit(ada[1].id), path).expect("a commit");
    assert_eq!(kept("MEMORY.md").expect("a file").bytes, b"Mira likes coffee\n");
    assert_eq!(kept("draft.md").expect("a file").bytes, b"in no commit yet");
    assert!(!log("cleo")[0].message.contains("Restore"), "it is as it was");
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_history_of_files_is_told_and_keeps_nothing_else_from_going_back() {
    let office = Office::open().await;
    let (folder, api) = (tempfile::tempdir().expect("a folder"), office.hq.api().await);
    let repo = repository(&folder.path().join("backups"), None);
    for slug in ["ada", "cleo"] {
        office.agent(slug).await;
        remember(&api, slug, &format!("{slug}: tea\n")).await;
    }
    let ws = office.ws();
    let then = At::Branch(Branch::agent("ada").expect("a branch"));
    let files = ws.repo().expect("a repository").tree(&then).expect("files");
    let tea = files.iter().find(|file| file.path == "MEMORY.md").expect("a file");
    let (shelf, name) = tea.content.split_at(2);
    let tea = ws.folder.join("agents.git/objects").join(shelf).join(name);
    office.hq.advance(Duration::from_secs(60)).await;
    let moment = office.hq.now();
    office.hq.advance(Duration::from_secs(60)).await;
    for slug in ["ada", "cleo"] {
        remember(&api, slug, &format!("{slug}: coffee\n")).await;
    }
    fs::remove_file(tea).expect("the object");
    back_up(&office.hq, &repo);

    let into = folder.path().join("then");
    let restored = back_to(&repo, moment, &into).expect("restored");
    assert_eq!(restored.agents_put_back, 1);
    let stays = format!("the files of ada stay as they were at {}", restored.taken_at);
    let notes = restored.notes.join("\n");
    assert!(notes.contains(&stays) && notes.contains("damaged"), "{notes}");
    assert_eq!(remembered(&into, "ada"), "ada: coffee\n");
    assert_eq!(remembered(&into, "cleo"), "cleo: tea\n");
    office.hq.finish().await;
}
