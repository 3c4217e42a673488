//! Damaged or missing git repository of agents' files: detection and repair.

use std::fs;
use std::process::Command;

use features::agents::queries::repository::{Found, inspect};
use features::backups::job::{self, BackupRequest};
use features::backups::model::{BackupRun, Deed};
use features::backups::rules::BackupsError;
use git::check::Depth;
use git::snapshot::Paths;
use git::{Author, Branch, CommitId, Entry};
use kernel::Problem as _;
use serde_json::{Value, json};
use server::ops::files;
use support::office::Office;

/// The repository's entry in the health API.
async fn health(office: &Office) -> Value {
    let all = office.hq.api().await.get("/api/v1/health").await.json();
    let parts = all["parts"].as_array().expect("parts").clone();
    parts.into_iter().find(|part| part["name"] == "files").expect("the part")
}

async fn looked(office: &Office, repairs: bool) -> Found {
    let (app, all) = (office.hq.running().app.clone(), vec![office.ws()]);
    let found = match repairs {
        true => files::repair(app, all).await,
        false => files::inspect(all).await,
    };
    found.expect("a look").into_iter().next().expect("one workspace")
}

/// Writes a file of Ada's and commits it.
fn keep(office: &Office, path: &str, text: &str) -> CommitId {
    let (ws, ada) = (office.ws(), Branch::agent("ada").expect("a name"));
    let dir = ws.agent_folder("ada");
    fs::write(dir.join(path), text).expect("it is written");
    let (author, time) = (Author::hq(), office.hq.running().app.clock.now());
    let message = format!("Write {path}\n\nAgent: ada\n");
    let entry = Entry { author: &author, message: &message, time };
    let paths = [path.to_owned()];
    let kept = ws.repo().expect("it opens").commit_paths(&ada, &dir, Paths::Only(&paths), &entry);
    kept.expect("it is kept").commit.expect("a version")
}

/// Output of git for the repository.
fn git(office: &Office, arguments: &[&str]) -> String {
    let folder = office.ws().folder.join("agents.git");
    let done = Command::new("git").arg("-C").arg(folder).args(arguments).output().expect("git");
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).expect("text").trim().to_owned()
}

/// All objects reachable from Ada's branch, with their paths, sorted.
fn objects(office: &Office) -> Vec<String> {
    let listed = git(office, &["rev-list", "--objects", "agent/ada"]);
    let mut all: Vec<String> = listed.lines().map(ToOwned::to_owned).collect();
    all.sort();
    all
}

async fn job(office: &Office, deed: Deed) -> Result<BackupRun, BackupsError> {
    job::run(&office.hq.running().app.clone(), BackupRequest::commanded(deed)).await
}

/// Asserts that the damage is detected by every check and repaired, with everything as before.
async fn repaired_whole(office: &Office, before: &[String], at_start: bool) -> Found {
    let ws = office.ws();
    let found = looked(office, false).await;
    assert!(!found.faults.is_empty(), "doctor notices it");
    let newest = inspect(&ws, Depth::Branches).faults;
    assert_eq!(!newest.is_empty(), at_start, "{newest:?}");
    assert_eq!(health(office).await["how"], "down");
    job(office, Deed::Backup).await.expect("a backup of what is there");
    let verified = job(office, Deed::Verify).await.expect_err("the copy is looked into");
    assert_eq!(verified.code(), "agent_files_damaged", "{verified}");
    assert!(verified.to_string().contains("in backup"), "{verified}");
    let repaired = looked(office, true).await;
    assert_eq!(repaired.faults, [""; 0], "{repaired:?}");
    let said = repaired.repaired.join("\n");
    assert!(said.contains("from the backup") && said.contains("nothing is lost"), "{said}");
    assert_eq!(objects(office), before);
    git(office, &["fsck", "--strict"]);
    assert_eq!(health(office).await["how"], "ok");
    job(office, Deed::Backup).await.expect("a whole one");
    job(office, Deed::Drill).await.expect("it is whole");
    repaired
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_missing_history_is_noticed_and_begins_anew_from_the_folder() {
    let office = Office::open().await;
    office.agent("Ada").await;
    let ws = office.ws();
    assert_eq!(looked(&office, false).await.faults, [""; 0]);
    assert_eq!(health(&office).await["how"], "ok");
    let newest = || ws.repo().expect("it opens").head(&Branch::agent("ada").expect("a name"));
    let head = newest().expect("it is read").expect("a branch").to_string();

    // Changed bytes of an object are detected only by a check that reads all of them.
    let object = ws.folder.join("agents.git/objects").join(&head[..2]).join(&head[2..]);
    let (bytes, kept) = (b"not an object".to_vec(), fs::read(&object).expect("a loose object"));
    let write = |bytes: &[u8]| {
        // ok: it may have existed before.
        let _ = fs::remove_file(&object);
        fs::write(&object, bytes).expect("it is written");
    };
    write(&bytes);
    let told = looked(&office, false).await.faults;
    assert!(told.iter().any(|fault| fault.starts_with("agent/ada: ")), "{told:?}");
    assert_eq!(health(&office).await["how"], "down");
    write(&kept);
    assert_eq!(looked(&office, false).await.faults, [""; 0]);

    // All branches are gone.
    fs::remove_dir_all(ws.folder.join("agents.git/refs/heads")).expect("it is removed");
    assert!(looked(&office, false).await.faults.iter().any(|fault| fault.contains("missing")));
    let said = health(&office).await["said"].to_string();
    assert!(said.contains("hq doctor files"), "{said}");
    let repaired = looked(&office, true).await;
    assert_eq!(repaired.faults, [""; 0], "{repaired:?}");
    let said = repaired.repaired.join("\n");
    assert!(said.contains("no backup was used") && said.contains("lost: all older"), "{said}");
    assert_eq!(health(&office).await["how"], "ok");
    let files = ws.repo().expect("it opens").check(&["ada".to_owned()], Depth::Objects);
    assert!(0 < files.objects);
    let soul = office.hq.api().await.get("/api/v1/agents/ada/files").await;
    assert_eq!(soul.status, 200, "{}", soul.text);
    assert!(soul.json()["items"] != json!([]), "{}", soul.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_comes_out_of_the_newest_backup_that_has_it() {
    let mut office = Office::open().await;
    office.agent("Ada").await;
    keep(&office, "plan.md", "the first plan\n");
    let second = keep(&office, "plan.md", "the second plan\n");
    job(&office, Deed::Backup).await.expect("a backup");
    let (folder, before) = (office.ws().folder.join("agents.git"), objects(&office));
    let place = |id: &str| folder.join("objects").join(&id[..2]).join(&id[2..]);

    // The newest commit.
    fs::remove_file(place(&second.to_string())).expect("it is removed");
    repaired_whole(&office, &before, true).await;
    // A file of an older version, which only a full check detects.
    let old = git(&office, &["rev-parse", "agent/ada~1:plan.md"]);
    fs::remove_file(place(&old)).expect("it is removed");
    repaired_whole(&office, &before, false).await;
    // The pack of everything made by git, truncated; HQ does not hold it open then.
    git(&office, &["gc", "--quiet"]);
    office.hq.stop().await;
    let packs = fs::read_dir(folder.join("objects/pack")).expect("packs");
    let pack = packs.map(|one| one.expect("an entry").path());
    let pack = pack.into_iter().find(|path| path.extension().is_some_and(|end| end == "pack"));
    let pack = pack.expect("a pack");
    let (mut kept, len) = (fs::read(&pack).expect("it is read"), 3);
    kept.truncate(kept.len() / len);
    fs::remove_file(&pack).expect("it is removed");
    fs::write(&pack, &kept).expect("it is cut");
    office.hq.start_again().await;
    let said = repaired_whole(&office, &before, true).await.repaired.join("\n");
    assert!(said.contains("the pack ") && said.contains("it is now in"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_names_and_a_lost_repository_come_back_with_all_that_is_known() {
    let office = Office::open().await;
    office.agent("Ada").await;
    keep(&office, "plan.md", "the first plan\n");
    job(&office, Deed::Backup).await.expect("a backup");
    let newest = keep(&office, "plan.md", "the second plan\n");
    let folder = office.ws().folder.join("agents.git");
    let ada = Branch::agent("ada").expect("a name");

    // All refs are gone; the versions exist, including those since the backup.
    fs::remove_dir_all(folder.join("refs")).expect("removed");
    fs::remove_file(folder.join("packed-refs")).ok();
    assert_eq!(health(&office).await["how"], "down");
    let repaired = looked(&office, true).await;
    assert_eq!(repaired.faults, [""; 0], "{repaired:?}");
    let now = office.ws().repo().expect("it opens").head(&ada).expect("it is read");
    assert_eq!(now, Some(newest), "{repaired:?}");
    assert!(git(&office, &["branch", "--list"]).contains("template/default"));

    // The whole repository is gone: what came after the backup exists in the folder only.
    fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(health(&office).await["how"], "down");
    let repaired = looked(&office, true).await;
    assert_eq!(repaired.faults, [""; 0], "{repaired:?}");
    let said = repaired.repaired.join("\n");
    assert!(said.contains("the repository was missing"), "{said}");
    assert!(said.contains("from the backup") && said.contains("lost: versions after"), "{said}");
    assert_eq!(git(&office, &["show", "agent/ada:plan.md"]), "the second plan");
    assert_eq!(git(&office, &["show", "agent/ada~1:plan.md"]), "the first plan");
    assert_eq!(health(&office).await["how"], "ok");
    git(&office, &["fsck", "--strict"]);
}
