//! A server on the loopback interface that answers as a test tells it to.

use std::net::SocketAddr;
use std::pin::pin;

use futures_util::future::{self, Either};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does next on a connection.
pub enum Step {
    /// Sends these bytes at once.
    Send(Vec<u8>),
    /// Sends nothing more and keeps the connection.
    Stall,
    /// Keeps this connection, for [`Step::Push`], and serves the next one.
    Hold,
    /// Sends these bytes on the connection that was kept last.
    Push(Vec<u8>),
    /// Ends all connections that were kept.
    Cut,
}

/// A plain answer with a body.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// Runs `client` beside a server that answers each request (its head and body as text) by `script`.
pub async fn serving<T>(
    script: impl Fn(&str) -> Vec<Step>,
    client: impl AsyncFnOnce(SocketAddr) -> T,
) -> T {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = pin!(async move {
        let mut held: Vec<TcpStream> = Vec::new();
        'connections: loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let Some(request) = read_request(&mut connection).await else { continue };
            for step in script(&request) {
                match step {
                    Step::Send(bytes) => {
                        // A client that has seen enough is free to go.
                        if connection.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                    Step::Stall => future::pending().await,
                    Step::Hold => {
                        held.push(connection);
                        continue 'connections;
                    }
                    Step::Push(bytes) => {
                        let last = held.last_mut().expect("a connection that was kept");
                        if last.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                    Step::Cut => held.clear(),
                }
            }
        }
    });
    match future::select(pin!(client(address)), server).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    }
}

async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = connection.read(&mut piece).await.ok()?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.parse().unwrap());
            if length <= body.len() {
                return Some(text);
            }
        }
        if count == 0 {
            return None;
        }
    }
}
