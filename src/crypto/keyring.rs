//! Keyring and envelopes, the stored form of secrets.
//!
//! `enc:v1:<iv>.<tag>.<ciphertext>` is AES-256-GCM with a key derived from the master key by HKDF-SHA256. `enc:v2:<key
//! id>:…` is also bound to the secret's place, so that it cannot be opened elsewhere. Any other text is an error, never
//! passed through.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use base64::Engine;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::master::{self, BASE64URL, Key, KeyError, MasterKey};
use super::random;

const V1: &str = "enc:v1:";
const V2: &str = "enc:v2:";
const IV: usize = 12;
const TAG: usize = 16;

/// Why a sealed value cannot be opened. Contains nothing of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the stored secret isn't an encrypted value; enter it again")]
    BadFormat,
    #[error(
        "the secret was encrypted with another master key ({key}); restore that key or enter the \
         secret again"
    )]
    KeyMissing { key: KeyId },
    /// Modified, moved to another place, or sealed with another key.
    #[error(
        "the stored secret can't be opened with this master key; restore the key or enter the \
         secret again"
    )]
    AuthFailed,
    /// Opened, but not UTF-8.
    #[error("the secret isn't text; read it as bytes")]
    NotText,
}

/// Public identifier of a key: eight hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyId(String);

impl KeyId {
    fn of(key: &Key) -> KeyId {
        let digest = Sha256::new().chain_update(b"hq-key-id\0").chain_update(key.as_slice());
        KeyId(hex::encode(&digest.finalize()[..4]))
    }

    pub fn of_master(master: &MasterKey) -> KeyId {
        KeyId::of(&master.envelope_key())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sealed value in stored form. May be shown and logged: without the key it reveals its length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(String);

impl Sealed {
    /// Accepts any text; the format is checked when opening.
    pub fn from_stored(text: impl Into<String>) -> Sealed {
        Sealed(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// An opened secret, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(value: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(value.into()))
    }

    /// The bytes; use at once and do not store.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text; use at once and do not store.
    pub fn expose_text(&self) -> Result<&str, SealError> {
        std::str::from_utf8(&self.0).or(Err(SealError::NotText))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The place of a secret. An `enc:v2` envelope opens for its place only.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// Kind of owner: `workspace`, `agent`, `connection`.
    pub scope: &'a str,
    /// Id of the owner; empty for the workspace.
    pub owner: &'a str,
    pub name: &'a str,
}

impl Binding<'_> {
    /// A constant and the three parts, joined by a separator that none of them may contain.
    fn additional_data(&self) -> Vec<u8> {
        ["hq-secret", self.scope, self.owner, self.name].join("\x1f").into_bytes()
    }
}

struct Entry {
    id: KeyId,
    key: Key,
    master: MasterKey,
}

impl Entry {
    fn of(master: MasterKey) -> Arc<Entry> {
        let key = master.envelope_key();
        Arc::new(Entry { id: KeyId::of(&key), key, master })
    }
}

/// Master keys of an installation: the current one seals, former ones can still open. The current key may change while
/// the keyring is in use.
pub struct Keyring {
    /// The current key, then former ones, the latest first.
    entries: RwLock<Vec<Arc<Entry>>>,
}

impl Keyring {
    /// A keyring with one key.
    pub fn new(master: MasterKey) -> Keyring {
        Keyring { entries: RwLock::new(vec![Entry::of(master)]) }
    }

    /// Loads the key file and the former keys next to it.
    pub fn load(path: &Path) -> Result<Keyring, KeyError> {
        Keyring::new(MasterKey::load(path)?).with_formers_of(path)
    }

    /// Adds the former keys next to the key file.
    pub fn with_formers_of(self, path: &Path) -> Result<Keyring, KeyError> {
        Ok(master::formers(path)?.into_iter().fold(self, Keyring::with_former))
    }

    /// Adds a former key, which opens what it has sealed.
    pub fn with_former(self, master: MasterKey) -> Keyring {
        let entry = Entry::of(master);
        if !self.knows(&entry.id.0) {
            self.entries.write().push(entry);
        }
        self
    }

    /// Makes this the current key; the previous one can still open.
    pub fn advance(&self, master: MasterKey) {
        let entry = Entry::of(master);
        let mut all = self.entries.write();
        all.retain(|known| known.id != entry.id);
        all.insert(0, entry);
    }

    /// Removes a former key; the current one cannot be removed.
    pub fn forget(&self, id: &str) {
        let mut all = self.entries.write();
        let current = all.first().map(|entry| entry.id.clone());
        all.retain(|entry| entry.id.0 != id || Some(&entry.id) == current.as_ref());
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().clone()
    }

    fn current(&self) -> Arc<Entry> {
        Arc::clone(self.entries.read().first().expect("invariant: a key ring has a key"))
    }

    fn named(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.read().iter().find(|entry| entry.id.0 == id).cloned()
    }

    /// Id of the current key. Stored with each sealed value and with the data, to detect a wrong key.
    pub fn key_id(&self) -> KeyId {
        self.current().id.clone()
    }

    /// Ids of the former keys, the latest first.
    pub fn former_ids(&self) -> Vec<KeyId> {
        self.entries.read().iter().skip(1).map(|entry| entry.id.clone()).collect()
    }

    pub fn holds(&self, id: &KeyId) -> bool {
        self.knows(&id.0)
    }

    pub fn knows(&self, id: &str) -> bool {
        self.named(id).is_some()
    }

    /// Seals a value as `enc:v1`.
    pub fn seal(&self, value: &[u8]) -> Sealed {
        let body = seal_body(&self.current().key, &random::bytes::<IV>(), b"", value);
        Sealed(format!("{V1}{body}"))
    }

    /// Seals a value as `enc:v2`, bound to `place`.
    pub fn seal_bound(&self, place: Binding<'_>, value: &[u8]) -> Sealed {
        let entry = self.current();
        let data = place.additional_data();
        let body = seal_body(&entry.key, &random::bytes::<IV>(), &data, value);
        Sealed(format!("{V2}{}:{body}", entry.id))
    }

    /// Opens a value of either format. `place` is used for `enc:v2` only.
    pub fn open(&self, sealed: &Sealed, place: Binding<'_>) -> Result<Secret, SealError> {
        match sealed.0.strip_prefix(V2) {
            Some(rest) => self.open_bound(rest, place),
            None => self.open_unbound(sealed),
        }
    }

    /// Opens an `enc:v1` value with the current key or a former one.
    pub fn open_unbound(&self, sealed: &Sealed) -> Result<Secret, SealError> {
        let body = sealed.0.strip_prefix(V1).ok_or(SealError::BadFormat)?;
        // The historic form with an empty first part can be read; it is not written any more.
        let parts = Parts::parse(body.strip_prefix('.').unwrap_or(body))?;
        let all = self.all();
        let mut opened = all.iter().map(|entry| parts.open(&entry.key, b""));
        opened.find(Result::is_ok).unwrap_or(Err(SealError::AuthFailed))
    }

    /// Seals the value again with the current key, in the same format and for the same place; `None` if it already is.
    pub fn seal_anew(
        &self,
        sealed: &Sealed,
        place: Binding<'_>,
    ) -> Result<Option<Sealed>, SealError> {
        let value = self.open(sealed, place)?;
        let current = self.current();
        if let Some(rest) = sealed.0.strip_prefix(V2) {
            let is_current = rest.split_once(':').is_some_and(|(id, _)| id == current.id.0);
            return Ok((!is_current).then(|| self.seal_bound(place, value.expose())));
        }
        // `enc:v1` does not name its key, so the current one is tried.
        let body = sealed.0.strip_prefix(V1).ok_or(SealError::BadFormat)?;
        let parts = Parts::parse(body.strip_prefix('.').unwrap_or(body))?;
        let is_current = parts.open(&current.key, b"").is_ok();
        Ok((!is_current).then(|| self.seal(value.expose())))
    }

    fn open_bound(&self, rest: &str, place: Binding<'_>) -> Result<Secret, SealError> {
        let (id, body) = rest.split_once(':').ok_or(SealError::BadFormat)?;
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(SealError::BadFormat);
        }
        let parts = Parts::parse(body)?;
        match self.named(id) {
            Some(entry) => parts.open(&entry.key, &place.additional_data()),
            None => Err(SealError::KeyMissing { key: KeyId(id.to_owned()) }),
        }
    }

    /// Key of another purpose, derived from the current key, with the id of the current key.
    pub(super) fn purpose_key(&self, purpose: &str) -> (KeyId, Key) {
        let entry = self.current();
        (entry.id.clone(), entry.master.purpose_key(purpose))
    }

    /// Keys of another purpose, derived from all master keys, the current one first.
    pub(super) fn purpose_keys(&self, purpose: &str) -> Vec<Key> {
        self.all().iter().map(|entry| entry.master.purpose_key(purpose)).collect()
    }

    /// Key of another purpose, derived from the master key with this id.
    pub(super) fn purpose_key_of(&self, id: &str, purpose: &str) -> Option<Key> {
        Some(self.named(id)?.master.purpose_key(purpose))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(|entry| &entry.id.0)).finish()
    }
}

pub(super) fn seal_body(key: &Key, iv: &[u8; IV], data: &[u8], value: &[u8]) -> String {
    // Encrypted in place, so that no copy of the value remains.
    let mut text = value.to_vec();
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(*iv), data, InOutBuf::from(text.as_mut_slice()))
        .expect("invariant: a secret is shorter than 64 GiB");
    format!("{}.{}.{}", BASE64URL.encode(iv), BASE64URL.encode(tag), BASE64URL.encode(&text))
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new(&aes_gcm::Key::<Aes256Gcm>::from(**key))
}

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
        // Both lengths are exact: a truncated tag would be easier to forge.
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
        assert!(new.holds(&old.key_id()));
        assert_eq!(old.open(&new.seal(b"c"), PLACE), Err(SealError::AuthFailed));
        assert_eq!(ring(3).open(&bound, PLACE), Err(SealError::KeyMissing { key: old.key_id() }));
    }

    #[test]
    fn another_key_takes_over_while_both_read() {
        let ring = ring(1);
        let (plain, bound) = (ring.seal(b"a"), ring.seal_bound(PLACE, b"b"));
        let old = ring.key_id();
        ring.advance(MasterKey::from_bytes(&[2; 32]));

        assert_eq!(ring.former_ids(), vec![old.clone()]);
        assert_ne!(ring.key_id(), old);
        let new_plain = ring.seal_anew(&plain, PLACE).unwrap().expect("sealed anew");
        let new_bound = ring.seal_anew(&bound, PLACE).unwrap().expect("sealed anew");
        assert!(new_plain.as_str().starts_with("enc:v1:"));
        assert!(new_bound.as_str().starts_with(&format!("enc:v2:{}:", ring.key_id())));
        assert_eq!(ring.seal_anew(&new_plain, PLACE), Ok(None));
        assert_eq!(ring.seal_anew(&new_bound, PLACE), Ok(None));
        let elsewhere = Binding { owner: "c2", ..PLACE };
        assert_eq!(ring.seal_anew(&bound, elsewhere), Err(SealError::AuthFailed));

        ring.forget(old.as_str());
        ring.forget(ring.key_id().as_str());
        assert_eq!(ring.open(&new_plain, PLACE).unwrap().expose(), b"a");
        assert_eq!(ring.open(&new_bound, PLACE).unwrap().expose(), b"b");
        assert_eq!(ring.open(&plain, PLACE), Err(SealError::AuthFailed));
        assert_eq!(ring.seal_anew(&bound, PLACE), Err(SealError::KeyMissing { key: old }));
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
