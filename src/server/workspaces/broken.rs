//! Workspaces that cannot be opened. Their stores cannot tell who the members are, so a copy of the member list is
//! kept beside each store.

use std::fs;
use std::io;
use std::path::Path;

use app::{App, Broken};
use kernel::AccountId;
use store::migrate::UpgradeError;
use store::{DecodeError, StoreError};

use super::OpenError;
use super::error::LifeError;

/// File name of the copy: one account id per line. Rewritten when it differs, read when the store does not open.
const PEOPLE: &str = "people";

/// Lists a broken workspace until the next start.
pub(super) fn show(app: &App, broken: Broken) {
    let (slug, reason) = (&broken.slug, &broken.reason);
    tracing::error!(workspace = slug, "the workspace {slug} is left out: {reason}");
    app.broken.write().push(broken);
}

/// A broken workspace that a backup can restore.
pub(super) fn damaged(folder: &Path, reason: impl Into<String>) -> Broken {
    let slug = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Broken {
        slug: slug.unwrap_or_default(),
        reason: reason.into(),
        restore: true,
        people: people_of(folder),
    }
}

/// Whether the folder contains something with the name of the store.
pub(super) fn has_store(folder: &Path) -> bool {
    folder.join("hq.redb").exists()
}

/// A workspace folder without its store.
pub(super) fn no_store(folder: &Path) -> Broken {
    damaged(folder, format!("its store {} is missing", folder.join("hq.redb").display()))
}

/// Advice for problems of the disk or of permissions.
const LOOK: &str = "check the permissions of its folder and the disk, then start HQ again";

/// Whether data is lost or corrupted. Only then is a backup advised: replacing data that is only temporarily
/// unreadable would lose everything since the backup.
fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged(_) | StoreError::Lost { .. } => true,
        // A newer version wrote rows of an unknown version.
        StoreError::Decode(error) => !matches!(error, DecodeError::UnknownVersion { .. }),
        _ => false,
    }
}

/// A workspace that could not be opened.
pub(super) fn unopened(folder: &Path, error: &OpenError) -> Broken {
    let reason = match error {
        OpenError::Store { source, .. } if is_damage(source) => {
            return damaged(folder, error.to_string());
        }
        OpenError::Store { source: StoreError::Decode(_), .. } => {
            format!("{error}; a newer version of HQ wrote it, start that version again")
        }
        OpenError::Store { source: StoreError::Failed(why), .. } => {
            // The text of this error describes a write.
            format!(
                "its store is unreadable ({why}); {LOOK}. Restore a backup only if both are fine"
            )
        }
        OpenError::Upgrade(error) => return not_upgraded(folder, error),
        OpenError::Folder { .. } | OpenError::Store { .. } => format!("{error}; {LOOK}"),
    };
    in_the_way(folder, reason)
}

/// A workspace whose upgrade failed. The file is unchanged and works with the version that wrote it.
fn not_upgraded(folder: &Path, error: &UpgradeError) -> Broken {
    let start = "start that version again, or fix this and start HQ again";
    let reason = match error {
        UpgradeError::Store {
            source: StoreError::Damaged(_) | StoreError::Lost { .. }, ..
        } => {
            return damaged(folder, error.to_string());
        }
        // These errors say what to do.
        UpgradeError::Room { .. }
        | UpgradeError::NoWay { .. }
        | UpgradeError::Newer { .. }
        | UpgradeError::NothingKept { .. } => error.to_string(),
        UpgradeError::Step { .. } => format!("{error}: {start}"),
        UpgradeError::Store { .. } => format!(
            "it couldn't be upgraded ({error}); nothing was changed, and the program version that \
             wrote it can still open it: {start}"
        ),
        UpgradeError::Io { .. } => format!("it couldn't be upgraded ({error}); {LOOK}"),
    };
    in_the_way(folder, reason)
}

/// A workspace that was opened but not accepted, or that did not open again.
pub(super) fn left_out(folder: &Path, error: &LifeError) -> Broken {
    match error {
        LifeError::Open(error) => unopened(folder, error),
        LifeError::Store(source) if is_damage(source) => damaged(folder, error.to_string()),
        LifeError::Users(error) => in_the_way(
            folder,
            format!(
                "it can't be added to the list of workspaces in system.redb ({error}); nothing in \
                 it was changed. Fix this, then start HQ again"
            ),
        ),
        other => in_the_way(folder, format!("{other}; {LOOK}")),
    }
}

/// A broken workspace whose reason says what to do.
pub(super) fn in_the_way(folder: &Path, reason: impl Into<String>) -> Broken {
    Broken { restore: false, ..damaged(folder, reason) }
}

/// Members of the workspace of this folder; empty if unknown.
fn people_of(folder: &Path) -> Vec<AccountId> {
    // ok: without the copy, only the HQ's owner sees the error.
    let text = fs::read_to_string(folder.join(PEOPLE)).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Updates the copy. Blocking.
pub(super) fn note_people(folder: &Path, mut people: Vec<AccountId>) -> io::Result<()> {
    people.sort_unstable();
    if people_of(folder) == people {
        return Ok(());
    }
    let lines: Vec<String> = people.iter().map(ToString::to_string).collect();
    let fresh = folder.join(format!("{PEOPLE}.new"));
    fs::write(&fresh, lines.join("\n"))?;
    fs::rename(&fresh, folder.join(PEOPLE))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::{damaged, in_the_way, left_out, no_store, note_people, unopened};
    use crate::workspaces::OpenError;
    use crate::workspaces::error::LifeError;
    use features::users::rules::UsersError;
    use kernel::{AccountId, TypedId};
    use store::migrate::UpgradeError;
    use store::{DecodeError, StoreError};

    #[test]
    fn whose_a_workspace_was_is_known_without_its_store() {
        let folder = tempfile::tempdir().unwrap();
        let id = |n| AccountId::from_bytes([n; 16]);
        assert!(damaged(folder.path(), "gone").people.is_empty());
        note_people(folder.path(), vec![id(2), id(1)]).unwrap();
        assert_eq!(damaged(folder.path(), "gone").people, [id(1), id(2)]);
        note_people(folder.path(), vec![id(2)]).unwrap();
        let other = in_the_way(folder.path(), "a copy");
        assert_eq!((other.people, other.restore), (vec![id(2)], false));
        std::fs::write(folder.path().join("people"), "what is this\n").unwrap();
        assert!(damaged(folder.path(), "gone").people.is_empty());
    }

    #[test]
    fn a_backup_is_advised_only_where_bytes_are_lost_or_others() {
        let folder = Path::new("/data/workspaces/acme");
        let stored = |source| OpenError::Store { folder: folder.to_owned(), source };
        let upgraded = |source| {
            OpenError::Upgrade(UpgradeError::Store { file: folder.join("hq.redb"), source })
        };
        let lost = || StoreError::Lost { found: 1, known: 2 };
        let short = || StoreError::Decode(DecodeError::Short);
        let newer = StoreError::Decode(DecodeError::UnknownVersion { table: "tasks", version: 9 });
        for error in [
            stored(StoreError::Damaged("bad".into())),
            stored(lost()),
            stored(short()),
            upgraded(lost()),
        ] {
            assert!(unopened(folder, &error).restore, "{error}");
        }
        assert!(left_out(folder, &LifeError::Store(lost())).restore);
        assert!(no_store(folder).restore);

        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let (file, step) = (PathBuf::from("hq.redb"), "m0002_more");
        for (error, advice) in [
            (stored(newer), "start that version again"),
            (stored(StoreError::Failed("no entry".into())), "check the permissions"),
            (stored(StoreError::Full { free_mb: 1, reserve_mb: 9 }), "free some space"),
            (upgraded(short()), "nothing was changed"),
            (
                OpenError::Folder { folder: folder.to_owned(), source: denied() },
                "check the permissions",
            ),
            (
                UpgradeError::Io { file: file.clone(), source: denied() }.into(),
                "check the permissions",
            ),
            (
                UpgradeError::Room { file: file.clone(), needed_mb: 9, free_mb: 1 }.into(),
                "free some and start again",
            ),
            (
                UpgradeError::Step { file: file.clone(), to: 2, step, why: "a bug".into() }.into(),
                "start that version again",
            ),
            (UpgradeError::NoWay { file, found: 1 }.into(), "start an intermediate version"),
        ] {
            let broken = unopened(folder, &error);
            assert!(!broken.restore && broken.reason.contains(advice), "{}", broken.reason);
        }
        let full =
            LifeError::Users(UsersError::Store(StoreError::Full { free_mb: 1, reserve_mb: 9 }));
        let broken = left_out(folder, &full);
        assert!(!broken.restore && broken.reason.contains("nothing in it was changed"));
        assert_eq!(broken.slug, "acme");
    }
}
