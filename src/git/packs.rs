//! Packs that a repository of agents' files may have: HQ writes none, `git gc` does.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use gix::hash::Kind;
use gix::objs::Write as _;
use gix::odb::pack::index;

use super::check::Depth;
use super::mend::right;
use super::{AgentsRepo, GitError};

/// The sum at the end of a pack and of its index.
const SUM: usize = 20;
/// No header of an object in a pack is longer, the sum behind the last one counted in.
const HEADER: u64 = 64;

/// A pack out of which nothing may be read.
pub(super) struct Bad {
    /// Without the ending.
    stem: PathBuf,
    /// What is wrong.
    pub said: String,
    /// Whether its index is as it was written.
    has_index: bool,
}

/// The packs that are not what their index says. By their ends alone, or by every byte.
pub(super) fn bad(repository: &Path, depth: Depth) -> Vec<Bad> {
    let folder = repository.join("objects/pack");
    // ok: there need be none.
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
            Ok(true) => "its index is not what was written".to_owned(),
            Ok(false) => "it is cut short or not what was written".to_owned(),
            Err(error) => error.to_string(),
        };
        let said = format!("the pack {name} cannot be read: {why}");
        found.push(Bad { stem, said, has_index });
    }
    found
}

/// Whether a pack ends with the sum that its index names.
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

/// Whether a file is as long as the least, and at the depth of objects whether its sum fits.
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
    /// Writes out what can be read of damaged packs and removes them. For a copy that nobody keeps; `aside` is made and
    /// removed.
    pub fn drop_damaged_packs(&self, aside: &Path) {
        // ok: without it less is found in this copy.
        self.put_packs_aside(aside).ok();
        fs::remove_dir_all(aside).ok();
    }

    /// Moves damaged packs into another folder when all that can be read of them was written out by itself. Says which.
    pub fn put_packs_aside(&self, aside: &Path) -> Result<Vec<String>, GitError> {
        let _writing = self.writing.lock();
        let repo = self.repo();
        let mut said = Vec::new();
        for Bad { stem, said: what, has_index } in bad(repo.git_dir(), Depth::Objects) {
            // ok: without its index nothing is found in a pack.
            let index = index::File::at(stem.with_extension("idx"), Kind::Sha1);
            let len = fs::metadata(stem.with_extension("pack")).map_or(0, |meta| meta.len());
            for entry in index.iter().filter(|_| has_index).flat_map(index::File::iter) {
                // Behind its end nothing may be asked for, nor where not even a header has room.
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
            said.push(format!("{what}; it lies in {} now", aside.display()));
        }
        if !said.is_empty() {
            self.reopen()?;
        }
        Ok(said)
    }
}
