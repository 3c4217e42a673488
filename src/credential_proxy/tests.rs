//! Test support: TLS hosts on the loopback interface, and tunnels to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kernel::time::{Clock, ManualClock, SystemClock, from_ms};
use parking_lot::Mutex;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Authority;
use crate::error::StandinError;
use crate::report::{Refusal, Report, Use};
use crate::serve::{self, Limits, Way};
use crate::table::{HTTPS, NewStandin, Place, Shape, Standins, Value};
use crate::trust::{self, Trust};

/// Default host of the tests, and a value for it.
pub(crate) const HOST: &str = "api.site.test";
pub(crate) const VALUE: &str = "va/lue+of \"the\" key=1";
/// A day on which all test certificates are valid.
const DAY_MS: i64 = 1_790_000_000_000;

/// A secret for the default host.
pub(crate) fn secret(id: &str, value: &str, places: &[Place]) -> NewStandin {
    NewStandin {
        id: id.to_owned(),
        value: Value::new(value),
        hosts: vec![HOST.to_owned()],
        port: HTTPS,
        places: places.to_vec(),
        shape: Shape::Plain,
    }
}

/// A request as received by a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) is_whole: bool,
    /// Connection number.
    pub(crate) connection: usize,
}

/// Response of a host to a request.
pub(crate) type Script = dyn Fn(&Seen) -> Vec<u8> + Send + Sync;

/// A host. An empty response closes the connection.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Site {
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.head.clone()).collect()
    }
}

/// Test bed: authorities, a clock, and the placeholders of a run.
pub(crate) struct Bed {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) manual: Arc<ManualClock>,
    pub(crate) authority: Authority,
    pub(crate) trust: Trust,
    pub(crate) standins: Standins,
    pub(crate) limits: Limits,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    roots: Roots,
}

/// Certificate authority of the hosts.
struct Roots {
    issuer: Issuer<'static, KeyPair>,
}

/// Result of a tunnel.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) ended: Result<(), StandinError>,
    pub(crate) uses: Vec<Use>,
    pub(crate) refusals: Vec<Refusal>,
}

impl Heard {
    pub(crate) fn status(&self) -> &str {
        self.text.get(9..12).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

impl Bed {
    pub(crate) fn new(secrets: Vec<NewStandin>) -> Bed {
        let manual = Arc::new(ManualClock::at(from_ms(DAY_MS)));
        Bed::at(Arc::clone(&manual) as Arc<dyn Clock>, manual, secrets)
    }

    /// With the system clock, for programs that use it.
    pub(crate) fn today(secrets: Vec<NewStandin>) -> Bed {
        let manual = Arc::new(ManualClock::at(SystemClock.now()));
        Bed::at(Arc::new(SystemClock), manual, secrets)
    }

    fn at(clock: Arc<dyn Clock>, manual: Arc<ManualClock>, secrets: Vec<NewStandin>) -> Bed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = trust::pem(params.self_signed(&key).unwrap().der());
        Bed {
            authority: Authority::new(Arc::clone(&clock)).unwrap(),
            trust: Trust::only(&pem, Arc::clone(&clock)).unwrap(),
            standins: Standins::new(secrets).unwrap(),
            limits: Limits::default(),
            host: HOST,
            port: HTTPS,
            roots: Roots { issuer: Issuer::new(params, key) },
            clock,
            manual,
        }
    }

    pub(crate) fn token(&self, id: &str) -> String {
        let mut tokens = self.standins.tokens();
        tokens.find(|(own, _)| *own == id).map(|(_, token)| token.to_owned()).unwrap()
    }

    pub(crate) fn way(&self) -> Way<'_> {
        Way {
            host: self.host,
            port: self.port,
            standins: &self.standins,
            authority: &self.authority,
            trust: &self.trust,
            limits: self.limits,
        }
    }

    /// TLS acceptor with a certificate for this name.
    pub(crate) fn server(&self, name: &str, until: time::OffsetDateTime) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = until;
        let leaf = params.signed_by(&key, &self.roots.issuer).unwrap();
        let mut config = ServerConfig::builder_with_provider(trust::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(leaf)],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// A host that responds by the script.
    pub(crate) async fn site(
        &self,
        script: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Site {
        let acceptor = self
            .server(self.host, time::OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap());
        open(Some(acceptor), Arc::new(script)).await
    }

    /// A program's connection through a new tunnel, before the TLS handshake.
    pub(crate) fn raw(
        &self,
        address: SocketAddr,
        report: &Report,
    ) -> (DuplexStream, impl Future<Output = Result<(), StandinError>>) {
        let (client, inner) = tokio::io::duplex(64 * 1024);
        let dial = move || TcpStream::connect(address);
        (client, async move { serve::serve(inner, &self.way(), dial, report).await })
    }

    /// TLS handshake of a program that trusts the authority.
    pub(crate) async fn sealed<S>(&self, client: S, name: &str) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let now = Arc::new(trust::Now(Arc::clone(&self.clock)));
        let config = ClientConfig::builder_with_details(trust::provider(), now)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, client).await
    }

    /// Runs a program in a tunnel to an address.
    pub(crate) async fn tunnel(
        &self,
        address: SocketAddr,
        acts: impl AsyncFnOnce(TlsStream<DuplexStream>) -> String,
    ) -> Heard {
        let report = Report::default();
        let (client, serving) = self.raw(address, &report);
        let acting =
            async { acts(self.sealed(client, self.host).await.expect("a handshake")).await };
        let both = async { tokio::join!(serving, acting) };
        let (ended, text) = timeout(Duration::from_secs(60), both).await.expect("in time");
        Heard { text, ended, uses: report.uses(), refusals: report.refusals() }
    }

    /// Sends a request in a tunnel and reads the whole response.
    pub(crate) async fn ask(&self, site: &Site, request: &str) -> Heard {
        self.tunnel(site.address, async |mut client| {
            // ok: after a refusal, the rest may not be sendable
            let _ = client.write_all(request.as_bytes()).await;
            let _ = client.flush().await;
            all(&mut client).await
        })
        .await
    }
}

/// Everything up to the end.
pub(crate) async fn all(from: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // ok: the kind of ending is checked elsewhere
    let _ = from.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything up to these words.
pub(crate) async fn until(from: &mut (impl AsyncRead + Unpin), words: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(words.as_bytes()) {
        bytes.push(from.read_u8().await.expect("more"));
    }
    String::from_utf8(bytes).unwrap()
}

/// A request that closes its connection.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{lines}Connection: close\r\n\r\n")
}

/// A request with a Content-Length body.
pub(crate) fn post(lines: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A response with a Content-Length body.
pub(crate) fn ok(lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Opens a host, with or without TLS.
pub(crate) async fn open(acceptor: Option<TlsAcceptor>, script: Arc<Script>) -> Site {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let records = Arc::clone(&seen);
    tokio::spawn(async move {
        for connection in 0.. {
            let Ok((tcp, _)) = listener.accept().await else { return };
            let (acceptor, script, records) =
                (acceptor.clone(), Arc::clone(&script), Arc::clone(&records));
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            hosting(tls, connection, &*script, &records).await;
                        }
                    }
                    None => hosting(tcp, connection, &*script, &records).await,
                }
            });
        }
    });
    Site { address, seen }
}

async fn hosting(
    mut wire: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    script: &Script,
    records: &Mutex<Vec<Seen>>,
) {
    let mut held = Vec::new();
    loop {
        let mut seen = Seen { connection, ..Seen::default() };
        heard(&mut wire, &mut held, &mut seen).await;
        if seen.head.is_empty() {
            return;
        }
        let (answer, is_whole) = (script(&seen), seen.is_whole);
        records.lock().push(seen);
        if !is_whole || answer.is_empty() {
            return;
        }
        // ok: a disconnected client needs no response
        let _ = wire.write_all(&answer).await;
        let _ = wire.flush().await;
        if answer.windows(17).any(|part| part.eq_ignore_ascii_case(b"connection: close")) {
            let _ = wire.shutdown().await;
            return;
        }
    }
}

/// Reads one request, as far as it arrives.
async fn heard(wire: &mut (impl AsyncRead + Unpin), held: &mut Vec<u8>, seen: &mut Seen) {
    let Some(end) =
        more_until(wire, held, |held| position(held, b"\r\n\r\n").map(|at| at + 4)).await
    else {
        return;
    };
    seen.head = String::from_utf8_lossy(&held.drain(..end).collect::<Vec<_>>()).into_owned();
    let head = seen.head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length = length.map_or(0, |digits| digits.parse().unwrap());
    if head.contains("transfer-encoding: chunked") {
        loop {
            let line =
                more_until(wire, held, |held| position(held, b"\r\n").map(|at| at + 2)).await;
            let Some(line) = line else { return };
            let text = String::from_utf8(held.drain(..line).collect()).unwrap();
            let size = usize::from_str_radix(text.trim_end(), 16).unwrap();
            if size == 0 {
                let end = |held: &[u8]| match held.starts_with(b"\r\n") {
                    true => Some(2),
                    false => position(held, b"\r\n\r\n").map(|at| at + 4),
                };
                let Some(end) = more_until(wire, held, end).await else { return };
                seen.head
                    .push_str(&String::from_utf8_lossy(&held.drain(..end).collect::<Vec<_>>()));
                break;
            }
            let whole = |held: &[u8]| (size + 2 <= held.len()).then_some(size);
            let Some(end) = more_until(wire, held, whole).await else { return };
            seen.body.extend(held.drain(..end));
            held.drain(..2);
        }
    } else {
        let whole = |held: &[u8]| (length <= held.len()).then_some(length);
        let Some(end) = more_until(wire, held, whole).await else {
            seen.body = std::mem::take(held);
            return;
        };
        seen.body = held.drain(..end).collect();
    }
    seen.is_whole = true;
}

async fn more_until(
    wire: &mut (impl AsyncRead + Unpin),
    held: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(at) = found(held) {
            return Some(at);
        }
        if wire.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
