//! Access tokens, short codes, and signed values that are valid for minutes.
//!
//! A token is `<prefix><8-character id>_<43-character secret><6-character check>`. Only its SHA-256 is stored. The id
//! finds the row and is public; the check detects typing errors without a lookup.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::master::Key;
use super::random;

const ID: usize = 8;
const SECRET: usize = 43;
const CHECK: usize = 6;
/// Crockford's Base32: 32 digits and letters without I, L, O and U.
const CODE_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const MAX_SIGNED: usize = 8192;

/// Why a token or signed value is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Malformed or mistyped.
    #[error("this isn't a valid token; copy all of it")]
    BadFormat,
    /// Not signed by this installation for this purpose.
    #[error("the value wasn't created here; start again")]
    Forged,
    #[error("the value has expired; start again")]
    Expired,
}

/// Kind of a token. Each has a prefix of its own, so that leaked tokens can be identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// API access of a person.
    Personal,
    /// Access of a gateway.
    Gateway,
    /// Access of an agent during one run.
    Agent,
    /// Session of a browser.
    SignIn,
    /// One-time link: set-up, password reset.
    Link,
    Invite,
    /// Browser in which a person has signed in before. Grants no access.
    Device,
}

impl TokenKind {
    pub fn prefix(self) -> &'static str {
        match self {
            TokenKind::Personal => "hq_pat_",
            TokenKind::Gateway => "hq_gw_",
            TokenKind::Agent => "hq_agt_",
            TokenKind::SignIn => "hq_ses_",
            TokenKind::Link => "hq_lnk_",
            TokenKind::Invite => "hq_inv_",
            TokenKind::Device => "hq_dev_",
        }
    }
}

/// A token in plain text: shown once, or received from a client. Wiped on drop.
pub struct Token {
    kind: TokenKind,
    text: Zeroizing<String>,
}

impl Token {
    /// Creates a random token.
    pub fn issue(kind: TokenKind) -> Token {
        let id = code_letters::<ID>().to_ascii_lowercase();
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>().as_slice()));
        let mut text = Zeroizing::new(format!("{}{id}_{}", kind.prefix(), *secret));
        let check = check_of(&text);
        text.push_str(&check);
        Token { kind, text }
    }

    /// Parses a received token.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Token, TokenError> {
        let rest = text.strip_prefix(kind.prefix()).ok_or(TokenError::BadFormat)?;
        let shaped = rest.len() == ID + 1 + SECRET + CHECK
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && rest.as_bytes()[ID] == b'_';
        if !shaped {
            return Err(TokenError::BadFormat);
        }
        let (body, check) = text.split_at(text.len() - CHECK);
        if !same(check_of(body).as_bytes(), check.as_bytes()) {
            return Err(TokenError::BadFormat);
        }
        Ok(Token { kind, text: Zeroizing::new(text.to_owned()) })
    }

    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The public part: identifies the row and may be listed.
    pub fn id(&self) -> &str {
        let start = self.kind.prefix().len();
        &self.text[start..start + ID]
    }

    /// The whole token; show or send it at once and do not store it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The stored form.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.text.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}{}…)", self.kind.prefix(), self.id())
    }
}

fn check_of(text: &str) -> String {
    let mut check = URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..5]);
    check.truncate(CHECK);
    check
}

/// SHA-256 of a token or code; compared in constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hash of a random value with at least 128 bits. Never use it for passwords.
    pub fn of(value: &[u8]) -> TokenHash {
        TokenHash(Sha256::digest(value).into())
    }

    /// For use as an index key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &TokenHash) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(hidden)")
    }
}

/// Compares in constant time; only the lengths leak.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A code to type: `groups` groups of four letters with five bits each, separated by hyphens.
pub fn code(groups: usize) -> Zeroizing<String> {
    let parts: Vec<String> = (0..groups).map(|_| code_letters::<4>()).collect();
    Zeroizing::new(parts.join("-"))
}

/// Normalizes a typed code: case, hyphens, spaces and confusable letters.
pub fn normal_code(input: &str) -> Zeroizing<String> {
    let letters = input.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain = letters.map(|c| match c.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        'U' => 'V',
        other => other,
    });
    Zeroizing::new(plain.collect())
}

/// Compares normalized codes in constant time.
pub fn same_code(input: &str, given: &str) -> bool {
    same(normal_code(input).as_bytes(), normal_code(given).as_bytes())
}

fn code_letters<const N: usize>() -> String {
    random::bytes::<N>().iter().map(|b| CODE_LETTERS[usize::from(b % 32)] as char).collect()
}

/// Signs small values that browsers store, such as flash messages. They are readable but cannot be modified, used for
/// another purpose, or used after their expiry.
pub struct Signer<'a> {
    ring: &'a Keyring,
}

impl<'a> Signer<'a> {
    /// Signs with the current key of the keyring.
    pub fn new(ring: &'a Keyring) -> Signer<'a> {
        Signer { ring }
    }

    /// The signed value with its expiry, safe in cookies and URLs.
    pub fn sign(&self, purpose: &str, value: &[u8], expires_ms: i64) -> String {
        let mut body = expires_ms.to_be_bytes().to_vec();
        body.extend_from_slice(value);
        let (_, key) = self.ring.purpose_key(&purpose_of(purpose));
        let tag = mac(&key, &body).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(tag))
    }

    /// The value, if it was signed here for this purpose and has not expired.
    pub fn verify(&self, purpose: &str, text: &str, now_ms: i64) -> Result<Vec<u8>, TokenError> {
        if MAX_SIGNED < text.len() {
            return Err(TokenError::BadFormat);
        }
        let (body, tag) = text.split_once('.').ok_or(TokenError::BadFormat)?;
        let body = URL_SAFE_NO_PAD.decode(body).or(Err(TokenError::BadFormat))?;
        let tag = URL_SAFE_NO_PAD.decode(tag).or(Err(TokenError::BadFormat))?;
        // Values signed before a change of the master key are valid until their expiry.
        let keys = self.ring.purpose_keys(&purpose_of(purpose));
        if !keys.iter().any(|key| mac(key, &body).verify_slice(&tag).is_ok()) {
            return Err(TokenError::Forged);
        }
        let (expires, value) = body.split_first_chunk::<8>().ok_or(TokenError::BadFormat)?;
        if i64::from_be_bytes(*expires) <= now_ms {
            return Err(TokenError::Expired);
        }
        Ok(value.to_vec())
    }
}

fn purpose_of(purpose: &str) -> String {
    format!("sign:{purpose}")
}

fn mac(key: &Key, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice())
        .expect("invariant: HMAC takes keys of any length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::MasterKey;

    fn ring(seed: u8) -> Keyring {
        Keyring::new(MasterKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn a_token_reads_back_with_the_same_hash() {
        let kinds = [
            TokenKind::Personal,
            TokenKind::Gateway,
            TokenKind::Agent,
            TokenKind::SignIn,
            TokenKind::Link,
            TokenKind::Invite,
            TokenKind::Device,
        ];
        for kind in kinds {
            let token = Token::issue(kind);
            let read = Token::parse(kind, token.reveal()).unwrap();
            assert_eq!(token.reveal().len(), kind.prefix().len() + 58);
            assert_eq!((read.kind(), read.id(), read.hash()), (kind, token.id(), token.hash()));
            assert!(!format!("{token:?}").contains(&token.reveal()[20..]));
            for other in kinds.into_iter().filter(|other| *other != kind) {
                assert!(Token::parse(other, token.reveal()).is_err());
            }
        }
    }

    #[test]
    fn two_tokens_are_never_the_same() {
        let (a, b) = (Token::issue(TokenKind::Personal), Token::issue(TokenKind::Personal));
        assert_ne!(a.hash(), b.hash());
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn a_mistyped_or_cut_token_is_refused_at_once() {
        let token = Token::issue(TokenKind::Personal);
        let text = token.reveal();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Token::parse(TokenKind::Personal, &changed).is_err(), "{at}");
            assert!(Token::parse(TokenKind::Personal, &text[..at]).is_err(), "{at}");
        }
        for wrong in ["", "hq_pat_", "hq_pat_ü", &format!("{text}x"), &format!(" {text}")] {
            assert!(Token::parse(TokenKind::Personal, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn codes_forgive_how_they_are_typed() {
        let given = code(7);
        assert_eq!(given.len(), 34);
        assert!(given.split('-').all(|group| group.len() == 4));
        assert!(same_code(&given.to_lowercase().replace('-', " "), &given));
        assert!(same_code("o1Li-abUd", "0111-ABVD"));
        assert!(!same_code("", &given));
        assert_ne!(code(7), given);
    }

    #[test]
    fn a_signed_value_comes_back_until_it_expires() {
        let ring = ring(1);
        let signer = Signer::new(&ring);
        let text = signer.sign("flash", "saved ✓".as_bytes(), 1_000);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        assert_eq!(signer.verify("flash", &text, 999).unwrap(), "saved ✓".as_bytes());
        assert_eq!(signer.verify("flash", &text, 1_000), Err(TokenError::Expired));
        assert_eq!(signer.verify("flash", &signer.sign("flash", b"", 5), 1).unwrap(), b"");
    }

    #[test]
    fn a_signed_value_fails_when_changed_or_used_elsewhere() {
        let (here, there) = (ring(1), ring(2));
        let signer = Signer::new(&here);
        let text = signer.sign("flash", b"value", 1_000);
        assert_eq!(signer.verify("other", &text, 1), Err(TokenError::Forged));
        assert_eq!(Signer::new(&there).verify("flash", &text, 1), Err(TokenError::Forged));
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(signer.verify("flash", &changed, 1).is_err(), "{at}");
        }
        let cut = text.split_once('.').unwrap().0;
        for wrong in ["", ".", cut, &format!("{cut}."), &"A".repeat(9000)] {
            assert!(signer.verify("flash", wrong, 1).is_err());
        }
    }

    #[test]
    fn comparison_needs_equal_length_and_content() {
        assert!(same(b"", b""));
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd"));
        assert!(!same(b"abc", b"ab"));
    }
}
