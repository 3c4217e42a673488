//! Files of a gzipped tar archive.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::check_size;
use crate::files::{Collector, Entry, full, is_full};
use crate::{File, MAX_BYTES, SkillError};

/// Limit of all decompressed bytes. Ignored files, headers and padding count, too.
const MAX_INFLATED: u64 = 4 * MAX_BYTES;

pub fn from_tar_gz(bytes: &[u8]) -> Result<Vec<File>, SkillError> {
    check_size(bytes)?;
    let limited = Limited { inner: MultiGzDecoder::new(bytes), left: MAX_INFLATED };
    let mut archive = Archive::new(limited);
    let mut files = Collector::new();
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let entry = entry.map_err(|error| damaged(&error))?;
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Entry::File,
            EntryType::Directory => Entry::Folder,
            EntryType::Symlink | EntryType::Link => Entry::Link,
            // Comments, for example of `git archive`.
            EntryType::XGlobalHeader => continue,
            _ => Entry::Special,
        };
        let raw = entry.path_bytes().into_owned();
        // Old archives mark folders only by their names.
        let kind = if kind == Entry::File && raw.ends_with(b"/") { Entry::Folder } else { kind };
        let mode = entry.header().mode().map_err(|error| damaged(&error))?;
        if let Some(path) = files.admit(&raw, kind)? {
            files.add(path, mode & 0o111 != 0, entry)?;
        }
    }
    Ok(files.finish())
}

/// Fails after a number of bytes.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(full)?;
        Ok(count)
    }
}

fn damaged(error: &io::Error) -> SkillError {
    match is_full(error) {
        true => SkillError::TooLarge,
        false => SkillError::Damaged { what: "the archive".to_owned(), reason: error.to_string() },
    }
}
