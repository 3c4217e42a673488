//! Restore of a data directory while the process is stopped: check the backup, write it to an empty folder, open and
//! check the result, then swap by renaming.
//!
//! To restore a time between two backups, the later backup is rolled back entry by entry to this time, and agents'
//! files by a commit on top of their history.

mod choice;
mod files;
mod stores;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use app::config::Config;
use backup::{
    BackupError, Checked, Manifest, Meter, Repository, Swap, finish_swap, is_staged, room, verify,
    write_out,
};
use kernel::time::SystemClock;
use kernel::{Clock, Timestamp};
use store::{Faults, NoFaults};

use super::{leftovers, lock};

pub use stores::rehearse;

use choice::{Chosen, chosen};
use stores::{Staged, awaken, former, listed, people, schema_of};

/// Parameters of a restore.
pub struct RestoreRequest {
    pub data: PathBuf,
    pub backup: Which,
    /// Slug of a single workspace; `None` for everything.
    pub workspace: Option<String>,
    pub mode: Mode,
    /// Path of the master key.
    pub key_file: PathBuf,
}

/// Selects a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Newest,
    /// The backup with this id or unique id prefix.
    Id(String),
    /// The state at this time, also between two backups.
    At(Timestamp),
}

/// What a restore writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Checks everything, writes nothing.
    DryRun,
    /// Restores. Workspaces that exist but are not in the backup stay.
    Restore,
    /// Restores, and removes everything else.
    Exactly,
    /// Restores into a directory that must be empty.
    IntoEmpty,
}

#[derive(Debug, Serialize)]
pub struct Restored {
    pub backup: String,
    pub taken_at: Timestamp,
    /// The time to which the backup was rolled back.
    pub moment: Option<Timestamp>,
    pub data: PathBuf,
    /// Slugs of the restored workspaces, also in a dry run.
    pub workspaces: Vec<String>,
    /// Slugs of workspaces that are not in the backup and stay.
    pub stay: Vec<String>,
    /// Bytes checked.
    pub bytes: u64,
    /// Store rows checked.
    pub rows: u64,
    /// Number of agents whose files were rolled back.
    pub agents_put_back: u64,
    /// Folder with the replaced data.
    pub kept: Option<PathBuf>,
    /// What the available master key cannot decrypt.
    pub unreadable: Vec<String>,
    /// Differences from the backup and other remarks, as sentences.
    pub notes: Vec<String>,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// Restores a backup. Blocking; must run in an async runtime if the repository is a bucket.
///
/// # Errors
/// When the backup is damaged, the target is in use or not empty; nothing has changed then.
pub fn restore(
    repo: &Repository,
    wish: &RestoreRequest,
    meter: &Meter,
) -> Result<Restored, BackupError> {
    restore_on(repo, wish, meter, &NoFaults)
}

/// Like [`restore`], with injected faults during the swap.
///
/// # Errors
/// As [`restore`]. A swap that has begun is finished by the next start.
pub fn restore_on(
    repo: &Repository,
    wish: &RestoreRequest,
    meter: &Meter,
    faults: &dyn Faults,
) -> Result<Restored, BackupError> {
    let mut chosen = chosen(repo, wish)?;
    let narrow = narrowed(&chosen.manifest, wish)?;
    if wish.mode == Mode::IntoEmpty && !is_empty(&wish.data)? {
        return Err(BackupError::Restore(format!(
            "{} isn't empty; give an empty folder, or omit --into to replace the current data with \
             the backup",
            wish.data.display()
        )));
    }
    let clock = SystemClock;
    // Held until the end, so that HQ cannot start in between.
    let _lock = match wish.mode {
        Mode::DryRun => None,
        Mode::Restore | Mode::Exactly | Mode::IntoEmpty => Some(
            lock::take(&wish.data, clock.now())
                .map_err(|error| BackupError::Restore(error.to_string()))?,
        ),
    };
    let ((manifest, only), checked) = sound(repo, wish, &mut chosen, narrow, meter)?;
    let mut restored = Restored {
        backup: manifest.id.clone(),
        taken_at: manifest.taken_at,
        moment: chosen.moment,
        data: wish.data.clone(),
        workspaces: only.map_or_else(|| manifest.workspaces.clone(), |one| vec![one.to_owned()]),
        bytes: checked.bytes,
        rows: checked.rows,
        agents_put_back: 0,
        stay: Vec::new(),
        kept: None,
        unreadable: Vec::new(),
        notes: chosen.passed_over(wish.workspace.as_deref()),
        dry_run: wish.mode == Mode::DryRun,
    };
    if wish.mode == Mode::DryRun {
        restored.stay = standing(&wish.data, &manifest, wish, only)?;
        restored.notes.extend(stays(&restored.stay));
        return Ok(restored);
    }
    finish_swap(&wish.data, faults)?;
    leftovers::clear(&wish.data)?;
    restored.stay = standing(&wish.data, &manifest, wish, only)?;
    restored.notes.extend(stays(&restored.stay));
    let names = match (only, restored.stay.is_empty()) {
        (Some(slug), _) => vec![format!("workspaces/{slug}")],
        (None, true) => vec!["system.redb".to_owned(), "workspaces".to_owned()],
        // Workspaces that stay are not touched.
        (None, false) => {
            let each = manifest.workspaces.iter().map(|slug| format!("workspaces/{slug}"));
            std::iter::once("system.redb".to_owned()).chain(each).collect()
        }
    };
    let had = names.iter().any(|name| wish.data.join(name).exists());
    let swap = Swap::beside(&wish.data, clock.now(), &names);
    let staged = swap.stage(&wish.data)?;
    let written = write_out(repo, (&manifest, only), &staged, &schema_of, meter).and_then(|()| {
        if only.is_none() {
            // A backup without workspaces also replaces the existing ones.
            let all = staged.join("workspaces");
            fs::create_dir_all(&all).map_err(BackupError::disk(&all))?;
        }
        let (former, people) = (former(&wish.data), people(&wish.data, &restored.workspaces));
        let (folder, manifest, key_file) = (&*staged, &manifest, &*wish.key_file);
        let is_asked = only.is_some() || !restored.stay.is_empty();
        let mut listed = if is_asked { listed(&wish.data) } else { Vec::new() };
        if only.is_none() {
            listed.retain(|row| restored.stay.contains(&row.slug));
        }
        awaken(&Staged { folder, manifest, former, people, listed, key_file }, &mut restored)?;
        hold_places(&staged, manifest, &restored)
    });
    if let Err(error) = written {
        // ok: the first error counts, and the next restore clears the folder.
        let _ = fs::remove_dir_all(&staged);
        return Err(chosen.explain(error));
    }
    swap.carry_out(&wish.data, faults)?;
    free_places(&wish.data, &manifest, &restored);
    restored.kept = had.then(|| wish.data.join(&swap.kept));
    Ok(restored)
}

/// The part of a backup to write, and the single workspace, if only one is restored.
type Narrowed<'w> = (Manifest, Option<&'w str>);

/// Checks every hash of the data to write. For a point in time, a damaged backup is replaced by a later one, which is
/// rolled back to the same time.
fn sound<'w>(
    repo: &Repository,
    wish: &'w RestoreRequest,
    chosen: &mut Chosen,
    mut narrow: Narrowed<'w>,
    meter: &Meter,
) -> Result<(Narrowed<'w>, Checked), BackupError> {
    loop {
        let (manifest, only) = &narrow;
        room(&wish.data, manifest, *only)?;
        let mut checked = verify(repo, manifest, *only, meter)?;
        if checked.faults.is_empty() {
            return Ok((narrow, checked));
        }
        chosen.pass(repo, checked.faults.swap_remove(0))?;
        narrow = narrowed(&chosen.manifest, wish)?;
    }
}

/// Selects the part of a backup to write: everything, one workspace that replaces its former state, or one workspace
/// with the accounts as a separate data directory.
fn narrowed<'w>(whole: &Manifest, wish: &'w RestoreRequest) -> Result<Narrowed<'w>, BackupError> {
    let known = store::FORMAT;
    let formats = whole.parts.iter().filter_map(|part| part.store.as_ref());
    if let Some(found) = formats.map(|store| store.format).max().filter(|found| known < *found) {
        return Err(BackupError::Restore(format!(
            "the backup {} has stores of format {found}, but this program reads {known}: HQ \
             version {} created it; restore it with that version or a newer one",
            whole.id, whole.app
        )));
    }
    let Some(slug) = wish.workspace.as_deref() else { return Ok((whole.clone(), None)) };
    if !whole.workspaces.iter().any(|one| one == slug) {
        return Err(BackupError::Restore(format!(
            "the backup {} has no workspace {slug}; it has {}",
            whole.id,
            whole.workspaces.join(", ")
        )));
    }
    if wish.mode != Mode::IntoEmpty {
        return Ok((whole.clone(), Some(slug)));
    }
    let mut alone = whole.clone();
    let parts: Vec<_> = whole.parts_of(Some(slug)).map(|part| part.path.clone()).collect();
    alone.parts.retain(|part| part.path == "system.redb" || parts.contains(&part.path));
    alone.workspaces = vec![slug.to_owned()];
    Ok((alone, None))
}

/// Whether a directory is empty except for the lock file.
fn is_empty(folder: &Path) -> Result<bool, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(BackupError::disk(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::disk(folder))?;
        let name = entry.file_name();
        let is_ours = |name: &str| matches!(name, "lock" | "master.key") || is_staged(name);
        if !name.to_str().is_some_and(is_ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Workspaces in the directory that are not in the backup.
fn standing(
    data: &Path,
    manifest: &Manifest,
    wish: &RestoreRequest,
    only: Option<&str>,
) -> Result<Vec<String>, BackupError> {
    let is_whole_place = matches!(wish.mode, Mode::Restore | Mode::DryRun) && only.is_none();
    let folder = data.join("workspaces");
    if !is_whole_place || !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(BackupError::disk(&folder))? {
        let entry = entry.map_err(BackupError::disk(&folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = entry.path().join("hq.redb").is_file() && !name.starts_with('.');
        if is_one && !manifest.workspaces.contains(&name) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn stays(stay: &[String]) -> Option<String> {
    (!stay.is_empty()).then(|| {
        format!(
            "{} is unchanged because it isn't in this backup (`--exactly` sets aside workspaces \
             that aren't in the backup)",
            stay.join(", ")
        )
    })
}

/// If some workspaces stay, each restored one is swapped separately. For a workspace that did not exist at the
/// restored time, an empty folder is swapped in, so that the current one is moved aside.
fn hold_places(staged: &Path, manifest: &Manifest, done: &Restored) -> Result<(), BackupError> {
    if done.stay.is_empty() {
        return Ok(());
    }
    for slug in unborn(manifest, done) {
        let folder = staged.join("workspaces").join(slug);
        fs::create_dir_all(&folder).map_err(BackupError::disk(&folder))?;
    }
    Ok(())
}

/// Removes these empty folders. A remaining one does not count as a workspace.
fn free_places(data: &Path, manifest: &Manifest, done: &Restored) {
    if done.stay.is_empty() {
        return;
    }
    for slug in unborn(manifest, done) {
        // ok: a missing or non-empty folder is left alone.
        let _ = fs::remove_dir(data.join("workspaces").join(slug));
    }
}

fn unborn<'m>(manifest: &'m Manifest, done: &Restored) -> Vec<&'m String> {
    manifest.workspaces.iter().filter(|slug| !done.workspaces.contains(slug)).collect()
}

/// Path of the master key for a data directory, according to the settings.
#[must_use]
pub fn key_file(config: &Config, data: &Path) -> PathBuf {
    match &config.master_key_file {
        Some(file) => file.clone(),
        None => data.join("master.key"),
    }
}
