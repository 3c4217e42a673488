//! Byte streams of stores and file trees, which are then cut into chunks.
//!
//! Store: `T` and a table number, then `R`, two lengths, key and value for each row; `E` at the end. Files: `F`, a mode
//! byte, and a path with its length; then any number of `D` with a length and bytes, or `H` with the length of a hole
//! (8 bytes); `Z` at the end of each file; `E` at the end. Numbers are big-endian.

use std::io::{self, Read};

/// Longest key, value, path or data section, in bytes; longer ones are malformed.
const LONGEST: u32 = 64 * 1024 * 1024;
/// Bytes per data section of a file.
pub(super) const STRETCH: usize = 1024 * 1024;

pub(super) fn table(number: u16, out: &mut Vec<u8>) {
    out.push(b'T');
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn row(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(b'R');
    out.extend_from_slice(&length(key).to_be_bytes());
    out.extend_from_slice(&length(value).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

pub(super) fn file(path: &str, executable: bool, out: &mut Vec<u8>) {
    out.push(b'F');
    out.push(u8::from(executable));
    out.extend_from_slice(&length(path.as_bytes()).to_be_bytes());
    out.extend_from_slice(path.as_bytes());
}

pub(super) fn stretch(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'D');
    out.extend_from_slice(&length(bytes).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A section that was never written.
pub(super) fn hole(len: u64, out: &mut Vec<u8>) {
    out.push(b'H');
    out.extend_from_slice(&len.to_be_bytes());
}

pub(super) const FILE_END: u8 = b'Z';
pub(super) const END: u8 = b'E';

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Table(u16),
    Row(Vec<u8>, Vec<u8>),
    File { path: String, executable: bool },
    Stretch(Vec<u8>),
    Hole(u64),
    FileEnd,
    End,
}

/// Reads the next token.
pub(super) fn next(from: &mut dyn Read) -> io::Result<Token> {
    Ok(match array::<1>(from)?[0] {
        b'T' => Token::Table(u16::from_be_bytes(array(from)?)),
        b'R' => {
            let (key, value) = (size(from)?, size(from)?);
            Token::Row(bytes(from, key)?, bytes(from, value)?)
        }
        b'F' => {
            let executable = array::<1>(from)?[0] == 1;
            let len = size(from)?;
            let path = String::from_utf8(bytes(from, len)?).map_err(|_| strange())?;
            Token::File { path, executable }
        }
        b'D' => {
            let len = size(from)?;
            Token::Stretch(bytes(from, len)?)
        }
        b'H' => Token::Hole(u64::from_be_bytes(array(from)?)),
        FILE_END => Token::FileEnd,
        END => Token::End,
        _ => return Err(strange()),
    })
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this isn't a backup stream")
}

fn array<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    from.read_exact(&mut out)?;
    Ok(out)
}

fn size(from: &mut dyn Read) -> io::Result<usize> {
    let len = u32::from_be_bytes(array(from)?);
    if LONGEST < len { Err(strange()) } else { Ok(len as usize) }
}

fn bytes(from: &mut dyn Read, len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![0; len];
    from.read_exact(&mut out)?;
    Ok(out)
}
