//! The transport HTTP+SSE of version 2024-11-05 as two streams of lines: what the server's event stream brings, and
//! messages that go to its endpoint, each by a POST of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use net::client::Body;
use net::error::NetError;
use net::guard;
use net::sse::{SseEvent, SseParser};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ask::MAX_MESSAGE;
use super::error::McpError;
use super::stdio::Failures;

/// POSTs at the same time.
const MAX_POSTS: usize = 64;

/// Sends one message.
pub(super) type Post = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<(), McpError>> + Send>;

/// A POST, with the id of the request in it.
type Running = BoxFuture<'static, (Option<u64>, Result<(), McpError>)>;

/// Reads up to the first event, which has to name the endpoint. Returns `None` for other streams.
pub(super) async fn begin(body: Body) -> Result<Option<(String, Events)>, McpError> {
    let mut pieces: BoxStream<'static, Result<Bytes, NetError>> = Box::pin(body.stream());
    let mut parser = SseParser::for_events_of(MAX_MESSAGE);
    while let Some(piece) = pieces.next().await {
        let found = parser.push(&piece?);
        let mut found = found.map_err(|_| McpError::TooLarge { limit: MAX_MESSAGE })?.into_iter();
        let Some(first) = found.next() else { continue };
        if first.name != "endpoint" {
            return Ok(None);
        }
        let mut events = Events { pieces, parser, lines: Vec::new(), read: 0 };
        events.take(found);
        return Ok(Some((first.data, events)));
    }
    Ok(None)
}

/// The address for messages. The server's headers are sent there too, so it must have the origin of the server's address.
/// `answered` is the address that has answered.
pub(super) fn endpoint(address: &str, answered: &str, text: &str) -> Result<String, McpError> {
    let broken = |detail: String| McpError::Protocol { was_sent: false, detail };
    let own = guard::parse(address).map_err(NetError::from)?;
    let base = guard::parse(answered).map_err(NetError::from)?;
    let endpoint = base.join(text.trim());
    let endpoint =
        endpoint.map_err(|err| broken(format!("its endpoint isn't an address: {err}")))?;
    if endpoint.origin() != own.origin() {
        return Err(broken("its endpoint has another origin than its address".to_owned()));
    }
    Ok(endpoint.into())
}

/// The messages of an event stream, one per line.
pub(super) struct Events {
    pieces: BoxStream<'static, Result<Bytes, NetError>>,
    parser: SseParser,
    lines: Vec<u8>,
    /// Bytes of `lines` that were read.
    read: usize,
}

impl Events {
    fn take(&mut self, events: impl Iterator<Item = SseEvent>) {
        for event in events.filter(|event| event.name == "message") {
            // JSON has line ends only where a space may be as well.
            self.lines.extend(event.data.replace('\n', " ").as_bytes());
            self.lines.push(b'\n');
        }
    }
}

impl AsyncRead for Events {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.read == this.lines.len() {
            this.lines = Vec::new();
            this.read = 0;
            let Some(piece) = ready!(this.pieces.poll_next_unpin(cx)) else {
                return Poll::Ready(Ok(()));
            };
            let piece = piece.map_err(io::Error::other)?;
            let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
            let events = this.parser.push(&piece).map_err(too_large)?;
            this.take(events.into_iter());
        }
        let rest = &this.lines[this.read..];
        let count = rest.len().min(space.remaining());
        space.put_slice(&rest[..count]);
        this.read += count;
        Poll::Ready(Ok(()))
    }
}

/// Takes one message per write and sends it beside those before: some servers accept a request only when they have
/// carried it out, and wait for further messages until then. A request that fails is recorded.
pub(super) struct Posts {
    post: Post,
    running: FuturesUnordered<Running>,
    failures: Failures,
    /// The server no longer knows the stream.
    is_lost: bool,
}

impl Posts {
    pub fn new(post: Post, failures: Failures) -> Posts {
        Posts { post, running: FuturesUnordered::new(), failures, is_lost: false }
    }

    /// Sends what can be sent now.
    fn advance(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some((id, result))) = self.running.poll_next_unpin(cx) {
            let Err(mut err) = result else { continue };
            if matches!(err, McpError::Status { status: 404, .. }) {
                self.is_lost = true;
                let detail = "it no longer knows the session".to_owned();
                err = McpError::Closed { was_sent: false, detail };
            }
            match id {
                Some(id) => self.failures.lock().push((id, err)),
                None => tracing::debug!(error = %err, "A message didn't reach an MCP server"),
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.is_lost {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => Ok(()),
        }
    }
}

impl AsyncWrite for Posts {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        line: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.advance(cx);
        this.check()?;
        if MAX_POSTS <= this.running.len() {
            return Poll::Pending;
        }
        let message = line.trim_ascii_end();
        let (id, sent) = (request_id(message), (this.post)(message.to_vec()));
        this.running.push(Box::pin(async move { (id, sent.await) }));
        // A failure shows with the next write: the message may have been carried out.
        this.advance(cx);
        Poll::Ready(Ok(line.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.advance(cx);
        this.check()?;
        match this.running.is_empty() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// The id of a request of the client.
fn request_id(message: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Head {
        id: u64,
        method: String,
    }
    // ok: other messages get no answer
    let head: Head = serde_json::from_slice(message).ok()?;
    (!head.method.is_empty()).then_some(head.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_has_the_origin_of_the_address() {
        let address = "https://a.example/mcp/sse?key=1";
        for (text, expected) in [
            ("/messages?id=1", "https://a.example/messages?id=1"),
            ("messages", "https://a.example/mcp/messages"),
            ("https://a.example:443/messages", "https://a.example/messages"),
        ] {
            assert_eq!(endpoint(address, address, text).unwrap(), expected);
        }
        for text in [
            "https://b.example/messages",
            "//b.example/messages",
            "http://a.example/messages",
            "https://a.example:8443/messages",
            "data:,a",
        ] {
            let err = endpoint(address, address, text).unwrap_err();
            assert!(matches!(err, McpError::Protocol { was_sent: false, .. }), "{text} {err:?}");
        }
        // A redirect to another origin doesn't change it.
        let err = endpoint(address, "https://b.example/sse", "/messages").unwrap_err();
        assert!(matches!(err, McpError::Protocol { .. }), "{err:?}");
    }

    #[test]
    fn only_requests_of_the_client_have_an_id() {
        assert_eq!(request_id(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#), Some(7));
        for other in [
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
        ] {
            assert_eq!(request_id(other.as_bytes()), None, "{other}");
        }
    }
}
