//! The carrier of a host: a WebSocket to the primary, over TLS or plain.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use url::{Host, Url};

use super::carrier::Carrier;
use super::error::LinkError;
use super::tls::Trust;
use super::{MAX_SEALED, Pace};

/// Initial buffer size in bytes, small for idle links; longer messages let it grow.
const BUFFER: usize = 16 << 10;

/// Connects to a primary. `address` is a `ws:`, `wss:`, `http:` or `https:` URL with its path. The time limit is that
/// of a handshake.
///
/// # Errors
/// If the address is invalid, there is no answer in time, the certificate is invalid, or the server accepts no links.
pub async fn connect(address: &str, trust: &Trust, pace: Pace) -> Result<Carrier, LinkError> {
    let limit = pace.handshake;
    match timeout(limit, reach(address, trust)).await {
        Ok(reached) => reached,
        Err(_) => Err(LinkError::Slow { limit }),
    }
}

async fn reach(address: &str, trust: &Trust) -> Result<Carrier, LinkError> {
    let bad = |detail: &str| LinkError::BadAddress { detail: detail.to_owned() };
    let mut url = Url::parse(address).map_err(|error| bad(&error.to_string()))?;
    let sealed = match url.scheme() {
        "wss" | "https" => true,
        "ws" | "http" => false,
        _ => return Err(bad("it does not begin with https: or http:")),
    };
    let scheme = if sealed { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| bad("it does not begin with https: or http:"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a name or a password"));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(v4)) => v4.to_string(),
        Some(Host::Ipv6(v6)) => v6.to_string(),
        None => return Err(bad("it names no host")),
    };
    let port = url.port_or_known_default().ok_or_else(|| bad("it names no port"))?;
    let away = |detail: String| LinkError::Unreachable { host: host.clone(), detail };
    let tcp = TcpStream::connect((host.as_str(), port)).await;
    let tcp = tcp.map_err(|error| away(error.to_string()))?;
    // Small frames must not be delayed.
    tcp.set_nodelay(true).map_err(|error| away(error.to_string()))?;
    match sealed {
        true => upgraded(&url, &host, trust.secure(&host, tcp).await?).await,
        false => upgraded(&url, &host, tcp).await,
    }
}

async fn upgraded<S>(url: &Url, host: &str, stream: S) -> Result<Carrier, LinkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_SEALED))
        .max_frame_size(Some(MAX_SEALED));
    match client_async_with_config(url.as_str(), stream, Some(config)).await {
        Ok((socket, _)) => Ok(Carrier::of_socket(socket, Message::Binary, binary, failed)),
        Err(Error::Http(answer)) => {
            let status = answer.status().as_u16();
            Err(LinkError::NoSocket { host: host.to_owned(), status })
        }
        Err(error) => {
            Err(LinkError::Unreachable { host: host.to_owned(), detail: error.to_string() })
        }
    }
}

fn binary(message: Message) -> Option<bytes::Bytes> {
    match message {
        Message::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

fn failed(error: Error) -> LinkError {
    match error {
        Error::Capacity(_) => LinkError::TooLarge { limit: MAX_SEALED },
        _ => LinkError::Cut,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::{SinkExt as _, StreamExt as _};
    use kernel::Problem as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_tungstenite::WebSocketStream;

    use super::*;

    fn trust() -> Trust {
        Trust::of(vec![named().cert.der().clone()]).unwrap()
    }

    fn patient() -> Pace {
        Pace { handshake: Duration::from_secs(20), ..Pace::default() }
    }

    /// A host's carrier, and the primary's end.
    async fn both() -> (Carrier, WebSocketStream<TcpStream>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}/link", listener.local_addr().unwrap());
        let trust = trust();
        let home = async {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        };
        let (host, home) = tokio::join!(connect(&address, &trust, patient()), home);
        (host.unwrap(), home)
    }

    #[tokio::test]
    async fn messages_pass_both_ways_and_others_are_passed_over() {
        let (mut host, mut home) = both().await;
        host.send(Bytes::from_static(b"hello")).await.unwrap();
        let came = home.next().await.unwrap().unwrap();
        assert_eq!(came, Message::Binary(Bytes::from_static(b"hello")));
        for message in [
            Message::Text("words".into()),
            Message::Ping(Bytes::new()),
            Message::Binary(Bytes::from_static(b"welcome")),
        ] {
            home.send(message).await.unwrap();
        }
        assert_eq!(host.receive(64).await.unwrap(), &b"welcome"[..]);
        home.close(None).await.unwrap();
        drop(home);
        assert_eq!(host.receive(64).await, Err(LinkError::Cut));
    }

    #[tokio::test]
    async fn a_length_of_a_gibibyte_is_refused_when_it_is_claimed() {
        let (mut host, mut home) = both().await;
        let claim = [&[0x82, 127][..], &(1u64 << 30).to_be_bytes()].concat();
        home.get_mut().write_all(&claim).await.unwrap();
        let limit = MAX_SEALED;
        assert_eq!(host.receive(MAX_SEALED).await, Err(LinkError::TooLarge { limit }));
    }

    #[tokio::test]
    async fn what_is_no_home_is_told() {
        let trust = trust();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let at = format!("http://{address}/link");
        let (refused, stream) = tokio::join!(connect(&at, &trust, patient()), answers);
        drop((stream, listener));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, LinkError::NoSocket { status: 404, .. }), "{refused}");
        // The listener is gone.
        let gone = connect(&at, &trust, patient()).await.unwrap_err();
        assert_eq!(gone.code(), "link_unreachable", "{gone}");
        for bad in ["", "home", "ftp://home.example", "https://me:pass@home.example/link"] {
            let refused = connect(bad, &trust, patient()).await.unwrap_err();
            assert_eq!(refused.code(), "link_bad_address", "{bad}: {refused}");
            assert!(!refused.to_string().contains("pass@"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_certificate_of_another_and_a_silent_server_are_told() {
        let (home, other) = (named(), named());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let at = format!("https://localhost:{}/link", address.port());
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            // ok: the host disconnects after the wrong certificate.
            let _ = acceptor(&home).accept(stream).await;
        };
        let trust = Trust::of(vec![other.cert.der().clone()]).unwrap();
        let (refused, ()) = tokio::join!(connect(&at, &trust, patient()), server);
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), "link_bad_certificate", "{refused}");

        let short = Pace { handshake: Duration::from_millis(50), ..Pace::default() };
        let silent = connect(&format!("http://{address}/link"), &trust, short).await;
        assert_eq!(silent.unwrap_err(), LinkError::Slow { limit: short.handshake });
    }

    fn named() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn acceptor(of: &rcgen::CertifiedKey<rcgen::KeyPair>) -> tokio_rustls::TlsAcceptor {
        let key = rustls::pki_types::PrivateKeyDer::try_from(of.signing_key.serialize_der());
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![of.cert.der().clone()], key.unwrap())
            .unwrap();
        std::sync::Arc::new(config).into()
    }
}
