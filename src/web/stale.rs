//! `If-Match` on changes. A route that ignores the header rejects it. A conflict response contains the submitted
//! change and the current record.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kernel::ProblemKind;
use serde_json::Value;

use crate::error::{ApiError, Failure};

/// Maximum size in bytes of the record and of the change in a conflict response.
const MAX_CARRIED: usize = 16 * 1024;

/// Rejects `If-Match` on routes without ETags: no tag can match.
pub(crate) fn unheeded(request: &Request) -> Option<Response> {
    let sent = request.headers().get(IF_MATCH)?;
    if sent.as_bytes().trim_ascii() == b"*" {
        return None;
    }
    let text = "this record has no ETag; omit If-Match, and read the record again before you \
                change it";
    Some(ApiError(Failure::new(ProblemKind::Stale, "no_etag", text)).into_response())
}

/// A change with `If-Match`, kept for the conflict response.
pub(crate) struct Change {
    sent: Option<Value>,
    show: Request,
}

impl Change {
    /// Keeps a change for a conflict response; `None` without `If-Match`.
    pub(crate) async fn of(request: Request) -> (Request, Option<Self>) {
        if !request.headers().contains_key(IF_MATCH) {
            return (request, None);
        }
        let (parts, body) = request.into_parts();
        let mut show = Request::new(Body::empty());
        *show.method_mut() = Method::GET;
        *show.uri_mut() = parts.uri.clone();
        *show.headers_mut() = parts.headers.clone();
        *show.extensions_mut() = parts.extensions.clone();
        for header in [IF_MATCH, CONTENT_TYPE, CONTENT_LENGTH] {
            show.headers_mut().remove(header);
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let is_small = length.and_then(|length| length.parse::<usize>().ok());
        if is_small.is_none_or(|length| MAX_CARRIED < length) {
            return (Request::from_parts(parts, body), Some(Self { sent: None, show }));
        }
        // ok: an unreadable body is rejected as an empty one.
        let bytes = to_bytes(body, MAX_CARRIED).await.unwrap_or_default();
        let sent = serde_json::from_slice(&bytes).ok();
        (Request::from_parts(parts, Body::from(bytes)), Some(Self { sent, show }))
    }

    /// Adds the submitted change (`sent`) and the current record (`now`) to the conflict response, with the record's
    /// ETag.
    pub(crate) async fn with_conflict_details(
        self,
        refused: Response,
        show: impl AsyncFnOnce(Request) -> Response,
    ) -> Response {
        let (mut parts, body) = refused.into_parts();
        let problem = to_bytes(body, MAX_CARRIED).await.unwrap_or_default();
        let Ok(Value::Object(mut problem)) = serde_json::from_slice(&problem) else {
            return (parts, problem).into_response();
        };
        let now = show(self.show).await;
        if now.status() == StatusCode::OK {
            let (head, body) = now.into_parts();
            // ok: a larger record must be requested separately.
            let bytes = to_bytes(body, MAX_CARRIED).await.unwrap_or_default();
            if let Ok(now) = serde_json::from_slice::<Value>(&bytes) {
                // A field that the record does not show, such as a key, is never returned.
                let shown = |sent: Value| match sent {
                    Value::Object(fields) => {
                        fields.into_iter().filter(|(name, _)| now.get(name).is_some()).collect()
                    }
                    _ => Value::Null,
                };
                problem.extend(self.sent.map(|sent| ("sent".to_owned(), shown(sent))));
                problem.insert("now".to_owned(), now);
                parts.headers.extend(head.headers.get(ETAG).map(|tag| (ETAG, tag.clone())));
            }
        }
        let bytes = Value::Object(problem).to_string();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        (parts, bytes).into_response()
    }
}
