//! Restoring a data folder whose program does not run: check everything, write it into an empty place,
//! open and check what was written, then swap by renaming.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::app::Rehearse;
use crate::backup::{
    BackupError, Manifest, Meter, Repository, Swap, finish_swap, room, verify, write_out,
};
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::crypto::master::MasterKey;
use crate::features::backups::rules as backups;
use crate::features::connections::model::{Connection, ConnectionKey};
use crate::kernel::id::{IdSource, SystemIds};
use crate::kernel::time::SystemClock;
use crate::kernel::{Actor, Cause, Clock, Part, Timestamp};
use crate::store::{NoFaults, Options, Range, ReadExt, Schema, Store, StoreError};

use super::{lock, schema};

const CACHE: usize = 16 * 1024 * 1024;

/// What is to be restored.
pub struct RestoreWish {
    /// The data folder.
    pub data: PathBuf,
    /// Which backup.
    pub backup: Which,
    /// One workspace, or everything.
    pub workspace: Option<String>,
    /// Whether anything is written.
    pub mode: Mode,
    /// The file of the master key.
    pub key_file: PathBuf,
}

/// Which backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Newest,
    /// This one; its beginning is enough.
    Id(String),
    /// As it was at a moment.
    At(Timestamp),
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is checked, nothing is written.
    DryRun,
    /// It is restored.
    Restore,
    /// It is restored, where nothing may be yet.
    IntoEmpty,
}

/// What was restored.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The backup.
    pub backup: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The data folder.
    pub data: PathBuf,
    /// What was restored, or would be.
    pub workspaces: Vec<String>,
    /// Bytes that were checked.
    pub bytes: u64,
    /// Rows of stores that were checked.
    pub rows: u64,
    /// Where what was there before lies now.
    pub kept: Option<PathBuf>,
    /// What cannot be read with the master key that is there.
    pub unreadable: Vec<String>,
    /// Whether anything was written.
    pub dry_run: bool,
}

/// The tables of the store at a path of a backup.
fn schema_of(path: &str) -> Schema {
    if path == "system.redb" { schema::system() } else { schema::workspace() }
}

/// Restores. Blocking; inside an async runtime when the repository is a bucket.
///
/// # Errors
/// When a byte is wrong, something is in the way, or HQ runs on the folder: then nothing has changed.
pub fn restore(
    repo: &Repository,
    wish: &RestoreWish,
    meter: &Meter,
) -> Result<Restored, BackupError> {
    let manifest = chosen(repo, &wish.backup)?;
    let only = wish.workspace.as_deref();
    if let Some(slug) = only.filter(|slug| !manifest.workspaces.iter().any(|one| one == slug)) {
        let words = format!(
            "the backup {} holds no workspace {slug}; it holds {}",
            manifest.id,
            manifest.workspaces.join(", ")
        );
        return Err(BackupError::Restore(words));
    }
    if wish.mode == Mode::IntoEmpty && !is_empty(&wish.data)? {
        return Err(BackupError::Restore(format!(
            "{} is not empty; give an empty folder, or leave out --into to put the backup in the \
             place of what is there",
            wish.data.display()
        )));
    }
    let clock = SystemClock;
    // Held until the end: nobody starts HQ in the middle.
    let _lock = match wish.mode {
        Mode::DryRun => None,
        Mode::Restore | Mode::IntoEmpty => Some(
            lock::take(&wish.data, clock.now())
                .map_err(|error| BackupError::Restore(error.to_string()))?,
        ),
    };
    room(&wish.data, &manifest, only)?;
    let checked = verify(repo, &manifest, only, meter)?;
    if let Some(fault) = checked.faults.into_iter().next() {
        return Err(fault);
    }
    let mut restored = Restored {
        backup: manifest.id.clone(),
        taken_at: manifest.taken_at,
        data: wish.data.clone(),
        workspaces: only.map_or_else(|| manifest.workspaces.clone(), |one| vec![one.to_owned()]),
        bytes: checked.bytes,
        rows: checked.rows,
        kept: None,
        unreadable: Vec::new(),
        dry_run: wish.mode == Mode::DryRun,
    };
    if wish.mode == Mode::DryRun {
        return Ok(restored);
    }
    finish_swap(&wish.data)?;
    let names = match only {
        Some(slug) => vec![format!("workspaces/{slug}")],
        None => vec!["system.redb".to_owned(), "workspaces".to_owned()],
    };
    let had = names.iter().any(|name| wish.data.join(name).exists());
    let swap = Swap::at(clock.now(), names);
    let staged = swap.stage(&wish.data)?;
    let written = write_out(repo, (&manifest, only), &staged, &schema_of, meter)
        .and_then(|()| awaken(&staged, &manifest, &restored.workspaces, &wish.key_file));
    match written {
        Ok(unreadable) => restored.unreadable = unreadable,
        Err(error) => {
            // ok: the first error counts; the next restore clears the folder.
            let _ = fs::remove_dir_all(&staged);
            return Err(error);
        }
    }
    swap.carry_out(&wish.data)?;
    restored.kept = had.then(|| wish.data.join(&swap.kept));
    Ok(restored)
}

/// Whether a folder has nothing in it but what taking its lock left.
fn is_empty(folder: &Path) -> Result<bool, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(BackupError::disk(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::disk(folder))?;
        if !matches!(entry.file_name().to_str(), Some("lock" | "master.key")) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn chosen(repo: &Repository, which: &Which) -> Result<Manifest, BackupError> {
    let ids = repo.ids()?;
    let none = |wanted: &str| BackupError::NoBackup {
        place: repo.place().to_owned(),
        wanted: wanted.to_owned(),
    };
    match which {
        Which::Newest => repo.manifest(ids.last().ok_or_else(|| none("at all"))?),
        Which::Id(start) => {
            let mut fitting = ids.iter().filter(|id| id.starts_with(start.as_str()));
            match (fitting.next(), fitting.next()) {
                (Some(id), None) => repo.manifest(id),
                (Some(_), Some(_)) => Err(BackupError::Restore(format!(
                    "several backups begin with {start}; write more of the name"
                ))),
                (None, _) => Err(none(start)),
            }
        }
        Which::At(at) => {
            let (all, _) = repo.manifests()?;
            match all.iter().rfind(|manifest| manifest.taken_at <= *at) {
                Some(exact) if exact.taken_at == *at => Ok(exact.clone()),
                Some(before) => Err(BackupError::Restore(format!(
                    "a moment between two backups needs store::undo, which this version cannot \
                     run while restoring; the newest backup before {at} is {} of {}: give --at {}",
                    before.id, before.taken_at, before.id
                ))),
                None => Err(none(&format!("from before {at}"))),
            }
        }
    }
}

/// Opens what was written out, checks it, and notes in each store what happened to it.
fn awaken(
    folder: &Path,
    manifest: &Manifest,
    workspaces: &[String],
    key_file: &Path,
) -> Result<Vec<String>, BackupError> {
    let ring = match MasterKey::load(key_file) {
        Ok(key) => Some(Keyring::new(key)),
        // ok: the list says that it is missing.
        Err(_) => None,
    };
    let mut unreadable = Vec::new();
    if ring.as_ref().is_none_or(|ring| ring.key_id().as_str() != manifest.key_id) {
        unreadable.push(format!(
            "everybody's password: sign in again with `hq user reset-link` (the backup was made \
             with the master key {}, which is not at {})",
            manifest.key_id,
            key_file.display()
        ));
    }
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds::default());
    let each = |name: &str| open(folder, name, Arc::new(SystemClock), Arc::clone(&ids));
    let mut stores = Vec::new();
    if folder.join("system.redb").exists() {
        stores.push(each("system.redb")?);
    }
    for slug in workspaces {
        let store = each(&format!("workspaces/{slug}/hq.redb"))?;
        let keys = unreadable_keys(&store, ring.as_ref()).map_err(BackupError::store(slug))?;
        unreadable.extend(keys.into_iter().map(|name| format!("{slug}: the key of {name}")));
        stores.push(store);
    }
    for store in &stores {
        let (backup, taken_at) = (manifest.id.clone(), manifest.taken_at);
        store.write_blocking(Actor::System(Part::Restore), Cause::Restore, move |tx| {
            backups::note_restored(tx, backup, taken_at);
            Ok::<_, StoreError>(())
        })?;
        store.follow_chain()?;
        store.close();
    }
    Ok(unreadable)
}

fn open(
    folder: &Path,
    name: &str,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
) -> Result<Store, BackupError> {
    let opened = Store::open(Options {
        path: folder.join(name),
        schema: schema_of(name),
        cache: CACHE,
        clock,
        ids,
        reactor: None,
        faults: Arc::new(NoFaults),
    });
    let store = opened.map_err(BackupError::store(name))?;
    store.follow_chain().map_err(BackupError::store(name))?;
    Ok(store)
}

/// Connections whose key cannot be opened.
fn unreadable_keys(store: &Store, ring: Option<&Keyring>) -> Result<Vec<String>, StoreError> {
    store.read(|snap| {
        let mut names = Vec::new();
        for key in snap.list::<ConnectionKey>(&Range::all())? {
            let holds = ring.is_some_and(|ring| ring.key_id().as_str() == key.key_id);
            if !holds {
                let connection = snap.get::<Connection>(key.connection)?;
                names.push(connection.map_or_else(|| key.connection.to_string(), |one| one.name));
            }
        }
        Ok(names)
    })
}

/// How a restore is tried: into a folder, every store opened and its chain followed, then removed.
#[must_use]
pub fn rehearse(clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Rehearse {
    Arc::new(move |repo, manifest, folder, meter| {
        let clear = || match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BackupError::disk(folder)(error))
            }
            _ => Ok(()),
        };
        clear()?;
        room(folder, manifest, None)?;
        let checked = verify(repo, manifest, None, meter)?;
        if let Some(fault) = checked.faults.into_iter().next() {
            return Err(fault);
        }
        fs::create_dir_all(folder).map_err(BackupError::disk(folder))?;
        let tried = write_out(repo, (manifest, None), folder, &schema_of, meter).and_then(|()| {
            let mut entries = 0;
            for part in manifest.parts.iter().filter(|part| part.store.is_some()) {
                let store = open(folder, &part.path, Arc::clone(&clock), Arc::clone(&ids))?;
                entries += store.head().seq;
                store.close();
            }
            Ok(entries)
        });
        clear()?;
        let entries = tried?;
        Ok(format!(
            "{} workspaces opened, {} rows, {entries} entries and {} files are right",
            manifest.workspaces.len(),
            checked.rows,
            checked.files
        ))
    })
}

/// The master key's file of a data folder, as the settings say.
#[must_use]
pub fn key_file(config: &Config, data: &Path) -> PathBuf {
    match &config.master_key_file {
        Some(file) => file.clone(),
        None => data.join("master.key"),
    }
}
