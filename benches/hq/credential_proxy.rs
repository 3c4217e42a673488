//! Credential proxy: requests of `curl` under `exec` to a host with a key, whose TLS HQ terminates, compared with a
//! host without one, which is tunnelled. Both are served on loopback, so HQ runs in this process: it has to resolve the
//! names and trust the certificate.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use features::agents::model::Agent;
use features::agents::rules as agents;
use features::connections::model::Wire;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use net::client::ClientParts;
use net::guard::{Exceptions, Lookup, Resolver};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use runtime::Trusted;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::confine::{PORTS, landlock_abi};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::load::{self, Times, told};
use crate::rows::{figure, more};
use crate::{Figure, ms};
use support::hq::Setup;
use support::model::Turn;
use support::office::Office;

/// The host with a key, and the one without.
const HOSTS: [&str; 2] = ["site.test", "plain.test"];
/// Requests per connection, after the one that opens it.
const REQUESTS: usize = 100;
/// Bytes of the large response.
const LARGE: usize = 100_000_000;
/// Repetitions of both measurements.
const ROUNDS: usize = 3;

type Row = Pin<Box<dyn Future<Output = Result<Figure, String>>>>;

/// Resolves both names to this machine.
struct Names;

impl Exceptions for Names {
    fn host(&self, host: &str, _port: u16) -> bool {
        HOSTS.contains(&host)
    }

    fn address(&self, host: &str, address: IpAddr) -> bool {
        self.host(host, 0) && address.is_loopback()
    }
}

impl Resolver for Names {
    fn lookup(&self, _host: &str) -> Lookup {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

/// A certificate for both hosts, and its root.
fn acceptor() -> Result<(TlsAcceptor, String), String> {
    let doing = "a certificate";
    let key = KeyPair::generate().map_err(told(doing))?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A leaf with the name of its issuer would count as self-signed.
    params.distinguished_name.push(DnType::CommonName, "Root of the bench");
    let root = pem(params.self_signed(&key).map_err(told(doing))?.der());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().map_err(told(doing))?;
    let params = CertificateParams::new(HOSTS.map(str::to_owned)).map_err(told(doing))?;
    let leaf = params.signed_by(&key, &issuer).map_err(told(doing))?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(told(doing))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(told(doing))?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], secret)
        .map_err(told(doing))?;
    Ok((TlsAcceptor::from(Arc::new(config)), root))
}

fn pem(der: &[u8]) -> String {
    let coded = STANDARD.encode(der);
    let lines = coded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    let body: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

/// Starts the server of both hosts; returns its port and root certificate.
async fn site() -> Result<(u16, String), String> {
    let (acceptor, root) = acceptor()?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told("a port"))?;
    let port = listener.local_addr().map_err(told("a port"))?.port();
    let line = "A line of what a program loads, with a number 4711 and no key at all.\n";
    let large = Bytes::from(line.repeat(LARGE / line.len()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, large) = (acceptor.clone(), large.clone());
            tokio::spawn(async move {
                // ok, here and below: a closed connection needs no response
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answers = service_fn(move |request: Request<Incoming>| {
                    let large = large.clone();
                    async move {
                        let is_large = request.uri().path() == "/large";
                        let body = if is_large { large } else { Bytes::from_static(b"Yes.\n") };
                        let answer = Response::builder().header("content-type", "text/plain");
                        Ok::<_, Infallible>(answer.body(Full::new(body)).unwrap_or_default())
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answers).await;
            });
        }
    });
    Ok((port, root))
}

/// An office with a key for one of the hosts, and an agent with network access.
async fn office() -> Result<(Office, Agent, u16), String> {
    if landlock_abi() < PORTS {
        return Err("this kernel cannot tell ports apart".to_owned());
    }
    Command::new("curl").arg("--version").output().map_err(told("curl"))?;
    let (port, root) = site().await?;
    let way = Arc::new(Names);
    let http = ClientParts { resolver: way.clone(), exceptions: way, ..ClientParts::default() };
    let setup = Setup::default().http(http).trusted(Trusted { roots: Some(root), port });
    let office = Office::with(setup, Wire::OpenaiChat, "mock").await;
    let key = json!({
        "name": "Shop", "key": "SHOP_KEY", "value": "of-the-shop/5b1e+never=seen", "hosts": [HOSTS[0]],
    });
    let made = office.hq.api().await.post("/api/v1/secrets", &key).await;
    if made.status.as_u16() != 201 {
        return Err(format!("the key is refused: {}", made.text));
    }
    let ada = office.agent_with("Ada", |new| new.exec = true).await;
    let on = agents::Changes { network: Some(true), ..agents::Changes::default() };
    let ada = office.change(ada.id, on).await;
    Ok((office, ada, port))
}

/// Durations of the requests that `curl` sends over one connection, by its own measurement; the first one opens it.
async fn loads(
    office: &Office,
    agent: &Agent,
    (host, path, port): (&str, &str, u16),
) -> Result<Vec<Duration>, String> {
    let command = format!(
        "curl -sS -o /dev/null -w '%{{http_code}} %{{time_total}}\\n' -H \"X-Key: $SHOP_KEY\" \
         'https://{host}:{port}{path}'"
    );
    // The placeholder token is not sent to other hosts.
    let command = match host == HOSTS[0] {
        true => command,
        false => command.replace("$SHOP_KEY", "none"),
    };
    let call = json!({ "command": command, "yieldMs": 60_000 });
    office.model.push(Turn::call("exec", call)).push(Turn::text("Done."));
    let run = office.say(agent, "Load it").await;
    office.ended(run).await;
    let said = office.results(run).into_iter().map(|(.., text)| text).collect::<String>();
    let seconds = |line: &str| line.strip_prefix("200 ")?.trim().parse::<f64>().ok();
    let times: Vec<Duration> =
        said.lines().filter_map(seconds).map(Duration::from_secs_f64).collect();
    match times.len() {
        0 => Err(format!("curl says: {}", said.chars().take(200).collect::<String>())),
        _ => Ok(times),
    }
}

/// Requests over an open connection, with an inserted key and through a plain tunnel.
pub fn kept_alive(_: Times) -> Row {
    Box::pin(async {
        let (office, ada, port) = office().await?;
        let path = format!("/a?[0-{REQUESTS}]");
        let (mut swapped, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (host, times) in [(HOSTS[1], &mut plain), (HOSTS[0], &mut swapped)] {
                let each = loads(&office, &ada, (host, path.as_str(), port)).await?;
                times.extend(each.into_iter().skip(1));
            }
        }
        office.hq.finish().await;
        let (more, text) = more(load::share(swapped)?, load::share(plain)?);
        Ok(figure(text, more <= Duration::from_millis(1)))
    })
}

/// A large response of the host with a key, compared with a plain tunnel.
pub fn large(_: Times) -> Row {
    Box::pin(async {
        let (office, ada, port) = office().await?;
        let (mut swapped, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (host, times) in [(HOSTS[1], &mut plain), (HOSTS[0], &mut swapped)] {
                times.extend(loads(&office, &ada, (host, "/large", port)).await?);
            }
        }
        office.hq.finish().await;
        let (swapped, plain) = (load::share(swapped)?.p50, load::share(plain)?.p50);
        let ratio = swapped.as_secs_f64() / plain.as_secs_f64();
        let text = format!("{ratio:.2} ({} : {})", ms(swapped), ms(plain));
        Ok(figure(text, ratio <= 2.5))
    })
}
