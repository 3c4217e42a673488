//! The taint of a conversation that has read untrusted content, and of memory files that it wrote. A person can lift
//! it.

use axum::http::StatusCode;
use axum::response::Response;

use schemars::JsonSchema;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{Place, Run, Session};
use features::runs::queries::{self as runs, talk};
use features::runs::rules::{RunError, taint};
use kernel::Can;
use store::{ReadExt as _, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Form, Json, Path};
use web::flash;
use web::format::query_value;
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .post("/runs/{name}/outside/lift", lift.needs(Can::Approve))
        .post("/agents/{slug}/memory/accept", accept.needs(Can::Approve))
}

pub(super) fn api(routes: Routes) -> Routes {
    let lifted =
        || Doc::new("Trust the untrusted content a run's conversation has read so far").status(204);
    let accepted = || {
        Doc::new("Accept what a run wrote to memory after reading untrusted content")
            .body::<Accepted>()
            .status(204)
    };
    routes
        .delete("/runs/{name}/outside", api_lift.needs(Can::Approve).doc(lifted))
        .post("/agents/{agent}/memory/accept", api_accept.needs(Can::Approve).doc(accepted))
}

/// The run and its conversation, if this person may see them.
fn session_of(ws: &Ws, who: &Person, name: &str) -> Result<Option<(Run, Session)>, StoreError> {
    ws.read(|snap| {
        let Some(run) = runs::by_name(snap, name)? else { return Ok(None) };
        if !talk::may_see_run(snap, &run, who.account, who.role)? {
            return Ok(None);
        }
        Ok(snap.get::<Session>(run.session)?.map(|session| (run, session)))
    })
}

/// `POST /runs/{name}/outside/lift`
async fn lift(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let found = session_of(&ws, &who, &name)?;
    let (run, session) = found.ok_or_else(|| PageError::not_found("This run"))?;
    ws.write(&who, move |tx| taint::lift(tx, &session).map_err(RunError::from)).await?;
    let flash = Flash::ok("Content read so far is now trusted.");
    Ok(flash::say(&app, flash, hx.go_to(&ws.url(&format!("runs/{}", run.name())))))
}

async fn api_lift(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let found = session_of(&ws, &who, &name)?;
    let (_, session) = found.ok_or_else(|| ApiError::not_found("This run"))?;
    let lifts =
        move |tx: &mut store::WriteTx<'_>| taint::lift(tx, &session).map_err(RunError::from);
    ws.write(&who, once.run(move |tx| lifts(tx).map(drop))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is accepted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// `MEMORY.md` or `memory/<day>.md`.
    path: String,
}

/// Accepts a tainted file of an agent. Returns whether it was tainted.
async fn take(
    ws: &Ws,
    who: &Person,
    once: Once,
    (agent, path): (&Agent, &str),
) -> Result<bool, RunError> {
    let place = Place::File { agent: agent.id, path: path.to_owned() };
    ws.write(who, once.run(move |tx| taint::accept(tx, &place).map_err(RunError::from))).await
}

/// `POST /agents/{slug}/memory/accept`
async fn accept(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(Accepted { path }): Form<Accepted>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let agent = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let name = &agent.name;
    let message = match take(&ws, &who, Once::without_key(), (&agent, &path)).await? {
        true => format!("{path} is accepted. {name} reads it when it starts."),
        false => format!("Nothing in {path} was waiting."),
    };
    let url = ws.url(&format!("agents/{}/memory?path={}", agent.slug, query_value(&path)));
    Ok(flash::say(&app, Flash::ok(message), hx.go_to(&url)))
}

async fn api_accept(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(Accepted { path }): Json<Accepted>,
) -> Result<StatusCode, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, &name))?;
    let agent = agent.ok_or_else(|| ApiError::not_found("This agent"))?;
    match take(&ws, &who, once, (&agent, &path)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("What waits in this file")),
    }
}
