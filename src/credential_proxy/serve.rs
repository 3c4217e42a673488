//! Serves the program's side of a tunnel to a host with a secret.

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

/// TLS alert `unrecognized_name`.
const UNKNOWN_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Time and size limits for programs and hosts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum size of a head, in bytes.
    pub head: usize,
    /// Maximum size of a body that is buffered to replace one of its fields, in bytes. In a larger body, a placeholder
    /// is refused.
    pub fields: usize,
    /// How long a program may delay data it must send, or block writes.
    pub program: Duration,
    /// How long a host may delay data it must send.
    pub host: Duration,
    /// How long a connection may idle between two requests.
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

/// The destination of a tunnel, with its context.
#[derive(Clone, Copy)]
pub struct Way<'w> {
    /// Host name of the tunnel.
    pub host: &'w str,
    pub port: u16,
    /// Placeholders of the program's run.
    pub standins: &'w Standins,
    /// Authority that the program trusts.
    pub authority: &'w Authority,
    /// Roots for the host's certificate.
    pub trust: &'w Trust,
    /// Time and size limits.
    pub limits: Limits,
}

/// Opens a new connection to the host.
pub(crate) type Dial<'d> = dyn FnMut() -> BoxFuture<'d, Result<Wire, StandinError>> + Send + 'd;

/// Serves a tunnel. `client` is the program's connection after the tunnel was established; `dial` connects to an
/// address of the host that the caller has checked. Uses and refusals are recorded in `report` immediately, so they are
/// complete even if this future is dropped.
///
/// # Errors
/// Why the tunnel ended abnormally. The program was notified if possible. A refusal is not an error.
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

/// Like [`serve`], without TLS on either side: for secrets that name port 80.
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

/// Terminates the program's TLS, only under the name of the tunnel's host.
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
    // For an IP address, there is no SNI.
    let named = if host.parse::<std::net::IpAddr>().is_ok() { None } else { Some(host.as_str()) };
    if hello.client_hello().server_name().map(normal).as_deref() != named {
        // ok: a disconnected program needs no alert
        let _ = hello.io.write_all(&UNKNOWN_NAME).await;
        let _ = hello.io.shutdown().await;
        return Err(StandinError::OtherName { host });
    }
    let config = way.authority.leaf(&host)?;
    Ok(Box::new(hello.into_stream(config).await.map_err(failed)?))
}
