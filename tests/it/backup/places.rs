//! Backup targets: repair of damaged chunks, missing disk, target within the data folder, slow target, external copies,
//! remains of killed programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backup::{BackupError, Folder, Manifest, Meter, Repository, Target, make, verify};
use features::backups::job::{self, BackupRequest, Newness, Place};
use features::backups::model::{BackupRun, Deed, Outcome, Trigger};
use features::backups::queries;
use features::backups::rules;
use kernel::{Actor, Cause, Part};
use net::message::Policy;
use parking_lot::Mutex;
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Which, restore};
use store::Store;

use super::page::{PAGE, done, settings};
use super::{Failing, Fault, back_up, files, filled, repository, source};
use support::hq::TestHq;

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_piece_is_put_aside_written_anew_and_named_with_all_its_backups() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let (first, second) = (back_up(&hq, &repo), back_up(&hq, &repo));
    assert!(first.serial < second.serial, "the order of making is written down");
    let names = |manifest: &Manifest| -> BTreeSet<String> {
        let all = manifest.parts.iter().flat_map(|part| part.all_chunks());
        all.map(|piece| piece.0.clone()).collect()
    };
    let (of_first, of_second) = (names(&first), names(&second));
    let mut both = of_first.intersection(&of_second);
    let path = |name: &String| folder.path().join("chunks").join(&name[..2]).join(name);
    let (one, other) = (&path(both.next().expect("one")), &path(both.next().expect("another")));
    flip(one, 40);
    flip(other, 30);
    let checked = verify(&repo, &second, None, &Meter::default()).expect("a check");
    assert_eq!(checked.faults.len(), 2, "{:?}", checked.faults);
    assert_eq!(checked.damaged, [first.id.clone(), second.id.clone()]);
    let words = checked.fault().expect("a fault");
    assert!(words.contains("is damaged") && words.contains(&first.id), "{words}");
    assert!(!one.exists() && !other.exists(), "they are taken for nothing any more");
    assert_eq!(files(&folder.path().join("damaged")).len(), 2);
    let third = back_up(&hq, &repo);
    assert!(one.exists() && other.exists(), "the next backup writes them anew");
    for manifest in [&first, &second, &third] {
        let checked = verify(&repo, manifest, None, &Meter::default()).expect("a check");
        assert!(checked.faults.is_empty() && checked.damaged.is_empty(), "{:?}", checked.faults);
    }
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_not_mounted_is_no_new_place() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let disks = tempfile::tempdir().expect("disks");
    let (place, away) = (disks.path().join("usb"), disks.path().join("drawer"));
    settings(&api, |body| body["target"] = place.display().to_string().into()).await;
    let backup = json!({ "deed": "backup" });
    api.post("/api/v1/backups", &backup).await;
    assert_eq!(done(&hq, Deed::Backup, 1).await[0].outcome, Outcome::Done);
    assert!(!owner.get(PAGE).await.text.contains("Start new backups here"));

    fs::rename(&place, &away).expect("unmounted");
    fs::create_dir(&place).expect("an empty mount point");
    api.post("/api/v1/backups", &backup).await;
    let failed = done(&hq, Deed::Backup, 2).await;
    let note = failed[0].note.clone().unwrap_or_default();
    assert!(note.contains("mount its disk or share") && note.contains("--new-place"), "{note}");
    assert_eq!(files(&place), Vec::<PathBuf>::new(), "nothing was written there");
    let page = owner.get(PAGE).await;
    assert!(page.text.contains("Start new backups here"), "{}", page.text);

    owner.form(&format!("{PAGE}/run"), &[("new_place", "on")]).await;
    assert_eq!(done(&hq, Deed::Backup, 3).await[0].outcome, Outcome::Done);
    // Both disks are known now; a third one is not.
    fs::rename(&place, disks.path().join("second")).expect("unmounted");
    fs::rename(&away, &place).expect("mounted");
    api.post("/api/v1/backups", &backup).await;
    let runs = done(&hq, Deed::Backup, 4).await;
    assert_eq!(runs[0].outcome, Outcome::Done, "{:?}", runs[0].note);
    fs::remove_dir_all(&place).expect("unmounted");
    repository(&place, None);
    api.post("/api/v1/backups", &backup).await;
    let runs = done(&hq, Deed::Backup, 5).await;
    let note = runs[0].note.clone().unwrap_or_default();
    assert!(note.contains("contains other backups") && note.contains("the right disk"), "{note}");
    api.post("/api/v1/backups", &json!({ "deed": "backup", "new_place": true })).await;
    assert_eq!(done(&hq, Deed::Backup, 6).await[0].outcome, Outcome::Done);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_in_the_data_folder_or_around_it_is_refused() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let outside = tempfile::tempdir().expect("a folder");
    let link = outside.path().join("link");
    std::os::unix::fs::symlink(hq.data(), &link).expect("a link");
    let around = hq.data().parent().expect("a parent").to_owned();
    let dotted = hq.data().join("../data/copies");
    for place in [hq.data().join("copies"), hq.data(), around, link.join("copies"), dotted] {
        let target = place.display().to_string();
        let mut body = api.get("/api/v1/backups/settings").await.json();
        body["target"] = target.clone().into();
        let reply = api.json("PUT", "/api/v1/backups/settings", &body).await;
        assert!(!reply.status.is_success(), "{target}");
        assert!(reply.text.contains("are nested"), "{}", reply.text);
        let reply = owner
            .form(
                PAGE,
                &[
                    ("time", "03:30"),
                    ("daily", "7"),
                    ("weekly", "4"),
                    ("monthly", "6"),
                    ("target", &target),
                ],
            )
            .await;
        assert_eq!(reply.status, 422, "{target}");
        assert!(reply.text.contains("are nested"), "{}", reply.text);
        let refused = elsewhere(&hq, &place).await.expect_err("refused");
        assert!(refused.contains("choose a separate folder"), "{refused}");
    }
    assert!(!hq.data().join("copies").exists() && !hq.data().join("hq-backups.json").exists());
    hq.finish().await;
}

/// The effect of `hq backup --to`.
async fn elsewhere(hq: &TestHq, folder: &Path) -> Result<BackupRun, String> {
    to(hq, folder, Newness::AsBefore).await
}

/// A folder as a backup target.
pub fn at(folder: &Path) -> Place {
    Place {
        address: folder.display().to_string().parse().expect("an address"),
        keys: None,
        passphrase: None,
        policy: Policy::Trusted,
    }
}

/// The effect of `hq backup --to`, with `--new-place` or without.
pub async fn to(hq: &TestHq, folder: &Path, newness: Newness) -> Result<BackupRun, String> {
    let wish = BackupRequest {
        place: Some(at(folder)),
        newness,
        ..BackupRequest::commanded(Deed::Backup)
    };
    job::run(&hq.running().app, wish).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_somebody_makes_elsewhere_are_never_removed_by_rules() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    settings(&api, |body| {
        body["schedule"] = "off".into();
        (body["daily"], body["weekly"], body["monthly"]) = (1.into(), 0.into(), 0.into());
    })
    .await;
    let there = tempfile::tempdir().expect("a folder");
    api.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    done(&hq, Deed::Backup, 1).await;
    for _ in 0..3 {
        elsewhere(&hq, there.path()).await.expect("a copy");
        hq.advance(Duration::from_secs(2 * 86_400)).await;
    }
    assert_eq!(files(&there.path().join("manifests")).len(), 3, "all copies stay");
    let kept = hq.running().app.system.read(|snap| queries::kept(snap)).expect("a list");
    assert_eq!(kept.len(), 1, "the page shows the place of the settings");
    hq.finish().await;
}

/// Checks at every write whether a store is being read.
struct Watching {
    inner: Folder,
    stores: Vec<Store>,
    held: AtomicUsize,
    writes: Mutex<Vec<String>>,
}

impl Watching {
    fn look(&self, name: &str) {
        // Other readers are brief; a backup would hold its snapshot as long as this lasts.
        let end = Instant::now() + Duration::from_secs(20);
        let is_held = || self.stores.iter().any(|store| store.oldest_snapshot().is_some());
        while self.held.load(Ordering::SeqCst) == 0 && is_held() {
            if end < Instant::now() {
                self.held.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::yield_now();
        }
        self.writes.lock().push(name.to_owned());
    }
}

impl Target for Watching {
    as_folder!(inner);
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.look(name);
        self.inner.put(name, bytes)
    }
    fn adopt(&self, name: &str, file: &Path) -> Result<(), BackupError> {
        self.look(name);
        self.inner.adopt(name, file)
    }
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.inner.delete(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_is_held_while_a_target_is_written() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    repository(folder.path(), None);
    let from = source(&hq);
    let stores = from.workspaces.iter().map(|ws| ws.store.clone());
    let watching = Arc::new(Watching {
        inner: Folder::new(folder.path().to_owned()),
        stores: stores.chain([from.system.clone()]).collect(),
        held: AtomicUsize::new(0),
        writes: Mutex::default(),
    });
    let repo = Repository::open(watching.clone(), None).expect("it opens");
    let made = make(&repo, &from, &Meter::default()).expect("a backup");
    let writes = watching.writes.lock().clone();
    assert!(writes.iter().filter(|name| name.starts_with("chunks/")).count() > 5, "{writes:?}");
    assert_eq!(watching.held.load(Ordering::SeqCst), 0, "a slow target would make the file grow");
    assert!(!hq.data().join("backups/spool").exists());
    let checked = verify(&repo, &made, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_killed_programs_have_left_is_swept_at_the_next_start() {
    let mut hq = TestHq::start().await;
    let system = hq.running().app.system.clone();
    let by = Actor::System(Part::Timer);
    let now = hq.now();
    let begun = system.write(by, Cause::Timer, move |tx| {
        rules::begin(tx, Deed::Backup, Trigger::Schedule, "/mnt/usb".to_owned(), now)
    });
    let begun = begun.await.expect("it begins");
    drop(system);
    hq.stop().await;
    let left = [
        "restoring-20261120T115900Z",
        "importing-abc",
        "backups/spool/chunks",
        "backups/drill/workspaces",
        "backups/export-abc",
    ];
    let stays = ["before-restore-20261120T115900Z", "restoring-my-bicycle"];
    for name in left.iter().chain(&stays) {
        fs::create_dir_all(hq.data().join(name)).expect("a folder");
        fs::write(hq.data().join(name).join("half"), "half").expect("a file");
    }
    hq.start_again().await;
    for name in left {
        let top = name.split('/').take(2).collect::<Vec<_>>().join("/");
        assert!(!hq.data().join(&top).exists(), "{top}");
    }
    for name in stays {
        assert!(hq.data().join(name).join("half").exists(), "{name} is somebody's");
    }
    let runs = done(&hq, Deed::Backup, 1).await;
    assert_eq!((runs[0].id, runs[0].outcome), (begun.id, Outcome::Failed));
    assert_eq!(runs[0].note.as_deref(), Some("HQ stopped in the middle"));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_a_newer_version_and_one_that_cannot_be_written_say_what_to_do() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    back_up(&hq, &repo);
    let wish = |data: &Path| RestoreRequest {
        data: data.to_owned(),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::IntoEmpty,
        key_file: hq.data().join("master.key"),
    };
    let closed = restore(&repo, &wish(Path::new("/proc/hq-data")), &Meter::default());
    let words = closed.expect_err("it cannot be written").to_string();
    assert!(words.contains("the data folder can't be written to"), "{words}");
    assert!(words.contains("check its owner and mode"), "{words}");

    let head = folder.path().join("hq-backups.json");
    let text = fs::read_to_string(&head).expect("a head");
    let line = text.lines().next().expect("a line").replace("\"format\":1", "\"format\":9") + "\n";
    let sum = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(line.as_bytes()));
    fs::write(&head, format!("{line}{sum}\n")).expect("a head");
    let target = Arc::new(Folder::new(folder.path().to_owned()));
    let newer = Repository::open(target, None).err().expect("it is newer").to_string();
    assert!(newer.contains("format 9") && newer.contains("use a newer version of HQ"), "{newer}");
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_fills_up_in_the_middle_leaves_no_half_backup_and_nothing_beside() {
    let hq = filled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    for writes in [0, 1, 3, 9] {
        let full = Failing::after(folder.path(), writes, Fault::Full);
        let full = Repository::open(full, None).expect("it opens");
        let error = make(&full, &source(&hq), &Meter::default()).expect_err("full").to_string();
        assert!(error.contains("is full") && error.contains("free some space"), "{error}");
        assert_eq!(repo.ids().expect("a list"), Vec::<String>::new(), "after {writes}");
        assert!(!hq.data().join("backups/spool").exists());
    }
    let made = back_up(&hq, &repo);
    let checked = verify(&repo, &made, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    hq.finish().await;
}
