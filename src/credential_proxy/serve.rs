//! Serves the program's side of a tunnel to a host that has a secret.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use super::authority::Authority;
use super::error::StandinError;
use super::report::Report;
use super::table::{Standins, normal};
use super::talk::Talk;
use super::trust::Trust;
use super::wire::Wire;

/// The alert of TLS that a server is not known by the name that was asked for.
const UNKNOWN_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// How long and how large what programs and hosts send may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest head, in bytes.
    pub head: usize,
    /// The longest body that is held back so that one of its fields can be swapped, in bytes. In a longer one a
    /// stand-in is refused.
    pub fields: usize,
    /// How long a program may be silent where it owes something, or take nothing.
    pub program: Duration,
    /// How long a host may be silent where it owes something.
    pub host: Duration,
    /// How long a program may say nothing between two requests.
    pub rest: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 64 * 1024,
            fields: 1024 * 1024,
            program: Duration::from_secs(60),
            host: Duration::from_mins(15),
            rest: Duration::from_mins(5),
        }
    }
}

/// Where a tunnel leads, and what is known about it.
#[derive(Clone, Copy)]
pub struct Way<'w> {
    /// The host that the tunnel names.
    pub host: &'w str,
    pub port: u16,
    /// The stand-ins of the run whose program it is.
    pub standins: &'w Standins,
    /// What the program trusts.
    pub authority: &'w Authority,
    /// What is trusted here.
    pub trust: &'w Trust,
    /// How long and large.
    pub limits: Limits,
}

/// Opens a connection to the host, each time anew.
pub(crate) type Dial<'d> = dyn FnMut() -> BoxFuture<'d, Result<Wire, StandinError>> + Send + 'd;

/// Serves a tunnel: `client` is the program after it was told that the tunnel stands, `dial` gives a connection to an
/// address of the host that the caller has checked. What happens to stand-ins goes into `report` at once, so that it
/// is there also when this is dropped in the middle.
///
/// # Errors
/// Why it ended otherwise than in good order. The program was told, where it could hear it; a refusal is no error.
pub async fn serve<C, D, F, S>(
    client: C,
    way: &Way<'_>,
    mut dial: D,
    report: &Report,
) -> Result<(), StandinError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    D: FnMut() -> F + Send,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut dial = || -> BoxFuture<'_, _> {
        let opening = dial();
        Box::pin(async move {
            let wire: Wire = Box::new(opened(way, opening).await?);
            let sealing = timeout(way.limits.program, way.trust.secure(way.host, wire));
            let sealed: Wire = Box::new(sealing.await.map_err(|_| away(way, "it is too slow"))??);
            Ok(sealed)
        })
    };
    let client = unsealed(Box::new(client), way).await?;
    Talk::new(client, way, &mut dial, report).run().await
}

/// As [`serve`], where nothing is sealed on either side: for secrets that name port 80.
pub async fn serve_plain<C, D, F, S>(
    client: C,
    way: &Way<'_>,
    mut dial: D,
    report: &Report,
) -> Result<(), StandinError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    D: FnMut() -> F + Send,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut dial = || -> BoxFuture<'_, _> {
        let opening = dial();
        Box::pin(async move {
            let wire: Wire = Box::new(opened(way, opening).await?);
            Ok(wire)
        })
    };
    Talk::new(Box::new(client), way, &mut dial, report).run().await
}

async fn opened<S>(
    way: &Way<'_>,
    opening: impl Future<Output = io::Result<S>>,
) -> Result<S, StandinError> {
    opening.await.map_err(|error| away(way, &error.to_string()))
}

fn away(way: &Way<'_>, detail: &str) -> StandinError {
    StandinError::Away { host: way.host.to_owned(), detail: detail.to_owned() }
}

/// Ends the program's TLS, as the host of the tunnel and as no other.
async fn unsealed(client: Wire, way: &Way<'_>) -> Result<Wire, StandinError> {
    match timeout(way.limits.program, shaken(client, way)).await {
        Ok(wire) => wire,
        Err(_) => Err(StandinError::Idle { limit: way.limits.program }),
    }
}

async fn shaken(client: Wire, way: &Way<'_>) -> Result<Wire, StandinError> {
    let failed = |error: io::Error| StandinError::Handshake {
        host: way.host.to_owned(),
        detail: error.to_string(),
    };
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), client).await.map_err(failed)?;
    let host = normal(way.host);
    // Who asks for an address names nothing.
    let named = if host.parse::<std::net::IpAddr>().is_ok() { None } else { Some(host.as_str()) };
    if hello.client_hello().server_name().map(normal).as_deref() != named {
        // ok: who has gone already needs no word of it
        let _ = hello.io.write_all(&UNKNOWN_NAME).await;
        let _ = hello.io.shutdown().await;
        return Err(StandinError::OtherName { host });
    }
    let config = way.authority.leaf(&host)?;
    Ok(Box::new(hello.into_stream(config).await.map_err(failed)?))
}
