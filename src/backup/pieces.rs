//! Content-defined chunking, and reassembly of chunks.

use std::io::{self, Read};

use fastcdc::v2020::{FastCDC, Normalization};
use sha2::{Digest, Sha256};

use super::BackupError;
use super::manifest::ChunkRef;
use super::progress::Meter;
use super::repo::{Known, Repository, piece_path};
use super::target::{Folder, Target};

/// Sizes of chunks: 64 KiB to 1 MiB, about 256 KiB. A changed row costs little, and a gigabyte is a few thousand
/// objects.
/// little, large enough that a gigabyte is a few thousand objects.
const LEAST: usize = 64 * 1024;
const USUAL: usize = 256 * 1024;
const MOST: usize = 1024 * 1024;
/// Chunks uploaded together.
const TOGETHER: usize = 16;
/// Bytes collected before chunks are cut.
const GATHER: usize = 4 * MOST;

/// Destination of new chunks. Chunks of stores are spooled locally until all stores are read, because a store's file
/// grows while a snapshot is open and a target may be slow. All other chunks go to the target directly.
pub(super) struct Sink<'r> {
    pub repo: &'r Repository,
    pub known: Known,
    pub meter: &'r Meter,
    pub spool: Option<Folder>,
    /// Chunks waiting for a joint upload.
    pub pending: Vec<(String, Vec<u8>)>,
}

impl Sink<'_> {
    fn put(&mut self, content: &[u8]) -> Result<ChunkRef, BackupError> {
        let name = self.repo.name(content);
        let len = content.len() as u64;
        if let Some(stored) = self.known.get(&name) {
            return Ok(ChunkRef(name, len, *stored));
        }
        let packed = self.repo.pack(&name, content)?;
        let stored = packed.len() as u64;
        match &self.spool {
            Some(spool) => spool.put(&piece_path(&name), packed)?,
            None if self.repo.target.is_slow() => {
                self.pending.push((piece_path(&name), packed));
                if TOGETHER <= self.pending.len() {
                    self.flush()?;
                }
            }
            None => {
                self.repo.target.put(&piece_path(&name), packed)?;
                self.meter.wrote(stored);
            }
        }
        self.known.insert(name.clone(), stored);
        Ok(ChunkRef(name, len, stored))
    }

    /// Uploads the waiting chunks.
    pub(super) fn flush(&mut self) -> Result<(), BackupError> {
        let meter = self.meter;
        let mut items = self.pending.drain(..).map(|item| {
            meter.wrote(item.1.len() as u64);
            meter.add(0).map(|()| item)
        });
        self.repo.target.put_all(&mut items)
    }

    /// Sends the spooled chunks.
    pub(super) fn send(&mut self) -> Result<(), BackupError> {
        let Some(spool) = self.spool.take() else { return Ok(()) };
        let all = spool.list("chunks/")?;
        let meter = self.meter;
        if !self.repo.target.is_slow() {
            for one in &all {
                meter.add(0)?;
                self.repo.target.adopt(&one.name, &spool.path(&one.name))?;
                meter.wrote(one.size);
            }
            return Ok(());
        }
        let mut items = all.iter().filter_map(|one| {
            let bytes = spool.get(&one.name, u64::MAX).transpose()?;
            meter.wrote(one.size);
            Some(meter.add(0).and(bytes).map(|bytes| (one.name.clone(), bytes)))
        });
        self.repo.target.put_all(&mut items)
    }
}

pub(super) struct Cut {
    pub chunks: Vec<ChunkRef>,
    pub bytes: u64,
    pub sha256: [u8; 32],
}

/// Chunker of one content.
pub(super) struct Cutter {
    seed: u64,
    buffer: Vec<u8>,
    hash: Sha256,
    bytes: u64,
    chunks: Vec<ChunkRef>,
}

impl Cutter {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, buffer: Vec::new(), hash: Sha256::new(), bytes: 0, chunks: Vec::new() }
    }

    /// The input buffer; call [`Self::settle`] after adding to it.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Cuts chunks if enough bytes are collected.
    pub(super) fn settle(&mut self, sink: &mut Sink<'_>) -> Result<(), BackupError> {
        if self.buffer.len() < GATHER { Ok(()) } else { self.cut(MOST, sink) }
    }

    /// Cuts until less than `left` bytes remain: a chunk's end is certain only if the longest chunk would fit.
    fn cut(&mut self, left: usize, sink: &mut Sink<'_>) -> Result<(), BackupError> {
        let mut start = 0;
        while left < self.buffer.len() - start || (left == 0 && start < self.buffer.len()) {
            let rest = &self.buffer[start..];
            let level = Normalization::Level1;
            let mut cutter =
                FastCDC::with_level_and_seed(rest, LEAST, USUAL, MOST, level, self.seed);
            let len = cutter.next().map_or(rest.len(), |piece| piece.length);
            let content = &rest[..len];
            self.hash.update(content);
            self.bytes += len as u64;
            self.chunks.push(sink.put(content)?);
            sink.meter.add(len as u64)?;
            start += len;
        }
        self.buffer.drain(..start);
        Ok(())
    }

    pub(super) fn finish(mut self, sink: &mut Sink<'_>) -> Result<Cut, BackupError> {
        self.cut(0, sink)?;
        Ok(Cut { chunks: self.chunks, bytes: self.bytes, sha256: self.hash.finalize().into() })
    }
}

/// Reader of a content from its verified chunks.
pub(super) struct Joined<'r> {
    repo: &'r Repository,
    meter: &'r Meter,
    rest: std::slice::Iter<'r, ChunkRef>,
    now: io::Cursor<Vec<u8>>,
    hash: Sha256,
    /// The actual error, which `io::Error` cannot carry.
    pub error: Option<BackupError>,
}

impl<'r> Joined<'r> {
    pub(super) fn new(repo: &'r Repository, chunks: &'r [ChunkRef], meter: &'r Meter) -> Self {
        let (rest, now) = (chunks.iter(), io::Cursor::default());
        Self { repo, meter, rest, now, hash: Sha256::new(), error: None }
    }

    /// SHA-256 of all bytes read.
    pub(super) fn hash(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

impl Read for Joined<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.now.read(out)?;
            if 0 < n || out.is_empty() {
                return Ok(n);
            }
            let Some(piece) = self.rest.next() else { return Ok(0) };
            let content = self.repo.piece(piece).and_then(|content| {
                self.meter.add(content.len() as u64)?;
                Ok(content)
            });
            match content {
                Ok(content) => {
                    self.hash.update(&content);
                    self.now = io::Cursor::new(content);
                }
                Err(error) => {
                    self.error = Some(error);
                    return Err(io::Error::other("a piece cannot be read"));
                }
            }
        }
    }
}
