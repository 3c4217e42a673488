//! The label of a conversation that has read words from outside: a person lifts it.

use axum::http::StatusCode;
use axum::response::Response;

use app::{App, Ws};
use features::runs::model::{Run, Session};
use features::runs::queries::{self as runs, talk};
use features::runs::rules::{RunError, outside};
use kernel::Can;
use store::{ReadExt as _, StoreError};
use web::error::{ApiError, PageError};
use web::extract::Path;
use web::flash;
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

/// Routes below the workspace.
pub(super) fn pages(routes: Routes) -> Routes {
    routes.post("/runs/{name}/outside/lift", lift.needs(Can::Approve))
}

/// Routes below `/api/v1`.
pub(super) fn api(routes: Routes) -> Routes {
    routes.delete(
        "/runs/{name}/outside",
        api_lift.needs(Can::Approve).doc(|| {
            Doc::new("Trust what the conversation of a run has read from outside so far")
                .status(204)
        }),
    )
}

/// The conversation of a run that this person may see.
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
    ws.write(&who, move |tx| outside::lift(tx, &session).map_err(RunError::from)).await?;
    let told = Flash::ok("What it has read so far counts as trusted.");
    Ok(flash::say(&app, told, hx.go_to(&ws.url(&format!("runs/{}", run.name())))))
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
        move |tx: &mut store::WriteTx<'_>| outside::lift(tx, &session).map_err(RunError::from);
    ws.write(&who, once.run(move |tx| lifts(tx).map(drop))).await?;
    Ok(StatusCode::NO_CONTENT)
}
