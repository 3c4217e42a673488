//! What binds a sign-in at somebody else to who began it: a secret that is sent only at the end, its hash that is
//! sent at the beginning (RFC 7636), and a word that has to come back unchanged.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::random;

/// The three of one sign-in.
pub struct Pkce {
    /// The secret.
    pub verifier: Zeroizing<String>,
    /// Its hash.
    pub challenge: String,
    /// The word that has to come back.
    pub state: Zeroizing<String>,
}

impl Pkce {
    /// New ones.
    #[must_use]
    pub fn issue() -> Pkce {
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>().as_slice()));
        let state = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>().as_slice()));
        let challenge = challenge(&verifier);
        Pkce { verifier, challenge, state }
    }
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkce(hidden)")
    }
}

/// The hash of a secret as it is sent.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Whether the word that came back is the one that was sent; takes as long for each wrong one.
#[must_use]
pub fn is_same(sent: &str, came: &str) -> bool {
    bool::from(sent.as_bytes().ct_eq(came.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn each_sign_in_has_its_own() {
        let (one, other) = (Pkce::issue(), Pkce::issue());
        assert_ne!(*one.verifier, *other.verifier);
        assert_ne!(*one.state, *other.state);
        assert_eq!(one.verifier.len(), 43);
        assert!(is_same(&one.state, &one.state) && !is_same(&one.state, &other.state));
        assert_eq!(format!("{one:?}"), "Pkce(hidden)");
    }
}
