//! Conditional responses for live regions. Each region has an ETag of its content. A request with a matching tag gets
//! 204.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::error::{Failure, PageError};
use crate::hx::Hx;

/// Middleware for all pages.
pub async fn layer(request: Request, next: Next) -> Response {
    let asks = *request.method() == Method::GET && Hx::from_headers(request.headers()).is_partial();
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    match asks && is_region(&response) {
        true => with_body_etag(response, known.as_ref()).await,
        false => response,
    }
}

/// Whether a response is complete, unstreamed HTML.
fn is_region(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    response.status() == StatusCode::OK
        && kind.starts_with(b"text/html")
        && response.body().size_hint().exact().is_some()
}

async fn with_body_etag(response: Response, known: Option<&HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            return PageError(Failure::internal(format!("a region broke off: {error}")))
                .into_response();
        }
    };
    let hash = Sha256::digest(&body);
    let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", hex::encode(&hash[..8]))) else {
        return Response::from_parts(parts, Body::from(body));
    };
    if known == Some(&tag) {
        parts.status = StatusCode::NO_CONTENT;
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    parts.headers.insert(ETAG, tag);
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::StatusCode;

    use super::{is_region, with_body_etag};
    use crate::html;

    fn region(words: &str) -> axum::response::Response {
        html::answer(StatusCode::OK, format!("<p id=\"x\">{words}</p>"))
    }

    #[tokio::test]
    async fn a_region_asked_again_by_its_tag_is_empty_until_it_says_something_else() {
        assert!(is_region(&region("one")));
        let first = with_body_etag(region("one"), None).await;
        let tag = first.headers()["etag"].clone();
        let body = to_bytes(first.into_body(), 1_000).await.expect("a body");
        assert_eq!(&body[..], b"<p id=\"x\">one</p>");
        let repeated = with_body_etag(region("one"), Some(&tag)).await;
        assert_eq!(repeated.status(), StatusCode::NO_CONTENT);
        assert!(repeated.headers().get("content-type").is_none());
        let changed = with_body_etag(region("two"), Some(&tag)).await;
        assert_eq!(changed.status(), StatusCode::OK);
        assert_ne!(changed.headers()["etag"], tag);
    }
}
