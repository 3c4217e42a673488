//! Compound files (MS-CFB): a file system of sectors, chained by an allocation table.
//!
//! No number in the file is trusted: chains are followed for at most as many sectors as the file has, and no list is
//! longer than the file.

use super::super::SheetError;
use super::super::xlsx::damaged;
use super::records::{u16_at, u32_at};

/// Signature.
const SIGN: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const WHAT: &str = "its container";
/// From here on, numbers are markers instead of sectors.
const RESERVED: u32 = 0xffff_fffa;
/// Size of a mini sector, in bytes.
const SMALL: usize = 64;
/// Size of a directory entry, in bytes.
const ENTRY: usize = 128;
/// FAT sectors that the header lists, and the offset of that list.
const NAMED: usize = 109;
const NAMED_AT: usize = 76;
/// Directory entry type: stream.
const STREAM: u8 = 2;

/// Directory entry.
struct Entry {
    name: String,
    kind: u8,
    /// Siblings in the folder's tree, and root of the tree of children.
    left: u32,
    right: u32,
    child: u32,
    start: u32,
    size: u64,
}

pub(super) struct Compound<'b> {
    bytes: &'b [u8],
    /// Sector size, in bytes.
    sector: usize,
    /// FAT: the next sector of each sector.
    next: Vec<u32>,
    entries: Vec<Entry>,
}

impl<'b> Compound<'b> {
    pub(super) fn open(bytes: &'b [u8]) -> Result<Self, SheetError> {
        let broken = || damaged(WHAT, "its header is invalid");
        if !bytes.starts_with(SIGN) {
            return Err(broken());
        }
        let sector = match u16_at(bytes, 30) {
            Some(9) => 1 << 9,
            Some(12) => 1 << 12,
            _ => return Err(broken()),
        };
        let mut file = Self { bytes, sector, next: Vec::new(), entries: Vec::new() };
        file.read_table().ok_or_else(broken)?;
        let start = u32_at(bytes, 48).ok_or_else(broken)?;
        let directory = file.chain(start, u64::MAX)?;
        file.entries = directory.chunks_exact(ENTRY).filter_map(|raw| file.entry(raw)).collect();
        Ok(file)
    }

    /// Upper limit of sectors.
    fn most(&self) -> usize {
        self.bytes.len() / self.sector + 1
    }

    fn read_table(&mut self) -> Option<()> {
        let named = (0..NAMED).map_while(|at| u32_at(self.bytes, NAMED_AT + 4 * at));
        let mut parts: Vec<u32> = named.filter(|part| *part < RESERVED).collect();
        let mut further = u32_at(self.bytes, 68)?;
        for _ in 0..self.most() {
            let Some(sector) = self.sector(further) else { break };
            let mut own = numbers(sector);
            further = own.pop()?;
            parts.extend(own.into_iter().filter(|part| *part < RESERVED));
        }
        for part in parts.into_iter().take(self.most()) {
            let Some(sector) = self.sector(part) else { break };
            self.next.extend(numbers(sector));
        }
        Some(())
    }

    /// Bytes of a sector; the last one may be incomplete.
    fn sector(&self, number: u32) -> Option<&'b [u8]> {
        if number >= RESERVED {
            return None;
        }
        let from = (number as usize).checked_add(1)?.checked_mul(self.sector)?;
        let to = from.checked_add(self.sector)?.min(self.bytes.len());
        self.bytes.get(from..to).filter(|sector| !sector.is_empty())
    }

    /// Bytes of a sector chain, up to `size`.
    fn chain(&self, start: u32, size: u64) -> Result<Vec<u8>, SheetError> {
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        let (mut bytes, mut number) = (Vec::new(), start);
        for _ in 0..self.most() {
            if number >= RESERVED || bytes.len() >= wanted {
                break;
            }
            let sector = self.sector(number).ok_or_else(|| damaged(WHAT, "a sector is missing"))?;
            bytes.extend_from_slice(sector);
            number = self.next.get(number as usize).copied().unwrap_or(RESERVED);
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }

    fn entry(&self, raw: &[u8]) -> Option<Entry> {
        let letters = usize::from(u16_at(raw, 64)?).min(64) / 2;
        let name = (0..letters).map_while(|at| u16_at(raw, 2 * at)).take_while(|unit| *unit != 0);
        let low = u64::from(u32_at(raw, 120)?);
        // With 512-byte sectors, the upper half of the size may be uninitialized.
        let high = if self.sector > 1 << 9 { u64::from(u32_at(raw, 124)?) } else { 0 };
        Some(Entry {
            name: char::decode_utf16(name).map(|sign| sign.unwrap_or('\u{fffd}')).collect(),
            kind: *raw.get(66)?,
            left: u32_at(raw, 68)?,
            right: u32_at(raw, 72)?,
            child: u32_at(raw, 76)?,
            start: u32_at(raw, 116)?,
            size: (high << 32) | low,
        })
    }

    /// Whether there is such a stream at the top level; streams of embedded files do not count.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let mut open = vec![self.entries.first()?.child];
        // Each entry at most twice, even if the tree is malformed.
        for _ in 0..=2 * self.entries.len() {
            let Some(entry) = self.entries.get(open.pop()? as usize) else { continue };
            if entry.kind == STREAM && entry.name.eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            open.extend([entry.left, entry.right]);
        }
        None
    }

    /// Bytes of a top-level stream, if it exists.
    pub(super) fn stream(&self, name: &str) -> Result<Option<Vec<u8>>, SheetError> {
        let Some(entry) = self.find(name) else { return Ok(None) };
        let small_below = u32_at(self.bytes, 56).unwrap_or_default();
        if entry.size >= u64::from(small_below) {
            return self.chain(entry.start, entry.size).map(Some);
        }
        self.small(entry).map(Some)
    }

    /// Bytes of a short stream, which is in mini sectors within the root entry's stream.
    fn small(&self, entry: &Entry) -> Result<Vec<u8>, SheetError> {
        let broken = || damaged(WHAT, "a small sector is missing");
        let root = self.entries.first().ok_or_else(broken)?;
        let all = self.chain(root.start, root.size)?;
        let table = self.chain(u32_at(self.bytes, 60).unwrap_or(RESERVED), u64::MAX)?;
        let next = numbers(&table);
        let wanted = usize::try_from(entry.size).map_err(|_| broken())?;
        let (mut bytes, mut number) = (Vec::new(), entry.start);
        for _ in 0..=all.len() / SMALL {
            if number >= RESERVED || bytes.len() >= wanted {
                break;
            }
            let from = (number as usize).checked_mul(SMALL).filter(|from| *from < all.len());
            let from = from.ok_or_else(broken)?;
            bytes.extend_from_slice(&all[from..all.len().min(from + SMALL)]);
            number = next.get(number as usize).copied().unwrap_or(RESERVED);
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }
}

/// Bytes as little-endian sector numbers.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    (0..bytes.len() / 4).filter_map(|at| u32_at(bytes, 4 * at)).collect()
}
