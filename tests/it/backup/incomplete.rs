//! A workspace that cannot be backed up: the backup is kept and reported as incomplete, replaces no complete one, and
//! removes nothing when restored.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use backup::{Meter, Repository, make};
use features::backups::job::{self, BackupRequest};
use features::backups::model::{BackupRun, Deed, INCOMPLETE, Outcome};
use features::users::queries as users;
use serde_json::{Value, json};
use server::restore::{Mode, RestoreRequest, Restored, Which, restore};

use super::page::{PAGE, settings};
use super::{repository, source};
use support::hq::TestHq;

async fn backup(hq: &TestHq) -> BackupRun {
    let app = hq.running().app.clone();
    job::run(&app, BackupRequest::commanded(Deed::Backup)).await.expect("a backup that is there")
}

fn put_back(hq: &TestHq, repo: &Repository, backup: Which, mode: Mode) -> Restored {
    let wish = RestoreRequest {
        data: hq.data(),
        backup,
        workspace: None,
        mode,
        key_file: hq.data().join("master.key"),
    };
    tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default())).expect("restored")
}

fn listed(hq: &TestHq) -> BTreeSet<String> {
    let rows = hq.running().app.system.read(|snap| users::workspaces(snap)).expect("rows");
    rows.into_iter().map(|row| row.slug).collect()
}

/// An HQ with a second workspace, whose store is damaged after its only complete backup; returns that backup's id.
async fn damaged(hq: &mut TestHq) -> String {
    let api = hq.api().await;
    let made = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    settings(&api, |body| {
        body["schedule"] = "off".into();
        (body["daily"], body["weekly"], body["monthly"]) = (1.into(), 0.into(), 0.into());
    })
    .await;
    let complete = backup(hq).await;
    assert_eq!((complete.outcome, complete.code.clone()), (Outcome::Done, None), "{complete:?}");
    hq.stop().await;
    damage(&hq.data());
    hq.start_again().await;
    complete.backup.expect("its name")
}

fn damage(data: &Path) {
    let store = data.join("workspaces/northwind/hq.redb");
    let mut bytes = fs::read(&store).expect("a store");
    bytes[..64].fill(0);
    fs::write(&store, bytes).expect("a store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_without_a_workspace_is_kept_told_as_incomplete_and_takes_no_ones_place() {
    let mut hq = TestHq::start().await;
    let complete = damaged(&mut hq).await;
    let partial = backup(&hq).await;
    assert_eq!((partial.outcome, partial.code.as_deref()), (Outcome::Failed, Some(INCOMPLETE)));
    let note = partial.note.clone().unwrap_or_default();
    assert!(note.contains("without northwind"), "{note}");
    let id = partial.backup.clone().expect("it is there");
    let told = hq.owner().get("/api/v1/notifications").await;
    assert!(told.text.contains("Backup is incomplete"), "{}", told.text);

    // Nobody can be identified as administrator of all workspaces meanwhile; the page is the same for one who can.
    hq.running().app.broken.write().clear();
    let (owner, api) = (hq.owner(), hq.owner().with("x-hq-workspace", "marlow-cargo"));
    let list = api.get("/api/v1/backups").await.json();
    let missing = |list: &Value, id: &str| {
        let items = list["items"].as_array().expect("a list");
        let one = items.iter().find(|one| one["id"] == id).expect("it is on the list");
        (one["missing"].clone(), one["fault"].clone())
    };
    assert_eq!(missing(&list, &id), (json!(["northwind"]), Value::Null), "{list}");
    assert_eq!(missing(&list, &complete), (json!([]), Value::Null), "{list}");
    assert_eq!(list["trouble"]["code"], INCOMPLETE);
    assert_eq!(list["trouble"]["backup"], id.as_str());
    let page = owner.get(PAGE).await.text;
    assert!(page.contains("Backup is incomplete") && page.contains("without northwind"), "{page}");
    // All its contents verify, and it is still incomplete. A prefix of its id suffices.
    let check = BackupRequest {
        backup: Some(id[..id.len() - 2].to_owned()),
        ..BackupRequest::commanded(Deed::Verify)
    };
    let checked = job::run(&hq.running().app.clone(), check).await.expect("it is right");
    assert_eq!(checked.backup.as_ref(), Some(&id));
    let list = api.get("/api/v1/backups").await.json();
    assert_eq!(missing(&list, &id).0, json!(["northwind"]), "{list}");

    // The last complete backup stays however many incomplete ones follow, and a drill uses it.
    for _ in 0..2 {
        hq.advance(Duration::from_secs(3 * 86_400)).await;
        assert!(backup(&hq).await.is_incomplete());
    }
    let repo = repository(&hq.data().join("backups/local"), None);
    let ids = repo.ids().expect("a list");
    assert!(ids.contains(&complete) && !ids.contains(&id), "{ids:?}");
    assert_eq!(repo.newest_complete(None).expect("one").id, complete);
    let drill = job::run(&hq.running().app.clone(), BackupRequest::commanded(Deed::Drill)).await;
    assert_eq!(drill.expect("it can be restored").backup, Some(complete));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_takes_the_newest_complete_one_and_leaves_alone_what_a_backup_lacks() {
    let mut hq = TestHq::start().await;
    let complete = damaged(&mut hq).await;
    let partial = backup(&hq).await.backup.expect("it is there");
    let repo = repository(&hq.data().join("backups/local"), None);
    hq.stop().await;
    let looked = put_back(&hq, &repo, Which::Newest, Mode::DryRun);
    assert_eq!(looked.backup, complete);
    let told = looked.notes.join("\n");
    assert!(told.contains(&partial) && told.contains("which lacks northwind"), "{told}");

    // The incomplete backup by its id: what it lacks stays unchanged in the folder.
    let store = hq.data().join("workspaces/northwind/hq.redb");
    let before = fs::read(&store).expect("the damaged one");
    let restored = put_back(&hq, &repo, Which::Id(partial.clone()), Mode::Restore);
    assert_eq!(restored.stay, ["northwind"]);
    assert_eq!(restored.workspaces, ["marlow-cargo"]);
    let told = restored.notes.join("\n");
    assert!(told.contains("northwind is unchanged"), "{told}");
    assert!(told.contains("is incomplete: northwind couldn't be backed up"), "{told}");
    assert!(!told.contains("removed from the list"), "{told}");
    assert_eq!(fs::read(&store).expect("it is there"), before);
    let kept = restored.kept.expect("what was there");
    assert!(kept.join("system.redb").is_file() && kept.join("workspaces/marlow-cargo").is_dir());
    assert!(!kept.join("workspaces/northwind").exists());
    hq.start_again().await;
    assert!(listed(&hq).contains("northwind"), "it is on the list");
    hq.stop().await;

    // Only what the backup holds, if requested explicitly.
    let exactly = put_back(&hq, &repo, Which::Id(partial), Mode::Exactly);
    assert_eq!(exactly.stay, Vec::<String>::new());
    assert!(!store.exists());
    assert!(exactly.kept.expect("what was there").join("workspaces/northwind/hq.redb").is_file());

    // And everything again.
    let whole = put_back(&hq, &repo, Which::Newest, Mode::Restore);
    assert_eq!(whole.backup, complete);
    hq.start_again().await;
    assert!(hq.running().app.workspace("northwind").is_some(), "it can be opened");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_younger_than_the_backup_stays_on_the_list() {
    let mut hq = TestHq::start().await;
    backup(&hq).await;
    let repo = repository(&hq.data().join("backups/local"), None);
    let made = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Harbour" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    hq.stop().await;
    let restored = put_back(&hq, &repo, Which::Newest, Mode::Restore);
    assert_eq!(restored.stay, ["harbour"]);
    hq.start_again().await;
    assert!(listed(&hq).contains("harbour"));
    assert!(hq.running().app.workspace("harbour").is_some(), "it can be opened");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_a_backup_is_made_is_not_missing_in_it() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let from = source(&hq);
    let made = hq.owner().post("/api/v1/workspaces", &json!({ "name": "Harbour" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let backup = make(&repo, &from, &Meter::default()).expect("a backup");
    assert!(listed(&hq).contains("harbour") && !backup.workspaces.contains(&"harbour".to_owned()));
    assert!(backup.is_complete(), "{:?}", backup.missing);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_no_workspace_while_there_are_some_is_none() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let mut from = source(&hq);
    from.workspaces.clear();
    let error = make(&repo, &from, &Meter::default()).expect_err("it would hold nothing");
    assert!(error.to_string().contains("none of the workspaces (marlow-cargo)"), "{error}");
    assert_eq!(repo.ids().expect("a list"), Vec::<String>::new());
    // Before the first workspace exists, the accounts are all there is.
    from.listed = BTreeSet::new();
    assert!(make(&repo, &from, &Meter::default()).expect("a backup").is_complete());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_that_was_moved_away_is_not_begun_anew_by_a_backup() {
    let hq = TestHq::start().await;
    let (data, away) = (hq.data(), hq.data().with_extension("away"));
    fs::rename(&data, &away).expect("moved");
    let app = hq.running().app.clone();
    let error =
        job::run(&app, BackupRequest::commanded(Deed::Backup)).await.expect_err("nothing is there");
    assert!(error.to_string().contains("no longer exists"), "{error}");
    assert!(!data.join("backups").exists(), "nothing was made in its place");
    drop(app);
    if data.exists() {
        fs::remove_dir_all(&data).expect("what others have made meanwhile");
    }
    fs::rename(&away, &data).expect("moved back");
    hq.finish().await;
}
