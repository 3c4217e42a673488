//! The kind of rows of a route, so that contacts, organizations and records share their handlers.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;

use crate::model::RowKind;

/// The kind whose word is in the path of the route.
pub(crate) struct PathKind(pub &'static RowKind);

impl<S: Sync> FromRequestParts<S> for PathKind {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Ok(Self(RowKind::in_path(route)))
    }
}
