//! Keys protected by a passphrase, for data that must be readable without the master key: backups.
//!
//! A random data key is wrapped with a key that Argon2id derives from the passphrase. The sealing key, the naming key
//! and the chunking seed are derived from the data key, so that neither names nor lengths reveal content.

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keyring::Secret;
use super::random;

/// Shortest passphrase, in characters.
pub const MIN_CHARS: usize = 12;
const IV: usize = 12;
const TAG: usize = 16;
/// Cost of new passphrases: 64 MiB, three passes. Stored with the wrapped key.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };
/// Upper limit when reading: a forged file must not exhaust the memory.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16 };

/// Cost of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

/// Why a passphrase is rejected or does not open something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    #[error(
        "use a passphrase of at least {MIN_CHARS} characters; a few unrelated words are \
        enough"
    )]
    TooShort,
    #[error("this isn't the passphrase of these backups; nothing was read")]
    Wrong,
    /// Modified after sealing.
    #[error("the sealed bytes were changed")]
    Broken,
    #[error("the key of these backups is damaged; restore it from a copy")]
    BadKey,
    #[error("not enough memory to check a passphrase (64 MiB are needed)")]
    NoMemory,
}

/// A data key in stored form: useless without the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Random, in hex.
    pub salt: String,
    pub cost: Cost,
    /// The sealed data key, in hex.
    pub key: String,
}

pub struct DataKey {
    seal: Zeroizing<[u8; 32]>,
    name: Zeroizing<[u8; 32]>,
    seed: u64,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(hidden)")
    }
}

impl DataKey {
    /// Creates a data key and its stored form. Blocks for about a tenth of a second.
    ///
    /// # Errors
    /// If the passphrase is too short.
    pub fn create(passphrase: &Secret) -> Result<(Self, WrappedKey), PassphraseError> {
        check(passphrase)?;
        let data = random::bytes::<32>();
        let salt = random::bytes::<16>();
        let wrap = stretch(passphrase, salt.as_slice(), COST)?;
        let key = seal(&wrap, b"hq-backup-key", data.as_slice());
        let stored = WrappedKey { salt: hex::encode(&salt[..]), cost: COST, key: hex::encode(key) };
        Ok((Self::derive(&data), stored))
    }

    /// Opens a stored key.
    ///
    /// # Errors
    /// `Wrong` for a wrong passphrase.
    pub fn open(stored: &WrappedKey, passphrase: &Secret) -> Result<Self, PassphraseError> {
        let salt = hex::decode(&stored.salt).or(Err(PassphraseError::BadKey))?;
        let sealed = hex::decode(&stored.key).or(Err(PassphraseError::BadKey))?;
        let cost = stored.cost;
        if salt.len() < 16 || MOST.memory_kib < cost.memory_kib || MOST.passes < cost.passes {
            return Err(PassphraseError::BadKey);
        }
        let wrap = stretch(passphrase, &salt, cost)?;
        let data = open(&wrap, b"hq-backup-key", &sealed).or(Err(PassphraseError::Wrong))?;
        let data = <[u8; 32]>::try_from(data.as_slice()).or(Err(PassphraseError::BadKey))?;
        Ok(Self::derive(&Zeroizing::new(data)))
    }

    fn derive(data: &Zeroizing<[u8; 32]>) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, data.as_slice());
        let key = |purpose: &[u8]| {
            let mut out = Zeroizing::new([0u8; 32]);
            hkdf.expand(purpose, out.as_mut_slice())
                .expect("invariant: 32 bytes are a length that HKDF gives");
            out
        };
        let seed = key(b"hq-backup-cut");
        let seed = seed.first_chunk::<8>().map_or(1, |bytes| u64::from_be_bytes(*bytes));
        Self { seal: key(b"hq-backup-seal"), name: key(b"hq-backup-name"), seed }
    }

    /// Name of a content: a keyed hash, which reveals nothing without the key.
    #[must_use]
    pub fn name(&self, content: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.name.as_slice())
            .expect("invariant: HMAC takes keys of any length");
        mac.update(content);
        mac.finalize().into_bytes().into()
    }

    /// Seed of content-defined chunking.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Seals bytes for one place: nonce, ciphertext, tag.
    #[must_use]
    pub fn seal(&self, place: &[u8], content: &[u8]) -> Vec<u8> {
        seal(&self.seal, place, content)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// If it was modified, moved, or sealed with another key.
    pub fn unseal(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, PassphraseError> {
        open(&self.seal, place, sealed)
    }
}

/// Checks a new passphrase.
///
/// # Errors
/// If it is too short.
pub fn check(passphrase: &Secret) -> Result<(), PassphraseError> {
    let count = String::from_utf8_lossy(passphrase.expose()).chars().count();
    if count < MIN_CHARS { Err(PassphraseError::TooShort) } else { Ok(()) }
}

fn stretch(
    passphrase: &Secret,
    salt: &[u8],
    cost: Cost,
) -> Result<Zeroizing<[u8; 32]>, PassphraseError> {
    let params =
        Params::new(cost.memory_kib, cost.passes, 1, Some(32)).or(Err(PassphraseError::BadKey))?;
    let mut out = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose(), salt, out.as_mut_slice())
        .or(Err(PassphraseError::NoMemory))?;
    Ok(out)
}

fn seal(key: &[u8; 32], place: &[u8], content: &[u8]) -> Vec<u8> {
    let iv = random::bytes::<IV>();
    let mut out = Vec::with_capacity(IV + content.len() + TAG);
    out.extend_from_slice(iv.as_slice());
    out.extend_from_slice(content);
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(*iv), place, InOutBuf::from(&mut out[IV..]))
        .expect("invariant: a piece is shorter than 64 GiB");
    out.extend_from_slice(&tag);
    out
}

fn open(key: &[u8; 32], place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, PassphraseError> {
    let (iv, rest) = sealed.split_first_chunk::<IV>().ok_or(PassphraseError::Broken)?;
    let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(PassphraseError::Broken)?;
    let mut text = text.to_vec();
    let buffer = InOutBuf::from(text.as_mut_slice());
    cipher(key)
        .decrypt_inout_detached(&Nonce::from(*iv), place, buffer, &Tag::from(*tag))
        .or(Err(PassphraseError::Broken))?;
    Ok(text)
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&aes_gcm::Key::<Aes256Gcm>::from(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_passphrase_and_no_other() {
        let right = Secret::new("three boats in a quiet harbour");
        let (key, stored) = DataKey::create(&right).unwrap();
        let reopened = DataKey::open(&stored, &right).unwrap();
        let sealed = key.seal(b"here", b"content");
        assert_eq!(reopened.unseal(b"here", &sealed).unwrap(), b"content");
        assert_eq!(key.name(b"a"), reopened.name(b"a"));
        assert_eq!(key.seed(), reopened.seed());
        assert_eq!(reopened.unseal(b"there", &sealed), Err(PassphraseError::Broken));
        for n in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[n] ^= 1;
            assert!(reopened.unseal(b"here", &changed).is_err(), "byte {n}");
        }
        let wrong = Secret::new("three boats in a quiet harbor");
        assert_eq!(DataKey::open(&stored, &wrong).unwrap_err(), PassphraseError::Wrong);
        assert_eq!(DataKey::create(&Secret::new("short")).unwrap_err(), PassphraseError::TooShort);
        let greedy = WrappedKey { cost: Cost { memory_kib: u32::MAX, passes: 1 }, ..stored };
        assert_eq!(DataKey::open(&greedy, &right).unwrap_err(), PassphraseError::BadKey);
    }
}
