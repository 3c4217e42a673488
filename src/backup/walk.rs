//! A file tree as a byte stream. The files belong to agents and their programs: what cannot be read or changes
//! meanwhile is skipped and reported.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git::folder::{Folder as Opened, Kind, show};

use super::BackupError;
use super::manifest::{Part, PartKind};
use super::pieces::{Cutter, Sink};
use super::stream;

/// Limits of nesting and path length: deeper paths could not be restored below another folder.
const DEEPEST: usize = 128;
const LONGEST_PATH: usize = 2_048;
/// Longest file, including holes: longer ones cannot be restored on every file system.
const LONGEST_FILE: u64 = 1 << 40;
/// Omissions named per tree; the others are counted.
const NAMED: usize = 100;

/// A folder to read, with a filter.
pub(super) struct Tree {
    root: PathBuf,
    skip: fn(&str) -> bool,
    first: &'static [&'static str],
    /// Names directly below the root that are read; all if `None`.
    only: Option<BTreeSet<String>>,
}

impl Tree {
    pub(super) fn new(root: &Path, skip: fn(&str) -> bool) -> Self {
        Self { root: root.to_owned(), skip, first: &[], only: None }
    }

    /// Paths that are read before all others.
    pub(super) fn first(self, first: &'static [&'static str]) -> Self {
        Self { first, ..self }
    }

    /// Names directly below the root; the others are skipped.
    pub(super) fn only(self, only: BTreeSet<String>) -> Self {
        Self { only: Some(only), ..self }
    }

    /// Bytes to read, without holes and unreadable files.
    pub(super) fn size(&self) -> u64 {
        let (mut sum, mut folders) = (0, vec![String::new()]);
        while let Some(at) = folders.pop() {
            let Ok(entries) = fs::read_dir(self.root.join(&at)) else { continue };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = below(&at, &name);
                if (self.skip)(&path) {
                    continue;
                }
                // Links are not followed.
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => folders.push(path),
                    Ok(meta) => sum += meta.len().min(taken(&meta)),
                    Err(_) => {}
                }
            }
        }
        sum
    }
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") }
}

/// Bytes that a file occupies on disk.
fn taken(meta: &fs::Metadata) -> u64 {
    meta.blocks().saturating_mul(512)
}

struct Walk<'w, 'r> {
    cutter: Cutter,
    sink: &'w mut Sink<'r>,
    left_out: &'w mut Vec<String>,
    /// Number of omissions.
    left: usize,
    files: u64,
    part: &'w str,
    tree: &'w Tree,
}

/// Reads a tree into a part.
pub(super) fn files_part(
    path: &str,
    tree: &Tree,
    sink: &mut Sink<'_>,
    left_out: &mut Vec<String>,
) -> Result<Part, BackupError> {
    let cutter = Cutter::new(sink.repo.seed());
    let mut walk = Walk { cutter, sink, left_out, left: 0, files: 0, part: path, tree };
    match Opened::open(&tree.root) {
        Ok(root) => walk.folder(&root, "", tree.first)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(BackupError::disk(&tree.root)(error)),
    }
    walk.cutter.buffer().push(stream::END);
    let Walk { cutter, sink, left_out, left, files, .. } = walk;
    if NAMED < left {
        left_out.push(format!("{path}: {} more", left - NAMED));
    }
    let cut = cutter.finish(sink)?;
    Ok(Part {
        path: path.to_owned(),
        kind: PartKind::Files,
        bytes: cut.bytes,
        sha256: hex::encode(cut.sha256),
        chunks: cut.chunks,
        store: None,
        blobs: Vec::new(),
        files,
    })
}

impl Walk<'_, '_> {
    fn leave_out(&mut self, path: &str, why: impl Display) {
        self.left += 1;
        if self.left <= NAMED {
            self.left_out.push(format!("{}/{path}: {why}", self.part));
        }
    }

    fn folder(&mut self, folder: &Opened, at: &str, first: &[&str]) -> Result<(), BackupError> {
        let mut names = match folder.names() {
            Ok(names) => names,
            // The root folder itself must be readable.
            Err(error) if at.is_empty() => {
                return Err(BackupError::disk(Path::new(self.part))(error));
            }
            Err(error) => {
                self.leave_out(at, error);
                return Ok(());
            }
        };
        names.sort_by_key(|name| !name.as_ref().is_ok_and(|name| first.contains(&name.as_str())));
        for name in names {
            let name = match name {
                Ok(name) => name,
                Err(bytes) => {
                    self.leave_out(&below(at, &show(&bytes)), "a name that isn't text");
                    continue;
                }
            };
            let path = below(at, &name);
            let is_other =
                at.is_empty() && self.tree.only.as_ref().is_some_and(|only| !only.contains(&name));
            if is_other || (self.tree.skip)(&path) {
                continue;
            }
            if LONGEST_PATH < path.len() || DEEPEST < path.split('/').count() {
                self.leave_out(&path, "it's nested too deep to be restored");
                continue;
            }
            match folder.kind(&name) {
                Ok(None) => {}
                Ok(Some(Kind::Folder)) => match folder.enter(&name) {
                    Ok(inner) => self.folder(&inner, &path, &[])?,
                    // Unreadable, replaced or removed meanwhile.
                    Err(error) => self.leave_out(&path, error),
                },
                Ok(Some(Kind::File { executable, .. })) => {
                    self.file(folder, &name, &path, executable)?;
                }
                Ok(Some(Kind::Other)) => self.leave_out(&path, "a link or not a file"),
                Err(error) => self.leave_out(&path, error),
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        folder: &Opened,
        name: &str,
        path: &str,
        executable: bool,
    ) -> Result<(), BackupError> {
        let mut spans = match folder.file(name).and_then(Spans::of) {
            Ok(spans) => spans,
            Err(error) => {
                self.leave_out(path, error);
                return Ok(());
            }
        };
        let whole = spans.len;
        if LONGEST_FILE < whole {
            self.leave_out(path, format_args!("it is longer than {} GB", LONGEST_FILE >> 30));
            return Ok(());
        }
        let mut next = spans.next();
        if let Err(error) = &next {
            self.leave_out(path, error);
            return Ok(());
        }
        stream::file(path, executable, self.cutter.buffer());
        self.files += 1;
        let fault = loop {
            match next {
                Ok(Some(Span::Data(bytes))) => stream::stretch(&bytes, self.cutter.buffer()),
                Ok(Some(Span::Hole(len))) => stream::hole(len, self.cutter.buffer()),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            self.cutter.settle(self.sink)?;
            next = spans.next();
        };
        self.cutter.buffer().push(stream::FILE_END);
        if spans.at < whole {
            let why =
                fault.map_or_else(|| "it was truncated".to_owned(), |error| error.to_string());
            let taken = spans.at;
            self.leave_out(path, format_args!("{why} while HQ read it; {taken} bytes were saved"));
        }
        Ok(())
    }
}

/// A section of a file.
enum Span {
    Data(Vec<u8>),
    Hole(u64),
}

/// A file's sections up to its length at opening: a growing file does not block the backup.
struct Spans {
    file: File,
    at: u64,
    len: u64,
    /// The file has holes.
    is_sparse: bool,
}

impl Spans {
    fn of(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let is_sparse = taken(&meta).saturating_add(stream::STRETCH as u64) < meta.len();
        Ok(Self { file, at: 0, len: meta.len(), is_sparse })
    }

    fn next(&mut self) -> io::Result<Option<Span>> {
        let mut end = self.len;
        if self.is_sparse && self.at < self.len {
            let data = self.data()?;
            if self.at < data {
                let hole = data - self.at;
                self.at = data;
                return Ok(Some(Span::Hole(hole)));
            }
            end = self.hole().min(self.len);
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        let most = (end - self.at).min(stream::STRETCH as u64);
        let mut bytes = Vec::new();
        (&mut self.file).take(most).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some(Span::Data(bytes)))
    }

    /// Start of the next data.
    fn data(&self) -> io::Result<u64> {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(self.at)) {
            Ok(at) => Ok(at.min(self.len)),
            // Only a hole remains, up to the present end of the file.
            Err(rustix::io::Errno::NXIO) => {
                Ok(self.file.metadata()?.len().clamp(self.at, self.len))
            }
            // The file system does not support holes.
            Err(_) => Ok(self.at),
        }
    }

    /// Start of the next hole after these data.
    fn hole(&self) -> u64 {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Hole(self.at)) {
            Ok(at) if self.at < at => at,
            _ => self.len,
        }
    }
}
