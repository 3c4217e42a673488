//! Limits how slowly a request body may arrive, so that a slow client cannot hold a connection and its waiting handler.
//! Large files get more time at a minimum rate. Responses are not limited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::error::{ApiError, Failure, PageError};
use crate::routes::is_api;
use kernel::ProblemKind;

/// Each block of this many bytes extends the deadline by one second.
const BYTES_A_SECOND: u64 = 16 * 1024;

/// Error: the body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct Late;

/// Middleware that cuts off a slow request body and responds 408, however the handler reads the body.
pub async fn limit(State(within): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let api = is_api(request.uri().path());
    let late = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| timed(body, Instant::now() + within, Arc::clone(&late)));
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    let text = format!(
        "the request body did not arrive within {} seconds; send it again, faster or in smaller \
         pieces",
        within.as_secs().max(1)
    );
    let failure = Failure::new(ProblemKind::Slow, "body_timeout", text);
    let mut response = match api {
        true => ApiError(failure).into_response(),
        false => PageError(failure).into_response(),
    };
    // The rest of the body may still arrive and must not be read as a request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Wraps a body so that it fails after a deadline, which received data extends. Sets `late` on failure.
fn timed(body: Body, until: Instant, late: Arc<AtomicBool>) -> Body {
    let pieces = Some((body.into_data_stream(), 0u64));
    // Fused: code that reads a body manually may poll it again after its end.
    let timed = stream::unfold(pieces, move |pieces| {
        let late = Arc::clone(&late);
        async move {
            let (mut pieces, came) = pieces?;
            let until = until + Duration::from_secs(came / BYTES_A_SECOND);
            match timeout_at(until, pieces.next()).await {
                Ok(piece) => piece.map(|piece| {
                    let more = piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    (piece, Some((pieces, came + more)))
                }),
                Err(_) => {
                    late.store(true, Ordering::Relaxed);
                    Some((Err(axum::Error::new(Late)), None))
                }
            }
        }
    });
    Body::from_stream(timed.fuse())
}
