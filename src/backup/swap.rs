//! Replaces existing data with restored data by renames only.
//!
//! A journal file lists the moves before the first one; the next process that locks the data folder completes them.
//! After an interruption, the data is therefore old or new, never mixed. Old data is kept in a folder with a telling
//! name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use kernel::Timestamp;
use store::{Faults, Step};

use super::BackupError;
use super::restore::{safe, settle};

const INTENT: &str = "restore.json";
const STAGED: &str = "restoring-";

/// The journal of a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Folder with the restored data, within the data folder.
    pub staged: String,
    /// Folder for the old data, within the data folder.
    pub kept: String,
    /// Paths to move: `system.redb`, `workspaces`, `workspaces/acme`.
    pub names: Vec<String>,
}

impl Swap {
    /// A swap whose folders are named after `now`.
    #[must_use]
    pub fn at(now: Timestamp, names: Vec<String>) -> Self {
        let stamp = now.strftime("%Y%m%dT%H%M%SZ");
        let (staged, kept) = (format!("{STAGED}{stamp}"), format!("before-restore-{stamp}"));
        Self { staged, kept, names }
    }

    /// Like [`Self::at`], with folder names that are not in use: two restores may be within a second, or the clock may
    /// have been set back.
    #[must_use]
    pub fn beside(data: &Path, now: Timestamp, names: &[String]) -> Self {
        let mut at = now;
        loop {
            let swap = Self::at(at, names.to_vec());
            if !data.join(&swap.kept).exists() {
                return swap;
            }
            at += SignedDuration::from_secs(1);
        }
    }

    /// Creates the folder for the restored data.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn stage(&self, data: &Path) -> Result<PathBuf, BackupError> {
        let folder = data.join(&self.staged);
        if folder.exists() {
            // Remains of an interrupted restore were never in place.
            fs::remove_dir_all(&folder).map_err(BackupError::disk(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(BackupError::disk(&folder))?;
        Ok(folder)
    }

    /// Moves everything. The restored data is made durable before the journal is written. The caller holds the lock of
    /// the data folder.
    ///
    /// # Errors
    /// If the disk fails; the next start continues.
    pub fn carry_out(&self, data: &Path, faults: &dyn Faults) -> Result<(), BackupError> {
        let staged = data.join(&self.staged);
        faults.step(Step::Settle(&staged)).map_err(BackupError::disk(&staged))?;
        settle(&staged)?;
        let text = super::repo::json(self)?;
        let (path, tmp) = (data.join(INTENT), data.join("restore.json.new"));
        File::create(&tmp)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                faults.step(Step::Sync(&tmp))?;
                file.sync_all()
            })
            .and_then(|()| faults.step(Step::Rename(&tmp, &path)))
            .and_then(|()| fs::rename(&tmp, &path))
            .and_then(|()| sync(data, faults))
            .map_err(BackupError::disk(&path))?;
        self.move_all(data, faults)
    }

    fn move_all(&self, data: &Path, faults: &dyn Faults) -> Result<(), BackupError> {
        for name in &self.names {
            let below = safe(name).filter(|_| safe(&self.staged).is_some());
            let (Some(below), Some(_)) = (below, safe(&self.kept)) else {
                let words = format!("{INTENT} names {name:?}, which isn't part of a data folder");
                return Err(BackupError::Restore(words));
            };
            let (staged, live) = (data.join(&self.staged).join(below), data.join(below));
            let kept = data.join(&self.kept).join(below);
            if !staged.exists() {
                continue;
            }
            if live.exists() && !kept.exists() {
                rename(data, (&live, &kept), faults)?;
            }
            if live.exists() {
                return Err(BackupError::Restore(format!(
                    "{} and {} are both there; move one of them away and start again",
                    live.display(),
                    kept.display()
                )));
            }
            rename(data, (&staged, &live), faults)?;
        }
        let staged = data.join(&self.staged);
        match fs::remove_dir_all(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::disk(&staged)(error));
            }
            _ => {}
        }
        let intent = data.join(INTENT);
        fs::remove_file(&intent)
            .and_then(|()| sync(data, faults))
            .map_err(BackupError::disk(&intent))
    }
}

fn rename(data: &Path, (from, to): (&Path, &Path), faults: &dyn Faults) -> Result<(), BackupError> {
    let parent = to.parent().unwrap_or(data);
    make(parent, faults).map_err(BackupError::disk(parent))?;
    faults
        .step(Step::Rename(from, to))
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| sync(parent, faults))
        .and_then(|()| sync(from.parent().unwrap_or(data), faults))
        .map_err(BackupError::disk(to))
}

/// Creates a folder and its missing parents durably, before anything is moved into it.
fn make(folder: &Path, faults: &dyn Faults) -> io::Result<()> {
    let Some(above) = folder.parent().filter(|_| !folder.exists()) else { return Ok(()) };
    make(above, faults)?;
    fs::create_dir(folder)?;
    sync(above, faults)
}

fn sync(folder: &Path, faults: &dyn Faults) -> io::Result<()> {
    faults.step(Step::Names(folder))?;
    File::open(folder)?.sync_all()
}

/// Removes remains of interrupted restores, which were never in place; does nothing while a swap is unfinished. The
/// caller holds the lock of the data folder.
///
/// # Errors
/// If the folder cannot be read or something cannot be removed.
pub fn clear(data: &Path) -> Result<(), BackupError> {
    if data.join(INTENT).exists() {
        return Ok(());
    }
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::disk(data)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::disk(data))?;
        if is_staged(&entry.file_name().to_string_lossy()) {
            fs::remove_dir_all(entry.path()).map_err(BackupError::disk(&entry.path()))?;
        }
    }
    Ok(())
}

/// Whether the name is that of a folder with restored data that is not in place.
#[must_use]
pub fn is_staged(name: &str) -> bool {
    let stamp = name.strip_prefix(STAGED).and_then(|rest| rest.strip_suffix('Z'));
    stamp.is_some_and(|stamp| {
        stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'T')
    })
}

/// Completes an interrupted swap. The caller holds the lock of the data folder.
///
/// # Errors
/// If the disk fails, or files were moved by hand.
pub fn finish(data: &Path, faults: &dyn Faults) -> Result<(), BackupError> {
    let intent = data.join(INTENT);
    let text = match fs::read_to_string(&intent) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::disk(&intent)(error)),
    };
    let swap: Swap = serde_json::from_str(&text)
        .map_err(|error| BackupError::Restore(format!("{}: {error}", intent.display())))?;
    tracing::warn!("a restore was cut off; carrying out the rest of it");
    swap.move_all(data, faults)
}

#[cfg(test)]
mod tests {
    use super::{Swap, finish};
    use std::fs;
    use store::NoFaults;

    #[test]
    fn what_former_restores_have_set_aside_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let (data, now) = (folder.path(), "2026-11-20T12:00:59Z".parse().unwrap());
        let names = ["system.redb".to_owned()];
        for n in 0..3 {
            fs::write(data.join("system.redb"), format!("{n}")).unwrap();
            let swap = Swap::beside(data, now, &names);
            let staged = swap.stage(data).unwrap();
            fs::write(staged.join("system.redb"), "new").unwrap();
            swap.carry_out(data, &NoFaults).unwrap();
            let kept = data.join(&swap.kept).join("system.redb");
            assert_eq!(fs::read_to_string(kept).unwrap(), format!("{n}"));
        }
        assert!(data.join("before-restore-20261120T120101Z").exists());
    }

    #[test]
    fn a_swap_that_was_cut_off_anywhere_is_finished_by_the_next_start() {
        for cut in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path();
            let names = vec!["system.redb".to_owned(), "workspaces/a".to_owned()];
            let swap = Swap::at("2026-11-20T12:00:00Z".parse().unwrap(), names);
            let staged = swap.stage(data).unwrap();
            fs::create_dir_all(data.join("workspaces/a")).unwrap();
            fs::create_dir_all(staged.join("workspaces/a")).unwrap();
            for (at, text) in [(data, "old"), (&*staged, "new")] {
                fs::write(at.join("system.redb"), text).unwrap();
                fs::write(at.join("workspaces/a/hq.redb"), text).unwrap();
            }
            fs::write(data.join("restore.json"), serde_json::to_string(&swap).unwrap()).unwrap();
            let kept = data.join(&swap.kept);
            fs::create_dir_all(&kept).unwrap();
            if cut > 0 {
                fs::rename(data.join("system.redb"), kept.join("system.redb")).unwrap();
            }
            if cut > 1 {
                fs::rename(staged.join("system.redb"), data.join("system.redb")).unwrap();
            }
            finish(data, &NoFaults).unwrap();
            finish(data, &NoFaults).unwrap();
            let read = |path: &std::path::Path| fs::read_to_string(path).unwrap();
            for name in ["system.redb", "workspaces/a/hq.redb"] {
                assert_eq!(read(&data.join(name)), "new", "{cut} {name}");
                assert_eq!(read(&kept.join(name)), "old", "{cut} {name}");
            }
            assert!(!staged.exists() && !data.join("restore.json").exists());
        }
    }
}
