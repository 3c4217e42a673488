//! Files of folders and archives, in memory and within limits.

mod folder;
mod tar_gz;
mod tree;
mod zip_file;

pub use folder::{from_archive_file, from_folder};
pub use tar_gz::from_tar_gz;
pub use tree::{TreeEntry, from_tree};
pub use zip_file::from_zip;

use crate::files::{Collector, Entry};
use crate::{File, MAX_BYTES, SKILL_MD, SkillError};

/// The files of a `.zip` or `.tar.gz`, which the first bytes tell apart.
pub fn from_archive(bytes: &[u8]) -> Result<Vec<File>, SkillError> {
    match bytes {
        [b'P', b'K', 3 | 5, ..] => from_zip(bytes),
        [0x1f, 0x8b, ..] => from_tar_gz(bytes),
        _ => Err(SkillError::NotArchive),
    }
}

/// A package that consists of its `SKILL.md`.
pub fn from_skill_md(bytes: &[u8]) -> Result<Vec<File>, SkillError> {
    let mut files = Collector::new();
    if let Some(path) = files.admit(SKILL_MD.as_bytes(), Entry::File)? {
        files.add(path, false, bytes)?;
    }
    Ok(files.finish())
}

fn check_size(bytes: &[u8]) -> Result<(), SkillError> {
    match bytes.len() as u64 <= MAX_BYTES {
        true => Ok(()),
        false => Err(SkillError::TooLarge),
    }
}
