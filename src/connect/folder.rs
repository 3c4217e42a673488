//! Folder connector. Files are opened relative to a root (`openat2`), and the kernel rejects paths that lead out of it:
//! `..`, links, magic links. Only regular files are read.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::files::{Kind, kind, plain, titled, words};
use super::{
    About, BoxFuture, Connector, ConnectorError, Content, Delta, Fetched, Hash, Known, Listed,
    MOST_BYTES, Mark, Over, Page, Reads, Step, hash, heading, value,
};

/// Folders of programs.
const LEFT_OUT: [&str; 3] = ["node_modules", "target", "__pycache__"];
/// Deepest nesting of folders.
const DEEPEST: usize = 32;
/// Limit of files and folders examined.
const MOST_LOOKED: usize = 200_000;
/// Limit of skipped files that are listed with a reason.
const MOST_ODD: usize = 1_000;
/// Limit of files per source.
const MOST: usize = 20_000;

pub(super) struct Folder {
    roots: Vec<PathBuf>,
    path: PathBuf,
}

/// Whether a path is one of these folders or below one, judged by its text.
#[must_use]
pub fn is_below(roots: &[PathBuf], path: &Path) -> bool {
    let plain = |part: std::path::Component<'_>| {
        matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_))
    };
    path.is_absolute()
        && path.components().all(plain)
        && roots.iter().any(|root| path.starts_with(root))
}

struct Found {
    place: String,
    listed: String,
    /// Why the file is skipped because of its name.
    skipped: Option<&'static str>,
}

/// Entries of a folder.
#[derive(Default)]
struct Names {
    /// Names to examine.
    plain: Vec<String>,
    /// Names that are reported but not read, with the reason.
    odd: Vec<(String, &'static str)>,
    /// Number of other entries.
    other: usize,
}

/// Result of a walk, with what could not be read.
#[derive(Default)]
struct Walk {
    files: Vec<Found>,
    other: usize,
    unseen: Vec<String>,
    full: bool,
    /// The limit of nesting was reached.
    deep: bool,
}

impl Folder {
    pub(super) fn new(roots: Vec<PathBuf>, reads: &Reads) -> Result<Self, ConnectorError> {
        let path = PathBuf::from(value(reads, "path"));
        if roots.is_empty() {
            return Err(ConnectorError::Refused(
                "HQ can’t read folders yet. Set HQ_SOURCE_FOLDERS to allow some.".to_owned(),
            ));
        }
        match is_below(&roots, &path) {
            true => Ok(Self { roots, path }),
            false => Err(ConnectorError::Refused(format!(
                "{} isn’t in any folder of HQ_SOURCE_FOLDERS.",
                path.display()
            ))),
        }
    }

    /// Opens the folder relative to its root.
    fn open(&self) -> Result<OwnedFd, ConnectorError> {
        let root = self.roots.iter().filter(|root| self.path.starts_with(root));
        let root = root.max_by_key(|root| root.as_os_str().len());
        let Some(root) = root else { return Err(missing(&self.path, Errno::NOENT)) };
        let below = self.path.strip_prefix(root).unwrap_or(Path::new(""));
        let top = rustix::fs::open(root, DIRECTORY, Mode::empty())
            .map_err(|error| missing(root, error))?;
        match below.as_os_str().is_empty() {
            true => Ok(top),
            false => beneath(&top, below, DIRECTORY).map_err(|error| missing(&self.path, error)),
        }
    }

    fn walk(&self) -> Result<Walk, ConnectorError> {
        let top = self.open()?;
        let mut walk = Walk::default();
        let mut left = vec![(String::new(), 0)];
        let (mut looked, mut skipped) = (0, Vec::new());
        while let Some((place, depth)) = left.pop() {
            let folder = match place.as_str() {
                "" => beneath(&top, Path::new("."), DIRECTORY),
                place => beneath(&top, Path::new(place), DIRECTORY),
            };
            let listed = folder.and_then(|folder| names(&folder));
            let Names { plain: names, odd, other } = match listed {
                Ok(listed) => listed,
                Err(error) if place.is_empty() => return Err(missing(&self.path, error)),
                Err(_) => {
                    walk.unseen.push(place);
                    continue;
                }
            };
            walk.other += other;
            let below = |name: &str| match place.as_str() {
                "" => name.to_owned(),
                place => format!("{place}/{name}"),
            };
            let room = MOST_ODD.saturating_sub(skipped.len());
            walk.other += odd.len().saturating_sub(room);
            skipped.extend(odd.into_iter().take(room).map(|(name, why)| Found {
                place: below(&name),
                listed: String::new(),
                skipped: Some(why),
            }));
            for name in names {
                looked += 1;
                if MOST_LOOKED < looked || MOST < walk.files.len() {
                    walk.full = true;
                    walk.files.append(&mut skipped);
                    return Ok(walk);
                }
                let below = below(&name);
                match stand(&top, &below) {
                    Ok(Stand::Folder) if depth < DEEPEST => left.push((below, depth + 1)),
                    Ok(Stand::Folder) => walk.deep = true,
                    Ok(Stand::File(listed)) if kind(&name).is_some() => {
                        walk.files.push(Found { place: below, listed, skipped: None });
                    }
                    Ok(_) => walk.other += 1,
                    // Deleted meanwhile, or a link that leads out.
                    Err(Errno::NOENT | Errno::XDEV | Errno::LOOP) => walk.other += 1,
                    Err(_) => walk.unseen.push(below),
                }
            }
        }
        walk.files.append(&mut skipped);
        walk.files.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(walk)
    }

    fn read(&self, place: &str) -> Result<Fetched, ConnectorError> {
        let top = self.open()?;
        let (bytes, listed) = match contents(&top, place) {
            Ok(read) => read,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Fetched::Gone),
            Err(Errno::XDEV | Errno::LOOP) => {
                return Ok(Fetched::Skipped("It points outside the folder.".to_owned()));
            }
            Err(Errno::NODEV) => {
                return Ok(Fetched::Skipped("It isn’t a regular file.".to_owned()));
            }
            Err(Errno::FBIG) => {
                return Ok(Fetched::Skipped("It is larger than 50 MB.".to_owned()));
            }
            Err(error) => return Err(failed(place, error)),
        };
        let Some(kind) = kind(place) else {
            return Ok(Fetched::Skipped("HQ can’t read this file type.".to_owned()));
        };
        Ok(self.page((place, kind), bytes, listed))
    }

    fn page(&self, (place, kind): (&str, Kind), bytes: Vec<u8>, listed: String) -> Fetched {
        let name = plain(place.rsplit('/').next().unwrap_or(place));
        let hash = hash(&bytes);
        let mut cut = false;
        let content = match kind {
            Kind::File => Content::File { bytes, media: String::new() },
            Kind::Text => match words(&bytes) {
                Ok((text, is_cut)) => {
                    cut = is_cut;
                    Content::Text(text)
                }
                Err(why) => return Fetched::Skipped(why.to_owned()),
            },
        };
        let headed = match &content {
            Content::Text(text) => heading(text),
            Content::File { .. } => None,
        };
        Fetched::Page(Box::new(Page {
            place: place.to_owned(),
            address: self.path.join(place).display().to_string(),
            title: headed.unwrap_or_else(|| titled(&name, kind)),
            name,
            mark: Mark { listed, ..Mark::default() },
            hash,
            content,
            cut,
        }))
    }

    fn put(
        &self,
        place: &str,
        text: &str,
        base: Option<Hash>,
    ) -> Result<Box<Page>, ConnectorError> {
        if kind(place) != Some(Kind::Text) {
            return Err(ConnectorError::Refused(format!(
                "{place} isn’t a text file. Use a name that ends in .md or .txt."
            )));
        }
        let (parent, name) = place.rsplit_once('/').unwrap_or((".", place));
        if name.starts_with('.') || place.starts_with('/') || place.contains(['\\', '\0']) {
            return Err(ConnectorError::Refused(format!("HQ can’t write to the name {place}.")));
        }
        let top = self.open()?;
        let folder = beneath(&top, Path::new(parent), DIRECTORY).map_err(|error| match error {
            Errno::NOENT => ConnectorError::Refused(format!("This source has no folder {parent}.")),
            Errno::XDEV | Errno::LOOP => {
                ConnectorError::Refused(format!("{place} points outside the folder."))
            }
            error => failed(place, error),
        })?;
        let now = match contents(&folder, name) {
            Ok((bytes, _)) => Some(bytes),
            Err(Errno::NOENT) => None,
            Err(Errno::NODEV | Errno::XDEV | Errno::LOOP) => {
                return Err(ConnectorError::Refused(format!(
                    "{place} isn’t a regular file in this folder."
                )));
            }
            Err(error) => return Err(failed(place, error)),
        };
        let stands = now.as_deref().map(hash);
        if stands != Some(hash(text.as_bytes())) {
            if stands != base {
                return Err(ConnectorError::Conflict(match (stands, base) {
                    (None, _) => format!("{place} no longer exists."),
                    (_, None) => format!("{place} already exists."),
                    _ => format!("{place} has changed since it was read."),
                }));
            }
            replace(&folder, name, text, base.is_none()).map_err(|error| match error {
                Errno::EXIST => ConnectorError::Conflict(format!("{place} already exists.")),
                Errno::ACCESS | Errno::PERM | Errno::ROFS => ConnectorError::Refused(format!(
                    "HQ has no permission to write {place} on this \
                        machine."
                )),
                error => failed(place, error),
            })?;
        }
        match self.read(place)? {
            Fetched::Page(page) => Ok(page),
            _ => Err(ConnectorError::Failed(format!("{place} was written but can’t be read."))),
        }
    }

    fn about(&self) -> Result<About, ConnectorError> {
        let walk = self.walk()?;
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let says = match walk.files.iter().filter(|file| file.skipped.is_none()).count() {
            0 => "It has no readable files.".to_owned(),
            1 => "1 readable file.".to_owned(),
            n => format!("{n} readable files."),
        };
        Ok(About { name: name.unwrap_or_else(|| "Folder".to_owned()), says })
    }

    fn below(&self, parent: Option<&str>) -> Result<Vec<Listed>, ConnectorError> {
        let at = match parent {
            Some(parent) => Self { roots: self.roots.clone(), path: PathBuf::from(parent) },
            None => Self { roots: self.roots.clone(), path: self.path.clone() },
        };
        if !is_below(&self.roots, &at.path) {
            return Err(ConnectorError::Refused(format!("HQ can’t read {}.", at.path.display())));
        }
        let top = at.open()?;
        let names = names(&top).map_err(|error| missing(&at.path, error))?.plain;
        let folder = |name: &String| matches!(stand(&top, name), Ok(Stand::Folder));
        let mut names: Vec<String> = names.into_iter().filter(folder).take(500).collect();
        names.sort();
        let one =
            |title: String| Listed { place: at.path.join(&title).display().to_string(), title };
        Ok(names.into_iter().map(one).collect())
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Non-blocking, so that opening a pipe does not hang.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens a path that must be beneath the folder.
fn beneath(folder: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve) {
            // A concurrent rename above.
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Reads the entries of a folder.
fn names(folder: &OwnedFd) -> Result<Names, Errno> {
    let mut names = Names::default();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        match std::ffi::OsStr::from_bytes(bytes).to_str() {
            Some("." | "..") => {}
            Some(name) if !name.starts_with('.') && !LEFT_OUT.contains(&name) => {
                names.plain.push(name.to_owned());
            }
            // macOS metadata files on foreign disks.
            Some(name) if name.starts_with("._") => names.other += 1,
            Some(name) if name.starts_with('.') && kind(name).is_some() => {
                names.odd.push((name.to_owned(), "Its name starts with a dot."));
            }
            // Reported with escaped bytes.
            None => names.odd.push((bytes.escape_ascii().to_string(), "Its name isn’t UTF-8.")),
            Some(_) => names.other += 1,
        }
    }
    Ok(names)
}

/// Kind of an entry.
enum Stand {
    Folder,
    File(String),
    Other,
}

fn stand(top: &OwnedFd, place: &str) -> Result<Stand, Errno> {
    let found = beneath(top, Path::new(place), OFlags::PATH | OFlags::CLOEXEC)?;
    let stat = rustix::fs::fstat(&found)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        // A linked folder is read at its own place.
        FileType::Directory => match is_link(top, place)? {
            true => Stand::Other,
            false => Stand::Folder,
        },
        FileType::RegularFile => Stand::File(listed(
            u64::try_from(stat.st_size).unwrap_or_default(),
            (stat.st_mtime, stat.st_mtime_nsec.try_into().unwrap_or_default()),
        )),
        _ => Stand::Other,
    })
}

fn is_link(top: &OwnedFd, place: &str) -> Result<bool, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stat = rustix::fs::fstat(beneath(top, Path::new(place), flags)?)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn listed(size: u64, (secs, nanos): (i64, i64)) -> String {
    format!("{size} {secs}.{nanos:09}")
}

/// Content of a regular file, and its text for change detection.
fn contents(folder: &OwnedFd, place: &str) -> Result<(Vec<u8>, String), Errno> {
    let file = beneath(folder, Path::new(place), FILE)?;
    let file = File::from(file);
    let meta = file.metadata().map_err(errno)?;
    if !meta.is_file() {
        return Err(Errno::NODEV);
    }
    let listed = listed(meta.len(), (meta.mtime(), meta.mtime_nsec()));
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(errno)?;
    match MOST_BYTES < bytes.len() {
        true => Err(Errno::FBIG),
        false => Ok((bytes, listed)),
    }
}

/// Replaces a file atomically.
fn replace(folder: &OwnedFd, name: &str, text: &str, new: bool) -> Result<(), Errno> {
    let (own, flags) = (format!(".{name}.hq-part"), OFlags::WRONLY | OFlags::CREATE);
    let flags = flags | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Permissions of an existing file are kept.
    let mode = match new {
        true => Mode::from_raw_mode(0o644),
        false => {
            let stat = rustix::fs::fstat(beneath(folder, Path::new(name), FILE)?)?;
            Mode::from_raw_mode(stat.st_mode & 0o777)
        }
    };
    let mut file = File::from(rustix::fs::openat(folder, &own, flags, mode)?);
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(errno);
    let flags = if new { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
    let moved = written
        .and_then(|()| rustix::fs::fchmod(&file, mode))
        .and_then(|()| rustix::fs::renameat_with(folder, &own, folder, name, flags));
    if moved.is_err() {
        // ok: the next write overwrites the remains.
        let _ = rustix::fs::unlinkat(folder, &own, rustix::fs::AtFlags::empty());
    }
    moved.and_then(|()| rustix::fs::fsync(folder))
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn missing(path: &Path, error: Errno) -> ConnectorError {
    let path = path.display();
    match error {
        Errno::NOENT | Errno::NOTDIR => {
            ConnectorError::Failed(format!("The folder {path} doesn’t exist."))
        }
        Errno::ACCESS | Errno::PERM => {
            ConnectorError::Denied(format!("HQ has no permission to read {path} on this machine."))
        }
        Errno::XDEV | Errno::LOOP => {
            ConnectorError::Refused(format!("{path} points outside the allowed folders."))
        }
        error => ConnectorError::Failed(format!("{path} can't be read: {error}.")),
    }
}

fn failed(place: &str, error: Errno) -> ConnectorError {
    match error {
        Errno::ACCESS | Errno::PERM => ConnectorError::Failed(format!(
            "HQ has no permission to \
            read {place}."
        )),
        error => ConnectorError::Failed(format!("{place} can't be read: {error}.")),
    }
}

/// Runs blocking work on a blocking thread.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectorError> + Send + 'static,
) -> Result<T, ConnectorError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(ConnectorError::Failed("The folder couldn’t be read.".to_owned())))
}

impl Folder {
    fn duplicate(&self) -> Self {
        Self { roots: self.roots.clone(), path: self.path.clone() }
    }
}

impl Connector for Folder {
    fn validate(&self) -> BoxFuture<'_, About> {
        let own = self.duplicate();
        Box::pin(aside(move || own.about()))
    }

    fn browse<'a>(&'a self, parent: Option<&'a str>) -> BoxFuture<'a, Vec<Listed>> {
        let (own, parent) = (self.duplicate(), parent.map(str::to_owned));
        Box::pin(aside(move || own.below(parent.as_deref())))
    }

    fn delta<'a>(&'a self, _cursor: &str, known: Known) -> Box<dyn Delta + 'a> {
        Box::new(Changes { folder: self, known, left: None, over: Over::default() })
    }

    fn fetch<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Fetched> {
        let (own, place) = (self.duplicate(), place.to_owned());
        Box::pin(aside(move || own.read(&place)))
    }

    fn write<'a>(
        &'a self,
        place: &'a str,
        text: &'a str,
        base: Option<Hash>,
    ) -> BoxFuture<'a, Box<Page>> {
        let (own, place, text) = (self.duplicate(), place.to_owned(), text.to_owned());
        Box::pin(aside(move || own.put(&place, &text, base)))
    }
}

/// Changes in a folder.
struct Changes<'f> {
    folder: &'f Folder,
    known: Known,
    left: Option<std::vec::IntoIter<Found>>,
    over: Over,
}

impl Changes<'_> {
    async fn begin(&mut self) -> Result<(), ConnectorError> {
        let own = self.folder.duplicate();
        let walk = aside(move || own.walk()).await?;
        let notes = &mut self.over.notes;
        if let Some(first) = walk.unseen.first() {
            let rest = walk.unseen.len() - 1;
            let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
            notes.push(format!("HQ has no permission to read {first}{more}."));
        }
        if walk.full {
            notes.push("The folder has too many files to read all of them.".to_owned());
        }
        if walk.deep {
            notes.push(format!("HQ doesn’t read more than {DEEPEST} folders deep."));
        }
        match walk.other {
            0 => {}
            1 => notes.push("1 other file can’t be read.".to_owned()),
            n => notes.push(format!("{n} other files can’t be read.")),
        }
        self.over.complete = walk.unseen.is_empty() && !walk.full;
        self.left = Some(walk.files.into_iter());
        Ok(())
    }
}

impl Delta for Changes<'_> {
    fn next(&mut self) -> BoxFuture<'_, Option<Step>> {
        Box::pin(async move {
            if self.left.is_none() {
                self.begin().await?;
            }
            let Some(found) = self.left.as_mut().and_then(Iterator::next) else { return Ok(None) };
            let place = found.place;
            if let Some(why) = found.skipped {
                return Ok(Some(Step::Skipped(place, why.to_owned())));
            }
            if self.known.get(&place).is_some_and(|mark| mark.listed == found.listed) {
                return Ok(Some(Step::Same(place)));
            }
            Ok(Some(match self.folder.fetch(&place).await {
                Ok(Fetched::Page(page)) => Step::Page(page),
                Ok(Fetched::Skipped(why)) => Step::Skipped(place, why),
                Ok(Fetched::Gone) => Step::Same(place),
                Err(fault) => Step::Failed(place, fault),
            }))
        })
    }

    fn over(&self) -> Over {
        self.over.clone()
    }
}
