//! Axum extractors for `App` and `Ws`. A router layer puts the workspace into the request; a missing workspace is a
//! bug in the router.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::{App, Ws};

/// Rejection: a handler takes a workspace on a route without one.
#[derive(Clone, Copy, Debug)]
pub struct NoWorkspace;

impl IntoResponse for NoWorkspace {
    fn into_response(self) -> Response {
        tracing::error!("a workspace was asked for on a route that has none");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Ws {
    type Rejection = NoWorkspace;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoWorkspace> {
        parts.extensions.get::<Ws>().cloned().ok_or(NoWorkspace)
    }
}

impl FromRequestParts<App> for App {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(app.clone())
    }
}
