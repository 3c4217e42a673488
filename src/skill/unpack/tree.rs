//! Files of a repository that were read object by object.

use crate::files::{Collector, Entry};
use crate::{File, SkillError};

/// An entry of a tree of git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    pub path: Vec<u8>,
    /// Mode as git writes it, such as `0o100644`.
    pub mode: u32,
    /// Empty for entries that are no files.
    pub bytes: Vec<u8>,
}

/// The files of a tree. Links and submodules are refused.
pub fn from_tree(entries: Vec<TreeEntry>) -> Result<Vec<File>, SkillError> {
    let mut files = Collector::new();
    for entry in entries {
        let kind = match entry.mode & 0o170_000 {
            0o100_000 => Entry::File,
            0o040_000 => Entry::Folder,
            0o120_000 => Entry::Link,
            _ => Entry::Special,
        };
        if let Some(path) = files.admit(&entry.path, kind)? {
            files.add(path, entry.mode & 0o111 != 0, entry.bytes.as_slice())?;
        }
    }
    Ok(files.finish())
}
