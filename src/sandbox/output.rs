//! Reads the output files of a program: the beginning, the end, or both with the middle omitted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;

/// Number of bytes per read.
const PIECE: u64 = 64 * 1024;

/// An excerpt of an output file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The first bytes as text.
    pub head: String,
    /// The last bytes as text; empty if `head` contains everything.
    pub tail: String,
    /// Number of bytes omitted between the two.
    pub skipped: u64,
    /// Size of the whole file.
    pub total: u64,
}

impl Excerpt {
    /// The excerpt as one text, with a note about omitted bytes.
    #[must_use]
    pub fn text(&self) -> String {
        if self.skipped == 0 {
            return format!("{}{}", self.head, self.tail);
        }
        format!("{}\n[… {} bytes left out …]\n{}", self.head, self.skipped, self.tail)
    }
}

/// Opens a file for reading: never through a symlink, and non-blocking in case it is a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it isn't a file")) }
}

/// At most `head` bytes from the beginning and `tail` bytes from the end. Characters split by a cut are omitted.
pub fn excerpt(path: &Path, head: usize, tail: usize) -> io::Result<Excerpt> {
    excerpt_of(&open(path)?, head, tail)
}

/// The same for an open file.
pub fn excerpt_of(file: &File, head: usize, tail: usize) -> io::Result<Excerpt> {
    let total = file.metadata()?.len();
    let room = head.saturating_add(tail) as u64;
    if total <= room {
        let bytes = read(file, 0, total)?;
        let head = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(Excerpt { head, tail: String::new(), skipped: 0, total });
    }
    let first = read(file, 0, head as u64)?;
    let last = read(file, total - tail as u64, tail as u64)?;
    let first = without_cut_end(&first);
    let last = without_cut_start(&last);
    Ok(Excerpt {
        head: String::from_utf8_lossy(first).into_owned(),
        tail: String::from_utf8_lossy(last).into_owned(),
        skipped: total - first.len() as u64 - last.len() as u64,
        total,
    })
}

pub fn head(path: &Path, bytes: usize) -> io::Result<Excerpt> {
    excerpt(path, bytes, 0)
}

pub fn tail(path: &Path, bytes: usize) -> io::Result<Excerpt> {
    excerpt(path, 0, bytes)
}

/// File size in bytes.
pub fn len(path: &Path) -> io::Result<u64> {
    Ok(open(path)?.metadata()?.len())
}

/// At most `bytes` bytes from an offset, and the offset to continue from. For pages that follow a job.
pub fn from(path: &Path, offset: u64, bytes: usize) -> io::Result<(String, u64)> {
    from_file(&open(path)?, offset, bytes)
}

/// The same for an open file.
pub(super) fn from_file(file: &File, offset: u64, bytes: usize) -> io::Result<(String, u64)> {
    let part = read(file, offset, bytes as u64)?;
    let total = file.metadata()?.len();
    let whole = without_cut_end(&part);
    // An incomplete character at the very end may still be completed; elsewhere it is invalid.
    let part = if whole.is_empty() && offset + (part.len() as u64) < total { &part } else { whole };
    Ok((String::from_utf8_lossy(part).into_owned(), offset + part.len() as u64))
}

/// Reads without moving the file position, which the program may share.
fn read(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut piece = vec![0; bytes.min(PIECE) as usize];
    loop {
        let got = buffer.len() as u64;
        let room = (bytes - got).min(PIECE) as usize;
        match file.read_at(&mut piece[..room], offset + got) {
            Ok(0) => return Ok(buffer),
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes an incomplete last character.
fn without_cut_end(bytes: &[u8]) -> &[u8] {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => return bytes,
        };
        return if back < length { &bytes[..bytes.len() - back] } else { bytes };
    }
    bytes
}

/// Removes the remainder of a split first character.
fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|b| (0x80..=0xbf).contains(*b)).count();
    &bytes[rest..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_short_output_is_given_whole() {
        let file = file(b"all of it");
        let got = excerpt(file.path(), 5, 4).unwrap();
        assert_eq!((got.text().as_str(), got.skipped, got.total), ("all of it", 0, 9));
    }

    #[test]
    fn the_middle_of_a_long_output_is_left_out_and_counted() {
        let file = file(b"beginning-middle-end");
        let got = excerpt(file.path(), 9, 3).unwrap();
        assert_eq!((got.head.as_str(), got.tail.as_str(), got.skipped), ("beginning", "end", 8));
        assert!(got.text().contains("8 bytes left out"));
        assert_eq!(tail(file.path(), 3).unwrap().tail, "end");
        assert_eq!(head(file.path(), 9).unwrap().head, "beginning");
    }

    #[test]
    fn a_link_or_a_pipe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, link) = (dir.path().join("secret"), dir.path().join("link"));
        std::fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(excerpt(&link, 9, 9).is_err() && from(&link, 0, 9).is_err());
        let (name, mode) = (dir.path().join("pipe"), rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(excerpt(&name, 9, 9).is_err());
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        let file = file("äöü€".as_bytes());
        let got = excerpt(file.path(), 3, 2).unwrap();
        assert_eq!((got.head.as_str(), got.tail.as_str()), ("ä", ""));
        assert_eq!(got.skipped + 2, got.total);
    }

    #[test]
    fn following_an_output_gives_each_character_once() {
        let file = file("a€b".as_bytes());
        let mut at = 0;
        let mut text = String::new();
        loop {
            let (part, next) = from(file.path(), at, 3).unwrap();
            if next == at {
                break;
            }
            text.push_str(&part);
            at = next;
        }
        assert_eq!(text, "a€b");
    }
}
