//! Checks pack files in a repository of agent files. HQ writes none; `git gc` does.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use gix::hash::Kind;
use gix::objs::Write as _;
use gix::odb::pack::index;

use super::check::Depth;
use super::mend::right;
use super::{AgentsRepo, GitError};

/// Length of the checksum at the end of a pack and of its index.
const SUM: usize = 20;
/// Maximum length of an object header in a pack, including the checksum at the end.
const HEADER: u64 = 64;

/// A damaged pack, which must not be read.
pub(super) struct Bad {
    /// Path without extension.
    stem: PathBuf,
    /// Description of the damage.
    pub message: String,
    /// Whether the index is intact.
    has_index: bool,
}

/// The packs that do not match their index: compared by their checksums only, or by every byte.
pub(super) fn bad(repository: &Path, depth: Depth) -> Vec<Bad> {
    let folder = repository.join("objects/pack");
    // ok: the folder is optional.
    let Ok(all) = fs::read_dir(&folder) else { return Vec::new() };
    let ends = |path: &Path| path.extension().is_some_and(|end| end == "pack" || end == "idx");
    let paths = all.filter_map(Result::ok).map(|entry| entry.path());
    let mut stems: Vec<PathBuf> =
        paths.filter(|path| ends(path)).map(|path| path.with_extension("")).collect();
    stems.sort();
    stems.dedup();
    let mut found = Vec::new();
    for stem in stems {
        let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let has_index = is_summed(&stem.with_extension("idx"), depth).unwrap_or(false);
        let why = match fits(&stem, depth) {
            Ok(true) if has_index => continue,
            Ok(true) => "its index differs from what was written".to_owned(),
            Ok(false) => "it is truncated or differs from what was written".to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!("the pack {name} can't be read: {why}");
        found.push(Bad { stem, message, has_index });
    }
    found
}

/// Returns `true` if the pack ends with the checksum named in its index.
fn fits(stem: &Path, depth: Depth) -> io::Result<bool> {
    let (pack, index) = (stem.with_extension("pack"), stem.with_extension("idx"));
    let mut start = [0; 4];
    File::open(&pack)?.read_exact(&mut start)?;
    let named = end_of::<{ 2 * SUM }>(&index)?;
    let same = end_of::<SUM>(&pack)? == named[..SUM];
    Ok(start == *b"PACK" && same && is_summed(&pack, depth)?)
}

/// The last bytes of a file.
fn end_of<const N: usize>(path: &Path) -> io::Result<[u8; N]> {
    let (mut file, mut end) = (File::open(path)?, [0; N]);
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.checked_sub(N as u64).ok_or(io::ErrorKind::UnexpectedEof)?))?;
    file.read_exact(&mut end)?;
    Ok(end)
}

/// Returns `true` if the file has the minimum length and, at depth [`Depth::Objects`], a valid checksum.
fn is_summed(path: &Path, depth: Depth) -> io::Result<bool> {
    let sum = end_of::<SUM>(path)?;
    if depth == Depth::Branches {
        return Ok(true);
    }
    let mut file = File::open(path)?;
    let len = file.metadata()?.len().saturating_sub(SUM as u64);
    let mut hash = gix::hash::hasher(Kind::Sha1);
    let (mut from, mut buffer) = ((&mut file).take(len), vec![0; 64 * 1024]);
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found = hash.try_finalize().map_err(io::Error::other)?;
    Ok(found.as_slice() == sum)
}

impl AgentsRepo {
    /// Extracts readable objects of damaged packs and removes the packs. For temporary copies; `aside` is created and
    /// removed.
    pub fn drop_damaged_packs(&self, aside: &Path) {
        // ok: on failure, fewer objects are found in this copy.
        self.put_packs_aside(aside).ok();
        fs::remove_dir_all(aside).ok();
    }

    /// Moves damaged packs to another folder after extracting their readable objects. Returns descriptions of the
    /// damage.
    pub fn put_packs_aside(&self, aside: &Path) -> Result<Vec<String>, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let mut messages = Vec::new();
        for Bad { stem, message: what, has_index } in bad(repo.git_dir(), Depth::Objects) {
            // ok: without its index, nothing is found in a pack.
            let index = index::File::at(stem.with_extension("idx"), Kind::Sha1);
            let len = fs::metadata(stem.with_extension("pack")).map_or(0, |meta| meta.len());
            for entry in index.iter().filter(|_| has_index).flat_map(index::File::iter) {
                // Never read past the end, nor where there is no room for a header.
                if entry.pack_offset + HEADER < len
                    && let Some((kind, bytes)) = right(&repo, entry.oid)
                {
                    repo.objects.write_buf(kind, &bytes)?;
                }
            }
            fs::create_dir_all(aside).map_err(GitError::disk(aside))?;
            for end in ["pack", "idx", "rev", "bitmap", "keep", "mtimes"] {
                let from = stem.with_extension(end);
                if from.exists() {
                    let to = aside.join(from.file_name().unwrap_or_default());
                    fs::rename(&from, &to).map_err(GitError::disk(&from))?;
                }
            }
            messages.push(format!("{what}; it is now in {}", aside.display()));
        }
        if !messages.is_empty() {
            self.reopen()?;
        }
        Ok(messages)
    }
}
