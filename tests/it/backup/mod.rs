//! Backups and restores: contents, detection of changed bytes, interruptions.

/// Delegates the target's methods to a folder, except those that the test overrides.
macro_rules! as_folder {
    ($inner:ident) => {
        fn place(&self) -> &str {
            self.$inner.place()
        }
        fn list(&self, prefix: &str) -> Result<Vec<backup::Object>, backup::BackupError> {
            self.$inner.list(prefix)
        }
        fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, backup::BackupError> {
            self.$inner.get(name, limit)
        }
    };
}

mod commands; // the real program and its commands
mod s3; // S3, with a server that checks signatures
mod work; // backups under load, and agents after a restore
mod portable; // one workspace as a file
mod page; // the page, the API, the schedule
mod places; // damaged pieces, missing disks, slow and full targets, leftovers
mod moment; // a time between two backups
mod formats; // backups of older and newer formats
mod doors; // what a restore revokes: sessions, tokens, cursors
mod people; // members of a workspace after a restore
mod wild; // unusual files in agents' folders
mod power; // power failure while a restore replaces the data
mod shared; // one place used by several HQs
mod incomplete; // backups that lack a workspace
mod stuck; // unreadable manifests
mod whereabouts; // which backups are at which place, and failures by place
mod canary; // no used secret appears in any file
mod leaf; // the repository: pieces, hashes, failures of the target

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use app::Ws;
use backup::{
    BackupError, Folder, Manifest, Meter, Owner, Repository, Source, SourceWorkspace, Target, make,
};
use crypto::keyring::Secret;
use features::backups::queries;
use serde_json::json;

use support::hq::TestHq;
use support::work::agent;

/// Source of backups of a test's HQ.
pub fn source(hq: &TestHq) -> Source {
    let app = &hq.running().app;
    let still = queries::listed(&app.system);
    let all: Vec<Ws> = app.workspaces.read().clone();
    let workspaces = all.into_iter().map(|ws| SourceWorkspace {
        slug: ws.slug.clone(),
        store: ws.store.clone(),
        folder: ws.folder.clone(),
    });
    Source {
        system: app.system.clone(),
        workspaces: workspaces.collect(),
        data: hq.data(),
        key_id: app.keyring.key_id().to_string(),
        former_keys: Vec::new(),
        left_out: Vec::new(),
        listed: still().expect("a list"),
        still,
        owner: Owner("test".to_owned()),
        beside_others: false,
        clock: Arc::clone(&app.clock),
    }
}

/// The repository in a folder, created if necessary.
pub fn repository(folder: &Path, passphrase: Option<&str>) -> Repository {
    let target = Arc::new(Folder::new(folder.to_owned()));
    let passphrase = passphrase.map(Secret::new);
    let now = "2026-11-20T12:00:00Z".parse().expect("a moment");
    Repository::open_or_begin(target, passphrase.as_ref(), now).expect("a repository")
}

pub fn back_up(hq: &TestHq, repo: &Repository) -> Manifest {
    make(repo, &source(hq), &Meter::default()).expect("a backup")
}

/// A workspace with an agent, some tasks and a large file.
pub async fn filled() -> TestHq {
    let hq = TestHq::start().await;
    agent(&hq, "Ada").await;
    let api = hq.api().await;
    for n in 0..20 {
        let made = api.post("/api/v1/tasks", &json!({ "title": format!("Task {n}") })).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let noise: Vec<u8> = (0..3_000_000u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_be_bytes())
        .take(3_000_000)
        .collect();
    hq.ws().blobs.put(&noise).expect("a blob");
    // No background change follows.
    hq.followed().await;
    hq
}

/// All files in a folder and its subfolders.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Failures of a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It disappears after a number of writes.
    Gone,
    /// It is full after a number of writes, whatever it reported before.
    Full,
    /// It reports from the start that almost no space is free.
    SaysSo,
}

/// A folder that fails after a number of writes.
pub struct Failing {
    inner: Folder,
    left: AtomicUsize,
    fault: Fault,
}

impl Failing {
    pub fn after(folder: &Path, writes: usize, fault: Fault) -> Arc<Self> {
        let inner = Folder::new(folder.to_owned());
        Arc::new(Self { inner, left: AtomicUsize::new(writes), fault })
    }
}

impl Target for Failing {
    as_folder!(inner);
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        let counted = |n: usize| n.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted).is_ok() {
            return self.inner.put(name, bytes);
        }
        let place = self.place().to_owned();
        Err(match self.fault {
            Fault::Gone => BackupError::Target { place, why: "it is gone".to_owned() },
            Fault::Full | Fault::SaysSo => BackupError::Full { place, free_mb: 0, need_mb: 1 },
        })
    }
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        match (self.left.load(Ordering::SeqCst), self.fault) {
            // A target that is gone cannot delete anything either.
            (0, Fault::Gone) => Ok(()),
            _ => self.inner.delete(name),
        }
    }
    fn free(&self) -> Option<u64> {
        (self.fault == Fault::SaysSo).then_some(1 << 20)
    }
}
