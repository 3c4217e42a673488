//! A data folder that somebody owns already. Most tests begin there, and setting one up hashes a password and makes two
//! stores: it is done once for each build of the tests, and copied. The set-up itself has tests of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Person, Setup};

/// Where the copied folder lies, and what the owner's browser sends.
pub struct Founded {
    folder: PathBuf,
}

impl Founded {
    /// The one of this build, made now if this is the first test that asks.
    pub async fn get() -> Self {
        let program = std::env::current_exe().and_then(fs::metadata).expect("this program");
        let built = program.modified().expect("a time").duration_since(UNIX_EPOCH);
        let built = built.expect("after 1970").as_nanos();
        let all = crate::build_folder().join("founded");
        let folder = all.join(built.to_string());
        if !folder.is_dir() {
            fs::create_dir_all(&all).expect("a folder");
            let made = tempfile::tempdir_in(&all).expect("a folder").keep();
            Self::make(&made).await;
            // Another test may have been faster: both have made the same.
            if fs::rename(&made, &folder).is_err() {
                fs::remove_dir_all(&made).expect("nobody else has it");
            }
        }
        Self { folder }
    }

    async fn make(folder: &Path) {
        // A moment before tests begin: what it has is older than what they make.
        let mut hq = Setup { early: true, ..Setup::default() }.set_up().await;
        hq.stop().await;
        copy(&hq.data(), &folder.join("data")).expect("a copy");
        // A folder that was copied stands still at first; this one is as new.
        fs::remove_file(folder.join("data/place")).expect("the note of where it was");
        fs::write(folder.join("cookie"), hq.owner().cookie()).expect("a file");
    }

    /// Fills a data folder.
    pub fn fill(&self, data: &Path) {
        copy(&self.folder.join("data"), data).expect("a copy");
    }

    /// The owner, signed in.
    pub fn owner(&self, base: String) -> Person {
        let owner = Person::new(base);
        let cookie = fs::read_to_string(self.folder.join("cookie")).expect("a file");
        cookie.split("; ").for_each(|pair| owner.keep(pair));
        owner
    }
}

/// Copies files and folders; a socket stays where it is.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
