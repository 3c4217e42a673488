//! Pages and API routes of a disabled module: which one it is, that its data is kept, and who can turn it on.

use askama::Template;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use app::Ws;
use features::tasks::queries::people::People;
use features::workspace::queries;
use features::workspace::queries::modules::{self, Module, Off};
use kernel::text::listed;
use kernel::{Can, ProblemKind, Role};
use store::StoreError;
use web::error::{Failure, PageError};
use web::html;
use web::hx::Hx;
use web::routes::is_api;
use web::session::{Person, ShellMaker};
use web::shell::Shell;
use web::time::RelTime;

/// Error code for a page or API route of a disabled module.
pub(crate) const MODULE_OFF: &str = "module_off";
/// Prefix of API routes.
const API: &str = "/api/v1/";

#[derive(Template)]
#[template(path = "errors/module_off.html")]
struct ModuleOffPage {
    shell: Shell,
    module: &'static Module,
    /// Who disabled it, and when.
    since: Option<(String, RelTime)>,
    /// Whether the person may enable it, and where.
    may: bool,
    on: String,
    /// The requested page, to return to.
    back: String,
    /// The owners; empty if the person may enable it, or nobody may.
    owners: String,
}

/// The disabled module that a request is for.
pub(crate) fn of_request(parts: &Parts) -> Option<&'static Module> {
    let (ws, _) = (parts.extensions.get::<Ws>()?, parts.extensions.get::<Person>()?);
    let path = parts.uri.path();
    let path = path.strip_prefix(API).or_else(|| path.strip_prefix(&ws.url("")))?;
    // Most requests are for no module and skip the settings.
    if !modules::is_optional(path) {
        return None;
    }
    // ok: if the settings cannot be read, the page itself reports the error.
    ws.read(|snap| Off::of(snap)).ok()?.of_path(path)
}

/// Responds with a page, or with a failure for regions, writes and the API.
pub(crate) fn answer(module: &'static Module, parts: &Parts, hx: &Hx) -> Response {
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let is_page = is_read && !hx.is_partial() && !is_api(parts.uri.path());
    let answered = if is_page { page(module, parts) } else { Err(PageError(failure(module))) };
    answered.unwrap_or_else(IntoResponse::into_response)
}

fn failure(module: &Module) -> Failure {
    let text = format!(
        "The module {} is turned off in this workspace. Its data is kept. An owner or admin can \
         turn it on under Settings → Modules",
        module.label
    );
    let mut failure = Failure::new(ProblemKind::NotFound, MODULE_OFF, text);
    let value = json!({ "word": module.word, "name": module.label });
    failure.more = Some(Box::new(("module", value)));
    failure
}

fn page(module: &'static Module, parts: &Parts) -> Result<Response, PageError> {
    let known = &parts.extensions;
    let (Some(ws), Some(who), Some(make)) =
        (known.get::<Ws>(), known.get::<Person>(), known.get::<ShellMaker>())
    else {
        return Err(PageError(failure(module)));
    };
    let shell = (make.0)(ws, who, parts)?;
    let (since, owners) = ws.read(|snap| {
        let since = modules::disabled_since(snap, ws.store.schema(), module.word)?;
        let people = since.is_some().then(|| People::read(snap)).transpose()?;
        let since = since.zip(people).map(|(since, all)| (all.actor(since.by).name, since.at));
        let members = queries::members(snap)?.into_iter();
        let owners = members.filter(|one| one.role == Role::Owner).map(|one| one.name);
        Ok::<_, StoreError>((since, owners.collect::<Vec<String>>()))
    })?;
    let zone = who.time_zone();
    let now = ws.app.clock.now();
    let (may, is_active) = (who.access.may(Can::Admin), ws.is_active());
    let page = ModuleOffPage {
        shell,
        module,
        since: since.map(|(name, at)| (name, RelTime::new(at, now, &zone))),
        may: may && is_active,
        on: ws.url(&format!("settings/modules/{}/on", module.word)),
        back: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        owners: if may || !is_active { String::new() } else { listed(&owners) },
    };
    html::document(StatusCode::NOT_FOUND, &page)
}
