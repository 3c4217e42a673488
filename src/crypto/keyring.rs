//! Envelopes: how a secret lies in the store.
//!
//! `enc:v1:<iv>.<tag>.<ciphertext>` is what HQ writes, AES-256-GCM under a key that HKDF-SHA256 makes
//! from the master key. `enc:v2:<key id>:…` also binds the place where the secret belongs, so that it
//! fails anywhere else. What is not exactly one of the two is an error, never passed through.

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use base64::Engine;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::master::{BASE64URL, Key, MasterKey};
use super::random;

const V1: &str = "enc:v1:";
const V2: &str = "enc:v2:";
const IV: usize = 12;
const TAG: usize = 16;

/// Why a sealed value cannot be opened. Never holds any part of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not an envelope that HQ writes or reads.
    #[error("the stored secret is not a sealed value; enter it again")]
    BadFormat,
    /// Sealed under a key that this installation does not hold.
    #[error(
        "the secret was sealed under another master key ({key}); restore that key or enter the secret again"
    )]
    KeyMissing {
        /// Which key it was.
        key: KeyId,
    },
    /// Changed after it was sealed, moved to another place, or sealed under another key.
    #[error(
        "the stored secret does not open with this master key; restore the key or enter the secret again"
    )]
    AuthFailed,
    /// Opened well, but asked for as text, which it is not.
    #[error("the secret is not text; read it as bytes")]
    NotText,
}

/// Names a key without telling anything about it: eight hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyId(String);

impl KeyId {
    fn of(key: &Key) -> KeyId {
        let digest = Sha256::new().chain_update(b"hq-key-id\0").chain_update(key.as_slice());
        KeyId(hex::encode(&digest.finalize()[..4]))
    }

    /// The eight hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sealed value as it is stored. It may be shown and logged: without the key it tells its length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(String);

impl Sealed {
    /// Takes a stored text; whether it is an envelope shows when it is opened.
    pub fn from_stored(text: impl Into<String>) -> Sealed {
        Sealed(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// An opened secret, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over a value that a person or a provider gave.
    pub fn new(value: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(value.into()))
    }

    /// The bytes, to be used at once and kept nowhere.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text, to be used at once and kept nowhere.
    pub fn expose_text(&self) -> Result<&str, SealError> {
        std::str::from_utf8(&self.0).or(Err(SealError::NotText))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The place a secret belongs to; an `enc:v2` envelope opens in this place only.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// `workspace`, `agent`, `connection`: what kind of owner.
    pub scope: &'a str,
    /// The owner's id; empty for the workspace.
    pub owner: &'a str,
    /// The name of the secret.
    pub name: &'a str,
}

impl Binding<'_> {
    /// The three parts behind a fixed word, parted by a character that none of them may hold.
    fn additional_data(&self) -> Vec<u8> {
        ["hq-secret", self.scope, self.owner, self.name].join("\x1f").into_bytes()
    }
}

struct Entry {
    id: KeyId,
    key: Key,
    master: MasterKey,
}

/// The keys of an installation: the current one writes, former ones still read.
pub struct Keyring {
    entries: Vec<Entry>,
}

impl Keyring {
    /// A ring with one key.
    pub fn new(master: MasterKey) -> Keyring {
        let mut ring = Keyring { entries: Vec::with_capacity(1) };
        ring.push(master);
        ring
    }

    /// Adds a key that was current before; it opens what it once sealed.
    pub fn with_former(mut self, master: MasterKey) -> Keyring {
        self.push(master);
        self
    }

    fn push(&mut self, master: MasterKey) {
        let key = master.envelope_key();
        self.entries.push(Entry { id: KeyId::of(&key), key, master });
    }

    fn current(&self) -> &Entry {
        self.entries.first().expect("invariant: a key ring has a key")
    }

    /// Names the current key; kept beside each sealed value and with the data, so that a wrong key shows.
    pub fn key_id(&self) -> &KeyId {
        &self.current().id
    }

    /// Whether the named key is in the ring.
    pub fn holds(&self, id: &KeyId) -> bool {
        self.entries.iter().any(|entry| entry.id == *id)
    }

    /// Whether the key that a stored value names is in the ring.
    pub fn knows(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.id.0 == id)
    }

    /// Seals a value as `enc:v1`.
    pub fn seal(&self, value: &[u8]) -> Sealed {
        let body = seal_body(&self.current().key, &random::bytes::<IV>(), b"", value);
        Sealed(format!("{V1}{body}"))
    }

    /// Seals a value as `enc:v2`, for one place only.
    pub fn seal_bound(&self, place: Binding<'_>, value: &[u8]) -> Sealed {
        let entry = self.current();
        let data = place.additional_data();
        let body = seal_body(&entry.key, &random::bytes::<IV>(), &data, value);
        Sealed(format!("{V2}{}:{body}", entry.id))
    }

    /// Opens a value of either format. `place` counts for `enc:v2` only: `enc:v1` is bound to nothing.
    pub fn open(&self, sealed: &Sealed, place: Binding<'_>) -> Result<Secret, SealError> {
        match sealed.0.strip_prefix(V2) {
            Some(rest) => self.open_bound(rest, place),
            None => self.open_unbound(sealed),
        }
    }

    /// Opens an `enc:v1` value with the current key or a former one.
    pub fn open_unbound(&self, sealed: &Sealed) -> Result<Secret, SealError> {
        let body = sealed.0.strip_prefix(V1).ok_or(SealError::BadFormat)?;
        // The historic form has one empty part in front; it is read, never written.
        let parts = Parts::parse(body.strip_prefix('.').unwrap_or(body))?;
        let mut opened = self.entries.iter().map(|entry| parts.open(&entry.key, b""));
        opened.find(Result::is_ok).unwrap_or(Err(SealError::AuthFailed))
    }

    fn open_bound(&self, rest: &str, place: Binding<'_>) -> Result<Secret, SealError> {
        let (id, body) = rest.split_once(':').ok_or(SealError::BadFormat)?;
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(SealError::BadFormat);
        }
        let parts = Parts::parse(body)?;
        let id = KeyId(id.to_owned());
        match self.entries.iter().find(|entry| entry.id == id) {
            Some(entry) => parts.open(&entry.key, &place.additional_data()),
            None => Err(SealError::KeyMissing { key: id }),
        }
    }

    /// The current key of another purpose, with its name.
    pub(super) fn purpose_key(&self, purpose: &str) -> (&KeyId, Key) {
        let entry = self.current();
        (&entry.id, entry.master.purpose_key(purpose))
    }

    /// The same purpose's key below a named, possibly former, master key.
    pub(super) fn purpose_key_of(&self, id: &str, purpose: &str) -> Option<Key> {
        let entry = self.entries.iter().find(|entry| entry.id.0 == id)?;
        Some(entry.master.purpose_key(purpose))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.id.0)).finish()
    }
}

pub(super) fn seal_body(key: &Key, iv: &[u8; IV], data: &[u8], value: &[u8]) -> String {
    // Encrypted in place, so no copy of the value stays behind.
    let mut text = value.to_vec();
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(*iv), data, InOutBuf::from(text.as_mut_slice()))
        .expect("invariant: a secret is shorter than 64 GiB");
    format!("{}.{}.{}", BASE64URL.encode(iv), BASE64URL.encode(tag), BASE64URL.encode(&text))
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new(&aes_gcm::Key::<Aes256Gcm>::from(**key))
}

/// The three decoded parts of an envelope.
struct Parts {
    iv: [u8; IV],
    tag: [u8; TAG],
    text: Vec<u8>,
}

impl Parts {
    fn parse(body: &str) -> Result<Parts, SealError> {
        let mut parts = body.split('.');
        let (Some(iv), Some(tag), Some(text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::BadFormat);
        };
        // A shortened tag would be easier to forge, so both lengths are exact.
        Ok(Parts { iv: fixed(iv)?, tag: fixed(tag)?, text: decode(text)? })
    }

    fn open(&self, key: &Key, data: &[u8]) -> Result<Secret, SealError> {
        let mut text = Zeroizing::new(self.text.clone());
        let buffer = InOutBuf::from(text.as_mut_slice());
        cipher(key)
            .decrypt_inout_detached(&Nonce::from(self.iv), data, buffer, &Tag::from(self.tag))
            .or(Err(SealError::AuthFailed))?;
        Ok(Secret(text))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, SealError> {
    BASE64URL.decode(part).or(Err(SealError::BadFormat))
}

fn fixed<const N: usize>(part: &str) -> Result<[u8; N], SealError> {
    <[u8; N]>::try_from(decode(part)?).or(Err(SealError::BadFormat))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Binding<'static> = Binding { scope: "connection", owner: "c1", name: "api_key" };

    fn ring(seed: u8) -> Keyring {
        Keyring::new(MasterKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn a_sealed_value_opens_again_and_never_looks_the_same_twice() {
        let ring = ring(1);
        for value in ["", "sk-test", "пароль 漢字 🔐", "tab\tnew\nline\r\n"] {
            let sealed = ring.seal(value.as_bytes());
            assert!(sealed.as_str().starts_with("enc:v1:"));
            assert_ne!(sealed, ring.seal(value.as_bytes()));
            assert_eq!(ring.open(&sealed, PLACE).unwrap().expose_text().unwrap(), value);

            let bound = ring.seal_bound(PLACE, value.as_bytes());
            assert!(bound.as_str().starts_with(&format!("enc:v2:{}:", ring.key_id())));
            assert_eq!(ring.open(&bound, PLACE).unwrap().expose(), value.as_bytes());
        }
    }

    #[test]
    fn a_bound_value_fails_in_any_other_place() {
        let ring = ring(1);
        let sealed = ring.seal_bound(PLACE, b"value");
        for place in [
            Binding { scope: "agent", ..PLACE },
            Binding { owner: "c2", ..PLACE },
            Binding { name: "other", ..PLACE },
        ] {
            assert_eq!(ring.open(&sealed, place), Err(SealError::AuthFailed));
        }
        assert_eq!(ring.open_unbound(&sealed), Err(SealError::BadFormat));
    }

    #[test]
    fn a_former_key_reads_what_it_sealed_and_the_new_one_writes() {
        let old = ring(1);
        let (plain, bound) = (old.seal(b"a"), old.seal_bound(PLACE, b"b"));
        let new = ring(2).with_former(MasterKey::from_bytes(&[1; 32]));

        assert_eq!(new.open(&plain, PLACE).unwrap().expose(), b"a");
        assert_eq!(new.open(&bound, PLACE).unwrap().expose(), b"b");
        assert!(new.holds(old.key_id()));
        assert_eq!(old.open(&new.seal(b"c"), PLACE), Err(SealError::AuthFailed));
        assert_eq!(
            ring(3).open(&bound, PLACE),
            Err(SealError::KeyMissing { key: old.key_id().clone() })
        );
    }

    #[test]
    fn nothing_secret_is_ever_printed() {
        let ring = ring(1);
        let secret = Secret::new("hunter2-hunter2");
        let shown = format!("{ring:?} {secret:?} {:?}", ring.seal(secret.expose()));
        assert!(!shown.contains("hunter2"));
        assert!(shown.contains("Secret(hidden) Sealed("));
    }

    #[test]
    fn bytes_that_are_no_text_are_said_to_be_so() {
        let secret = Secret::new(vec![0xff, 0xfe]);
        assert_eq!(secret.expose_text(), Err(SealError::NotText));
        assert!(!secret.is_empty());
    }
}
