//! The two sides of a handshake.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use bytes::Bytes;
use tokio::time::timeout;

use super::layout::{Answer, Hello, Kind, expected, opened, read_proof, roomy, write_proof};
use super::{Accepted, Admitted, Door, HostRequest, Knock, Linked, Pin, Refusal};
use crate::carrier::Carrier;
use crate::error::LinkError;
use crate::identity::PublicKey;
use crate::seal::{Opener, Sealer, Ways};
use crate::session::Session;
use crate::{MAX_UNPROVEN, WIRE};

/// Fresh values for each handshake.
pub(crate) struct Fresh {
    pub(crate) wire: u32,
    pub(crate) ephemeral: PrivateKey,
    pub(crate) nonce: [u8; 32],
}

impl Fresh {
    pub(crate) fn new() -> Self {
        let mut nonce = [0; 32];
        rand::fill(&mut nonce).expect("invariant: the system gives random bytes");
        let ephemeral = PrivateKey::generate(&X25519);
        let ephemeral = ephemeral.expect("invariant: the system gives random bytes");
        Self { wire: WIRE, ephemeral, nonce }
    }

    fn public(&self) -> Result<[u8; 32], LinkError> {
        let public = self.ephemeral.compute_public_key().map_err(|_| LinkError::Unproven)?;
        let mut bytes = [0; 32];
        bytes.copy_from_slice(public.as_ref());
        Ok(bytes)
    }

    /// Derives the keys of both directions.
    fn ways(&self, theirs: &[u8; 32], transcript: &[u8]) -> Result<Ways, LinkError> {
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        agree(&self.ephemeral, theirs, LinkError::Unproven, |secret| {
            Ok(Ways::of(secret, transcript))
        })
    }
}

/// The hash of the messages so far, including their lengths.
fn transcript(messages: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for message in messages {
        let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(message);
    }
    context.finish().as_ref().to_vec()
}

/// Performs the host's side of a handshake.
///
/// # Errors
/// If another primary answers, the primary refuses, the connection breaks, or the time limit is exceeded.
pub async fn knock(carrier: Carrier, knock: Knock<'_>) -> Result<Linked, LinkError> {
    let limit = knock.pace.handshake;
    match timeout(limit, knocked(carrier, knock, Fresh::new())).await {
        Ok(done) => done,
        Err(_) => Err(LinkError::Slow { limit }),
    }
}

pub(crate) async fn knocked(
    mut carrier: Carrier,
    knock: Knock<'_>,
    fresh: Fresh,
) -> Result<Linked, LinkError> {
    let hello = Hello {
        wire: fresh.wire,
        version: knock.version.to_owned(),
        ephemeral: fresh.public()?,
        nonce: fresh.nonce,
    };
    let hello = hello.write()?;
    carrier.send(hello.clone().into()).await?;
    let before = transcript(&[&hello]);

    let message = carrier.receive(MAX_UNPROVEN).await?;
    let (answer, signed) = match opened(message.clone())? {
        (Kind::Answer, fields) => Answer::read(&message, fields, &before)?,
        (Kind::Refusal, _) => return Err(refused(&message, knock.pin, &before)),
        _ => return Err(LinkError::Garbled("it is out of turn")),
    };
    vouched(knock.pin, &answer.key, signed)?;

    let signed_bytes = transcript(&[&hello, &message]);
    let ways = fresh.ways(&answer.ephemeral, &signed_bytes)?;
    let (mut sealer, mut opener) = (Sealer::new(ways.from_host), Opener::new(ways.from_home));
    let proof = write_proof(knock.identity, &knock.purpose, knock.facts, &signed_bytes)?;
    carrier.send(sealer.seal(roomy(&proof))?).await?;

    let message = opener.open(carrier.receive(MAX_UNPROVEN).await?)?;
    let admitted = match opened(message.clone())? {
        (Kind::Verdict, fields) => Admitted::read(fields)?,
        (Kind::Refusal, _) => return Err(refused(&message, knock.pin, &before)),
        _ => return Err(LinkError::Garbled("it is out of turn")),
    };
    let session = Session::new(carrier, sealer, opener, knock.pace);
    Ok(Linked { admitted, home: answer.key, version: answer.version, session })
}

/// Checks that the answering key is the expected one and has signed.
fn vouched(pin: &Pin, key: &PublicKey, signed: bool) -> Result<(), LinkError> {
    if !pin.fits(key) {
        let (expected, found) = (pin.fingerprint(), key.fingerprint());
        return Err(LinkError::OtherHome { expected, found });
    }
    match signed {
        true => Ok(()),
        false => Err(LinkError::Unproven),
    }
}

/// A refusal counts only if the primary has signed it for this hello.
fn refused(message: &Bytes, pin: &Pin, before: &[u8]) -> LinkError {
    let read = expected(Kind::Refusal, message.clone())
        .and_then(|fields| Refusal::read(message, fields, before));
    let checked = read.and_then(|(refusal, key, signed)| {
        vouched(pin, &key, signed)?;
        Ok(refusal)
    });
    match checked {
        Ok(refusal) => LinkError::Refused(refusal),
        Err(error) => error,
    }
}

/// Performs the primary's side of a handshake. `judge` is called only for a host that has proved its key. It decides by
/// the token or the gateway's key, and must decide the same if it is called again.
///
/// # Errors
/// If the host proves nothing, is refused, the connection breaks, or the time limit is exceeded. The caller reports the
/// failure to its [`FloodGuard`](crate::FloodGuard) if [`LinkError::is_hostile`].
pub async fn accept<J, F>(carrier: Carrier, door: Door<'_>, judge: J) -> Result<Accepted, LinkError>
where
    J: FnOnce(HostRequest) -> F,
    F: Future<Output = Result<Admitted, Refusal>>,
{
    let limit = door.pace.handshake;
    match timeout(limit, answered(carrier, door, Fresh::new(), judge)).await {
        Ok(done) => done,
        Err(_) => Err(LinkError::Slow { limit }),
    }
}

pub(crate) async fn answered<J, F>(
    mut carrier: Carrier,
    door: Door<'_>,
    fresh: Fresh,
    judge: J,
) -> Result<Accepted, LinkError>
where
    J: FnOnce(HostRequest) -> F,
    F: Future<Output = Result<Admitted, Refusal>>,
{
    let message = carrier.receive(MAX_UNPROVEN).await?;
    let hello = Hello::read(message.clone())?;
    let before = transcript(&[&message]);
    if hello.wire != fresh.wire {
        let refusal = Refusal::of_wire(hello.wire, &hello.version, door.version);
        let refusal = Refusal { version: door.version.to_owned(), ..refusal };
        carrier.send(refusal.write(&before, door.identity)?.into()).await?;
        carrier.close().await;
        return Err(LinkError::Refused(refusal));
    }

    let answer = Answer {
        key: door.identity.public(),
        ephemeral: fresh.public()?,
        nonce: fresh.nonce,
        version: door.version.to_owned(),
    };
    let answer = answer.write(&before, door.identity)?;
    let signed = transcript(&[&message, &answer]);
    let ways = fresh.ways(&hello.ephemeral, &signed)?;
    carrier.send(answer.into()).await?;

    let (mut sealer, mut opener) = (Sealer::new(ways.from_home), Opener::new(ways.from_host));
    let proof = opener.open(carrier.receive(MAX_UNPROVEN).await?)?;
    let request = read_proof(&proof, hello.version, &signed)?;
    let (key, facts, version) = (request.key, request.facts.clone(), request.version.clone());
    match judge(request).await {
        Ok(admitted) => {
            carrier.send(sealer.seal(roomy(&admitted.write()?))?).await?;
            let session = Session::new(carrier, sealer, opener, door.pace);
            Ok(Accepted { admitted, key, facts, version, session })
        }
        Err(refusal) => {
            let refusal = Refusal { wire: WIRE, version: door.version.to_owned(), ..refusal };
            let message = refusal.write(&before, door.identity)?;
            carrier.send(sealer.seal(roomy(&message))?).await?;
            carrier.close().await;
            Err(LinkError::Refused(refusal))
        }
    }
}
