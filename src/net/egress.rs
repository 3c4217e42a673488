//! Egress proxy for sandboxed programs, which can connect to its port only. The [`Guard`] therefore applies to them
//! too: it blocks this machine, private networks and cloud metadata endpoints.
//!
//! Speaks what tools with `http_proxy` support expect: `CONNECT host:443`, and plain HTTP requests with absolute URLs.
//! Each request carries its pass as the password of Basic proxy authorization. Traffic is not inspected unless the
//! [`EgressPolicy`] takes a connection over.

use std::io::{self, Cursor};
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Chain, Join, join};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use url::{Host, Position, Url};

use super::guard::{self, Guard, Opened};

/// Maximum size of a request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Time limit for the first byte. Browsers open connections in advance and keep them idle for about ten seconds. The
/// limit is longer, so that browsers close first.
const IDLE_WITHIN: Duration = Duration::from_mins(1);
/// Time limit for the request head, from its first byte.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Connect timeout per address.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Maximum number of addresses to try per host.
const TRIED: usize = 4;
/// Reply to a successful CONNECT.
const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
/// Hop-by-hop headers, which are not forwarded.
const OURS: [&str; 5] =
    ["proxy-authorization", "proxy-connection", "connection", "keep-alive", "host"];

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Missing or invalid pass.
    NoPass,
    /// Malformed request.
    Unclear(&'static str),
    /// The request started but was not completed in time.
    Late,
    /// The request head is too large.
    TooLong,
    /// Access to the destination is denied.
    Refused(String),
    /// The destination cannot be reached.
    Away(String),
}

impl Closed {
    fn answer(&self) -> String {
        let (status, header, text) = match self {
            Self::NoPass => (
                "407 Proxy Authentication Required",
                "proxy-authenticate: Basic realm=\"HQ\"\r\n",
                "use the address in http_proxy as it is",
            ),
            Self::Unclear(why) => ("400 Bad Request", "", *why),
            Self::Late => ("408 Request Timeout", "", "the request is incomplete"),
            Self::TooLong => {
                ("431 Request Header Fields Too Large", "", "the request head is too long")
            }
            Self::Refused(why) => ("403 Forbidden", "", why.as_str()),
            Self::Away(why) => ("502 Bad Gateway", "", why.as_str()),
        };
        format!(
            "HTTP/1.1 {status}\r\n{header}content-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\nconnection: close\r\n\r\nHQ: {text}\n",
            text.len() + 5
        )
    }
}

/// Type of a proxy request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A CONNECT tunnel with opaque content.
    Tunnel,
    /// A plain HTTP request.
    Plain,
}

/// The program's side of a connection: bytes already read, then the stream.
pub type Inner = Join<Chain<Cursor<Vec<u8>>, OwnedReadHalf>, OwnedWriteHalf>;

/// The other side of a connection: an admitted URL, dialled through a guard that checks each connection.
pub struct Outer {
    guard: Guard,
    url: Url,
}

impl Outer {
    /// Opens a new connection.
    ///
    /// # Errors
    /// Why the destination cannot or must not be reached.
    pub async fn dial(&self) -> io::Result<TcpStream> {
        connect(&self.guard, &self.url).await.map_err(|closed| match closed {
            Closed::Refused(why) => io::Error::new(io::ErrorKind::PermissionDenied, why),
            Closed::Away(why) => io::Error::new(io::ErrorKind::HostUnreachable, why),
            other => io::Error::other(format!("{other:?}")),
        })
    }
}

/// Serves the program's side of a connection until it ends.
pub type Handler = Box<dyn FnOnce(Inner, Outer) -> BoxFuture<'static, ()> + Send>;

/// Decides which connections are allowed.
pub trait EgressPolicy: Send + Sync {
    /// The pass for requests without one, if only one program can reach the port.
    fn own_pass(&self) -> Option<&str> {
        None
    }

    /// Checks whether the holder of `pass` may request `url`, as far as the URL is visible. Returns what is open to it
    /// besides the public internet.
    ///
    /// # Errors
    /// The denial, worded for the program.
    fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed>;

    /// Returns a handler that serves an admitted connection instead of the destination. `None` by default.
    fn takes_over(&self, _pass: &str, _url: &Url, _kind: Kind) -> Option<Handler> {
        None
    }

    /// Completes when the holder of `pass` loses access to `url`.
    fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()>;
}

/// Serves one connection until either side closes it.
pub async fn serve(mut inner: TcpStream, guard: &Guard, doorman: &dyn EgressPolicy) {
    // ok, here and below: a program that has disconnected needs no response.
    let head = match head(&mut inner).await {
        Ok(Some(head)) => head,
        // Anything written to an idle connection would be read as the response to its next request.
        Ok(None) => return,
        Err(closed) => return refuse(&mut inner, &closed).await,
    };
    match open(head, guard, doorman).await {
        Ok(way) => {
            let Way { pass, url, kind, first, end } = way;
            let answer = if kind == Kind::Tunnel { ESTABLISHED } else { "" };
            if inner.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            tokio::select! {
                () = pass_through(inner, first, end) => {}
                // Both sides close on drop.
                () = doorman.shut(&pass, &url) => {}
            }
        }
        Err(closed) => refuse(&mut inner, &closed).await,
    }
}

async fn refuse(inner: &mut TcpStream, closed: &Closed) {
    let _ = inner.write_all(closed.answer().as_bytes()).await;
    let _ = inner.shutdown().await;
}

async fn pass_through(mut inner: TcpStream, first: Vec<u8>, end: End) {
    match end {
        End::There(mut outer) => {
            if outer.write_all(&first).await.is_ok() {
                // ok: both sides notice the end of the connection
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        }
        End::Taken(handler, outer) => {
            let (read, write) = inner.into_split();
            handler(join(Cursor::new(first).chain(read), write), outer).await;
        }
    }
}

/// An open egress connection.
struct Way {
    /// Pass and destination.
    pass: String,
    url: Url,
    kind: Kind,
    /// Bytes to send first.
    first: Vec<u8>,
    end: End,
}

/// Destination of a connection.
enum End {
    There(TcpStream),
    /// A policy handler.
    Taken(Handler, Outer),
}

async fn open(
    (bytes, end): (Vec<u8>, usize),
    guard: &Guard,
    doorman: &dyn EgressPolicy,
) -> Result<Way, Closed> {
    let text = std::str::from_utf8(&bytes[..end])
        .map_err(|_| Closed::Unclear("the request head isn't text"))?;
    let request = EgressRequest::read(text)?;
    let own = || doorman.own_pass().map(str::to_owned);
    let pass = request.pass().or_else(own).ok_or(Closed::NoPass)?;
    let opened = doorman.admit(&pass, &request.url)?;
    let guard = if opened.has(&request.url) { guard.opening(opened) } else { guard.clone() };
    guard.check_url(&request.url).map_err(|error| Closed::Refused(error.to_string()))?;
    let mut first = match request.kind {
        Kind::Tunnel => Vec::new(),
        Kind::Plain => request.forwarded().into_bytes(),
    };
    first.extend_from_slice(&bytes[end..]);
    let (kind, url) = (request.kind, request.url);
    let end = match doorman.takes_over(&pass, &url, kind) {
        Some(handler) => End::Taken(handler, Outer { guard, url: url.clone() }),
        None => End::There(connect(&guard, &url).await?),
    };
    Ok(Way { pass, url, kind, first, end })
}

/// Returns all bytes read so far and the end of the head. `None` if the connection closed or stayed idle without a
/// request.
async fn head(inner: &mut (impl AsyncRead + Unpin)) -> Result<Option<(Vec<u8>, usize)>, Closed> {
    let mut bytes = vec![0; 4096];
    let first = timeout(IDLE_WITHIN, inner.read(&mut bytes)).await;
    let Ok(Ok(count @ 1..)) = first else { return Ok(None) };
    bytes.truncate(count);
    match timeout(HEAD_WITHIN, rest_of_head(inner, &mut bytes)).await {
        Ok(end) => Ok(Some((bytes, end?))),
        Err(_elapsed) => Err(Closed::Late),
    }
}

/// Reads to the end of the head and returns its position.
async fn rest_of_head(
    inner: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> Result<usize, Closed> {
    let mut piece = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(at + 4);
        }
        if MAX_HEAD <= bytes.len() {
            return Err(Closed::TooLong);
        }
        match inner.read(&mut piece).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
            Ok(0) | Err(_) => return Err(Closed::Late),
        }
    }
}

async fn connect(guard: &Guard, url: &Url) -> Result<TcpStream, Closed> {
    let addresses = match url.host() {
        // A literal address has already been checked.
        Some(Host::Ipv4(v4)) => vec![IpAddr::V4(v4)],
        Some(Host::Ipv6(v6)) => vec![IpAddr::V6(v6)],
        Some(Host::Domain(name)) => {
            guard.resolve(name).await.map_err(|error| Closed::Refused(error.to_string()))?
        }
        None => return Err(Closed::Unclear("the address has no host")),
    };
    let port = url.port_or_known_default().unwrap_or_default();
    let mut why = "it didn't answer in time".to_owned();
    for address in addresses.into_iter().take(TRIED) {
        match timeout(CONNECT_WITHIN, TcpStream::connect((address, port))).await {
            Ok(Ok(outer)) => return Ok(outer),
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => {}
        }
    }
    let host = url.host_str().unwrap_or_default();
    Err(Closed::Away(format!("{host} can't be reached: {why}")))
}

/// A parsed proxy request.
struct EgressRequest<'h> {
    url: Url,
    kind: Kind,
    method: &'h str,
    headers: Vec<(&'h str, &'h str)>,
}

impl<'h> EgressRequest<'h> {
    fn read(head: &'h str) -> Result<Self, Closed> {
        let unclear = Closed::Unclear;
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(unclear("the first line isn't HTTP/1.1"));
        };
        let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        if !is_method || !version.starts_with("HTTP/1.") {
            return Err(unclear("the first line isn't HTTP/1.1"));
        }
        let mut headers = Vec::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if is_name(name) && !value.contains(['\r', '\n', '\0']) => {
                    headers.push((name, value.trim()));
                }
                _ => return Err(unclear("a header can't be read")),
            }
        }
        let tunnel = method == "CONNECT";
        let address = match tunnel {
            true if target.contains(['/', '\\', '@', '?', '#', '%']) => {
                return Err(unclear("CONNECT requires host:port"));
            }
            true => format!("https://{target}/"),
            false if target.starts_with("http://") => target.to_owned(),
            false => return Err(unclear("use a full address that begins with http://")),
        };
        let url = guard::parse(&address).map_err(|error| Closed::Refused(error.to_string()))?;
        let kind = if tunnel { Kind::Tunnel } else { Kind::Plain };
        Ok(Self { url, kind, method, headers })
    }

    fn header(&self, name: &str) -> Option<&'h str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    fn pass(&self) -> Option<String> {
        let (kind, text) = self.header("proxy-authorization")?.split_once(' ')?;
        if !kind.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
        pair.split_once(':').map(|(_, pass)| pass.to_owned())
    }

    /// The forwarded head: exactly one request, to the checked host.
    fn forwarded(&self) -> String {
        let path = &self.url[Position::BeforePath..Position::AfterQuery];
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let mut out = format!("{} {path} HTTP/1.1\r\nhost: {host}\r\n", self.method);
        for (name, value) in &self.headers {
            if !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                out.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        out.push_str("connection: close\r\n\r\n");
        out
    }
}

fn is_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use tokio::net::TcpListener;

    use super::*;
    use crate::guard::{Exceptions, Lookup, NoExceptions, Resolver};
    use loopback::{Step, answer, serving};

    /// Opens two sites. All names resolve to this machine.
    struct Site;

    impl Exceptions for Site {
        fn host(&self, host: &str, _port: u16) -> bool {
            ["site.test", "shut.test"].contains(&host)
        }

        fn address(&self, host: &str, _address: IpAddr) -> bool {
            self.host(host, 0)
        }
    }

    impl Resolver for Site {
        fn lookup(&self, _host: &str) -> Lookup {
            Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
        }
    }

    struct Open;

    impl EgressPolicy for Open {
        fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
            match (pass, url.path()) {
                ("pass", "/secret") => Err(Closed::Refused("not that".to_owned())),
                ("pass", _) => Ok(Opened::default()),
                _ => Err(Closed::NoPass),
            }
        }

        fn shut<'d>(&'d self, _pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
            match url.host_str() {
                Some("shut.test") => Box::pin(async {}),
                _ => Box::pin(std::future::pending()),
            }
        }
    }

    /// A policy with its own pass.
    struct Alone;

    impl EgressPolicy for Alone {
        fn own_pass(&self) -> Option<&str> {
            Some("pass")
        }

        fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
            Open.admit(pass, url)
        }

        fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
            Open.shut(pass, url)
        }
    }

    /// Takes over the connections to one host and reports what it receives on both sides.
    struct Taking;

    impl EgressPolicy for Taking {
        fn admit(&self, pass: &str, url: &Url) -> Result<Opened, Closed> {
            Open.admit(pass, url)
        }

        fn takes_over(&self, _pass: &str, url: &Url, kind: Kind) -> Option<Handler> {
            if url.path() == "/past" || url.host_str() != Some("site.test") {
                return None;
            }
            Some(Box::new(move |mut inner, outer| {
                Box::pin(async move {
                    let mut request = vec![0; 4];
                    inner.read_exact(&mut request).await.unwrap();
                    let mut there = outer.dial().await.unwrap();
                    there.write_all(b"GET /taken HTTP/1.1\r\n\r\n").await.unwrap();
                    let mut sent = Vec::new();
                    there.read_to_end(&mut sent).await.unwrap();
                    let text = format!("{kind:?} {}", String::from_utf8_lossy(&request));
                    inner.write_all(text.as_bytes()).await.unwrap();
                    inner.write_all(&sent).await.unwrap();
                    inner.shutdown().await.unwrap();
                })
            }))
        }

        fn shut<'d>(&'d self, pass: &'d str, url: &'d Url) -> BoxFuture<'d, ()> {
            Open.shut(pass, url)
        }
    }

    /// The response to a program's request.
    async fn response_to(text: String) -> String {
        response_through(&Open, text).await
    }

    async fn response_through(doorman: &dyn EgressPolicy, text: String) -> String {
        let guard = Guard::new(Arc::new(Site), Arc::new(Site), &[]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = async {
            let (inner, _) = listener.accept().await.unwrap();
            serve(inner, &guard, doorman).await;
        };
        let program = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            String::from_utf8(heard).unwrap()
        };
        tokio::join!(proxy, program).1
    }

    /// `hq:pass`
    const PASS: &str = "proxy-authorization: Basic aHE6cGFzcw==\r\n";

    #[tokio::test]
    async fn a_request_goes_to_the_host_that_was_looked_at_and_without_the_pass() {
        let heard = serving(
            |request| answer("200 OK", "", request),
            async |site| {
                response_to(format!(
                    "POST http://site.test:{}/a?b HTTP/1.1\r\nHost: other.test\r\n{PASS}X-A: 1\r\n\
                     Content-Length: 2\r\n\r\nhi",
                    site.port()
                ))
                .await
            },
        )
        .await;
        assert!(heard.contains("POST /a?b HTTP/1.1\r\nhost: site.test:"), "{heard}");
        assert!(heard.contains("X-A: 1\r\n") && heard.ends_with("\r\n\r\nhi"), "{heard}");
        assert!(!heard.contains("other.test") && !heard.contains("aHE6"), "{heard}");
    }

    #[tokio::test]
    async fn whoever_names_no_pass_has_that_of_the_port_where_it_has_one() {
        for (head, status) in [
            ("GET http://site.test:1/secret HTTP/1.1\r\n\r\n", "403"),
            ("GET http://site.test:1/ HTTP/1.1\r\n\r\n", "502"),
            ("CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", "403"),
        ] {
            let heard = response_through(&Alone, head.to_owned()).await;
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{heard}");
        }
    }

    #[tokio::test]
    async fn a_tunnel_carries_whatever_passes() {
        let heard = serving(
            |request| answer("200 OK", "", request),
            async |site| {
                response_to(format!(
                    "CONNECT site.test:{} HTTP/1.1\r\n{PASS}\r\nGET /x HTTP/1.1\r\n\r\n",
                    site.port()
                ))
                .await
            },
        )
        .await;
        assert!(heard.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK"));
        assert!(heard.contains("GET /x HTTP/1.1"), "{heard}");
    }

    #[tokio::test]
    async fn whoever_takes_a_way_over_hears_all_that_the_program_says() {
        for (head, begins, path) in [
            (
                "CONNECT site.test:{port} HTTP/1.1",
                "HTTP/1.1 200 Connection established\r\n\r\nTunnel abcdHTTP/1.1 200 OK",
                "/taken",
            ),
            ("POST http://site.test:{port}/x HTTP/1.1", "Plain POSTHTTP/1.1 200 OK", "/taken"),
            ("GET http://site.test:{port}/past HTTP/1.1", "HTTP/1.1 200 OK", "/past"),
        ] {
            let heard = serving(
                |request| answer("200 OK", "", request),
                async |site| {
                    let head = head.replace("{port}", &site.port().to_string());
                    response_through(&Taking, format!("{head}\r\n{PASS}\r\nabcd")).await
                },
            )
            .await;
            assert!(heard.starts_with(begins), "{heard}");
            assert!(heard.contains(&format!("GET {path} ")), "{heard}");
        }
        // A handler must not reach blocked destinations either.
        let guard = Guard::new(Arc::new(Site), Arc::new(NoExceptions), &[]);
        let outer = Outer { guard, url: Url::parse("https://site.test/").unwrap() };
        let refused = outer.dial().await.expect_err("it is closed");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    /// The response to a program that connects, idles and then sends `then`; empty if the connection was closed
    /// meanwhile. Time is paused while the connection idles.
    async fn said_after(idle: Duration, first: &str, then: &str) -> String {
        let guard = Guard::new(Arc::new(Site), Arc::new(Site), &[]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = async {
            let (inner, _) = listener.accept().await.unwrap();
            serve(inner, &guard, &Open).await;
        };
        let program = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            if first.starts_with("CONNECT") {
                heard.resize(ESTABLISHED.len(), 0);
                stream.read_exact(&mut heard).await.unwrap();
            }
            // The proxy now waits for the next byte.
            tokio::task::yield_now().await;
            tokio::time::pause();
            tokio::time::advance(idle).await;
            tokio::time::resume();
            // ok, both: the connection may be closed already, without a response
            let _ = stream.write_all(then.as_bytes()).await;
            let _ = stream.read_to_end(&mut heard).await;
            String::from_utf8(heard).unwrap()
        };
        tokio::join!(proxy, program).1
    }

    #[tokio::test]
    async fn an_idle_connection_serves_its_first_request_or_ends_without_a_byte() {
        for idle in [5, 9, 10, 11, 30, 59, 61, 120] {
            for (method, body) in [("GET", ""), ("POST", "hi")] {
                let (idle, open) = (Duration::from_secs(idle), idle < 60);
                let rest = format!("content-length: {}\r\n\r\n{body}", body.len());
                let heard = serving(
                    |request| answer("200 OK", "", request),
                    async |site| {
                        let port = site.port();
                        let plain =
                            format!("{method} http://site.test:{port}/a HTTP/1.1\r\n{PASS}{rest}");
                        let tunnel = format!("CONNECT site.test:{port} HTTP/1.1\r\n{PASS}\r\n");
                        let inside = format!("{method} /a HTTP/1.1\r\n{rest}");
                        [
                            said_after(idle, "", &plain).await,
                            said_after(idle, "", &format!("{tunnel}{inside}")).await,
                            said_after(idle, &tunnel, &inside).await,
                        ]
                    },
                )
                .await;
                let [plain, tunnel, inside] = heard;
                if open {
                    assert!(plain.starts_with("HTTP/1.1 200 OK"), "{idle:?} {plain}");
                    assert!(plain.contains(&format!("{method} /a ")), "{idle:?} {plain}");
                    assert!(plain.ends_with(body), "{idle:?} {plain}");
                    assert!(tunnel.starts_with(ESTABLISHED), "{idle:?} {tunnel}");
                } else {
                    assert_eq!((plain.as_str(), tunnel.as_str()), ("", ""), "{idle:?}");
                }
                // An established tunnel may stay idle as long as both sides allow.
                let inside = inside.strip_prefix(ESTABLISHED).expect("a tunnel");
                assert!(inside.starts_with("HTTP/1.1 200 OK"), "{idle:?} {inside}");
                assert!(inside.contains(&format!("{method} /a ")), "{idle:?} {inside}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_request_that_was_begun_is_answered_that_it_is_late() {
        for (begun, heard) in [("", "nothing"), ("GET http://site.te", "408")] {
            let (mut inner, mut program) = tokio::io::duplex(64);
            program.write_all(begun.as_bytes()).await.unwrap();
            let found = match head(&mut inner).await {
                Ok(None) => "nothing".to_owned(),
                Ok(Some(_)) => "a head".to_owned(),
                Err(closed) => closed.answer()[9..12].to_owned(),
            };
            assert_eq!(found, heard, "{begun}");
            // The same when the program disconnects.
            let (mut inner, mut program) = tokio::io::duplex(64);
            program.write_all(begun.as_bytes()).await.unwrap();
            drop(program);
            assert_eq!(matches!(head(&mut inner).await, Ok(None)), heard == "nothing", "{begun}");
        }
        let (mut inner, mut program) = tokio::io::duplex(2 * MAX_HEAD);
        program.write_all(&[b'a'; 2 * MAX_HEAD]).await.unwrap();
        assert_eq!(head(&mut inner).await, Err(Closed::TooLong));
    }

    #[tokio::test]
    async fn a_tunnel_is_closed_when_its_way_is_shut() {
        let heard = serving(
            |_| vec![Step::Stall],
            async |site| {
                response_to(format!("CONNECT shut.test:{} HTTP/1.1\r\n{PASS}\r\n", site.port()))
                    .await
            },
        )
        .await;
        assert_eq!(heard, ESTABLISHED);
    }

    #[tokio::test]
    async fn what_is_not_public_and_what_is_not_admitted_stays_closed() {
        for (head, status) in [
            (format!("CONNECT 127.0.0.1:443 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("CONNECT 2130706433:443 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("CONNECT [::1]:443 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("CONNECT 169.254.169.254:80 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("CONNECT inner.test:443 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("CONNECT site.test@10.0.0.1:443 HTTP/1.1\r\n{PASS}\r\n"), "400"),
            (format!("CONNECT example.com:22 HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("GET http://10.0.0.1/ HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("GET http://site.test:1/secret HTTP/1.1\r\n{PASS}\r\n"), "403"),
            (format!("GET http://site.test:1/ HTTP/1.1\r\n{PASS}\r\n"), "502"),
            (format!("GET https://site.test/ HTTP/1.1\r\n{PASS}\r\n"), "400"),
            (format!("GET / HTTP/1.1\r\n{PASS}\r\n"), "400"),
            (format!("GET http://site.test/ HTTP/1.1\r\n folded\r\n{PASS}\r\n"), "400"),
            (format!("GET http://site.test/ HTTP/2 x\r\n{PASS}\r\n"), "400"),
            ("CONNECT site.test:443 HTTP/1.1\r\n\r\n".to_owned(), "407"),
            (
                "CONNECT site.test:443 HTTP/1.1\r\nproxy-authorization: Basic eDp5\r\n\r\n"
                    .to_owned(),
                "407",
            ),
        ] {
            let heard = response_to(head.clone()).await;
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{heard}");
            let (before, body) = heard.split_once("\r\n\r\n").expect("a head");
            assert!(before.contains(&format!("content-length: {}\r\n", body.len())), "{heard}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_passed_on_is_one_head_to_one_host(
            first in "(CONNECT|GET|POST|[A-Z]{0,3}) (http://)?[ -~\r\n]{0,30} HTTP/1\\.[01]",
            lines in proptest::collection::vec("[!-~]{0,6}:?[ -~\r\n]{0,12}", 0..4),
        ) {
            let head = format!("{first}\r\n{}\r\n\r\n", lines.join("\r\n"));
            if let Ok(request) = EgressRequest::read(&head) {
                let (out, host) = (request.forwarded(), request.url.host_str().unwrap_or_default());
                prop_assert!(out.ends_with("connection: close\r\n\r\n"));
                prop_assert_eq!(out.matches("\r\n\r\n").count(), 1);
                let hosts = out.lines().filter(|line| line.to_lowercase().starts_with("host:"));
                prop_assert_eq!(hosts.count(), 1);
                prop_assert!(out.contains(host));
            }
        }
    }

    #[test]
    fn nothing_that_comes_makes_it_panic() {
        for head in ["", "\r\n\r\n", "CONNECT  HTTP/1.1\r\n\r\n", "A B HTTP/1.1\r\n:\r\n\r\n"] {
            assert!(EgressRequest::read(head).is_err(), "{head}");
        }
        let guard = Guard::new(Arc::new(Site), Arc::new(NoExceptions), &[]);
        let request = EgressRequest::read("CONNECT site.test:80 HTTP/1.1\r\n\r\n").unwrap();
        assert!(guard.check_url(&request.url).is_ok() && request.pass().is_none());
    }
}
