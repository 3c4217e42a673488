//! Synchronous handlers. [`sync`] turns a plain function over a [`Cx`] into a route. It reads the request body, runs
//! the function, and converts an error into a page or problem+json, depending on the path. Writes and long reads run on
//! blocking threads, short reads on the worker thread. All such routes share one future type, so a handler compiles to
//! one function.
//!
//! Handlers of sockets, streams, uploads and calls to other services stay asynchronous.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use kernel::{Can, FieldError, ProblemKind};
use serde_json::{Map, Value};
use store::{Read, StoreError, WriteTx};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::appearance;
use crate::error::{ApiError, Failure, PageError};
use crate::etag::IfMatch;
use crate::extract;
use crate::hx::Hx;
use crate::idempotency::{Once, form_key};
use crate::routes::{Guarded, is_api};
use crate::session::{Person, extension, shell};
use crate::shell::Shell;
use app::{App, Ws};

/// Limits the number of concurrent synchronous handlers. Streams and asynchronous handlers are not affected. 256 is
/// also the number of writes that share one commit.
static RUNNING: Semaphore = Semaphore::const_new(256);

/// Longest read that may run on a worker thread of the runtime.
const SHORT: Duration = Duration::from_millis(1);
/// After a longer read, so many reads of the same route run on blocking threads.
const HOPS: u32 = 1_000;

/// A request to a workspace route, for a synchronous handler.
pub struct Cx {
    /// Process-wide state.
    pub app: App,
    /// The workspace.
    pub ws: Ws,
    /// The sender.
    pub who: Person,
    /// The htmx headers.
    pub hx: Hx,
    parts: Parts,
    params: Vec<String>,
    body: Bytes,
    runtime: Handle,
}

impl Cx {
    /// The path parameter at index `n`, without the workspace.
    ///
    /// # Errors
    /// `not_found`, if the parameter cannot be parsed.
    pub fn path<T: FromStr>(&self, n: usize) -> Result<T, Failure> {
        let value = self.params.get(n).and_then(|value| value.parse().ok());
        value.ok_or_else(|| PageError::not_found("The requested item").0)
    }

    /// The path of the request.
    #[must_use]
    pub fn place(&self) -> &str {
        self.parts.uri.path()
    }

    /// The fields of a posted form, without the keys that [`Self::rev`] and [`Self::once`] read. The last of several
    /// fields with the same name wins.
    #[must_use]
    pub fn form(&self) -> Vec<(String, String)> {
        let pairs = url::form_urlencoded::parse(&self.body);
        let fields: BTreeMap<String, String> = pairs
            .filter(|(name, _)| !matches!(&**name, "rev" | "once"))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        fields.into_iter().collect()
    }

    /// A query parameter. The last of several with the same name wins.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query().unwrap_or_default();
        let all = url::form_urlencoded::parse(query.as_bytes());
        all.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).last()
    }

    /// Rejects unknown query parameters.
    ///
    /// # Errors
    /// `bad_query`, naming the first unknown parameter.
    pub fn only_query(&self, known: &[&str]) -> Result<(), Failure> {
        let query = self.parts.uri.query().unwrap_or_default();
        let mut all = url::form_urlencoded::parse(query.as_bytes());
        let Some((name, _)) = all.find(|(name, _)| !known.contains(&&**name)) else {
            return Ok(());
        };
        let name = kernel::text::ellipsis(&name, 60);
        let message = format!("unknown field `{name}`");
        let text = format!("the URL has an invalid query: {message}");
        let mut failure = Failure::new(ProblemKind::Invalid, "bad_query", text);
        failure.fields.push(FieldError::new(name, message));
        Err(failure)
    }

    /// The fields of a JSON body.
    ///
    /// # Errors
    /// `bad_json`, if the body is no object or has a duplicate field.
    pub fn json(&self) -> Result<Map<String, Value>, Failure> {
        extract::fields(&self.body).map_err(|error| error.0)
    }

    /// The revision that the request expects: `If-Match` for API routes, the form field `rev` for pages.
    ///
    /// # Errors
    /// When the tag is malformed.
    pub fn rev(&self) -> Result<Option<u64>, Failure> {
        if is_api(self.place()) {
            return IfMatch::of(&self.parts.headers).map(|tag| tag.0).map_err(|error| error.0);
        }
        let fields = url::form_urlencoded::parse(&self.body);
        let last = fields.filter(|(name, _)| name == "rev").last();
        Ok(last.and_then(|(_, rev)| rev.parse().ok()))
    }

    /// The idempotency key: the `Idempotency-Key` header for API routes, the hidden form key for pages.
    ///
    /// # Errors
    /// When the key is invalid.
    pub fn once(&self) -> Result<Once, Failure> {
        if is_api(self.place()) {
            return Once::of_parts(&self.parts).map_err(|error| error.0);
        }
        let content = String::from_utf8_lossy(&self.body);
        let key = form_key(&self.body);
        Ok(Once::of_form(&self.who, self.place(), &key, &[content.as_ref()]))
    }

    /// The shell of a page of this request.
    pub fn shell(&self) -> Result<Shell, Failure> {
        shell(&self.ws, &self.who, &self.parts).map_err(|error| error.0)
    }

    /// Reads from one snapshot.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&dyn Read) -> Result<T, E>,
    ) -> Result<T, E> {
        self.ws.read(|snap| body(snap))
    }

    /// Runs a write transaction as the sender. Blocks until it is committed.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn write<T, E>(
        &self,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.runtime.block_on(self.ws.write(&self.who, body))
    }
}

/// A synchronous handler.
pub type CxHandler = dyn Fn(&Cx) -> Result<Response, Failure> + Send + Sync;

/// Creates a route with a synchronous handler.
pub fn sync(
    can: Can,
    run: impl Fn(&Cx) -> Result<Response, Failure> + Send + Sync + 'static,
) -> Guarded {
    let route = Arc::new(Route { run: Box::new(run), hops: AtomicU32::new(0) });
    Guarded::of(can, move |request, app| Box::pin(dispatch(Arc::clone(&route), request, app)))
}

/// A handler, and how many of its next reads leave the worker thread.
struct Route {
    run: Box<CxHandler>,
    hops: AtomicU32,
}

impl Route {
    /// Whether this read is expected to be short. Waking a blocking thread takes as long as a short read.
    fn is_short(&self, cx: &Cx) -> bool {
        let is_read = matches!(cx.parts.method, Method::GET | Method::HEAD);
        let fewer = |hops: u32| hops.checked_sub(1);
        is_read && self.hops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_err()
    }

    /// Runs a read on the worker thread. After a long one, the next reads of this route leave it.
    fn inline(&self, cx: &Cx) -> Result<Response, Failure> {
        let began = Instant::now();
        let done = (self.run)(cx);
        if SHORT < began.elapsed() {
            self.hops.store(HOPS, Ordering::Relaxed);
        }
        done
    }
}

async fn dispatch(route: Arc<Route>, request: Request, app: App) -> Response {
    let api = is_api(request.uri().path());
    let answer = match prepared(request, app).await {
        Ok(cx) if route.is_short(&cx) => route.inline(&cx),
        Ok(cx) => hop(route, cx).await,
        Err(failure) => Err(failure),
    };
    match answer {
        Ok(response) => response,
        Err(failure) if api => ApiError(failure).into_response(),
        Err(failure) => PageError(failure).into_response(),
    }
}

async fn prepared(request: Request, app: App) -> Result<Cx, Failure> {
    let (mut parts, body) = request.into_parts();
    // ok: without parameters, `Cx::path` returns `not_found`.
    let params = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(all) => all
            .iter()
            .filter(|(name, _)| *name != "ws")
            .map(|(_, value)| value.to_owned())
            .collect(),
        Err(_) => Vec::new(),
    };
    let Ok(hx) = Hx::from_request_parts(&mut parts, &()).await;
    let (ws, who) = (extension::<Ws>(&parts), extension::<Person>(&parts));
    let (ws, who) = (ws.map_err(|error| error.0)?, who.map_err(|error| error.0)?);
    let body = match parts.method {
        Method::GET | Method::HEAD => Bytes::new(),
        _ => {
            // The limit of the body is in the extensions.
            let mut whole = Request::new(body);
            whole.headers_mut().clone_from(&parts.headers);
            *whole.extensions_mut() = parts.extensions.clone();
            let sent = extract::body(whole, &()).await.map_err(|error| error.0)?;
            let is_form = !is_api(parts.uri.path());
            let rest = match is_form.then(|| appearance::as_drawn(&sent)) {
                Some(Cow::Owned(rest)) => Some(rest),
                _ => None,
            };
            rest.map_or(sent, Bytes::from)
        }
    };
    Ok(Cx { app, ws, who, hx, parts, params, body, runtime: Handle::current() })
}

/// Runs a handler on a blocking thread. A panic becomes an internal error.
async fn hop(route: Arc<Route>, cx: Cx) -> Result<Response, Failure> {
    // ok: the semaphore is never closed, and a missing permit only lifts the limit.
    let permit = RUNNING.acquire().await.ok();
    let span = tracing::Span::current();
    let work = move || {
        // Held until the work ends, even if the client disconnects.
        let _permit = permit;
        span.in_scope(|| (route.run)(&cx))
    };
    app::blocking(work, Failure::internal).await?
}
