//! One process per data directory: an exclusive lock on the file `lock`, which names the holder.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use kernel::Timestamp;

/// The process that holds a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// Start time of the process.
    pub since: Timestamp,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}, running since {}", self.pid, self.since)
    }
}

/// Why the directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("the data folder is in use by {}; stop it first, or use another folder",
        .0.as_ref().map_or_else(|| "another program".to_owned(), ToString::to_string))]
    Held(Option<Holder>),
    /// The lock file cannot be created.
    #[error("the data folder can't be written to: {0}; check its owner and mode")]
    Io(#[from] io::Error),
}

/// A held lock. Released when this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Name of the lock file in the data directory.
pub const NAME: &str = "lock";

/// How long the lock may outlive a killed process. A child that was just being started holds it until its `exec`.
const LINGER: Duration = Duration::from_secs(3);
/// Polling interval during this time.
const GLANCE: Duration = Duration::from_millis(10);

/// Whether the holder's process has ended.
fn is_gone(holder: &Holder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Creates the directory if necessary (mode 0700) and locks it.
///
/// # Errors
/// When another process holds the lock, or the directory is not writable.
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

/// The process that last wrote the lock file. Only meaningful while the lock is held.
#[must_use]
pub fn holder(folder: &Path) -> Option<Holder> {
    let mut text = String::new();
    // ok: without a readable file, the message says "another program".
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
        // No process has this id.
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
