//! API operations as tools for other programs: `POST /mcp` (Model Context Protocol) and `POST /tools/invoke`.
//!
//! A tool is an API route under a name. Its schema and description come from the route's OpenAPI description, and a
//! call is a request to that route inside the process, with the caller's rights. So idempotency, audit, validation and
//! errors are those of the API. The second router has the tools' routes only; nothing else can be reached through it.

mod call;
mod invoke;
mod mcp;
mod schema;
mod slim;
mod table;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::Method;
use axum::http::request::Parts;
use features::workspace::queries::modules::{Module, Off};
use interfaces_account::users::session::{Caller, Key};
use kernel::{Can, ProblemKind};
use serde_json::{Map, Value, json};
use web::error::{ApiError, Failure};
use web::routes::{Doc, Mounted, Needs as _, Routes};
use web::session::{Access, Person};

use app::{App, Ws};
use schema::Arguments;
use table::Row;

/// Prefix of the routes that can be tools.
const API: &str = "/api/v1";

/// Routes of this module.
#[must_use]
pub fn routes() -> Routes {
    let invoke = || {
        Doc::new("Call a tool by its name: an API operation, as `POST /mcp` lists them")
            .no_key("send idempotencyKey in the body instead")
            .body::<invoke::Invocation>()
            .returns::<Value>()
    };
    Routes::new()
        // A closed workspace can still be read; the route of a tool refuses writes.
        .post("/mcp", mcp::serve.needs(Can::Read).also_closed())
        .post("/tools/invoke", invoke::invoke.needs(Can::Read).also_closed().doc(invoke))
}

/// Collects the routes of tools while the router is built.
pub struct Builder {
    rows: HashMap<(Method, String), Row>,
    router: Router<App>,
    routes: Vec<Mounted>,
}

impl Default for Builder {
    fn default() -> Self {
        let rows = table::rows(super::doors::nouns());
        Self { rows, router: Router::new(), routes: Vec::new() }
    }
}

impl Builder {
    /// Adds the rows of a table that are tools.
    pub fn add(&mut self, prefix: &str, table: &Routes) {
        if prefix != API {
            return;
        }
        let chosen = table.chosen(|route| {
            let at = (route.method.clone(), route.path.to_string());
            self.rows.contains_key(&at) && table::is_open(route)
        });
        self.router = chosen.mount(API, std::mem::take(&mut self.router), &mut self.routes);
    }

    /// The tools, which are called through their own router below `layered`.
    #[must_use]
    pub fn build(self, layered: impl FnOnce(Router<App>) -> Router) -> ApiTools {
        let router = layered(self.router);
        ApiTools { rows: self.rows, routes: self.routes, router, made: OnceLock::new() }
    }
}

/// The tools of this server.
pub struct ApiTools {
    rows: HashMap<(Method, String), Row>,
    routes: Vec<Mounted>,
    router: Router,
    made: OnceLock<Vec<ApiTool>>,
}

/// An API route as a tool.
struct ApiTool {
    method: Method,
    /// Full path with its parameters.
    path: String,
    can: Can,
    /// Refuses knowledge items other than pages.
    only_pages: bool,
    arguments: Arguments,
    definition: ::mcp::wire::Tool,
}

impl ApiTools {
    /// The tools by name. Built at the first use.
    fn all(&self) -> &[ApiTool] {
        self.made.get_or_init(|| {
            let mut all: Vec<ApiTool> =
                self.routes.iter().filter_map(|route| self.tool(route)).collect();
            all.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
            all
        })
    }

    fn tool(&self, route: &Mounted) -> Option<ApiTool> {
        let path = route.path.strip_prefix(API)?;
        let row = self.rows.get(&(route.method.clone(), path.to_owned()))?;
        let doc = route.doc.as_ref()?();
        let arguments = Arguments::of(path, &doc, row.without);
        let about = if row.about.is_empty() { doc.about.as_ref() } else { row.about };
        let definition = json!({
            "name": row.name,
            "description": about,
            "inputSchema": arguments.listed(&route.method),
            "annotations": annotations(&route.method, row.only_adds),
        });
        let definition = ::mcp::wire::Tool::from_value(definition)
            .inspect_err(|why| tracing::error!(tool = row.name, "a tool is not valid: {why}"))
            // ok: logged, and the other tools work.
            .ok()?;
        let (method, path) = (route.method.clone(), route.path.clone());
        let (can, only_pages) = (route.can, row.only_pages);
        Some(ApiTool { method, path, can, only_pages, arguments, definition })
    }

    fn named(&self, name: &str) -> Option<&ApiTool> {
        let all = self.all();
        let at = all.binary_search_by(|tool| tool.definition.name.as_str().cmp(name)).ok()?;
        all.get(at)
    }
}

impl ApiTool {
    fn name(&self) -> &str {
        &self.definition.name
    }

    /// The disabled module that the tool belongs to.
    fn module(&self, off: &Off) -> Option<&'static Module> {
        off.of_path(self.path.strip_prefix(API)?.trim_start_matches('/'))
    }
}

/// Hints for clients: only reads, may overwrite or delete, repeatable.
fn annotations(method: &Method, only_adds: bool) -> Value {
    let reads = method == Method::GET;
    json!({
        "readOnlyHint": reads,
        "destructiveHint": !reads && !only_adds,
        "idempotentHint": method != Method::POST,
        "openWorldHint": false,
    })
}

/// Sender of a request to these routes. Cookies are refused, so that a browser's page cannot act through them.
struct Sender<'p> {
    parts: &'p Parts,
    ws: &'p Ws,
    access: Access,
    /// Without the writes that a closed workspace refuses.
    possible: Access,
}

impl<'p> Sender<'p> {
    fn of(parts: &'p Parts) -> Result<Self, ApiError> {
        let found = &parts.extensions;
        let caller = found.get::<Caller>().ok_or_else(ApiError::unauthorized)?;
        if matches!(caller.key, Key::SignIn(_)) {
            let text =
                "Send an API token as a bearer token. Create one under Settings → API tokens.";
            let failure = Failure::new(ProblemKind::Unauthorized, "token_required", text);
            return Err(ApiError(failure));
        }
        let (Some(ws), Some(person), Some(access)) =
            (found.get::<Ws>(), found.get::<Person>(), found.get::<Access>())
        else {
            return Err(ApiError::unauthorized());
        };
        Ok(Self { parts, ws, access: *access, possible: person.access })
    }

    fn may(&self, tool: &ApiTool) -> bool {
        self.access.may(tool.can)
    }

    /// The disabled modules of the workspace. If they cannot be read, the call itself reports the error.
    fn off(&self) -> Off {
        self.ws.read(|snap| Off::of(snap)).unwrap_or_default()
    }
}

/// A call without its target.
#[derive(Default)]
struct Given {
    arguments: Map<String, Value>,
    /// Idempotency key.
    key: Option<String>,
}

/// The tools, as an extension of each request.
type Shared = Arc<ApiTools>;
