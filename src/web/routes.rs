//! Route tables: one line per route with path, handler and required capability.
//!
//! ```ignore
//! Routes::new()
//!     .get("/tasks", list.needs(Can::Read))
//!     .post("/tasks/{id}/status", set_status.needs(Can::Write))
//! ```
//!
//! Pages use GET and POST only. API routes also have a [`Doc`] for the OpenAPI document. A route without a required
//! capability cannot be mounted.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::Value;

use crate::error::{ApiError, Failure, PageError};
use crate::session::{Access, Frozen, Proof};
use crate::stale;
use app::App;
use kernel::Can;

/// OpenAPI description of a route.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// Summary, one line.
    pub about: Cow<'static, str>,
    /// Schema of the query string.
    pub query: Option<Value>,
    /// Schema of the request body.
    pub body: Option<Value>,
    /// Schema of the response body.
    pub returns: Option<Value>,
    /// Status of a success.
    pub status: u16,
    /// Additional media types of a success.
    pub media: Vec<&'static str>,
    /// Whether the body may be a file instead, of any type.
    pub takes_file: bool,
    /// Whether the route honours `If-Match`.
    pub if_match: bool,
    /// Why the route does not support `Idempotency-Key`.
    pub no_key: Option<&'static str>,
}

impl Doc {
    /// Creates a description with a one-line summary.
    #[must_use]
    pub fn new(about: impl Into<Cow<'static, str>>) -> Self {
        Self { about: about.into(), status: 200, ..Self::default() }
    }

    /// Sets the type of the query string.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema::<T>(Contract::Deserialize));
        self
    }

    /// Sets the type of the request body.
    #[must_use]
    pub fn body<T: JsonSchema>(self) -> Self {
        self.body_of(schema::<T>(Contract::Deserialize))
    }

    /// Sets the schema of the request body.
    #[must_use]
    pub fn body_of(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    /// Sets the schema of the response body.
    #[must_use]
    pub fn returns_of(mut self, schema: Value) -> Self {
        self.returns = Some(schema);
        self
    }

    /// Sets the schema of the query string.
    #[must_use]
    pub fn query_of(mut self, schema: Value) -> Self {
        self.query = Some(schema);
        self
    }

    /// Sets the type of the response body.
    #[must_use]
    pub fn returns<T: JsonSchema>(mut self) -> Self {
        self.returns = Some(schema::<T>(Contract::Serialize));
        self
    }

    /// Adds a media type. Without a response schema, it is the only one.
    #[must_use]
    pub fn media(mut self, media: &'static str) -> Self {
        self.media.push(media);
        self
    }

    /// Declares that the body may be a file, with the other fields in the query.
    #[must_use]
    pub fn or_file(mut self) -> Self {
        self.takes_file = true;
        self
    }

    /// Declares that the route honours `If-Match`.
    #[must_use]
    pub fn if_match(mut self) -> Self {
        self.if_match = true;
        self
    }

    /// Declares that the route does not support `Idempotency-Key`, with the reason.
    #[must_use]
    pub fn no_key(mut self, why: &'static str) -> Self {
        self.no_key = Some(why);
        self
    }

    /// Sets the status of a success; the default is 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Schema of a value that clients send.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    schema::<T>(Contract::Deserialize)
}

/// `contract`: a field that serde skips when empty is required in requests and optional in responses.
fn schema<T: JsonSchema>(contract: Contract) -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.contract = contract;
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Requirements of a route.
#[derive(Clone, Copy)]
struct Asks {
    can: Can,
    proved: bool,
    closed: bool,
}

/// Future of a response. Axum boxes the future of each handler function.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A type-erased handler. Axum builds a dozen generic types around each handler, and the compiler proves for each of
/// them that the handler's future is `Send`. With hundreds of handlers, that took longer than compiling the rest of
/// their packages.
#[derive(Clone)]
struct Erased(Arc<dyn Fn(Request, App) -> Answer + Send + Sync>);

impl Handler<(), App> for Erased {
    type Future = Answer;

    fn call(self, request: Request, app: App) -> Answer {
        (self.0)(request, app)
    }
}

/// Creates the description of a route.
pub type DocFn = Arc<dyn Fn() -> Doc + Send + Sync>;

/// A handler with its requirements.
pub struct Guarded {
    asks: Asks,
    doc: Option<DocFn>,
    handler: Erased,
}

impl Guarded {
    /// Creates a type-erased handler with its required capability.
    pub(crate) fn of(
        can: Can,
        handler: impl Fn(Request, App) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let asks = Asks { can, proved: false, closed: false };
        Self { asks, doc: None, handler: Erased(Arc::new(handler)) }
    }

    /// Sets the OpenAPI description. It is a function, so that schemas are built only when the document is requested.
    #[must_use]
    pub fn doc(self, doc: fn() -> Doc) -> Self {
        self.doc_of(Arc::new(doc))
    }

    /// Like [`Guarded::doc`], with a closure.
    #[must_use]
    pub fn doc_of(mut self, doc: DocFn) -> Self {
        self.doc = Some(doc);
        self
    }

    /// Requires a re-authentication within the last minutes.
    #[must_use]
    pub fn proved(mut self) -> Self {
        self.asks.proved = true;
        self
    }

    /// Allows the route in a closed workspace: the route changes nothing in it.
    #[must_use]
    pub fn also_closed(mut self) -> Self {
        self.asks.closed = true;
        self
    }
}

/// Attaches requirements to a handler.
pub trait Needs<T>: Sized {
    /// Sets the required capability.
    fn needs(self, can: Can) -> Guarded;
}

impl<T: 'static, H: Handler<T, App, Future = Answer> + Sync> Needs<T> for H {
    fn needs(self, can: Can) -> Guarded {
        Guarded::of(can, move |request, app| self.clone().call(request, app))
    }
}

/// A row of the route table.
#[derive(Clone)]
pub struct RouteInfo {
    /// HTTP method.
    pub method: Method,
    /// Path below the mount point.
    pub path: Cow<'static, str>,
    /// Required capability.
    pub can: Can,
    /// Whether re-authentication is required.
    pub proved: bool,
    /// Description for the OpenAPI document.
    pub doc: Option<DocFn>,
}

/// A route that is not mounted yet.
#[derive(Clone)]
struct Row {
    info: RouteInfo,
    router: MethodRouter<App>,
    /// The handler without its guard.
    plain: Erased,
}

/// A table of routes.
#[derive(Default)]
pub struct Routes {
    rows: Vec<Row>,
}

impl Routes {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route that only reads.
    #[must_use]
    pub fn get(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::GET, MethodFilter::GET, path.into(), handler)
    }

    /// Adds a route that changes something.
    #[must_use]
    pub fn post(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::POST, MethodFilter::POST, path.into(), handler)
    }

    /// Adds a route that changes fields (API only). If the route ignores `If-Match`, a request with this header is
    /// rejected. A stale tag gets the current record in the response, if the record's GET route was added before.
    #[must_use]
    pub fn patch(self, path: impl Into<Cow<'static, str>>, mut handler: Guarded) -> Self {
        let path = path.into();
        let shown =
            self.rows.iter().find(|row| row.info.method == Method::GET && row.info.path == path);
        let heeds = handler.doc.clone();
        let show = shown.map(|row| row.plain.clone());
        let change = handler.handler;
        handler.handler = Erased(Arc::new(move |request: Request, app: App| {
            let (change, show, heeds) = (change.clone(), show.clone(), heeds.clone());
            Box::pin(async move {
                let (request, kept) = stale::Change::of(request).await;
                if kept.is_some()
                    && !heeds.is_some_and(|doc| doc().if_match)
                    && let Some(refused) = stale::unheeded(&request)
                {
                    return refused;
                }
                let answer = (change.0)(request, app.clone()).await;
                match (kept, show) {
                    (Some(kept), Some(show))
                        if answer.status() == StatusCode::PRECONDITION_FAILED =>
                    {
                        kept.with_conflict_details(answer, async move |request| {
                            (show.0)(request, app).await
                        })
                        .await
                    }
                    _ => answer,
                }
            })
        }));
        self.add(Method::PATCH, MethodFilter::PATCH, path, handler)
    }

    /// Adds a route that replaces a record (API only).
    #[must_use]
    pub fn put(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path.into(), handler)
    }

    /// Adds a route that deletes a record (API only).
    #[must_use]
    pub fn delete(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path.into(), handler)
    }

    /// Appends the rows of another table.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// The rows that `pick` chooses, with their guards, to mount them a second time.
    #[must_use]
    pub fn chosen(&self, pick: impl Fn(&RouteInfo) -> bool) -> Self {
        let rows = self.rows.iter().filter(|row| pick(&row.info)).cloned();
        Self { rows: rows.collect() }
    }

    /// Wraps every handler and its guard, for example to change the error format.
    #[must_use]
    pub fn wrap(self, wrap: impl Fn(MethodRouter<App>) -> MethodRouter<App>) -> Self {
        let rows = self.rows.into_iter().map(|row| Row { router: wrap(row.router), ..row });
        Self { rows: rows.collect() }
    }

    fn add(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: Cow<'static, str>,
        handler: Guarded,
    ) -> Self {
        let Guarded { asks, doc, handler } = handler;
        let Asks { can, proved, .. } = asks;
        let guard = from_fn(move |request: Request, next: Next| guard(asks, request, next));
        let info = RouteInfo { method, path, can, proved, doc };
        let router = on(filter, handler.clone()).layer(guard);
        self.rows.push(Row { info, router, plain: handler });
        self
    }

    /// Adds the rows to a router below `prefix`, and to the table of all mounted routes.
    pub fn mount(
        self,
        prefix: &str,
        mut router: Router<App>,
        table: &mut Vec<Mounted>,
    ) -> Router<App> {
        for Row { info, router: handler, .. } in self.rows {
            let path = format!("{prefix}{}", info.path);
            router = router.route(&path, handler);
            let RouteInfo { method, can, proved, doc, .. } = info;
            table.push(Mounted { method, path, can, proved, doc });
        }
        router
    }
}

/// A mounted route.
#[derive(Clone)]
pub struct Mounted {
    /// HTTP method.
    pub method: Method,
    /// Full path.
    pub path: String,
    /// Required capability.
    pub can: Can,
    /// Whether re-authentication is required.
    pub proved: bool,
    /// Description for the OpenAPI document.
    pub doc: Option<DocFn>,
}

/// Rejects requests whose sender lacks the required capability.
async fn guard(asks: Asks, request: Request, next: Next) -> Response {
    let can = asks.can;
    if can == Can::Open {
        return next.run(request).await;
    }
    let access = request.extensions().get::<Access>().copied();
    match access {
        Some(access) if access.may(can) => match stopped(asks, &request) {
            Some(failure) => refuse(&request, |api| match api {
                true => ApiError(failure).into_response(),
                false => PageError(failure).into_response(),
            }),
            None => next.run(request).await,
        },
        Some(_) => refuse(&request, |api| match api {
            true => ApiError::forbidden(can).into_response(),
            false => PageError::forbidden(can).into_response(),
        }),
        None => refuse(&request, |api| match api {
            true => ApiError::unauthorized().into_response(),
            false => PageError::unauthorized().into_response(),
        }),
    }
}

/// Checks beyond the capability: closed workspace and re-authentication.
fn stopped(asks: Asks, request: &Request) -> Option<Failure> {
    let proof = request.extensions().get::<Proof>().copied().unwrap_or(Proof(false));
    let refused = || proof.check().err().filter(|_| asks.proved).map(|error| error.0);
    frozen(asks, request).or_else(refused)
}

/// Rejects writes to a closed workspace. Routes of owners and accounts are exempt: they change the workspace as a
/// whole or an account.
fn frozen(asks: Asks, request: &Request) -> Option<Failure> {
    let reads = asks.closed || matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || matches!(asks.can, Can::Account | Can::Own | Can::Local) {
        return None;
    }
    request.extensions().get::<Frozen>().map(|frozen| frozen.0.clone())
}

/// Whether errors of this path are JSON problems instead of pages.
#[must_use]
pub fn is_api(path: &str) -> bool {
    path == "/mcp"
        || ["/api/", "/v1/", "/local/", "/tools/"].iter().any(|prefix| path.starts_with(prefix))
}

fn refuse(request: &Request, answer: impl FnOnce(bool) -> Response) -> Response {
    answer(is_api(request.uri().path()))
}
