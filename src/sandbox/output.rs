//! What a program wrote, read back from its files: the beginning, the end, or both with the middle left out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;

/// A part of an output file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The first bytes as text.
    pub head: String,
    /// The last bytes as text; empty when `head` holds everything.
    pub tail: String,
    /// Bytes left out between the two.
    pub skipped: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Excerpt {
    /// As one text with a note where something was left out.
    #[must_use]
    pub fn text(&self) -> String {
        if self.skipped == 0 {
            return format!("{}{}", self.head, self.tail);
        }
        format!("{}\n[… {} bytes left out …]\n{}", self.head, self.skipped, self.tail)
    }
}

/// At most this many bytes from the beginning and from the end. A character that a cut would split is left out.
pub fn excerpt(path: &Path, head: usize, tail: usize) -> io::Result<Excerpt> {
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    let room = head.saturating_add(tail) as u64;
    if total <= room {
        let bytes = read(&mut file, 0, total)?;
        let head = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(Excerpt { head, tail: String::new(), skipped: 0, total });
    }
    let first = read(&mut file, 0, head as u64)?;
    let last = read(&mut file, total - tail as u64, tail as u64)?;
    let first = without_cut_end(&first);
    let last = without_cut_start(&last);
    Ok(Excerpt {
        head: String::from_utf8_lossy(first).into_owned(),
        tail: String::from_utf8_lossy(last).into_owned(),
        skipped: total - first.len() as u64 - last.len() as u64,
        total,
    })
}

/// The beginning.
pub fn head(path: &Path, bytes: usize) -> io::Result<Excerpt> {
    excerpt(path, bytes, 0)
}

/// The end.
pub fn tail(path: &Path, bytes: usize) -> io::Result<Excerpt> {
    excerpt(path, 0, bytes)
}

/// What was written from this byte on, at most so much, and the byte to go on from: for a page that follows a job.
pub fn from(path: &Path, offset: u64, bytes: usize) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let part = read(&mut file, offset, bytes as u64)?;
    let total = file.metadata()?.len();
    let whole = without_cut_end(&part);
    // A lone start of a character at the very end may still become one; elsewhere it never will.
    let part = if whole.is_empty() && offset + (part.len() as u64) < total { &part } else { whole };
    Ok((String::from_utf8_lossy(part).into_owned(), offset + part.len() as u64))
}

fn read(file: &mut File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut buffer = Vec::new();
    file.take(bytes).read_to_end(&mut buffer)?;
    Ok(buffer)
}

/// Without the beginning of a character whose rest is missing.
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

/// Without the rest of a character whose beginning is missing.
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
