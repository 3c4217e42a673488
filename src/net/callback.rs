//! Loopback endpoint to which a browser is redirected after a sign-in. It accepts one request per connection, parses
//! its first line and responds with a sentence. The caller decides whether to trust the request.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

/// Time limit for the browser to send its request, and to read the response.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of request bytes to read.
const MOST: usize = 16 * 1024;

/// The port of a loopback redirect URL; `None` for any other URL.
#[must_use]
pub fn port_of(redirect: &str) -> Option<u16> {
    let url = Url::parse(redirect).ok()?; // ok: an invalid URL is not on this machine
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
    (url.scheme() == "http" && here).then(|| url.port()).flatten()
}

/// Listens for browsers.
#[derive(Debug)]
pub struct Callback(TcpListener);

impl Callback {
    /// Listens on a port of the loopback interface.
    ///
    /// # Errors
    /// If the port is in use.
    pub async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map(Self)
    }

    /// Waits for the next browser request. Connections without a timely request are ignored.
    ///
    /// # Errors
    /// If the system accepts no more connections.
    pub async fn next(&self) -> io::Result<Caller> {
        loop {
            let (stream, _) = self.0.accept().await?;
            if let Ok(Some(caller)) = timeout(PATIENCE, read(stream)).await {
                return Ok(caller);
            }
        }
    }
}

/// A browser that waits for a response.
#[derive(Debug)]
pub struct Caller {
    stream: TcpStream,
    target: String,
}

impl Caller {
    /// Path and query of the request.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Responds with a sentence and closes the connection. Delivery failures are ignored.
    pub async fn say(mut self, status: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>HQ</title><p>{text}</p></html>"
        );
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
             content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n\
             cache-control: no-store\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let exchange = async {
            self.stream.write_all(head.as_bytes()).await?;
            self.stream.write_all(body.as_bytes()).await?;
            self.stream.shutdown().await
        };
        // ok: the browser may have disconnected.
        let _ = timeout(PATIENCE, exchange).await;
    }
}

/// Reads a request; `None` if it is not a plain GET request.
async fn read(mut stream: TcpStream) -> Option<Caller> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut piece).await.ok()?; // ok: a disconnected browser makes no request
        if count == 0 || MOST < head.len() {
            return None;
        }
        head.extend_from_slice(&piece[..count]);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    target.starts_with('/').then_some(Caller { stream, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_of_this_machine_are_listened_on() {
        assert_eq!(port_of("http://localhost:1455/auth/callback"), Some(1_455));
        assert_eq!(port_of("http://127.0.0.1:99/cb"), Some(99));
        for other in
            ["https://localhost:1455/", "http://localhost/cb", "http://hq.example:1455/", ""]
        {
            assert_eq!(port_of(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_browser_is_heard_and_answered() {
        let place = Callback(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port"));
        let address = place.0.local_addr().expect("an address");
        let browser = async {
            // A nonsensical request is ignored.
            let mut odd = TcpStream::connect(address).await.expect("a connection");
            odd.write_all(b"POST / HTTP/1.1\r\n\r\n").await.expect("sent");
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(b"GET /cb?code=a HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
            let mut response = String::new();
            stream.read_to_string(&mut response).await.expect("an answer");
            response
        };
        let here = async {
            let caller = place.next().await.expect("a browser");
            let target = caller.target().to_owned();
            caller.say("200 OK", "Done <b>").await;
            target
        };
        let (response, target) = tokio::join!(browser, here);
        assert_eq!(target, "/cb?code=a");
        assert!(
            response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("Done &lt;b>"),
            "{response}"
        );
    }
}
