//! Backups and restores: what is in them, what is found when a byte is wrong, what a cut leaves.

mod commands; // the real program and its commands
mod s3; // S3, against a server that checks signatures
mod work; // under load, and agents after a restore
mod portable; // one workspace as one file
mod page; // the page, the API, the schedule
mod leaf; // the repository: pieces, hashes, faults of the target

use std::sync::Arc;

use hq::app::Ws;
use hq::backup::{Folder, Manifest, Meter, Owner, Repository, Source, SourceWorkspace, make};
use hq::crypto::keyring::Secret;

use crate::support::hq::TestHq;

/// What a test's HQ backs up.
pub fn source(hq: &TestHq) -> Source {
    let app = &hq.running().app;
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
        left_out: Vec::new(),
        owner: Owner("test".to_owned()),
        clock: Arc::clone(&app.clock),
    }
}

/// The repository in a folder, made if need be.
pub fn repository(folder: &std::path::Path, passphrase: Option<&str>) -> Repository {
    let target = Arc::new(Folder::new(folder.to_owned()));
    let passphrase = passphrase.map(Secret::new);
    let now = "2026-11-20T12:00:00Z".parse().expect("a moment");
    Repository::open_or_begin(target, passphrase.as_ref(), now).expect("a repository")
}

/// Makes a backup there.
pub fn back_up(hq: &TestHq, repo: &Repository) -> Manifest {
    make(repo, &source(hq), &Meter::default()).expect("a backup")
}
