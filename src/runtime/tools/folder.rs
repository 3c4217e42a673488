//! The agent's folder for file tools: never through a link, never outside. Blocking.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::git::File;
use crate::git::files::{AgentFiles, Scan};
use crate::tool::ToolError;

/// Marks of all files, to see what a program changed.
pub(crate) type Marks = Scan;

/// The largest file that tools read or write, in bytes.
pub(crate) const MAX_FILE: u64 = 10 * 1024 * 1024;

/// Opens the folder of an agent.
pub(crate) fn open(root: &Path) -> Result<AgentFiles, ToolError> {
    Ok(AgentFiles::open(root)?)
}

/// The whole of a file, at most `limit` bytes.
pub(crate) fn read(root: &Path, path: &str, limit: u64) -> Result<Vec<u8>, ToolError> {
    let files = open(root)?;
    let path = files.relative(path)?;
    match within(&files, &path, limit)? {
        Some(bytes) => Ok(bytes),
        None => Err(ToolError::refused("no_such_file", format!("there is no file {path}"))),
    }
}

/// The same; none when there is no such file. One that is larger is not read at all: a program can
/// make a file of any size in no time.
fn within(files: &AgentFiles, path: &str, limit: u64) -> Result<Option<Vec<u8>>, ToolError> {
    match files.read_up_to(path, limit)? {
        Some(part) if part.total > limit => Err(ToolError::refused(
            "file_too_large",
            format!("{path} has {} bytes; files up to {limit} bytes can be used", part.total),
        )),
        part => Ok(part.map(|part| part.bytes)),
    }
}

/// SHA-256 of a file; none when there is no such file. Refused when tools cannot use a file so large.
pub(crate) fn hash(files: &AgentFiles, path: &str) -> Result<Option<[u8; 32]>, ToolError> {
    Ok(within(files, path, MAX_FILE)?.map(|bytes| Sha256::digest(bytes).into()))
}

/// Puts content in the place of what has this hash; none deletes.
pub(crate) fn change(
    root: &Path,
    path: &str,
    before: Option<[u8; 32]>,
    content: Option<&[u8]>,
) -> Result<(), ToolError> {
    let files = open(root)?;
    if hash(&files, path)? != before {
        return Err(ToolError::refused(
            "file_changed",
            format!("{path} was changed meanwhile; read it again"),
        ));
    }
    match content {
        Some(bytes) => files.write(&File::new(path, bytes))?,
        None => {
            files.remove(path)?;
        }
    }
    Ok(())
}

/// What the folder looks like; nothing when it cannot be read.
pub(crate) fn marks(root: &Path) -> Marks {
    AgentFiles::open(root).and_then(|files| files.scan()).unwrap_or_default()
}

/// The paths that differ.
pub(crate) fn changed(before: &Marks, after: &Marks) -> Vec<String> {
    before.changes(after)
}
