//! Contents and errors per backup target, and what is needed to open it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use backup::{BackupError, Folder, Meter, Repository, mend_head, verify};
use crypto::keyring::Secret;
use features::backups::job::Newness;
use features::backups::model::{Deed, Outcome};
use features::backups::queries;
use serde_json::{Value, json};

use super::page::{PAGE, done, settings};
use super::places::to;
use super::{back_up, files, repository};
use support::hq::{Person, TestHq};

async fn aim(api: &Person, place: &Path) {
    settings(api, |body| {
        body["schedule"] = "off".into();
        body["target"] = place.display().to_string().into();
    })
    .await;
}

async fn ids(api: &Person) -> (Vec<String>, Value) {
    let list = api.get("/api/v1/backups").await.json();
    let items = list["items"].as_array().expect("a list");
    let ids = items.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
    (ids, list["unread"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_shows_what_lies_at_the_place_and_nothing_else() {
    let hq = TestHq::start().await;
    let (owner, api) = (hq.owner(), hq.api().await);
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let backup = json!({ "deed": "backup" });
    aim(&api, &one).await;
    for n in 1..3 {
        api.post("/api/v1/backups", &backup).await;
        done(&hq, Deed::Backup, n).await;
    }
    let (there, unread) = ids(&api).await;
    assert_eq!((there.len(), &unread), (2, &json!(0)));
    // A backup that was removed by hand is no longer listed.
    fs::remove_file(one.join("manifests").join(&there[0])).expect("a manifest");
    assert_eq!(ids(&api).await, (vec![there[1].clone()], json!(0)));
    // Another place has other backups, or none.
    aim(&api, &other).await;
    assert_eq!(ids(&api).await, (Vec::new(), json!(0)));
    let page = owner.get(PAGE).await.text;
    assert!(page.contains("No backups yet"), "{page}");
    // Back at the first place, its backups are counted, and read with the next backup.
    aim(&api, &one).await;
    assert_eq!(ids(&api).await, (Vec::new(), json!(1)));
    let page = owner.get(PAGE).await.text;
    assert!(page.contains("1 more backup isn’t listed yet"), "{page}");
    api.post("/api/v1/backups", &backup).await;
    done(&hq, Deed::Backup, 3).await;
    let (there_now, unread) = ids(&api).await;
    assert!(there_now.contains(&there[1]), "{there_now:?}");
    assert_eq!((there_now.len(), unread), (2, json!(0)));
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_elsewhere_neither_mends_nor_makes_trouble_here() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (usual, elsewhere) = (folder.path().join("usual"), folder.path().join("elsewhere"));
    let backup = json!({ "deed": "backup" });
    let code = async || api.get("/api/v1/backups").await.json()["trouble"]["code"].clone();
    let last = || {
        let app = &hq.running().app;
        let place = queries::usual_place(app).expect("a place");
        app.system.read(|snap| queries::last_made(snap, &place)).expect("a read")
    };
    fs::write(&usual, "in the way").expect("a file");
    aim(&api, &usual).await;
    let asked = api.post("/api/v1/backups", &backup).await;
    let runs = done(&hq, Deed::Backup, 1).await;
    let note = runs[0].note.clone().unwrap_or_default();
    assert!(note.contains("expected a folder"), "{note}");
    // The requested backup is followed to its end.
    let run = format!("/api/v1/backups/runs/{}", asked.json()["id"].as_str().expect("an id"));
    let ended = api.get(&run).await.json();
    assert_eq!((&ended["outcome"], &ended["code"]), (&json!("failed"), &json!("backup_target")));
    assert_eq!(code().await, "backup_target");

    to(&hq, &elsewhere, Newness::AsBefore).await.expect("a copy elsewhere");
    assert_eq!(code().await, "backup_target", "the usual place fails still");
    assert_eq!(last(), None);
    fs::remove_file(&usual).expect("out of the way");
    api.post("/api/v1/backups", &backup).await;
    assert_eq!(done(&hq, Deed::Backup, 3).await[0].outcome, Outcome::Done);
    assert_eq!(code().await, Value::Null);
    assert!(last().is_some());

    let closed = folder.path().join("closed");
    fs::write(&closed, "in the way").expect("a file");
    to(&hq, &closed, Newness::AsBefore).await.expect_err("no folder");
    assert_eq!(code().await, Value::Null, "who asked for it was told");
    let told = hq.owner().get("/api/v1/notifications").await.json();
    let told = told["items"].as_array().expect("a list").clone();
    assert_eq!(told.iter().filter(|one| one["kind"] == "backup_failed").count(), 1, "{told:?}");
    hq.finish().await;
}

fn open(place: &Path, passphrase: Option<&str>) -> Result<Repository, BackupError> {
    let passphrase = passphrase.map(Secret::new);
    Repository::open(Arc::new(Folder::new(place.to_owned())), passphrase.as_ref())
}

fn mend(place: &Path) -> Result<Option<usize>, BackupError> {
    mend_head(&Folder::new(place.to_owned()), "2026-11-21T12:00:00Z".parse().expect("a moment"))
}

const HEADS: [&str; 2] = ["hq-backups.json", "hq-backups.spare.json"];

fn words<T>(found: Result<T, BackupError>) -> String {
    found.err().expect("an error").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_lost_or_damaged_is_made_anew_from_the_backups() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let repo = repository(place, None);
    let made = back_up(&hq, &repo);
    assert_eq!(mend(place).expect("nothing is wrong"), None);
    // One changed byte in each head file: the id is still readable.
    for name in HEADS {
        let mut bytes = fs::read(place.join(name)).expect("a head");
        let end = bytes.len() - 5;
        bytes[end] ^= 1;
        fs::write(place.join(name), bytes).expect("a head");
    }
    let told = words(open(place, None));
    assert!(told.contains("is damaged") && told.contains("hq backup repair --to"), "{told}");
    assert_eq!(mend(place).expect("made anew"), Some(1));
    let again = open(place, None).expect("it opens");
    assert_eq!(again.id(), repo.id(), "HQ knows the place by it");
    // Both head files are gone.
    for name in HEADS {
        fs::remove_file(place.join(name)).expect("a head");
    }
    let told = words(open(place, None));
    assert!(told.contains("is missing") && told.contains("hq backup repair --to"), "{told}");
    let target = Arc::new(Folder::new(place.to_owned()));
    let begun = Repository::open_or_begin(target, None, hq.now());
    assert!(words(begun).contains("hq backup repair --to"), "no other is begun over it");
    assert_eq!(mend(place).expect("made anew"), Some(1));
    let again = open(place, None).expect("it opens");
    let manifest = again.manifest(&made.id).expect("the backup");
    let checked = verify(&again, &manifest, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_with_a_key_in_it_is_not_made_up_and_nothing_is_made_of_nothing() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let sealed = folder.path().join("sealed");
    let repo = repository(&sealed, Some("correct horse battery staple"));
    back_up(&hq, &repo);
    for name in HEADS {
        fs::remove_file(sealed.join(name)).expect("a head");
    }
    let told = words(mend(&sealed));
    assert!(told.contains("are encrypted") && told.contains("restore a copy"), "{told}");
    assert!(!sealed.join(HEADS[0]).exists());
    let told = words(mend(&folder.path().join("nowhere")));
    assert!(told.contains("there are no backups at"), "{told}");
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).expect("a folder");
    fs::write(photos.join("cat.jpg"), "a cat").expect("a file");
    let told = words(mend(&photos));
    assert!(told.contains("contains other files"), "{told}");
    assert_eq!(files(&photos).len(), 1);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_the_place_itself_marks_what_a_check_has_put_aside() {
    let hq = TestHq::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let made = back_up(&hq, &repo);
    let marks = || {
        let (all, unreadable) = repo.states().expect("a list");
        assert!(unreadable.is_empty());
        all.into_iter().map(|(one, is_whole)| (one.id, is_whole)).collect::<Vec<_>>()
    };
    assert_eq!(marks(), [(made.id.clone(), true)]);
    let piece = files(&folder.path().join("chunks")).pop().expect("a piece");
    let mut bytes = fs::read(&piece).expect("a piece");
    bytes[20] ^= 1;
    fs::write(&piece, bytes).expect("a piece");
    let checked = verify(&repo, &made, None, &Meter::default()).expect("a check");
    assert_eq!(checked.damaged, std::slice::from_ref(&made.id));
    assert_eq!(marks(), [(made.id, false)]);
    hq.finish().await;
}
