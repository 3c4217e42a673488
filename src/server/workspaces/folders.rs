//! Workspace folders on disk: create, move, set aside, delete. Blocking.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kernel::WorkspaceId;
use store::disk::sync_folder;

use super::GONE;
use super::life::LifeError;

/// Deletes a folder. A missing folder is not an error.
pub(super) fn remove(folder: &Path) -> Result<(), LifeError> {
    flatten(folder);
    let mut removed = fs::remove_dir_all(folder);
    if removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        // Agents' programs may have removed permissions from their folders.
        unlock(folder);
        flatten(folder);
        removed = fs::remove_dir_all(folder);
    }
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LifeError::Disk { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Deletes the folder of an unfinished workspace after renaming it in one step. Otherwise, a crash could leave a part
/// of it without its marker, and the slug would stay taken.
pub(super) fn take_away(folder: &Path) -> Result<(), LifeError> {
    let Some(name) = folder.file_name() else { return Ok(()) };
    let aside = folder.with_file_name(format!("{GONE}{}-begun", name.to_string_lossy()));
    remove(&aside)?; // from an earlier attempt
    match part(folder, &aside) {
        Err(LifeError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        parted => parted.and_then(|()| remove(&aside)),
    }
}

/// Maximum nesting of folders during a deletion.
const LEVELS: usize = 10;

/// Moves deeply nested folders up. Agents' programs can create trees of any depth, and deleting one uses a file
/// descriptor and stack space per level, which could crash the process.
fn flatten(top: &Path) {
    // Do not follow links.
    if !fs::symlink_metadata(top).is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    let (mut left, mut number) = (vec![(top.to_owned(), 0)], 0_u64);
    while let Some((at, depth)) = left.pop() {
        // ok, here and below: the deletion reports what cannot be read or moved.
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if depth < LEVELS {
                left.push((entry.path(), depth + 1));
                continue;
            }
            let mut to = top.join(format!(".deep-{number}"));
            while fs::symlink_metadata(&to).is_ok() {
                number += 1;
                to = top.join(format!(".deep-{number}"));
            }
            if fs::rename(entry.path(), &to).is_ok() {
                left.push((to, 1));
            }
        }
    }
}

/// Marker file of an unfinished workspace, which is not created and listed completely.
const BEGUN: &str = ".begun";

/// Creates the folder of a new workspace with its marker. The next start deletes the folder if a crash leaves it
/// unfinished.
///
/// # Errors
/// When the folder exists already, or the disk fails. The caller does not own an existing folder.
pub(super) fn begin(folder: &Path) -> Result<(), LifeError> {
    let failed = |source| LifeError::Disk { path: folder.to_owned(), source };
    match fs::create_dir(folder) {
        // It has just appeared: an import moves its folder into place without holding the lock.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = folder.file_name().unwrap_or_default();
            return Err(LifeError::Taken(name.to_string_lossy().into_owned()));
        }
        made => made.map_err(failed)?,
    }
    mark(folder).map_err(|source| {
        if let Err(error) = take_away(folder) {
            tracing::warn!(%error, "what was begun is left");
        }
        failed(source)
    })
}

fn mark(folder: &Path) -> io::Result<()> {
    fs::File::create_new(folder.join(BEGUN))?.sync_all()?;
    // The list must never contain a folder that a power cut can remove.
    sync_folder(folder)?;
    folder.ancestors().skip(1).take(2).try_for_each(sync_folder)
}

/// Makes a created, renamed or deleted name durable. A failure is only logged, because the change is visible.
fn keep_name(path: &Path) {
    if let Err(error) = path.parent().map_or(Ok(()), sync_folder) {
        tracing::error!(%error, "the folder of {} could not be synced", path.display());
    }
}

/// Removes the marker: the workspace is complete and durable.
pub(super) fn finish(folder: &Path) -> Result<(), LifeError> {
    let mark = folder.join(BEGUN);
    let finished = match fs::remove_file(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        removed => removed.and_then(|()| sync_folder(folder)),
    };
    finished.map_err(|source| LifeError::Disk { path: mark, source })
}

/// Whether the workspace of this folder is unfinished.
pub(super) fn is_begun(folder: &Path) -> bool {
    folder.join(BEGUN).exists()
}

/// Deletes unfinished workspaces without a store: marked folders, and folders that contain only empty folders. Their
/// slugs become free. Listed workspaces are kept: they were complete, and their store is missing.
pub(super) fn sweep_begun(data: &Path, is_listed: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(data.join("workspaces")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let folder = entry.path();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let stays = name.is_none_or(|name| name.starts_with(GONE) || is_listed(&name));
        if stays || folder.join("hq.redb").exists() || !entry.file_type()?.is_dir() {
            continue;
        }
        if is_begun(&folder) || holds_nothing(&folder) {
            tracing::info!("removed {}, a workspace that was never finished", folder.display());
            take_away(&folder).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Gives the owner write permission for a folder and everything below. Links are not followed. The subsequent
/// deletion reports what cannot be changed.
fn unlock(folder: &Path) {
    let open = fs::Permissions::from_mode(0o700);
    fs::set_permissions(folder, open).ok(); // ok: the deletion reports the problem
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

/// Renames a folder in one step, so that a crash leaves either a complete workspace or one marked for deletion.
pub(super) fn part(from: &Path, aside: &Path) -> Result<(), LifeError> {
    fs::rename(from, aside).map_err(|source| LifeError::Disk { path: from.to_owned(), source })?;
    keep_name(aside);
    Ok(())
}

/// Prefix of marker files for workspaces that are being moved out of the data directory. Without the marker, a crash
/// between the move and the change of the list would look like a lost folder.
const MOVING: &str = ".moving-";

fn moving(folder: &Path, id: WorkspaceId) -> PathBuf {
    folder.with_file_name(format!("{MOVING}{id}"))
}

/// Writes the marker before a move.
pub(super) fn note_move(folder: &Path, id: WorkspaceId) -> Result<(), LifeError> {
    let mark = moving(folder, id);
    let noted = fs::File::create(&mark).and_then(|file| file.sync_all());
    let kept = noted.and_then(|()| mark.parent().map_or(Ok(()), sync_folder));
    kept.map_err(|source| LifeError::Disk { path: mark, source })
}

/// Whether the workspace of this folder was being moved.
pub(super) fn was_moving(folder: &Path, id: WorkspaceId) -> bool {
    moving(folder, id).exists()
}

/// Removes the marker after the move, or if the workspace stays.
pub(super) fn forget_move(folder: &Path, id: WorkspaceId) {
    fs::remove_file(moving(folder, id)).ok(); // ok: without folder and row, the marker has no effect
}

/// Moves a folder, also to another disk. The copy is complete before the original is removed.
pub(super) fn carry(from: &Path, to: &Path, aside: &Path) -> Result<(), LifeError> {
    let failed = |source| LifeError::Disk { path: to.to_owned(), source };
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::create_dir(to).map_err(failed)?;
            if let Err(error) = copy(from, to) {
                // An incomplete copy would block the next attempt.
                if let Err(error) = remove(to) {
                    tracing::warn!(%error, "a copy that broke off is left");
                }
                return Err(failed(error));
            }
            keep_name(to);
            part(from, aside)
        }
        moved => {
            moved.map_err(failed)?;
            keep_name(to);
            keep_name(from);
            Ok(())
        }
    }
}

/// Copies the content of a folder to an empty folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            // Skip special files of agents' programs: reading a pipe never ends.
            fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    fs::File::open(to)?.sync_all()
}

/// Folders of workspaces that are no longer listed but not deleted yet.
pub(super) fn leftovers(data: &Path) -> Result<Vec<PathBuf>, LifeError> {
    let failed = |source| LifeError::Disk { path: data.to_owned(), source };
    if !data.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(data).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(GONE) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether the workspace of this folder was never used, so that deleting it loses nothing.
pub(super) fn was_never_used(folder: &Path) -> bool {
    is_begun(folder) || holds_nothing(folder)
}

/// Whether a folder contains no files except those of the store.
fn holds_nothing(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.into_iter().all(|entry| {
        entry.is_ok_and(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds_nothing(&entry.path()),
            Ok(_) => entry.file_name().to_string_lossy().starts_with("hq.redb"),
            Err(_) => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_any_depth_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, above) = (dir.path().join("tree"), dir.path().join("above"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "x").unwrap();
        for n in 0..5_000 {
            fs::create_dir(&above).unwrap();
            fs::rename(&tree, above.join("d")).unwrap();
            if n % 1_000 == 0 {
                std::os::unix::fs::symlink("/nowhere", above.join(".deep-0")).unwrap();
            }
            fs::rename(&above, &tree).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
        remove(&tree).unwrap();
    }

    #[test]
    fn what_somebody_else_made_is_not_begun_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("hq.redb"), "an import's").unwrap();
        assert!(matches!(begin(&other), Err(LifeError::Taken(name)) if name == "other"));
        assert!(!is_begun(&other));
        assert_eq!(fs::read(other.join("hq.redb")).unwrap(), b"an import's");

        begin(&own).unwrap();
        assert!(is_begun(&own));
        for _ in 0..2 {
            finish(&own).unwrap();
            assert!(!is_begun(&own));
        }
    }

    #[test]
    fn what_was_only_begun_goes_unless_it_is_on_the_list() {
        let data = tempfile::tempdir().unwrap();
        let all = data.path().join("workspaces");
        fs::create_dir(&all).unwrap();
        let [begun, listed, empty] = ["begun", "listed", "empty"].map(|name| all.join(name));
        for folder in [&begun, &listed] {
            begin(folder).unwrap();
            fs::write(folder.join("note.md"), "kept").unwrap();
        }
        fs::create_dir(&empty).unwrap();
        sweep_begun(data.path(), |slug| slug == "listed").unwrap();
        assert!(!begun.exists() && !empty.exists());
        assert!(listed.join("note.md").exists());
    }
}
