//! Exports all branches as a git bundle (version 2), readable by `git clone` and `git bundle verify`, and imports it.
//!
//! Objects are written without deltas. Only such bundles can be imported: the purpose is to move a workspace, not to
//! accept arbitrary packs.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};

use gix::ObjectId;
use gix::objs::{Kind, Write as _};
use gix::refs::transaction::PreviousValue;
use gix::zlib::stream::{deflate, inflate};
use gix::zlib::{Compression, Decompress};

use super::names::Branch;
use super::{AgentsRepo, head};

const SIGNATURE: &str = "# v2 git bundle\n";
/// Maximum size of an object, in bytes.
const MAX_OBJECT: u64 = 1024 * 1024 * 1024;

/// Decompressed size limits of a pack, against decompression bombs.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) object: u64,
    /// Limit for all objects together.
    pub(crate) all: u64,
}

pub(crate) fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the git bundle is damaged: {why}"))
}

pub(crate) fn git(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Hashes the data passed through.
struct Summed<W> {
    inner: W,
    hash: gix::hash::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct SummedReader<R> {
    inner: R,
    hash: gix::hash::Hasher,
}

impl<R: BufRead> Read for SummedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.hash.update(&out[..n]);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for SummedReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        if let Ok(bytes) = self.inner.fill_buf() {
            let taken = bytes.len().min(n);
            self.hash.update(&bytes[..taken]);
        }
        self.inner.consume(n);
    }
}

impl AgentsRepo {
    /// Writes every branch with its whole history. Returns the number of branches.
    ///
    /// # Errors
    /// If an object cannot be read or the bundle cannot be written.
    pub fn write_bundle(&self, out: &mut dyn Write) -> io::Result<usize> {
        let repo = self.repo();
        let mut branches = self.branches().map_err(git)?;
        branches.retain(|branch| !branch.is_draft());
        out.write_all(SIGNATURE.as_bytes())?;
        for branch in &branches {
            if let Some(id) = head(&repo, branch).map_err(git)? {
                writeln!(out, "{} {}", id.to_hex(), branch.reference())?;
            }
        }
        out.write_all(b"\n")?;
        // Listed after the branches, so that all objects that they refer to exist.
        let mut ids = BTreeSet::new();
        for id in repo.objects.iter().map_err(git)? {
            ids.insert(id.map_err(git)?);
        }
        write_objects(&repo, &ids, out)?;
        Ok(branches.len())
    }

    /// Imports all branches of a bundle into this repository, which must have none of them yet. Each object is stored
    /// under the hash of its content.
    ///
    /// # Errors
    /// If the bundle is damaged, has deltas, or names an invalid branch.
    pub fn read_bundle(&self, from: &mut dyn Read) -> io::Result<Vec<Branch>> {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        (&mut from).take(64).read_line(&mut line)?;
        if line != SIGNATURE {
            return Err(broken("it is none, or of another version"));
        }
        let mut branches: Vec<(Branch, ObjectId)> = Vec::new();
        loop {
            line.clear();
            (&mut from).take(4096).read_line(&mut line)?;
            let text = line.trim_end_matches('\n');
            if text.is_empty() {
                break;
            }
            let (id, name) =
                text.split_once(' ').ok_or_else(|| broken("a line names no branch"))?;
            let id = ObjectId::from_hex(id.as_bytes()).map_err(broken)?;
            let name = name.strip_prefix("refs/heads/").unwrap_or(name);
            branches.push((Branch::parse(name).map_err(broken)?, id));
        }
        let repo = self.repo();
        read_objects(&repo, from, Room { object: MAX_OBJECT, all: u64::MAX })?;
        let mut found = Vec::new();
        for (branch, id) in branches {
            repo.find_commit(id).map_err(|_| broken("a branch leads nowhere"))?;
            repo.reference(branch.reference(), id, PreviousValue::MustNotExist, "import")
                .map_err(git)?;
            found.push(branch);
        }
        Ok(found)
    }
}

/// Writes these objects as a pack.
pub(crate) fn write_objects(
    repo: &gix::Repository,
    ids: &BTreeSet<ObjectId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let hash = gix::hash::hasher(gix::hash::Kind::Sha1);
    let mut pack = Summed { inner: out, hash };
    pack.write_all(b"PACK")?;
    pack.write_all(&2u32.to_be_bytes())?;
    let count = u32::try_from(ids.len()).map_err(|_| git("too many objects"))?;
    pack.write_all(&count.to_be_bytes())?;
    for id in ids {
        let object = repo.find_object(*id).map_err(git)?;
        write_header(&mut pack, object.kind, object.data.len() as u64)?;
        let mut packed = deflate::Write::new(&mut pack, Compression::default());
        packed.write_all(&object.data)?;
        packed.flush()?;
    }
    let Summed { inner, hash } = pack;
    inner.write_all(hash.try_finalize().map_err(git)?.as_slice())
}

/// Stores the objects of a pack, each under the hash of its content, within the size limits.
pub(crate) fn read_objects(
    repo: &gix::Repository,
    from: impl BufRead,
    room: Room,
) -> io::Result<()> {
    let hash = gix::hash::hasher(gix::hash::Kind::Sha1);
    let mut pack = SummedReader { inner: from, hash };
    let mut start = [0; 12];
    pack.read_exact(&mut start)?;
    if !start.starts_with(b"PACK\0\0\0\x02") {
        return Err(broken("it holds no pack of version 2"));
    }
    let count = start.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let mut left = room.all;
    for _ in 0..count {
        let (kind, len) = read_header(&mut pack)?;
        let fits = left.checked_sub(len).filter(|_| len <= room.object);
        left = fits.ok_or_else(|| broken("it holds more than there is room for"))?;
        let data = read_object(&mut pack, len)?;
        repo.objects.write_buf(kind, &data).map_err(git)?;
    }
    let SummedReader { mut inner, hash } = pack;
    let mut sum = [0; 20];
    inner.read_exact(&mut sum)?;
    if hash.try_finalize().map_err(git)?.as_slice() != sum {
        return Err(broken("its sum does not fit"));
    }
    Ok(())
}

fn write_header(out: &mut impl Write, kind: Kind, len: u64) -> io::Result<()> {
    let number: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let low = |bits: u64, mask: u64| (bits & mask).to_le_bytes()[0];
    let (mut byte, mut rest) = ((number << 4) | low(len, 15), len >> 4);
    while 0 < rest {
        out.write_all(&[byte | 0x80])?;
        (byte, rest) = (low(rest, 0x7f), rest >> 7);
    }
    out.write_all(&[byte])
}

fn read_header(from: &mut impl Read) -> io::Result<(Kind, u64)> {
    let mut byte = [0; 1];
    from.read_exact(&mut byte)?;
    let kind = match (byte[0] >> 4) & 7 {
        1 => Kind::Commit,
        2 => Kind::Tree,
        3 => Kind::Blob,
        4 => Kind::Tag,
        _ => return Err(broken("it has deltas; make it with `hq export`")),
    };
    let (mut len, mut shift) = (u64::from(byte[0] & 15), 4);
    while byte[0] & 0x80 != 0 {
        from.read_exact(&mut byte)?;
        if 40 < shift {
            return Err(broken("an object is too long"));
        }
        len |= u64::from(byte[0] & 0x7f) << shift;
        shift += 7;
    }
    if MAX_OBJECT < len { Err(broken("an object is too long")) } else { Ok((kind, len)) }
}

fn read_object(from: &mut impl BufRead, len: u64) -> io::Result<Vec<u8>> {
    let mut state = Decompress::new();
    let mut data = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = inflate::read(from, &mut state, &mut buffer)?;
        if n == 0 {
            break;
        }
        data.extend_from_slice(&buffer[..n]);
        if len < data.len() as u64 {
            return Err(broken("an object is longer than it says"));
        }
    }
    if data.len() as u64 == len { Ok(data) } else { Err(broken("an object is cut short")) }
}
