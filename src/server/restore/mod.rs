//! Restoring a data folder whose program does not run: check everything, write it into an empty place,
//! open and check what was written, then swap by renaming.
//!
//! A moment between two backups is the later one, taken back entry by entry to that moment, and agents'
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

/// What is to be restored.
pub struct RestoreRequest {
    /// The data folder.
    pub data: PathBuf,
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
    Newest,
    /// This one; its beginning is enough.
    Id(String),
    /// As it was at a moment, also between two backups.
    At(Timestamp),
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is checked, nothing is written.
    DryRun,
    /// It is restored; workspaces that are there and not in the backup stay as they are.
    Restore,
    /// It is restored, and nothing else stays.
    Exactly,
    /// It is restored, where nothing may be yet.
    IntoEmpty,
}

#[derive(Debug, Serialize)]
pub struct Restored {
    pub backup: String,
    pub taken_at: Timestamp,
    /// The moment to which it went back from there.
    pub moment: Option<Timestamp>,
    /// The data folder.
    pub data: PathBuf,
    /// What was restored, or would be.
    pub workspaces: Vec<String>,
    /// Workspaces that are not in the backup and stay as they are.
    pub stay: Vec<String>,
    /// Bytes that were checked.
    pub bytes: u64,
    /// Rows of stores that were checked.
    pub rows: u64,
    /// How many agents' files were put back to the moment.
    pub agents_put_back: u64,
    /// Where what was there before lies now.
    pub kept: Option<PathBuf>,
    /// What cannot be read with the master key that is there.
    pub unreadable: Vec<String>,
    /// What is otherwise than in the backup, and what is worth knowing, in sentences.
    pub notes: Vec<String>,
    /// Whether anything was written.
    pub dry_run: bool,
}

/// Restores. Blocking; inside an async runtime when the repository is a bucket.
///
/// # Errors
/// When a byte is wrong, something is in the way, or HQ runs on the folder: then nothing has changed.
pub fn restore(
    repo: &Repository,
    wish: &RestoreRequest,
    meter: &Meter,
) -> Result<Restored, BackupError> {
    restore_on(repo, wish, meter, &NoFaults)
}

/// The same on a disk to which something may happen while what was restored takes its place.
///
/// # Errors
/// As `restore`; when that was begun, the next start goes on with it.
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
            "{} is not empty; give an empty folder, or leave out --into to put the backup in the \
             place of what is there",
            wish.data.display()
        )));
    }
    let clock = SystemClock;
    // Held until the end: nobody starts HQ in the middle.
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
        // Those that stay are not touched at all.
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
            // Those that are there make room also for none at all.
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
        // ok: the first error counts; the next restore clears the folder.
        let _ = fs::remove_dir_all(&staged);
        return Err(chosen.explain(error));
    }
    swap.carry_out(&wish.data, faults)?;
    free_places(&wish.data, &manifest, &restored);
    restored.kept = had.then(|| wish.data.join(&swap.kept));
    Ok(restored)
}

/// What of a backup is written, and which workspace alone.
type Narrowed<'w> = (Manifest, Option<&'w str>);

/// Checks every hash of what is to be written. Where a moment is asked for, a later backup takes the place of
/// one that is damaged: it goes back to the same moment.
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

/// What of a backup is written: all, one workspace into the place of its former self, or one with the
/// accounts as a folder of its own.
fn narrowed<'w>(whole: &Manifest, wish: &'w RestoreRequest) -> Result<Narrowed<'w>, BackupError> {
    let known = store::FORMAT;
    let formats = whole.parts.iter().filter_map(|part| part.store.as_ref());
    if let Some(found) = formats.map(|store| store.format).max().filter(|found| known < *found) {
        return Err(BackupError::Restore(format!(
            "the backup {} has stores of format {found} and this program reads {known}: version {} of \
             HQ made it; restore it with that version or a newer one",
            whole.id, whole.app
        )));
    }
    let Some(slug) = wish.workspace.as_deref() else { return Ok((whole.clone(), None)) };
    if !whole.workspaces.iter().any(|one| one == slug) {
        return Err(BackupError::Restore(format!(
            "the backup {} holds no workspace {slug}; it holds {}",
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

/// Whether a folder has nothing in it but what taking its lock left.
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

/// Workspaces that stand in the folder and are not in the backup that takes its place.
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
            "{} stays as it is: it is not in this backup (`--exactly` puts aside what a backup does not \
             hold)",
            stay.join(", ")
        )
    })
}

/// Beside workspaces that stay each other one is moved by itself. One that did not exist at the moment that
/// is restored has nothing to take its place: an empty folder does, so that it is put aside.
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

/// Removes the empty folders again. One that stays is no workspace.
fn free_places(data: &Path, manifest: &Manifest, done: &Restored) {
    if done.stay.is_empty() {
        return;
    }
    for slug in unborn(manifest, done) {
        // ok: where there is none, or something is in it, nothing is to be removed.
        let _ = fs::remove_dir(data.join("workspaces").join(slug));
    }
}

fn unborn<'m>(manifest: &'m Manifest, done: &Restored) -> Vec<&'m String> {
    manifest.workspaces.iter().filter(|slug| !done.workspaces.contains(slug)).collect()
}

/// The master key's file of a data folder, as the settings say.
#[must_use]
pub fn key_file(config: &Config, data: &Path) -> PathBuf {
    match &config.master_key_file {
        Some(file) => file.clone(),
        None => data.join("master.key"),
    }
}
