//! PKCE (RFC 7636) and `state` of an OAuth sign-in: they bind the provider's response to the browser that started the
//! sign-in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::random;

/// Values of one sign-in.
pub struct Pkce {
    /// Secret, sent with the final request.
    pub verifier: Zeroizing<String>,
    /// SHA-256 of the verifier, sent with the first request.
    pub challenge: String,
    /// Must be returned unchanged.
    pub state: Zeroizing<String>,
}

impl Pkce {
    /// Creates random values.
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

/// The challenge for a verifier.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Compares the returned `state` in constant time.
#[must_use]
pub fn is_same(sent: &str, came: &str) -> bool {
    bool::from(sent.as_bytes().ct_eq(came.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // Example of RFC 7636, appendix B.
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
