//! Checking a backup, and writing it out again. Nothing is written before every hash was checked,
//! and nothing ever over what is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::store::Schema;
use crate::store::disk::free_space;
use crate::store::dump::Loader;

use super::BackupError;
use super::manifest::{BlobRef, Manifest, Part, PartKind, blobs_hash};
use super::pieces::Joined;
use super::progress::{Meter, Phase};
use super::repo::Repository;
use super::stream::{self, Token};

/// Left free beyond what is written.
const MARGIN: u64 = 64 * 1024 * 1024;

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong; empty when all is well.
    pub faults: Vec<BackupError>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Rows of stores.
    pub rows: u64,
    /// Files and blobs.
    pub files: u64,
}

/// Checks every hash of a backup, or of one workspace in it. Blocking.
///
/// # Errors
/// When the target cannot be asked at all; what is damaged or missing is in the answer.
pub fn verify(
    repo: &Repository,
    manifest: &Manifest,
    workspace: Option<&str>,
    meter: &Meter,
) -> Result<Checked, BackupError> {
    let total = manifest.parts_of(workspace).map(|part| part.bytes).sum();
    meter.begin(Phase::Verifying, total);
    let mut checked = Checked::default();
    for part in manifest.parts_of(workspace) {
        match check(repo, part, meter) {
            Ok(rows) => {
                checked.bytes += part.bytes;
                checked.rows += rows;
                checked.files += part.files;
            }
            Err(error @ (BackupError::Missing { .. } | BackupError::Damaged { .. })) => {
                checked.faults.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(checked)
}

fn check(repo: &Repository, part: &Part, meter: &Meter) -> Result<u64, BackupError> {
    match part.kind {
        PartKind::Store => {
            let mut rows: BTreeMap<u16, u64> = BTreeMap::new();
            let mut now = 0;
            read(repo, part, meter, &mut |token| {
                match token {
                    Token::Table(number) => now = number,
                    Token::Row(..) => *rows.entry(now).or_default() += 1,
                    _ => return Err(unlike(repo, part)),
                }
                Ok(())
            })?;
            let facts = part.store.as_ref().ok_or_else(|| unlike(repo, part))?;
            if facts.rows != rows {
                return Err(unlike(repo, part));
            }
            Ok(rows.values().sum())
        }
        PartKind::Files => {
            read(repo, part, meter, &mut |token| match token {
                Token::File { path, .. } => safe(&path).ok_or_else(|| unlike(repo, part)).map(drop),
                Token::Stretch(_) | Token::FileEnd => Ok(()),
                _ => Err(unlike(repo, part)),
            })?;
            Ok(0)
        }
        PartKind::Blobs => {
            for blob in &part.blobs {
                content(repo, part, blob, meter, &mut |_| Ok(()))?;
            }
            match blobs_hash(&part.blobs) == part.sha256 {
                true => Ok(0),
                false => Err(unlike(repo, part)),
            }
        }
    }
}

fn unlike(repo: &Repository, part: &Part) -> BackupError {
    let (place, name) = (repo.place().to_owned(), part.path.clone());
    BackupError::Damaged { place, name, why: "it is not what the manifest says" }
}

/// Gives each thing in a stream, and checks the hash of the whole at its end.
fn read(
    repo: &Repository,
    part: &Part,
    meter: &Meter,
    take: &mut dyn FnMut(Token) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let mut joined = Joined::new(repo, &part.chunks, meter);
    loop {
        let token = match stream::next(&mut joined) {
            Ok(Token::End) => break,
            Ok(token) => token,
            Err(_) => return Err(joined.error.take().unwrap_or_else(|| unlike(repo, part))),
        };
        take(token)?;
    }
    let is_over = joined.read(&mut [0; 1]).is_ok_and(|n| n == 0);
    match is_over && hex::encode(joined.hash()) == part.sha256 {
        true => Ok(()),
        false => Err(unlike(repo, part)),
    }
}

/// Gives the content of a blob and checks it against its name.
fn content(
    repo: &Repository,
    part: &Part,
    blob: &BlobRef,
    meter: &Meter,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), BackupError> {
    let mut hash = Sha256::new();
    for piece in &blob.chunks {
        let bytes = repo.piece(piece)?;
        meter.add(bytes.len() as u64)?;
        hash.update(&bytes);
        take(&bytes).map_err(BackupError::disk(Path::new(&part.path)))?;
    }
    let is_name = blob.id.len() == 64 && blob.id.bytes().all(|b| b.is_ascii_hexdigit());
    match is_name && hex::encode(hash.finalize()) == blob.id {
        true => Ok(()),
        false => Err(unlike(repo, part)),
    }
}

/// A path that stays below the folder it is joined to.
pub(super) fn safe(path: &str) -> Option<&Path> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let fine = !path.contains('\0') && path.split('/').all(is_plain);
    fine.then(|| Path::new(path))
}

/// Whether there is room in a folder for a backup that is written out.
///
/// # Errors
/// When there is not.
pub fn room(
    folder: &Path,
    manifest: &Manifest,
    workspace: Option<&str>,
) -> Result<(), BackupError> {
    let bytes: u64 = manifest.parts_of(workspace).map(|part| part.bytes).sum();
    // A redb file is larger than its rows.
    let need = bytes + bytes / 2 + MARGIN;
    let mut there = folder;
    while !there.exists() {
        there = there.parent().unwrap_or(Path::new("."));
    }
    let free = free_space(there).map_err(BackupError::disk(there))?;
    if free < need {
        let place = folder.display().to_string();
        return Err(BackupError::Full { place, free_mb: free >> 20, need_mb: need >> 20 });
    }
    Ok(())
}

/// Writes a backup, or one workspace of it, into an empty folder. `schema` says which tables the store
/// at a path has. Blocking.
///
/// # Errors
/// When something is damaged, or the disk fails.
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

fn write_files(
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
            Token::FileEnd => open = None,
            _ => return Err(unlike(repo, part)),
        }
        Ok(())
    })?;
    if at.extension().is_some_and(|extension| extension == "git") {
        // A repository has these, be they empty or not.
        ["objects", "refs/heads"].iter().try_for_each(|name| make_folder(&at.join(name)))?;
    }
    Ok(())
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
