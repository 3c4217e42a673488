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

/// How many bytes more give a client another second.
const BYTES_A_SECOND: u64 = 16 * 1024;

/// The rest of the body did not come.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct Late;

/// The layer: whatever reads the body is cut off after this time, and the answer is 408, be it read as
/// a form, as JSON or as bytes.
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
        "the body of the request did not arrive within {} seconds; send it again, faster or in \
         smaller pieces",
        within.as_secs().max(1)
    );
    let failure = Failure::new(ProblemKind::Slow, "body_timeout", text);
    let mut response = match api {
        true => ApiError(failure).into_response(),
        false => PageError(failure).into_response(),
    };
    // The rest may still come, and is no request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same body, which ends with an error at this moment, or later as more has come, and notes that
/// it did.
fn timed(body: Body, until: Instant, late: Arc<AtomicBool>) -> Body {
    let pieces = Some((body.into_data_stream(), 0u64));
    // Fused: whoever reads a body by hand may ask again after its end.
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
