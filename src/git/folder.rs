//! An agent's folder, opened step by step from its root and never through a link: a program of the agent may be
//! exchanging folders for links while we look.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

/// Opens folders without following a link and without handing the file on to children.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Opening must not wait, should it be a pipe.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How the names of files begin that are written beside before they are moved into their place.
const BESIDE: &str = ".hq-new-";

/// Whether a name is that of a file that is not in its place yet.
pub(crate) fn is_half_made(name: &str) -> bool {
    name.starts_with(BESIDE)
}

/// An open folder.
pub struct Folder(OwnedFd);

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Another folder.
    Folder,
    File {
        /// Its size.
        bytes: u64,
        /// Whether it is a program.
        executable: bool,
    },
    /// A link, a socket, a pipe, a device.
    Other,
}

/// What changes when a file is written to, replaced, or gets another mode. A program cannot set it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) bytes: u64,
    node: u64,
    pub(crate) changed: (i64, i64),
}

impl Folder {
    /// The root. The path up to it is ours and may have links.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?))
    }

    /// A folder in this one.
    pub fn enter(&self, name: &str) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// The same, made if it is missing.
    pub(crate) fn enter_or_make(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.enter(name),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in it, in order; names that are no UTF-8 as bytes.
    pub fn names(&self) -> io::Result<Vec<Result<String, Vec<u8>>>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes != b"." && bytes != b".." {
                names.push(String::from_utf8(bytes.to_vec()).map_err(|e| e.into_bytes()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a name stands for; none when there is nothing.
    pub fn kind(&self, name: &str) -> io::Result<Option<Kind>> {
        Ok(self.mark(name)?.map(|(kind, _)| kind))
    }

    /// The same with a mark of its present state.
    pub(crate) fn mark(&self, name: &str) -> io::Result<Option<(Kind, Mark)>> {
        let stat = match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let kind = match FileType::from_raw_mode(stat.st_mode as RawMode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File { bytes, executable: stat.st_mode & 0o100 != 0 },
            _ => Kind::Other,
        };
        let changed = (stat.st_ctime as i64, stat.st_ctime_nsec as i64);
        Ok(Some((kind, Mark { bytes, node: stat.st_ino as u64, changed })))
    }

    /// The content of a file, up to one byte more than `limit`, so that the caller sees that it is larger.
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.read_part(name, 0, limit.saturating_add(1))
    }

    /// At most `limit` bytes from `offset` on.
    pub(crate) fn read_part(&self, name: &str, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file, opened to be read.
    pub fn file(&self, name: &str) -> io::Result<fs::File> {
        let file: fs::File = rustix::fs::openat(&self.0, name, FILE, Mode::empty())?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no file any more")),
        }
    }

    /// Removes a file or a link.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes a folder in which nothing is.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Writes a file beside and moves it into its place.
    pub(crate) fn write(
        &self,
        name: &str,
        from: &mut dyn Read,
        executable: bool,
    ) -> io::Result<()> {
        let mode = if executable { 0o755 } else { 0o644 };
        let new =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let beside = format!("{BESIDE}{:08x}", short_hash(name.as_bytes()));
        // One that a crash has left is ours to remove; it was never in its place.
        match rustix::fs::unlinkat(&self.0, &beside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let file = rustix::fs::openat(&self.0, &beside, new, Mode::from_raw_mode(mode))?;
        let mut file: fs::File = file.into();
        let moved = io::copy(from, &mut file)
            .and_then(|_| Ok(rustix::fs::renameat(&self.0, &beside, &self.0, name)?));
        if moved.is_err() {
            // ok: on a full disk no part of it stays; what cannot be removed either is never shown
            rustix::fs::unlinkat(&self.0, &beside, AtFlags::empty()).ok();
        }
        moved
    }
}

/// A short number for a name; names in one folder rarely share it, and nothing depends on that.
fn short_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, b| (hash ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// A name that is no text, as well as it can be shown.
pub fn show(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}
