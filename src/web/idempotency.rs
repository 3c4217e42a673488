//! `Idempotency-Key`: a repeated write of the API happens once.
//!
//! A layer takes the digest of the whole request; the handler runs its closure through [`Once`]:
//!
//! ```text
//! async fn create(ws: Ws, who: Person, once: Once, Json(new): Json<NewTask>) -> … {
//!     let task = ws.write(&who, once.run(move |tx| rules::create(tx, new))).await?;
//! ```
//!
//! Without the header the closure simply runs. The answer is kept as the closure's value for 24 hours,
//! also across a restart; the same key with another content is a conflict. Only a success is kept.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::kernel::{ProblemKind, Via};
use crate::store::{StoreError, WriteTx};
use crate::web::error::{ApiError, Failure, PageError};
use crate::web::routes::is_api;
use crate::web::session::Person;

const HEADER: &str = "idempotency-key";
/// The longest key.
const MAX_KEY: usize = 200;
/// The largest body of a request with a key.
const MAX_BODY: usize = 1024 * 1024;

#[derive(Clone)]
struct Keyed {
    key: String,
    digest: [u8; 32],
}

/// What a repeat is known by; nothing when the request has no key.
pub struct Once(Option<(String, Keyed)>);

impl Once {
    /// A closure that runs at most once for the key of this request.
    pub fn run<T, E, F>(self, body: F) -> impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    {
        move |tx| match self.0 {
            Some((scope, Keyed { key, digest })) => tx.once(&scope, &key, digest, body),
            None => body(tx),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let Some(keyed) = parts.extensions.get::<Keyed>().cloned() else { return Ok(Self(None)) };
        let who = parts.extensions.get::<Person>().ok_or_else(PageError::unauthorized)?;
        let by = match who.via {
            Via::Token(id) => format!("token {id}"),
            _ => format!("account {}", who.account),
        };
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Ok(Self(Some((format!("{by} {} {route}", parts.method), keyed))))
    }
}

/// Refuses a key where the answer may not be kept, because it holds a secret that is shown once.
pub struct NoKey;

impl<S: Send + Sync> FromRequestParts<S> for NoKey {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Keyed>() {
            None => Ok(Self),
            Some(_) => {
                let text = "this answer is not kept for a repeat, as it holds a secret; leave \
                            Idempotency-Key out";
                Err(ApiError::invalid("Idempotency-Key", text))
            }
        }
    }
}

/// The layer: takes the digest of a write of the API that carries a key.
pub async fn digest(request: Request, next: Next) -> Response {
    let key = request.headers().get(HEADER).map(|key| key.to_str().unwrap_or("").to_owned());
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let Some(key) = key.filter(|_| writes && is_api(request.uri().path())) else {
        return next.run(request).await;
    };
    if key.is_empty() || MAX_KEY < key.len() {
        let text = format!("an Idempotency-Key has 1 to {MAX_KEY} plain characters");
        return ApiError(Failure::new(ProblemKind::Invalid, "bad_key", text)).into_response();
    }
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let text = "a body with an Idempotency-Key has at most 1 MiB and must arrive whole";
        return ApiError(Failure::new(ProblemKind::TooLarge, "bad_body", text)).into_response();
    };
    let mut hash = Sha256::new();
    let uri = &parts.uri;
    for part in [parts.method.as_str(), uri.path(), uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(&body);
    parts.extensions.insert(Keyed { key, digest: hash.finalize().into() });
    next.run(Request::from_parts(parts, Body::from(body))).await
}
