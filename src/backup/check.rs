//! Verifies all hashes of a backup. Damaged chunks are moved aside, so that the next backup writes them again, which
//! also repairs older backups that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::BackupError;
use super::manifest::{BlobRef, ChunkRef, Manifest, Part, PartKind, blobs_hash};
use super::pieces::Joined;
use super::progress::{Meter, Phase};
use super::repo::{Repository, piece_path};
use super::restore::safe;
use super::stream::{self, Token};

#[derive(Debug, Default)]
pub struct Checked {
    /// Empty if the backup is intact.
    pub faults: Vec<BackupError>,
    /// Bytes read.
    pub bytes: u64,
    /// Rows in stores.
    pub rows: u64,
    /// Files and blobs.
    pub files: u64,
    /// All backups at the target that use damaged data, oldest first.
    pub damaged: Vec<String>,
}

impl Checked {
    /// The faults in one sentence; `None` if the backup is intact.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let first = self.faults.first()?;
        let more = match self.faults.len() {
            1 => String::new(),
            n => format!(" ({} more like this)", n - 1),
        };
        Some(format!("{first}{more}; damaged: {}", self.damaged.join(", ")))
    }
}

/// Verifies all hashes of a backup, or of one workspace in it, and moves damaged chunks aside. Blocking.
///
/// # Errors
/// If the target cannot be read at all; damage is reported in the result.
pub fn verify(
    repo: &Repository,
    manifest: &Manifest,
    workspace: Option<&str>,
    meter: &Meter,
) -> Result<Checked, BackupError> {
    let total = manifest.parts_of(workspace).map(|part| part.bytes).sum();
    meter.begin(Phase::Verifying, total);
    let mut checked = Checked::default();
    let mut bad = BTreeSet::new();
    for part in manifest.parts_of(workspace) {
        match check(repo, part, meter) {
            Ok(rows) => {
                checked.bytes += part.bytes;
                checked.rows += rows;
                checked.files += part.files;
            }
            Err(error @ (BackupError::Missing { .. } | BackupError::Damaged { .. })) => {
                // The read stopped at the first fault; a repair needs all of them.
                let faults = checked.faults.len();
                look_through(repo, part, &mut bad, &mut checked.faults)?;
                let is_known = part.all_chunks().any(|piece| bad.contains(piece.0.as_str()));
                if faults == checked.faults.len() && !is_known {
                    checked.faults.push(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    if !checked.faults.is_empty() {
        checked.damaged = naming(repo, manifest, &bad)?;
    }
    Ok(checked)
}

/// Reads every chunk of a part again, reports each fault, and moves damaged chunks aside.
fn look_through<'p>(
    repo: &Repository,
    part: &'p Part,
    bad: &mut BTreeSet<&'p str>,
    faults: &mut Vec<BackupError>,
) -> Result<(), BackupError> {
    let pieces: BTreeMap<&str, &ChunkRef> =
        part.all_chunks().map(|piece| (piece.0.as_str(), piece)).collect();
    for (name, piece) in pieces {
        let fault = match repo.piece(piece) {
            Ok(_) => continue,
            Err(error @ (BackupError::Missing { .. } | BackupError::Damaged { .. })) => error,
            Err(error) => return Err(error),
        };
        if !bad.insert(name) {
            continue;
        }
        if matches!(fault, BackupError::Damaged { .. })
            && let Err(error) = repo.target.set_aside(&piece_path(name))
        {
            // Read-only targets can be checked, too.
            tracing::warn!(%error, "a damaged piece could not be put aside");
        }
        faults.push(fault);
    }
    Ok(())
}

/// Backups that use one of these chunks, and the checked one.
fn naming(
    repo: &Repository,
    checked: &Manifest,
    bad: &BTreeSet<&str>,
) -> Result<Vec<String>, BackupError> {
    let mut named = Vec::new();
    repo.each_manifest(&mut |one| {
        let mut pieces = one.parts.iter().flat_map(|part| part.all_chunks());
        if one.id == checked.id || pieces.any(|piece| bad.contains(piece.0.as_str())) {
            named.push(one.order());
        }
        Ok(())
    })?;
    named.sort();
    Ok(named.into_iter().map(|(_, _, id)| id).collect())
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
                Token::Stretch(_) | Token::Hole(_) | Token::FileEnd => Ok(()),
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

pub(super) fn unlike(repo: &Repository, part: &Part) -> BackupError {
    let (place, name) = (repo.place().to_owned(), part.path.clone());
    BackupError::Damaged { place, name, why: "it doesn't match the manifest" }
}

/// Visits the tokens of a stream and verifies its overall hash.
pub(super) fn read(
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

/// Reads the content of a blob and verifies it against its id.
pub(super) fn content(
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
