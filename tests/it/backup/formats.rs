//! A backup by an older program, built from the folder of the first format as documented in docs/backup.md; and one by
//! a newer program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backup::{Folder, Meter, Repository, verify};
use features::tasks::model::Task;
use redb::{ReadableDatabase as _, ReadableTable as _, TableHandle as _};
use serde_json::{Value, json};
use server::restore::{Mode, RestoreRequest, Restored, Which, restore};
use sha2::{Digest as _, Sha256};
use store::{FORMAT, Range, ReadExt as _, migrate};

use crate::store::check;
use support::hq::Setup;

const ID: &str = "20261120T120000000Z-00aabb";

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn with_sum(text: String) -> String {
    let text = text + "\n";
    format!("{text}{}\n", sha(text.as_bytes()))
}

/// A manually written repository.
struct Hand {
    root: PathBuf,
    parts: Vec<Value>,
}

impl Hand {
    fn begin(root: &Path) -> Self {
        fs::create_dir_all(root.join("manifests")).expect("a folder");
        let head = json!({ "format": 1, "id": "00aabbccddee", "made_at": "2026-11-20T12:00:00Z" });
        fs::write(root.join("hq-backups.json"), with_sum(head.to_string())).expect("a head");
        Self { root: root.to_owned(), parts: Vec::new() }
    }

    fn part(&mut self, path: &str, kind: &str, bytes: &[u8], more: Value) {
        let mut chunks = Vec::new();
        for content in bytes.chunks(1 << 20) {
            let mut piece = b"HQC0".to_vec();
            piece.extend(zstd::bulk::compress(content, 3).expect("packed"));
            let sum = Sha256::digest(&piece);
            piece.extend_from_slice(&sum);
            let name = sha(content);
            let shelf = self.root.join("chunks").join(&name[..2]);
            fs::create_dir_all(&shelf).expect("a folder");
            fs::write(shelf.join(&name), &piece).expect("a piece");
            chunks.push(json!([name, content.len(), piece.len()]));
        }
        let mut part = json!({
            "path": path, "kind": kind, "bytes": bytes.len(), "sha256": sha(bytes), "chunks": chunks,
        });
        let fields = part.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        self.parts.push(part);
    }

    /// All rows of a store file, whatever its format.
    fn store(&mut self, path: &str, file: &Path, format: u32) {
        let db = crate::raw::open(file);
        let txn = db.begin_read().expect("a snapshot");
        let mut names: Vec<_> =
            txn.list_tables().expect("tables").map(|table| table.name().to_owned()).collect();
        names.sort();
        let (mut bytes, mut rows) = (Vec::new(), BTreeMap::new());
        for name in names {
            let number: u16 = name.trim_start_matches('t').parse().expect("a number");
            bytes.push(b'T');
            bytes.extend(number.to_be_bytes());
            let table = redb::TableDefinition::<&[u8], &[u8]>::new(&name);
            for row in txn.open_table(table).expect("a table").iter().expect("rows") {
                let (key, value) = row.expect("a row");
                bytes.push(b'R');
                for one in [key.value(), value.value()] {
                    bytes.extend(u32::try_from(one.len()).expect("short").to_be_bytes());
                }
                bytes.extend(key.value());
                bytes.extend(value.value());
                *rows.entry(number.to_string()).or_insert(0u64) += 1;
            }
        }
        bytes.push(b'E');
        let facts = json!({ "incarnation": "1", "seq": 1, "rows": rows, "format": format });
        self.part(path, "store", &bytes, json!({ "store": facts }));
    }

    fn end(self, key_id: &str) -> Repository {
        let label = json!({ "format": 1, "id": ID, "sealed": false });
        let manifest = json!({
            "format": 1, "id": ID, "taken_at": "2026-11-20T12:00:00Z",
            "started_at": "2026-11-20T12:00:00Z", "app": "0.0.1", "key_id": key_id,
            "workspaces": ["marlow-cargo"], "parts": self.parts, "new_bytes": 0,
        });
        let text = with_sum(format!("{label}\n{manifest}"));
        fs::write(self.root.join("manifests").join(ID), text).expect("a manifest");
        Repository::open(Arc::new(Folder::new(self.root)), None).expect("it opens")
    }
}

/// The folder of the first format and a backup of its stores.
fn first(folder: &Path, format: u32) -> (PathBuf, Repository) {
    let data = folder.join("first");
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/format-1/data.tar.gz");
    fs::create_dir_all(&data).expect("a folder");
    let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&data).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar unpacks it");
    let mut hand = Hand::begin(&folder.join("backups"));
    for path in ["system.redb", "workspaces/marlow-cargo/hq.redb"] {
        assert_eq!(migrate::format_of(&data.join(path)).expect("a store"), 1);
        hand.store(path, &data.join(path), format);
    }
    hand.part("workspaces/marlow-cargo/agents", "files", b"E", json!({ "files": 0 }));
    (data, hand.end("00000000"))
}

fn put_into(repo: &Repository, data: &Path) -> Result<Restored, String> {
    let wish = RestoreRequest {
        data: data.to_owned(),
        backup: Which::Newest,
        workspace: None,
        mode: Mode::IntoEmpty,
        key_file: data.join("master.key"),
    };
    let restored = tokio::task::block_in_place(|| restore(repo, &wish, &Meter::default()));
    restored.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_the_first_format_is_upgraded_when_it_is_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, repo) = first(folder.path(), 1);
    let manifest = repo.newest(None).expect("a backup");
    let checked = verify(&repo, &manifest, None, &Meter::default()).expect("a check");
    assert!(checked.faults.is_empty(), "{:?}", checked.faults);
    let new = folder.path().join("new");
    put_into(&repo, &new).expect("restored");
    let stores = ["system.redb", "workspaces/marlow-cargo/hq.redb"].map(|path| new.join(path));
    for file in &stores {
        assert_eq!(migrate::format_of(file).expect("a store"), FORMAT);
        assert_eq!(migrate::kept(file).expect("a folder").len(), 0, "the backup is the copy");
    }
    let hq = Setup::default().data(move |data| copied(&new, data)).unowned().await;
    for store in [&hq.ws().store, &hq.running().app.system] {
        check::all_fits(store);
    }
    let tasks: Vec<Task> = hq.ws().read(|snap| snap.list(&Range::all())).expect("tasks");
    assert!(tasks.iter().any(|task| task.title.contains("Zoë’s task 🚲")), "{}", tasks.len());
    hq.finish().await;
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copied(&path, &to),
            false => fs::copy(&path, &to).map(drop).expect("a copy"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_newer_format_is_refused_with_the_version_that_made_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, repo) = first(folder.path(), FORMAT + 7);
    let new = folder.path().join("new");
    let refused = put_into(&repo, &new).expect_err("it is newer");
    assert!(refused.contains(&format!("format {}", FORMAT + 7)), "{refused}");
    assert!(refused.contains("HQ version 0.0.1 created it"), "{refused}");
    assert!(!new.exists(), "nothing was touched");
}
