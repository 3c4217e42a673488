//! Errors in the format of the OpenAI API.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use kernel::{Problem, ProblemKind};
use web::error::Failure;
use web::extract::{InputError, object};

/// Header by which the server tells official clients whether to retry.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Size limit of a problem response that is converted, in bytes.
const MAX_PROBLEM: usize = 256 * 1024;

/// An error in the OpenAI format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable error code.
    pub code: String,
    /// The invalid request field.
    pub param: Option<String>,
    /// What is wrong and how to fix it.
    pub message: String,
    /// Whether a retry may succeed.
    pub retry: Again,
    /// Seconds until a retry can succeed, if known.
    pub after: Option<u64>,
}

/// Clients ignore a longer wait and retry much sooner, in vain.
const PATIENCE: u64 = 60;

/// Whether a retry helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// A retry may succeed.
    Later,
    /// The same request fails again.
    Never,
}

impl ChatError {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let retry = match status.as_u16() {
            429 | 502 | 503 => Again::Later,
            _ => Again::Never,
        };
        let (code, message) = (code.to_owned(), message.into());
        Self { status, code, param: None, message, retry, after: None }
    }

    /// Sets the seconds until a retry can succeed.
    pub fn ends_in(self, seconds: u64) -> Self {
        let retry = if seconds <= PATIENCE { self.retry } else { Again::Never };
        Self { retry, after: Some(seconds), ..self }
    }

    /// An invalid request.
    pub fn invalid(param: &str, message: impl Into<String>) -> Self {
        let new = Self::new(StatusCode::BAD_REQUEST, "invalid_request", message);
        Self { param: Some(param.to_owned()), ..new }
    }

    /// Marks a retry as useless.
    pub fn for_good(self) -> Self {
        Self { retry: Again::Never, ..self }
    }

    /// The response body.
    pub fn body(&self) -> Value {
        let Self { status, code, param, message, .. } = self;
        json!({ "error": {
            "message": message, "type": kind(*status), "code": code, "param": param,
        }})
    }
}

impl<E: Problem> From<E> for ChatError {
    fn from(error: E) -> Self {
        Self::of(Failure::of(&error))
    }
}

impl ChatError {
    /// Converts a failure.
    pub(super) fn of(failure: Failure) -> Self {
        let status = match failure.kind {
            ProblemKind::Invalid => StatusCode::BAD_REQUEST,
            ProblemKind::Full => StatusCode::SERVICE_UNAVAILABLE,
            kind => StatusCode::from_u16(kind.status()).unwrap_or_default(),
        };
        let param = failure.fields.into_iter().next().map(|field| field.field);
        Self { param, ..Self::new(status, &failure.code, failure.detail) }
    }
}

/// Parses a request body.
///
/// # Errors
/// Names the invalid field.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ChatError> {
    object(body).map_err(|InputError { field, message }| {
        let field = if field.is_empty() { "body" } else { &field };
        ChatError::invalid(field, format!("the request body is invalid: {message}"))
    })
}

/// The error type for a status.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 | 410 => "not_found_error",
        409 | 412 => "conflict_error",
        429 => "rate_limit_error",
        503 => "service_unavailable",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

impl IntoResponse for ChatError {
    fn into_response(self) -> Response {
        let body = self.body().to_string();
        let mut response =
            (self.status, [(CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        } else if matches!(self.status.as_u16(), 429 | 503) && self.retry == Again::Later {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if self.retry == Again::Never {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

/// Middleware that converts error responses below `/v1` (from authentication, guards and extractors) to the OpenAI
/// format. Adds OpenAI's rate limit headers to all responses.
pub async fn shape_errors(request: Request, next: Next) -> Response {
    let ours = request.uri().path().starts_with("/v1/");
    let response = next.run(request).await;
    if !ours {
        return response;
    }
    let mut response = match response.status().is_success() {
        true => response,
        false => shaped(response).await,
    };
    name_limits(response.headers_mut());
    response
}

async fn shaped(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_PROBLEM).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let status = match parts.status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    // Extractor errors have no message of ours.
    let usual = status.canonical_reason().unwrap_or("refused").to_lowercase();
    let (code, detail) = match (body["code"].as_str(), body["detail"].as_str()) {
        (Some(code), Some(detail)) => (code.to_owned(), detail.to_owned()),
        _ => (usual.replace(' ', "_"), format!("this request was refused: {usual}")),
    };
    let mut shaped = ChatError::new(status, &code, detail).into_response();
    for (name, value) in &parts.headers {
        let kept = *name == RETRY_AFTER || *name == ALLOW || name.as_str().starts_with("ratelimit");
        if kept {
            shaped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    shaped
}

/// Copies the standard rate limit headers to OpenAI's names.
fn name_limits(headers: &mut HeaderMap) {
    let number = |header: &str, key: &str| {
        let text = headers.get(header)?.to_str().ok()?;
        let value = text.split(';').find_map(|part| part.trim().strip_prefix(key))?;
        value.parse::<u64>().ok()
    };
    let names = [
        ("x-ratelimit-limit-requests", number("ratelimit-policy", "q=").map(|n| n.to_string())),
        ("x-ratelimit-remaining-requests", number("ratelimit", "r=").map(|n| n.to_string())),
        ("x-ratelimit-reset-requests", number("ratelimit", "t=").map(|n| format!("{n}s"))),
    ];
    for (name, value) in names {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChatError, HeaderMap, HeaderValue, StatusCode, name_limits};
    use axum::response::IntoResponse;
    use kernel::{FieldError, ProblemKind};
    use web::error::Failure;

    #[test]
    fn a_problem_takes_the_shape_that_clients_read() {
        let mut failure = Failure::new(ProblemKind::Invalid, "empty", "write something");
        failure.fields.push(FieldError::new("messages", "empty"));
        let error = ChatError::of(failure);
        assert_eq!(error.status, 400);
        assert_eq!(error.body()["error"]["type"], "invalid_request_error");
        assert_eq!(error.body()["error"]["param"], "messages");
        assert_eq!(error.into_response().headers()["x-should-retry"], "false");
    }

    #[test]
    fn limits_have_the_names_that_clients_know() {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-policy", HeaderValue::from_static("\"api\";q=600;w=60"));
        headers.insert("ratelimit", HeaderValue::from_static("\"api\";r=41;t=7"));
        name_limits(&mut headers);
        let names = ["limit", "remaining", "reset"]
            .map(|word| headers[format!("x-ratelimit-{word}-requests")].clone());
        assert_eq!(names, ["600", "41", "7s"]);
    }

    #[test]
    fn what_may_succeed_later_says_when() {
        let error = ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "paused", "Ada is paused");
        let answer = error.clone().into_response();
        assert_eq!(answer.headers()["retry-after"], "2");
        assert!(!answer.headers().contains_key("x-should-retry"));
        assert!(error.clone().for_good().into_response().headers().contains_key("x-should-retry"));
        let soon = error.clone().ends_in(30).into_response();
        assert_eq!(soon.headers()["retry-after"], "30");
        assert!(!soon.headers().contains_key("x-should-retry"));
        let long = error.ends_in(600).into_response();
        assert_eq!(long.headers()["retry-after"], "600");
        assert_eq!(long.headers()["x-should-retry"], "false", "nobody asks in vain meanwhile");
    }
}
