//! ETags of records: the sequence number of the transaction that last wrote the record. They prevent lost updates.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderValue, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::ApiError;

/// The revision in `If-Match`; `None` without the header or with `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Option<u64>);

impl IfMatch {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inner.and_then(|rev| rev.parse().ok()) {
            Some(rev) => Ok(Self(Some(rev))),
            None => Err(ApiError::invalid(
                "If-Match",
                "send the record's ETag exactly as you received it, such as \"42\"",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

/// A record as JSON with its revision as ETag.
pub struct Tagged<T> {
    /// HTTP status.
    pub status: StatusCode,
    /// Sequence number of the transaction that last wrote the record.
    pub rev: u64,
    /// The record in API format.
    pub body: T,
}

impl<T> Tagged<T> {
    /// A found or changed record (200).
    pub fn ok(rev: u64, body: T) -> Self {
        Self { status: StatusCode::OK, rev, body }
    }

    /// A created record (201).
    pub fn created(rev: u64, body: T) -> Self {
        Self { status: StatusCode::CREATED, rev, body }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        with_etag((self.status, axum::Json(self.body)).into_response(), self.rev)
    }
}

/// Sets the ETag of a response.
pub fn with_etag(mut response: Response, rev: u64) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{rev}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{IfMatch, Tagged};
    use axum::http::HeaderMap;
    use axum::response::IntoResponse;

    #[test]
    fn a_tag_comes_back_as_it_went_out() {
        let answer = Tagged::ok(42, "x").into_response();
        let tag = answer.headers()["etag"].clone();
        assert_eq!(tag, "\"42\"");
        let mut headers = HeaderMap::new();
        assert_eq!(IfMatch::of(&headers).unwrap(), IfMatch(None));
        headers.insert("if-match", tag);
        assert_eq!(IfMatch::of(&headers).unwrap(), IfMatch(Some(42)));
        headers.insert("if-match", "*".parse().unwrap());
        assert_eq!(IfMatch::of(&headers).unwrap(), IfMatch(None));
        headers.insert("if-match", "W/\"42\"".parse().unwrap());
        assert!(IfMatch::of(&headers).is_err());
    }
}
