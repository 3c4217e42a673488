//! Opens an agent's folder component by component from its root, never through a symlink: a program of the agent may
//! replace folders with symlinks at any time.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

/// Opens folders without following symlinks; not inherited by child processes.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Non-blocking, in case the file is a pipe.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Name prefix of temporary files, which are renamed when complete.
const BESIDE: &str = ".hq-new-";

/// Returns `true` for the name of a temporary file.
pub(crate) fn is_half_made(name: &str) -> bool {
    name.starts_with(BESIDE)
}

/// An open folder.
pub struct Folder(OwnedFd);

/// The kind of a folder entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File {
        /// Size in bytes.
        bytes: u64,
        /// Whether the file is executable.
        executable: bool,
    },
    /// A symlink, socket, pipe or device.
    Other,
}

/// Changes whenever a file is written, replaced or gets another mode. Programs cannot forge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) bytes: u64,
    node: u64,
    pub(crate) changed: (i64, i64),
}

impl Folder {
    /// Opens the root. Its path is trusted and may contain symlinks.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?))
    }

    /// Opens a subfolder.
    pub fn enter(&self, name: &str) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// Opens a subfolder, creating it if necessary.
    pub(crate) fn enter_or_make(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.enter(name),
            Err(error) => Err(error.into()),
        }
    }

    /// The entry names, in order. Names that are not UTF-8 are returned as bytes.
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

    /// The kind of an entry; `None` if it does not exist.
    pub fn kind(&self, name: &str) -> io::Result<Option<Kind>> {
        Ok(self.mark(name)?.map(|(kind, _)| kind))
    }

    /// The same, with its change marker.
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

    /// The content of a file, up to one byte more than `limit`, so that callers can detect larger files.
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.read_part(name, 0, limit.saturating_add(1))
    }

    /// At most `limit` bytes from `offset`.
    pub(crate) fn read_part(&self, name: &str, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Opens a file for reading.
    pub fn file(&self, name: &str) -> io::Result<fs::File> {
        let file: fs::File = rustix::fs::openat(&self.0, name, FILE, Mode::empty())?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no longer a file")),
        }
    }

    /// Removes a file or a symlink.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Writes a temporary file and renames it.
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
        // A temporary file left by a crash can be removed.
        match rustix::fs::unlinkat(&self.0, &beside, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let file = rustix::fs::openat(&self.0, &beside, new, Mode::from_raw_mode(mode))?;
        let mut file: fs::File = file.into();
        let moved = io::copy(from, &mut file)
            .and_then(|_| Ok(rustix::fs::renameat(&self.0, &beside, &self.0, name)?));
        if moved.is_err() {
            // ok: frees space on a full disk; a temporary file that cannot be removed is never shown
            rustix::fs::unlinkat(&self.0, &beside, AtFlags::empty()).ok();
        }
        moved
    }
}

/// A short hash of a name. Collisions are rare and harmless.
fn short_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, b| (hash ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// Lossy display form of a name that is not UTF-8.
pub fn show(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}
