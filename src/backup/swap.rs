//! Putting what was restored in the place of what is there, by renaming alone.
//!
//! A file says what is to be moved before the first move; whoever takes the data folder next carries
//! out what is left of it. So a cut in the middle leaves the old or the new, never a mixture, and the
//! old lies beside under a name that says so.

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

/// What is to be moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The folder within the data folder in which the restored things lie.
    pub staged: String,
    /// The folder within the data folder to which the old things go.
    pub kept: String,
    /// What is moved: `system.redb`, `workspaces`, `workspaces/acme`.
    pub names: Vec<String>,
}

impl Swap {
    /// A swap at a moment; its folders are named after it.
    #[must_use]
    pub fn at(now: Timestamp, names: Vec<String>) -> Self {
        let stamp = now.strftime("%Y%m%dT%H%M%SZ");
        let (staged, kept) = (format!("{STAGED}{stamp}"), format!("before-restore-{stamp}"));
        Self { staged, kept, names }
    }

    /// The same, aside of what former restores have set aside: two may be within a second, or a clock may
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

    /// The folder in which the restored things are put.
    ///
    /// # Errors
    /// When it is there already or cannot be made.
    pub fn stage(&self, data: &Path) -> Result<PathBuf, BackupError> {
        let folder = data.join(&self.staged);
        if folder.exists() {
            // What a restore that was cut off has left was never in its place.
            fs::remove_dir_all(&folder).map_err(BackupError::disk(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(BackupError::disk(&folder))?;
        Ok(folder)
    }

    /// Moves everything. All that is to be put in place is durable before anything says so. Whoever calls
    /// holds the lock of the data folder.
    ///
    /// # Errors
    /// When the disk fails; the next start goes on.
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
                let words = format!("{INTENT} names {name:?}, which is no part of a data folder");
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

/// Makes a folder that is missing, and those above it, so that their names outlast the power before
/// anything is moved into them.
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

/// Removes what restores that were cut off have left beside: it was never in its place. Not while a swap
/// is still to be finished. Whoever calls holds the lock.
///
/// # Errors
/// When the folder cannot be read or something cannot be removed.
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

/// Whether a folder has the name that a restore gives to what it has not put in place yet.
#[must_use]
pub fn is_staged(name: &str) -> bool {
    let stamp = name.strip_prefix(STAGED).and_then(|rest| rest.strip_suffix('Z'));
    stamp.is_some_and(|stamp| {
        stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'T')
    })
}

/// Carries out what a restore that was cut off has left to do. Whoever calls holds the lock.
///
/// # Errors
/// When the disk fails, or somebody moved things by hand.
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
