//! Redirect addresses for sign-ins to MCP servers, and HQ's Client ID Metadata Document. One address serves
//! all workspaces: the state identifies the sign-in. The sign-in itself is a POST, because a GET never writes.

use askama::Template;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};

use app::{App, Ws};
use interfaces_account::users::session::Caller;
use kernel::{Can, ProblemKind};
use reach::oauth::{self, Answer};
use web::error::{Failure, PageError};
use web::extract::{Form, Query};
use web::flash;
use web::form;
use web::html;
use web::hx::Hx;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

/// Path of the page in a workspace.
const PAGE: &str = "settings/mcp-sign-in";

/// Routes without a workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get(oauth::CALLBACK, callback.needs(Can::Account))
        .get(format!("{}/{{issuer}}", oauth::CALLBACK), callback.needs(Can::Account))
        .get(oauth::DOCUMENT, document.needs(Can::Open))
}

/// Routes below `/w/{ws}`.
#[must_use]
pub fn routes_inside() -> Routes {
    let page = format!("/{PAGE}");
    Routes::new().get(page.clone(), ask.needs(Can::Admin)).post(page, finish.needs(Can::Admin))
}

/// Leads to the workspace of the sign-in.
async fn callback(
    app: App,
    caller: Caller,
    uri: Uri,
    Query(answer): Query<Answer>,
) -> Result<Response, PageError> {
    let found = oauth::open(&answer.state, caller.account.id, app.clock.now());
    let Some(open) = found.filter(|open| open.is_at(uri.path())) else {
        let text = "this sign-in is over, has timed out, or another person began it; begin again on the page of the MCP server";
        return Err(PageError(Failure::new(ProblemKind::Conflict, "sign_in_over", text)));
    };
    let (slug, query) = (open.slug, uri.query().unwrap_or_default());
    Ok(Redirect::to(&format!("/w/{slug}/{PAGE}?{query}")).into_response())
}

#[derive(Template)]
#[template(path = "settings/mcp_sign_in.html")]
struct FinishPage {
    shell: Shell,
    here: &'static str,
    action: String,
    answer: Answer,
    /// Why the sign-in failed; empty before.
    failure: String,
    /// The page of the server.
    back: String,
}

/// The page of the server whose sign-in this is; that of all servers after it is over.
fn back(ws: &Ws, who: &Person, state: &str) -> String {
    let open = oauth::open(state, who.account, ws.app.clock.now());
    let form = open.map(|open| format!("?edit={}#form", open.server)).unwrap_or_default();
    ws.url(&format!("settings/mcp-servers{form}"))
}

async fn ask(
    ws: Ws,
    shell: Shell,
    who: Person,
    Query(answer): Query<Answer>,
) -> Result<Response, PageError> {
    let (action, back) = (ws.url(PAGE), back(&ws, &who, &answer.state));
    let here = "mcp-servers";
    html::page(&FinishPage { shell, here, action, answer, failure: String::new(), back })
}

async fn finish(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Form(answer): Form<Answer>,
) -> Result<Response, PageError> {
    let back = back(&ws, &who, &answer.state);
    let (server, message) = match oauth::finish(&ws, &who, answer).await {
        Ok(done) => done,
        // The open page shows the failure and the way back.
        Err(error) if hx.is_partial() => return Err(error.into()),
        Err(error) => {
            let failure = Failure::from(error);
            let (status, failure) = (failure.status(), form::sentence(&failure.detail));
            let (action, answer) = (ws.url(PAGE), Answer::default());
            let page = FinishPage { shell, here: "mcp-servers", action, answer, failure, back };
            return html::document(status, &page);
        }
    };
    let page = hx.go_to(&ws.url(&format!("settings/mcp-servers?edit={server}#form")));
    Ok(flash::say(&ws.app, Flash::ok(message), page))
}

/// HQ as an OAuth client. Only a public address with https has it.
async fn document(app: App) -> Response {
    match oauth::document(&app) {
        Some(document) => {
            let cached = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))];
            (cached, Json(document)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
