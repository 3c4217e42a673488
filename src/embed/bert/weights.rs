//! Reader of `model.safetensors`, which is untrusted.
//!
//! Format (<https://github.com/huggingface/safetensors>): length of the header in 8 bytes; header in JSON with type,
//! shape and offsets of each tensor; then the numbers without gaps. The file is read once, in order, and hashed while
//! reading, so that the verified bytes are the used ones.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use half::f16;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::folder::unreadable;
use crate::model::Hash;
use crate::problem::Refused;

/// Longest header; that of a model with 48 layers has 100 KB.
const MAX_HEADER: u64 = 16 << 20;
/// Bytes of numbers that are read at once.
const PIECE: usize = 64 << 10;

/// A required tensor.
pub struct Wanted {
    /// Name, without the `bert.` prefix that some files use.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
}

/// Tensors by name, and the hash of the file.
pub struct Weights {
    tensors: HashMap<String, Vec<f32>>,
    pub hash: Hash,
}

impl Weights {
    /// Removes a tensor from the set.
    ///
    /// # Errors
    /// If it was not among the wanted ones.
    pub fn take(&mut self, name: &str) -> Result<Vec<f32>, Refused> {
        self.tensors.remove(name).ok_or_else(|| unfit(name, "is missing"))
    }
}

/// Header entry of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Number format in the file.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F16,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Reads the wanted tensors of a file of `length` bytes.
///
/// # Errors
/// If the file is damaged or a pickle, or if a tensor is missing, has a wrong shape or type, or contains a number that
/// is not finite.
pub fn read(file: impl Read, length: u64, wanted: &[Wanted]) -> Result<Weights, Refused> {
    let mut source = Source { file, sum: Sha256::new() };
    let entries = header(&mut source, length)?;
    // Rejected before any number is read.
    let mut kinds = HashMap::new();
    for tensor in wanted {
        let (name, entry) = find(&entries, &tensor.name)?;
        kinds.insert(name, (kind(entry, tensor)?, tensor.name.as_str()));
    }
    let mut places: Vec<_> = entries.iter().collect();
    places.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut tensors = HashMap::new();
    for (name, entry) in places {
        let size = entry.data_offsets[1] - entry.data_offsets[0];
        match kinds.get(name.as_str()) {
            Some(&(kind, wanted)) => {
                tensors.insert(wanted.to_owned(), numbers(&mut source, size, kind, name)?);
            }
            None => pieces(&mut source, size, |_| Ok(()))?,
        }
    }
    Ok(Weights { tensors, hash: source.sum.finalize().into() })
}

/// Reads the header and checks that its tensors fill the file without gaps.
fn header(source: &mut Source<impl Read>, length: u64) -> Result<BTreeMap<String, Entry>, Refused> {
    let mut start = [0; 8];
    if length < 8 {
        return Err(damaged(format!("it has only {length} bytes")));
    }
    source.fill(&mut start)?;
    if start.starts_with(b"PK") || start.starts_with(b"\x80\x02") {
        return Err(Refused::Pickle { file: "model.safetensors" });
    }
    let size = u64::from_le_bytes(start);
    if MAX_HEADER < size || length - 8 < size {
        return Err(damaged(format!("its header claims {size} bytes")));
    }
    let mut json = vec![0; usize::try_from(size).expect("invariant: below the longest header")];
    source.fill(&mut json)?;
    let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&json)
        .map_err(|error| damaged(format!("its header cannot be read: {error}")))?;
    let mut entries = BTreeMap::new();
    for (name, value) in parsed {
        if name != "__metadata__" {
            let entry = Entry::deserialize(value)
                .map_err(|error| unfit(&name, format!("cannot be read: {error}")))?;
            entries.insert(name, entry);
        }
    }
    let mut places: Vec<_> = entries.iter().collect();
    places.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    for (name, entry) in places {
        let [from, to] = entry.data_offsets;
        if from != end || to < from {
            return Err(unfit(
                name,
                format!("claims the bytes {from} to {to}, which are not its own"),
            ));
        }
        end = to;
    }
    let room = length - 8 - size;
    if end != room {
        return Err(damaged(format!("its tensors claim {end} bytes, and {room} are there")));
    }
    Ok(entries)
}

fn find<'a>(
    entries: &'a BTreeMap<String, Entry>,
    name: &str,
) -> Result<(&'a str, &'a Entry), Refused> {
    entries
        .get_key_value(name)
        .or_else(|| entries.get_key_value(&format!("bert.{name}")))
        .map(|(name, entry)| (name.as_str(), entry))
        .ok_or_else(|| unfit(name, "is missing"))
}

/// Number format of a tensor; an error unless shape and size are as wanted.
fn kind(entry: &Entry, wanted: &Wanted) -> Result<Kind, Refused> {
    let kind = match entry.dtype.as_str() {
        "F32" => Kind::F32,
        "F16" => Kind::F16,
        other => {
            let fault = format!("holds numbers of type {other:?}; only F32 and F16 are read");
            return Err(unfit(&wanted.name, fault));
        }
    };
    if entry.shape != wanted.shape {
        let fault = format!(
            "has the shape {:?}; the configuration asks for {:?}",
            entry.shape, wanted.shape
        );
        return Err(unfit(&wanted.name, fault));
    }
    let [from, to] = entry.data_offsets;
    let size = wanted.shape.iter().product::<usize>() * kind.bytes();
    if to - from != size as u64 {
        let fault = format!("has {} bytes where its shape needs {size}", to - from);
        return Err(unfit(&wanted.name, fault));
    }
    Ok(kind)
}

/// Reads the next `size` bytes as numbers.
fn numbers(
    source: &mut Source<impl Read>,
    size: u64,
    kind: Kind,
    name: &str,
) -> Result<Vec<f32>, Refused> {
    let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or(0) / kind.bytes());
    pieces(source, size, |piece| {
        let from = all.len();
        match kind {
            Kind::F32 => {
                let (numbers, _) = piece.as_chunks::<4>();
                all.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            Kind::F16 => {
                let (numbers, _) = piece.as_chunks::<2>();
                all.extend(numbers.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()));
            }
        }
        if all[from..].iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        Err(unfit(name, "holds a number that is not finite"))
    })?;
    Ok(all)
}

/// Passes on the next `size` bytes in pieces.
fn pieces(
    source: &mut Source<impl Read>,
    size: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut piece = vec![0; PIECE];
    let mut left = size;
    while 0 < left {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        source.fill(&mut piece[..now])?;
        take(&piece[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// The file, hashed while it is read.
struct Source<R> {
    file: R,
    sum: Sha256,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Refused> {
        self.file.read_exact(bytes).map_err(|error| unreadable(2, &error))?;
        self.sum.update(bytes);
        Ok(())
    }
}

fn damaged(reason: String) -> Refused {
    Refused::Weights { reason }
}

fn unfit(tensor: &str, fault: impl Into<String>) -> Refused {
    Refused::Tensor { tensor: tensor.to_owned(), fault: fault.into() }
}
