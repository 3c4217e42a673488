//! An unreadable manifest: pruning stops, people are notified, and a person moves it aside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use backup::{BackupError, Meter, Owner, Retention, Taken, forget, prune};
use features::backups::job::{self, BackupRequest};
use features::backups::model::{BackupRun, Deed, Outcome, STUCK};
use features::backups::queries;
use serde_json::{Value, json};

use super::page::{PAGE, done, settings};
use super::{back_up, files, repository};
use support::hq::{Setup, TestHq};

/// No session expires in this time.
const LATER: Duration = Duration::from_secs(20 * 3_600);

fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("a file");
    bytes[30] ^= 1;
    fs::write(file, bytes).expect("a file");
}

/// The listed backup with this id.
fn listed(list: &Value, id: &str) -> Value {
    let items = list["items"].as_array().expect("a list");
    items.iter().find(|one| one["id"] == id).expect("it is on the list").clone()
}

/// The reported problem.
fn trouble(hq: &TestHq) -> Option<BackupRun> {
    let app = &hq.running().app;
    let place = queries::usual_place(app).expect("a place");
    app.system.read(|snap| queries::trouble(snap, &place)).expect("a read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_cannot_be_read_is_told_until_somebody_puts_it_aside() {
    // Pieces carry the real time.
    let hq = Setup::default().real_time().start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    settings(&api, |body| body["schedule"] = "off".into()).await;
    let app = hq.running().app.clone();
    let run = |deed| job::run(&app, BackupRequest::commanded(deed));
    let first = run(Deed::Backup).await.expect("a backup").backup.expect("its name");
    hq.advance(LATER).await;
    run(Deed::Prune).await.expect("nothing is in the way");
    let place = hq.data().join("backups/local");
    let manifest = place.join("manifests").join(&first);
    flip(&manifest);
    let pieces = || files(&place.join("chunks")).len();

    // The next backup succeeds and reports the problem; a second one does not report it again.
    let mut second = String::new();
    for _ in 0..2 {
        hq.advance(Duration::from_secs(60)).await;
        let made = run(Deed::Backup).await.expect("a backup");
        let note = made.note.clone().unwrap_or_default();
        assert_eq!(made.outcome, Outcome::Done, "{note}");
        assert!(note.contains("created, but cleanup failed") && note.contains(&first), "{note}");
        second = made.backup.expect("its name");
    }
    assert_eq!(done(&hq, Deed::Prune, 2).await.len(), 2, "the first went well");
    let told = trouble(&hq).expect("it is told");
    assert_eq!((told.deed, told.code.as_deref()), (Deed::Prune, Some(STUCK)));
    let refused = run(Deed::Prune).await.expect_err("nothing is tidied up").to_string();
    for words in [
        first.as_str(),
        "its checksum doesn't match",
        "so it fills up",
        "give up the \
        backup",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let list = api.get("/api/v1/backups").await.json();
    assert_eq!(list["trouble"]["code"], STUCK, "{list}");
    let of = |list: &Value, id: &str| listed(list, id)["unreadable"].clone();
    assert_eq!((of(&list, &first), of(&list, &second)), (json!(true), json!(false)), "{list}");
    let page = owner.get(PAGE).await.text;
    assert!(page.contains("Cleanup failed") && page.contains("Give up"), "{page}");
    assert!(page.contains(&format!("{first}/forget")), "{page}");
    assert!(!page.contains(&format!("{second}/forget")), "{page}");

    // Only an unreadable backup can be set aside, and only on request. Its pieces stay.
    let path = |id: &str| format!("/api/v1/backups/{id}/forget");
    let begun = api.post(&path(&second), &json!({})).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let readable = done(&hq, Deed::Forget, 1).await.remove(0);
    assert_eq!(readable.code.as_deref(), Some("backup_readable"), "{readable:?}");
    assert!(trouble(&hq).is_some(), "that mended nothing");
    let before = pieces();
    let asked = owner.form(&format!("{PAGE}/{first}/forget"), &[]).await;
    assert_eq!(asked.location(), Some(PAGE), "{}", asked.text);
    let forgotten = done(&hq, Deed::Forget, 2).await.remove(0);
    assert_eq!(forgotten.outcome, Outcome::Done, "{forgotten:?}");
    assert!(!manifest.exists());
    assert!(place.join("damaged").join(format!("manifests-{first}")).is_file(), "it is kept");
    assert_eq!(pieces(), before);
    assert_eq!(trouble(&hq), None);
    assert!(!owner.get(PAGE).await.text.contains("Give up"));

    // From then on pruning works again.
    hq.advance(LATER).await;
    let tidied = run(Deed::Prune).await.expect("nothing is in the way");
    assert!(0 < tidied.new_bytes && pieces() < before, "{tidied:?}");
    run(Deed::Verify).await.expect("the others need none of what is gone");
    let again = api.post(&path(&first), &json!({})).await;
    assert_eq!(again.status, 202, "{}", again.text);
    let gone = done(&hq, Deed::Forget, 3).await.remove(0);
    assert_eq!(gone.code.as_deref(), Some("backup_not_found"), "{gone:?}");
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_mended_lets_the_next_backup_tidy_up_and_ends_the_trouble() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    settings(&api, |body| body["schedule"] = "off".into()).await;
    let app = hq.running().app.clone();
    let run = |deed| job::run(&app, BackupRequest::commanded(deed));
    let first = run(Deed::Backup).await.expect("a backup").backup.expect("its name");
    let manifest = hq.data().join("backups/local/manifests").join(&first);
    flip(&manifest);
    hq.advance(LATER).await;
    run(Deed::Backup).await.expect("a backup");
    assert!(trouble(&hq).is_some());
    flip(&manifest);
    hq.advance(LATER).await;
    let made = run(Deed::Backup).await.expect("a backup");
    assert_eq!((made.note, trouble(&hq)), (None, None));
    let mended = listed(&api.get("/api/v1/backups").await.json(), &first);
    assert_eq!((&mended["unreadable"], &mended["fault"]), (&json!(false), &Value::Null));
    drop(app);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_leads_out_of_the_place_when_something_is_put_aside() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let made = back_up(&hq, &repo);
    let owner = Owner("test".to_owned());
    let head = folder.path().join("hq-backups.json");
    for id in ["../hq-backups.json", "", "nothing", &made.id[..10]] {
        let refused = forget(&repo, &owner, id, hq.now());
        assert!(matches!(refused, Err(BackupError::NoBackup { .. })), "{id}: {refused:?}");
    }
    assert!(head.is_file());
    let readable = forget(&repo, &owner, &made.id, hq.now());
    assert!(matches!(readable, Err(BackupError::Readable { .. })), "{readable:?}");
    flip(&folder.path().join("manifests").join(&made.id));
    let keep = |all: &[Taken]| -> BTreeSet<String> {
        Retention::default().keep(all, &jiff::tz::TimeZone::UTC)
    };
    let tidy = || {
        prune(
            &repo,
            (&owner, std::slice::from_ref(&made.key_id)),
            &keep,
            hq.now(),
            &Meter::default(),
        )
    };
    let stuck = tidy().expect("it looked");
    assert_eq!(stuck.unreadable, [format!("{} (its checksum doesn't match)", made.id)]);
    forget(&repo, &owner, &made.id, hq.now()).expect("it is put aside");
    assert_eq!(repo.ids().expect("a list"), Vec::<String>::new());
    assert_eq!(tidy().expect("it looked").unreadable, Vec::<String>::new());
    hq.finish().await;
}
