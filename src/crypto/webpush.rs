//! Web push messages: encrypted for one browser (RFC 8291 on RFC 8188, `aes128gcm`) and signed by this server (RFC
//! 8292, VAPID).

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::random;

/// Record size; a message is one record.
const RECORD: u32 = 4096;
/// Longest message in bytes: a record without delimiter and tag.
pub const MAX_MESSAGE: usize = 3_900;
/// Length of an uncompressed P-256 point.
const POINT: usize = 65;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The browser's keys are invalid.
    #[error("this browser's keys can't be used; subscribe again")]
    BadKeys,
    #[error("a push message can have at most {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("the key that signs push messages can't be used")]
    BadSigner,
}

/// Keys of a browser's subscription.
#[derive(Clone, PartialEq, Eq)]
pub struct BrowserKeys {
    point: Vec<u8>,
    auth: Vec<u8>,
}

impl BrowserKeys {
    /// Parses the browser's keys `p256dh` and `auth` (base64url).
    ///
    /// # Errors
    /// If they are malformed.
    pub fn read(p256dh: &str, auth: &str) -> Result<Self, PushError> {
        let read = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let point = read(p256dh).map_err(|_| PushError::BadKeys)?;
        let auth = read(auth).map_err(|_| PushError::BadKeys)?;
        if point.len() != POINT || point[0] != 4 || auth.len() != 16 {
            return Err(PushError::BadKeys);
        }
        Ok(Self { point, auth })
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}

/// Encrypts a message: the body of the request to the push service.
///
/// # Errors
/// If the keys are unusable, or the message is too long.
pub fn seal(keys: &BrowserKeys, message: &[u8]) -> Result<Vec<u8>, PushError> {
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| PushError::BadKeys)?;
    seal_with(keys, message, &own, &random::bytes::<16>())
}

fn seal_with(
    keys: &BrowserKeys,
    message: &[u8],
    own: &PrivateKey,
    salt: &[u8; 16],
) -> Result<Vec<u8>, PushError> {
    if MAX_MESSAGE < message.len() {
        return Err(PushError::TooLong);
    }
    let public = own.compute_public_key().map_err(|_| PushError::BadKeys)?;
    let public = public.as_ref();
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &keys.point);
    let shared = agree(own, theirs, PushError::BadKeys, |secret| {
        let prk = mac(&keys.auth, &[secret]);
        let info: [&[u8]; 4] = [b"WebPush: info\0", &keys.point, public, &[1]];
        Ok(Zeroizing::new(mac(prk.as_ref(), &info).as_ref().to_vec()))
    })?;
    let prk = mac(salt, &[&shared]);
    let key = mac(prk.as_ref(), &[b"Content-Encoding: aes128gcm\0\x01"]);
    let nonce = mac(prk.as_ref(), &[b"Content-Encoding: nonce\0\x01"]);
    let key = UnboundKey::new(&AES_128_GCM, &key.as_ref()[..16]).map_err(|_| PushError::BadKeys)?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce.as_ref()[..12]);
    let nonce = nonce.map_err(|_| PushError::BadKeys)?;
    // Delimiter of the last record.
    let mut sealed = [message, &[2]].concat();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
        .map_err(|_| PushError::TooLong)?;
    let length = u8::try_from(public.len()).map_err(|_| PushError::BadKeys)?;
    Ok([&salt[..], &RECORD.to_be_bytes(), &[length], public, &sealed].concat())
}

/// The server's VAPID key.
pub struct Vapid(EcdsaKeyPair);

impl Vapid {
    /// Creates a key; seal the bytes before storing them.
    ///
    /// # Errors
    /// If key generation fails.
    pub fn issue() -> Result<Zeroizing<Vec<u8>>, PushError> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| PushError::BadSigner)?;
        Ok(Zeroizing::new(made.as_ref().to_vec()))
    }

    pub fn read(bytes: &[u8]) -> Result<Self, PushError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
            .map(Self)
            .map_err(|_| PushError::BadSigner)
    }

    /// The public key in base64url.
    #[must_use]
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref())
    }

    /// Value of the `Authorization` header for a push service: its origin, expiry in seconds since 1970, and a contact
    /// address of this server.
    ///
    /// # Errors
    /// If the key is unusable.
    pub fn authorization(
        &self,
        origin: &str,
        until: i64,
        contact: &str,
    ) -> Result<String, PushError> {
        let head = URL_SAFE_NO_PAD.encode(br#"{"typ":"JWT","alg":"ES256"}"#);
        let claims = serde_json::json!({ "aud": origin, "exp": until, "sub": contact });
        let unsigned = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signed = self.0.sign(&SystemRandom::new(), unsigned.as_bytes());
        let signed = signed.map_err(|_| PushError::BadSigner)?;
        let token = format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signed.as_ref()));
        Ok(format!("vapid t={token}, k={}", self.public()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as Verifier};

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    const POINT_OF: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ\
                            GH6SRpkNtoIAiw4";
    const AUTH_OF: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    #[test]
    fn a_message_is_sealed_as_in_appendix_a_of_rfc_8291() {
        let keys = BrowserKeys::read(POINT_OF, AUTH_OF).unwrap();
        let own = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let salt: [u8; 16] = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let message = b"When I grow up, I want to be a watermelon";
        let sealed = seal_with(&keys, message, &own, &salt).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3v\
                        CYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuw\
                        XPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(&sealed), expected);
    }

    #[test]
    fn keys_that_are_none_and_long_messages_are_refused() {
        let bad = |point: &str, auth: &str| BrowserKeys::read(point, auth).err();
        assert_eq!(bad("", AUTH_OF), Some(PushError::BadKeys));
        assert_eq!(bad(POINT_OF, "c2hvcnQ"), Some(PushError::BadKeys));
        assert_eq!(bad("not base64!", AUTH_OF), Some(PushError::BadKeys));
        // A point of the right length that is not on the curve.
        let off = URL_SAFE_NO_PAD.encode([&[4][..], &[7; 64]].concat());
        let keys = BrowserKeys::read(&off, AUTH_OF).unwrap();
        assert_eq!(seal(&keys, b"hi").err(), Some(PushError::BadKeys));
        let keys = BrowserKeys::read(POINT_OF, AUTH_OF).unwrap();
        assert_eq!(seal(&keys, &[0; MAX_MESSAGE + 1]).err(), Some(PushError::TooLong));
        assert_ne!(seal(&keys, b"hi").unwrap(), seal(&keys, b"hi").unwrap());
    }

    #[test]
    fn a_push_service_can_check_who_sends() {
        let kept = Vapid::issue().unwrap();
        let vapid = Vapid::read(&kept).unwrap();
        let header =
            vapid.authorization("https://push.example", 1_700_000_000, "mailto:a@b.example");
        let header = header.unwrap();
        let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(key, vapid.public());
        let (signed, mark) = token.rsplit_once('.').unwrap();
        let verifier = Verifier::new(&ECDSA_P256_SHA256_FIXED, bytes(key));
        verifier.verify(signed.as_bytes(), &bytes(mark)).unwrap();
        let claims = bytes(signed.split_once('.').unwrap().1);
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example");
        assert_eq!(claims["sub"], "mailto:a@b.example");
        assert!(Vapid::read(b"nothing").is_err());
    }
}
