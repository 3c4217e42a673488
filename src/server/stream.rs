//! Relays event streams outside the HTTP library once the response head is known. The library would hold two buffers
//! of 8 KiB per open page, and pages are open all day. The relay writes chunks (chunked transfer coding, RFC 9112,
//! section 7.1) until one side ends.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::http::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue, TRANSFER_ENCODING};
use axum::http::{Method, Request, StatusCode, Version};
use axum::response::Response;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Notify;

use kernel::time::{Clock as _, SystemClock};

/// Whether the response to this request may be relayed outside the library.
pub(super) fn may_leave<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11 && matches!(*request.method(), Method::GET | Method::POST)
}

/// Whether a response is an event stream.
pub(super) fn is_one(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    response.status() == StatusCode::OK && kind.starts_with(b"text/event-stream")
}

/// Passes a response out of the library.
#[derive(Clone, Default)]
pub(super) struct Hatch(Arc<(Mutex<Option<Response>>, Notify)>);

impl Hatch {
    /// Hands over a response. Never resolves, so the library does not see the response.
    pub(super) async fn hand_over(self, response: Response) -> Response {
        let (place, put) = &*self.0;
        *place.lock() = Some(response);
        put.notify_one();
        std::future::pending().await
    }

    /// Waits for the response that was handed over.
    pub(super) async fn left(&self) -> Response {
        let (place, put) = &*self.0;
        loop {
            put.notified().await;
            if let Some(response) = place.lock().take() {
                return response;
            }
        }
    }
}

/// Whether the client has not read the whole previous response, because it sent the next request early (pipelining).
/// The library holds the rest.
#[derive(Clone)]
pub(super) struct Behind(Arc<AtomicBool>);

impl Behind {
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that tracks whether the client is behind.
pub(super) struct Watched<S> {
    stream: S,
    behind: Behind,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Behind) {
        let behind = Behind(Arc::new(AtomicBool::new(false)));
        (Self { stream, behind: behind.clone() }, behind)
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        // The library writes until everything is sent or the socket is full, and only then reads.
        self.behind.0.store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Writes a response until it ends or the client disconnects.
///
/// # Errors
/// When the client stops reading or the body fails. The missing last chunk then tells the client that the response is
/// incomplete.
pub(super) async fn relay<S>(mut stream: S, response: Response) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (head, mut body) = begin(response)?;
    stream.write_all(&head).await?;
    drop(head);
    let mut ignored = [0; 64];
    loop {
        let piece = tokio::select! {
            // Data that the client sends after a stream request is ignored; only its end counts.
            read = stream.read(&mut ignored) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
            piece = body.frame() => piece,
        };
        let Some(piece) = piece else { break };
        let Ok(bytes) = piece.map_err(io::Error::other)?.into_data() else { continue };
        // An empty chunk would end the body.
        if !bytes.is_empty() {
            let mut out = Vec::with_capacity(bytes.len() + 20);
            write!(out, "{:x}\r\n", bytes.len())?;
            out.extend_from_slice(&bytes);
            out.extend_from_slice(b"\r\n");
            stream.write_all(&out).await?;
        }
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.shutdown().await
}

/// The encoded response head, and the body.
fn begin(response: Response) -> io::Result<(Vec<u8>, axum::body::Body)> {
    let (mut parts, body) = response.into_parts();
    let now = SystemClock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let now = HeaderValue::from_str(&now).map_err(io::Error::other)?;
    parts.headers.entry(DATE).or_insert(now);
    parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::response::Response;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use crate::listen::{Front, connection};
    use web::session::Peer;
    use web::sse;

    type Pieces = mpsc::UnboundedSender<&'static str>;

    /// Opens a connection to a server with one stream. Returns the connection, the sender of the stream's data, the
    /// stop token and the server task.
    fn open(room: usize) -> (DuplexStream, Pieces, CancellationToken, tokio::task::JoinHandle<()>) {
        let (say, receiver) = mpsc::unbounded_channel::<&'static str>();
        let receiver = std::sync::Arc::new(parking_lot::Mutex::new(Some(receiver)));
        let stream = move || {
            let receiver = receiver.lock().take().expect("asked once");
            let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
                receiver.recv().await.map(|piece| (Bytes::from(piece), receiver))
            });
            async move { sse::respond(pieces) }
        };
        let long = || async { Response::new(Body::from("#".repeat(5_000))) };
        let broken = || async {
            let pieces = [Ok("half"), Err(std::io::Error::other("gone"))];
            let mut response = Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
            let kind = axum::http::HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert("content-type", kind);
            Ok::<_, Infallible>(response)
        };
        let front = Front::default();
        let router = Router::new().route("/stream", get(stream));
        front.open(router.route("/long", get(long)).route("/broken", get(broken)));
        let (client, server) = duplex(room);
        let stop = CancellationToken::new();
        let served = connection(
            server,
            Peer::Net([127, 0, 0, 1].into()),
            front,
            stop.clone(),
            Duration::from_secs(30),
        );
        (client, say, stop, tokio::spawn(served))
    }

    async fn ask(client: &mut DuplexStream, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: hq\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
    }

    async fn read_until(client: &mut DuplexStream, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = client.read_u8().await.unwrap_or_else(|_| panic!("it ended with {text}"));
            text.push(char::from(byte));
        }
        text
    }

    #[tokio::test]
    async fn a_stream_goes_on_in_pieces_until_it_ends() {
        let (mut client, say, _stop, served) = open(64 * 1024);
        ask(&mut client, "/stream").await;
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for line in ["content-type: text/event-stream", "transfer-encoding: chunked", "date: "] {
            assert!(head.contains(line), "{line} in {head}");
        }
        say.send(":\n\n").unwrap();
        assert_eq!(read_until(&mut client, ":\n\n\r\n").await, "3\r\n:\n\n\r\n");
        say.send("").unwrap();
        say.send("data: twenty-five bytes\n\n").unwrap();
        let piece = "19\r\ndata: twenty-five bytes\n\n\r\n";
        assert_eq!(read_until(&mut client, "\n\n\r\n").await, piece, "nothing of the empty one");
        drop(say);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "0\r\n\r\n");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_stream() {
        let (mut client, say, _stop, served) = open(64 * 1024);
        ask(&mut client, "/stream").await;
        read_until(&mut client, "\r\n\r\n").await;
        client.write_all(b"what nobody hears").await.unwrap();
        say.send(":\n\n").unwrap();
        read_until(&mut client, ":\n\n\r\n").await;
        drop(client);
        served.await.unwrap();
        assert!(say.is_closed(), "whoever tells it is let go");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_has_no_last_piece() {
        let (mut client, _say, _stop, served) = open(64 * 1024);
        ask(&mut client, "/broken").await;
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        assert!(all.ends_with("4\r\nhalf\r\n"), "{all}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_asks_ahead_gets_both_answers_whole() {
        // The first response does not fit, so it is still pending when the stream is requested.
        let (mut client, say, _stop, _served) = open(512);
        let two = "GET /long HTTP/1.1\r\nhost: hq\r\n\r\nGET /stream HTTP/1.1\r\nhost: hq\r\n\r\n";
        client.write_all(two.as_bytes()).await.unwrap();
        say.send("data: both\n\n").unwrap();
        let all = read_until(&mut client, "data: both\n\n\r\n").await;
        assert_eq!(all.matches('#').count(), 5_000);
        assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "{all}");
    }

    #[tokio::test]
    async fn what_is_answered_before_a_stream_on_the_same_connection_is_no_stream() {
        let (mut client, say, stop, served) = open(64 * 1024);
        ask(&mut client, "/long").await;
        let first = read_until(&mut client, "\r\n\r\n").await;
        assert!(first.contains("content-length: 5000"), "{first}");
        let mut body = vec![0; 5_000];
        client.read_exact(&mut body).await.unwrap();
        ask(&mut client, "/stream").await;
        read_until(&mut client, "\r\n\r\n").await;
        // The process stops: streams end by themselves.
        stop.cancel();
        drop(say);
        assert_eq!(read_until(&mut client, "0\r\n\r\n").await, "0\r\n\r\n");
        served.await.unwrap();
    }
}
