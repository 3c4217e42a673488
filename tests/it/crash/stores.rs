//! The stores between two lives of the program: consistency, and which kinds of records and events were ever written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use server::schema;
use store::{Kind, Range, Read as _, Schema, Store, StoreError};
use tempfile::TempDir;

use crate::store::{check, opened};
use support::program::{run, run_json};

use super::covers;
use super::dice::program;

/// Commands that verify a whole store.
const COMMANDS: [&[&str]; 2] = [&["doctor", "store"], &["audit", "verify", "--blobs"]];
/// Consumer that keeps sums in rows.
const SUMS: &str = "usage-days";

#[derive(Default)]
pub struct Seen {
    tables: BTreeSet<&'static str>,
    events: BTreeSet<&'static str>,
}

fn workspaces(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("workspaces")).expect("the workspaces");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    // A hidden folder is being created or removed: its store is not in use.
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    paths.filter(|path| !hidden(path) && path.join("hq.redb").is_file()).collect()
}

impl Seen {
    /// Checks all stores: indexes and sums against a rebuild, rows and images against the chain of heads. Works on
    /// copies, so that the program finds its files as the kill left them.
    pub fn look(&mut self, data: &Path) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut files = vec![(data.join("system.redb"), schema::system as fn() -> Schema)];
        let own = workspaces(data).into_iter().map(|path| path.join("hq.redb"));
        files.extend(own.map(|file| (file, schema::workspace as fn() -> Schema)));
        for (n, (file, schema)) in files.into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            std::fs::copy(&file, &path).expect("a copy");
            let store = opened(&path, schema());
            check::all_fits(&store);
            self.note(&store);
        }
    }

    fn note(&mut self, store: &Store) {
        for entry in store.entries_after(0, usize::MAX).expect("the feed can be read") {
            for change in &entry.changes {
                let info = store.schema().table(change.table).expect("a table of the schema");
                self.tables.insert(info.name);
            }
            self.events.extend(entry.events.iter().map(features::cards::event_name));
        }
        for info in store.schema().tables() {
            if matches!(info.kind, Kind::Record(_) | Kind::Builtin) {
                let mut any = false;
                let found: Result<(), StoreError> = store.read(|snap| {
                    snap.raw_scan(info.number, &Range::all().limit(1), &mut |_, _| {
                        any = true;
                        std::ops::ControlFlow::Break(())
                    })
                });
                found.expect("a table can be read");
                self.tables.extend(any.then_some(info.name));
            }
        }
    }

    /// Adds what another has seen.
    pub fn add(&mut self, other: &Self) {
        self.tables.extend(&other.tables);
        self.events.extend(&other.events);
    }

    /// Kinds of records and events that never occurred, except those covered by other tests.
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = covers::loaded_tables()
            .filter(|name| !self.tables.contains(name))
            .chain(covers::loaded_events().filter(|name| !self.events.contains(name)));
        missing.collect()
    }
}

/// A copy of a workspace's store, with its temporary folder.
pub fn of_workspace(data: &Path, slug: &str) -> (TempDir, Store) {
    copied(&data.join("workspaces").join(slug).join("hq.redb"), schema::workspace())
}

/// A copy of the store of all workspaces, with its temporary folder.
pub fn of_system(data: &Path) -> (TempDir, Store) {
    copied(&data.join("system.redb"), schema::system())
}

fn copied(file: &Path, schema: Schema) -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("hq.redb");
    std::fs::copy(file, &path).expect("a copy");
    let store = opened(&path, schema);
    (folder, store)
}

/// Runs the program's own checks of its stores, with the program stopped and all work finished.
pub fn as_the_program_says(data: &Path) {
    for path in workspaces(data) {
        let slug = slug(&path);
        for command in COMMANDS {
            // They succeed only if nothing differs.
            run_json(program(), data, &[command, &["--workspace", &slug]].concat());
        }
    }
}

/// The same during its work: a workspace may not be registered yet, and entries skipped by the consumer are missing
/// from its sums until a rebuild.
pub fn as_the_program_says_meanwhile(data: &Path) {
    for path in workspaces(data) {
        let slug = slug(&path);
        for command in COMMANDS {
            let arguments = [command, &["--workspace", &slug, "--json"]].concat();
            let output = run(program(), data, &arguments);
            let errors = String::from_utf8_lossy(&output.stderr);
            if output.status.success() || errors.contains("there is no such workspace") {
                continue;
            }
            let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
                panic!("hq {arguments:?} ended with {}: {errors}", output.status)
            });
            let differences = ["workspace", "accounts"].map(|store| &found[store]["differences"]);
            let mut all = differences.into_iter().filter_map(Value::as_array).flatten().peekable();
            let known = all.peek().is_some() && all.all(|one| one["table"] == SUMS);
            assert!(known, "hq {arguments:?}: {found:#}");
        }
    }
}

fn slug(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
