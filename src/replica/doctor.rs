//! Checks of a host, with findings that say what to do.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use kernel::text::capitalized;
use link::frame::Frame;
use link::{LinkError, Linked, Receiver, Session};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::error::ReplicaError;
use crate::folder::{self, Known};
use crate::status::Status;
use crate::{Replica, talk};

/// Clock differences above this are reported.
const OFF: Duration = Duration::from_secs(60);
/// Less free disk space than this is reported, in MB.
const LITTLE: u64 = 500;
/// How long the primary's welcome may take.
const WELCOME: Duration = Duration::from_secs(5);

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check passed.
    pub ok: bool,
    /// The subject: `folder`, `joined`, `link`, `clock`, `mirror`, `disk`.
    pub what: String,
    /// A sentence.
    pub told: String,
}

fn finding(what: &str, looked: Result<String, String>) -> Finding {
    let (ok, told) = match looked {
        Ok(told) => (true, told),
        Err(told) => (false, told),
    };
    Finding { ok, what: what.to_owned(), told }
}

/// Checks of the folder alone: its permissions and its workspace.
#[must_use]
pub fn of_folder(folder: &Path) -> Vec<Finding> {
    let joined = match folder::check(folder).and_then(|()| Known::load(folder)) {
        Ok(Some(known)) => {
            Ok(format!("This machine is the gateway {} of {}.", known.label, known.home))
        }
        Ok(None) => Err(sentence(&ReplicaError::NotJoined)),
        Err(error) => Err(sentence(&error)),
    };
    vec![
        finding("folder", rights(folder)),
        finding("joined", joined),
        finding("disk", room(folder)),
    ]
}

fn sentence(error: &ReplicaError) -> String {
    clean(&error.sentence())
}

/// Capitalises the first letter and adds a full stop.
fn clean(words: &str) -> String {
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{stop}", capitalized(words))
}

/// Checks that only the owner can read the folder and its key, and that the folder is writable.
fn rights(folder: &Path) -> Result<String, String> {
    let own = rustix::process::geteuid().as_raw();
    for (path, is_needed) in [(folder.to_owned(), true), (folder.join(folder::KEY), false)] {
        let shown = path.display();
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if is_needed => {
                return Err(format!("{shown} can't be checked: {error}."));
            }
            Err(_) => continue,
        };
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let right = if found.is_dir() { "700" } else { "600" };
            return Err(format!(
                "Others can read {shown} (mode {mode:03o}); run `chmod {right}` on it."
            ));
        }
        if found.uid() != own && own != 0 {
            return Err(format!(
                "{shown} belongs to the user {}, but this is {own}; change its owner.",
                found.uid()
            ));
        }
    }
    match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Ok(format!("{} is private and writable.", folder.display())),
        Err(error) => Err(format!("{} isn't writable: {error}.", folder.display())),
    }
}

fn room(folder: &Path) -> Result<String, String> {
    let load = gateways::machine::load(folder);
    let free = load.disk_total.saturating_sub(load.disk_used) >> 20;
    match free {
        free if LITTLE <= free || load.disk_total == 0 => {
            Ok(format!("The disk has {free} MB free."))
        }
        free => Err(format!("The disk has {free} MB free; below {LITTLE} MB, work stops.")),
    }
}

impl Replica {
    /// Runs all checks. If no program runs the host, connects to the primary once.
    pub async fn doctor(&self, is_running: bool) -> Vec<Finding> {
        let mut found = of_folder(&self.0.folder);
        let host = self.clone();
        let read = tokio::task::spawn_blocking(move || host.status(is_running)).await;
        let status = match read {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                found.push(finding("mirror", Err(sentence(&error))));
                return found;
            }
            Err(error) => {
                found.push(finding("mirror", Err(clean(&error.to_string()))));
                return found;
            }
        };
        found.push(finding("link", self.linked(&status).await));
        // The connection has read the primary's clock.
        let ahead = self.0.now.lock().clock_ms;
        found.extend(ahead.map(|ahead| finding("clock", clock(ahead))));
        found.push(finding("mirror", mirrored(&status)));
        found
    }

    async fn linked(&self, status: &Status) -> Result<String, String> {
        let home = status.home.clone().unwrap_or_default();
        if status.linked {
            return Ok(format!("Connected to {home} since {}.", status.since));
        }
        // A second connection would end the running program's link, or be ended by it.
        if status.running {
            return match &status.why {
                Some(why) => Err(clean(&format!("disconnected since {}: {why}", status.since))),
                None => Err(format!("Not connected to {home} yet.")),
            };
        }
        match self.call().await {
            Ok(version) => Ok(format!("{home} runs HQ {version} and accepts this machine.")),
            Err(error) => Err(sentence(&error)),
        }
    }

    /// Connects to the primary once and reads its clock.
    async fn call(&self) -> Result<String, ReplicaError> {
        let Linked { session, version, .. } = self.reach().await?;
        let Session { sender, mut receiver, pump } = session;
        let hears = async {
            let heard = timeout(WELCOME, welcome(&mut receiver)).await;
            // ok: a missing goodbye does no harm.
            let _ = timeout(WELCOME, sender.goodbye(talk::STOPPING)).await;
            sender.cut();
            heard
        };
        let (_, heard) = tokio::join!(pump.run(), hears);
        let clock = match heard {
            Ok(clock) => clock?,
            Err(_) => return Err(LinkError::Slow { limit: WELCOME }.into()),
        };
        self.0.now.lock().clock_ms = Some(clock.saturating_sub(self.0.clock.now_ms()));
        Ok(version)
    }
}

/// The primary's clock, in Unix milliseconds.
async fn welcome(receiver: &mut Receiver) -> Result<i64, LinkError> {
    loop {
        if let Frame::Welcome(welcome) = receiver.next().await? {
            return Ok(welcome.clock_ms);
        }
    }
}

fn clock(ahead_ms: i64) -> Result<String, String> {
    let (off, secs) =
        (Duration::from_millis(ahead_ms.unsigned_abs()), ahead_ms.unsigned_abs() / 1_000);
    match off {
        off if off <= OFF => Ok("The clock matches the workspace's.".to_owned()),
        _ => {
            let way = if 0 < ahead_ms { "behind" } else { "ahead of" };
            Err(format!(
                "This machine's clock is {secs} s {way} the workspace's; turn on network time \
                 (timedatectl set-ntp true)."
            ))
        }
    }
}

fn mirrored(status: &Status) -> Result<String, String> {
    let rows: u64 = status.rows.values().sum();
    if let Some(trouble) = &status.trouble {
        return Err(clean(&format!(
            "the workspace's copy on this machine has a problem: \
            {trouble}"
        )));
    }
    Ok(match &status.cursor {
        Some(cursor) if status.whole => {
            format!("The copy is complete: {rows} rows, up to {cursor}.")
        }
        Some(_) => format!("Receiving the first snapshot: {rows} rows so far."),
        None => "No workspace data yet.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_with_its_direction() {
        assert!(clock(-60_000).is_ok());
        let behind = clock(31_536_000_000).unwrap_err();
        assert!(behind.contains("31536000 s behind"), "{behind}");
        assert!(clock(-61_000).unwrap_err().contains("61 s ahead of"));
        assert!(clock(i64::MIN).is_err());
    }

    #[test]
    fn a_folder_that_others_read_and_one_that_belongs_to_nobody_are_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let found = of_folder(folder.path());
        let check_of = |what: &str| found.iter().find(|one| one.what == what).unwrap().clone();
        assert!(check_of("folder").ok, "{found:?}");
        assert!(
            !check_of("joined").ok
                && check_of("joined").told.starts_with("This machine hasn't joined")
        );
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let open = rights(folder.path()).unwrap_err();
        assert!(open.contains("mode 755") && open.contains("chmod 700"), "{open}");
        assert!(rights(&folder.path().join("nowhere")).is_err());
    }
}
