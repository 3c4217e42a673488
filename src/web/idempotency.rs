//! `Idempotency-Key`: a repeated API write is executed once.
//!
//! A layer hashes the whole request. The handler runs its closure through [`Once`]:
//!
//! ```text
//! async fn create(ws: Ws, who: Person, once: Once, Json(new): Json<NewTask>) -> … {
//!     let task = ws.write(&who, once.run(move |tx| rules::create(tx, new))).await?;
//! ```
//!
//! Without the header, the closure runs normally. The result of a success is stored for 24 hours and survives a
//! restart. The same key with different content is a conflict.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::Method;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, Failure, PageError};
use crate::extract;
use crate::routes::is_api;
use crate::session::Person;
use crate::upload;
use kernel::{AccountId, ProblemKind, Via};
use store::once::{self, OnceKey};
use store::{BlobId, Read, StoreError, WriteTx};

const HEADER: &str = "idempotency-key";
/// Name of the hidden form field.
const FORM_KEY: &str = "once";
/// Maximum length of a key in bytes.
const MAX_KEY: usize = 200;
/// Maximum size of a request body that the layer reads, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Prefix of routes whose handlers read larger bodies: OpenAI-compatible requests with images and files.
const LARGE: &str = "/v1/";
/// Headers that are part of the content of such a request.
const ASKING: &[&str] = &[
    "x-hq-agent-id",
    "x-hq-session-key",
    "x-hq-model",
    "x-openclaw-agent-id",
    "x-openclaw-session-key",
    "x-openclaw-model",
];

#[derive(Clone)]
struct Keyed {
    key: String,
    digest: Digested,
}

/// The part of a request that a repetition must share.
#[derive(Clone)]
enum Digested {
    /// The whole request.
    Whole([u8; 32]),
    /// Everything except the body, which is large and is streamed.
    AllButBody(Sha256),
}

/// Idempotency key of a request; `None` without a key.
#[derive(Clone)]
pub struct Once(Option<OnceKey>);

impl Once {
    /// For a page form without a key.
    #[must_use]
    pub fn without_key() -> Self {
        Self(None)
    }

    /// For a page form with a key. A second submit with the same key and content is executed once. Different content
    /// with the same key counts as a new request. With an empty key, every submit counts as new.
    #[must_use]
    pub fn of_form(who: &Person, place: &str, key: &str, content: &[&str]) -> Self {
        Self::of_account(who.account, place, key, content)
    }

    /// Like [`Self::of_form`], for requests outside a workspace.
    #[must_use]
    pub fn of_account(account: AccountId, place: &str, key: &str, content: &[&str]) -> Self {
        if key.is_empty() || MAX_KEY < key.len() {
            return Self(None);
        }
        let content = BlobId::of(content.join("\0").as_bytes());
        let scope = format!("account {account} form {place}");
        Self(Some(OnceKey { scope, key: format!("{key} {content}"), digest: [0; 32] }))
    }

    /// Derives a key for another transaction of the same request.
    #[must_use]
    pub fn also(&self, what: &str) -> Self {
        let one = self.0.clone();
        Self(one.map(|one| OnceKey { scope: format!("{} {what}", one.scope), ..one }))
    }

    /// Whether the request has a key.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// The stored result if this is a repetition. For lookups before the write whose target the first request may
    /// have deleted.
    ///
    /// # Errors
    /// When the key was used with different content.
    pub fn answered<T: DeserializeOwned>(&self, read: &dyn Read) -> Result<Option<T>, StoreError> {
        match &self.0 {
            Some(key) => once::answered(read, &key.scope, &key.key, key.digest),
            None => Ok(None),
        }
    }

    /// Wraps a closure so that it runs at most once for the key of this request.
    pub fn run<T, E, F>(self, body: F) -> impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send
    where
        T: Serialize + DeserializeOwned,
        E: From<StoreError>,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    {
        move |tx| match self.0 {
            Some(key) => tx.once(&key.scope, &key.key, key.digest, body),
            None => body(tx),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        Self::of_parts(parts)
    }
}

impl Once {
    /// For an API request.
    pub(crate) fn of_parts(parts: &Parts) -> Result<Self, PageError> {
        match known(parts)? {
            None => Ok(Self(None)),
            Some((scope, Keyed { key, digest: Digested::Whole(digest) })) => {
                Ok(Self(Some(OnceKey { scope, key, digest })))
            }
            Some(_) => {
                let text = "this route takes JSON; upload files elsewhere";
                Err(PageError(Failure::new(ProblemKind::Invalid, "bad_body", text)))
            }
        }
    }
}

/// A posted form that creates something, with its idempotency key. The form contains the hidden field of
/// `form::once()`, whose key changes each time the page is rendered. A second click, or a resend after a lost
/// response, gets the first response and creates nothing.
pub struct FormOnce<T>(pub T, pub Once);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for FormOnce<T> {
    type Rejection = PageError;
    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let who =
            request.extensions().get::<Person>().cloned().ok_or_else(PageError::unauthorized)?;
        let place = request.uri().path().to_owned();
        let body = extract::body(request, state).await?;
        let content = String::from_utf8_lossy(&body);
        let once = Once::of_form(&who, &place, &form_key(&body), &[content.as_ref()]);
        Ok(Self(extract::form(&body)?, once))
    }
}

/// The key in the hidden field of a form; empty without one.
pub(crate) fn form_key(body: &[u8]) -> String {
    let mut fields = url::form_urlencoded::parse(body);
    let key = fields.find(|(name, _)| name == FORM_KEY).map(|(_, key)| key.into_owned());
    key.unwrap_or_default()
}

/// Idempotency key of an upload or a request to an agent. The content is added as a hash once it has arrived.
pub struct OnceFile(Option<(String, Keyed)>);

impl OnceFile {
    /// For an API request.
    pub(crate) fn of_parts(parts: &Parts) -> Result<Self, PageError> {
        known(parts).map(Self)
    }

    /// Completes the key with a stored blob.
    #[must_use]
    pub fn with(self, blob: BlobId) -> Once {
        Once(self.0.map(|(scope, Keyed { key, digest })| {
            let digest = match digest {
                Digested::Whole(digest) => digest,
                Digested::AllButBody(mut hash) => {
                    hash.update(blob.to_string().as_bytes());
                    hash.finalize().into()
                }
            };
            OnceKey { scope, key, digest }
        }))
    }

    /// Completes the key with a body that is not stored.
    #[must_use]
    pub fn with_body(self, body: &[u8]) -> Once {
        match self.0 {
            None => Once(None),
            Some(_) => self.with(BlobId::of(body)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OnceFile {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        Self::of_parts(parts)
    }
}

/// Returns scope and key.
fn known(parts: &Parts) -> Result<Option<(String, Keyed)>, PageError> {
    let Some(keyed) = parts.extensions.get::<Keyed>().cloned() else { return Ok(None) };
    let who = parts.extensions.get::<Person>().ok_or_else(PageError::unauthorized)?;
    let by = match who.via {
        Via::Token(id) => format!("token {id}"),
        _ => format!("account {}", who.account),
    };
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    Ok(Some((format!("{by} {} {route}", parts.method), keyed)))
}

/// Rejects a key on routes whose response must not be stored, because it contains a secret that is shown once.
pub struct NoKey;

impl<S: Send + Sync> FromRequestParts<S> for NoKey {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<Keyed>() {
            None => Ok(Self),
            Some(_) => {
                let text = "this response contains a secret and isn't stored for repeats; omit \
                            Idempotency-Key";
                Err(ApiError::invalid("Idempotency-Key", text))
            }
        }
    }
}

/// Middleware that hashes an API write with a key.
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
    let mut hash = Sha256::new();
    let uri = &parts.uri;
    for part in [parts.method.as_str(), uri.path(), uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    if uri.path().starts_with(LARGE) {
        // On these routes, headers select agent, session and model.
        for name in ASKING {
            let word = parts.headers.get(*name).map_or(&[][..], HeaderValue::as_bytes);
            hash.update(word);
            hash.update([0]);
        }
    }
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind == Some(upload::BYTES) || uri.path().starts_with(LARGE) {
        parts.extensions.insert(Keyed { key, digest: Digested::AllButBody(hash) });
        return next.run(Request::from_parts(parts, body)).await;
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let text = "a body with an Idempotency-Key can have at most 1 MiB and must be complete";
        return ApiError(Failure::new(ProblemKind::TooLarge, "bad_body", text)).into_response();
    };
    hash.update(&body);
    let digest = Digested::Whole(hash.finalize().into());
    parts.extensions.insert(Keyed { key, digest });
    next.run(Request::from_parts(parts, Body::from(body))).await
}
