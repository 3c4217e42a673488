//! Which hosts an agent reaches, over the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::Ws;
use crate::features::agents::queries::{self, reach};
use crate::features::agents::rules::{self, AgentError};
use crate::kernel::{AgentId, Can};
use crate::web::error::ApiError;
use crate::web::extract::{Json, Path};
use crate::web::idempotency::Once;
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::Person;

/// Routes below `/api/v1`.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/reach",
            show.needs(Can::Read).doc(|| Doc::new("Which hosts it reaches").returns::<ReachView>()),
        )
        .put(
            "/agents/{agent}/reach",
            set.needs(Can::Agents).doc(|| {
                Doc::new("Choose them; they count from its next request on")
                    .body::<ReachBody>()
                    .returns::<ReachView>()
            }),
        )
}

/// Which hosts an agent reaches.
#[derive(Serialize, JsonSchema)]
struct ReachView {
    /// These alone; when there is none, all that are public.
    only: Vec<String>,
}

/// Which hosts it is to reach.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReachBody {
    /// `example.com`, or `*.example.com` for all below it; none for all that are public.
    only: Vec<String>,
}

fn found(ws: &Ws, name: &str) -> Result<AgentId, AgentError> {
    let agent = ws.read(|snap| queries::by_name(snap, name))?;
    agent.map(|agent| agent.id).ok_or_else(|| AgentError::NotFound(name.to_owned()))
}

fn view(ws: &Ws, agent: AgentId) -> Result<Json<ReachView>, ApiError> {
    let only = ws.read(|snap| reach::of_agent(snap, agent))?;
    Ok(Json(ReachView { only }))
}

async fn show(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<ReachView>, ApiError> {
    let agent = found(&ws, &name)?;
    view(&ws, agent)
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<ReachBody>,
) -> Result<Json<ReachView>, ApiError> {
    let agent = found(&ws, &name)?;
    ws.write(&who, once.run(move |tx| rules::reach::set(tx, agent, &body.only))).await?;
    view(&ws, agent)
}
