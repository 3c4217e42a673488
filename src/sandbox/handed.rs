//! Read-only files for programs. A policy lists such a file as readable. It is in the data folder, where programs have
//! no other rights.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes such a file atomically, replacing an existing one. Blocking.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // ok: removes what an interrupted write left; usually nothing is there.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_takes_the_place_of_what_is_there_and_goes_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("roots.pem"), folder.path().join("other"));
        fs::write(&other, "kept").unwrap();
        symlink(&other, &path).unwrap();
        symlink(&other, folder.path().join("roots.new")).unwrap();
        for text in ["first", "second, longer"] {
            write(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o222, 0);
        assert!(!folder.path().join("roots.new").exists());
    }
}
