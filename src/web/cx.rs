//! Synchronous handlers. [`sync`] turns a plain function over a [`Cx`] into a route. It reads the request body, runs
//! the function, and converts an error into a page or problem+json, depending on the path. Writes and long reads run on
//! blocking threads, short reads on the worker thread. All such routes share one future type, so a handler compiles to
//! one function.
//!
//! Routes of [`sync_with_file`] also take a file, which is stored before the handler runs. Handlers of sockets, streams,
//! other uploads and calls to other services stay asynchronous.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
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
use crate::idempotency::{Once, OnceFile, form_key};
use crate::routes::{Guarded, is_api};
use crate::session::{Person, extension, shell};
use crate::shell::Shell;
use crate::upload::{self, Arrived, FormFile};
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
    /// A form with a file is here without the file, as any other form.
    body: Bytes,
    file: FormFile,
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

    /// The uploaded file, or why it was not saved. Only routes of [`sync_with_file`] have one, and API routes reject a
    /// request whose file is not saved.
    ///
    /// # Errors
    /// The file is too large, or the disk is full.
    pub fn file(&self) -> Result<Option<&Arrived>, &Failure> {
        self.file.as_ref().map(Result::as_ref).transpose()
    }

    /// A query parameter. The last of several with the same name wins.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_all(name).pop()
    }

    /// All query parameters with this name.
    #[must_use]
    pub fn query_all(&self, name: &str) -> Vec<String> {
        query_all(&self.parts, name)
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
        let blob = self.file().ok().flatten().map(|file| file.blob);
        if is_api(self.place()) {
            let once = match blob {
                None => Once::of_parts(&self.parts),
                Some(blob) => OnceFile::of_parts(&self.parts).map(|once| once.with(blob)),
            };
            return once.map_err(|error| error.0);
        }
        let content = String::from_utf8_lossy(&self.body);
        let key = form_key(&self.body);
        let blob = blob.map(|blob| blob.to_string());
        let content: Vec<&str> = [&*content].into_iter().chain(blob.as_deref()).collect();
        Ok(Once::of_form(&self.who, self.place(), &key, &content))
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

fn query_all(parts: &Parts, name: &str) -> Vec<String> {
    let query = parts.uri.query().unwrap_or_default();
    let all = url::form_urlencoded::parse(query.as_bytes());
    all.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
}

/// A synchronous handler.
pub type CxHandler = dyn Fn(&Cx) -> Result<Response, Failure> + Send + Sync;

/// Creates a route with a synchronous handler.
pub fn sync(
    can: Can,
    run: impl Fn(&Cx) -> Result<Response, Failure> + Send + Sync + 'static,
) -> Guarded {
    guarded(can, None, Box::new(run))
}

/// Like [`sync`], for a route that also takes a file of at most `max_bytes` and of the server's limit: as the part of a
/// form, or as the body of an API request ([`upload::BYTES`]) whose query has the file's `name` and the other fields.
pub fn sync_with_file(
    can: Can,
    max_bytes: u64,
    run: impl Fn(&Cx) -> Result<Response, Failure> + Send + Sync + 'static,
) -> Guarded {
    guarded(can, Some(max_bytes), Box::new(run))
}

fn guarded(can: Can, max_file: Option<u64>, run: Box<CxHandler>) -> Guarded {
    let route = Arc::new(Route { run, max_file, hops: AtomicU32::new(0) });
    Guarded::of(can, move |request, app| Box::pin(dispatch(Arc::clone(&route), request, app)))
}

/// A handler, and how many of its next reads leave the worker thread.
struct Route {
    run: Box<CxHandler>,
    /// Maximum size of a file in bytes; `None` if the route takes none.
    max_file: Option<u64>,
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
    let answer = match prepared(request, app, route.max_file).await {
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

async fn prepared(request: Request, app: App, max_file: Option<u64>) -> Result<Cx, Failure> {
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
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let (body, file) = match max_file.filter(|_| !is_read && has_file(&parts)) {
        Some(most) => {
            let most = most.min(app.config.limits.upload_bytes());
            // On the heap: all routes share the type of this future, and few take files.
            Box::pin(with_file(&ws, &parts, body, most)).await?
        }
        None if is_read => (Bytes::new(), None),
        None => (whole(&parts, body).await?, None),
    };
    Ok(Cx { app, ws, who, hx, parts, params, body, file, runtime: Handle::current() })
}

/// The body of a request without a file.
async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Failure> {
    // The limit of the body is in the extensions.
    let mut request = Request::new(body);
    request.headers_mut().clone_from(&parts.headers);
    *request.extensions_mut() = parts.extensions.clone();
    let sent = extract::body(request, &()).await.map_err(|error| error.0)?;
    let is_form = !is_api(parts.uri.path());
    let rest = match is_form.then(|| appearance::as_drawn(&sent)) {
        Some(Cow::Owned(rest)) => Some(rest),
        _ => None,
    };
    Ok(rest.map_or(sent, Bytes::from))
}

/// Whether the body may contain a file.
fn has_file(parts: &Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| match is_api(parts.uri.path()) {
        true => kind == upload::BYTES,
        false => kind.to_ascii_lowercase().starts_with("multipart/form-data"),
    })
}

/// Stores the file of a request. Returns the other fields of a form in the encoding of forms without files.
async fn with_file(
    ws: &Ws,
    parts: &Parts,
    body: Body,
    most: u64,
) -> Result<(Bytes, FormFile), Failure> {
    let sent = (&parts.headers, body);
    if is_api(parts.uri.path()) {
        let name = query_all(parts, "name").pop().unwrap_or_default();
        let file = upload::body(ws, sent, &name, most).await.map_err(|error| error.0)?;
        return Ok((Bytes::new(), Some(Ok(file))));
    }
    let form = upload::form_with_file(ws, sent, most).await;
    let (fields, file) = form.map_err(|error| error.0)?;
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(fields);
    Ok((Bytes::from(encoded.finish()), file))
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
