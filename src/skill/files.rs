//! The files of a package: paths that mean the same on every machine, within the limits, and their hash.

use std::collections::HashMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::visible;
use crate::{MAX_BYTES, MAX_FILES, SkillError};

/// Maximum length of a path, in bytes.
const MAX_PATH: usize = 512;
/// Maximum length of one name in a path, in bytes: the limit of file systems.
const MAX_PART: usize = 255;
const MAX_DEPTH: usize = 16;
/// Maximum number of entries with folders.
const MAX_ENTRIES: usize = 2 * MAX_FILES;
/// The same with ignored files, which take no memory.
pub(crate) const MAX_LISTED: usize = 20_000;
/// Maximum size of all names in the form in which they are compared, in bytes.
const MAX_FOLDED: usize = 4 << 20;
/// Folders of version control, and what macOS adds to archives. They are no part of a package.
const IGNORED: [&str; 8] =
    [".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "__macosx", ".ds_store"];
/// Distinguishes this listing from later formats.
const LISTING: &[u8] = b"hq-skill-files-1\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative, with `/` between its parts.
    pub path: String,
    pub is_executable: bool,
    pub bytes: Vec<u8>,
}

impl File {
    /// The content as text; `None` for binary data.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        (!text.contains('\0')).then_some(text)
    }
}

/// The hash of files: SHA-256 of a listing with path, executable bit and SHA-256 of each file, sorted by path.
#[must_use]
pub fn hash(files: &[File]) -> [u8; 32] {
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    let mut listing = Sha256::new();
    listing.update(LISTING);
    for file in sorted {
        // No path has a control character, so the separators are unambiguous.
        listing.update(file.path.as_bytes());
        listing.update(if file.is_executable { b"\0x\0" } else { b"\0-\0" });
        listing.update(Sha256::digest(&file.bytes));
        listing.update(b"\n");
    }
    listing.finalize().into()
}

/// Kind of an entry in a folder or archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File,
    Folder,
    Link,
    Special,
}

/// Collects the entries of a folder or archive.
pub(crate) struct Collector {
    files: Vec<File>,
    listed: usize,
    entries: usize,
    /// Remaining bytes.
    left: u64,
    /// Remaining bytes of folded names.
    left_folded: usize,
    /// Each file and each folder above it, by the number of its folder and its folded name.
    seen: HashMap<(usize, String), usize>,
    /// The same by spelling.
    spelled: HashMap<(usize, String), usize>,
    /// Whether each of them is a folder, and its name; the first is the root.
    nodes: Vec<(bool, String)>,
}

impl Collector {
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            listed: 0,
            entries: 0,
            left: MAX_BYTES,
            left_folded: MAX_FOLDED,
            seen: HashMap::new(),
            spelled: HashMap::new(),
            nodes: vec![(true, String::new())],
        }
    }

    /// Checks an entry. Returns the path of a file that is to be read.
    pub fn admit(&mut self, raw: &[u8], entry: Entry) -> Result<Option<String>, SkillError> {
        self.listed += 1;
        if MAX_LISTED < self.listed {
            return Err(SkillError::TooManyFiles);
        }
        let path = normal(raw)?;
        if path.is_empty() || path.split('/').any(is_ignored) {
            return Ok(None);
        }
        self.entries += 1;
        if MAX_ENTRIES < self.entries {
            return Err(SkillError::TooManyFiles);
        }
        match entry {
            Entry::Link => return Err(SkillError::Link { path: shown(&path) }),
            Entry::Special => return Err(SkillError::Special { path: shown(&path) }),
            Entry::File | Entry::Folder => {}
        }
        self.note(&path, entry == Entry::Folder)?;
        if entry == Entry::Folder {
            return Ok(None);
        }
        if MAX_FILES <= self.files.len() {
            return Err(SkillError::TooManyFiles);
        }
        Ok(Some(path))
    }

    /// Adds an admitted file. Declared sizes are not trusted: only bytes that were read count.
    pub fn add(
        &mut self,
        path: String,
        is_executable: bool,
        reader: impl Read,
    ) -> Result<(), SkillError> {
        let mut bytes = Vec::new();
        let read = reader.take(self.left + 1).read_to_end(&mut bytes);
        let count = read.map_err(|error| match is_full(&error) {
            true => SkillError::TooLarge,
            false => SkillError::Damaged { what: shown(&path), reason: error.to_string() },
        })?;
        self.left = self.left.checked_sub(count as u64).ok_or(SkillError::TooLarge)?;
        self.files.push(File { path, is_executable, bytes });
        Ok(())
    }

    pub fn finish(mut self) -> Vec<File> {
        self.files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        self.files
    }

    fn note(&mut self, path: &str, is_folder: bool) -> Result<(), SkillError> {
        let mut above = 0;
        let mut start = 0;
        for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
            let (name, is_folder) = (&path[start..end], is_folder || end < path.len());
            start = end + 1;
            let spelled = (above, name.to_owned());
            if let Some(known) = self.spelled.get(&spelled) {
                above = *known;
                match self.nodes[above].0 && is_folder {
                    true => continue,
                    false => return Err(SkillError::Duplicate { path: shown(&path[..end]) }),
                }
            }
            let folded = self.fold(path, name)?;
            if let Some(known) = self.seen.get(&(above, folded.clone())) {
                let other = format!("{}{}", &path[..end - name.len()], self.nodes[*known].1);
                let (path, other) = (shown(&path[..end]), shown(&other));
                return Err(SkillError::Collision { path, other });
            }
            let new = self.nodes.len();
            self.nodes.push((is_folder, name.to_owned()));
            self.seen.insert((above, folded), new);
            self.spelled.insert(spelled, new);
            above = new;
        }
        Ok(())
    }

    /// A folded name, within the limits.
    fn fold(&mut self, path: &str, name: &str) -> Result<String, SkillError> {
        let refused = |reason| SkillError::Path { path: shown(path), reason };
        let folded = folded(name).ok_or_else(|| refused("a name in it is too long"))?;
        let left = self.left_folded.checked_sub(folded.len());
        self.left_folded = left.ok_or_else(|| refused("all names together are too long"))?;
        Ok(folded)
    }
}

/// The error of a reader that reached its limit.
pub(crate) fn full() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the limit was reached")
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

pub(crate) fn shown(path: &str) -> String {
    visible(path, 200)
}

/// A path without `.` and empty parts; empty for the root.
fn normal(raw: &[u8]) -> Result<String, SkillError> {
    let Ok(path) = std::str::from_utf8(raw) else {
        let path = shown(&String::from_utf8_lossy(raw));
        return Err(SkillError::Path { path, reason: "it isn't valid UTF-8" });
    };
    let refused = |reason| Err(SkillError::Path { path: shown(path), reason });
    if MAX_PATH < path.len() {
        return refused("it is too long");
    }
    if path.chars().any(char::is_control) {
        return refused("it has control characters");
    }
    if path.contains('\\') {
        return refused("it has a backslash");
    }
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || has_drive {
        return refused("it is absolute");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return refused("it leads out of the package"),
            _ if MAX_PART < part.len() => return refused("a name in it is too long"),
            _ => parts.push(part),
        }
    }
    if MAX_DEPTH < parts.len() {
        return refused("it is too deep");
    }
    Ok(parts.join("/"))
}

/// Form of a name that is equal for names which some file systems do not distinguish; `None` if it is too long.
/// Folding can lengthen a name many times, so it stops at the limit.
fn folded(name: &str) -> Option<String> {
    let mut folded = String::new();
    // Upper case first, so that letters with several lower-case forms fold to one.
    for character in name.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd() {
        folded.push(character);
        if MAX_PART < folded.len() {
            return None;
        }
    }
    Some(folded)
}

pub(crate) fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
}

pub(crate) fn is_acceptable(path: &str) -> bool {
    normal(path.as_bytes()).is_ok_and(|same| same == path && !path.is_empty())
}
