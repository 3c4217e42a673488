//! Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// How far a request's time may be from ours, in seconds.
const TOLERANCE: u64 = 300;

/// The headers of a signed request.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: a list, since the sender may be changing its secret.
    pub signature: &'a str,
}

/// Signs and verifies with one secret.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

/// A new random secret.
///
/// # Panics
/// If the system gives no random bytes.
pub fn new_secret() -> String {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("invariant: the system gives random bytes");
    format!("{PREFIX}{}", STANDARD.encode(key))
}

impl Signer {
    /// `None` if the text is not a secret: `whsec_` and the Base64 of 24 to 64 bytes.
    pub fn of(secret: &str) -> Option<Signer> {
        let key = STANDARD.decode(secret.trim().strip_prefix(PREFIX)?).ok()?;
        let is_fine = (24..=64).contains(&key.len());
        Hmac::new_from_slice(&key).ok().filter(|_| is_fine).map(Signer)
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }

    /// The signature of a request at this time, in seconds since 1970.
    pub fn sign(&self, id: &str, secs: i64, body: &[u8]) -> String {
        let tag = self.mac(id, &secs.to_string(), body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Whether a request was signed with the secret less than five minutes from `now`. Tags are compared in constant time.
    pub fn verify(&self, signed: Signed<'_>, body: &[u8], now: i64) -> bool {
        let at = signed.timestamp.parse::<i64>().ok();
        if signed.id.is_empty() || at.is_none_or(|at| TOLERANCE < at.abs_diff(now)) {
            return false;
        }
        let mac = self.mac(signed.id, signed.timestamp, body);
        let tags = signed.signature.split_ascii_whitespace().filter_map(|one| {
            // ok: a malformed signature does not match.
            STANDARD.decode(one.strip_prefix("v1,")?).ok()
        });
        tags.into_iter().any(|tag| mac.clone().verify_slice(&tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::{Signed, Signer, new_secret};

    /// Example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: i64 = 1_614_265_330;
    const TAG: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signatures_are_those_of_the_specification_and_of_the_manual() {
        assert_eq!(Signer::of(SECRET).unwrap().sign(ID, AT, BODY), TAG);
        // docs/bridges.md
        let signer = Signer::of("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let body = br#"{"type":"message","data":{"chat":"!room:example.org","id":"$1","sender":{"id":"@bob:example.org","name":"Bob"},"is_direct":true,"text":"How many leads?","sent_at":"2026-11-30T07:00:00Z"}}"#;
        let tag = "v1,iDsEafwNBby7CpXmzVnOlRpllU1P8j37kaxcX4JAUcI=";
        assert_eq!(signer.sign("msg_1", 1_796_022_000, body), tag);
    }

    #[test]
    fn only_a_fresh_signature_of_these_bytes_counts() {
        let signer = Signer::of(SECRET).unwrap();
        let is_good = |id: &str, timestamp: &str, signature: &str, body: &[u8], now| {
            signer.verify(Signed { id, timestamp, signature }, body, now)
        };
        let at = AT.to_string();
        let list = format!("v2,AAAA v1,AAAA v1,? {TAG}");
        for now in [AT - 300, AT, AT + 300] {
            assert!(is_good(ID, &at, &list, BODY, now));
        }
        for now in [AT - 301, AT + 301] {
            assert!(!is_good(ID, &at, TAG, BODY, now));
        }
        assert!(!is_good("msg_other", &at, TAG, BODY, AT));
        assert!(!is_good(ID, &(AT + 1).to_string(), TAG, BODY, AT));
        assert!(!is_good(ID, "now", TAG, BODY, AT));
        assert!(!is_good(ID, &at, TAG, b"{}", AT));
        assert!(!is_good(ID, &at, TAG.trim_start_matches("v1,"), BODY, AT));
        assert!(!is_good(ID, &at, "", BODY, AT));
    }

    #[test]
    fn secrets_have_at_least_24_bytes() {
        assert!(Signer::of(&new_secret()).is_some());
        assert_ne!(new_secret(), new_secret());
        for wrong in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_?"] {
            assert!(Signer::of(wrong).is_none(), "{wrong}");
        }
    }
}
