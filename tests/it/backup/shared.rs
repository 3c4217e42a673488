//! A backup target shared by several HQs: no accidental use, and no removal of others' data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup::BackupError;
use features::backups::job::{self, BackupRequest, Newness};
use features::backups::model::{Deed, Outcome};
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Which, restore};

use super::page::{PAGE, done, settings};
use super::places::{at, to};
use support::hq::{Setup, TestHq};

fn ids(place: &Path) -> BTreeSet<String> {
    let all = fs::read_dir(place.join("manifests")).expect("manifests").flatten();
    all.map(|one| one.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_of_another_hq_is_refused_until_somebody_says_so_and_its_backups_stay() {
    let (one, other) = (TestHq::start().await, Setup::default().anew().start().await);
    let key = |hq: &TestHq| hq.running().app.keyring.key_id().to_string();
    assert_ne!(key(&one), key(&other));
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    to(&one, place, Newness::AsBefore).await.expect("the first one there");
    let theirs = ids(place);
    let refused = to(&other, place, Newness::AsBefore).await.expect_err("it is another's");
    assert!(refused.contains("another master key"), "{refused}");
    assert!(refused.contains("--new-place"), "{refused}");
    assert_eq!(ids(place), theirs);
    to(&other, place, Newness::Accepted).await.expect("somebody says so");
    to(&other, place, Newness::AsBefore).await.expect("said once is enough");
    let second = to(&one, place, Newness::AsBefore).await.expect("its own place");
    let theirs: BTreeSet<String> = theirs.into_iter().chain(second.backup.clone()).collect();
    assert_eq!((ids(place).len(), theirs.len()), (4, 2));

    // Retention of one HQ counts only its own backups.
    let api = other.api().await;
    settings(&api, |body| {
        (body["schedule"], body["target"]) = ("off".into(), place.display().to_string().into());
        (body["daily"], body["weekly"], body["monthly"]) = (1.into(), 0.into(), 0.into());
    })
    .await;
    other.advance(Duration::from_secs(6 * 86_400)).await;
    api.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    let runs = done(&other, Deed::Backup, 4).await;
    assert_eq!(runs[0].outcome, Outcome::Done, "{:?}", runs[0].note);
    let left = ids(place);
    assert!(theirs.is_subset(&left), "{theirs:?} of {left:?}");
    assert_eq!(left.len(), 3, "of its own only the newest: {left:?}");
    let named =
        backup::Repository::open(std::sync::Arc::new(backup::Folder::new(place.to_owned())), None);
    let named = named.expect("it opens");
    for id in left {
        let manifest = named.manifest(&id).expect("a backup");
        let meter = backup::Meter::default();
        let checked = backup::verify(&named, &manifest, None, &meter).expect("a check");
        assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    }

    // The last backup there is the other's: each HQ tests and restores its own.
    let drill = BackupRequest { place: Some(at(place)), ..BackupRequest::commanded(Deed::Drill) };
    let drill = job::run(&one.running().app, drill).await.expect("it can be restored");
    assert_eq!(drill.backup, second.backup);
    let last = |key_file: PathBuf| {
        let wish = RestoreRequest {
            data: place.join("into"),
            backup: Which::Newest,
            workspace: None,
            mode: Mode::DryRun,
            key_file,
        };
        let meter = backup::Meter::default();
        let looked = tokio::task::block_in_place(|| restore(&named, &wish, &meter));
        looked.map(|restored| restored.backup).map_err(|error| error.to_string())
    };
    assert_eq!(last(one.data().join("master.key")).ok(), second.backup);
    assert_eq!(last(other.data().join("master.key")).ok(), runs[0].backup);
    let refused = last(place.join("no.key")).expect_err("nobody knows whose");
    assert!(refused.contains("several HQs") && refused.contains("--at"), "{refused}");
    one.finish().await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_page_somebody_says_what_sharing_means_and_agrees_once() {
    const SHARE: &str = "Share this target and back up now";
    let (one, other) = (TestHq::start().await, Setup::default().anew().start().await);
    let folder = tempfile::tempdir().expect("a folder");
    to(&one, folder.path(), Newness::AsBefore).await.expect("the first one there");
    let (owner, api) = (other.owner(), other.api().await);
    settings(&api, |body| {
        body["schedule"] = "off".into();
        body["target"] = folder.path().display().to_string().into();
    })
    .await;
    assert!(!owner.get(PAGE).await.text.contains(SHARE), "nobody has tried yet");

    owner.form(&format!("{PAGE}/run"), &[]).await;
    let failed = done(&other, Deed::Backup, 1).await;
    let others = BackupError::Others { place: folder.path().display().to_string() };
    assert_eq!(failed[0].note, Some(others.to_string()));
    assert_eq!(failed[0].code.as_deref(), Some("backup_others"));
    let page = owner.get(PAGE).await;
    assert!(page.text.contains(SHARE), "{}", page.text);
    assert!(page.text.contains("manages only its own backups"), "{}", page.text);
    let told = api.get("/api/v1/backups").await.json();
    assert_eq!(told["trouble"]["code"], "backup_others");

    owner.form(&format!("{PAGE}/run"), &[("new_place", "on")]).await;
    let runs = done(&other, Deed::Backup, 2).await;
    assert_eq!(runs[0].outcome, Outcome::Done, "{:?}", runs[0].note);
    assert!(!owner.get(PAGE).await.text.contains(SHARE), "it was said");
    owner.form(&format!("{PAGE}/run"), &[]).await;
    let runs = done(&other, Deed::Backup, 3).await;
    assert_eq!(runs[0].outcome, Outcome::Done, "once is enough: {:?}", runs[0].note);
    assert_eq!(ids(folder.path()).len(), 3);

    // A failure at another place does not concern this one.
    let elsewhere = tempfile::tempdir().expect("a folder");
    to(&one, elsewhere.path(), Newness::AsBefore).await.expect("the first one there");
    to(&other, elsewhere.path(), Newness::AsBefore).await.expect_err("it is another's");
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("another master key"), "{}", page.text);
    assert!(!page.text.contains(SHARE), "{}", page.text);
    one.finish().await;
    other.finish().await;
}
