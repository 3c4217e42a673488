//! Sealed messages: AES-256-GCM with one key per direction. The message number precedes each message and is its nonce.
//!
//! The number is not secret. It is checked first, so that repeated, missing and changed messages can be told apart.
//! After a million messages both sides derive the next key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::error::LinkError;
use super::{MAX_MESSAGE, MAX_SEALED, OVERHEAD};

/// Length of the message number in front of a sealed message.
pub(crate) const HEAD: usize = 8;
/// Messages per key: far below the limit of AES-GCM.
const KEY_LASTS: u64 = 1 << 20;

/// The length of a key, for HKDF.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// 32 bytes of key material, wiped when dropped.
type Material = Zeroizing<[u8; 32]>;

fn expand(prk: &Prk, info: &[&[u8]]) -> Material {
    let mut out = Material::default();
    prk.expand(info, Length)
        .and_then(|made| made.fill(out.as_mut_slice()))
        .expect("invariant: HKDF-SHA256 gives 32 bytes");
    out
}

/// One direction: its key and the next message number.
struct Way {
    material: Material,
    key: LessSafeKey,
    next: u64,
    lasts: u64,
}

impl Way {
    fn new(material: Material) -> Self {
        let key = key(&material);
        Self { material, key, next: 0, lasts: KEY_LASTS }
    }

    /// Number and nonce of the next message; derives the next key if due.
    fn step(&mut self) -> Result<(u64, Nonce), LinkError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(LinkError::Worn)?;
        if number != 0 && number.is_multiple_of(self.lasts) {
            let prk = Salt::new(HKDF_SHA256, b"hq-link next key").extract(self.material.as_slice());
            self.material = expand(&prk, &[b"key"]);
            self.key = key(&self.material);
        }
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - HEAD..].copy_from_slice(&number.to_be_bytes());
        Ok((number, Nonce::assume_unique_for_key(nonce)))
    }
}

fn key(material: &Material) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, material.as_slice());
    LessSafeKey::new(key.expect("invariant: AES-256 takes 32 bytes"))
}

/// Seals outgoing messages.
pub(crate) struct Sealer(Way);

/// Opens incoming messages.
pub(crate) struct Opener(Way);

/// The keys of both directions, derived from the shared secret and the handshake transcript.
pub(crate) struct Ways {
    pub(crate) from_host: Material,
    pub(crate) from_home: Material,
}

impl Ways {
    pub(crate) fn of(secret: &[u8], transcript: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, transcript).extract(secret);
        Self {
            from_host: expand(&prk, &[b"hq-link from host"]),
            from_home: expand(&prk, &[b"hq-link from home"]),
        }
    }
}

impl Sealer {
    pub(crate) fn new(material: Material) -> Self {
        Self(Way::new(material))
    }

    /// Seals a message that has [`HEAD`] bytes of space in front.
    ///
    /// # Errors
    /// If the message is too long, or the message numbers are used up.
    pub(crate) fn seal(&mut self, mut message: Vec<u8>) -> Result<Bytes, LinkError> {
        if !(HEAD..=HEAD + MAX_MESSAGE).contains(&message.len()) {
            return Err(LinkError::TooLarge { limit: MAX_MESSAGE });
        }
        let (number, nonce) = self.0.step()?;
        let head = number.to_be_bytes();
        message[..HEAD].copy_from_slice(&head);
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(head), &mut message[HEAD..])
            .map_err(|_| LinkError::Worn)?;
        message.extend_from_slice(tag.as_ref());
        Ok(message.into())
    }
}

impl Opener {
    pub(crate) fn new(material: Material) -> Self {
        Self(Way::new(material))
    }

    /// Opens the next message.
    ///
    /// # Errors
    /// If the message is not the next one, was changed, or is no sealed message. The link must end then.
    pub(crate) fn open(&mut self, message: Bytes) -> Result<Bytes, LinkError> {
        if MAX_SEALED < message.len() {
            return Err(LinkError::TooLarge { limit: MAX_SEALED });
        }
        if message.len() < OVERHEAD {
            return Err(LinkError::Garbled("it is shorter than any sealed one"));
        }
        let mut head = [0; HEAD];
        head.copy_from_slice(&message[..HEAD]);
        let came = u64::from_be_bytes(head);
        if came != self.0.next {
            return Err(match came < self.0.next {
                true => LinkError::Replayed,
                false => LinkError::Missing,
            });
        }
        let (_, nonce) = self.0.step()?;
        let mut message = Vec::from(message);
        let opened = self.0.key.open_in_place(nonce, Aad::from(head), &mut message[HEAD..]);
        let length = opened.map_err(|_| LinkError::Forged)?.len();
        Ok(Bytes::from(message).slice(HEAD..HEAD + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        let ways = || Ways::of(b"a secret", b"what was said");
        (Sealer::new(ways().from_host), Opener::new(ways().from_host))
    }

    fn sealed(sealer: &mut Sealer, words: &[u8]) -> Bytes {
        sealer.seal([&[0; HEAD][..], words].concat()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_in_order_and_cannot_be_read_between() {
        let (mut sealer, mut opener) = pair();
        for words in [&b"the canary"[..], b"", b"sings"] {
            let sealed = sealed(&mut sealer, words);
            assert_eq!(sealed.len(), words.len() + OVERHEAD);
            assert!(words.is_empty() || !sealed.windows(words.len()).any(|part| part == words));
            assert_eq!(opener.open(sealed).unwrap(), words);
        }
    }

    #[test]
    fn a_second_a_missing_and_a_changed_message_are_told_apart() {
        let (mut sealer, mut opener) = pair();
        let (first, second) = (sealed(&mut sealer, b"one"), sealed(&mut sealer, b"two"));
        assert_eq!(opener.open(second.clone()), Err(LinkError::Missing));
        assert_eq!(opener.open(first.clone()).unwrap(), &b"one"[..]);
        assert_eq!(opener.open(first), Err(LinkError::Replayed));
        // With the number of another message.
        let mut other = second.to_vec();
        other[HEAD - 1] = 0;
        assert_eq!(pair().1.open(other.into()), Err(LinkError::Forged));
        for at in HEAD..second.len() {
            let (mut sealer, mut opener) = pair();
            let mut changed = sealed(&mut sealer, b"two").to_vec();
            changed[at] ^= 1;
            assert_eq!(opener.open(changed.into()), Err(LinkError::Forged), "byte {at}");
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_or_of_the_other_way_is_refused() {
        let (mut sealer, mut opener) = pair();
        let short = opener.open(Bytes::from_static(&[0; OVERHEAD - 1]));
        assert!(matches!(short, Err(LinkError::Garbled(_))));
        let long = vec![0; MAX_SEALED + 1];
        assert_eq!(opener.open(long.into()), Err(LinkError::TooLarge { limit: MAX_SEALED }));
        let long = vec![0; HEAD + MAX_MESSAGE + 1];
        assert_eq!(sealer.seal(long), Err(LinkError::TooLarge { limit: MAX_MESSAGE }));
        let longest = sealed(&mut sealer, &vec![7; MAX_MESSAGE]);
        assert_eq!(longest.len(), MAX_SEALED);
        let mut cut = pair().1;
        assert_eq!(cut.open(longest.slice(..MAX_SEALED - 1)), Err(LinkError::Forged));
        assert_eq!(opener.open(longest).unwrap().len(), MAX_MESSAGE);

        let mut back = Opener::new(Ways::of(b"a secret", b"what was said").from_home);
        let frame = sealed(&mut pair().0, b"one");
        assert_eq!(back.open(frame), Err(LinkError::Forged));
    }

    #[test]
    fn both_sides_go_on_to_the_next_key_by_themselves() {
        let (mut sealer, mut opener) = pair();
        (sealer.0.lasts, opener.0.lasts) = (3, 3);
        let first = *sealer.0.material;
        for number in 0..10u8 {
            let sealed = sealed(&mut sealer, &[number]);
            assert_eq!(opener.open(sealed).unwrap(), &[number][..]);
            assert_eq!(*sealer.0.material == first, number < 3);
        }
    }

    #[test]
    fn numbers_that_are_used_up_end_the_link() {
        let (mut sealer, _) = pair();
        sealer.0.next = u64::MAX;
        assert_eq!(sealer.seal(vec![0; HEAD]), Err(LinkError::Worn));
    }
}
