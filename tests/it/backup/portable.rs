//! Export of a workspace, and its import as another one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup::portable::{Bounds, ExportSource, PortableTable, export as write_file, rows, unpack};
use features::agents::model::Agent;
use features::connections::model::Wire;
use features::deliverables::model::Deliverable;
use features::tasks::model::Task;
use features::tasks::rules::{self as tasks, NewTask};
use features::workspace::model::{Member, Settings};
use kernel::AgentStatus;
use parking_lot::Mutex;
use serde_json::json;
use server::portable::export;
use store::schema::Kind;
use store::{Class, Faults, Range, ReadExt as _, Record, Step, WriteTx};

use support::hq::Setup;
use support::model::Turn;
use support::office::Office;

fn all<R: Record>(office: &Office, slug: &str) -> Vec<R> {
    let ws = office.hq.running().app.workspace(slug).expect("a workspace");
    ws.read(|snap| snap.list::<R>(&Range::all())).expect("readable")
}

#[test]
fn every_record_comes_back_from_its_json_byte_for_byte() {
    let schema = server::schema::workspace();
    for info in schema.tables() {
        let (Kind::Record(class), Some(ops)) = (info.kind, &info.ops) else { continue };
        if matches!(class, Class::Sealed | Class::Remade | Class::Derived) {
            continue;
        }
        let row = (ops.sample)().expect("a sample");
        let text = (ops.json)(&row).expect("JSON").to_string();
        let value = serde_json::from_str(&text).expect("JSON");
        let (_, again) =
            (ops.parse)(value).unwrap_or_else(|error| panic!("{}: {error}", info.name));
        assert_eq!(hex::encode(again), hex::encode(row), "{}", info.name);
    }
}

/// An office whose agent has delivered something.
async fn busy() -> Office {
    let office = Office::open().await;
    let ada = office.agent("Ada").await;
    let file = json!({ "path": "notes/offers.md", "content": "# Offers\n" });
    office.model.push(Turn::call("write", file));
    office.model.push(Turn::call(
        "work_done",
        json!({ "summary": "Compared the offers.", "task_state": "complete" }),
    ));
    let task = office.task("Compare two offers", &ada).await;
    office.worked(task.id, 1).await;
    office.hq.settle().await;
    sent(&office, "offers.bin", vec![7; 200_000]).await;
    office
}

/// Uploads a file to the task; returns its id and the name of its blob.
async fn sent(office: &Office, name: &str, content: Vec<u8>) -> (String, String) {
    let (api, path) = (office.hq.api().await, format!("/api/v1/tasks/MC-1/files?name={name}"));
    let made = api.bytes("POST", &path, "application/octet-stream", content).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let word = |field: &str| made.json()[field].as_str().expect("a word").to_owned();
    (word("id"), word("sha256"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_exported_and_made_anew_under_another_name() {
    let office = busy().await;
    let api = office.hq.api().await;
    let file = api.get("/api/v1/export").await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type"), Some("application/zstd"));
    let noted = api.get("/api/v1/activity?event=workspace.exported").await.json();
    let text = noted["items"][0]["text"].as_str().unwrap_or_default();
    assert!(text.ends_with("exported the workspace as one file"), "{noted}");
    let bytes = exported(&office).await;
    let again = post_bytes(&office, "/api/v1/import", bytes.clone()).await;
    assert_eq!(again.0, 409, "{}", again.1);
    assert!(again.1.contains("a workspace marlow-cargo already exists"), "{}", again.1);
    let made = post_bytes(&office, "/api/v1/import?slug=second", bytes).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let made: serde_json::Value = serde_json::from_str(&made.1).expect("JSON");
    assert_eq!(made["slug"], "second");
    assert!(made["left_out"].to_string().contains("secrets aren't exported"), "{made}");

    let (first, second) = ("marlow-cargo", "second");
    let titles = |slug| {
        all::<Task>(&office, slug).into_iter().map(|t| (t.number, t.title)).collect::<Vec<_>>()
    };
    assert_eq!(titles(first), titles(second));
    assert_eq!(all::<Deliverable>(&office, first), all::<Deliverable>(&office, second));
    assert_eq!(all::<Member>(&office, second).len(), 1, "the owner was in it already");
    let ids: Vec<_> = [first, second].map(|slug| all::<Settings>(&office, slug)[0].id).to_vec();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(made["workspace"], ids[1].to_string());
    let ada = &all::<Agent>(&office, second)[0];
    assert_eq!(ada.status, AgentStatus::Paused);
    let ws = office.hq.running().app.workspace(second).expect("it is open");
    let notes = ws.agent_folder(&ada.slug).join("notes/offers.md");
    assert_eq!(std::fs::read_to_string(notes).expect("her files"), "# Offers\n");
    let blob = store::BlobId::of(&[7; 200_000]);
    assert_eq!(ws.blobs.get(blob, 1 << 20).expect("a blob").len(), 200_000);
    let page = office.hq.owner().get("/w/second/tasks?status=all").await;
    assert!(page.text.contains("Compare two offers"), "{}", page.text);
    assert!(
        !office
            .hq
            .data()
            .read_dir()
            .expect("a folder")
            .flatten()
            .any(|one| { one.file_name().to_string_lossy().starts_with("importing-") })
    );
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_takes_neither_a_new_workspace_nor_an_import() {
    let office = Office::open().await;
    let bytes = exported(&office).await;
    let app = &office.hq.running().app;
    let api = office.hq.api().await.with("x-hq-workspace", "marlow-cargo");
    // Each list entry counts, even if they share a store here.
    let one = app.workspaces.read()[0].clone();
    app.workspaces.write().resize(200, one.clone());
    let imported = api.post_bytes("/api/v1/import?slug=second", bytes.clone()).await;
    let owner = office.hq.owner().with("x-hq-workspace", "marlow-cargo");
    let added = owner.json("POST", "/api/v1/workspaces", &json!({ "name": "Northwind" })).await;
    for (status, text) in [imported, (added.status.as_u16(), added.text)] {
        assert!((400..500).contains(&status), "{status} {text}");
        assert!(text.contains("already has 200 workspaces"), "{text}");
    }
    app.workspaces.write().truncate(199);
    let imported = api.post_bytes("/api/v1/import?slug=second", bytes).await;
    assert_eq!(imported.0, 201, "{}", imported.1);
    app.workspaces.write().retain(|ws| ws.slug != one.slug);
    app.workspaces.write().push(one);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_removed_stays_at_home_and_files_that_are_lost_are_named() {
    let office = busy().await;
    let api = office.hq.api().await;
    let (id, removed) = sent(&office, "salaries.txt", b"what everybody earns".to_vec()).await;
    assert_eq!(api.call("DELETE", &format!("/api/v1/files/{id}")).await.status, 204);
    let loose = office.ws().blobs.put(b"nobody held this ever").expect("a blob").to_string();
    let (_, missing) = sent(&office, "missing.txt", b"it will be missing".to_vec()).await;
    let (_, damaged) = sent(&office, "damaged.txt", b"it will be damaged".to_vec()).await;
    let blobs = office.ws().folder.join("blobs");
    let path = |id: &str| blobs.join(&id[..2]).join(&id[2..]);
    assert!(path(&removed).exists(), "the history remembers it");
    std::fs::remove_file(path(&missing)).expect("a file");
    std::fs::write(path(&damaged), b"it has been damaged").expect("a file");

    let bytes = exported(&office).await;
    let page = office.hq.owner().get("/w/marlow-cargo/settings/export").await;
    for id in [&missing, &damaged] {
        let words = format!("Not included: the file {id}");
        assert!(page.text_of("#export").contains(&words), "{words}: {}", page.text);
    }
    let plain = zstd_all(&bytes);
    for id in [&removed, &loose] {
        assert!(find(&plain, id.as_bytes()).is_none(), "not even its name");
    }
    for words in [&b"what everybody earns"[..], b"nobody held this ever", b"been damaged"] {
        assert!(find(&plain, words).is_none(), "{words:?}");
    }
    let made = post_bytes(&office, "/api/v1/import?slug=second", bytes).await;
    assert_eq!(made.0, 201, "{}", made.1);
    for words in [
        format!("the file {missing}: it is missing on the disk"),
        format!("the file {damaged}: its content is damaged"),
    ] {
        assert!(made.1.contains(&words), "{words}: {}", made.1);
    }
    let ws = office.hq.running().app.workspace("second").expect("it is open");
    let there = store::BlobId::of(&[7; 200_000]);
    assert!(ws.blobs.get(there, 1 << 20).is_ok() && ws.blobs.open_blob(there).is_ok());
    let gone: store::BlobId = removed.parse().expect("a name");
    assert!(ws.blobs.open_blob(gone).is_err());
    drop(ws);
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_as_it_says_changes_nothing() {
    let office = busy().await;
    let bytes = exported(&office).await;
    let plain = zstd_all(&bytes);
    // A path traversal, an unlisted file, a changed byte, a truncation.
    let named = replaced(&plain, b"agents.bundle", b"../bundle.txt");
    let mut changed = plain.clone();
    let at = find(&plain, b"Compare two offers").expect("a title");
    changed[at] ^= 0x20;
    let half = plain[..plain.len() / 2].to_vec();
    for (what, bad, words) in [
        ("path", named, "isn't part of a workspace"),
        ("byte", changed, "doesn't match the hash"),
        ("half", half, "isn't an exported workspace, or it's damaged"),
        ("none", b"hello".to_vec(), "isn't an exported workspace"),
    ] {
        let reply = post_bytes(&office, "/api/v1/import?slug=bad", packed(&bad)).await;
        assert!(reply.0 >= 400, "{what}: {}", reply.1);
        assert!(reply.1.contains(words), "{what}: {}", reply.1);
        assert!(!office.hq.data().join("workspaces/bad").exists(), "{what}");
    }
    assert_eq!(office.hq.running().app.workspaces.read().len(), 1);
    let slug = post_bytes(&office, "/api/v1/import?slug=../x", bytes).await;
    assert!(slug.1.contains("can't be used in URLs"), "{}", slug.1);
    office.hq.finish().await;
}

/// A portable file with this manifest, followed by these files.
fn made_up(
    files: &serde_json::Value,
    tables: &serde_json::Value,
    members: &[(&str, &[u8])],
) -> Vec<u8> {
    let manifest = json!({
        "format": 1, "kind": "hq-workspace", "app": "0.1.0",
        "exported_at": "2026-11-20T12:00:00Z", "slug": "bomb",
        "workspace": "00000000-0000-0000-0000-000000000001", "seq": 1, "tables": tables,
        "files": files, "left_out": [],
    });
    let mut tar = tar::Builder::new(Vec::new());
    let text = manifest.to_string();
    for (name, bytes) in [("manifest.json", text.as_bytes())].iter().chain(members) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, *bytes).expect("a member");
    }
    packed(&tar.into_inner().expect("a tar"))
}

fn bounded(file: &[u8], files: usize, ratio: u64, room: &dyn Fn() -> u64) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let bounds = Bounds { files, ratio, room };
    let done = unpack(&mut &file[..], folder.path(), &bounds);
    done.err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn a_small_file_that_unpacks_to_more_than_there_is_room_is_stopped_early() {
    use sha2::Digest as _;
    let plenty = || u64::MAX;
    let zeros = vec![0u8; 300 << 20];
    let sha = hex::encode(sha2::Sha256::digest(&zeros));
    let name = format!("blobs/{}/{}", &sha[..2], &sha[2..]);
    let files = json!({ &name: { "bytes": zeros.len(), "sha256": sha } });
    let bomb = made_up(&files, &json!([]), &[(&name, &zeros)]);
    drop(zeros);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    assert_eq!(bounded(&bomb, 10, 1_000_000, &plenty), "", "with room enough it is fine");
    let words = bounded(&bomb, 10, 100, &plenty);
    assert!(words.contains("more than 100 times its size"), "{words}");
    // Declared sizes are compared with the free space before unpacking.
    let words = bounded(&bomb, 10, 1_000_000, &|| 1 << 20);
    assert!(words.contains("needs 300 MB and there are 1 MB free"), "{words}");
    // Actual sizes are checked while unpacking: here the disk fills up in the middle.
    let asked = std::cell::Cell::new(0);
    let filling = || {
        asked.set(asked.get() + 1);
        if asked.get() < 5 { u64::MAX } else { 0 }
    };
    let words = bounded(&bomb, 10, 1_000_000, &filling);
    assert!(words.contains("the disk is full"), "{words}");
    assert!(asked.get() < 10, "it is stopped at the next stretch: {}", asked.get());
    let lying = made_up(&json!({ &name: { "bytes": u64::MAX, "sha256": sha } }), &json!([]), &[]);
    let words = bounded(&lying, 10, 1_000_000, &|| 1 << 40);
    assert!(words.contains("MB free"), "{words}");
}

#[test]
fn too_many_files_names_of_any_length_and_lines_without_an_end_are_refused() {
    let plenty = || u64::MAX;
    let many: serde_json::Map<_, _> = (0..50)
        .map(|n| {
            let sha = format!("{n:064x}");
            let name = format!("blobs/{}/{}", &sha[..2], &sha[2..]);
            (name, json!({ "bytes": 0, "sha256": sha }))
        })
        .collect();
    let words = bounded(&made_up(&json!(many), &json!([]), &[]), 49, 100, &plenty);
    assert!(words.contains("lists 50 files, and the limit is 49"), "{words}");
    // A name of many megabytes would be read into memory.
    let mut long = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    long.append(&header, std::io::repeat(b'a').take(64 << 20)).expect("a member");
    let words = bounded(&packed(&long.into_inner().expect("a tar")), 10, 1 << 40, &plenty);
    assert!(words.contains("doesn't start with manifest.json"), "{words}");

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("tables")).expect("a folder");
    let file = "tables/0001-x.jsonl".to_owned();
    let table =
        |rows| PortableTable { number: 1, name: "x".into(), version: 1, rows, file: file.clone() };
    std::fs::write(folder.path().join(&file), vec![b'['; 17 << 20]).expect("a file");
    let words = rows(folder.path(), &table(1), &mut |_| Ok(())).expect_err("too long").to_string();
    assert!(words.contains("line 1: it is longer than 16 MB"), "{words}");
    std::fs::write(folder.path().join(&file), "{\"row\":1}\n".repeat(9)).expect("a file");
    let mut taken = 0;
    let counted = rows(folder.path(), &table(3), &mut |_| {
        taken += 1;
        Ok(())
    });
    let words = counted.expect_err("too many").to_string();
    assert!(words.contains("line 4: expected 3 rows"), "{words}");
    assert_eq!(taken, 3);
}

/// Exports the workspace through the page.
async fn exported(office: &Office) -> Vec<u8> {
    const PAGE: &str = "/w/marlow-cargo/settings/export";
    let owner = office.hq.owner();
    assert_eq!(owner.form(PAGE, &[]).await.location(), Some(PAGE));
    made(office).await;
    assert!(owner.get(PAGE).await.text_of("#export").contains("File ready"));
    let bytes = owner.download(&format!("{PAGE}/file")).await;
    assert!(bytes.len() > 1000);
    bytes
}

async fn post_bytes(office: &Office, path: &str, bytes: Vec<u8>) -> (u16, String) {
    let token = office.hq.api().await;
    token.post_bytes(path, bytes).await
}

fn zstd_all(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::stream::Decoder::new(bytes).expect("zstd").read_to_end(&mut out).expect("zstd");
    out
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    out.write_all(bytes).expect("zstd");
    out.finish().expect("zstd")
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Replaces every occurrence by text of the same length.
fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    assert_eq!(what.len(), with.len());
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = find(&out[at..], what) {
        out[at + found..at + found + what.len()].copy_from_slice(with);
        at += found + what.len();
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_made_once_at_a_time_and_goes_after_a_day_or_a_restart() {
    let mut office = busy().await;
    let api = office.hq.api().await;
    assert_eq!(api.get("/api/v1/export/file").await.status, 404, "there is none yet");
    let page = office.hq.owner().get("/w/marlow-cargo/settings/export").await;
    assert!(page.text_of("#export").contains("No file yet"));
    let bytes = exported(&office).await;
    assert_eq!(api.download("/api/v1/export/file").await, bytes);
    let begun = api.post("/api/v1/export", &serde_json::json!({})).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let member = office.hq.another("Tom", Some(kernel::Role::Member)).await;
    assert_eq!(member.get("/api/v1/export/file").await.status, 403);
    made(&office).await;
    server::exports::sweep(&office.hq.running().app);
    assert_eq!(api.get("/api/v1/export/file").await.status, 200, "it is kept");
    office.hq.advance_unnoticed(std::time::Duration::from_secs(25 * 3_600));
    server::exports::sweep(&office.hq.running().app);
    assert_eq!(api.get("/api/v1/export/file").await.status, 404);

    // Also in workspaces without activity; remains of a program are removed at the next start.
    let ws = office.ws();
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Setup);
    let app = office.hq.running().app.clone();
    server::workspaces::life::archive(&app, by, &ws).await.expect("archived");
    let begun = api.post("/api/v1/export", &serde_json::json!({})).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    made(&office).await;
    let folder = office.hq.data().join("backups").join(format!("export-file-{}", ws.id));
    assert!(folder.exists());
    drop((app, ws));
    office.hq.restart().await;
    assert!(!folder.exists());
    office.hq.finish().await;
}

/// Runs an action when the first bytes are written.
struct Meanwhile<F> {
    out: Vec<u8>,
    act: Option<F>,
}

impl<F: FnOnce()> Write for Meanwhile<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(act) = self.act.take() {
            act();
        }
        self.out.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_exports_of_one_workspace_at_once_are_both_whole_and_leave_nothing() {
    let office = busy().await;
    let (ws, data) = (office.ws(), office.hq.data());
    let mut inner = Vec::new();
    // The second export runs completely after the first has spooled everything.
    let act = || drop(export(&ws, &mut inner, &data).expect("the second"));
    let mut outer = Meanwhile { out: Vec::new(), act: Some(act) };
    tokio::task::block_in_place(|| export(&ws, &mut outer, &data)).expect("the first");
    let outer = outer.out;
    let plenty = || u64::MAX;
    for file in [&outer, &inner] {
        assert!(file.len() > 1000);
        assert_eq!(bounded(file, 10_000, 1_000, &plenty), "");
    }
    let left: Vec<_> =
        std::fs::read_dir(data.join("backups")).expect("a folder").flatten().collect();
    assert!(left.iter().all(|one| !one.file_name().to_string_lossy().starts_with("export-")));
    office.hq.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_stops_before_the_disk_is_full_and_says_which_entry_it_ends_with() {
    let office = busy().await;
    let (ws, folder) = (office.ws(), tempfile::tempdir().expect("a folder"));
    let by = (kernel::Actor::System(kernel::Part::Cli), kernel::Cause::Timer);
    let asked = std::cell::Cell::new(0);
    let (store, then) = (ws.store.clone(), ws.store.head().seq);
    let room = |limit: u64| {
        let (asked, store) = (&asked, store.clone());
        move || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                // Another write within the export.
                let (store, new) = (store.clone(), NewTask::titled("Too late"));
                let write = move |tx: &mut WriteTx<'_>| tasks::create(tx, new).map(drop);
                let other = std::thread::spawn(move || store.write_blocking(by.0, by.1, write));
                other.join().expect("no panic").expect("a task");
            }
            if asked.get() < limit { u64::MAX } else { 0 }
        }
    };
    let write = |room: &dyn Fn() -> u64| {
        let source = ExportSource {
            store: &ws.store,
            folder: &ws.folder,
            slug: &ws.slug,
            workspace: ws.id.to_string(),
            now: office.hq.now(),
            bundle: &|_| Ok(0),
            room,
        };
        let spool = folder.path().join("spool");
        tokio::task::block_in_place(|| write_file(&source, &spool, &mut std::io::sink()))
    };
    let whole = write(&room(u64::MAX)).expect("there is room");
    assert!(then < ws.store.head().seq);
    assert_eq!(whole.seq, then, "the entry of the snapshot, not a later one");
    asked.set(10);
    let full = write(&room(14)).expect_err("the disk is full").to_string();
    assert!(full.contains("no storage space"), "{full}");
    assert!(asked.get() < 17, "it stopped at once: {}", asked.get());
    office.hq.finish().await;
}

/// Waits for the export without polling the API, which has a rate limit.
async fn made(office: &Office) {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let jobs = &office.hq.running().app.jobs;
    while jobs.state("marlow-cargo", "export").is_none_or(|state| state.ended.is_none()) {
        assert!(tokio::time::Instant::now() < end, "it is made in time");
        tokio::task::yield_now().await;
    }
}

/// Files below a folder with their contents.
fn lies(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.clone(), std::fs::read(&path).expect("a file"))),
            }
        }
    }
    found
}

/// Records which files were made durable and renamed; fails after a number of steps.
#[derive(Default)]
struct Plug {
    left: AtomicUsize,
    settled: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    steps: Mutex<Vec<&'static str>>,
}

impl Faults for Plug {
    fn step(&self, step: Step<'_>) -> std::io::Result<()> {
        let one = |n: usize| n.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one).is_err() {
            return Err(std::io::Error::other("the power is gone"));
        }
        let word = match step {
            Step::Settle(folder) => {
                *self.settled.lock() = lies(folder);
                "settle"
            }
            Step::Rename(from, _) => {
                let settled = self.settled.lock();
                assert!(settled.keys().any(|path| path.ends_with("hq.redb")), "the store is in it");
                assert!(*settled == lies(from), "nothing was written since");
                "rename"
            }
            Step::Names(_) => "names",
            Step::Sync(_) | Step::Link(..) => "other",
        };
        self.steps.lock().push(word);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_may_go_at_any_step_of_an_import() {
    let plug = Arc::new(Plug::default());
    let setup = Setup::default().faults(Arc::clone(&plug) as Arc<dyn Faults>);
    let office = Office::with(setup, Wire::OpenaiChat, "mock").await;
    office.agent("Ada").await;
    office.ws().blobs.put(&[7; 200_000]).expect("a blob");
    let bytes = exported(&office).await;
    let place = office.hq.data().join("workspaces/second");
    for left in 0..2 {
        plug.left.store(left, Ordering::SeqCst);
        let cut = post_bytes(&office, "/api/v1/import?slug=second", bytes.clone()).await;
        assert!(cut.0 >= 500, "{left}: {} {}", cut.0, cut.1);
        assert!(!place.exists(), "{left}: nothing took its place");
    }
    plug.steps.lock().clear();
    plug.left.store(3, Ordering::SeqCst);
    let made = post_bytes(&office, "/api/v1/import?slug=second", bytes).await;
    assert_eq!(made.0, 201, "{}", made.1);
    assert_eq!(*plug.steps.lock(), ["settle", "rename", "names"]);
    assert!(place.join("hq.redb").exists());
    office.hq.finish().await;
}
