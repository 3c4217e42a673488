//! What a program that was killed has left in the data folder: half-made imports and exports, restores
//! that were never put in their place, drills, what a backup had laid aside. Nobody needs it, and it
//! takes room. Whoever calls holds the lock, so nobody is at work.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use backup::{BackupError, clear_staged};

/// Removes all of it. Not what a swap that was begun still needs.
///
/// # Errors
/// When something cannot be read or removed.
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
