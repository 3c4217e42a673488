//! Extractors whose refusals are problems that say what is wrong and where.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::kernel::{FieldError, ProblemKind};
use crate::web::error::{Failure, PageError};

/// The one parameter of the path besides the workspace, which `Ws` has taken. (axum's own `Path`
/// counts the captures of outer routers and would answer 500 below `/w/{ws}`.)
pub struct Path<T>(pub T);

/// The two parameters of the path besides the workspace.
pub struct Path2<A, B>(pub A, pub B);

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, PageError> {
    let raw = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|e| PageError(Failure::new(ProblemKind::NotFound, "not_found", e.to_string())))?;
    Ok(raw.iter().filter(|(name, _)| *name != "ws").map(|(_, value)| value.to_owned()).collect())
}

fn parse<T: FromStr>(value: Option<&String>) -> Result<T, PageError> {
    value
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| PageError::not_found("What this address names"))
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Path<T> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let params = params(parts, state).await?;
        Ok(Self(parse(params.first())?))
    }
}

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Path2<A, B> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let params = params(parts, state).await?;
        Ok(Self(parse(params.first())?, parse(params.get(1))?))
    }
}

fn refused(code: &str, detail: String) -> PageError {
    // "missing field `title`" and the like name the field; say it where forms look for it.
    let field = detail.split('`').nth(1).map(str::to_owned);
    let mut failure = Failure::new(ProblemKind::Invalid, code, detail.clone());
    failure.fields.extend(field.map(|field| FieldError::new(field, detail)));
    PageError(failure)
}

/// What stands behind the question mark.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let query = parts.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|e| refused("bad_query", format!("the address has a bad query: {e}")))
    }
}

/// A posted form.
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = PageError;
    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let body = body(request, state).await?;
        serde_urlencoded::from_bytes(&body)
            .map(Self)
            .map_err(|e| refused("bad_form", format!("the form could not be read: {e}")))
    }
}

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = crate::web::error::ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = body(request, state).await?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(body).map(Self).map_err(|e| {
            refused("bad_json", format!("the body is not what this route takes: {e}")).into()
        })
    }
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, PageError> {
    Bytes::from_request(request, state).await.map_err(|e| {
        let kind = if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            ProblemKind::TooLarge
        } else {
            ProblemKind::Invalid
        };
        PageError(Failure::new(kind, "bad_body", e.to_string()))
    })
}
