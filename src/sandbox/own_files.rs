//! Modes of HQ's own files. Programs run as HQ's user and could change them where they have no mount namespace
//! (`mounts`): open them to others, or lock HQ out. They are restored at start, while HQ runs, and by `hq doctor
//! sandbox`.
//!
//! Only rights that HQ's own files never have (others; group write on folders and databases) or always have (owner) are
//! changed. Files in agent folders are left alone.

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folders that programs write to. The folders are checked, their contents are not.
const OF_PROGRAMS: &[&str] = &["agents", "browsers", "jobs", "scratch", "tmp"];
/// Files that are rejected if others can read them: their creator is asked to replace them.
const REFUSED: &[&str] = &["replica.key"];
/// Search depth: workspace databases are at level three.
const DEPTH: usize = 3;

/// A restored mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// File or folder.
    pub path: PathBuf,
    /// Mode found.
    pub was: u32,
    /// Mode set.
    pub now: u32,
}

impl Restored {
    /// Describes the change in a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { path, was, now } = self;
        let others =
            if was & 0o007 == 0 { "" } else { "; other users of this machine may have used it" };
        format!("{} had the mode {was:03o} and has {now:03o} again{others}.", path.display())
    }
}

/// Restores the modes of a data folder and of HQ's files in it. Blocking.
#[must_use]
pub fn restore(data: &Path) -> Vec<Restored> {
    let mut restored = Vec::new();
    below(data, 0, &mut restored);
    restored
}

/// The same for the folder itself and the files directly in it. Takes some hundredths of a millisecond.
#[must_use]
pub fn restore_top(data: &Path) -> Vec<Restored> {
    let mut restored = Vec::new();
    below(data, DEPTH, &mut restored);
    restored
}

fn below(path: &Path, depth: usize, restored: &mut Vec<Restored>) {
    // ok: a missing file needs no mode.
    let Ok(found) = fs::symlink_metadata(path) else { return };
    if depth == 0 || depth == DEPTH {
        one(path, &found, restored);
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let Ok(found) = entry.metadata() else { continue };
        let path = entry.path();
        one(&path, &found, restored);
        let is_left = OF_PROGRAMS.iter().any(|name| entry.file_name() == *name);
        if found.is_dir() && !is_left && depth + 1 < DEPTH {
            below(&path, depth + 1, restored);
        }
    }
}

fn one(path: &Path, found: &Metadata, restored: &mut Vec<Restored>) {
    let own = rustix::process::geteuid();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kind = found.file_type();
    let is_ours = own.is_root() || found.uid() == own.as_raw();
    if kind.is_symlink() || !is_ours || REFUSED.contains(&&*name) {
        return;
    }
    let was = found.mode() & 0o7777;
    let now = if kind.is_dir() {
        (was | 0o700) & !0o027
    } else if kind.is_socket() || is_secret(&name) {
        (was | 0o600) & 0o600
    } else {
        (was | 0o400) & !0o022
    };
    if was == now {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(now)) {
        Ok(()) => restored.push(Restored { path: path.to_owned(), was, now }),
        Err(error) => tracing::warn!(%error, "the mode {was:03o} of {} stays", path.display()),
    }
}

/// Keys and databases.
fn is_secret(name: &str) -> bool {
    name.ends_with(".redb") || name.contains(".key") || name.ends_with(".token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_has_done_to_modes_is_put_back() {
        let data = tempfile::tempdir().unwrap();
        let path = |name: &str| data.path().join(name);
        fs::create_dir_all(path("workspaces/acme/agents/ada")).unwrap();
        let files = ["master.key", "lock", "replica.key", "workspaces/acme/hq.redb"];
        for name in files {
            fs::write(path(name), "x").unwrap();
        }
        let all = ["", "workspaces", "workspaces/acme", "workspaces/acme/agents"];
        let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o7777;
        let set = |name: &str, mode| {
            fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
        };
        all.iter().for_each(|name| set(name, 0o700));
        files.iter().for_each(|name| set(name, 0o600));
        assert_eq!(restore(data.path()), [], "as HQ makes them");

        set("workspaces/acme/agents/ada", 0o777);
        set("workspaces/acme/hq.redb", 0);
        set("workspaces/acme", 0o777);
        set("replica.key", 0o644);
        set("master.key", 0o666);
        set("", 0o705);
        let described: Vec<String> = restore(data.path()).iter().map(Restored::describe).collect();
        assert_eq!(described.len(), 4, "{described:?}");
        let key = "master.key had the mode 666 and has 600 again; other users of this machine";
        assert!(described.iter().any(|text| text.contains(key)), "{described:?}");
        let now = ["", "master.key", "workspaces/acme", "workspaces/acme/hq.redb"].map(mode);
        assert_eq!(now, [0o700, 0o600, 0o750, 0o600]);
        assert_eq!(mode("workspaces/acme/agents/ada"), 0o777, "that is the agent's");
        assert_eq!(mode("replica.key"), 0o644, "its owner is told at start");

        set("", 0o777);
        set("master.key", 0o604);
        assert_eq!(restore_top(data.path()).len(), 2);
        assert_eq!((mode(""), mode("master.key")), (0o750, 0o600));
    }
}
