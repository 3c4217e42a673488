//! One server a data folder: an exclusive lock on `lock`, which says who holds it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use kernel::Timestamp;

/// Who holds a data folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub since: Timestamp,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}, running since {}", self.pid, self.since)
    }
}

/// Why the folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another program has it.
    #[error("the data folder is in use by {}; stop it first, or give this one another folder",
        .0.as_ref().map_or_else(|| "another program".to_owned(), ToString::to_string))]
    Held(Option<Holder>),
    /// The lock file cannot be made.
    #[error("the data folder cannot be written: {0}; check its owner and mode")]
    Io(#[from] io::Error),
}

/// A held data folder; free again when this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Its name in the data folder.
pub const NAME: &str = "lock";

/// How long the lock of a program that was killed may outlive it: what it was just about to start holds
/// it until it has become a program of its own.
const LINGER: Duration = Duration::from_secs(3);
/// How often that is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Whether a holder does not run any more.
fn is_gone(holder: &Holder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Makes the folder if need be (mode 0700) and takes it.
///
/// # Errors
/// When somebody else holds it or it cannot be written.
pub fn take(folder: &Path, now: Timestamp) -> Result<Lock, LockError> {
    if !folder.exists() {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    let path = folder.join(NAME);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let holder = holder(folder);
                if !holder.as_ref().is_some_and(is_gone) || LINGER < began.elapsed() {
                    return Err(LockError::Held(holder));
                }
                std::thread::sleep(GLANCE);
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    let me = Holder { pid: std::process::id(), since: now };
    let text = serde_json::to_string(&me).map_err(io::Error::other)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(Lock { _file: file })
}

/// Who wrote the lock file last; only meaningful while it is held.
#[must_use]
pub fn holder(folder: &Path) -> Option<Holder> {
    let mut text = String::new();
    // ok: an unreadable file tells no name, and the message says "another program".
    File::open(folder.join(NAME)).ok()?.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::{Holder, LockError, holder, take};

    #[test]
    fn what_a_killed_program_was_about_to_start_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let first = take(&data, now).unwrap();
        // No process has this number.
        let gone = Holder { pid: i32::MAX.unsigned_abs(), since: now };
        std::fs::write(data.join("lock"), serde_json::to_string(&gone).unwrap()).unwrap();
        let second = std::thread::spawn(move || take(&data, now).map(drop));
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn a_folder_has_one_holder_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let first = take(&data, now).unwrap();
        match take(&data, now).unwrap_err() {
            LockError::Held(Some(who)) => {
                assert_eq!((who.pid, who.since), (std::process::id(), now));
            }
            other => panic!("{other}"),
        }
        drop(first);
        assert!(holder(&data).is_some());
        take(&data, now).unwrap();
    }
}
