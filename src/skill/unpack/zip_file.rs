//! Files of a zip archive.

use std::io::Cursor;

use memchr::memmem;
use zip::ZipArchive;
use zip::result::ZipError;

use super::check_size;
use crate::files::{Collector, Entry, MAX_LISTED, shown};
use crate::{File, SkillError};

/// Signature of an entry in the directory of an archive.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
/// Bits of the Unix mode: mask and values of the file type.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// The files of a zip archive. Archives whose two directories differ are refused, because other programs could read
/// other files from them.
pub fn from_zip(bytes: &[u8]) -> Result<Vec<File>, SkillError> {
    check_size(bytes)?;
    // Before the reader allocates memory for each entry.
    if memmem::find_iter(bytes, DIRECTORY_ENTRY).nth(MAX_LISTED).is_some() {
        return Err(SkillError::TooManyFiles);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    if archive.has_duplicate_names() {
        let path = "a file in the archive".to_owned();
        return Err(SkillError::Duplicate { path });
    }
    archive.validate_header_consistency().map_err(|error| damaged(&error))?;
    let mut files = Collector::new();
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(|error| damaged(&error))?;
        let mode = entry.unix_mode().unwrap_or_default();
        let kind = match mode & TYPE {
            SYMLINK => Entry::Link,
            // A path that ends with a slash is a folder, whatever its mode is.
            _ if entry.name_raw().ends_with(b"/") => Entry::Folder,
            0 | REGULAR => Entry::File,
            FOLDER => Entry::Folder,
            _ => Entry::Special,
        };
        let Some(path) = files.admit(entry.name_raw(), kind)? else { continue };
        if entry.encrypted() {
            return Err(SkillError::Encrypted { path: shown(&path) });
        }
        drop(entry);
        let reader = archive.by_index(at).map_err(|error| damaged(&error))?;
        files.add(path, mode & 0o111 != 0, reader)?;
    }
    Ok(files.finish())
}

fn damaged(error: &ZipError) -> SkillError {
    SkillError::Damaged { what: "the archive".to_owned(), reason: error.to_string() }
}
