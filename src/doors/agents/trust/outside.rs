//! Whether an agent heeds that it has read words from outside, and the label of a conversation that a person lifts.

use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::{App, Ws};
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{Run, Session};
use features::runs::queries as runs;
use features::runs::queries::talk;
use features::runs::rules::RunError;
use features::runs::rules::outside;
use features::trust::rules;
use kernel::Can;
use store::{ReadExt as _, StoreError};
use web::error::{ApiError, PageError};
use web::extract::{Form, Json, Path};
use web::flash;
use web::hx::Hx;
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;
use web::shell::Flash;

/// Routes below the workspace.
pub(super) fn pages(routes: Routes) -> Routes {
    routes
        .post("/agents/{slug}/behaviour/autonomy", set.needs(Can::Admin).proved())
        .post("/runs/{name}/outside/lift", lift.needs(Can::Approve))
}

/// Routes below `/api/v1`.
pub(super) fn api(routes: Routes) -> Routes {
    routes
        .put(
            "/agents/{agent}/autonomy",
            api_set.needs(Can::Admin).proved().doc(|| {
                Doc::new(
                    "Set whether an agent goes on by itself after it has read words from outside",
                )
                .body::<Autonomy>()
                .returns::<Autonomy>()
            }),
        )
        .delete(
            "/runs/{name}/outside",
            api_lift.needs(Can::Approve).doc(|| {
                Doc::new("Trust what the conversation of a run has read from outside so far")
                    .status(204)
            }),
        )
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    /// `on`; nothing while the box is empty.
    #[serde(default)]
    autonomous: String,
}

/// `POST /agents/{slug}/behaviour/autonomy`
async fn set(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let agent = ws.read(|snap| agents::by_name(snap, &slug))?;
    let Agent { id, slug, name, .. } = agent.ok_or_else(|| PageError::not_found("This agent"))?;
    let autonomous = !chosen.autonomous.is_empty();
    ws.write(&who, move |tx| rules::set_autonomous(tx, id, autonomous)).await?;
    let told = match autonomous {
        true => format!("{name} goes on by itself after it has read words from outside."),
        false => format!("{name} asks again after it has read words from outside."),
    };
    Ok(flash::say(&app, Flash::ok(told), hx.go_to(&ws.url(&format!("agents/{slug}/behaviour")))))
}

/// Whether an agent goes on by itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Autonomy {
    /// After it has read words from outside, it asks no more than before.
    autonomous: bool,
}

async fn api_set(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(Autonomy { autonomous }): Json<Autonomy>,
) -> Result<Json<Autonomy>, ApiError> {
    let agent = ws.read(|snap| agents::by_name(snap, &name))?;
    let id = agent.ok_or_else(|| ApiError::not_found("This agent"))?.id;
    ws.write(&who, once.run(move |tx| rules::set_autonomous(tx, id, autonomous))).await?;
    Ok(Json(Autonomy { autonomous }))
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
