//! File format of vectors: a header that identifies the model, then records of equal size.
//!
//! ```text
//! head    magic 8, dimensions u32, zero u32, SHA-256 of the model's id 32, CRC-32 of these 48 bytes, zeros up to 64
//! record  mark 1, zeros 3, CRC-32 of what follows, id 20, hash of the text 32, then each number as f32
//! ```
//!
//! Numbers are little-endian. The mark is not part of the checksum, so that a single byte, which a crash cannot tear,
//! turns a live record into a dead one.

use sha2::{Digest, Sha256};

use super::Id;
use crate::model::Hash;

/// Length of the header in bytes.
pub const HEAD: usize = 64;
/// Mark of a live record.
pub const LIVE: u8 = b'L';
/// Mark of a deleted or replaced record.
pub const DEAD: u8 = b'D';

const MAGIC: &[u8; 8] = b"hqvecs\0\x01";
/// Offset of the numbers in a record.
const NUMBERS: usize = 60;

/// The header for vectors of this model.
pub fn head(model: &str, dimensions: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&(dimensions as u32).to_le_bytes());
    head[16..48].copy_from_slice(&Sha256::digest(model));
    let sum = crc32fast::hash(&head[..48]);
    head[48..52].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Whether this is the header of a vector file of any model.
pub fn is_head(bytes: &[u8; HEAD]) -> bool {
    bytes.starts_with(MAGIC) && bytes[48..52] == crc32fast::hash(&bytes[..48]).to_le_bytes()
}

/// Length of a record in bytes.
pub fn size(dimensions: usize) -> usize {
    NUMBERS + 4 * dimensions
}

/// File offset of a record.
pub fn offset(slot: usize, dimensions: usize) -> u64 {
    (HEAD + slot * size(dimensions)) as u64
}

/// Appends a live record to `bytes`.
pub fn write(bytes: &mut Vec<u8>, id: &Id, hash: &Hash, vector: &[f32]) {
    let from = bytes.len();
    bytes.extend([LIVE, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(id);
    bytes.extend(hash);
    bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
    let sum = crc32fast::hash(&bytes[from + 8..]);
    bytes[from + 4..from + 8].copy_from_slice(&sum.to_le_bytes());
}

/// A record in the file.
pub struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// `None` if the record is incomplete or damaged.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let whole = [LIVE, DEAD].contains(&bytes[0])
            && bytes[1..4] == [0; 3]
            && bytes[4..8] == crc32fast::hash(&bytes[8..]).to_le_bytes();
        whole.then_some(Self(bytes))
    }

    pub fn live(&self) -> bool {
        self.0[0] == LIVE
    }

    pub fn id(&self) -> Id {
        self.0[8..28].try_into().expect("invariant: 20 bytes")
    }

    pub fn hash(&self) -> Hash {
        self.0[28..NUMBERS].try_into().expect("invariant: 32 bytes")
    }

    pub fn vector(&self) -> Vec<f32> {
        let (numbers, _) = self.0[NUMBERS..].as_chunks::<4>();
        numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}
