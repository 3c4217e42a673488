//! Removes what a killed process left in the data directory: unfinished imports and exports, restores before their
//! swap, rehearsals, and backup spool files. The caller holds the lock, so no other process uses them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use backup::{BackupError, clear_staged};

/// Removes all leftovers, except those that an unfinished swap still needs.
pub fn clear(data: &Path) -> Result<(), BackupError> {
    clear_staged(data)?;
    clear_in(data, |name| name.starts_with("importing-"))?;
    clear_in(&data.join("backups"), |name| {
        matches!(name, "spool" | "drill" | "history")
            || name.starts_with("export-")
            || name.starts_with("verify-")
    })
}

fn clear_in(folder: &Path, is_left: impl Fn(&str) -> bool) -> Result<(), BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::disk(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::disk(folder))?;
        let path = entry.path();
        if path.file_name().and_then(OsStr::to_str).is_some_and(&is_left) && path.is_dir() {
            fs::remove_dir_all(&path).map_err(BackupError::disk(&path))?;
        }
    }
    Ok(())
}
