//! Restoring a data folder whose program does not run: check everything, write it into an empty place,
//! open and check what was written, then swap by renaming.
//!
//! A moment between two backups is the later one, taken back entry by entry to that moment.

mod stores;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::backup::{
    BackupError, Manifest, Meter, Repository, Swap, finish_swap, is_staged, room, verify, write_out,
};
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::crypto::master::MasterKey;
use crate::kernel::time::SystemClock;
use crate::kernel::{Clock, Timestamp};
use crate::store::{Faults, NoFaults};

use super::{leftovers, lock};

pub use stores::rehearse;
use stores::{Staged, awaken, former, listed, people, schema_of};

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

/// What was restored.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The backup.
    pub backup: String,
    /// When it was taken.
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
    wish: &RestoreWish,
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
    wish: &RestoreWish,
    meter: &Meter,
    faults: &dyn Faults,
) -> Result<Restored, BackupError> {
    let chosen = chosen(repo, wish)?;
    let (manifest, only) = narrowed(&chosen.manifest, wish)?;
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
    room(&wish.data, &manifest, only)?;
    let checked = verify(repo, &manifest, only, meter)?;
    if let Some(fault) = checked.faults.into_iter().next() {
        return Err(fault);
    }
    let mut restored = Restored {
        backup: manifest.id.clone(),
        taken_at: manifest.taken_at,
        moment: chosen.moment,
        data: wish.data.clone(),
        workspaces: only.map_or_else(|| manifest.workspaces.clone(), |one| vec![one.to_owned()]),
        bytes: checked.bytes,
        rows: checked.rows,
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

/// What of a backup is written: all, one workspace into the place of its former self, or one with the
/// accounts as a folder of its own.
fn narrowed<'w>(
    whole: &Manifest,
    wish: &'w RestoreWish,
) -> Result<(Manifest, Option<&'w str>), BackupError> {
    let known = crate::store::FORMAT;
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

/// The backup that is restored, and how.
struct Chosen {
    manifest: Manifest,
    /// To which moment it goes back from there.
    moment: Option<Timestamp>,
    /// The newest backup from before that moment.
    before: Option<String>,
    /// The newest backup of all, when it was not taken because it lacks workspaces, and which.
    passed: Option<(String, Vec<String>)>,
}

impl Chosen {
    fn whole(manifest: Manifest) -> Self {
        Self { manifest, moment: None, before: None, passed: None }
    }

    /// What is to be said of it: which newer one was passed over, and what it lacks itself.
    fn passed_over(&self, only: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((id, missing)) = &self.passed {
            let missing = missing.join(", ");
            notes.push(format!(
                "this is the newest backup that lacks nothing of what is asked for; the newest of all is \
                 {id}, which lacks {missing}: `--at {id}` takes that one"
            ));
        }
        if only.is_none() && !self.manifest.is_complete() {
            let (id, missing) = (&self.manifest.id, self.manifest.missing.join(", "));
            notes.push(format!(
                "the backup {id} is incomplete: {missing} could not be taken when it was made; an older \
                 one may hold it (`hq backup list --to PLACE`, then `--at ID --workspace SLUG`)"
            ));
        }
        notes
    }

    /// An error on the way back to a moment, with the backups that are near it.
    fn explain(&self, error: BackupError) -> BackupError {
        let Some(moment) = self.moment else { return error };
        let near = match &self.before {
            Some(before) => {
                format!("{before} from before it and {} from after it", self.manifest.id)
            }
            None => format!("{} from after it", self.manifest.id),
        };
        BackupError::Restore(format!(
            "{moment} lies between two backups and cannot be restored: {error}; near it are {near}, give \
             one of them with --at"
        ))
    }
}

fn chosen(repo: &Repository, wish: &RestoreWish) -> Result<Chosen, BackupError> {
    match &wish.backup {
        Which::Newest => chosen_newest(repo, wish),
        Which::Id(start) => repo.manifest(&repo.find(start)?).map(Chosen::whole),
        Which::At(at) => chosen_at(repo, *at, meant(repo, wish)?.as_deref()),
    }
}

/// The newest backup that holds what is asked for: the workspace, or all of them. Where none does, the
/// newest of all.
fn chosen_newest(repo: &Repository, wish: &RestoreWish) -> Result<Chosen, BackupError> {
    let of = meant(repo, wish)?;
    let newest = repo.newest(of.as_deref())?;
    let holds = |manifest: &Manifest| match &wish.workspace {
        Some(slug) => manifest.workspaces.contains(slug),
        None => manifest.is_complete(),
    };
    if holds(&newest) {
        return Ok(Chosen::whole(newest));
    }
    match repo.newest_of(of.as_deref(), &holds) {
        Err(BackupError::NoBackup { .. }) => Ok(Chosen::whole(newest)),
        found => {
            let lacks = match &wish.workspace {
                Some(slug) => vec![slug.clone()],
                None => newest.missing,
            };
            Ok(Chosen { passed: Some((newest.id, lacks)), ..Chosen::whole(found?) })
        }
    }
}

/// Workspaces that stand in the folder and are not in the backup that takes its place.
fn standing(
    data: &Path,
    manifest: &Manifest,
    wish: &RestoreWish,
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

fn no_backup(repo: &Repository, wanted: &str) -> BackupError {
    BackupError::NoBackup { place: repo.place().to_owned(), wanted: wanted.to_owned() }
}

/// Whose backups are meant at a place that several HQs share: those of the master key that is there. None
/// where all are of one.
fn meant(repo: &Repository, wish: &RestoreWish) -> Result<Option<String>, BackupError> {
    let (all, _) = repo.outlines()?;
    let keys: BTreeSet<String> = all.into_iter().map(|one| one.key_id).collect();
    if keys.len() < 2 {
        return Ok(None);
    }
    // ok: without a key that can be read nobody is meant, and the error says so.
    let own = MasterKey::load(&wish.key_file).ok();
    let own = own.map(|key| Keyring::new(key).key_id().to_string());
    own.filter(|own| keys.contains(own)).map(Some).ok_or_else(|| {
        BackupError::Restore(format!(
            "{} holds backups of several HQs, with the master keys {}; give the name of the one that you \
             mean with --at, or put its master key at {} first",
            repo.place(),
            keys.into_iter().collect::<Vec<_>>().join(", "),
            wish.key_file.display()
        ))
    })
}

/// The first backup that was taken at a moment or after it.
fn chosen_at(repo: &Repository, at: Timestamp, of: Option<&str>) -> Result<Chosen, BackupError> {
    let (mut all, _) = repo.outlines()?;
    all.retain(|one| of.is_none_or(|key_id| one.key_id == key_id));
    all.sort_by_key(|manifest| manifest.taken_at);
    let before = all.iter().rfind(|manifest| manifest.taken_at < at).map(|one| one.id.clone());
    match all.into_iter().find(|manifest| at <= manifest.taken_at) {
        Some(found) => {
            let manifest = repo.manifest(&found.id)?;
            Ok(match manifest.taken_at == at {
                true => Chosen::whole(manifest),
                false => Chosen { manifest, moment: Some(at), before, passed: None },
            })
        }
        None => Err(match before {
            Some(before) => BackupError::Restore(format!(
                "no backup was made at {at} or after it; the newest is {before}: give --at {before}, or \
                 make a backup now if HQ still runs, and ask again"
            )),
            None => no_backup(repo, "at all"),
        }),
    }
}

/// The master key's file of a data folder, as the settings say.
#[must_use]
pub fn key_file(config: &Config, data: &Path) -> PathBuf {
    match &config.master_key_file {
        Some(file) => file.clone(),
        None => data.join("master.key"),
    }
}
