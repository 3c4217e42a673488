//! Agent Skills packages (<https://agentskills.io/specification>): folders with a `SKILL.md`, as they come from folders,
//! archives, repositories and sites.
//!
//! Everything here is foreign until a person has approved it. Archives and folders are read within limits, and links,
//! special files and ambiguous paths are refused. Nothing is executed, and nothing is written to a disk. All functions
//! are blocking. This package knows neither the store nor any noun, and has no access to the network.

mod diff;
mod error;
mod files;
mod findings;
mod front;
mod index;
mod package;
mod source;
mod unpack;
mod yaml;

pub use diff::{Change, DiffLine, FileDiff, diff, file_changes};
pub use error::SkillError;
pub use files::{File, hash};
pub use findings::{Finding, FindingKind, Level, findings, hosts};
pub use front::{Front, Requires, front};
pub use index::{Artifact, INDEX_PATH, Index, IndexEntry, MAX_INDEX};
pub use package::{
    Broken, Collection, Package, collection, collection_in, is_name, one_line, package_folders,
    packages,
};
pub use source::{GitSource, Source, check_web};
pub use unpack::{
    TreeEntry, from_archive, from_archive_file, from_folder, from_skill_md, from_tar_gz, from_tree,
    from_zip,
};

/// Maximum size of the files of a package, and of an archive, in bytes.
pub const MAX_BYTES: u64 = 20 << 20;
pub const MAX_FILES: usize = 2_000;
/// Maximum size of the front matter, in bytes.
pub const MAX_FRONT: usize = 64 << 10;
/// Maximum length of a description, in characters.
pub const MAX_DESCRIPTION: usize = 1_024;
pub const MAX_NAME: usize = 64;
/// Name of the file with the instructions.
pub const SKILL_MD: &str = "SKILL.md";

#[cfg(test)]
mod tests;
