//! Pairing codes of eight unambiguous characters, stored only as hashes, and the random part of webhook addresses.

use kernel::TypedId as _;
use sha2::{Digest as _, Sha256};

use crate::model::PairLinkId;

/// 32 characters: no 0, O, 1 or I.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A new random code.
///
/// # Panics
/// If the system gives no random bytes.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("invariant: the system gives random bytes");
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// The random part of a webhook's address: 32 characters.
///
/// # Panics
/// If the system gives no random bytes.
#[must_use]
pub fn address() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("invariant: the system gives random bytes");
    hex::encode(bytes)
}

/// The hash of a code as typed: case and separators do not matter.
#[must_use]
pub fn hash(code: &str) -> String {
    hex::encode(digest(code))
}

#[must_use]
pub fn link_id(code: &str) -> PairLinkId {
    let mut half = [0; 16];
    half.copy_from_slice(&digest(code)[..16]);
    PairLinkId::from_bytes(half)
}

fn digest(code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Sha256::digest(plain.to_ascii_uppercase().as_bytes()).into()
}
