//! Handles request bodies that were not read before the response. A small rest is read and discarded, so that the
//! connection can be reused. With a larger rest, the connection is closed, and the response announces it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;

/// Maximum number of bytes that are read and discarded.
const LITTLE: u64 = 64 * 1024;
/// How long to wait for the rest.
const WITHIN: Duration = Duration::from_secs(1);

/// The unread rest of a body.
type Rest<B> = Arc<Mutex<Option<B>>>;

/// A body that is returned to its owner when the reader drops it.
struct Lent<B> {
    body: Option<B>,
    rest: Rest<B>,
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        *self.rest.lock() = self.body.take();
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Lent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

/// The body of a request in progress.
pub struct Unread<B = Incoming> {
    rest: Rest<B>,
    /// Whether the client sends the body only after `100 Continue`.
    waits: bool,
}

/// Passes a request on and keeps access to its body.
pub fn lend<B>(request: Request<B>) -> (Request<Body>, Option<Unread<B>>)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.body().is_end_stream() {
        return (request.map(Body::new), None);
    }
    let waits = request.headers().contains_key(EXPECT);
    let unread = Unread { rest: Rest::default(), waits };
    let rest = Arc::clone(&unread.rest);
    (request.map(|body| Body::new(Lent { body: Some(body), rest })), Some(unread))
}

impl<B: HttpBody<Data = Bytes> + Unpin> Unread<B> {
    /// Discards the rest of the body, or announces that the connection is closed.
    pub async fn settle(self, mut response: Response<Body>) -> Response<Body> {
        // A handler with a streaming response may still be reading.
        let Some(rest) = self.rest.lock().take() else { return response };
        if rest.is_end_stream() || response.headers().contains_key(CONNECTION) {
            return response;
        }
        if self.waits || !dropped(rest).await {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Reads and discards a body. Returns `false` if it is too long or too slow.
async fn dropped<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) -> bool {
    if LITTLE < body.size_hint().lower() {
        return false;
    }
    let all = async {
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if LITTLE < read {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(WITHIN, all).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::{LITTLE, lend};
    use axum::body::Body;
    use axum::http::header::CONNECTION;
    use axum::http::{Request, Response};
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    /// The `Connection` header of the response to a body of `sent` bytes.
    async fn connection_header(sent: u64, reads: bool) -> Option<String> {
        let pieces = (0..sent.div_ceil(1024)).map(|_| Ok::<_, std::io::Error>(vec![7; 1024]));
        let request = Request::new(Body::from_stream(stream::iter(pieces)));
        let (request, unread) = lend(request);
        match reads {
            true => drop(request.into_body().collect().await.expect("a body")),
            false => drop(request),
        }
        let unread = unread.expect("it has a body");
        let response = unread.settle(Response::new(Body::empty())).await;
        response.headers().get(CONNECTION).map(|word| word.to_str().expect("plain").to_owned())
    }

    #[tokio::test]
    async fn a_small_rest_is_dropped_and_a_large_one_ends_the_connection() {
        assert_eq!(connection_header(100, false).await, None);
        assert_eq!(connection_header(LITTLE, false).await, None);
        assert_eq!(connection_header(4 * LITTLE, false).await.as_deref(), Some("close"));
        assert_eq!(connection_header(4 * LITTLE, true).await, None);
        assert!(lend(Request::new(Body::empty())).1.is_none());
    }
}
