//! A prepared data folder with an owner, from which most tests start. Set-up hashes a password and creates two stores,
//! so it runs once per build of the tests and is then copied. Other tests cover the set-up itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Person, Setup};

/// Path of the prepared folder, which also has the owner's cookies.
pub struct Founded {
    folder: PathBuf,
}

impl Founded {
    /// The folder of this build; the first caller creates it.
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
            // A concurrent test has created an equal folder.
            if fs::rename(&made, &folder).is_err() {
                fs::remove_dir_all(&made).expect("nobody else has it");
            }
        }
        Self { folder }
    }

    async fn make(folder: &Path) {
        // Set up before the tests' start time, so that its data is older than theirs.
        let mut hq = Setup { early: true, ..Setup::default() }.set_up().await;
        hq.stop().await;
        copy(&hq.data(), &folder.join("data")).expect("a copy");
        // A copied data folder would start paused; without this file it counts as new.
        fs::remove_file(folder.join("data/place")).expect("the note of where it was");
        fs::write(folder.join("cookie"), hq.owner().cookie()).expect("a file");
    }

    /// Copies the prepared folder.
    pub fn fill(&self, data: &Path) {
        copy(&self.folder.join("data"), data).expect("a copy");
    }

    /// The owner's browser.
    pub fn owner(&self, base: String) -> Person {
        let owner = Person::new(base);
        let cookie = fs::read_to_string(self.folder.join("cookie")).expect("a file");
        cookie.split("; ").for_each(|pair| owner.keep(pair));
        owner
    }
}

/// Copies files and folders, without sockets.
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
