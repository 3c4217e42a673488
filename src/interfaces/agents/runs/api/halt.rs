//! Pausing and resuming, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::{Halt, HaltCause, HaltOf};
use features::runs::queries::{halt as reading, talk};
use features::runs::rules;
use kernel::{Can, HaltHow};
use store::ReadExt;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::sessions;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/pause",
            show.needs(Can::Read)
                .doc(|| Doc::new("Whether all work is paused").returns::<HaltOut>()),
        )
        .post(
            "/pause",
            pause.needs(Can::Admin).doc(|| {
                Doc::new("Pause all work in the workspace; the pause survives a restart")
                    .body::<HaltBody>()
                    .returns::<HaltOut>()
            }),
        )
        .post(
            "/resume",
            resume
                .needs(Can::Admin)
                .doc(|| Doc::new("Resume work from where each run stopped").returns::<HaltOut>()),
        )
        .post(
            "/agents/{agent}/halt",
            halt_agent.needs(Can::Agents).doc(|| {
                Doc::new("Pause an agent and its current work; resuming continues it")
                    .body::<HaltBody>()
                    .returns::<HaltOut>()
            }),
        )
}

/// Whether work stands still.
#[derive(Serialize, JsonSchema)]
struct HaltOut {
    /// Whether it does.
    paused: bool,
    /// What became of runs that were at work.
    how: Option<HaltHow>,
    /// Who ordered it.
    by: Option<String>,
    /// Since when.
    at: Option<String>,
    /// Why.
    cause: Option<HaltCause>,
    /// Runs that were at work when HQ ended and was not meant to, the most often first.
    suspects: Vec<String>,
}

/// How to stand still.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HaltBody {
    /// Whether runs finish their step, or are cut off within a second.
    how: HaltHow,
}

fn shown(ws: &Ws, who: &Person, of: HaltOf) -> Result<Json<HaltOut>, ApiError> {
    ws.read(|snap| {
        let halt = snap.get::<Halt>(of)?;
        let by = halt.as_ref().map(|halt| reading::by(snap, halt)).transpose()?;
        let mut suspects = Vec::new();
        for run in reading::suspects(snap)? {
            if talk::may_see_run(snap, &run, who.account, who.role)? {
                suspects.push(run.name());
            }
        }
        Ok(Json(HaltOut {
            paused: halt.is_some(),
            how: halt.as_ref().map(|halt| halt.how),
            by,
            cause: halt.as_ref().map(Halt::cause),
            at: halt.map(|halt| halt.at.to_string()),
            suspects,
        }))
    })
}

async fn show(ws: Ws, who: Person) -> Result<Json<HaltOut>, ApiError> {
    shown(&ws, &who, HaltOf::Workspace)
}

async fn order(
    ws: &Ws,
    who: &Person,
    once: Once,
    of: HaltOf,
    body: HaltBody,
) -> Result<Json<HaltOut>, ApiError> {
    let write = once.run(move |tx| rules::halt::order(tx, of, body.how).map(drop));
    ws.write(who, write).await?;
    shown(ws, who, of)
}

async fn pause(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<HaltBody>,
) -> Result<Json<HaltOut>, ApiError> {
    order(&ws, &who, once, HaltOf::Workspace, body).await
}

async fn resume(ws: Ws, who: Person, once: Once) -> Result<Json<HaltOut>, ApiError> {
    let write = once.run(|tx| rules::halt::lift(tx, HaltOf::Workspace).map(drop));
    ws.write(&who, write).await?;
    shown(&ws, &who, HaltOf::Workspace)
}

async fn halt_agent(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<HaltBody>,
) -> Result<Json<HaltOut>, ApiError> {
    let agent = ws.read(|snap| sessions::agent(snap, &name))?;
    order(&ws, &who, once, HaltOf::Agent(agent.id), body).await
}
