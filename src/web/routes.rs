//! Route tables: a path, a handler, and the capability it needs, in one line.
//!
//! ```ignore
//! Routes::new()
//!     .get("/tasks", list.needs(Can::Read))
//!     .post("/tasks/{id}/status", set_status.needs(Can::Write))
//! ```
//!
//! Pages use GET and POST only. API routes also carry a [`Doc`], from which the OpenAPI document is
//! made. A route cannot be mounted without saying what it needs.

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

/// What an API route says of itself.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// One line.
    pub about: Cow<'static, str>,
    /// Schema of the query.
    pub query: Option<Value>,
    /// Schema of the body.
    pub body: Option<Value>,
    /// Schema of the answer.
    pub returns: Option<Value>,
    /// Status of a success.
    pub status: u16,
    /// Other media types that a success may have.
    pub media: Vec<&'static str>,
    /// Whether `If-Match` is heeded.
    pub if_match: bool,
    /// Why no `Idempotency-Key` is kept.
    pub no_key: Option<&'static str>,
}

impl Doc {
    /// A route in one line.
    #[must_use]
    pub fn new(about: impl Into<Cow<'static, str>>) -> Self {
        Self { about: about.into(), status: 200, ..Self::default() }
    }

    /// What stands behind the question mark.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema::<T>(Contract::Deserialize));
        self
    }

    /// What it takes.
    #[must_use]
    pub fn body<T: JsonSchema>(self) -> Self {
        self.body_of(schema::<T>(Contract::Deserialize))
    }

    /// What it takes, as a schema.
    #[must_use]
    pub fn body_of(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    /// What it gives, as a schema.
    #[must_use]
    pub fn returns_of(mut self, schema: Value) -> Self {
        self.returns = Some(schema);
        self
    }

    /// What stands behind the question mark, as a schema.
    #[must_use]
    pub fn query_of(mut self, schema: Value) -> Self {
        self.query = Some(schema);
        self
    }

    /// What it gives.
    #[must_use]
    pub fn returns<T: JsonSchema>(mut self) -> Self {
        self.returns = Some(schema::<T>(Contract::Serialize));
        self
    }

    /// A success may also have, or has alone, this media type.
    #[must_use]
    pub fn media(mut self, media: &'static str) -> Self {
        self.media.push(media);
        self
    }

    /// It heeds `If-Match`.
    #[must_use]
    pub fn if_match(mut self) -> Self {
        self.if_match = true;
        self
    }

    /// It keeps no `Idempotency-Key`, for this reason.
    #[must_use]
    pub fn no_key(mut self, why: &'static str) -> Self {
        self.no_key = Some(why);
        self
    }

    /// The status of a success, when it is not 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The schema of a value that programs send.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    schema::<T>(Contract::Deserialize)
}

/// `contract`: a field that serde leaves out when it is empty is required in what is read and not in what is written.
fn schema<T: JsonSchema>(contract: Contract) -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.contract = contract;
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// What a route asks of a request.
#[derive(Clone, Copy)]
struct Asks {
    can: Can,
    proved: bool,
    closed: bool,
}

/// What a handler gives: axum boxes the future of each function that it calls.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler whose type is forgotten. axum builds a dozen generic types around each handler, and the compiler proves of
/// each anew that everything in the handler's future may be sent to another thread: with hundreds of handlers that took
/// longer than compiling all else in their packages.
#[derive(Clone)]
struct Erased(Arc<dyn Fn(Request, App) -> Answer + Send + Sync>);

impl Handler<(), App> for Erased {
    type Future = Answer;

    fn call(self, request: Request, app: App) -> Answer {
        (self.0)(request, app)
    }
}

/// Describes a route.
pub type DocFn = Arc<dyn Fn() -> Doc + Send + Sync>;

/// A handler with what it needs.
pub struct Guarded {
    asks: Asks,
    doc: Option<DocFn>,
    handler: Erased,
}

impl Guarded {
    /// A handler without a type of its own, with the capability that it needs.
    pub(crate) fn of(
        can: Can,
        handler: impl Fn(Request, App) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let asks = Asks { can, proved: false, closed: false };
        Self { asks, doc: None, handler: Erased(Arc::new(handler)) }
    }

    /// Describes an API route. Given as a function, so that no schema is made before somebody
    /// asks for the document.
    #[must_use]
    pub fn doc(self, doc: fn() -> Doc) -> Self {
        self.doc_of(Arc::new(doc))
    }

    /// The same by a function that knows more than its code.
    #[must_use]
    pub fn doc_of(mut self, doc: DocFn) -> Self {
        self.doc = Some(doc);
        self
    }

    /// Asks a browser for a proof of the last minutes that it is still the same person.
    #[must_use]
    pub fn proved(mut self) -> Self {
        self.asks.proved = true;
        self
    }

    /// Goes also where nobody works: it changes nothing in the workspace.
    #[must_use]
    pub fn also_closed(mut self) -> Self {
        self.asks.closed = true;
        self
    }
}

/// Says what a handler needs.
pub trait Needs<T>: Sized {
    /// The capability.
    fn needs(self, can: Can) -> Guarded;
}

impl<T: 'static, H: Handler<T, App, Future = Answer> + Sync> Needs<T> for H {
    fn needs(self, can: Can) -> Guarded {
        Guarded::of(can, move |request, app| self.clone().call(request, app))
    }
}

/// One row of the route table.
#[derive(Clone)]
pub struct RouteInfo {
    /// The method.
    pub method: Method,
    /// The path below the mount point.
    pub path: Cow<'static, str>,
    /// What it needs.
    pub can: Can,
    /// Whether it asks for a proof.
    pub proved: bool,
    /// For the OpenAPI document.
    pub doc: Option<DocFn>,
}

/// A route on its way to the router.
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
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads.
    #[must_use]
    pub fn get(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::GET, MethodFilter::GET, path.into(), handler)
    }

    /// Changes something.
    #[must_use]
    pub fn post(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::POST, MethodFilter::POST, path.into(), handler)
    }

    /// Changes fields (API only). A tag that the route does not heed is refused; one that is heeded and matches nothing
    /// any more is answered with the record as it is now, as far as the route that shows it was given before.
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
                        kept.told(answer, async move |request| (show.0)(request, app).await).await
                    }
                    _ => answer,
                }
            })
        }));
        self.add(Method::PATCH, MethodFilter::PATCH, path, handler)
    }

    /// Replaces (API only).
    #[must_use]
    pub fn put(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::PUT, MethodFilter::PUT, path.into(), handler)
    }

    /// Removes (API only).
    #[must_use]
    pub fn delete(self, path: impl Into<Cow<'static, str>>, handler: Guarded) -> Self {
        self.add(Method::DELETE, MethodFilter::DELETE, path.into(), handler)
    }

    /// Takes over the rows of another table.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// Lays something around every handler and its guard, such as another form of errors.
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

    /// Adds the rows to a router below `prefix`, and to the table of everything that is mounted.
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

/// A route at its place.
#[derive(Clone)]
pub struct Mounted {
    /// The method.
    pub method: Method,
    /// The whole path.
    pub path: String,
    /// What it needs.
    pub can: Can,
    /// Whether it asks for a proof.
    pub proved: bool,
    /// For the OpenAPI document.
    pub doc: Option<DocFn>,
}

/// Lets a request through when who sent it may do what the route needs.
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

/// What keeps who may do it from doing it now.
fn stopped(asks: Asks, request: &Request) -> Option<Failure> {
    let proof = request.extensions().get::<Proof>().copied().unwrap_or(Proof(false));
    let asked = || proof.check().err().filter(|_| asks.proved).map(|error| error.0);
    frozen(asks, request).or_else(asked)
}

/// Why nothing is written: nobody works in the workspace. What its owner does with it as a whole, and
/// what is about a person's account, is written elsewhere.
fn frozen(asks: Asks, request: &Request) -> Option<Failure> {
    let reads = asks.closed || matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || matches!(asks.can, Can::Account | Can::Own | Can::Local) {
        return None;
    }
    request.extensions().get::<Frozen>().map(|frozen| frozen.0.clone())
}

/// Whether a path answers with JSON problems rather than pages.
#[must_use]
pub fn is_api(path: &str) -> bool {
    ["/api/", "/v1/", "/local/"].iter().any(|prefix| path.starts_with(prefix))
}

fn refuse(request: &Request, answer: impl FnOnce(bool) -> Response) -> Response {
    answer(is_api(request.uri().path()))
}
