//! Files of a folder on this machine. A program that changes the folder meanwhile cannot lead the reader out of it: each
//! name is opened below the open folder that contains it, and links are not followed.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::files::{Collector, Entry, is_ignored, shown};
use crate::{File, MAX_BYTES, SkillError};

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

pub fn from_folder(folder: &Path) -> Result<Vec<File>, SkillError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|error| unreadable(&folder.to_string_lossy(), error))?;
    let mut files = Collector::new();
    // Depth is limited by the paths that the collector admits.
    read(&root, "", &mut files)?;
    Ok(files.finish())
}

/// The files of an archive on this machine.
pub fn from_archive_file(path: &Path) -> Result<Vec<File>, SkillError> {
    let text = path.to_string_lossy();
    let failed = |error| unreadable(&text, error);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&opened).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SkillError::Special { path: shown(&text) });
    }
    let mut bytes = Vec::new();
    let read = fs::File::from(opened).take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| SkillError::Unreadable { path: shown(&text), reason: error.to_string() })?;
    super::from_archive(&bytes)
}

fn read(folder: &OwnedFd, prefix: &str, files: &mut Collector) -> Result<(), SkillError> {
    let failed = |error| unreadable(prefix, error);
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
        let is_listed = name != b"." && name != b"..";
        if is_listed && !std::str::from_utf8(&name).is_ok_and(is_ignored) {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        let path = [prefix.as_bytes(), &name].concat();
        let text = String::from_utf8_lossy(&path).into_owned();
        let failed = |error| unreadable(&text, error);
        let stat = rustix::fs::statat(folder, &*name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        let kind = match FileType::from_raw_mode(stat.map_err(failed)?.st_mode) {
            FileType::RegularFile => Entry::File,
            FileType::Directory => Entry::Folder,
            FileType::Symlink => Entry::Link,
            _ => Entry::Special,
        };
        let admitted = files.admit(&path, kind)?;
        let opened = openat(folder, &*name, FLAGS, Mode::empty()).map_err(|error| match error {
            Errno::LOOP => SkillError::Link { path: shown(&text) },
            error => failed(error),
        })?;
        let stat = fstat(opened.as_fd()).map_err(failed)?;
        match (FileType::from_raw_mode(stat.st_mode), admitted) {
            (FileType::RegularFile, Some(path)) => {
                files.add(path, stat.st_mode & 0o111 != 0, fs::File::from(opened))?;
            }
            (FileType::Directory, None) => read(&opened, &format!("{text}/"), files)?,
            // It became something else between the two looks.
            _ => return Err(SkillError::Special { path: shown(&text) }),
        }
    }
    Ok(())
}

fn unreadable(path: &str, error: Errno) -> SkillError {
    let path = if path.is_empty() { "the folder" } else { path.trim_end_matches('/') };
    let reason = io::Error::from(error).to_string();
    SkillError::Unreadable { path: shown(path), reason }
}
