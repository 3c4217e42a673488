//! Odd files that agents and programs may leave in their folders: none fails a backup, and omissions are reported.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup::{BackupError, Folder, Manifest, Meter, Repository, Target, make, verify};
use features::backups::model::{Deed, Outcome};
use parking_lot::Mutex;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use serde_json::json;
use server::restore::{Mode, RestoreRequest, Which, restore};

use super::page::{PAGE, done};
use super::{repository, source};
use support::hq::TestHq;
use support::work::agent;

/// An HQ with an agent, and the agent's folder.
async fn with_agent() -> (TestHq, PathBuf) {
    let hq = TestHq::start().await;
    let ada = agent(&hq, "Ada").await;
    let folder = hq.ws().agent_folder(&ada.slug);
    fs::create_dir_all(&folder).expect("her folder");
    (hq, folder)
}

fn locked(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// Runs work without the capability to bypass file permissions, which tests may have. Capabilities are per thread.
fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = capabilities(None).expect("what it may");
            let all = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            sets.effective.remove(all);
            set_capabilities(None, sets).expect("anybody may do less");
            work()
        });
        thread.join().expect("no panic")
    })
}

fn is_whole(repo: &Repository, made: &Manifest) {
    let checked = verify(repo, made, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
}

/// Restores into a folder and returns the folder of Ada's files in it.
fn put_into(repo: &Repository, data: &Path) -> PathBuf {
    let wish = RestoreRequest {
        data: data.to_owned(),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::IntoEmpty,
        key_file: data.join("master.key"),
    };
    tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default())).expect("restored");
    data.join("workspaces/marlow-cargo/agents/ada/files")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_record_or_its_history_holds_and_that_is_missing_is_named() {
    let hq = TestHq::start().await;
    let api = hq.api().await;
    let made = api.post("/api/v1/tasks", &json!({ "title": "Compare prices" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut names = Vec::new();
    for name in ["there", "removed", "lost", "lost too"] {
        let path = format!("/api/v1/tasks/MC-1/files?name={}", name.replace(' ', "-"));
        let sent = api.bytes("POST", &path, "application/octet-stream", name.into()).await.json();
        let word = |field: &str| sent[field].as_str().expect("a word").to_owned();
        names.push((word("id"), word("sha256")));
    }
    let [there, removed, lost, lost_too] = &names[..] else { panic!("{names:?}") };
    let gone = api.call("DELETE", &format!("/api/v1/files/{}", removed.0)).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let gone = api.call("DELETE", &format!("/api/v1/files/{}", lost_too.0)).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let blobs = hq.ws().folder.join("blobs");
    for (_, sha) in [lost, lost_too] {
        fs::remove_file(blobs.join(&sha[..2]).join(&sha[2..])).expect("a file");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(folder.path(), None);
    let first = super::back_up(&hq, &repo);
    let words = |sha: &str| {
        format!("workspaces/marlow-cargo/blobs/{sha}: it is missing; `hq doctor blobs`")
    };
    let named = |sha: &str| first.left_out.iter().any(|one| one.starts_with(&words(sha)));
    assert!(named(&lost.1) && named(&lost_too.1), "{:?}", first.left_out);
    assert!(!named(&there.1) && !named(&removed.1), "{:?}", first.left_out);
    is_whole(&repo, &first);
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_folders_are_left_out_and_named_and_all_the_rest_is_there() {
    let (hq, files) = with_agent().await;
    let scratch = files.parent().expect("a folder").join("scratch/locked");
    for folder in [&files.join("locked"), &files.join("listed"), &scratch] {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("inside.txt"), "inside").expect("a file");
    }
    fs::write(files.join("alone.txt"), "alone").expect("a file");
    fs::write(files.join("open.txt"), "open").expect("a file");
    let deep = files.join("d/".repeat(200));
    fs::create_dir_all(&deep).expect("a deep folder");
    fs::write(deep.join("bottom.txt"), "bottom").expect("a file");
    fs::write(files.join("d/d/d/near.txt"), "near").expect("a file");
    locked(&files.join("locked"), 0o000);
    locked(&files.join("listed"), 0o400);
    locked(&files.join("alone.txt"), 0o000);
    locked(&scratch, 0o000);
    let folder = tempfile::tempdir().expect("a folder");
    let repo = repository(&folder.path().join("backups"), None);
    let from = source(&hq);
    let made = without_rights(|| make(&repo, &from, &Meter::default()));
    let made = made.expect("a backup");
    let told = made.left_out.join("\n");
    for name in ["files/locked: ", "files/listed: ", "files/alone.txt: "] {
        assert!(told.contains(&format!("agents/ada/{name}Permission denied")), "{name} of {told}");
    }
    assert!(told.contains("too deep to be restored"), "{told}");
    assert!(!told.contains("scratch"), "of what is not wanted nothing is told: {told}");
    assert_eq!(made.left_out.len(), 4, "{told}");
    is_whole(&repo, &made);
    let there = put_into(&repo, &folder.path().join("new"));
    assert_eq!(fs::read_to_string(there.join("open.txt")).expect("a file"), "open");
    assert!(there.join("d/d/d/near.txt").exists() && !there.join("alone.txt").exists());
    hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_out_stands_in_the_report_and_on_the_page() {
    let (hq, files) = with_agent().await;
    for n in 0..150 {
        std::os::unix::fs::symlink("/etc/passwd", files.join(format!("link-{n:03}"))).expect("one");
    }
    hq.api().await.post("/api/v1/backups", &json!({ "deed": "backup" })).await;
    let runs = done(&hq, Deed::Backup, 1).await;
    let note = runs[0].note.clone().unwrap_or_default();
    assert_eq!(runs[0].outcome, Outcome::Done, "{note}");
    assert!(note.contains("agents/ada/files/link-000: a link or not a file"), "{note}");
    assert!(note.contains("the others are listed in its manifest"), "{note}");
    let page = hq.owner().get(PAGE).await;
    assert!(page.text.contains("agents/ada/files/link-000"), "{}", page.text);
    let made = repository(&hq.data().join("backups/local"), None).newest(None).expect("a backup");
    assert_eq!(made.left_out.len(), 101, "a hundred by name");
    assert_eq!(made.left_out[100], "workspaces/marlow-cargo/agents: 50 more");
    hq.finish().await;
}

/// A folder that reports a given amount of free space.
struct Small {
    inner: Folder,
    free: u64,
}

impl Target for Small {
    as_folder!(inner);
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.inner.put(name, bytes)
    }
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.inner.delete(name)
    }
    fn free(&self) -> Option<u64> {
        Some(self.free)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holes_take_no_room_and_no_time_and_come_back_as_holes() {
    const LONG: u64 = 6 << 30;
    let (hq, files) = with_agent().await;
    let mut disk = File::create(files.join("disk.img")).expect("a file");
    disk.write_all(b"start").expect("the start");
    disk.seek(SeekFrom::Start(LONG / 2)).expect("the middle");
    disk.write_all(&vec![7; 3 << 20]).expect("some data");
    disk.set_len(LONG).expect("a long file");
    let endless = File::create(files.join("endless.img")).expect("a file");
    endless.set_len(2 << 40).expect("a longer one");
    let folder = tempfile::tempdir().expect("a folder");
    repository(&folder.path().join("backups"), None);
    let inner = Folder::new(folder.path().join("backups"));
    let target = Arc::new(Small { inner, free: 512 << 20 });
    let repo = Repository::open(target, None).expect("it opens");
    let made = make(&repo, &source(&hq), &Meter::default()).expect("there is room for it");
    assert_eq!(made.left_out.len(), 1, "{:?}", made.left_out);
    let told = &made.left_out[0];
    assert!(told.contains("endless.img: it is longer than 1024 GB"), "{told}");
    let agents = made.parts.iter().find(|part| part.path.ends_with("/agents")).expect("a part");
    assert!(agents.bytes < 64 << 20, "{} bytes", agents.bytes);
    is_whole(&repo, &made);

    let there = put_into(&repo, &folder.path().join("new")).join("disk.img");
    let mut back = File::open(&there).expect("it is there");
    let meta = back.metadata().expect("its length");
    assert_eq!(meta.len(), LONG);
    assert!(meta.blocks() * 512 < 64 << 20, "{} blocks", meta.blocks());
    let mut read = |at: u64, len: usize| {
        let mut bytes = vec![1; len];
        back.seek(SeekFrom::Start(at)).and_then(|_| back.read_exact(&mut bytes)).expect("bytes");
        bytes
    };
    assert_eq!(read(0, 5), b"start");
    assert_eq!(read(1 << 30, 9), [0; 9]);
    assert_eq!(read(LONG / 2 + (3 << 20) - 3, 6), [7, 7, 7, 0, 0, 0]);
    assert_eq!(read(LONG - 4, 4), [0; 4]);
    hq.finish().await;
}

type Deeds = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A folder that runs a callback when a piece with these bytes is written to it.
struct Meddling {
    inner: Folder,
    mark: Vec<u8>,
    deed: Deeds,
}

impl Target for Meddling {
    as_folder!(inner);
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        if bytes.windows(self.mark.len()).any(|some| some == self.mark)
            && let Some(deed) = self.deed.lock().take()
        {
            deed();
        }
        self.inner.put(name, bytes)
    }
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.inner.delete(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_removed_or_cut_while_it_is_read_does_not_end_the_backup() {
    let (hq, files) = with_agent().await;
    let file = files.join("noise.bin");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()
    })
    .take(2 << 20)
    .flatten()
    .collect();
    for removed in [true, false] {
        fs::write(&file, &noise).expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let backups = folder.path().join("backups");
        repository(&backups, None);
        let path = file.clone();
        let deed = move || match removed {
            true => fs::remove_file(path).expect("it was there"),
            false => {
                let open = File::options().write(true).open(path).expect("it is there");
                open.set_len(1 << 20).expect("it is cut");
            }
        };
        let target = Arc::new(Meddling {
            inner: Folder::new(backups),
            mark: noise[1000..1064].to_vec(),
            deed: Mutex::new(Some(Box::new(deed))),
        });
        let repo = Repository::open(target.clone(), None).expect("it opens");
        let made = make(&repo, &source(&hq), &Meter::default()).expect("a backup");
        assert!(target.deed.lock().is_none(), "it happened in the middle");
        is_whole(&repo, &made);
        let there = put_into(&repo, &folder.path().join("new")).join("noise.bin");
        let back = fs::read(there).expect("it is there");
        if removed {
            assert_eq!(made.left_out, Vec::<String>::new());
            assert!(back == noise, "all of it, from the file that was opened");
        } else {
            assert_eq!(made.left_out.len(), 1, "{:?}", made.left_out);
            let told = &made.left_out[0];
            assert!(told.contains("noise.bin: it was truncated while HQ read it"), "{told}");
            assert!(told.contains(&format!("{} bytes were saved", back.len())), "{told}");
            assert!(back.len() < noise.len() && noise.starts_with(&back), "{}", back.len());
        }
    }
    hq.finish().await;
}
