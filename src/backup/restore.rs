//! Writes a backup to an empty folder. Never overwrites data.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use store::Schema;
use store::disk::{free_space, reserve};
use store::dump::Loader;

use super::BackupError;
use super::check::{content, read, unlike};
use super::manifest::{Manifest, Part, PartKind};
use super::progress::{Meter, Phase};
use super::repo::Repository;
use super::stream::Token;

/// Bytes that must stay free in addition to the restored data and the reserve of a store.
const MARGIN: u64 = 64 * 1024 * 1024;

/// The path, if it stays below the folder that it is joined to.
pub(super) fn safe(path: &str) -> Option<&Path> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let fine = !path.contains('\0') && path.split('/').all(is_plain);
    fine.then(|| Path::new(path))
}

/// Checks free space for the restore of a backup.
///
/// # Errors
/// If there is too little.
pub fn room(
    folder: &Path,
    manifest: &Manifest,
    workspace: Option<&str>,
) -> Result<(), BackupError> {
    let bytes: u64 = manifest.parts_of(workspace).map(|part| part.bytes).sum();
    room_for(folder, bytes)
}

/// Checks that `bytes` of a backup fit into a folder.
pub(super) fn room_for(folder: &Path, bytes: u64) -> Result<(), BackupError> {
    // A redb file is larger than its rows.
    let need = bytes + bytes / 2 + reserve(bytes) + MARGIN;
    let mut there = folder;
    while !there.exists() {
        there = there.parent().unwrap_or(Path::new("."));
    }
    let free = free_space(there).map_err(BackupError::disk(there))?;
    if free < need {
        return Err(BackupError::full(folder.display(), free, need));
    }
    Ok(())
}

/// Restores a backup, or one workspace of it, to an empty folder. `schema` returns the schema of the store at a path.
/// Blocking.
///
/// # Errors
/// If data is damaged, or the disk fails.
pub fn write_out(
    repo: &Repository,
    (manifest, workspace): (&Manifest, Option<&str>),
    folder: &Path,
    schema: &dyn Fn(&str) -> Schema,
    meter: &Meter,
) -> Result<(), BackupError> {
    let total = manifest.parts_of(workspace).map(|part| part.bytes).sum();
    meter.begin(Phase::Restoring, total);
    for part in manifest.parts_of(workspace) {
        let below = safe(&part.path).ok_or_else(|| unlike(repo, part))?;
        let at = folder.join(below);
        match part.kind {
            PartKind::Store => write_store(repo, part, &at, schema(&part.path), meter)?,
            PartKind::Files => write_files(repo, part, &at, meter)?,
            PartKind::Blobs => write_blobs(repo, part, &at, meter)?,
        }
    }
    settle(folder)
}

/// Makes all writes to the folder's file system durable.
pub fn settle(folder: &Path) -> Result<(), BackupError> {
    let opened = File::open(folder).map_err(BackupError::disk(folder))?;
    rustix::fs::syncfs(&opened).map_err(|error| BackupError::disk(folder)(error.into()))
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    fs::create_dir_all(folder).map_err(BackupError::disk(folder))
}

fn write_store(
    repo: &Repository,
    part: &Part,
    at: &Path,
    schema: Schema,
    meter: &Meter,
) -> Result<(), BackupError> {
    make_folder(at.parent().unwrap_or(at))?;
    let failed = || BackupError::store(&part.path);
    let mut loader = Loader::create(at, schema).map_err(failed())?;
    let mut now = 0;
    read(repo, part, meter, &mut |token| {
        match token {
            Token::Table(number) => now = number,
            Token::Row(key, value) => loader.row(now, &key, &value).map_err(failed())?,
            _ => return Err(unlike(repo, part)),
        }
        Ok(())
    })?;
    loader.finish().map_err(failed()).map(drop)
}

pub(super) fn write_files(
    repo: &Repository,
    part: &Part,
    at: &Path,
    meter: &Meter,
) -> Result<(), BackupError> {
    if part.files == 0 {
        return read(repo, part, meter, &mut |_| Ok(()));
    }
    make_folder(at)?;
    let mut open: Option<(PathBuf, File)> = None;
    read(repo, part, meter, &mut |token| {
        match token {
            Token::File { path, executable } => {
                let path = at.join(safe(&path).ok_or_else(|| unlike(repo, part))?);
                make_folder(path.parent().unwrap_or(at))?;
                let mode = if executable { 0o755 } else { 0o644 };
                let file = File::options().write(true).create_new(true).mode(mode).open(&path);
                let file = file.map_err(BackupError::disk(&path))?;
                open = Some((path, file));
            }
            Token::Stretch(bytes) => {
                let (path, file) = open.as_mut().ok_or_else(|| unlike(repo, part))?;
                file.write_all(&bytes).map_err(BackupError::disk(path))?;
            }
            Token::Hole(len) => {
                let (path, file) = open.as_mut().ok_or_else(|| unlike(repo, part))?;
                skip(file, len).map_err(BackupError::disk(path))?;
            }
            Token::FileEnd => open = None,
            _ => return Err(unlike(repo, part)),
        }
        Ok(())
    })?;
    if at.extension().is_some_and(|extension| extension == "git") {
        // Git requires these folders, even if they are empty.
        ["objects", "refs/heads"].iter().try_for_each(|name| make_folder(&at.join(name)))?;
    }
    Ok(())
}

/// Writes a hole of `len` bytes.
fn skip(file: &mut File, len: u64) -> io::Result<()> {
    let to = file.stream_position()?.checked_add(len).ok_or(io::ErrorKind::FileTooLarge)?;
    file.set_len(to)?;
    file.seek(SeekFrom::Start(to)).map(drop)
}

fn write_blobs(
    repo: &Repository,
    part: &Part,
    at: &Path,
    meter: &Meter,
) -> Result<(), BackupError> {
    make_folder(at)?;
    for blob in &part.blobs {
        let (shelf, name) = blob.id.split_at_checked(2).ok_or_else(|| unlike(repo, part))?;
        if safe(shelf).is_none() || safe(name).is_none() {
            return Err(unlike(repo, part));
        }
        let shelf = at.join(shelf);
        make_folder(&shelf)?;
        let path = shelf.join(name);
        let mut file = File::create_new(&path).map_err(BackupError::disk(&path))?;
        content(repo, part, blob, meter, &mut |bytes| file.write_all(bytes))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn no_path_leaves_its_folder() {
        for path in ["a", "a/b.txt", "…/x", ".hidden"] {
            assert!(safe(path).is_some(), "{path}");
        }
        for path in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/.", "a\0b"] {
            assert!(safe(path).is_none(), "{path}");
        }
    }
}
