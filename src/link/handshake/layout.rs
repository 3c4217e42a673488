//! The byte layout of the handshake. It never changes, whatever the protocol version.

use std::time::Duration;

use bytes::Bytes;
use kernel::{GatewayId, TypedId as _};
use zeroize::Zeroizing;

use super::{Admitted, Facts, HostRequest, Purpose, Refusal};
use crate::error::LinkError;
use crate::field::{Fields, put};
use crate::identity::{Identity, PublicKey};
use crate::seal::HEAD;

/// Prefix of each message.
const MAGIC: &[u8; 8] = b"hq-link\x01";
/// Maximum lengths of version, code, token, label, sentence and machine facts, in bytes.
const MAX_VERSION: usize = 64;
const MAX_CODE: usize = 64;
const MAX_TOKEN: usize = 512;
const MAX_LABEL: usize = 1024;
const MAX_SENTENCE: usize = 4096;
const MAX_FACTS: usize = 16 << 10;
/// Length of an Ed25519 signature.
const SIGNATURE: usize = 64;

/// The kind of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    Answer,
    Proof,
    Verdict,
    Refusal,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Hello, Self::Answer, Self::Proof, Self::Verdict, Self::Refusal];

    fn byte(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Answer => 2,
            Self::Proof => 3,
            Self::Verdict => 4,
            Self::Refusal => 5,
        }
    }
}

/// The signed bytes: the signer's role, the hash of the previous messages, and the message itself.
pub(super) fn words(who: &str, before: &[u8], own: &[u8]) -> Vec<u8> {
    [&b"hq-link signed by "[..], who.as_bytes(), b"\0", before, own].concat()
}

fn begin(kind: Kind) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(kind.byte());
    out
}

/// Reads prefix and kind of a message.
pub(super) fn opened(message: Bytes) -> Result<(Kind, Fields), LinkError> {
    let mut fields = Fields::of(message);
    if fields.array::<8>()? != *MAGIC {
        return Err(LinkError::Garbled("it is none of a link"));
    }
    let byte = fields.byte()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.byte() == byte);
    Ok((kind.ok_or(LinkError::Garbled("its kind is unknown"))?, fields))
}

/// The fields of a message that must have this kind.
pub(super) fn expected(kind: Kind, message: Bytes) -> Result<Fields, LinkError> {
    match opened(message)? {
        (came, fields) if came == kind => Ok(fields),
        _ => Err(LinkError::Garbled("it is out of turn")),
    }
}

/// Adds space in front of a message for the sealing header.
pub(super) fn roomy(message: &[u8]) -> Vec<u8> {
    [&[0; HEAD][..], message].concat()
}

/// The first message of the host.
pub(super) struct Hello {
    pub(super) wire: u32,
    pub(super) version: String,
    pub(super) ephemeral: [u8; 32],
    pub(super) nonce: [u8; 32],
}

impl Hello {
    pub(super) fn write(&self) -> Result<Vec<u8>, LinkError> {
        let mut out = begin(Kind::Hello);
        out.extend_from_slice(&self.wire.to_be_bytes());
        put(&mut out, shortened(&self.version, MAX_VERSION))?;
        out.extend_from_slice(&self.ephemeral);
        out.extend_from_slice(&self.nonce);
        Ok(out)
    }

    pub(super) fn read(message: Bytes) -> Result<Self, LinkError> {
        let mut fields = expected(Kind::Hello, message)?;
        // Extra bytes of a later version are ignored, so that such a host can be told which version to fetch.
        Ok(Self {
            wire: fields.u32()?,
            version: version(&mut fields)?,
            ephemeral: fields.array()?,
            nonce: fields.array()?,
        })
    }
}

/// The primary's answer to a hello.
pub(super) struct Answer {
    pub(super) key: PublicKey,
    pub(super) ephemeral: [u8; 32],
    pub(super) nonce: [u8; 32],
    pub(super) version: String,
}

impl Answer {
    /// Encodes and signs the answer. `hello` is the hash of the host's message.
    pub(super) fn write(&self, hello: &[u8], identity: &Identity) -> Result<Vec<u8>, LinkError> {
        let mut out = begin(Kind::Answer);
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(&self.ephemeral);
        out.extend_from_slice(&self.nonce);
        put(&mut out, shortened(&self.version, MAX_VERSION))?;
        let signature = identity.sign(&words("home", hello, &out));
        out.extend_from_slice(&signature);
        Ok(out)
    }

    /// Parses the answer. Also returns whether its signature is valid.
    pub(super) fn read(
        message: &Bytes,
        mut fields: Fields,
        hello: &[u8],
    ) -> Result<(Self, bool), LinkError> {
        let answer = Self {
            key: PublicKey::from_bytes(fields.array()?),
            ephemeral: fields.array()?,
            nonce: fields.array()?,
            version: version(&mut fields)?,
        };
        let signature: [u8; SIGNATURE] = fields.array()?;
        fields.end()?;
        let own = &message[..message.len() - SIGNATURE];
        let signed = answer.key.signed(&words("home", hello, own), &signature);
        Ok((answer, signed))
    }
}

/// Encodes and signs the proof of a host. `transcript` is the hash of hello and answer.
pub(super) fn write_proof(
    identity: &Identity,
    purpose: &Purpose,
    facts: &Facts,
    transcript: &[u8],
) -> Result<Zeroizing<Vec<u8>>, LinkError> {
    let mut out = Zeroizing::new(begin(Kind::Proof));
    out.extend_from_slice(identity.public().as_bytes());
    match purpose {
        Purpose::Join { token } => {
            if MAX_TOKEN < token.len() {
                return Err(LinkError::TooLarge { limit: MAX_TOKEN });
            }
            out.push(0);
            put(&mut out, token.as_bytes())?;
        }
        Purpose::Known { gateway } => {
            out.push(1);
            out.extend_from_slice(gateway.uuid().as_bytes());
        }
    }
    let facts = serde_json::to_vec(facts).map_err(|_| LinkError::Garbled("facts are none"))?;
    if MAX_FACTS < facts.len() {
        return Err(LinkError::TooLarge { limit: MAX_FACTS });
    }
    put(&mut out, &facts)?;
    let signature = identity.sign(&words("host", transcript, &out));
    out.extend_from_slice(&signature);
    Ok(out)
}

/// Parses the proof of a host and checks its signature.
pub(super) fn read_proof(
    message: &Bytes,
    version: String,
    transcript: &[u8],
) -> Result<HostRequest, LinkError> {
    let mut fields = expected(Kind::Proof, message.clone())?;
    let key = PublicKey::from_bytes(fields.array()?);
    let purpose = match fields.byte()? {
        0 => Purpose::Join { token: Zeroizing::new(fields.text(MAX_TOKEN)?) },
        1 => Purpose::Known { gateway: GatewayId::from_bytes(fields.array()?) },
        _ => return Err(LinkError::Garbled("its purpose is unknown")),
    };
    let facts = fields.bytes(MAX_FACTS)?;
    let signature: [u8; SIGNATURE] = fields.array()?;
    fields.end()?;
    let own = &message[..message.len() - SIGNATURE];
    if !key.signed(&words("host", transcript, own), &signature) {
        return Err(LinkError::Unproven);
    }
    let facts = serde_json::from_slice(&facts).map_err(|_| LinkError::Garbled("facts are none"))?;
    Ok(HostRequest { purpose, key, facts, version })
}

impl Admitted {
    pub(super) fn write(&self) -> Result<Vec<u8>, LinkError> {
        let mut out = begin(Kind::Verdict);
        out.extend_from_slice(self.gateway.uuid().as_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        put(&mut out, shortened(&self.label, MAX_LABEL))?;
        Ok(out)
    }

    pub(super) fn read(mut fields: Fields) -> Result<Self, LinkError> {
        let gateway = GatewayId::from_bytes(fields.array()?);
        let epoch = u64::from_be_bytes(fields.array()?);
        let label = fields.text(MAX_LABEL)?;
        fields.end()?;
        Ok(Self { gateway, label, epoch })
    }
}

impl Refusal {
    /// Encodes and signs the refusal. `hello` is the hash of the host's message.
    pub(super) fn write(&self, hello: &[u8], identity: &Identity) -> Result<Vec<u8>, LinkError> {
        let mut out = begin(Kind::Refusal);
        out.extend_from_slice(&self.wire.to_be_bytes());
        put(&mut out, shortened(&self.version, MAX_VERSION))?;
        put(&mut out, shortened(&self.code, MAX_CODE))?;
        put(&mut out, shortened(&self.sentence, MAX_SENTENCE))?;
        let wait = self.wait.map_or(0, |wait| wait.as_secs().max(1));
        out.extend_from_slice(&u32::try_from(wait).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(identity.public().as_bytes());
        let signature = identity.sign(&words("home", hello, &out));
        out.extend_from_slice(&signature);
        Ok(out)
    }

    /// Parses a refusal. Also returns the signer's key, and whether the signature is valid.
    pub(super) fn read(
        message: &Bytes,
        mut fields: Fields,
        hello: &[u8],
    ) -> Result<(Self, PublicKey, bool), LinkError> {
        let wire = fields.u32()?;
        let version = version(&mut fields)?;
        let code = fields.text(MAX_CODE)?;
        let sentence = fields.text(MAX_SENTENCE)?;
        let wait = match fields.u32()? {
            0 => None,
            secs => Some(Duration::from_secs(secs.into())),
        };
        let key = PublicKey::from_bytes(fields.array()?);
        let signature: [u8; SIGNATURE] = fields.array()?;
        fields.end()?;
        let own = &message[..message.len() - SIGNATURE];
        let signed = key.signed(&words("home", hello, own), &signature);
        Ok((Self { code, sentence, wait, wire, version }, key, signed))
    }
}

/// A version that is safe to show and log.
fn version(fields: &mut Fields) -> Result<String, LinkError> {
    let version = fields.text(MAX_VERSION)?;
    match version.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(version),
        false => Err(LinkError::Garbled("its version is none")),
    }
}

/// Cuts a text to a length.
fn shortened(text: &str, most: usize) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(most)]
}
