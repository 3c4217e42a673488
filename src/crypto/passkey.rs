//! Passkeys (WebAuthn level 3). User verification is required, attestation is ignored, and keys are ES256, EdDSA or
//! RS256. All browser data is parsed here and rejected unless origin, challenge and signature are correct.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cbor::{self, Value};
use super::token::same;

/// User present (UP).
const PRESENT: u8 = 0x01;
/// User verified (UV).
const VERIFIED: u8 = 0x04;
/// Attested credential data included (AT).
const KEY_INCLUDED: u8 = 0x40;
/// Extension data included (ED): one CBOR map at the end.
const EXTENDED: u8 = 0x80;

/// Why a passkey is rejected. Details are for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    #[error("the browser's response can't be read")]
    Malformed,
    /// Created for another site or request.
    #[error("the browser's response is for another page or request")]
    OtherPlace,
    /// The device did not verify the user.
    #[error("the device didn't verify your identity; turn on its screen lock or PIN")]
    NotVerified,
    /// Unsupported kind of key.
    #[error("this kind of key isn't supported")]
    Unsupported,
    #[error("the signature doesn't match")]
    BadSignature,
}

/// The relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub host: String,
    /// Exactly as browsers send it.
    pub origin: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Credential id.
    pub credential: Vec<u8>,
    /// Public key in COSE format.
    pub key: Vec<u8>,
    /// Signature counter.
    pub count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// Authenticator data.
struct AuthData<'a> {
    flags: u8,
    count: u32,
    rest: &'a [u8],
}

/// Verifies the response of a registration.
///
/// # Errors
/// If any part is invalid.
pub fn check_made(
    site: &Site,
    challenge: &str,
    client_data: &[u8],
    attestation: &[u8],
) -> Result<Made, PasskeyError> {
    check_client(site, challenge, client_data, "webauthn.create")?;
    let (whole, rest) = cbor::read(attestation).ok_or(PasskeyError::Malformed)?;
    let data = whole.text_key("authData").and_then(Value::bytes);
    let data = data.filter(|_| rest.is_empty()).ok_or(PasskeyError::Malformed)?;
    let parsed = check_data(site, data)?;
    if parsed.flags & KEY_INCLUDED == 0 {
        return Err(PasskeyError::Malformed);
    }
    // AAGUID of 16 bytes, then the length of the credential id.
    let id = parsed.rest.get(16..).and_then(|rest| rest.split_at_checked(2));
    let (length, rest) = id.ok_or(PasskeyError::Malformed)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let (credential, rest) = rest.split_at_checked(length).ok_or(PasskeyError::Malformed)?;
    if credential.is_empty() || 1023 < credential.len() {
        return Err(PasskeyError::Malformed);
    }
    let (_, after) = cbor::read(rest).ok_or(PasskeyError::Malformed)?;
    let key = &rest[..rest.len() - after.len()];
    Key::parse(key)?;
    check_end(parsed.flags, after)?;
    Ok(Made { credential: credential.to_vec(), key: key.to_vec(), count: parsed.count })
}

/// Verifies an assertion; returns the signature counter.
///
/// # Errors
/// If any part is invalid.
pub fn check_used(
    site: &Site,
    challenge: &str,
    client_data: &[u8],
    data: &[u8],
    signature: &[u8],
    key: &[u8],
) -> Result<u32, PasskeyError> {
    check_client(site, challenge, client_data, "webauthn.get")?;
    let parsed = check_data(site, data)?;
    // Credential data occurs in registrations only.
    if parsed.flags & KEY_INCLUDED != 0 {
        return Err(PasskeyError::Malformed);
    }
    check_end(parsed.flags, parsed.rest)?;
    let mut signed = data.to_vec();
    signed.extend_from_slice(&Sha256::digest(client_data));
    Key::parse(key)?.verify(&signed, signature)?;
    Ok(parsed.count)
}

fn check_client(
    site: &Site,
    challenge: &str,
    client_data: &[u8],
    kind: &str,
) -> Result<(), PasskeyError> {
    let data: ClientData =
        serde_json::from_slice(client_data).map_err(|_| PasskeyError::Malformed)?;
    let here = data.r#type == kind
        && same(data.challenge.as_bytes(), challenge.as_bytes())
        && data.origin == site.origin
        && !data.cross_origin;
    if here { Ok(()) } else { Err(PasskeyError::OtherPlace) }
}

fn check_data<'a>(site: &Site, data: &'a [u8]) -> Result<AuthData<'a>, PasskeyError> {
    let (host, rest) = data.split_at_checked(32).ok_or(PasskeyError::Malformed)?;
    let (head, rest) = rest.split_at_checked(5).ok_or(PasskeyError::Malformed)?;
    if !same(host, &Sha256::digest(site.host.as_bytes())) {
        return Err(PasskeyError::OtherPlace);
    }
    let flags = head[0];
    if flags & PRESENT == 0 || flags & VERIFIED == 0 {
        return Err(PasskeyError::NotVerified);
    }
    let count = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    Ok(AuthData { flags, count, rest })
}

/// Rejects bytes beyond what the flags announce (WebAuthn level 3, section 6.1).
fn check_end(flags: u8, rest: &[u8]) -> Result<(), PasskeyError> {
    let after = match flags & EXTENDED {
        0 => rest,
        _ => cbor::read(rest).ok_or(PasskeyError::Malformed)?.1,
    };
    if after.is_empty() { Ok(()) } else { Err(PasskeyError::Malformed) }
}

/// Public key.
enum Key {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Key {
    fn parse(cose: &[u8]) -> Result<Self, PasskeyError> {
        let (map, rest) = cbor::read(cose).ok_or(PasskeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(PasskeyError::Malformed);
        }
        let number = |key| map.int_key(key).and_then(Value::int);
        let bytes = |key, length: usize| {
            let found = map.int_key(key).and_then(Value::bytes);
            found.filter(|bytes| length == 0 || bytes.len() == length).map(<[u8]>::to_vec)
        };
        let kind = (number(1), number(3), number(-1));
        let key = match kind {
            (Some(2), Some(-7), Some(1)) => bytes(-2, 32).zip(bytes(-3, 32)).map(|(x, y)| {
                let mut point = vec![4];
                point.extend(x);
                point.extend(y);
                Self::P256(point)
            }),
            (Some(1), Some(-8), Some(6)) => bytes(-2, 32).map(Self::Ed25519),
            (Some(3), Some(-257), _) => {
                bytes(-1, 0).zip(bytes(-2, 0)).map(|(n, e)| Self::Rsa { n, e })
            }
            _ => return Err(PasskeyError::Unsupported),
        };
        key.ok_or(PasskeyError::Malformed)
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PasskeyError> {
        let verified = match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::Rsa { n, e } => {
                let key = PublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.map_err(|_| PasskeyError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::{PasskeyError, Site, check_made, check_used};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use sha2::{Digest, Sha256};

    const CHALLENGE: &str = "dGhlIGNoYWxsZW5nZQ";

    fn site() -> Site {
        Site { host: "hq.example.com".into(), origin: "https://hq.example.com".into() }
    }

    fn client(kind: &str, challenge: &str, origin: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false,"more":1}}"#)
            .into_bytes()
    }

    fn data(host: &str, flags: u8, count: u32) -> Vec<u8> {
        let mut data = Sha256::digest(host.as_bytes()).to_vec();
        data.push(flags);
        data.extend(count.to_be_bytes());
        data
    }

    /// A software authenticator.
    struct Device(EcdsaKeyPair);

    impl Device {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
        }

        fn cose(&self) -> Vec<u8> {
            let point = self.0.public_key().as_ref();
            let mut cose = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
            cose.extend(&point[1..33]);
            cose.extend([0x22, 0x58, 0x20]);
            cose.extend(&point[33..65]);
            cose
        }

        fn attestation(&self, flags: u8) -> Vec<u8> {
            let mut data = data("hq.example.com", flags, 1);
            data.extend([0; 16]);
            data.extend([0, 4, 9, 9, 9, 9]);
            data.extend(self.cose());
            let mut object = vec![0xa3];
            object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x58");
            object.push(u8::try_from(data.len()).expect("short"));
            object.extend(data);
            object
        }

        fn sign(&self, data: &[u8], client: &[u8]) -> Vec<u8> {
            let mut message = data.to_vec();
            message.extend(Sha256::digest(client));
            self.0.sign(&SystemRandom::new(), &message).expect("a signature").as_ref().to_vec()
        }
    }

    #[test]
    fn a_key_that_was_made_here_signs_in_here() {
        let device = Device::new();
        let client_data = client("webauthn.create", CHALLENGE, "https://hq.example.com");
        let made =
            check_made(&site(), CHALLENGE, &client_data, &device.attestation(0x45)).expect("made");
        assert_eq!((made.credential, made.count), (vec![9; 4], 1));
        let client_data = client("webauthn.get", CHALLENGE, "https://hq.example.com");
        let data = data("hq.example.com", 0x05, 7);
        let signature = device.sign(&data, &client_data);
        let used = check_used(&site(), CHALLENGE, &client_data, &data, &signature, &made.key);
        assert_eq!(used, Ok(7));
    }

    #[test]
    fn whatever_is_not_right_is_refused() {
        let device = Device::new();
        let key = device.cose();
        let good = client("webauthn.get", CHALLENGE, "https://hq.example.com");
        let here = data("hq.example.com", 0x05, 7);
        let check = |client: &[u8], data: &[u8], signature: &[u8]| {
            check_used(&site(), CHALLENGE, client, data, signature, &key)
        };
        let signed = |client: &[u8], data: &[u8]| check(client, data, &device.sign(data, client));
        for other in [
            client("webauthn.create", CHALLENGE, "https://hq.example.com"),
            client("webauthn.get", "b3RoZXI", "https://hq.example.com"),
            client("webauthn.get", CHALLENGE, "https://hq.example.com.evil.example"),
            client("webauthn.get", CHALLENGE, "http://hq.example.com"),
        ] {
            assert_eq!(signed(&other, &here), Err(PasskeyError::OtherPlace));
        }
        let framed = String::from_utf8(good.clone()).expect("text").replace("false", "true");
        assert_eq!(signed(framed.as_bytes(), &here), Err(PasskeyError::OtherPlace));
        assert_eq!(signed(&good, &data("evil.example", 0x05, 7)), Err(PasskeyError::OtherPlace));
        for flags in [0x00, 0x01, 0x04] {
            let unverified = data("hq.example.com", flags, 7);
            assert_eq!(signed(&good, &unverified), Err(PasskeyError::NotVerified), "{flags}");
        }
        // Surplus bytes, malformed extensions, and an announced but missing key.
        let with =
            |flags: u8, end: &[u8]| [data("hq.example.com", flags, 7), end.to_vec()].concat();
        for wrong in [with(0x05, &[0]), with(0x85, &[]), with(0x85, &[0xa0, 0]), with(0x45, &[])] {
            assert_eq!(signed(&good, &wrong), Err(PasskeyError::Malformed), "{wrong:?}");
        }
        assert_eq!(signed(&good, &with(0x85, &[0xa1, 0x61, b'x', 0xf5])), Ok(7), "extensions");
        let strange = Device::new().sign(&here, &good);
        assert_eq!(check(&good, &here, &strange), Err(PasskeyError::BadSignature));
        let mut bent = here.clone();
        bent[36] ^= 1;
        let signature = device.sign(&here, &good);
        assert_eq!(check(&good, &bent, &signature), Err(PasskeyError::BadSignature));
        let client_data = client("webauthn.create", CHALLENGE, "https://hq.example.com");
        let whole = device.attestation(0x45);
        for cut in 0..whole.len() {
            let refused = check_made(&site(), CHALLENGE, &client_data, &whole[..cut]);
            assert!(refused.is_err(), "cut at {cut}");
        }
        let mut longer = whole.clone();
        let length = whole.len() - device.cose().len() - 60;
        assert_eq!(usize::from(whole[length]), whole.len() - length - 1, "the length of the data");
        longer[length] += 1;
        longer.push(0);
        let refused = check_made(&site(), CHALLENGE, &client_data, &longer);
        assert_eq!(refused, Err(PasskeyError::Malformed), "a byte behind the key");
        let refused = check_made(&site(), CHALLENGE, &client_data, &device.attestation(0x41));
        assert_eq!(refused, Err(PasskeyError::NotVerified));
    }
}
